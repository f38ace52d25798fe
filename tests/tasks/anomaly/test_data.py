"""Tables of the user's own streams."""

import numpy as np
import pandas as pd
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.anomaly.data import read_streams
from rnn_cookbook.tasks.anomaly.streams import LabelledStream, matching

HOURS = pd.date_range("2024-01-01", periods=400, freq="h")


def read(tmp_path, frame, **options) -> list[LabelledStream]:
    path = tmp_path / "own.csv"
    frame.to_csv(path, index=False)
    return read_streams(path, **options)


def test_new_tables_must_be_those_of_the_training(tmp_path, wave):
    frame = pd.DataFrame({"time": HOURS, "load": wave(), "heat": wave() * 2})
    (one,) = matching(
        "new.csv",
        read(tmp_path, frame[["time", "heat", "load"]]),
        channels=["load", "heat"],
        frequency="h",
    )
    np.testing.assert_array_equal(one.values, frame[["load", "heat"]])
    with pytest.raises(
        InputError,
        match="'load', 'cold'; the model was trained on 'load', 'heat': 'heat' missing",
    ):
        matching(
            "new.csv",
            read(tmp_path, frame.rename(columns={"heat": "cold"})),
            channels=["load", "heat"],
            frequency="h",
        )
    with pytest.raises(InputError, match=r"has steps of 2h; the model was trained on steps of h"):
        matching("new.csv", read(tmp_path, frame[::2]), channels=["load", "heat"], frequency="h")


def test_gaps_stay_missing_and_are_told(tmp_path, messages, wave):
    frame = pd.DataFrame({"time": HOURS, "value": wave()}).drop(range(100, 110))
    frame.loc[50:53, "value"] = np.nan
    (one,) = read(tmp_path, frame)
    assert np.isnan(one.values[:, 0]).nonzero()[0].tolist() == [
        50,
        51,
        52,
        53,
        *range(100, 110),
    ]
    assert "no value for 14 steps" in messages.text


def test_a_new_table_needs_no_labels(tmp_path, wave):
    frame = pd.DataFrame({"time": HOURS, "value": wave()})
    (one,) = read(tmp_path, frame, label_column="is bad", labels="gone.csv", step="h")
    assert one.windows == []
    (one,) = read(
        tmp_path,
        frame.assign(**{'is "bad"': 0, " label": "odd"}),
        label_column='is "bad"',
        step="h",
    )
    assert one.channels == ["value"]
    (one,) = read(tmp_path, frame[:1], step="h")  # the step is known: one row is enough
    assert (len(one), one.frequency) == (1, "h")
    with pytest.raises(
        InputError,
        match="00:30:00 does not lie on the grid from 2024-01-01 00:00:00 on in steps of h, those "
        "of the tra",
    ):
        read(
            tmp_path,
            pd.DataFrame({"time": ["2024-01-01 00:00", "2024-01-01 00:30"], "value": 1}),
            step="h",
        )


def test_columns_of_labels_with_odd_names_and_too_many_of_them(tmp_path, wave):
    flags = (np.arange(400) == 300).astype(int)
    frame = pd.DataFrame({"time": HOURS, " value": wave(), ' is "bad", or not ': flags})
    (one,) = read(tmp_path, frame, label_column=' is "bad", or not ')
    assert (one.windows, one.channels) == ([(300, 300)], [" value"])
    frame = pd.DataFrame({"time": HOURS, "value": wave(), "label": 0, "Anomaly": flags})
    with pytest.raises(
        InputError,
        match="several columns of labels, 'label', 'Anomaly': name one",
    ):
        read(tmp_path, frame)
    (one,) = read(tmp_path, frame, label_column="Anomaly")
    assert (one.windows, one.channels) == ([(300, 300)], ["value"])


def test_labels_twice(tmp_path, wave):
    with pytest.raises(InputError, match="leave one of them out"):
        read(
            tmp_path,
            pd.DataFrame({"time": HOURS, "value": wave(), "label": 0}),
            labels="labels.csv",
        )


def test_duplicate_time_stamps_are_refused(tmp_path, wave):
    frame = pd.DataFrame({"time": HOURS, "value": wave()})
    with pytest.raises(InputError, match="occurs more than once"):
        read(tmp_path, pd.concat([frame, frame[7:9]]))
