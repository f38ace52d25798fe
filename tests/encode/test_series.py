"""Series to scaled windows and back to their own units."""

import numpy as np
import pandas as pd
import pytest

from rnn_cookbook.data.series import Series
from rnn_cookbook.encode.series import SeriesEncoder, SeriesScaler
from rnn_cookbook.errors import InputError


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
            match=r"'price' of series 'a' end at 2024-01-03 21:00:00, the values at "
            r"2024-01-03 11:00:00.*04 00:00",
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
