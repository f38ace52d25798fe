"""Layers of the forecasters: windows normalised and cut into segments, the future laid out side by side, forecasts as distributions."""

from collections.abc import Sequence

import keras
from keras import ops

from rnn_cookbook.errors import InputError

NORMALIZATIONS = ("last", "standard", "none")
HEADS = ("point", "quantiles", "gaussian", "student_t")


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class Normalize(keras.layers.Layer):
    """Each window and channel on a scale of its own.

    float[batch, time, channels] -> (float[batch, time, channels], float[batch, 1, channels] offset, float[batch, 1, channels] scale)

    Args:
        kind: "last" subtracts the last value, "standard" the mean and divides by the standard deviation, "none" does neither.
    """

    def __init__(self, kind: str = "last", **kwargs):
        super().__init__(**kwargs)
        if kind not in NORMALIZATIONS:
            raise InputError(f"unknown normalization {kind!r}; accepted are {', '.join(NORMALIZATIONS)}")
        self.kind = kind

    def call(self, window):
        last = window[:, -1:]
        offset, scale = ops.zeros_like(last), ops.ones_like(last)
        if self.kind == "last":
            offset = last
        elif self.kind == "standard":
            offset = ops.mean(window, axis=1, keepdims=True)
            scale = ops.sqrt(ops.var(window, axis=1, keepdims=True) + 1e-5)
        return (window - offset) / scale, offset, scale

    def compute_output_shape(self, input_shape):
        one = (input_shape[0], 1, input_shape[2])
        return input_shape, one, one

    def get_config(self):
        return {**super().get_config(), "kind": self.kind}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class Denormalize(keras.layers.Layer):
    """Undoes `Normalize` for a forecast: (float[batch, horizon, channels, (values)], offset, scale) -> the same, in the window's units.

    Args:
        spread: which of the values are a spread (1) or nothing in the series' units (2), rather than a level (0); () for a point forecast.
    """

    def __init__(self, spread: Sequence[int] = (), **kwargs):
        super().__init__(**kwargs)
        self.spread = tuple(spread)

    def call(self, inputs):
        forecast, offset, scale = (ops.cast(part, "float32") for part in inputs)
        if not self.spread:
            return forecast * scale + offset
        levels = ops.array([1.0 if kind == 0 else 0.0 for kind in self.spread])
        scaled = ops.array([1.0 if kind < 2 else 0.0 for kind in self.spread])
        return forecast * (scale[..., None] * scaled + (1 - scaled)) + offset[..., None] * levels

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs[0].shape, "float32")

    def get_config(self):
        return {**super().get_config(), "spread": list(self.spread)}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class FoldSegments(keras.layers.Layer):
    """Channels become rows, and `length` steps one: float[batch, time, channels] -> float[batch * channels, time / length, length]."""

    def __init__(self, length: int, **kwargs):
        super().__init__(**kwargs)
        self.length = length

    def call(self, window):
        return ops.reshape(ops.transpose(window, (0, 2, 1)), (-1, window.shape[1] // self.length, self.length))

    def compute_output_shape(self, input_shape):
        return (None, input_shape[1] // self.length, self.length)

    def get_config(self):
        return {**super().get_config(), "length": self.length}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class UnfoldSegments(keras.layers.Layer):
    """What the future's segments say, as steps: float[batch * channels * segments, 1, length * width] -> float[batch, horizon, channels,
    width]."""

    def __init__(self, horizon: int, *, channels: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.horizon, self.channels, self.width = horizon, channels, width

    def call(self, segments):
        return ops.transpose(ops.reshape(segments, (-1, self.channels, self.horizon, self.width)), (0, 2, 1, 3))

    def compute_output_shape(self, input_shape):
        return (None, self.horizon, self.channels, self.width)

    def get_config(self):
        return {**super().get_config(), "horizon": self.horizon, "channels": self.channels, "width": self.width}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class FutureSegments(keras.layers.Layer):
    """One step for every segment of the future, and the last states of the past repeated for each of them.

    (*states float[batch * channels, units], with covariates also float[batch, horizon, covariates])
    -> (float[batch * channels * segments, 1, size], *states float[batch * channels * segments, units])

    A segment is told from the others by a learnt vector of its position and one of its channel (Lin et al. 2023), and by the covariates
    in it.

    Args:
        segments: of the future.
        size: width of the steps.
        channels: series side by side.
        covariates: numbers known ahead for every step; 0 for none.
    """

    def __init__(self, segments: int, *, size: int, channels: int, covariates: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.segments, self.size, self.channels, self.covariates = segments, size, channels, covariates
        self.known = keras.layers.Dense(size, dtype=self.dtype_policy, name="known") if covariates else None

    def build(self, input_shape):
        half = self.size // 2
        self.position = self.add_weight(shape=(self.segments, self.size - half), initializer="random_normal", name="position")
        self.channel = self.add_weight(shape=(self.channels, half), initializer="random_normal", name="channel") if half else None
        if self.known:
            _, horizon, covariates = input_shape[-1]
            self.known.build((None, self.segments, horizon // self.segments * covariates))

    def call(self, inputs):
        states = inputs[:-1] if self.known else inputs
        shape = (self.channels, self.segments)
        parts = [ops.broadcast_to(ops.cast(self.position, self.compute_dtype)[None], (*shape, self.position.shape[1]))]
        if self.channel is not None:
            parts.append(ops.broadcast_to(ops.cast(self.channel, self.compute_dtype)[:, None], (*shape, self.channel.shape[1])))
        steps = ops.concatenate(parts, axis=-1)[None]  # [1, channels, segments, size]
        batch = ops.shape(states[0])[0] // self.channels
        if self.known:
            known = ops.reshape(inputs[-1], (batch, self.segments, inputs[-1].shape[1] // self.segments * inputs[-1].shape[2]))
            steps = steps + self.known(known)[:, None]
        steps = ops.broadcast_to(steps, (batch, *shape, self.size))
        return ops.reshape(steps, (-1, 1, self.size)), *(ops.repeat(state, self.segments, axis=0) for state in states)

    def compute_output_spec(self, inputs):
        states = inputs[:-1] if self.known else inputs
        steps = keras.KerasTensor((None, 1, self.size), self.compute_dtype)
        return steps, *(keras.KerasTensor((None, state.shape[1]), state.dtype) for state in states)

    def get_config(self):
        own = {"segments": self.segments, "size": self.size, "channels": self.channels, "covariates": self.covariates}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class ForecastHead(keras.layers.Layer):
    """Raw outputs to a forecast: float[..., width] -> float[...] for "point", else float[..., width].

    "quantiles" rise by construction: the first is free, the others add softplus steps. "gaussian" gives (mean, scale), "student_t"
    (mean, scale, degrees of freedom above 2, so that the variance exists). Scales are softplus, in the series' units.

    Args:
        kind: "point", "quantiles", "gaussian" or "student_t".
        quantiles: of the kind "quantiles".
    """

    def __init__(self, kind: str = "point", *, quantiles: Sequence[float] = (0.1, 0.5, 0.9), **kwargs):
        super().__init__(**kwargs)
        if kind not in HEADS:
            raise InputError(f"unknown head {kind!r}; accepted are {', '.join(HEADS)}")
        if kind == "quantiles" and (
            not quantiles or list(quantiles) != sorted(set(quantiles)) or not 0 < min(quantiles) <= max(quantiles) < 1
        ):
            raise InputError(f"quantiles must rise and lie between 0 and 1, got {', '.join(map(str, quantiles)) or 'none'}")
        self.kind, self.quantiles = kind, tuple(quantiles)

    @property
    def spread(self) -> tuple[int, ...]:
        """For `Denormalize`: 0 for a level, 1 for a spread, 2 for neither, for each value."""
        return {"point": (), "quantiles": (0,) * len(self.quantiles), "gaussian": (0, 1), "student_t": (0, 1, 2)}[self.kind]

    @property
    def width(self) -> int:
        return len(self.spread) or 1

    def call(self, raw):
        if self.kind == "point":
            return raw[..., 0]
        if self.kind == "quantiles":
            return ops.cumsum(ops.concatenate([raw[..., :1], ops.softplus(raw[..., 1:])], axis=-1), axis=-1)
        spread = ops.softplus(raw[..., 1:]) + ops.array([1e-6, 2.0][: self.width - 1], raw.dtype)
        return ops.concatenate([raw[..., :1], spread], axis=-1)

    def compute_output_shape(self, input_shape):
        return input_shape[:-1] if self.kind == "point" else input_shape

    def get_config(self):
        return {**super().get_config(), "kind": self.kind, "quantiles": list(self.quantiles)}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class RepeatOver(keras.layers.Layer):
    """One vector at every step of a sequence: (float[batch, size], float[batch, time, features]) -> float[batch, time, size]."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def call(self, inputs):
        vector, sequence = inputs
        return ops.repeat(vector[:, None], ops.shape(sequence)[1], axis=1)

    def compute_output_spec(self, inputs):
        vector, sequence = inputs
        return keras.KerasTensor((vector.shape[0], sequence.shape[1], vector.shape[1]), vector.dtype)
