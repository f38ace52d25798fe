"""Streams with labelled anomalies: the Numenta Anomaly Benchmark, and your own tables with labels or without."""

import csv
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from rnn_cookbook.data import sources
from rnn_cookbook.data.series import ID_NAMES, Series, read_series, season_of
from rnn_cookbook.data.texts import check_column, first_row, read_table, usual_column
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.runs import log

NAB_URL = "https://raw.githubusercontent.com/numenta/NAB/master"
FLAG_NAMES = ("label", "is_anomaly", "anomaly", "outlier", "y_true")
BEGIN_NAMES, END_NAMES = ("start", "begin", "from", "start_time"), ("end", "to", "until", "stop", "end_time")


@dataclass
class LabelledStream:
    """Rows in the order in which they came, and the windows [first, last] of rows, last included, of what is known to be anomalous.

    `values` is float64[rows, channels], NaN where a value is missing; `season` the steps of the season that one would try first.
    """

    name: str
    times: pd.DatetimeIndex
    values: np.ndarray
    channels: list[str]
    windows: list[tuple[int, int]] = field(default_factory=list)
    season: int = 1

    def __len__(self) -> int:
        return len(self.values)

    def usual(self, first: int) -> np.ndarray:
        """Of the rows before `first` those without a missing value."""
        return self.values[:first][~np.isnan(self.values[:first]).any(axis=1)]

    def season_within(self, rows: int) -> int:
        """Its season if there is one, and if so many rows are longer than that; else 0."""
        return self.season if 1 < self.season < rows else 0

    def weeks(self, rows: int) -> float:
        """How long so many rows are, by their usual distance."""
        return rows * usual_step(self.times) / pd.Timedelta("7D")

    def parts(self, size: int = 512) -> Iterator[tuple[list[str], np.ndarray]]:
        """The rows in stretches: their times and values."""
        for start in range(0, len(self), size):
            yield [str(at) for at in self.times[start : start + size]], self.values[start : start + size]


class LineStream:
    """Rows that come line by line, as CSV: a time and the values of the channels; the first line may be a header. Empty fields and nan
    are missing values.

    Args:
        channels: names of the values.
        name: of the stream.
        lines: where they come from; standard input if None.
    """

    def __init__(self, channels: Sequence[str], *, name: str = "", lines: Iterable[str] | None = None):
        self.channels, self.name, self.lines = list(channels), name, lines

    def parts(self) -> Iterator[tuple[list[str], np.ndarray]]:
        """Each row as soon as it is there: its time and its values, float64[1, channels]. A last line that does not end is left out, which
        is logged.

        Raises:
            InputError: a line of other fields, or that are no numbers; names the line.
        """
        for number, line in enumerate(sys.stdin if self.lines is None else self.lines, start=1):
            if not line.endswith("\n"):
                log.warning("line %d stops in the middle, and is left out: %r", number, line[-60:])
                return
            fields = next(csv.reader([line]), [])
            if not fields:
                continue
            try:
                if len(fields) != len(self.channels) + 1:
                    raise ValueError(f"{len(fields)} fields")
                values = [np.nan if field.strip().lower() in ("", "nan", "na", "null", "none") else float(field) for field in fields[1:]]
                if np.isinf(values).any():
                    raise ValueError("an infinite value")
            except ValueError as error:
                if number == 1 and not any(_is_number(field) for field in fields[1:]):
                    continue
                raise InputError(
                    f"line {number}, {line.strip()[:80]!r}, has {error}; accepted is a time and {len(self.channels)} numbers "
                    f"({', '.join(self.channels)}), separated by commas"
                ) from error
            yield [fields[0]], np.array([values])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def usual_step(times: pd.DatetimeIndex) -> pd.Timedelta:
    """The most frequent distance between neighbours, without those that are none."""
    steps = pd.Series(times[1:] - times[:-1])
    return steps[steps > pd.Timedelta(0)].mode()[0]


# The benchmark


def nab_files(data_dir: str | Path | None = None) -> list[str]:
    """Names of the benchmark's files that are in the data folder, such as "realKnownCause/nyc_taxi.csv"; of those that can be downloaded,
    where there are none."""
    folder = sources.data_folder(data_dir) / "nab" / "data"
    found, known = sorted(file.relative_to(folder).as_posix() for file in folder.glob("*/*.csv")), _checksums()
    if found and (missing := known.keys() - set(found)):
        log.warning(
            "%d of the %d files of NAB are not in %s, and left out; empty it to have all downloaded", len(missing), len(known), folder
        )
    return found or sorted(known)


def read_nab(name: str, *, data_dir: str | Path | None = None) -> LabelledStream:
    """A file of the benchmark with its labels, from the data folder, or downloaded there.

    Rows are taken as they are, as the benchmark's scorer does: where a time stamp occurs twice or is missing, nothing is put in.

    Raises:
        InputError: it is neither there nor can it be downloaded, or it is another file than the benchmark's.
    """
    known = _checksums()
    path = sources.data_folder(data_dir) / "nab" / "data" / name
    if name in known:
        path = sources.download(f"nab/data/{name}", url=f"{NAB_URL}/data/{name}", sha256=known[name], data_dir=data_dir)
    elif not path.exists():
        raise InputError(f"no file {name!r} in {path.parent.parent}; known are {listing(sorted(known))}")
    labels = sources.download(
        "nab/labels/combined_windows.json",
        url=f"{NAB_URL}/labels/combined_windows.json",
        sha256=_LABELS_SHA256,
        data_dir=data_dir,
        part=_labels_of_known_files,
    )
    frame = pd.read_csv(path)
    times = pd.DatetimeIndex(pd.to_datetime(frame["timestamp"]))
    own = json.loads(labels.read_text(encoding="utf-8")).get(name)
    if own is None:
        raise InputError(f"{path} is no file of the benchmark: {labels} has no labels for it; give your own files with --data")
    limits = [[pd.Timestamp(at) for at in limit] for limit in own]
    windows = [tuple(int(np.flatnonzero(times == at)[0]) for at in limit) for limit in limits]
    return LabelledStream(name, times, frame[["value"]].to_numpy(float), ["value"], windows, season_of_rows(times))


def season_of_rows(times: pd.DatetimeIndex) -> int:
    """Steps of the season of rows that need not be even, see `season_of`."""
    return season_of(pd.tseries.frequencies.to_offset(usual_step(times)))


_LABELS_SHA256 = "839778d87cd0802bbda9cfd296556f6acae68d209936d24ad504810b94054ed0"


def _labels_of_known_files(content: bytes) -> bytes:
    """What the checksum of the labels is of: those of the files whose own checksums are known, in one spelling."""
    labels = json.loads(content)
    return json.dumps({name: labels.get(name) for name in sorted(_checksums())}).encode()


@cache
def _checksums() -> dict[str, str]:
    return json.loads(files("rnn_cookbook.data").joinpath("nab.json").read_text(encoding="utf-8"))


# What is usual, and what is tested


def split(
    streams: Sequence[LabelledStream], borders: Sequence[tuple[int, int]], *, validating: str | None = None, testing: str = ""
) -> dict[str, list[tuple[int, int]]]:
    """Rows [first, end) of each stream, by split: "train" before the first border, "validation" up to the second, "test" after it.

    Args:
        streams: of any length.
        borders: two rows of each.
        validating: streams whose name begins so validate with all their rows after the first border, and the others with none.
        testing: then, streams whose name begins so are the test.
    """
    spans = {"train": [(0, first) for first, _ in borders], "validation": list(borders)}
    spans["test"] = [(second, len(one)) for one, (_, second) in zip(streams, borders, strict=True)]
    if validating is not None:
        for part, beginning in (("validation", validating), ("test", testing)):
            spans[part] = [
                (first, len(one) if one.name.startswith(beginning) else first) for one, (first, _) in zip(streams, borders, strict=True)
            ]
    return spans


def check_lengths(streams: Sequence[LabelledStream], borders: Sequence[tuple[int, int]], *, each: int, longest: int) -> None:
    """Raises InputError where the training rows with values of a stream are fewer than `each`, or nothing follows them; or where no stream
    has `longest` training rows, of which the last fifth or half is kept to see how training goes.

    Args:
        streams: of any length.
        borders: rows where validation and test begin.
        each, longest: rows.
    """
    if (most := max(first for first, _ in borders)) < longest:
        raise InputError(
            f"the most rows to train on are {most}; {longest} or more are needed. Give longer streams, another --train-fraction, or a "
            "shorter --length or --window"
        )
    for one, (first, second) in zip(streams, borders, strict=True):
        of = f"stream {one.name!r}" if one.name else "the stream"
        usual = len(one.usual(first))
        if usual < each or second >= len(one):
            raise InputError(
                f"{of} has {len(one)} rows, {usual} of them with values to train on, {len(one) - second} for the test; {each} or more "
                "are needed to train on. Leave it out, or give another --train-fraction"
            )
        if not np.ptp(one.usual(first), axis=0).all():
            log.warning("%s: no variation at all in its first %d rows; it is not scaled", of, first)


def the_name(name: str, known: Iterable[str]) -> str:
    """A stream of the training by its name; the only one where no name is given."""
    known = list(known)
    if name in known:
        return name
    if not name and len(known) == 1:
        return known[0]
    raise InputError(f"which stream is it that goes on? --stream {name!r} is none of {listing(map(repr, known), 12)}")


def check_channels(path: str, streams: Sequence[LabelledStream], *, channels: Sequence[str]) -> None:
    """Raises InputError where streams have not as many values as those of the training."""
    found = streams[0].channels
    if len(found) != len(channels):
        raise InputError(f"{path} has {len(found)} value columns, {listing(found)}; the model was trained on {listing(channels)}")


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
    new: bool = False,
) -> list[LabelledStream]:
    """Streams of a table, see `data.series.read_series`; missing values may stay missing.

    Labels are optional: a column of numbers that is called label, is_anomaly or anomaly (or as `label_column` says), above 0 in anomalous
    rows; or a table of their own, `labels`, with columns start and end, both included, and unique_id where there are several streams.
    A `new` table need not have the `label_column` of an older one.

    Raises:
        InputError: what `read_series` raises; labels twice; windows that cannot be read, lie outside their stream, or overlap.
    """
    path = Path(path)
    names = [str(name) for name in read_table(path).columns]
    if label_column and new and label_column not in names:
        label_column = ""
    if label_column:
        check_column(path, names, label_column, option="--label-column")
    flags = label_column or usual_column(names, FLAG_NAMES) or ""
    if flags and labels:
        raise InputError(f"{path} has labels in its column {flags!r}, and {labels} has others: leave one of them out")
    options = {"time_column": time_column, "id_column": id_column, "frequency": frequency, "fill": fill}
    escaped = flags.replace('"', '""')
    quoted = f'"{escaped}"' if flags else ""
    series = read_series(path, columns=columns, covariates=quoted, **options)
    if labels:
        windows = _labelled_windows(Path(labels), series)
    else:
        windows = {one.name: _runs(one.known[: len(one), 0] > 0) if flags else [] for one in series}
    return [
        LabelledStream(one.name, one.times[: len(one)], one.values, one.channels, windows[one.name], season_of(one.times.freq))
        for one in series
    ]


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Rows [first, last] of each run of true ones."""
    edges = np.diff(np.concatenate([[0], flags.astype(int), [0]]))
    return [(int(first), int(end) - 1) for first, end in zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True)]


def _labelled_windows(path: Path, series: Sequence[Series]) -> dict[str, list[tuple[int, int]]]:
    """The windows of each series, in order, from a table of their beginnings and ends."""
    table = read_table(path)
    table.index = pd.RangeIndex(len(table)) + first_row(path)
    names = [str(name) for name in table.columns]
    begin, end = (usual_column(names, usual) for usual in (BEGIN_NAMES, END_NAMES))
    if not begin or not end:
        raise InputError(f"{path} needs columns start and end of the anomalies, it has {listing(map(repr, names))}")
    identifier = usual_column(names, ID_NAMES)
    found: dict[str, list[tuple[int, int]]] = {one.name: [] for one in series}
    by_name = {one.name: one for one in series}
    for row, entry in table.iterrows():
        name = str(entry[identifier]) if identifier else next(iter(by_name))
        if name not in by_name or (not identifier and len(by_name) > 1):
            raise InputError(f"{path}, row {row}: which stream is {name!r}? There are {listing(map(repr, by_name))}, by unique_id")
        limits = [pd.to_datetime(entry[column], errors="coerce") for column in (begin, end)]
        if any(pd.isna(limit) for limit in limits) or limits[0] > limits[1]:
            raise InputError(f"{path}, row {row}: {entry[begin]!r} to {entry[end]!r} is no time from start to end")
        times = by_name[name].times[: len(by_name[name])]
        rows = np.flatnonzero((times >= limits[0]) & (times <= limits[1]))
        if not len(rows):
            raise InputError(
                f"{path}, row {row}: {limits[0]} to {limits[1]} lies outside the stream{f' {name!r}' if name else ''}, which has values "
                f"from {times[0]} to {times[-1]}"
            )
        found[name].append((int(rows[0]), int(rows[-1])))
    for name, windows in found.items():
        windows.sort()
        for (_, last), (first, _) in itertools.pairwise(windows):
            if first <= last:
                raise InputError(
                    f"{path}: anomalies{f' of {name!r}' if name else ''} overlap at {by_name[name].times[first]}; make them one"
                )
    return found
