"""Forecasts from the outputs of a network, in the units of the series."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rnn_cookbook.data.series import Series
from rnn_cookbook.encode.series import SeriesEncoder
from rnn_cookbook.tasks.forecasting.model import forecaster
from rnn_cookbook.tasks.forecasting.predict import Forecaster, point_and_quantiles

RNG = np.random.default_rng(0)


def series(values, name="", channels=("x",)):
    return Series(
        pd.date_range("2024-01-01", periods=len(values), freq="D"), values, list(channels), name
    )


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


def test_errors_of_each_channel_and_origin_are_in_their_own_units():
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
