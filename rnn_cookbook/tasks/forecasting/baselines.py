"""Forecasts without a network: the last value, the season before, the mean of the seasons, ridge
regression."""

from collections.abc import Callable
from functools import partial

import numpy as np

from rnn_cookbook.baselines import timed_scores
from rnn_cookbook.encode.series import Windows
from rnn_cookbook.files import log
from rnn_cookbook.tasks.forecasting.scores import point_scores

pass

ALPHAS = (
    0.1,
    1.0,
    10.0,
    100.0,
    1000.0,
    10_000.0,
)  # of the ridge regression, tried on the validation split


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
    whole = (
        window[:, window.shape[1] - seasons * season :]
        .reshape(len(window), seasons, season, -1)
        .mean(axis=1)
    )
    return whole[:, np.arange(horizon) % season]


class RidgeForecaster:
    """Every step of the future as a linear function of the window, its last value subtracted
    (NLinear: Zeng et al. 2023), in closed form.

    One regression for all channels and series. Beats most deep forecasters on the usual benchmarks,
    in seconds.

    Args:
        alpha: of the squared norm of the weights, for a sum of squared errors.
    """

    def __init__(self, alpha: float = 1.0):
        self.alpha = alpha

    def fit(self, windows: Windows) -> "RidgeForecaster":
        """Learns from all windows; the normal equations are summed up in double precision, some
        windows at a time."""
        self.gram, self.moments = _normal_equations(windows)
        return self.solve(self.alpha)

    def solve(self, alpha: float) -> "RidgeForecaster":
        """The weights of another `alpha`, for the same windows."""
        penalty = np.eye(len(self.gram)) * alpha
        penalty[-1, -1] = 0  # not of the constant
        self.alpha, self.weights = (
            alpha,
            np.linalg.solve(self.gram + penalty, self.moments).astype(np.float32),
        )
        return self

    def predict(self, window: np.ndarray) -> np.ndarray:
        """float[windows, lookback, channels] -> float32[windows, horizon, channels]."""
        return apply_linear(self.weights, window)


def apply_linear(weights: np.ndarray, window: np.ndarray) -> np.ndarray:
    """A linear forecast by float[lookback + 1, horizon] weights, the constant last, of the window
    less its last value, which is added again: float[windows, lookback, channels] -> float[windows,
    horizon, channels]."""
    last = window[:, -1:]
    rows = np.ascontiguousarray((window - last).transpose(0, 2, 1)).reshape(
        -1, window.shape[1]
    )  # one product of all, not one each
    change = (rows @ weights[:-1] + weights[-1]).reshape(len(window), window.shape[2], -1)
    return change.transpose(0, 2, 1) + last


def _normal_equations(windows: Windows, chunk: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    size = windows.lookback + 1
    gram, moments = np.zeros((size, size)), np.zeros((size, windows.horizon))
    past, future = windows.arrays()
    for start in range(0, len(past), chunk):
        for channel in range(past.shape[2]):
            x, y = (
                part[start : start + chunk, :, channel].astype(np.float64)
                for part in (past, future)
            )
            last = x[:, -1:]
            x = np.concatenate([x - last, np.ones((len(x), 1))], axis=1)
            gram += x.T @ x
            moments += x.T @ (y - last)
    return gram, moments


def forecast_baselines(
    train: Windows,
    validation: Windows,
    test: Windows,
    *,
    season: int,
    score: Callable[[np.ndarray], dict],
    keep: Callable[[str, np.ndarray], None] | None = None,
) -> dict[str, dict]:
    """Name to `score(forecast)` of the test windows, an "mse" among it, and "seconds".

    `repeat_last`, `seasonal_naive`, `seasonal_mean` of each window; `ridge`: `RidgeForecaster`, its
    alpha chosen by the mean squared error of the validation windows. `keep` gets the name and the
    forecast of each.
    """
    past, _ = test.arrays()
    methods = {
        "repeat_last": lambda: repeat_last(past, test.horizon),
        "seasonal_naive": lambda: seasonal_naive(past, test.horizon, season=season),
        "seasonal_mean": lambda: seasonal_mean(past, test.horizon, season=season),
        "ridge": lambda: fit_ridge(train, validation).predict(past),
    }

    def kept(name: str, method: Callable[[], np.ndarray]) -> np.ndarray:
        forecast = method()
        if keep:
            keep(name, forecast)
        return forecast

    return timed_scores(
        {name: partial(kept, name, method) for name, method in methods.items()}, score, metric="mse"
    )


def fit_ridge(train: Windows, validation: Windows) -> RidgeForecaster:
    """A `RidgeForecaster` of the training windows, with that alpha of `ALPHAS` which has the least
    squared error on validation."""
    past, future = validation.arrays()
    ridge = RidgeForecaster(ALPHAS[0]).fit(train)
    errors = {
        alpha: point_scores(future, ridge.solve(alpha).predict(past))["mse"] for alpha in ALPHAS
    }
    best = min(errors, key=errors.get)
    log.info(
        "ridge: alpha %g of %s, chosen on validation",
        best,
        ", ".join(f"{alpha:g}" for alpha in ALPHAS),
    )
    return ridge.solve(best)
