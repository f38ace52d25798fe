"""Long sequences in windows, for truncated backpropagation through time with a state that is
carried from batch to batch."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from rnn_cookbook.errors import InputError


class Streams:
    """A `tf.data` pipeline of windows: row i of a batch goes on where row i of the batch before
    ended.

    Batches are ((inputs[rows, window, ...], bool[rows] starts), targets[rows, window, ...],
    float32[rows, window] weights). `starts` is True where a row begins a new sequence, so that
    `recurrent.CarriedState` begins with zeros there; weights are 0 at padding, which follows the
    end of a sequence up to the end of its window, and in rows that have nothing left to read.

    Sequences stay whole, one after the other in the same row, spread over the rows by their length.
    Fewer sequences than rows are cut into pieces of an equal share of all steps, and what is left
    over, so that all rows have work: the text of a language model becomes one piece a row.

    Args:
        sequences: one int32[steps] or float32[steps, features] each, of one step or more; with
            targets of their own, one is enough.
        targets: what to predict at every step, as long as the sequences. None predicts the next
            step, and takes sequences of two steps or more.
        rows: of a batch.
        window: steps of a batch: as far as gradients travel back.
        shuffle: a new order of the sequences in each row every epoch; it depends on `seed` and
            `epoch` only.
        seed: of the order.
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
        if rows < 1 or window < 1:
            raise InputError(
                f"streams need 1 or more rows and steps a window, got rows={rows}, window={window}"
            )
        sequences = [np.asarray(sequence) for sequence in sequences]
        targets = None if targets is None else [np.asarray(target) for target in targets]
        if targets is None:
            sequences, targets = (
                [sequence[:-1] for sequence in sequences],
                [sequence[1:] for sequence in sequences],
            )
        if not len(sequences) or not all(len(sequence) for sequence in sequences):
            raise InputError(
                "streams need sequences, and each of them one step or more, two where the next step is the target"
            )
        if [len(sequence) for sequence in sequences] != [len(target) for target in targets]:
            raise InputError("every sequence needs a target for each of its steps")
        self.rows, self.window, self.shuffle, self.seed = rows, window, shuffle, seed
        self.epoch = 0
        pairs = list(zip(sequences, targets, strict=True))
        self.examples = sum(len(sequence) for sequence in sequences)  # steps an epoch
        if len(pairs) < rows:
            size = -(-self.examples // rows)
            pairs = [
                (s[i : i + size], t[i : i + size]) for s, t in pairs for i in range(0, len(s), size)
            ]
        self._pairs = pairs
        self._lanes: list[list[int]] = [[] for _ in range(rows)]
        self._windows = np.zeros(rows, int)
        for index in sorted(
            range(len(pairs)), key=lambda i: -len(pairs[i][0])
        ):  # the longest first, to the emptiest row
            lane = int(np.argmin(self._windows))
            self._lanes[lane].append(index)
            self._windows[lane] += -(-len(pairs[index][0]) // window)

    def __len__(self) -> int:
        return int(self._windows.max())

    def plan(self) -> list[list[tuple[int, int] | None]]:
        """For every batch and row of the current epoch the sequence and its first step, None where
        a row has nothing left."""
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
        """One pass is one epoch."""
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

    def _batches(self):
        for places in self.plan():
            inputs, targets = (
                np.zeros((self.rows, self.window, *array.shape[1:]), array.dtype)
                for array in self._pairs[0]
            )
            starts, weights = (
                np.ones(self.rows, bool),
                np.zeros((self.rows, self.window), np.float32),
            )
            for row, place in enumerate(places):
                if place is None:
                    continue
                (source, target), start = self._pairs[place[0]], place[1]
                steps = min(self.window, len(source) - start)
                inputs[row, :steps], targets[row, :steps] = (
                    source[start : start + steps],
                    target[start : start + steps],
                )
                starts[row], weights[row, :steps] = start == 0, 1
            yield (inputs, starts), targets, weights


class Chunks:
    """A `tf.data` pipeline of overlapping stretches of sequences and their targets, in an order
    that a resumed run repeats.

    Batches are (inputs[batch, length, ...], targets[batch, length, ...]). The end of a sequence
    that does not make a whole step is read by one more stretch, which overlaps more; a sequence
    shorter than `length` is left out.

    Args:
        pairs: (inputs[steps, ...], targets[steps, ...]) of each sequence.
        length: steps of a stretch.
        stride: steps from one to the next.
        batch_size: stretches a batch; the last one may be smaller.
        shuffle: a new order every epoch, which depends on `seed` and `epoch` only.
        seed: of the order.
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
        if min(length, stride, batch_size) < 1:
            raise InputError(
                f"chunks need a length, stride and batch_size of 1 or more, got {length}, {stride} and {batch_size}"
            )
        starts = [
            sorted({*range(0, len(x) - length + 1, stride), len(x) - length})
            if len(x) >= length
            else []
            for x, _ in pairs
        ]
        if not any(starts):
            longest = max((len(x) for x, _ in pairs), default=0)
            raise InputError(
                f"no stretch of {length} steps fits: the longest of {len(pairs)} sequences has {longest}"
            )
        cut = [
            (x[at : at + length], y[at : at + length])
            for (x, y), places in zip(pairs, starts, strict=True)
            for at in places
        ]
        self._inputs, self._targets = (np.stack(part) for part in zip(*cut, strict=True))
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.epoch = 0

    @property
    def examples(self) -> int:
        """Stretches an epoch."""
        return len(self._inputs)

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def dataset(self) -> tf.data.Dataset:
        """One pass is one epoch."""
        signature = tuple(
            tf.TensorSpec((None, *part.shape[1:]), tf.as_dtype(part.dtype))
            for part in (self._inputs, self._targets)
        )
        dataset = tf.data.Dataset.from_generator(self._batches, output_signature=signature)
        return dataset.apply(tf.data.experimental.assert_cardinality(len(self))).prefetch(4)

    def _batches(self):
        order = np.arange(self.examples)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            yield self._inputs[rows], self._targets[rows]
