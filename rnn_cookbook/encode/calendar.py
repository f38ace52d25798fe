"""The calendar as numbers: where a time lies within the day, the week and the year."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

__all__ = ["CYCLES", "calendar_cycles", "calendar_features"]

CYCLES = {"day": pd.Timedelta("1D"), "week": pd.Timedelta("7D"), "year": pd.Timedelta("365D")}


def calendar_cycles(times: pd.DatetimeIndex) -> list[str]:
    """Returns which of day, week and year can be learnt from these times: their steps are fine
    enough to tell the parts of a cycle, and they cover two whole cycles or more.

    Of a shorter window the last part would be new to a model that learnt from the first.
    """
    if len(times) < 2:
        return []
    step = pd.Timedelta((times[1:] - times[:-1]).min())
    span = pd.Timedelta(times[-1] - times[0])
    return [
        name for name, length in CYCLES.items() if 2 * step <= length and 2 * length <= span + step
    ]


def calendar_features(times: pd.DatetimeIndex, cycles: Sequence[str]) -> np.ndarray:
    """Returns the sine and cosine of the time within each cycle.

    Args:
        times: time of each step.
        cycles: names of cycles, of `CYCLES`.

    Returns:
        float32[steps, 2 * cycles] between -1 and 1.
    """
    day = (times.hour + times.minute / 60 + times.second / 3600) / 24
    phases = {
        "day": day,
        "week": (times.day_of_week + day) / 7,
        "year": (times.day_of_year - 1 + day) / 366,
    }
    columns = [wave(2 * np.pi * phases[name]) for name in cycles for wave in (np.sin, np.cos)]
    if not columns:
        return np.zeros((len(times), 0), np.float32)
    return np.stack(columns, axis=1).astype(np.float32)
