"""What a practitioner would try first. Each is trained and timed in the same run as the network, and scored in the same way."""

import os
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from rnn_cookbook.data.tagged import Tagged, phrases
from rnn_cookbook.data.tags import Span, spans
from rnn_cookbook.metrics import classification_scores, seen_scores, span_scores
from rnn_cookbook.runs import log


def text_baselines(train: tuple[Sequence[str], np.ndarray], test: tuple[Sequence[str], np.ndarray], *, classes: int) -> dict[str, dict]:
    """Baselines of text classification: name to the scores of `metrics.classification_scores` and "seconds".

    Args:
        train: texts and int labels. Nothing is tuned, so the network's validation part belongs to it, too.
        test: texts and int labels.
        classes: number of classes.

    `majority`: the most frequent class. `tfidf_lr`: TF-IDF of words and logistic regression. `nb_lr`: `NBClassifier`.
    """
    methods: dict[str, Callable] = {"majority": _majority, "tfidf_lr": _tfidf_lr, "nb_lr": _nb_lr}
    answers = {name: partial(method, *train, test[0], classes) for name, method in methods.items()}
    return timed_scores(answers, lambda probabilities: classification_scores(test[1], probabilities), metric="accuracy")


def timed_scores(methods: dict[str, Callable[[], object]], score: Callable[[object], dict], *, metric: str) -> dict[str, dict]:
    """Runs each method, one after the other: name to `score` of its answer, and the "seconds" that the answer took.

    Args:
        methods: name to a function of nothing, which learns and answers.
        score: of an answer.
        metric: which of the scores is logged.
    """
    scores = {}
    for name, method in methods.items():
        started = time.perf_counter()
        answer = method()
        seconds = time.perf_counter() - started
        scores[name] = {**score(answer), "seconds": round(seconds, 1)}
        log.info("baseline %s: %s %.4f in %.0f s", name, metric, scores[name][metric], seconds)
    return scores


# Words, punctuation marks, and characters of scripts that set no spaces: as in encode.text.standardize.
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_TOKEN = rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+(?:'\w+)?|[^\w\s]"


class NBClassifier:
    """Naive Bayes features for a linear model (Wang and Manning 2012, "Baselines and Bigrams: Simple, Good Sentiment and Topic
    Classification"): the presence of each n-gram, weighted by its log-count ratio between the class and the rest.

    The strongest linear model on long reviews, and hard to beat with a network. The linear model is a logistic regression, which
    does as well as the paper's support vector machine and gives probabilities; one class against the rest.

    Args:
        ngrams: n-grams of 1 to this many words, punctuation marks included.
        min_count: rarer n-grams are left out, given a thousand texts or more.
        inverse_regularization: C of the logistic regression.
    """

    def __init__(self, *, ngrams: int = 3, min_count: int = 2, inverse_regularization: float = 0.3):
        from sklearn.feature_extraction.text import CountVectorizer

        self.min_count = min_count
        self.c = inverse_regularization
        self.vectorizer = CountVectorizer(ngram_range=(1, ngrams), token_pattern=_TOKEN, binary=True, dtype=np.float32)

    def fit(self, texts: Sequence[str], labels: np.ndarray, *, classes: int) -> "NBClassifier":
        from sklearn.linear_model import LogisticRegression

        self.vectorizer.set_params(min_df=self.min_count if len(texts) >= 1000 else 1)
        counts = self.vectorizer.fit_transform(texts)
        self.models = []
        for label in range(1, 2) if classes == 2 else range(classes):
            inside = labels == label
            ratio = self._smoothed(counts[inside]) - self._smoothed(counts[~inside])
            # liblinear's dual solver is the fastest here: far more features than texts.
            model = LogisticRegression(C=self.c, solver="liblinear", dual=True, tol=1e-3, max_iter=1000, random_state=0)
            self.models.append((ratio, model.fit(counts.multiply(ratio).tocsr(), inside)))
        return self

    @staticmethod
    def _smoothed(counts) -> np.ndarray:
        total = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel() + 1
        return np.log(total / total.sum()).astype(np.float32)

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """float[texts, classes], each row summing to one."""
        counts = self.vectorizer.transform(texts)
        scores = np.stack([model.predict_proba(counts.multiply(ratio).tocsr())[:, 1] for ratio, model in self.models], axis=1)
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

    # Single characters are words, too: Keras' and scikit-learn's default patterns differ in this, and "!" matters.
    vectorizer = TfidfVectorizer(token_pattern=_TOKEN, sublinear_tf=True)
    model = make_pipeline(vectorizer, LogisticRegression(C=10, max_iter=1000)).fit(texts, labels)
    probabilities = np.zeros((len(test_texts), classes))
    probabilities[:, model.classes_] = model.predict_proba(test_texts)
    return probabilities


def _nb_lr(texts, labels, test_texts, classes):
    return NBClassifier().fit(texts, labels, classes=classes).predict(test_texts)


def tagging_baselines(train: Tagged, test: Tagged) -> dict[str, dict]:
    """Baselines of entity recognition: name to the scores of `metrics.span_scores` and `metrics.seen_scores`, and "seconds".

    `known_entities`: the longest phrases that were entities in the training data, with their most frequent type (the baseline of the
    CoNLL-2003 shared task takes those of one type only). `feature_crf`: a linear-chain CRF over features of the words around, `FeatureCRF`.
    """
    gold, known = [spans(tags) for tags in test.tags], phrases(train)
    return timed_scores(
        {
            "known_entities": lambda: _known_entities(train, test.tokens),
            "feature_crf": lambda: FeatureCRF().fit(train).spans(test.tokens),
        },
        lambda found: {**span_scores(gold, found), **seen_scores(test.tokens, gold, found, known)},
        metric="f1",
    )


def _known_entities(train: Tagged, sentences: Sequence[Sequence[str]]) -> list[list[Span]]:
    types: dict[tuple, Counter] = defaultdict(Counter)
    for tokens, tags in zip(train.tokens, train.tags, strict=True):
        for span in spans(tags):
            types[tuple(tokens[span.start : span.end])][span.type] += 1
    lengths = sorted({len(phrase) for phrase in types}, reverse=True)
    found = []
    for tokens in sentences:
        here, start = [], 0
        while start < len(tokens):
            length = next((length for length in lengths if tuple(tokens[start : start + length]) in types), 0)
            if length:
                phrase = tuple(tokens[start : start + length])
                here.append(Span(start, start + len(phrase), types[phrase].most_common(1)[0][0]))
            start += length or 1
        found.append(here)
    return found


class FeatureCRF:
    """A linear-chain CRF over hand-made features (Lafferty et al. 2001; McCallum and Li 2003), by CRFsuite: the tagger before networks.

    Features are words, lower-cased words, affixes and forms in a window of two words to either side. Trained by L-BFGS with L1 and L2
    penalties.

    Args:
        iterations: of L-BFGS at most.
        l1, l2: weights of the penalties.
    """

    def __init__(self, *, iterations: int = 100, l1: float = 0.05, l2: float = 0.01):
        self.options = {"c1": l1, "c2": l2, "max_iterations": iterations, "feature.possible_transitions": True}

    def fit(self, train: Tagged) -> "FeatureCRF":
        import pycrfsuite

        trainer = pycrfsuite.Trainer(verbose=False)
        trainer.set_params(self.options)
        for tokens, tags in zip(train.tokens, train.tags, strict=True):
            trainer.append(self._features(tokens), tags)
        self.tagger = pycrfsuite.Tagger()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.crfsuite")
            trainer.train(path)
            self.tagger.open(path)  # reads the whole file; `open_inmemory` would need the bytes kept beside it
        return self

    def spans(self, sentences: Sequence[Sequence[str]]) -> list[list[Span]]:
        return [spans(self.tagger.tag(self._features(tokens))) for tokens in sentences]

    @staticmethod
    def _features(tokens: Sequence[str]) -> list[list[str]]:
        words = [_word_features(token) for token in tokens]
        rows = []
        for i in range(len(tokens)):
            row = ["bias", *words[i][0]]
            for offset in (-2, -1, 1, 2):
                row += [f"{offset}{feature}" for feature in words[i + offset][1]] if 0 <= i + offset < len(tokens) else [f"{offset}none"]
            before, after = tokens[i - 1] if i else "", tokens[i + 1] if i + 1 < len(tokens) else ""
            # Each is named by its place: a pair of words says one thing of its first word and another of its second.
            row += [f"-1|0={before}|{tokens[i]}", f"0|1={tokens[i]}|{after}"]
            rows.append(row)
        return rows


def _word_features(token: str) -> tuple[list[str], list[str]]:
    """Of the word itself, and of it as a neighbour."""
    form = "".join("X" if c.isupper() else "x" if c.islower() else "0" if c.isdigit() else c for c in token)
    short = "".join(c for i, c in enumerate(form) if i == 0 or form[i - 1] != c)
    near = [f"w={token}", f"l={token.lower()}", f"f={short}"]
    affixes = [f"p{n}={token[:n]}" for n in (1, 2, 3, 4)] + [f"s{n}={token[-n:]}" for n in (1, 2, 3, 4)]
    return [*near, f"F={form}", *affixes], near
