"""Sentences with a tag for each token: the user's files, splits, and parts of long sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log
from rnn_cookbook.tasks.tagging.formats import (
    Sentence,
    column_numbers,
    column_sentences,
    json_sentences,
)
from rnn_cookbook.tasks.tagging.schemes import (
    breaches,
    check_scheme,
    detect_scheme,
    spans,
    tags_of,
)

__all__ = [
    "SPLITS",
    "Tagged",
    "complete",
    "cut",
    "phrases",
    "pieces",
    "random_split",
    "read_tagged",
]

# The CoNLL-2003 files are called eng.train, eng.testa and eng.testb.
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "testa"),
    "test": ("test", "testb"),
}
# Tokens of a file without any blank line that is no longer taken for a single sentence.
_ENDLESS = 150


@dataclass
class Tagged:
    """Sentences: tokens, and a tag in the scheme BIO for each.

    Args:
        tokens: tokens of each sentence.
        tags: tags of each sentence.
    """

    tokens: list[list[str]] = field(default_factory=list)
    tags: list[list[str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.tokens)

    def __add__(self, other: Tagged) -> Tagged:
        return Tagged(self.tokens + other.tokens, self.tags + other.tags)

    def take(self, indices: Iterable[int]) -> Tagged:
        """Returns the sentences with these indices, in that order."""
        chosen = list(indices)
        return Tagged([self.tokens[i] for i in chosen], [self.tags[i] for i in chosen])

    def not_empty(self) -> Tagged:
        """Returns the sentences that have a token; some data sets hold others."""
        return self.take(i for i, tokens in enumerate(self.tokens) if tokens)


def _split_files(folder: Path) -> dict[str, Path]:
    files = sorted(
        file
        for file in folder.iterdir()
        if file.is_file() and not file.name.startswith(".") and not file.name.endswith("~")
    )
    matched: dict[str, Path] = {}
    for split, names in SPLITS.items():
        # train.txt, eng.train, en_ewt-ud-train.conllu
        fitting = [
            file
            for file in files
            if {file.suffix.lower()[1:], re.split("[._-]", file.stem.lower())[-1]} & set(names)
        ]
        if len(fitting) > 1:
            shown = listing(file.name for file in fitting)
            raise InputError(f"{folder} has more than one file for {split}: {shown}")
        if fitting:
            matched[split] = fitting[0]
    if "train" not in matched:
        raise InputError(
            f"{folder} has no train file (train.txt, train.conll, train.jsonl, eng.train, …); "
            f"it has {listing(file.name for file in files) or 'nothing'}",
            field="data",
        )
    return matched


def _read_file(file: Path, columns: tuple[int, int]) -> list[Sentence]:
    if file.suffix.lower() in (".jsonl", ".json"):
        sentences = list(json_sentences(file))
    else:
        sentences = list(column_sentences(file, columns))
        if len(sentences) == 1 and len(sentences[0].tokens) >= _ENDLESS:
            raise InputError(
                f"{file} has no blank line between its {len(sentences[0].tokens)} tokens: a blank "
                "line must follow each sentence"
            )
    if not sentences:
        raise InputError(f"{file} holds no sentence")
    return sentences


def _in_bio(file: Path, sentences: list[Sentence], *, scheme: str, strict: bool) -> Tagged:
    """The same spans in BIO; tags that break the scheme are refused, or counted and named."""
    broken = [
        f"{sentence.tags[i]!r} in line {sentence.lines[i]}"
        for sentence in sentences
        for i in breaches(sentence.tags, scheme=scheme)
    ]
    if broken:
        message = f"{file}: {len(broken)} tags break the scheme {scheme}: {listing(broken, 3)}"
        if strict:
            raise InputError(
                f"{message}. Mend them, name another scheme, or do not ask for strict reading, to "
                "have them repaired",
                field=("scheme", "strict"),
            )
        log.warning("%s; each was read as the scorer of the CoNLL shared tasks reads it", message)
    return Tagged(
        [sentence.tokens for sentence in sentences],
        [tags_of(spans(sentence.tags), len(sentence.tags)) for sentence in sentences],
    )


def read_tagged(
    path: str | Path, *, scheme: str = "auto", columns: str = "", strict: bool = False
) -> dict[str, Tagged]:
    """Reads tagged sentences from a file or a folder.

    Args:
        path: a file in columns (see `formats.column_sentences`), a `.jsonl` file of objects with
            `tokens` and `tags`, or a folder with train, dev (or valid, testa) and test (or testb)
            files of either kind.
        scheme: scheme of the tags: "iob1", "bio" (IOB2) or "bioes" (also BILOU); "auto" detects the
            scheme.
        columns: numbers of the token's and the tag's column, from 1 or, negative, from the end:
            "1,-1" when empty.
        strict: whether tags that break the scheme are refused, instead of repaired and counted.

    Returns:
        Splits by name: "train" alone of a file, also "validation" and "test" where a folder has
        them.

    Raises:
        InputError: a file that cannot be read, or whose contents are not as above. The message
            names the file and the line.
    """
    path = Path(path).expanduser()
    check_scheme(scheme, "auto")
    numbers = column_numbers(columns)
    if not path.exists():
        raise InputError(
            f"no file or folder {path}; accepted are a file of tagged tokens and a folder of such "
            "files",
            field="data",
        )
    files = _split_files(path) if path.is_dir() else {"train": path}
    parts = {name: _read_file(file, numbers) for name, file in files.items()}
    if scheme == "auto":
        scheme = detect_scheme([sentence.tags for part in parts.values() for sentence in part])
        log.info("tags are taken for %s", scheme)
    return {
        name: _in_bio(files[name], part, scheme=scheme, strict=strict)
        for name, part in parts.items()
    }


def _swap_rare_types(order: np.ndarray, types: list[set[str]], size: int) -> None:
    """Keeps a sentence of every type in the larger part.

    Args:
        order: indices of the sentences; the first `size` are the smaller part. Changed in place.
        types: types of the entities of each sentence, in this order. Changed in place.
        size: number of sentences of the smaller part.
    """
    sentences = Counter(kind for part in types[size:] for kind in part)  # of the larger part
    for i in range(size):
        if all(sentences[kind] for kind in types[i]):
            continue
        # Changes places with a sentence whose types others have, too.
        spare = (
            j
            for j in range(size, len(order))
            if all(sentences[kind] > 1 or kind in types[i] for kind in types[j])
        )
        other = next(spare, None)
        if other is not None:
            sentences.update(types[i])
            sentences.subtract(types[other])
            order[[i, other]] = order[[other, i]]
            types[i], types[other] = types[other], types[i]


def random_split(
    examples: Tagged, *, fraction: float, seed: int, part: str
) -> tuple[Tagged, Tagged]:
    """Splits at random into a larger and a smaller part, both in the original order.

    A sentence of every type stays in the larger part, to learn from.

    Args:
        examples: sentences to split.
        fraction: fraction of the sentences in the smaller part, between 0 and 1.
        seed: seed of the draw.
        part: name of the smaller part, for messages.

    Raises:
        InputError: a fraction outside its range, or too few sentences.
    """
    if not 0 < fraction < 1:
        raise InputError(
            f"{part}_fraction must lie between 0 and 1; received {fraction}",
            field=f"{part}_fraction",
        )
    size = max(1, round(fraction * len(examples)))
    if len(examples) <= size:
        raise InputError(f"{len(examples)} sentences are too few to set {size} aside for {part}")
    order = np.random.default_rng(seed).permutation(len(examples))
    types = [{span.type for span in spans(examples.tags[i])} for i in order]
    _swap_rare_types(order, types, size)
    return examples.take(sorted(order[size:])), examples.take(sorted(order[:size]))


def complete(
    parts: dict[str, Tagged], *, validation_fraction: float, test_fraction: float, seed: int
) -> dict[str, Tagged]:
    """Splits "test" and "validation" off "train", where they are missing.

    Args:
        parts: splits by name.
        validation_fraction: fraction of the training sentences that remain, for validation.
        test_fraction: fraction of all sentences, for the test.
        seed: seed of both draws.

    Raises:
        InputError: as `random_split`.
    """
    parts = dict(parts)
    for name, fraction in (("test", test_fraction), ("validation", validation_fraction)):
        if name not in parts:
            parts["train"], parts[name] = random_split(
                parts["train"], fraction=fraction, seed=seed, part=name
            )
    return parts


def pieces(length: int, tags: Sequence[str] | None, *, longest: int) -> list[slice]:
    """Returns where to cut a sentence into parts of at most `longest` tokens.

    An entity is not cut, unless it is longer than a part.

    Args:
        length: number of tokens.
        tags: tag of each token; None where they are unknown.
        longest: maximum number of tokens of a part.

    Raises:
        InputError: `longest` is below 1.
    """
    if longest < 1:
        raise InputError(f"longest must be at least 1; received {longest}")
    if length <= longest:  # nearly always: nobody need look for its entities
        return [slice(0, length)]
    inside = {i for span in spans(tags or []) for i in range(span.start + 1, span.end)}
    parts = []
    start = 0
    while length - start > longest:
        ends = (i for i in range(start + longest, start, -1) if i not in inside)
        end = next(ends, start + longest)
        parts.append(slice(start, end))
        start = end
    return [*parts, slice(start, length)]


def cut(examples: Tagged, *, longest: int) -> Tagged:
    """Cuts sentences of more than `longest` tokens into parts, see `pieces`."""
    parts = Tagged()
    for tokens, tags in zip(examples.tokens, examples.tags, strict=True):
        for part in pieces(len(tags), tags, longest=longest):
            parts.tokens.append(tokens[part])
            parts.tags.append(tags[part])
    return parts


def phrases(examples: Tagged) -> set[tuple[str, ...]]:
    """Returns the tokens of every entity."""
    return {
        tuple(tokens[span.start : span.end])
        for tokens, tags in zip(examples.tokens, examples.tags, strict=True)
        for span in spans(tags)
    }
