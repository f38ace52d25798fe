"""The optimizer that Keras lacks for large embeddings."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class LazyAdam(keras.optimizers.Adam):
    """Adam (Kingma and Ba 2015) that touches only those rows of an embedding that occur in the
    batch.

    Keras' Adam turns the sparse gradient of an embedding into a dense one, in its clipping already,
    and rewrites every row and both its moments in every step. Here rows that do not occur stay as
    they are, moments included; other variables are updated as by Adam. TensorFlow Addons, which is
    retired, had it under this name. The gradient of a word is the sum over its occurrences before
    it is squared, as Adam has it; Keras 3.15 squares the occurrences one by one, in the second
    moment and in the norm.

    Args:
        learning_rate: a number or a schedule.
        clip_norm: largest global norm of the gradient, over all variables together; None leaves it
            as it is. Keras' `global_clipnorm` would make the gradient dense.
        kwargs: of `keras.optimizers.Adam`. A weight decay is Keras' own and rewrites every variable
            whole.
    """

    def __init__(self, learning_rate=0.001, *, clip_norm: float | None = None, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.clip_norm = clip_norm

    def apply(self, grads, trainable_variables=None):
        grads = [
            _sum_duplicates(grad) if isinstance(grad, tf.IndexedSlices) else grad for grad in grads
        ]
        if self.clip_norm:
            grads, _ = tf.clip_by_global_norm(grads, self.clip_norm)
        return super().apply(grads, trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        if not isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        step = tf.cast(self.iterations + 1, variable.dtype)
        beta_1, beta_2 = (tf.constant(beta, variable.dtype) for beta in (self.beta_1, self.beta_2))
        rate = (
            tf.cast(learning_rate, variable.dtype) * tf.sqrt(1 - beta_2**step) / (1 - beta_1**step)
        )
        index, rows = self._get_variable_index(variable), gradient.indices
        momentum, velocity = self._momentums[index].value, self._velocities[index].value
        new_momentum = beta_1 * tf.gather(momentum, rows) + (1 - beta_1) * gradient.values
        new_velocity = beta_2 * tf.gather(velocity, rows) + (1 - beta_2) * tf.square(
            gradient.values
        )
        momentum.scatter_update(tf.IndexedSlices(new_momentum, rows))
        velocity.scatter_update(tf.IndexedSlices(new_velocity, rows))
        # Keras hands over its own variable, or the TensorFlow variable in it.
        weights = variable.value if isinstance(variable, keras.Variable) else variable
        weights.scatter_sub(
            tf.IndexedSlices(rate * new_momentum / (tf.sqrt(new_velocity) + self.epsilon), rows)
        )

    def get_config(self):
        return {**super().get_config(), "clip_norm": self.clip_norm}


def _sum_duplicates(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """A word that occurs twice in the batch has two rows in the gradient; their sum is its
    gradient."""
    rows, position = tf.unique(gradient.indices)
    return tf.IndexedSlices(
        tf.math.unsorted_segment_sum(gradient.values, position, tf.size(rows)),
        rows,
        gradient.dense_shape,
    )
