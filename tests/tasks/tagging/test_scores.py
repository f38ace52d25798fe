"""Scores of entities: by hand, and as another implementation has them."""

import numpy as np
import pytest

from rnn_cookbook.tasks.tagging.schemes import Span, spans, tags_of
from rnn_cookbook.tasks.tagging.scores import seen_scores, span_scores


class TestSpanScores:
    def test_by_hand(self):
        gold = [[Span(0, 2, "PER"), Span(3, 4, "LOC")], [Span(0, 1, "LOC")], []]
        # Right, an end off; the type wrong, nothing there; nothing there.
        found = [
            [Span(0, 2, "PER"), Span(3, 5, "LOC")],
            [Span(0, 1, "PER"), Span(2, 3, "ORG")],
            [Span(0, 1, "ORG")],
        ]
        assert span_scores(gold, found) == {
            "precision": 0.2,
            "recall": 0.33333,
            "f1": 0.25,
            "f1_LOC": 0.0,
            "f1_PER": 0.66667,
        }

    def test_of_everything_and_of_nothing(self):
        gold = [[Span(0, 2, "PER")], []]
        assert set(span_scores(gold, gold).values()) == {1.0}
        assert set(span_scores(gold, [[], []]).values()) == {0.0}
        assert span_scores([[]], [[]]) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}

    def test_sentences_are_not_mixed_up(self):
        assert span_scores([[Span(0, 1, "PER")], []], [[], [Span(0, 1, "PER")]])["f1"] == 0
        with pytest.raises(ValueError, match="shorter"):
            span_scores([[]], [])

    def test_a_span_counts_once_however_often_it_is_found(self):
        assert span_scores([[Span(0, 1, "PER")]], [[Span(0, 1, "PER")] * 2])["precision"] == 0.5

    @pytest.mark.parametrize("seed", range(10))
    def test_agree_with_nervaluate(self, seed):
        nervaluate = pytest.importorskip("nervaluate")
        rng = np.random.default_rng(seed)
        types = ["PER", "LOC", "ORG"]

        def sentence(length):
            """Any tags, written out in BIO, which every library reads alike."""
            tags = rng.choice(
                ["O", "O", *(f"{prefix}-{kind}" for prefix in "BI" for kind in types)], size=length
            ).tolist()
            return tags_of(spans(tags), length)

        lengths = rng.integers(1, 30, size=40)
        gold = [sentence(length) for length in lengths]
        # Half the sentences keep half of their spans.
        found = [
            tags_of([span for span in spans(tags) if rng.uniform() < 0.5], len(tags))
            if rng.uniform() < 0.5
            else sentence(len(tags))
            for tags in gold
        ]
        scores = span_scores([spans(tags) for tags in gold], [spans(tags) for tags in found])
        theirs = nervaluate.Evaluator(gold, found, tags=types, loader="list").evaluate()
        strict = theirs["overall"]["strict"]
        assert [scores["precision"], scores["recall"], scores["f1"]] == pytest.approx(
            [strict.precision, strict.recall, strict.f1], abs=1e-5
        )
        assert 0.1 < scores["f1"] < 0.9, "there is something to agree on"
        assert {name: scores[f"f1_{name}"] for name in types} == pytest.approx(
            {name: theirs["entities"][name]["strict"].f1 for name in types}, abs=1e-5
        )


def test_seen_and_unseen_phrases_are_scored_apart():
    sentences = [["Anna", "saw", "Rome"], ["Bo", "left"]]
    gold = [[Span(0, 1, "PER"), Span(2, 3, "LOC")], [Span(0, 1, "PER")]]
    found = [[Span(0, 1, "PER"), Span(2, 3, "ORG")], []]
    assert seen_scores(sentences, gold, found, {("Anna",), ("Rome",)}) == {
        "f1_seen": 0.5,
        "f1_unseen": 0.0,
    }
    assert seen_scores(sentences, gold, found, set()) == {"f1_seen": 0.0, "f1_unseen": 0.4}
