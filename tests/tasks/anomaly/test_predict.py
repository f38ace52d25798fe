"""Scores of streams: right tails, nothing of the future, chunks as the whole, and measures by hand."""

import keras
import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.anomaly.baselines import rolling_z, seasonal_residual, windowed_gaussian
from rnn_cookbook.tasks.anomaly.live import State, read_states, write_states
from rnn_cookbook.tasks.anomaly.model import autoencoder, online_forecaster
from rnn_cookbook.tasks.anomaly.predict import (
    Detector,
    PredictionErrors,
    ReconstructionErrors,
    point_features,
    score_streams,
)
from rnn_cookbook.tasks.anomaly.scores import (
    alarms_of,
    best_event_threshold,
    event_scores,
    quiet_threshold,
)
from rnn_cookbook.tasks.anomaly.tails import Rest, SeasonalMedian, Smoothed, TailProbability

SEASON = 12


def streams(count=3, steps=400, channels=2, seed=0) -> np.ndarray:
    """Seasons with noise, float64[streams, steps, channels]."""
    rng = np.random.default_rng(seed)
    season = np.sin(2 * np.pi * np.arange(steps) / SEASON)[None, :, None]
    return (
        5
        + season * rng.uniform(1, 3, (count, 1, channels))
        + rng.normal(size=(count, steps, channels)) / 10
    )


def detector(kind: str, count=3, channels=2, **options) -> Detector:
    keras.utils.set_random_seed(1)
    if kind == "predictor":
        model = online_forecaster(
            channels=channels, features=4 * channels + 1, units=4, head="student_t"
        )
        errors = PredictionErrors(model, streams=count, channels=channels, season=SEASON)
    else:
        model = autoencoder(features=channels, units=4, code_size=3)
        errors = ReconstructionErrors(model, streams=count, channels=channels, window=8)
    settings = {"season": SEASON, "smoothing": 5, "rest": 20, **options}
    return Detector(
        errors,
        mean=np.full((count, channels), 5.0),
        scale=np.full((count, channels), 2.0),
        **settings,
    )


BOTH = pytest.mark.parametrize("kind", ["predictor", "autoencoder"])


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
        with pytest.raises(InputError, match=r"got 10, 5, 0\.05 and 0\.5"):
            TailProbability(1, keep=5)


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


def test_an_anomaly_has_no_echo_one_season_later():
    """A day that goes wrong is told; the next day, as usual again, is not."""
    values = streams(count=1, steps=40 * SEASON, channels=1)
    values[0, 30 * SEASON : 31 * SEASON] += 3
    _, evidence, _ = detector("predictor", count=1, channels=1, smoothing=1).score(values)
    assert evidence[0, 30 * SEASON] > 6
    assert (
        evidence[0, 31 * SEASON + 3 : 33 * SEASON].max() < 4
    )  # three steps after its end, which is itself a change


def test_an_alarm_counts_once():
    scores, steps = np.array([0, 3, 2, 3, 4, 1, 0, 0, 2, 1.0]), 3
    rest = Rest(1, steps=steps)
    found = [rest.update(scores[i : i + 1])[0] for i in range(len(scores))]
    wanted = [
        s if s > max(scores[max(0, i - steps) : i], default=0) else 0 for i, s in enumerate(scores)
    ]
    assert found == wanted == [0, 3, 0, 0, 4, 0, 0, 0, 2, 0]


class TestFeatures:
    def test_chunks_are_the_whole(self):
        values = streams(1)[0]
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
        values = streams(1)[0]
        changed = values.copy()
        changed[50:] += 7
        one, other = (point_features(each, season=SEASON) for each in (values, changed))
        np.testing.assert_array_equal(one[:50], other[:50])
        assert (one[50] != other[50]).any()


class TestDetector:
    @BOTH
    @pytest.mark.parametrize("sizes", [[1], [7], [3, 1, 40]])
    def test_chunks_are_the_whole(self, kind, sizes):
        values = streams(steps=150)
        values[0, 60:64] = np.nan
        whole = detector(kind).score(values)
        assert whole[0].any()
        one, parts, start, turn = detector(kind), [], 0, 0
        while start < values.shape[1]:
            size = sizes[turn % len(sizes)]
            parts.append(one.score(values[:, start : start + size]))
            start, turn = start + size, turn + 1
        for i in range(3):
            np.testing.assert_allclose(
                np.concatenate([part[i] for part in parts], axis=1), whole[i], atol=1e-4
            )

    @BOTH
    def test_a_batch_is_its_streams_one_by_one(self, kind):
        values = streams(steps=200)
        scores, *_ = detector(kind).score(values)
        for i in range(len(values)):
            np.testing.assert_allclose(
                detector(kind, count=1).score(values[i : i + 1])[0][0], scores[i], atol=1e-4
            )

    @BOTH
    def test_nothing_looks_ahead(self, kind):
        values = streams(steps=200)
        changed = values.copy()
        changed[:, 150:] += np.random.default_rng(5).normal(size=changed[:, 150:].shape) * 10
        one, other = detector(kind).score(values), detector(kind).score(changed)
        for before, after in zip(one, other, strict=True):
            np.testing.assert_array_equal(before[:, :150], after[:, :150])
        assert (one[1][:, 150:] != other[1][:, 150:]).any()

    @BOTH
    def test_a_restart_goes_on_with_the_same_scores(self, kind, tmp_path):
        values = streams(steps=200)
        whole, *_ = detector(kind).score(values)
        first = detector(kind)
        first.score(values[:, :123])
        write_states(tmp_path / "state.npz", {str(i): State.of(first, i) for i in range(3)})
        kept = read_states(tmp_path / "state.npz")
        second = detector(kind)
        second.restore(*(kept[str(i)].arrays for i in range(3)))
        np.testing.assert_allclose(second.score(values[:, 123:])[0], whole[:, 123:], atol=1e-4)
        alone = detector(kind, count=1)  # and each of them by itself
        alone.restore(kept["1"].arrays)
        np.testing.assert_allclose(alone.score(values[1:2, 123:])[0], whole[1:2, 123:], atol=1e-4)

    @BOTH
    def test_its_memory_does_not_grow(self, kind):
        one, sizes = detector(kind), []
        for _ in range(3):
            one.score(streams(steps=150))
            sizes.append(sum(array.nbytes for array in one.state().values()))
        assert len(set(sizes)) == 1

    @BOTH
    @pytest.mark.slow
    def test_streams_of_different_length_are_scored_as_alone_and_left_as_alone(self, kind):
        values = [part[: 100 + 30 * i] for i, part in enumerate(streams(steps=200))]
        found = score_streams(
            values, lambda members: detector(kind, count=len(members)), groups=[0, 1, 0], chunk=64
        )
        for part, scored in zip(values, found, strict=True):
            alone = detector(kind, count=1)
            np.testing.assert_allclose(scored.score, alone.score(part[None])[0][0], atol=1e-4)
            for name, array in alone.state().items():
                np.testing.assert_allclose(scored.state[name], array, atol=1e-4, err_msg=name)

    @BOTH
    @pytest.mark.parametrize("what", ["spike", "shift", "flat", "faster"])
    def test_what_is_anomalous_stands_out(self, kind, what):
        """Even to a network that has learnt nothing: the stream's own past tells."""
        values = streams(count=1, steps=900, channels=1)
        usual = detector(kind, count=1, channels=1, smoothing=2).score(values)[0][0, 450:]
        angle = np.arange(700, 740) * 2 * np.pi * 2.7 / SEASON
        anomaly = {
            "spike": values[0, 700:701] + 5,
            "shift": values[0, 700:760] + 4,
            "flat": values[0, 703:743] * 0 + 5.3,
        }
        anomaly["faster"] = 5 + 2 * np.sin(angle)[:, None]
        values[0, 700 : 700 + len(anomaly[what])] = anomaly[what]
        found = detector(kind, count=1, channels=1, smoothing=2).score(values)[0][0, 700:745]
        assert found.max() > usual.max()

    def test_a_missing_value_is_no_alarm_and_teaches_nothing(self):
        values = streams(steps=200)
        values[1, 100:120] = np.nan
        scores, evidence, _ = detector("predictor").score(values)
        assert not evidence[1, 100:120].any()
        assert np.isfinite(scores).all()
        everything = np.full((3, 50, 2), np.nan)
        assert not detector("predictor").score(everything)[0].any()

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (np.zeros((2, 5, 2)), r"accepted is \(3, steps, 2\)"),
            (np.zeros((3, 5)), "do not fit"),
            (np.full((3, 1, 2), np.inf), "infinite"),
        ],
    )
    def test_bad_input(self, values, message):
        with pytest.raises(InputError, match=message):
            detector("predictor").score(values)


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
            assert found[row] == pytest.approx(1 - 0.5 * (1 - _erf(z / np.sqrt(2)))), row


def _erf(x):
    from math import erf

    return erf(x)


class TestMeasures:
    WINDOWS = ([(20, 29), (60, 69)], [(50, 59)])

    def scores(self):
        first, second = np.zeros(100), np.zeros(100)
        first[[22, 24, 90, 92]] = (
            1  # a hit two rows late, told twice; a false alarm of two rows; a miss
        )
        second[50] = 1  # a hit at once
        return [first, second]

    def test_events_by_hand(self):
        found = event_scores(self.scores(), self.WINDOWS, 0.5, gaps=(5, 5))
        assert found["event_precision"] == pytest.approx(2 / 3)
        assert found["event_recall"] == pytest.approx(2 / 3)
        assert found["event_f1"] == pytest.approx(2 / 3)
        assert (found["delay"], found["alarms"], found["false_alarms"]) == (1.0, 3, 1)
        nothing = event_scores(self.scores(), self.WINDOWS, 2.0, gaps=(5, 5))
        assert set(nothing.values()) == {0.0}

    def test_rows_near_each_other_are_one_alarm(self):
        assert alarms_of(self.scores()[0], 0.5, gap=5) == [(22, 24), (90, 92)]
        assert alarms_of(self.scores()[0], 0.5, gap=1) == [(22, 22), (24, 24), (90, 90), (92, 92)]
        assert alarms_of(np.zeros(5), 0.5, gap=1) == []

    def test_the_best_threshold_for_events(self):
        scores = [np.random.default_rng(i).uniform(size=100) / 2 for i in range(2)]
        scores[0][[22, 65]] = 0.9, 0.8
        scores[1][55] = 0.7
        threshold = best_event_threshold(scores, self.WINDOWS, gaps=(5, 5))
        assert 0.5 < threshold <= 0.7
        assert event_scores(scores, self.WINDOWS, threshold, gaps=(5, 5))["event_f1"] == 1
        assert best_event_threshold([np.zeros(100)], [[(5, 6)]], gaps=[5]) == np.inf

    @pytest.mark.parametrize("expected", [20, 1, 0.1])
    def test_the_threshold_without_labels_is_reached_as_often_as_asked(self, expected):
        rng = np.random.default_rng(0)
        threshold = quiet_threshold(rng.exponential(size=20_000), alarms=expected)
        assert threshold == pytest.approx(np.log(20_000 / expected), rel=0.12)

    def test_more_alarms_than_the_tail_has_are_counted(self):
        scores = np.arange(1.0, 101)
        assert quiet_threshold(scores, alarms=12) == 89
        assert quiet_threshold(scores, alarms=500) == 1

    def test_scores_with_an_end_get_a_threshold_that_may_be_reached_no_more(self):
        scores = np.random.default_rng(0).uniform(size=5000)
        assert 0.99 < quiet_threshold(scores, alarms=0.5) < 1.5

    def test_too_few_scores_for_a_threshold(self):
        with pytest.raises(InputError, match=r"more than 10 scores above 0 .* got 3"):
            quiet_threshold(np.array([0, 1, 0, 2, 3.0]), alarms=1)
