"""Forecasts compared: what a practitioner would try first, and the field's measures of points, quantiles and intervals."""

from collections.abc import Sequence

import numpy as np

from rnn_cookbook.baselines import timed_scores
from rnn_cookbook.encode.series import Windows
from rnn_cookbook.errors import InputError
from rnn_cookbook.runs import log

ALPHAS = (0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0)  # of the ridge regression, tried on the validation split


def repeat_last(window: np.ndarray, horizon: int) -> np.ndarray:
    """The last value: float[windows, lookback, channels] -> float[windows, horizon, channels]."""
    return np.repeat(window[:, -1:], horizon, axis=1)


def seasonal_naive(window: np.ndarray, horizon: int, *, season: int) -> np.ndarray:
    """The last season, over and over; a window shorter than a season repeats whole."""
    season = min(season, window.shape[1])
    return window[:, window.shape[1] - season + np.arange(horizon) % season]


def seasonal_mean(window: np.ndarray, horizon: int, *, season: int) -> np.ndarray:
    """The mean of the window's values at the same place in the season."""
    seasons = window.shape[1] // season
    if not seasons:
        return np.repeat(window.mean(axis=1, keepdims=True), horizon, axis=1)
    whole = window[:, window.shape[1] - seasons * season :].reshape(len(window), seasons, season, -1).mean(axis=1)
    return whole[:, np.arange(horizon) % season]


class RidgeForecaster:
    """Every step of the future as a linear function of the window, its last value subtracted (NLinear: Zeng et al. 2023), in closed form.

    One regression for all channels and series. Beats most deep forecasters on the usual benchmarks, in seconds.

    Args:
        alpha: of the squared norm of the weights, for a sum of squared errors.
    """

    def __init__(self, alpha: float = 1.0):
        self.alpha = alpha

    def fit(self, windows: Windows) -> "RidgeForecaster":
        """Learns from all windows; the normal equations are summed up, so that memory does not grow with them."""
        self.gram, self.moments = _normal_equations(windows)
        return self.solve(self.alpha)

    def solve(self, alpha: float) -> "RidgeForecaster":
        """The weights of another `alpha`, for the same windows."""
        penalty = np.eye(len(self.gram)) * alpha
        penalty[-1, -1] = 0  # not of the constant
        self.alpha, self.weights = alpha, np.linalg.solve(self.gram + penalty, self.moments).astype(np.float32)
        return self

    def predict(self, window: np.ndarray) -> np.ndarray:
        """float[windows, lookback, channels] -> float32[windows, horizon, channels]."""
        last = window[:, -1:]
        moved = (window - last).transpose(0, 2, 1)
        return (moved @ self.weights[:-1] + self.weights[-1]).transpose(0, 2, 1) + last


def _normal_equations(windows: Windows, chunk: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    size = windows.lookback + 1
    gram, moments = np.zeros((size, size)), np.zeros((size, windows.horizon))
    past, future = windows.arrays()
    for start in range(0, len(past), chunk):
        for channel in range(past.shape[2]):
            x, y = (part[start : start + chunk, :, channel].astype(np.float64) for part in (past, future))
            last = x[:, -1:]
            x = np.concatenate([x - last, np.ones((len(x), 1))], axis=1)
            gram += x.T @ x
            moments += x.T @ (y - last)
    return gram, moments


def forecast_baselines(train: Windows, validation: Windows, test: Windows, *, season: int, score) -> dict[str, dict]:
    """Name to `score(forecast)` of the test windows, an "mse" among it, and "seconds".

    `repeat_last`, `seasonal_naive`, `seasonal_mean` of each window; `ridge`: `RidgeForecaster`, its alpha chosen by the mean squared error
    of the validation windows.
    """
    past, _ = test.arrays()
    methods = {
        "repeat_last": lambda: repeat_last(past, test.horizon),
        "seasonal_naive": lambda: seasonal_naive(past, test.horizon, season=season),
        "seasonal_mean": lambda: seasonal_mean(past, test.horizon, season=season),
        "ridge": lambda: _ridge(train, validation).predict(past),
    }
    return timed_scores(methods, score, metric="mse")


def _ridge(train: Windows, validation: Windows) -> RidgeForecaster:
    past, future = validation.arrays()
    ridge = RidgeForecaster(ALPHAS[0]).fit(train)
    errors = {alpha: float(np.mean(np.square(ridge.solve(alpha).predict(past) - future))) for alpha in ALPHAS}
    best = min(errors, key=errors.get)
    log.info("ridge: alpha %g of %s, chosen on validation", best, ", ".join(f"{alpha:g}" for alpha in ALPHAS))
    return ridge.solve(best)


# Measures


def point_scores(actual: np.ndarray, forecast: np.ndarray) -> dict[str, float]:
    """Mean squared and mean absolute error over all steps and channels, in the units of both, as the benchmarks have them."""
    error = forecast.astype(np.float64) - actual
    return {"mse": float(np.mean(np.square(error))), "mae": float(np.mean(np.abs(error)))}


def own_unit_scores(actual: np.ndarray, forecast: np.ndarray, *, naive_error: np.ndarray) -> dict[str, float]:
    """MAE, RMSE, MASE and sMAPE in the series' own units, float[windows, horizon, channels] each.

    MASE (Hyndman and Koehler 2006) divides by `naive_error`, the mean absolute error of the seasonal naive forecast within the training
    steps, float, one for each series and channel: 1 is as good as that. sMAPE is in percent, 0 to 200 (Makridakis 1993); where both
    values are 0 it is 0.
    """
    error = np.abs(forecast.astype(np.float64) - actual)
    both = np.abs(actual) + np.abs(forecast)
    usable = np.broadcast_to(naive_error > 0, error.shape)
    scaled = np.divide(error, naive_error, out=np.zeros_like(error), where=usable)
    return {
        "mae_units": float(error.mean()),
        "rmse_units": float(np.sqrt(np.square(error).mean())),
        "mase": float(scaled[usable].mean()) if usable.any() else float("nan"),
        "smape": float(200 * np.divide(error, both, out=np.zeros_like(error), where=both > 0).mean()),
    }


def quantile_scores(actual: np.ndarray, forecast: np.ndarray, quantiles: Sequence[float]) -> dict[str, float]:
    """Mean pinball loss over the quantiles, and the share of values inside the outermost two, in the units of both.

    float[windows, horizon, channels], float[windows, horizon, channels, quantiles] -> "pinball", "coverage", "width"
    """
    if forecast.shape[-1] != len(quantiles) or list(quantiles) != sorted(quantiles):
        raise InputError(f"a forecast of {forecast.shape[-1]} quantiles does not go with {', '.join(map(str, quantiles))}, which must rise")
    error = actual[..., None] - forecast
    share = np.asarray(quantiles)
    inside = (actual >= forecast[..., 0]) & (actual <= forecast[..., -1])
    return {
        "pinball": float(np.mean(np.maximum(share * error, (share - 1) * error))),
        "coverage": float(inside.mean()),
        "width": float(np.mean(forecast[..., -1] - forecast[..., 0])),
    }


def naive_errors(values: np.ndarray, *, season: int) -> np.ndarray:
    """Mean absolute error of the seasonal naive forecast within float[steps, channels], for MASE: float64[channels]."""
    season = min(season, len(values) - 1)
    return np.abs(values[season:] - values[:-season]).mean(axis=0)
