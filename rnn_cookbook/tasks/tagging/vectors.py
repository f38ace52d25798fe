"""Pretrained word vectors from text files: GloVe, word2vec and fastText write a word and its
numbers per line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from rnn_cookbook.errors import InputError

__all__ = ["read_vectors"]

_SHOWN = 60  # characters of a bad line that a message shows


def _numbers(fields: list[str]) -> np.ndarray | None:
    """The fields as float32, or None where a field is no finite number."""
    try:
        with np.errstate(over="ignore"):
            row = np.array(fields, np.float64).astype(np.float32)
    except ValueError:
        return None
    return row if np.isfinite(row).all() else None


def _split(fields: list[str], width: int) -> tuple[str, np.ndarray] | None:
    """The word, which may hold spaces, and its numbers; None where the line is no such line."""
    if width < 1:
        return None
    word = " ".join(fields[:-width])
    row = _numbers(fields[-width:])
    if row is None or not word or len(row) != width:
        return None
    # Where all parts of a "word" but the first are numbers, the line is too wide.
    if " " in word and _numbers(word.split(" ")[1:]) is not None:
        return None
    return word, row


def _header(fields: list[str]) -> tuple[int, int] | None:
    """How many words and dimensions follow, as word2vec and fastText begin a file."""
    if len(fields) == 2 and all(field.isdigit() for field in fields):
        return int(fields[0]), int(fields[1])
    return None


def _rows(lines: Iterable[str], path: Path, limit: int | None) -> Iterator[tuple[str, np.ndarray]]:
    width = 0
    promised = None
    count = 0
    for number, line in enumerate(lines, start=1):
        fields = line.rstrip("\r\n ").split(" ")
        header = _header(fields) if number == 1 else None
        if header is not None:
            promised, width = header
            if not width:
                raise InputError(
                    f"{path}, line 1 says that its vectors have no dimensions: {line[:_SHOWN]!r}",
                    field="vectors",
                )
            continue
        if fields == [""]:
            continue  # often the last line
        width = width or len(fields) - 1
        row = _split(fields, width)
        if row is None:
            raise InputError(
                f"{path}, line {number} must be a word and {width or 'some'} numbers; received "
                f"{line[:_SHOWN]!r}",
                field="vectors",
            )
        yield row
        count += 1
        if count == limit:
            break
    if not count:
        raise InputError(f"{path} holds no word vectors", field="vectors")
    if promised is not None and count < min(promised, limit or promised):
        raise InputError(
            f"{path} ends after {count} words; its first line says {promised}. Was its download "
            "cut off?",
            field="vectors",
        )


def read_vectors(path: str | Path, *, limit: int | None = None) -> tuple[list[str], np.ndarray]:
    """Reads word vectors: the words, and float32[words, dimensions].

    A first line of two numbers (word2vec, fastText) says how many words and dimensions there are.
    Words may hold spaces (GloVe 840B).

    Args:
        path: text file with a word and its numbers per line, separated by spaces.
        limit: maximum number of words, from the beginning of the file, where the most frequent
            words are; all without.

    Raises:
        InputError: no such file, not UTF-8, a line of another width, a field that is no number, or
            fewer words than the first line says. The message names the line.
    """
    path = Path(path).expanduser()
    words = []
    rows = []
    try:
        with open(path, encoding="utf-8-sig", newline="\n") as file:
            for word, row in _rows(file, path, limit):
                words.append(word)
                rows.append(row)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", field="vectors") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text; accepted are text files, not .bin or .gz", field="vectors"
        ) from error
    return words, np.stack(rows)
