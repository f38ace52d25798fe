"""Linear models over bags of words and n-grams: what a text classifier has to beat."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from rnn_cookbook.baselines import timed_scores
from rnn_cookbook.tasks.classification.scores import classification_scores


def text_baselines(
    train: tuple[Sequence[str], np.ndarray], test: tuple[Sequence[str], np.ndarray], *, classes: int
) -> dict[str, dict]:
    """Baselines of text classification: name to the scores of `metrics.classification_scores` and
    "seconds".

    Args:
        train: texts and int labels. Nothing is tuned, so the network's validation part belongs to
            it, too.
        test: texts and int labels.
        classes: number of classes.

    `majority`: the most frequent class. `tfidf_lr`: TF-IDF of words and logistic regression.
    `nb_lr`: `NBClassifier`.
    """
    methods: dict[str, Callable] = {"majority": _majority, "tfidf_lr": _tfidf_lr, "nb_lr": _nb_lr}
    answers = {name: partial(method, *train, test[0], classes) for name, method in methods.items()}
    return timed_scores(
        answers,
        lambda probabilities: classification_scores(test[1], probabilities),
        metric="accuracy",
    )


# Words, punctuation marks, and characters of scripts that set no spaces: as in
# encode.text.standardize.
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"

_TOKEN = rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+(?:'\w+)?|[^\w\s]"


class NBClassifier:
    """Naive Bayes features for a linear model (Wang and Manning 2012, "Baselines and Bigrams:
    Simple, Good Sentiment and Topic Classification"): the presence of each n-gram, weighted by its
    log-count ratio between the class and the rest.

    The strongest linear model on long reviews, and hard to beat with a network. The linear model is
    a logistic regression, which does as well as the paper's support vector machine and gives
    probabilities; one class against the rest.

    Args:
        ngrams: n-grams of 1 to this many words, punctuation marks included.
        min_count: rarer n-grams are left out, given a thousand texts or more.
        inverse_regularization: C of the logistic regression.
    """

    def __init__(self, *, ngrams: int = 3, min_count: int = 2, inverse_regularization: float = 0.3):
        from sklearn.feature_extraction.text import CountVectorizer

        self.min_count = min_count
        self.c = inverse_regularization
        self.vectorizer = CountVectorizer(
            ngram_range=(1, ngrams), token_pattern=_TOKEN, binary=True, dtype=np.float32
        )

    def fit(self, texts: Sequence[str], labels: np.ndarray, *, classes: int) -> "NBClassifier":
        from sklearn.linear_model import LogisticRegression

        self.vectorizer.set_params(min_df=self.min_count if len(texts) >= 1000 else 1)
        counts = self.vectorizer.fit_transform(texts)
        self.models = []
        for label in range(1, 2) if classes == 2 else range(classes):
            inside = labels == label
            ratio = self._smoothed(counts[inside]) - self._smoothed(counts[~inside])
            # liblinear's dual solver is the fastest here: far more features than texts.
            model = LogisticRegression(
                C=self.c, solver="liblinear", dual=True, tol=1e-3, max_iter=1000, random_state=0
            )
            self.models.append((ratio, model.fit(counts.multiply(ratio).tocsr(), inside)))
        return self

    @staticmethod
    def _smoothed(counts) -> np.ndarray:
        total = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel() + 1
        return np.log(total / total.sum()).astype(np.float32)

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """float[texts, classes], each row summing to one."""
        counts = self.vectorizer.transform(texts)
        scores = np.stack(
            [
                model.predict_proba(counts.multiply(ratio).tocsr())[:, 1]
                for ratio, model in self.models
            ],
            axis=1,
        )
        if scores.shape[1] == 1:
            return np.concatenate([1 - scores, scores], axis=1)
        return scores / np.maximum(scores.sum(axis=1, keepdims=True), 1e-12)


def _majority(texts, labels, test_texts, classes):
    share = np.bincount(labels, minlength=classes) / len(labels)
    return np.tile(share, (len(test_texts), 1))


def _tfidf_lr(texts, labels, test_texts, classes):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    # Single characters are words, too: Keras' and scikit-learn's default patterns differ in this,
    # and "!" matters.
    vectorizer = TfidfVectorizer(token_pattern=_TOKEN, sublinear_tf=True)
    model = make_pipeline(vectorizer, LogisticRegression(C=10, max_iter=1000)).fit(texts, labels)
    probabilities = np.zeros((len(test_texts), classes))
    probabilities[:, model.classes_] = model.predict_proba(test_texts)
    return probabilities


def _nb_lr(texts, labels, test_texts, classes):
    return NBClassifier().fit(texts, labels, classes=classes).predict(test_texts)
