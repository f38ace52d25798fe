"""Sample data: words that are tones, and their audio."""

from __future__ import annotations

import numpy as np

from rnn_cookbook.tasks.speech.data import Utterances

__all__ = ["SIZES", "TONE_RATE", "sample_splits", "spoken_tones"]

TONE_RATE = 8000  # Hz
SIZES = {"train": 1000, "validation": 100, "test": 300}  # utterances
_TONES = {"a": 350, "e": 560, "i": 900, "o": 1450}  # Hz
_WORDS = [first + second for first in _TONES for second in _TONES if first != second]
_VOICES = 4
_MAX_WORDS = 5
_STREAM = 7  # of the random generator: keeps these draws apart from others of the same seed


def _silence(rng: np.random.Generator) -> np.ndarray:
    return np.zeros(round(rng.uniform(0.04, 0.25) * TONE_RATE))


def _letter(letter: str, *, voice: int, rng: np.random.Generator) -> np.ndarray:
    """A tone with one overtone that swells and fades; voices are up to 10% higher or lower."""
    time = np.arange(round(rng.uniform(0.05, 0.1) * TONE_RATE)) / TONE_RATE
    pitch = _TONES[letter] * (0.9 + 0.2 * voice / (_VOICES - 1)) * rng.uniform(0.98, 1.02)
    tone = np.sin(2 * np.pi * pitch * time) + 0.4 * np.sin(4 * np.pi * pitch * time + 1)
    return tone * np.hanning(len(time)) ** 0.3 * rng.uniform(0.7, 1.4)


def spoken_tones(count: int, *, seed: int) -> Utterances:
    """Draws utterances of words of two tones each: which letters a word has, and in which order,
    says which word it is.

    Each utterance has 1 to 5 of the twelve words of different letters, in one of four voices, whose
    tones are up to 10% higher or lower; each letter is 50 to 100 ms long, with silence of 40 to 250
    ms between words and noise 15 to 35 dB below. Letters differ more than voices, so the best
    possible `wer` is 0; a model that recognises the tones of a word but not their order gets half
    of the words.

    Args:
        count: number of utterances.
        seed: seed of the draw.

    Returns:
        Utterances of float32[samples] at 8 kHz.
    """
    rng = np.random.default_rng([seed, _STREAM])
    utterances = Utterances()
    for _ in range(count):
        voice = int(rng.integers(_VOICES))
        numbers = rng.integers(len(_WORDS), size=rng.integers(1, _MAX_WORDS + 1))
        words = [_WORDS[i] for i in numbers]
        parts = []
        for word in words:
            parts.append(_silence(rng))
            for letter in word:
                parts.append(_letter(letter, voice=voice, rng=rng))
        parts.append(_silence(rng))
        whole = 0.1 * np.concatenate(parts)
        noise = np.sqrt(np.mean(whole**2)) * 10 ** (-rng.uniform(15, 35) / 20)
        samples = whole + noise * rng.normal(size=len(whole))
        utterances.audio.append(samples.astype(np.float32))
        utterances.texts.append(" ".join(words))
        utterances.speakers.append(f"voice {voice + 1}")
    return utterances


def sample_splits(*, seed: int) -> dict[str, Utterances]:
    """Draws the three splits of the sample, as many utterances as `SIZES` says.

    Args:
        seed: seed of the draw.

    Returns:
        Split name ("train", "validation", "test") -> utterances.
    """
    return {
        name: spoken_tones(size, seed=seed * len(SIZES) + i)
        for i, (name, size) in enumerate(SIZES.items())
    }
