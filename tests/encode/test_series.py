"""Windows of series: every one of them once, nothing of the future in them, in an order that a
resumed run repeats."""

import numpy as np
import pandas as pd
import pytest

from rnn_cookbook.data.series import Series
from rnn_cookbook.encode.series import (
    SeriesEncoder,
    SeriesScaler,
    Windows,
    calendar_cycles,
    calendar_features,
)
from rnn_cookbook.errors import InputError

SERIES = [np.arange(20.0)[:, None] + [0, 100], 1000 + np.arange(12.0)[:, None] + [0, 100]]


def read(windows):
    pairs = [(np.array(x), np.array(y)) for x, y in windows.dataset()]
    return [np.concatenate(part) for part in zip(*pairs, strict=True)]


def test_all_windows_and_what_follows_each():
    windows = Windows(SERIES, [(0, 20), (0, 12)], lookback=4, horizon=3, batch_size=5)
    past, future = read(windows)
    assert windows.examples == len(past) == (20 - 7 + 1) + (12 - 7 + 1)
    assert len(windows) == -(-windows.examples // 5)
    np.testing.assert_array_equal(past[0, :, 0], [0, 1, 2, 3])
    np.testing.assert_array_equal(future[0, :, 0], [4, 5, 6])
    np.testing.assert_array_equal(
        future[13, :, 1], [117, 118, 119]
    )  # the last one of the first series
    np.testing.assert_array_equal(
        past[14, :, 0], [1000, 1001, 1002, 1003]
    )  # none goes from one series into the other
    np.testing.assert_array_equal(future[-1, :, 0], [1009, 1010, 1011])
    np.testing.assert_array_equal(future[:, 0] - past[:, -1], np.ones((windows.examples, 2)))
    for got, wanted in zip(windows.arrays(), (past, future), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_targets_stay_in_their_span_and_windows_reach_back():
    """As the ETT benchmark has it: 2,880 test steps have 2,880 - horizon + 1 windows, the first of
    which looks at validation data."""
    windows = Windows(
        [np.arange(14_400.0)[:, None]], [(11_520, 14_400)], lookback=336, horizon=96, batch_size=512
    )
    past, future = windows.arrays()
    assert windows.examples == 2880 - 96 + 1
    assert (past.min(), future.min(), future.max()) == (11_520 - 336, 11_520, 14_399)


def test_a_stride_leaves_windows_out_evenly():
    windows = Windows(SERIES[:1], [(8, 20)], lookback=4, horizon=3, batch_size=2, stride=3)
    np.testing.assert_array_equal(windows.arrays()[1][:, 0, 0], [8, 11, 14, 17])


def test_the_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        windows = Windows(
            SERIES, [(0, 20), (0, 12)], lookback=4, horizon=3, batch_size=5, shuffle=True, seed=seed
        )
        windows.epoch = epoch
        return read(windows)[1][:, 0, 0].tolist()

    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4
    assert sorted(order(0, 0)) == sorted(order(1, 1))


def test_outputs_go_back_to_the_order_of_the_windows():
    windows = Windows(
        SERIES, [(0, 20), (0, 12)], lookback=4, horizon=3, batch_size=5, shuffle=True, seed=2
    )
    np.testing.assert_array_equal(windows.in_order(read(windows)[1]), windows.arrays()[1])


def test_covariates_are_those_of_the_window_and_of_the_steps_to_forecast():
    known = [
        np.arange(25.0)[:, None],
        np.arange(1000.0, 1015)[:, None],
    ]  # further than the series, which is where they help
    windows = Windows(SERIES, [(0, 20), (0, 12)], lookback=4, horizon=3, batch_size=50, known=known)
    ((inputs, target),) = windows.dataset()
    both = np.concatenate([inputs["window"], target], axis=1)
    np.testing.assert_array_equal(np.array(inputs["covariates"])[..., 0], both[..., 0])
    assert inputs["window"].shape == (windows.examples, 4, 2)


def test_a_teacher_hears_the_target():
    ((inputs, target),) = Windows(
        SERIES, [(0, 20), (0, 12)], lookback=4, horizon=3, batch_size=50, teacher=True
    ).dataset()
    assert set(inputs) == {"window", "target"}
    np.testing.assert_array_equal(inputs["target"], target)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lookback": 30}, "no window of 30 \\+ 3 steps fits: of the series, 20, 12 steps long"),
        (
            {"spans": [(18, 20), (10, 12)]},
            "no window of 4 \\+ 3 steps fits.* at most 2 are to be forecast",
        ),
        ({"spans": [(0, 21), (0, 12)]}, "within its series of 20 steps, got 0 to 21"),
        ({"spans": [(0, 20)]}, "got 2 and 1"),
        ({"horizon": 0}, "of 1 or more, got 4, 0, 5, 1"),
        (
            {"known": [np.zeros((20, 1)), np.zeros((11, 1))]},
            "covariates of series 1 end after 11 steps, its values after 12",
        ),
    ],
)
def test_what_cannot_be_cut_is_told(options, message):
    with pytest.raises(InputError, match=message):
        Windows(
            **{
                "series": SERIES,
                "spans": [(0, 20), (0, 12)],
                "lookback": 4,
                "horizon": 3,
                "batch_size": 5,
            }
            | options
        )


def test_scaler_is_fitted_on_what_it_is_given():
    values = np.random.default_rng(0).normal(5, 3, (50, 2))
    values[:, 1] = 0.1 + 0.2  # constant
    scaled = SeriesScaler.fit({"a": values}).transform("a", values)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled[:, 0].std(), 1, rtol=1e-6)
    assert np.isfinite(scaled).all()


RNG = np.random.default_rng(0)
TIMES = pd.date_range("2024-01-01", periods=70, freq="h")
BOTH = [  # 60 steps with a value, and ten of the future; units apart by a factor of a hundred
    Series(
        TIMES,
        RNG.normal(5, 3, (60, 2)),
        ["x", "y"],
        "a",
        known=RNG.normal(2, 1, (70, 1)),
        covariates=["price"],
    ),
    Series(
        TIMES,
        RNG.normal(500, 300, (60, 2)),
        ["x", "y"],
        "b",
        known=RNG.normal(2, 1, (70, 1)),
        covariates=["price"],
    ),
]
SHAPE = {"lookback": 6, "horizon": 4, "batch_size": 8}


class TestSeriesEncoder:
    @pytest.fixture
    def encoder(self, tmp_path):
        SeriesEncoder.fit(BOTH, [(0, 48), (0, 40)], calendar=True).save(tmp_path)
        return SeriesEncoder.load(tmp_path)

    def test_scales_by_the_training_steps_and_back(self, encoder):
        windows = encoder.windows(BOTH, [(0, 60), (50, 60)], **SHAPE)
        past, future = windows.arrays()
        np.testing.assert_allclose(
            past[0],
            (BOTH[0].values - BOTH[0].values[:48].mean(0))[:6] / BOTH[0].values[:48].std(0),
            rtol=1e-4,
        )
        own = encoder.own_units(BOTH, windows, future)
        np.testing.assert_allclose(own[-1], BOTH[1].values[-4:], rtol=1e-4)
        np.testing.assert_allclose(own[0], BOTH[0].values[6:10], rtol=1e-4)
        quantiles = np.stack([future, future + 1], axis=-1)
        np.testing.assert_allclose(encoder.own_units(BOTH, windows, quantiles)[..., 0], own)
        assert encoder.own_units(BOTH, windows, None) is None

    def test_covariates_and_the_calendar_lie_at_their_steps(self, encoder):
        windows = encoder.windows(BOTH, [(10, 20), (60, 60)], **SHAPE)
        inputs, _ = next(iter(windows.dataset()))
        assert windows.covariates == 1 + 2
        price = BOTH[0].known[4:14, 0]
        found = np.array(inputs["covariates"])[0]
        np.testing.assert_allclose(np.corrcoef(found[:, 0], price)[0, 1], 1, atol=1e-6)
        np.testing.assert_allclose(
            found[:, 1], np.sin(2 * np.pi * np.arange(4, 14) / 24), atol=1e-6
        )

    def test_the_window_ahead_ends_with_the_last_value(self, encoder):
        windows = encoder.windows_ahead(BOTH, **SHAPE)
        inputs, _ = next(iter(windows.dataset()))
        assert windows.examples == 2
        np.testing.assert_allclose(
            encoder.own_units(BOTH, windows, np.array(inputs["window"]))[1],
            BOTH[1].values[-6:],
            rtol=1e-4,
        )
        hours = np.arange(54, 64)
        np.testing.assert_allclose(
            np.array(inputs["covariates"])[1, :, 1], np.sin(2 * np.pi * hours / 24), atol=1e-5
        )
        with pytest.raises(
            InputError,
            match=r"'price' of series 'a' end at 2024-01-03 21:00:00, the values at 2024-01-03 11:00:00.*04 00:00",
        ):
            encoder.windows_ahead(BOTH, lookback=6, horizon=13, batch_size=8)

    def test_a_series_that_training_did_not_see(self, encoder, messages):
        new = Series(
            TIMES,
            BOTH[1].values * 1000,
            ["x", "y"],
            "new",
            known=BOTH[1].known,
            covariates=["price"],
        )
        adapted = encoder.adapted([BOTH[0], new])
        windows = adapted.windows([new], [(0, 60)], **SHAPE)
        assert abs(windows.arrays()[0].mean()) < 1
        assert (
            "1 series that training did not see are scaled by their own values: new"
            in messages.text
        )
        np.testing.assert_array_equal(adapted.values.facts["a"], encoder.values.facts["a"])


@pytest.mark.parametrize(
    ("frequency", "steps", "cycles"),
    [
        ("h", 24 * 800, ["day", "week", "year"]),
        ("h", 24 * 700, ["day", "week"]),  # of a year that was seen once, the second is new
        ("h", 24 * 13, ["day"]),
        ("h", 40, []),
        ("D", 800, ["week", "year"]),
        ("MS", 36, ["year"]),
        ("YS", 9, []),
        ("h", 1, []),
    ],
)
def test_the_calendar_tells_cycles_that_training_covers_twice(frequency, steps, cycles):
    times = pd.date_range("2024-01-01", periods=steps, freq=frequency)
    assert calendar_cycles(times) == cycles
    assert calendar_features(times, cycles).shape == (steps, 2 * len(cycles))


def test_calendar_features_repeat_with_their_cycle():
    hours = calendar_features(
        pd.date_range("2024-01-01", periods=24 * 400, freq="h"), ["day", "week", "year"]
    )
    assert np.abs(hours).max() <= 1
    np.testing.assert_allclose(hours[:24, :2], hours[24:48, :2], atol=1e-6)
    np.testing.assert_allclose(hours[:168, 2:4], hours[168:336, 2:4], atol=1e-6)
    assert np.abs(hours[0] - hours[24]).max() > 0.1
