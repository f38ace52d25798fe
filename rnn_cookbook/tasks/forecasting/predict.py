"""From a trained network to forecasts: a value and quantiles for each step, in the units of the
series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import keras
import numpy as np

from rnn_cookbook.data.series import Series
from rnn_cookbook.encode.series import SeriesEncoder
from rnn_cookbook.encode.windows import Windows
from rnn_cookbook.run.inference import predict
from rnn_cookbook.tasks.forecasting.backtest import last_origins, rolling_origins
from rnn_cookbook.tasks.forecasting.baselines import seasonal_naive
from rnn_cookbook.tasks.forecasting.model import without_teacher

__all__ = [
    "Forecaster",
    "forecast_rows",
    "forecast_windows",
    "point_and_quantiles",
    "rounded",
]


def point_and_quantiles(
    raw: np.ndarray, *, head: str, quantiles: Sequence[float]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Converts the outputs of a `ForecastHead` to a point forecast, float[...], and quantiles,
    float[..., quantiles], which are None for the head "point".

    The point forecast is the quantile nearest to the median, or the mean of the distribution.

    Args:
        raw: outputs, float[...] of the head "point", else float[..., width].
        head: "point", "quantiles", "gaussian" or "student_t".
        quantiles: wanted quantiles, increasing, between 0 and 1; of the head "quantiles" those that
            it was trained for.
    """
    from scipy import stats  # here: slow to import, and point forecasts do without

    if head == "point":
        return raw, None
    levels = np.asarray(quantiles)
    if head == "quantiles":
        return raw[..., np.abs(levels - 0.5).argmin()], raw
    if head == "gaussian":
        return raw[..., 0], raw[..., :1] + raw[..., 1:2] * stats.norm.ppf(levels)
    deviations = stats.t.ppf(levels, raw[..., 2:])
    return raw[..., 0], raw[..., :1] + raw[..., 1:2] * deviations


def forecast_windows(model: keras.Model, windows: Windows) -> tuple[np.ndarray, np.ndarray | None]:
    """Forecasts windows, in their order: the scaled point forecasts, float[windows, horizon,
    channels], and quantiles, float[windows, horizon, channels, quantiles] or None.

    Args:
        model: a `models.forecaster`, or a `models.recursive_forecaster` without its teacher.
        windows: scaled windows.
    """
    head = model.get_layer("head")
    return point_and_quantiles(predict(model, windows), head=head.kind, quantiles=head.quantiles)


class Forecaster:
    """A trained model and its encoder, which forecast series in their own units.

    Args:
        model: a `models.forecaster`, or a `models.recursive_forecaster` with its teacher or
            without.
        encoder: encoder that made the windows it was trained on.
        batch_size: windows per batch.
    """

    def __init__(self, model: keras.Model, encoder: SeriesEncoder, *, batch_size: int = 64):
        self.model = without_teacher(model)
        self.encoder = encoder
        self.batch_size = batch_size
        (window,) = (part for part in self.model.inputs if part.name == "window")
        self.lookback: int = window.shape[1]
        (output,) = self.model.outputs
        self.horizon: int = output.shape[1]

    def __call__(self, windows: Windows) -> tuple[np.ndarray, np.ndarray | None]:
        """Forecasts windows in scaled values, see `forecast_windows`."""
        return forecast_windows(self.model, windows)

    def ahead(self, series: Sequence[Series]) -> tuple[np.ndarray, np.ndarray | None]:
        """Forecasts the steps after the last value of each series: float64[series, horizon,
        channels], and quantiles, float64[series, horizon, channels, quantiles] or None.

        Args:
            series: series that the encoder knows, see `SeriesEncoder.adapted`.
        """
        windows = self.encoder.windows_ahead(
            series, lookback=self.lookback, horizon=self.horizon, batch_size=self.batch_size
        )
        point, quantiles = self(windows)
        return (
            self.encoder.own_units(series, windows, point),
            self.encoder.own_units(series, windows, quantiles),
        )

    def backtest(
        self, series: Sequence[Series], *, origins: int, season: int
    ) -> tuple[list[tuple[int, int]], dict[str, list[dict[str, float]]]]:
        """Forecasts from within the series, by the model as it is, beside the seasonal naive
        forecast.

        Args:
            series: series that the encoder knows.
            origins: wanted number of horizons, counted from the end.
            season: steps of a season, for the naive forecast.

        Returns:
            The steps [first, end) of each series that were forecast, see `last_origins`, and
            `rolling_origins` of each channel by its `Series.label`.

        Raises:
            InputError: every series is too short.
        """
        spans = last_origins(series, origins=origins, lookback=self.lookback, horizon=self.horizon)
        windows = self.encoder.windows(
            series,
            spans,
            lookback=self.lookback,
            horizon=self.horizon,
            batch_size=self.batch_size,
            stride=self.horizon,
        )
        past, actual = windows.arrays()
        point, _ = self(windows)
        naive = seasonal_naive(past, self.horizon, season=season)
        actual = self.encoder.own_units(series, windows, actual)
        point = self.encoder.own_units(series, windows, point)
        naive = self.encoder.own_units(series, windows, naive)
        by_channel = {}
        for number, each in enumerate(series):
            rows = windows.series == number
            if not rows.any():
                continue
            for c, channel in enumerate(each.channels):
                part = rows, slice(None), slice(c, c + 1)
                origin_errors = rolling_origins(actual[part], point[part], naive[part])
                by_channel[each.label(channel)] = origin_errors
        return spans, by_channel


def rounded(values: np.ndarray) -> list[float]:
    """Rounds numbers to ten significant digits, for files that people read."""
    return [float(f"{value:.10g}") for value in values]


def forecast_rows(
    series: Sequence[Series],
    point: np.ndarray,
    quantiles: np.ndarray | None,
    *,
    levels: Sequence[float],
) -> Iterator[dict]:
    """Yields a row for each step after the end of each channel: "unique_id", "ds", "forecast", and
    where there are quantiles "q0.1" and so on.

    Args:
        series: series that were forecast.
        point: point forecasts in their units, float[series, horizon, channels].
        quantiles: quantile forecasts, float[series, horizon, channels, quantiles], or None.
        levels: quantiles of the last axis.
    """
    for number, each in enumerate(series):
        for c, channel in enumerate(each.channels):
            columns = {"forecast": rounded(point[number, :, c])}
            if quantiles is not None:
                for q, level in enumerate(levels):
                    columns[f"q{level:g}"] = rounded(quantiles[number, :, c, q])
            for step, time in enumerate(each.future(point.shape[1])):
                row: dict = {"unique_id": each.label(channel), "ds": str(time)}
                for name, values in columns.items():
                    row[name] = values[step]
                yield row
