"""Series whose best possible forecast is known."""

import numpy as np
import pandas as pd

from rnn_cookbook.data.series import Series

SERIES_MEMORY, SERIES_NOISE, SERIES_SEASON = (
    0.95,
    0.3,
    24,
)  # of the AR(1) process, standard deviation of its innovations, steps


def seasonal_series(steps: int, *, seed: int, channels: int = 2) -> Series:
    """Hourly values: a daily season of two harmonics, a slow trend, and AR(1) noise.

    All but the noise follows from what is seen, and of the noise at best its mean given the last
    value is known: `seasonal_floor` is the mean squared error that no forecast of these series can
    go below. Channels have seasons of their own.

    Args:
        steps: how many; the first is at midnight.
        seed: of the noise, the phases and the amplitudes.
        channels: series side by side, independent of each other.
    """
    law, noise = _seasonal_parts(steps, seed=seed, channels=channels)
    times = pd.date_range("2024-01-01", periods=steps, freq="h")
    return Series(times, law + noise, [f"series {i}" for i in range(1, channels + 1)])


def seasonal_oracle(
    steps: int, origins: np.ndarray, horizon: int, *, seed: int, channels: int = 2
) -> np.ndarray:
    """The best possible forecast of `seasonal_series` with the same arguments, by who knows its law
    and the noise so far.

    Args:
        origins: int[windows], the first step that each forecast is of.
        horizon: steps.

    Returns:
        float64[windows, horizon, channels]. Its error on one finite series is what luck makes of
        `seasonal_floor`.
    """
    law, noise = _seasonal_parts(steps, seed=seed, channels=channels)
    memory = SERIES_MEMORY ** np.arange(1, horizon + 1)
    return (
        law[origins[:, None] + np.arange(horizon)] + noise[origins - 1][:, None] * memory[:, None]
    )


def _seasonal_parts(steps: int, *, seed: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Season and trend, and the noise on them: float64[steps, channels] each."""
    rng = np.random.default_rng(seed)
    time, parts = np.arange(steps), []
    for _ in range(channels):
        angle = 2 * np.pi * time / SERIES_SEASON
        season = sum(
            rng.uniform(1, 2) / k * np.sin(k * angle + rng.uniform(0, 2 * np.pi)) for k in (1, 2)
        )
        trend = rng.uniform(-1, 1) * time / 1000
        noise, now = np.empty(steps), rng.normal(scale=SERIES_NOISE / np.sqrt(1 - SERIES_MEMORY**2))
        for i, shock in enumerate(rng.normal(scale=SERIES_NOISE, size=steps)):
            noise[i] = now = SERIES_MEMORY * now + shock
        parts.append((10 + season + trend, noise))
    law, noise = (np.stack(part, axis=1) for part in zip(*parts, strict=True))
    return law, noise


def seasonal_floor(horizon: int) -> float:
    """The least mean squared error over the next `horizon` steps of `seasonal_series`, in its
    units: the variance of an AR(1) process so many steps ahead."""
    memory = SERIES_MEMORY ** (2 * np.arange(1, horizon + 1))
    return float(np.mean(SERIES_NOISE**2 * (1 - memory) / (1 - SERIES_MEMORY**2)))
