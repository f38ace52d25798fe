"""Translation without a network: the words are found, and the nearest sentence."""

import numpy as np

from rnn_cookbook.tasks.translation.baselines import (
    WordForWord,
    nearest,
    translation_baselines,
)
from rnn_cookbook.tasks.translation.data import Pairs

NOUNS = {"dog": "Hund", "cat": "Katze", "man": "Mann", "tree": "Baum"}
VERBS = {"sees": "sieht", "bites": "beißt", "likes": "mag"}


def sentences(count=200, seed=0) -> Pairs:
    """Subject verb object; in the target the verb is last."""
    rng = np.random.default_rng(seed)
    sources, targets = [], []
    for _ in range(count):
        (one, other), verb = rng.choice(list(NOUNS), 2), rng.choice(list(VERBS))
        sources.append(f"{one} {verb} {other}.")
        targets.append(f"{NOUNS[one]} {NOUNS[other]} {VERBS[verb]}.")
    return Pairs(sources, targets)


def test_word_for_word_finds_the_words_whatever_their_order():
    model = WordForWord().fit(sentences())
    assert {word: model.best[word] for word in (NOUNS | VERBS)} == NOUNS | VERBS
    assert model.translate(["man sees zebra."]) == ["Mann sieht zebra."]


def test_the_nearest_is_the_one_that_shares_rare_words():
    train = Pairs(["the dog sleeps", "the cat sleeps", "the zebra runs"], ["D", "C", "Z"])
    assert nearest(train, ["the zebra sleeps", "dog"]) == ["Z", "D"]


def test_all_baselines_are_scored_on_the_test_split():
    train = sentences()
    scores = translation_baselines(train, train.take(range(10)))
    assert set(scores) == {"copy", "nearest", "word_for_word"}
    assert scores["nearest"]["exact_match"] >= 0.8, "the training sentences, in any order of words"
    assert scores["copy"]["exact_match"] == 0
    assert all(row["seconds"] >= 0 for row in scores.values())
