"""Words with their times."""

import numpy as np

from rnn_cookbook.tasks.speech.transcripts import Transcript, Word, joined, words_of


def test_words_are_where_their_letters_are():
    spans = np.array([[0.1, 0.2], [0.2, 0.3], [0.5, 0.6], [0.7, 0.9]])
    assert words_of("ab c", spans) == [Word("ab", 0.1, 0.3), Word("c", 0.7, 0.9)]
    assert words_of(" b  ", spans, offset=1.0, end=1.25) == [Word("b", 1.2, 1.25)]
    assert words_of("", spans) == []


def test_parts_are_joined_in_their_order():
    one, other = Word("one", 0.1, 0.4), Word("two", 1.0, 1.2)
    parts = [
        Transcript("one", [one], -0.5),
        Transcript("", [], -0.25),
        Transcript("two", [other], -1.0),
    ]
    assert joined(parts) == ("one two", [one, other], -1.75)
    assert joined([]) == ("", [], 0)
