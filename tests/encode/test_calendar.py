"""The calendar as numbers."""

import numpy as np
import pandas as pd
import pytest

from rnn_cookbook.encode.calendar import calendar_cycles, calendar_features


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
