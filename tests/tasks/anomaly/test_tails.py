"""Right tails, running means, seasonal medians and the refractory period, by hand."""

import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.anomaly.tails import (
    RefractoryPeriod,
    SeasonalMedian,
    Smoothed,
    TailProbability,
)


class TestTailProbability:
    def scores(self, values, **options):
        tails = TailProbability(1, **options)
        return np.array([tails.score(np.array([value]))[0] for value in values])

    @pytest.mark.parametrize("law", ["exponential", "normal", "standard_t"])
    def test_is_reached_as_often_as_it_says(self, law):
        rng = np.random.default_rng(0)
        values = getattr(rng, law)(*([3] if law == "standard_t" else []), size=20_000)
        found = self.scores(values)[1000:]
        for level in (2.0, 2.5, 3.0):
            assert (found >= level).mean() == pytest.approx(10**-level, rel=0.6), level

    def test_units_and_level_do_not_matter(self):
        values = np.random.default_rng(1).exponential(size=500)
        np.testing.assert_allclose(self.scores(values * 1e6 - 3e7), self.scores(values), atol=1e-6)

    def test_a_lasting_change_becomes_usual(self):
        rng = np.random.default_rng(2)
        values = np.concatenate([rng.normal(size=1000), rng.normal(size=1000) + 20])
        found = self.scores(values)
        assert found[1000] > 6
        assert found[1500:].max() < 4.5

    def test_streams_do_not_know_of_each_other_and_nan_is_no_value(self):
        values = np.random.default_rng(3).normal(size=(300, 2))
        values[::7, 1] = np.nan
        together = TailProbability(2)
        found = np.array([together.score(row) for row in values])
        assert not found[::7, 1].any()
        np.testing.assert_allclose(found[:, 0], self.scores(values[:, 0]))
        there = ~np.isnan(values[:, 1])
        np.testing.assert_allclose(found[there, 1], self.scores(values[there, 1]))

    @pytest.mark.parametrize("spike", [1e-9, 1e12])
    def test_constant_streams_and_new_units(self, spike):
        """What hardly moves is no alarm; a jump by 1e12 is one, and numbers stay numbers."""
        found = self.scores([0.0] * 200 + [spike] * 200)
        assert np.isfinite(found).all()
        assert (found[200] > 10) == (spike > 1)

    def test_bad_settings(self):
        with pytest.raises(
            InputError, match=r"received min_peaks=10, max_peaks=5, fraction=0\.05 and"
        ):
            TailProbability(1, max_peaks=5)


def test_smoothing_is_the_mean_at_first_and_exponential_then():
    smoothed, expected = Smoothed(1, steps=4), [2.0, 3.0, 3.0, 4.0, 4.0 + 0.25 * (12 - 4.0)]
    for value, wanted in zip([2.0, 4.0, np.nan, 6.0, 12.0], expected, strict=True):
        if wanted == expected[-1]:
            smoothed.update(np.array([4.0]))  # the fourth value: their mean stays 4
        assert smoothed.update(np.array([value]))[0] == pytest.approx(wanted)


def test_what_is_usual_at_a_place_of_the_season_is_a_median_of_the_past():
    """By hand: of up to three seasons, without what is missing; and the same from a saved state."""
    values = np.random.default_rng(0).normal(size=(40, 2, 1))
    values[[9, 13], 1] = np.nan
    usual, restored = SeasonalMedian((2, 1), season=4, seasons=3), None
    for row, value in enumerate(values):
        past = [values[row - lag] for lag in (4, 8, 12) if row >= lag]
        known = [
            [past[i][stream] for i in range(len(past)) if not np.isnan(past[i][stream])]
            for stream in range(2)
        ]
        wanted = [[np.median(each)] if each else [np.nan] for each in known]
        found = usual.update(value)
        np.testing.assert_allclose(found, wanted)
        if restored:
            np.testing.assert_array_equal(restored.update(value), found)
        if row == 22:
            restored = SeasonalMedian((2, 1), season=4, seasons=3)
            restored.restore(usual.state())
    assert np.isnan(SeasonalMedian((2, 1), season=0).update(values[0])).all()


def test_an_alarm_counts_once():
    scores, steps = np.array([0, 3, 2, 3, 4, 1, 0, 0, 2, 1.0]), 3
    period = RefractoryPeriod(1, steps=steps)
    found = [period.update(scores[i : i + 1])[0] for i in range(len(scores))]
    wanted = [
        s if s > max(scores[max(0, i - steps) : i], default=0) else 0 for i, s in enumerate(scores)
    ]
    assert found == wanted == [0, 3, 0, 0, 4, 0, 0, 0, 2, 0]
