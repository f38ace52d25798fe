"""Forecasts without a network: the last value, the last season, the mean of the seasons, and ridge
regression."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from rnn_cookbook.baselines import timed_scores
from rnn_cookbook.encode.windows import Windows
from rnn_cookbook.files import log
from rnn_cookbook.tasks.forecasting.scores import point_scores

__all__ = [
    "ALPHAS",
    "RidgeForecaster",
    "apply_linear",
    "fit_ridge",
    "forecast_baselines",
    "repeat_last",
    "season_within",
    "seasonal_mean",
    "seasonal_naive",
]

# Penalties of the ridge regression that are tried on the validation split.
ALPHAS = (0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0)


def repeat_last(window: np.ndarray, horizon: int) -> np.ndarray:
    """Repeats the last value: float[windows, lookback, channels] -> float[windows, horizon,
    channels]."""
    return np.repeat(window[:, -1:], horizon, axis=1)


def seasonal_naive(window: np.ndarray, horizon: int, *, season: int) -> np.ndarray:
    """Repeats the last season: float[windows, lookback, channels] -> float[windows, horizon,
    channels].

    Args:
        window: values to forecast from.
        horizon: steps to forecast.
        season: steps of a season; a window that is shorter repeats whole.
    """
    season = min(season, window.shape[1])
    return window[:, window.shape[1] - season + np.arange(horizon) % season]


def seasonal_mean(window: np.ndarray, horizon: int, *, season: int) -> np.ndarray:
    """Forecasts the mean of the window's values at the same place in the season: float[windows,
    lookback, channels] -> float[windows, horizon, channels].

    Args:
        window: values to forecast from.
        horizon: steps to forecast.
        season: steps of a season; a window that is shorter gives its mean.
    """
    seasons = window.shape[1] // season
    if not seasons:
        return np.repeat(window.mean(axis=1, keepdims=True), horizon, axis=1)
    whole = window[:, window.shape[1] - seasons * season :]
    mean = whole.reshape(len(window), seasons, season, -1).mean(axis=1)
    return mean[:, np.arange(horizon) % season]


def season_within(season: int, *, lookback: int) -> int:
    """Returns the season, or 1 where a window is shorter than that, which is logged: the naive
    forecasts then repeat the last value.

    Args:
        season: steps of a season.
        lookback: steps of a window.
    """
    if season <= lookback:
        return season
    log.warning(
        "a season of %d steps is longer than the look-back of %d: the naive forecasts repeat the "
        "last value",
        season,
        lookback,
    )
    return 1


def apply_linear(weights: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Makes a linear forecast from the window less its last value, which is added again:
    float[windows, lookback, channels] -> float[windows, horizon, channels].

    Args:
        weights: float[lookback + 1, horizon], the constant in the last row.
        window: values to forecast from.
    """
    last = window[:, -1:]
    # A row for each channel of each window: one matrix product instead of one per window.
    rows = np.ascontiguousarray((window - last).transpose(0, 2, 1)).reshape(-1, window.shape[1])
    change = (rows @ weights[:-1] + weights[-1]).reshape(len(window), window.shape[2], -1)
    return change.transpose(0, 2, 1) + last


def _normal_equations(windows: Windows, chunk: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    """Sums X'X and X'Y over all windows and channels in double precision, `chunk` windows at a
    time."""
    size = windows.lookback + 1
    gram = np.zeros((size, size))
    moments = np.zeros((size, windows.horizon))
    past, future = windows.arrays()
    for start in range(0, len(past), chunk):
        part = slice(start, start + chunk)
        for channel in range(past.shape[2]):
            x = past[part, :, channel].astype(np.float64)
            y = future[part, :, channel].astype(np.float64)
            last = x[:, -1:]
            x = np.concatenate([x - last, np.ones((len(x), 1))], axis=1)
            gram += x.T @ x
            moments += x.T @ (y - last)
    return gram, moments


class RidgeForecaster:
    """A ridge regression that forecasts every step as a linear function of the window, from which
    its last value is subtracted (NLinear: Zeng et al. 2023), in closed form.

    One regression serves all channels and series. It beats most deep forecasters on the standard
    benchmarks, in seconds.

    Args:
        alpha: weight of the squared norm of the coefficients, for a sum of squared errors.
    """

    def __init__(self, alpha: float = 1.0):
        self.alpha = alpha

    def fit(self, windows: Windows) -> RidgeForecaster:
        """Fits the regression to all windows and returns it."""
        self.gram, self.moments = _normal_equations(windows)
        return self.solve(self.alpha)

    def solve(self, alpha: float) -> RidgeForecaster:
        """Solves the fitted equations anew for another `alpha` and returns the regression."""
        penalty = np.eye(len(self.gram)) * alpha
        penalty[-1, -1] = 0  # the constant is not penalised
        self.alpha = alpha
        self.weights = np.linalg.solve(self.gram + penalty, self.moments).astype(np.float32)
        return self

    def predict(self, window: np.ndarray) -> np.ndarray:
        """Forecasts float[windows, lookback, channels] -> float32[windows, horizon, channels]."""
        return apply_linear(self.weights, window)


def fit_ridge(train: Windows, validation: Windows) -> RidgeForecaster:
    """Fits a `RidgeForecaster`, with the alpha of `ALPHAS` that has the smallest squared error on
    validation.

    Args:
        train: windows that the coefficients are fitted to.
        validation: windows that choose alpha.
    """
    past, future = validation.arrays()
    ridge = RidgeForecaster(ALPHAS[0]).fit(train)
    errors = {}
    for alpha in ALPHAS:
        errors[alpha] = point_scores(future, ridge.solve(alpha).predict(past))["mse"]
    best = min(ALPHAS, key=lambda alpha: errors[alpha])
    tried = ", ".join(f"{alpha:g}" for alpha in ALPHAS)
    log.info("ridge: alpha %g of %s, chosen on validation", best, tried)
    return ridge.solve(best)


def forecast_baselines(
    train: Windows,
    validation: Windows,
    test: Windows,
    *,
    season: int,
    score: Callable[[np.ndarray], dict],
    keep: Callable[[str, np.ndarray], None] | None = None,
) -> dict[str, dict]:
    """Forecasts the test windows by every method without a network.

    `repeat_last`, `seasonal_naive` and `seasonal_mean` read each window alone; `ridge` is
    `fit_ridge` of the training and validation windows.

    Args:
        train: windows to fit to.
        validation: windows to choose settings on.
        test: windows to forecast.
        season: steps of a season.
        score: function from a forecast, float[windows, horizon, channels], to its scores, "mse"
            among them.
        keep: function called with the name and the forecast of each method.

    Returns:
        Name of the method -> its scores, and "seconds".
    """
    past, _ = test.arrays()
    methods: dict[str, Callable[[], np.ndarray]] = {
        "repeat_last": lambda: repeat_last(past, test.horizon),
        "seasonal_naive": lambda: seasonal_naive(past, test.horizon, season=season),
        "seasonal_mean": lambda: seasonal_mean(past, test.horizon, season=season),
        "ridge": lambda: fit_ridge(train, validation).predict(past),
    }

    def kept(name: str) -> np.ndarray:
        forecast = methods[name]()
        if keep:
            keep(name, forecast)
        return forecast

    return timed_scores({name: partial(kept, name) for name in methods}, score, metric="mse")
