"""Events, alarms and thresholds, by hand."""

import numpy as np
import pandas as pd
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.anomaly.scores import (
    DEFAULT_THRESHOLD,
    RowScores,
    alarms_of,
    best_event_threshold,
    event_scores,
    measures,
    quiet_threshold,
)
from rnn_cookbook.tasks.anomaly.streams import LabelledStream


class TestEvents:
    WINDOWS = ([(20, 29), (60, 69)], [(50, 59)])

    def scores(self):
        first, second = np.zeros(100), np.zeros(100)
        first[[22, 24, 90, 92]] = (
            1  # a hit two rows late, told twice; a false alarm of two rows; a miss
        )
        second[50] = 1  # a hit at once
        return [first, second]

    def test_events_by_hand(self):
        found = event_scores(self.scores(), self.WINDOWS, 0.5, gaps=(5, 5))
        assert found["event_precision"] == pytest.approx(2 / 3)
        assert found["event_recall"] == pytest.approx(2 / 3)
        assert found["event_f1"] == pytest.approx(2 / 3)
        assert (found["delay"], found["alarms"], found["false_alarms"]) == (1.0, 3, 1)
        nothing = event_scores(self.scores(), self.WINDOWS, 2.0, gaps=(5, 5))
        assert set(nothing.values()) == {0.0}

    def test_rows_near_each_other_are_one_alarm(self):
        assert alarms_of(self.scores()[0], 0.5, gap=5) == [(22, 24), (90, 92)]
        assert alarms_of(self.scores()[0], 0.5, gap=1) == [(22, 22), (24, 24), (90, 90), (92, 92)]
        assert alarms_of(np.zeros(5), 0.5, gap=1) == []

    def test_the_best_threshold_for_events(self):
        scores = [np.random.default_rng(i).uniform(size=100) / 2 for i in range(2)]
        scores[0][[22, 65]] = 0.9, 0.8
        scores[1][55] = 0.7
        threshold = best_event_threshold(scores, self.WINDOWS, gaps=(5, 5))
        assert 0.5 < threshold <= 0.7
        assert event_scores(scores, self.WINDOWS, threshold, gaps=(5, 5))["event_f1"] == 1
        assert best_event_threshold([np.zeros(100)], [[(5, 6)]], gaps=[5]) == np.inf

    @pytest.mark.parametrize("expected", [20, 1, 0.1])
    def test_the_threshold_without_labels_is_reached_as_often_as_asked(self, expected):
        rng = np.random.default_rng(0)
        threshold = quiet_threshold(rng.exponential(size=20_000), alarms=expected)
        assert threshold == pytest.approx(np.log(20_000 / expected), rel=0.12)

    def test_more_alarms_than_the_tail_has_are_counted(self):
        scores = np.arange(1.0, 101)
        assert quiet_threshold(scores, alarms=12) == 89
        assert quiet_threshold(scores, alarms=500) == 1

    def test_scores_with_an_end_get_a_threshold_that_may_be_reached_no_more(self):
        scores = np.random.default_rng(0).uniform(size=5000)
        assert 0.99 < quiet_threshold(scores, alarms=0.5) < 1.5

    def test_too_few_scores_for_a_threshold(self):
        with pytest.raises(InputError, match=r"more than 10 scores above 0 .* received 3"):
            quiet_threshold(np.array([0, 1, 0, 2, 3.0]), alarms=1)


class TestMeasures:
    """Of one stream of 300 hours: train, validation and test of 100 each."""

    SPANS = {"train": [(0, 100)], "validation": [(100, 200)], "test": [(200, 300)]}  # noqa: RUF012

    def measured(self, windows, score, *, evidence=None):
        times = pd.date_range("2024-01-01", periods=300, freq="h")
        stream = LabelledStream("", times, np.zeros((300, 1)), ["y"], windows)
        scored = [RowScores(score=score, evidence=score if evidence is None else evidence)]
        return measures([stream], scored, self.SPANS, gaps=[5], alarms_per_week=0.5)

    def test_labels_of_the_validation_choose_the_threshold(self):
        score = np.random.default_rng(0).uniform(size=300)
        score[[150, 151, 160, 251, 280]] = 3.1, 3, 2, 3, 2.5
        found = self.measured([(150, 155), (250, 259), (290, 310)], score)
        assert found["threshold"] == 3
        assert (found["event_precision"], found["event_recall"]) == (1, 0.5)
        assert (found["delay"], found["alarms"], found["false_alarms_per_week"]) == (1, 1, 0)
        by_row = self.measured([(150, 155), (250, 259)], score, evidence=np.arange(300.0) % 260)
        assert by_row["pr_auc"] == pytest.approx(
            1
        )  # the ten rows with the highest evidence of the test
        assert by_row["event_f1"] == 1

    def test_without_labels_alarms_are_counted(self, messages):
        score = np.zeros(300)
        score[[210, 212, 240]] = DEFAULT_THRESHOLD + 1
        found = self.measured([], score)
        assert found == {"threshold": DEFAULT_THRESHOLD, "alarms": 2, "weeks": 100 / 168}
        assert "in the part that is taken to be normal; received 0" in messages.text
