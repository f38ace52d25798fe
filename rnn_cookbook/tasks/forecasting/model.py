"""Forecasters of numbers over time."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.feedback import FeedbackCell, TeacherInput
from rnn_cookbook.nn.forecast import Denormalize, ForecastHead, MixLinear, Normalize, Scale
from rnn_cookbook.nn.forecast_segments import FoldSegments, FutureSegments, UnfoldSegments
from rnn_cookbook.nn.recurrent import CELLS, rnn_stack
from rnn_cookbook.settings import check_fractions

__all__ = ["INPUTS", "STEP_CELLS", "forecaster", "recursive_forecaster", "without_teacher"]

# What the inputs are, for who uses an exported network.
INPUTS = {
    "window": "the last steps, each channel less its mean and divided by its scale (series.json)",
    "covariates": "the covariates of the window's steps and of the steps to forecast, scaled"
    " likewise",
    "target": "the steps to forecast, scaled likewise; read in training only",
}

STEP_CELLS = {
    "simple_rnn": keras.layers.SimpleRNNCell,
    "lstm": keras.layers.LSTMCell,
    "gru": keras.layers.GRUCell,
}


def _check_sizes(minimum: int, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < minimum:
            raise InputError(f"{name} must be at least {minimum}; received {size}", field=name)


def _check_cell(cell: str) -> None:
    if cell not in CELLS:
        raise InputError(f"unknown cell {cell!r}; accepted are {', '.join(CELLS)}", field="cell")


def _past_and_future(known, *, lookback: int, horizon: int) -> tuple:
    """Cuts covariates into those up to the end of the window and those after it."""
    past = keras.layers.Cropping1D((0, horizon), dtype="float32", name="known_past")
    future = keras.layers.Cropping1D((lookback, 0), dtype="float32", name="known_future")
    return past(known), future(known)


def forecaster(
    *,
    lookback: int,
    horizon: int,
    channels: int = 1,
    joint: bool = False,
    covariates: int = 0,
    segment_length: int = 1,
    embedding_size: int = 64,
    cell: str = "gru",
    units: int = 64,
    depth: int = 1,
    dropout: float = 0.0,
    normalization: str = "last",
    linear: bool = False,
    head: str = "point",
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
) -> keras.Model:
    """Builds a network that forecasts the next `horizon` values from the last `lookback` ones, all
    at once (SegRNN: Lin et al. 2023).

    float32[batch, lookback, channels] window, with `covariates` also float32[batch, lookback +
    horizon, covariates], known ahead
    -> float32[batch, horizon, channels], with a probabilistic head one axis more

    Segments of the window are the steps of the recurrent network, which takes lookback /
    segment_length steps. The same network then takes a single step for each segment of the future,
    all of them side by side from the last state; a segment is identified by its position and its
    covariates. No forecast feeds on a forecast, so errors do not add up. Unless the channels are
    read jointly, each is forecast from its own past by the same weights.

    Args:
        lookback: steps read. Where `segment_length` does not divide it, the oldest steps of the
            window are not read.
        horizon: steps forecast. Where `segment_length` does not divide it, the last segment ends
            early.
        channels: number of series side by side.
        joint: whether all channels are read and forecast together, instead of each by itself with
            the same weights. This needs more weights and could learn more; on the standard
            benchmarks it learns less.
        covariates: number of values known ahead for every step, such as the calendar; shared by the
            channels. Segments of the past are read with theirs, so that the effect of a promotion
            can be separated from the season.
        segment_length: steps of the series that make a step of the network; 1 is the ordinary
            recurrent forecaster.
        embedding_size: width of the segments' vectors.
        cell: recurrent cell: "simple_rnn", "lstm" or "gru".
        units: size of the state.
        depth: number of recurrent layers.
        dropout: dropout rate before the output.
        normalization: normalization of each window and channel, undone at the end: "last" subtracts
            the last value, "last_scaled" also divides by the standard deviation, "standard"
            subtracts the mean instead (RevIN: Kim et al. 2022, without its affine map), "none".
        linear: whether the network can be mixed with a linear forecast after training, see
            `tasks.forecasting.mixture.mix_linear`; the layer "linear" does nothing before.
        head: form of the forecast: "point"; "quantiles", which cannot cross: [..., quantiles];
            "gaussian": [..., (mean, scale)]; "student_t": [..., (mean, scale, degrees of freedom)].
            `nn.losses` has the loss of each.
        quantiles: quantiles of the head "quantiles", increasing, between 0 and 1.

    Raises:
        InputError: a size is too small, the window is shorter than a segment, or a cell,
            normalization, head or quantile is not accepted.
    """
    _check_sizes(
        1,
        horizon=horizon,
        channels=channels,
        segment_length=segment_length,
        embedding_size=embedding_size,
        units=units,
        depth=depth,
    )
    _check_sizes(0, covariates=covariates)
    check_fractions(dropout=dropout)
    if lookback < segment_length:
        raise InputError(
            f"lookback must be at least one segment of {segment_length} steps; received {lookback}",
            field="lookback",
        )
    _check_cell(cell)
    to_forecast = ForecastHead(head, quantiles=quantiles, dtype="float32", name="head")
    segments = -(-horizon // segment_length)

    window = keras.Input((lookback, channels), name="window")
    inputs = [window]
    known_past = None
    known_future = None
    if covariates:
        known = keras.Input((lookback + horizon, covariates), name="covariates")
        inputs.append(known)
        known_past, known_future = _past_and_future(known, lookback=lookback, horizon=horizon)
        missing = segments * segment_length - horizon
        if missing:
            # Keras' annotation has the type of the default, a single number.
            pad = keras.layers.ZeroPadding1D(
                (0, missing),  # pyright: ignore[reportArgumentType]
                dtype="float32",
                name="known_to_the_end",
            )
            known_future = pad(known_future)

    # The past: segments of the window, each with its covariates.
    x, offset, scale = Normalize(normalization, dtype="float32", name="normalize")(window)
    parts = [x] if known_past is None else [x, known_past]
    oldest = lookback % segment_length
    if oldest:
        parts = [keras.layers.Cropping1D((oldest, 0), dtype="float32")(part) for part in parts]
    fold = FoldSegments(segment_length, joint=joint, name="segments")
    x = fold(tuple(parts) if covariates else parts[0])
    x = keras.layers.Dense(embedding_size, activation="relu", name="segment_embedding")(x)
    future = FutureSegments(
        segments,
        size=embedding_size,
        channels=1 if joint else channels,
        covariates=covariates,
        name="future",
    )
    rnns = []
    for level in range(1, depth + 1):
        rnn = CELLS[cell](units, return_sequences=True, return_state=True, name=f"rnn_{level}")
        rnns.append(rnn)
    states = []
    for rnn in rnns:
        x, *final = rnn(x)
        states += final

    # The future: the same layers, a single step for each segment.
    x, *repeated = future((*states, known_future) if covariates else tuple(states))
    per_layer = len(states) // depth  # an LSTM has two states
    for level, rnn in enumerate(rnns):
        first = level * per_layer
        x, *_ = rnn(x, initial_state=repeated[first : first + per_layer])
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    width = segment_length * to_forecast.width * (channels if joint else 1)
    x = keras.layers.Dense(width, dtype="float32", name="segment_output")(x)
    unfold = UnfoldSegments(
        horizon,
        channels=channels,
        width=to_forecast.width,
        joint=joint,
        dtype="float32",
        name="steps",
    )
    denormalize = Denormalize(spread=to_forecast.spread, dtype="float32", name="denormalize")
    outputs = denormalize((to_forecast(unfold(x)), offset, scale))
    if linear:
        outputs = MixLinear(to_forecast, dtype="float32", name="linear")((outputs, window))
    return keras.Model(inputs if covariates else window, outputs, name="forecaster")


def recursive_forecaster(
    *,
    lookback: int,
    horizon: int,
    channels: int = 1,
    covariates: int = 0,
    teacher: bool = True,
    cell: str = "gru",
    units: int = 64,
    depth: int = 1,
    normalization: str = "last",
    head: str = "point",
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
) -> keras.Model:
    """Builds a network that forecasts the next `horizon` values one after the other, each from
    those before (Sutskever et al. 2014; Salinas et al. 2020): the form of most tutorials, and the
    one to compare `forecaster` with.

    float32[batch, lookback, channels] window, with a teacher float32[batch, horizon, channels]
    target, with covariates float32[batch, lookback + horizon, covariates], known ahead ->
    float32[batch, horizon, channels], with a probabilistic head one axis more

    An encoder reads the window, all channels together; a decoder continues from its states. In
    training the decoder reads the true value before each step, the `target`; otherwise it reads its
    own forecast, whose errors add up. A scale is that of one step, given that the forecasts before
    it were right: over many steps it is too narrow.

    Args:
        lookback: steps read.
        horizon: steps forecast.
        channels: number of series side by side, forecast jointly.
        covariates: number of values known ahead for every step; the encoder reads those of the
            past.
        teacher: whether the target is an input. Without it, for use, the weights are the same ones
            in the same order, `set_weights(model.get_weights())`.
        cell: recurrent cell of encoder and decoder: "simple_rnn", "lstm" or "gru".
        units: size of the state of encoder and decoder each.
        depth: number of layers of encoder and decoder each. The decoder is a loop over single
            steps, without fast GPU kernel.
        normalization: normalization of each window and channel, undone at the end, see
            `forecaster`.
        head: form of the forecast, see `forecaster`.
        quantiles: quantiles of the head "quantiles", increasing, between 0 and 1.

    Raises:
        InputError: a size is too small, or a cell, normalization, head or quantile is not accepted.
    """
    _check_sizes(1, lookback=lookback, horizon=horizon, channels=channels, units=units, depth=depth)
    _check_sizes(0, covariates=covariates)
    _check_cell(cell)
    to_forecast = ForecastHead(head, quantiles=quantiles, dtype="float32", name="head")

    window = keras.Input((lookback, channels), name="window")
    inputs = [window]
    x, offset, scale = Normalize(normalization, dtype="float32", name="normalize")(window)
    to_read = [x]
    if teacher:
        target = keras.Input((horizon, channels), name="target")
        inputs.append(target)
        to_read.append(Scale(dtype="float32", name="scale_target")((target, offset, scale)))
    encoded = x
    if covariates:
        known = keras.Input((lookback + horizon, covariates), name="covariates")
        inputs.append(known)
        past, future = _past_and_future(known, lookback=lookback, horizon=horizon)
        to_read.append(future)
        encoded = keras.layers.Concatenate(name="read")([x, past])
    steps = TeacherInput(horizon, target=teacher, covariates=covariates > 0, name="heard")(to_read)
    _, states = rnn_stack(
        encoded, mask=None, cell=cell, units=units, depth=depth, return_states=True, name="encoder"
    )
    cells = [STEP_CELLS[cell](units, name=f"decoder_{level}") for level in range(1, depth + 1)]
    feedback = FeedbackCell(
        cells, head=to_forecast, channels=channels, teacher=teacher, name="feedback"
    )
    decoder = keras.layers.RNN(feedback, return_sequences=True, name="decoder")
    crop = keras.layers.Cropping1D((lookback - 1, 0), name="crop")
    last = keras.layers.Reshape((channels,), dtype="float32", name="last")(crop(x))
    initial = [last]
    for final in states:
        initial += final
    x = decoder(steps, initial_state=initial)
    by_channel = (horizon, channels, to_forecast.width)
    x = keras.layers.Reshape(by_channel, dtype="float32", name="steps")(x)
    denormalize = Denormalize(spread=to_forecast.spread, dtype="float32", name="denormalize")
    outputs = denormalize((to_forecast(x), offset, scale))
    return keras.Model(inputs if len(inputs) > 1 else window, outputs, name="recursive_forecaster")


def without_teacher(model: keras.Model) -> keras.Model:
    """Rebuilds a `recursive_forecaster` for use, with the same weights and without the target;
    returns any other model as it is."""
    shapes = {part.name: part.shape for part in model.inputs}
    if not {"window", "target"} <= shapes.keys():
        return model
    feedback = model.get_layer("decoder").cell
    cell = feedback.cells[0]
    free = recursive_forecaster(
        lookback=shapes["window"][1],
        horizon=shapes["target"][1],
        channels=shapes["window"][2],
        covariates=shapes["covariates"][2] if "covariates" in shapes else 0,
        teacher=False,
        cell=next(name for name, kind in STEP_CELLS.items() if isinstance(cell, kind)),
        units=cell.units,
        depth=len(feedback.cells),
        normalization=model.get_layer("normalize").kind,
        head=feedback.head.kind,
        quantiles=feedback.head.quantiles,
    )
    free.set_weights(model.get_weights())
    return free
