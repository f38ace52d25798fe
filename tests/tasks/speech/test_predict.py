"""From audio to words: neither padding nor neighbours nor chunks change what is heard."""

import numpy as np
import pytest
import soundfile
from tasks.speech.bursts import ALPHABET, RATE, SOUNDS, network, sound

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.ngrams import NGrams
from rnn_cookbook.tasks.speech.alphabet import Alphabet
from rnn_cookbook.tasks.speech.predict import Transcriber


@pytest.fixture(scope="module")
def model():
    return network()


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
    (first, _), (second, part) = transcriber.parts(whole)
    assert first == 0
    assert 1.0 <= second <= 1.5
    np.testing.assert_array_equal(part, whole[round(second * RATE) :])
    one, other = transcriber.transcribe([whole[: round(second * RATE)], part])
    (joined,) = transcriber.transcribe([whole])
    assert joined.text == f"{one.text} {other.text}".strip()
    assert joined.words[-1].end == pytest.approx(other.words[-1].end + second, abs=2e-3)
    loud = Transcriber(model, ALPHABET, longest=0.3).parts(np.ones(10 * RATE, np.float32))
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
    assert "d.wav is no audio" in answers[4]["error"]
    for i, seconds in ((1, 0.5), (2, 3.0), (3, 0.8)):
        (alone,) = transcriber.transcribe([sound(seconds)])
        assert answers[i]["text"] == alone.text
        assert [word["start"] for word in answers[i]["words"]] == pytest.approx(
            [word.start for word in alone.words], abs=2e-3
        )
    with pytest.raises(InputError, match="no such audio file or folder: nowhere"):
        [*transcriber.answers(["nowhere"], raw_rate=RATE)]


def test_the_search_listens_to_n_grams(model):
    spoken = NGrams.fit([ALPHABET.encode("ab ab ab")] * 5, order=3, symbols=len(ALPHABET))
    plain = Transcriber(model, ALPHABET, beam=8).transcribe(SOUNDS)
    guided = Transcriber(model, ALPHABET, beam=8, ngrams=spoken, weight=20.0, insertion_bonus=5.0)
    led = guided.transcribe(SOUNDS)
    assert [one.text for one in led] != [one.text for one in plain]
    assert {word.text for one in led for word in one.words[:-1]} <= {"ab"}, (
        "what the n-grams know is all that is heard"
    )


def test_what_cannot_be(model):
    with pytest.raises(InputError, match="must have the model's 5 symbols; received 3"):
        Transcriber(model, Alphabet("ab"))
    with pytest.raises(InputError, match="beam must be at least 1; received 0"):
        Transcriber(model, ALPHABET, beam=0)
    with pytest.raises(InputError, match="longest must be above 0 seconds; received 0"):
        Transcriber(model, ALPHABET, longest=0)
