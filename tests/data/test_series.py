"""The user's series: every table gives the same values, and what is wrong is told or refused."""

import numpy as np
import pandas as pd
import pytest
from series_tables import HOURS, table, write

from rnn_cookbook.data.series import Series, matching, read_series
from rnn_cookbook.errors import InputError


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_gives_the_same_series(tmp_path, suffix):
    (series,) = read_series(write(tmp_path / f"a{suffix}", table()))
    assert series.channels == ["a", "b"]
    np.testing.assert_array_equal(
        series.values, np.stack([np.arange(6.0), np.arange(6.0) ** 2], axis=1)
    )
    assert list(series.times) == list(HOURS)
    assert series.times.freqstr == "h"
    assert series.known.shape == (6, 0)
    assert list(series.future(2)) == list(pd.date_range("2024-02-01 04:00", periods=2, freq="h"))


def test_a_long_table_is_one_series_an_identifier(tmp_path):
    frame = pd.concat(
        pd.DataFrame({"unique_id": name, "ds": HOURS[:length], "y": np.arange(length) * sign})
        for name, length, sign in (("x", 6, 1.0), ("y", 4, -1.0))
    ).sort_values("ds")
    one, other = read_series(write(tmp_path / "a.csv", frame))
    assert (one.name, len(one), other.name, len(other)) == ("x", 6, "y", 4)
    np.testing.assert_array_equal(other.values[:, 0], [0, -1, -2, -3])
    renamed = frame.rename(columns={"unique_id": "shop", "y": "sales"})
    again = read_series(write(tmp_path / "b.csv", renamed), id_column="shop", columns="sales")
    np.testing.assert_array_equal(again[0].values, one.values)


def test_an_index_of_times_is_the_time(tmp_path):
    """As pandas users write Parquet: the times in the index, with a name or without, alone or
    beside the series' names."""
    for name in (None, "when"):
        frame = pd.DataFrame({"a": np.arange(6.0)}, index=pd.DatetimeIndex(HOURS[:6], name=name))
        frame.to_parquet(tmp_path / "a.parquet")
        (series,) = read_series(tmp_path / "a.parquet", time_column=name or "")
        assert series.channels == ["a"]
        assert str(series.times[0]) == str(HOURS[0])
    index = pd.MultiIndex.from_product([["x", "y"], HOURS[:6]], names=["unique_id", "ds"])
    pd.DataFrame({"y": np.arange(12.0)}, index=index).to_parquet(tmp_path / "long.parquet")
    assert [one.values[0, 0] for one in read_series(tmp_path / "long.parquet")] == [0, 6]


def test_a_name_with_a_comma_stands_in_quotes(tmp_path):
    path = write(
        tmp_path / "a.csv", table(**{"load, kW": np.arange(6.0), "b": 0.0, "c": np.arange(6.0)})
    )
    assert read_series(path, columns='"load, kW",c')[0].channels == ["load, kW", "c"]


def test_covariates_reach_beyond_the_values(tmp_path):
    frame = table(a=[1.0, 2.0, 3.0, 4.0, np.nan, np.nan], holiday=[0, 0, 1, 0, 1, 1])
    (series,) = read_series(write(tmp_path / "a.csv", frame), covariates="holiday")
    assert (len(series), len(series.times), series.known[:, 0].tolist()) == (
        4,
        6,
        [0, 0, 1, 0, 1, 1],
    )
    assert series.channels == ["a"]
    assert list(series.future(3)) == list(pd.date_range(HOURS[4], periods=3, freq="h"))
    with pytest.raises(InputError, match="no value for 1 steps of 'holiday'"):
        read_series(
            write(tmp_path / "b.csv", frame.assign(holiday=[0, 0, 1, 0, np.nan, 1])),
            covariates="holiday",
        )


def test_constant_series_are_told(tmp_path, messages):
    read_series(write(tmp_path / "a.csv", table(a=np.ones(6), b=np.arange(6))))
    assert "constant from start to end: 'a'" in messages.text


BAD = [
    (
        table().assign(date="soon"),
        {},
        "row 2: 'soon' in column 'date' is no time stamp \\(6 such rows\\); accepted are",
    ),
    (table(a=list("123x56")), {}, "row 5: column 'a' has 'x', which is no number"),
    (table(a=[1, 2, np.inf, 4, 5, 6]), {}, "row 4: column 'a' is infinite"),
    (
        table(HOURS[[0, 1, 2, 2, 4, 5]]),
        {},
        "2024-02-01 00:00:00 occurs more than once, in row 4 and row 5",
    ),
    (
        table(HOURS[[0, 1, 2, 3, 4]].append(HOURS[5:] + pd.Timedelta("7min"))),
        {},
        "row 7: 2024-02-01 03:07:00 does not lie on the grid",
    ),
    (
        table([f"2024-01-31T{h:02}:00+0{h % 2}:00" for h in range(6)]),
        {},
        "mixes time zones: \\+00:00 in row 2, \\+01:00 in row 3",
    ),
    (
        table([*map(str, HOURS[:5]), "2024-02-01 03:00Z"]),
        {},
        "mixes time zones: none in row 2, Z in row 7",
    ),
    (table([*map(str, HOURS[:5]), ""]), {}, "row 7: no time stamp in column 'date'"),
    (table(), {"columns": "c"}, "no column 'c'; it has 'date', 'a', 'b'"),
    (table(), {"covariates": "a,x"}, "no column 'x'; it has"),
    (table(), {"columns": "a", "covariates": "a"}, "column 'a' cannot be two things"),
    (table(), {"covariates": "a,b"}, "has no value column beside 'date', 'a', 'b'"),
    (table(), {"frequency": "fortnight"}, "frequency 'fortnight' is none that pandas knows"),
    (
        table(),
        {"fill": "guess"},
        "fill must be one of refuse, linear, last, zero, keep; received 'guess'",
    ),
    (
        table().iloc[:2],
        {},
        "has 2 rows, too few to tell the distance between them: give the frequency",
    ),
    (
        table().rename(columns={"date": "when"}),
        {},
        "cannot tell which column .* holds the time: none is called ds, date,",
    ),
    (table(a=[np.nan] * 6), {"fill": "last"}, "has no value in 'a'"),
    (
        table(unique_id="x", a=np.arange(6), b=np.arange(6)),
        {"columns": "a,b"},
        "has one value column; received a, b",
    ),
    (table().iloc[:0], {}, "has no rows"),
    (
        pd.concat(
            [
                table(a=np.arange(6)).assign(unique_id="x"),
                table(HOURS[0] + pd.timedelta_range(0, periods=6, freq="D"), a=np.arange(6)).assign(
                    unique_id="y"
                ),
            ]
        ),
        {"columns": "a"},
        "have different steps: h in 'x', D in 'y'. Give a frequency for all of them",
    ),
]


@pytest.mark.parametrize(
    ("frame", "options", "message"), BAD, ids=[message[:40] for *_, message in BAD]
)
def test_bad_tables(tmp_path, frame, options, message):
    with pytest.raises(InputError, match=message):
        read_series(write(tmp_path / "a.csv", frame), **options)


def plain(steps: int, name: str = "", freq: str = "h") -> Series:
    return Series(
        pd.date_range("2024-01-01", periods=steps, freq=freq),
        np.arange(steps, dtype=float)[:, None],
        ["x"],
        name,
    )


TRAINED = {"path": "my.csv", "channels": 1, "frequency": "h", "lookback": 20}


def test_a_row_of_no_series_is_named(tmp_path):
    frame = table(a=np.arange(6)).assign(unique_id=["x", "x", "x", None, "x", "x"])
    for suffix, row in ((".csv", 5), (".parquet", 4)):  # a CSV has a header
        with pytest.raises(
            InputError,
            match=f"row {row}: no name of a series in column 'unique_id' \\(1 such rows\\)",
        ):
            read_series(write(tmp_path / f"a{suffix}", frame), columns="a")


def test_times_are_no_numbers(tmp_path):
    path = write(tmp_path / "a.parquet", table(a=np.arange(6), updated=HOURS))
    with pytest.raises(
        InputError,
        match="column 'updated' holds times, no numbers; name the columns that hold values",
    ):
        read_series(path)


class TestMatching:
    def test_short_series_get_no_forecast(self, messages):
        assert [one.name for one in matching([plain(30, "a"), plain(10, "b")], **TRAINED)] == ["a"]
        assert "1 of 2 series have less than 20 steps and get no forecast: b" in messages.text

    def test_series_without_their_covariates_get_no_forecast(self, messages):
        def known(steps, rows, name):
            times = pd.date_range("2024-01-01", periods=rows, freq="h")
            return Series(
                times,
                np.zeros((steps, 1)),
                ["x"],
                name,
                known=np.zeros((rows, 1)),
                covariates=["price"],
            )

        both = [known(30, 35, "a"), known(30, 31, "b")]
        assert [one.name for one in matching(both, **TRAINED, horizon=5)] == ["a"]
        assert "1 of 2 series get no forecast: 'price' of series 'b' end at" in messages.text
        with pytest.raises(InputError, match="'price' of series 'b' end at"):
            matching(both[1:], **TRAINED, horizon=5)

    @pytest.mark.parametrize(
        ("series", "message"),
        [
            ([plain(10)], "my.csv has 10 steps at most; the model reads 20"),
            ([plain(30, freq="D")], "my.csv has steps of D; the model was trained on steps of h"),
            (
                [Series(plain(30).times, np.zeros((30, 2)), ["x", "y"])],
                "my.csv has 2 value columns; the model was trained on 1",
            ),
        ],
    )
    def test_what_the_model_cannot_read_is_told(self, series, message):
        with pytest.raises(InputError, match=message):
            matching(series, **TRAINED)


def test_labels_tell_channels_apart():
    two = Series(plain(3).times, np.zeros((3, 2)), ["x", "y"], "shop")
    assert [plain(3).label("x"), plain(3, "shop").label("x"), two.label("y")] == [
        "x",
        "shop",
        "shop y",
    ]
