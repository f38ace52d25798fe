"""Convolutions over time that neither read padding nor depend on how much of it there is."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.masking import ExplicitMask, without_padding
from rnn_cookbook.nn.tensors import Tensor

__all__ = ["LookAhead", "MaskedConv1D", "MaskedConv2D"]

# Fraction of a look-ahead's first weights that goes to the present step alone; the other half is
# spread evenly over all steps.
_PRESENT_WEIGHT = 0.5


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"{name} must be at least 1; received {count}", field=name)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class MaskedConv1D(ExplicitMask):
    """A convolution over time that treats padding as zeros, whatever stands there.

    (float[batch, time, features], bool[batch, time]) -> (float[batch, time / strides, filters],
    bool[batch, time / strides]), rounded up

    Keras' own "same" padding of a strided convolution shifts the frames by one depending on the
    length of the batch. Here output i belongs to input i * strides, in every batch.

    Args:
        filters: number of output features.
        kernel_size: number of steps that an output sees.
        strides: number of steps between outputs.
        causal: whether an output sees the past only, as streaming needs it; otherwise half of the
            kernel lies in the future.
        activation: name of an activation, or None.

    Raises:
        InputError: a count is below 1.
    """

    makes_mask = True

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
        _check_counts(filters=filters, kernel_size=kernel_size, strides=strides)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.causal = causal
        self.activation = activation
        self.conv = self._convolution(activation=activation, dtype=self.dtype_policy, name="conv")

    def _convolution(self, **options) -> keras.layers.Layer:
        return keras.layers.Conv1D(self.filters, self.kernel_size, strides=self.strides, **options)

    def _width(self, features: int) -> int:
        """Returns the number of output features."""
        return self.filters

    @property
    def stream_stride(self) -> int:
        """Steps of the input for each step of the output, for streams."""
        return self.strides

    def build(self, input_shape: Any) -> None:
        self.features = input_shape[0][-1]
        self.conv.build(input_shape[0])

    def convolved(self, sequence: Tensor) -> Tensor:
        """Convolves a sequence that has all the steps its outputs see.

        Args:
            sequence: float[batch, time + kernel_size - 1, features].
        """
        return self.conv(sequence)

    def call(self, inputs: Any) -> Tensor:
        sequence, mask = inputs
        future = 0 if self.causal else (self.kernel_size - 1) // 2
        past = self.kernel_size - 1 - future
        sequence = ops.pad(without_padding(sequence, mask), [[0, 0], [past, future], [0, 0]])
        return self.convolved(sequence), mask[:, :: self.strides]

    def compute_output_spec(self, inputs: Any) -> Any:
        sequence, mask = inputs
        time = None if mask.shape[1] is None else -(-mask.shape[1] // self.strides)
        shape = (sequence.shape[0], time, self._width(sequence.shape[-1]))
        return (
            keras.KerasTensor(shape, self.compute_dtype),
            keras.KerasTensor((mask.shape[0], time), "bool"),
        )

    def stream_states(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of the states of a stream, see `nn.streaming`.

        Raises:
            InputError: the convolution is not causal.
        """
        if not self.causal:
            kind = type(self).__name__
            raise InputError(
                f"layer {self.name!r} reads the future: a {kind} streams with causal=True"
            )
        return {"past": (self.kernel_size - 1, self.features)}

    def stream(self, inputs: Tensor, states: dict[str, Tensor]) -> tuple[Any, dict[str, Tensor]]:
        """Convolves a chunk: the inputs of `call` and the last states -> (outputs, new states)."""
        # Chunks are multiples of the strides long (`streaming.Stream` sees to it), so the next one
        # starts on an output again.
        sequence, mask = inputs
        past: Tensor = ops.cast(states["past"], sequence.dtype)
        steps: Tensor = ops.concatenate([past, without_padding(sequence, mask)], axis=1)
        shape: Tensor = ops.shape(steps)
        after = steps[:, shape[1] - (self.kernel_size - 1) :]
        return (self.convolved(steps), mask[:, :: self.strides]), {"past": after}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "causal": self.causal,
            "activation": self.activation,
        }


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class MaskedConv2D(MaskedConv1D):
    """A convolution over time and frequency, followed by a maximum over neighbouring bands.

    The maximum makes sounds a little higher or lower, as from another voice, look the same
    (Abdel-Hamid et al. 2014; Amodei et al. 2016). Over time it is a `MaskedConv1D`.

    (float[batch, time, bands * channels], bool[batch, time]) -> (float[batch, time / strides, bands
    / pooling * filters], bool[batch, time / strides]), rounded up; the channels of a band lie side
    by side.

    Args:
        filters: number of output channels.
        kernel_size: number of steps, and of bands, that an output sees; half of the bands are above
            it, with zeros beyond the last.
        channels: number of input channels: 1 for energies, the `filters` of a preceding layer.
        pooling: number of neighbouring bands that become one.
        **options: strides, causal and activation, see `MaskedConv1D`.

    Raises:
        InputError: a count is below 1; on building, the features of the input are no multiple of
            the channels.
    """

    def __init__(
        self, filters: int, kernel_size: int, *, channels: int = 1, pooling: int = 2, **options
    ):
        super().__init__(filters, kernel_size, **options)
        _check_counts(channels=channels, pooling=pooling)
        self.channels = channels
        self.pooling = pooling

    def _convolution(self, **options) -> keras.layers.Layer:
        return keras.layers.Conv2D(
            self.filters, self.kernel_size, strides=(self.strides, 1), **options
        )

    def _width(self, features: int) -> int:
        return -(-features // self.channels // self.pooling) * self.filters

    def build(self, input_shape: Any) -> None:
        self.features = input_shape[0][-1]
        if self.features % self.channels:
            raise InputError(
                f"features must be a multiple of {self.channels} channels; received {self.features}"
            )
        padded_bands = self.features // self.channels + self.kernel_size - 1
        self.conv.build((None, None, padded_bands, self.channels))

    def convolved(self, sequence: Tensor) -> Tensor:
        """Convolves a sequence that has all the steps its outputs see.

        Args:
            sequence: float[batch, time + kernel_size - 1, bands * channels].
        """
        shape: Tensor = ops.shape(sequence)
        below = (self.kernel_size - 1) // 2
        above = self.kernel_size - 1 - below
        bands = self.features // self.channels
        x = ops.reshape(sequence, (shape[0], shape[1], bands, self.channels))
        x = self.conv(ops.pad(x, [[0, 0], [0, 0], [below, above], [0, 0]]))
        x = ops.max_pool(x, (1, self.pooling), strides=(1, self.pooling), padding="same")
        outputs: Tensor = ops.shape(x)
        return ops.reshape(x, (shape[0], outputs[1], self._width(self.features)))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "channels": self.channels,
            "pooling": self.pooling,
        }


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class LookAhead(ExplicitMask):
    """A weighted sum of each feature with its own values in the next steps ("row convolution").

    It gives a recurrent layer that reads forwards as much of the future as recognition needs, and
    little enough to wait for (Wang et al. 2016, "Lookahead Convolution Layer for Unidirectional
    Recurrent Neural Networks"). A stream answers `steps` late. After the end of a sequence come
    zeros.

    (float[batch, time, features], bool[batch, time]) -> float[batch, time, features]

    At initialisation half of the weights' sum belongs to the present step, and half is spread
    evenly over all steps.

    Args:
        steps: number of future steps that an output sees; 0 or more.

    Raises:
        InputError: `steps` is negative.
    """

    def __init__(self, steps: int, **kwargs):
        super().__init__(**kwargs)
        if steps < 0:
            raise InputError(f"steps must be at least 0; received {steps}")
        self.steps = steps

    def build(self, input_shape: Any) -> None:
        self.features = input_shape[0][-1]
        shape = (self.steps + 1, self.features, 1)
        self.kernel = self.add_weight(shape=shape, initializer=self._initial_kernel, name="kernel")

    def _initial_kernel(self, shape, dtype=None) -> Tensor:
        present: Tensor = ops.one_hot(0, shape[0], dtype=dtype)
        evenly = (1 - _PRESENT_WEIGHT) / shape[0]
        return ops.broadcast_to(_PRESENT_WEIGHT * present[:, None, None] + evenly, shape)

    def call(self, inputs: Any) -> Tensor:
        sequence, mask = inputs
        ahead: Tensor = ops.pad(without_padding(sequence, mask), [[0, 0], [0, self.steps], [0, 0]])
        return ops.depthwise_conv(ahead, ops.cast(self.kernel, ahead.dtype))

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(inputs[0].shape, self.compute_dtype)

    @property
    def stream_delay(self) -> int:
        """Steps by which the outputs of a stream are late."""
        return self.steps

    def stream_states(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of the states of a stream, see `nn.streaming`."""
        return {"past": (self.steps, self.features), "ended": (1,)}

    def stream(self, inputs: Tensor, states: dict[str, Tensor]) -> tuple[Any, dict[str, Tensor]]:
        """Convolves a chunk: the inputs of `call` and the last states -> (outputs, new states)."""
        sequence, mask = inputs
        past: Tensor = ops.cast(states["past"], sequence.dtype)
        arrived = without_padding(sequence, mask & (states["ended"] == 0))
        steps: Tensor = ops.concatenate([past, arrived], axis=1)
        shape: Tensor = ops.shape(steps)
        waiting = ops.cast(steps[:, shape[1] - self.steps :], "float32")
        outputs = ops.depthwise_conv(steps, ops.cast(self.kernel, steps.dtype))
        return outputs, {"past": waiting, "ended": states["ended"]}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "steps": self.steps}
