"""Batches of pairs of sequences with little padding on either side, in an order that a resumed run
repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from rnn_cookbook.encode.batches import bucketed, padded
from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log

__all__ = ["PairBatches", "short_enough"]

_PREFETCHED = 4  # batches that are made while the network computes


class PairBatches:
    """A `tf.data` pipeline that feeds an `encoder_decoder`: ((int32[batch, time] source,
    int32[batch, t] target), int32[batch, t] target), all padded with 0.

    The pairs are shuffled; pools of 50 batches are sorted by the lengths of both sides and cut into
    batches, which are shuffled again. The order depends on `seed` and on `epoch` only, and so do
    the sequences themselves, which may differ from epoch to epoch: a run that is resumed in epoch 7
    sees the batches that an uninterrupted run would have seen.

    Args:
        encode: function from the epoch to the int32[tokens] of every source and of every target,
            none of them empty; the number of pairs is the same in every epoch.
        batch_size: pairs per batch; the last batch may be smaller.
        shuffle: whether each epoch has a new order; otherwise pairs are sorted by length.
        seed: seed of the order.

    Raises:
        InputError: no pairs, different numbers of sources and targets, an empty sequence, or a
            batch size below 1.
    """

    def __init__(
        self,
        encode: Callable[[int], tuple[Sequence[np.ndarray], Sequence[np.ndarray]]],
        *,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
    ):
        if batch_size < 1:
            raise InputError(
                f"batch_size must be at least 1; received {batch_size}", field="batch_size"
            )
        self.encode = encode
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0
        self._encoded: tuple[int, Sequence[np.ndarray], Sequence[np.ndarray]] | None = None
        sources, targets = self._pairs()
        if len(sources) != len(targets) or not len(sources):
            raise InputError(
                "pairs need as many sources as targets, and at least one of each; received "
                f"{len(sources)} sources and {len(targets)} targets"
            )
        if not all(map(len, sources)) or not all(map(len, targets)):
            raise InputError("every source and target needs a token; one of them is empty")
        self.examples = len(sources)

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def _pairs(self) -> tuple[Sequence[np.ndarray], Sequence[np.ndarray]]:
        if self._encoded is None or self._encoded[0] != self.epoch:
            sources, targets = self.encode(self.epoch)
            self._encoded = (self.epoch, sources, targets)
        return self._encoded[1], self._encoded[2]

    def plan(self) -> list[np.ndarray]:
        """Returns the pairs' indices, batch by batch, of the current epoch."""
        sources, targets = self._pairs()
        source_lengths = np.array([len(source) for source in sources])
        target_lengths = np.array([len(target) for target in targets])
        rng = np.random.default_rng([self.seed, self.epoch]) if self.shuffle else None
        order = rng.permutation(self.examples) if rng else np.arange(self.examples)
        return bucketed(order, source_lengths, target_lengths, size=self.batch_size, rng=rng)

    def dataset(self) -> tf.data.Dataset:
        """Returns the data set of the current epoch: one pass."""
        spec = tf.TensorSpec((None, None), tf.int32)
        dataset = tf.data.Dataset.from_generator(
            self._batches, output_signature=((spec, spec), spec)
        )
        counted = dataset.apply(tf.data.experimental.assert_cardinality(len(self)))
        return counted.prefetch(_PREFETCHED)

    def _batches(self) -> Iterator[tuple[tuple[np.ndarray, np.ndarray], np.ndarray]]:
        sources, targets = self._pairs()
        for indices in self.plan():
            source = padded([sources[i] for i in indices])
            target = padded([targets[i] for i in indices])
            yield (source, target), target


def short_enough(
    sources: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    *,
    longest: int,
    name: str = "training",
) -> np.ndarray:
    """Selects the pairs that are not too long, and logs how many are.

    Args:
        sources: int[subwords] of each source.
        targets: int[subwords] of each target.
        longest: maximum number of subwords on either side.
        name: name of the split, for messages.

    Returns:
        int64[kept], indices of the pairs.

    Raises:
        InputError: no pair is short enough.
    """
    pairs = zip(sources, targets, strict=True)
    lengths = np.array([max(len(source), len(target)) for source, target in pairs])
    kept = np.flatnonzero(lengths <= longest)
    if not len(kept):
        raise InputError(
            f"max_tokens {longest} leaves none of {len(lengths)} {name} pairs; the shortest has "
            f"{lengths.min()} subwords",
            field="max_tokens",
        )
    if len(kept) < len(lengths):
        log.warning(
            "%s: %d of %d pairs are longer than %d subwords (up to %d), and are left out",
            name,
            len(lengths) - len(kept),
            len(lengths),
            longest,
            lengths.max(),
        )
    return kept
