"""Pretrained word vectors from text files: GloVe, word2vec and fastText write a word and its numbers a line."""

from pathlib import Path

import numpy as np

from rnn_cookbook.errors import InputError


def read_vectors(path: str | Path, *, limit: int | None = None) -> tuple[list[str], np.ndarray]:
    """The first `limit` words of the file, which are the most frequent ones, and float32[words, dimensions].

    A first line of two numbers (word2vec, fastText) says how many words and dimensions there are. Words may hold spaces (GloVe 840B).

    Raises:
        InputError: no such file, not UTF-8, a line of another width, or what is no number; names the line.
    """
    path = Path(path)
    words, rows, width = [], [], 0
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                fields = line.rstrip("\r\n ").split(" ")
                if number == 1 and len(fields) == 2 and all(field.isdigit() for field in fields):
                    width = int(fields[1])
                    continue
                width = width or len(fields) - 1
                word, values = " ".join(fields[: len(fields) - width]), fields[len(fields) - width :]
                try:
                    row = np.array(values, np.float32)
                except ValueError:
                    row = None
                if row is None or not word or width < 1 or not np.isfinite(row).all():
                    raise InputError(f"{path}, line {number} must be a word and {width or 'some'} numbers, got {line[:60]!r}")
                words.append(word)
                rows.append(row)
                if len(words) == limit:
                    break
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: word vectors are read from text files, not from .bin or .gz") from error
    if not words:
        raise InputError(f"{path} holds no word vectors")
    return words, np.stack(rows)
