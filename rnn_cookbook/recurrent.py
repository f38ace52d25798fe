"""Recurrent encoders: SimpleRNN, LSTM or GRU, in one or both directions, several deep."""

import keras

from rnn_cookbook.errors import InputError

CELLS = {"simple_rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def rnn_stack(
    sequence,
    *,
    mask,
    cell: str = "lstm",
    units: int = 64,
    depth: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    name: str = "rnn",
):
    """Recurrent layers over a padded sequence, one on top of the other.

    (float[batch, time, features], bool[batch, time]) -> float[batch, time, units], twice the units when bidirectional.

    Keras' defaults are by the book and stay: orthogonal recurrent kernels (Saxe et al. 2014), forget-gate bias one (Jozefowicz et al.
    2015), tanh and sigmoid. They also keep the layers eligible for the fast GPU kernels; only `recurrent_dropout` gives that
    up.

    Args:
        sequence: what to read, a Keras tensor.
        mask: True where there is a step; right-padded, and every row has a step (`layers.PaddingMask`).
        cell: "simple_rnn" (Elman 1990), "lstm" (Hochreiter and Schmidhuber 1997) or "gru" (Cho et al. 2014).
        units: size of the state, in each direction.
        depth: number of layers.
        bidirectional: read from both ends and concatenate (Schuster and Paliwal 1997): no use where the future is not known yet.
        dropout: between the layers, the same units at every step (variational dropout: Gal and Ghahramani 2016).
        recurrent_dropout: on the state from step to step. Turns the fast GPU kernels off: several times slower there.
        name: of the layers, which are numbered from 1.
    """
    if cell not in CELLS:
        raise InputError(f"unknown cell {cell!r}; accepted are {', '.join(CELLS)}")
    if units < 1 or depth < 1:
        raise InputError(f"a recurrent stack needs 1 or more units and layers, got units={units}, depth={depth}")
    for level in range(1, depth + 1):
        if level > 1 and dropout:
            sequence = keras.layers.SpatialDropout1D(dropout, name=f"{name}_{level}_dropout")(sequence)
        layer = CELLS[cell](units, return_sequences=True, recurrent_dropout=recurrent_dropout, name=f"{name}_{level}")
        if bidirectional:
            layer = keras.layers.Bidirectional(layer, name=f"{name}_{level}_bidirectional")
        sequence = layer(sequence, mask=mask)
    return sequence
