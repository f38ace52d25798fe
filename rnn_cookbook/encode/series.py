"""Series to windows: scaled by what training saw, in an order that a resumed run repeats; the
calendar as numbers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
import pandas as pd
import tensorflow as tf

from rnn_cookbook.data.series import Series
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log, write_json


class SeriesScaler:
    """Each channel of each series to mean 0 and standard deviation 1 of its training steps.
    Constant channels are shifted only.

    Args:
        facts: for each name of a series (means, standard deviations), float64[channels] each.
    """

    def __init__(self, facts: dict[str, tuple[np.ndarray, np.ndarray]]):
        self.facts = {
            name: (np.asarray(mean, float), np.asarray(scale, float))
            for name, (mean, scale) in facts.items()
        }

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

    def to_json(self) -> dict[str, list]:
        return {name: [mean.tolist(), scale.tolist()] for name, (mean, scale) in self.facts.items()}


class SeriesEncoder:
    """Series to windows of scaled values and covariates, and scaled forecasts back to the series'
    own units.

    Args:
        values: of each series by its name.
        covariates: of all series together, under the name "".
        calendar: the cycles of `calendar_features` that are covariates, too.
    """

    def __init__(
        self, values: SeriesScaler, covariates: SeriesScaler, *, calendar: Sequence[str] = ()
    ):
        self.values, self.covariates, self.calendar = values, covariates, list(calendar)

    @classmethod
    def fit(
        cls, series: Sequence[Series], spans: Sequence[tuple[int, int]], *, calendar: bool = False
    ) -> "SeriesEncoder":
        """From the training steps [first, end) of each series; with `calendar` the cycles that they
        are long enough for."""
        parts = [(one, slice(*span)) for one, span in zip(series, spans, strict=True)]
        values = SeriesScaler.fit({one.name: one.values[part] for one, part in parts})
        covariates = SeriesScaler.fit(
            {"": np.concatenate([one.known[part] for one, part in parts])}
        )
        cycles = (
            max((calendar_cycles(one.times[part]) for one, part in parts), key=len)
            if calendar
            else []
        )
        if calendar:
            log.info(
                "calendar: %s", ", ".join(cycles) or "the training steps are too few for any cycle"
            )
        return cls(values, covariates, calendar=cycles)

    def adapted(self, series: Sequence[Series]) -> "SeriesEncoder":
        """The same for these series: those that training did not see are scaled by what their own
        values are, which is logged."""
        new = [one for one in series if one.name not in self.values.facts]
        if new:
            log.info(
                "%d series that training did not see are scaled by their own values: %s",
                len(new),
                listing(one.name for one in new),
            )
        for one in (one for one in series if one.name in self.values.facts):
            mean, scale = self.values.facts[one.name]
            far = np.abs(np.median(one.values, axis=0) - mean) > 10 * scale
            if far.any():
                named = listing(
                    repr(channel)
                    for channel, is_far in zip(one.channels, far, strict=True)
                    if is_far
                )
                log.warning(
                    "%s: far from what the model was trained on; its forecasts will say little",
                    named,
                )
        own = SeriesScaler.fit({one.name: one.values for one in new})
        return SeriesEncoder(
            SeriesScaler(self.values.facts | own.facts), self.covariates, calendar=self.calendar
        )

    def windows(
        self, series: Sequence[Series], spans: Sequence[tuple[int, int]], **options
    ) -> "Windows":
        """`Windows` of what is to be forecast; `options` are its further arguments."""
        values = [self.values.transform(one.name, one.values) for one in series]
        return Windows(values, spans, known=self._known(series), **options)

    def windows_ahead(self, series: Sequence[Series], *, horizon: int, **options) -> "Windows":
        """The one window of each series after which no value is known. Its targets are zeros, and
        mean nothing."""
        series = [one.ahead(horizon) for one in series]
        values = [
            np.pad(self.values.transform(one.name, one.values), ((0, horizon), (0, 0)))
            for one in series
        ]
        spans = [(len(one), len(one) + horizon) for one in series]
        return Windows(values, spans, known=self._known(series), horizon=horizon, **options)

    def _known(self, series: Sequence[Series]) -> list[np.ndarray] | None:
        known = [self.covariates.transform("", one.known) for one in series]
        if self.calendar:
            known = [
                np.concatenate([part, calendar_features(one.times, self.calendar)], axis=1)
                for part, one in zip(known, series, strict=True)
            ]
        return known if known[0].shape[1] else None

    @overload
    def own_units(
        self,
        series: Sequence[Series],
        windows: "Windows",
        scaled: np.ndarray,
        *,
        rows: slice | np.ndarray = ...,
    ) -> np.ndarray: ...

    @overload
    def own_units(
        self,
        series: Sequence[Series],
        windows: "Windows",
        scaled: None,
        *,
        rows: slice | np.ndarray = ...,
    ) -> None: ...

    def own_units(
        self,
        series: Sequence[Series],
        windows: "Windows",
        scaled: np.ndarray | None,
        *,
        rows: slice | np.ndarray = slice(None),
    ) -> np.ndarray | None:
        """float[windows, time, channels] or float[windows, time, channels, quantiles] of `windows`
        of `series`, unscaled: float64. None, of a forecast without quantiles, stays None.

        Args:
            series, windows: see `windows`.
            scaled: of all windows.
            rows: which of them to give.
        """
        if scaled is None:
            return None
        facts = zip(*(self.values.facts[one.name] for one in series), strict=True)
        mean, scale = (
            np.stack(part)[windows.series[rows]][:, None] for part in facts
        )  # [windows, 1, channels]
        scaled = scaled[rows]
        return (
            scaled * scale[..., None] + mean[..., None]
            if scaled.ndim == 4
            else scaled * scale + mean
        )

    def save(self, folder: Path) -> None:
        facts = {
            "values": self.values.to_json(),
            "covariates": self.covariates.to_json(),
            "calendar": self.calendar,
        }
        write_json(folder / "series.json", facts)

    @classmethod
    def load(cls, folder: Path) -> "SeriesEncoder":
        facts = json.loads((folder / "series.json").read_text(encoding="utf-8"))
        return cls(
            SeriesScaler(facts["values"]),
            SeriesScaler(facts["covariates"]),
            calendar=facts["calendar"],
        )


class Windows:
    """A `tf.data` pipeline of windows of series, and what follows each of them.

    Batches are (float32[batch, lookback, channels] window, float32[batch, horizon, channels]
    target). With covariates or a teacher the input is a dictionary: "window", "covariates"
    float32[batch, lookback + horizon, covariates], those of the window and of the steps to
    forecast, and "target", the same as the target. No window is left out, the last ones of a split
    neither.

    Args:
        series: float32[steps, channels] each, scaled.
        spans: for each series the steps [first, end) that targets are taken from; windows reach
            back before them.
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
            raise InputError(
                f"windows need series, and a span of each of them, got {len(series)} and {len(spans)}"
            )
        for values, (first, end) in zip(series, spans, strict=True):
            if not 0 <= first <= end <= len(values):
                raise InputError(
                    f"a span must lie within its series of {len(values)} steps, got {first} to {end}"
                )
        for i, (values, covariates) in enumerate(zip(series, known or (), strict=bool(known))):
            if len(covariates) < len(values):
                raise InputError(
                    f"the covariates of series {i} end after {len(covariates)} steps, its values after {len(values)}"
                )
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
            else tf.constant(
                np.concatenate(
                    [part[: len(values)] for part, values in zip(known, series, strict=True)]
                ).astype(np.float32)
            )
        )
        self.lookback, self.horizon, self.batch_size = lookback, horizon, batch_size
        self.teacher, self.shuffle, self.seed = teacher, shuffle, seed
        self.epoch = 0  # `training.fit` counts it up

    @property
    def covariates(self) -> int:
        """Numbers known ahead at every step."""
        return 0 if self._known is None else self._known.shape[1]

    @property
    def examples(self) -> int:
        """Windows an epoch."""
        return len(self._rows)

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def dataset(self) -> tf.data.Dataset:
        """One pass over all windows."""
        rows = tf.data.Dataset.from_generator(
            self._plan, output_signature=tf.TensorSpec([None], tf.int64)
        )
        rows = rows.apply(tf.data.experimental.assert_cardinality(len(self)))
        return rows.map(self._gather, num_parallel_calls=2, deterministic=True).prefetch(4)

    def in_order(self, outputs: np.ndarray) -> np.ndarray:
        """[windows, ...] as the batches gave them, in the order of the windows."""
        return outputs[np.argsort(self._order(), kind="stable")] if self.shuffle else outputs

    def _order(self) -> np.ndarray:
        windows = np.arange(self.examples)
        return (
            np.random.default_rng([self.seed, self.epoch]).permutation(windows)
            if self.shuffle
            else windows
        )

    def _plan(self):
        order = self._rows[self._order()]
        for start in range(0, len(order), self.batch_size):
            yield order[start : start + self.batch_size]

    def _gather(self, rows: tf.Tensor):
        steps = tf.gather(
            self._values, rows[:, None] + tf.range(-self.lookback, self.horizon, dtype=tf.int64)
        )
        window = tf.ensure_shape(
            steps[:, : self.lookback], [None, self.lookback, self._values.shape[1]]
        )
        target = tf.ensure_shape(
            steps[:, self.lookback :], [None, self.horizon, self._values.shape[1]]
        )
        inputs = {"window": window, **({"target": target} if self.teacher else {})}
        if self._known is not None:
            known = tf.gather(
                self._known, rows[:, None] + tf.range(-self.lookback, self.horizon, dtype=tf.int64)
            )
            inputs["covariates"] = tf.ensure_shape(
                known, [None, self.lookback + self.horizon, self._known.shape[1]]
            )
        return (inputs if len(inputs) > 1 else window), target

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """All windows and targets in their order, float32[windows, lookback, channels] and
        [windows, horizon, channels]: copies."""
        values = np.lib.stride_tricks.sliding_window_view(
            self._values.numpy(), self.lookback + self.horizon, axis=0
        )
        steps = values[self._rows - self.lookback].transpose(0, 2, 1)
        return steps[:, : self.lookback], steps[:, self.lookback :]


CYCLES = {"day": pd.Timedelta("1D"), "week": pd.Timedelta("7D"), "year": pd.Timedelta("365D")}


def calendar_cycles(times: pd.DatetimeIndex) -> list[str]:
    """Which of day, week and year can be learnt from these times: steps fine enough to tell their
    parts, and two whole cycles or more.

    Of a shorter stretch the last part would be new to a model that learnt from the first.
    """
    if len(times) < 2:
        return []
    step, span = (times[1:] - times[:-1]).min(), times[-1] - times[0]
    return [
        name for name, length in CYCLES.items() if 2 * step <= length and 2 * length <= span + step
    ]


def calendar_features(times: pd.DatetimeIndex, cycles: Sequence[str]) -> np.ndarray:
    """Sine and cosine of the time within each of the cycles, "day", "week" or "year":
    float32[steps, 2 * cycles] between -1 and 1."""
    day = (times.hour + times.minute / 60 + times.second / 3600) / 24
    shares = {
        "day": day,
        "week": (times.day_of_week + day) / 7,
        "year": (times.day_of_year - 1 + day) / 366,
    }
    columns = [wave(2 * np.pi * shares[name]) for name in cycles for wave in (np.sin, np.cos)]
    return (
        np.stack(columns, axis=1).astype(np.float32)
        if columns
        else np.zeros((len(times), 0), np.float32)
    )
