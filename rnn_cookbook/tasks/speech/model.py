"""Recognisers: from frames or samples to symbols by connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.audio import LogMel, RunningNormalization, UtteranceNormalization
from rnn_cookbook.nn.augmentation import RandomEqualizer, SpecAugment
from rnn_cookbook.nn.convolution import LookAhead, MaskedConv1D, MaskedConv2D
from rnn_cookbook.nn.ctc import PadWithBlank
from rnn_cookbook.nn.masking import LengthMask
from rnn_cookbook.nn.recurrent import check_options, rnn_stack
from rnn_cookbook.nn.streaming import stride_of

__all__ = ["INPUTS", "frame_model", "seconds_per_step", "sound_recognizer", "speech_recognizer"]

# What the inputs are, for who uses an exported network.
INPUTS = {
    "samples": "audio between -1 and 1 at the rate of `config` in export.json; 0 pads on the right",
    "features": "frames of audio, such as log-mel energies; padding on the right",
    "lengths": "number of samples (of `features`: frames) of each row without the padding",
}

CONVOLUTIONS = ("time", "time_frequency")


def _convolved(x, mask, *, convolution, filters, kernel_size, strides, causal):
    """The convolutions under the recurrent layers, one for each stride."""
    if convolution not in CONVOLUTIONS:
        raise InputError(
            f"convolution must be one of {', '.join(CONVOLUTIONS)}; received {convolution!r}",
            field="convolution",
        )
    for level, stride in enumerate([strides] if isinstance(strides, int) else strides, start=1):
        if convolution == "time":
            layer = MaskedConv1D(
                filters,
                kernel_size,
                strides=stride,
                causal=causal,
                activation="relu",
                name=f"convolution_{level}",
            )
        else:
            layer = MaskedConv2D(
                filters,
                kernel_size,
                strides=stride,
                causal=causal,
                activation="relu",
                channels=filters if level > 1 else 1,
                name=f"convolution_{level}",
            )
        x, mask = layer((x, mask))
    return x, mask


def _recognized(
    x,
    lengths,
    *,
    symbols: int,
    convolution: str,
    filters: int,
    kernel_size: int,
    strides: int | Sequence[int],
    cell: str,
    units: int,
    depth: int,
    bidirectional: bool,
    look_ahead: int,
    layer_norm: bool,
    dropout: float,
    **rnn,
):
    """The logits of normalised frames."""
    if bidirectional and look_ahead:
        raise InputError(
            "look_ahead must be 0 in a bidirectional network, which reads the whole future; "
            f"received {look_ahead}",
            field=("look_ahead", "bidirectional"),
        )
    x, mask = _convolved(
        x,
        LengthMask(name="mask")((x, lengths)),
        convolution=convolution,
        filters=filters,
        kernel_size=kernel_size,
        strides=strides,
        causal=not bidirectional,
    )
    if layer_norm:
        x = keras.layers.LayerNormalization(name="convolution_norm")(x)
    x = rnn_stack(
        x,
        mask=mask,
        cell=cell,
        units=units,
        depth=depth,
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
    """Builds a network from frames of audio to symbols by connectionist temporal classification
    (Graves et al. 2006; Graves and Jaitly 2014).

    (float32[batch, frames, features], int32[batch] lengths) -> logits float32[batch, frames /
    product of strides, symbols], rounded up

    Symbol 0 is the blank. Padded frames emit it with certainty (`nn.ctc.PadWithBlank`): the loss
    and the decoders of `nn.ctc` over all frames then equal those over the true lengths.

    Args:
        features: numbers per frame, such as log-mel energies.
        symbols: number of output symbols, the blank included.
        convolution: "time", or "time_frequency", which treats higher and lower voices alike, see
            `nn.convolution.MaskedConv2D`.
        filters: filters of each convolution under the recurrent layers.
        kernel_size: width of each convolution.
        strides: stride of each convolution (a number is one convolution); the frames get fewer by
            the product. () reads the frames as they are.
        cell: recurrent cell, see `nn.recurrent.rnn_stack`.
        units: size of the state, in each direction.
        depth: number of recurrent layers.
        bidirectional: whether the whole utterance is read in both directions; otherwise the
            convolutions see the past only, and `nn.streaming` recognises while audio comes in.
        look_ahead: future steps that each output waits for with bidirectional=False, see
            `nn.convolution.LookAhead`.
        layer_norm: whether the output of the convolutions and of each recurrent layer is
            normalised, step by step (Ba et al. 2016). CTC spends its first epochs with blanks
            alone; with this, and above all with bidirectional=False, far fewer.
        dropout: dropout rate on the input of the recurrent layers, between them and before the
            output; the same components are dropped at every step.
        **rnn: further options, see `nn.recurrent.rnn_stack`.

    Raises:
        InputError: no such convolution, cell or option.
    """
    check_options("speech_recognizer", rnn, own=("input_dropout",))
    frames = keras.Input((None, features), name="features")
    lengths = keras.Input((), dtype="int32", name="lengths")
    logits = _recognized(
        frames,
        lengths,
        symbols=symbols,
        convolution=convolution,
        filters=filters,
        kernel_size=kernel_size,
        strides=strides,
        cell=cell,
        units=units,
        depth=depth,
        bidirectional=bidirectional,
        look_ahead=look_ahead,
        layer_norm=layer_norm,
        dropout=dropout,
        **rnn,
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
    """Builds a `speech_recognizer` that reads samples: log-mel energies, their normalisation and
    their augmentation are layers of the model.

    (float32[batch, samples], int32[batch] lengths) -> logits float32[batch, frames / product of
    strides, symbols], rounded up

    With bidirectional=False nothing sees the future beyond the window of a frame and `look_ahead`;
    `nn.streaming` then takes `frame_model(model)`.

    Args:
        rate: Hz of the samples.
        symbols: number of output symbols, the blank included.
        bands: mel bands, see `nn.audio.LogMel`.
        window: seconds of a frame.
        hop: seconds between frames.
        warp: maximum fraction by which frequencies are higher or lower in training, see there.
        equalizer: dB by which frequencies are louder or softer in training, see
            `nn.augmentation.RandomEqualizer`; 0 leaves them as they are.
        by_band: whether each band is normalised by itself, see `nn.audio.UtteranceNormalization`
            (with bidirectional=False `nn.audio.RunningNormalization`).
        masked_bands: windows of mel bands that are hidden in training, see
            `nn.augmentation.SpecAugment`.
        widest_band: maximum number of bands in such a window.
        masked_stretches: windows of time that are hidden in training, see there.
        longest_stretch: maximum number of frames in such a window.
        convolution: kind of the convolutions, see `speech_recognizer`.
        filters: filters of each convolution, see there.
        kernel_size: width of each convolution.
        strides: stride of each convolution, see there.
        cell: recurrent cell, see `nn.recurrent.rnn_stack`.
        units: size of the state, in each direction.
        depth: number of recurrent layers.
        bidirectional: whether the whole utterance is read, see `speech_recognizer`.
        look_ahead: future steps that each output waits for, see there.
        layer_norm: whether layers are normalised, see there.
        dropout: dropout rate, see there.
        **rnn: further options, see `nn.recurrent.rnn_stack`.

    Raises:
        InputError: no such convolution, cell or option; settings that `nn.audio` does not accept.
    """
    check_options("sound_recognizer", rnn, own=("input_dropout",))
    samples = keras.Input((None,), name="samples")
    lengths = keras.Input((), dtype="int32", name="lengths")
    log_mel = LogMel(rate, window=window, hop=hop, bands=bands, warp=warp, name="log_mel")
    frames, counts = log_mel((samples, lengths))
    if equalizer:
        frames = RandomEqualizer(equalizer, name="equalizer")((frames, counts))
    normalization = UtteranceNormalization if bidirectional else RunningNormalization
    x = normalization(by_feature=by_band, name="normalization")((frames, counts))
    if masked_bands or masked_stretches:
        augment = SpecAugment(
            bands=masked_bands,
            widest_band=widest_band,
            stretches=masked_stretches,
            longest_stretch=longest_stretch,
            name="spec_augment",
        )
        x = augment((x, counts))
    logits = _recognized(
        x,
        counts,
        symbols=symbols,
        convolution=convolution,
        filters=filters,
        kernel_size=kernel_size,
        strides=strides,
        cell=cell,
        units=units,
        depth=depth,
        bidirectional=bidirectional,
        look_ahead=look_ahead,
        layer_norm=layer_norm,
        dropout=dropout,
        **rnn,
    )
    return keras.Model([samples, lengths], logits, name="sound_recognizer")


def frame_model(model: keras.Model) -> keras.Model:
    """Takes the part of a `sound_recognizer` after the energies, weights shared: (float32[batch,
    frames, bands], int32[batch]) -> its logits."""
    return keras.Model(model.get_layer("log_mel").output, model.output, name="frame_model")


def seconds_per_step(model: keras.Model) -> float:
    """Returns the seconds from one output of a `sound_recognizer` to the next."""
    return model.get_layer("log_mel").hop * stride_of(model)
