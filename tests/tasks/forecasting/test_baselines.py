"""Baselines of forecasting against closed forms and scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from rnn_cookbook.encode.windows import Windows
from rnn_cookbook.tasks.forecasting.baselines import (
    RidgeForecaster,
    forecast_baselines,
    repeat_last,
    season_within,
    seasonal_mean,
    seasonal_naive,
)
from rnn_cookbook.tasks.forecasting.scores import point_scores

RNG = np.random.default_rng(0)
WALK = RNG.normal(size=(300, 2)).cumsum(axis=0).astype(np.float32)


def windows(first, end, lookback=12, horizon=5, series=WALK):
    return Windows([series], [(first, end)], lookback=lookback, horizon=horizon, batch_size=16)


def test_simple_forecasts_by_hand():
    window = np.array([1, 2, 3, 4, 5, 6, 7], float)[None, :, None]
    assert repeat_last(window, 3)[0, :, 0].tolist() == [7, 7, 7]
    assert seasonal_naive(window, 4, season=3)[0, :, 0].tolist() == [5, 6, 7, 5]
    assert seasonal_mean(window, 4, season=3)[0, :, 0].tolist() == [3.5, 4.5, 5.5, 3.5]
    assert seasonal_naive(window, 2, season=100)[0, :, 0].tolist() == [1, 2]
    assert seasonal_mean(window, 2, season=100)[0, :, 0].tolist() == [4, 4]


@pytest.mark.parametrize("alpha", [0.1, 100.0])
def test_ridge_is_that_of_scikit_learn(alpha):
    train, test = windows(0, 200), windows(200, 300)
    past, future = train.arrays()
    rows = [
        part.transpose(0, 2, 1).reshape(-1, part.shape[1]).astype(np.float64)
        for part in (past, future)
    ]
    reference = Ridge(alpha=alpha, fit_intercept=True)
    # scikit-learn does not penalise the intercept: nor does ours.
    reference.fit(rows[0] - rows[0][:, -1:], rows[1] - rows[0][:, -1:])
    new = test.arrays()[0]
    flat = new.transpose(0, 2, 1).reshape(-1, 12)
    wanted = (
        (reference.predict(flat - flat[:, -1:]) + flat[:, -1:])
        .reshape(len(new), 2, 5)
        .transpose(0, 2, 1)
    )
    found = RidgeForecaster(alpha).fit(train).predict(new)
    np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_ridge_finds_a_linear_law_and_nothing_else_does():
    time = np.arange(400)
    series = (np.sin(time * 2 * np.pi / 7.3) * 1.01 ** (time / 10))[:, None].astype(
        np.float32
    )  # no whole season
    parts = [
        windows(first, end, lookback=8, series=series)
        for first, end in ((0, 250), (250, 320), (320, 400))
    ]
    actual = parts[2].arrays()[1]
    scores = forecast_baselines(*parts, season=7, score=lambda found: point_scores(actual, found))
    assert list(scores) == ["repeat_last", "seasonal_naive", "seasonal_mean", "ridge"]
    assert scores["ridge"]["mse"] < 1e-3 * min(
        scores[name]["mse"] for name in scores if name != "ridge"
    )


def test_baselines_never_see_the_test_targets():
    changed = WALK.copy()
    changed[288:] += 100  # what the last test window is to forecast, and more
    found = []
    for series in (WALK, changed):
        parts = [
            windows(first, end, series=series) for first, end in ((0, 200), (200, 250), (250, 293))
        ]
        actual = parts[2].arrays()[1]

        def score(forecast, actual=actual):
            return {**point_scores(actual, forecast), "all": forecast}

        found.append(forecast_baselines(*parts, season=4, score=score))
    for name in found[0]:
        np.testing.assert_array_equal(found[0][name]["all"], found[1][name]["all"])


def test_a_season_longer_than_the_window_is_told(messages):
    assert season_within(28, lookback=28) == 28
    assert not messages.text
    assert season_within(1440, lookback=28) == 1
    wanted = "a season of 1440 steps is longer than the look-back of 28: the naive forecasts repeat"
    assert wanted in messages.text
