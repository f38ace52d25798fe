"""Time stamps as people write them, and how long the steps between them are."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log

__all__ = ["in_days", "mean_step", "read_times", "season_of"]

_ZONE = re.compile(r"\d\d:\d\d.*?(Z|[+-]\d\d:?(?:\d\d)?)$")
# Steps of a season, for steps of shortest to longest days: a week of days (or of business days), a
# year of weeks, of months, of quarters.
_SEASONS = ((1, 1, 7), (1.3, 1.45, 5), (7, 7, 52), (28, 31, 12), (89, 93, 4))


def read_times(column: pd.Series, *, path: Path) -> pd.Series:
    """Reads a column of time stamps, all of one time zone, or all of none.

    ISO 8601 is accepted, a year alone too; otherwise dates with the month or the day first,
    whichever order reads more of them, in the order of time, and more evenly.

    Args:
        column: time stamps, or text; its index holds the numbers of the rows in the file.
        path: file of the table, for messages.

    Returns:
        Time stamps under the same index.

    Raises:
        InputError: several time zones, or a time stamp that is missing or cannot be read.
    """
    if not pd.api.types.is_datetime64_any_dtype(column):
        text = column.map(lambda value: "" if pd.isna(value) else str(value).strip())
        _check_zones(text, path)
        column = _parsed(text, path)
    missing = column.index[column.isna().to_numpy()]
    if len(missing):
        raise InputError(
            f"{path}, row {missing[0]}: no time stamp in column {column.name!r} ({len(missing)} "
            "such rows)"
        )
    return column


def in_days(step: Any) -> float:
    """Returns the length of a `pd.Timedelta` in days."""
    return step / timedelta(days=1)


def mean_step(frequency: str | pd.DateOffset) -> pd.Timedelta:
    """Returns the length of a step; of months and the like, the mean length."""
    times = pd.date_range("2024-01-01", periods=29, freq=frequency)
    span: Any = times[-1] - times[0]
    return span / (len(times) - 1)


def season_of(frequency: str | pd.DateOffset) -> int:
    """Returns the steps of the season to try first: a day of hours or minutes, a week of days, a
    year of weeks, months or quarters; 1 where no whole number of steps makes a season."""
    days = in_days(mean_step(frequency))
    if days < 1:
        per_day = 1 / days
        return round(per_day) if abs(per_day - round(per_day)) < 1e-6 else 1
    for shortest, longest, season in _SEASONS:
        if shortest <= days <= longest:
            return season
    return 1


def _check_zones(text: pd.Series, path: Path) -> None:
    zones = text.map(lambda value: found[1] if (found := _ZONE.search(value)) else "none")
    if zones.nunique() > 1:
        first = zones.drop_duplicates()
        mixed = ", ".join(f"{zone} in row {row}" for row, zone in first.items())
        raise InputError(
            f"{path} mixes time zones: {mixed}. Write all of column {text.name!r} in one time "
            "zone, such as UTC"
        )


def _parsed(text: pd.Series, path: Path) -> pd.Series:
    times = pd.to_datetime(text, format="ISO8601", errors="coerce")
    if times.isna().any():
        readings = [
            times,
            pd.to_datetime(text, format="mixed", dayfirst=False, errors="coerce"),
            pd.to_datetime(text, format="mixed", dayfirst=True, errors="coerce"),
        ]
        times = min(readings, key=_doubts)
        if not times.isna().any():
            log.info("%s: %r is read as %s", path, text.iloc[-1], times.iloc[-1])
    wrong = times.index[times.isna().to_numpy() & (text != "").to_numpy()]
    if len(wrong):
        raise InputError(
            f"{path}, row {wrong[0]}: {text[wrong[0]]!r} in column {text.name!r} is no time stamp "
            f"({len(wrong)} such rows); accepted are dates and times such as 2024-01-31 or "
            "2024-01-31 13:00:00+01:00"
        )
    return times


def _doubts(times: pd.Series) -> tuple[int, bool, bool, int]:
    """What speaks against a reading of the dates, the most telling first.

    In a whole year of days the wrong order of day and month gives the same days, mixed up, so the
    order of the rows decides, of nearly all of them. The first or last days of months are even,
    though months are not; the days of Januaries only look even.
    """
    backward = (times.diff() < pd.Timedelta(0)).sum()
    monthly = (times.dt.day == 1).all() or times.dt.is_month_end.all()
    return (
        int(times.isna().sum()),
        bool(20 * backward > len(times)),
        not monthly,
        times.sort_values().diff().nunique(),
    )
