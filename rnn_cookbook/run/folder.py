"""The run folder: `runs/<recipe>/<time>/`, every file in it written whole or not at all."""

import dataclasses
import json
import logging
import os
import platform
import shutil
import time
import weakref
from collections.abc import Iterable
from pathlib import Path

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import _close_log, log, log_to_console, write_json, write_lines


class Run:
    """One run's folder and its log.

    Args:
        recipe: name of the recipe.
        config: the recipe's frozen dataclass; written to `config.json`.
        output: the folder; `runs/<recipe>/<time>` by default. It must be absent or empty unless
            `resume`.
        resume: go on with an interrupted run in `output`, or, without `output`, with the recipe's
            latest one.
        quiet: log to `log.txt` only, except for warnings.

    Raises:
        InputError: the folder exists and `resume` is off; there is nothing to resume; or the
            configuration differs from the one that the run began with.
    """

    def __init__(
        self,
        *,
        recipe: str,
        config,
        output: str | Path | None = None,
        resume: bool = False,
        quiet: bool = False,
    ):
        self.recipe, self.resumed, self.quiet = recipe, resume, quiet
        if output is None and resume:
            output = latest_unfinished(Path("runs") / recipe)
        self.path = (
            Path(output) if output else Path("runs") / recipe / time.strftime("%Y-%m-%d_%H-%M-%S")
        )
        settings = dataclasses.asdict(config)
        if resume:
            check_same(self.path, settings)
        else:
            if self.path.exists() and not (self.path.is_dir() and not any(self.path.iterdir())):
                raise InputError(
                    f"{self.path} exists: choose another --output, or add --resume to go on with the run in it"
                )
            write_json(self.path / "config.json", {"recipe": recipe, **settings})
        self._lock()
        self._log_to_file()

    def _lock(self) -> None:
        """Two processes in one folder would overwrite each other's checkpoints. The lock goes with
        the process, however it ends."""
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
                f"another process is working in {self.path}: wait for it, or choose another --output"
            ) from error

    def _log_to_file(self) -> None:
        log_to_console(logging.WARNING if self.quiet else logging.INFO)
        file = logging.FileHandler(self.path / "log.txt", encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(file)

    def write_json(self, name: str, value: object) -> None:
        write_json(self.path / name, value)

    def write_lines(self, name: str, rows: Iterable[dict]) -> None:
        write_lines(self.path / name, rows)

    def discard_if_untrained(self) -> None:
        """Removes the folder of a run that failed before its first checkpoint: nothing is lost, and
        its name is free again."""
        if not self.resumed and not (self.path / "checkpoints").exists():
            _close_log()
            shutil.rmtree(self.path, ignore_errors=True)


def saved_settings(recipe: str, output: str | Path | None) -> dict:
    """The recipe's settings that the run to be resumed began with: the one in `output`, or the
    recipe's latest unfinished one."""
    file = (Path(output) if output else latest_unfinished(Path("runs") / recipe)) / "config.json"
    if not file.exists():
        raise InputError(f"--resume found no config.json in {file.parent}: it is not a run folder")
    return {
        name: value
        for name, value in json.loads(file.read_text(encoding="utf-8")).items()
        if name != "recipe"
    }


def latest_unfinished(folder: Path) -> Path:
    runs = sorted(
        path.parent.parent
        for path in folder.glob("*/checkpoints/last.npz")
        if not (path.parent.parent / "metrics.json").exists()
    )
    if not runs:
        raise InputError(
            f"--resume found no unfinished run with a finished epoch in {folder}: name the run's folder with --output"
        )
    return runs[-1]


def changes(before: dict, settings: dict) -> list[str]:
    """What of the settings was otherwise before."""
    return [
        f"{key} was {before.get(key)!r}, now {value!r}"
        for key, value in settings.items()
        if before.get(key) != value
    ]


def check_same(folder: Path, settings: dict) -> None:
    """A resumed run must be the run that began: the same recipe settings, value for value."""
    file = folder / "config.json"
    if not file.exists():
        raise InputError(f"--resume found no config.json in {folder}: it is not a run folder")
    before = json.loads(file.read_text(encoding="utf-8"))
    if changed := changes(before, settings):
        raise InputError(
            f"--resume goes on with the settings that the run in {folder} began with: {'; '.join(changed)}"
        )


def environment() -> dict:
    """Versions and hardware, for `metrics.json`."""
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
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "gpu": ", ".join(gpus) or None,
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def peak_memory_mb() -> float:
    """The most memory that this process has held so far, in MB (10^6 bytes)."""
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux getrusage also counts what the parent held when it started this process.
        return round(
            next(
                int(line.split()[1])
                for line in status.read_text().splitlines()
                if line.startswith("VmHWM:")
            )
            * 1024
            / 1e6,
            1,
        )
    try:
        import resource
    except ImportError:  # Windows
        import psutil  # comes with tensorflow-datasets

        return round(psutil.Process().memory_info().peak_wset / 1e6, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 1e6 if platform.system() == "Darwin" else peak * 1024 / 1e6, 1)
