"""Streams with labelled anomalies: the Numenta Anomaly Benchmark, and your own tables with labels
or without."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from rnn_cookbook.data.series import (
    ID_NAMES,
    MISSING,
    TIME_NAMES,
    Series,
    mean_step,
    read_series,
    read_times,
    season_of,
)
from rnn_cookbook.data.tables import check_column, first_row, read_table, usual_column
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log

pass
FLAGS = {"true": 1.0, "yes": 1.0, "anomaly": 1.0, "anomalous": 1.0, "outlier": 1.0, "abnormal": 1.0}
FLAGS |= dict.fromkeys(("false", "no", "normal", "nominal", "inlier", "ok"), 0.0)
FLAG_NAMES = ("label", "is_anomaly", "anomaly", "outlier", "y_true")
BEGIN_NAMES, END_NAMES = (
    ("start", "begin", "from", "start_time"),
    ("end", "to", "until", "stop", "end_time"),
)


@dataclass
class LabelledStream:
    """Rows in the order in which they came, and the windows [first, last] of rows, last included,
    of what is known to be anomalous.

    `values` is float64[rows, channels], NaN where a value is missing; `season` the steps of the
    season that one would try first; `frequency` that of the rows, as pandas writes it, if they lie
    on an even grid.
    """

    name: str
    times: pd.DatetimeIndex
    values: np.ndarray
    channels: list[str]
    windows: list[tuple[int, int]] = field(default_factory=list)
    season: int = 1
    frequency: str = ""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def end(self) -> pd.Timestamp:
        """The time of the last row."""
        return self.times[-1]

    def usual(self, first: int) -> np.ndarray:
        """Of the rows before `first` those without a missing value."""
        return self.values[:first][~np.isnan(self.values[:first]).any(axis=1)]

    def season_within(self, rows: int) -> int:
        """Its season if there is one, and if so many rows are longer than that; else 0."""
        return self.season if 1 < self.season < rows else 0

    def weeks(self, rows: int) -> float:
        """How long so many rows are, by their usual distance."""
        return rows * usual_step(self.times) / pd.Timedelta("7D")

    def parts(self, size: int = 512) -> Iterator[tuple[list[str], pd.DatetimeIndex, np.ndarray]]:
        """The rows in stretches: their times as text, their times, and their values."""
        for start in range(0, len(self), size):
            times = self.times[start : start + size]
            yield [str(at) for at in times], times, self.values[start : start + size]


def steps_between(first: pd.Timestamp, second: pd.Timestamp, frequency: str) -> int:
    """How many steps of a frequency lie between two times, rounded."""
    step = _step(frequency)
    return (
        int(np.busday_count(first.date(), second.date()))
        if step is None
        else round((second - first) / step)
    )


@cache  # it is asked for at every line of a stream
def _step(frequency: str) -> pd.Timedelta | None:
    """Its length; None for business days, which are to be counted."""
    offset = pd.tseries.frequencies.to_offset(frequency)
    return None if isinstance(offset, pd.offsets.BusinessDay) else mean_step(offset)


def usual_step(times: pd.DatetimeIndex) -> pd.Timedelta:
    """The most frequent distance between neighbours, without those that are none."""
    steps = pd.Series(times[1:] - times[:-1])
    return steps[steps > pd.Timedelta(0)].mode()[0]


# The benchmark


def season_of_rows(times: pd.DatetimeIndex) -> int:
    """Steps of the season of rows that need not be even, see `season_of`."""
    return season_of(pd.tseries.frequencies.to_offset(usual_step(times)))


# What is usual, and what is tested


def split(
    streams: Sequence[LabelledStream],
    borders: Sequence[tuple[int, int]],
    *,
    validating: str | None = None,
    testing: str = "",
) -> dict[str, list[tuple[int, int]]]:
    """Rows [first, end) of each stream, by split: "train" before the first border, "validation" up
    to the second, "test" after it.

    Args:
        streams: of any length.
        borders: two rows of each.
        validating: streams whose name begins so validate with all their rows after the first
            border, and the others with none.
        testing: then, of these others, streams whose name begins so are the test.
    """
    spans = {"train": [(0, first) for first, _ in borders], "validation": list(borders)}
    spans["test"] = [(second, len(one)) for one, (_, second) in zip(streams, borders, strict=True)]
    if validating is not None:
        names = [one.name for one in streams]
        chosen = {
            "validation": [name.startswith(validating) for name in names],
            "test": [
                name.startswith(testing) and not name.startswith(validating) for name in names
            ],
        }
        for part, flags in chosen.items():
            spans[part] = [
                (first, len(one) if flag else first)
                for one, (first, _), flag in zip(streams, borders, flags, strict=True)
            ]
    return spans


def long_enough(
    streams: Sequence[LabelledStream],
    borders: Sequence[tuple[int, int]],
    *,
    each: int,
    longest: int,
) -> tuple[list[LabelledStream], list[tuple[int, int]]]:
    """The streams, and their borders, with values in `each` training rows or more, and after the
    second border; the others are left out, which is logged.

    Args:
        streams: of any length.
        borders: rows where validation and test begin.
        each: rows.
        longest: training rows of one stream at least, of which the last fifth or half is kept to
            see how training goes.

    Raises:
        InputError: no stream is long enough.
    """
    if (most := max(first for first, _ in borders)) < longest:
        raise InputError(
            f"the most rows to train on are {most}; {longest} or more are needed. Give longer streams, another --train-fraction, or a "
            "shorter --length or --window"
        )
    kept, reasons = [], []
    for i, (one, (first, second)) in enumerate(zip(streams, borders, strict=True)):
        of = f"stream {one.name!r}" if one.name else "the stream"
        usual, rest = len(one.usual(first)), int((~np.isnan(one.values[second:])).all(axis=1).sum())
        if usual < each or not rest:
            reasons.append(
                f"{of} has {len(one)} rows, {usual} of them with values to train on, {rest} for the test; {each} or more are needed to "
                "train on, and one for the test"
            )
            continue
        kept.append(i)
        if not np.ptp(one.usual(first), axis=0).all():
            log.warning("%s: no variation at all in its first %d rows; it is not scaled", of, first)
    if not kept:
        raise InputError(f"{reasons[0]}. Give longer streams, or another --train-fraction")
    if reasons:
        log.warning(
            "%d of %d streams are too short, and left out: %s",
            len(reasons),
            len(streams),
            listing(reasons, 3),
        )
    return [streams[i] for i in kept], [borders[i] for i in kept]


def only_table(inputs: Iterable[list[str]], default: str) -> str:
    """The one table that is to be scored."""
    given = [path for paths in inputs for path in paths] or [default]
    if len(given) > 1:
        raise InputError(f"one table at a time, got {', '.join(given)}")
    return given[0]


def the_name(name: str, known: Iterable[str]) -> str:
    """A stream that is known, by its name; the only one where no name is given."""
    known = list(dict.fromkeys(known))
    if name in known:
        return name
    if not name and len(known) == 1:
        return known[0]
    raise InputError(
        f"which stream is it that goes on? --stream {name!r} is none of {listing(map(repr, known), 12)}"
    )


def same_channels(where: str, found: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where the columns that the model was trained on are among those that were found. Of one
    column the name does not matter.

    Raises:
        InputError: not all of them are there.
    """
    if len(found) == len(wanted) == 1:
        return [0]
    if missing := [name for name in wanted if name not in found]:
        raise InputError(
            f"{where} has the value columns {listing(map(repr, found), 12)}; the model was trained on {listing(map(repr, wanted), 12)}: "
            f"{listing(map(repr, missing), 12)} missing"
        )
    return [list(found).index(name) for name in wanted]


def matching(
    path: str,
    streams: Sequence[LabelledStream],
    *,
    channels: Sequence[str],
    frequency: str,
    held: bool = False,
) -> list[LabelledStream]:
    """Streams of a new table with their channels as a model was trained on, which had steps of
    `frequency` (any if empty). With `held` without their last row: rows that are averaged into
    steps may not all have come yet.

    Raises:
        InputError: channels are missing, or the steps are others.
    """
    if frequency and streams[0].frequency != frequency:
        raise InputError(
            f"{path} has steps of {streams[0].frequency or 'no even length'}; the model was trained on steps of {frequency}: bring the "
            "rows to those first"
        )
    order = same_channels(path, streams[0].channels, channels)
    rows = slice(-1 if held else None)
    return [
        replace(one, times=one.times[rows], values=one.values[rows, order], channels=list(channels))
        for one in streams
    ]


# Your own


def read_streams(
    path: str | Path,
    *,
    columns: str | Sequence[str] = "",
    time_column: str = "",
    id_column: str = "",
    label_column: str = "",
    labels: str | Path = "",
    frequency: str = "",
    fill: str = "keep",
    step: str | None = None,
) -> list[LabelledStream]:
    """Streams of a table, see `data.series.read_series`; missing values may stay missing.

    Labels are optional: a column that is called label, is_anomaly or anomaly (or as `label_column`
    says), above 0, true or yes in anomalous rows; or a table of their own, `labels`, with columns
    start and end, both included, and unique_id where there are several streams. Anomalous rows with
    nothing but missing labels between them are one anomaly. With a `step`, that of the table that a
    model was trained on, "" if it had none, the table is a new one, which is read without labels;
    its rows must keep to the step where `frequency` does not bring them to it.

    Raises:
        InputError: what `read_series` raises; labels twice, or that are none; windows that cannot
            be read, lie outside their stream, or overlap.
    """
    path = Path(path)
    table = read_table(path)
    names = [str(name) for name in table.columns]
    table = table.set_axis(names, axis=1)
    usual = [name for name in names if name.strip().lower() in FLAG_NAMES]
    if step is not None:  # a new table
        table, labels, label_column, usual = (
            table.drop(columns={*usual, label_column} & {*names}),
            "",
            "",
            [],
        )
    if label_column:
        check_column(path, names, label_column, option="--label-column")
    elif len(usual) > 1:
        raise InputError(
            f"{path} has several columns of labels, {listing(map(repr, usual))}: name one with --label-column"
        )
    flags = label_column or next(iter(usual), "")
    if flags and labels:
        raise InputError(
            f"{path} has labels in its column {flags!r}, and {labels} has others: leave one of them out"
        )
    if flags:
        table = table.drop(columns={*usual} - {flags}).assign(**{flags: _flags(path, table[flags])})
    options = {
        "time_column": time_column,
        "id_column": id_column,
        "frequency": frequency,
        "step": step or "",
        "fill": fill,
    }
    series = read_series(
        path,
        columns=columns,
        covariates=[flags] if flags else "",
        fill_covariates="keep",
        table=table,
        **options,
    )
    if labels:
        like = (
            table[found]
            if (found := time_column or usual_column(list(table.columns), TIME_NAMES)) in table
            else None
        )
        windows = _labelled_windows(Path(labels), series, id_column=id_column, like=like)
    else:
        windows = {one.name: _runs(one.known[: len(one), 0]) if flags else [] for one in series}
    return [
        LabelledStream(
            one.name,
            one.times[: len(one)],
            one.values,
            one.channels,
            windows[one.name],
            season_of(one.times.freq),
            one.times.freqstr,
        )
        for one in series
    ]


def _flags(path: Path, column: pd.Series) -> pd.Series:
    """1 in anomalous rows, 0 in others, NaN where nothing is said."""
    text = column.map(lambda value: "" if pd.isna(value) else str(value).strip().lower())
    numbers = pd.to_numeric(
        text.map(FLAGS).fillna(pd.to_numeric(text.mask(text.isin(MISSING)), errors="coerce"))
    )
    wrong = np.flatnonzero((numbers.isna() & ~text.isin(MISSING)) | (numbers < 0))
    if len(wrong):
        raise InputError(
            f"{path}, row {wrong[0] + first_row(path)}: column {column.name!r} has {column.iloc[wrong[0]]!r}, which is no label "
            f"({len(wrong)} such rows); accepted are 0, numbers above it for anomalies, and {', '.join(FLAGS)}. Name the column of the "
            "labels with --label-column, or call this one otherwise"
        )
    return (numbers > 0).astype(float).mask(numbers.isna())


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Rows [first, last] of each run of those above 0, NaN between them included."""
    flags = (pd.Series(flags).ffill() > 0) & (pd.Series(flags).bfill() > 0)
    edges = np.diff(np.concatenate([[0], flags.astype(int), [0]]))
    return [
        (int(first), int(end) - 1)
        for first, end in zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True)
    ]


def _labelled_windows(
    path: Path, series: Sequence[Series], *, id_column: str, like: pd.Series | None
) -> dict[str, list[tuple[int, int]]]:
    """The windows of each series, in order, from a table of their beginnings and ends, dates in the
    same order of day and month as those `like` which the streams' own are. One that ends before the
    next row is in the row that it began after."""
    table = read_table(path)
    table.index = pd.RangeIndex(len(table)) + first_row(path)
    names = [str(name) for name in table.columns]
    begin, end = (usual_column(names, usual) for usual in (BEGIN_NAMES, END_NAMES))
    if not begin or not end:
        raise InputError(
            f"{path} needs columns start and end of the anomalies, it has {listing(map(repr, names))}"
        )
    identifier = id_column if id_column in names else usual_column(names, ID_NAMES)
    limits = _limits(path, table[[begin, end]], series[0].times.tz, like=like)
    found: dict[str, list[tuple[int, int]]] = {one.name: [] for one in series}
    by_name = {one.name: one for one in series}
    for row, entry in table.iterrows():
        name = str(entry[identifier]) if identifier else next(iter(by_name))
        if name not in by_name or (not identifier and len(by_name) > 1):
            raise InputError(
                f"{path}, row {row}: which stream is {name!r}? There are {listing(map(repr, by_name))}, by unique_id"
            )
        first, last = limits.loc[row]
        if first > last:
            raise InputError(
                f"{path}, row {row}: {entry[begin]!r} to {entry[end]!r} is no time from start to end"
            )
        times = by_name[name].times[: len(by_name[name])]
        beyond = times[-1] + (times[-1] - times[-2]) if len(times) > 1 else times[-1]
        if last < times[0] or first >= beyond:
            raise InputError(
                f"{path}, row {row}: {first} to {last} lies outside the stream{f' {name!r}' if name else ''}, which has values from "
                f"{times[0]} to {times[-1]}"
            )
        rows = [int(times.searchsorted(first)), int(times.searchsorted(last, side="right")) - 1]
        found[name].append((min(rows), rows[1]))
    for name, windows in found.items():
        windows.sort()
        for (_, last), (first, _) in itertools.pairwise(windows):
            if first <= last:
                raise InputError(
                    f"{path}: anomalies{f' of {name!r}' if name else ''} overlap at {by_name[name].times[first]}; make them one"
                )
    return found


def _limits(path: Path, table: pd.DataFrame, zone, *, like: pd.Series | None) -> pd.DataFrame:
    """Times of a table of labels as those of the streams are: in their time zone, or in none."""
    limits = pd.DataFrame({column: read_times(path, table[column]) for column in table})
    for column, times in limits.items():
        if len(times) and (times.dt.tz is None) != (zone is None):
            raise InputError(
                f"{path}: the times in column {column!r} have {'no' if times.dt.tz is None else 'a'} time zone, those of the streams have "
                f"{'none' if zone is None else 'one'}. Write both in the same way"
            )
    iso = pd.to_datetime(table.stack().astype(str), format="ISO8601", errors="coerce").notna().all()
    if not iso and like is not None and len(table):  # one reading for all of them
        together = pd.concat(
            [like.astype(str), *(table[column].astype(str) for column in table)], ignore_index=True
        )
        times = read_times(path, together.rename("start and end"))[len(like) :]
        parts = (
            times[start : start + len(table)].array for start in range(0, len(times), len(table))
        )
        limits = pd.DataFrame(dict(zip(table, parts, strict=True)), index=table.index)
    return (
        limits
        if zone is None or not len(limits)
        else limits.apply(lambda times: times.dt.tz_convert(zone))
    )
