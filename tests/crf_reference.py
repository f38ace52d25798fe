"""A linear-chain CRF in float64 NumPy, by enumeration of all paths and by the textbook's recursion,
and a batch to try it on."""

from __future__ import annotations

import itertools

import numpy as np

RNG = np.random.default_rng(0)

LENGTHS = [6, 5, 4, 3, 2, 1]
TAGS = 3
MASK = np.arange(6) < np.array(LENGTHS)[:, None]
SCORES = RNG.normal(scale=2, size=(6, 6, TAGS)).astype(np.float32)


TRANSITIONS = RNG.normal(scale=2, size=(TAGS, TAGS)).astype(
    np.float32
)  # not symmetric: from -> to must matter
LABELS = np.where(MASK, RNG.integers(0, TAGS, MASK.shape), -1).astype(np.int32)
NER = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def worth(scores, path, transitions):
    pairs = sum(transitions[before, after] for before, after in itertools.pairwise(path))
    return sum(step[tag] for step, tag in zip(scores, path, strict=True)) + pairs


def enumerate_paths(scores, transitions):
    """All paths of one row and what each is worth, in float64."""
    scores, transitions = np.asarray(scores, np.float64), np.asarray(transitions, np.float64)
    paths = list(itertools.product(range(scores.shape[1]), repeat=len(scores)))
    return np.array(paths), np.array([worth(scores, path, transitions) for path in paths])


def logsumexp(x, axis=None):
    peak = np.max(x, axis=axis, keepdims=True)
    return np.log(np.exp(x - peak).sum(axis=axis)) + np.squeeze(peak, axis=axis)


def reference_states(scores, transitions):
    """float64[time, tags], one row by the textbook's recursion from left to right: for what is too
    long to enumerate."""
    scores, transitions = np.asarray(scores, np.float64), np.asarray(transitions, np.float64)
    states = [scores[0]]
    for step in scores[1:]:
        states.append(logsumexp(states[-1][:, None] + transitions, axis=0) + step)
    return np.array(states)


def reference_partition(scores, transitions):
    return logsumexp(reference_states(scores, transitions)[-1])


def reference_marginals(scores, transitions):
    both = (
        reference_states(scores, transitions)
        + reference_states(scores[::-1], transitions.T)[::-1]
        - scores
    )
    return np.exp(both - logsumexp(both, axis=1)[:, None])


def rows(scores=SCORES, lengths=LENGTHS):
    return [row[:length] for row, length in zip(scores, lengths, strict=True)]
