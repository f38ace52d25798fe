"""Strings of spoken digits: recordings of single digits, joined with pauses, at other levels, in
noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rnn_cookbook.data.sources import load_tfds
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.tasks.speech.data import Utterances

__all__ = [
    "DIGITS",
    "EVALUATED",
    "LONGEST",
    "RATE",
    "Recordings",
    "digit_strings",
    "longest_in_epoch",
    "split_by_speaker",
    "split_by_take",
    "split_strings",
    "spoken_digits",
]

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATE = 8000  # Hz
LONGEST = 7  # digits of a string
EVALUATED = {"validation": 300, "test": 1000}  # strings of these splits

# Of the strings of an epoch: 2 digits at first, 10 more at the end of training, `LONGEST` at most.
_FIRST_DIGITS = 2
_GAINED_DIGITS = 10

_TAKES = range(50)  # recordings of each digit by each speaker
_TEST_TAKES = range(5)  # as the data set has it
_FULL_SCALE = 2**15  # of 16-bit samples
_SHOWN = 20  # speakers that an error names


@dataclass
class Recordings:
    """Recordings of single digits, in four lists of the same length.

    Args:
        audio: float32[samples] at 8 kHz within [-1, 1].
        digits: digit that is said.
        speakers: name of the speaker.
        takes: number of the recording among those of its digit and speaker.
    """

    audio: list[np.ndarray] = field(default_factory=list)
    digits: list[int] = field(default_factory=list)
    speakers: list[str] = field(default_factory=list)
    takes: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.audio)

    def take(self, indices: Sequence[int]) -> Recordings:
        """Returns the recordings with these indices."""
        return Recordings(
            audio=[self.audio[i] for i in indices],
            digits=[self.digits[i] for i in indices],
            speakers=[self.speakers[i] for i in indices],
            takes=[self.takes[i] for i in indices],
        )

    def where(
        self, *, speakers: Sequence[str] | None = None, takes: Sequence[int] | None = None
    ) -> Recordings:
        """Selects recordings.

        Args:
            speakers: names of the speakers; all by default.
            takes: numbers of the takes; all by default.
        """
        kept = []
        for i in range(len(self)):
            of_speaker = speakers is None or self.speakers[i] in speakers
            of_take = takes is None or self.takes[i] in takes
            if of_speaker and of_take:
                kept.append(i)
        return self.take(kept)


def spoken_digits(data_dir: str | Path | None = None) -> Recordings:
    """Reads the Free Spoken Digit Dataset (Jackson et al. 2018) through TFDS: 6 speakers, 10
    digits, 50 takes.

    Args:
        data_dir: folder of the data sets, see `data.sources.data_folder`.

    Raises:
        InputError: the data set is not in the folder and cannot be downloaded.
    """
    (rows,) = load_tfds("spoken_digit", splits=["train"], data_dir=data_dir)
    recordings = Recordings()
    for row in rows:
        digit, speaker, take = row["audio/filename"].decode().removesuffix(".wav").split("_")
        recordings.audio.append((row["audio"] / _FULL_SCALE).astype(np.float32))
        recordings.digits.append(int(digit))
        recordings.speakers.append(speaker)
        recordings.takes.append(int(take))
    keys = list(zip(recordings.speakers, recordings.digits, recordings.takes, strict=True))
    return recordings.take(sorted(range(len(keys)), key=lambda i: keys[i]))


def _gain(decibels: float) -> float:
    return 10 ** (decibels / 20)


def _silence(rng: np.random.Generator, shortest: float) -> np.ndarray:
    """`shortest` to 0.4 seconds."""
    return np.zeros(round(rng.uniform(shortest, 0.4) * RATE))


def _joined(pieces: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Digits with silence around and between them, at another level, in noise."""
    parts = [_silence(rng, 0.05)]
    for place, piece in enumerate(pieces):
        if place:
            parts.append(_silence(rng, 0.02))
        parts.append(piece * _gain(rng.uniform(-3, 3)))
    parts.append(_silence(rng, 0.05))
    whole = np.concatenate(parts)
    voice = np.sqrt(np.mean(np.concatenate(parts[1::2]) ** 2)) + 1e-9
    level = _gain(rng.uniform(-35, -15))
    noise = _gain(-rng.uniform(15, 40)) * rng.normal(size=len(whole))
    return np.clip(level * (whole / voice + noise), -1, 1).astype(np.float32)


def digit_strings(
    recordings: Recordings, count: int, *, seed: int | Sequence[int], longest: int = LONGEST
) -> Utterances:
    """Draws utterances of 1 to `longest` digits by one speaker each.

    Silence of 0.05 to 0.4 s stands before and after, and of 0.02 to 0.4 s between; each digit is up
    to 3 dB louder or softer than it was recorded, the whole at a level of -35 to -15 dB, and white
    noise 15 to 40 dB below the voice. The same seed gives the same utterances.

    Args:
        recordings: recordings to draw from.
        count: number of utterances.
        seed: seed of the draw.
        longest: maximum number of digits.

    Returns:
        Utterances of float32[samples] at 8 kHz, and their texts in words.

    Raises:
        InputError: no recordings, or strings without a digit.
    """
    if not len(recordings) or longest < 1:
        raise InputError(
            f"strings of 1 to {longest} digits cannot be made from {len(recordings)} recordings"
        )
    rng = np.random.default_rng(seed)
    by_speaker: dict[str, list[int]] = {}
    for i, speaker in enumerate(recordings.speakers):
        by_speaker.setdefault(speaker, []).append(i)
    names = sorted(by_speaker)
    utterances = Utterances()
    for _ in range(count):
        speaker = names[rng.integers(len(names))]
        chosen = rng.choice(by_speaker[speaker], size=rng.integers(1, longest + 1))
        utterances.audio.append(_joined([recordings.audio[i] for i in chosen], rng))
        utterances.texts.append(" ".join(DIGITS[recordings.digits[i]] for i in chosen))
        utterances.speakers.append(speaker)
    return utterances


def longest_in_epoch(epoch: int, epochs: int) -> int:
    """Returns the maximum number of digits of an epoch's strings: 2 at first, and `LONGEST` from
    half of the training on. CTC learns the alignment from short strings first.

    Args:
        epoch: number of the epoch, from 0.
        epochs: number of epochs of the training.
    """
    return min(LONGEST, _FIRST_DIGITS + _GAINED_DIGITS * epoch // epochs)


def split_strings(splits: dict[str, Recordings], *, training: int) -> dict[str, Utterances]:
    """Draws strings of digits for each split; `EVALUATED` says how many, and every seed of a run is
    compared on the same.

    Args:
        splits: split name -> recordings, as `split_by_take` and `split_by_speaker` return them.
        training: number of training strings.
    """
    sizes = {"train": training, **EVALUATED}
    return {
        name: digit_strings(recordings, sizes[name], seed=i)
        for i, (name, recordings) in enumerate(splits.items())
    }


def split_by_take(recordings: Recordings) -> dict[str, Recordings]:
    """Splits by takes: 0 to 4 are the test split, as the data set has it, 5 to 9 the validation
    split. All speakers are in all three splits."""
    return {
        "train": recordings.where(takes=_TAKES[10:]),
        "validation": recordings.where(takes=_TAKES[5:10]),
        "test": recordings.where(takes=_TEST_TAKES),
    }


def split_by_speaker(recordings: Recordings, held_out: str | int) -> dict[str, Recordings]:
    """Holds out one speaker, who is the test split; takes 0 to 4 of the others are the validation
    split.

    Args:
        recordings: recordings of all speakers.
        held_out: name of the speaker, or the number in the order of names, counted round.

    Raises:
        InputError: no such speaker.
    """
    names = sorted(set(recordings.speakers))
    name = names[held_out % len(names)] if isinstance(held_out, int) else held_out
    if name not in names:
        raise InputError(
            f"no speaker {name!r}; accepted are {listing(names, _SHOWN)}", field="held_out"
        )
    others = [other for other in names if other != name]
    return {
        "train": recordings.where(speakers=others, takes=_TAKES[5:]),
        "validation": recordings.where(speakers=others, takes=_TAKES[:5]),
        "test": recordings.where(speakers=[name]),
    }
