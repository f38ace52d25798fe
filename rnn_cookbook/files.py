"""Files that are written whole or not at all, and the log."""

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from rnn_cookbook.errors import InputError

log = logging.getLogger("rnn_cookbook")


def _close_log() -> None:
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()


def log_to_console(level: int = logging.INFO) -> None:
    """What is logged goes to standard error, and nowhere else."""
    _close_log()
    log.setLevel(logging.INFO)
    log.propagate = False
    console = logging.StreamHandler()
    console.setLevel(level)
    console.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(console)


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Calls `write` on a temporary path beside `path`, then renames: a crash or a full disk leaves
    the old file as it was.

    Raises InputError, naming the folder, when the device has no space left.
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
            f"could not write {path}: {error.strerror or error}; what was saved before is untouched. "
            "Make room there or choose another --output, then go on with --resume"
        ) from error


def write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: temporary.write_bytes(text.encode()) and None)


def write_lines(path: Path, rows: Iterable[dict]) -> None:
    """JSON lines."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_json(path: Path, value: object) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
