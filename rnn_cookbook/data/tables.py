"""Tables as people have them: .csv, .tsv, .jsonl, .parquet."""

import csv
import json
import warnings
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path

from rnn_cookbook.errors import InputError, listing

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


def split_files(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """The files of a folder that are named by their split, such as train.csv and dev.csv: split
    name to file.

    Raises:
        InputError: two files for one split.
    """
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        split = SPLIT_NAMES.get(file.stem.lower())
        if split and file.suffix.lower() in suffixes and found.setdefault(split, file) != file:
            raise InputError(
                f"{folder} has two files for its {split} split: {found[split].name} and {file.name}"
            )
    return found


def read_table(path: Path):
    """A table as a pandas DataFrame of strings (missing values stay missing).

    Raises:
        InputError: an unknown suffix, an empty, binary or broken file, or text that is not UTF-8.
    """
    import pandas as pd

    suffix = path.suffix.lower()
    if suffix not in TABLES:
        raise InputError(
            f"{path} is no table that this recipe reads: it ends in {suffix or 'nothing'}, accepted are {', '.join(TABLES)}"
        )
    try:
        if suffix == ".parquet":
            return pd.read_parquet(path)
        text = read_utf8(path)
        if not text.strip():
            raise InputError(f"{path} is empty")
        if suffix == ".jsonl":
            return pd.DataFrame(list(_json_rows(text, path)), dtype=object)
        # index_col: else pandas takes the first column for row names where a row has one field too
        # many.
        dialect = {"sep": "\t", "quoting": _quoting(text)} if suffix == ".tsv" else {"sep": ","}
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                StringIO(text),
                **dialect,
                dtype=str,
                keep_default_na=False,
                na_values=[""],
                index_col=False,
            )
    except (
        pd.errors.ParserError,
        pd.errors.ParserWarning,
        pd.errors.EmptyDataError,
        OSError,
    ) as error:
        raise InputError(f"{path} cannot be read as {suffix[1:]}: {error}") from error
    except ValueError as error:  # pyarrow's errors are ValueErrors
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read as {suffix[1:]}: {error}") from error


def first_row(path: Path) -> int:
    """Number of the first row of values, for messages: in a CSV the header is row 1.

    Rows, not lines: a quoted line break inside a field makes a row longer than a line.
    """
    return 2 if path.suffix.lower() in (".csv", ".tsv") else 1


def read_utf8(path: Path) -> str:
    """The file's text; raises InputError that names the byte and the row where it is not UTF-8, or
    says that it is binary."""
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
            f"{path} is not UTF-8: byte 0x{raw[error.start]:02x} at position {error.start}, row {row}. Convert it first, for example: "
            f"iconv -f WINDOWS-1252 -t UTF-8 {path.name} > utf8-{path.name}"
        ) from error


def clean(text: str) -> str:
    """The text without lone surrogates (broken JSON escapes), which no file and no terminal takes."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def check_column(path: Path, columns: list[str], name: str, *, option: str) -> None:
    """Raises InputError, naming the option that asked for it, where the table has no such column."""
    if name not in columns:
        raise InputError(
            f"{path} has no column {name!r} ({option}); it has {listing(map(repr, columns), 12)}"
        )


def usual_column(columns: list[str], names: tuple[str, ...]) -> str:
    """The column that has one of the usual `names`, whatever its case; "" where none has."""
    by_name = {str(column).strip().lower(): column for column in columns}
    return next((by_name[name] for name in names if name in by_name), "")


def _quoting(text: str) -> int:
    """Whether quotes in a TSV are quotes: not where a field has an odd one and the lines are whole
    rows without them."""
    lines = [line for line in text.split("\n") if line]
    whole = len({line.count("\t") for line in lines}) == 1
    odd = any(field.count('"') % 2 for line in lines for field in line.split("\t"))
    return csv.QUOTE_NONE if whole and odd else csv.QUOTE_MINIMAL


def _json_rows(text: str, path: Path) -> Iterator[dict]:
    for number, line in enumerate(
        text.split("\n"), start=1
    ):  # not splitlines(), which cuts inside values, at U+2028
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, row {number} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise InputError(
                f"{path}, row {number} is a JSON {type(row).__name__}, not an object with a text and a label"
            )
        yield row
