"""CTC in float64 NumPy, by enumeration of all paths, and a batch to try it on."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np

RNG = np.random.default_rng(0)

LENGTHS = np.array([5, 4, 3, 5, 1, 3, 5])
LOGITS = 2 * RNG.normal(size=(7, 5, 4)).astype(np.float32)


LABELS = np.array(
    [[1, 2, 0], [2, 2, 0], [3, 0, 0], [1, 1, 1], [1, 0, 0], [0, 0, 0], [3, 1, 3]], np.int32
)


def log_softmax(logits):
    logits = np.asarray(logits, np.float64)
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def collapsed(path):
    return tuple(int(symbol) for symbol, _ in itertools.groupby(path) if symbol)


def every_path(logits):
    """(path, nats) of all symbols ** frames paths."""
    log_probs = log_softmax(logits)
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        yield path, log_probs[np.arange(len(path)), path].sum()


def every_labelling(logits):
    """{labelling: nats}, its paths summed."""
    total = defaultdict(lambda: -np.inf)
    for path, nats in every_path(logits):
        total[collapsed(path)] = np.logaddexp(total[collapsed(path)], nats)
    return total


def unpadded(labels):
    return tuple(int(label) for label in labels if label)
