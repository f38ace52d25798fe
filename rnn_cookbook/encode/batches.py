"""Sequences of different length to batches: bucketed by length, right-padded, in an order that a
resumed run repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import DTypeLike

from rnn_cookbook.errors import InputError

__all__ = ["PADDING_TARGET", "POOL", "Batches", "bucketed", "padded", "together"]

PADDING_TARGET = -1  # of targets at every step: 0 is a class
POOL = 50  # batches that are drawn at random and sorted by length together


def bucketed(
    order: np.ndarray,
    *lengths: np.ndarray,
    size: int,
    pool: int = POOL,
    rng: np.random.Generator | None = None,
) -> list[np.ndarray]:
    """Makes batches of examples of about the same length: `order` is cut into pools, each pool is
    sorted and cut into batches, and the batches are shuffled.

    Args:
        order: int[...], indices of the examples.
        lengths: int[examples], lengths of all the examples; the first decides, the next among
            equals.
        size: examples per batch.
        pool: batches per pool.
        rng: generator of the order of the batches; without it all the examples are one pool, from
            the shortest to the longest.

    Returns:
        Indices of the examples of each batch.
    """
    step = size * pool if rng else max(len(order), 1)
    batches: list[np.ndarray] = []
    for start in range(0, len(order), step):
        part = order[start : start + step]
        part = part[np.lexsort([each[part] for each in lengths[::-1]])]  # the last key counts first
        batches += [part[i : i + size] for i in range(0, len(part), size)]
    return [batches[i] for i in rng.permutation(len(batches))] if rng else batches


def together(lengths: Sequence[int], *, batch_size: int, cells: int) -> list[list[int]]:
    """Groups sequences to work on at a time: sequences of about the same length, few of them where
    they are long. Empty sequences are in no group.

    Args:
        lengths: lengths of the sequences.
        batch_size: max sequences per group.
        cells: max steps of a group, padding included; a longer sequence is a group alone.

    Returns:
        Indices of the sequences of each group.
    """
    groups: list[list[int]] = []
    filled = [i for i, length in enumerate(lengths) if length]
    for i in sorted(filled, key=lambda i: lengths[i]):
        group = groups[-1] if groups else []
        if not group or len(group) == batch_size or (len(group) + 1) * lengths[i] > cells:
            group = []
            groups.append(group)
        group.append(i)
    return groups


def padded(sequences: Sequence[np.ndarray], dtype: DTypeLike = np.int32) -> np.ndarray:
    """Returns the sequences as [batch, time], as long as the longest, with 0 after the others."""
    whole = np.zeros((len(sequences), max(map(len, sequences))), dtype)
    for row, sequence in zip(whole, sequences, strict=True):
        row[: len(sequence)] = sequence
    return whole


class Batches:
    """A `tf.data` pipeline that batches sequences of word numbers, or of several things that go
    step by step together.

    Batches hold sequences of about the same length, so that little time goes into padding: the
    examples are shuffled, pools of 50 batches are sorted by length and cut into batches, and the
    batches are shuffled again. The order depends on `seed` and on `epoch` only: a run that is
    resumed in epoch 7 sees the batches that an uninterrupted run would have seen.

    Args:
        sequences: int32[tokens] for each example, none of them empty; or a dictionary of such
            lists, int32[tokens, ...], whose names are those of the model's inputs.
        targets: a value for each example, or int32[tokens] for each example, which is padded with
            -1; without targets batches hold the sequences alone.
        batch_size: examples per batch; the last batch may be smaller.
        shuffle: whether every epoch has a new order; otherwise the examples are sorted by length,
            for evaluation (`in_order` undoes it).
        seed: seed of the order.
        pad_to: length to pad every batch to, instead of the length of its longest sequence.
        multiple_of: number that padded lengths are a multiple of (the segment length of the model),
            where `pad_to` does not say how far.
        extras: number of sequences at the end that take turns: an epoch has one of `rounds` equal
            parts of them, beside all the others.
        rounds: number of parts of the extras.

    Attributes:
        epoch: epoch that the next pass over the data set takes its order from; `run.fit.fit` sets
            it.
        lengths: int64[examples], lengths of the sequences.

    Raises:
        InputError: sequences that are empty or do not go together, or settings out of their range.
    """

    def __init__(
        self,
        sequences: Sequence[np.ndarray] | Mapping[str, Sequence[np.ndarray]],
        targets: np.ndarray | Sequence | None = None,
        *,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        pad_to: int | None = None,
        multiple_of: int = 1,
        extras: int = 0,
        rounds: int = 1,
    ):
        inputs = sequences if isinstance(sequences, Mapping) else {"": sequences}
        steps: Sequence[np.ndarray] | None = None
        # A list of numbers is a target for each example, too.
        if isinstance(targets, list | tuple) and len(targets) and np.ndim(targets[0]) > 0:
            steps = targets
        lengths = {name: _lengths(part) for name, part in inputs.items()}
        self.lengths = next(iter(lengths.values()), np.zeros(0, np.int64))
        if not len(self.lengths) or not self.lengths.all():
            raise InputError("batches need sequences, and each of them one token or more")
        if steps is not None:
            lengths["the targets"] = _lengths(steps)
        for name, others in lengths.items():
            _check_steps(name, others, self.lengths)
        if targets is not None and len(targets) != len(self.lengths):
            raise InputError(
                f"{len(self.lengths)} sequences and {len(targets)} targets do not go together"
            )
        for name, number in (
            ("batch_size", batch_size),
            ("multiple_of", multiple_of),
            ("rounds", rounds),
        ):
            if number < 1:
                raise InputError(f"{name} must be at least 1; received {number}", field=name)
        if extras and not shuffle:
            raise InputError(
                f"extras take turns in shuffled batches only; received extras={extras} without "
                "shuffle"
            )
        if pad_to is not None and self.lengths.max() > pad_to:
            raise InputError(
                f"a sequence of {self.lengths.max()} tokens does not fit batches padded to {pad_to}"
            )
        self._inputs = {name: self._ragged(part) for name, part in inputs.items()}
        self._targets = None
        if steps is not None:
            self._targets = self._ragged(steps)
        elif targets is not None:
            self._targets = tf.constant(targets)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.pad_to = pad_to
        self.multiple_of = multiple_of
        self.extras = extras
        self.rounds = rounds
        self.epoch = 0

    def _ragged(self, sequences: Sequence[np.ndarray]) -> tf.RaggedTensor:
        values = np.concatenate(sequences).astype(np.int32)
        # TensorFlow's stubs lack the method.
        return tf.RaggedTensor.from_row_lengths(  # pyright: ignore[reportAttributeAccessIssue]
            values, self.lengths
        )

    @property
    def examples(self) -> int:
        """Number of examples of an epoch."""
        return len(self.lengths) - self.extras + self.extras // self.rounds

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def plan(self) -> list[np.ndarray]:
        """Returns the examples' indices, batch by batch, of the current epoch."""
        if not self.shuffle:
            return bucketed(np.arange(self.examples), self.lengths, size=self.batch_size)
        rng = np.random.default_rng([self.seed, self.epoch])
        always = np.arange(len(self.lengths) - self.extras)
        order = rng.permutation(np.concatenate([always, self._turn()]))
        return bucketed(order, self.lengths, size=self.batch_size, rng=rng)

    def _turn(self) -> np.ndarray:
        """Which of the extras have their turn in the current epoch; a round of epochs shows nearly
        all of them once."""
        first = len(self.lengths) - self.extras
        size = self.extras // self.rounds
        rng = np.random.default_rng([self.seed, self.epoch // self.rounds, 1])
        order = rng.permutation(self.extras)
        return first + order[(self.epoch % self.rounds) * size :][:size]

    def dataset(self) -> tf.data.Dataset:
        """Returns pairs of int32[batch, time] and targets[batch], or the former alone; one pass is
        one epoch.

        The inputs are a dictionary of int32[batch, time, ...] where there are several, the targets
        int32[batch, time] where they go step by step.
        """
        indices = tf.data.Dataset.from_generator(
            self.plan, output_signature=tf.TensorSpec([None], tf.int64)
        )
        indices = indices.apply(tf.data.experimental.assert_cardinality(len(self)))
        return indices.map(self._gather, num_parallel_calls=2, deterministic=True).prefetch(4)

    def _gather(self, indices: tf.Tensor):
        inputs = {
            name: self._pad(tf.gather(ragged, indices), value=0)
            for name, ragged in self._inputs.items()
        }
        inputs = inputs.get("", inputs)
        if self._targets is None:
            return inputs
        targets = tf.gather(self._targets, indices)
        if isinstance(targets, tf.RaggedTensor):
            targets = self._pad(targets, value=PADDING_TARGET)
        return inputs, targets

    def _pad(self, rows: tf.RaggedTensor, *, value: int) -> tf.Tensor:
        if self.pad_to is not None:
            length = tf.constant(self.pad_to, tf.int64)
        else:
            longest = tf.reduce_max(rows.row_lengths())
            length = -(-longest // self.multiple_of) * self.multiple_of
        inner = rows.shape[2:]
        padded = rows.to_tensor(value, shape=tf.stack([tf.constant(-1, tf.int64), length, *inner]))
        return tf.ensure_shape(padded, [None, self.pad_to, *inner])

    def in_order(self, outputs: np.ndarray) -> np.ndarray:
        """Puts outputs of one unshuffled pass back into the order of the sequences.

        Raises:
            ValueError: the pass was shuffled.
        """
        if self.shuffle:
            raise ValueError("only an unshuffled pass can be put back in order")
        restored = np.empty_like(outputs)
        restored[np.concatenate(self.plan())] = outputs
        return restored


def _lengths(sequences: Sequence) -> np.ndarray:
    return np.array([len(sequence) for sequence in sequences], np.int64)


def _check_steps(name: str, lengths: np.ndarray, expected: np.ndarray) -> None:
    if len(lengths) != len(expected):
        raise InputError(
            f"{len(expected)} sequences and {len(lengths)} of {name} do not go together"
        )
    wrong = np.flatnonzero(lengths != expected)
    if len(wrong):
        i = wrong[0]
        raise InputError(f"sequence {i} has {expected[i]} steps, but {lengths[i]} of {name}")
