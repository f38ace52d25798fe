"""From samples to what a recogniser reads: log-mel energies, their normalisation, and what hides
some of them in training. All are Keras layers, so that they live in the model."""

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.examples import InputValues
from rnn_cookbook.nn.masking import ExplicitMask

_FLOOR = 1e-6  # of an energy of samples within [-1, 1]: below any microphone's noise


def mel_filters(
    *, bins: int, rate: float, bands: int, lowest: float, highest: float, warp: float = 1.0
) -> np.ndarray:
    """Triangular filters, evenly spaced on the mel scale (O'Shaughnessy 1987: 2595 log10(1 + f /
    700)): float32[bins, bands].

    Args:
        bins: frequencies of a spectrum, from 0 to half the rate.
        rate: Hz of the samples.
        bands: filters.
        lowest, highest: Hz that they span.
        warp: the frequencies of a voice are taken to be so many times as high, up to where the band
            ends (vocal-tract length perturbation: Jaitly and Hinton 2013).
    """
    mel = lambda hertz: 2595 * np.log10(1 + hertz / 700)
    corners = 700 * (10 ** (np.linspace(mel(lowest), mel(highest), bands + 2) / 2595) - 1)
    border = 0.8 * highest * min(1 / warp, 1)  # a straight line from there to the end
    slope = (highest - border * warp) / (highest - border)
    corners = np.where(corners <= border, corners * warp, highest - slope * (highest - corners))
    frequency = np.linspace(0, rate / 2, bins)[:, None]
    left, middle, right = corners[:-2], corners[1:-1], corners[2:]
    up, down = (frequency - left) / (middle - left), (right - frequency) / (right - middle)
    return np.maximum(0, np.minimum(up, down)).astype(np.float32)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class LogMel(ExplicitMask):
    """Logarithm of the energy in mel bands, frame by frame.

    (float32[batch, samples], int32[batch] lengths) -> (float32[batch, frames, bands] in nats,
    int32[batch] frames)

    A frame is a window (Hann) of samples; the first one begins with the first sample, and those
    that would reach beyond the length of a sound are left out, but for the first, so that no sound
    has none. What is padding is 0, whatever stands there.

    Args:
        rate: Hz.
        window, hop: seconds of a frame, and from one to the next.
        bands: mel filters.
        lowest, highest: Hz that they span; 0 for half the rate.
        warp: in training the frequencies of each sound are stretched or squeezed at random by up to
            this share, as those of longer and shorter vocal tracts are (Jaitly and Hinton 2013).
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
        super().__init__(
            **{**kwargs, "dtype": "float32"}
        )  # half precision has no room for energies
        self.rate, self.window, self.hop, self.bands, self.lowest, self.highest, self.warp = (
            rate,
            window,
            hop,
            bands,
            lowest,
            highest,
            warp,
        )
        self.length, self.step = round(window * rate), round(hop * rate)  # samples
        top = highest or rate / 2
        if self.length < 2 or self.step < 1:
            raise InputError(
                f"a window of {window} s every {hop} s is less than a sample at {rate} Hz"
            )
        if not 0 <= lowest < top <= rate / 2:
            raise InputError(
                f"mel bands from {lowest} to {top} Hz do not fit into 0 to {rate / 2} Hz, half the rate"
            )
        if not 0 <= warp < 0.5:
            raise InputError(f"warp must be at least 0 and below 0.5, got {warp}")
        self.bins = 2 ** int(np.ceil(np.log2(self.length))) // 2 + 1
        # The Fourier transform of a frame as a matrix product: of so few samples it costs little,
        # and ONNX has no complex numbers.
        angles = (
            2
            * np.pi
            * np.outer(np.arange(self.length), np.arange(self.bins))
            / (2 * (self.bins - 1))
        )
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.length) / self.length)
        self._waves = (
            np.concatenate([np.cos(angles), np.sin(angles)], axis=1) * hann[:, None]
        ).astype(np.float32)
        warps = np.linspace(1 - warp, 1 + warp, 21) if warp else [1.0]
        shape = {"bins": self.bins, "rate": rate, "bands": bands, "lowest": lowest, "highest": top}
        self._filters = np.stack([mel_filters(**shape, warp=each) for each in warps])
        if bands < 1 or not mel_filters(**shape).any(axis=0).all():
            raise InputError(
                f"{bands} mel bands are too many or too few for windows of {self.length} samples: some would be empty"
            )
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs, training=False):
        samples, lengths = tf.cast(inputs[0], tf.float32), tf.cast(inputs[1], tf.int32)
        samples = tf.where(tf.sequence_mask(lengths, tf.shape(samples)[1]), samples, 0)
        samples = tf.pad(samples, [[0, 0], [0, tf.maximum(0, self.length - tf.shape(samples)[1])]])
        waves = tf.matmul(
            tf.signal.frame(samples, self.length, self.step), tf.constant(self._waves)
        )
        energies = tf.square(waves[..., : self.bins]) + tf.square(waves[..., self.bins :])
        filters = tf.constant(self._filters)
        if training and self.warp:
            which = keras.random.randint(
                (tf.shape(samples)[0],), 0, len(self._filters), seed=self.seed_generator
            )
            bands = tf.matmul(energies, tf.gather(filters, which))
        else:
            bands = tf.matmul(energies, filters[len(self._filters) // 2])
        return tf.math.log(bands + _FLOOR), self.frames(lengths)

    def frames(self, lengths):
        """Of sounds of so many samples: int32[...] -> int32[...]."""
        return 1 + tf.maximum(0, lengths - self.length) // self.step

    def compute_output_spec(self, inputs, training=False):
        samples, lengths = inputs
        return keras.KerasTensor(
            (samples.shape[0], None, self.bands), "float32"
        ), keras.KerasTensor(lengths.shape, "int32")

    def get_config(self):
        names = ("rate", "window", "hop", "bands", "lowest", "highest", "warp")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class UtteranceNormalization(ExplicitMask):
    """Each sound with mean 0 and variance 1 over its frames: how loud it is drops out.

    (float[batch, frames, features], int32[batch] frames) -> float32[batch, frames, features];
    padding is 0.

    Args:
        by_feature: each feature by itself, so that the colour of microphone and room drops out,
            too. Of a short sound, that of the one vowel in it goes along: for sounds of several
            words.
    """

    def __init__(self, *, by_feature: bool = False, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.by_feature = by_feature

    def call(self, inputs):
        features, lengths = tf.cast(inputs[0], tf.float32), inputs[1]
        mask = tf.sequence_mask(lengths, tf.shape(features)[1], tf.float32)[..., None]
        axes = [1] if self.by_feature else [1, 2]
        count = tf.reduce_sum(mask, axis=1, keepdims=True) * (
            1 if self.by_feature else features.shape[-1]
        )
        centred = (
            features - tf.reduce_sum(features * mask, axis=axes, keepdims=True) / count
        ) * mask
        variance = tf.reduce_sum(tf.square(centred), axis=axes, keepdims=True) / count
        return centred / tf.sqrt(variance + 1e-2)

    def get_config(self):
        return {**super().get_config(), "by_feature": self.by_feature}

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs[0].shape, "float32")


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class RunningNormalization(ExplicitMask):
    """Each sound with mean 0 and variance 1 over the frames so far, for recognition while the sound
    comes in.

    (float[batch, frames, features], int32[batch] frames) -> float32[batch, frames, features];
    padding is 0.

    Before the first frame mean and variance are learnt numbers, which count as `prior` frames.

    Args:
        by_feature: each feature by itself, see `UtteranceNormalization`; otherwise what is common
            to them, from learnt means of each.
        prior: see there.
        mean, deviation: what learning begins with, such as those of log-mel energies.
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
        super().__init__(**{**kwargs, "dtype": "float32"})
        if prior <= 0 or deviation <= 0:
            raise InputError(
                f"the prior must count as some frames and the deviation be above 0, got {prior} and {deviation}"
            )
        self.by_feature, self.prior, self.begin = (
            by_feature,
            prior,
            {"mean": mean, "deviation": deviation},
        )

    def build(self, input_shape):
        features, mean, variance = (
            input_shape[0][-1],
            self.begin["mean"],
            self.begin["deviation"] ** 2,
        )
        shape = (features if self.by_feature else 1,)
        self.mean = self.add_weight(
            shape=(features,), initializer=keras.initializers.Constant(mean), name="mean"
        )
        self.log_variance = self.add_weight(
            shape=shape,
            initializer=keras.initializers.Constant(np.log(variance)),
            name="log_variance",
        )

    def call(self, inputs):
        features, lengths = inputs
        zeros = {
            name: tf.zeros((tf.shape(features)[0], *shape))
            for name, shape in self.stream_states().items()
        }
        normalized, _ = self.stream(inputs, zeros)
        return normalized * tf.sequence_mask(lengths, tf.shape(features)[1], tf.float32)[..., None]

    def stream_states(self):
        return {"count": (1,), "sum": self.log_variance.shape, "squares": self.log_variance.shape}

    stream_drops = (1,)  # all the frames of a chunk are there

    def stream(self, inputs, states):
        features = tf.cast(inputs[0], tf.float32)
        centred = features - self.mean  # squares of what lies near 0 lose no digits
        count = (
            states["count"][:, None]
            + tf.range(1.0, tf.cast(tf.shape(features)[1], tf.float32) + 1)[None, :, None]
        )
        common = (
            (lambda x: x)
            if self.by_feature
            else (lambda x: tf.reduce_mean(x, axis=2, keepdims=True))
        )
        total = states["sum"][:, None] + tf.cumsum(common(centred), axis=1)
        squares = states["squares"][:, None] + tf.cumsum(common(tf.square(centred)), axis=1)
        mean = total / (count + self.prior)
        variance = (squares + self.prior * tf.exp(self.log_variance)) / (
            count + self.prior
        ) - tf.square(mean)
        after = {
            name: x[:, -1] for name, x in (("count", count), ("sum", total), ("squares", squares))
        }
        return (centred - mean) / tf.sqrt(tf.maximum(variance, 0) + 1e-2), after

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs[0].shape, "float32")

    def get_config(self):
        return {
            **super().get_config(),
            "by_feature": self.by_feature,
            "prior": self.prior,
            **self.begin,
        }


class _InTraining(ExplicitMask):
    """Features that `disturbed(features, lengths)` changes at random in training; in use, streams
    included, they stay as they are."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs, training=False):
        features, lengths = inputs
        return self.disturbed(features, lengths) if training else features

    stream_drops = (1,)

    def stream_states(self):
        return {}

    def stream(self, inputs, states):
        return inputs[0], states

    def compute_output_spec(self, inputs, training=False):
        return keras.KerasTensor(inputs[0].shape, inputs[0].dtype)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class RandomEqualizer(_InTraining):
    """In training, the frequencies of each sound are louder or softer by a smooth curve of its own,
    the same in all its frames, as through another microphone in another room (compare
    FilterAugment: Nam et al. 2022).

    (float[batch, frames, bands] in nats, int32[batch] frames) -> float32[batch, frames, bands]

    Args:
        gain: dB, standard deviation of the curve over bands and sounds.
        waves: cosines that the curve is a sum of: half a wave over all bands, a whole one, and so
            on, the k-th of 1/k the size.
    """

    def __init__(self, gain: float, *, waves: int = 6, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        if gain < 0 or waves < 1:
            raise InputError(
                f"RandomEqualizer takes a gain of 0 dB or more and 1 wave or more, got {gain} and {waves}"
            )
        self.gain, self.waves = gain, waves

    def disturbed(self, features, lengths):
        bands, order = features.shape[-1], np.arange(1, self.waves + 1)[:, None]
        curves = np.cos(np.pi * order * (np.arange(bands) + 0.5) / bands) / order
        curves *= self.gain * np.log(10) / 10 / np.sqrt(np.square(curves).sum(axis=0).mean())
        sizes = keras.random.normal((tf.shape(lengths)[0], self.waves), seed=self.seed_generator)
        return features + tf.matmul(sizes, tf.constant(curves, tf.float32))[:, None, :]

    def get_config(self):
        return {**super().get_config(), "gain": self.gain, "waves": self.waves}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class SpecAugment(_InTraining):
    """In training, bands and stretches of time are set to 0 (Park et al. 2019, "SpecAugment").

    (float[batch, frames, features], int32[batch] frames) -> the same features

    Args:
        bands, widest_band: how many stretches of features, and how wide the widest may be.
        stretches, longest_stretch: the same of frames; none takes more than `share` of a sound's
            frames.
        share: see there.
    """

    def __init__(
        self,
        *,
        bands: int = 2,
        widest_band: int = 8,
        stretches: int = 2,
        longest_stretch: int = 20,
        share: float = 0.1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if min(bands, widest_band, stretches, longest_stretch) < 0 or not 0 <= share <= 1:
            raise InputError("SpecAugment takes counts of 0 or more, and a share from 0 to 1")
        self.bands, self.widest_band, self.stretches, self.longest_stretch, self.share = (
            bands,
            widest_band,
            stretches,
            longest_stretch,
            share,
        )

    def disturbed(self, features, lengths):
        width = tf.shape(features)[2]
        for _ in range(self.bands):
            limit = tf.fill(tf.shape(lengths), tf.minimum(self.widest_band, width))
            features = tf.where(
                self._stretch(limit, tf.fill(tf.shape(lengths), width), width)[:, None, :],
                0.0,
                features,
            )
        for _ in range(self.stretches):
            limit = tf.minimum(
                self.longest_stretch, tf.cast(self.share * tf.cast(lengths, tf.float32), tf.int32)
            )
            features = tf.where(
                self._stretch(limit, lengths, tf.shape(features)[1])[..., None], 0.0, features
            )
        return features

    def _stretch(self, limit, lengths, size):
        """bool[batch, size]: at random at most `limit` in a row, within the length."""
        draw = lambda: keras.random.uniform(tf.shape(lengths), seed=self.seed_generator)
        count = tf.cast(draw() * tf.cast(limit + 1, tf.float32), tf.int32)
        start = tf.cast(draw() * tf.cast(lengths - count + 1, tf.float32), tf.int32)
        place = tf.range(size)
        return (place >= start[:, None]) & (place < (start + count)[:, None])

    def get_config(self):
        names = ("bands", "widest_band", "stretches", "longest_stretch", "share")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
