"""TensorFlow without the noise of its start."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet_tensorflow", "start_tensorflow"]


@contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Holds back what TensorFlow writes to standard error while it starts; shows it if the start
    fails.

    `TF_CPP_MIN_LOG_LEVEL` alone does not do it: some lines come before TensorFlow's logging is set
    up. It is 3, not 2, because tf.data logs a harmless version mismatch as an error; what matters
    is raised as an exception all the same.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            held.seek(0)
            sys.stderr.write(held.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def start_tensorflow() -> None:
    """Imports TensorFlow quietly, ahead of the modules that use it."""
    with quiet_tensorflow():
        importlib.import_module("tensorflow")
