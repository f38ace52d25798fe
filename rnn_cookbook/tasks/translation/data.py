"""Sentence pairs: Multi30k, TFDS translation data, and the user's tables or parallel text files."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rnn_cookbook.data import sources
from rnn_cookbook.data.splits import split_by_group
from rnn_cookbook.data.tables import (
    SPLIT_NAMES,
    TABLES,
    Table,
    clean,
    match_column,
    read_table,
    read_utf8,
    split_files,
)
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log

__all__ = [
    "MULTI30K",
    "MULTI30K_URL",
    "SOURCE_NAMES",
    "TARGET_NAMES",
    "Pairs",
    "is_own",
    "multi30k",
    "read_pairs",
    "split_pairs",
    "tfds_pairs",
]

SOURCE_NAMES = (
    "source",
    "src",
    "input",
    "question",
    "prompt",
    "article",
    "document",
    "text",
    "en",
    "english",
)
TARGET_NAMES = (
    "target",
    "tgt",
    "output",
    "answer",
    "response",
    "reply",
    "summary",
    "highlights",
    "translation",
    "de",
    "german",
)

# Multi30k (Elliott et al. 2016): descriptions of pictures in English, translated into German.
MULTI30K_URL = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw"
# SHA-256 of the files
MULTI30K = {
    "train.en.gz": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "train.de.gz": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    "val.en.gz": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "val.de.gz": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    "test_2016_flickr.en.gz": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    "test_2016_flickr.de.gz": "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
}


@dataclass
class Pairs:
    """Texts with their translations, in two lists of the same length.

    Args:
        sources: source texts.
        targets: target text of each source.
    """

    sources: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, indices: Iterable[int]) -> Pairs:
        """Returns the pairs with these indices."""
        chosen = list(indices)
        return Pairs([self.sources[i] for i in chosen], [self.targets[i] for i in chosen])

    def reversed(self) -> Pairs:
        """Returns the pairs in the other direction."""
        return Pairs(self.targets, self.sources)

    def without_empty(self, name: str) -> Pairs:
        """Returns the pairs without those that have an empty side, which are logged.

        Args:
            name: name of the data, for messages.
        """
        kept = []
        empty = []
        for i, (source, target) in enumerate(zip(self.sources, self.targets, strict=True)):
            whole = source.strip() and target.strip()
            (kept if whole else empty).append(i)
        if not empty:
            return self
        log.warning(
            "%s: %d of %d pairs have an empty side, and are left out: %s",
            name,
            len(empty),
            len(self),
            listing(i + 1 for i in empty),
        )
        return self.take(kept)


def multi30k(data_dir: str | Path | None = None) -> dict[str, Pairs]:
    """Reads Multi30k, English to German, from the data folder, or downloads it there: 29,000 pairs
    of training, 1,014 of validation, and the 1,000 of test_2016_flickr.

    Args:
        data_dir: folder of the data sets, see `data.sources.data_folder`.

    Raises:
        InputError: a file cannot be downloaded, or has another checksum.
    """
    texts = {}
    for file, checksum in MULTI30K.items():
        path = sources.download(
            f"multi30k/{file}", url=f"{MULTI30K_URL}/{file}", sha256=checksum, data_dir=data_dir
        )
        texts[file] = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")[:-1]
    parts = {}
    for split, file in (("train", "train"), ("validation", "val"), ("test", "test_2016_flickr")):
        pairs = Pairs(texts[f"{file}.en.gz"], texts[f"{file}.de.gz"])
        parts[split] = pairs.without_empty(f"multi30k {split}")
    return parts


def tfds_pairs(name: str, *, data_dir: str | Path | None = None) -> dict[str, Pairs]:
    """Reads a TFDS translation data set by its name, such as "ted_hrlr_translate/pt_to_en", from
    the first language to the second.

    Args:
        name: name of the data set.
        data_dir: folder of the data sets, see `data.sources.data_folder`.

    Returns:
        Split name ("train", "validation", "test") -> pairs.

    Raises:
        InputError: the data set is not in the folder and cannot be downloaded, has no training
            split, or holds no pairs of texts.
    """
    import tensorflow_datasets as tfds

    info: Any = sources.with_tfds(name, lambda builder: builder.info, data_dir=data_dir)
    languages: list[str] = list(info.supervised_keys or ())
    are_texts = [isinstance(info.features[each], tfds.features.Text) for each in languages]
    if are_texts != [True, True]:
        raise InputError(
            f"data set {name!r} holds no pairs of texts: it has {listing(info.features)}"
        )
    names = {SPLIT_NAMES[split]: split for split in info.splits if split in SPLIT_NAMES}
    if "train" not in names:
        raise InputError(f"data set {name!r} has no training split: it has {listing(info.splits)}")
    rows = sources.load_tfds(name, splits=list(names.values()), data_dir=data_dir)
    source, target = languages
    parts = {}
    for split, part in zip(names, rows, strict=True):
        pairs = Pairs()
        for row in part:
            pairs.sources.append(clean(row[source].decode()))
            pairs.targets.append(clean(row[target].decode()))
        parts[split] = pairs.without_empty(f"{name} {split}")
    return parts


def is_own(data: str, target: str = "") -> bool:
    """Returns whether `data` means a file or folder, and not the name of a data set: it exists,
    looks like a path, or comes with a file of targets."""
    path = Path(data).expanduser()
    looks_like_path = path.suffix.lower() in TABLES or data.startswith((".", "/", "~"))
    return bool(target) or path.exists() or looks_like_path


def _read_parallel(source: Path, target: Path) -> Pairs:
    # Not splitlines(), which cuts inside sentences, at U+2028 say.
    lines = [read_utf8(file).removesuffix("\n").split("\n") for file in (source, target)]
    sources, targets = ([clean(line.rstrip("\r")) for line in part] for part in lines)
    if len(sources) != len(targets):
        raise InputError(
            f"{source} and {target.name} must have the same number of lines; received "
            f"{len(sources)} and {len(targets)} lines",
            field=("data", "target"),
        )
    return Pairs(sources, targets).without_empty(f"{source} and {target.name}")


def _pair_columns(table: Table, *, source_column: str, target_column: str) -> tuple[str, str]:
    """The given columns; else those with a reference name, else the only two."""
    for given, name in ((source_column, "source_column"), (target_column, "target_column")):
        if given:
            table.require(given, field=name)
    names = table.names
    other = [name for name in names if name != target_column]
    source = source_column or match_column(other, SOURCE_NAMES)
    other = [name for name in names if name != source]
    target = target_column or match_column(other, TARGET_NAMES)
    if len(names) == 2:
        source = source or next(name for name in names if name != target)
        target = target or next(name for name in names if name != source)
    if not (source and target) or source == target:
        raise InputError(
            f"cannot tell which columns of {table.path} are source and target; it has "
            f"{table.shown()}",
            field=("source_column", "target_column"),
        )
    return source, target


def _read_pair_table(path: Path, *, source_column: str, target_column: str) -> Pairs:
    table = read_table(path)
    source, target = _pair_columns(table, source_column=source_column, target_column=target_column)
    log.info("%s: from column %r to column %r", path, source, target)
    return Pairs(table.texts(source), table.texts(target)).without_empty(str(path))


def read_pairs(
    path: str | Path, *, target: str | Path = "", source_column: str = "", target_column: str = ""
) -> dict[str, Pairs]:
    """Reads the user's pairs. Pairs with an empty side are left out, and logged.

    Args:
        path: a table of two columns or more (.csv, .tsv, .jsonl, .parquet); a folder with such
            tables called `train.*` and, if there are any, `validation.*` and `test.*`; or, with
            `target`, a text file with one source per line.
        target: text file whose lines are the targets of the lines of `path`.
        source_column: column of the sources; by default the column with a name of `SOURCE_NAMES`,
            or the other of two.
        target_column: column of the targets; by default the column with a name of `TARGET_NAMES`,
            or the other of two.

    Returns:
        Split name ("train", "validation", "test") -> pairs; unsplit data is "train".

    Raises:
        InputError: no such file, not readable as text, columns not found, two files of different
            length, an empty split, or a split whose targets are its sources.
    """
    path = Path(path).expanduser()
    target_path = Path(target).expanduser() if target else None
    for file in filter(None, (path, target_path)):
        if not file.exists():
            raise InputError(f"no such file or folder: {file}")
    if target_path:
        parts = {"train": _read_parallel(path, target_path)}
    else:
        tables = {"train": path}
        if path.is_dir():
            tables = split_files(path, TABLES)
            tables.pop("unlabelled", None)
        if "train" not in tables:
            there = listing(file.name for file in path.iterdir())
            raise InputError(f"{path} has no train.* table ({', '.join(TABLES)}); it has {there}")
        parts = {
            split: _read_pair_table(file, source_column=source_column, target_column=target_column)
            for split, file in tables.items()
        }
    for split, part in parts.items():
        if not len(part):
            raise InputError(f"{path}: no pair of the {split} split has a text on both sides")
        if len(part) > 1 and part.sources == part.targets:
            raise InputError(
                f"{path}: the targets of the {split} split must differ from its sources; both are "
                "the same file or column"
            )
    return parts


def split_pairs(
    parts: dict[str, Pairs], *, validation_fraction: float, test_fraction: float, seed: int
) -> dict[str, Pairs]:
    """Splits a missing "test" and "validation" off "train", at random; pairs with the same source
    stay together, so that no test sentence is seen in training.

    Args:
        parts: split name -> pairs.
        validation_fraction: fraction of the training data that becomes the validation split.
        test_fraction: fraction of the data that becomes the test split.
        seed: seed of the draw.

    Raises:
        InputError: too few pairs.
    """

    def groups(part: Pairs) -> tuple[list, list]:
        return part.sources, list(dict.fromkeys(part.sources))

    return split_by_group(
        parts,
        groups,
        what="different source texts",
        validation_fraction=validation_fraction,
        test_fraction=test_fraction,
        seed=seed,
    )
