"""Baselines of forecasting against closed forms and scikit-learn, measures against the field's
libraries."""

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, mean_squared_error

from rnn_cookbook.data.series import Series
from rnn_cookbook.encode.series import SeriesEncoder, Windows
from rnn_cookbook.errors import InputError
from rnn_cookbook.run.bundle import load_model
from rnn_cookbook.tasks.forecasting.baselines import (
    RidgeForecaster,
    apply_linear,
    fit_ridge,
    forecast_baselines,
    repeat_last,
    seasonal_mean,
    seasonal_naive,
)
from rnn_cookbook.tasks.forecasting.model import forecaster
from rnn_cookbook.tasks.forecasting.predict import (
    Forecaster,
    combine,
    last_origins,
    linear_forecasts,
    mix_linear,
    point_and_quantiles,
    rolling_origins,
    verdict,
)
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


@pytest.mark.parametrize("head", ["point", "quantiles", "gaussian", "student_t"])
@pytest.mark.parametrize("trust", [0.0, 0.5, 1.0])
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
    with pytest.raises(InputError, match=r"3 quantiles does not go with 0\.1, 0\.9"):
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


def series(values, name="", channels=("x",)):
    return Series(
        pd.date_range("2024-01-01", periods=len(values), freq="D"), values, list(channels), name
    )


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


def test_what_a_head_says_as_quantiles():
    raw = RNG.uniform(1, 2, (3, 4, 2, 3))
    levels = (0.1, 0.5, 0.9)
    point, quantiles = point_and_quantiles(raw, head="gaussian", quantiles=levels)
    np.testing.assert_array_equal(point, raw[..., 0])
    np.testing.assert_allclose(
        stats.norm.cdf(quantiles, raw[..., :1], raw[..., 1:2]),
        np.broadcast_to(levels, quantiles.shape),
    )
    raw[..., 2] += 2
    _, quantiles = point_and_quantiles(raw, head="student_t", quantiles=levels)
    np.testing.assert_allclose(
        stats.t.cdf(quantiles, raw[..., 2:], raw[..., :1], raw[..., 1:2]),
        np.broadcast_to(levels, quantiles.shape),
    )
    point, quantiles = point_and_quantiles(raw, head="quantiles", quantiles=(0.2, 0.3, 0.55))
    np.testing.assert_array_equal(point, raw[..., 2])
    assert quantiles is raw
    assert point_and_quantiles(raw[..., 0], head="point", quantiles=levels)[1] is None


class TestBacktest:
    def test_origins_are_the_last_horizons(self, messages):
        both = [
            series(np.zeros((50, 1)), "long"),
            series(np.zeros((17, 1)), "short"),
            series(np.zeros((9, 1)), "none"),
        ]
        spans = last_origins(both, origins=3, lookback=7, horizon=5)
        assert spans == [(35, 50), (7, 17), (9, 9)]
        assert "fewer than 3 origins, for want of steps: 2 of short, 0 of none" in messages.text
        windows = SeriesEncoder.fit(both, [(0, 9)] * 3).windows(
            both, spans, lookback=7, horizon=5, batch_size=8, stride=5
        )
        assert windows.starts.tolist() == [35, 40, 45, 7, 12]
        with pytest.raises(
            InputError,
            match="--backtest needs 48 steps to read and 5 to forecast: 53 or more; there are at most 50",
        ):
            last_origins(both, origins=1, lookback=48, horizon=5)

    def test_errors_of_each_channel_and_origin_are_in_their_own_units(self):
        """Of a network that knows nothing: it forecasts the last value, plus nothing."""
        walks = [
            series(RNG.normal(size=(n, 2)).cumsum(axis=0) * scale, name, "xy")
            for n, scale, name in ((40, 1, "a"), (30, 100, "b"))
        ]
        walks.append(series(np.zeros((14, 2)), "none", "xy"))
        encoder = SeriesEncoder.fit(walks, [(0, 20), (0, 20), (0, 10)])
        model = forecaster(
            lookback=12,
            horizon=5,
            channels=2,
            units=4,
            embedding_size=4,
            head="quantiles",
            quantiles=(0.5, 0.9),
        )
        output = model.get_layer("segment_output")
        output.set_weights([np.zeros_like(part) for part in output.get_weights()])
        spans, found = Forecaster(model, encoder, batch_size=2).backtest(walks, origins=4, season=3)
        assert spans == [(20, 40), (15, 30), (14, 14)]
        assert list(found) == ["a x", "a y", "b x", "b y"]
        assert [len(origins) for origins in found.values()] == [4, 4, 3, 3]
        x = walks[1].values[:, 1]
        assert found["b y"][1]["model"] == pytest.approx(np.abs(x[20:25] - x[19]).mean(), rel=1e-4)
        assert found["b y"][1]["naive"] == pytest.approx(
            np.abs(x[20:25] - x[[17, 18, 19, 17, 18]]).mean(), rel=1e-4
        )

    @pytest.mark.parametrize(
        ("ours", "theirs", "said"),
        [
            (
                [1, 1, 1, 1, 1],
                [2, 2, 2, 2, 2],
                "mean absolute error 1, seasonal naive 2; better at 5 of 5 origins: the model wins by 50%",
            ),
            ([1, 1], [2, 2], "the model wins by 50%, though so few origins prove little"),
            (
                [2, 2, 2],
                [1, 2, 2],
                "better at 0 of 3 origins: the naive forecast is as good or better, take that one",
            ),
            (
                [1, 1, 1],
                [0.9, 0.9, 9],
                "better by 72% on average, but not at most origins; no clear winner",
            ),
        ],
    )
    def test_the_verdict(self, ours, theirs, said):
        parts = [
            np.array(part, float)[:, None, None] for part in (np.zeros(len(ours)), ours, theirs)
        ]
        assert verdict(rolling_origins(*parts)).endswith(said)


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
