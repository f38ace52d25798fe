"""Simple anomaly detectors, causal like the network: rolling z-score, windowed Gaussian, seasonal
residual.

Each scores one channel by what came before each row: float64[rows] -> float64[rows].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.special import erfc

from rnn_cookbook.tasks.anomaly.scores import RowScores
from rnn_cookbook.tasks.anomaly.streams import LabelledStream
from rnn_cookbook.tasks.anomaly.tails import WARM_UP

__all__ = [
    "largest_channel",
    "rolling_z",
    "seasonal_residual",
    "simple_detectors",
    "windowed_gaussian",
]

NEGLIGIBLE = 1e-6  # a standard deviation relative to the values that counts as none


def rolling_z(values: np.ndarray, *, window: int = 300) -> np.ndarray:
    """Scores by the distance from the mean of the last `window` values, in standard deviations."""
    past = pd.Series(values).shift(1).rolling(window, min_periods=WARM_UP)
    smallest = NEGLIGIBLE * (np.nanmax(np.abs(values), initial=0.0) or 1.0)
    distance = (pd.Series(values) - past.mean()).abs() / past.std().clip(lower=smallest)
    return distance.fillna(0.0).to_numpy()


def windowed_gaussian(values: np.ndarray, *, window: int = 6400, step: int = 100) -> np.ndarray:
    """Scores by 1 - the tail probability of a normal distribution, which is fitted to a window of
    the past that moves on by `step` values when it is full: the NAB's own baseline."""
    scores = np.zeros(len(values))
    rows = np.flatnonzero(~np.isnan(values))
    present = values[rows]
    mean = 0.0
    deviation = 1.0
    for i, row in enumerate(rows[1:], start=1):
        start = max(0, (i - window) // step * step)
        if i <= window or (i - window) % step == 0:
            past = present[start : start + min(i, window)]
            mean = np.mean(past)
            deviation = np.std(past) or NEGLIGIBLE
        scores[row] = 1 - 0.5 * erfc(abs(present[i] - mean) / deviation / np.sqrt(2))
    return scores


def seasonal_residual(values: np.ndarray, *, season: int, window: int = 300) -> np.ndarray:
    """Scores by `rolling_z` of the change since one season ago."""
    change = pd.Series(values) - pd.Series(values).shift(season)
    return rolling_z(change.to_numpy(), window=window)


def largest_channel(score: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> RowScores:
    """Scores every channel and takes the largest score of each row.

    Args:
        score: function from one channel, float64[rows], to its scores.
        values: values of a stream, float64[rows, channels].
    """
    largest = np.max([score(channel) for channel in values.T], axis=0)
    return RowScores(score=largest, evidence=largest)


def simple_detectors(
    streams: Sequence[LabelledStream], *, seasons: Sequence[int]
) -> dict[str, Callable[[], Sequence[RowScores]]]:
    """Returns name -> function that scores all streams with the detector of that name.

    Args:
        streams: streams to score.
        seasons: length of each stream's season in steps; 0 where there is none.
    """

    def with_one(score: Callable[[np.ndarray], np.ndarray]) -> list[RowScores]:
        return [largest_channel(score, stream.values) for stream in streams]

    def with_seasons() -> list[RowScores]:
        scored = []
        for stream, season in zip(streams, seasons, strict=True):

            def score(values: np.ndarray, season: int = season or 1) -> np.ndarray:
                return seasonal_residual(values, season=season)

            scored.append(largest_channel(score, stream.values))
        return scored

    return {
        "rolling_z": lambda: with_one(rolling_z),
        "windowed_gaussian": lambda: with_one(windowed_gaussian),
        "seasonal_residual": with_seasons,
    }
