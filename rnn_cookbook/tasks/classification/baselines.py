"""Linear models over bags of words and n-grams: what a text classifier has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnn_cookbook.baselines import timed_scores
from rnn_cookbook.tasks.classification.scores import classification_scores

__all__ = ["NBClassifier", "class_frequencies", "text_baselines", "tfidf_probabilities"]

# Words, punctuation marks, and characters of scripts that set no spaces: as in
# encode.text.standardize. Single characters are words, too: Keras' and scikit-learn's default
# patterns differ in this, and "!" matters.
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_TOKEN = rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+(?:'\w+)?|[^\w\s]"

_ENOUGH_TEXTS = 1000  # with fewer, rare n-grams are all that there is: none is left out


class NBClassifier:
    """A logistic regression over n-grams weighted by naive Bayes.

    Wang and Manning (2012, "Baselines and Bigrams: Simple, Good Sentiment and Topic
    Classification"): a feature is the presence of an n-gram, weighted by its log-count ratio
    between the class and the rest. The strongest linear model on long reviews, and hard to beat
    with a network. The logistic regression does as well as the paper's support vector machine and
    gives probabilities; each class is set against the rest.

    Args:
        ngrams: maximum length of the n-grams in words, punctuation marks included.
        min_count: minimum number of texts that an n-gram occurs in, given 1,000 texts or more.
        inverse_regularization: C of the logistic regression.
    """

    def __init__(
        self, *, ngrams: int = 3, min_count: int = 2, inverse_regularization: float = 0.3
    ) -> None:
        from sklearn.feature_extraction.text import CountVectorizer

        self.min_count = min_count
        self.c = inverse_regularization
        # Any: scikit-learn has no types, and those inferred from its defaults are wrong.
        vectorizer: Any = CountVectorizer
        self.vectorizer = vectorizer(
            ngram_range=(1, ngrams), token_pattern=_TOKEN, binary=True, dtype=np.float32
        )

    def fit(self, texts: Sequence[str], labels: np.ndarray, *, classes: int) -> NBClassifier:
        """Learns from texts and their classes; returns itself.

        Args:
            texts: training texts.
            labels: class of each text, int[texts].
            classes: number of classes; each must occur.
        """
        from sklearn.linear_model import LogisticRegression

        self.vectorizer.set_params(min_df=self.min_count if len(texts) >= _ENOUGH_TEXTS else 1)
        counts = self.vectorizer.fit_transform(texts)
        self.models = []
        for label in [1] if classes == 2 else range(classes):
            inside = labels == label
            ratio = _log_frequency(counts[inside]) - _log_frequency(counts[~inside])
            # liblinear's dual solver is the fastest here: far more features than texts.
            model = LogisticRegression(
                C=self.c, solver="liblinear", dual=True, tol=1e-3, max_iter=1000, random_state=0
            )
            self.models.append((ratio, model.fit(counts.multiply(ratio).tocsr(), inside)))
        return self

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """Returns the probability of each class, float[texts, classes]; each row sums to 1."""
        counts = self.vectorizer.transform(texts)
        columns = [
            model.predict_proba(counts.multiply(ratio).tocsr())[:, 1]
            for ratio, model in self.models
        ]
        scores = np.stack(columns, axis=1)
        if scores.shape[1] == 1:
            return np.concatenate([1 - scores, scores], axis=1)
        return scores / np.maximum(scores.sum(axis=1, keepdims=True), 1e-12)


def _log_frequency(counts) -> np.ndarray:
    total = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel() + 1  # add-one smoothing
    return np.log(total / total.sum()).astype(np.float32)


def class_frequencies(labels: np.ndarray, *, examples: int, classes: int) -> np.ndarray:
    """Returns the frequency of each class for every example, float64[examples, classes].

    Args:
        labels: classes of the training data, int[...].
        examples: number of examples to answer.
        classes: number of classes.
    """
    frequencies = np.bincount(labels, minlength=classes) / len(labels)
    return np.tile(frequencies, (examples, 1))


def tfidf_probabilities(
    texts: Sequence[str], labels: np.ndarray, test_texts: Sequence[str], *, classes: int
) -> np.ndarray:
    """Returns the probabilities by a logistic regression over TF-IDF: float[texts, classes].

    Args:
        texts: training texts.
        labels: class of each training text, int[texts].
        test_texts: texts to classify.
        classes: number of classes.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    vectorizer = TfidfVectorizer(token_pattern=_TOKEN, sublinear_tf=True)
    model = make_pipeline(vectorizer, LogisticRegression(C=10, max_iter=1000)).fit(texts, labels)
    probabilities = np.zeros((len(test_texts), classes))
    probabilities[:, model.classes_] = model.predict_proba(test_texts)
    return probabilities


def text_baselines(
    train: tuple[Sequence[str], np.ndarray], test: tuple[Sequence[str], np.ndarray], *, classes: int
) -> dict[str, dict[str, Any]]:
    """Trains the baselines of text classification and scores them.

    Args:
        train: texts and their classes, int[texts]. Nothing is tuned, so the validation texts of a
            network belong here, too.
        test: texts and their classes, int[texts].
        classes: number of classes.

    Returns:
        The results of `scores.classification_scores`, with "seconds", of "majority" (the most
        frequent class), "tfidf_lr" (`tfidf_probabilities`) and "nb_lr" (`NBClassifier`).
    """
    texts, labels = train
    test_texts, test_labels = test

    def majority() -> np.ndarray:
        return class_frequencies(labels, examples=len(test_texts), classes=classes)

    def tfidf_lr() -> np.ndarray:
        return tfidf_probabilities(texts, labels, test_texts, classes=classes)

    def nb_lr() -> np.ndarray:
        return NBClassifier().fit(texts, labels, classes=classes).predict(test_texts)

    return timed_scores(
        {"majority": majority, "tfidf_lr": tfidf_lr, "nb_lr": nb_lr},
        lambda probabilities: classification_scores(test_labels, probabilities),
        metric="accuracy",
    )
