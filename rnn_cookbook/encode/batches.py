"""Sequences of different length to batches: bucketed by length, right-padded, in an order that a
resumed run repeats."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from rnn_cookbook.errors import InputError

PADDING_TARGET = -1  # where the targets go step by step: 0 is a class
POOL = 50  # batches that are drawn at random and sorted by length together


def bucketed(
    order: np.ndarray,
    *lengths: np.ndarray,
    size: int,
    pool: int = POOL,
    rng: np.random.Generator | None = None,
) -> list[np.ndarray]:
    """Batches of examples of about the same length: `order` is cut into pools, each is sorted and
    cut into batches, and those are shuffled.

    Args:
        order: int[...], indices of the examples.
        lengths: of all the examples; the first decides, the next among equals.
        size: examples a batch.
        pool: batches a pool.
        rng: of the order of the batches; without it all the examples are one pool, from the
            shortest to the longest.
    """
    step = size * pool if rng else max(len(order), 1)
    batches = []
    for start in range(0, len(order), step):
        part = order[start : start + step]
        part = part[np.lexsort([each[part] for each in lengths[::-1]])]  # the last key counts first
        batches += [part[i : i + size] for i in range(0, len(part), size)]
    return [batches[i] for i in rng.permutation(len(batches))] if rng else batches


def together(lengths: Sequence[int], *, most: int, cells: int) -> list[list[int]]:
    """Which sequences to work on at a time: those of about the same length, few of them where they
    are long; none of the empty ones.

    Args:
        lengths: of the sequences.
        most: sequences at a time.
        cells: of a batch, padding included; a sequence that is longer comes alone.
    """
    batches: list[list[int]] = []
    for i in sorted((i for i, length in enumerate(lengths) if length), key=lambda i: lengths[i]):
        if not batches or len(batches[-1]) == most or (len(batches[-1]) + 1) * lengths[i] > cells:
            batches.append([])
        batches[-1].append(i)
    return batches


class Batches:
    """A `tf.data` pipeline over sequences of word numbers, or of several things that go step by
    step together.

    Batches hold sequences of about the same length, so that little time goes into padding: the
    examples are shuffled, pools of
    50 batches are sorted by length and cut into batches, and the batches are shuffled again. The
    order depends on `seed` and on `epoch` only: a run that is resumed in epoch 7 sees the batches
    that an uninterrupted run would have seen.

    Args:
        sequences: one int32[tokens] an example, none of them empty; or a dictionary of such lists,
            int32[tokens, ...], whose names are those of the model's inputs.
        targets: one value an example, or a list of one int32[tokens] an example, which is padded
            with -1; without them batches hold the sequences alone.
        batch_size: examples a batch; the last one may be smaller.
        shuffle: a new order every epoch; otherwise sorted by length, for evaluation (`in_order`
            undoes it).
        seed: of the order.
        pad_to: pad every batch to this length instead of its longest sequence's.
        multiple_of: pad to a multiple of this length (the segment length of the model), where
            `pad_to` does not say how far.
        extras, rounds: the last `extras` sequences take turns: an epoch has one of `rounds` equal
            parts of them, beside all the others.
    """

    def __init__(
        self,
        sequences: Sequence[np.ndarray] | dict[str, Sequence[np.ndarray]],
        targets: np.ndarray | Sequence[np.ndarray] | None = None,
        *,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        pad_to: int | None = None,
        multiple_of: int = 1,
        extras: int = 0,
        rounds: int = 1,
    ):
        inputs = sequences if isinstance(sequences, dict) else {"": sequences}
        # A list of numbers is one target an example, too.
        stepwise = (
            isinstance(targets, (list, tuple)) and len(targets) > 0 and np.ndim(targets[0]) > 0
        )
        lengths = {
            name: np.array([len(sequence) for sequence in part], np.int64)
            for name, part in inputs.items()
        }
        self.lengths = next(iter(lengths.values()), np.zeros(0, np.int64))
        if not len(self.lengths) or not self.lengths.all():
            raise InputError("batches need sequences, and each of them one token or more")
        if stepwise:
            lengths["the targets"] = np.array([len(target) for target in targets], np.int64)
        for name, others in lengths.items():
            self._check_steps(name, others)
        if targets is not None and len(targets) != len(self.lengths):
            raise InputError(
                f"{len(self.lengths)} sequences and {len(targets)} targets do not go together"
            )
        if batch_size < 1:
            raise InputError(f"the batch size must be 1 or more, got {batch_size}")
        if min(multiple_of, rounds) < 1:
            raise InputError(
                f"multiple_of and rounds must be 1 or more, got {multiple_of} and {rounds}"
            )
        if extras and not shuffle:
            raise InputError(
                f"extras take turns in shuffled batches only, got extras={extras} without shuffle"
            )
        if pad_to is not None and self.lengths.max() > pad_to:
            raise InputError(
                f"a sequence of {self.lengths.max()} tokens does not fit batches padded to {pad_to}"
            )
        self._inputs = {name: self._ragged(part) for name, part in inputs.items()}
        self._targets = (
            self._ragged(targets) if stepwise else None if targets is None else tf.constant(targets)
        )
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.pad_to, self.multiple_of = pad_to, multiple_of
        self.extras, self.rounds = extras, rounds
        # `training.fit` counts it up; the next pass over the data set takes its order from it
        self.epoch = 0

    def _check_steps(self, name: str, lengths: np.ndarray) -> None:
        if len(lengths) != len(self.lengths):
            raise InputError(
                f"{len(self.lengths)} sequences and {len(lengths)} of {name} do not go together"
            )
        if len(wrong := np.flatnonzero(lengths != self.lengths)):
            i = wrong[0]
            raise InputError(
                f"sequence {i} has {self.lengths[i]} steps, but {lengths[i]} of {name}"
            )

    def _ragged(self, sequences: Sequence[np.ndarray]) -> tf.RaggedTensor:
        return tf.RaggedTensor.from_row_lengths(
            np.concatenate(sequences).astype(np.int32), self.lengths
        )

    @property
    def examples(self) -> int:
        """Examples an epoch."""
        return len(self.lengths) - self.extras + self.extras // self.rounds

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def plan(self) -> list[np.ndarray]:
        """The examples' indices, batch by batch, of the current epoch."""
        if not self.shuffle:
            return bucketed(np.arange(self.examples), self.lengths, size=self.batch_size)
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(
            np.concatenate([np.arange(len(self.lengths) - self.extras), self._turn()])
        )
        return bucketed(order, self.lengths, size=self.batch_size, rng=rng)

    def _turn(self) -> np.ndarray:
        """Which of the extras have their turn in the current epoch; a round of epochs shows nearly
        all of them once."""
        first, size = len(self.lengths) - self.extras, self.extras // self.rounds
        order = np.random.default_rng([self.seed, self.epoch // self.rounds, 1]).permutation(
            self.extras
        )
        return first + order[(self.epoch % self.rounds) * size :][:size]

    def dataset(self) -> tf.data.Dataset:
        """Pairs of int32[batch, time] and targets[batch], or the former alone; one pass is one
        epoch.

        Dictionaries of int32[batch, time, ...] where there are several, and targets int32[batch,
        time] where they go step by step.
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
        return inputs, self._pad(targets, value=PADDING_TARGET) if isinstance(
            targets, tf.RaggedTensor
        ) else targets

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
        """Outputs of one unshuffled pass, put back into the order of the sequences."""
        if self.shuffle:
            raise ValueError("only an unshuffled pass can be put back in order")
        restored = np.empty_like(outputs)
        restored[np.concatenate(self.plan())] = outputs
        return restored


def padded(sequences: Sequence[np.ndarray], dtype=np.int32) -> np.ndarray:
    """[batch, time] of the longest, 0 after the others."""
    whole = np.zeros((len(sequences), max(map(len, sequences))), dtype)
    for row, sequence in zip(whole, sequences, strict=True):
        row[: len(sequence)] = sequence
    return whole
