"""The user's own labelled texts: a table (CSV, TSV, JSON lines, Parquet), a folder of `train.*` and
`test.*` tables, or folders of text files named by their class."""

from dataclasses import dataclass, field
from pathlib import Path

from rnn_cookbook.data.tables import (
    SPLIT_NAMES,
    TABLES,
    check_column,
    clean,
    first_row,
    read_table,
    read_utf8,
    split_files,
    usual_column,
)
from rnn_cookbook.errors import InputError, listing

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

    def take(self, indices) -> "Texts":
        return Texts(
            [self.texts[i] for i in indices],
            [self.labels[i] for i in indices] if self.labels else [],
        )


def read_texts(
    path: str | Path, *, text_column: str = "", label_column: str = "", drop_missing: bool = False
) -> dict[str, Texts]:
    """Reads the user's own data.

    Args:
        path: a table; a folder with `train.*` and, if there are any, `validation.*`, `test.*`,
            `unlabelled.*` tables; a folder with one folder of `.txt` files a class; or a folder
            with such folders under `train/`, `test/`, ….
        text_column, label_column: columns of the table; found by their usual names, or because only
            one is left.
        drop_missing: leave rows out that lack a text or a label, instead of refusing them.

    Returns:
        Split name ("train", "validation", "test", "unlabelled") to Texts; what is not split lies
        under "train".

    Raises:
        InputError: no such file, not readable as text, not UTF-8, columns not found, nothing in it,
            missing values.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise InputError(f"no such file or folder: {path}")
    options = {
        "text_column": text_column,
        "label_column": label_column,
        "drop_missing": drop_missing,
    }
    if path.is_file():
        return {"train": _read_table_texts(path, **options)}
    tables = split_files(path, TABLES)
    if tables:
        if "train" not in tables:
            raise InputError(
                f"{path} has {listing(file.name for file in tables.values())} but no train.* beside it"
            )
        return {
            split: _read_table_texts(file, **options, labelled=split != "unlabelled")
            for split, file in tables.items()
        }
    folders = [
        folder
        for folder in sorted(path.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    ]
    splits = {
        SPLIT_NAMES[folder.name.lower()]: folder
        for folder in folders
        if folder.name.lower() in SPLIT_NAMES
    }
    if "train" not in splits:
        return _read_class_folders(path, drop_missing)
    parts: dict[str, Texts] = {}
    for split, folder in splits.items():
        for name, texts in _read_class_folders(folder, drop_missing).items():
            parts[split if name == "train" else name] = texts
    return parts


def read_unlabelled(path: str | Path, *, text_column: str = "") -> Texts:
    """Texts without labels: a table with a text column, a `.txt` file with one text a line, or a
    folder of `.txt` files."""
    path = Path(path).expanduser()
    if not path.exists():
        raise InputError(f"no such file or folder: {path}")
    if path.is_dir():
        texts = [read_utf8(file) for file in sorted(path.rglob("*.txt"))]
    elif path.suffix.lower() == ".txt":
        texts = read_utf8(path).split("\n")
    else:
        return _read_table_texts(
            path, text_column=text_column, label_column="", drop_missing=True, labelled=False
        )
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise InputError(f"{path} holds no text")
    return Texts(texts)


def find_columns(
    columns: list[str], *, text_column: str, label_column: str, path: Path, labelled: bool = True
) -> tuple[str, str]:
    """The text and the label column: as named, by their usual names, or because only one column is
    left."""
    for given, option in (
        (text_column, "--text-column"),
        (label_column if labelled else "", "--label-column"),
    ):
        if given:
            check_column(path, columns, given, option=option)
    text = text_column or usual_column(columns, TEXT_NAMES)
    label = (label_column or usual_column(columns, LABEL_NAMES)) if labelled else ""
    rest = [column for column in columns if column not in (text, label)]
    if not text and len(rest) == 1:
        text = rest[0]
    elif labelled and text and not label and len(rest) == 1:
        label = rest[0]
    if not text or (labelled and not label):
        missing = " and ".join(
            name for name, found in (("text", text), ("label", label or not labelled)) if not found
        )
        raise InputError(
            f"cannot tell which column of {path} holds the {missing}; it has {listing(map(repr, columns), 12)}. "
            + ("Name them with --text-column and --label-column" if labelled else "Call it text")
        )
    return text, label


def _read_table_texts(
    path: Path, *, text_column: str, label_column: str, drop_missing: bool, labelled: bool = True
) -> Texts:
    frame = read_table(path)
    if not len(frame):
        raise InputError(f"{path} has no rows")
    text, label = find_columns(
        list(frame.columns),
        text_column=text_column,
        label_column=label_column,
        path=path,
        labelled=labelled,
    )
    texts = [
        "" if missing else clean(str(value))
        for value, missing in zip(frame[text], frame[text].isna(), strict=True)
    ]
    labels = (
        [
            "" if missing else _label(value)
            for value, missing in zip(frame[label], frame[label].isna(), strict=True)
        ]
        if labelled
        else []
    )
    first = first_row(path)
    return _without_missing(
        Texts(texts, labels), [f"row {first + i}" for i in range(len(texts))], path, drop_missing
    )


def _label(value) -> str:
    """Labels are strings: 1, 1.0 (a pandas column with gaps) and "1" are the same class."""
    return (
        str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    )


def _without_missing(examples: Texts, places: list[str], path: Path, drop: bool) -> Texts:
    no_text = [i for i, text in enumerate(examples.texts) if not text.strip()]
    no_label = [i for i, label in enumerate(examples.labels) if not label]
    bad = set(no_text) | set(no_label)
    if not bad:
        return examples
    if not drop:
        found = [
            f"{len(rows)} without a {what} ({listing(places[i] for i in rows)})"
            for what, rows in (("text", no_text), ("label", no_label))
            if rows
        ]
        raise InputError(
            f"{path}: {' and '.join(found)} of {len(examples)} rows. Mend them, or leave them out with --drop-missing"
        )
    keep = [i for i in range(len(examples)) if i not in bad]
    if not keep:
        raise InputError(f"{path}: no row has both a text and a label")
    return examples.take(keep)


def _read_class_folders(path: Path, drop_missing: bool) -> dict[str, Texts]:
    """`path/<class>/*.txt`; a class folder called unsup or unlabelled (as in the IMDb archive)
    holds unlabelled texts."""
    parts: dict[str, Texts] = {}
    places: dict[str, list[str]] = {}
    for folder in sorted(
        folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith(".")
    ):
        split = "unlabelled" if SPLIT_NAMES.get(folder.name.lower()) == "unlabelled" else "train"
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".txt")
        if not files:
            raise InputError(f"{folder} is taken for a class, but has no .txt file in it")
        for file in files:
            part = parts.setdefault(split, Texts())
            part.texts.append(read_utf8(file))
            if split == "train":
                part.labels.append(folder.name)
            places.setdefault(split, []).append(f"{folder.name}/{file.name}")
    if "train" not in parts:
        raise InputError(
            f"{path} holds neither train.* tables ({', '.join(TABLES)}) nor folders of .txt files named by their class; "
            f"it has {listing(sorted(entry.name for entry in path.iterdir())) or 'nothing'}"
        )
    return {
        split: _without_missing(part, places[split], path, drop_missing)
        for split, part in parts.items()
    }
