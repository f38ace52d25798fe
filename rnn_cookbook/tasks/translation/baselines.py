"""Baselines of translation: the copy, the nearest training sentence, and IBM model 1 word for
word."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from rnn_cookbook.baselines import timed_scores
from rnn_cookbook.tasks.translation.data import Pairs
from rnn_cookbook.tasks.translation.scores import translation_scores

__all__ = ["WordForWord", "nearest", "translation_baselines"]

_TOKEN = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
_ROWS = 200  # sources whose similarities to all of training are in memory at a time


def _words(text: str) -> list[str]:
    return _TOKEN.findall(text)


def nearest(train: Pairs, sources: Sequence[str]) -> list[str]:
    """Returns, for each source, the target of the most similar training source by TF-IDF of
    words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(token_pattern=r"\w+|[^\w\s]", sublinear_tf=True)
    known = vectorizer.fit_transform(train.sources).T.tocsr()
    asked = vectorizer.transform(sources)
    found = []
    for start in range(0, len(sources), _ROWS):
        similarities = asked[start : start + _ROWS] @ known
        found += [train.targets[i] for i in similarities.toarray().argmax(axis=1)]
    return found


class WordForWord:
    """IBM model 1 (Brown et al. 1993), which learns by expectation maximisation which target words
    go with which source words, whatever their order.

    nltk's implementation is pure Python; this one counts with NumPy.

    Args:
        iterations: number of expectation-maximisation steps.
    """

    def __init__(self, iterations: int = 5):
        self.iterations = iterations
        self.best: dict[str, str] = {}

    def fit(self, pairs: Pairs) -> WordForWord:
        """Learns the most probable target word for each source word; returns itself."""
        source_numbers = {"": 0}  # the empty word, for target words that go with no source word
        target_numbers: dict[str, int] = {}
        # Each target word with each source word that it may come from: an event has several pairs.
        sources: list[int] = []
        targets: list[int] = []
        events: list[int] = []
        event = 0  # number of target words so far
        for source, target in zip(pairs.sources, pairs.targets, strict=True):
            candidates = [0]
            for word in _words(source):
                candidates.append(source_numbers.setdefault(word, len(source_numbers)))
            for word in _words(target):
                number = target_numbers.setdefault(word, len(target_numbers))
                sources += candidates  # the target word comes from one of them
                targets += [number] * len(candidates)
                events += [event] * len(candidates)
                event += 1
        # Each different pair of words once, as one number.
        pair_numbers = np.array(sources, np.int64) * len(target_numbers)
        pair_numbers += np.array(targets, np.int64)
        kinds, which = np.unique(pair_numbers, return_inverse=True)
        kind_source = kinds // max(len(target_numbers), 1)
        event_of = np.array(events, np.int64)
        probability = np.ones(len(kinds))
        for _ in range(self.iterations):
            weight = probability[which]
            weight /= np.bincount(event_of, weights=weight)[event_of]
            count = np.bincount(which, weights=weight, minlength=len(kinds))
            probability = count / np.bincount(kind_source, weights=count)[kind_source]
        source_words = list(source_numbers)
        target_words = list(target_numbers)
        self.best = {}
        for i in np.argsort(probability, kind="stable"):  # the most probable pair is written last
            source, target = divmod(kinds[i], len(target_words))
            self.best[source_words[source]] = target_words[target]
        return self

    def translate(self, sources: Sequence[str]) -> list[str]:
        """Puts the most probable target word for each source word; unknown words stay as they
        are."""
        found = []
        for source in sources:
            text = " ".join(self.best.get(word, word) for word in _words(source))
            found.append(re.sub(r" ([.,;:!?])", r"\1", text))
        return found


def translation_baselines(train: Pairs, test: Pairs) -> dict[str, dict]:
    """Scores three methods without a network.

    `copy` leaves the source as it is. `nearest` takes the target of the most similar training
    source. `word_for_word` puts, for each word, the most probable one by IBM model 1.

    Args:
        train: pairs to learn from.
        test: pairs to be scored on.

    Returns:
        Name -> `translation_scores` and "seconds".
    """
    methods = {
        "copy": lambda: list(test.sources),
        "nearest": lambda: nearest(train, test.sources),
        "word_for_word": lambda: WordForWord().fit(train).translate(test.sources),
    }
    return timed_scores(
        methods,
        lambda translations: translation_scores(test.targets, translations),
        metric="bleu",
    )
