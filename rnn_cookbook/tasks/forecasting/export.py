"""The past of series to their future, both in their own units."""

import keras
import numpy as np
import tensorflow as tf
from scipy import stats

from rnn_cookbook.encode.series import SeriesEncoder, SeriesScaler
from rnn_cookbook.errors import listing
from rnn_cookbook.export.served import Served, call_by_name
from rnn_cookbook.nn.forecast import ForecastHead
from rnn_cookbook.tasks.forecasting.model import without_teacher
from rnn_cookbook.tasks.forecasting.predict import point_and_quantiles

_CYCLES = {"day": "the day", "week": "the week from Monday on", "year": "the 366 days of the year"}
_ROUNDING = 2.5e-3  # of a float32, some digits from its last, as a share of what is tolerated


def inference_network(model: keras.Model) -> keras.Model:
    """Returns the network to export: a recursive forecaster takes no target in use."""
    return without_teacher(model)


class ServedForecaster(Served):
    """Windows to forecasts in the series' own units: float32[batch, lookback, channels] values ->
    "forecast" float32[batch, horizon, channels], and "quantiles" float32[batch, horizon, channels,
    quantiles], or what the head has beside its mean.

    With covariates also float32[batch, lookback + horizon, covariates], as the table has them, the
    calendar's waves behind. Where there are several series, int32[batch] "series", their numbers in
    the order of series.json.

    Args:
        model: a `models.forecaster` or `models.recursive_forecaster`, with its teacher or without.
        encoder: which made its windows.
    """

    def __init__(self, model: keras.Model, encoder: SeriesEncoder):
        super().__init__()
        self.network, self.encoder = without_teacher(model), encoder
        self.head = self.network.get_layer("head")
        self.names = list(encoder.values.facts)
        mean, scale = _stacked(encoder.values)
        shapes = {part.name: tuple(part.shape[1:]) for part in self.network.inputs}
        inputs = {"values": keras.Input(shapes["window"], name="values")}
        if "covariates" in shapes:
            inputs["covariates"] = keras.Input(shapes["covariates"], name="covariates")
        if len(self.names) > 1:
            inputs["series"] = keras.Input((), dtype="int32", name="series")
        number = [inputs["series"]] if len(self.names) > 1 else []
        read = {"window": _Scaled(mean, scale, name="scaled")([inputs["values"], *number])}
        if "covariates" in shapes:
            read["covariates"] = _Scaled(*self._known(), name="scaled_covariates")(
                [inputs["covariates"]]
            )
        scaled = call_by_name(self.network, read)
        answer = _OwnUnits(mean, scale, head=self.head, name="own_units")([scaled, *number])
        self.model = keras.Model(list(inputs.values()), answer, name="own_units")
        self.signature = tuple(
            tf.TensorSpec(part.shape, part.dtype, name=part.name) for part in self.model.inputs
        )
        self.outputs = tuple(sorted(answer))
        self.about = self._about()

    def __call__(self, *inputs):
        return call_by_name(
            self.model, {one.name: value for one, value in zip(self.signature, inputs, strict=True)}
        )

    def _about(self) -> str:
        inputs, levels = (
            {one.name for one in self.signature},
            ", ".join(map(str, self.head.quantiles)),
        )
        lookback, horizon = self.signature[0].shape[1], self.network.output.shape[1]
        told = [
            f"Values go in as the table has them: `values`, the last {lookback} steps of each channel."
        ]
        if "covariates" in inputs:
            told.append(
                f"`covariates`, of the last {lookback} steps and {horizon} more, are those of the table."
            )
            if self.encoder.calendar:
                cycles = ", ".join(_CYCLES[name] for name in self.encoder.calendar)
                told.append(
                    f"Behind them stand the sine and the cosine of 2π times the share that is over of {cycles}, two columns each."
                )
        if "series" in inputs:
            told.append(
                f"`series` is the number of each row's series, from 0 on: {listing(self.names, 20)} (see series.json)."
            )
        also = {
            "quantiles": f", and `quantiles` ({levels})",
            "gaussian": f", its mean, and `quantiles` ({levels})",
            "student_t": ", its mean, `scale` and `degrees_of_freedom`",
        }
        told.append(
            "Series that training did not see are not for this: their scale is none of those that it knows."
        )
        return " ".join(
            [
                *told,
                f"Out comes `forecast`, the next {horizon} steps in the same units{also.get(self.head.kind, '')}.",
            ]
        )

    def examples(self, size, rng):
        """Walks about the level of a series, and covariates that are usual."""
        number = rng.integers(0, len(self.names), size).astype(np.int32)
        mean, scale = self._facts({"series": number})
        made = {}
        for part in self.model.inputs:
            noise = rng.normal(size=(size, *part.shape[1:]))
            if part.name == "values":
                made["values"] = (
                    mean + scale * noise.cumsum(axis=1) / np.sqrt(part.shape[1])
                ).astype(np.float32)
            elif part.name == "covariates":
                usual, spread = self._known()
                made["covariates"] = (usual + spread * noise).astype(np.float32)
            else:
                made["series"] = number
        return made

    def expected(self, inputs):
        names = [self.names[i] for i in self._numbers(inputs)]
        windows = [
            self.encoder.values.transform(name, row)
            for name, row in zip(names, inputs["values"], strict=True)
        ]
        read = {"window": np.stack(windows)}
        if "covariates" in inputs:
            known, columns = inputs["covariates"], len(self.encoder.covariates.facts[""][0])
            scaled = [self.encoder.covariates.transform("", row[:, :columns]) for row in known]
            read["covariates"] = np.concatenate([np.stack(scaled), known[..., columns:]], axis=-1)
        raw = call_by_name(self.network, read).numpy()
        point, quantiles = point_and_quantiles(
            raw, head=self.head.kind, quantiles=self.head.quantiles
        )
        mean, scale = self._facts(inputs)
        wanted = {"forecast": point * scale + mean}
        if self.head.kind == "student_t":
            return {**wanted, "scale": raw[..., 1] * scale, "degrees_of_freedom": raw[..., 2]}
        return (
            wanted
            if quantiles is None
            else {**wanted, "quantiles": quantiles * scale[..., None] + mean[..., None]}
        )

    def sizes(self, inputs, wanted):
        """Of what is usual for its series; of values so large that float32 has fewer digits, a
        little of themselves."""
        _, scale = self._facts(inputs)
        usual = {
            "forecast": scale,
            "quantiles": scale[..., None],
            "scale": scale,
            "degrees_of_freedom": 1.0,
        }
        return {
            name: np.maximum(_ROUNDING * np.abs(value), usual[name])
            for name, value in wanted.items()
        }

    def _numbers(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Which series each row is of."""
        return inputs["series"] if "series" in inputs else np.zeros(len(inputs["values"]), int)

    def _facts(self, inputs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale of each row, float64[batch, 1, channels]."""
        return tuple(part[self._numbers(inputs)][:, None] for part in _stacked(self.encoder.values))

    def _known(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale of the covariates, float64[1, covariates]; the waves of the calendar are
        what they are."""
        waves = 2 * len(self.encoder.calendar)
        mean, scale = _stacked(self.encoder.covariates)
        return np.pad(mean, ((0, 0), (0, waves))), np.pad(
            scale, ((0, 0), (0, waves)), constant_values=1.0
        )


def _stacked(scaler: SeriesScaler) -> tuple[np.ndarray, np.ndarray]:
    """Means and scales of all series in their order, float64[series, channels]."""
    mean, scale = zip(*scaler.facts.values(), strict=True)
    return np.stack(mean), np.stack(scale)


class _Scaled(keras.layers.Layer):
    """Each channel less the mean of its series and divided by its scale: [float32[batch, time,
    channels], (int32[batch] series)].

    In two parts: of a series around a million the mean as one float32 would leave too little of the
    difference.
    """

    def __init__(self, mean: np.ndarray, scale: np.ndarray, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.near = mean.astype(np.float32)
        self.rest, self.scale = (mean - self.near).astype(np.float32), scale.astype(np.float32)

    def call(self, inputs):
        near, rest, scale = (
            _row(part, inputs[1:])[:, None] for part in (self.near, self.rest, self.scale)
        )
        return (inputs[0] - near - rest) / scale


class _OwnUnits(keras.layers.Layer):
    """Scaled outputs of a head to the answer: [float32[batch, horizon, channels, (values)],
    (int32[batch] series)] -> a dictionary."""

    def __init__(self, mean: np.ndarray, scale: np.ndarray, *, head: ForecastHead, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.mean, self.scale, self.head = mean.astype(np.float32), scale.astype(np.float32), head

    def call(self, inputs):
        raw = inputs[0]
        mean, scale = (_row(part, inputs[1:])[:, None] for part in (self.mean, self.scale))
        found = {"forecast": self.head.centre(raw) * scale + mean}
        if self.head.kind == "student_t":
            return {**found, "scale": raw[..., 1] * scale, "degrees_of_freedom": raw[..., 2]}
        if self.head.kind == "gaussian":
            raw = raw[..., :1] + raw[..., 1:2] * stats.norm.ppf(self.head.quantiles).astype(
                np.float32
            )
        return (
            found
            if self.head.kind == "point"
            else {**found, "quantiles": raw * scale[..., None] + mean[..., None]}
        )


def _row(facts: np.ndarray, series: list) -> tf.Tensor:
    """Of each series, or of the only one: float32[batch or 1, channels]."""
    return tf.gather(tf.constant(facts), series[0]) if series else tf.constant(facts)
