"""Word vectors from the text files that people have."""

import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.tagging.encode import WordEncoder
from rnn_cookbook.tasks.tagging.vectors import read_vectors


@pytest.mark.parametrize(
    "content",
    [
        "a 1 2\nB 3 4\n",
        "2 2\na 1 2\nB 3 4\n",
        "a 1 2 \r\nB 3 4 \r\n\n",
        "\ufeff2 2\na 1 2\nB 3 4\n",
        "\ufeffa 1 2\nB 3 4",
    ],
    ids=[
        "GloVe",
        "word2vec and fastText",
        "spaces, CRLF, a blank line at the end",
        "BOM and header",
        "BOM",
    ],
)
def test_every_format_gives_the_same_vectors(tmp_path, content):
    (tmp_path / "v.txt").write_bytes(content.encode())
    words, vectors = read_vectors(tmp_path / "v.txt")
    assert words == ["a", "B"]
    np.testing.assert_array_equal(vectors, np.array([[1, 2], [3, 4]], np.float32))


def test_words_with_spaces_and_line_separators_and_a_limit(tmp_path):
    (tmp_path / "v.txt").write_text("a 1 2\n. . 3 4\nb\u2028c 5 6\nd 7 8\n", encoding="utf-8")
    words, vectors = read_vectors(tmp_path / "v.txt", limit=3)
    assert words == ["a", ". .", "b\u2028c"]
    assert vectors.shape == (3, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a 1 2\nb 1\n", "line 2 must be a word and 2 numbers; received 'b 1"),
        (b"a 1 2 3 4\nb 1 2 3\n", "line 2 must be a word and 4 numbers; received 'b 1 2 3"),
        (b"a 1 2 3 4\nb 1 2\n", "line 2 must be a word and 4 numbers"),
        (b"a 1 2 3 4\nb 1\n", "line 2 must be a word and 4 numbers"),
        (b"a 1 2 3 4\nb 1 2 3 4 5\n", "line 2 must be a word and 4 numbers"),
        (b"2 2\na 1 2 3\nb 1 2 3\n", "line 2 must be a word and 2 numbers"),
        (b"5 0\na 1 2\n", "line 1 says"),
        (b"3 2\na 1 2\nb 1 2\n", "ends after 2 words; its first line says 3"),
        (b"a 1 2\nb 1 1e50\n", "line 2 must be a word and 2 numbers"),
        (b"a 1 2\nb 1 x\n", "line 2 must be a word and 2 numbers"),
        (b"a 1 2\nb 1 nan\n", "line 2 must be a word and 2 numbers"),
        (b"2 3\na 1 2\n", "line 2 must be a word and 3 numbers"),
        (b"a\n", "line 1 must be a word and some numbers"),
        (b"", "holds no word vectors"),
        (b"a 1 2\n\xff\xfe 1 2\n", "is not UTF-8 text"),
    ],
)
def test_bad_files(tmp_path, content, message):
    (tmp_path / "v.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_vectors(tmp_path / "v.txt")
    with pytest.raises(InputError, match="cannot read"):
        read_vectors(tmp_path / "none.txt")


def test_vectors_are_put_in_the_order_of_the_words():
    words = WordEncoder.fit([["Paris", "is", "Paris", "new"]], others=["rome"])
    vectors = np.array([[1, 1], [2, 2], [3, 3]], np.float32)
    aligned = words.align(["paris", "Rome", "Paris"], vectors)
    number = {word: i for i, word in enumerate(words.vocabulary, start=2)}
    np.testing.assert_array_equal(
        aligned[number["paris"]], [1, 1]
    )  # the first of two forms of a word
    np.testing.assert_array_equal(aligned[number["rome"]], [2, 2])
    np.testing.assert_array_equal(aligned[0], [0, 0])
    assert aligned[number["is"]].any()
    assert aligned.shape == (len(words), 2)
