"""Which way is better, and groups by length."""

import numpy as np
import pytest

from rnn_cookbook.metrics import VAL_LOSS, Metric, groups_by_length

ACCURACY = Metric("accuracy", higher_is_better=True)
ERROR = Metric("wer", higher_is_better=False)


def test_a_metric_says_which_way_is_better():
    assert ACCURACY.better(0.9, than=0.8)
    assert not ACCURACY.better(0.8, than=0.8)
    assert ERROR.better(0.1, than=0.2)
    assert not ERROR.better(0.2, than=0.1)
    assert (ACCURACY.direction, ERROR.direction) == ("max", "min")


@pytest.mark.parametrize("metric", [ACCURACY, ERROR])
def test_a_score_that_is_no_number_is_never_better(metric):
    assert not metric.better(float("nan"), than=0.0)
    assert not metric.better(0.0, than=float("nan"))


def test_scores_are_ranked_best_first():
    scores = {"a": 0.2, "b": 0.9, "c": 0.5}
    assert ACCURACY.ranked(scores) == ["b", "c", "a"]
    assert ERROR.ranked(scores) == ["a", "c", "b"]


def test_on_the_validation_split_the_direction_stays():
    assert ACCURACY.on_validation() == Metric("val_accuracy", higher_is_better=True)
    assert Metric("loss", higher_is_better=False).on_validation() == VAL_LOSS


def test_groups_by_length_are_of_about_equal_size_and_in_order():
    groups = list(groups_by_length([5, 1, 4, 2, 3], groups=2))
    assert [indices.tolist() for indices, _ in groups] == [[1, 3, 4], [2, 0]]
    assert [facts for _, facts in groups] == [
        {"shortest": 1, "longest": 3, "examples": 3},
        {"shortest": 4, "longest": 5, "examples": 2},
    ]


def test_there_are_no_more_groups_than_examples():
    assert len(list(groups_by_length(np.array([7, 7]), groups=5))) == 2
