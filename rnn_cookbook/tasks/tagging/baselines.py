"""Known entities and a CRF over hand-made features: what a tagger has to beat."""

import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence

from rnn_cookbook.baselines import timed_scores
from rnn_cookbook.tasks.tagging.data import Tagged, phrases
from rnn_cookbook.tasks.tagging.schemes import Span, spans
from rnn_cookbook.tasks.tagging.scores import seen_scores, span_scores


def tagging_baselines(train: Tagged, test: Tagged) -> dict[str, dict]:
    """Baselines of entity recognition: name to the scores of `metrics.span_scores` and
    `metrics.seen_scores`, and "seconds".

    `known_entities`: the longest phrases that were entities in the training data, with their most
    frequent type (the baseline of the CoNLL-2003 shared task takes those of one type only).
    `feature_crf`: a linear-chain CRF over features of the words around, `FeatureCRF`.
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
            length = next(
                (length for length in lengths if tuple(tokens[start : start + length]) in types), 0
            )
            if length:
                phrase = tuple(tokens[start : start + length])
                here.append(Span(start, start + len(phrase), types[phrase].most_common(1)[0][0]))
            start += length or 1
        found.append(here)
    return found


class FeatureCRF:
    """A linear-chain CRF over hand-made features (Lafferty et al. 2001; McCallum and Li 2003), by
    CRFsuite: the tagger before networks.

    Features are words, lower-cased words, affixes and forms in a window of two words to either
    side. Trained by L-BFGS with L1 and L2 penalties.

    Args:
        iterations: of L-BFGS at most.
        l1, l2: weights of the penalties.
    """

    def __init__(self, *, iterations: int = 100, l1: float = 0.05, l2: float = 0.01):
        self.options = {
            "c1": l1,
            "c2": l2,
            "max_iterations": iterations,
            "feature.possible_transitions": True,
        }

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
            self.tagger.open(
                path
            )  # reads the whole file; `open_inmemory` would need the bytes kept beside it
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
                row += (
                    [f"{offset}{feature}" for feature in words[i + offset][1]]
                    if 0 <= i + offset < len(tokens)
                    else [f"{offset}none"]
                )
            before, after = tokens[i - 1] if i else "", tokens[i + 1] if i + 1 < len(tokens) else ""
            # Each is named by its place: a pair of words says one thing of its first word and
            # another of its second.
            row += [f"-1|0={before}|{tokens[i]}", f"0|1={tokens[i]}|{after}"]
            rows.append(row)
        return rows


def _word_features(token: str) -> tuple[list[str], list[str]]:
    """Of the word itself, and of it as a neighbour."""
    form = "".join(
        "X" if c.isupper() else "x" if c.islower() else "0" if c.isdigit() else c for c in token
    )
    short = "".join(c for i, c in enumerate(form) if i == 0 or form[i - 1] != c)
    near = [f"w={token}", f"l={token.lower()}", f"f={short}"]
    affixes = [f"p{n}={token[:n]}" for n in (1, 2, 3, 4)] + [
        f"s{n}={token[-n:]}" for n in (1, 2, 3, 4)
    ]
    return [*near, f"F={form}", *affixes], near
