"""Errors of forecasts: point, quantile and scaled scores, by step and over windows."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from rnn_cookbook.data.series import Series
from rnn_cookbook.encode.series import SeriesEncoder, Windows
from rnn_cookbook.errors import InputError

pass


class Scorer:
    """All measures of forecasts of the same windows, of the scaled values, as benchmarks have them,
    and in the series' own units.

    Args:
        windows: what is forecast, by `encoder.windows` of `series`.
        series, encoder: see there.
        train: of each series the training steps [first, end), for MASE.
        season: steps, for MASE.
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
        self.own_units = partial(encoder.own_units, series, windows)
        _, self.actual = windows.arrays()
        naive = [
            naive_errors(one.values[slice(*span)], season=season)
            for one, span in zip(series, train, strict=True)
        ]
        self.naive_error = np.stack(naive)[windows.series][:, None]

    def __call__(
        self,
        point: np.ndarray,
        quantiles: np.ndarray | None = None,
        *,
        levels: Sequence[float] = (),
    ) -> dict[str, float]:
        """`point_scores` of the scaled values; `own_unit_scores`; and of quantiles, where there are
        any, "pinball_units", "coverage" and "width_units".

        Args:
            point: float[windows, horizon, channels], scaled.
            quantiles: float[windows, horizon, channels, quantiles], scaled.
            levels: of the quantiles; of one alone there is no coverage nor width.
        """
        actual = self.own_units(self.actual)
        scores = {
            **point_scores(self.actual, point),
            **own_unit_scores(actual, self.own_units(point), naive_error=self.naive_error),
        }
        if quantiles is not None:
            found = quantile_scores(actual, self.own_units(quantiles), levels)
            scores["pinball_units"] = found["pinball"]
            if len(levels) > 1:
                scores |= {"coverage": found["coverage"], "width_units": found["width"]}
        return scores


def errors_by_step(actual: np.ndarray, forecast: np.ndarray) -> np.ndarray:
    """Mean squared error of each step of the horizon: float64[horizon]."""
    return np.square(forecast.astype(np.float64) - actual).mean(axis=(0, 2))


def autocorrelation(residuals: np.ndarray, *, lags: int) -> np.ndarray:
    """Of float[steps, channels], mean over the channels that are not constant: float64[lags], from
    lag 1 on."""
    moved = residuals - residuals.mean(axis=0)
    moved = moved[:, np.square(moved).sum(axis=0) > 0].astype(np.float64)
    power = np.square(moved).sum(axis=0)
    return (
        np.array([(moved[lag:] * moved[:-lag]).sum(axis=0) / power for lag in range(1, lags + 1)])
        .reshape(lags, -1)
        .mean(axis=1)
    )


def point_scores(actual: np.ndarray, forecast: np.ndarray) -> dict[str, float]:
    """Mean squared and mean absolute error over all steps and channels, in the units of both, as
    the benchmarks have them."""
    error = forecast.astype(np.float64) - actual
    return {"mse": float(np.mean(np.square(error))), "mae": float(np.mean(np.abs(error)))}


def own_unit_scores(
    actual: np.ndarray, forecast: np.ndarray, *, naive_error: np.ndarray
) -> dict[str, float]:
    """MAE, RMSE, MASE and sMAPE in the series' own units, float[windows, horizon, channels] each.

    MASE (Hyndman and Koehler 2006) divides by `naive_error`, the mean absolute error of the
    seasonal naive forecast within the training steps, float, one for each series and channel: 1 is
    as good as that. sMAPE is in percent, 0 to 200 (Makridakis 1993); where both values are 0 it is
    0. Where no channel has a naive error, as constant ones have none, there is no MASE.
    """
    error = np.abs(forecast.astype(np.float64) - actual)
    both = np.abs(actual) + np.abs(forecast)
    usable = np.broadcast_to(naive_error > 0, error.shape)
    scaled = np.divide(error, naive_error, out=np.zeros_like(error), where=usable)
    return {
        "mae_units": float(error.mean()),
        "rmse_units": float(np.sqrt(np.square(error).mean())),
        **({"mase": float(scaled[usable].mean())} if usable.any() else {}),
        "smape": float(
            200 * np.divide(error, both, out=np.zeros_like(error), where=both > 0).mean()
        ),
    }


def quantile_scores(
    actual: np.ndarray, forecast: np.ndarray, quantiles: Sequence[float]
) -> dict[str, float]:
    """Mean pinball loss over the quantiles, and the share of values inside the outermost two, in
    the units of both.

    float[windows, horizon, channels], float[windows, horizon, channels, quantiles] -> "pinball",
    "coverage", "width"
    """
    if forecast.shape[-1] != len(quantiles) or list(quantiles) != sorted(quantiles):
        raise InputError(
            f"a forecast of {forecast.shape[-1]} quantiles does not go with {', '.join(map(str, quantiles))}, which must rise"
        )
    error = actual[..., None] - forecast
    share = np.asarray(quantiles)
    inside = (actual >= forecast[..., 0]) & (actual <= forecast[..., -1])
    return {
        "pinball": float(np.mean(np.maximum(share * error, (share - 1) * error))),
        "coverage": float(inside.mean()),
        "width": float(np.mean(forecast[..., -1] - forecast[..., 0])),
    }


def naive_errors(values: np.ndarray, *, season: int) -> np.ndarray:
    """Mean absolute error of the seasonal naive forecast within float[steps, channels], for MASE:
    float64[channels]."""
    season = min(season, len(values) - 1)
    return np.abs(values[season:] - values[:-season]).mean(axis=0)
