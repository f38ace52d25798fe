"""The sample of seasonal series: seeded, with a floor that no forecast is below."""

import numpy as np
import pytest

from rnn_cookbook.tasks.forecasting.sample import (
    SERIES_MEMORY,
    SERIES_SEASON,
    seasonal_floor,
    seasonal_oracle,
    seasonal_series,
)


class TestSeasonalSeries:
    def test_the_floor_is_that_of_who_knows_the_law(self):
        """The season and the trend by regression, the noise by its mean given the last one: no
        forecast can do better."""
        series, time = seasonal_series(40_000, seed=0), np.arange(40_000)
        angles = 2 * np.pi * np.outer(time, [1, 2]) / SERIES_SEASON
        known = np.concatenate(
            [np.ones((40_000, 1)), time[:, None], np.sin(angles), np.cos(angles)], axis=1
        )
        law = known @ np.linalg.lstsq(known, series.values, rcond=None)[0]
        noise = series.values - law
        errors = [noise[i:] - SERIES_MEMORY**i * noise[:-i] for i in range(1, 13)]
        assert np.mean([np.mean(error**2) for error in errors]) == pytest.approx(
            seasonal_floor(12), rel=0.05
        )
        assert np.mean(noise**2) > 1.8 * seasonal_floor(
            12
        )  # who forgets the last value pays for it

    def test_the_oracle_reaches_the_floor_and_nothing_beats_it(self):
        origins = np.arange(100, 39_000)
        actual = seasonal_series(40_000, seed=0).values[origins[:, None] + np.arange(12)]
        best = seasonal_oracle(40_000, origins, 12, seed=0)
        assert np.mean((best - actual) ** 2) == pytest.approx(seasonal_floor(12), rel=0.05)
        again = actual[24:] - (
            actual[:-24] - best[:-24]
        )  # correcting by an error of a day before makes it worse
        assert np.mean((again - actual[24:]) ** 2) >= 0
        assert abs((best - actual).mean()) < 0.05

    def test_is_seeded(self):
        one, same, other = (seasonal_series(100, seed=seed, channels=3) for seed in (0, 0, 1))
        np.testing.assert_array_equal(one.values, same.values)
        assert one.values.shape == (100, 3)
        assert not np.allclose(one.values, other.values)
        assert (len(one), one.times.freqstr, one.channels[2]) == (100, "h", "series 3")
