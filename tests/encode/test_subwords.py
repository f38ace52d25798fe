"""Subwords: back and forth without loss, the same each time, and as many as the text allows."""

import numpy as np
import pytest

from rnn_cookbook.encode.subwords import END, UNKNOWN, SubwordEncoder
from rnn_cookbook.errors import InputError

TEXTS = [
    "Two young, white males are outside near many bushes.",
    "Several men in hard hats are operating a giant pulley system.",
] * 5


@pytest.fixture(scope="module")
def encoder():
    return SubwordEncoder.fit(TEXTS, size=80)


def test_back_and_forth(encoder):
    sequences = encoder.encode(TEXTS)
    assert all(sequence[-1] == END and sequence.dtype == np.int32 for sequence in sequences)
    assert encoder.decode(sequences) == TEXTS
    assert encoder.decode([[*sequences[0], 7, 7]]) == TEXTS[:1]  # nothing counts after the end
    assert encoder.decode([[]]) == [""]
    assert (
        encoder.encode(["Two  men\tin \u00a0hats"])[0].tolist()
        == encoder.encode(["Two men in hats"])[0].tolist()
    )


def test_what_training_lacks_is_unknown_and_left_out(encoder):
    (sequence,) = encoder.encode(["men \U0001f600 in"])
    assert UNKNOWN in sequence
    assert encoder.decode([sequence]) == ["men in"]
    assert encoder.encode([""])[0].tolist() == [END]
    assert encoder.unknown("men \U0001f600 in \u4f60\u597d, \U0001f600") == [
        "\U0001f600",
        "\u4f60\u597d",
    ]
    assert encoder.unknown("men in hats") == []


def test_the_same_texts_give_the_same_subwords_and_a_file_keeps_them(encoder, tmp_path):
    assert SubwordEncoder.fit(TEXTS, size=80).model == encoder.model
    encoder.save(tmp_path)
    loaded = SubwordEncoder.load(tmp_path)
    assert len(loaded) == len(encoder) == 80
    assert [x.tolist() for x in loaded.encode(TEXTS)] == [x.tolist() for x in encoder.encode(TEXTS)]
    assert loaded.pieces(loaded.encode(["Two"])[0])[0].startswith("\u2581")


def test_dropout_gives_other_subwords_of_the_same_text(encoder):
    found = {tuple(encoder.encode(TEXTS[:1], dropout=0.3, seed=seed)[0]) for seed in range(10)}
    assert len(found) > 5
    assert len({tuple(encoder.encode(TEXTS[:1], dropout=0.3, seed=4)[0]) for _ in range(10)}) == 1
    assert set(encoder.decode(found)) == set(TEXTS[:1])


@pytest.mark.parametrize(
    ("texts", "size", "message"),
    [
        (
            TEXTS,
            5000,
            r"vocabulary_size 5000 is more than the training text has subwords: at most \d+ "
            r"fit",
        ),
        (
            TEXTS,
            10,
            r"vocabulary_size 10 is less than the training text has characters: \d+ or more "
            r"are needed",
        ),
        ([], 100, "no subwords can be learnt"),
        (["", " "], 100, "no subwords can be learnt"),
    ],
)
def test_a_vocabulary_that_the_text_does_not_allow(texts, size, message):
    with pytest.raises(InputError, match=message):
        SubwordEncoder.fit(texts, size=size)
