"""Export of a forecaster: from the past of series to their future, in the units of the series."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy import stats

from rnn_cookbook.encode.series import SeriesEncoder, SeriesScaler
from rnn_cookbook.errors import listing
from rnn_cookbook.export.served import Served, call_by_name
from rnn_cookbook.nn.forecast import ForecastHead
from rnn_cookbook.nn.tensors import Tensor
from rnn_cookbook.tasks.forecasting.model import without_teacher
from rnn_cookbook.tasks.forecasting.predict import point_and_quantiles

__all__ = ["ServedForecaster", "inference_network", "row_of_series"]

# The cycles of `encode.series.calendar_features` in words.
_CYCLES = {"day": "the day", "week": "the week from Monday on", "year": "the 366 days of the year"}
# Accepted error of a large value, as a fraction of it and of the tolerance: float32 has no more
# digits.
_ROUNDING = 2.5e-3
_LISTED = 20  # names of series in a description


def inference_network(model: keras.Model) -> keras.Model:
    """Returns the network to export: a recursive forecaster takes no target in use."""
    return without_teacher(model)


def row_of_series(facts: np.ndarray, series: list) -> Any:
    """Picks the facts of the series of each row: float32[batch, channels], or float32[1, channels]
    where there is a single series.

    Args:
        facts: float32[series, channels].
        series: int32[batch], the number of each row's series, in a list; empty for a single series.
    """
    return tf.gather(tf.constant(facts), series[0]) if series else tf.constant(facts)


class _Scaled(keras.layers.Layer):
    """Subtracts the mean of each row's series from each channel and divides by its scale:
    [float32[batch, time, channels], (int32[batch] series)].

    The mean is subtracted in two parts: for a series around a million a single float32 would leave
    too few digits of the difference.
    """

    def __init__(self, mean: np.ndarray, scale: np.ndarray, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.near = mean.astype(np.float32)
        self.rest = (mean - self.near).astype(np.float32)
        self.scale = scale.astype(np.float32)

    def call(self, inputs: Any) -> Tensor:
        values, *series = inputs
        near = row_of_series(self.near, series)[:, None]
        rest = row_of_series(self.rest, series)[:, None]
        scale = row_of_series(self.scale, series)[:, None]
        return (values - near - rest) / scale


class _OwnUnits(keras.layers.Layer):
    """Converts scaled outputs of a head to the answers by name: [float32[batch, horizon, channels,
    (values)], (int32[batch] series)] -> a dictionary."""

    def __init__(self, mean: np.ndarray, scale: np.ndarray, *, head: ForecastHead, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.mean = mean.astype(np.float32)
        self.scale = scale.astype(np.float32)
        self.head = head

    def call(self, inputs: Any) -> Tensor:
        raw, *series = inputs
        mean = row_of_series(self.mean, series)[:, None]
        scale = row_of_series(self.scale, series)[:, None]
        answers = {"forecast": self.head.centre(raw) * scale + mean}
        if self.head.kind == "student_t":
            answers["scale"] = raw[..., 1] * scale
            answers["degrees_of_freedom"] = raw[..., 2]
        elif self.head.kind == "gaussian":
            deviations = stats.norm.ppf(self.head.quantiles).astype(np.float32)
            quantiles = raw[..., :1] + raw[..., 1:2] * deviations
            answers["quantiles"] = quantiles * scale[..., None] + mean[..., None]
        elif self.head.kind == "quantiles":
            answers["quantiles"] = raw * scale[..., None] + mean[..., None]
        return answers


def _stacked(scaler: SeriesScaler) -> tuple[np.ndarray, np.ndarray]:
    """Means and scales of all series in their order, float64[series, channels] each."""
    mean, scale = zip(*scaler.facts.values(), strict=True)
    return np.stack(mean), np.stack(scale)


class ServedForecaster(Served):
    """A forecaster from windows to forecasts, both in the units of the series.

    float32[batch, lookback, channels] values -> "forecast" float32[batch, horizon, channels], and
    for the heads "quantiles" and "gaussian" also "quantiles" float32[batch, horizon, channels,
    quantiles]; for "student_t" also "scale" and "degrees_of_freedom".

    With covariates it also takes float32[batch, lookback + horizon, covariates]: those of the
    table, followed by the sine and cosine of the calendar. With several series it also takes
    int32[batch] "series", their numbers in the order of series.json.

    Args:
        model: a `models.forecaster`, or a `models.recursive_forecaster` with its teacher or
            without.
        encoder: encoder that made the windows it was trained on.
    """

    def __init__(self, model: keras.Model, encoder: SeriesEncoder):
        super().__init__()
        self.network = without_teacher(model)
        self.encoder = encoder
        self.head = self.network.get_layer("head")
        self.names = list(encoder.values.facts)
        mean, scale = _stacked(encoder.values)
        shapes = {part.name: tuple(part.shape[1:]) for part in self.network.inputs}
        values = keras.Input(shapes["window"], name="values")
        inputs: list[Any] = [values]
        known = None
        if "covariates" in shapes:
            known = keras.Input(shapes["covariates"], name="covariates")
            inputs.append(known)
        series = []
        if len(self.names) > 1:
            series = [keras.Input((), dtype="int32", name="series")]
            inputs += series
        read = {"window": _Scaled(mean, scale, name="scaled")([values, *series])}
        if known is not None:
            read["covariates"] = _Scaled(*self._known(), name="scaled_covariates")([known])
        scaled = call_by_name(self.network, read)
        answer: Any = _OwnUnits(mean, scale, head=self.head, name="own_units")([scaled, *series])
        self.model = keras.Model(inputs, answer, name="own_units")
        self.signature = [tf.TensorSpec(part.shape, part.dtype, name=part.name) for part in inputs]
        self.outputs = tuple(sorted(answer))
        self.about = self._about()

    def __call__(self, *inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        assert self.model is not None
        return call_by_name(self.model, dict(zip(self.input_names, inputs, strict=True)))

    def _about(self) -> str:
        lookback = self.signature[0].shape[1]
        horizon = self.network.outputs[0].shape[1]
        sentences = [
            "Inputs are in the units of the table.",
            f"`values` holds the last {lookback} steps of each channel.",
        ]
        if "covariates" in self.input_names:
            sentences.append(
                f"`covariates` holds those of the table for the last {lookback} steps and for the "
                f"{horizon} steps to forecast."
            )
            if self.encoder.calendar:
                cycles = ", ".join(_CYCLES[name] for name in self.encoder.calendar)
                sentences.append(
                    "They are followed by the sine and the cosine of 2π times the fraction that "
                    f"has passed of {cycles}, two columns each."
                )
        if "series" in self.input_names:
            sentences.append(
                "`series` is the number of each row's series, from 0 on: "
                f"{listing(self.names, _LISTED)} (see series.json)."
            )
        sentences.append(
            "Series that training did not see cannot be forecast: their scale is not known."
        )
        levels = ", ".join(map(str, self.head.quantiles))
        also = {
            "point": "",
            "quantiles": f", and `quantiles` ({levels})",
            "gaussian": f" (the mean), and `quantiles` ({levels})",
            "student_t": " (the mean), `scale` and `degrees_of_freedom`",
        }
        sentences.append(
            f"The answer is `forecast`, the next {horizon} steps in the same units"
            f"{also[self.head.kind]}."
        )
        return " ".join(sentences)

    def examples(self, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draws random walks around the level of a series, and covariates at their normal level."""
        number = rng.integers(0, len(self.names), size).astype(np.int32)
        mean, scale = self._facts({"series": number})
        drawn = {}
        assert self.model is not None
        for part in self.model.inputs:
            noise = rng.normal(size=(size, *part.shape[1:]))
            if part.name == "values":
                walk = noise.cumsum(axis=1) / np.sqrt(part.shape[1])
                drawn["values"] = (mean + scale * walk).astype(np.float32)
            elif part.name == "covariates":
                level, deviation = self._known()
                drawn["covariates"] = (level + deviation * noise).astype(np.float32)
            else:
                drawn["series"] = number
        return drawn

    def expected(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        windows = []
        for number, row in zip(self._numbers(inputs), inputs["values"], strict=True):
            windows.append(self.encoder.values.transform(self.names[number], row))
        read = {"window": tf.constant(np.stack(windows))}
        if "covariates" in inputs:
            known = inputs["covariates"]
            columns = len(self.encoder.covariates.facts[""][0])
            scaled = [self.encoder.covariates.transform("", row[:, :columns]) for row in known]
            waves = known[..., columns:]
            read["covariates"] = tf.concat([np.stack(scaled), waves], axis=-1)
        raw = call_by_name(self.network, read).numpy()
        point, quantiles = point_and_quantiles(
            raw, head=self.head.kind, quantiles=self.head.quantiles
        )
        mean, scale = self._facts(inputs)
        answers = {"forecast": point * scale + mean}
        if self.head.kind == "student_t":
            answers["scale"] = raw[..., 1] * scale
            answers["degrees_of_freedom"] = raw[..., 2]
        elif quantiles is not None:
            answers["quantiles"] = quantiles * scale[..., None] + mean[..., None]
        return answers

    def sizes(
        self, inputs: dict[str, np.ndarray], wanted: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Returns the scale of each row's series; for values so large that float32 has too few
        digits, a small fraction of the value."""
        _, scale = self._facts(inputs)
        normal = {
            "forecast": scale,
            "quantiles": scale[..., None],
            "scale": scale,
            "degrees_of_freedom": np.array(1.0),
        }
        return {
            name: np.maximum(_ROUNDING * np.abs(value), normal[name])
            for name, value in wanted.items()
        }

    def _numbers(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Number of each row's series."""
        return inputs["series"] if "series" in inputs else np.zeros(len(inputs["values"]), int)

    def _facts(self, inputs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale of each row, float64[batch, 1, channels]."""
        mean, scale = _stacked(self.encoder.values)
        numbers = self._numbers(inputs)
        return mean[numbers][:, None], scale[numbers][:, None]

    def _known(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale of the covariates, float64[1, covariates]; the waves of the calendar are
        not scaled."""
        waves = ((0, 0), (0, 2 * len(self.encoder.calendar)))
        mean, scale = _stacked(self.encoder.covariates)
        return np.pad(mean, waves), np.pad(scale, waves, constant_values=1.0)
