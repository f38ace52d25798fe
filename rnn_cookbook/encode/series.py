"""Series to windows and forecasts back to series, scaled by what training saw."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np

from rnn_cookbook.data.series import Series
from rnn_cookbook.encode.calendar import calendar_cycles, calendar_features
from rnn_cookbook.encode.windows import Windows
from rnn_cookbook.errors import listing
from rnn_cookbook.files import log, write_json

__all__ = ["SeriesEncoder", "SeriesScaler"]

_FILE = "series.json"
# Series whose median lies so many standard deviations off the training's mean are warned about.
_FAR = 10


class SeriesScaler:
    """A scaler of each channel of each series to mean 0 and standard deviation 1 of its training
    steps. Constant channels are shifted only.

    Args:
        facts: name of a series to means and standard deviations, float64[channels] each.
    """

    def __init__(self, facts: dict[str, tuple[np.ndarray, np.ndarray]]):
        self.facts = {
            name: (np.asarray(mean, float), np.asarray(scale, float))
            for name, (mean, scale) in facts.items()
        }

    @classmethod
    def fit(cls, series: dict[str, np.ndarray]) -> SeriesScaler:
        """Learns the scales from the training steps of each series, float64[steps, channels]."""
        facts = {}
        for name, values in series.items():
            scale = values.std(axis=0)
            # The standard deviation of equal numbers is not always 0, for rounding.
            scale = np.where(np.ptp(values, axis=0) > 0, scale, 1.0)
            facts[name] = (values.mean(axis=0), scale)
        return cls(facts)

    def transform(self, name: str, values: np.ndarray) -> np.ndarray:
        """Scales float64[steps, channels] to float32[steps, channels]."""
        mean, scale = self.facts[name]
        return ((values - mean) / scale).astype(np.float32)

    def to_json(self) -> dict[str, list]:
        """Returns the facts as lists, which the constructor accepts, too."""
        return {name: [mean.tolist(), scale.tolist()] for name, (mean, scale) in self.facts.items()}


class SeriesEncoder:
    """An encoder of series as windows of scaled values and covariates, and of scaled forecasts
    back in the series' own units.

    Args:
        values: scaler of each series by its name.
        covariates: scaler of the covariates of all series together, under the name "".
        calendar: cycles of `calendar_features` that are covariates, too.
    """

    def __init__(
        self, values: SeriesScaler, covariates: SeriesScaler, *, calendar: Sequence[str] = ()
    ):
        self.values = values
        self.covariates = covariates
        self.calendar = list(calendar)

    @classmethod
    def fit(
        cls, series: Sequence[Series], spans: Sequence[tuple[int, int]], *, calendar: bool = False
    ) -> SeriesEncoder:
        """Learns the scales from the training steps of each series.

        Args:
            series: series of one table.
            spans: training steps [first, end) of each series.
            calendar: whether the cycles that the training steps are long enough for are covariates.
        """
        parts = [(each, slice(*span)) for each, span in zip(series, spans, strict=True)]
        values = SeriesScaler.fit({each.name: each.values[part] for each, part in parts})
        known = np.concatenate([each.known[part] for each, part in parts])
        cycles: list[str] = []
        if calendar:
            cycles = max((calendar_cycles(each.times[part]) for each, part in parts), key=len)
            log.info(
                "calendar: %s", ", ".join(cycles) or "the training steps are too few for any cycle"
            )
        return cls(values, SeriesScaler.fit({"": known}), calendar=cycles)

    def adapted(self, series: Sequence[Series]) -> SeriesEncoder:
        """Returns the encoder of these series: series that training did not see are scaled by
        their own values, which is logged."""
        new = [each for each in series if each.name not in self.values.facts]
        if new:
            log.info(
                "%d series that training did not see are scaled by their own values: %s",
                len(new),
                listing(each.name for each in new),
            )
        for each in series:
            if each.name in self.values.facts:
                self._warn_if_far(each)
        facts = dict(self.values.facts)
        facts.update(SeriesScaler.fit({each.name: each.values for each in new}).facts)
        return SeriesEncoder(SeriesScaler(facts), self.covariates, calendar=self.calendar)

    def _warn_if_far(self, series: Series) -> None:
        mean, scale = self.values.facts[series.name]
        far = np.abs(np.median(series.values, axis=0) - mean) > _FAR * scale
        channels = [
            repr(channel) for channel, is_far in zip(series.channels, far, strict=True) if is_far
        ]
        if channels:
            log.warning(
                "%s: far from what the model was trained on; its forecasts will say little",
                listing(channels),
            )

    def windows(
        self,
        series: Sequence[Series],
        spans: Sequence[tuple[int, int]],
        *,
        lookback: int,
        horizon: int,
        batch_size: int,
        teacher: bool = False,
        stride: int = 1,
        shuffle: bool = False,
        seed: int = 0,
    ) -> Windows:
        """Returns `Windows` of the steps that are to be forecast.

        Args:
            series: series that the encoder knows.
            spans: for each series the steps [first, end) to forecast.
            lookback: see `Windows`.
            horizon: see `Windows`.
            batch_size: see `Windows`.
            teacher: see `Windows`.
            stride: see `Windows`.
            shuffle: see `Windows`.
            seed: see `Windows`.

        Raises:
            InputError: as `Windows`.
        """
        return Windows(
            [self.values.transform(each.name, each.values) for each in series],
            spans,
            lookback=lookback,
            horizon=horizon,
            batch_size=batch_size,
            known=self._known(series),
            teacher=teacher,
            stride=stride,
            shuffle=shuffle,
            seed=seed,
        )

    def windows_ahead(
        self, series: Sequence[Series], *, lookback: int, horizon: int, batch_size: int
    ) -> Windows:
        """Returns the window of each series after which no value is known. Its targets are zeros,
        and mean nothing.

        Args:
            series: series that the encoder knows.
            lookback: see `Windows`.
            horizon: see `Windows`.
            batch_size: see `Windows`.

        Raises:
            InputError: the covariates of a series end before the horizon does.
        """
        series = [each.ahead(horizon) for each in series]
        values = [
            np.pad(self.values.transform(each.name, each.values), ((0, horizon), (0, 0)))
            for each in series
        ]
        return Windows(
            values,
            [(len(each), len(each) + horizon) for each in series],
            lookback=lookback,
            horizon=horizon,
            batch_size=batch_size,
            known=self._known(series),
        )

    def _known(self, series: Sequence[Series]) -> list[np.ndarray] | None:
        known = [self.covariates.transform("", each.known) for each in series]
        if self.calendar:
            known = [
                np.concatenate([part, calendar_features(each.times, self.calendar)], axis=1)
                for part, each in zip(known, series, strict=True)
            ]
        return known if known[0].shape[1] else None

    @overload
    def own_units(
        self,
        series: Sequence[Series],
        windows: Windows,
        scaled: np.ndarray,
        *,
        rows: slice | np.ndarray = ...,
    ) -> np.ndarray: ...

    @overload
    def own_units(
        self,
        series: Sequence[Series],
        windows: Windows,
        scaled: None,
        *,
        rows: slice | np.ndarray = ...,
    ) -> None: ...

    def own_units(
        self,
        series: Sequence[Series],
        windows: Windows,
        scaled: np.ndarray | None,
        *,
        rows: slice | np.ndarray = slice(None),
    ) -> np.ndarray | None:
        """Unscales values of windows: to the units of their series.

        Args:
            series: series that the windows were cut from.
            windows: result of `windows` or `windows_ahead`.
            scaled: float[windows, time, channels], or float[windows, time, channels, quantiles], of
                all windows; None, of a forecast without quantiles, stays None.
            rows: which of the windows to return.

        Returns:
            float64 of the same shape.
        """
        if scaled is None:
            return None
        number = windows.series[rows]
        means = np.stack([self.values.facts[each.name][0] for each in series])
        scales = np.stack([self.values.facts[each.name][1] for each in series])
        mean = means[number][:, None]  # [windows, 1, channels]
        scale = scales[number][:, None]
        if scaled.ndim == 4:
            mean = mean[..., None]
            scale = scale[..., None]
        return scaled[rows] * scale + mean

    def save(self, folder: Path) -> None:
        """Writes the encoder to a file of the folder."""
        facts = {
            "values": self.values.to_json(),
            "covariates": self.covariates.to_json(),
            "calendar": self.calendar,
        }
        write_json(folder / _FILE, facts)

    @classmethod
    def load(cls, folder: Path) -> SeriesEncoder:
        """Reads the encoder that `save` wrote."""
        facts = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return cls(
            SeriesScaler(facts["values"]),
            SeriesScaler(facts["covariates"]),
            calendar=facts["calendar"],
        )
