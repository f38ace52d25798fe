"""Random changes of audio features in training, as Keras layers: an equalizer, and SpecAugment."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.masking import ExplicitMask
from rnn_cookbook.nn.tensors import Tensor

__all__ = ["RandomEqualizer", "SpecAugment"]


class _Augmentation(ExplicitMask):
    """Changes features at random in training; in use, streams included, they stay as they are."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator()

    def augmented(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Returns the features of a training batch, changed at random."""
        raise NotImplementedError

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        features, lengths = inputs
        return self.augmented(features, lengths) if training else features

    stream_drops = (1,)  # all the frames of a chunk are there

    def stream_states(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of the states of a stream: there are none."""
        return {}

    def stream(self, inputs: Tensor, states: dict[str, Tensor]) -> tuple[Any, dict[str, Tensor]]:
        """Returns the features of a chunk as they are."""
        return inputs[0], states

    def compute_output_spec(self, inputs: Any, training: bool = False) -> Any:
        return keras.KerasTensor(inputs[0].shape, inputs[0].dtype)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class RandomEqualizer(_Augmentation):
    """In training makes the frequencies of each example louder or softer by a smooth random curve.

    The curve is the same in all frames of an example, as through another microphone in another room
    (compare FilterAugment: Nam et al. 2022).

    (float[batch, frames, bands] in nats, int32[batch] frames) -> float32[batch, frames, bands]

    Args:
        gain: standard deviation of the curve over bands and examples, in dB.
        waves: number of cosines in the curve: half a wave over all bands, a whole wave, and so on,
            the k-th of amplitude 1/k.

    Raises:
        InputError: a negative gain, or no wave.
    """

    def __init__(self, gain: float, *, waves: int = 6, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        if gain < 0 or waves < 1:
            raise InputError(
                f"gain must be at least 0 dB and waves at least 1; received {gain} and {waves}"
            )
        self.gain = gain
        self.waves = waves

    def augmented(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Returns the features plus the curve of each example."""
        bands = features.shape[-1]
        order = np.arange(1, self.waves + 1)[:, None]
        curves = np.cos(np.pi * order * (np.arange(bands) + 0.5) / bands) / order
        curves *= self.gain * np.log(10) / 10 / np.sqrt(np.square(curves).sum(axis=0).mean())
        batch = tf.shape(lengths)[0]
        amplitudes: Tensor = keras.random.normal((batch, self.waves), seed=self.seed_generator)
        changes: Tensor = tf.matmul(amplitudes, tf.constant(curves, tf.float32))
        return features + changes[:, None, :]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gain": self.gain, "waves": self.waves}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class SpecAugment(_Augmentation):
    """In training sets random bands and random time windows to 0 (Park et al. 2019, "SpecAugment").

    (float[batch, frames, features], int32[batch] frames) -> the features, of the same shape

    Args:
        bands: number of bands of features to hide.
        widest_band: largest number of features in a band.
        stretches: number of time windows to hide.
        longest_stretch: largest number of frames in a window.
        share: largest fraction of an example's frames in a window.

    Raises:
        InputError: a negative count, or a fraction outside 0 to 1.
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
        counts = (bands, widest_band, stretches, longest_stretch)
        if min(counts) < 0:
            raise InputError(
                "bands, widest_band, stretches and longest_stretch must be at least 0; received "
                f"{', '.join(map(str, counts))}"
            )
        if not 0 <= share <= 1:
            raise InputError(f"share must be from 0 to 1; received {share}")
        self.bands = bands
        self.widest_band = widest_band
        self.stretches = stretches
        self.longest_stretch = longest_stretch
        self.share = share

    def augmented(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Returns the features with bands and time windows of 0."""
        width: Tensor = tf.shape(features)[2]
        widths: Tensor = tf.fill(tf.shape(lengths), width)
        widest = tf.fill(tf.shape(lengths), tf.minimum(self.widest_band, width))
        for _ in range(self.bands):
            hidden = self._window(widest, widths, width)
            features = tf.where(hidden[:, None, :], 0.0, features)
        fraction = tf.cast(self.share * tf.cast(lengths, tf.float32), tf.int32)
        longest = tf.minimum(self.longest_stretch, fraction)
        for _ in range(self.stretches):
            hidden = self._window(longest, lengths, tf.shape(features)[1])
            features = tf.where(hidden[..., None], 0.0, features)
        return features

    def _uniform(self, like: Tensor) -> Tensor:
        return keras.random.uniform(tf.shape(like), seed=self.seed_generator)

    def _window(self, limit: Tensor, lengths: Tensor, size: Tensor) -> Tensor:
        """Returns bool[batch, size]: a random window of at most `limit`, within the length."""
        count = tf.cast(self._uniform(lengths) * tf.cast(limit + 1, tf.float32), tf.int32)
        latest: Tensor = tf.cast(lengths - count + 1, tf.float32)
        start: Tensor = tf.cast(self._uniform(lengths) * latest, tf.int32)
        place: Tensor = tf.range(size)
        end: Tensor = start + count
        return (place >= start[:, None]) & (place < end[:, None])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "bands": self.bands,
            "widest_band": self.widest_band,
            "stretches": self.stretches,
            "longest_stretch": self.longest_stretch,
            "share": self.share,
        }
