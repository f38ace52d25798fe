"""Files that are written whole or not at all, and the log."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from rnn_cookbook.errors import InputError

__all__ = [
    "close_log",
    "log",
    "log_to_console",
    "write_atomically",
    "write_json",
    "write_lines",
    "write_text",
]

log = logging.getLogger("rnn_cookbook")


def close_log() -> None:
    """Closes what the log is written to."""
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()


def log_to_console(level: int = logging.INFO) -> None:
    """Sends the log to standard error, and nowhere else.

    Args:
        level: lowest level that is shown, such as `logging.WARNING`.
    """
    close_log()
    log.setLevel(logging.INFO)
    log.propagate = False
    console = logging.StreamHandler()
    console.setLevel(level)
    console.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(console)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` on a temporary path beside `path`, then renames it: a crash or a full disk
    leaves the old file as it was.

    Args:
        path: file to write; its folder is made.
        write: function that writes a file at the path that it is given.

    Raises:
        InputError: the file could not be written, as when the device is full.
    """
    # The suffix stays: writers such as Keras' and Matplotlib's choose the format by it.
    temporary = path.with_name(f".partial-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise InputError(
            f"could not write {path}: {error.strerror or error}; what was saved before is "
            "untouched. Make room there or choose another folder, then resume",
            field=("output", "resume"),
        ) from error


def write_text(path: Path, text: str) -> None:
    """Writes a text in UTF-8, with the line ends that it has.

    Raises:
        InputError: as `write_atomically`.
    """
    write_atomically(path, lambda temporary: temporary.write_bytes(text.encode()))


def write_lines(path: Path, rows: Iterable[dict]) -> None:
    """Writes JSON lines, one object per row.

    Raises:
        InputError: as `write_atomically`.
    """
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_json(path: Path, value: object) -> None:
    """Writes a value as indented JSON.

    Raises:
        InputError: as `write_atomically`.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
