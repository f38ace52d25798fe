"""Labels: flags as numbers and words, windows in any spelling of dates, and bad ones."""

import numpy as np
import pandas as pd
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.anomaly.data import read_streams
from rnn_cookbook.tasks.anomaly.streams import LabelledStream

HOURS = pd.date_range("2024-01-01", periods=400, freq="h")


def read(tmp_path, frame, **options) -> list[LabelledStream]:
    path = tmp_path / "own.csv"
    frame.to_csv(path, index=False)
    return read_streams(path, **options)


def test_flags_and_windows_are_the_same_labels(tmp_path, wave):
    frame = pd.DataFrame({"time": HOURS, "value": wave()})
    flags = np.zeros(400, int)
    flags[300:310] = flags[350] = 1
    (by_flags,) = read(tmp_path, frame.assign(is_anomaly=flags))
    limits = pd.DataFrame({"start": HOURS[[300, 350]], "end": HOURS[[309, 350]]})
    limits.to_csv(tmp_path / "labels.csv", index=False)
    (by_windows,) = read(tmp_path, frame, labels=tmp_path / "labels.csv")
    assert by_flags.windows == by_windows.windows == [(300, 309), (350, 350)]
    assert by_flags.channels == ["value"]
    assert by_flags.season == 24
    (without,) = read(tmp_path, frame)
    assert without.windows == []


@pytest.mark.parametrize(
    ("yes", "no", "missing"),
    [
        (1, 0, ""),
        ("True", "False", "n/a"),
        ("yes", "no", ""),
        ("anomaly", "normal", "None"),
        (2.5, 0.0, ""),
    ],
)
@pytest.mark.parametrize("fill", ["keep", "linear"])
def test_flags_as_numbers_and_as_words(tmp_path, yes, no, missing, fill, wave):
    flags = np.full(400, no, dtype=object)
    flags[300:310] = yes
    flags[[304, 320]] = missing  # within an anomaly, and in none
    frame = pd.DataFrame({"time": HOURS, "value": wave(), "label": flags}).drop([306, 310, 350])
    frame.loc[[302, 309, 311], "value"] = np.nan
    (one,) = read(tmp_path, frame, fill=fill)
    assert one.windows == [(300, 309)]
    assert one.channels == ["value"]


@pytest.mark.parametrize("wrong", ["sensor A", "-1"])
def test_a_column_that_is_called_label_and_has_none(tmp_path, wrong, wave):
    frame = pd.DataFrame({"time": HOURS, "value": wave(), "label": "0"})
    frame.loc[7, "label"] = wrong
    with pytest.raises(
        InputError,
        match=rf"row 9: column 'label' has '{wrong}', which is no label \(1 such rows\); "
        "accepted are 0, numbers above 0",
    ):
        read(tmp_path, frame)


def test_labels_with_the_day_first_between_rows_and_in_a_time_zone(tmp_path, wave):
    frame = pd.DataFrame({"time": HOURS.strftime("%d/%m/%Y %H:%M"), "value": wave()})
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "start,end\n13/01/2024 10:00,13/01/2024 12:30\n14/01/2024 10:10,14/01/2024 10:20\n"
        "17/01/2024 15:10,20/01/2024\n"
    )
    (one,) = read(tmp_path, frame, labels=labels)
    assert one.windows == [(298, 300), (322, 322), (399, 399)]
    year = pd.DataFrame(
        {
            "time": pd.date_range("2024-01-01", periods=360).strftime("%d/%m/%Y"),
            "value": wave(360),
        }
    )
    labels.write_text(
        "start,end\n05/01/2024,06/01/2024\n07/02/2024,14/02/2024\n"
    )  # no day above 12, then one: as in the streams
    (one,) = read(tmp_path, year, labels=labels)
    assert one.windows == [(4, 5), (37, 44)]
    labels.write_text("start,end\n2024-01-05,2024-01-06\n")
    (one,) = read(tmp_path, year, labels=labels)
    assert one.windows == [(4, 5)]
    labels.write_text("start,end\n13/01/2024 10:00,13/01/2024 12:30\n")
    zoned = pd.DataFrame(
        {
            "time": HOURS.tz_localize("Europe/Berlin").strftime("%Y-%m-%d %H:%M%z"),
            "value": wave(),
        }
    )
    with pytest.raises(InputError, match="have no time zone, those of the streams have one"):
        read(tmp_path, zoned, labels=labels)
    labels.write_text("start,end\n")
    assert read(tmp_path, zoned, labels=labels)[0].windows == []
    labels.write_text("start,end\n2024-01-13 09:00Z,2024-01-13 11:00Z\n")  # an hour before Berlin's
    (one,) = read(tmp_path, zoned, labels=labels)
    assert one.windows == [(298, 300)]


def test_labels_of_many_streams_by_the_same_id_column(tmp_path, wave):
    frame = pd.concat(
        [pd.DataFrame({"machine": name, "time": HOURS, "y": wave()}) for name in ("a", "b")]
    )
    labels = tmp_path / "labels.csv"
    labels.write_text("machine,start,end\nb,2024-01-13,2024-01-14\n")
    found = read(tmp_path, frame, id_column="machine", labels=labels)
    assert {one.name: one.windows for one in found} == {"a": [], "b": [(288, 312)]}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            {"start": ["2025-01-01"], "end": ["2025-01-02"]},
            "row 2: 2025-01-01 00:00:00 to 2025-01-02 00:00:00 lies outside",
        ),
        ({"start": ["2024-01-03"], "end": ["2024-01-02"]}, "no time from start to end"),
        (
            {"start": ["soon"], "end": ["2024-01-02"]},
            "row 2: 'soon' in column 'start' is no time stamp",
        ),
        (
            {"start": ["2024-01-02", "2024-01-03"], "end": ["2024-01-04", "2024-01-05"]},
            "overlap at 2024-01-03",
        ),
        ({"from": ["2024-01-02"]}, "needs columns start and end"),
    ],
)
def test_bad_labels(tmp_path, labels, message, wave):
    pd.DataFrame(labels).to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(InputError, match=message):
        read(
            tmp_path,
            pd.DataFrame({"time": HOURS, "value": wave()}),
            labels=tmp_path / "labels.csv",
        )
