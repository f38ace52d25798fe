"""Splits by class, in turn and by time."""

import logging
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from rnn_cookbook.data.series import Series
from rnn_cookbook.data.splits import complete, in_turn, split_by_time, stratified_split
from rnn_cookbook.data.texts import Texts
from rnn_cookbook.errors import InputError


def test_texts_that_are_in_two_splits_are_counted(caplog):
    parts = {
        "train": Texts(["a", "b", "c", "d"], ["x", "y", "x", "y"]),
        "test": Texts(["a", "e"], ["x", "y"]),
        "validation": Texts(["f"], ["x"]),
    }
    with caplog.at_level("WARNING", logger="rnn_cookbook"):
        logging.getLogger("rnn_cookbook").propagate = True
        complete(parts, validation_fraction=0.1, test_fraction=0.1, seed=0)
    assert "1 texts of the training split are in the test split, too" in caplog.text


def test_parts_one_after_the_other():
    drawn = Texts([f"text {i}" for i in range(10)], ["a", "b"] * 5)
    parts = in_turn(drawn, train=6, validation=1, test=2)
    assert {name: part.texts for name, part in parts.items()} == {
        "train": drawn.texts[:6],
        "validation": drawn.texts[6:7],
        "test": drawn.texts[7:9],
    }
    assert parts["test"].labels == ["b", "a"]
    with pytest.raises(ValueError, match="10 examples are too few for"):
        in_turn(drawn, train=6, test=5)


class TestSplits:
    LABELS = ["a"] * 80 + ["b"] * 20

    def test_classes_keep_their_shares_and_nothing_is_lost(self):
        large, small = stratified_split(self.LABELS, fraction=0.2, seed=0)
        assert sorted([*large, *small]) == list(range(100))
        assert Counter(self.LABELS[i] for i in small) == {"a": 16, "b": 4}

    def test_the_seed_decides(self):
        splits = [
            stratified_split(self.LABELS, fraction=0.2, seed=seed)[1].tolist() for seed in (0, 0, 1)
        ]
        assert splits[0] == splits[1] != splits[2]

    @pytest.mark.parametrize(
        ("labels", "fraction", "message"),
        [
            (["a"] * 9, 0.2, "the only label in the data is 'a'"),
            ([], 0.2, "two classes or more"),
            (["a"] * 9 + ["b"], 0.2, r"too few for 'b' \(1\)"),
            (["a", "a", "b", "b", "c", "c"], 0.9, "too few to set 5 aside"),
            (["a", "b"] * 5, 1.5, "validation_fraction must be above 0 and below 1; received 1.5"),
        ],
    )
    def test_impossible_splits(self, labels, fraction, message):
        with pytest.raises(InputError, match=message):
            stratified_split(labels, fraction=fraction, seed=0)


def plain(steps: int, name: str = "", freq: str = "h") -> Series:
    return Series(
        pd.date_range("2024-01-01", periods=steps, freq=freq),
        np.arange(steps, dtype=float)[:, None],
        ["x"],
        name,
    )


class TestSplitByTime:
    def test_the_benchmark_is_cut_as_everybody_cuts_it(self):
        _, spans = split_by_time(
            [plain(14_400)], lookback=336, horizon=96, validation=0.2, test=0.2
        )
        assert spans == {
            "train": [(0, 8640)],
            "validation": [(8640, 11_520)],
            "test": [(11_520, 14_400)],
        }

    def test_short_series_are_left_out_and_told(self, messages):
        kept, spans = split_by_time(
            [plain(100, "a"), plain(30, "b"), plain(200, "c")],
            lookback=20,
            horizon=5,
            validation=0.1,
            test=0.2,
        )
        assert [one.name for one in kept] == ["a", "c"]
        assert spans["test"] == [(80, 100), (160, 200)]
        assert (
            "1 of 3 series are too short for a look-back of 20 and a horizon of 5, and left out: b"
            in messages.text
        )

    @pytest.mark.parametrize(("lookback", "horizon"), [(480, 96), (60, 5), (20, 21)])
    def test_what_would_fit_is_told_and_fits(self, lookback, horizon):
        with pytest.raises(
            InputError,
            match=r"100 steps: 70 to train, 10 to validate, 20 to test.*a horizon of 10 and a "
            r"look-back of 60 would fit",
        ) as told:
            split_by_time(
                [plain(100)], lookback=lookback * 2, horizon=horizon, validation=0.1, test=0.2
            )
        assert "longest of" not in str(told.value)
        split_by_time([plain(100)], lookback=60, horizon=10, validation=0.1, test=0.2)

    def test_nothing_fits_a_handful_of_steps(self):
        with pytest.raises(
            InputError,
            match=r"the longest of 2 series has 4 steps.* at most none, nor any other would fit",
        ):
            split_by_time([plain(4), plain(3)], lookback=2, horizon=1, validation=0.1, test=0.2)


def test_the_shares_leave_something_to_train_on():
    with pytest.raises(
        InputError,
        match=r"fractions of 0\.6 for validation and 0\.6 for the test leave nothing to train on",
    ):
        split_by_time([plain(100)], lookback=10, horizon=5, validation=0.6, test=0.6)
