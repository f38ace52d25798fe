"""What the networks read: by hand, in chunks, and nothing of the future."""

import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.anomaly.encode import (
    arcsinh_scaled,
    forecasting_example,
    forward_filled,
    point_features,
    reconstruction_example,
    training_windows,
    width_of_features,
)

SEASON = 12


def stream(steps=400, channels=2, seed=0) -> np.ndarray:
    """A season with noise, float64[steps, channels]."""
    rng = np.random.default_rng(seed)
    season = np.sin(2 * np.pi * np.arange(steps) / SEASON)[:, None]
    return 5 + season * rng.uniform(1, 3, channels) + rng.normal(size=(steps, channels)) / 10


class TestFeatures:
    def test_chunks_are_the_whole(self):
        values = stream()
        whole = point_features(values, season=SEASON)
        for start, end in ((1, 5), (13, 14), (100, 130)):
            first = max(0, start - SEASON)
            part = point_features(values[first:end], season=SEASON, before=start - first)
            np.testing.assert_array_equal(part, whole[start:end])

    def test_by_hand(self):
        values = np.arange(10.0)[:, None] ** 2
        now, last, following, away, known = point_features(values, season=4)[6]
        assert known == 1
        np.testing.assert_allclose(
            np.sinh([now, last, following, away]),
            [36, 3 * (36 - 25), 3 * (9 - 4), 9 - 36],
            rtol=1e-5,
        )
        assert not point_features(values, season=4)[3, 2:].any()  # no season yet
        assert not point_features(values, season=0)[:, 2:].any()  # nor ever

    def test_nothing_looks_ahead(self):
        values = stream()
        changed = values.copy()
        changed[50:] += 7
        one, other = (point_features(each, season=SEASON) for each in (values, changed))
        np.testing.assert_array_equal(one[:50], other[:50])
        assert (one[50] != other[50]).any()


def test_missing_values_are_the_last_ones_before_them():
    values = np.array([[np.nan, 1], [2, np.nan], [np.nan, np.nan], [3, 4]])
    np.testing.assert_array_equal(forward_filled(values), [[0, 1], [2, 1], [2, 1], [3, 4]])
    np.testing.assert_array_equal(forward_filled(values, np.array([7, 8]))[0], [7, 1])


def test_examples_and_windows_of_the_first_rows_and_the_last_fifth():
    values = stream(steps=100)
    features, changes = forecasting_example(values, season=SEASON)
    assert features.shape == (99, width_of_features(2))
    np.testing.assert_allclose(changes[:, 0], values[1:] - values[:-1], rtol=1e-5, atol=1e-6)
    inputs, targets = reconstruction_example(values)
    np.testing.assert_array_equal(inputs, arcsinh_scaled(values))
    assert inputs is targets
    training, held_out = training_windows(
        [(inputs, targets)], rows=[100], length=8, batch_size=4, seed=0
    )
    assert (training.examples, held_out.examples) == (37, 7)  # of 80 and 20 rows, every 2 rows
    with pytest.raises(InputError, match="8"):
        training_windows([(inputs[:5], targets[:5])], rows=[5], length=8, batch_size=4, seed=0)
