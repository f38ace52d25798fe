"""The generator of the sample: series with anomalies at known rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.anomaly.streams import LabelledStream

__all__ = ["ANOMALIES", "DAY", "anomalous_series"]

ANOMALIES = ("spike", "shift", "faster", "flat")
DAY = 48  # half-hourly steps
LENGTHS = {"spike": 1, "shift": DAY // 2, "faster": DAY, "flat": DAY // 2}  # steps
MIN_ROOM = 4 * DAY  # steps for each anomaly, so that two are two days apart


def anomalous_series(
    count: int = 12, steps: int = 2800, *, seed: int, clean: float = 0.3
) -> list[LabelledStream]:
    """Generates half-hourly series of a daily season and noise, with one anomaly of each of four
    kinds at known rows, none in the first fraction `clean` of the steps.

    A spike of one row; a shift of the level for half a day; a season that runs at three times its
    speed for a day; and half a day at exactly one value, which is in itself normal. Spikes and
    shifts leave the range of the values, the other two never do: only a detector that knows what
    comes next sees them. The kinds come in any order, at least two days apart, so that a detector
    that knows the generating process finds all anomalies and no other.

    Args:
        count: number of series, named "validation ..." and "test ..." in turns.
        steps: length of each series.
        seed: seed of the generator.
        clean: fraction of the steps, at the beginning, without anomalies.

    Raises:
        InputError: too few steps for four anomalies.
    """
    rng = np.random.default_rng(seed)
    times = pd.date_range("2024-01-01", periods=steps, freq="30min")
    first = round(clean * steps)
    room = (steps - first) // len(ANOMALIES)
    if room < MIN_ROOM:
        raise InputError(
            f"the sample's {steps} steps leave {room} for each anomaly, less than {MIN_ROOM} (4 "
            "days): give a smaller training fraction",
            field="train_fraction",
        )
    streams = []
    for number in range(count):
        places = [
            (str(kind), first + i * room + int(rng.integers(DAY, room - 2 * DAY)))
            for i, kind in enumerate(rng.permutation(ANOMALIES))
        ]
        split = "test" if number % 2 else "validation"
        streams.append(
            LabelledStream(
                name=f"{split} {number // 2 + 1}",
                times=times,
                values=_values(rng, steps, places)[:, None],
                channels=["value"],
                windows=[
                    (start, start + max(LENGTHS[kind], DAY // 2) - 1) for kind, start in places
                ],
                season=DAY,
                frequency="30min",
            )
        )
    return streams


def _values(rng: np.random.Generator, steps: int, places: list[tuple[str, int]]) -> np.ndarray:
    """One series: float64[steps]. The order of the draws is the sample."""
    speed = np.ones(steps)
    for kind, start in places:
        if kind == "faster":
            speed[start : start + DAY] = 3.0  # whole turns: the season goes on as before
    angle = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(speed) / DAY
    size = rng.uniform(1, 3)
    level = rng.uniform(5, 50)
    noise = rng.normal(scale=0.08 * size, size=steps)
    values = level + size * np.sin(angle) + 0.4 * size * np.sin(2 * angle + 1) + noise
    for kind, start in places:
        rows = slice(start, start + LENGTHS[kind])
        if kind == "spike":
            values[rows] += 4 * size * rng.choice([-1, 1])
        elif kind == "shift":
            values[rows] += 2.5 * size * rng.choice([-1, 1])
        elif kind == "flat":
            values[rows] = values[start]
    return values
