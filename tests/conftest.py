"""What the tests share. TensorFlow is started quietly, and data on disk is used only where it is."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from rnn_cookbook.cli import quiet_tensorflow

with quiet_tensorflow():
    from tensorflow.python.framework.config import disable_op_determinism  # TensorFlow has no public way back

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("RNN_COOKBOOK_DATA") or ROOT.parent / "shared" / "data")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests that share what takes long to make run in one process, where it is made once."""
    for item in items:
        for name in {"sample_run", "uninterrupted"} & set(item.fixturenames):
            item.add_marker(pytest.mark.xdist_group(f"{item.module.__name__}-{name}"))


@pytest.fixture
def data_dir() -> Path:
    """The folder of the real data sets; the test is skipped where there is none."""
    if not DATA.exists():
        pytest.skip(f"real data is not at {DATA}: set RNN_COOKBOOK_DATA")
    return DATA


@pytest.fixture
def config():
    """A tiny sentiment configuration: seconds."""
    from rnn_cookbook.recipes.sentiment import SAMPLE

    return SAMPLE


@pytest.fixture(autouse=True)
def _no_determinism_left():
    """`training.seed_everything` turns XLA off for the whole process: the next test shall not notice."""
    yield
    disable_op_determinism()


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
