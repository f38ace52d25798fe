"""The LSTM with a training step for CPUs: Keras' layer and its numbers, in about half the time.

TensorFlow differentiates Keras' loop operation by operation: on the way back every step multiplies, and adds to the gradients of both
kernels and of the bias, by some forty small operations. Here the way there is one kernel that TensorFlow has (BlockLSTMV2), and the way
back is written out: its loop carries what has to go from step to step and nothing else, and the gradients of kernels, bias and input
follow as one large product each, as fast kernels of GPUs have it (Appleyard et al. 2016, "Optimizing Performance of Recurrent Neural
Networks on GPUs").
"""

import keras
import tensorflow as tf
from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext  # TensorFlow has no public way to ask


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class LSTM(keras.layers.LSTM):
    """`keras.layers.LSTM` (Hochreiter and Schmidhuber 1997), weights and results included, that trains faster where there is no GPU.

    The fast training step is for the layer by the book, in float32, without a mask: `recurrent.rnn_stack` leaves masks out where it can.
    With a mask, Keras' own dropouts, other activations, unrolled, in half precision, under XLA, on a GPU and for predictions it is Keras'
    layer. It has first derivatives only; TensorFlow says so where second ones are asked for.
    """

    def inner_loop(self, sequences, initial_state, mask, training=False):
        if not training or keras.tree.flatten(mask) != [None] or not self._by_the_book() or not _on_plain_cpu(sequences):
            return super().inner_loop(sequences, initial_state, mask, training=training)
        steps = tf.transpose(sequences, [1, 0, 2])
        weights = map(tf.convert_to_tensor, (self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias))
        hidden, cell = _lstm(tf.reverse(steps, [0]) if self.go_backwards else steps, *map(tf.convert_to_tensor, initial_state), *weights)
        last = hidden[-1]
        return last, tf.transpose(hidden, [1, 0, 2]) if self.return_sequences else last[:, None], [last, cell]

    def _by_the_book(self) -> bool:
        cell = self.cell
        activations = cell.activation is keras.activations.tanh and cell.recurrent_activation is keras.activations.sigmoid
        return activations and cell.use_bias and not (self.dropout or self.recurrent_dropout or self.unroll)


def _on_plain_cpu(sequences) -> bool:
    graph = tf.compat.v1.get_default_graph()
    return sequences.dtype == tf.float32 and not tf.config.get_visible_devices("GPU") and not GraphOrParentsInXlaContext(graph)


@tf.custom_gradient
def _lstm(x, h, c, kernel, recurrent_kernel, bias):
    """float32[time, batch, features] from the states float32[batch, units] -> h, float32[time, batch, units], and the last c."""
    units = recurrent_kernel.shape[0]
    no_peepholes = dict.fromkeys(("wci", "wcf", "wco"), tf.zeros(units))
    weights = tf.concat([kernel, recurrent_kernel], axis=0)
    there = tf.raw_ops.BlockLSTMV2(
        seq_len_max=tf.shape(x, tf.int64)[0], x=x, h_prev=h, cs_prev=c, w=weights, b=bias, **no_peepholes, cell_clip=0.0
    )

    def gradient(dh, dc):
        i, f, g, o, g_c = there.i, there.f, there.ci, there.o, there.co  # gates i, f, o; candidates g = tanh(...); tanh(c)
        before = tf.concat([c[None], there.cs[:-1]], axis=0)
        # d gates = (what comes to c, three times; what comes to h) * slopes; all that a step needs lies in one row.
        slopes = [g * i * (1 - i), before * f * (1 - f), i * (1 - g * g), g_c * o * (1 - o)]
        rows = _in_turn(tf.concat([*slopes, o * (1 - g_c * g_c), f], axis=2))
        given, transposed = _in_turn(dh), tf.transpose(recurrent_kernel)

        def back(t, dh, dc, found):
            slope, to_cell, kept = tf.split(rows.read(t), [4 * units, units, units], axis=1)
            dh = dh + given.read(t)
            dc = dc + dh * to_cell
            gates = tf.concat([dc, dc, dc, dh], axis=1) * slope
            return t - 1, tf.matmul(gates, transposed), dc * kept, found.write(t, gates)

        steps = tf.shape(x)[0]
        found = tf.TensorArray(tf.float32, steps, element_shape=(x.shape[1], 4 * units))
        _, dh, dc, found = tf.while_loop(lambda t, *_: t >= 0, back, (steps - 1, tf.zeros_like(h), dc, found))
        gates = tf.reshape(found.stack(), (-1, 4 * units))
        dx = tf.reshape(tf.matmul(gates, kernel, transpose_b=True), tf.shape(x))
        earlier = tf.concat([h[None], there.h[:-1]], axis=0)
        kernels = (tf.matmul(tf.reshape(y, (-1, y.shape[2])), gates, transpose_a=True) for y in (x, earlier))
        message = "rnn_cookbook.fused.LSTM has first derivatives only"
        return [tf.raw_ops.PreventGradient(input=y, message=message) for y in (dx, dh, dc, *kernels, tf.reduce_sum(gates, axis=0))]

    return (there.h, there.cs[-1]), gradient


def _in_turn(values) -> tf.TensorArray:
    return tf.TensorArray(tf.float32, tf.shape(values)[0], element_shape=values.shape[1:]).unstack(values)
