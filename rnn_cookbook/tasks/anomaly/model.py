"""Networks for streams: a forecaster of the next value, and an autoencoder."""

from collections.abc import Sequence

import keras

from rnn_cookbook.errors import InputError, check_shares
from rnn_cookbook.nn.forecast import (
    ForecastHead,
    RepeatOver,
)
from rnn_cookbook.nn.masking import LengthMask, ReverseSequence
from rnn_cookbook.nn.recurrent import check_options, rnn_stack


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
    **rnn,
) -> keras.Model:
    """At every step the next `horizon` values, from all before: for streams, where every point both
    ends a window and begins one.

    float32[batch, time, features] -> float32[batch, time, horizon, channels], with a probabilistic
    head one axis more

    Output [:, t] has seen the steps up to t and no later one; so padding on the right changes
    nothing before it, and `streaming` runs the model point by point. Scale the series first
    (`keras.layers.Normalization`, or by hand): the window that `forecaster` normalises by does not
    exist here.

    Args:
        channels: series side by side, forecast jointly.
        features: numbers heard at every step; the channels alone when 0.
        horizon: steps ahead, 1 for a next-step predictor.
        cell, units, depth: see `recurrent.rnn_stack`; `rnn` are further options of it.
        head, quantiles: see `forecaster`.
        output_dropout: before the output, the same components at every step.
    """
    if min(channels, horizon, features + 1) < 1:
        raise InputError(
            f"a forecaster needs 1 or more channels and steps ahead and 0 or more features, got channels={channels}, horizon={horizon}, "
            f"features={features}"
        )
    check_options("online_forecaster", rnn, causal=True)
    check_shares(output_dropout=output_dropout)
    finish = ForecastHead(head, quantiles=quantiles, dtype="float32", name="head")
    sequence = keras.Input((None, features or channels), name="sequence")
    x = rnn_stack(sequence, mask=None, cell=cell, units=units, depth=depth, **rnn)
    if output_dropout:
        x = keras.layers.SpatialDropout1D(output_dropout, name="output_dropout")(x)
    x = keras.layers.Dense(horizon * channels * finish.width, dtype="float32", name="output")(x)
    x = keras.layers.Reshape((-1, horizon, channels, finish.width), dtype="float32", name="steps")(
        x
    )
    return keras.Model(sequence, finish(x), name="online_forecaster")


def autoencoder(
    *,
    features: int,
    code_size: int = 16,
    cell: str = "lstm",
    units: int = 64,
    depth: int = 1,
    bidirectional: bool = False,
    lengths: bool = False,
    **rnn,
) -> keras.Model:
    """A sequence through one vector and back (Srivastava et al. 2015; Malhotra et al. 2016, for
    anomalies).

    float32[batch, time, features] sequence, with `lengths` also int32[batch] -> float32[batch,
    time, features]

    The encoder's last states make the code; the decoder starts from it, hears it at every step, and
    writes the sequence from its end to its beginning, which puts what it needs first closest to
    where it was read.

    Args:
        features: numbers a step.
        code_size: width of the vector in the middle, `model.get_layer("code").output`: the
            bottleneck.
        cell, units, depth, bidirectional: of the encoder, see `recurrent.rnn_stack`; the decoder is
            unidirectional. `rnn` are further options of both.
        lengths: take the sequences' lengths, for sequences of different length (padded on the
            right).
    """
    if min(features, code_size) < 1:
        raise InputError(
            f"an autoencoder needs 1 or more features and a code of 1 or more, got {features} and {code_size}"
        )
    check_options("autoencoder", rnn)
    sequence = keras.Input((None, features), name="sequence")
    inputs, mask = [sequence], None
    if lengths:
        inputs.append(keras.Input((), dtype="int32", name="lengths"))
        mask = LengthMask(name="mask")((sequence, inputs[1]))
    options = {"mask": mask, "cell": cell, "units": units, "depth": depth, **rnn}
    _, states = rnn_stack(
        sequence, bidirectional=bidirectional, return_states=True, name="encoder", **options
    )
    # Of all layers and both directions what the cell shows, h; the LSTM's c stays inside.
    parts = 2 if cell == "lstm" else 1
    shown = [part for final in states for part in final[::parts]]
    code = keras.layers.Dense(code_size, name="code")(
        keras.layers.Concatenate(name="final")(shown) if len(shown) > 1 else shown[0]
    )
    initial = [
        [
            keras.layers.Dense(units, activation="tanh", name=f"initial_{level}_{i}")(code)
            for i in range(parts)
        ]
        for level in range(1, depth + 1)
    ]
    x = RepeatOver(name="repeat")((code, sequence))
    x = rnn_stack(x, initial_states=initial, name="decoder", **options)
    x = ReverseSequence(name="reverse")((x, mask) if lengths else x)
    outputs = keras.layers.Dense(features, dtype="float32", name="reconstruction")(x)
    return keras.Model(inputs if lengths else sequence, outputs, name="autoencoder")
