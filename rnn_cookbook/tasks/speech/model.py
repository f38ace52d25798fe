"""Models that read sound."""

from collections.abc import Sequence

import keras

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.audio import (
    LogMel,
    RandomEqualizer,
    RunningNormalization,
    SpecAugment,
    UtteranceNormalization,
)
from rnn_cookbook.nn.convolution import LookAhead, MaskedConv1D, MaskedConv2D
from rnn_cookbook.nn.ctc import PadWithBlank
from rnn_cookbook.nn.masking import LengthMask
from rnn_cookbook.nn.recurrent import check_options, rnn_stack


def speech_recognizer(
    *,
    features: int,
    symbols: int,
    convolution: str = "time",
    filters: int = 64,
    kernel_size: int = 5,
    strides: int | Sequence[int] = (2,),
    cell: str = "lstm",
    units: int = 128,
    depth: int = 2,
    bidirectional: bool = True,
    look_ahead: int = 0,
    layer_norm: bool = False,
    dropout: float = 0.0,
    **rnn,
) -> keras.Model:
    """Frames of sound to symbols by connectionist temporal classification (Graves et al. 2006;
    Graves and Jaitly 2014).

    (float32[batch, frames, features], int32[batch] lengths) -> logits float32[batch, frames /
    product of strides, symbols], rounded up

    Symbol 0 is the blank. Padded frames emit it with certainty (`ctc.PadWithBlank`): the loss and
    the decoders of `ctc` over all frames are then those over the true lengths.

    Args:
        features: numbers a frame, such as log-mel energies.
        symbols: of the output, the blank included.
        convolution: "time", or "time_frequency", which hears higher and lower voices alike, see
            `layers.MaskedConv2D`.
        filters, kernel_size: of the convolutions under the recurrent layers.
        strides: one convolution each (a number is one); the frames get fewer by their product. ()
            reads the frames as they are.
        cell, units, depth, bidirectional: see `recurrent.rnn_stack`; `rnn` are further options of
            it. With bidirectional=False the convolutions see the past only, and `streaming`
            recognises while sound comes in.
        look_ahead: steps of the future that each answer waits for with bidirectional=False, see
            `layers.LookAhead`.
        layer_norm: normalise what the convolutions give, and each recurrent layer, step by step (Ba
            et al. 2016). Connectionist temporal classification spends its first epochs with blanks
            alone; with this, and with bidirectional=False above all, far fewer.
        dropout: on the input of the recurrent layers, between them and before the output, the same
            components at every step.

    Raises:
        InputError: no such convolution, cell or option.
    """
    check_options("speech_recognizer", rnn, own=("input_dropout",))
    frames = keras.Input((None, features), name="features")
    lengths = keras.Input((), dtype="int32", name="lengths")
    options = {
        "convolution": convolution,
        "filters": filters,
        "kernel_size": kernel_size,
        "strides": strides,
    }
    options |= {
        "cell": cell,
        "units": units,
        "depth": depth,
        "look_ahead": look_ahead,
        "layer_norm": layer_norm,
        **rnn,
    }
    logits = _recognized(
        frames, lengths, symbols=symbols, bidirectional=bidirectional, dropout=dropout, **options
    )
    return keras.Model([frames, lengths], logits, name="speech_recognizer")


def sound_recognizer(
    *,
    rate: int,
    symbols: int,
    bands: int = 40,
    window: float = 0.025,
    hop: float = 0.01,
    warp: float = 0.0,
    equalizer: float = 0.0,
    by_band: bool = False,
    masked_bands: int = 0,
    widest_band: int = 8,
    masked_stretches: int = 0,
    longest_stretch: int = 20,
    convolution: str = "time",
    filters: int = 64,
    kernel_size: int = 5,
    strides: int | Sequence[int] = (2,),
    cell: str = "lstm",
    units: int = 128,
    depth: int = 2,
    bidirectional: bool = True,
    look_ahead: int = 0,
    layer_norm: bool = False,
    dropout: float = 0.0,
    **rnn,
) -> keras.Model:
    """As `speech_recognizer`, from the samples: log-mel energies, their normalisation and what
    hides some of them live in the model.

    (float32[batch, samples], int32[batch] lengths) -> logits float32[batch, frames / product of
    strides, symbols], rounded up

    With bidirectional=False nothing sees the future beyond the window of a frame and `look_ahead`;
    `frame_model` is what `streaming` takes then.

    Args:
        rate: Hz of the samples.
        symbols: of the output, the blank included.
        bands, window, hop, warp: of the log-mel energies, see `sound.LogMel`.
        equalizer: dB by which frequencies are louder or softer in training, see
            `sound.RandomEqualizer`; 0 leaves them as they are.
        by_band: normalise each band by itself, see `sound.UtteranceNormalization` (with
            bidirectional=False `RunningNormalization`).
        masked_bands, widest_band, masked_stretches, longest_stretch: of what is hidden in training,
            see `sound.SpecAugment`.
        convolution, filters, kernel_size, strides, cell, units, depth, bidirectional, look_ahead,
            layer_norm, dropout: see `speech_recognizer`; `rnn` are further options.
    """
    check_options("sound_recognizer", rnn, own=("input_dropout",))
    samples = keras.Input((None,), name="samples")
    lengths = keras.Input((), dtype="int32", name="lengths")
    frames, counts = LogMel(rate, window=window, hop=hop, bands=bands, warp=warp, name="log_mel")(
        (samples, lengths)
    )
    if equalizer:
        frames = RandomEqualizer(equalizer, name="equalizer")((frames, counts))
    if bidirectional:
        x = UtteranceNormalization(by_feature=by_band, name="normalization")((frames, counts))
    else:
        x = RunningNormalization(by_feature=by_band, name="normalization")((frames, counts))
    if masked_bands or masked_stretches:
        masks = {
            "bands": masked_bands,
            "widest_band": widest_band,
            "stretches": masked_stretches,
            "longest_stretch": longest_stretch,
        }
        x = SpecAugment(**masks, name="spec_augment")((x, counts))
    options = {
        "convolution": convolution,
        "filters": filters,
        "kernel_size": kernel_size,
        "strides": strides,
    }
    options |= {
        "cell": cell,
        "units": units,
        "depth": depth,
        "look_ahead": look_ahead,
        "layer_norm": layer_norm,
        **rnn,
    }
    logits = _recognized(
        x, counts, symbols=symbols, bidirectional=bidirectional, dropout=dropout, **options
    )
    return keras.Model([samples, lengths], logits, name="sound_recognizer")


def frame_model(model: keras.Model) -> keras.Model:
    """What a `sound_recognizer` makes of the energies, weights shared: (float32[batch, frames,
    bands], int32[batch]) -> its logits."""
    return keras.Model(model.get_layer("log_mel").output, model.output, name="frame_model")


def _recognized(
    x,
    lengths,
    *,
    symbols,
    convolution,
    filters,
    kernel_size,
    strides,
    bidirectional,
    look_ahead,
    layer_norm,
    dropout,
    **rnn,
):
    """Logits of frames."""
    kinds = {"time": MaskedConv1D, "time_frequency": MaskedConv2D}
    if convolution not in kinds:
        raise InputError(f"convolution must be {' or '.join(kinds)}, got {convolution!r}")
    if bidirectional and look_ahead:
        raise InputError(
            f"look_ahead is for bidirectional=False: a network that reads both ways hears all of the future, got {look_ahead}"
        )
    mask = LengthMask(name="mask")((x, lengths))
    for level, stride in enumerate([strides] if isinstance(strides, int) else strides, start=1):
        channels = (
            {"channels": filters if level > 1 else 1} if convolution == "time_frequency" else {}
        )
        options = {"strides": stride, "causal": not bidirectional, "activation": "relu", **channels}
        x, mask = kinds[convolution](filters, kernel_size, **options, name=f"convolution_{level}")(
            (x, mask)
        )
    if layer_norm:
        x = keras.layers.LayerNormalization(name="convolution_norm")(x)
    x = rnn_stack(
        x,
        mask=mask,
        bidirectional=bidirectional,
        layer_norm=layer_norm,
        input_dropout=dropout,
        dropout=dropout,
        **rnn,
    )
    if look_ahead:
        x = LookAhead(look_ahead, name="look_ahead")((x, mask))
    if dropout:
        x = keras.layers.SpatialDropout1D(dropout, name="dropout")(x)
    logits = keras.layers.Dense(symbols, dtype="float32", name="logits")(x)
    return PadWithBlank(name="pad_with_blank")((logits, mask))
