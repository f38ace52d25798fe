"""Accuracy, macro F1, ROC AUC and calibration of a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnn_cookbook.metrics import groups_by_length

__all__ = ["accuracy_by_length", "calibration_error", "classification_scores"]


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """Returns the expected calibration error: the distance of confidence from accuracy, 0 to 1.

    The predictions are binned by the probability of the predicted class. The result is the mean
    distance between accuracy and mean probability of the bins, weighted by their sizes (Guo et al.
    2017, arXiv 1706.04599).

    Args:
        labels: right classes, int[examples].
        probabilities: predicted distribution of each example, float[examples, classes].
        bins: number of bins, of equal width.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    size = np.bincount(bin_of, minlength=bins)
    right_in_bin = np.bincount(bin_of, weights=right, minlength=bins)
    confidence_in_bin = np.bincount(bin_of, weights=confidence, minlength=bins)
    gap = np.abs(right_in_bin - confidence_in_bin)
    return float(gap[size > 0].sum() / len(labels))


def classification_scores(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Returns the scores of a classifier.

    Args:
        labels: right classes, int[examples].
        probabilities: predicted distribution of each example, float[examples, classes].

    Returns:
        "accuracy"; "macro_f1", the mean of the classes' F1; "roc_auc", of more than two classes the
        mean over each against the rest, absent when a class is missing from `labels`, where it is
        undefined; "calibration_error", see `calibration_error`; "log_loss" in nats.
    """
    from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

    classes = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(axis=1)
    never_predicted: Any = 0  # scikit-learn has no types, and the one inferred here is wrong
    scores = {
        "accuracy": accuracy_score(labels, predicted),
        "macro_f1": f1_score(labels, predicted, average="macro", zero_division=never_predicted),
        "calibration_error": calibration_error(labels, probabilities),
        "log_loss": log_loss(labels, probabilities, labels=classes),
    }
    if len(np.unique(labels)) == len(classes):
        if len(classes) == 2:
            scores["roc_auc"] = roc_auc_score(labels, probabilities[:, 1])
        else:
            scores["roc_auc"] = roc_auc_score(
                labels, probabilities, multi_class="ovr", labels=classes
            )
    return {name: round(float(value), 5) for name, value in scores.items()}


def accuracy_by_length(
    labels: np.ndarray, predicted: np.ndarray, lengths: Sequence[int], groups: int = 8
) -> list[dict[str, Any]]:
    """Returns the accuracy in groups of about equally many examples, from the shortest.

    Args:
        labels: right classes, int[examples].
        predicted: predicted classes, int[examples].
        lengths: length of each example, in any unit.
        groups: number of groups; fewer where there are fewer examples.

    Returns:
        For each group "shortest", "longest", "examples" and "accuracy".
    """
    right = np.asarray(labels) == np.asarray(predicted)
    return [
        {**sizes, "accuracy": round(float(right[part].mean()), 4)}
        for part, sizes in groups_by_length(lengths, groups)
    ]
