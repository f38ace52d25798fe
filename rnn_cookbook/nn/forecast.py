"""Layers of the forecasters: windows normalised and cut into segments, the future laid out side by
side, forecasts as distributions."""

from collections.abc import Sequence

import keras
from keras import ops

from rnn_cookbook.errors import InputError

NORMALIZATIONS = ("last", "last_scaled", "standard", "none")
HEADS = ("point", "quantiles", "gaussian", "student_t")


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class Normalize(keras.layers.Layer):
    """Each window and channel on a scale of its own.

    float[batch, time, channels] -> (float[batch, time, channels], float[batch, 1, channels] offset,
    float[batch, 1, channels] scale)

    Args:
        kind: "last" subtracts the last value; "last_scaled" divides by the standard deviation, too;
            "standard" subtracts the mean and divides by the standard deviation; "none" does
            nothing.
    """

    def __init__(self, kind: str = "last", **kwargs):
        super().__init__(**kwargs)
        if kind not in NORMALIZATIONS:
            raise InputError(
                f"unknown normalization {kind!r}; accepted are {', '.join(NORMALIZATIONS)}"
            )
        self.kind = kind

    def call(self, window):
        last = window[:, -1:]
        offset, scale = ops.zeros_like(last), ops.ones_like(last)
        if self.kind in ("last", "last_scaled"):
            offset = last
        elif self.kind == "standard":
            offset = ops.mean(window, axis=1, keepdims=True)
        if self.kind in ("last_scaled", "standard"):
            scale = ops.sqrt(ops.var(window, axis=1, keepdims=True) + 1e-5)
        return (window - offset) / scale, offset, scale

    def compute_output_shape(self, input_shape):
        one = (input_shape[0], 1, input_shape[2])
        return input_shape, one, one

    def get_config(self):
        return {**super().get_config(), "kind": self.kind}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class Denormalize(keras.layers.Layer):
    """Undoes `Normalize` for a forecast: (float[batch, horizon, channels, (values)], offset, scale)
    -> the same, in the window's units.

    Args:
        spread: which of the values are a spread (1) or nothing in the series' units (2), rather
            than a level (0); () for a point forecast.
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
class Scale(keras.layers.Layer):
    """What `Normalize` did to the window, done to more values: (float[batch, horizon, channels],
    offset, scale) -> the same shape."""

    def call(self, inputs):
        values, offset, scale = (ops.cast(part, "float32") for part in inputs)
        return (values - offset) / scale

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs[0].shape, "float32")


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class FoldSegments(keras.layers.Layer):
    """Channels become rows, and `length` steps one: float[batch, time, channels] -> float[batch *
    channels, time / length, length].

    With (window, float[batch, time, covariates]) each row has the covariates of its steps, too:
    length * (1 + covariates) numbers.

    Args:
        length: steps of a segment.
        joint: the channels stay together: -> float[batch, time / length, length * (channels +
            covariates)].
    """

    def __init__(self, length: int, *, joint: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.length, self.joint = length, joint

    def call(self, inputs):
        window, *known = inputs if isinstance(inputs, tuple | list) else (inputs,)
        segments = window.shape[1] // self.length
        known = [
            ops.cast(ops.reshape(part, (-1, segments, self.length * part.shape[2])), window.dtype)
            for part in known
        ]
        if self.joint:
            rows = ops.reshape(window, (-1, segments, self.length * window.shape[2]))
        else:
            rows = ops.reshape(ops.transpose(window, (0, 2, 1)), (-1, segments, self.length))
            known = [ops.repeat(part, window.shape[2], axis=0) for part in known]
        return ops.concatenate([rows, *known], axis=-1) if known else rows

    def compute_output_spec(self, inputs):
        window, *known = inputs if isinstance(inputs, tuple | list) else (inputs,)
        width = (window.shape[2] if self.joint else 1) + sum(part.shape[2] for part in known)
        return keras.KerasTensor(
            (None, window.shape[1] // self.length, self.length * width), self.compute_dtype
        )

    def get_config(self):
        return {**super().get_config(), "length": self.length, "joint": self.joint}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class UnfoldSegments(keras.layers.Layer):
    """What the future's segments say, as steps: float[batch * channels * segments, 1, length *
    width] -> float[batch, horizon, channels, width]; with the channels together float[batch *
    segments, 1, length * channels * width]. Of the last segment only what is left of the horizon is
    used."""

    def __init__(self, horizon: int, *, channels: int, width: int, joint: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.horizon, self.channels, self.width, self.joint = horizon, channels, width, joint

    def call(self, segments):
        length = segments.shape[-1] // (self.width * (self.channels if self.joint else 1))
        steps = -(-self.horizon // length) * length
        if self.joint:
            return ops.reshape(segments, (-1, steps, self.channels, self.width))[:, : self.horizon]
        rows = ops.reshape(segments, (-1, self.channels, steps, self.width))[:, :, : self.horizon]
        return ops.transpose(rows, (0, 2, 1, 3))

    def compute_output_shape(self, input_shape):
        return (None, self.horizon, self.channels, self.width)

    def get_config(self):
        own = {
            "horizon": self.horizon,
            "channels": self.channels,
            "width": self.width,
            "joint": self.joint,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class FutureSegments(keras.layers.Layer):
    """One step for every segment of the future, and the last states of the past repeated for each
    of them.

    (*states float[batch * channels, units], with covariates also float[batch, horizon, covariates])
    -> (float[batch * channels * segments, 1, size], *states float[batch * channels * segments, units])

    A segment is told from the others by a learnt vector of its position and one of its channel (Lin
    et al. 2023), and by the covariates in it.

    Args:
        segments: of the future.
        size: width of the steps.
        channels: series side by side.
        covariates: numbers known ahead for every step; 0 for none.
    """

    def __init__(self, segments: int, *, size: int, channels: int, covariates: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.segments, self.size, self.channels, self.covariates = (
            segments,
            size,
            channels,
            covariates,
        )
        self.known = (
            keras.layers.Dense(size, dtype=self.dtype_policy, name="known") if covariates else None
        )

    def build(self, input_shape):
        half = self.size // 2
        self.position = self.add_weight(
            shape=(self.segments, self.size - half), initializer="random_normal", name="position"
        )
        self.channel = (
            self.add_weight(
                shape=(self.channels, half), initializer="random_normal", name="channel"
            )
            if half
            else None
        )
        if self.known:
            _, horizon, covariates = input_shape[-1]
            self.known.build((None, self.segments, horizon // self.segments * covariates))

    def call(self, inputs):
        states = inputs[:-1] if self.known else inputs
        shape = (self.channels, self.segments)
        parts = [
            ops.broadcast_to(
                ops.cast(self.position, self.compute_dtype)[None], (*shape, self.position.shape[1])
            )
        ]
        if self.channel is not None:
            parts.append(
                ops.broadcast_to(
                    ops.cast(self.channel, self.compute_dtype)[:, None],
                    (*shape, self.channel.shape[1]),
                )
            )
        steps = ops.concatenate(parts, axis=-1)[None]  # [1, channels, segments, size]
        batch = ops.shape(states[0])[0] // self.channels
        if self.known:
            known = ops.reshape(
                inputs[-1],
                (batch, self.segments, inputs[-1].shape[1] // self.segments * inputs[-1].shape[2]),
            )
            steps = steps + self.known(known)[:, None]
        steps = ops.broadcast_to(steps, (batch, *shape, self.size))
        return ops.reshape(steps, (-1, 1, self.size)), *(
            ops.repeat(state, self.segments, axis=0) for state in states
        )

    def compute_output_spec(self, inputs):
        states = inputs[:-1] if self.known else inputs
        steps = keras.KerasTensor((None, 1, self.size), self.compute_dtype)
        return steps, *(keras.KerasTensor((None, state.shape[1]), state.dtype) for state in states)

    def get_config(self):
        own = {
            "segments": self.segments,
            "size": self.size,
            "channels": self.channels,
            "covariates": self.covariates,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class ForecastHead(keras.layers.Layer):
    """Raw outputs to a forecast: float[..., width] -> float[...] for "point", else float[...,
    width].

    "quantiles" rise by construction: the first is free, the others add softplus steps. "gaussian"
    gives (mean, scale), "student_t" (mean, scale, degrees of freedom above 2, so that the variance
    exists). Scales are softplus, in the series' units.

    Args:
        kind: "point", "quantiles", "gaussian" or "student_t".
        quantiles: of the kind "quantiles".
    """

    stepwise = True

    def __init__(
        self, kind: str = "point", *, quantiles: Sequence[float] = (0.1, 0.5, 0.9), **kwargs
    ):
        super().__init__(**kwargs)
        if kind not in HEADS:
            raise InputError(f"unknown head {kind!r}; accepted are {', '.join(HEADS)}")
        if kind == "quantiles" and (
            not quantiles
            or list(quantiles) != sorted(set(quantiles))
            or not 0 < min(quantiles) <= max(quantiles) < 1
        ):
            raise InputError(
                f"quantiles must rise and lie between 0 and 1, got {', '.join(map(str, quantiles)) or 'none'}"
            )
        self.kind, self.quantiles = kind, tuple(quantiles)

    @property
    def spread(self) -> tuple[int, ...]:
        """For `Denormalize`: 0 for a level, 1 for a spread, 2 for neither, for each value."""
        return {
            "point": (),
            "quantiles": (0,) * len(self.quantiles),
            "gaussian": (0, 1),
            "student_t": (0, 1, 2),
        }[self.kind]

    @property
    def width(self) -> int:
        return len(self.spread) or 1

    def centre(self, forecast):
        """The one value that a forecast comes down to: itself, its mean, or its quantile nearest to
        the median."""
        if self.kind == "point":
            return forecast
        nearest = min(range(len(self.quantiles)), key=lambda i: abs(self.quantiles[i] - 0.5))
        return forecast[..., nearest if self.kind == "quantiles" else 0]

    def call(self, raw):
        if self.kind == "point":
            return raw[..., 0]
        if self.kind == "quantiles":
            return ops.cumsum(
                ops.concatenate([raw[..., :1], ops.softplus(raw[..., 1:])], axis=-1), axis=-1
            )
        spread = ops.softplus(raw[..., 1:]) + ops.array([1e-6, 2.0][: self.width - 1], raw.dtype)
        return ops.concatenate([raw[..., :1], spread], axis=-1)

    def compute_output_shape(self, input_shape):
        return input_shape[:-1] if self.kind == "point" else input_shape

    def get_config(self):
        return {**super().get_config(), "kind": self.kind, "quantiles": list(self.quantiles)}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class MixLinear(keras.layers.Layer):
    """A forecast moved towards a linear one by a fixed share (combination of forecasts: Bates and
    Granger 1969).

    (float[batch, horizon, channels, (values)] forecast, float[batch, lookback, channels] window) ->
    the forecast's shape

    The linear forecast is the window's last value, plus a function of the window from which that is
    subtracted, one for all channels. Levels move together, and lie closer to each other by a fixed
    factor, `spread`; so do distributions. Kernel, bias and share are 0 at first, the factor 1, and
    none is ever trained: `forecasts.mix_linear` sets them, of one linear forecast or the mean of
    several.

    Args:
        head: that made the forecast.
    """

    def __init__(self, head: ForecastHead, **kwargs):
        super().__init__(**kwargs)
        self.head = head

    def build(self, input_shape):
        forecast, window = input_shape
        options = {"initializer": "zeros", "trainable": False}
        self.kernel = self.add_weight(shape=(window[1], forecast[1]), name="kernel", **options)
        self.bias = self.add_weight(shape=(forecast[1],), name="bias", **options)
        self.share = self.add_weight(shape=(), name="share", **options)
        self.spread = self.add_weight(shape=(), name="spread", **{**options, "initializer": "ones"})

    def call(self, inputs):
        forecast, window = (ops.cast(part, "float32") for part in inputs)
        last = window[:, -1:]
        linear = last + ops.transpose(
            ops.matmul(ops.transpose(window - last, (0, 2, 1)), self.kernel) + self.bias, (0, 2, 1)
        )
        centre = self.head.centre(forecast)
        moved = centre + self.share * (linear - centre)
        if not self.head.spread:
            return moved
        centre, moved = centre[..., None], moved[..., None]
        levels, spreads = (
            ops.array([1.0 if kind == wanted else 0.0 for kind in self.head.spread])
            for wanted in (0, 1)
        )
        return (
            forecast
            + levels * (moved - centre + (self.spread - 1) * (forecast - centre))
            + spreads * (self.spread - 1) * forecast
        )

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs[0].shape, "float32")

    def get_config(self):
        return {**super().get_config(), "head": keras.saving.serialize_keras_object(self.head)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("head")), **config)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class FeedbackCell(keras.layers.Layer):
    """A recurrent cell that hears its own last forecast, or, in training, what really came (teacher
    forcing: Williams and Zipser 1989).

    For `keras.layers.RNN`: (float[batch, channels + covariates], [float[batch, channels] last
    forecast, *states]) -> (float[batch, channels * width] raw outputs of `head`, the same states).
    Inputs begin with the value before each step, which is listened to in training only; the
    covariates of the step follow.

    Args:
        cells: one cell a layer, from the lowest on.
        head: what makes a forecast of the raw outputs; the next step hears its centre, see
            `ForecastHead.centre`.
        channels: series side by side.
        teacher: listen to the inputs in training; otherwise to its own forecasts there, too.
    """

    def __init__(
        self,
        cells: Sequence[keras.layers.Layer],
        *,
        head: ForecastHead,
        channels: int,
        teacher: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.cells, self.head, self.channels, self.teacher = list(cells), head, channels, teacher
        self.raw = keras.layers.Dense(channels * head.width, dtype=self.dtype_policy, name="raw")

    @property
    def state_size(self):
        return [
            self.channels,
            *(size for cell in self.cells for size in keras.tree.flatten(cell.state_size)),
        ]

    @property
    def output_size(self):
        return self.channels * self.head.width

    def build(self, input_shape):
        width = input_shape[-1]
        for cell in self.cells:
            if not cell.built:  # a reloaded one is
                cell.build((None, width))
            width = cell.units
        if not self.raw.built:
            self.raw.build((None, width))

    def call(self, inputs, states, training=False):
        last, states = states[0], list(states[1:])
        heard = (
            inputs
            if training and self.teacher
            else ops.concatenate(
                [ops.cast(last, inputs.dtype), inputs[:, self.channels :]], axis=-1
            )
        )
        x, kept = heard, []
        for cell in self.cells:
            count = len(keras.tree.flatten(cell.state_size))
            own, states = states[:count], states[count:]
            x, new = cell(x, own if count > 1 else own[0], training=training)
            kept += keras.tree.flatten(new)
        raw = self.raw(x)
        forecast = self.head(ops.reshape(raw, (-1, self.channels, self.head.width)))
        return raw, [ops.cast(self.head.centre(forecast), last.dtype), *kept]

    def get_config(self):
        cells = [keras.saving.serialize_keras_object(cell) for cell in self.cells]
        own = {
            "cells": cells,
            "head": keras.saving.serialize_keras_object(self.head),
            "channels": self.channels,
            "teacher": self.teacher,
        }
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config):
        loaded = {name: config[name] for name in config if name not in ("cells", "head")}
        cells = [keras.saving.deserialize_keras_object(cell) for cell in config["cells"]]
        return cls(cells, head=keras.saving.deserialize_keras_object(config["head"]), **loaded)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class TeacherInput(keras.layers.Layer):
    """What a `FeedbackCell` reads: the value before every step of the future, and the covariates of
    the step.

    (float[batch, lookback, channels] window, (float[batch, horizon, channels] target),
    (float[batch, horizon, covariates])), both scaled as the network sees them -> float[batch,
    horizon, channels + covariates]; zeros in place of a target that is not there.

    Args:
        horizon: steps.
        target, covariates: which of the two optional inputs come.
    """

    def __init__(self, horizon: int, *, target: bool, covariates: bool, **kwargs):
        super().__init__(**kwargs)
        self.horizon, self.target, self.covariates = horizon, target, covariates

    def call(self, inputs):
        last = inputs[0][:, -1:]
        before = (
            inputs[1][:, :-1]
            if self.target
            else ops.zeros_like(ops.repeat(last, self.horizon - 1, axis=1))
        )
        parts = [
            ops.concatenate([last, ops.cast(before, last.dtype)], axis=1),
            *([inputs[-1]] if self.covariates else []),
        ]
        return ops.concatenate([ops.cast(part, self.compute_dtype) for part in parts], axis=-1)

    def compute_output_spec(self, inputs):
        width = inputs[0].shape[-1] + (inputs[-1].shape[-1] if self.covariates else 0)
        return keras.KerasTensor((None, self.horizon, width), self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "horizon": self.horizon,
            "target": self.target,
            "covariates": self.covariates,
        }


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class RepeatOver(keras.layers.Layer):
    """One vector at every step of a sequence: (float[batch, size], float[batch, time, features]) ->
    float[batch, time, size]."""

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
        return keras.KerasTensor(
            (vector.shape[0], sequence.shape[1], vector.shape[1]), vector.dtype
        )
