"""Series to windows: scaled by what training saw, in an order that a resumed run repeats; the calendar as numbers."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf

from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.runs import write_json


class SeriesScaler:
    """Each channel of each series to mean 0 and standard deviation 1 of its training steps. Constant channels are shifted only.

    Args:
        facts: for each name of a series (means, standard deviations), float64[channels] each.
    """

    def __init__(self, facts: dict[str, tuple[np.ndarray, np.ndarray]]):
        self.facts = {name: (np.asarray(mean, float), np.asarray(scale, float)) for name, (mean, scale) in facts.items()}

    @classmethod
    def fit(cls, series: dict[str, np.ndarray]) -> "SeriesScaler":
        """From the training steps of each series, float64[steps, channels]."""
        facts = {}
        for name, values in series.items():
            mean, scale = values.mean(axis=0), values.std(axis=0)
            # The standard deviation of equal numbers is not always 0, for rounding.
            facts[name] = (mean, np.where(np.ptp(values, axis=0) > 0, scale, 1.0))
        return cls(facts)

    def transform(self, name: str, values: np.ndarray) -> np.ndarray:
        """float64[steps, channels] -> float32[steps, channels]."""
        mean, scale = self.facts[name]
        return ((values - mean) / scale).astype(np.float32)

    def inverse(self, name: str, values: np.ndarray, *, axis: int = -1) -> np.ndarray:
        """Scaled float[...] back in the series' own units, float64; `axis` has the channels."""
        shape = [1] * values.ndim
        shape[axis] = -1
        mean, scale = (part.reshape(shape) for part in self.facts[name])
        return values * scale + mean

    def save(self, folder: Path) -> None:
        write_json(folder / "scaler.json", {name: [mean.tolist(), scale.tolist()] for name, (mean, scale) in self.facts.items()})

    @classmethod
    def load(cls, folder: Path) -> "SeriesScaler":
        return cls(json.loads((folder / "scaler.json").read_text(encoding="utf-8")))


class Windows:
    """A `tf.data` pipeline of windows of series, and what follows each of them.

    Batches are (float32[batch, lookback, channels] window, float32[batch, horizon, channels] target). With covariates or a teacher the
    input is a dictionary: "window", "covariates" float32[batch, lookback + horizon, covariates], those of the window and of the steps to
    forecast, and "target", the same as the target. No window is left out, the last ones of a split neither.

    Args:
        series: float32[steps, channels] each, scaled.
        spans: for each series the steps [first, end) that targets are taken from; windows reach back before them.
        lookback, horizon: steps.
        batch_size: windows a batch; the last one may be smaller.
        known: float32[steps or more, covariates] for each series, if there are covariates.
        teacher: the target is an input, too, for `models.recursive_forecaster` in training.
        stride: steps from one window to the next.
        shuffle: a new order every epoch, which depends on `seed` and `epoch` only.
        seed: of the order.
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
        if min(lookback, horizon, batch_size, stride) < 1:
            raise InputError(
                f"windows need a lookback, horizon, batch_size and stride of 1 or more, got {lookback}, {horizon}, {batch_size}, {stride}"
            )
        if not len(series) or len(series) != len(spans):
            raise InputError(f"windows need series, and a span of each of them, got {len(series)} and {len(spans)}")
        for values, (first, end) in zip(series, spans, strict=True):
            if not 0 <= first <= end <= len(values):
                raise InputError(f"a span must lie within its series of {len(values)} steps, got {first} to {end}")
        for i, (values, covariates) in enumerate(zip(series, known or (), strict=bool(known))):
            if len(covariates) < len(values):
                raise InputError(f"the covariates of series {i} end after {len(covariates)} steps, its values after {len(values)}")
        offsets = np.cumsum([0, *(len(values) for values in series)])
        starts = [  # of the targets, within their series
            np.arange(max(first, lookback), end - horizon + 1, stride) for first, end in spans
        ]
        self.series = np.repeat(np.arange(len(series)), [len(part) for part in starts])
        self.starts = np.concatenate(starts)
        if not len(self.starts):
            longest = max(end - first for first, end in spans)
            raise InputError(
                f"no window of {lookback} + {horizon} steps fits: of the series, {listing(map(len, series))} steps long, at most {longest} "
                "are to be forecast here"
            )
        self._rows = offsets[self.series] + self.starts
        self._values = tf.constant(np.concatenate(series).astype(np.float32))
        self._known = (
            None
            if known is None
            else tf.constant(np.concatenate([part[: len(values)] for part, values in zip(known, series, strict=True)]).astype(np.float32))
        )
        self.lookback, self.horizon, self.batch_size = lookback, horizon, batch_size
        self.teacher, self.shuffle, self.seed = teacher, shuffle, seed
        self.epoch = 0  # `training.fit` counts it up

    @property
    def examples(self) -> int:
        """Windows an epoch."""
        return len(self._rows)

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def dataset(self) -> tf.data.Dataset:
        """One pass over all windows."""
        rows = tf.data.Dataset.from_generator(self._plan, output_signature=tf.TensorSpec([None], tf.int64))
        rows = rows.apply(tf.data.experimental.assert_cardinality(len(self)))
        return rows.map(self._gather, num_parallel_calls=2, deterministic=True).prefetch(4)

    def in_order(self, outputs: np.ndarray) -> np.ndarray:
        """[windows, ...] as the batches gave them, in the order of the windows."""
        return outputs[np.argsort(self._order(), kind="stable")] if self.shuffle else outputs

    def _order(self) -> np.ndarray:
        windows = np.arange(self.examples)
        return np.random.default_rng([self.seed, self.epoch]).permutation(windows) if self.shuffle else windows

    def _plan(self):
        order = self._rows[self._order()]
        for start in range(0, len(order), self.batch_size):
            yield order[start : start + self.batch_size]

    def _gather(self, rows: tf.Tensor):
        steps = tf.gather(self._values, rows[:, None] + tf.range(-self.lookback, self.horizon, dtype=tf.int64))
        window = tf.ensure_shape(steps[:, : self.lookback], [None, self.lookback, self._values.shape[1]])
        target = tf.ensure_shape(steps[:, self.lookback :], [None, self.horizon, self._values.shape[1]])
        inputs = {"window": window, **({"target": target} if self.teacher else {})}
        if self._known is not None:
            known = tf.gather(self._known, rows[:, None] + tf.range(-self.lookback, self.horizon, dtype=tf.int64))
            inputs["covariates"] = tf.ensure_shape(known, [None, self.lookback + self.horizon, self._known.shape[1]])
        return (inputs if len(inputs) > 1 else window), target

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """All windows and targets in their order, float32[windows, lookback, channels] and [windows, horizon, channels]: views."""
        values = np.lib.stride_tricks.sliding_window_view(self._values.numpy(), self.lookback + self.horizon, axis=0)
        steps = values[self._rows - self.lookback].transpose(0, 2, 1)
        return steps[:, : self.lookback], steps[:, self.lookback :]


def calendar_features(times: pd.DatetimeIndex) -> np.ndarray:
    """What the clock and the calendar say: float32[steps, features] between -1 and 1.

    Sine and cosine of the time of the day, of the week and of the year, as far as the steps are fine enough to tell.
    """
    step = (times[1:] - times[:-1]).min() if len(times) > 1 else pd.Timedelta("1D")
    day = (times.hour + times.minute / 60 + times.second / 3600) / 24
    cycles = {
        "1D": day,
        "7D": (times.dayofweek + day) / 7,
        "365D": (times.dayofyear - 1 + day) / 366,
    }
    columns = []
    for length, share in cycles.items():
        if step <= pd.Timedelta(length) / 2:
            columns += [np.sin(2 * np.pi * share), np.cos(2 * np.pi * share)]
    return np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((len(times), 0), np.float32)
