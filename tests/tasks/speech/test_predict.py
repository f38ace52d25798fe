"""From sounds to words: neither padding nor neighbours nor chunks change what is heard, and a word
is where its letters are."""

import keras
import numpy as np
import pytest
import soundfile

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.ctc import CTCLoss
from rnn_cookbook.nn.ngrams import NGrams
from rnn_cookbook.nn.streaming import Stream, stride_of
from rnn_cookbook.run.bundle import load_model
from rnn_cookbook.tasks.speech.alphabet import Alphabet
from rnn_cookbook.tasks.speech.batches import padded_sounds
from rnn_cookbook.tasks.speech.data import Utterances
from rnn_cookbook.tasks.speech.model import frame_model, sound_recognizer
from rnn_cookbook.tasks.speech.predict import (
    LiveTranscriber,
    Transcriber,
    Word,
    learnable,
    seconds_a_step,
    steps_of,
    words_of,
)

RATE = 4000
ALPHABET = Alphabet(" abc")
RNG = np.random.default_rng(0)


def network(**options) -> keras.Model:
    """Untrained, but sure of itself, and not of the blank alone."""
    keras.utils.set_random_seed(3)
    shape = {"bands": 8, "filters": 8, "kernel_size": 3, "units": 6, "depth": 1}
    model = sound_recognizer(rate=RATE, symbols=len(ALPHABET), **{**shape, **options})
    for weight in model.trainable_variables:
        if "logits" in weight.path:
            weight.assign(weight * 6)
    return model


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    """Bursts of tones, and silence between them."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = 200 * 2 ** rng.uniform(0, 3, 1000)[(time * 8).astype(int)]
    return (
        0.1 * np.sin(2 * np.pi * pitch * time) * (np.sin(2 * np.pi * time / 0.7) > -0.3)
        + 0.001 * rng.normal(size=len(time))
    ).astype(np.float32)


SOUNDS = [sound(seconds, seed=i) for i, seconds in enumerate((1.3, 0.4, 2.0, 0.01, 0.9))]


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.mark.parametrize(
    "options", [{}, {"bidirectional": False, "strides": (2, 2)}], ids=["both directions", "causal"]
)
def test_a_recognizer_of_samples(options, tmp_path):
    """Padding and neighbours change nothing, every weight learns with all that disturbs the
    training, and the file brings it back."""
    model = network(
        **options, masked_bands=1, widest_band=2, masked_stretches=1, warp=0.1, dropout=0.1
    )
    samples, lengths = padded_sounds(SOUNDS)
    whole = np.array(model((samples, lengths)))
    steps = steps_of(model.get_layer("log_mel"), stride_of(model), lengths)
    wider = np.concatenate(
        [samples, RNG.normal(size=(len(samples), 999)).astype(np.float32)], axis=1
    )
    for row, count, one, other in zip(
        SOUNDS, steps, whole, np.array(model((wider, lengths))), strict=True
    ):
        np.testing.assert_allclose(other[:count], one[:count], atol=1e-4)
        alone = np.array(model(padded_sounds([row])))[0]
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


def test_a_batch_is_its_sounds_one_by_one(model):
    transcriber = Transcriber(model, ALPHABET)
    found = transcriber.transcribe([*SOUNDS, np.zeros(0, np.float32)])
    assert found[-1] == ("", [], 0)
    assert len({one.text for one in found}) > 2
    for row, one in zip(SOUNDS, found, strict=False):
        (alone,) = transcriber.transcribe([row])
        assert alone.text == one.text
        assert alone.words == one.words
        assert alone.score == pytest.approx(one.score, abs=1e-3)
        times = [time for word in one.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert all(word.start < word.end <= len(row) / RATE for word in one.words)
        assert " ".join(word.text for word in one.words) == one.text


def test_a_long_sound_goes_in_parts_which_end_where_it_is_quiet(model):
    transcriber = Transcriber(model, ALPHABET, longest=1.5)
    whole = np.concatenate(
        [sound(1.0, seed=5), np.zeros(RATE // 2, np.float32), sound(1.0, seed=6)]
    )
    (first, _), (second, part) = transcriber._cut(whole)
    assert first == 0
    assert 1.0 <= second <= 1.5
    np.testing.assert_array_equal(part, whole[round(second * RATE) :])
    one, other = transcriber.transcribe([whole[: round(second * RATE)], part])
    (joined,) = transcriber.transcribe([whole])
    assert joined.text == f"{one.text} {other.text}".strip()
    assert joined.words[-1].end == pytest.approx(other.words[-1].end + second, abs=2e-3)
    loud = Transcriber(model, ALPHABET, longest=0.3)._cut(np.ones(10 * RATE, np.float32))
    assert all(len(part) <= 0.3 * RATE for _, part in loud)
    assert sum(len(part) for _, part in loud) == 10 * RATE


def test_chunks_of_an_endless_sound_are_what_the_whole_is(model):
    transcriber = Transcriber(model, ALPHABET, longest=1.0)
    whole = sound(25.0, seed=9)
    (together,) = transcriber.transcribe([whole])
    for size in (len(whole), 5 * RATE, 700):
        parts = [
            *transcriber.transcribe_chunks(whole[i : i + size] for i in range(0, len(whole), size))
        ]
        assert len(parts) > 20
        assert [word.text for part in parts for word in part.words] == [
            word.text for word in together.words
        ]
        np.testing.assert_allclose(
            [w.start for part in parts for w in part.words],
            [w.start for w in together.words],
            atol=2e-3,
        )
    assert [*transcriber.transcribe_chunks([])] == []


def test_files_long_and_short_and_damaged_are_answered_in_their_order(model, tmp_path):
    transcriber = Transcriber(model, ALPHABET, longest=1.0)
    for name, seconds in (("a", 0.5), ("b", 3.0), ("c", 0.8), ("e", 0.7)):
        soundfile.write(tmp_path / f"{name}.wav", sound(seconds), RATE, subtype="FLOAT")
    (tmp_path / "d.wav").write_text("no sound")
    answers = [*transcriber.answers([str(tmp_path / "e.wav"), str(tmp_path)], raw_rate=RATE)]
    assert [answer["audio"][-5] for answer in answers] == ["e", "a", "b", "c", "d", "e"]
    assert [set(answer) == {"audio", "text", "error"} for answer in answers] == [
        False,
        False,
        False,
        False,
        True,
        False,
    ]
    assert "d.wav is no sound" in answers[4]["error"]
    for i, seconds in ((1, 0.5), (2, 3.0), (3, 0.8)):
        (alone,) = transcriber.transcribe([sound(seconds)])
        assert answers[i]["text"] == alone.text
        assert [word["start"] for word in answers[i]["words"]] == pytest.approx(
            [word.start for word in alone.words], abs=2e-3
        )
    with pytest.raises(InputError, match="no such sound file or folder: nowhere"):
        [*transcriber.answers(["nowhere"], raw_rate=RATE)]


def test_the_search_listens_to_n_grams(model):
    spoken = NGrams.fit([ALPHABET.encode("ab ab ab")] * 5, order=3, symbols=len(ALPHABET))
    plain = Transcriber(model, ALPHABET, beam=8).transcribe(SOUNDS)
    led = Transcriber(model, ALPHABET, beam=8, ngrams=spoken, weight=20.0, bonus=5.0).transcribe(
        SOUNDS
    )
    assert [one.text for one in led] != [one.text for one in plain]
    assert {word.text for one in led for word in one.words[:-1]} <= {"ab"}, (
        "what the n-grams know is all that is heard"
    )


@pytest.mark.parametrize(("look_ahead", "seconds"), [(0, 0.035), (3, 0.095)])
def test_words_as_they_come_are_those_of_the_whole(look_ahead, seconds):
    causal = network(bidirectional=False, look_ahead=look_ahead)
    live, whole = (
        LiveTranscriber(causal, ALPHABET, pause=100.0),
        Transcriber(causal, ALPHABET, longest=60.0),
    )
    samples = sound(6.0, seed=2)
    (wanted,) = whole.transcribe([samples])
    assert len(wanted.words) > 3
    for size in (97, 400, len(samples)):
        heard = [*live.words(samples[i : i + size] for i in range(0, len(samples), size))]
        assert [word.text for word in heard] == [word.text for word in wanted.words]
        assert [word.start for word in heard] == pytest.approx(
            [word.start for word in wanted.words], abs=2e-3
        )
    assert live.look_ahead == pytest.approx(seconds)
    assert [*live.words([])] == []
    assert all(word.end <= 0.001 for word in live.words([np.zeros(3, np.float32)])), (
        "no word reaches beyond its sound"
    )


def test_the_frames_of_a_stream_are_those_of_the_whole():
    causal = network(bidirectional=False, strides=(2, 2), masked_bands=1)
    samples = sound(2.0, seed=4)
    frames = frame_model(causal)
    energies, counts = causal.get_layer("log_mel")(padded_sounds([samples]))
    np.testing.assert_allclose(
        frames((energies, counts)), causal(padded_sounds([samples])), atol=1e-5
    )
    stream = Stream(frames)
    parts = [stream.feed(energies[:, i : i + 7]) for i in range(0, energies.shape[1], 7)]
    np.testing.assert_allclose(
        np.concatenate([*parts, stream.finish()], axis=1), frames((energies, counts)), atol=1e-4
    )


def test_a_pause_ends_a_word():
    """A burst, a second of silence: the word is there before anything else is said."""
    causal = network(bidirectional=False)
    live = LiveTranscriber(causal, ALPHABET, pause=0.2)
    live._heard(np.eye(5)[None, [0, 2, 2, 3]])
    assert live.unfinished == "ab"
    assert live._heard(np.eye(5)[None, [0] * 9]) == []
    live._came = 10 * RATE
    assert live._heard(np.eye(5)[None, [0] * 3]) == [Word("ab", 0.02, 0.08)]
    assert live.unfinished == ""
    assert live._heard(np.eye(5)[None, [1, 2, 0, 2, 1, 3]]) == [Word("aa", 0.34, 0.4)]


def test_a_model_of_both_directions_does_not_answer_while_sound_comes_in(model):
    with pytest.raises(InputError, match="layer 'normalization'"):
        LiveTranscriber(model, ALPHABET)


def test_what_does_not_fit_is_left_out_by_its_name(model, messages):
    part = Utterances(
        [sound(2.0), sound(0.1), sound(1.0), sound(3.0), sound(1.0)],
        ["abc", "abcabcabc", "aa", "b", "x"],
        [""] * 5,
    )
    fit = {"log_mel": model.get_layer("log_mel"), "stride": 2}
    assert learnable(part, ALPHABET, **fit, longest=2.5).texts == ["abc", "aa"]
    assert (
        "training: 1 of 5 sounds are longer than --max-seconds 2.5, and are left out: 3"
        in messages.text
    )
    assert (
        "training: 1 of 5 sounds have more to say than their sound has room for, and are left out: 1"
        in messages.text
    )
    assert (
        "training: 1 of 5 sounds say nothing that is in the alphabet, and are left out: 4"
        in messages.text
    )
    tight = Utterances([sound(6 * seconds_a_step(model) + 0.015)], ["aaa"], [""])
    assert steps_of(**fit, samples=[len(tight.sounds[0])]) >= 5
    assert len(learnable(tight, ALPHABET, **fit, longest=9)) == 1, (
        "five steps carry three equal letters"
    )
    with pytest.raises(
        InputError, match="none of 1 training sounds can be used: 1 have more to say"
    ):
        learnable(tight, ALPHABET, **fit, longest=9, speed=0.9)


def test_words_are_where_their_letters_are():
    spans = np.array([[0.1, 0.2], [0.2, 0.3], [0.5, 0.6], [0.7, 0.9]])
    assert words_of("ab c", spans) == [Word("ab", 0.1, 0.3), Word("c", 0.7, 0.9)]
    assert words_of(" b  ", spans, start=1.0, end=1.25) == [Word("b", 1.2, 1.25)]
    assert words_of("", spans) == []


def test_what_cannot_be(model):
    with pytest.raises(InputError, match="an alphabet of 3 symbols does not fit a model of 5"):
        Transcriber(model, Alphabet("ab"))
    with pytest.raises(InputError, match=r"the beam must be 1 or more .* got 0 and 20"):
        Transcriber(model, ALPHABET, beam=0)
