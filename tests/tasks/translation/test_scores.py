"""Scores of translations, by hand where they can be counted."""

import pytest

from rnn_cookbook.tasks.translation.scores import (
    bleu_by_length,
    bleu_signature,
    sentence_chrf,
    translation_scores,
)


def test_scores():
    same = translation_scores(["ein Hund sieht die Katze ."], ["ein Hund sieht die Katze ."])
    assert same == {"bleu": pytest.approx(100), "chrf": 100, "ter": 0, "exact_match": 1}
    other = translation_scores(
        ["ein Hund sieht die Katze ."] * 2,
        ["ein Hund sieht die Katze .", "ein Hund sieht Katze die ."],
    )
    assert 0 < other["bleu"] < 100
    assert other["ter"] == pytest.approx(100 / 12, abs=0.01)  # one word moved, of twelve
    assert other["exact_match"] == 0.5
    cased = translation_scores(["Ein Hund"], ["ein hund"])
    assert cased["exact_match"] == cased["bleu"] == 0
    assert "case:mixed|eff:no|tok:13a" in bleu_signature()


def test_scores_by_length_and_by_sentence():
    right = ["ein Hund sieht die Katze .", "die Katze sieht einen alten Hund ."]
    rows = bleu_by_length([6, 7], right, [right[0], "etwas anderes"], groups=2)
    assert [row["shortest"] for row in rows] == [6, 7]
    assert [row["examples"] for row in rows] == [1, 1]
    assert rows[0]["bleu"] == pytest.approx(100)
    assert rows[1]["bleu"] < 10
    same, other = sentence_chrf(right, [right[0], "etwas anderes"])
    assert same == pytest.approx(100)
    assert other < 30
