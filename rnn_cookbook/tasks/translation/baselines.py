"""Word for word by IBM model 1, the nearest training sentence, and copying: what a translator has
to beat."""

import re
from collections.abc import Sequence

import numpy as np

from rnn_cookbook.baselines import timed_scores
from rnn_cookbook.tasks.translation.data import Pairs
from rnn_cookbook.tasks.translation.scores import translation_scores

_TOKEN = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")


def translation_baselines(train: Pairs, test: Pairs) -> dict[str, dict]:
    """Baselines of translation: name to `translation_scores` and "seconds".

    `copy`: the source as it is. `nearest`: the target of the most similar training source, by
    TF-IDF of words. `word_for_word`: for each word the one that IBM model 1 (Brown et al. 1993)
    finds most probable.
    """
    methods = {
        "copy": lambda: list(test.sources),
        "nearest": lambda: nearest(train, test.sources),
        "word_for_word": lambda: WordForWord().fit(train).translate(test.sources),
    }
    return timed_scores(
        methods, lambda found: translation_scores(test.targets, found), metric="bleu"
    )


def nearest(train: Pairs, sources: Sequence[str]) -> list[str]:
    """For each source the target of the most similar one in training."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(token_pattern=r"\w+|[^\w\s]", sublinear_tf=True)
    known = vectorizer.fit_transform(train.sources).T.tocsr()
    asked = vectorizer.transform(sources)
    parts = (asked[start : start + 200] @ known for start in range(0, len(sources), 200))
    return [train.targets[i] for part in parts for i in part.toarray().argmax(axis=1)]


class WordForWord:
    """IBM model 1 (Brown et al. 1993): which target words go with which source words, by
    expectation maximisation over sentence pairs, whatever their order.

    Args:
        iterations: of expectation and maximisation.
    """

    def __init__(self, iterations: int = 5):
        self.iterations = iterations
        self.best: dict[str, str] = {}

    def fit(self, pairs: Pairs) -> "WordForWord":
        source_numbers: dict[str, int] = {
            "": 0
        }  # the empty word, for target words that go with none
        target_numbers: dict[str, int] = {}
        sources, targets, events = [], [], []
        event = 0
        for source, target in zip(pairs.sources, pairs.targets, strict=True):
            left = [0] + [
                source_numbers.setdefault(word, len(source_numbers))
                for word in _TOKEN.findall(source)
            ]
            for word in _TOKEN.findall(target):  # each target word comes from one of these
                sources += left
                targets += [target_numbers.setdefault(word, len(target_numbers))] * len(left)
                events += [event] * len(left)
                event += 1
        sources, targets, events = (np.array(part, np.int64) for part in (sources, targets, events))
        kinds, which = np.unique(sources * len(target_numbers) + targets, return_inverse=True)
        kind_source = kinds // max(len(target_numbers), 1)
        probability = np.ones(len(kinds))
        for _ in range(self.iterations):
            weight = probability[which]
            weight /= np.bincount(events, weights=weight)[events]
            count = np.bincount(which, weights=weight, minlength=len(kinds))
            probability = count / np.bincount(kind_source, weights=count)[kind_source]
        source_words, target_words = list(source_numbers), list(target_numbers)
        order = np.argsort(probability, kind="stable")  # the most probable one is written last
        self.best = {
            source_words[kinds[i] // len(target_words)]: target_words[kinds[i] % len(target_words)]
            for i in order
        }
        return self

    def translate(self, sources: Sequence[str]) -> list[str]:
        """The most probable word for each; those that are not known stay as they are."""
        texts = (
            " ".join(self.best.get(word, word) for word in _TOKEN.findall(source))
            for source in sources
        )
        return [re.sub(r" ([.,;:!?])", r"\1", text) for text in texts]
