"""Raw inputs for `predict`, line by line: never the whole file in memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from rnn_cookbook.data.tables import clean
from rnn_cookbook.data.texts import TEXT_NAMES
from rnn_cookbook.errors import InputError, listing

__all__ = ["read_inputs"]


def read_inputs(source: str) -> Iterator[str]:
    """Yields the texts of a file, one per line.

    Lines of a `.jsonl` file are JSON strings, or objects with a text under a reference name. Blank
    lines are kept, so that answers and lines go together.

    Args:
        source: path of the file; "-" reads standard input.

    Raises:
        InputError: no such file (at once); a line that is not UTF-8 or not JSON (when its turn
            comes).
    """
    if source == "-":
        return _lines(sys.stdin.buffer, "standard input", parse=str)
    path = Path(source)
    try:
        file = open(path, "rb")  # noqa: SIM115  # `_lines` closes it
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    return _lines(file, str(path), parse=_text_of if path.suffix.lower() == ".jsonl" else str)


def _lines(file: BinaryIO, name: str, *, parse: Callable[[str], str]) -> Iterator[str]:
    with file:
        for number, raw in enumerate(file, start=1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                yield clean(parse(line))
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{name} is not UTF-8: byte 0x{raw[error.start]:02x} in row {number}"
                ) from error
            except ValueError as error:
                raise InputError(f"{name}, row {number}: {error}") from error


def _text_of(line: str) -> str:
    value = json.loads(line)
    if isinstance(value, str):
        return value
    names = list(value) if isinstance(value, dict) else []
    only = names[0] if len(names) == 1 else None
    name = next((name for name in TEXT_NAMES if name in names), only)
    if name is None or not isinstance(value[name], str):
        raise ValueError(
            f"no text found; it has {listing(names) or 'no names'}, accepted are "
            f"{', '.join(TEXT_NAMES)}"
        )
    return value[name]
