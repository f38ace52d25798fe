"""Strict scores of whole entities."""

from collections import Counter
from collections.abc import Sequence

from rnn_cookbook.tasks.tagging.schemes import Span


def span_scores(
    gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]]
) -> dict[str, float]:
    """Strict scores of spans, as those of the CoNLL shared tasks: right are the spans whose ends
    and type are right, over all sentences.

    Returns:
        "precision", "recall" and "f1" of all spans, and "f1_TYPE" of each type that `gold` has. 0
        where nothing was found.
    """
    right, found, wanted = Counter(), Counter(), Counter()
    for true, guessed in zip(gold, predicted, strict=True):
        wanted.update(span.type for span in true)
        found.update(span.type for span in guessed)
        right.update(span.type for span in set(true) & set(guessed))
    total = right.total(), found.total(), wanted.total()
    scores = {
        "precision": total[0] / max(total[1], 1),
        "recall": total[0] / max(total[2], 1),
        "f1": _f1(*total),
        **{f"f1_{kind}": _f1(right[kind], found[kind], wanted[kind]) for kind in sorted(wanted)},
    }
    return {name: round(score, 5) for name, score in scores.items()}


def seen_scores(
    sentences: Sequence[Sequence[str]],
    gold: Sequence[Sequence[Span]],
    predicted: Sequence[Sequence[Span]],
    known: set[tuple[str, ...]],
) -> dict[str, float]:
    """Strict F1 apart for phrases that are among `known`, such as the entities of the training
    data, and for all others.

    A phrase is known or not by its tokens alone, whatever its type; "f1_seen" and "f1_unseen", 0
    where there is none.
    """
    scores = {}
    for name, wanted in (("f1_seen", True), ("f1_unseen", False)):

        def chosen(part, wanted=wanted):
            for tokens, spans in zip(sentences, part, strict=True):
                yield [
                    span
                    for span in spans
                    if (tuple(tokens[span.start : span.end]) in known) == wanted
                ]

        scores[name] = span_scores(list(chosen(gold)), list(chosen(predicted)))["f1"]
    return scores


def _f1(right: int, found: int, wanted: int) -> float:
    return 2 * right / max(found + wanted, 1)
