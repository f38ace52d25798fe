"""The mixture of the network with linear forecasts: weights, levels and scales."""

import keras
import numpy as np
import pytest

from rnn_cookbook.encode.windows import Windows
from rnn_cookbook.run.bundle import load_model
from rnn_cookbook.tasks.forecasting.baselines import (
    RidgeForecaster,
    apply_linear,
    fit_ridge,
    seasonal_mean,
)
from rnn_cookbook.tasks.forecasting.mixture import combine, linear_forecasts, mix_linear
from rnn_cookbook.tasks.forecasting.model import forecaster
from rnn_cookbook.tasks.forecasting.predict import point_and_quantiles

RNG = np.random.default_rng(0)
WALK = RNG.normal(size=(300, 2)).cumsum(axis=0).astype(np.float32)


def windows(first, end, lookback=12, horizon=5, series=WALK):
    return Windows([series], [(first, end)], lookback=lookback, horizon=horizon, batch_size=16)


@pytest.mark.parametrize("head", ["point", "quantiles", "gaussian", "student_t"])
@pytest.mark.parametrize(
    "trust",
    [pytest.param(0.0, marks=pytest.mark.slow), 0.5, pytest.param(1.0, marks=pytest.mark.slow)],
)
def test_a_network_is_mixed_with_the_linear_forecast_as_far_as_that_helps(head, trust):
    """Values come true by the linear forecast, by the network's own, or half and half, and noise:
    the share is found, levels move, and spreads shrink as the error does."""
    ridge, validation = RidgeForecaster(10.0).fit(windows(0, 200)), windows(200, 300)
    keras.utils.set_random_seed(1)
    model = forecaster(
        lookback=12, horizon=5, channels=2, linear=True, head=head, units=4, embedding_size=4
    )
    past, _ = validation.arrays()
    raw = np.array(model(past))
    point, _ = point_and_quantiles(raw, head=head, quantiles=(0.1, 0.5, 0.9))
    linear = ridge.predict(past)
    apart = linear - point
    noise = RNG.normal(size=point.shape) * 0.3 * apart.std()
    noise -= apart * np.sum(noise * apart) / np.sum(np.square(apart))  # it favours neither
    actual = trust * linear + (1 - trust) * point + noise
    validation.arrays = lambda: (past, actual)
    shares = mix_linear(model, {"ridge": ridge.weights}, validation)
    assert shares == pytest.approx({"network": 1 - trust, "ridge": trust}, abs=1e-4)
    mixed = np.array(model(past))
    found, _ = point_and_quantiles(mixed, head=head, quantiles=(0.1, 0.5, 0.9))
    np.testing.assert_allclose(found, trust * linear + (1 - trust) * point, atol=2e-4)
    closer = np.sqrt(np.mean(np.square(noise)) / np.mean(np.square(point - actual)))
    assert closer == pytest.approx(1) if not trust else closer < 0.95
    if head == "quantiles":
        np.testing.assert_allclose(
            np.diff(mixed, axis=-1), closer * np.diff(raw, axis=-1), atol=2e-4
        )
    elif head != "point":
        np.testing.assert_allclose(mixed[..., 1], closer * raw[..., 1], rtol=1e-4)
        np.testing.assert_array_equal(mixed[..., 2:], raw[..., 2:])


def test_what_is_mixed_stays_so_when_it_is_saved(tmp_path):
    ridge, validation = RidgeForecaster(10.0).fit(windows(0, 200)), windows(200, 300)
    model = forecaster(
        lookback=12, horizon=5, channels=2, linear=True, head="quantiles", units=4, embedding_size=4
    )
    assert 0 < mix_linear(model, {"ridge": ridge.weights}, validation)["ridge"] <= 1
    model.save(tmp_path / "model.keras")
    past, _ = validation.arrays()
    np.testing.assert_array_equal(model(past), load_model(tmp_path / "model.keras")(past))


@pytest.mark.parametrize(
    "season", [3, 4, 5, 30]
)  # into the window of 12: whole times, not whole, longer than it
def test_the_linear_forecasts_to_mix_are_those_of_the_baselines(season):
    train, validation = windows(0, 200), windows(200, 300)
    past, _ = validation.arrays()
    found = linear_forecasts(train, validation, season=season)
    wanted = {
        "ridge": fit_ridge(train, validation).predict(past),
        "seasonal_mean": seasonal_mean(past, 5, season=season),
    }
    assert found.keys() == wanted.keys()
    for name, forecast in wanted.items():
        np.testing.assert_allclose(apply_linear(found[name], past), forecast, atol=1e-4)


def test_shares_are_the_best_that_are_not_negative():
    """Of three forecasts: the shares by which the truth was made; none for what only a negative
    share would help."""
    parts = RNG.normal(size=(3, 4000))
    for wanted in ([0.2, 0.3, 0.5], [0, 1, 0], [0.6, 0.4, 0]):
        assert combine([part - np.array(wanted) @ parts for part in parts]) == pytest.approx(
            wanted, abs=1e-4
        )
    truth = 1.5 * parts[0] - 0.5 * parts[1]
    assert combine([parts[0] - truth, parts[1] - truth]) == pytest.approx([1, 0], abs=1e-6)
    errors = [RNG.normal(size=1000) * 2, RNG.normal(size=1000), RNG.normal(size=1000) + 1]
    best = combine(errors)
    assert sum(best) == pytest.approx(1)
    assert min(best) >= 0
    least = np.mean(np.square(np.tensordot(best, errors, 1)))
    for other in RNG.dirichlet(np.ones(3), size=500):
        assert least <= np.mean(np.square(np.tensordot(other, errors, 1))) + 1e-12


def test_equal_forecasts_share_evenly():
    error = RNG.normal(size=100)
    assert combine([error, error]) == pytest.approx([0.5, 0.5], abs=1e-3)
    assert sum(combine([np.zeros(5), np.zeros(5)])) == pytest.approx(1)
