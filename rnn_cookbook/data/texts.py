"""The user's labelled texts: a table (CSV, TSV, JSON lines, Parquet), a folder of `train.*` and
`test.*` tables, or folders of text files named by their class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rnn_cookbook.data.tables import (
    SPLIT_NAMES,
    TABLES,
    Table,
    read_table,
    read_utf8,
    split_files,
)
from rnn_cookbook.errors import InputError, listing

__all__ = ["LABEL_NAMES", "TEXT_NAMES", "Texts", "read_texts", "read_unlabelled"]

TEXT_NAMES = (
    "text",
    "review",
    "sentence",
    "content",
    "comment",
    "message",
    "body",
    "document",
    "tweet",
)
LABEL_NAMES = (
    "label",
    "labels",
    "sentiment",
    "class",
    "category",
    "target",
    "polarity",
    "rating",
    "stars",
)


@dataclass
class Texts:
    """Raw examples: `labels[i]` belongs to `texts[i]`; unlabelled texts have no labels."""

    texts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: Iterable[int]) -> Texts:
        """Returns the examples at `indices`, in that order."""
        indices = list(indices)
        labels = [self.labels[i] for i in indices] if self.labels else []
        return Texts([self.texts[i] for i in indices], labels)


def read_texts(
    path: str | Path, *, text_column: str = "", label_column: str = "", drop_missing: bool = False
) -> dict[str, Texts]:
    """Reads the user's labelled texts.

    Args:
        path: a table; a folder with `train.*` and, if there are any, `validation.*`, `test.*`,
            `unlabelled.*` tables; a folder with one folder of `.txt` files per class; or a folder
            with such folders under `train/`, `test/`, ….
        text_column: column of the texts; if empty, the column with a reference name, or the only
            column left.
        label_column: column of the labels, likewise.
        drop_missing: leave rows out that lack a text or a label, instead of refusing them.

    Returns:
        Split name ("train", "validation", "test", "unlabelled") to Texts; what is not split lies
        under "train".

    Raises:
        InputError: no such file, not readable as text, not UTF-8, columns not found, nothing in it,
            missing values.
    """
    path = _existing(path)
    if path.is_file():
        return {"train": _labelled(path, text_column, label_column, drop_missing)}
    tables = split_files(path, TABLES)
    if not tables:
        return _read_folders(path, drop_missing)
    if "train" not in tables:
        names = listing(file.name for file in tables.values())
        raise InputError(f"{path} has {names} but no train.* beside it")
    return {
        split: _unlabelled(file, text_column, drop_missing)
        if split == "unlabelled"
        else _labelled(file, text_column, label_column, drop_missing)
        for split, file in tables.items()
    }


def read_unlabelled(path: str | Path, *, text_column: str = "") -> Texts:
    """Reads texts without labels; empty texts are left out.

    Args:
        path: a table with a text column, a `.txt` file with one text per line, or a folder of
            `.txt` files, each of them one text.
        text_column: column of the texts; if empty, the column with a reference name, or the only
            column.

    Raises:
        InputError: no such file, not readable as text, not UTF-8, column not found, no text in it.
    """
    path = _existing(path)
    if path.is_dir():
        texts = [read_utf8(file) for file in sorted(path.rglob("*.txt"))]
    elif path.suffix.lower() == ".txt":
        texts = read_utf8(path).split("\n")
    else:
        return _unlabelled(path, text_column, drop_missing=True)
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise InputError(f"{path} holds no text")
    return Texts(texts)


def _existing(path: str | Path) -> Path:
    path = Path(path).expanduser()
    if not path.exists():
        raise InputError(f"no such file or folder: {path}")
    return path


# Tables


def _labelled(path: Path, text_column: str, label_column: str, drop_missing: bool) -> Texts:
    table = _with_rows(path)
    text, label = _text_and_label(table, text_column, label_column)
    labels = table.values(label)
    examples = Texts(
        table.texts(text),
        [
            "" if missing else _label(value)
            for value, missing in zip(labels, labels.isna(), strict=True)
        ],
    )
    return _without_missing(examples, [f"row {row}" for row in table.rows], path, drop_missing)


def _unlabelled(path: Path, text_column: str, drop_missing: bool) -> Texts:
    table = _with_rows(path)
    text = table.column(text_column, TEXT_NAMES, "text", field="text_column")
    examples = Texts(table.texts(text))
    return _without_missing(examples, [f"row {row}" for row in table.rows], path, drop_missing)


def _with_rows(path: Path) -> Table:
    table = read_table(path)
    if not len(table):
        raise InputError(f"{path} has no rows")
    return table


def _text_and_label(table: Table, text: str, label: str) -> tuple[str, str]:
    """The two columns: as named, by a reference name, or because one column is left."""
    if text:
        table.require(text, field="text_column")
    if label:
        table.require(label, field="label_column")
    text = text or table.match(TEXT_NAMES)
    label = label or table.match(LABEL_NAMES)
    rest = table.without(text, label).names
    if len(rest) == 1 and not text:
        text = rest[0]
    elif len(rest) == 1 and not label:
        label = rest[0]
    if text and label:
        return text, label
    missing = "label" if text else "text" if label else "text and label"
    raise InputError(
        f"cannot tell which column of {table.path} holds the {missing}; it has {table.shown()}",
        field=("text_column", "label_column"),
    )


def _label(value: object) -> str:
    """Labels are strings: 1, 1.0 (a pandas column with gaps) and "1" are the same class."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _without_missing(examples: Texts, places: list[str], path: Path, drop: bool) -> Texts:
    no_text = [i for i, text in enumerate(examples.texts) if not text.strip()]
    no_label = [i for i, label in enumerate(examples.labels) if not label]
    bad = {*no_text, *no_label}
    if not bad:
        return examples
    if not drop:
        counts = [
            f"{len(rows)} without a {what} ({listing(places[i] for i in rows)})"
            for what, rows in (("text", no_text), ("label", no_label))
            if rows
        ]
        raise InputError(
            f"{path}: {' and '.join(counts)} of {len(examples)} rows. Mend them, or leave them out",
            field="drop_missing",
        )
    keep = [i for i in range(len(examples)) if i not in bad]
    if not keep:
        raise InputError(f"{path}: no row has both a text and a label")
    return examples.take(keep)


# Folders of text files


def _read_folders(path: Path, drop_missing: bool) -> dict[str, Texts]:
    """Folders named by their split, each with folders named by their class; or the latter alone."""
    splits = {
        SPLIT_NAMES[folder.name.lower()]: folder
        for folder in _folders(path)
        if folder.name.lower() in SPLIT_NAMES
    }
    if "train" not in splits:
        return _read_class_folders(path, drop_missing)
    parts: dict[str, Texts] = {}
    for split, folder in splits.items():
        for name, texts in _read_class_folders(folder, drop_missing).items():
            parts[split if name == "train" else name] = texts
    return parts


def _read_class_folders(path: Path, drop_missing: bool) -> dict[str, Texts]:
    """`path/<class>/*.txt`; a class folder called unsup or unlabelled (as in the IMDb archive)
    holds unlabelled texts."""
    parts: dict[str, Texts] = {}
    places: dict[str, list[str]] = {}
    for folder in _folders(path):
        split = "unlabelled" if SPLIT_NAMES.get(folder.name.lower()) == "unlabelled" else "train"
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".txt")
        if not files:
            raise InputError(f"{folder} is taken for a class, but has no .txt file in it")
        part = parts.setdefault(split, Texts())
        part.texts += [read_utf8(file) for file in files]
        if split == "train":
            part.labels += [folder.name] * len(files)
        places.setdefault(split, []).extend(f"{folder.name}/{file.name}" for file in files)
    if "train" not in parts:
        raise InputError(
            f"{path} holds neither train.* tables ({', '.join(TABLES)}) nor folders of .txt files "
            "named by their class; it has "
            f"{listing(sorted(entry.name for entry in path.iterdir())) or 'nothing'}"
        )
    return {
        split: _without_missing(part, places[split], path, drop_missing)
        for split, part in parts.items()
    }


def _folders(path: Path) -> list[Path]:
    return [
        folder
        for folder in sorted(path.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    ]
