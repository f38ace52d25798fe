"""Streams with labelled anomalies: their rows, their splits, and their match with what a model was
trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import cast

import numpy as np
import pandas as pd

from rnn_cookbook.data.timestamps import mean_step, season_of
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log

__all__ = [
    "LabelledStream",
    "Span",
    "Window",
    "channel_places",
    "long_enough",
    "matching",
    "season_of_rows",
    "sizes",
    "split",
    "steps_between",
    "typical_step",
]

Span = tuple[int, int]  # rows [first, end)
Window = tuple[int, int]  # rows [first, last] of an anomaly or an alarm, last included

WEEK = cast(pd.Timedelta, pd.Timedelta("7D"))
SHOWN_NAMES = 12  # in a message
SHOWN_REASONS = 3


@dataclass
class LabelledStream:
    """A stream's rows in order of arrival, and the windows of its known anomalies.

    Args:
        name: name of the stream; "" where there is only one.
        times: time of each row.
        values: float64[rows, channels], NaN where a value is missing.
        channels: names of the channels.
        windows: rows [first, last] of each anomaly, last included.
        season: length in steps of the season that one would try first; 1 for none.
        frequency: distance of the rows as pandas writes it; "" where they lie on no even grid.
    """

    name: str
    times: pd.DatetimeIndex
    values: np.ndarray
    channels: list[str]
    windows: list[Window] = field(default_factory=list)
    season: int = 1
    frequency: str = ""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def end(self) -> pd.Timestamp:
        """The time of the last row."""
        return cast(pd.Timestamp, self.times[-1])

    def complete_rows(self, first: int, end: int | None = None) -> np.ndarray:
        """Returns the rows [first, end) without missing values, float64[rows, channels]."""
        values = self.values[first:end]
        return values[~np.isnan(values).any(axis=1)]

    def season_within(self, rows: int) -> int:
        """Returns the length of the season if there is one and `rows` are more than that, else
        0."""
        return self.season if 1 < self.season < rows else 0

    def weeks(self, rows: int) -> float:
        """Returns how many weeks `rows` rows last, by their typical distance."""
        return rows * typical_step(self.times) / WEEK

    def parts(self, size: int = 512) -> Iterator[tuple[list[str], pd.DatetimeIndex, np.ndarray]]:
        """Yields `size` rows at a time: their times as text, their times, and their values."""
        for start in range(0, len(self), size):
            times = self.times[start : start + size]
            yield [str(time) for time in times], times, self.values[start : start + size]


def steps_between(first: pd.Timestamp, second: pd.Timestamp, frequency: str) -> int:
    """Counts the steps of a frequency between two times, rounded."""
    step = _length_of_step(frequency)
    if step is None:
        return int(np.busday_count(first.date(), second.date()))
    return round((second - first) / step)


@cache  # called for every line of a stream
def _length_of_step(frequency: str) -> pd.Timedelta | None:
    """None for business days, which have no constant length."""
    offset = pd.tseries.frequencies.to_offset(frequency)
    return None if isinstance(offset, pd.offsets.BusinessDay) else mean_step(frequency)


def typical_step(times: pd.DatetimeIndex) -> pd.Timedelta:
    """Returns the most frequent positive distance between neighbours."""
    steps = pd.Series(times[1:] - times[:-1])
    return steps.loc[steps > pd.Timedelta(0)].mode().iloc[0]


def season_of_rows(times: pd.DatetimeIndex) -> int:
    """Returns the length of the season in steps of rows that need not be evenly spaced, see
    `season_of`."""
    return season_of(pd.tseries.frequencies.to_offset(typical_step(times)).freqstr)


def split(
    streams: Sequence[LabelledStream],
    borders: Sequence[tuple[int, int]],
    *,
    validating: str | None = None,
    testing: str = "",
) -> dict[str, list[Span]]:
    """Splits streams by time, and, where names are given, by stream as well.

    Args:
        streams: streams of any length.
        borders: rows of each stream where validation and test begin.
        validating: beginning of the names of the streams that validate with all rows after their
            first border, while the others validate with none.
        testing: beginning of the names of the streams that test, among those that do not validate.

    Returns:
        Rows [first, end) of each stream, by split: "train" before the first border, "validation" up
        to the second, "test" after it.
    """
    spans = {
        "train": [(0, first) for first, _ in borders],
        "validation": list(borders),
        "test": [
            (second, len(stream)) for stream, (_, second) in zip(streams, borders, strict=True)
        ],
    }
    if validating is None:
        return spans
    for i, (stream, (first, _)) in enumerate(zip(streams, borders, strict=True)):
        validates = stream.name.startswith(validating)
        tests = stream.name.startswith(testing) and not validates
        spans["validation"][i] = (first, len(stream) if validates else first)
        spans["test"][i] = (first, len(stream) if tests else first)
    return spans


def sizes(spans: Mapping[str, Sequence[Span]]) -> dict[str, int]:
    """Counts the rows of each split, as `split` returns them."""
    return {name: sum(end - first for first, end in parts) for name, parts in spans.items()}


def long_enough(
    streams: Sequence[LabelledStream],
    borders: Sequence[tuple[int, int]],
    *,
    min_rows: int,
    min_longest: int,
) -> tuple[list[LabelledStream], list[tuple[int, int]]]:
    """Selects the streams that have enough rows with values before the first border, and any after
    the second; the others are left out, which is logged.

    Args:
        streams: streams of any length.
        borders: rows of each stream where validation and test begin.
        min_rows: minimum number of training rows with values.
        min_longest: minimum number of training rows of the longest stream, whose end is held out to
            see how training goes.

    Returns:
        The selected streams and their borders.

    Raises:
        InputError: no stream is long enough.
    """
    longest = max(first for first, _ in borders)
    if longest < min_longest:
        raise InputError(
            f"no stream has more than {longest} rows to train on; {min_longest} or more are "
            "needed. Give longer streams, a larger training fraction or shorter windows",
            field=("train_fraction", "length", "window"),
        )
    kept: list[int] = []
    reasons: list[str] = []
    for i, (stream, (first, second)) in enumerate(zip(streams, borders, strict=True)):
        name = f"stream {stream.name!r}" if stream.name else "the stream"
        training = stream.complete_rows(0, first)
        testing = len(stream.complete_rows(second))
        if len(training) < min_rows or not testing:
            reasons.append(
                f"{name} has {len(stream)} rows, {len(training)} of them with values to train on, "
                f"{testing} for the test; {min_rows} or more are needed to train on, and 1 for the "
                "test"
            )
            continue
        kept.append(i)
        if not np.ptp(training, axis=0).all():
            log.warning(
                "%s: no variation at all in its first %d rows; it is not scaled", name, first
            )
    if not kept:
        raise InputError(
            f"{reasons[0]}. Give longer streams, or another training fraction",
            field="train_fraction",
        )
    if reasons:
        log.warning(
            "%d of %d streams are too short, and left out: %s",
            len(reasons),
            len(streams),
            listing(reasons, SHOWN_REASONS),
        )
    return [streams[i] for i in kept], [borders[i] for i in kept]


def channel_places(where: str, names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Returns the places of a model's channels among the value columns of new data. Where there is
    one column on both sides its name does not matter.

    Args:
        where: source of the data, for the message.
        names: names of the value columns.
        wanted: names of the channels that the model was trained on.

    Raises:
        InputError: not all channels are there.
    """
    if len(names) == len(wanted) == 1:
        return [0]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise InputError(
            f"{where} has the value columns {_quoted(names)}; the model was trained on "
            f"{_quoted(wanted)}: {_quoted(missing)} missing"
        )
    return [list(names).index(name) for name in wanted]


def _quoted(names: Sequence[str]) -> str:
    return listing(map(repr, names), SHOWN_NAMES)


def matching(
    path: str,
    streams: Sequence[LabelledStream],
    *,
    channels: Sequence[str],
    frequency: str,
    held: bool = False,
) -> list[LabelledStream]:
    """Brings the streams of a new table to the channels that a model was trained on.

    Args:
        path: path of the table, for messages.
        streams: streams of the table.
        channels: names of the model's channels.
        frequency: frequency of the model's training data; any if empty.
        held: whether the last row is left out, because rows that are averaged into its step may
            still come.

    Raises:
        InputError: channels are missing, or the steps are others.
    """
    if frequency and streams[0].frequency != frequency:
        raise InputError(
            f"{path} has steps of {streams[0].frequency or 'no even length'}; the model was "
            f"trained on steps of {frequency}: resample the rows to these first"
        )
    places = channel_places(path, streams[0].channels, channels)
    rows = slice(-1 if held else None)
    return [
        replace(
            stream,
            times=stream.times[rows],
            values=stream.values[rows, places],
            channels=list(channels),
        )
        for stream in streams
    ]
