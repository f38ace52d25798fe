"""The LSTM with a training step for CPUs: Keras' layer and its numbers, in about half the time.

TensorFlow differentiates Keras' loop operation by operation: on the way back every step multiplies,
and adds to the gradients of both kernels and of the bias, by some forty small operations. Here the
way there is one kernel that TensorFlow has (BlockLSTMV2), and the way back is written out: its loop
carries what has to go from step to step and nothing else, and the gradients of kernels, bias and
input follow as one large product each, as fast kernels of GPUs have it (Appleyard et al. 2016,
"Optimizing Performance of Recurrent Neural Networks on GPUs").
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

# TensorFlow has no public way to ask.
from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

from rnn_cookbook.nn.tensors import Tensor

__all__ = ["LSTM"]


def _on_plain_cpu(sequences: Tensor) -> bool:
    graph = tf.compat.v1.get_default_graph()
    return (
        sequences.dtype == tf.float32
        and not tf.config.get_visible_devices("GPU")
        and not GraphOrParentsInXlaContext(graph)
    )


def _lengths(mask: Tensor) -> Tensor:
    """The lengths of a right-padded mask: bool[batch, time] -> int32[batch]."""
    lengths: Tensor = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
    message = "a mask of rnn_cookbook.nn.lstm.LSTM must be right-padded in training"
    right_padded = tf.sequence_mask(lengths, tf.shape(mask)[1])
    with tf.control_dependencies([tf.debugging.assert_equal(mask, right_padded, message)]):
        return tf.identity(lengths)


def _step_array(values: Tensor) -> tf.TensorArray:
    """float32[time, ...] as an array that is read step by step."""
    shape = values.shape[1:]
    return tf.TensorArray(tf.float32, tf.shape(values)[0], element_shape=shape).unstack(values)


@tf.custom_gradient
def _lstm(x: Tensor, h: Tensor, c: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor):
    """Runs over float32[time, batch, features] from the states float32[batch, units] -> h and c of
    every step, float32[time, batch, units] each."""
    units = recurrent_kernel.shape[0]
    no_peepholes = dict.fromkeys(("wci", "wcf", "wco"), tf.zeros(units))
    weights = tf.concat([kernel, recurrent_kernel], axis=0)
    forward: Tensor = tf.raw_ops.BlockLSTMV2(
        seq_len_max=tf.shape(x, tf.int64)[0],
        x=x,
        h_prev=h,
        cs_prev=c,
        w=weights,
        b=bias,
        **no_peepholes,
        cell_clip=0.0,
    )

    def gradient(dh: Tensor, dc: Tensor) -> list[Tensor]:  # of every step
        i = forward.i  # input gate
        f = forward.f  # forget gate
        g = forward.ci  # candidate, a tanh
        o = forward.o  # output gate
        tanh_c = forward.co
        before = tf.concat([c[None], forward.cs[:-1]], axis=0)
        # The gradients of the gates are that of c, three times, and that of h, times these slopes.
        # All that a step needs lies in one row.
        slopes = [g * i * (1 - i), before * f * (1 - f), i * (1 - g * g), tanh_c * o * (1 - o)]
        rows = _step_array(tf.concat([*slopes, o * (1 - tanh_c * tanh_c), f], axis=2))
        given = _step_array(tf.concat([dh, dc], axis=2))
        transposed = tf.transpose(recurrent_kernel)

        def back(t: Tensor, dh: Tensor, dc: Tensor, found: tf.TensorArray):
            slope, to_cell, kept = tf.split(rows.read(t), [4 * units, units, units], axis=1)
            more_h, more_c = tf.split(given.read(t), 2, axis=1)
            dh = dh + more_h
            dc = dc + more_c + dh * to_cell
            gates = tf.concat([dc, dc, dc, dh], axis=1) * slope
            return t - 1, tf.matmul(gates, transposed), dc * kept, found.write(t, gates)

        steps: Tensor = tf.shape(x)[0]
        found = tf.TensorArray(tf.float32, steps, element_shape=(x.shape[1], 4 * units))
        _, dh, dc, found = tf.while_loop(
            lambda t, *_: t >= 0, back, (steps - 1, tf.zeros_like(h), tf.zeros_like(c), found)
        )
        gates: Tensor = tf.reshape(found.stack(), (-1, 4 * units))
        dx = tf.reshape(tf.matmul(gates, kernel, transpose_b=True), tf.shape(x))
        earlier = tf.concat([h[None], forward.h[:-1]], axis=0)
        kernels = (
            tf.matmul(tf.reshape(y, (-1, y.shape[2])), gates, transpose_a=True)
            for y in (x, earlier)
        )
        message = "rnn_cookbook.nn.lstm.LSTM has first derivatives only"
        return [
            tf.raw_ops.PreventGradient(input=y, message=message)
            for y in (dx, dh, dc, *kernels, tf.reduce_sum(gates, axis=0))
        ]

    return (forward.h, forward.cs), gradient


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class LSTM(keras.layers.LSTM):
    """`keras.layers.LSTM` (Hochreiter and Schmidhuber 1997), weights and results included, that
    trains faster where there is no GPU.

    The fast training step is for the layer with Keras' default activations, in float32. Its mask
    must be right-padded, as fast kernels of GPUs need it; rows without a step give their initial
    states. With Keras' dropouts, other activations, unrolled, in half precision, under XLA, on a
    GPU and for predictions it is Keras' layer. It has first derivatives only; TensorFlow says so
    where second derivatives are asked for.

    Raises:
        tf.errors.InvalidArgumentError: in training, a mask that is not right-padded.
    """

    def inner_loop(
        self,
        sequences: Tensor,
        initial_state: Sequence[Tensor],
        mask: Tensor | None,
        training: bool = False,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Runs the layer, as `keras.layers.LSTM` asks for it.

        Args:
            sequences: float[batch, time, features].
            initial_state: states h and c, float[batch, units] each.
            mask: bool[batch, time], or none.
            training: whether gradients will be taken.

        Returns:
            The last output, the outputs and the last states.
        """
        if not training or not self._by_the_book() or not _on_plain_cpu(sequences):
            return super().inner_loop(sequences, initial_state, mask, training=training)
        mask, *_ = keras.tree.flatten(mask)
        lengths = None if mask is None else _lengths(mask)
        steps = tf.transpose(self._in_reading_order(sequences, lengths), [1, 0, 2])
        kernels = (self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias)
        weights = [tf.convert_to_tensor(weight) for weight in kernels]
        initial = [tf.convert_to_tensor(state) for state in initial_state]
        run: Tensor = _lstm(steps, *initial, *weights)
        hidden, cell = run
        if lengths is None:
            last = hidden[-1]
            states = [hidden[-1], cell[-1]]
        else:
            has_steps = lengths[:, None] > 0
            rows = tf.range(tf.size(lengths))
            places: Tensor = tf.stack([tf.maximum(lengths - 1, 0), rows], axis=1)
            found = [tf.gather_nd(state, places) for state in (hidden, cell)]
            last = tf.where(has_steps, found[0], 0.0)
            states = [tf.where(has_steps, *both) for both in zip(found, initial, strict=True)]
        if not self.return_sequences:
            return last, last[:, None], states
        outputs = tf.transpose(hidden, [1, 0, 2])
        if mask is not None:
            outputs = self._with_padding(outputs, last=last, mask=mask)
            if self.go_backwards:
                outputs = tf.reverse(self._in_reading_order(outputs, lengths), [1])
        return last, outputs, states

    def _by_the_book(self) -> bool:
        cell = self.cell
        return (
            cell.activation is keras.activations.tanh
            and cell.recurrent_activation is keras.activations.sigmoid
            and cell.use_bias
            and not (self.dropout or self.recurrent_dropout or self.unroll)
        )

    def _in_reading_order(self, sequences: Tensor, lengths: Tensor | None) -> Tensor:
        """The steps in the order in which the layer reads them, padding last."""
        if not self.go_backwards:
            return sequences
        if lengths is None:
            return tf.reverse(sequences, [1])
        return tf.reverse_sequence(sequences, lengths, seq_axis=1, batch_axis=0)

    def _with_padding(self, outputs: Tensor, *, last: Tensor, mask: Tensor) -> Tensor:
        """The outputs with what Keras has at padding: the last output again, or zeros where padding
        is read first."""
        zero = self.go_backwards or self.zero_output_for_mask
        return tf.where(mask[..., None], outputs, 0.0 if zero else last[:, None])
