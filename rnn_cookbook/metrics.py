"""Scores, by the field's own libraries."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from rnn_cookbook.data.tags import Span


def classification_scores(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Scores of a classifier.

    Args:
        labels: int[examples], the right classes.
        probabilities: float[examples, classes].

    Returns:
        "accuracy"; "macro_f1" (the mean of the classes' F1); "roc_auc" (one against the rest, mean over the classes, when there are more
        than two; absent when a class is missing from `labels`, where it is undefined); "calibration_error" (`calibration_error`);
        "log_loss" in nats.
    """
    from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

    classes = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(axis=1)
    scores = {
        "accuracy": accuracy_score(labels, predicted),
        "macro_f1": f1_score(labels, predicted, average="macro", zero_division=0),
        "calibration_error": calibration_error(labels, probabilities),
        "log_loss": log_loss(labels, probabilities, labels=classes),
    }
    if len(np.unique(labels)) == len(classes):
        scores["roc_auc"] = (
            roc_auc_score(labels, probabilities[:, 1])
            if len(classes) == 2
            else roc_auc_score(labels, probabilities, multi_class="ovr", labels=classes)
        )
    return {name: round(float(value), 5) for name, value in scores.items()}


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: how far confidence is from accuracy, 0 to 1 (Guo et al. 2017, arXiv 1706.04599).

    The predictions are binned by the probability of the predicted class; the result is the mean distance between accuracy and mean
    probability of the bins, weighted by their sizes.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    size = np.bincount(bin_of, minlength=bins)
    gap = np.abs(np.bincount(bin_of, weights=right, minlength=bins) - np.bincount(bin_of, weights=confidence, minlength=bins))
    return float(gap[size > 0].sum() / len(labels))


def accuracy_by_length(labels: np.ndarray, predicted: np.ndarray, lengths: Sequence[int], groups: int = 8) -> list[dict]:
    """Accuracy in `groups` groups of about equally many examples, from the shortest to the longest."""
    right = np.asarray(labels) == np.asarray(predicted)
    return [{**sizes, "accuracy": round(float(right[part].mean()), 4)} for part, sizes in groups_by_length(lengths, groups)]


def groups_by_length(lengths: Sequence[float], groups: int) -> Iterator[tuple[np.ndarray, dict]]:
    """At most `groups` groups of about equally many examples, from the shortest to the longest: their indices, and "shortest", "longest",
    "examples"."""
    lengths = np.asarray(lengths)
    for part in np.array_split(np.argsort(lengths, kind="stable"), min(groups, len(lengths))):
        yield part, {"shortest": lengths[part].min().item(), "longest": lengths[part].max().item(), "examples": len(part)}


def span_scores(gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]]) -> dict[str, float]:
    """Strict scores of spans, as those of the CoNLL shared tasks: right are the spans whose ends and type are right, over all sentences.

    Returns:
        "precision", "recall" and "f1" of all spans, and "f1_TYPE" of each type that `gold` has. 0 where nothing was found.
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
    sentences: Sequence[Sequence[str]], gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]], known: set[tuple[str, ...]]
) -> dict[str, float]:
    """Strict F1 apart for phrases that are among `known`, such as the entities of the training data, and for all others.

    A phrase is known or not by its tokens alone, whatever its type; "f1_seen" and "f1_unseen", 0 where there is none.
    """
    scores = {}
    for name, wanted in (("f1_seen", True), ("f1_unseen", False)):

        def chosen(part, wanted=wanted):
            for tokens, spans in zip(sentences, part, strict=True):
                yield [span for span in spans if (tuple(tokens[span.start : span.end]) in known) == wanted]

        scores[name] = span_scores(list(chosen(gold)), list(chosen(predicted)))["f1"]
    return scores


def _f1(right: int, found: int, wanted: int) -> float:
    return 2 * right / max(found + wanted, 1)
