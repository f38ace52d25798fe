"""Labels of anomalies: a column of flags, or a table of the windows' beginnings and ends."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from rnn_cookbook.data.series import ID_NAMES, MISSING, Series
from rnn_cookbook.data.tables import Table, read_table
from rnn_cookbook.data.timestamps import read_times
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.tasks.anomaly.streams import Window

__all__ = ["FLAGS", "FLAG_NAMES", "labelled_windows", "read_flags", "runs"]

FLAG_NAMES = ("label", "is_anomaly", "anomaly", "outlier", "y_true")
BEGIN_NAMES = ("start", "begin", "from", "start_time")
END_NAMES = ("end", "to", "until", "stop", "end_time")
FLAGS = {  # words that flags are written as
    "true": 1.0,
    "yes": 1.0,
    "anomaly": 1.0,
    "anomalous": 1.0,
    "outlier": 1.0,
    "abnormal": 1.0,
    "false": 0.0,
    "no": 0.0,
    "normal": 0.0,
    "nominal": 0.0,
    "inlier": 0.0,
    "ok": 0.0,
}


def read_flags(table: Table, name: str) -> np.ndarray:
    """Reads a column of labels: float64[rows], 1 in anomalous rows, 0 in others, NaN where a label
    is missing.

    Args:
        table: table of the rows.
        name: column of the labels.

    Raises:
        InputError: a negative number, or another word than `FLAGS`.
    """
    column = table.values(name)
    text = column.map(lambda value: "" if pd.isna(value) else str(value).strip().lower())
    missing = text.isin(MISSING).to_numpy(bool)
    by_word = text.map(FLAGS).to_numpy(float)  # NaN for numbers
    by_number = np.asarray(pd.to_numeric(text.mask(missing), errors="coerce"), float)
    numbers = np.where(np.isnan(by_word), by_number, by_word)
    wrong = table.rows[(np.isnan(numbers) & ~missing) | (numbers < 0)]
    if len(wrong):
        raise InputError(
            f"{table.place(wrong[0])}: column {name!r} has {column[wrong[0]]!r}, which is no label "
            f"({len(wrong)} such rows); accepted are 0, numbers above 0 for anomalies, and "
            f"{', '.join(FLAGS)}. Name the column of the labels, or rename this column",
            field="label_column",
        )
    return np.where(np.isnan(numbers), np.nan, numbers > 0)


def runs(flags: np.ndarray) -> list[Window]:
    """Returns the rows [first, last] of each run of anomalous rows, missing labels inside
    included.

    Args:
        flags: float[rows], above 0 in anomalous rows, NaN where a label is missing.
    """
    before = pd.Series(flags).ffill() > 0
    after = pd.Series(flags).bfill() > 0
    edges = np.diff(np.concatenate([[0], (before & after).astype(int), [0]]))
    starts = np.flatnonzero(edges > 0)
    ends = np.flatnonzero(edges < 0)
    return [(int(first), int(end) - 1) for first, end in zip(starts, ends, strict=True)]


def labelled_windows(
    path: str | Path, series: Sequence[Series], *, id_column: str, like: pd.Series | None
) -> dict[str, list[Window]]:
    """Reads the windows of each series, in order, from a table of their beginnings and ends. A
    window that ends before the next row is in the row that it began after.

    Args:
        path: table of the windows.
        series: series that the windows belong to.
        id_column: column of the series' names; one with a reference name if empty.
        like: time stamps of the series as they are written, whose order of day and month the
            windows share.

    Returns:
        Name of a series -> rows [first, last] of its windows.

    Raises:
        InputError: columns are missing; times that cannot be read, or have another time zone;
            windows of an unknown series, outside their series, from end to start, or overlapping.
    """
    table = read_table(path)
    begin = table.match(BEGIN_NAMES)
    end = table.match(END_NAMES)
    if not begin or not end:
        raise InputError(
            f"{path} needs columns start and end of the anomalies; it has {table.shown()}"
        )
    identifier = id_column if id_column in table.names else table.match(ID_NAMES)
    names = table.values(identifier).astype(str) if identifier else None
    limits = _limits(table, (begin, end), series[0].times.tz, like=like)
    by_name = {each.name: each for each in series}
    windows: dict[str, list[Window]] = {name: [] for name in by_name}
    for row in limits.index:
        name = next(iter(by_name)) if names is None else str(names[row])
        place = table.place(row)
        if name not in by_name or (names is None and len(by_name) > 1):
            raise InputError(
                f"{place}: unknown stream {name!r}; known are {listing(map(repr, by_name))}, by a "
                "column unique_id"
            )
        first = limits.at[row, begin]
        last = limits.at[row, end]
        if first > last:
            written = f"{table.values(begin)[row]!r} to {table.values(end)[row]!r}"
            raise InputError(f"{place}: {written} is no time from start to end")
        windows[name].append(_rows_of(by_name[name], first, last, place=place))
    _check_overlaps(windows, by_name, path=path)
    return windows


def _rows_of(series: Series, first: pd.Timestamp, last: pd.Timestamp, *, place: str) -> Window:
    times = series.times[: len(series)]
    beyond = times[-1] + (times[-1] - times[-2]) if len(times) > 1 else times[-1]
    if last < cast(pd.Timestamp, times[0]) or first >= cast(pd.Timestamp, beyond):
        name = f" {series.name!r}" if series.name else ""
        raise InputError(
            f"{place}: {first} to {last} lies outside the stream{name}, which has values from "
            f"{times[0]} to {times[-1]}"
        )
    begin = int(np.sum(times < first))
    end = int(np.sum(times <= last)) - 1
    return min(begin, end), end


def _check_overlaps(
    windows: Mapping[str, list[Window]], series: Mapping[str, Series], *, path: str | Path
) -> None:
    """Sorts the windows, and refuses those that overlap."""
    for name, stream_windows in windows.items():
        stream_windows.sort()
        for (_, last), (first, _) in itertools.pairwise(stream_windows):
            if first <= last:
                whose = f" of {name!r}" if name else ""
                raise InputError(
                    f"{path}: anomalies{whose} overlap at {series[name].times[first]}; write them "
                    "as one"
                )


def _limits(
    table: Table, columns: tuple[str, str], zone: tzinfo | None, *, like: pd.Series | None
) -> pd.DataFrame:
    """The windows' times in the series' time zone, or in none, by the numbers of the rows."""
    written = {name: table.values(name) for name in columns}
    limits = pd.DataFrame(
        {name: read_times(column, path=table.path) for name, column in written.items()}
    )
    if not len(limits):
        return limits
    for name, times in limits.items():
        if (times.dt.tz is None) != (zone is None):
            raise InputError(
                f"{table.path}: the times in column {name!r} have "
                f"{'no' if times.dt.tz is None else 'a'} time zone, those of the streams have "
                f"{'none' if zone is None else 'one'}. Write both in the same way"
            )
    texts = pd.concat([column.astype(str) for column in written.values()], ignore_index=True)
    iso = pd.to_datetime(texts, format="ISO8601", errors="coerce").notna().all()
    if not iso and like is not None:
        # Read together with the streams' own times: one order of day and month for all.
        together = pd.concat([like.astype(str), texts], ignore_index=True)
        times = read_times(together.rename("start and end"), path=table.path).iloc[len(like) :]
        for place, name in enumerate(columns):
            part = times.iloc[place * len(limits) : (place + 1) * len(limits)]
            limits[name] = part.array
    if zone is not None:
        for name in columns:
            limits[name] = limits[name].dt.tz_convert(zone)
    return limits
