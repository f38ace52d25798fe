"""The methods without a network that a tagger has to beat."""

import numpy as np
import pytest

from rnn_cookbook.tasks.tagging.baselines import FeatureCRF, tagging_baselines, word_features
from rnn_cookbook.tasks.tagging.data import Tagged
from rnn_cookbook.tasks.tagging.schemes import Span


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
        first, second = word_features(["a", "b"])
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
