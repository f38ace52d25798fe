"""Networks for streams: a forecaster of the next values, and an autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn import losses
from rnn_cookbook.nn.forecast import ForecastHead
from rnn_cookbook.nn.masking import LengthMask, ReverseSequence
from rnn_cookbook.nn.pooling import RepeatOver
from rnn_cookbook.nn.recurrent import check_options, rnn_stack
from rnn_cookbook.settings import check_fractions

__all__ = ["INPUTS", "autoencoder", "forecast_loss", "online_forecaster"]

HUBER_DELTA = 0.2  # standard deviations; larger errors, as of anomalies, weigh linearly

# What the inputs are, for who uses an exported network.
INPUTS = {
    "sequence": "the steps of a stream, each channel less its mean and divided by its scale"
    " (`facts` in export.json); an autoencoder reads them through"
    " `rnn_cookbook.tasks.anomaly.encode.arcsinh_scaled`, a forecaster reads the `point_features`"
    " of the same module",
    "lengths": "number of steps of each row without the padding",
}


def online_forecaster(
    *,
    channels: int = 1,
    features: int = 0,
    horizon: int = 1,
    cell: str = "gru",
    units: int = 64,
    depth: int = 1,
    head: str = "point",
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    output_dropout: float = 0.0,
    **rnn: Any,
) -> keras.Model:
    """Builds a network that forecasts the next `horizon` values at every step: for streams, where
    every point both ends a window and begins one.

    float32[batch, time, features] -> float32[batch, time, horizon, channels], with a probabilistic
    head one axis more

    Output [:, t] has seen the steps up to t and no later one; so padding on the right changes
    nothing before it, and `nn.streaming` runs the model point by point. Scale the series first
    (`keras.layers.Normalization`, or by hand): `forecaster` normalises by its window, which does
    not exist here.

    Args:
        channels: number of series side by side, which are forecast jointly.
        features: numbers read at every step; the channels alone when 0.
        horizon: steps ahead, 1 for a next-step forecaster.
        cell: recurrent cell, see `nn.recurrent.rnn_stack`.
        units: size of the state.
        depth: number of recurrent layers.
        head: form of the forecast, see `forecaster`.
        quantiles: quantiles of the head "quantiles".
        output_dropout: dropout rate before the output, with one mask for all steps.
        rnn: further options of `nn.recurrent.rnn_stack`.

    Raises:
        InputError: a size is too small, or an option is not accepted or not causal.
    """
    if min(channels, horizon, features + 1) < 1:
        raise InputError(
            "an online forecaster needs at least 1 channel and 1 step ahead, and features of 0 or "
            f"more; received channels={channels}, horizon={horizon}, features={features}"
        )
    check_options("online_forecaster", rnn, causal=True)
    check_fractions(output_dropout=output_dropout)
    to_forecast = ForecastHead(head, quantiles=quantiles, dtype="float32", name="head")
    width = to_forecast.width
    sequence = keras.Input((None, features or channels), name="sequence")
    x = rnn_stack(sequence, mask=None, cell=cell, units=units, depth=depth, **rnn)
    if output_dropout:
        x = keras.layers.SpatialDropout1D(output_dropout, name="output_dropout")(x)
    x = keras.layers.Dense(horizon * channels * width, dtype="float32", name="output")(x)
    by_step = keras.layers.Reshape((-1, horizon, channels, width), dtype="float32", name="steps")
    return keras.Model(sequence, to_forecast(by_step(x)), name="online_forecaster")


def forecast_loss(head: str) -> keras.losses.Loss:
    """Returns the loss of an `online_forecaster` with this head: a negative log-likelihood, the
    pinball loss of "quantiles", or the Huber loss of "point"."""
    if head == "gaussian":
        return losses.GaussianLoss()
    if head == "student_t":
        return losses.StudentTLoss()
    if head == "quantiles":
        return losses.QuantileLoss()
    return keras.losses.Huber(HUBER_DELTA)


def autoencoder(
    *,
    features: int,
    code_size: int = 16,
    cell: str = "lstm",
    units: int = 64,
    depth: int = 1,
    bidirectional: bool = False,
    lengths: bool = False,
    **rnn: Any,
) -> keras.Model:
    """Builds a network that compresses a sequence into one vector and reconstructs it (Srivastava
    et al. 2015; for anomalies: Malhotra et al. 2016).

    float32[batch, time, features] sequence, with `lengths` also int32[batch] -> float32[batch,
    time, features]

    The encoder's final states make the code. The decoder starts from the code, reads it at every
    step, and writes the sequence from its end to its beginning: the steps that were read last,
    which the states know best, come first.

    Args:
        features: numbers per step.
        code_size: width of the bottleneck, `model.get_layer("code").output`.
        cell: recurrent cell, see `nn.recurrent.rnn_stack`.
        units: size of the state.
        depth: number of recurrent layers of encoder and decoder.
        bidirectional: whether the encoder reads both directions; the decoder does not.
        lengths: whether the lengths of the sequences are an input, for sequences of different
            length (padded on the right).
        rnn: further options of `nn.recurrent.rnn_stack`, for encoder and decoder.

    Raises:
        InputError: a size is too small, or an option is not accepted.
    """
    if min(features, code_size) < 1:
        raise InputError(
            "an autoencoder needs at least 1 feature and a code of at least 1; received "
            f"features={features} and code_size={code_size}"
        )
    check_options("autoencoder", rnn)
    sequence = keras.Input((None, features), name="sequence")
    inputs = [sequence]
    mask = None
    if lengths:
        inputs.append(keras.Input((), dtype="int32", name="lengths"))
        mask = LengthMask(name="mask")((sequence, inputs[1]))
    _, states = rnn_stack(
        sequence,
        mask=mask,
        cell=cell,
        units=units,
        depth=depth,
        bidirectional=bidirectional,
        return_states=True,
        name="encoder",
        **rnn,
    )
    # The hidden states h of all layers and both directions; the LSTM's c stays inside.
    states_per_layer = 2 if cell == "lstm" else 1
    hidden = [state for final in states for state in final[::states_per_layer]]
    final = keras.layers.Concatenate(name="final")(hidden) if len(hidden) > 1 else hidden[0]
    code = keras.layers.Dense(code_size, name="code")(final)
    initial = [
        [
            keras.layers.Dense(units, activation="tanh", name=f"initial_{level}_{i}")(code)
            for i in range(states_per_layer)
        ]
        for level in range(1, depth + 1)
    ]
    repeated = RepeatOver(name="repeat")((code, sequence))
    x = rnn_stack(
        repeated,
        mask=mask,
        cell=cell,
        units=units,
        depth=depth,
        initial_states=initial,
        name="decoder",
        **rnn,
    )
    x = ReverseSequence(name="reverse")((x, mask) if lengths else x)
    outputs = keras.layers.Dense(features, dtype="float32", name="reconstruction")(x)
    return keras.Model(inputs if lengths else sequence, outputs, name="autoencoder")
