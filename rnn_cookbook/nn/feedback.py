"""A recurrent cell that reads its own last forecast, for forecasts step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rnn_cookbook.nn.forecast import ForecastHead
from rnn_cookbook.nn.tensors import Tensor

__all__ = ["FeedbackCell", "TeacherInput"]


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class FeedbackCell(keras.layers.Layer):
    """A recurrent cell that reads its own last forecast, or, in training, the true value (teacher
    forcing: Williams and Zipser 1989).

    For `keras.layers.RNN`: (float[batch, channels + covariates], [float[batch, channels] last
    forecast, *states]) -> (float[batch, channels * width] raw outputs of `head`, the same states).
    Inputs begin with the value before each step, which is read in training only; the covariates of
    the step follow.

    Args:
        cells: recurrent cells, from the lowest layer on.
        head: head that makes a forecast of the raw outputs; the next step reads its centre, see
            `ForecastHead.centre`.
        channels: number of series side by side.
        teacher: whether training reads the inputs; otherwise it reads the cell's own forecasts,
            too.
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
        self.cells: list[Any] = list(cells)
        self.head = head
        self.channels = channels
        self.teacher = teacher
        self.raw = keras.layers.Dense(channels * head.width, dtype=self.dtype_policy, name="raw")

    @property
    def state_size(self) -> list[int]:
        """Sizes of the states: the last forecast, then the states of the cells."""
        sizes = [self.channels]
        for cell in self.cells:
            sizes += keras.tree.flatten(cell.state_size)
        return sizes

    @property
    def output_size(self) -> int:
        """Number of raw outputs."""
        return self.channels * self.head.width

    def build(self, input_shape: Any) -> None:
        width = input_shape[-1]
        for cell in self.cells:
            if not cell.built:  # a reloaded cell is
                cell.build((None, width))
            width = cell.units
        if not self.raw.built:
            self.raw.build((None, width))

    def call(self, inputs: Any, states: Tensor, training: bool = False) -> Tensor:
        last = states[0]
        remaining = list(states[1:])
        x = inputs
        if not (training and self.teacher):
            last_forecast = ops.cast(last, inputs.dtype)
            x = ops.concatenate([last_forecast, inputs[:, self.channels :]], axis=-1)
        new_states = []
        for cell in self.cells:
            count = len(keras.tree.flatten(cell.state_size))
            before = remaining[:count]
            remaining = remaining[count:]
            x, after = cell(x, before if count > 1 else before[0], training=training)
            new_states += keras.tree.flatten(after)
        raw = self.raw(x)
        forecast = self.head(ops.reshape(raw, (-1, self.channels, self.head.width)))
        return raw, [ops.cast(self.head.centre(forecast), last.dtype), *new_states]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "cells": [keras.saving.serialize_keras_object(cell) for cell in self.cells],
            "head": keras.saving.serialize_keras_object(self.head),
            "channels": self.channels,
            "teacher": self.teacher,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FeedbackCell:
        others = {name: config[name] for name in config if name not in ("cells", "head")}
        cells = [keras.saving.deserialize_keras_object(cell) for cell in config["cells"]]
        head = keras.saving.deserialize_keras_object(config["head"])
        return cls(cells, head=head, **others)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class TeacherInput(keras.layers.Layer):
    """Makes what a `FeedbackCell` reads: the value before every step of the future, and the
    covariates of the step.

    (float[batch, lookback, channels] window, (float[batch, horizon, channels] target),
    (float[batch, horizon, covariates])), both scaled as the network reads them -> float[batch,
    horizon, channels + covariates]; zeros in place of a target that is not given.

    Args:
        horizon: steps of the future.
        target: whether the target is an input.
        covariates: whether covariates are an input.
    """

    def __init__(self, horizon: int, *, target: bool, covariates: bool, **kwargs):
        super().__init__(**kwargs)
        self.horizon = horizon
        self.target = target
        self.covariates = covariates

    def call(self, inputs: Any) -> Tensor:
        last = inputs[0][:, -1:]
        if self.target:
            before = inputs[1][:, :-1]
        else:
            before = ops.zeros_like(ops.repeat(last, self.horizon - 1, axis=1))
        values: Tensor = ops.concatenate([last, ops.cast(before, last.dtype)], axis=1)
        parts = [values]
        if self.covariates:
            parts.append(inputs[-1])
        return ops.concatenate([ops.cast(part, self.compute_dtype) for part in parts], axis=-1)

    def compute_output_spec(self, inputs: Any) -> Any:
        width = inputs[0].shape[-1]
        if self.covariates:
            width += inputs[-1].shape[-1]
        return keras.KerasTensor((None, self.horizon, width), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "horizon": self.horizon,
            "target": self.target,
            "covariates": self.covariates,
        }
