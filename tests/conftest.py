"""What the tests share: TensorFlow is started quietly, data on disk is used where it is."""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

try:
    import fcntl
except ImportError:  # Windows: every process makes its own
    fcntl = None

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from rnn_cookbook.quiet import quiet_tensorflow

with quiet_tensorflow():
    from tensorflow.python.framework.config import (
        disable_op_determinism,
    )  # TensorFlow has no public way back

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("RNN_COOKBOOK_DATA") or ROOT.parent / "shared" / "data")


def run_sample(recipe: str, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """The folder of a run of the recipe's sample by the command line, and what it printed: one run
    for all the processes of the tests, and for all calls of pytest that get the same folder in
    RNN_COOKBOOK_TEST_RUNS."""
    root, kept = tmp_path_factory.getbasetemp(), os.environ.get("RNN_COOKBOOK_TEST_RUNS")
    shared = Path(kept) if kept else root.parent if os.environ.get("PYTEST_XDIST_WORKER") else root
    folder = (shared if fcntl else root) / f"sample-{recipe}"
    folder.mkdir(exist_ok=True, parents=True)
    with open(folder / "lock", "w") as lock:
        if fcntl:
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ended.json").exists():
            shutil.rmtree(folder / "run", ignore_errors=True)  # of tests that were killed in it
            command = [
                sys.executable,
                "-m",
                "rnn_cookbook.cli",
                "run",
                recipe,
                "--data",
                "sample",
                "--output",
                "run",
            ]
            ended = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=1500
            )
            (folder / "ended.json").write_text(json.dumps(vars(ended)))
    ended = subprocess.CompletedProcess(**json.loads((folder / "ended.json").read_text()))
    assert ended.returncode == 0, ended.stderr
    return folder / "run", ended


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of the real data sets; the test is skipped where there is none."""
    if not DATA.exists():
        pytest.skip(f"real data is not at {DATA}: set RNN_COOKBOOK_DATA")
    return DATA


@pytest.fixture
def messages(caplog):
    """What is logged; a run turns off that it goes up to the root, where pytest listens."""
    logger = logging.getLogger("rnn_cookbook")
    propagate, logger.propagate = logger.propagate, True
    with caplog.at_level(logging.INFO, logger="rnn_cookbook"):
        yield caplog
    logger.propagate = propagate


@pytest.fixture
def config():
    """A tiny sentiment configuration: seconds."""
    from rnn_cookbook.recipes.sentiment import SAMPLE

    return SAMPLE


@pytest.fixture(autouse=True)
def _no_determinism_left():
    """`training.seed_everything` turns XLA off for the whole process: the next test shall not
    notice."""
    yield
    disable_op_determinism()


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
