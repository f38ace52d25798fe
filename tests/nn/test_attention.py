"""Attention against a loop in float64."""

import numpy as np
import pytest
import tensorflow as tf

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.attention import BahdanauAttention, LuongAttention

RNG = np.random.default_rng(0)


QUERY, MEMORY = (
    RNG.normal(size=(3, 2, 4)).astype(np.float32),
    RNG.normal(size=(3, 5, 6)).astype(np.float32),
)
MASK = np.arange(5) < np.array([5, 3, 1])[:, None]


def luong_score(layer, query, memory):
    return query @ np.array(layer.kernel, np.float64).T @ memory / np.sqrt(len(query))


def bahdanau_score(layer, query, memory):
    both = (
        query @ np.array(layer.query_kernel, np.float64)
        + memory @ np.array(layer.memory_kernel, np.float64)
        + np.array(layer.bias)
    )
    return float((np.tanh(both) @ np.array(layer.vector, np.float64))[0])


@pytest.mark.parametrize(
    ("layer", "score"), [(LuongAttention(), luong_score), (BahdanauAttention(7), bahdanau_score)]
)
def test_attention_is_the_softmax_of_its_scores_over_what_is_not_padding(layer, score):
    context, weights = (np.array(part) for part in layer((QUERY, MEMORY, MASK)))
    for row in range(3):
        length = MASK[row].sum()
        for q in range(2):
            scores = [
                score(layer, QUERY[row, q].astype(np.float64), MEMORY[row, t].astype(np.float64))
                for t in range(length)
            ]
            expected = np.exp(scores) / np.exp(scores).sum()
            np.testing.assert_allclose(weights[row, q, :length], expected, atol=1e-6)
            np.testing.assert_array_equal(weights[row, q, length:], 0)
            np.testing.assert_allclose(context[row, q], expected @ MEMORY[row, :length], atol=1e-5)


@pytest.mark.parametrize("layer", [LuongAttention(), BahdanauAttention(7)])
def test_attention_gives_finite_gradients_at_padding_and_large_scores(layer):
    query = tf.constant(QUERY * 1e3)
    with tf.GradientTape() as tape:
        tape.watch(query)
        loss = tf.reduce_sum(layer((query, MEMORY, MASK))[0])
    assert np.isfinite(np.array(tape.gradient(loss, query))).all()


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="units must be at least 1; received 0"):
        BahdanauAttention(0)
