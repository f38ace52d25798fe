"""Scores of classifications: by hand, and what a calibration says."""

import numpy as np
import pytest

from rnn_cookbook.tasks.classification.scores import (
    accuracy_by_length,
    calibration_error,
    classification_scores,
)


def test_scores_of_two_classes_by_hand():
    labels = np.array([0, 0, 1, 1])
    scores = classification_scores(
        labels, np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    )
    assert scores["accuracy"] == 0.75
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2, abs=1e-5)
    assert scores["roc_auc"] == 1.0
    assert scores["log_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.8, 0.7]).mean(), abs=1e-5)


def test_scores_of_many_classes_and_of_a_class_that_is_absent():
    shares = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.6, 0.3, 0.1]])
    assert classification_scores(np.array([0, 1, 2, 0]), shares)["roc_auc"] == 1.0
    assert "roc_auc" not in classification_scores(np.array([0, 1, 1, 0]), shares)


def test_calibration_error_is_zero_for_honest_and_large_for_boastful_probabilities():
    rng = np.random.default_rng(0)
    share = rng.uniform(0.5, 1, 50_000)
    labels = (rng.uniform(size=50_000) > share).astype(int)  # class 0 as often as promised
    assert calibration_error(labels, np.stack([share, 1 - share], axis=1)) < 0.01
    sure = np.tile([0.999, 0.001], (1000, 1))
    assert calibration_error(np.arange(1000) % 2, sure) == pytest.approx(0.499, abs=1e-3)


def test_accuracy_by_length_has_equal_groups_in_order():
    groups = accuracy_by_length(
        np.zeros(10, int), np.arange(10) // 5, lengths=list(range(10)), groups=2
    )
    assert [(g["shortest"], g["longest"], g["examples"], g["accuracy"]) for g in groups] == [
        (0, 4, 5, 1.0),
        (5, 9, 5, 0.0),
    ]
