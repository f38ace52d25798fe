"""Scores of forecasts against scikit-learn and by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, mean_squared_error

from rnn_cookbook.data.series import Series
from rnn_cookbook.encode.series import SeriesEncoder
from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.forecasting.baselines import repeat_last
from rnn_cookbook.tasks.forecasting.scores import (
    Scorer,
    autocorrelation,
    errors_by_step,
    naive_errors,
    own_unit_scores,
    point_scores,
    quantile_scores,
)

RNG = np.random.default_rng(0)


def series(values, name="", channels=("x",)):
    return Series(
        pd.date_range("2024-01-01", periods=len(values), freq="D"), values, list(channels), name
    )


def test_measures_are_those_of_scikit_learn():
    actual, found = RNG.normal(size=(2, 30, 5, 2))
    scores = point_scores(actual, found)
    assert scores["mse"] == pytest.approx(mean_squared_error(actual.ravel(), found.ravel()))
    assert scores["mae"] == pytest.approx(mean_absolute_error(actual.ravel(), found.ravel()))
    quantiles = np.sort(RNG.normal(size=(30, 5, 2, 3)), axis=-1)
    scores = quantile_scores(actual, quantiles, (0.1, 0.5, 0.9))
    wanted = np.mean(
        [
            mean_pinball_loss(actual.ravel(), quantiles[..., i].ravel(), alpha=q)
            for i, q in enumerate((0.1, 0.5, 0.9))
        ]
    )
    assert scores["pinball"] == pytest.approx(wanted)
    inside = (actual >= quantiles[..., 0]) & (actual <= quantiles[..., 2])
    assert scores["coverage"] == pytest.approx(inside.mean())
    with pytest.raises(InputError, match=r"each of the 3 forecasts of a step; received 0\.1, 0\.9"):
        quantile_scores(actual, quantiles, (0.1, 0.9))


def test_measures_in_own_units_by_hand():
    actual, found = np.array([[[2.0], [4.0], [0.0]]]), np.array([[[1.0], [8.0], [0.0]]])
    scores = own_unit_scores(actual, found, naive_error=np.array([2.0]))
    assert scores["mae_units"] == pytest.approx(5 / 3)
    assert scores["rmse_units"] == pytest.approx(np.sqrt(17 / 3))
    assert scores["mase"] == pytest.approx(5 / 6)
    assert scores["smape"] == pytest.approx(200 * (1 / 3 + 4 / 12 + 0) / 3)
    assert "mase" not in own_unit_scores(
        actual, found, naive_error=np.array([0.0])
    )  # of a constant series


def test_the_naive_error_of_a_season():
    values = np.array([0, 10, 1, 12, 3, 12], float)[:, None]
    assert naive_errors(values, season=2).tolist() == [(1 + 2 + 2 + 0) / 4]
    assert naive_errors(values, season=100).tolist() == [12.0]


def test_the_scorer_measures_in_both_units_whatever_the_series():
    """Two series a thousandfold apart: the measures of each alone, in its own units, weighted by
    its windows."""
    both = [
        series(RNG.normal(size=(40, 1)).cumsum(axis=0), "a"),
        series(1000 * RNG.normal(size=(60, 1)).cumsum(axis=0), "b"),
    ]
    spans, train = [(30, 40), (40, 60)], [(0, 30), (0, 40)]
    encoder = SeriesEncoder.fit(both, train)
    windows = encoder.windows(both, spans, lookback=7, horizon=4, batch_size=8)
    past, actual = windows.arrays()
    point = repeat_last(past, 4)
    quantiles = point[..., None] + np.array([-0.5, 0, 0.5])
    scorer = Scorer(windows, series=both, encoder=encoder, train=train, season=7)
    scores = scorer(point, quantiles, levels=(0.1, 0.5, 0.9))
    assert scores["mse"] == pytest.approx(mean_squared_error(actual.ravel(), point.ravel()))
    errors, scaled = [], []
    for one, (first, end), (_, known) in zip(both, spans, train, strict=True):
        starts = np.arange(first, end - 4 + 1)
        error = np.abs(one.values[starts[:, None] + np.arange(4), 0] - one.values[starts - 1])
        errors += [*error.ravel()]
        scaled += [*(error / np.abs(one.values[7:known] - one.values[: known - 7]).mean()).ravel()]
    assert scores["mae_units"] == pytest.approx(np.mean(errors), rel=1e-4)
    assert scores["mase"] == pytest.approx(np.mean(scaled), rel=1e-4)
    assert scores["coverage"] == pytest.approx(np.mean(np.abs(actual - point) <= 0.5), abs=1e-6)
    assert "pinball_units" not in scorer(point)


def test_autocorrelation_of_noise_and_of_a_walk():
    noise = np.random.default_rng(1).normal(size=(20_000, 2))
    memory = noise.copy()
    for i in range(1, len(memory)):
        memory[i] += 0.7 * memory[i - 1]
    np.testing.assert_allclose(autocorrelation(noise, lags=5), 0, atol=0.05)
    np.testing.assert_allclose(autocorrelation(memory, lags=4), 0.7 ** np.arange(1, 5), atol=0.05)
    with_constant = np.concatenate([memory, np.ones((20_000, 1))], axis=1)
    np.testing.assert_allclose(
        autocorrelation(with_constant, lags=4), autocorrelation(memory, lags=4)
    )


def test_errors_by_step_by_hand():
    actual, found = np.zeros((2, 2, 1)), np.array([[[1.0], [2.0]], [[1.0], [4.0]]])
    assert errors_by_step(actual, found).tolist() == [1, 10]
