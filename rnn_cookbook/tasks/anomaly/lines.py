"""A stream that arrives line by line on standard input."""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rnn_cookbook.data.series import ID_NAMES, MISSING
from rnn_cookbook.data.tables import match_column
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log
from rnn_cookbook.tasks.anomaly.streams import channel_places

__all__ = ["LineStream"]

SHOWN_NAMES = 12  # in a message
SHOWN_CHARACTERS = 80  # of a line, in a message
SHOWN_END = 60  # characters of a line that is cut off, in a message


class LineStream:
    """A stream of rows as lines of CSV: a time and the values of the channels. The first line may
    be a header, which says their order. Empty fields and nan are missing values.

    Args:
        channels: names of the channels.
        name: name of the stream.
        frequency: distance of the rows as pandas writes it; "" if they lie on no even grid.
        lines: lines, each with its line end; standard input if None.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        name: str = "",
        frequency: str = "",
        lines: Iterable[str] | None = None,
    ):
        self.channels = list(channels)
        self.name = name
        self.frequency = frequency
        self.lines = lines
        self.end: pd.Timestamp | None = None  # not known

    def parts(self) -> Iterator[tuple[list[str], pd.DatetimeIndex, np.ndarray]]:
        """Yields each row as soon as it arrives: its time as text, its time (NaT where the text is
        not ISO 8601), and its values, float64[1, channels].

        A last line without its end is left out, which is logged.

        Raises:
            InputError: a line with other fields, or with a value that is no finite number; a header
                without the channels.
        """
        layout = _Layout.without_header(self.channels)
        first = True
        readable = True
        for number, line in _lines(sys.stdin if self.lines is None else self.lines):
            fields = _fields(number, line)
            if not fields:
                continue
            times = pd.to_datetime(fields[:1], format="ISO8601", errors="coerce")
            if times.hasnans and _is_header(fields, self.channels, first=first):
                layout = _Layout.of_header(fields, self.channels)
                first = False
                continue
            first = False
            try:
                values = layout.values(fields)
            except ValueError as error:
                raise InputError(
                    f"line {number}, {line.strip()[:SHOWN_CHARACTERS]!r}, has {error}; accepted "
                    f"are a time and {layout.fields - 1} values, numbers for "
                    f"{listing(self.channels, SHOWN_NAMES)}, separated by commas"
                ) from error
            if readable and times.hasnans:
                log.warning(
                    "line %d: %r is no time as in ISO 8601; such rows are taken as they come",
                    number,
                    fields[0],
                )
            readable = not times.hasnans
            yield fields[:1], times, np.array([values])


@dataclass(frozen=True)
class _Layout:
    """How many fields a line has, and where the channels are among them."""

    fields: int
    places: list[int]

    @classmethod
    def without_header(cls, channels: Sequence[str]) -> _Layout:
        return cls(fields=len(channels) + 1, places=list(range(1, len(channels) + 1)))

    @classmethod
    def of_header(cls, header: list[str], channels: Sequence[str]) -> _Layout:
        """The layout of lines with this header, whose first column is the time."""
        identifier = match_column(header, ID_NAMES)
        if identifier:
            raise InputError(
                f"the header has a column {identifier!r}: standard input is of one stream. Give "
                "the rows of one stream, a time and the values, or those of all as a table"
            )
        places = channel_places("the header", header[1:], channels)
        return cls(fields=len(header), places=[place + 1 for place in places])

    def values(self, fields: list[str]) -> list[float]:
        """The values of a line; ValueError where it has others."""
        if len(fields) != self.fields:
            raise ValueError(f"{len(fields)} fields")
        values = [
            np.nan if fields[place].lower() in MISSING else float(fields[place])
            for place in self.places
        ]
        if np.isinf(values).any():
            raise ValueError("an infinite value")
        return values


def _lines(source: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The whole lines with their numbers."""
    lines = iter(source)
    for number in itertools.count(1):
        try:
            line = next(lines, None)
        except UnicodeDecodeError as error:
            raise _unreadable(number, error) from error
        if line is None:
            return
        if not line.endswith("\n"):
            log.warning(
                "line %d stops in the middle, and is left out: %r", number, line[-SHOWN_END:]
            )
            return
        yield number, line


def _fields(number: int, line: str) -> list[str]:
    try:
        return [field.strip() for field in next(csv.reader([line]), [])]
    except csv.Error as error:
        raise _unreadable(number, error) from error


def _unreadable(number: int, error: Exception) -> InputError:
    return InputError(f"line {number} cannot be read: {error}; accepted are lines of CSV in UTF-8")


def _is_header(fields: list[str], channels: Sequence[str], *, first: bool) -> bool:
    """Whether a line names the columns: it has the names of the channels, or is the first and has
    words for values."""
    if set(channels) <= set(fields):
        return True
    return first and len(fields) > 1 and not any(_is_value(field) for field in fields[1:])


def _is_value(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.lower() in MISSING
    return True
