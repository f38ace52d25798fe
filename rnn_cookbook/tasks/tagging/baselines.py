"""Known entities and a CRF over hand-made features: what a tagger has to beat."""

from __future__ import annotations

import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from rnn_cookbook.baselines import timed_scores
from rnn_cookbook.tasks.tagging.data import Tagged, phrases
from rnn_cookbook.tasks.tagging.schemes import Span, spans
from rnn_cookbook.tasks.tagging.scores import seen_scores, span_scores

__all__ = ["FeatureCRF", "known_entities", "tagging_baselines", "word_features"]

_NEIGHBOURS = (-2, -1, 1, 2)  # offsets of the words that are read beside a word
_AFFIX_LENGTHS = (1, 2, 3, 4)


def known_entities(train: Tagged, sentences: Sequence[Sequence[str]]) -> list[list[Span]]:
    """Returns the longest phrases that were entities in the training data, as spans.

    The type is the most frequent one. (The baseline of the CoNLL-2003 shared task takes phrases of
    a single type only.)

    Args:
        train: training sentences.
        sentences: tokens of each sentence to answer.
    """
    types: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for tokens, tags in zip(train.tokens, train.tags, strict=True):
        for span in spans(tags):
            types[tuple(tokens[span.start : span.end])][span.type] += 1
    lengths = sorted({len(phrase) for phrase in types}, reverse=True)
    answers = []
    for tokens in sentences:
        entities = []
        start = 0
        while start < len(tokens):
            matches = (n for n in lengths if tuple(tokens[start : start + n]) in types)
            length = next(matches, 0)
            if length:
                # At the end of a sentence a slice is shorter than its length.
                phrase = tuple(tokens[start : start + length])
                kind = types[phrase].most_common(1)[0][0]
                entities.append(Span(start, start + len(phrase), kind))
            start += length or 1
        answers.append(entities)
    return answers


def _form(character: str) -> str:
    if character.isupper():
        return "X"
    if character.islower():
        return "x"
    return "0" if character.isdigit() else character


def _near_features(token: str) -> list[str]:
    """What is read of a word as of its neighbours."""
    form = "".join(map(_form, token))
    short = "".join(c for i, c in enumerate(form) if i == 0 or form[i - 1] != c)
    return [f"w={token}", f"l={token.lower()}", f"f={short}"]


def _own_features(token: str) -> list[str]:
    """What is read of a word, not of its neighbours."""
    form = "".join(map(_form, token))
    prefixes = [f"p{n}={token[:n]}" for n in _AFFIX_LENGTHS]
    suffixes = [f"s{n}={token[-n:]}" for n in _AFFIX_LENGTHS]
    return [f"F={form}", *prefixes, *suffixes]


def word_features(tokens: Sequence[str]) -> list[list[str]]:
    """Returns the features of each word of a sentence, as strings.

    Words, lower-cased words and forms in a window of two words to either side; affixes of the word
    itself; pairs of the word and its neighbours.

    Args:
        tokens: tokens of the sentence.
    """
    near = [_near_features(token) for token in tokens]
    rows = []
    for i, token in enumerate(tokens):
        row = ["bias", *near[i], *_own_features(token)]
        for offset in _NEIGHBOURS:
            if 0 <= i + offset < len(tokens):
                row += [f"{offset}{feature}" for feature in near[i + offset]]
            else:
                row.append(f"{offset}none")
        before = tokens[i - 1] if i else ""
        after = tokens[i + 1] if i + 1 < len(tokens) else ""
        # Each is named by its place: a pair of words says one thing of its first word and another
        # of its second.
        row += [f"-1|0={before}|{token}", f"0|1={token}|{after}"]
        rows.append(row)
    return rows


class FeatureCRF:
    """A linear-chain CRF over hand-made features (Lafferty et al. 2001; McCallum and Li 2003).

    The tagger before networks, by CRFsuite: `word_features`, trained by L-BFGS with L1 and L2
    penalties.

    Args:
        iterations: maximum number of iterations of L-BFGS.
        l1: weight of the L1 penalty.
        l2: weight of the L2 penalty.
    """

    def __init__(self, *, iterations: int = 100, l1: float = 0.05, l2: float = 0.01) -> None:
        self.options = {
            "c1": l1,
            "c2": l2,
            "max_iterations": iterations,
            "feature.possible_transitions": True,
        }

    def fit(self, train: Tagged) -> FeatureCRF:
        """Learns from tagged sentences; returns itself."""
        from pycrfsuite import (  # names of its extension module, which a type checker cannot see
            Tagger,  # pyright: ignore[reportAttributeAccessIssue]
            Trainer,  # pyright: ignore[reportAttributeAccessIssue]
        )

        trainer = Trainer(verbose=False)
        trainer.set_params(self.options)
        for tokens, tags in zip(train.tokens, train.tags, strict=True):
            trainer.append(word_features(tokens), tags)
        self.tagger = Tagger()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.crfsuite")
            trainer.train(path)
            # Reads the whole file; `open_inmemory` would need the bytes kept beside it.
            self.tagger.open(path)
        return self

    def spans(self, sentences: Sequence[Sequence[str]]) -> list[list[Span]]:
        """Returns the spans of each sentence, in order.

        Args:
            sentences: tokens of each sentence.
        """
        return [spans(self.tagger.tag(word_features(tokens))) for tokens in sentences]


def tagging_baselines(train: Tagged, test: Tagged) -> dict[str, dict[str, Any]]:
    """Trains the baselines of entity recognition and scores them.

    Args:
        train: sentences to learn from. Nothing is tuned, so the validation sentences of a network
            belong here, too.
        test: sentences to score.

    Returns:
        The results of `scores.span_scores` and `scores.seen_scores`, with "seconds", of
        "known_entities" (`known_entities`) and "feature_crf" (`FeatureCRF`).
    """
    gold = [spans(tags) for tags in test.tags]
    known = phrases(train)

    def score(predicted: list[list[Span]]) -> dict[str, float]:
        seen = seen_scores(test.tokens, gold, predicted, known)
        return {**span_scores(gold, predicted), **seen}

    return timed_scores(
        {
            "known_entities": lambda: known_entities(train, test.tokens),
            "feature_crf": lambda: FeatureCRF().fit(train).spans(test.tokens),
        },
        score,
        metric="f1",
    )
