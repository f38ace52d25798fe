"""The optimizer that Keras lacks for large embeddings."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from rnn_cookbook.nn.tensors import Tensor

__all__ = ["LazyAdam"]


def _sum_duplicates(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """Sums the rows of a word that occurs several times in the batch."""
    rows, position = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, position, tf.size(rows))
    return tf.IndexedSlices(values, rows, gradient.dense_shape)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class LazyAdam(keras.optimizers.Adam):
    """Adam (Kingma and Ba 2015) that updates only those rows of an embedding that occur in the
    batch.

    Keras' Adam turns the sparse gradient of an embedding into a dense one, in its clipping already,
    and rewrites every row and both its moments in every step. Here rows that do not occur stay as
    they are, moments included; other variables are updated as by Adam. TensorFlow Addons, which is
    retired, had it under this name. The gradient of a word is the sum over its occurrences before
    it is squared, as Adam has it; Keras 3.15 squares the occurrences one by one, in the second
    moment and in the norm.

    Args:
        learning_rate: learning rate, a number or a schedule.
        clip_norm: maximum of the gradient's global norm, over all variables together; None leaves
            the gradient as it is. Keras' `global_clipnorm` would make the gradient dense.
        kwargs: other options of `keras.optimizers.Adam`. A weight decay is Keras' own and rewrites
            every variable whole.
    """

    def __init__(self, learning_rate: Any = 0.001, *, clip_norm: float | None = None, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.clip_norm = clip_norm

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        grads = [
            _sum_duplicates(grad) if isinstance(grad, tf.IndexedSlices) else grad for grad in grads
        ]
        if self.clip_norm:
            grads, _ = tf.clip_by_global_norm(grads, self.clip_norm)
        return super().apply(grads, trainable_variables)

    def update_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor) -> None:
        if not isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        iterations: Tensor = self.iterations
        step: Tensor = tf.cast(iterations + 1, variable.dtype)
        beta_1: Tensor = tf.constant(self.beta_1, variable.dtype)
        beta_2: Tensor = tf.constant(self.beta_2, variable.dtype)
        rate: Tensor = tf.cast(learning_rate, variable.dtype)
        rate = rate * tf.sqrt(1 - beta_2**step) / (1 - beta_1**step)
        index = self._get_variable_index(variable)
        rows = gradient.indices
        momentum = self._momentums[index].value
        velocity = self._velocities[index].value
        squares: Tensor = tf.square(gradient.values)
        new_momentum = beta_1 * tf.gather(momentum, rows) + (1 - beta_1) * gradient.values
        new_velocity = beta_2 * tf.gather(velocity, rows) + (1 - beta_2) * squares
        momentum.scatter_update(tf.IndexedSlices(new_momentum, rows))
        velocity.scatter_update(tf.IndexedSlices(new_velocity, rows))
        # Keras hands over its own variable, or the TensorFlow variable in it.
        weights = variable.value if isinstance(variable, keras.Variable) else variable
        change = rate * new_momentum / (tf.sqrt(new_velocity) + self.epsilon)
        weights.scatter_sub(tf.IndexedSlices(change, rows))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "clip_norm": self.clip_norm}
