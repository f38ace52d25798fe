"""A stream that arrives line by line on standard input."""

import csv
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from rnn_cookbook.data.series import ID_NAMES, MISSING
from rnn_cookbook.data.tables import usual_column
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log
from rnn_cookbook.tasks.anomaly.data import same_channels

pass


class LineStream:
    """Rows that come line by line, as CSV: a time and the values of the channels; the first line
    may be a header, which says their order. Empty fields and nan are missing values.

    Args:
        channels: names of the values.
        name: of the stream.
        frequency: of the rows, as pandas writes it; "" if they have none.
        lines: where they come from; standard input if None.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        name: str = "",
        frequency: str = "",
        lines: Iterable[str] | None = None,
    ):
        self.channels, self.name, self.frequency, self.lines = (
            list(channels),
            name,
            frequency,
            lines,
        )
        self.end = None  # of which nobody knows

    def parts(self) -> Iterator[tuple[list[str], pd.DatetimeIndex, np.ndarray]]:
        """Each row as soon as it is there: its time as it stands, its time (NaT where that is not
        ISO 8601), and its values, float64[1, channels]. A last line that does not end is left out,
        which is logged.

        Raises:
            InputError: a line of other fields, or that are no numbers; names the line. A header
                with other names.
        """
        places, width, first, read = (
            list(range(1, len(self.channels) + 1)),
            len(self.channels) + 1,
            True,
            True,
        )
        lines = iter(sys.stdin if self.lines is None else self.lines)
        for number in itertools.count(1):
            try:
                line = next(lines, None)
                if line is None:
                    return
                if not line.endswith("\n"):
                    log.warning(
                        "line %d stops in the middle, and is left out: %r", number, line[-60:]
                    )
                    return
                fields = [field.strip() for field in next(csv.reader([line]), [])]
            except (UnicodeDecodeError, csv.Error) as error:
                raise InputError(
                    f"line {number} cannot be read: {error}; accepted are lines of CSV in UTF-8"
                ) from error
            if not fields:
                continue
            at = pd.to_datetime(fields[:1], format="ISO8601", errors="coerce")
            if at.hasnans and _is_header(fields, self.channels, first=first):
                places, width, first = _places(fields, self.channels), len(fields), False
                continue
            first = False
            try:
                if len(fields) != width:
                    raise ValueError(f"{len(fields)} fields")
                values = [
                    np.nan if fields[place].lower() in MISSING else float(fields[place])
                    for place in places
                ]
                if np.isinf(values).any():
                    raise ValueError("an infinite value")
            except ValueError as error:
                raise InputError(
                    f"line {number}, {line.strip()[:80]!r}, has {error}; accepted are a time and {width - 1} values, numbers for "
                    f"{listing(self.channels, 12)}, separated by commas"
                ) from error
            if read and at.hasnans:
                log.warning(
                    "line %d: %r is no time as in ISO 8601; such rows are taken as they come",
                    number,
                    fields[0],
                )
            read = not at.hasnans
            yield fields[:1], at, np.array([values])


def _is_header(fields: list[str], channels: Sequence[str], *, first: bool) -> bool:
    """Whether a line names the columns: it has the names of the channels, or is the first and has
    no value but words."""
    return set(channels) <= set(fields) or (
        first and len(fields) > 1 and not any(_is_value(field) for field in fields[1:])
    )


def _places(header: list[str], channels: Sequence[str]) -> list[int]:
    """Where the channels are in lines with this header, whose first column is the time."""
    if identifier := usual_column(header, ID_NAMES):
        raise InputError(
            f"the header has a column {identifier!r}: standard input is of one stream. Give its rows alone, a time and the values, or all "
            "of them as a table"
        )
    return [place + 1 for place in same_channels("the header", header[1:], channels)]


def _is_value(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.lower() in MISSING
    return True
