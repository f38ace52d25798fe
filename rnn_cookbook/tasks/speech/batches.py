"""Sounds and their transcripts to batches that are read when their turn comes, in an order that a
resumed run repeats."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from rnn_cookbook.encode.batches import bucketed, padded
from rnn_cookbook.errors import InputError

_POOL = 20  # batches that are drawn at random and sorted by length together


@dataclass
class Drawn:
    """The sounds of an epoch.

    Args:
        lengths: float[sounds], how long each is, in any unit; to sort by.
        load: index -> float32[samples].
        labels: int32[labels] of each, none of them empty.
    """

    lengths: Sequence[float]
    load: Callable[[int], np.ndarray]
    labels: Sequence[np.ndarray]


class SoundBatches:
    """A `tf.data` pipeline for a recogniser: ((float32[batch, samples], int32[batch] lengths),
    int32[batch, labels]), padded with 0.

    Sounds are shuffled; pools of 20 batches are sorted by length and cut into batches, which are
    shuffled again. The order depends on `seed` and on `epoch` only, and so do the sounds, which may
    be others every epoch: a run that is resumed in epoch 7 hears what an uninterrupted run would
    have heard.

    Args:
        draw: epoch -> `Drawn`, as many sounds every epoch.
        batch_size: sounds a batch; the last one may be smaller.
        shuffle: a new order every epoch; otherwise sorted by length.
        shortest_first: the first epoch goes from the shortest to the longest all the same (Amodei
            et al. 2016, "SortaGrad"): CTC finds out what is said where in short sounds first.
        seed: of the order.

    Raises:
        InputError: no sounds, not as many transcripts as sounds, or an empty transcript.
    """

    def __init__(
        self,
        draw: Callable[[int], Drawn],
        *,
        batch_size: int,
        shuffle: bool = False,
        shortest_first: bool = False,
        seed: int = 0,
    ):
        if batch_size < 1:
            raise InputError(f"the batch size must be 1 or more, got {batch_size}")
        self.draw, self.batch_size, self.shuffle, self.shortest_first, self.seed = (
            draw,
            batch_size,
            shuffle,
            shortest_first,
            seed,
        )
        self.epoch = 0
        self._now: tuple[int, Drawn] | None = None
        drawn = self._drawn()
        if len(drawn.lengths) != len(drawn.labels) or not len(drawn.labels):
            raise InputError(
                f"{len(drawn.lengths)} sounds and {len(drawn.labels)} transcripts do not go together"
            )
        if not all(map(len, drawn.labels)):
            raise InputError("a transcript has no symbol")
        self.examples = len(drawn.labels)

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def _drawn(self) -> Drawn:
        if self._now is None or self._now[0] != self.epoch:
            self._now = (self.epoch, self.draw(self.epoch))
        return self._now[1]

    def plan(self) -> list[np.ndarray]:
        """The sounds' indices, batch by batch, of the current epoch."""
        mixed = self.shuffle and not (self.shortest_first and self.epoch == 0)
        rng = np.random.default_rng([self.seed, self.epoch]) if mixed else None
        order = rng.permutation(self.examples) if rng else np.arange(self.examples)
        return bucketed(
            order, np.asarray(self._drawn().lengths), size=self.batch_size, pool=_POOL, rng=rng
        )

    def dataset(self) -> tf.data.Dataset:
        """One pass is one epoch."""
        sounds, counts, labels = (
            tf.TensorSpec((None, None)),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None, None), tf.int32),
        )
        dataset = tf.data.Dataset.from_generator(
            self._batches, output_signature=((sounds, counts), labels)
        )
        return dataset.apply(tf.data.experimental.assert_cardinality(len(self))).prefetch(4)

    def _batches(self):
        drawn = self._drawn()
        for indices in self.plan():
            yield (
                padded_sounds([drawn.load(i) for i in indices]),
                padded([drawn.labels[i] for i in indices]),
            )


def padded_sounds(sounds: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """float32[batch, samples] of the longest, 0 after the others, and int32[batch] lengths."""
    return padded(sounds, np.float32), np.array([*map(len, sounds)], np.int32)


def perturbed(
    sound: np.ndarray, rng: np.random.Generator, *, speed: float = 0.0, noise: float = np.inf
) -> np.ndarray:
    """A sound as training may hear it: float32[samples] -> float32[samples].

    Args:
        sound: of any rate.
        rng: of what is drawn.
        speed: faster or slower by up to this share, and as much higher or lower (speed
            perturbation: Ko et al. 2015).
        noise: white noise is added, at least so many dB below the sound, and at most 30 dB further
            below; none when infinite.
    """
    if speed:
        import soxr

        sound = soxr.resample(sound, 1 + rng.uniform(-speed, speed), 1.0)
    if np.isfinite(noise):
        level = np.sqrt(np.mean(np.square(sound, dtype=np.float64))) * 10 ** (
            -rng.uniform(noise, noise + 30) / 20
        )
        sound = sound + level * rng.normal(size=len(sound))
    return sound.astype(np.float32)
