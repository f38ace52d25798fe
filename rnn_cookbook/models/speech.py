"""Models that read sound."""

from collections.abc import Sequence

import keras

from rnn_cookbook.ctc import PadWithBlank
from rnn_cookbook.layers import LengthMask, MaskedConv1D
from rnn_cookbook.recurrent import check_options, rnn_stack


def speech_recognizer(
    *,
    features: int,
    symbols: int,
    filters: int = 64,
    kernel_size: int = 5,
    strides: int | Sequence[int] = (2,),
    cell: str = "lstm",
    units: int = 128,
    depth: int = 2,
    bidirectional: bool = True,
    dropout: float = 0.0,
    **rnn,
) -> keras.Model:
    """Frames of sound to symbols by connectionist temporal classification (Graves et al. 2006; Graves and Jaitly 2014).

    (float32[batch, frames, features], int32[batch] lengths) -> logits float32[batch, frames / product of strides, symbols], rounded up

    Symbol 0 is the blank. Padded frames emit it with certainty (`ctc.PadWithBlank`): the loss and the decoders of `ctc` over all frames are
    then those over the true lengths.

    Args:
        features: numbers a frame, such as log-mel energies.
        symbols: of the output, the blank included.
        filters, kernel_size: of the convolutions under the recurrent layers.
        strides: one convolution each (a number is one); the frames get fewer by their product. () reads the frames as they are.
        cell, units, depth, bidirectional: see `recurrent.rnn_stack`; `rnn` are further options of it. With bidirectional=False the
            convolutions see the past only, and `streaming` recognises while sound comes in.
        dropout: on the input of the recurrent layers, between them and before the output, the same components at every step.
    """
    check_options("speech_recognizer", rnn, own=("input_dropout",))
    frames = keras.Input((None, features), name="features")
    lengths = keras.Input((), dtype="int32", name="lengths")
    x, mask = frames, LengthMask(name="mask")((frames, lengths))
    for level, stride in enumerate([strides] if isinstance(strides, int) else strides, start=1):
        x, mask = MaskedConv1D(
            filters, kernel_size, strides=stride, causal=not bidirectional, activation="relu", name=f"convolution_{level}"
        )((x, mask))
    x = rnn_stack(
        x, mask=mask, cell=cell, units=units, depth=depth, bidirectional=bidirectional, input_dropout=dropout, dropout=dropout, **rnn
    )
    if dropout:
        x = keras.layers.SpatialDropout1D(dropout, name="dropout")(x)
    logits = keras.layers.Dense(symbols, dtype="float32", name="logits")(x)
    return keras.Model([frames, lengths], PadWithBlank(name="pad_with_blank")((logits, mask)), name="speech_recognizer")
