"""Recognisers of samples: neither padding nor neighbours change what they answer, and a stream of
frames is the whole."""

import keras
import numpy as np
import pytest
from tasks.speech.bursts import SOUNDS, network, sound

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.ctc import CTCLoss
from rnn_cookbook.nn.streaming import Stream, stride_of
from rnn_cookbook.run.bundle import load_model
from rnn_cookbook.tasks.speech.batches import padded_audio, steps_of
from rnn_cookbook.tasks.speech.model import frame_model, seconds_per_step, speech_recognizer

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="both directions", marks=pytest.mark.slow),
        pytest.param({"bidirectional": False, "strides": (2, 2)}, id="causal"),
    ],
)
def test_a_recognizer_of_samples(options, tmp_path):
    """Padding and neighbours change nothing, every weight learns with all that disturbs the
    training, and the file brings it back."""
    model = network(
        **options, masked_bands=1, widest_band=2, masked_stretches=1, warp=0.1, dropout=0.1
    )
    samples, lengths = padded_audio(SOUNDS)
    whole = np.array(model((samples, lengths)))
    steps = steps_of(model.get_layer("log_mel"), stride_of(model), lengths)
    wider = np.concatenate(
        [samples, RNG.normal(size=(len(samples), 999)).astype(np.float32)], axis=1
    )
    for row, count, one, other in zip(
        SOUNDS, steps, whole, np.array(model((wider, lengths))), strict=True
    ):
        np.testing.assert_allclose(other[:count], one[:count], atol=1e-4)
        alone = np.array(model(padded_audio([row])))[0]
        assert len(alone) == count
        np.testing.assert_allclose(alone, one[:count], atol=1e-4)
        assert (one[count:].argmax(axis=-1) == 0).all(), "padding says nothing"
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss=CTCLoss(on_impossible="zero"))
    before = [np.array(weight) for weight in model.trainable_variables]
    model.fit((samples, lengths), np.array([[2, 3], [2, 0], [3, 4], [0, 0], [2, 0]]), verbose=0)
    assert all(
        (np.array(weight) != old).any()
        for weight, old in zip(model.trainable_variables, before, strict=True)
    )
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(
        load_model(tmp_path / "m.keras")((samples, lengths)), model((samples, lengths))
    )


def test_the_frames_of_a_stream_are_those_of_the_whole():
    causal = network(bidirectional=False, strides=(2, 2), masked_bands=1)
    samples = sound(2.0, seed=4)
    frames = frame_model(causal)
    energies, counts = causal.get_layer("log_mel")(padded_audio([samples]))
    np.testing.assert_allclose(
        frames((energies, counts)), causal(padded_audio([samples])), atol=1e-5
    )
    stream = Stream(frames)
    parts = [stream.feed(energies[:, i : i + 7]) for i in range(0, energies.shape[1], 7)]
    np.testing.assert_allclose(
        np.concatenate([*parts, stream.finish()], axis=1), frames((energies, counts)), atol=1e-4
    )


def test_a_step_lasts_as_long_as_its_frames():
    assert seconds_per_step(network(hop=0.02, strides=(2, 3))) == pytest.approx(0.12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"convolution": "space"}, "convolution must be one of time, time_frequency; received 'sp"),
        ({"look_ahead": 2}, "look_ahead must be 0 in a bidirectional network.*received 2"),
    ],
)
def test_networks_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        speech_recognizer(features=4, symbols=3, **options)
