"""Segments of a window as steps of a recurrent network, and segments of the future beside one
another (SegRNN: Lin et al. 2023)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from rnn_cookbook.nn.tensors import Tensor

__all__ = ["FoldSegments", "FutureSegments", "UnfoldSegments"]


def _window_and_covariates(inputs: Any) -> tuple[Any, Any]:
    if isinstance(inputs, tuple | list):
        window, covariates = inputs
        return window, covariates
    return inputs, None


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class FoldSegments(keras.layers.Layer):
    """Makes rows of channels, and a step of every `length` steps: float[batch, time, channels] ->
    float[batch * channels, time / length, length].

    With (window, float[batch, time, covariates]) each row also has the covariates of its steps:
    length * (1 + covariates) numbers.

    Args:
        length: steps of a segment.
        joint: whether the channels stay together: -> float[batch, time / length, length * (channels
            + covariates)].
    """

    def __init__(self, length: int, *, joint: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.length = length
        self.joint = joint

    def call(self, inputs: Any) -> Tensor:
        window, covariates = _window_and_covariates(inputs)
        segments = window.shape[1] // self.length
        channels = window.shape[2]
        if self.joint:
            rows = ops.reshape(window, (-1, segments, self.length * channels))
        else:
            by_channel = ops.transpose(window, (0, 2, 1))
            rows = ops.reshape(by_channel, (-1, segments, self.length))
        if covariates is None:
            return rows
        width = self.length * covariates.shape[2]
        known = ops.cast(ops.reshape(covariates, (-1, segments, width)), window.dtype)
        if not self.joint:
            known = ops.repeat(known, channels, axis=0)
        return ops.concatenate([rows, known], axis=-1)

    def compute_output_spec(self, inputs: Any) -> Any:
        window, covariates = _window_and_covariates(inputs)
        width = window.shape[2] if self.joint else 1
        if covariates is not None:
            width += covariates.shape[2]
        shape = (None, window.shape[1] // self.length, self.length * width)
        return keras.KerasTensor(shape, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "length": self.length, "joint": self.joint}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class UnfoldSegments(keras.layers.Layer):
    """Lays out the outputs for the segments of the future as steps.

    float[batch * channels * segments, 1, length * width], or with the channels together float[batch
    * segments, 1, length * channels * width] -> float[batch, horizon, channels, width]

    Args:
        horizon: steps of the forecast; of the last segment only what is left of the horizon is
            used.
        channels: number of series side by side.
        width: numbers for each step and channel.
        joint: whether the channels are together.
    """

    def __init__(self, horizon: int, *, channels: int, width: int, joint: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.horizon = horizon
        self.channels = channels
        self.width = width
        self.joint = joint

    def call(self, segments: Tensor) -> Tensor:
        step_width = self.width * (self.channels if self.joint else 1)
        length = segments.shape[-1] // step_width
        steps = -(-self.horizon // length) * length
        if self.joint:
            rows: Tensor = ops.reshape(segments, (-1, steps, self.channels, self.width))
            return rows[:, : self.horizon]
        rows = ops.reshape(segments, (-1, self.channels, steps, self.width))
        return ops.transpose(rows[:, :, : self.horizon], (0, 2, 1, 3))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (None, self.horizon, self.channels, self.width)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "horizon": self.horizon,
            "channels": self.channels,
            "width": self.width,
            "joint": self.joint,
        }


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class FutureSegments(keras.layers.Layer):
    """Makes a step for every segment of the future, and repeats the last states of the past for
    each of them.

    (*states float[batch * channels, units], with covariates also float[batch, horizon, covariates])
    -> (float[batch * channels * segments, 1, size], *states float[batch * channels * segments,
    units])

    A segment is identified by a learnt vector of its position and a learnt vector of its channel
    (Lin et al. 2023), and by its covariates.

    Args:
        segments: number of segments of the future.
        size: width of the steps.
        channels: number of series side by side.
        covariates: number of values known ahead for every step; 0 for none.
    """

    def __init__(self, segments: int, *, size: int, channels: int, covariates: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.segments = segments
        self.size = size
        self.channels = channels
        self.covariates = covariates
        self.known = None
        if covariates:
            self.known = keras.layers.Dense(size, dtype=self.dtype_policy, name="known")

    def build(self, input_shape: Any) -> None:
        half = self.size // 2
        self.position = self.add_weight(
            shape=(self.segments, self.size - half), initializer="random_normal", name="position"
        )
        self.channel = None
        if half:
            self.channel = self.add_weight(
                shape=(self.channels, half), initializer="random_normal", name="channel"
            )
        if self.known is not None:
            _, horizon, covariates = input_shape[-1]
            self.known.build((None, self.segments, horizon // self.segments * covariates))

    def _vectors(self) -> Tensor:
        """Returns float[1, channels, segments, size]."""
        grid = (self.channels, self.segments)
        position: Tensor = ops.cast(self.position, self.compute_dtype)
        parts = [ops.broadcast_to(position[None], (*grid, position.shape[1]))]
        if self.channel is not None:
            channel: Tensor = ops.cast(self.channel, self.compute_dtype)
            parts.append(ops.broadcast_to(channel[:, None], (*grid, channel.shape[1])))
        vectors: Tensor = ops.concatenate(parts, axis=-1)
        return vectors[None]

    def call(self, inputs: Any) -> Tensor:
        states = inputs if self.known is None else inputs[:-1]
        steps = self._vectors()
        shape: Tensor = ops.shape(states[0])
        batch = shape[0] // self.channels
        if self.known is not None:
            covariates = inputs[-1]
            width = covariates.shape[1] // self.segments * covariates.shape[2]
            known: Tensor = self.known(ops.reshape(covariates, (batch, self.segments, width)))
            steps = steps + known[:, None]
        steps = ops.broadcast_to(steps, (batch, self.channels, self.segments, self.size))
        repeated = [ops.repeat(state, self.segments, axis=0) for state in states]
        return ops.reshape(steps, (-1, 1, self.size)), *repeated

    def compute_output_spec(self, inputs: Any) -> Any:
        states = inputs if self.known is None else inputs[:-1]
        steps = keras.KerasTensor((None, 1, self.size), self.compute_dtype)
        return steps, *(keras.KerasTensor((None, state.shape[1]), state.dtype) for state in states)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "segments": self.segments,
            "size": self.size,
            "channels": self.channels,
            "covariates": self.covariates,
        }
