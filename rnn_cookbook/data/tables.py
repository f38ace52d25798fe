"""Tables as people have them: .csv, .tsv, .jsonl, .parquet."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rnn_cookbook.errors import InputError, listing

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "SPLIT_NAMES",
    "TABLES",
    "Table",
    "clean",
    "match_column",
    "read_table",
    "read_utf8",
    "split_files",
]

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "unlabelled": "unlabelled",
    "unlabeled": "unlabelled",
    "unsup": "unlabelled",
}
_SHOWN_COLUMNS = 12  # in messages


@dataclass(frozen=True)
class Table:
    """A table as it stands in a file, with the number that each row has there.

    Attributes:
        path: file that was read, for messages.
        frame: cells as read, strings or the types of a Parquet file, under string column names;
            missing values stay missing.
        rows: int64[rows], the number of each row in the file, for messages. In a CSV the header is
            row 1. Rows are counted, not lines: a quoted line break inside a field makes a row
            longer than a line.
    """

    path: Path
    frame: pd.DataFrame
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> list[str]:
        """Names of the columns, in order."""
        return list(self.frame.columns)

    def place(self, row: int) -> str:
        """Returns where a row stands, as messages say it: "my.csv, row 5"."""
        return f"{self.path}, row {row}"

    def values(self, name: str) -> pd.Series:
        """Returns a column as read; its index holds the numbers of the rows in the file."""
        column: pd.Series = self.frame[name]  # pyright: ignore[reportAssignmentType]  # one name
        return column.set_axis(self.rows)

    def texts(self, name: str) -> list[str]:
        """Returns a column as text that any file takes; "" where a value is missing."""
        column = self.frame[name]
        return [
            "" if missing else clean(str(value))
            for value, missing in zip(column, column.isna(), strict=True)
        ]

    def without(self, *names: str) -> Table:
        """Returns the table without the columns `names`; names that it lacks are ignored."""
        return replace(self, frame=self.frame.drop(columns=list(names), errors="ignore"))

    def match(self, names: Sequence[str]) -> str:
        """Returns the column with one of the reference `names`, "" where none has; see
        `match_column`."""
        return match_column(self.names, names)

    def column(
        self, given: str, names: Sequence[str], what: str, *, field: str | tuple[str, ...] = ()
    ) -> str:
        """Returns the name of a column: `given`, else the first of the reference `names` that the
        table has, else its only column.

        Args:
            given: name that the user gave, or "".
            names: reference names, in lower case, in order of preference.
            what: what the column holds, for messages, such as "time".
            field: setting that names the column, see `InputError`.

        Raises:
            InputError: no column `given`; or none given, and none that has a reference name.
        """
        if given:
            self.require(given, field=field)
            return given
        matched = self.match(names)
        if not matched and len(self.names) == 1:
            return self.names[0]
        if not matched:
            raise InputError(
                f"cannot tell which column of {self.path} holds the {what}: none is called "
                f"{', '.join(names)}; it has {self.shown()}",
                field=field,
            )
        return matched

    def columns(
        self, given: str | Sequence[str], *, field: str | tuple[str, ...] = ()
    ) -> list[str]:
        """Returns the names of several columns, each once.

        Args:
            given: names, as a list or separated by commas; as in a CSV, a name with a comma stands
                in double quotes.
            field: setting that names the columns, see `InputError`.

        Raises:
            InputError: no such column.
        """
        if isinstance(given, str):
            cells = next(csv.reader([given], skipinitialspace=True), [])
            given = [cell.strip() for cell in cells if cell.strip()]
        for name in given:
            self.require(name, field=field)
        return list(dict.fromkeys(given))

    def require(self, name: str, *, field: str | tuple[str, ...] = ()) -> None:
        """Checks that the table has a column `name`.

        Args:
            name: column that the user named.
            field: setting that names the column, see `InputError`.

        Raises:
            InputError: no such column.
        """
        if name not in self.names:
            raise InputError(
                f"{self.path} has no column {name!r}; it has {self.shown()}", field=field
            )

    def shown(self) -> str:
        """Returns the names of the columns as messages list them."""
        return listing(map(repr, self.names), _SHOWN_COLUMNS)


def read_table(path: str | Path) -> Table:
    """Reads a table; the cells of text files stay strings.

    Args:
        path: file that ends in .csv, .tsv, .jsonl or .parquet.

    Raises:
        InputError: an unknown suffix, an empty, binary or broken file, or text that is not UTF-8.
    """
    import pandas as pd

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in TABLES:
        raise InputError(
            f"{path} is no table: it ends in {suffix or 'nothing'}; accepted are "
            f"{', '.join(TABLES)}"
        )
    try:
        frame = pd.read_parquet(path) if suffix == ".parquet" else _text_table(path, suffix)
    except InputError:
        raise
    # Errors of pandas' parser and of pyarrow are ValueErrors.
    except (ValueError, OSError, pd.errors.ParserWarning) as error:
        raise InputError(f"{path} cannot be read as {suffix[1:]}: {error}") from error
    frame.columns = [str(name) for name in frame.columns]
    first_row = 2 if suffix in (".csv", ".tsv") else 1
    return Table(path, frame, np.arange(first_row, first_row + len(frame)))


def read_utf8(path: Path) -> str:
    """Reads a text file in UTF-8, with or without a byte-order mark.

    Raises:
        InputError: the file cannot be read, is binary, or is not UTF-8: with the byte and the row.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if b"\0" in raw:
        raise InputError(
            f"{path} is a binary file (a zero byte at position {raw.index(0)}), not text"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = raw.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path} is not UTF-8: byte 0x{raw[error.start]:02x} at position {error.start}, row "
            f"{row}. Convert it first, for example: iconv -f WINDOWS-1252 -t UTF-8 {path.name} > "
            f"utf8-{path.name}"
        ) from error


def clean(text: str) -> str:
    """Replaces lone surrogates, as broken JSON escapes leave them: no file and no terminal takes
    them."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def match_column(columns: Iterable[str], names: Sequence[str]) -> str:
    """Returns the column that has one of the reference names, whatever its case, or "".

    Args:
        columns: names of the columns.
        names: reference names, in lower case; the first that a column has decides.
    """
    by_name = {column.strip().lower(): column for column in columns}
    return next((by_name[name] for name in names if name in by_name), "")


def split_files(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Returns the files of a folder that are named by their split, such as train.csv and dev.csv.

    Args:
        folder: folder to look in.
        suffixes: accepted suffixes, such as `TABLES`.

    Returns:
        Split name, a value of `SPLIT_NAMES`, to file.

    Raises:
        InputError: two files for one split.
    """
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        split = SPLIT_NAMES.get(file.stem.lower())
        if not split or file.suffix.lower() not in suffixes:
            continue
        if split in files:
            raise InputError(
                f"{folder} has two files for its {split} split: {files[split].name} and {file.name}"
            )
        files[split] = file
    return files


def _text_table(path: Path, suffix: str) -> pd.DataFrame:
    import pandas as pd

    text = read_utf8(path)
    if not text.strip():
        raise InputError(f"{path} is empty")
    if suffix == ".jsonl":
        return pd.DataFrame(list(_json_rows(text, path)), dtype=object)
    tabs = suffix == ".tsv"
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            StringIO(text),
            sep="\t" if tabs else ",",
            quoting=_quoting(text) if tabs else csv.QUOTE_MINIMAL,
            dtype=str,
            keep_default_na=False,
            na_values=[""],
            # Else pandas takes the first column for row names where a row has a field too many.
            index_col=False,
        )


def _quoting(text: str) -> int:
    """Whether quotes in a TSV are quotes: not where a field has an odd number of them and the
    lines are whole rows without them."""
    lines = [line for line in text.split("\n") if line]
    whole = len({line.count("\t") for line in lines}) == 1
    odd = any(field.count('"') % 2 for line in lines for field in line.split("\t"))
    return csv.QUOTE_NONE if whole and odd else csv.QUOTE_MINIMAL


def _json_rows(text: str, path: Path) -> Iterator[dict]:
    # Not splitlines(), which cuts inside values, at U+2028.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, row {number} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise InputError(
                f"{path}, row {number} is a JSON {type(row).__name__}, not an object with a text "
                "and a label"
            )
        yield row
