"""Long sequences in windows, for truncated backpropagation through time with a state that is
carried from batch to batch; and in overlapping windows, for any network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from rnn_cookbook.errors import InputError

__all__ = ["Chunks", "Streams"]


class Streams:
    """A `tf.data` pipeline that reads long sequences window by window: row i of a batch continues
    where row i of the batch before ended.

    Batches are ((inputs[rows, window, ...], bool[rows] starts), targets[rows, window, ...],
    float32[rows, window] weights). `starts` is True where a row begins a new sequence, so that
    `recurrent_layers.CarriedState` begins with zeros there; weights are 0 at padding, which follows
    the end of a sequence up to the end of its window, and in rows that have nothing left to read.

    Sequences stay whole, one after the other in the same row, distributed over the rows by their
    length. Fewer sequences than rows are cut into pieces of an equal part of all steps, and what is
    left over, so that all rows have work: the text of a language model becomes a piece per row.

    Args:
        sequences: int32[steps] or float32[steps, features] each, of one step or more if there are
            `targets`.
        targets: what to predict at every step, as long as the sequences. None predicts the next
            step, and takes sequences of two steps or more.
        rows: rows of a batch.
        window: steps of a batch, which gradients travel back.
        shuffle: whether the sequences of each row have a new order every epoch, which depends on
            `seed` and `epoch` only.
        seed: seed of the order.

    Attributes:
        epoch: epoch that the next pass takes its order from; `run.fit.fit` sets it.
        examples: number of steps of an epoch.

    Raises:
        InputError: no sequences, empty ones, or targets of another length; rows or window below 1.
    """

    def __init__(
        self,
        sequences: Sequence[np.ndarray],
        targets: Sequence[np.ndarray] | None = None,
        *,
        rows: int,
        window: int,
        shuffle: bool = False,
        seed: int = 0,
    ):
        for name, number in (("rows", rows), ("window", window)):
            if number < 1:
                raise InputError(f"{name} must be at least 1; received {number}", field=name)
        sources = [np.asarray(sequence) for sequence in sequences]
        if targets is None:
            goals = [source[1:] for source in sources]
            sources = [source[:-1] for source in sources]
        else:
            goals = [np.asarray(target) for target in targets]
        if not len(sources) or not all(len(source) for source in sources):
            raise InputError(
                "streams need sequences, and each of them one step or more, two where the next "
                "step is the target"
            )
        if [len(source) for source in sources] != [len(goal) for goal in goals]:
            raise InputError("every sequence needs a target for each of its steps")
        self.rows = rows
        self.window = window
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0
        self.examples = sum(len(source) for source in sources)
        pairs = list(zip(sources, goals, strict=True))
        if len(pairs) < rows:
            size = -(-self.examples // rows)
            pairs = [
                (source[start : start + size], goal[start : start + size])
                for source, goal in pairs
                for start in range(0, len(source), size)
            ]
        self._pairs = pairs
        self._lanes: list[list[int]] = [[] for _ in range(rows)]
        self._windows = np.zeros(rows, int)
        # The longest first, to the emptiest row.
        for index in sorted(range(len(pairs)), key=lambda i: -len(pairs[i][0])):
            lane = int(np.argmin(self._windows))
            self._lanes[lane].append(index)
            self._windows[lane] += -(-len(pairs[index][0]) // window)

    def __len__(self) -> int:
        return int(self._windows.max())

    def plan(self) -> list[list[tuple[int, int] | None]]:
        """Returns for every batch and row of the current epoch the sequence and its first step,
        None where a row has nothing left."""
        rng = np.random.default_rng([self.seed, self.epoch])
        plan: list[list[tuple[int, int] | None]] = [[None] * self.rows for _ in range(len(self))]
        for row, lane in enumerate(self._lanes):
            order = rng.permutation(lane) if self.shuffle else lane
            windows = [
                (int(i), start)
                for i in order
                for start in range(0, len(self._pairs[i][0]), self.window)
            ]
            for batch, place in enumerate(windows):
                plan[batch][row] = place
        return plan

    def dataset(self) -> tf.data.Dataset:
        """Returns the batches; one pass is one epoch."""
        source, target = self._pairs[0]
        signature = (
            (self._spec(source), tf.TensorSpec((self.rows,), tf.bool)),
            self._spec(target),
            tf.TensorSpec((self.rows, self.window), tf.float32),
        )
        dataset = tf.data.Dataset.from_generator(self._batches, output_signature=signature)
        return dataset.apply(tf.data.experimental.assert_cardinality(len(self))).prefetch(4)

    def _spec(self, array: np.ndarray) -> tf.TensorSpec:
        return tf.TensorSpec((self.rows, self.window, *array.shape[1:]), tf.as_dtype(array.dtype))

    def _zeros(self, array: np.ndarray) -> np.ndarray:
        return np.zeros((self.rows, self.window, *array.shape[1:]), array.dtype)

    def _batches(self) -> Iterator[tuple]:
        for places in self.plan():
            inputs = self._zeros(self._pairs[0][0])
            targets = self._zeros(self._pairs[0][1])
            starts = np.ones(self.rows, bool)
            weights = np.zeros((self.rows, self.window), np.float32)
            for row, place in enumerate(places):
                if place is None:
                    continue
                index, start = place
                source, target = self._pairs[index]
                steps = min(self.window, len(source) - start)
                inputs[row, :steps] = source[start : start + steps]
                targets[row, :steps] = target[start : start + steps]
                starts[row] = start == 0
                weights[row, :steps] = 1
            yield (inputs, starts), targets, weights


class Chunks:
    """A `tf.data` pipeline that cuts sequences and their targets into overlapping windows, in an
    order that a resumed run repeats.

    Batches are (inputs[batch, length, ...], targets[batch, length, ...]). The end of a sequence
    that does not make a whole stride is read by one more window, which overlaps more; a sequence
    shorter than `length` is left out.

    Args:
        pairs: (inputs[steps, ...], targets[steps, ...]) of each sequence.
        length: steps of a window.
        stride: steps from one window to the next.
        batch_size: windows per batch; the last batch may be smaller.
        shuffle: whether every epoch has a new order, which depends on `seed` and `epoch` only.
        seed: seed of the order.

    Attributes:
        epoch: epoch that the next pass takes its order from; `run.fit.fit` sets it.

    Raises:
        InputError: every sequence is shorter than a window; length, stride or batch_size below 1.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[np.ndarray, np.ndarray]],
        *,
        length: int,
        stride: int,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
    ):
        for name, number in (("length", length), ("stride", stride), ("batch_size", batch_size)):
            if number < 1:
                raise InputError(f"{name} must be at least 1; received {number}", field=name)
        inputs: list[np.ndarray] = []
        targets: list[np.ndarray] = []
        for source, target in pairs:
            last = len(source) - length
            if last < 0:
                continue
            for start in sorted({*range(0, last + 1, stride), last}):
                inputs.append(source[start : start + length])
                targets.append(target[start : start + length])
        if not inputs:
            longest = max((len(source) for source, _ in pairs), default=0)
            raise InputError(
                f"no window of {length} steps fits: the longest of {len(pairs)} sequences has "
                f"{longest}"
            )
        self._inputs = np.stack(inputs)
        self._targets = np.stack(targets)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0

    @property
    def examples(self) -> int:
        """Number of windows of an epoch."""
        return len(self._inputs)

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def dataset(self) -> tf.data.Dataset:
        """Returns the batches; one pass is one epoch."""
        signature = tuple(
            tf.TensorSpec((None, *part.shape[1:]), tf.as_dtype(part.dtype))
            for part in (self._inputs, self._targets)
        )
        dataset = tf.data.Dataset.from_generator(self._batches, output_signature=signature)
        return dataset.apply(tf.data.experimental.assert_cardinality(len(self))).prefetch(4)

    def _batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order = np.arange(self.examples)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            yield self._inputs[rows], self._targets[rows]
