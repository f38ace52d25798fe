"""Rows at any time to rows on an even grid of time, by a stated rule: nothing is guessed in
silence."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from rnn_cookbook.data.timestamps import in_days
from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log

__all__ = ["Fill", "filled", "on_grid"]

Fill = Literal["refuse", "linear", "last", "zero", "keep"]

# Days of the shortest and of the longest month, quarter and year, and pandas' letter for them.
_CALENDAR = ((28, 31, "M"), (90, 92, "Q"), (365, 366, "Y"))
# As pandas writes them: `%b` goes by the locale.
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_FEWEST_ROWS = 3  # two distances between neighbours, which may agree
_FEWEST_DAYS = 11  # so many days without a weekend are business days
# A frequency that makes more steps of the rows than this is taken for an error.
_STEPS_PER_ROW = 100
_STEPS_BESIDE = 1000


def on_grid(
    frame: pd.DataFrame, rows: np.ndarray, *, place: str, frequency: str = "", step: str = ""
) -> pd.DataFrame:
    """Puts rows on an even grid of time; steps without a row have missing values.

    Args:
        frame: numbers under a DatetimeIndex, in the order of the file.
        rows: int[rows], numbers of the rows in the file, for messages.
        place: what the rows belong to, for messages.
        frequency: frequency of the grid; rows that fall into the same step are averaged. If empty,
            the most frequent distance between neighbours, which every row must keep to.
        step: frequency that every row must keep to, where it is known.

    Returns:
        Numbers under a DatetimeIndex that has a frequency.

    Raises:
        InputError: a time that occurs twice or lies off the grid, too few rows to tell their
            distance, or a frequency that pandas lacks or that does not suit the rows.
    """
    if not frame.index.is_monotonic_increasing:
        log.warning("%s: rows are not in the order of time; they were sorted", place)
        rows = rows[frame.index.argsort(kind="stable")]
        frame = frame.sort_index(kind="stable")
    if frequency:
        return _resampled(frame, place, frequency)
    times = pd.DatetimeIndex(frame.index)
    repeated = np.flatnonzero(times.duplicated())
    if len(repeated):
        first = repeated[0]
        raise InputError(
            f"{place}: {times[first]} occurs more than once, in row {rows[first - 1]} and row "
            f"{rows[first]} ({len(repeated)} such rows). Leave one out, name the column that tells "
            "the series apart, or give a frequency, which averages the rows of each step",
            field=("id_column", "frequency"),
        )
    grid = pd.date_range(times[0], times[-1], freq=step or _frequency(times, place))
    off = np.flatnonzero(~times.isin(grid))
    if len(off):
        row = f"{place}, row {rows[off[0]]}: {times[off[0]]} does not lie on the grid"
        if step:
            raise InputError(
                f"{row} from {times[0]} on in steps of {step}, those of the training ({len(off)} "
                "such rows)"
            )
        raise InputError(
            f"{row} that starts at {grid[0]} in steps of {grid.freqstr} ({len(off)} such rows). "
            f"Give a frequency, such as {_whole_months(grid)}, to average the rows of each step",
            field="frequency",
        )
    return frame.reindex(grid)


def filled(frame: pd.DataFrame, fill: Fill | str, *, place: str) -> pd.DataFrame:
    """Puts values into steps that have none, which is logged.

    Args:
        frame: numbers on an even grid.
        fill: what becomes of steps without a value: "refuse" them, put in the "linear"
            interpolation, the "last" value, or "zero", or "keep" them as NaN. At the ends, where
            there is nothing to interpolate between, the nearest value.
        place: what the rows belong to, for messages.

    Raises:
        InputError: a step without a value, where `fill` refuses it; or an unknown `fill`.
    """
    if fill not in get_args(Fill):
        raise InputError(
            f"fill must be one of {', '.join(get_args(Fill))}; received {fill!r}", field="fill"
        )
    missing: np.ndarray = frame.isna().to_numpy()
    if not missing.any():
        return frame
    counts = zip(frame.columns, missing.sum(axis=0), strict=True)
    steps = ", ".join(f"{count} steps of {name!r}" for name, count in counts if count)
    first = frame.index[np.flatnonzero(missing.any(axis=1))[0]]
    gaps = f"{place}: no value for {steps} (the first at {first})"
    if fill == "refuse":
        raise InputError(f"{gaps}. Choose what to put in: linear, last or zero", field="fill")
    log.warning("%s; %s", gaps, "left out" if fill == "keep" else f"filled: {fill}")
    if fill == "keep":
        return frame
    if fill == "zero":
        return frame.fillna(0.0)
    values = frame.interpolate("linear") if fill == "linear" else frame.ffill()
    return values.ffill().bfill()


def _resampled(frame: pd.DataFrame, place: str, frequency: str) -> pd.DataFrame:
    try:
        steps = _steps(frame.index[0], frame.index[-1], frequency)
        if steps > _STEPS_PER_ROW * len(frame) + _STEPS_BESIDE:
            raise InputError(
                f"frequency {frequency!r} does not suit {place}: it would put {len(frame)} rows "
                f"into {steps:g} steps",
                field="frequency",
            )
        resampled = frame.resample(frequency).mean()
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(
            f"frequency {frequency!r} is none that pandas knows ({error}); accepted are h, 15min, "
            "D, W-MON, MS, for example",
            field="frequency",
        ) from error
    if len(resampled) != len(frame):
        log.info(
            "%s: %d rows in %d steps of %s, averaged where several fall into one",
            place,
            len(frame),
            len(resampled),
            frequency,
        )
    return resampled


def _steps(start: pd.Timestamp, end: pd.Timestamp, frequency: str) -> float:
    offset = pd.tseries.frequencies.to_offset(frequency)
    if start + offset > start:
        return (end - start) / (start + offset - start)
    return np.inf


def _frequency(times: pd.DatetimeIndex, place: str) -> str | pd.Timedelta:
    """The most frequent distance between neighbours, by the calendar where it has a name for it."""
    if len(times) < _FEWEST_ROWS:
        raise InputError(
            f"{place} has {len(times)} rows, too few to tell the distance between them: give the "
            "frequency",
            field="frequency",
        )
    distance: Any = pd.Series(times[1:] - times[:-1]).mode()[0]
    days = in_days(distance)
    if days == 1 and not (times.day_of_week > 4).any() and len(times) >= _FEWEST_DAYS:
        return "B"
    letter = _calendar_letter(days)
    ends = times.is_month_end.all()
    if letter and (ends or (times.day == 1).all()):
        # Quarters from January, April, July or October are the same quarters.
        month = times.month[0] if letter == "Y" else (times.month[0] - 1) % 3 + 1
        anchor = "" if letter == "M" else f"-{_MONTHS[month - 1]}"
        return f"{letter}{'E' if ends else 'S'}{anchor}"
    # Days by the calendar: where clocks are put forward and back, they have 23 hours and 25.
    return f"{days:.0f}D" if days >= 1 and days == round(days) else distance


def _calendar_letter(days: float) -> str:
    for shortest, longest, letter in _CALENDAR:
        if shortest <= days <= longest:
            return letter
    return ""


def _whole_months(grid: pd.DatetimeIndex) -> str:
    """The frequency of the grid; months where it is days, as many as a month has."""
    letter = _calendar_letter(in_days(grid[1] - grid[0]))
    return f"{letter}S" if letter else grid.freqstr
