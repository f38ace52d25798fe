"""Pairs of sequences to batches, of which neither is padded much, in an order that a resumed run
repeats."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from rnn_cookbook.encode.batches import bucketed, padded
from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log


class PairBatches:
    """A `tf.data` pipeline for an `encoder_decoder`: ((int32[batch, time] source, int32[batch, t]
    target), int32[batch, t] target), all padded with 0.

    The pairs are shuffled; pools of 50 batches are sorted by the lengths of both sides and cut into
    batches, which are shuffled again. The order depends on `seed` and on `epoch` only, and so do
    the sequences themselves, which may be others every epoch: a run that is resumed in epoch 7 sees
    the batches that an uninterrupted run would have seen.

    Args:
        encode: epoch -> the int32[tokens] of every source and of every target, none of them empty,
            as many every epoch.
        batch_size: pairs a batch; the last one may be smaller.
        shuffle: a new order every epoch; otherwise sorted by length.
        seed: of the order.

    Raises:
        InputError: no pairs, not as many sources as targets, or an empty sequence.
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
            raise InputError(f"the batch size must be 1 or more, got {batch_size}")
        self.encode, self.batch_size, self.shuffle, self.seed = encode, batch_size, shuffle, seed
        self.epoch = 0
        self._now: tuple = (None, (), ())
        sources, targets = self._pairs()
        if len(sources) != len(targets) or not len(sources):
            raise InputError(f"{len(sources)} sources and {len(targets)} targets do not make pairs")
        if not all(map(len, sources)) or not all(map(len, targets)):
            raise InputError("a source or target has no token")
        self.examples = len(sources)

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def _pairs(self) -> tuple[Sequence[np.ndarray], Sequence[np.ndarray]]:
        if self._now[0] != self.epoch:
            self._now = (self.epoch, *self.encode(self.epoch))
        return self._now[1:]

    def plan(self) -> list[np.ndarray]:
        """The pairs' indices, batch by batch, of the current epoch."""
        sources, targets = self._pairs()
        lengths = np.array([*map(len, sources)]), np.array([*map(len, targets)])
        rng = np.random.default_rng([self.seed, self.epoch]) if self.shuffle else None
        order = rng.permutation(self.examples) if rng else np.arange(self.examples)
        return bucketed(order, *lengths, size=self.batch_size, rng=rng)

    def dataset(self) -> tf.data.Dataset:
        """One pass is one epoch."""
        spec = tf.TensorSpec((None, None), tf.int32)
        dataset = tf.data.Dataset.from_generator(
            self._batches, output_signature=((spec, spec), spec)
        )
        return dataset.apply(tf.data.experimental.assert_cardinality(len(self))).prefetch(4)

    def _batches(self):
        sources, targets = self._pairs()
        for indices in self.plan():
            source, target = (
                padded([sources[i] for i in indices]),
                padded([targets[i] for i in indices]),
            )
            yield (source, target), target


def short_enough(
    sources: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    *,
    longest: int,
    name: str = "training",
) -> np.ndarray:
    """Indices of the pairs with at most `longest` tokens on either side; the others are counted in
    the log.

    Raises:
        InputError: none is left.
    """
    lengths = np.maximum([*map(len, sources)], [*map(len, targets)])
    kept = np.flatnonzero(lengths <= longest)
    if not len(kept):
        raise InputError(
            f"none of {len(lengths)} {name} pairs has at most --max-tokens {longest} subwords; the shortest has {lengths.min()}"
        )
    if len(kept) < len(lengths):
        log.warning(
            "%d of %d %s pairs are longer than --max-tokens %d subwords, up to %d, and are left out",
            len(lengths) - len(kept),
            len(lengths),
            name,
            longest,
            lengths.max(),
        )
    return kept
