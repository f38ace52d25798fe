"""Windows of scaled series, in an order that a resumed run repeats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from rnn_cookbook.errors import InputError, listing

__all__ = ["Windows"]


class Windows:
    """A `tf.data` pipeline that cuts series into windows and what follows each of them.

    Batches are (float32[batch, lookback, channels] window, float32[batch, horizon, channels]
    target). With covariates or a teacher the input is a dictionary: "window", "covariates"
    float32[batch, lookback + horizon, covariates], those of the window and of the steps to
    forecast, and "target", the same as the target. No window is left out, the last ones of a split
    neither.

    Args:
        series: float32[steps, channels] each, scaled.
        spans: for each series the steps [first, end) that targets are taken from; windows reach
            back before them.
        lookback: steps of a window.
        horizon: steps of a target.
        batch_size: windows per batch; the last batch may be smaller.
        known: float32[steps or more, covariates] for each series, if there are covariates.
        teacher: whether the target is an input, too, for `models.recursive_forecaster` in training.
        stride: steps from one window to the next.
        shuffle: whether every epoch has a new order, which depends on `seed` and `epoch` only.
        seed: seed of the order.

    Attributes:
        epoch: epoch that the next pass takes its order from; `run.fit.fit` sets it.
        series: int64[windows], number of the series of each window.
        starts: int64[windows], first step of each target within its series.
        covariates: number of covariates of a step.

    Raises:
        InputError: settings below 1; spans or covariates that do not fit their series; no window.
    """

    def __init__(
        self,
        series: Sequence[np.ndarray],
        spans: Sequence[tuple[int, int]],
        *,
        lookback: int,
        horizon: int,
        batch_size: int,
        known: Sequence[np.ndarray] | None = None,
        teacher: bool = False,
        stride: int = 1,
        shuffle: bool = False,
        seed: int = 0,
    ):
        for name, number in (
            ("lookback", lookback),
            ("horizon", horizon),
            ("batch_size", batch_size),
            ("stride", stride),
        ):
            if number < 1:
                raise InputError(f"{name} must be at least 1; received {number}", field=name)
        _check_spans(series, spans, known)
        starts = [
            np.arange(max(first, lookback), end - horizon + 1, stride) for first, end in spans
        ]
        self.series = np.repeat(np.arange(len(series)), [len(part) for part in starts])
        self.starts = np.concatenate(starts)
        if not len(self.starts):
            longest = max(end - first for first, end in spans)
            raise InputError(
                f"no window of {lookback} + {horizon} steps fits: of the series, "
                f"{listing(map(len, series))} steps long, at most {longest} are to be forecast here"
            )
        offsets = np.cumsum([0, *(len(values) for values in series)])
        self._rows = offsets[self.series] + self.starts
        self._values = tf.constant(np.concatenate(series).astype(np.float32))
        self._known = None
        self.covariates = 0
        if known is not None:
            self.covariates = known[0].shape[1]
            parts = [part[: len(values)] for part, values in zip(known, series, strict=True)]
            self._known = tf.constant(np.concatenate(parts).astype(np.float32))
        self.lookback = lookback
        self.horizon = horizon
        self.batch_size = batch_size
        self.teacher = teacher
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0

    @property
    def examples(self) -> int:
        """Number of windows of an epoch."""
        return len(self._rows)

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def dataset(self) -> tf.data.Dataset:
        """Returns the batches; one pass is one epoch."""
        rows = tf.data.Dataset.from_generator(
            self._plan, output_signature=tf.TensorSpec([None], tf.int64)
        )
        rows = rows.apply(tf.data.experimental.assert_cardinality(len(self)))
        return rows.map(self._gather, num_parallel_calls=2, deterministic=True).prefetch(4)

    def in_order(self, outputs: np.ndarray) -> np.ndarray:
        """Puts outputs of the batches, [windows, ...], into the order of the windows."""
        return outputs[np.argsort(self._order(), kind="stable")] if self.shuffle else outputs

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns copies of all windows and targets in their order, float32[windows, lookback,
        channels] and float32[windows, horizon, channels]."""
        values = np.lib.stride_tricks.sliding_window_view(
            self._values.numpy(), self.lookback + self.horizon, axis=0
        )
        steps = values[self._rows - self.lookback].transpose(0, 2, 1)
        return steps[:, : self.lookback], steps[:, self.lookback :]

    def _order(self) -> np.ndarray:
        order = np.arange(self.examples)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
        return order

    def _plan(self) -> Iterator[np.ndarray]:
        order = self._rows[self._order()]
        for start in range(0, len(order), self.batch_size):
            yield order[start : start + self.batch_size]

    def _gather(self, rows: tf.Tensor):
        places = rows[:, None] + tf.range(-self.lookback, self.horizon, dtype=tf.int64)
        steps = tf.gather(self._values, places)
        channels = self._values.shape[1]
        window = tf.ensure_shape(steps[:, : self.lookback], [None, self.lookback, channels])
        target = tf.ensure_shape(steps[:, self.lookback :], [None, self.horizon, channels])
        inputs = {"window": window}
        if self.teacher:
            inputs["target"] = target
        if self._known is not None:
            known = tf.gather(self._known, places)
            shape = [None, self.lookback + self.horizon, self.covariates]
            inputs["covariates"] = tf.ensure_shape(known, shape)
        return (inputs if len(inputs) > 1 else window), target


def _check_spans(
    series: Sequence[np.ndarray],
    spans: Sequence[tuple[int, int]],
    known: Sequence[np.ndarray] | None,
) -> None:
    if not len(series) or len(series) != len(spans):
        raise InputError(
            f"windows need series, and a span of each of them; received {len(series)} series and "
            f"{len(spans)} spans"
        )
    for values, (first, end) in zip(series, spans, strict=True):
        if not 0 <= first <= end <= len(values):
            raise InputError(
                f"a span must lie within its series of {len(values)} steps; received {first} to "
                f"{end}"
            )
    if known is None:
        return
    for i, (values, covariates) in enumerate(zip(series, known, strict=True)):
        if len(covariates) < len(values):
            raise InputError(
                f"the covariates of series {i} end after {len(covariates)} steps, its values after "
                f"{len(values)}"
            )
