"""Layers of forecasters: windows normalised, and forecasts as points, quantiles or distributions.

What happens between them is in `forecast_segments` and `feedback`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.tensors import Tensor

__all__ = [
    "HEADS",
    "NORMALIZATIONS",
    "Denormalize",
    "ForecastHead",
    "MixLinear",
    "Normalize",
    "Scale",
]

NORMALIZATIONS = ("last", "last_scaled", "standard", "none")
HEADS = ("point", "quantiles", "gaussian", "student_t")

# What a value of a forecast is, for `Denormalize`: a level of the series, such as a mean or a
# quantile; a scale in the series' units; or a number without a unit, such as degrees of freedom.
_LEVEL = 0
_SCALE = 1
_UNITLESS = 2

# Added to the variance of a window: a constant window is not divided by 0.
_MIN_VARIANCE = 1e-5

# A scale is at least this, in the units of the normalised window.
_MIN_SCALE = 1e-6

# Student's t has a variance above so many degrees of freedom.
_MIN_DEGREES = 2.0


def _float32(parts: Sequence[Tensor]) -> list[Tensor]:
    return [ops.cast(part, "float32") for part in parts]


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class Normalize(keras.layers.Layer):
    """Puts each window and channel on a scale of its own.

    float[batch, time, channels] -> (float[batch, time, channels], float[batch, 1, channels] offset,
    float[batch, 1, channels] scale)

    Args:
        kind: "last" subtracts the last value; "last_scaled" also divides by the standard deviation;
            "standard" subtracts the mean and divides by the standard deviation; "none" does
            nothing.

    Raises:
        InputError: unknown kind.
    """

    def __init__(self, kind: str = "last", **kwargs):
        super().__init__(**kwargs)
        if kind not in NORMALIZATIONS:
            accepted = ", ".join(NORMALIZATIONS)
            raise InputError(
                f"unknown normalization {kind!r}; accepted are {accepted}", field="normalization"
            )
        self.kind = kind

    def call(self, window: Tensor) -> Tensor:
        last = window[:, -1:]
        offset = ops.zeros_like(last)
        scale = ops.ones_like(last)
        if self.kind in ("last", "last_scaled"):
            offset = last
        elif self.kind == "standard":
            offset = ops.mean(window, axis=1, keepdims=True)
        if self.kind in ("last_scaled", "standard"):
            variance: Tensor = ops.var(window, axis=1, keepdims=True)
            scale = ops.sqrt(variance + _MIN_VARIANCE)
        return (window - offset) / scale, offset, scale

    def compute_output_shape(self, input_shape: Any) -> Any:
        statistic = (input_shape[0], 1, input_shape[2])
        return input_shape, statistic, statistic

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class Denormalize(keras.layers.Layer):
    """Undoes `Normalize` for a forecast: (float[batch, horizon, channels, (values)], offset, scale)
    -> the same shape, in the window's units.

    Args:
        spread: for each value of a probabilistic forecast, 0 for a level of the series, 1 for a
            scale, 2 for a number that is not in the series' units; () for a point forecast.
    """

    def __init__(self, spread: Sequence[int] = (), **kwargs):
        super().__init__(**kwargs)
        self.spread = tuple(spread)

    def call(self, inputs: Any) -> Tensor:
        forecast, offset, scale = _float32(inputs)
        if not self.spread:
            return forecast * scale + offset
        levels: Tensor = ops.array([float(kind == _LEVEL) for kind in self.spread])
        scaled: Tensor = ops.array([float(kind != _UNITLESS) for kind in self.spread])
        return forecast * (scale[..., None] * scaled + (1 - scaled)) + offset[..., None] * levels

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(inputs[0].shape, "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "spread": list(self.spread)}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class Scale(keras.layers.Layer):
    """Does to more values what `Normalize` did to the window: (float[batch, horizon, channels],
    offset, scale) -> the same shape."""

    def call(self, inputs: Any) -> Tensor:
        values, offset, scale = _float32(inputs)
        return (values - offset) / scale

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(inputs[0].shape, "float32")


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class ForecastHead(keras.layers.Layer):
    """Makes a forecast of raw outputs: float[..., width] -> float[...] for "point", else float[...,
    width].

    "quantiles" increase by construction: the first is free, the others add softplus steps.
    "gaussian" gives (mean, scale), "student_t" (mean, scale, degrees of freedom above 2, so that
    the variance exists). Scales are softplus, in the series' units.

    Args:
        kind: "point", "quantiles", "gaussian" or "student_t".
        quantiles: quantiles of the kind "quantiles", increasing, between 0 and 1.

    Raises:
        InputError: unknown kind, or quantiles out of order or range.
    """

    stepwise = True

    def __init__(
        self, kind: str = "point", *, quantiles: Sequence[float] = (0.1, 0.5, 0.9), **kwargs
    ):
        super().__init__(**kwargs)
        if kind not in HEADS:
            raise InputError(
                f"unknown head {kind!r}; accepted are {', '.join(HEADS)}", field="head"
            )
        increasing = bool(quantiles) and list(quantiles) == sorted(set(quantiles))
        if kind == "quantiles" and not (increasing and 0 < quantiles[0] <= quantiles[-1] < 1):
            received = ", ".join(map(str, quantiles)) or "none"
            raise InputError(
                f"quantiles must increase and lie between 0 and 1; received {received}",
                field="quantiles",
            )
        self.kind = kind
        self.quantiles = tuple(quantiles)

    @property
    def spread(self) -> tuple[int, ...]:
        """What each value of the forecast is, see `Denormalize`."""
        kinds = {
            "point": (),
            "quantiles": (_LEVEL,) * len(self.quantiles),
            "gaussian": (_LEVEL, _SCALE),
            "student_t": (_LEVEL, _SCALE, _UNITLESS),
        }
        return kinds[self.kind]

    @property
    def width(self) -> int:
        """Number of raw outputs for each value of the series."""
        return len(self.spread) or 1

    def centre(self, forecast: Tensor) -> Tensor:
        """Returns the point forecast: the forecast itself, its mean, or the quantile that is
        nearest to the median.

        Args:
            forecast: output of the head, float[..., width], or float[...] for "point".

        Returns:
            float[...]
        """
        if self.kind == "point":
            return forecast
        if self.kind != "quantiles":
            return forecast[..., 0]
        distances = [abs(quantile - 0.5) for quantile in self.quantiles]
        return forecast[..., distances.index(min(distances))]

    def call(self, raw: Tensor) -> Tensor:
        if self.kind == "point":
            return raw[..., 0]
        if self.kind == "quantiles":
            steps = ops.concatenate([raw[..., :1], ops.softplus(raw[..., 1:])], axis=-1)
            return ops.cumsum(steps, axis=-1)
        lowest = ops.array([_MIN_SCALE, _MIN_DEGREES][: self.width - 1], raw.dtype)
        positive: Tensor = ops.softplus(raw[..., 1:])
        return ops.concatenate([raw[..., :1], positive + lowest], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[:-1] if self.kind == "point" else input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind, "quantiles": list(self.quantiles)}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class MixLinear(keras.layers.Layer):
    """Moves a forecast towards a linear one by a fixed fraction (combination of forecasts: Bates
    and Granger 1969).

    (float[batch, horizon, channels, (values)] forecast, float[batch, lookback, channels] window) ->
    the forecast's shape

    The linear forecast is the window's last value, plus a linear function of the window less its
    last value, the same for all channels. All levels move together; the distances between them, and
    the scales, are multiplied by the factor `spread`. Kernel, bias and fraction are 0 at first, the
    factor 1, and no weight is ever trained: `tasks.forecasting.mixture.mix_linear` sets them, of
    one linear forecast or the mean of several.

    Args:
        head: head that made the forecast.
    """

    def __init__(self, head: ForecastHead, **kwargs):
        super().__init__(**kwargs)
        self.head = head

    def _constant(self, name: str, *, shape: tuple = (), initializer: str = "zeros") -> Tensor:
        return self.add_weight(shape=shape, initializer=initializer, trainable=False, name=name)

    def build(self, input_shape: Any) -> None:
        forecast, window = input_shape
        self.kernel = self._constant("kernel", shape=(window[1], forecast[1]))
        self.bias = self._constant("bias", shape=(forecast[1],))
        self.share = self._constant("share")
        self.spread = self._constant("spread", initializer="ones")

    def _linear_forecast(self, window: Tensor) -> Tensor:
        last = window[:, -1:]
        change: Tensor = ops.matmul(ops.transpose(window - last, (0, 2, 1)), self.kernel)
        return last + ops.transpose(change + self.bias, (0, 2, 1))

    def call(self, inputs: Any) -> Tensor:
        forecast, window = _float32(inputs)
        linear = self._linear_forecast(window)
        centre = self.head.centre(forecast)
        moved = centre + self.share * (linear - centre)
        if not self.head.spread:
            return moved
        centre = centre[..., None]
        moved = moved[..., None]
        levels: Tensor = ops.array([float(kind == _LEVEL) for kind in self.head.spread])
        scales: Tensor = ops.array([float(kind == _SCALE) for kind in self.head.spread])
        return (
            forecast
            + levels * (moved - centre + (self.spread - 1) * (forecast - centre))
            + scales * (self.spread - 1) * forecast
        )

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(inputs[0].shape, "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "head": keras.saving.serialize_keras_object(self.head)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MixLinear:
        head = keras.saving.deserialize_keras_object(config.pop("head"))
        return cls(head, **config)
