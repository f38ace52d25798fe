"""Simple detectors: nothing of the future, and by hand."""

from math import erf

import numpy as np
import pytest

from rnn_cookbook.tasks.anomaly.baselines import (
    largest_channel,
    rolling_z,
    seasonal_residual,
    windowed_gaussian,
)

SEASON = 12


class TestBaselines:
    BASELINES = (rolling_z, windowed_gaussian, lambda x: seasonal_residual(x, season=SEASON))

    @pytest.mark.parametrize("score", BASELINES)
    def test_nothing_looks_ahead_and_spikes_stand_out(self, score):
        values = np.random.default_rng(0).normal(size=600)
        changed = values.copy()
        changed[500:] += 50
        np.testing.assert_allclose(score(values)[:500], score(changed)[:500], atol=1e-9)
        assert score(changed)[500] > score(values)[200:500].max()

    @pytest.mark.parametrize("score", BASELINES)
    @pytest.mark.parametrize("value", [0.0, 45.0, np.nan])
    def test_constant_and_missing_streams_are_no_alarm(self, score, value):
        assert not (score(np.full(300, value))[5:] > 0.9).any()

    def test_rolling_z_by_hand(self):
        values = np.random.default_rng(0).normal(size=400)
        past = values[50:350]
        assert rolling_z(values)[350] == pytest.approx(
            abs(values[350] - past.mean()) / past.std(ddof=1)
        )

    def test_the_windowed_gaussian_by_hand(self):
        values = np.random.default_rng(0).normal(size=140)
        found = windowed_gaussian(values, window=50, step=20)
        for row, (start, end) in {30: (0, 30), 69: (0, 50), 70: (20, 70), 109: (40, 90)}.items():
            z = abs(values[row] - values[start:end].mean()) / values[start:end].std()
            assert found[row] == pytest.approx(1 - 0.5 * (1 - erf(z / np.sqrt(2)))), row


def test_the_largest_channel_counts():
    values = np.random.default_rng(0).normal(size=(400, 2))
    both = largest_channel(rolling_z, values)
    alone = [rolling_z(values[:, channel]) for channel in range(2)]
    np.testing.assert_array_equal(both.score, np.maximum(*alone))
    np.testing.assert_array_equal(both.evidence, both.score)
