"""Words while audio comes in: those of the whole, whatever its chunks; a pause ends a word."""

import numpy as np
import pytest
from tasks.speech.bursts import ALPHABET, network, sound

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.speech.live import LiveTranscriber, WordReader
from rnn_cookbook.tasks.speech.predict import Transcriber
from rnn_cookbook.tasks.speech.transcripts import Word


@pytest.mark.parametrize(
    ("look_ahead", "seconds"), [pytest.param(0, 0.035, marks=pytest.mark.slow), (3, 0.095)]
)
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


def test_a_pause_ends_a_word():
    """Symbols, then steps of silence: the word is there before anything else is said."""
    reader = WordReader(ALPHABET, hop=0.02, pause=0.2)
    assert reader.feed([0, 2, 2, 3]) == []
    assert reader.unfinished == "ab"
    assert reader.feed([0] * 9) == []
    assert reader.feed([0] * 3) == [Word("ab", 0.02, 0.08)]
    assert reader.unfinished == ""
    assert reader.feed([1, 2, 0, 2, 1, 3]) == [Word("aa", 0.34, 0.4)]
    assert reader.unfinished == "b"
    assert reader.finish(end=0.43) == [Word("b", 0.42, 0.43)]
    assert reader.finish() == []


def test_a_model_of_both_directions_does_not_answer_while_sound_comes_in():
    with pytest.raises(InputError, match="layer 'normalization'"):
        LiveTranscriber(network(), ALPHABET)


def test_frames_with_gaps_between_them_are_refused():
    with pytest.raises(InputError, match=r"hop must be at most the window .* received 0.03"):
        LiveTranscriber(network(bidirectional=False, hop=0.03), ALPHABET)
