"""Strict scores of whole entities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from rnn_cookbook.tasks.tagging.schemes import Span

__all__ = ["seen_scores", "span_scores"]


def _f1(right: int, predicted: int, wanted: int) -> float:
    return 2 * right / max(predicted + wanted, 1)


def span_scores(
    gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]]
) -> dict[str, float]:
    """Returns the strict scores of the CoNLL shared tasks, over the spans of all sentences.

    A predicted span is right where both ends and the type are: with `right` of them among
    `predicted` and `wanted` spans, precision = right / predicted, recall = right / wanted,
    F1 = 2 right / (predicted + wanted).

    Args:
        gold: right spans of each sentence.
        predicted: predicted spans of each sentence.

    Returns:
        "precision", "recall" and "f1" of all spans, and "f1_TYPE" of each type in `gold`; 0 where
        nothing was predicted.

    Raises:
        ValueError: the numbers of sentences differ.
    """
    right: Counter[str] = Counter()
    claimed: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    for true, guessed in zip(gold, predicted, strict=True):
        wanted.update(span.type for span in true)
        claimed.update(span.type for span in guessed)
        right.update(span.type for span in set(true) & set(guessed))
    scores = {
        "precision": right.total() / max(claimed.total(), 1),
        "recall": right.total() / max(wanted.total(), 1),
        "f1": _f1(right.total(), claimed.total(), wanted.total()),
    }
    for kind in sorted(wanted):
        scores[f"f1_{kind}"] = _f1(right[kind], claimed[kind], wanted[kind])
    return {name: round(score, 5) for name, score in scores.items()}


def _chosen(
    sentences: Sequence[Sequence[str]],
    parts: Sequence[Sequence[Span]],
    known: Collection[tuple[str, ...]],
    *,
    seen: bool,
) -> list[list[Span]]:
    """The spans whose tokens are among the known phrases, or those whose tokens are not."""
    return [
        [span for span in spans if (tuple(tokens[span.start : span.end]) in known) == seen]
        for tokens, spans in zip(sentences, parts, strict=True)
    ]


def seen_scores(
    sentences: Sequence[Sequence[str]],
    gold: Sequence[Sequence[Span]],
    predicted: Sequence[Sequence[Span]],
    known: Collection[tuple[str, ...]],
) -> dict[str, float]:
    """Returns the strict F1 of known phrases and of all others.

    Whether a phrase is known depends on its tokens alone, whatever its type.

    Args:
        sentences: tokens of each sentence.
        gold: right spans of each sentence.
        predicted: predicted spans of each sentence.
        known: tokens of each known phrase, such as the entities of the training data.

    Returns:
        "f1_seen" and "f1_unseen"; 0 where there is no such span.
    """
    scores = {}
    for name, seen in (("f1_seen", True), ("f1_unseen", False)):
        wanted = _chosen(sentences, gold, known, seen=seen)
        claimed = _chosen(sentences, predicted, known, seen=seen)
        scores[name] = span_scores(wanted, claimed)["f1"]
    return scores
