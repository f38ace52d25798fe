"""Scores and baselines."""

import numpy as np
import pytest

from rnn_cookbook.tasks.classification.baselines import NBClassifier, text_baselines
from rnn_cookbook.tasks.classification.sample import REVIEW_NOISE, reviews
from rnn_cookbook.tasks.classification.scores import (
    accuracy_by_length,
    calibration_error,
    classification_scores,
)
from rnn_cookbook.tasks.tagging.baselines import FeatureCRF, tagging_baselines
from rnn_cookbook.tasks.tagging.data import Tagged
from rnn_cookbook.tasks.tagging.schemes import Span, spans, tags_of
from rnn_cookbook.tasks.tagging.scores import seen_scores, span_scores


def test_scores_of_two_classes_by_hand():
    labels = np.array([0, 0, 1, 1])
    scores = classification_scores(
        labels, np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    )
    assert scores["accuracy"] == 0.75
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2, abs=1e-5)
    assert scores["roc_auc"] == 1.0
    assert scores["log_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.8, 0.7]).mean(), abs=1e-5)


def test_scores_of_many_classes_and_of_a_class_that_is_absent():
    shares = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.6, 0.3, 0.1]])
    assert classification_scores(np.array([0, 1, 2, 0]), shares)["roc_auc"] == 1.0
    assert "roc_auc" not in classification_scores(np.array([0, 1, 1, 0]), shares)


def test_calibration_error_is_zero_for_honest_and_large_for_boastful_probabilities():
    rng = np.random.default_rng(0)
    share = rng.uniform(0.5, 1, 50_000)
    labels = (rng.uniform(size=50_000) > share).astype(int)  # class 0 as often as promised
    assert calibration_error(labels, np.stack([share, 1 - share], axis=1)) < 0.01
    sure = np.tile([0.999, 0.001], (1000, 1))
    assert calibration_error(np.arange(1000) % 2, sure) == pytest.approx(0.499, abs=1e-3)


def test_accuracy_by_length_has_equal_groups_in_order():
    groups = accuracy_by_length(
        np.zeros(10, int), np.arange(10) // 5, lengths=list(range(10)), groups=2
    )
    assert [(g["shortest"], g["longest"], g["examples"], g["accuracy"]) for g in groups] == [
        (0, 4, 5, 1.0),
        (5, 9, 5, 0.0),
    ]


def test_nb_weights_are_log_count_ratios():
    texts, labels = ["good film", "good good plot", "bad film", "bad plot"], np.array([1, 1, 0, 0])
    model = NBClassifier(ngrams=1, min_count=1).fit(texts, labels, classes=2)
    ratio = dict(zip(model.vectorizer.get_feature_names_out(), model.models[0][0], strict=True))
    # presence + 1, over the sum of these: good 3 of 8 against 1 of 8
    assert ratio["good"] == pytest.approx(np.log(3 / 8) - np.log(1 / 8), rel=1e-5)
    assert ratio["film"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_baselines_learn_what_words_tell(classes):
    texts = [f"word{i % classes} filler{i % 7}" for i in range(300)]
    labels = np.arange(300) % classes
    scores = text_baselines(
        (texts[:200], labels[:200]), (texts[200:], labels[200:]), classes=classes
    )
    assert list(scores) == ["majority", "tfidf_lr", "nb_lr"]
    assert scores["majority"]["accuracy"] == pytest.approx(1 / classes, abs=0.05)
    assert scores["tfidf_lr"]["accuracy"] == scores["nb_lr"]["accuracy"] == 1
    assert all(score["seconds"] >= 0 for score in scores.values())


def test_baselines_read_scripts_without_spaces():
    texts, labels = ["好电影", "好好看", "坏电影", "坏坏看"] * 5, np.array([1, 1, 0, 0] * 5)
    assert NBClassifier(ngrams=1).fit(texts, labels, classes=2).predict(
        ["好看看", "坏电看"]
    ).argmax(axis=1).tolist() == [1, 0]


def test_baselines_work_on_ten_texts():
    texts, labels = [f"only{i}" for i in range(10)], np.arange(10) % 2
    assert set(text_baselines((texts, labels), (texts, labels), classes=2)) == {
        "majority",
        "tfidf_lr",
        "nb_lr",
    }


def test_word_counts_stay_far_below_the_optimum_of_the_sample():
    train, test = (reviews(count, seed=seed) for count, seed in ((4000, 0), (2000, 1)))
    number = {"negative": 0, "positive": 1}
    pairs = [
        (part.texts, np.array([number[label] for label in part.labels])) for part in (train, test)
    ]
    scores = text_baselines(*pairs, classes=2)
    assert max(score["accuracy"] for score in scores.values()) < 1 - REVIEW_NOISE - 0.1


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


def tagged(*sentences: str) -> Tagged:
    """ "Ann/B-PER sleeps" and so on."""
    pairs = [
        [(word, tag or "O") for word, _, tag in (part.partition("/") for part in sentence.split())]
        for sentence in sentences
    ]
    return Tagged(
        [[word for word, _ in row] for row in pairs], [[tag for _, tag in row] for row in pairs]
    )


class TestTaggingBaselines:
    TRAIN = tagged(
        "in New/B-LOC York/I-LOC",
        "the York/B-ORG club",
        "York/B-ORG won",
        "in York/B-LOC",
        "Ann/B-PER left",
    )

    def test_known_entities_are_the_longest_of_their_most_frequent_type(self):
        pytest.importorskip("pycrfsuite")
        test = tagged(
            "Ann/B-PER saw New/B-LOC York/I-LOC",
            "York/B-LOC New/B-LOC York/I-LOC York/B-ORG",
            "Bob/B-PER New",
            "new Ann/B-PER",
        )
        scores = tagging_baselines(self.TRAIN, test)["known_entities"]
        # Wrong: the first York of the second sentence, which is more often a club; Bob, whom no one
        # knows.
        assert (scores["precision"], scores["recall"]) == (
            pytest.approx(5 / 6, abs=1e-5),
            pytest.approx(5 / 7, abs=1e-5),
        )
        assert (scores["f1_PER"], scores["f1_ORG"]) == (0.8, 0.66667)
        assert scores["seconds"] >= 0

    def test_the_feature_crf_learns_what_the_words_around_tell(self):
        pytest.importorskip("pycrfsuite")
        rng = np.random.default_rng(0)

        def examples(names, count=150):
            """Who speaks is a person, where one lives is a place: names alone tell nothing."""
            rows = [(rng.choice(names), rng.choice(names), rng.choice(names)) for _ in range(count)]
            return tagged(
                *(f"Mr {a}/B-PER said he lives in {b}/B-LOC {c}/I-LOC" for a, b, c in rows)
            )

        train, test = (
            examples([f"Name{i}" for i in range(50)]),
            examples([f"Other{i}" for i in range(50)]),
        )
        scores = tagging_baselines(train, test)
        assert list(scores) == ["known_entities", "feature_crf"]
        assert scores["feature_crf"]["f1"] == 1
        assert scores["known_entities"]["f1"] == 0

    def test_a_pair_of_words_says_different_things_of_its_first_and_its_second(self):
        first, second = FeatureCRF._features(["a", "b"])
        assert "0|1=a|b" in first
        assert "-1|0=a|b" in second
        assert not [feature for feature in first if feature in second and "a|b" in feature]

    def test_work_without_an_entity(self):
        pytest.importorskip("pycrfsuite")
        scores = tagging_baselines(tagged("no one here", "nor there"), tagged("Ann/B-PER is"))
        assert scores["known_entities"]["f1"] == scores["feature_crf"]["f1"] == 0

    def test_same_data_same_spans(self):
        pytest.importorskip("pycrfsuite")
        one, two = (
            FeatureCRF(iterations=5).fit(self.TRAIN).spans(self.TRAIN.tokens) for _ in range(2)
        )
        assert one == two
        assert FeatureCRF().fit(self.TRAIN).spans([["Ann", "left"], ["x"]])[0] == [
            Span(0, 1, "PER")
        ]


def test_seen_and_unseen_phrases_are_scored_apart():
    sentences = [["Anna", "saw", "Rome"], ["Bo", "left"]]
    gold = [[Span(0, 1, "PER"), Span(2, 3, "LOC")], [Span(0, 1, "PER")]]
    found = [[Span(0, 1, "PER"), Span(2, 3, "ORG")], []]
    assert seen_scores(sentences, gold, found, {("Anna",), ("Rome",)}) == {
        "f1_seen": 0.5,
        "f1_unseen": 0.0,
    }
    assert seen_scores(sentences, gold, found, set()) == {"f1_seen": 0.0, "f1_unseen": 0.4}
