"""Text to word numbers."""

import numpy as np
import pytest

from rnn_cookbook.data.texts import Texts
from rnn_cookbook.encode.text import TextEncoder, has_token, without_empty
from rnn_cookbook.errors import InputError


class TestTextEncoder:
    def test_words_are_numbered_by_frequency_and_ties_by_letters(self):
        encoder = TextEncoder.fit(["b a", "c b"], max_words=10)
        assert encoder.vocabulary == ["b", "a", "c"]
        assert len(encoder) == 5
        assert [list(row) for row in encoder.encode(["a b zebra"])] == [[3, 2, 1]]

    @pytest.mark.parametrize(
        ("text", "tokens"),
        [
            ("Good.But", ["good", ".", "but"]),
            ("don't!!", ["don't", "!", "!"]),
            ("one<br /><br />two", ["one", "two"]),
            ("ÉTÉ Straße", ["été", "straße"]),
            ("好电影", ["好", "电", "影"]),
            ("नमस्ते", ["नमस्ते"]),
            ("great 🎉", ["great", "🎉"]),
            ("don\u2019t\u00a0go\u200bhome\ufeff", ["don't", "go", "home"]),
            ("می\u200cخواهم", ["می\u200cخواهم"]),
        ],
    )
    def test_tokens(self, text, tokens):
        assert sorted(TextEncoder.fit([text], max_words=100).vocabulary) == sorted(set(tokens))

    def test_vocabulary_is_bounded_in_size_and_in_rarity(self):
        texts = ["a a a b b c"]
        assert TextEncoder.fit(texts, max_words=1).vocabulary == ["a"]
        assert TextEncoder.fit(texts, max_words=9, min_count=2).vocabulary == ["a", "b"]
        with pytest.raises(InputError, match="no word occurs 9 times"):
            TextEncoder.fit(texts, max_words=9, min_count=9)

    @pytest.mark.parametrize(
        ("keep", "kept"), [("head", "abcd"), ("tail", "efgh"), ("both", "afgh")]
    )
    def test_long_texts_are_cut_where_they_should_be(self, keep, kept):
        encoder = TextEncoder(list("abcdefgh"))
        (row,) = encoder.encode(["a b c d e f g h"], max_tokens=4, keep=keep)
        assert "".join(encoder.vocabulary[i - 2] for i in row) == kept

    def test_a_text_without_tokens_is_one_unknown_word(self):
        encoder = TextEncoder(["a"])
        assert [list(row) for row in encoder.encode(["", " <br /> ", "a"])] == [[1], [1], [2]]
        assert has_token(["", " <br /> ", "a", "\u00a0\u200b\x07"]).tolist() == [
            False,
            False,
            True,
            False,
        ]

    def test_a_million_words(self):
        (row,) = TextEncoder(["word"]).encode(["word " * 1_000_000], max_tokens=400)
        assert len(row) == 400

    def test_saved_and_loaded_it_encodes_the_same(self, tmp_path):
        encoder = TextEncoder.fit(["ä\u2028b c. don't", "\ud800 lone"], max_words=50)
        encoder.save(tmp_path)
        again = TextEncoder.load(tmp_path)
        assert again.vocabulary == encoder.vocabulary
        for one, two in zip(encoder.encode(["c b ä x"]), again.encode(["c b ä x"]), strict=True):
            np.testing.assert_array_equal(one, two)


def test_texts_without_a_word_can_be_dropped():
    examples = Texts(["fine", "<br />"], ["x", "y"])
    assert without_empty(examples, name="train", drop=True) == Texts(["fine"], ["x"])
    with pytest.raises(
        InputError, match=r"train: 1 texts have no word in them \(number 2: '<br />'\)"
    ):
        without_empty(examples, name="train", drop=False)
