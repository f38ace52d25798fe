"""Simple detectors of anomalies, causal like the network: rolling z-score, windowed Gaussian,
seasonal residual."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.special import erfc

from rnn_cookbook.tasks.anomaly.scores import WARM_UP


def rolling_z(values: np.ndarray, *, window: int = 300) -> np.ndarray:
    """How many standard deviations of the last `window` values a value is away from their mean."""
    past = pd.Series(values).shift(1).rolling(window, min_periods=WARM_UP)
    distance = (pd.Series(values) - past.mean()).abs() / past.std().clip(lower=_least(values))
    return distance.fillna(0.0).to_numpy()


def windowed_gaussian(values: np.ndarray, *, window: int = 6400, step: int = 100) -> np.ndarray:
    """1 less the tail probability of a normal distribution, fitted to a window of the past that
    moves on by `step` values when it is full: the benchmark's own baseline."""
    scores, rows = np.zeros(len(values)), np.flatnonzero(~np.isnan(values))
    there = values[rows]
    for i, row in enumerate(rows[1:], start=1):
        start = max(0, (i - window) // step * step)
        if i <= window or (i - window) % step == 0:
            past = there[start : start + min(i, window)]
            mean, deviation = np.mean(past), np.std(past) or 1e-6
        scores[row] = 1 - 0.5 * erfc(abs(there[i] - mean) / deviation / np.sqrt(2))
    return scores


def seasonal_residual(values: np.ndarray, *, season: int, window: int = 300) -> np.ndarray:
    """`rolling_z` of the change since one season ago."""
    return rolling_z(
        (pd.Series(values) - pd.Series(values).shift(season)).to_numpy(), window=window
    )


def _least(values: np.ndarray) -> float:
    """A deviation so small that it is none, in the values' units."""
    return 1e-6 * (np.nanmax(np.abs(values), initial=0.0) or 1.0)


def largest(score: Callable[..., np.ndarray], values: np.ndarray, **options) -> np.ndarray:
    """Of the scores of each channel the largest: float64[rows, channels] -> float64[rows]."""
    return np.max(
        [score(values[:, channel], **options) for channel in range(values.shape[1])], axis=0
    )
