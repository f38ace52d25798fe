"""Errors of transcripts by hand."""

import pytest

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
