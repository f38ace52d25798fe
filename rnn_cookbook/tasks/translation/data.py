"""Sentence pairs: a public corpus, or your own files of two columns, or two text files side by
side."""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rnn_cookbook.data import sources
from rnn_cookbook.data.splits import split_by_group
from rnn_cookbook.data.tables import (
    SPLIT_NAMES,
    TABLES,
    check_column,
    clean,
    read_table,
    read_utf8,
    split_files,
    usual_column,
)
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log

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

MULTI30K_URL = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw"
# descriptions of pictures in English, translated into German (Elliott et al. 2016): SHA-256 of the
# files
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
    """`targets[i]` says what `sources[i]` says."""

    sources: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, indices: Sequence[int]) -> "Pairs":
        return Pairs([self.sources[i] for i in indices], [self.targets[i] for i in indices])

    def reversed(self) -> "Pairs":
        """The other direction."""
        return Pairs(self.targets, self.sources)

    def without_empty(self, name: str) -> "Pairs":
        """The pairs that have something on both sides; the others are counted in the log."""
        kept = [
            i
            for i, pair in enumerate(zip(self.sources, self.targets, strict=True))
            if all(text.strip() for text in pair)
        ]
        if len(kept) == len(self):
            return self
        gone = sorted(set(range(len(self))) - set(kept))
        log.warning(
            "%s: %d of %d pairs have an empty side, and are left out: %s",
            name,
            len(gone),
            len(self),
            listing(i + 1 for i in gone),
        )
        return self.take(kept)


def multi30k(data_dir: str | Path | None = None) -> dict[str, Pairs]:
    """English to German: 29,000 pairs of training, 1,014 of validation, and the 1,000 of
    test_2016_flickr; from the data folder, or downloaded there."""
    texts = {}
    for file, checksum in MULTI30K.items():
        path = sources.download(
            f"multi30k/{file}", url=f"{MULTI30K_URL}/{file}", sha256=checksum, data_dir=data_dir
        )
        texts[file] = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")[:-1]
    parts = {"train": "train", "validation": "val", "test": "test_2016_flickr"}
    return {
        name: Pairs(texts[f"{file}.en.gz"], texts[f"{file}.de.gz"]).without_empty(
            f"multi30k {name}"
        )
        for name, file in parts.items()
    }


def tfds_pairs(name: str, *, data_dir: str | Path | None = None) -> dict[str, Pairs]:
    """Any TFDS translation data set by its name, such as "ted_hrlr_translate/pt_to_en": its splits,
    the first language to the second.

    Raises:
        InputError: it is neither there nor can it be downloaded, has no training split, or no pair
            of texts.
    """
    import tensorflow_datasets as tfds

    info = sources.with_tfds(name, lambda builder: builder.info, data_dir=data_dir)
    languages = list(info.supervised_keys or ())
    if len(languages) != 2 or any(
        not isinstance(info.features[language], tfds.features.Text) for language in languages
    ):
        raise InputError(
            f"data set {name!r} holds no pairs of texts: it has {listing(info.features)}"
        )
    names = {SPLIT_NAMES[split]: split for split in info.splits if split in SPLIT_NAMES}
    if "train" not in names:
        raise InputError(f"data set {name!r} has no training split: it has {listing(info.splits)}")
    rows = sources.load_tfds(name, splits=list(names.values()), data_dir=data_dir)
    return {
        split: Pairs(
            *([clean(row[language].decode()) for row in part] for language in languages)
        ).without_empty(f"{name} {split}")
        for split, part in zip(names, rows, strict=True)
    }


def is_own(data: str, target: str = "") -> bool:
    """Whether `data` means a file or folder: it is there, looks like one, or has a `target` beside
    it. Else it is a data set's name."""
    path = Path(data).expanduser()
    return (
        bool(target)
        or path.exists()
        or path.suffix.lower() in TABLES
        or data.startswith((".", "/", "~"))
    )


def read_pairs(
    path: str | Path, *, target: str | Path = "", source_column: str = "", target_column: str = ""
) -> dict[str, Pairs]:
    """Reads the user's own pairs. Pairs with an empty side are left out, and counted in the log.

    Args:
        path: a table of two columns or more (.csv, .tsv, .jsonl, .parquet); a folder with such
            tables called `train.*` and, if there are any, `validation.*` and `test.*`; or, with
            `target`, a text file with one source a line.
        target: text file whose lines are the targets of the lines of `path`.
        source_column, target_column: columns of the tables; found by their usual names, or because
            there are two.

    Returns:
        Split name ("train", "validation", "test") to Pairs; what is not split lies under "train".

    Raises:
        InputError: no such file, not readable as text, columns not found, two files of different
            length, nothing in it, or every target is its source.
    """
    path = Path(path).expanduser()
    for file in (path, Path(target).expanduser()) if target else (path,):
        if not file.exists():
            raise InputError(f"no such file or folder: {file}")
    columns = {"source_column": source_column, "target_column": target_column}
    if target:
        parts = {"train": _read_parallel(path, Path(target).expanduser())}
    elif path.is_dir():
        tables = {
            split: file
            for split, file in split_files(path, TABLES).items()
            if split != "unlabelled"
        }
        if "train" not in tables:
            raise InputError(
                f"{path} has no train.* table ({', '.join(TABLES)}); it has {listing(file.name for file in path.iterdir())}"
            )
        parts = {split: _read_pair_table(file, **columns) for split, file in tables.items()}
    else:
        parts = {"train": _read_pair_table(path, **columns)}
    for split, part in parts.items():
        if not len(part):
            raise InputError(f"{path}: no pair of the {split} split has something on both sides")
        if len(part) > 1 and part.sources == part.targets:
            raise InputError(
                f"{path}: every target of the {split} split is its source; are they the same file or column?"
            )
    return parts


def _read_parallel(source: Path, target: Path) -> Pairs:
    # Not splitlines(), which cuts inside sentences, at U+2028 say.
    sources, targets = (
        [clean(line.rstrip("\r")) for line in read_utf8(file).removesuffix("\n").split("\n")]
        for file in (source, target)
    )
    if len(sources) != len(targets):
        raise InputError(
            f"{source} has {len(sources)} lines, {target} has {len(targets)}: they must go together, line by line"
        )
    return Pairs(sources, targets).without_empty(f"{source} and {target.name}")


def _read_pair_table(path: Path, *, source_column: str, target_column: str) -> Pairs:
    frame = read_table(path)
    names = [str(name) for name in frame.columns]
    for given, option in ((source_column, "--source-column"), (target_column, "--target-column")):
        if given:
            check_column(path, names, given, option=option)
    source = source_column or usual_column(
        [name for name in names if name != target_column], SOURCE_NAMES
    )
    target = target_column or usual_column([name for name in names if name != source], TARGET_NAMES)
    if len(names) == 2 and not (source and target):
        source = source or next(name for name in names if name != target)
        target = target or next(name for name in names if name != source)
    if not (source and target) or source == target:
        raise InputError(
            f"cannot tell which columns of {path} are source and target; it has {listing(map(repr, names), 12)}. Name them with "
            "--source-column and --target-column"
        )
    log.info("%s: from column %r to column %r", path, source, target)
    frame.columns = names
    texts = (
        [
            "" if missing else clean(str(value))
            for value, missing in zip(frame[name], frame[name].isna(), strict=True)
        ]
        for name in (source, target)
    )
    return Pairs(*texts).without_empty(str(path))


def split_pairs(
    parts: dict[str, Pairs], *, validation_fraction: float, test_fraction: float, seed: int
) -> dict[str, Pairs]:
    """Splits what is missing of "test" and "validation" off "train", at random; pairs with the same
    source stay together, so that no test sentence was seen in training.

    Raises:
        InputError: too few pairs.
    """
    fractions = {"validation_fraction": validation_fraction, "test_fraction": test_fraction}
    return split_by_group(
        parts,
        lambda part: (part.sources, list(dict.fromkeys(part.sources))),
        what="different source texts",
        **fractions,
        seed=seed,
    )
