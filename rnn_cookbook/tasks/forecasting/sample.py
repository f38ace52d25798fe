"""Series whose best possible forecast is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rnn_cookbook.data.series import Series

__all__ = [
    "SERIES_MEMORY",
    "SERIES_NOISE",
    "SERIES_SEASON",
    "seasonal_floor",
    "seasonal_oracle",
    "seasonal_series",
]

SERIES_MEMORY = 0.95  # coefficient of the AR(1) noise
SERIES_NOISE = 0.3  # standard deviation of its innovations
SERIES_SEASON = 24  # steps
_LEVEL = 10  # mean of every series
_TREND_STEPS = 1000  # steps in which a trend changes a series by at most 1
_HARMONICS = (1, 2)  # waves per season


def _seasonal_parts(steps: int, *, seed: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Season and trend, and the noise on them: float64[steps, channels] each."""
    rng = np.random.default_rng(seed)
    time = np.arange(steps)
    laws = []
    noises = []
    for _ in range(channels):
        angle = 2 * np.pi * time / SERIES_SEASON
        season = np.zeros(steps)
        for k in _HARMONICS:
            amplitude = rng.uniform(1, 2) / k
            phase = rng.uniform(0, 2 * np.pi)
            season = season + amplitude * np.sin(k * angle + phase)
        trend = rng.uniform(-1, 1) * time / _TREND_STEPS
        # The first value has the standard deviation of the process, so that it is stationary.
        now = rng.normal(scale=SERIES_NOISE / np.sqrt(1 - SERIES_MEMORY**2))
        noise = np.empty(steps)
        for i, innovation in enumerate(rng.normal(scale=SERIES_NOISE, size=steps)):
            now = SERIES_MEMORY * now + innovation
            noise[i] = now
        laws.append(_LEVEL + season + trend)
        noises.append(noise)
    return np.stack(laws, axis=1), np.stack(noises, axis=1)


def seasonal_series(steps: int, *, seed: int, channels: int = 2) -> Series:
    """Generates hourly values: a daily season of two harmonics, a slow trend, and AR(1) noise.

    Everything but the noise follows from the past, and of the noise only its mean given the last
    value can be forecast: no forecast of these series has a smaller mean squared error than
    `seasonal_floor`. Each channel has a season of its own.

    Args:
        steps: number of steps; the first is at midnight.
        seed: seed of the noise, the phases and the amplitudes.
        channels: number of series side by side, independent of each other.
    """
    law, noise = _seasonal_parts(steps, seed=seed, channels=channels)
    times = pd.date_range("2024-01-01", periods=steps, freq="h")
    return Series(times, law + noise, [f"series {i}" for i in range(1, channels + 1)])


def seasonal_oracle(
    steps: int, origins: np.ndarray, horizon: int, *, seed: int, channels: int = 2
) -> np.ndarray:
    """Makes the best possible forecast of `seasonal_series` with the same arguments: that of an
    oracle which knows the generating process and the noise so far.

    On one finite series its error differs from `seasonal_floor` by chance.

    Args:
        steps: number of steps of the series.
        origins: first step of each forecast, int[windows].
        horizon: steps to forecast.
        seed: seed of the series.
        channels: number of series side by side.

    Returns:
        float64[windows, horizon, channels].
    """
    law, noise = _seasonal_parts(steps, seed=seed, channels=channels)
    memory = SERIES_MEMORY ** np.arange(1, horizon + 1)
    expected_noise = noise[origins - 1][:, None] * memory[:, None]
    return law[origins[:, None] + np.arange(horizon)] + expected_noise


def seasonal_floor(horizon: int) -> float:
    """Computes the minimum mean squared error over the next `horizon` steps of `seasonal_series`,
    in its squared units: the variance of an AR(1) process so many steps ahead."""
    memory = SERIES_MEMORY ** (2 * np.arange(1, horizon + 1))
    return float(np.mean(SERIES_NOISE**2 * (1 - memory) / (1 - SERIES_MEMORY**2)))
