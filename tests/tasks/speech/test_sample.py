"""The tones of the sample say what their texts say."""

import numpy as np

from rnn_cookbook.tasks.speech.sample import SIZES, TONE_RATE, sample_splits, spoken_tones


def test_tones_say_what_their_text_says():
    """The letters are the pitches, in their order; no word is its letters alone."""
    found = spoken_tones(40, seed=3)
    assert {len(text.split()) for text in found.texts} == {1, 2, 3, 4, 5}
    assert set(found.speakers) == {f"voice {i}" for i in (1, 2, 3, 4)}
    words = {word for text in found.texts for word in text.split()}
    assert any(word[::-1] in words for word in words)
    for sound, text in zip(found.audio, found.texts, strict=True):
        assert sound.dtype == np.float32
        frames = np.lib.stride_tricks.sliding_window_view(sound, 240)[::80]
        spectra = np.abs(np.fft.rfft(frames * np.hanning(240), 2048)) ** 2
        loud = spectra.sum(axis=1) > 0.1 * spectra.sum(axis=1).max()
        pitches = spectra.argmax(axis=1) * TONE_RATE / 2048
        letters = "".join(
            "aeio"[int(np.abs(np.log(np.array([350, 560, 900, 1450]) / p)).argmin())]
            for p in pitches[loud]
        )
        merged = "".join(c for i, c in enumerate(letters) if i == 0 or letters[i - 1] != c)
        spoken = text.replace(" ", "")
        assert merged == "".join(c for i, c in enumerate(spoken) if i == 0 or spoken[i - 1] != c)
    again, other = spoken_tones(40, seed=3), spoken_tones(40, seed=4)
    assert again.texts == found.texts != other.texts


def test_the_splits_are_drawn_apart_and_again_the_same():
    parts = sample_splits(seed=0)
    assert {name: len(part) for name, part in parts.items()} == SIZES
    assert parts["test"].texts == spoken_tones(SIZES["test"], seed=2).texts
    assert sample_splits(seed=1)["train"].texts == spoken_tones(SIZES["train"], seed=3).texts
