"""Labelled streams: their splits, and their match with what a model was trained on."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.anomaly.sample import anomalous_series
from rnn_cookbook.tasks.anomaly.streams import (
    LabelledStream,
    long_enough,
    matching,
    sizes,
    split,
    steps_between,
)

HOURS = pd.date_range("2024-01-01", periods=400, freq="h")


def test_splits_by_time_and_by_stream():
    streams = anomalous_series(2, 2800, seed=0)
    borders = [(800, 1000), (900, 1100)]
    assert split(streams, borders)["validation"] == borders
    spans = split(streams, borders, validating="validation", testing="test")
    assert spans == {
        "train": [(0, 800), (0, 900)],
        "validation": [(800, 2800), (900, 900)],
        "test": [(800, 800), (900, 2800)],
    }
    assert sizes(spans) == {"train": 1700, "validation": 2000, "test": 1900}


@pytest.mark.parametrize(
    ("frequency", "times", "steps"),
    [
        ("h", ("2024-01-01 00:00:10", "2024-01-01 02:59:50"), 3),
        ("B", ("2024-01-05", "2024-01-08"), 1),
        ("MS", ("2024-01-01", "2024-04-01"), 3),
    ],
)
def test_steps_between_times(frequency, times, steps):
    assert steps_between(*map(pd.Timestamp, times), frequency) == steps


def test_streams_that_are_too_short_are_left_out(messages, wave):
    long, short = (
        LabelledStream(name, HOURS[:rows], wave(rows)[:, None], ["value"])
        for name, rows in (("long", 400), ("short", 150))
    )
    gone = replace(
        long, name="gone", values=np.where(np.arange(400)[:, None] < 300, long.values, np.nan)
    )
    kept, borders = long_enough(
        [short, long, gone], [(60, 90), (160, 320), (160, 320)], min_rows=100, min_longest=120
    )
    assert [one.name for one in kept] == ["long"]
    assert borders == [(160, 320)]
    assert "2 of 3 streams are too short" in messages.text
    assert (
        "'gone' has 400 rows, 160 of them with values to train on, 0 for the test" in messages.text
    )


def test_new_streams_must_have_the_channels_and_the_steps_of_the_training(wave):
    values = np.stack([wave(), wave() * 2], axis=1)
    stream = LabelledStream("", HOURS, values, ["heat", "load"], frequency="h")

    def matched(stream, **options):
        (one,) = matching("new.csv", [stream], channels=["load", "heat"], frequency="h", **options)
        return one

    one = matched(stream)
    np.testing.assert_array_equal(one.values, values[:, ::-1])
    assert one.channels == ["load", "heat"]
    assert len(matched(stream, held=True)) == 399
    with pytest.raises(
        InputError,
        match="'cold', 'load'; the model was trained on 'load', 'heat': 'heat' missing",
    ):
        matched(replace(stream, channels=["cold", "load"]))
    with pytest.raises(InputError, match=r"has steps of 2h; the model was trained on steps of h"):
        matched(replace(stream, frequency="2h"))
