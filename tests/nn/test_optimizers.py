"""LazyAdam: Adam where every row occurs, still rows where none does."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnn_cookbook.nn.optimizers import LazyAdam

RNG = np.random.default_rng(0)


def embedding_after(optimizer, batches, dense_gradient=False):
    keras.utils.set_random_seed(0)
    embedding, dense = keras.layers.Embedding(6, 3), keras.layers.Dense(1)
    embedding.build(None)
    dense.build((None, 3))
    variables = embedding.trainable_variables + dense.trainable_variables
    start = np.array(embedding.embeddings)
    for tokens in batches:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(dense(embedding(tokens)) ** 2) * 10
        gradients = tape.gradient(loss, variables)
        optimizer.apply(
            [tf.convert_to_tensor(gradient) for gradient in gradients]
            if dense_gradient
            else gradients,
            variables,
        )
    return start, np.array(embedding.embeddings), np.array(dense.kernel)


@pytest.mark.parametrize("clip", [None, 0.05])
def test_equals_adam_when_every_row_occurs(clip):
    batches = [RNG.permutation(np.repeat(np.arange(6), 3)).reshape(2, 9) for _ in range(4)]
    _, lazy, lazy_dense = embedding_after(LazyAdam(0.01, clip_norm=clip), batches)
    _, adam, adam_dense = embedding_after(
        keras.optimizers.Adam(0.01, global_clipnorm=clip), batches, dense_gradient=True
    )
    np.testing.assert_allclose(lazy, adam, atol=1e-6)
    np.testing.assert_allclose(lazy_dense, adam_dense, atol=1e-6)


def test_rows_that_do_not_occur_stay_as_they_are():
    batches = [np.array([[0, 1, 1]]), np.array([[2, 2, 2]])]
    start, lazy, _ = embedding_after(LazyAdam(0.01), batches)
    np.testing.assert_array_equal(lazy[3:], start[3:])
    assert (lazy[:3] != start[:3]).all()
    first = embedding_after(LazyAdam(0.01), batches[:1])[1]
    np.testing.assert_array_equal(lazy[:2], first[:2])  # not moved by momentum while they are away


def test_clips_over_all_variables_together():
    embedding, weight = (
        keras.Variable(np.zeros((4, 1), np.float32)),
        keras.Variable(np.zeros(1, np.float32)),
    )
    optimizer = LazyAdam(1.0, clip_norm=1.0, beta_1=0.0)
    gradient = tf.IndexedSlices(
        tf.constant([[3.0], [0.0]]), tf.constant([1, 2]), tf.constant([4, 1])
    )
    optimizer.apply([gradient, tf.constant([4.0])], [embedding, weight])
    velocity = [np.array(variable) for variable in optimizer._velocities]
    assert velocity[0][1, 0] == pytest.approx(0.6**2 * (1 - optimizer.beta_2), rel=1e-4)
    assert velocity[1][0] == pytest.approx(0.8**2 * (1 - optimizer.beta_2), rel=1e-4)


def test_comes_back_from_its_configuration():
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(LazyAdam(0.1, clip_norm=2.0))
    )
    assert (again.clip_norm, float(again.learning_rate)) == (2.0, pytest.approx(0.1))
