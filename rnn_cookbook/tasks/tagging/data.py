"""Sentences with a tag for each token: files in columns as of the CoNLL shared tasks, JSON lines,
folders of splits."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rnn_cookbook.data.tables import clean, read_utf8
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log
from rnn_cookbook.tasks.tagging.schemes import (
    breaches,
    check_scheme,
    detect_scheme,
    parse_tag,
    spans,
    tags_of,
)

# The CoNLL-2003 files are called eng.train, eng.testa and eng.testb.
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "testa"),
    "test": ("test", "testb"),
}
_ENDLESS = 150  # tokens of a file without any blank line that is no longer taken for one sentence
_LINE_END = re.compile(
    "\r\n|\r|\n"
)  # also mixed in one file; not splitlines(), which cuts at U+2028 as well
_DOCUMENT = "-DOCSTART-"
_COMMENT = re.compile(
    r"#(\s|[\w.]+\s*=)"
)  # may begin a comment, as "# sent_id = 3" in CoNLL-U; "#1" and "#love" are tokens


@dataclass
class Tagged:
    """Sentences: tokens, and a tag in the scheme BIO for each."""

    tokens: list[list[str]] = field(default_factory=list)
    tags: list[list[str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, indices) -> "Tagged":
        return Tagged([self.tokens[i] for i in indices], [self.tags[i] for i in indices])

    def not_empty(self) -> "Tagged":
        """Without the sentences of no token, which some data sets hold."""
        return self.take([i for i, tokens in enumerate(self.tokens) if tokens])


@dataclass
class _Sentence:
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)  # of the file, one a token

    def add(self, token: str, tag: str, *, path: Path, line: int) -> None:
        # White space such as U+00A0 may be all of a token.
        token, tag = (
            clean(" ".join(part.split()) or part.strip(" \t\r\n")).replace("\0", "\ufffd")
            for part in (token, tag)
        )
        for name, part in (("token", token), ("tag", tag)):
            if not part:
                raise InputError(
                    f"{path}, line {line} has an empty {name}; say which columns they are in with --columns"
                )
        try:
            parse_tag(tag)
        except InputError as error:
            raise InputError(f"{path}, line {line}: {error}") from error
        self.tokens.append(token)
        self.tags.append(tag)
        self.lines.append(line)


def read_tagged(
    path: str | Path, *, scheme: str = "auto", columns: str = "", strict: bool = False
) -> dict[str, Tagged]:
    """Splits by name: "train" alone of a file, also "validation" and "test" where a folder has
    them.

    Args:
        path: a file in columns (token first, tag last, a blank line after each sentence), `.jsonl`
            with `tokens` and `tags`, or a folder with train, dev (or valid, testa) and test (or
            testb) files of either kind. Columns lie between tabs where every line has one, else
            between spaces.
        scheme: "iob1", "bio" (IOB2) or "bioes" (also BILOU); "auto" finds out from the tags.
        columns: numbers of the token's and the tag's column, counted from 1 or, negative, from the
            end: "1,-1" when empty.
        strict: refuse tags that break the scheme, instead of repairing and counting them.

    Raises:
        InputError: names the file and the line of what cannot be read.
    """
    path = Path(path).expanduser()
    check_scheme(scheme, "auto")
    numbers = _column_numbers(columns)
    if not path.exists():
        raise InputError(
            f"no file or folder {path}. --data takes a file of tagged tokens, a folder of them, conll2003 or sample"
        )
    files = _split_files(path) if path.is_dir() else {"train": path}
    parts = {}
    for name, file in files.items():
        json_lines = file.suffix.lower() in (".jsonl", ".json")
        parts[name] = list(
            _json_sentences(file) if json_lines else _column_sentences(file, numbers)
        )
        if not parts[name]:
            raise InputError(f"{file} holds no sentence")
        if not json_lines and len(parts[name]) == 1 and len(parts[name][0].tokens) >= _ENDLESS:
            raise InputError(
                f"{file} has no blank line between its {len(parts[name][0].tokens)} tokens: one must follow each sentence"
            )
    if scheme == "auto":
        scheme = detect_scheme([sentence.tags for part in parts.values() for sentence in part])
        log.info("tags are taken for %s", scheme)
    return {
        name: Tagged(
            [sentence.tokens for sentence in part],
            _repaired(files[name], part, scheme=scheme, strict=strict),
        )
        for name, part in parts.items()
    }


def pieces(length: int, tags: Sequence[str] | None, *, longest: int) -> list[slice]:
    """Where to cut a sentence into parts of at most `longest` tokens: not within an entity, unless
    it is longer than that."""
    if longest < 1:
        raise InputError(f"parts of a sentence need a token or more, got {longest}")
    if length <= longest:  # nearly always: nobody need look for its entities
        return [slice(0, length)]
    inside = {i for span in spans(tags or []) for i in range(span.start + 1, span.end)}
    parts, start = [], 0
    while length - start > longest:
        end = next(
            (i for i in range(start + longest, start, -1) if i not in inside), start + longest
        )
        parts.append(slice(start, end))
        start = end
    return [*parts, slice(start, length)]


def random_split(
    examples: Tagged, *, fraction: float, seed: int, part: str
) -> tuple[Tagged, Tagged]:
    """The larger and the smaller part, both in the original order. A sentence of every type stays
    in the larger one, to learn from."""
    if not 0 < fraction < 1:
        raise InputError(f"the {part} fraction must lie between 0 and 1, got {fraction}")
    size = max(1, round(fraction * len(examples)))
    if len(examples) <= size:
        raise InputError(f"{len(examples)} sentences are too few to set {size} aside for {part}")
    order = np.random.default_rng(seed).permutation(len(examples))
    types = [{span.type for span in spans(examples.tags[i])} for i in order]
    have = Counter(kind for part in types[size:] for kind in part)  # sentences of the larger part
    for i in range(size):
        if any(
            not have[kind] for kind in types[i]
        ):  # changes places with a sentence whose types others have, too
            other = next(
                (
                    j
                    for j in range(size, len(order))
                    if all(have[kind] > 1 or kind in types[i] for kind in types[j])
                ),
                None,
            )
            if other is not None:
                have.update(types[i])
                have.subtract(types[other])
                order[[i, other]] = order[[other, i]]
                types[i], types[other] = types[other], types[i]
    return examples.take(sorted(order[size:])), examples.take(sorted(order[:size]))


def _split_files(folder: Path) -> dict[str, Path]:
    files = sorted(
        file
        for file in folder.iterdir()
        if file.is_file() and not file.name.startswith(".") and not file.name.endswith("~")
    )
    found: dict[str, Path] = {}
    for split, names in SPLITS.items():
        # train.txt, eng.train, en_ewt-ud-train.conllu
        fitting = [
            file
            for file in files
            if {file.suffix.lower()[1:], re.split("[._-]", file.stem.lower())[-1]} & set(names)
        ]
        if len(fitting) > 1:
            raise InputError(
                f"{folder} has more than one file for {split}: {listing(file.name for file in fitting)}"
            )
        if fitting:
            found[split] = fitting[0]
    if "train" not in found:
        raise InputError(
            f"{folder} has no train file (train.txt, train.conll, train.jsonl, eng.train, …); "
            f"it has {listing(file.name for file in files) or 'nothing'}"
        )
    return found


def _column_numbers(columns: str) -> tuple[int, int]:
    """Indices, as Python counts, of the token and the tag."""
    numbers = re.fullmatch(r"\s*(-?[1-9]\d*)\s*,\s*(-?[1-9]\d*)\s*", columns or "1,-1")
    if not numbers:
        raise InputError(
            f"--columns takes the numbers of the token's and the tag's column, such as 1,4 or 1,-1, got {columns!r}"
        )
    token, tag = (int(number) - (int(number) > 0) for number in numbers.groups())
    return token, tag


def _column_sentences(path: Path, columns: tuple[int, int]) -> Iterator[_Sentence]:
    lines = _LINE_END.split(read_utf8(path))
    rows = [line for line in lines if line.strip() and not _begins_document(line)]
    rows = [line for line in rows if not _COMMENT.match(line)] or rows
    if not rows:
        return
    untabbed = [line for line in rows if "\t" not in line]
    tabs = not untabbed
    width = len(_fields(rows[0], tabs))
    _check_width(width, columns, f"{path}, line {lines.index(rows[0]) + 1}", rows[0])
    sentence, inside = _Sentence(), []
    for number, line in enumerate([*lines, ""], start=1):
        fields = _fields(line, tabs)
        if not line.strip() or _begins_document(line):
            if sentence.tokens:
                yield sentence
            sentence = _Sentence()
        elif len(fields) == width and (
            tabs or not _COMMENT.match(line) or _is_tag(fields[columns[1]])
        ):
            sentence.add(*(fields[column] for column in columns), path=path, line=number)
        elif _COMMENT.match(line):
            inside += [number] if sentence.tokens else []
        else:
            # Where one line has no tab, columns end at spaces: the tokens with spaces in them are
            # not what is wrong.
            mixed = (
                f"; columns lie between spaces, as line {lines.index(untabbed[0]) + 1} has no tab"
                if "\t" in line and not tabs
                else ""
            )
            raise InputError(
                f"{path}, line {number} has {len(fields)} columns, those before it have {width}: {line[:60]!r}{mixed}"
            )
    if inside:
        log.warning(
            "%s: %d lines inside sentences begin with # and are taken for comments: %s",
            path,
            len(inside),
            listing(inside),
        )


def _begins_document(line: str) -> bool:
    return _DOCUMENT in line.split()  # with a column before it, in some files


def _fields(line: str, tabs: bool) -> list[str]:
    # Between tabs tokens may have spaces in them. Other white space, such as U+00A0, is always part
    # of a token.
    return (
        [part.strip(" ") for part in line.split("\t")]
        if tabs
        else re.split("[ \t]+", line.strip(" \t"))
    )


def _check_width(width: int, columns: tuple[int, int], place: str, line: str) -> None:
    asked = ",".join(str(column + (column >= 0)) for column in columns)
    if width < 2 or max(columns) >= width or min(columns) < -width:
        raise InputError(
            f"{place} has {width} columns, too few for a token and a tag at --columns {asked}: {line[:60]!r}"
        )
    if columns[0] % width == columns[1] % width:
        raise InputError(
            f"--columns {asked} takes the token and the tag from the same one of {width} columns: {place}: {line[:60]!r}"
        )


def _is_tag(tag: str) -> bool:
    try:
        return bool(parse_tag(tag))
    except InputError:
        return False


def _json_sentences(path: Path) -> Iterator[_Sentence]:
    for number, line in enumerate(_LINE_END.split(read_utf8(path)), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(
                f"{place} is not a JSON object on a line of its own: {error.msg} at column {error.colno}"
            ) from error
        except RecursionError as error:
            raise InputError(
                f"{place} is not a JSON object of tokens and tags: {line[:60]!r}"
            ) from error
        if (
            not isinstance(row, dict)
            or not isinstance(row.get("tokens"), list)
            or not isinstance(row.get("tags"), list)
        ):
            got = (
                (listing(row) or "nothing") if isinstance(row, dict) else f"a {type(row).__name__}"
            )
            raise InputError(f"{place} must be an object with the lists tokens and tags, got {got}")
        tokens, tags = row["tokens"], row["tags"]
        if len(tokens) != len(tags):
            raise InputError(f"{place} has {len(tokens)} tokens and {len(tags)} tags")
        if wrong := [value for value in [*tokens, *tags] if not isinstance(value, str)]:
            raise InputError(
                f"{place}: tokens and tags must be strings, such as 'Paris' and 'B-LOC', got {wrong[0]!r}"
            )
        sentence = _Sentence()
        for token, tag in zip(tokens, tags, strict=True):
            sentence.add(token, tag, path=path, line=number)
        if tokens:
            yield sentence


def _repaired(
    path: Path, sentences: list[_Sentence], *, scheme: str, strict: bool
) -> list[list[str]]:
    """The same spans in BIO; tags that break the scheme are counted and named."""
    broken = [
        f"{each.tags[i]!r} in line {each.lines[i]}"
        for each in sentences
        for i in breaches(each.tags, scheme=scheme)
    ]
    if broken:
        message = f"{path}: {len(broken)} tags break the scheme {scheme}: {listing(broken, 3)}"
        if strict:
            raise InputError(
                f"{message}. Mend them, name another --scheme, or leave --strict out to have them repaired"
            )
        log.warning("%s; each was read as the scorer of the CoNLL shared tasks reads it", message)
    return [tags_of(spans(each.tags), len(each.tags)) for each in sentences]


def complete(
    parts: dict[str, Tagged], *, validation_fraction: float, test_fraction: float, seed: int
) -> dict[str, Tagged]:
    """Splits the missing ones of "test" and "validation" off "train"."""
    parts = dict(parts)
    for name, fraction in (("test", test_fraction), ("validation", validation_fraction)):
        if name not in parts:
            parts["train"], parts[name] = random_split(
                parts["train"], fraction=fraction, seed=seed, part=name
            )
    return parts


def cut(examples: Tagged, *, longest: int) -> Tagged:
    """The same with sentences of more than `longest` tokens in pieces, see `pieces`."""
    parts = [
        (i, part)
        for i, tags in enumerate(examples.tags)
        for part in pieces(len(tags), tags, longest=longest)
    ]
    return Tagged(
        [examples.tokens[i][part] for i, part in parts],
        [examples.tags[i][part] for i, part in parts],
    )


def phrases(examples: Tagged) -> set[tuple[str, ...]]:
    """The tokens of every entity."""
    return {
        tuple(tokens[span.start : span.end])
        for tokens, tags in zip(examples.tokens, examples.tags, strict=True)
        for span in spans(tags)
    }
