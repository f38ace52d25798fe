"""Errors of forecasts: point, quantile and scaled scores, over all windows and by step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnn_cookbook.data.series import Series
from rnn_cookbook.encode.series import SeriesEncoder
from rnn_cookbook.encode.windows import Windows
from rnn_cookbook.errors import InputError

__all__ = [
    "Scorer",
    "autocorrelation",
    "errors_by_step",
    "naive_errors",
    "own_unit_scores",
    "point_scores",
    "quantile_scores",
]


def point_scores(actual: np.ndarray, forecast: np.ndarray) -> dict[str, float]:
    """Computes the errors that the benchmarks report, over all windows, steps and channels.

        mse = mean (y - ŷ)²
        mae = mean |y - ŷ|

    Args:
        actual: values y, float[windows, horizon, channels].
        forecast: point forecasts ŷ, of the same shape and in the same units.

    Returns:
        "mse", in squared units, and "mae".
    """
    error = forecast.astype(np.float64) - actual
    return {"mse": float(np.mean(np.square(error))), "mae": float(np.mean(np.abs(error)))}


def own_unit_scores(
    actual: np.ndarray, forecast: np.ndarray, *, naive_error: np.ndarray
) -> dict[str, float]:
    """Computes the errors that are read in, or relative to, the original units of the series.

        mae_units  = mean |y - ŷ|
        rmse_units = √ mean (y - ŷ)²
        mase       = mean ( |y - ŷ| / naive_error )
        smape      = 200 · mean ( |y - ŷ| / (|y| + |ŷ|) )

    MASE (Hyndman and Koehler 2006) is 1 for a forecast as good as the seasonal naive one within the
    training steps. sMAPE (Makridakis 1993) is in percent, from 0 to 200; a step counts as 0 where
    both values are 0.

    Args:
        actual: values y, float[windows, horizon, channels].
        forecast: point forecasts ŷ, of the same shape.
        naive_error: `naive_errors` of the series of each window, float, to be broadcast to the
            shape of `actual`.

    Returns:
        "mae_units", "rmse_units", "mase" and "smape". Channels whose naive error is 0, which are
        constant, do not count for "mase"; it is absent where no other channel is left.
    """
    error = np.abs(forecast.astype(np.float64) - actual)
    scores = {
        "mae_units": float(error.mean()),
        "rmse_units": float(np.sqrt(np.square(error).mean())),
    }
    usable = np.broadcast_to(naive_error > 0, error.shape)
    scaled = np.divide(error, naive_error, out=np.zeros_like(error), where=usable)
    if usable.any():
        scores["mase"] = float(scaled[usable].mean())
    size = np.abs(actual) + np.abs(forecast)
    relative = np.divide(error, size, out=np.zeros_like(error), where=size > 0)
    scores["smape"] = float(200 * relative.mean())
    return scores


def quantile_scores(
    actual: np.ndarray, forecast: np.ndarray, quantiles: Sequence[float]
) -> dict[str, float]:
    """Computes the scores of quantile forecasts, over all windows, steps, channels and quantiles.

        pinball  = mean max( q · (y - ŷ_q), (q - 1) · (y - ŷ_q) )
        coverage = fraction of values with ŷ_first ≤ y ≤ ŷ_last
        width    = mean (ŷ_last - ŷ_first)

    The pinball loss of a quantile is minimal for the true one (Koenker and Bassett 1978). The
    coverage is right where it equals the last quantile less the first: 0.8 for 0.1 and 0.9. Neither
    a higher nor a lower one is better.

    Args:
        actual: values y, float[windows, horizon, channels].
        forecast: quantile forecasts ŷ_q, float[windows, horizon, channels, quantiles].
        quantiles: levels q of the last axis, increasing.

    Returns:
        "pinball" and "width", in the units of the arguments, and "coverage".

    Raises:
        InputError: the quantiles do not increase, or are not as many as the last axis is long.
    """
    if forecast.shape[-1] != len(quantiles) or list(quantiles) != sorted(quantiles):
        raise InputError(
            f"quantiles must increase, one for each of the {forecast.shape[-1]} forecasts of a "
            f"step; received {', '.join(map(str, quantiles))}"
        )
    error = actual[..., None] - forecast
    level = np.asarray(quantiles)
    inside = (actual >= forecast[..., 0]) & (actual <= forecast[..., -1])
    return {
        "pinball": float(np.mean(np.maximum(level * error, (level - 1) * error))),
        "coverage": float(inside.mean()),
        "width": float(np.mean(forecast[..., -1] - forecast[..., 0])),
    }


def naive_errors(values: np.ndarray, *, season: int) -> np.ndarray:
    """Computes the mean absolute error of the seasonal naive forecast, by which MASE divides.

        naive_error = mean over t of |y_t - y_(t - season)|

    Args:
        values: training steps of a series, float[steps, channels].
        season: steps of a season; where the series is no longer than that, its steps less 1.

    Returns:
        float64[channels].
    """
    season = min(season, len(values) - 1)
    return np.abs(values[season:] - values[:-season]).mean(axis=0)


def errors_by_step(actual: np.ndarray, forecast: np.ndarray) -> np.ndarray:
    """Computes the mean squared error at each step of the horizon, float64[horizon].

    Args:
        actual: values, float[windows, horizon, channels].
        forecast: point forecasts of the same shape.
    """
    return np.square(forecast.astype(np.float64) - actual).mean(axis=(0, 2))


def autocorrelation(residuals: np.ndarray, *, lags: int) -> np.ndarray:
    """Computes the autocorrelation at the lags 1 to `lags`, float64[lags].

    Args:
        residuals: errors one step ahead, float[steps, channels]. The result is the mean over the
            channels that are not constant.
        lags: number of lags.
    """
    moved = residuals - residuals.mean(axis=0)
    moved = moved[:, np.square(moved).sum(axis=0) > 0].astype(np.float64)
    power = np.square(moved).sum(axis=0)
    by_lag = [(moved[lag:] * moved[:-lag]).sum(axis=0) / power for lag in range(1, lags + 1)]
    return np.array(by_lag).reshape(lags, -1).mean(axis=1)


class Scorer:
    """Computes all scores of forecasts of the same windows: of the scaled values, as the benchmarks
    report them, and in the original units of the series.

    Args:
        windows: windows to forecast, cut by `encoder.windows` from `series`.
        series: series that the windows were cut from.
        encoder: encoder that scaled them.
        train: training steps [first, end) of each series, for MASE.
        season: steps of a season, for MASE.

    Attributes:
        actual: scaled values to be forecast, float32[windows, horizon, channels].
    """

    def __init__(
        self,
        windows: Windows,
        *,
        series: Sequence[Series],
        encoder: SeriesEncoder,
        train: Sequence[tuple[int, int]],
        season: int,
    ):
        self.windows = windows
        self.series = series
        self.encoder = encoder
        self.season = season
        _, self.actual = windows.arrays()
        naive = [
            naive_errors(each.values[slice(*span)], season=season)
            for each, span in zip(series, train, strict=True)
        ]
        self.naive_error = np.stack(naive)[windows.series][:, None]

    def __call__(
        self,
        point: np.ndarray,
        quantiles: np.ndarray | None = None,
        *,
        levels: Sequence[float] = (),
    ) -> dict[str, float]:
        """Scores a forecast of the windows.

        Args:
            point: scaled point forecasts, float[windows, horizon, channels].
            quantiles: scaled quantile forecasts, float[windows, horizon, channels, quantiles].
            levels: quantiles of the last axis, increasing.

        Returns:
            `point_scores` of the scaled values and `own_unit_scores`; with quantiles also
            "pinball_units", and with two quantiles or more "coverage" and "width_units".
        """
        actual = self.encoder.own_units(self.series, self.windows, self.actual)
        forecast = self.encoder.own_units(self.series, self.windows, point)
        scores = point_scores(self.actual, point)
        scores |= own_unit_scores(actual, forecast, naive_error=self.naive_error)
        if quantiles is not None:
            in_units = self.encoder.own_units(self.series, self.windows, quantiles)
            by_quantile = quantile_scores(actual, in_units, levels)
            scores["pinball_units"] = by_quantile["pinball"]
            if len(levels) > 1:
                scores["coverage"] = by_quantile["coverage"]
                scores["width_units"] = by_quantile["width"]
        return scores
