"""Backtests: their origins, and their result in words."""

import numpy as np
import pandas as pd
import pytest

from rnn_cookbook.data.series import Series
from rnn_cookbook.encode.series import SeriesEncoder
from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.forecasting.backtest import (
    last_origins,
    log_backtest,
    rolling_origins,
    verdict,
)


def series(values, name="", channels=("x",)):
    return Series(
        pd.date_range("2024-01-01", periods=len(values), freq="D"), values, list(channels), name
    )


def test_origins_are_the_last_horizons(messages):
    both = [
        series(np.zeros((50, 1)), "long"),
        series(np.zeros((17, 1)), "short"),
        series(np.zeros((9, 1)), "none"),
    ]
    spans = last_origins(both, origins=3, lookback=7, horizon=5)
    assert spans == [(35, 50), (7, 17), (9, 9)]
    assert "fewer than 3 origins, for want of steps: 2 of short, 0 of none" in messages.text
    windows = SeriesEncoder.fit(both, [(0, 9)] * 3).windows(
        both, spans, lookback=7, horizon=5, batch_size=8, stride=5
    )
    assert windows.starts.tolist() == [35, 40, 45, 7, 12]
    with pytest.raises(
        InputError,
        match="needs 48 steps to read and 5 to forecast, 53 in all; the longest series has 50",
    ):
        last_origins(both, origins=1, lookback=48, horizon=5)


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (
            [1, 1, 1, 1, 1],
            [2, 2, 2, 2, 2],
            "mean absolute error 1, seasonal naive 2; better at 5 of 5 origins: the model wins by "
            "50%",
        ),
        ([1, 1], [2, 2], "the model wins by 50%, though so few origins prove little"),
        (
            [2, 2, 2],
            [1, 2, 2],
            "better at 0 of 3 origins: the naive forecast is as good or better, take that one",
        ),
        (
            [1, 1, 1],
            [0.9, 0.9, 9],
            "better by 72% on average, but not at most origins; no clear winner",
        ),
    ],
)
def test_the_verdict(ours, theirs, said):
    parts = [np.array(part, float)[:, None, None] for part in (np.zeros(len(ours)), ours, theirs)]
    assert verdict(rolling_origins(*parts)).endswith(said)


def test_a_backtest_is_told_channel_by_channel_and_where_the_model_knew_the_answers(messages):
    both = [series(np.zeros((20, 1)), "a"), series(np.zeros((20, 1)), "b")]
    origins = [{"model": 1.0, "naive": 2.0, "wins": True}] * 5
    by_channel = {"a": origins, "b": origins}
    chosen_until = {"a": "2024-01-11 00:00:00", "b": "2024-01-12 00:00:00"}
    log_backtest(both, [(10, 20), (10, 20)], by_channel, chosen_until=chosen_until)
    assert "backtest of a: mean absolute error 1, seasonal naive 2" in messages.text
    assert "backtest of all" not in messages.text
    assert "the backtest of b begins within what the model was trained on" in messages.text
    log_backtest(both, [(10, 20), (11, 20)], by_channel, chosen_until=chosen_until, limit=1)
    assert messages.text.count("backtest of b: ") == 1
    assert "backtest of all 2 channels: the model wins at 2" in messages.text
    assert messages.text.count("too good to be true") == 1
