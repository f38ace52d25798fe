"""Prefix beam search over the frames of a CTC network, with a language model of the labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.ctc import NEVER, masked_logits
from rnn_cookbook.nn.tensors import Tensor

__all__ = ["ctc_beam_search"]

# (prefix, symbol) -> log p(symbol | prefix) in nats.
LanguageModel = Callable[[tuple[int, ...], int], float]

# Multiplier of a linear congruential generator of 64 bits (Knuth's MMIX), for the rolling hash.
_HASH_MULTIPLIER = np.uint64(6364136223846793005)


def _worst_kept(scores: np.ndarray, beam: int) -> np.ndarray:
    """Returns the worst score of the best `beam` of each row; minus infinity where the beam is not
    full."""
    if scores.shape[1] < beam:
        return np.full(len(scores), -np.inf)
    return -np.partition(-scores, beam - 1, axis=1)[:, beam - 1]


@dataclass
class _Scorer:
    """Scores of new labels beside the acoustic ones: the weighted language model and the insertion
    bonus.

    Args:
        language_model: see `ctc_beam_search`.
        weight: weight of the language model.
        bonus: insertion bonus in nats.
        cache: answers of the language model.
    """

    language_model: LanguageModel | None
    weight: float
    bonus: float
    cache: dict[tuple[tuple[int, ...], int], float] = field(default_factory=dict)

    def _log_probability(self, prefix: tuple[int, ...], symbol: int) -> float:
        assert self.language_model is not None
        if (prefix, symbol) not in self.cache:
            nats = float(self.language_model(prefix, symbol))
            if not nats <= 0:
                raise InputError(
                    f"a language model must give log-probabilities of at most 0; received {nats} "
                    f"for {symbol} after {prefix}"
                )
            self.cache[prefix, symbol] = nats
        return self.cache[prefix, symbol]

    def gains(
        self,
        longer: np.ndarray,
        stay: np.ndarray,
        extra: np.ndarray,
        prefixes: np.ndarray,
        beam: int,
    ) -> np.ndarray:
        """Returns the gains of all new labels in nats, float64[batch, prefixes, symbols].

        The language model is asked only where a label could enter the beam; `longer` becomes minus
        infinity elsewhere.

        Args:
            longer: nats of the paths that end in a new label, float64[batch, prefixes, symbols].
            stay: scores of the prefixes that stay as they are, float64[batch, prefixes].
            extra: language-model score and bonus so far, float64[batch, prefixes].
            prefixes: the prefixes, object[batch, prefixes].
            beam: number of prefixes to keep.
        """
        batch = len(longer)
        gains = np.full(longer.shape, float(self.bonus))
        if self.language_model is None or not self.weight:
            return gains
        # No score gets higher: a language model only takes away.
        highest = longer + extra[..., None] + self.bonus
        scored = np.zeros(longer.shape, bool)
        # The acoustically best first: with their scores known, few others can still enter the beam.
        for bar in (_worst_kept(highest.reshape(batch, -1), beam), np.full(batch, -np.inf)):
            known = np.where(scored, highest + gains - self.bonus, -np.inf).reshape(batch, -1)
            needed = _worst_kept(np.concatenate([stay, known], axis=1), beam)
            asked = ~scored & (highest > needed[:, None, None]) & (highest >= bar[:, None, None])
            for row, column, symbol in zip(*np.nonzero(asked), strict=True):
                nats = self._log_probability(tuple(prefixes[row, column]), int(symbol))
                gains[row, column, symbol] += self.weight * nats
            scored |= asked
        longer[~scored] = -np.inf
        return gains


class _Beam:
    """The prefixes of a batch, float64[batch, prefixes] each unless said otherwise.

    Prefixes are compared by a rolling hash of 64 bits, which wraps around.
    """

    def __init__(self, batch: int):
        self.rows = np.arange(batch)[:, None]
        # Nats of the paths that end in a blank, and in the prefix's last label.
        self.blank = np.zeros((batch, 1))
        self.label = np.full((batch, 1), -np.inf)
        # Nats on top: language-model score and insertion bonus.
        self.extra = np.zeros((batch, 1))
        self.last = np.zeros((batch, 1), np.int64)  # last label
        self.key = np.ones((batch, 1), np.uint64)  # hash of the prefix
        self.parent_key = np.zeros((batch, 1), np.uint64)  # hash of the prefix without its last
        self.prefixes = np.empty((batch, 1), object)
        self.prefixes.fill(())

    def scores(self) -> np.ndarray:
        """Returns the nats of all paths of each prefix, with those on top."""
        return np.logaddexp(self.blank, self.label) + self.extra

    def read(self, frame: np.ndarray) -> np.ndarray:
        """Reads a frame and returns the nats of each prefix with a new label, float64[batch,
        prefixes, symbols].

        Args:
            frame: log-probabilities of the symbols, float64[batch, symbols].
        """
        total = np.logaddexp(self.blank, self.label)
        again = np.take_along_axis(frame, self.last, axis=1)
        longer = total[..., None] + frame[:, None]
        # The same label anew only after a blank.
        repeated = (self.blank + again)[..., None]
        np.put_along_axis(longer, self.last[..., None], repeated, axis=2)
        longer[..., 0] = -np.inf
        self.blank = total + frame[:, :1]
        self.label = self.label + again
        # A prefix may be in the beam beside the prefix that it extends: the paths from there join
        # it instead of making a second copy.
        alive = np.isfinite(total)
        extends = self.parent_key[..., None] == self.key[:, None]
        extends &= (alive & (self.last > 0))[..., None] & alive[:, None]
        row, child, parent = np.nonzero(extends)
        joint = (row, parent, self.last[row, child])
        self.label[row, child] = np.logaddexp(self.label[row, child], longer[joint])
        longer[joint] = -np.inf
        return longer

    def keep(self, longer: np.ndarray, gains: np.ndarray, beam: int) -> None:
        """Keeps the `beam` best of the prefixes as they are and with a new label."""
        batch, _, symbols = longer.shape
        stay = self.scores()
        grow = longer + (self.extra[..., None] + gains)
        scores = np.concatenate([stay[..., None], grow], axis=2).reshape(batch, -1)
        width = min(beam, scores.shape[1])
        kept = np.argpartition(-scores, width - 1, axis=1)[:, :width]
        source = kept // (symbols + 1)
        symbol = kept % (symbols + 1) - 1  # -1 for what stays
        grown = symbol >= 0
        previous = (self.rows, source)
        end = longer[self.rows, source, symbol]
        added = gains[self.rows, source, symbol]
        key = self.key[previous]
        self.blank = np.where(grown, -np.inf, self.blank[previous])
        self.label = np.where(grown, end, self.label[previous])
        self.extra = self.extra[previous] + np.where(grown, added, 0)
        self.last = np.where(grown, symbol, self.last[previous])
        self.parent_key = np.where(grown, key, self.parent_key[previous])
        self.key = np.where(grown, key * _HASH_MULTIPLIER + symbol.astype(np.uint64), key)
        self.prefixes = self.prefixes[previous]
        for row, column in zip(*np.nonzero(grown & np.isfinite(end)), strict=True):
            label = int(symbol[row, column])
            self.prefixes[row, column] = (*self.prefixes[row, column], label)

    def best(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the best prefixes, int32[batch, count, labels], and scores, float32[batch,
        count]."""
        scores = self.scores()
        order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        scores = scores[self.rows, order]
        prefixes = self.prefixes[self.rows, order]
        places = [place for place, score in np.ndenumerate(scores) if np.isfinite(score)]
        longest = max((len(prefixes[place]) for place in places), default=0)
        labels = np.zeros((len(scores), count, longest), np.int32)
        for place in places:
            prefix = prefixes[place]
            labels[place][: len(prefix)] = prefix
        missing = [(0, 0), (0, count - scores.shape[1])]
        scores = np.pad(scores, missing, constant_values=-np.inf)
        return labels, scores.astype(np.float32)


def ctc_beam_search(
    logits: Tensor,
    lengths: Tensor | None = None,
    *,
    beam: int = 16,
    n_best: int = 1,
    language_model: LanguageModel | None = None,
    weight: float = 1.0,
    insertion_bonus: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the most probable labellings, int32[batch, n_best, labels], and their scores,
    float32[batch, n_best], best first.

    Prefix beam search (Graves 2012, "Supervised Sequence Labelling with Recurrent Neural Networks",
    7.5.3; with a language model: Hannun et al. 2014, "First-Pass Large Vocabulary Continuous Speech
    Recognition using Bi-Directional Recurrent DNNs"). All paths of a labelling count together,
    unless one of its prefixes fell out of the beam; so the score, log p(labels | logits) in nats
    without language model and insertion bonus, is a lower bound, and exact when nothing fell out.
    Labellings that do not exist (fewer paths than `n_best`) are empty, with a score of minus
    infinity.

    In NumPy, the whole batch a frame at a time.

    Args:
        logits: float[batch, frames, symbols]; symbol 0 is the blank.
        lengths: number of true frames, int32[batch], from 1; None for all frames, which is also
            right after `PadWithBlank`.
        beam: number of prefixes kept after each frame.
        n_best: number of labellings returned, at most `beam`.
        language_model: (prefix, symbol) -> log p(symbol | prefix) in nats, never above 0; it must
            give the same each time. Called once for each pair in a call, and only where the pair
            could enter the beam.
        weight: weight of the language model, 0 or more; score = log p(labels | logits) + weight *
            log p(labels) + insertion_bonus * labels.
        insertion_bonus: nats for each label, against the language model's preference for short
            sequences.

    Raises:
        InputError: a number out of range, logits that are not numbers or of another shape, or
            positive log-probabilities of the language model.
    """
    if not 1 <= n_best <= beam:
        raise InputError(
            f"n_best must be from 1 to the beam; received n_best={n_best}, beam={beam}",
            field="beam",
        )
    if not 0 <= weight < np.inf:
        raise InputError(f"weight must be at least 0 and finite; received {weight}")
    if not np.isfinite(insertion_bonus):
        raise InputError(f"insertion_bonus must be finite; received {insertion_bonus}")
    log_probs = np.array(tf.nn.log_softmax(masked_logits(logits, lengths)), np.float64)
    if np.isnan(log_probs).any():
        raise InputError("logits must be numbers; received values that are not numbers")
    log_probs[log_probs < NEVER / 2] = -np.inf  # no labelling goes through padding
    batch, frames, _ = log_probs.shape
    kept = _Beam(batch)
    scorer = _Scorer(language_model, weight, insertion_bonus)
    for frame in range(frames):
        longer = kept.read(log_probs[:, frame])
        gains = scorer.gains(longer, kept.scores(), kept.extra, kept.prefixes, beam)
        kept.keep(longer, gains, beam)
    return kept.best(n_best)
