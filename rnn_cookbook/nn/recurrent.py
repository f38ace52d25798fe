"""Recurrent encoders: SimpleRNN, LSTM or GRU, in one or both directions, several deep, with every
dropout of the literature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.nn.lstm import LSTM
from rnn_cookbook.nn.recurrent_layers import (
    Bidirectional,
    CarriedState,
    WeightDropGRU,
    WeightDropLSTM,
    WeightDropSimpleRNN,
)
from rnn_cookbook.nn.tensors import Tensor
from rnn_cookbook.settings import check_fractions

__all__ = ["CELLS", "MERGES", "check_options", "rnn_stack"]

MERGES = ("concat", "sum", "mul", "ave", None)


CELLS = {"simple_rnn": keras.layers.SimpleRNN, "lstm": LSTM, "gru": keras.layers.GRU}
_WEIGHT_DROPPED = {"simple_rnn": WeightDropSimpleRNN, "lstm": WeightDropLSTM, "gru": WeightDropGRU}


def _check_stack(
    *,
    cell: str,
    units: int,
    depth: int,
    bidirectional: bool,
    merge: str | None,
    layer_norm: bool,
    initial_states: Sequence[Sequence[Tensor]] | None,
    starts: Tensor | None,
    batch_size: int | None,
) -> None:
    """Raises InputError for options of `rnn_stack` that do not go together."""
    if cell not in CELLS:
        raise InputError(f"unknown cell {cell!r}; accepted are {', '.join(CELLS)}", field="cell")
    if merge not in MERGES:
        raise InputError(
            f"unknown merge {merge!r} of two directions; accepted are {', '.join(map(str, MERGES))}"
        )
    if bidirectional and merge is None and (depth > 1 or layer_norm):
        raise InputError(
            "merge=None returns two sequences, which neither a next layer nor layer_norm takes; "
            f"received depth={depth}, layer_norm={layer_norm}"
        )
    if units < 1 or depth < 1:
        raise InputError(
            f"units and depth must be at least 1; received units={units}, depth={depth}",
            field=("units", "depth"),
        )
    if (starts is None) != (batch_size is None):
        raise InputError(
            "carried states need both starts and batch_size; received "
            f"starts={starts}, batch_size={batch_size}"
        )
    if starts is not None and (bidirectional or initial_states):
        raise InputError(
            "states are carried in one direction, from the last batch; accepted is starts without "
            "bidirectional and initial_states"
        )
    if initial_states is not None and len(initial_states) != depth:
        raise InputError(
            f"initial_states must have one list of states for each of {depth} layers; received "
            f"{len(initial_states)}"
        )
    wanted = [units] * ((2 if cell == "lstm" else 1) * (2 if bidirectional else 1))
    for states in initial_states or ():
        if [state.shape[-1] for state in states] != wanted:
            raise InputError(
                f"initial_states must have {len(wanted)} states of {units} units for each layer; "
                f"received {listing(state.shape for state in states)}"
            )


def _outputs_and_states(found: Tensor, *, apart: bool, with_states: bool) -> tuple[Tensor, Tensor]:
    """Takes what a bidirectional layer returns apart: its output, or a pair of outputs, and its
    final states."""
    if not with_states:
        return found, []
    return (found[:2], found[2:]) if apart else (found[0], found[1:])


def rnn_stack(
    sequence: Tensor,
    *,
    mask: Tensor | None,
    cell: str = "lstm",
    units: int = 64,
    depth: int = 1,
    bidirectional: bool = False,
    merge: str | None = "concat",
    residual: bool = False,
    layer_norm: bool = False,
    input_dropout: float = 0.0,
    dropout: float = 0.0,
    variational: bool = True,
    recurrent_dropout: float = 0.0,
    weight_drop: float = 0.0,
    reset_after: bool = True,
    initial_states: Sequence[Sequence[Tensor]] | None = None,
    return_states: bool = False,
    starts: Tensor | None = None,
    batch_size: int | None = None,
    name: str = "rnn",
) -> Tensor:
    """Stacks recurrent layers over a padded sequence.

    (float[batch, time, features], bool[batch, time]) -> float[batch, time, units], twice the units
    if bidirectional and concatenated.

    Keras' defaults are kept: orthogonal recurrent kernels (Saxe et al. 2014), a forget-gate bias of
    1 (Jozefowicz et al. 2015), tanh and sigmoid. They keep LSTM and GRU eligible for the fast GPU
    kernels; `recurrent_dropout` and `reset_after=False` give the fast kernels up
    (`diagnostics.gpu_kernels` says what a model will use). SimpleRNN has no fast kernel.

    Args:
        sequence: Keras tensor to read.
        mask: True where there is a step; right-padded, with a step in every row
            (`masking.PaddingMask`). None if nothing is padded. Padding comes after all steps, so
            the recurrent layers are not handed the mask, which costs 15 to 30% of the training time
            on a CPU: backward layers read each sequence reversed instead, and outputs at padding
            are arbitrary. Only final states need the mask.
        cell: "simple_rnn" (Elman 1990), "lstm" (Hochreiter and Schmidhuber 1997) or "gru" (Cho et
            al. 2014).
        units: size of the state, in each direction.
        depth: number of layers.
        bidirectional: whether the sequence is read from both ends (Schuster and Paliwal 1997); not
            for streams, whose future is not known yet.
        merge: combination of the two directions: "concat", "sum", "mul" or "ave"; None returns both
            as a pair, for one layer only.
        residual: whether each layer's input is added to its output, from the second layer on (Wu et
            al. 2016).
        layer_norm: whether each layer's output is normalised, after the residual sum (Ba et al.
            2016). The normalisation lies between the layers, not inside the cells, which would turn
            the fast GPU kernels off.
        input_dropout: dropout rate of the input's components. Costs next to nothing, on a GPU too.
        dropout: dropout rate between the layers, not after the last. Costs next to nothing, on a
            GPU too.
        variational: whether the two rates above drop the same components at every step of a
            sequence (Gal and Ghahramani 2016); False draws anew at every step (Zaremba et al.
            2014).
        recurrent_dropout: dropout rate of the state from step to step, the same mask at every step
            (Gal and Ghahramani 2016). Turns the fast GPU kernels off, which is several times slower
            there: use `weight_drop` on a GPU.
        weight_drop: fraction of the recurrent kernel's entries that are dropped, one mask per batch
            (Merity et al. 2018). Regularises the recurrence like `recurrent_dropout`, and keeps the
            fast GPU kernels: a GPU pays for one mask of units * gates * units numbers per step.
        reset_after: whether the reset gate of a GRU is applied after the matrix product, as cuDNN
            has it; False is the original GRU, without fast GPU kernel.
        initial_states: a list of states for each layer, as `return_states` returns them; zeros by
            default.
        return_states: whether (sequence, states) is returned, with a list of final states for each
            layer: [h] or, for the LSTM, [h, c], float[batch, units] each; of a bidirectional layer
            the forward states, then the backward states.
        starts: bool[batch], True where a row begins a new sequence: the other rows continue where
            the last batch ended (`CarriedState`). Needs `batch_size`; not for bidirectional layers.
        batch_size: fixed number of rows of every batch, for carried states.
        name: prefix of the layers' names, which are numbered from 1.

    Raises:
        InputError: an option out of range, or options that do not go together.
    """
    _check_stack(
        cell=cell,
        units=units,
        depth=depth,
        bidirectional=bidirectional,
        merge=merge,
        layer_norm=layer_norm,
        initial_states=initial_states,
        starts=starts,
        batch_size=batch_size,
    )
    check_fractions(
        input_dropout=input_dropout,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        weight_drop=weight_drop,
    )
    options: dict[str, Any] = {"recurrent_dropout": recurrent_dropout}
    if cell == "gru":
        options["reset_after"] = reset_after
    if weight_drop:
        options["weight_drop"] = weight_drop
    make = _WEIGHT_DROPPED[cell] if weight_drop else CELLS[cell]
    noise = keras.layers.SpatialDropout1D if variational else keras.layers.Dropout
    final_states = []
    for level in range(1, depth + 1):
        prefix = f"{name}_{level}"
        below = sequence
        rate = input_dropout if level == 1 else dropout
        if rate:
            sequence = noise(rate, name=f"{prefix}_dropout")(sequence)
        layer = make(
            units,
            return_sequences=True,
            return_state=return_states or not bidirectional,
            name=prefix,
            **options,
        )
        initial = None if initial_states is None else list(initial_states[level - 1])
        if batch_size is not None:
            carried = CarriedState(layer, batch_size=batch_size, name=f"{prefix}_carried")
            sequence, *states = carried((sequence, starts, mask))
        elif bidirectional:
            both = Bidirectional(
                layer,
                merge_mode=merge,  # pyright: ignore[reportArgumentType]  # None is for a pair
                name=f"{prefix}_bidirectional",
            )
            sequence, states = _outputs_and_states(
                both(sequence, mask=mask, initial_state=initial),
                apart=merge is None,
                with_states=return_states,
            )
        else:
            needed = mask if return_states else None
            sequence, *states = layer(sequence, mask=needed, initial_state=initial)
        final_states.append(list(states))
        if residual and level > 1:
            sequence = keras.layers.Add(name=f"{prefix}_residual")([sequence, below])
        if layer_norm:
            sequence = keras.layers.LayerNormalization(name=f"{prefix}_norm")(sequence)
    return (sequence, final_states) if return_states else sequence


def check_options(
    builder: str,
    options: Mapping[str, Any],
    *,
    own: tuple[str, ...] = (),
    causal: bool = False,
) -> None:
    """Checks the options that a model builder passes on to `rnn_stack`.

    Args:
        builder: name of the builder, for messages.
        options: options of `rnn_stack` that the builder was given.
        own: options that the builder sets itself.
        causal: whether the model predicts what comes next.

    Raises:
        InputError: an option that the builder sets itself, or cannot use.
    """
    always = {"mask", "name", "initial_states", "return_states", "starts", "batch_size"}
    taken = (always | set(own)) & set(options)
    if taken:
        raise InputError(
            f"{builder} sets {listing(sorted(taken))} of its recurrent layers itself; accepted are "
            "the other options of rnn_stack"
        )
    if options.get("merge", "concat") is None:
        raise InputError(
            f"{builder} needs one sequence: accepted for merge are "
            f"{listing(filter(None, MERGES))}; received None"
        )
    if causal and options.get("bidirectional"):
        raise InputError(
            f"{builder} predicts what comes next, which a bidirectional layer would have seen "
            "already; accepted is bidirectional=False",
            field="bidirectional",
        )
