"""Baselines of forecasting against closed forms and scikit-learn, measures against the field's libraries."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, mean_squared_error

from rnn_cookbook import forecasts
from rnn_cookbook.encode.series import Windows
from rnn_cookbook.errors import InputError

RNG = np.random.default_rng(0)
WALK = RNG.normal(size=(300, 2)).cumsum(axis=0).astype(np.float32)


def windows(first, end, lookback=12, horizon=5, series=WALK):
    return Windows([series], [(first, end)], lookback=lookback, horizon=horizon, batch_size=16)


def test_simple_forecasts_by_hand():
    window = np.array([1, 2, 3, 4, 5, 6, 7], float)[None, :, None]
    assert forecasts.repeat_last(window, 3)[0, :, 0].tolist() == [7, 7, 7]
    assert forecasts.seasonal_naive(window, 4, season=3)[0, :, 0].tolist() == [5, 6, 7, 5]
    assert forecasts.seasonal_mean(window, 4, season=3)[0, :, 0].tolist() == [3.5, 4.5, 5.5, 3.5]
    assert forecasts.seasonal_naive(window, 2, season=100)[0, :, 0].tolist() == [1, 2]
    assert forecasts.seasonal_mean(window, 2, season=100)[0, :, 0].tolist() == [4, 4]


@pytest.mark.parametrize("alpha", [0.1, 100.0])
def test_ridge_is_that_of_scikit_learn(alpha):
    train, test = windows(0, 200), windows(200, 300)
    past, future = train.arrays()
    rows = [part.transpose(0, 2, 1).reshape(-1, part.shape[1]).astype(np.float64) for part in (past, future)]
    reference = Ridge(alpha=alpha, fit_intercept=True)
    # scikit-learn does not penalise the intercept: nor does ours.
    reference.fit(rows[0] - rows[0][:, -1:], rows[1] - rows[0][:, -1:])
    new = test.arrays()[0]
    flat = new.transpose(0, 2, 1).reshape(-1, 12)
    wanted = (reference.predict(flat - flat[:, -1:]) + flat[:, -1:]).reshape(len(new), 2, 5).transpose(0, 2, 1)
    found = forecasts.RidgeForecaster(alpha).fit(train).predict(new)
    np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_ridge_finds_a_linear_law_and_nothing_else_does():
    time = np.arange(400)
    series = (np.sin(time * 2 * np.pi / 7.3) * 1.01 ** (time / 10))[:, None].astype(np.float32)  # no whole season
    parts = [windows(first, end, lookback=8, series=series) for first, end in ((0, 250), (250, 320), (320, 400))]
    actual = parts[2].arrays()[1]
    scores = forecasts.forecast_baselines(*parts, season=7, score=lambda found: forecasts.point_scores(actual, found))
    assert list(scores) == ["repeat_last", "seasonal_naive", "seasonal_mean", "ridge"]
    assert scores["ridge"]["mse"] < 1e-3 * min(scores[name]["mse"] for name in scores if name != "ridge")


def test_baselines_never_see_the_test_targets():
    changed = WALK.copy()
    changed[288:] += 100  # what the last test window is to forecast, and more
    found = []
    for series in (WALK, changed):
        parts = [windows(first, end, series=series) for first, end in ((0, 200), (200, 250), (250, 293))]
        actual = parts[2].arrays()[1]

        def score(forecast, actual=actual):
            return {**forecasts.point_scores(actual, forecast), "all": forecast}

        found.append(forecasts.forecast_baselines(*parts, season=4, score=score))
    for name in found[0]:
        np.testing.assert_array_equal(found[0][name]["all"], found[1][name]["all"])


def test_measures_are_those_of_scikit_learn():
    actual, found = RNG.normal(size=(2, 30, 5, 2))
    scores = forecasts.point_scores(actual, found)
    assert scores["mse"] == pytest.approx(mean_squared_error(actual.ravel(), found.ravel()))
    assert scores["mae"] == pytest.approx(mean_absolute_error(actual.ravel(), found.ravel()))
    quantiles = np.sort(RNG.normal(size=(30, 5, 2, 3)), axis=-1)
    scores = forecasts.quantile_scores(actual, quantiles, (0.1, 0.5, 0.9))
    wanted = np.mean([mean_pinball_loss(actual.ravel(), quantiles[..., i].ravel(), alpha=q) for i, q in enumerate((0.1, 0.5, 0.9))])
    assert scores["pinball"] == pytest.approx(wanted)
    inside = (actual >= quantiles[..., 0]) & (actual <= quantiles[..., 2])
    assert scores["coverage"] == pytest.approx(inside.mean())
    with pytest.raises(InputError, match=r"3 quantiles does not go with 0\.1, 0\.9"):
        forecasts.quantile_scores(actual, quantiles, (0.1, 0.9))


def test_measures_in_own_units_by_hand():
    actual, found = np.array([[[2.0], [4.0], [0.0]]]), np.array([[[1.0], [8.0], [0.0]]])
    scores = forecasts.own_unit_scores(actual, found, naive_error=np.array([2.0]))
    assert scores["mae_units"] == pytest.approx(5 / 3)
    assert scores["rmse_units"] == pytest.approx(np.sqrt(17 / 3))
    assert scores["mase"] == pytest.approx(5 / 6)
    assert scores["smape"] == pytest.approx(200 * (1 / 3 + 4 / 12 + 0) / 3)
    assert np.isnan(forecasts.own_unit_scores(actual, found, naive_error=np.array([0.0]))["mase"])  # of a constant series


def test_the_naive_error_of_a_season():
    values = np.array([0, 10, 1, 12, 3, 12], float)[:, None]
    assert forecasts.naive_errors(values, season=2).tolist() == [(1 + 2 + 2 + 0) / 4]
    assert forecasts.naive_errors(values, season=100).tolist() == [12.0]
