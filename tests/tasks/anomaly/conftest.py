"""What the tests of anomaly detection share."""

import csv
import io

import numpy as np
import pytest
from conftest import run_sample

from rnn_cookbook.cli.main import main
from rnn_cookbook.tasks.anomaly.sample import anomalous_series


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return run_sample("anomaly_detection", tmp_path_factory)


@pytest.fixture
def command(monkeypatch, capsys):
    """The command line in this process: (exit code, standard output, standard error)."""

    def call(*arguments, text: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def answers():
    """The rows of a table that a command printed."""

    def read(ended: tuple[int, str, str]) -> list[dict]:
        code, output, errors = ended
        assert code == 0, errors
        return list(csv.DictReader(io.StringIO(output)))

    return read


@pytest.fixture
def wave():
    """A daily season of hours with noise, and spikes at some rows."""

    def make(rows=400, spike=None) -> np.ndarray:
        season = np.sin(np.arange(rows) * 2 * np.pi / 24)
        values = season + np.random.default_rng(0).normal(size=rows) / 20
        if spike:
            values[spike] += 6
        return values

    return make


@pytest.fixture(scope="module")
def lines():
    """1500 lines of a stream, and the stream."""
    one = anomalous_series(2, 2800, seed=1)[1]
    rows = zip(one.times, one.values[:, 0], strict=True)
    return [f"{at},{value}\n" for at, value in rows][:1500], one
