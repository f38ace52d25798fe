"""Words of sentences to numbers: of the word, its letters and its features."""

import unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.characters import LETTERS
from rnn_cookbook.tasks.tagging import encode as words
from rnn_cookbook.tasks.tagging.encode import SHAPES, WordEncoder, normalize, shape

# Its caches would lie in the checkout.
set_hypothesis_home_dir(Path(gettempdir()) / "rnn_cookbook_hypothesis")

WORD = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
SENTENCES = st.lists(st.lists(WORD, min_size=1, max_size=6), min_size=1, max_size=5)
tries = settings(max_examples=100, derandomize=True, deadline=None)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("Paris", "paris"),
        ("1996-08-22", "0000-00-00"),
        ("٣", "0"),
        ("½", "½"),
        ("ÉTÉ", "été"),
        ("E\u0301TE\u0301", "été"),
        ("J\u030c", "\u01f0"),  # the capital has no character of its own, the small letter has
        ("ΟΔΟΣ", "οδος"),
        ("东京", "东京"),
    ],
)
def test_words_go_by_their_lower_case_with_zeros_for_digits(word, expected):
    assert normalize(word) == expected


@tries
@given(WORD)
def test_words_that_look_the_same_are_the_same(word):
    assert normalize(normalize(word)) == normalize(word)
    assert normalize(unicodedata.normalize("NFD", word)) == normalize(
        unicodedata.normalize("NFC", word)
    )


@pytest.mark.parametrize(
    ("number", "examples"),
    [
        (0, ["-", "...", "½", "👍", "$", ""]),
        (1, ["7", "1996", "٣٤"]),
        (2, ["1,000.5", "1996-08-22", "+3", "-0.5", "10:30", "3/4", "5."]),
        (3, ["F16", "16th", "$5", "5%", "x2y"]),
        (4, ["A", "É", "Ж"]),
        (5, ["U.S.", "U.S", "A.", "Ж.Ж."]),
        (6, ["EU", "AT&T", "ÉTÉ", "U.SA", "A-", "NEW-YORK"]),
        (7, ["Paris", "Élan", "'Tis", "New-york"]),
        (8, ["McDonald", "New-York", "CamelCase", "O'Neil"]),
        (9, ["iPod", "eBay", "d'Estaing"]),
        (10, ["said", "'s", "été", "东京", "שלום", "x."]),
    ],
)
def test_shapes(number, examples):
    assert {word: shape(word) for word in examples} == dict.fromkeys(examples, number)


@tries
@given(WORD)
def test_every_word_has_a_shape(word):
    assert 0 <= shape(word) < SHAPES


SENTENCE = ["The", "the", "cat", "saw", "THE", "Cat"]


class TestWordEncoder:
    def test_words_are_numbered_by_frequency_and_ties_by_letters(self):
        encoder = WordEncoder.fit([["b", "a"], ["c", "B", "b"]])
        assert encoder.vocabulary == ["b", "a", "c"]
        assert len(encoder) == 5

    def test_words_of_another_case_are_the_same_word_of_other_letters(self):
        encoder = WordEncoder.fit([SENTENCE, SENTENCE])
        encoded = encoder.encode([SENTENCE])
        assert encoded["tokens"][0].tolist() == [2, 2, 3, 4, 2, 3]
        assert len({tuple(row) for row in encoded["characters"][0]}) == len(set(SENTENCE))
        assert encoded["features"][0][:, 0].tolist() == [7, 10, 10, 10, 6, 7]

    def test_sentences_in_another_order_give_the_same_numbers(self):
        one, two = (
            WordEncoder.fit([SENTENCE, ["x", "yz"]]),
            WordEncoder.fit([["yz", "x"], SENTENCE[::-1]]),
        )
        assert (one.vocabulary, one.letters, one.affixes) == (
            two.vocabulary,
            two.letters,
            two.affixes,
        )

    def test_words_from_rare_from_on_occurred_once_or_never(self):
        encoder = WordEncoder.fit(
            [["a", "b", "A"], ["c", "b"], ["d7", "d8"]], others=["z", "b", "y", "z"]
        )
        assert encoder.vocabulary == ["a", "b", "d0", "c", "z", "y"]
        assert encoder.rare_from == 5
        assert encoder.vocabulary[encoder.rare_from - 2 :] == ["c", "z", "y"]
        assert WordEncoder.fit([["a", "b"]]).rare_from == 2
        assert WordEncoder.fit([["a", "a"]]).rare_from == len(WordEncoder.fit([["a", "a"]])) == 3

    def test_unknown_words_have_known_letters_and_features(self):
        encoder = WordEncoder.fit([[f"{letter}tion" for letter in "abcdef"]])
        encoded = encoder.encode([["Nation", "quux"]])
        assert encoded["tokens"][0].tolist() == [1, 1]
        known, unknown = encoded["characters"][0]
        assert known[:6].tolist()[1:] == [
            1,
            *(encoder.letters.index(letter) + 2 for letter in "tion"),
        ]
        assert set(unknown[:4]) == {1}
        kinds = [SHAPES, *(len(values) + 1 for values in encoder.affixes.values())]
        assert encoder.feature_counts == kinds
        # Six words end in -ion and -on, and no two begin alike.
        assert encoder.affixes == {
            "prefix of 2": [],
            "prefix of 3": [],
            "suffix of 2": ["on"],
            "suffix of 3": ["ion"],
        }
        assert encoded["features"][0].tolist() == [[7, 0, 0, 1, 1], [10, 0, 0, 0, 0]]

    def test_letters_that_occur_once_teach_what_an_unknown_letter_is(self):
        encoder = WordEncoder.fit([["aab", "aac"], ["ac"]])
        assert encoder.letters == "ac"
        assert encoder.letter_count == 4
        assert encoder.encode([["abc?"]])["characters"][0][0, :5].tolist() == [2, 1, 3, 1, 0]

    def test_composed_and_decomposed_letters_are_the_same(self):
        encoder = WordEncoder.fit([["é", "É", "é", "É"]])
        for one, two in zip(
            encoder.encode([["é", "É"]]).values(),
            encoder.encode([["e\u0301", "E\u0301"]]).values(),
            strict=True,
        ):
            np.testing.assert_array_equal(one[0], two[0])

    def test_of_a_long_word_both_ends_are_read(self):
        half = LETTERS // 2
        word = "a" * half + "b" * 5 + "c" * half
        encoder = WordEncoder.fit([[word, word]])
        numbers = {letter: number for number, letter in enumerate(encoder.letters, start=2)}
        (row,) = encoder.encode([[word]])["characters"][0]
        assert row.tolist() == [numbers["a"]] * half + [numbers["c"]] * half
        (whole,) = encoder.encode([["b" * LETTERS]])["characters"][0]
        assert whole.tolist() == [numbers["b"]] * LETTERS
        assert encoder.encode([["a" * 1_000_000]])["characters"][0].shape == (1, LETTERS)

    def test_an_empty_sentence_has_no_words(self):
        encoded = WordEncoder.fit([SENTENCE]).encode([[], ["cat"]])
        assert [part.shape for parts in encoded.values() for part in parts] == [
            (0,),
            (1,),
            (0, LETTERS),
            (1, LETTERS),
            (0, 5),
            (1, 5),
        ]

    def test_a_stream_of_new_words_does_not_fill_the_memory(self, monkeypatch):
        monkeypatch.setattr(words, "CACHED_WORDS", 10)
        encoder, fresh = (WordEncoder.fit([SENTENCE]) for _ in range(2))
        for i in range(100):
            sentence = [f"word{i}", "cat"]
            for one, two in zip(
                encoder.encode([sentence]).values(), fresh.encode([sentence]).values(), strict=True
            ):
                np.testing.assert_array_equal(one[0], two[0])
        assert 0 < encoder.cached_words <= 10

    def test_data_without_a_word(self):
        with pytest.raises(InputError, match="no word"):
            WordEncoder.fit([[], []])

    @tries
    @given(SENTENCES, SENTENCES)
    def test_numbers_of_any_words(self, sentences, others):
        encoder = WordEncoder.fit(sentences)
        encoded = encoder.encode([*sentences, *others])
        assert list(encoded) == ["tokens", "characters", "features"]
        for i, sentence in enumerate([*sentences, *others]):
            tokens, characters, features = (encoded[name][i] for name in encoded)
            assert {part.dtype for part in (tokens, characters, features)} == {np.dtype(np.int32)}
            assert (tokens.shape, characters.shape) == ((len(sentence),), (len(sentence), LETTERS))
            assert 1 <= tokens.min() <= tokens.max() < len(encoder)
            assert characters[:, 0].min() >= 1
            assert characters.max() < encoder.letter_count
            assert (np.diff((characters > 0).astype(int), axis=1) <= 0).all(), (
                "letters are padded on the right"
            )
            assert features.min() >= 0
            assert (features.max(axis=0) < encoder.feature_counts).all()
            if i < len(sentences):
                assert [encoder.vocabulary[number - 2] for number in tokens] == [
                    normalize(word) for word in sentence
                ]

    @tries
    @given(SENTENCES, SENTENCES)
    def test_saved_and_loaded_it_encodes_the_same(self, sentences, others):
        encoder = WordEncoder.fit(sentences, others=["zebra"])
        with TemporaryDirectory() as folder:
            encoder.save(Path(folder))
            loaded = WordEncoder.load(Path(folder))
        assert loaded.rare_from == encoder.rare_from
        assert (len(loaded), loaded.letter_count, loaded.feature_counts) == (
            len(encoder),
            encoder.letter_count,
            encoder.feature_counts,
        )
        one, two = (each.encode([*sentences, *others, ["Zebra"]]) for each in (encoder, loaded))
        for name in one:
            for before, after in zip(one[name], two[name], strict=True):
                np.testing.assert_array_equal(before, after)
