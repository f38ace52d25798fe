"""Convolutions that do not mix padding into what they read."""

import keras
from keras import ops

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.masking import ExplicitMask, _without_padding


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class MaskedConv1D(ExplicitMask):
    """Convolution over time that neither reads padding nor depends on how much of it there is.

    (float[batch, time, features], bool[batch, time]) -> (float[batch, time / strides, filters],
    bool[batch, time / strides]), rounded up

    Keras' own "same" padding of a strided convolution shifts the frames by one depending on the
    length of the batch. Here output i belongs to input i * strides, in every batch.

    Args:
        filters: features of the output.
        kernel_size: steps that an output sees.
        strides: steps between outputs.
        causal: see the past only, as streaming needs it; otherwise half of the kernel lies in the
            future.
        activation: name of an activation, or None.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        strides: int = 1,
        causal: bool = False,
        activation: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if min(filters, kernel_size, strides) < 1:
            raise InputError(
                f"filters, kernel_size and strides must be 1 or more, got {filters}, {kernel_size} and {strides}"
            )
        self.filters, self.kernel_size, self.strides, self.causal, self.activation = (
            filters,
            kernel_size,
            strides,
            causal,
            activation,
        )
        self.conv = self._convolution(activation=activation, dtype=self.dtype_policy, name="conv")

    def _convolution(self, **options) -> keras.layers.Layer:
        return keras.layers.Conv1D(self.filters, self.kernel_size, strides=self.strides, **options)

    def build(self, input_shape):
        self.features = input_shape[0][-1]
        self.conv.build(input_shape[0])

    def convolved(self, sequence):
        """Of a sequence that has all that its outputs see."""
        return self.conv(sequence)

    def call(self, inputs):
        sequence, mask = inputs
        future = 0 if self.causal else (self.kernel_size - 1) // 2
        sequence = ops.pad(
            _without_padding(sequence, mask),
            [[0, 0], [self.kernel_size - 1 - future, future], [0, 0]],
        )
        return self.convolved(sequence), mask[:, :: self.strides]

    def compute_output_spec(self, inputs):
        sequence, mask = inputs
        time = None if mask.shape[1] is None else -(-mask.shape[1] // self.strides)
        shape = (sequence.shape[0], time, self._width(sequence.shape[-1]))
        return keras.KerasTensor(shape, self.compute_dtype), keras.KerasTensor(
            (mask.shape[0], time), "bool"
        )

    def _width(self, features: int) -> int:
        return self.filters

    def compute_mask(self, inputs, previous_mask=None):
        return [None, None]

    def stream_states(self):
        if not self.causal:
            raise InputError(
                f"layer {self.name!r} reads the future: a {type(self).__name__} streams with causal=True"
            )
        return {"past": (self.kernel_size - 1, self.features)}

    def stream(self, inputs, states):
        # Chunks are multiples of the strides long (`streaming.Stream` sees to it), so the next one
        # starts on an output again.
        sequence, mask = inputs
        sequence = ops.concatenate(
            [ops.cast(states["past"], sequence.dtype), _without_padding(sequence, mask)], axis=1
        )
        past = sequence[:, ops.shape(sequence)[1] - (self.kernel_size - 1) :]
        return (self.convolved(sequence), mask[:, :: self.strides]), {"past": past}

    def get_config(self):
        own = {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "causal": self.causal,
        }
        return {**super().get_config(), **own, "activation": self.activation}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class LookAhead(ExplicitMask):
    """Each feature together with what becomes of it in the next steps, in a weighted sum ("row
    convolution"): as much of the future as recognition needs, and little enough to wait for (Wang
    et al. 2016, "Lookahead Convolution Layer for Unidirectional Recurrent Neural Networks").

    (float[batch, time, features], bool[batch, time]) -> float[batch, time, features]; after the end
    of a sequence come zeros

    For the output of a recurrent layer that reads forwards. A stream answers so many steps late,
    and waits for no more. Half of the weights' sum is, in the beginning, that of the present step,
    and half that of all, evenly.

    Args:
        steps: of the future that an output sees; 0 or more.
    """

    def __init__(self, steps: int, **kwargs):
        super().__init__(**kwargs)
        if steps < 0:
            raise InputError(f"LookAhead takes 0 or more steps of the future, got {steps}")
        self.steps = steps

    def build(self, input_shape):
        self.features = input_shape[0][-1]
        shape = (self.steps + 1, self.features, 1)
        self.kernel = self.add_weight(shape=shape, initializer=self._half_now, name="kernel")

    def _half_now(self, shape, dtype=None):
        now = ops.one_hot(0, shape[0], dtype=dtype)[:, None, None]
        return ops.broadcast_to(0.5 * now + 0.5 / shape[0], shape)

    def call(self, inputs):
        ahead = ops.pad(_without_padding(*inputs), [[0, 0], [0, self.steps], [0, 0]])
        return ops.depthwise_conv(ahead, ops.cast(self.kernel, ahead.dtype))

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs[0].shape, self.compute_dtype)

    @property
    def stream_delay(self) -> int:
        return self.steps

    def stream_states(self):
        return {"past": (self.steps, self.features), "ended": (1,)}

    def stream(self, inputs, states):
        sequence, mask = inputs
        sequence = _without_padding(sequence, mask & (states["ended"] == 0))
        sequence = ops.concatenate([ops.cast(states["past"], sequence.dtype), sequence], axis=1)
        after = {
            "past": ops.cast(sequence[:, ops.shape(sequence)[1] - self.steps :], "float32"),
            "ended": states["ended"],
        }
        return ops.depthwise_conv(sequence, ops.cast(self.kernel, sequence.dtype)), after

    def get_config(self):
        return {**super().get_config(), "steps": self.steps}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class MaskedConv2D(MaskedConv1D):
    """Convolution over time and frequency, and the maximum of neighbouring bands: what is heard a
    little higher or lower, as by another voice, is heard as the same (Abdel-Hamid et al. 2014;
    Amodei et al. 2016). Over time it is a `MaskedConv1D`.

    (float[batch, time, bands * channels], bool[batch, time]) -> (float[batch, time / strides, bands
    / pooling * filters], bool[batch, time / strides]), rounded up; the channels of a band lie side
    by side.

    Args:
        filters: channels of the output.
        kernel_size: steps, and bands, that an output sees; half of the bands are above it, and
            there are zeros beyond the last.
        channels: of the input: 1 of energies, the `filters` of a layer like this.
        pooling: bands that become one.
        strides, causal, activation: see `MaskedConv1D`.

    Raises:
        InputError: the features of the input are no multiple of the channels.
    """

    def __init__(
        self, filters: int, kernel_size: int, *, channels: int = 1, pooling: int = 2, **options
    ):
        super().__init__(filters, kernel_size, **options)
        if min(channels, pooling) < 1:
            raise InputError(
                f"channels and pooling must be 1 or more, got {channels} and {pooling}"
            )
        self.channels, self.pooling = channels, pooling

    def _convolution(self, **options):
        return keras.layers.Conv2D(
            self.filters, self.kernel_size, strides=(self.strides, 1), **options
        )

    def build(self, input_shape):
        self.features = input_shape[0][-1]
        if self.features % self.channels:
            raise InputError(
                f"{self.features} features are not so many bands of {self.channels} channels"
            )
        self.conv.build(
            (None, None, self.features // self.channels + self.kernel_size - 1, self.channels)
        )

    def convolved(self, sequence):
        shape = ops.shape(sequence)
        below = (self.kernel_size - 1) // 2
        bands = ops.reshape(
            sequence, (shape[0], shape[1], self.features // self.channels, self.channels)
        )
        x = self.conv(
            ops.pad(bands, [[0, 0], [0, 0], [below, self.kernel_size - 1 - below], [0, 0]])
        )
        x = ops.max_pool(x, (1, self.pooling), strides=(1, self.pooling), padding="same")
        return ops.reshape(x, (shape[0], ops.shape(x)[1], self._width(self.features)))

    def _width(self, features):
        return -(-features // self.channels // self.pooling) * self.filters

    def get_config(self):
        return {**super().get_config(), "channels": self.channels, "pooling": self.pooling}
