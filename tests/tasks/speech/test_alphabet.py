"""Transcripts to numbers and back."""

import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.speech.alphabet import Alphabet, as_spoken, spoken
from rnn_cookbook.tasks.speech.data import Utterances


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Hello, World!", "hello world"),
        ("It’s  'fine' — isn't it?", "it's fine isn't it"),
        ("Cafe\u0301 cre\u0300me…", "café crème"),
        ("a\u00a0b\tc\n", "a b c"),
        ("rock-n-roll 3% & more", "rock n roll 3% & more"),
        ("Straße ÄÖÜ", "straße äöü"),
        ("你好。", "你好"),
        ("…!?", ""),
    ],
)
def test_texts_as_they_are_said(text, said):
    assert spoken(text) == said
    assert spoken(said) == said


def test_characters_to_numbers_and_back(tmp_path):
    alphabet = Alphabet.fit(["one two", "it's"])
    assert alphabet.characters == sorted(set("one two it's"))
    assert len(alphabet) == len(alphabet.characters) + 1
    numbers = alphabet.encode("two sons")
    assert numbers.dtype == np.int32
    assert numbers.min() >= 1
    assert alphabet.decode([*numbers, 0, 0]) == "two sons"
    assert alphabet.decode(alphabet.encode("zwei töne")) == "wei tne"
    assert alphabet.unknown("zwei töne zz") == ["z", "ö"]
    alphabet.save(tmp_path)
    assert Alphabet.load(tmp_path).characters == alphabet.characters
    with pytest.raises(InputError, match="different characters"):
        Alphabet.fit(["", ""])
    with pytest.raises(InputError, match="different characters"):
        Alphabet(["a", "a"])


def test_texts_without_a_word_are_left_out_by_name(messages):
    part = Utterances([np.ones(3)] * 3, ["One, two!", "…", "Three"], ["a", "b", "c"])
    found = as_spoken(part, name="train")
    assert (found.texts, found.speakers) == (["one two", "three"], ["a", "c"])
    assert "train: 1 of 3 texts have no word, and are left out: 1" in messages.text
    assert part.texts[0] == "One, two!"
    with pytest.raises(InputError, match="the test split needs a text with a word; received 1"):
        as_spoken(part.take([1]), name="test")


def test_characters_that_training_lacks_are_told(messages):
    alphabet = Alphabet("ab ")
    alphabet.check(["a b", "bäß", "caä"], name="test")
    assert "test: 2 of 3 texts have characters that no training text has: c, ß, ä" in messages.text
    messages.clear()
    alphabet.check(["a b"], name="test")
    assert messages.text == ""
