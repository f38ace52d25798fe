"""Detectors: chunks as the whole, streams as alone, nothing of the future."""

import keras
import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.anomaly.encode import width_of_features
from rnn_cookbook.tasks.anomaly.model import autoencoder, online_forecaster
from rnn_cookbook.tasks.anomaly.predict import Detector, score_streams
from rnn_cookbook.tasks.anomaly.residuals import PredictionErrors, ReconstructionErrors
from rnn_cookbook.tasks.anomaly.states import State, read_states, write_states

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
            channels=channels, features=width_of_features(channels), units=4, head="student_t"
        )
        errors = PredictionErrors(model, streams=count, channels=channels, season=SEASON)
    else:
        model = autoencoder(features=channels, units=4, code_size=3)
        errors = ReconstructionErrors(model, streams=count, channels=channels, window=8)
    settings = {"season": SEASON, "smoothing": 5, "refractory": 20, **options}
    return Detector(
        errors,
        mean=np.full((count, channels), 5.0),
        scale=np.full((count, channels), 2.0),
        **settings,
    )


BOTH = pytest.mark.parametrize("kind", ["predictor", "autoencoder"])


class TestDetector:
    @BOTH
    @pytest.mark.parametrize("sizes", [pytest.param([1], marks=pytest.mark.slow), [7], [3, 1, 40]])
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
            values,
            lambda scales, season: detector(kind, count=len(scales)),
            scales=[(np.full(2, 5.0), np.full(2, 2.0))] * 3,
            seasons=[0, 1, 0],
            chunk=64,
        )
        for part, scored in zip(values, found, strict=True):
            alone = detector(kind, count=1)
            np.testing.assert_allclose(scored.score, alone.score(part[None])[0][0], atol=1e-4)
            for name, array in alone.state().items():
                np.testing.assert_allclose(scored.state[name], array, atol=1e-4, err_msg=name)

    @BOTH
    @pytest.mark.parametrize(
        "what",
        [
            "spike",
            pytest.param("shift", marks=pytest.mark.slow),
            "flat",
            pytest.param("faster", marks=pytest.mark.slow),
        ],
    )
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
            (np.zeros((2, 5, 2)), r"must have the shape \(3, steps, 2\)"),
            (np.zeros((3, 5)), r"received values of shape \(3, 5\)"),
            (np.full((3, 1, 2), np.inf), "infinite"),
        ],
    )
    def test_bad_input(self, values, message):
        with pytest.raises(InputError, match=message):
            detector("predictor").score(values)


def test_an_anomaly_has_no_echo_one_season_later():
    """A day that goes wrong is told; the next day, as usual again, is not."""
    values = streams(count=1, steps=40 * SEASON, channels=1)
    values[0, 30 * SEASON : 31 * SEASON] += 3
    _, evidence, _ = detector("predictor", count=1, channels=1, smoothing=1).score(values)
    assert evidence[0, 30 * SEASON] > 6
    assert (
        evidence[0, 31 * SEASON + 3 : 33 * SEASON].max() < 4
    )  # three steps after its end, which is itself a change
