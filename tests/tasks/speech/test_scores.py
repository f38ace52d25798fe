"""Errors of transcripts by hand; words apart from each other are found without a network."""

import numpy as np
import pytest

from rnn_cookbook.tasks.speech.baselines import SegmentClassifier, speech_baselines
from rnn_cookbook.tasks.speech.digits import (
    RATE,
    digit_strings,
    split_by_speaker,
    split_by_take,
    spoken_digits,
)
from rnn_cookbook.tasks.speech.sample import TONE_RATE, spoken_tones
from rnn_cookbook.tasks.speech.scores import speech_scores, wer_by_length, wer_by_speaker


def test_scores():
    assert speech_scores(["one two three"], ["one two three"]) == {
        "wer": 0,
        "cer": 0,
        "substitutions": 0,
        "insertions": 0,
        "deletions": 0,
        "exact_match": 1,
    }
    found = speech_scores(["one two three four", "five"], ["one too four", "five six five"])
    assert found["substitutions"] == found["deletions"] == pytest.approx(1 / 5)
    assert found["insertions"] == pytest.approx(2 / 5)
    assert found["wer"] == pytest.approx(4 / 5)
    assert found["exact_match"] == 0
    assert speech_scores(["one two", "three"], ["", "three"])["wer"] == pytest.approx(
        2 / 3, abs=1e-5
    )


def test_words_are_cut_where_it_is_quiet():
    rng = np.random.default_rng(0)
    sound = 0.001 * rng.normal(size=2 * RATE)
    spans = [(2000, 5000), (6000, 9000), (12_000, 15_000)]
    for start, end in spans:
        sound[start:end] += 0.2 * np.sin(np.arange(end - start) / 3)
    sound[11_000:11_200] += 0.2  # a click
    found = SegmentClassifier(rate=RATE).segments(sound)
    assert len(found) == 3
    np.testing.assert_allclose(found, spans, atol=250)


@pytest.mark.slow
def test_the_baselines_on_the_real_digits(data_dir):
    """An unseen voice is much harder than an unseen take; single digits are what REFERENCES are
    for, strings are harder."""
    recordings = spoken_digits(data_dir)
    found = {}
    for name, parts in (
        ("take", split_by_take(recordings)),
        ("speaker", split_by_speaker(recordings, "theo")),
    ):
        train, test = (
            digit_strings(parts[split], count, seed=0)
            for split, count in (("train", 400), ("test", 100))
        )
        found[name] = speech_baselines(train, test, rate=RATE)
    assert found["take"]["most_frequent"]["wer"] > 0.8
    assert found["take"]["segments_svm"]["wer"] < 0.4
    assert found["speaker"]["segments_svm"]["wer"] > found["take"]["segments_svm"]["wer"] + 0.1


def test_errors_by_length_and_by_speaker():
    said, heard = ["a b", "c", "d e f", "g"], ["a b", "x", "d", "g"]
    groups = wer_by_length([2.0, 1.0, 3.0, 1.5], said, heard, groups=2)
    assert groups == [
        {"shortest": 1.0, "longest": 1.5, "examples": 2, "wer": 0.5},
        {"shortest": 2.0, "longest": 3.0, "examples": 2, "wer": 0.4},
    ]
    assert wer_by_speaker(["z", "", "a", "z"], said, heard) == {
        "a": pytest.approx(2 / 3, abs=1e-4),
        "z": 0.0,
    }


def test_tones_say_what_their_text_says():
    """The letters are the pitches, in their order; no word is its letters alone."""
    found = spoken_tones(40, seed=3)
    assert {len(text.split()) for text in found.texts} == {1, 2, 3, 4, 5}
    assert set(found.speakers) == {f"voice {i}" for i in (1, 2, 3, 4)}
    words = {word for text in found.texts for word in text.split()}
    assert any(word[::-1] in words for word in words)
    for sound, text in zip(found.sounds, found.texts, strict=True):
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
