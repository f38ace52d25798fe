"""Words that are tones, and their sounds."""

import numpy as np

from rnn_cookbook.tasks.speech.data import Utterances

TONE_RATE = 8000  # Hz
_TONES = {"a": 350, "e": 560, "i": 900, "o": 1450}  # Hz


def spoken_tones(count: int, *, seed: int) -> Utterances:
    """Words that are two tones each, float32[samples] at 8 kHz: what their letters are, and in
    which order, says which word it is.

    1 to 5 of the twelve words of different letters, by one of four voices, whose tones are up to
    10% higher or lower; each letter 50 to
    100 ms long, silence of 40 to 250 ms between words, noise 15 to 35 dB below. Letters can be told
    from each other whatever the voice, so the best possible `wer` is 0, and who hears which tones a
    word has but not in which order gets half of the words.
    """
    rng = np.random.default_rng([seed, 7])
    words = [one + other for one in _TONES for other in _TONES if one != other]
    found = Utterances()
    for _ in range(count):
        voice = int(rng.integers(4))
        said = [words[i] for i in rng.integers(len(words), size=rng.integers(1, 6))]
        parts = []
        for word in said:
            parts.append(np.zeros(round(rng.uniform(0.04, 0.25) * TONE_RATE)))
            for letter in word:
                time = np.arange(round(rng.uniform(0.05, 0.1) * TONE_RATE)) / TONE_RATE
                pitch = _TONES[letter] * (0.9 + 0.2 * voice / 3) * rng.uniform(0.98, 1.02)
                tone = np.sin(2 * np.pi * pitch * time) + 0.4 * np.sin(4 * np.pi * pitch * time + 1)
                parts.append(tone * np.hanning(len(time)) ** 0.3 * rng.uniform(0.7, 1.4))
        parts.append(np.zeros(round(rng.uniform(0.04, 0.25) * TONE_RATE)))
        whole = 0.1 * np.concatenate(parts)
        noise = np.sqrt(np.mean(whole**2)) * 10 ** (-rng.uniform(15, 35) / 20)
        found.sounds.append((whole + noise * rng.normal(size=len(whole))).astype(np.float32))
        found.texts.append(" ".join(said))
        found.speakers.append(f"voice {voice + 1}")
    return found
