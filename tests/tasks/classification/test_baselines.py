"""The linear models that a text classifier has to beat."""

import numpy as np
import pytest

from rnn_cookbook.tasks.classification.baselines import NBClassifier, text_baselines
from rnn_cookbook.tasks.classification.sample import REVIEW_NOISE, reviews


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
