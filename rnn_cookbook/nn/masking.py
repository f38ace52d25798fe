"""Masks of padding as tensors that the layers of this library take as an input."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from rnn_cookbook.nn.examples import InputValues
from rnn_cookbook.nn.tensors import Tensor

__all__ = [
    "ExplicitMask",
    "LengthMask",
    "PaddingMask",
    "ReverseSequence",
    "makes_mask",
    "with_first_step",
    "without_padding",
]


def makes_mask(layer: keras.Layer) -> bool:
    """Returns whether a layer says that its output, or the second of its outputs, is a mask.

    A layer says so by a class attribute `makes_mask = True`; the mask is bool[batch, time] of the
    steps that come out.
    """
    return getattr(layer, "makes_mask", False)


def with_first_step(mask: Tensor) -> Tensor:
    """Makes the first step of every row True, bool[batch, time]: the fast GPU kernels raise on a
    sequence without a step."""
    return ops.concatenate([ops.ones_like(mask[:, :1]), mask[:, 1:]], axis=1)


def without_padding(sequence: Tensor, mask: Tensor) -> Tensor:
    """Returns float[batch, time, features] with zeros where the mask, bool[batch, time], is False.

    Not a product with the mask: padding may hold values that are not finite.
    """
    return ops.where(mask[..., None], sequence, ops.zeros_like(sequence))


class ExplicitMask(keras.layers.Layer):
    """A layer that takes its mask as an input.

    A mask that Keras has attached to the inputs besides is the same mask, and ends here.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class PaddingMask(keras.layers.Layer):
    """Returns where words stand: int32[batch, time] -> bool[batch, time], True at words; the first
    step is always True.

    Explicit, because masks that travel with Keras tensors get lost silently in layers that do not
    know them; and never all False, because the fast GPU kernels raise on a sequence without a step.
    """

    makes_mask = True

    def call(self, tokens: Tensor) -> Tensor:
        return with_first_step(ops.not_equal(tokens, 0))

    def stream_states(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of the states of a stream, see `nn.streaming`: none."""
        return {}

    def stream(self, tokens: Tensor, states: dict[str, Tensor]) -> tuple[Any, dict[str, Tensor]]:
        """Returns the mask of a chunk; the row of a sequence that has ended has no step in it."""
        return ops.not_equal(tokens, 0), states


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class LengthMask(ExplicitMask):
    """Returns which steps lie before each sequence's end; the first step is always True.

    (float[batch, time, features], int32[batch] lengths) -> bool[batch, time]
    """

    makes_mask = True
    input_values = (InputValues(), InputValues(lengths=True))
    stream_drops = (1,)  # all the steps of a chunk are there

    def call(self, inputs: Any) -> Tensor:
        sequence, lengths = inputs
        shape: Tensor = ops.shape(sequence)
        steps: Tensor = ops.arange(shape[1])
        ends: Tensor = ops.cast(lengths, "int32")
        return with_first_step(steps[None] < ends[:, None])

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(inputs[0].shape[:2], "bool")

    def stream_states(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of the states of a stream, see `nn.streaming`: none."""
        return {}

    def stream(self, inputs: Tensor, states: dict[str, Tensor]) -> tuple[Any, dict[str, Tensor]]:
        """Returns the mask of a chunk, all True."""
        return ops.ones_like(inputs[0][..., 0], dtype="bool"), states


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class ReverseSequence(ExplicitMask):
    """Reverses the steps before each sequence's end; padding stays behind them.

    (float[batch, time, features], bool[batch, time]) -> float[batch, time, features]; the mask may
    be left out.
    """

    def call(self, inputs: Any) -> Tensor:
        if not isinstance(inputs, list | tuple):
            return ops.flip(inputs, axis=1)
        sequence, mask = inputs
        lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
        return tf.reverse_sequence(sequence, lengths, seq_axis=1, batch_axis=0)

    def compute_output_spec(self, inputs: Any) -> Any:
        sequence = inputs[0] if isinstance(inputs, list | tuple) else inputs
        return keras.KerasTensor(sequence.shape, sequence.dtype)
