"""Pooling over time, against NumPy."""

import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.pooling import MaskedPooling

RNG = np.random.default_rng(0)
SEQUENCE = RNG.normal(size=(3, 5, 4)).astype(np.float32)
LENGTHS = [5, 3, 1]
MASK = np.arange(5) < np.array(LENGTHS)[:, None]


@pytest.mark.parametrize(
    ("mode", "reference"),
    [
        ("last", lambda x: x[-1]),
        ("mean", lambda x: x.mean(axis=0)),
        ("max", lambda x: x.max(axis=0)),
    ],
)
def test_pooling_is_that_of_the_unpadded_sequence(mode, reference):
    pooled = np.array(MaskedPooling([mode])((SEQUENCE, MASK)))
    expected = [
        reference(sequence[:length].astype(np.float64))
        for sequence, length in zip(SEQUENCE, LENGTHS, strict=True)
    ]
    np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-6)


def test_last_of_both_directions_is_where_each_of_them_ended():
    pooled = np.array(MaskedPooling(["last"], bidirectional=True)((SEQUENCE, MASK)))
    for row, length in enumerate(LENGTHS):
        np.testing.assert_array_equal(
            pooled[row], [*SEQUENCE[row, length - 1, :2], *SEQUENCE[row, 0, 2:]]
        )


def test_maximum_of_negative_states_is_not_the_padding():
    pooled = np.array(MaskedPooling(["max"])((-1 - np.abs(SEQUENCE), MASK)))
    assert (pooled < -1).all()


def test_attention_weights_only_what_is_not_padding():
    layer = MaskedPooling(["attention"])
    pooled = np.array(layer((SEQUENCE, MASK)))
    (kernel,) = (np.array(weight, np.float64) for weight in layer.score.weights)
    for row, length in enumerate(LENGTHS):
        states = SEQUENCE[row, :length].astype(np.float64)
        weights = np.exp(states @ kernel)
        np.testing.assert_allclose(
            pooled[row], (weights * states).sum(axis=0) / weights.sum(), rtol=1e-5
        )
    np.testing.assert_allclose(pooled[2], SEQUENCE[2, 0], rtol=1e-5)  # one step: all the weight


def test_several_poolings_are_concatenated_in_order():
    both = np.array(MaskedPooling(["max", "mean"])((SEQUENCE, MASK)))
    for half, mode in ((both[:, :4], "max"), (both[:, 4:], "mean")):
        np.testing.assert_allclose(half, np.array(MaskedPooling([mode])((SEQUENCE, MASK))))


@pytest.mark.parametrize("modes", [["median"], [], [""]])
def test_unknown_pooling_is_named_with_the_accepted_ones(modes):
    with pytest.raises(InputError, match="accepted are last, mean, max, attention"):
        MaskedPooling(modes)


@pytest.mark.parametrize("mode", ["mean", "attention"])
def test_pooling_of_long_sequences_keeps_its_digits_in_half_precision(mode):
    pooling = MaskedPooling([mode], dtype="mixed_float16")
    pooled = pooling((np.full((1, 9000, 4), 8.0, np.float32), np.ones((1, 9000), bool)))
    np.testing.assert_allclose(pooled, np.full((1, 4), 8.0), rtol=1e-3)


@pytest.mark.parametrize("mode", ["last", "mean", "max", "attention"])
def test_pooling_does_not_read_what_is_no_number(mode):
    sequence = np.ones((1, 3, 2), np.float32)
    sequence[0, 2] = np.nan
    assert np.isfinite(MaskedPooling(mode)((sequence, np.array([[True, True, False]])))).all()
