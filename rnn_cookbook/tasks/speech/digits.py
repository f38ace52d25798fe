"""Strings of spoken digits: real recordings of single digits, joined with pauses of their own, at
other levels, in noise."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rnn_cookbook.data.sources import load_tfds
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.tasks.speech.data import Utterances

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATE = 8000  # Hz
LONGEST = 7  # digits of a string


@dataclass
class Recordings:
    """Single digits; `sounds[i]`, float32[samples] at 8 kHz within [-1, 1], is take `takes[i]` of
    `digits[i]` by `speakers[i]`."""

    sounds: list[np.ndarray] = field(default_factory=list)
    digits: list[int] = field(default_factory=list)
    speakers: list[str] = field(default_factory=list)
    takes: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sounds)

    def take(self, indices: Sequence[int]) -> "Recordings":
        return Recordings(
            *(
                [column[i] for i in indices]
                for column in (self.sounds, self.digits, self.speakers, self.takes)
            )
        )

    def where(
        self, *, speakers: Sequence[str] | None = None, takes: Sequence[int] | None = None
    ) -> "Recordings":
        """Those of the speakers, and of the takes, if any are given."""
        kept = (
            i
            for i in range(len(self))
            if (speakers is None or self.speakers[i] in speakers)
            and (takes is None or self.takes[i] in takes)
        )
        return self.take(list(kept))


def spoken_digits(data_dir: str | Path | None = None) -> Recordings:
    """The Free Spoken Digit Dataset (Jackson et al. 2018) through TFDS: 6 speakers, 10 digits, 50
    takes. Its own test split is takes 0 to 4."""
    (rows,) = load_tfds("spoken_digit", splits=["train"], data_dir=data_dir)
    found = Recordings()
    for row in rows:
        digit, speaker, take = row["audio/filename"].decode().removesuffix(".wav").split("_")
        found.sounds.append((row["audio"] / 2**15).astype(np.float32))
        found.digits.append(int(digit))
        found.speakers.append(speaker)
        found.takes.append(int(take))
    return found.take(
        sorted(
            range(len(found)), key=lambda i: (found.speakers[i], found.digits[i], found.takes[i])
        )
    )


def digit_strings(
    recordings: Recordings, count: int, *, seed: int | Sequence[int], longest: int = LONGEST
) -> Utterances:
    """Utterances of 1 to `longest` digits by one speaker each, float32[samples] at 8 kHz, and what
    is said in words.

    Silence of 0.05 to 0.4 s before and after, and of 0.02 to 0.4 s between; each digit up to 3 dB
    louder or softer than it was recorded, all of them brought to a level of -35 to -15 dB; white
    noise 15 to 40 dB below the voice. The same seed gives the same utterances.

    Args:
        recordings: what is drawn from, any take of any digit.
        count: utterances.
        seed: of all.
        longest: digits at most.

    Raises:
        InputError: no recordings.
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
    found = Utterances()
    for _ in range(count):
        speaker = names[rng.integers(len(names))]
        chosen = rng.choice(by_speaker[speaker], size=rng.integers(1, longest + 1))
        parts = [np.zeros(_samples(rng.uniform(0.05, 0.4)))]
        for place, i in enumerate(chosen):
            if place:
                parts.append(np.zeros(_samples(rng.uniform(0.02, 0.4))))
            parts.append(recordings.sounds[i] * 10 ** (rng.uniform(-3, 3) / 20))
        parts.append(np.zeros(_samples(rng.uniform(0.05, 0.4))))
        whole = np.concatenate(parts)
        voice = np.sqrt(np.mean(np.concatenate(parts[1::2]) ** 2)) + 1e-9
        level = 10 ** (rng.uniform(-35, -15) / 20)
        noise = 10 ** (-rng.uniform(15, 40) / 20) * rng.normal(size=len(whole))
        found.sounds.append(np.clip(level * (whole / voice + noise), -1, 1).astype(np.float32))
        found.texts.append(" ".join(DIGITS[recordings.digits[i]] for i in chosen))
        found.speakers.append(speaker)
    return found


def split_by_take(recordings: Recordings) -> dict[str, Recordings]:
    """Takes 0 to 4 test, as the data set has it; 5 to 9 validate; the others train. All speakers
    are in all three."""
    parts = {"train": range(10, 50), "validation": range(5, 10), "test": range(5)}
    return {name: recordings.where(takes=takes) for name, takes in parts.items()}


def split_by_speaker(recordings: Recordings, held_out: str | int) -> dict[str, Recordings]:
    """One speaker tests, whose voice training and validation never heard; takes 0 to 4 of the
    others validate.

    Args:
        recordings: of all speakers.
        held_out: the speaker's name, or number in the order of names, the first again after the
            last.

    Raises:
        InputError: no such speaker.
    """
    names = sorted(set(recordings.speakers))
    if isinstance(held_out, int):
        held_out = names[held_out % len(names)]
    if held_out not in names:
        raise InputError(f"no speaker {held_out!r}; there are {listing(names, 20)}")
    others = [name for name in names if name != held_out]
    return {
        "train": recordings.where(speakers=others, takes=range(5, 50)),
        "validation": recordings.where(speakers=others, takes=range(5)),
        "test": recordings.where(speakers=[held_out]),
    }


def _samples(seconds: float) -> int:
    return round(seconds * RATE)
