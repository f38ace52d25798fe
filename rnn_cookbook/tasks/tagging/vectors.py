"""Pretrained word vectors from text files: GloVe, word2vec and fastText write a word and its
numbers a line."""

from pathlib import Path

import numpy as np

from rnn_cookbook.errors import InputError


def read_vectors(path: str | Path, *, limit: int | None = None) -> tuple[list[str], np.ndarray]:
    """The first `limit` words of the file, which are the most frequent ones, and float32[words,
    dimensions].

    A first line of two numbers (word2vec, fastText) says how many words and dimensions there are.
    Words may hold spaces (GloVe 840B).

    Raises:
        InputError: no such file, not UTF-8, a line of another width, what is no number, or fewer
            words than the first line says; names the line.
    """
    path = Path(path).expanduser()
    words, rows, width, promised = [], [], 0, None
    try:
        with open(path, encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                fields = line.rstrip("\r\n ").split(" ")
                if number == 1 and len(fields) == 2 and all(field.isdigit() for field in fields):
                    promised, width = map(int, fields)
                    if not width:
                        raise InputError(
                            f"{path}, line 1 says that its vectors have no dimensions: {line[:60]!r}"
                        )
                    continue
                if fields == [""]:
                    continue  # often the last one
                width = width or len(fields) - 1
                word, row = " ".join(fields[:-width]) if width else "", _numbers(fields[-width:])
                # Where all parts of a "word" but the first are numbers, it is a line that is too
                # wide.
                if (
                    row is None
                    or not word
                    or len(row) != width
                    or (" " in word and _numbers(word.split(" ")[1:]) is not None)
                ):
                    raise InputError(
                        f"{path}, line {number} must be a word and {width or 'some'} numbers, got {line[:60]!r}"
                    )
                words.append(word)
                rows.append(row)
                if len(words) == limit:
                    break
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text: word vectors are read from text files, not from .bin or .gz"
        ) from error
    if not words:
        raise InputError(f"{path} holds no word vectors")
    if promised is not None and len(words) < min(promised, limit or promised):
        raise InputError(
            f"{path} ends after {len(words)} words; its first line says {promised}. Was its download cut off?"
        )
    return words, np.stack(rows)


def _numbers(fields: list[str]) -> np.ndarray | None:
    """float32[fields], or None where one of them is no finite number."""
    try:
        with np.errstate(over="ignore"):
            row = np.array(fields, np.float64).astype(np.float32)
    except ValueError:
        return None
    return row if np.isfinite(row).all() else None
