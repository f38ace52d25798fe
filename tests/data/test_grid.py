"""The even grid of time: which it is, what is averaged, and what becomes of gaps."""

import numpy as np
import pandas as pd
import pytest
from series_tables import table, write

from rnn_cookbook.data.series import read_series
from rnn_cookbook.errors import InputError


@pytest.mark.parametrize("frequency", ["15min", "D", "W-WED", "MS", "ME", "QS-JAN", "YS-JAN", "B"])
def test_the_grid_is_found(tmp_path, frequency):
    times = pd.date_range("2023-01-01", periods=40, freq=frequency)
    frame = table(times, a=np.arange(40.0))
    (whole,) = read_series(write(tmp_path / "a.csv", frame))
    assert list(whole.times) == list(times)
    (gap,) = read_series(write(tmp_path / "a.csv", frame.drop(index=[7, 8])), fill="linear")
    assert list(gap.times) == list(times)
    np.testing.assert_allclose(gap.values, whole.values)


def test_days_are_those_of_the_calendar_where_clocks_change(tmp_path):
    times = pd.date_range(
        "2024-03-25", periods=12, freq="D", tz="Europe/Berlin"
    )  # 2024-03-31 has 23 hours
    (series,) = read_series(write(tmp_path / "a.parquet", table(times, a=np.arange(12.0))))
    assert list(series.times) == list(times)
    assert series.future(1)[0] == pd.Timestamp("2024-04-06", tz="Europe/Berlin")


def test_months_on_another_day_are_told_what_to_say(tmp_path):
    path = write(
        tmp_path / "a.csv",
        table(
            pd.date_range("2024-01-15", periods=12, freq="MS") + pd.Timedelta("14D"),
            a=np.arange(12.0),
        ),
    )
    with pytest.raises(InputError, match="Give a frequency, such as MS, "):
        read_series(path)
    (series,) = read_series(path, frequency="MS")
    assert series.values[:, 0].tolist() == list(range(12))


class TestGaps:
    FRAME = table(a=[1.0, np.nan, 3.0, 4.0, 5.0, np.nan])

    @pytest.mark.parametrize(
        ("fill", "wanted"),
        [
            ("linear", [1, 2, 3, 4, 5, 5]),
            ("last", [1, 1, 3, 4, 5, 5]),
            ("zero", [1, 0, 3, 4, 5, 0]),
        ],
    )
    def test_are_filled_by_the_rule_and_told(self, tmp_path, fill, wanted, messages):
        (series,) = read_series(write(tmp_path / "a.csv", self.FRAME), fill=fill)
        np.testing.assert_array_equal(series.values[:, 0], wanted)
        assert (
            f"no value for 2 steps of 'a' (the first at 2024-01-31 23:00:00); filled: {fill}"
            in messages.text
        )

    def test_are_refused_without_one(self, tmp_path):
        with pytest.raises(
            InputError,
            match=r"no value for 2 steps of 'a' .*the first at 2024-01-31 23:00:00.*"
            r"Choose what to put in: linear, last or zero",
        ):
            read_series(write(tmp_path / "a.csv", self.FRAME))
        with pytest.raises(
            InputError, match=r"no value for 1 steps of 'a' .*the first at 2024-02-01 00:00:00"
        ):
            read_series(write(tmp_path / "a.csv", table().drop(index=2)), columns="a")

    def test_at_the_beginning_the_nearest_value_stands(self, tmp_path):
        (series,) = read_series(
            write(tmp_path / "a.csv", table(a=[np.nan, np.nan, 3, 4, 5, 6])), fill="last"
        )
        np.testing.assert_array_equal(series.values[:, 0], [3, 3, 3, 4, 5, 6])

    def test_missing_values_have_many_names(self, tmp_path):
        (tmp_path / "a.csv").write_text(
            "date,a\n2024-01-01,1\n2024-01-02,NA\n2024-01-03,null\n2024-01-04,4\n2024-01-05,\n"
        )
        (series,) = read_series(tmp_path / "a.csv", fill="linear")
        np.testing.assert_array_equal(series.values[:, 0], [1, 2, 3, 4, 4])


def test_uneven_rows_are_averaged_where_the_frequency_is_named(tmp_path, messages):
    times = pd.to_datetime(
        ["2024-01-01 00:03", "2024-01-01 00:48", "2024-01-01 01:10", "2024-01-01 03:59"]
    )
    (series,) = read_series(
        write(tmp_path / "a.csv", table(times, a=[1.0, 3.0, 5.0, 7.0])),
        frequency="h",
        fill="linear",
    )
    np.testing.assert_array_equal(series.values[:, 0], [2, 5, 6, 7])
    assert series.times[0] == pd.Timestamp("2024-01-01 00:00")
    assert "4 rows in 4 steps" not in messages.text


def test_rows_out_of_order_are_sorted_and_told(tmp_path, messages):
    (series,) = read_series(write(tmp_path / "a.csv", table().iloc[::-1]))
    np.testing.assert_array_equal(series.values[:, 0], np.arange(6))
    assert "rows are not in the order of time; they were sorted" in messages.text


def test_quarters_are_the_same_ones_whatever_the_first(tmp_path):
    for ending in "SE":
        found = []
        for start in ("2020-01-01", "2020-04-01"):
            times = pd.date_range(start, periods=8, freq=f"Q{ending}")
            found.append(
                read_series(write(tmp_path / "a.csv", table(times, a=np.arange(8.0))))[
                    0
                ].times.freqstr
            )
        assert found[0] == found[1]
