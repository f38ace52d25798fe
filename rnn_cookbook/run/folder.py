"""The run folder: `runs/<recipe>/<time>/`, every file in it written whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import platform
import shutil
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import close_log, log, log_to_console, write_json, write_lines

__all__ = [
    "Run",
    "changes",
    "check_same",
    "environment",
    "latest_unfinished",
    "peak_memory_mb",
    "saved_settings",
]


class Run:
    """One run's folder and its log.

    Args:
        recipe: name of the recipe.
        config: the recipe's frozen dataclass, which is written to `config.json`.
        output: folder of the run, which must be absent or empty unless `resume`;
            `runs/<recipe>/<time>` by default.
        resume: whether to continue an interrupted run: that in `output`, or the recipe's latest.
        quiet: whether the console shows warnings only; `log.txt` has everything.

    Raises:
        InputError: the folder exists and `resume` is off, another process works in it, there is
            nothing to resume, or the configuration differs from that of the resumed run.
    """

    def __init__(
        self,
        *,
        recipe: str,
        config: Any,
        output: str | Path | None = None,
        resume: bool = False,
        quiet: bool = False,
    ):
        self.recipe = recipe
        self.resumed = resume
        self.quiet = quiet
        self.seconds_before = 0.0  # of the epochs before a resume: `fit` reads them
        self.training_seconds: float | None = None
        runs = Path("runs") / recipe
        if output is None and resume:
            output = latest_unfinished(runs)
        self.path = Path(output) if output else runs / time.strftime("%Y-%m-%d_%H-%M-%S")
        settings = dataclasses.asdict(config)
        if resume:
            check_same(self.path, settings)
        else:
            if self.path.exists() and not _is_empty_folder(self.path):
                raise InputError(
                    f"{self.path} exists: choose another folder, or resume the run in it",
                    field=("output", "resume"),
                )
            write_json(self.path / "config.json", {"recipe": recipe, **settings})
        self._lock()
        self._log_to_file()

    def _lock(self) -> None:
        """Locks the folder: two processes would overwrite each other's checkpoints. The lock goes
        with the process, however that ends."""
        try:
            import fcntl
        except ImportError:  # Windows
            return
        lock = os.open(self.path / ".lock", os.O_CREAT | os.O_WRONLY)
        weakref.finalize(self, os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(
                f"another process is working in {self.path}: wait for it, or choose another folder",
                field="output",
            ) from error

    def _log_to_file(self) -> None:
        log_to_console(logging.WARNING if self.quiet else logging.INFO)
        file = logging.FileHandler(self.path / "log.txt", encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(file)

    @contextlib.contextmanager
    def training_clock(self) -> Iterator[None]:
        """Measures `training_seconds`, which has one meaning in every recipe.

        It is the time to build the model and what it is built from (word vectors, a teacher) and to
        train it, validation included; where the run was resumed, with the epochs before that.
        """
        started = time.perf_counter()
        yield
        self.training_seconds = self.seconds_before + time.perf_counter() - started

    def write_json(self, name: str, value: object) -> None:
        """Writes a file of JSON into the folder."""
        write_json(self.path / name, value)

    def write_lines(self, name: str, rows: Iterable[dict]) -> None:
        """Writes a file of JSON lines into the folder."""
        write_lines(self.path / name, rows)

    def discard_if_untrained(self) -> None:
        """Removes the folder of a run that failed before its first checkpoint: nothing is lost, and
        its name is free again."""
        if not self.resumed and not (self.path / "checkpoints").exists():
            close_log()
            shutil.rmtree(self.path, ignore_errors=True)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def saved_settings(recipe: str, output: str | Path | None) -> dict[str, Any]:
    """Reads the settings of the run to be resumed.

    Args:
        recipe: name of the recipe.
        output: folder of the run; that of the recipe's latest unfinished run by default.

    Raises:
        InputError: there is no such run.
    """
    folder = Path(output) if output else latest_unfinished(Path("runs") / recipe)
    settings = _read_config(folder)
    settings.pop("recipe", None)
    return settings


def latest_unfinished(folder: Path) -> Path:
    """Finds the latest run with a finished epoch and without results.

    Args:
        folder: folder of runs.

    Raises:
        InputError: there is none.
    """
    runs = [path.parent.parent for path in folder.glob("*/checkpoints/last.npz")]
    unfinished = sorted(run for run in runs if not (run / "metrics.json").exists())
    if not unfinished:
        raise InputError(
            f"no unfinished run with a finished epoch in {folder} to resume; name the run's folder",
            field="output",
        )
    return unfinished[-1]


def changes(before: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """Lists the settings that differ, as "epochs was 7, now 8"."""
    return [
        f"{key} was {before.get(key)!r}, now {value!r}"
        for key, value in settings.items()
        if before.get(key) != value
    ]


def check_same(folder: Path, settings: Mapping[str, Any]) -> None:
    """Checks that a resumed run has the settings that it began with, value for value.

    Raises:
        InputError: the folder is no run folder, or a setting differs.
    """
    changed = changes(_read_config(folder), settings)
    if changed:
        raise InputError(
            f"the run in {folder} can be resumed only with the settings that it began with: "
            f"{'; '.join(changed)}",
            field="resume",
        )


def _read_config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    if not file.exists():
        raise InputError(
            f"no config.json in {folder}: it is not a run folder, so there is nothing to resume",
            field="resume",
        )
    return json.loads(file.read_text(encoding="utf-8"))


def environment() -> dict[str, Any]:
    """Names the versions and the hardware, for `metrics.json`."""
    import keras
    import tensorflow as tf

    from rnn_cookbook import __version__

    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return {
        "rnn_cookbook": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "python": platform.python_version(),
        "cpu": _cpu_name(),
        "cores": _core_count(),
        "gpu": ", ".join(gpus) or None,
    }


def _core_count() -> int | None:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def peak_memory_mb() -> float:
    """The largest memory that this process has held so far, in MB (10^6 bytes)."""
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux getrusage also counts what the parent held when it started this process.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) * 1024 / 1e6, 1)
    try:
        import resource
    except ImportError:  # Windows
        import psutil  # comes with tensorflow-datasets

        peak = getattr(psutil.Process().memory_info(), "peak_wset")  # noqa: B009 - Windows alone has it
        return round(peak / 1e6, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 1e6 if platform.system() == "Darwin" else peak * 1024 / 1e6, 1)
