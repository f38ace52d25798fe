"""The LSTM with a training step for CPUs: Keras' layer and its numbers, in about half the time.

TensorFlow differentiates Keras' loop operation by operation: on the way back every step multiplies,
and adds to the gradients of both kernels and of the bias, by some forty small operations. Here the
way there is one kernel that TensorFlow has (BlockLSTMV2), and the way back is written out: its loop
carries what has to go from step to step and nothing else, and the gradients of kernels, bias and
input follow as one large product each, as fast kernels of GPUs have it (Appleyard et al. 2016,
"Optimizing Performance of Recurrent Neural Networks on GPUs").
"""

import keras
import tensorflow as tf
from tensorflow.python.ops.control_flow_util import (
    GraphOrParentsInXlaContext,
)  # TensorFlow has no public way to ask


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class LSTM(keras.layers.LSTM):
    """`keras.layers.LSTM` (Hochreiter and Schmidhuber 1997), weights and results included, that
    trains faster where there is no GPU.

    The fast training step is for the layer by the book, in float32. A mask must be right-padded
    there, as fast kernels of GPUs need it; rows without a step give their initial states. With
    Keras' own dropouts, other activations, unrolled, in half precision, under XLA, on a GPU and for
    predictions it is Keras' layer. It has first derivatives only; TensorFlow says so where second
    ones are asked for.

    Raises:
        tf.errors.InvalidArgumentError: in training, a mask that is not right-padded.
    """

    def inner_loop(self, sequences, initial_state, mask, training=False):
        if not training or not self._by_the_book() or not _on_plain_cpu(sequences):
            return super().inner_loop(sequences, initial_state, mask, training=training)
        mask, *_ = keras.tree.flatten(mask)
        lengths = None if mask is None else _lengths(mask)
        steps = tf.transpose(self._turned(sequences, lengths), [1, 0, 2])
        weights = map(
            tf.convert_to_tensor, (self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias)
        )
        initial = [tf.convert_to_tensor(state) for state in initial_state]
        hidden, cell = _lstm(steps, *initial, *weights)
        if mask is None:
            last, states = hidden[-1], [hidden[-1], cell[-1]]
        else:
            some, places = (
                lengths[:, None] > 0,
                tf.stack([tf.maximum(lengths - 1, 0), tf.range(tf.size(lengths))], axis=1),
            )
            found = [tf.gather_nd(steps, places) for steps in (hidden, cell)]
            last, states = (
                tf.where(some, found[0], 0.0),
                [tf.where(some, *both) for both in zip(found, initial, strict=True)],
            )
        if not self.return_sequences:
            return last, last[:, None], states
        outputs = tf.transpose(hidden, [1, 0, 2])
        if (
            mask is not None
            # what Keras has at padding: the last output again, or, where padding is read first, none
            # yet
        ):
            zero = self.go_backwards or self.zero_output_for_mask
            outputs = tf.where(mask[..., None], outputs, 0.0 if zero else last[:, None])
            if self.go_backwards:
                outputs = tf.reverse(self._turned(outputs, lengths), [1])
        return last, outputs, states

    def _turned(self, sequences, lengths):
        """In the order in which the layer reads them, padding last."""
        if not self.go_backwards:
            return sequences
        return (
            tf.reverse(sequences, [1])
            if lengths is None
            else tf.reverse_sequence(sequences, lengths, seq_axis=1, batch_axis=0)
        )

    def _by_the_book(self) -> bool:
        cell = self.cell
        activations = (
            cell.activation is keras.activations.tanh
            and cell.recurrent_activation is keras.activations.sigmoid
        )
        return (
            activations
            and cell.use_bias
            and not (self.dropout or self.recurrent_dropout or self.unroll)
        )


def _on_plain_cpu(sequences) -> bool:
    graph = tf.compat.v1.get_default_graph()
    return (
        sequences.dtype == tf.float32
        and not tf.config.get_visible_devices("GPU")
        and not GraphOrParentsInXlaContext(graph)
    )


def _lengths(mask) -> tf.Tensor:
    """int32[batch] of a right-padded mask, bool[batch, time]."""
    lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
    message = "a mask of rnn_cookbook.nn.lstm.LSTM must be right-padded in training"
    with tf.control_dependencies(
        [tf.debugging.assert_equal(mask, tf.sequence_mask(lengths, tf.shape(mask)[1]), message)]
    ):
        return tf.identity(lengths)


@tf.custom_gradient
def _lstm(x, h, c, kernel, recurrent_kernel, bias):
    """float32[time, batch, features] from the states float32[batch, units] -> h and c of every
    step."""
    units = recurrent_kernel.shape[0]
    no_peepholes = dict.fromkeys(("wci", "wcf", "wco"), tf.zeros(units))
    weights = tf.concat([kernel, recurrent_kernel], axis=0)
    there = tf.raw_ops.BlockLSTMV2(
        seq_len_max=tf.shape(x, tf.int64)[0],
        x=x,
        h_prev=h,
        cs_prev=c,
        w=weights,
        b=bias,
        **no_peepholes,
        cell_clip=0.0,
    )

    def gradient(dh, dc):  # those of every step
        i, f, g, o, g_c = (
            there.i,
            there.f,
            there.ci,
            there.o,
            there.co,
        )  # gates i, f, o; candidates g = tanh(...); tanh(c)
        before = tf.concat([c[None], there.cs[:-1]], axis=0)
        # d gates = (what comes to c, three times; what comes to h) * slopes; all that a step needs
        # lies in one row.
        slopes = [g * i * (1 - i), before * f * (1 - f), i * (1 - g * g), g_c * o * (1 - o)]
        rows = _in_turn(tf.concat([*slopes, o * (1 - g_c * g_c), f], axis=2))
        given, transposed = _in_turn(tf.concat([dh, dc], axis=2)), tf.transpose(recurrent_kernel)

        def back(t, dh, dc, found):
            slope, to_cell, kept = tf.split(rows.read(t), [4 * units, units, units], axis=1)
            more_h, more_c = tf.split(given.read(t), 2, axis=1)
            dh = dh + more_h
            dc = dc + more_c + dh * to_cell
            gates = tf.concat([dc, dc, dc, dh], axis=1) * slope
            return t - 1, tf.matmul(gates, transposed), dc * kept, found.write(t, gates)

        steps = tf.shape(x)[0]
        found = tf.TensorArray(tf.float32, steps, element_shape=(x.shape[1], 4 * units))
        _, dh, dc, found = tf.while_loop(
            lambda t, *_: t >= 0, back, (steps - 1, tf.zeros_like(h), tf.zeros_like(c), found)
        )
        gates = tf.reshape(found.stack(), (-1, 4 * units))
        dx = tf.reshape(tf.matmul(gates, kernel, transpose_b=True), tf.shape(x))
        earlier = tf.concat([h[None], there.h[:-1]], axis=0)
        kernels = (
            tf.matmul(tf.reshape(y, (-1, y.shape[2])), gates, transpose_a=True)
            for y in (x, earlier)
        )
        message = "rnn_cookbook.nn.lstm.LSTM has first derivatives only"
        return [
            tf.raw_ops.PreventGradient(input=y, message=message)
            for y in (dx, dh, dc, *kernels, tf.reduce_sum(gates, axis=0))
        ]

    return (there.h, there.cs), gradient


def _in_turn(values) -> tf.TensorArray:
    return tf.TensorArray(tf.float32, tf.shape(values)[0], element_shape=values.shape[1:]).unstack(
        values
    )
