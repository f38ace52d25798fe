"""Features of audio against NumPy in float64; padding and neighbours change nothing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.audio import (
    LogMel,
    RunningNormalization,
    UtteranceNormalization,
    mel_filters,
)
from rnn_cookbook.nn.augmentation import RandomEqualizer, SpecAugment

RNG = np.random.default_rng(0)

RATE = 8000


def sounds(*lengths):
    padded = np.zeros((len(lengths), max(lengths)), np.float32)
    for row, length in zip(padded, lengths, strict=True):
        row[:length] = 0.1 * RNG.normal(size=length)
    return padded, np.array(lengths, np.int32)


def reference(samples, *, window=200, hop=80, bands=40, lowest=50.0, highest=4000.0):
    """Frames of one sound, by the definition."""
    size = 2 ** int(np.ceil(np.log2(window)))
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    samples = np.pad(samples.astype(np.float64), (0, max(0, window - len(samples))))
    frames = [samples[i : i + window] * hann for i in range(0, len(samples) - window + 1, hop)]
    energies = np.abs(np.fft.rfft(frames, size)) ** 2
    corners = 700 * (
        10
        ** (
            np.linspace(*(2595 * np.log10(1 + f / 700) for f in (lowest, highest)), bands + 2)
            / 2595
        )
        - 1
    )
    found = np.zeros((len(frames), bands))
    for band in range(bands):
        for k in range(size // 2 + 1):
            f, (a, b, c) = k * RATE / size, corners[band : band + 3]
            weight = (f - a) / (b - a) if a < f <= b else (c - f) / (c - b) if b < f < c else 0
            found[:, band] += weight * energies[:, k]
    return np.log(found + 1e-6)


def test_log_mel_is_that_of_the_definition():
    samples, lengths = sounds(4000, 1234, 201, 200, 7)
    features, frames = (np.asarray(x) for x in LogMel(RATE, bands=20)((samples, lengths)))
    assert frames.tolist() == [48, 13, 1, 1, 1]
    for row, length, count, found in zip(samples, lengths, frames, features, strict=True):
        np.testing.assert_allclose(found[:count], reference(row[:length], bands=20), atol=2e-4)


def test_a_tone_is_in_its_band():
    layer = LogMel(RATE, bands=30)
    centres = (
        mel_filters(bins=layer.bins, rate=RATE, bands=30, lowest=50, highest=4000).argmax(axis=0)
        * RATE
        / 2
        / (layer.bins - 1)
    )
    for frequency in (200, 700, 1500, 3000):
        tone = np.sin(2 * np.pi * frequency * np.arange(2000) / RATE).astype(np.float32)[None]
        features, _ = layer((tone, np.array([2000])))
        band = int(np.asarray(features)[0].mean(axis=0).argmax())
        assert abs(centres[band] - frequency) < 0.1 * frequency + 40


@pytest.mark.parametrize(
    "layers",
    [
        [LogMel(RATE)],
        [LogMel(RATE), UtteranceNormalization()],
        [LogMel(RATE), UtteranceNormalization(by_feature=True)],
    ],
    ids=["features", "normalised", "each feature normalised"],
)
def test_neither_padding_nor_neighbours_nor_what_stands_in_the_padding_matter(layers):
    def features(samples, lengths):
        found, frames = layers[0]((samples, lengths))
        if len(layers) > 1:
            found = layers[1]((found, frames))
        return [np.asarray(row)[:count] for row, count in zip(found, frames, strict=True)]

    samples, lengths = sounds(3000, 900, 300)
    whole = features(samples, lengths)
    longer = np.pad(samples, [[0, 0], [0, 500]])
    dirty = np.where(np.arange(3500) < lengths[:, None], longer, 9.0).astype(np.float32)
    for other in (features(longer, lengths), features(dirty, lengths)):
        for one, two in zip(whole, other, strict=True):
            np.testing.assert_allclose(one, two, atol=1e-4)
    for i, one in enumerate(whole):
        np.testing.assert_allclose(
            features(samples[i : i + 1, : lengths[i]], lengths[i : i + 1])[0], one, atol=1e-4
        )


@pytest.mark.parametrize("by_feature", [False, True])
def test_normalised_features_do_not_know_how_loud_it_was(by_feature):
    samples, lengths = sounds(3000, 2000)
    mel, normalize = LogMel(RATE), UtteranceNormalization(by_feature=by_feature)
    features, frames = mel((samples, lengths))
    once = np.asarray(normalize((features, frames)))
    np.testing.assert_allclose(once, normalize(mel((10 * samples, lengths))), atol=1e-2)
    for row, count in zip(once, np.asarray(frames), strict=True):
        axis = 0 if by_feature else None
        np.testing.assert_allclose(row[:count].mean(axis=axis), 0, atol=1e-4)
        np.testing.assert_allclose(row[:count].std(axis=axis), 1, atol=0.05)
        assert not row[count:].any()


@pytest.mark.parametrize("by_feature", [False, True])
def test_the_colour_of_a_microphone_drops_out_by_feature_alone(by_feature):
    features, colour = (
        RNG.normal(size=(1, 50, 4)).astype(np.float32),
        np.array([2, 0, -1, 0], np.float32),
    )
    normalize = UtteranceNormalization(by_feature=by_feature)
    normalize = UtteranceNormalization.from_config(normalize.get_config())
    once, other = (normalize((x, np.array([50]))) for x in (features, features + colour))
    assert np.allclose(once, other, atol=1e-4) == by_feature


class TestRunningNormalization:
    features = (3 + 2 * RNG.normal(size=(2, 60, 4))).astype(np.float32)
    lengths = np.array([60, 25], np.int32)

    def layer(self, by_feature=True):
        layer = RunningNormalization(by_feature=by_feature, prior=10)
        layer.build((self.features.shape, (2,)))
        layer.mean.assign([1, 2, 3, 4])
        layer.log_variance.assign(np.log([1, 4, 1, 9] if by_feature else [4]))
        return layer

    @pytest.mark.parametrize("by_feature", [True, False])
    def test_it_is_that_of_the_definition_and_sees_no_future(self, by_feature):
        found = np.asarray(self.layer(by_feature)((self.features, self.lengths)))
        for t in (0, 7, 24):
            past = self.features[0, : t + 1].astype(np.float64) - [1, 2, 3, 4]
            count = t + 1 + 10
            common = past if by_feature else past.mean(axis=1, keepdims=True)
            mean = common.sum(axis=0) / count
            powers = past**2 if by_feature else (past**2).mean(axis=1, keepdims=True)
            variance = (
                powers.sum(axis=0) + 10 * np.array([1, 4, 1, 9] if by_feature else [4])
            ) / count - mean**2
            np.testing.assert_allclose(
                found[0, t], (past[-1] - mean) / np.sqrt(variance + 1e-2), rtol=1e-4
            )
        assert not found[1, 25:].any()
        assert abs(found[0, 40:].mean()) < 0.3

    @pytest.mark.parametrize("by_feature", [True, False])
    def test_chunks_are_the_whole(self, by_feature):
        layer = self.layer(by_feature)
        whole = np.asarray(layer((self.features, np.array([60, 60], np.int32))))
        states = {
            name: np.zeros((2, *shape), np.float32) for name, shape in layer.stream_states().items()
        }
        pieces = []
        for chunk in np.split(self.features, [1, 20, 21, 50], axis=1):
            piece, states = layer.stream((chunk,), states)
            pieces.append(piece)
        np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, atol=1e-4)

    def test_the_prior_is_learnt_and_must_count(self):
        layer = self.layer()
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(layer((self.features, self.lengths))[:, :3]))
        assert all(
            np.abs(gradient).min() > 0
            for gradient in tape.gradient(loss, layer.trainable_variables)
        )
        with pytest.raises(InputError, match="received 0 and 3"):
            RunningNormalization(prior=0)


def test_warped_filters_move_the_frequencies_and_keep_the_ends():
    shape = {"bins": 257, "rate": RATE, "bands": 30, "lowest": 50, "highest": 4000}
    plain = mel_filters(**shape).argmax(axis=0)
    for warp in (0.85, 1.15):
        warped = mel_filters(**shape, warp=warp).argmax(axis=0)
        np.testing.assert_allclose(warped[5:18] / plain[5:18], warp, atol=0.12)
        assert (np.diff(warped) >= 0).all()
        assert warped[-1] < 257


def test_warping_is_for_training_only_and_each_sound_has_its_own():
    samples, lengths = sounds(2000, 2000)
    samples[1] = samples[0]
    layer = LogMel(RATE, warp=0.2)
    plain, _ = layer((samples, lengths))
    np.testing.assert_array_equal(plain, LogMel(RATE)((samples, lengths))[0])
    drawn = [np.asarray(layer((samples, lengths), training=True)[0]) for _ in range(8)]
    assert any(np.abs(found[0] - found[1]).max() > 0.1 for found in drawn)
    assert len({found[0].tobytes() for found in drawn}) > 4


def test_they_live_in_a_model(tmp_path):
    samples, lengths = (
        keras.Input((None,), name="samples"),
        keras.Input((), dtype="int32", name="lengths"),
    )
    features, frames = LogMel(RATE, bands=20, warp=0.1)((samples, lengths))
    features = RandomEqualizer(3.0)((features, frames))
    hidden = SpecAugment()((UtteranceNormalization()((features, frames)), frames))
    model = keras.Model([samples, lengths], [hidden, frames])
    model.save(tmp_path / "a.keras")
    inputs = sounds(2000, 500)
    for one, two in zip(
        model(inputs), keras.saving.load_model(tmp_path / "a.keras")(inputs), strict=True
    ):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"highest": 5000}, "between 0 and 4000.0 Hz, half the rate; received 50.0 to 5000 Hz"),
        (
            {"window": 1e-4},
            "window and hop must be at least 2 samples and 1 at 8000 Hz; received 0.0001",
        ),
        ({"bands": 200}, "a frequency of windows of 200 samples; received 200 bands"),
        ({"bands": 0}, "received 0 bands"),
        ({"warp": 0.7}, "warp must be at least 0 and below 0.5; received 0.7"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(InputError, match=message):
        LogMel(RATE, **options)
