"""Batches of audio with transcripts, read when needed, in an order that a resumed run repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from rnn_cookbook.encode.batches import bucketed, padded
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log
from rnn_cookbook.nn.audio import LogMel
from rnn_cookbook.tasks.speech.alphabet import Alphabet
from rnn_cookbook.tasks.speech.data import Utterances

__all__ = [
    "AudioBatches",
    "Drawn",
    "augmented",
    "learnable",
    "padded_audio",
    "perturbed",
    "steps_of",
    "unchanged",
]

_POOL = 20  # batches that are drawn at random and sorted by length together
_PREFETCHED = 4  # batches that are made while the network computes
_NOISE_RANGE = 30  # dB by which noise may lie further below the audio than its minimum


@dataclass
class Drawn:
    """The audio and the labels of an epoch.

    Args:
        lengths: float[utterances], length of each piece of audio in any unit, to sort by.
        load: function from an index to float32[samples].
        labels: int32[labels] of each utterance, none of them empty.
    """

    lengths: Sequence[float] | np.ndarray
    load: Callable[[int], np.ndarray]
    labels: Sequence[np.ndarray]


def padded_audio(audio: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Pads audio with 0 to the longest: float32[batch, samples] and int32[batch] lengths."""
    lengths = np.array([len(samples) for samples in audio], np.int32)
    return padded(audio, np.float32), lengths


class AudioBatches:
    """A `tf.data` pipeline that feeds a recogniser: ((float32[batch, samples], int32[batch]
    lengths), int32[batch, labels]), padded with 0.

    Utterances are shuffled; pools of 20 batches are sorted by length and cut into batches, which
    are shuffled again. The order depends on `seed` and on `epoch` only, and so does the audio,
    which may differ from epoch to epoch: a run that is resumed in epoch 7 reads what an
    uninterrupted run would have read.

    Args:
        draw: function from the epoch to `Drawn`, with the same number of utterances every epoch.
        batch_size: utterances per batch; the last batch may be smaller.
        shuffle: whether each epoch has a new order; otherwise utterances are sorted by length.
        shortest_first: whether the first epoch goes from the shortest to the longest all the same
            (Amodei et al. 2016, "SortaGrad"): CTC learns the alignment from short audio first.
        seed: seed of the order.

    Raises:
        InputError: no utterances, different numbers of lengths and transcripts, an empty
            transcript, or a batch size below 1.
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
            raise InputError(
                f"batch_size must be at least 1; received {batch_size}", field="batch_size"
            )
        self.draw = draw
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.shortest_first = shortest_first
        self.seed = seed
        self.epoch = 0
        self._current: tuple[int, Drawn] | None = None
        drawn = self._drawn()
        if len(drawn.lengths) != len(drawn.labels) or not len(drawn.labels):
            raise InputError(
                "batches need a transcript for each piece of audio, and at least one; received "
                f"{len(drawn.lengths)} pieces of audio and {len(drawn.labels)} transcripts"
            )
        if not all(map(len, drawn.labels)):
            raise InputError("every transcript needs a symbol; one of them is empty")
        self.examples = len(drawn.labels)

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def _drawn(self) -> Drawn:
        if self._current is None or self._current[0] != self.epoch:
            self._current = (self.epoch, self.draw(self.epoch))
        return self._current[1]

    def plan(self) -> list[np.ndarray]:
        """Returns the utterances' indices, batch by batch, of the current epoch."""
        mixed = self.shuffle and not (self.shortest_first and self.epoch == 0)
        rng = np.random.default_rng([self.seed, self.epoch]) if mixed else None
        order = rng.permutation(self.examples) if rng else np.arange(self.examples)
        lengths = np.asarray(self._drawn().lengths)
        return bucketed(order, lengths, size=self.batch_size, pool=_POOL, rng=rng)

    def dataset(self) -> tf.data.Dataset:
        """Returns the data set of the current epoch: one pass."""
        samples = tf.TensorSpec((None, None), tf.float32)
        lengths = tf.TensorSpec((None,), tf.int32)
        labels = tf.TensorSpec((None, None), tf.int32)
        dataset = tf.data.Dataset.from_generator(
            self._batches, output_signature=((samples, lengths), labels)
        )
        counted = dataset.apply(tf.data.experimental.assert_cardinality(len(self)))
        return counted.prefetch(_PREFETCHED)

    def _batches(self) -> Iterator[tuple[tuple[np.ndarray, np.ndarray], np.ndarray]]:
        drawn = self._drawn()
        for indices in self.plan():
            audio = padded_audio([drawn.load(i) for i in indices])
            yield audio, padded([drawn.labels[i] for i in indices])


def perturbed(
    samples: np.ndarray, rng: np.random.Generator, *, speed: float = 0.0, noise: float = np.inf
) -> np.ndarray:
    """Augments audio for training: float32[samples] -> float32[samples].

    Args:
        samples: audio of any rate.
        rng: generator of the draws.
        speed: maximum fraction by which the audio is faster and higher, or slower and lower (speed
            perturbation: Ko et al. 2015).
        noise: lowest signal-to-noise ratio of added white noise in dB, drawn up to 30 dB above it;
            infinite adds none.
    """
    if speed:
        import soxr

        samples = soxr.resample(samples, 1 + rng.uniform(-speed, speed), 1.0)
    if np.isfinite(noise):
        loudness = np.sqrt(np.mean(np.square(samples, dtype=np.float64)))
        level = loudness * 10 ** (-rng.uniform(noise, noise + _NOISE_RANGE) / 20)
        samples = samples + level * rng.normal(size=len(samples))
    return samples.astype(np.float32)


def unchanged(part: Utterances, alphabet: Alphabet, *, rate: int) -> Callable[[int], Drawn]:
    """Makes the `draw` of `AudioBatches` for validation: the same audio in every epoch.

    Args:
        part: utterances of the split.
        alphabet: alphabet of the model.
        rate: Hz of the samples.
    """
    labels = [alphabet.encode(text) for text in part.texts]
    drawn = Drawn(part.seconds(rate), lambda i: part.samples(i, rate), labels)
    return lambda epoch: drawn


def augmented(
    utterances: Callable[[int], Utterances],
    alphabet: Alphabet,
    *,
    rate: int,
    speed: float,
    noise: float,
    seed: int,
) -> Callable[[int], Drawn]:
    """Makes the `draw` of `AudioBatches` for training: audio that is `perturbed` anew every epoch.

    Args:
        utterances: function from the epoch to its utterances.
        alphabet: alphabet of the model.
        rate: Hz of the samples.
        speed: maximum change of the speed, see `perturbed`.
        noise: lowest signal-to-noise ratio in dB, see `perturbed`.
        seed: seed of the draws, which depend on the epoch and on the utterance.
    """

    def draw(epoch: int) -> Drawn:
        part = utterances(epoch)

        def load(i: int) -> np.ndarray:
            rng = np.random.default_rng([seed, epoch, i])
            return perturbed(part.samples(i, rate), rng, speed=speed, noise=noise)

        labels = [alphabet.encode(text) for text in part.texts]
        return Drawn(part.seconds(rate), load, labels)

    return draw


def steps_of(log_mel: LogMel, stride: int, samples: np.ndarray) -> np.ndarray:
    """Computes how many outputs a `sound_recognizer` has: int[...] samples -> int64[...] steps.

    Args:
        log_mel: the model's layer of that name, or a layer with the same settings.
        stride: frames per step of the model.
        samples: lengths of the audio.
    """
    frames = np.asarray(log_mel.frames(np.asarray(samples, np.int64)))
    return -(-frames // stride)


def learnable(
    utterances: Utterances,
    alphabet: Alphabet,
    *,
    log_mel: LogMel,
    stride: int,
    longest: float,
    speed: float = 0.0,
    name: str = "training",
) -> Utterances:
    """Selects the utterances that CTC can learn: the text must fit into the steps of its audio. The
    others are logged.

    Args:
        utterances: audio with texts.
        alphabet: alphabet of the model.
        log_mel: the model's layer of that name, or a layer with the same settings.
        stride: frames per step of the model.
        longest: maximum duration in seconds.
        speed: fraction by which audio may be shortened in training.
        name: name of the split, for messages.

    Raises:
        InputError: no utterance is left.
    """
    labels = [alphabet.encode(text) for text in utterances.texts]
    seconds = utterances.seconds(log_mel.rate)
    steps = steps_of(log_mel, stride, seconds / (1 + speed) * log_mel.rate)
    # A blank stands between equal symbols.
    needed = np.array([len(each) + np.count_nonzero(np.diff(each) == 0) for each in labels])
    too_long = seconds > longest
    excluded = {
        f"are longer than {longest:g} s": too_long,
        "have a text too long for their audio": needed > steps,
        "have no character of the alphabet": needed == 0,
    }
    kept = np.flatnonzero(~np.any([*excluded.values()], axis=0))
    for reason, flags in excluded.items():
        if flags.any():
            log.warning(
                "%s: %d of %d utterances %s, and are left out: %s",
                name,
                flags.sum(),
                len(flags),
                reason,
                listing(utterances.name(int(i)) for i in np.flatnonzero(flags)),
            )
    if not len(kept):
        reasons = [f"{flags.sum()} {reason}" for reason, flags in excluded.items() if flags.any()]
        raise InputError(
            f"none of {len(utterances)} {name} utterances can be used: {', '.join(reasons)}",
            field="max_seconds" if too_long.any() else (),
        )
    return utterances.take(kept.tolist())
