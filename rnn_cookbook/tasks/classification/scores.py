"""Accuracy, macro F1, ROC AUC and calibration of a classifier."""

from collections.abc import Sequence

import numpy as np

from rnn_cookbook.metrics import groups_by_length


def classification_scores(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Scores of a classifier.

    Args:
        labels: int[examples], the right classes.
        probabilities: float[examples, classes].

    Returns:
        "accuracy"; "macro_f1" (the mean of the classes' F1); "roc_auc" (one against the rest, mean
        over the classes, when there are more than two; absent when a class is missing from
        `labels`, where it is undefined); "calibration_error" (`calibration_error`); "log_loss" in
        nats.
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
    """Expected calibration error: how far confidence is from accuracy, 0 to 1 (Guo et al. 2017,
    arXiv 1706.04599).

    The predictions are binned by the probability of the predicted class; the result is the mean
    distance between accuracy and mean probability of the bins, weighted by their sizes.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    size = np.bincount(bin_of, minlength=bins)
    gap = np.abs(
        np.bincount(bin_of, weights=right, minlength=bins)
        - np.bincount(bin_of, weights=confidence, minlength=bins)
    )
    return float(gap[size > 0].sum() / len(labels))


def accuracy_by_length(
    labels: np.ndarray, predicted: np.ndarray, lengths: Sequence[int], groups: int = 8
) -> list[dict]:
    """Accuracy in `groups` groups of about equally many examples, from the shortest to the longest."""
    right = np.asarray(labels) == np.asarray(predicted)
    return [
        {**sizes, "accuracy": round(float(right[part].mean()), 4)}
        for part, sizes in groups_by_length(lengths, groups)
    ]
