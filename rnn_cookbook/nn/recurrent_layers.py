"""Recurrent layers that Keras lacks: with dropped recurrent weights, in both directions without a
masked loop, and with states that are carried from batch to batch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.lstm import LSTM
from rnn_cookbook.nn.tensors import Tensor

__all__ = [
    "Bidirectional",
    "CarriedState",
    "WeightDropGRU",
    "WeightDropLSTM",
    "WeightDropSimpleRNN",
]


class _WeightDrop(keras.layers.RNN):
    """Drops entries of the recurrent kernel while training: one mask per batch, the same at every
    step (Merity et al. 2018).

    The layer computes as ever, with another matrix: on a GPU it stays on the fast kernels. Comes
    before Keras' layer in the order of the base classes.
    """

    def __init__(self, units: int, *, weight_drop: float = 0.0, **kwargs):
        super().__init__(units, **kwargs)
        if not 0 <= weight_drop < 1:
            raise InputError(f"weight_drop must be at least 0 and below 1; received {weight_drop}")
        self.weight_drop = weight_drop
        self.weight_drop_seed = keras.random.SeedGenerator()

    def call(
        self,
        sequences: Tensor,
        initial_state: Sequence[Tensor] | None = None,
        mask: Tensor | None = None,
        training: bool = False,
    ) -> Tensor:
        with self._dropped() if training and self.weight_drop else contextlib.nullcontext():
            return super().call(
                sequences, initial_state=initial_state, mask=mask, training=training
            )

    @contextlib.contextmanager
    def _dropped(self) -> Iterator[None]:
        kernel = self.cell.recurrent_kernel
        dropped = keras.random.dropout(
            ops.convert_to_tensor(kernel), self.weight_drop, seed=self.weight_drop_seed
        )
        # object.__setattr__: Keras would stop tracking the weight that it finds replaced.
        object.__setattr__(self.cell, "recurrent_kernel", dropped)
        try:
            yield
        finally:
            object.__setattr__(self.cell, "recurrent_kernel", kernel)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weight_drop": self.weight_drop}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class WeightDropSimpleRNN(_WeightDrop, keras.layers.SimpleRNN):
    """A `keras.layers.SimpleRNN` with dropped recurrent weights."""


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class WeightDropLSTM(_WeightDrop, LSTM):
    """An `nn.lstm.LSTM` with dropped recurrent weights."""


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class WeightDropGRU(_WeightDrop, keras.layers.GRU):
    """A `keras.layers.GRU` with dropped recurrent weights."""


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class Bidirectional(keras.layers.Bidirectional):
    """A `keras.layers.Bidirectional` that reads right-padded sequences without handing the mask to
    its layers.

    Padding comes after all that the forward layer reads, and the backward layer reads each sequence
    reversed, with its padding still behind it. That saves a masked loop; outputs at padding are
    arbitrary. Where final states are returned, it is Keras' layer.
    """

    def call(
        self,
        sequences: Tensor,
        initial_state: Sequence[Tensor] | None = None,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        if mask is None or self.return_state or not self.return_sequences:
            return super().call(
                sequences, initial_state=initial_state, mask=mask, training=training
            )
        half = len(initial_state or ()) // 2
        lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
        from_the_end = tf.reverse_sequence(sequences, lengths, seq_axis=1, batch_axis=0)
        forward = self.forward_layer(
            sequences, initial_state=initial_state and initial_state[:half], training=training
        )
        # The layer goes backwards by itself, and so would begin with padding.
        backward = self.backward_layer(
            ops.flip(from_the_end, axis=1),
            initial_state=initial_state and initial_state[half:],
            training=training,
        )
        backward = tf.reverse_sequence(backward, lengths, seq_axis=1, batch_axis=0)
        if self.merge_mode is None:
            return forward, backward
        if self.merge_mode == "concat":
            return ops.concatenate([forward, backward], axis=-1)
        if self.merge_mode == "mul":
            return forward * backward
        return (forward + backward) / (2 if self.merge_mode == "ave" else 1)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class CarriedState(keras.layers.Wrapper):
    """A wrapper that starts each batch in the state in which the recurrent layer left the last
    batch: truncated backpropagation through time (Williams and Peng 1990).

    (float[batch, time, features], bool[batch] starts, bool[batch, time] mask) -> (float[batch,
    time, units], *states)

    Row i of a batch continues row i of the batch before, unless `starts[i]`: then a new sequence
    begins, from a state of zeros. No gradient travels back into the batch before. Training and
    inference have separate states, so that an evaluation between two epochs, or between two steps,
    leaves the states of the training alone. The states are variables: checkpoints hold them, and a
    resumed training continues in the middle of a sequence.

    Args:
        layer: SimpleRNN, LSTM or GRU with return_sequences and return_state.
        batch_size: number of rows of every batch.

    Raises:
        InputError: a batch size below 1, or a batch with another number of rows.
    """

    def __init__(self, layer: keras.layers.RNN, *, batch_size: int, **kwargs):
        super().__init__(layer, **kwargs)
        if batch_size < 1:
            raise InputError(
                f"the batch_size of carried states must be at least 1; received {batch_size}"
            )
        self.batch_size = batch_size
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self.layer.build(input_shape[0])
        for phase in ("training", "inference"):
            states = [
                self.add_weight(
                    shape=(self.batch_size, size),
                    initializer="zeros",
                    trainable=False,
                    dtype="float32",
                    name=f"{phase}_{i}",
                )
                for i, size in enumerate(self.layer.state_size)
            ]
            setattr(self, phase, states)

    def call(self, inputs: Sequence[Tensor], training: bool = False) -> tuple[Tensor, ...]:
        sequence, starts, mask = inputs
        if sequence.shape[0] not in (None, self.batch_size):
            raise InputError(
                f"layer {self.name!r} carries the states of {self.batch_size} rows; received a "
                f"batch of {sequence.shape[0]}"
            )
        variables = self.training if training else self.inference
        states = [
            ops.cast(ops.where(starts[:, None], 0.0, state), self.compute_dtype)
            for state in variables
        ]
        outputs, *states = self.layer(sequence, initial_state=states, mask=mask, training=training)
        for variable, state in zip(variables, states, strict=True):
            variable.assign(ops.stop_gradient(ops.cast(state, "float32")))
        return outputs, *states

    def compute_output_spec(self, inputs: Sequence[Tensor], training: bool = False) -> Any:
        sequence, *_ = inputs
        sizes = self.layer.state_size
        shapes = [
            (self.batch_size, sequence.shape[1], sizes[0]),
            *((self.batch_size, size) for size in sizes),
        ]
        return tuple(keras.KerasTensor(shape, self.compute_dtype) for shape in shapes)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return [None] * (1 + len(self.layer.state_size))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "batch_size": self.batch_size}
