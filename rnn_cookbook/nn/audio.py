"""From audio samples to normalised log-mel energies, as Keras layers, so that they are part of the
model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.examples import InputValues
from rnn_cookbook.nn.masking import ExplicitMask
from rnn_cookbook.nn.tensors import Tensor

__all__ = ["LogMel", "RunningNormalization", "UtteranceNormalization", "mel_filters"]

# Energy of a frame of samples within [-1, 1] that is below any microphone's noise.
_ENERGY_FLOOR = 1e-6

# Added to a variance, in squared nats: silence is not blown up to noise.
_VARIANCE_FLOOR = 1e-2

# Fraction of the highest frequency above which a warp becomes the straight line to the band's end.
_WARP_BORDER = 0.8

# Filter banks between the lowest and the highest warp, from which training draws.
_WARPS = 21


def _mel(hertz: Tensor) -> Tensor:
    return 2595 * np.log10(1 + hertz / 700)


def mel_filters(
    *, bins: int, rate: float, bands: int, lowest: float, highest: float, warp: float = 1.0
) -> np.ndarray:
    """Returns triangular filters, evenly spaced on the mel scale: float32[bins, bands].

    The mel scale is 2595 log10(1 + f / 700) (O'Shaughnessy 1987).

    Args:
        bins: number of frequencies of a spectrum, from 0 to half the rate.
        rate: sampling rate in Hz.
        bands: number of filters.
        lowest: lower end of the first filter in Hz.
        highest: upper end of the last filter in Hz.
        warp: factor on the frequencies of a voice, up to where the band ends (vocal-tract length
            perturbation: Jaitly and Hinton 2013).
    """
    corners = np.linspace(_mel(lowest), _mel(highest), bands + 2)
    corners = 700 * (10 ** (corners / 2595) - 1)
    border = _WARP_BORDER * highest * min(1 / warp, 1)
    slope = (highest - border * warp) / (highest - border)
    corners = np.where(corners <= border, corners * warp, highest - slope * (highest - corners))
    frequency = np.linspace(0, rate / 2, bins)[:, None]
    left = corners[:-2]
    middle = corners[1:-1]
    right = corners[2:]
    rising = (frequency - left) / (middle - left)
    falling = (right - frequency) / (right - middle)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def _fourier_matrix(length: int, bins: int) -> np.ndarray:
    """Returns cosines and sines under a Hann window: float32[length, 2 * bins]."""
    times = np.arange(length)
    angles = 2 * np.pi * np.outer(times, np.arange(bins)) / (2 * (bins - 1))
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * times / length)
    waves = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    return (waves * hann[:, None]).astype(np.float32)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class LogMel(ExplicitMask):
    """The logarithm of the energy in mel bands, frame by frame.

    (float32[batch, samples], int32[batch] lengths) -> (float32[batch, frames, bands] in nats,
    int32[batch] frames)

    A frame is a Hann window of samples. The first frame begins with the first sample; frames that
    would reach beyond the length are left out, except the first, so that no audio has zero frames.
    Samples beyond the length are read as 0, whatever stands there.

    Args:
        rate: sampling rate in Hz.
        window: length of a frame in seconds.
        hop: time from one frame to the next in seconds.
        bands: number of mel filters.
        lowest: lower end of the first filter in Hz.
        highest: upper end of the last filter in Hz; 0 is half the rate.
        warp: largest relative change of the frequencies of an example in training, at random, as
            longer and shorter vocal tracts change them (Jaitly and Hinton 2013).

    Raises:
        InputError: the window is shorter than a sample, the bands do not fit below half the rate,
            or the warp is out of range.
    """

    # Audio lies between -1 and 1; 200 samples are a few frames at any usual rate.
    input_values = (InputValues(deviation=0.1, steps=200), InputValues(lengths=True))

    def __init__(
        self,
        rate: int,
        *,
        window: float = 0.025,
        hop: float = 0.01,
        bands: int = 40,
        lowest: float = 50.0,
        highest: float = 0.0,
        warp: float = 0.0,
        **kwargs,
    ):
        kwargs["dtype"] = "float32"  # half precision has no room for energies
        super().__init__(**kwargs)
        self.rate = rate
        self.window = window
        self.hop = hop
        self.bands = bands
        self.lowest = lowest
        self.highest = highest
        self.warp = warp
        self.length = round(window * rate)  # samples
        self.step = round(hop * rate)  # samples
        if self.length < 2 or self.step < 1:
            raise InputError(
                f"window and hop must be at least 2 samples and 1 at {rate} Hz; received {window} "
                f"and {hop} s",
                field=("window", "hop"),
            )
        top = highest or rate / 2
        if not 0 <= lowest < top <= rate / 2:
            raise InputError(
                f"mel bands must lie between 0 and {rate / 2} Hz, half the rate; received {lowest} "
                f"to {top} Hz"
            )
        if not 0 <= warp < 0.5:
            raise InputError(
                f"warp must be at least 0 and below 0.5; received {warp}", field="warp"
            )
        # Of the next power of two samples.
        self.bins = 2 ** int(np.ceil(np.log2(self.length))) // 2 + 1
        # The Fourier transform of a frame as a matrix product: of so few samples it costs little,
        # and ONNX has no complex numbers.
        self._waves = _fourier_matrix(self.length, self.bins)
        warps = np.linspace(1 - warp, 1 + warp, _WARPS) if warp else np.ones(1)
        self._filters = np.stack([self._filter_bank(top, factor) for factor in warps])
        if bands < 1 or not self._filter_bank(top, 1.0).any(axis=0).all():
            raise InputError(
                f"bands must each hold a frequency of windows of {self.length} samples; received "
                f"{bands} bands",
                field="bands",
            )
        self.seed_generator = keras.random.SeedGenerator()

    def _filter_bank(self, highest: float, warp: float) -> np.ndarray:
        return mel_filters(
            bins=self.bins,
            rate=self.rate,
            bands=self.bands,
            lowest=self.lowest,
            highest=highest,
            warp=warp,
        )

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        samples: Tensor = tf.cast(inputs[0], tf.float32)
        lengths: Tensor = tf.cast(inputs[1], tf.int32)
        samples = tf.where(tf.sequence_mask(lengths, tf.shape(samples)[1]), samples, 0)
        missing: Tensor = tf.maximum(0, self.length - tf.shape(samples)[1])
        samples = tf.pad(samples, [[0, 0], [0, missing]])
        frames = tf.signal.frame(samples, self.length, self.step)
        waves: Tensor = tf.matmul(frames, tf.constant(self._waves))
        energies = tf.square(waves[..., : self.bins]) + tf.square(waves[..., self.bins :])
        filters = tf.constant(self._filters)
        if training and self.warp:
            which = keras.random.randint(
                (tf.shape(samples)[0],), 0, len(self._filters), seed=self.seed_generator
            )
            bands = tf.matmul(energies, tf.gather(filters, which))
        else:
            bands = tf.matmul(energies, filters[len(self._filters) // 2])
        return tf.math.log(bands + _ENERGY_FLOOR), self.frames(lengths)

    def frames(self, lengths: Tensor) -> Tensor:
        """Returns the number of frames: int32[...] samples -> int32[...]."""
        return 1 + tf.maximum(0, lengths - self.length) // self.step

    def compute_output_spec(self, inputs: Any, training: bool = False) -> Any:
        samples, lengths = inputs
        return (
            keras.KerasTensor((samples.shape[0], None, self.bands), "float32"),
            keras.KerasTensor(lengths.shape, "int32"),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rate": self.rate,
            "window": self.window,
            "hop": self.hop,
            "bands": self.bands,
            "lowest": self.lowest,
            "highest": self.highest,
            "warp": self.warp,
        }


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class UtteranceNormalization(ExplicitMask):
    """Scales each example to mean 0 and variance 1 over its frames: loudness drops out.

    (float[batch, frames, features], int32[batch] frames) -> float32[batch, frames, features];
    padding is 0.

    Args:
        by_feature: whether each feature is scaled by itself, so that the frequency response of
            microphone and room drops out, too. In short audio the colour of its only vowel drops
            out as well: for utterances of several words.
    """

    def __init__(self, *, by_feature: bool = False, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.by_feature = by_feature

    def call(self, inputs: Any) -> Tensor:
        features: Tensor = tf.cast(inputs[0], tf.float32)
        frames: Tensor = tf.sequence_mask(inputs[1], tf.shape(features)[1], tf.float32)
        mask = frames[..., None]
        axes = [1] if self.by_feature else [1, 2]
        count = tf.reduce_sum(mask, axis=1, keepdims=True)
        count = count * (1 if self.by_feature else features.shape[-1])
        mean = tf.reduce_sum(features * mask, axis=axes, keepdims=True) / count
        centred = (features - mean) * mask
        variance = tf.reduce_sum(tf.square(centred), axis=axes, keepdims=True) / count
        return centred / tf.sqrt(variance + _VARIANCE_FLOOR)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "by_feature": self.by_feature}

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(inputs[0].shape, "float32")


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class RunningNormalization(ExplicitMask):
    """Scales each example to mean 0 and variance 1 over the frames so far, for streams.

    (float[batch, frames, features], int32[batch] frames) -> float32[batch, frames, features];
    padding is 0.

    Before the first frame mean and variance are learnt numbers, which count as `prior` frames.

    Args:
        by_feature: whether each feature is scaled by itself, see `UtteranceNormalization`;
            otherwise the features share mean and variance, relative to a learnt mean of each.
        prior: number of frames that the learnt mean and variance count as.
        mean: initial value of the learnt means, such as that of log-mel energies in nats.
        deviation: initial value of the learnt standard deviations.

    Raises:
        InputError: `prior` or `deviation` is not above 0.
    """

    def __init__(
        self,
        *,
        by_feature: bool = False,
        prior: float = 50.0,
        mean: float = -5.0,
        deviation: float = 3.0,
        **kwargs,
    ):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        if prior <= 0 or deviation <= 0:
            raise InputError(
                f"prior and deviation must be above 0; received {prior} and {deviation}"
            )
        self.by_feature = by_feature
        self.prior = prior
        self.initial_mean = mean
        self.initial_deviation = deviation

    def build(self, input_shape: Any) -> None:
        features = input_shape[0][-1]
        mean: Any = keras.initializers.Constant(self.initial_mean)
        log_variance: Any = keras.initializers.Constant(np.log(self.initial_deviation**2))
        self.mean = self.add_weight(shape=(features,), initializer=mean, name="mean")
        self.log_variance = self.add_weight(
            shape=(features if self.by_feature else 1,),
            initializer=log_variance,
            name="log_variance",
        )

    def call(self, inputs: Any) -> Tensor:
        features, lengths = inputs
        batch = tf.shape(features)[0]
        zeros: dict[str, Tensor] = {
            name: tf.zeros((batch, *shape)) for name, shape in self.stream_states().items()
        }
        normalized, _ = self.stream(inputs, zeros)
        mask: Tensor = tf.sequence_mask(lengths, tf.shape(features)[1], tf.float32)
        return normalized * mask[..., None]

    def stream_states(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of the states of a stream, see `nn.streaming`."""
        return {"count": (1,), "sum": self.log_variance.shape, "squares": self.log_variance.shape}

    stream_drops = (1,)  # all the frames of a chunk are there

    def _common(self, features: Tensor) -> Tensor:
        if self.by_feature:
            return features
        return tf.reduce_mean(features, axis=2, keepdims=True)

    def stream(self, inputs: Tensor, states: dict[str, Tensor]) -> tuple[Any, dict[str, Tensor]]:
        """Scales a chunk: the inputs of `call` and the last states -> (outputs, new states)."""
        features: Tensor = tf.cast(inputs[0], tf.float32)
        centred = features - self.mean  # squares of values near 0 lose no digits
        frames: Tensor = tf.range(1.0, tf.cast(tf.shape(features)[1], tf.float32) + 1)
        count = states["count"][:, None] + frames[None, :, None]
        total = states["sum"][:, None] + tf.cumsum(self._common(centred), axis=1)
        squares = tf.cumsum(self._common(tf.square(centred)), axis=1)
        squares = states["squares"][:, None] + squares
        mean = total / (count + self.prior)
        power = (squares + self.prior * tf.exp(self.log_variance)) / (count + self.prior)
        variance = tf.maximum(power - tf.square(mean), 0)
        after = {"count": count[:, -1], "sum": total[:, -1], "squares": squares[:, -1]}
        return (centred - mean) / tf.sqrt(variance + _VARIANCE_FLOOR), after

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(inputs[0].shape, "float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "by_feature": self.by_feature,
            "prior": self.prior,
            "mean": self.initial_mean,
            "deviation": self.initial_deviation,
        }
