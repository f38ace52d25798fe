"""Layers that Keras lacks, for sequences: dropout of words, a language model beside the task,
segments, convolution and pooling over time that respect the mask."""

import keras
import tensorflow as tf
from keras import ops

from rnn_cookbook.nn.examples import InputValues


def makes_mask(layer: keras.Layer) -> bool:
    """Returns whether a layer says that its output, or the second of its outputs, is a mask.

    A layer says so by a class attribute `makes_mask = True`; the mask is bool[batch, time] of the
    steps that come out.
    """
    return getattr(layer, "makes_mask", False)


class ExplicitMask(keras.layers.Layer):
    """Takes its mask as an input. A mask that Keras has attached to the inputs besides is the same
    one, and ends here."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs, previous_mask=None):
        return None


def _with_first_step(mask):
    # The fast GPU kernels raise on a sequence without a step.
    return ops.concatenate([ops.ones_like(mask[:, :1]), mask[:, 1:]], axis=1)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class PaddingMask(keras.layers.Layer):
    """True where there is a word: int32[batch, time] -> bool[batch, time]; the first step is always
    True.

    Explicit, because masks that travel with Keras tensors get lost without a word in layers that do
    not know them; and never all False, because the fast GPU kernels raise on a sequence without a
    step.
    """

    makes_mask = True

    def call(self, tokens):
        return _with_first_step(ops.not_equal(tokens, 0))

    def stream_states(self):
        return {}

    def stream(self, tokens, states):
        return ops.not_equal(
            tokens, 0
        ), states  # a chunk may hold nothing for a row whose sequence has ended


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class LengthMask(ExplicitMask):
    """True before each sequence's length: (float[batch, time, features], int32[batch]) ->
    bool[batch, time]; the first step is always True."""

    makes_mask = True

    input_values = (InputValues(), InputValues(lengths=True))

    def call(self, inputs):
        sequence, lengths = inputs
        return _with_first_step(
            ops.arange(ops.shape(sequence)[1])[None] < ops.cast(lengths, "int32")[:, None]
        )

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs[0].shape[:2], "bool")

    stream_drops = (1,)  # all the steps of a chunk are there

    def stream_states(self):
        return {}

    def stream(self, inputs, states):
        return ops.ones_like(inputs[0][..., 0], dtype="bool"), states


def _without_padding(sequence, mask):
    # Not a product: what stands at padding may be no number.
    return ops.where(mask[..., None], sequence, ops.zeros_like(sequence))


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class ReverseSequence(ExplicitMask):
    """Turns the steps before each sequence's end round; padding stays behind.

    (float[batch, time, features], bool[batch, time]) -> float[batch, time, features]; the mask may
    be left out.
    """

    def call(self, inputs):
        if not isinstance(inputs, list | tuple):
            return ops.flip(inputs, axis=1)
        sequence, mask = inputs
        return tf.reverse_sequence(
            sequence, tf.reduce_sum(tf.cast(mask, tf.int32), axis=1), seq_axis=1, batch_axis=0
        )

    def compute_output_spec(self, inputs):
        sequence = inputs[0] if isinstance(inputs, list | tuple) else inputs
        return keras.KerasTensor(sequence.shape, sequence.dtype)
