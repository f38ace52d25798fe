"""Models that read numbers over time: forecasters and the autoencoder."""

from collections.abc import Sequence

import keras

from rnn_cookbook.errors import InputError, check_shares
from rnn_cookbook.nn.forecast import (
    NORMALIZATIONS,
    Denormalize,
    FeedbackCell,
    FoldSegments,
    ForecastHead,
    FutureSegments,
    MixLinear,
    Normalize,
    Scale,
    TeacherInput,
    UnfoldSegments,
)
from rnn_cookbook.nn.recurrent import CELLS, rnn_stack

STEP_CELLS = {
    "simple_rnn": keras.layers.SimpleRNNCell,
    "lstm": keras.layers.LSTMCell,
    "gru": keras.layers.GRUCell,
}


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
    """The next `horizon` values from the last `lookback` ones, all at once (SegRNN: Lin et al.
    2023).

    float32[batch, lookback, channels] window, with `covariates` also float32[batch, lookback +
    horizon, covariates], known ahead
    -> float32[batch, horizon, channels], with a probabilistic head one axis more

    Segments of the window are the steps of the recurrent network, so that it takes lookback /
    segment_length steps; then the same network takes one step for each segment of the future, all
    of them side by side from the last state, told apart by their position (and the covariates in
    it). No forecast feeds on a forecast, so errors do not add up. Every channel is forecast from
    its own past by the same weights, unless they are read `joint`.

    Args:
        lookback, horizon: steps read and forecast. Where `segment_length` does not go into them
            evenly, the oldest steps of the window are not read, and the last segment of the future
            ends early.
        channels: series side by side.
        joint: read and forecast all channels together, rather than each by itself with the same
            weights. More weights and more that could be learnt; on the usual benchmarks less that
            is.
        covariates: numbers known ahead for every step, such as the calendar; shared by the
            channels. Segments of the past are read with theirs, so that what a promotion did can be
            told from the season.
        segment_length: steps of the series that make one step of the network; 1 is the ordinary
            recurrent forecaster.
        embedding_size: width of the segments' vectors.
        cell, units, depth: see `recurrent.rnn_stack`.
        dropout: before the output.
        normalization: of each window and channel, undone at the end: "last" subtracts the last
            value, "last_scaled" divides by the standard deviation, too, "standard" subtracts the
            mean instead (RevIN: Kim et al. 2022, without its affine map), "none".
        linear: be ready to be mixed with a linear forecast after training, see
            `forecasts.mix_linear`; the layer "linear" does nothing before.
        head: "point"; "quantiles", which cannot cross: [..., quantiles]; "gaussian": [..., (mean,
            scale)]; "student_t": [..., (mean, scale, degrees of freedom)]. See `losses` for what to
            train each with.
        quantiles: of the head "quantiles", rising, between 0 and 1.
    """
    sizes = {
        "channels": channels,
        "segment_length": segment_length,
        "embedding_size": embedding_size,
        "units": units,
        "depth": depth,
    }
    for name, size in {**sizes, "covariates": covariates + 1}.items():
        if size < 1:
            raise InputError(
                f"{name} must be {0 if name == 'covariates' else 1} or more, got {size - (name == 'covariates')}"
            )
    check_shares(dropout=dropout)
    if horizon < 1 or lookback < segment_length:
        raise InputError(
            f"a forecaster needs a horizon of 1 or more and a lookback of one segment_length={segment_length} or more, got {horizon} and "
            f"{lookback}"
        )
    if cell not in CELLS:
        raise InputError(f"unknown cell {cell!r}; accepted are {', '.join(CELLS)}")
    if normalization not in NORMALIZATIONS:
        raise InputError(
            f"unknown normalization {normalization!r}; accepted are {', '.join(NORMALIZATIONS)}"
        )
    finish = ForecastHead(head, quantiles=quantiles, dtype="float32", name="head")
    window = keras.Input((lookback, channels), name="window")
    inputs = [window]
    if covariates:
        inputs.append(keras.Input((lookback + horizon, covariates), name="covariates"))
    segments = -(-horizon // segment_length)
    past, known = _past_and_future(inputs[1:], lookback=lookback, horizon=horizon)
    if missing := segments * segment_length - horizon:
        known = [
            keras.layers.ZeroPadding1D((0, missing), dtype="float32", name="known_to_the_end")(part)
            for part in known
        ]
    x, offset, scale = Normalize(normalization, dtype="float32", name="normalize")(window)
    parts = [x, *past]
    if oldest := lookback % segment_length:
        parts = [keras.layers.Cropping1D((oldest, 0), dtype="float32")(part) for part in parts]
    x = FoldSegments(segment_length, joint=joint, name="segments")(
        tuple(parts) if covariates else parts[0]
    )
    x = keras.layers.Dense(embedding_size, activation="relu", name="segment_embedding")(x)
    future = FutureSegments(
        segments,
        size=embedding_size,
        channels=1 if joint else channels,
        covariates=covariates,
        name="future",
    )
    states = []
    rnns = [
        CELLS[cell](units, return_sequences=True, return_state=True, name=f"rnn_{level}")
        for level in range(1, depth + 1)
    ]
    for rnn in rnns:
        x, *final = rnn(x)
        states.append(final)
    x, *repeated = future((*(part for final in states for part in final), *known))
    for level, rnn in enumerate(rnns):
        parts = len(states[0])
        x, *_ = rnn(x, initial_state=repeated[level * parts : (level + 1) * parts])
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    outputs = segment_length * finish.width * (channels if joint else 1)
    x = keras.layers.Dense(outputs, dtype="float32", name="segment_output")(x)
    x = UnfoldSegments(
        horizon, channels=channels, width=finish.width, joint=joint, dtype="float32", name="steps"
    )(x)
    outputs = Denormalize(spread=finish.spread, dtype="float32", name="denormalize")(
        (finish(x), offset, scale)
    )
    if linear:
        outputs = MixLinear(finish, dtype="float32", name="linear")((outputs, window))
    return keras.Model(inputs if covariates else window, outputs, name="forecaster")


def _past_and_future(known: list, *, lookback: int, horizon: int) -> tuple[list, list]:
    """Covariates, if there are any, up to the end of the window and after it."""
    past = [
        keras.layers.Cropping1D((0, horizon), dtype="float32", name="known_past")(part)
        for part in known
    ]
    return past, [
        keras.layers.Cropping1D((lookback, 0), dtype="float32", name="known_future")(part)
        for part in known
    ]


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
    """The next `horizon` values one after the other, each from those before (Sutskever et al. 2014;
    Salinas et al. 2020): what most tutorials build, and what `forecaster` is to be compared with.

    float32[batch, lookback, channels] window, with a teacher float32[batch, horizon, channels]
    target, with covariates float32[batch, lookback + horizon, covariates], known ahead ->
    float32[batch, horizon, channels], with a probabilistic head one axis more

    An encoder reads the window, all channels together; a decoder goes on from its states. In
    training it hears what really came, the `target`; otherwise its own forecast, whose errors add
    up. A spread is that of one step, given that the forecasts before it were right: over many steps
    it is too narrow.

    Args:
        lookback, horizon: steps read and forecast.
        channels: series side by side, forecast jointly.
        covariates: numbers known ahead for every step; the encoder reads those of the past.
        teacher: take the target. Without, for use: the weights are the same ones in the same order,
            `set_weights(model.get_weights())`.
        cell, units, depth: of encoder and decoder each. The decoder is a loop over single steps,
            without fast GPU kernel.
        normalization: of each window and channel, undone at the end, see `forecaster`.
        head, quantiles: see `forecaster`.
    """
    if min(lookback, horizon, channels, units, depth, covariates + 1) < 1:
        raise InputError(
            "a forecaster needs a lookback, horizon, channels, units and depth of 1 or more and covariates of 0 or more, got "
            f"{lookback}, {horizon}, {channels}, {units}, {depth} and {covariates}"
        )
    if cell not in CELLS:
        raise InputError(f"unknown cell {cell!r}; accepted are {', '.join(CELLS)}")
    finish = ForecastHead(head, quantiles=quantiles, dtype="float32", name="head")
    window = keras.Input((lookback, channels), name="window")
    inputs = [window]
    x, offset, scale = Normalize(normalization, dtype="float32", name="normalize")(window)
    heard = [x]
    if teacher:
        inputs.append(keras.Input((horizon, channels), name="target"))
        heard.append(Scale(dtype="float32", name="scale_target")((inputs[-1], offset, scale)))
    if covariates:
        inputs.append(keras.Input((lookback + horizon, covariates), name="covariates"))
    past, future = _past_and_future(
        inputs[-1:] if covariates else [], lookback=lookback, horizon=horizon
    )
    heard += future
    steps = TeacherInput(horizon, target=teacher, covariates=covariates > 0, name="heard")(heard)
    read = keras.layers.Concatenate(name="read")([x, *past]) if covariates else x
    _, states = rnn_stack(
        read, mask=None, cell=cell, units=units, depth=depth, return_states=True, name="encoder"
    )
    cells = [STEP_CELLS[cell](units, name=f"decoder_{level}") for level in range(1, depth + 1)]
    feedback = FeedbackCell(cells, head=finish, channels=channels, teacher=teacher, name="feedback")
    loop = keras.layers.RNN(feedback, return_sequences=True, name="decoder")
    last = keras.layers.Reshape((channels,), dtype="float32", name="last")(
        keras.layers.Cropping1D((lookback - 1, 0), name="crop")(x)
    )
    x = loop(steps, initial_state=[last, *(state for final in states for state in final)])
    x = keras.layers.Reshape((horizon, channels, finish.width), dtype="float32", name="steps")(x)
    outputs = Denormalize(spread=finish.spread, dtype="float32", name="denormalize")(
        (finish(x), offset, scale)
    )
    return keras.Model(inputs if len(inputs) > 1 else window, outputs, name="recursive_forecaster")


def without_teacher(model: keras.Model) -> keras.Model:
    """A `recursive_forecaster` with the same weights that takes no target, for use; any other
    model, as it is."""
    shapes = {part.name: part.shape for part in model.inputs}
    if not {"window", "target"} <= shapes.keys():
        return model
    cell = model.get_layer("decoder").cell
    free = recursive_forecaster(
        lookback=shapes["window"][1],
        horizon=shapes["target"][1],
        channels=shapes["window"][2],
        covariates=shapes["covariates"][2] if "covariates" in shapes else 0,
        teacher=False,
        cell=next(name for name, kind in STEP_CELLS.items() if isinstance(cell.cells[0], kind)),
        units=cell.cells[0].units,
        depth=len(cell.cells),
        normalization=model.get_layer("normalize").kind,
        head=cell.head.kind,
        quantiles=cell.head.quantiles,
    )
    free.set_weights(model.get_weights())
    return free
