"""Tables and plots of forecasts: what they hold, and when there is none."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rnn_cookbook.data.series import Series
from rnn_cookbook.run.folder import Run
from rnn_cookbook.tasks.forecasting.plots import (
    add_errors_by_step,
    plot_ahead,
    plot_residual_autocorrelation,
)

RNG = np.random.default_rng(0)
PNG = b"\x89PNG"


@dataclass(frozen=True)
class Config:
    data: str = "toy"


@pytest.fixture
def run():
    return Run(recipe="toy", config=Config(), output="run", quiet=True)


def test_errors_by_step_are_added_method_by_method(run):
    actual = RNG.normal(size=(6, 3, 2))
    for name, error in (("ridge", 1.0), ("this model", 2.0)):
        add_errors_by_step(run, name, actual=actual, point=actual + error)
    table = pd.read_csv(run.path / "error_by_step.csv", index_col="step")
    assert list(table.index) == [1, 2, 3]
    np.testing.assert_allclose(table, [[1, 4]] * 3)
    assert list(table) == ["ridge", "this model"]
    assert (run.path / "plots/error_by_step.png").read_bytes().startswith(PNG)


def test_errors_that_are_all_the_same_have_no_autocorrelation(run):
    plot = run.path / "plots/residual_autocorrelation.png"
    plot_residual_autocorrelation(run, np.ones((50, 2)), season=7)
    plot_residual_autocorrelation(run, RNG.normal(size=(1, 2)), season=7)
    assert not plot.exists()
    plot_residual_autocorrelation(run, RNG.normal(size=(50, 2)), season=7, name="$ x")
    assert plot.read_bytes().startswith(PNG)


@pytest.mark.parametrize(("count", "told"), [(12, False), (13, True)])
def test_a_plot_shows_twelve_channels(count, told, messages):
    times = pd.date_range("2024-01-01", periods=20, freq="D")
    series = [Series(times, RNG.normal(size=(20, 1)), ["x"], str(i)) for i in range(count)]
    point = RNG.normal(size=(count, 4, 1))
    quantiles = point[..., None] + np.array([-1.0, 0.0, 1.0])
    plot_ahead(Path("ahead.png"), series, point, quantiles, levels=(0.1, 0.5, 0.9))
    assert Path("ahead.png").read_bytes().startswith(PNG)
    assert ("ahead.png shows the first 12 channels" in messages.text) == told
