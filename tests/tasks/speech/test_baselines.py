"""Words apart from each other are found without a network."""

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
