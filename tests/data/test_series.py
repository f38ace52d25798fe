"""The user's own series: every table gives the same values on an even grid, and what is uneven is
told or refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rnn_cookbook.data.series import Series, matching, read_series, season_of, split_by_time
from rnn_cookbook.errors import InputError

HOURS = pd.date_range("2024-01-31 22:00", periods=6, freq="h")


def table(times=HOURS, **columns) -> pd.DataFrame:
    return pd.DataFrame(
        {"date": times, **(columns or {"a": np.arange(6.0), "b": np.arange(6.0) ** 2})}
    )


def write(path: Path, frame: pd.DataFrame) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True, date_format="iso")
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


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


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("2024-01-31 22:00:00", "2024-01-31 22:00"),
        ("31/01/2024 22:00", "2024-01-31 22:00"),
        ("01/31/2024 22:00", "2024-01-31 22:00"),
        ("2024-01-31T22:00:00+01:00", "2024-01-31 22:00+01:00"),
        ("20240131T220000Z", "2024-01-31 22:00Z"),
    ],
)
def test_times_in_many_forms(tmp_path, text, first):
    forms = {
        "2024-01-31 22:00:00": "%Y-%m-%d %H:%M:%S",
        "31/01/2024 22:00": "%d/%m/%Y %H:%M",
        "01/31/2024 22:00": "%m/%d/%Y %H:%M",
    }
    forms |= {
        "2024-01-31T22:00:00+01:00": "%Y-%m-%dT%H:%M:%S+01:00",
        "20240131T220000Z": "%Y%m%dT%H%M%SZ",
    }
    (series,) = read_series(
        write(tmp_path / "a.csv", table(HOURS.strftime(forms[text]), a=np.arange(6.0)))
    )
    assert series.times[0] == pd.Timestamp(first)
    assert series.times[-1] - series.times[0] == pd.Timedelta("5h")


@pytest.mark.parametrize("day_first", [True, False])
def test_a_whole_year_of_days_is_read_in_its_order(tmp_path, day_first):
    """Read the wrong way, 144 of its days change places with each other and the set of days stays
    the same."""
    days = pd.date_range("2024-01-01", periods=366)
    write(
        tmp_path / "a.csv",
        table(days.strftime("%d/%m/%Y" if day_first else "%m/%d/%Y"), a=np.arange(366.0)),
    )
    (series,) = read_series(tmp_path / "a.csv")
    np.testing.assert_array_equal(series.values[:, 0], np.arange(366.0))


@pytest.mark.parametrize(
    ("day_first", "months"),
    [(True, "D"), (False, "D")],
    ids=["ambiguous days, day first", "ambiguous days, month first"],
)
def test_dates_are_read_in_the_way_that_is_even(tmp_path, day_first, months):
    days = pd.date_range("2024-03-01", periods=12, freq=months)
    (series,) = read_series(
        write(
            tmp_path / "a.csv",
            table(days.strftime("%d/%m/%Y" if day_first else "%m/%d/%Y"), a=np.arange(12.0)),
        )
    )
    assert list(series.times) == list(days)


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


def test_months_on_another_day_are_told_what_to_say(tmp_path):
    path = write(
        tmp_path / "a.csv",
        table(
            pd.date_range("2024-01-15", periods=12, freq="MS") + pd.Timedelta("14D"),
            a=np.arange(12.0),
        ),
    )
    with pytest.raises(InputError, match="--frequency MS "):
        read_series(path)
    (series,) = read_series(path, frequency="MS")
    assert series.values[:, 0].tolist() == list(range(12))


def test_years_alone(tmp_path):
    (series,) = read_series(
        write(tmp_path / "a.csv", pd.DataFrame({"year": range(1990, 2000), "births": range(10)}))
    )
    assert (series.times[0].year, series.times[-1].year, len(series)) == (1990, 1999, 10)


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
            match=r"no value for 2 steps of 'a' .*the first at 2024-01-31 23:00:00.*--fill linear, last or zero",
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
    (table(), {"columns": "c"}, "no column 'c' \\(--columns\\); it has 'date', 'a', 'b'"),
    (table(), {"covariates": "a,x"}, "no column 'x' \\(--covariates\\)"),
    (table(), {"columns": "a", "covariates": "a"}, "column 'a' cannot be two things"),
    (table(), {"covariates": "a,b"}, "has no value column beside 'date', 'a', 'b'"),
    (table(), {"frequency": "fortnight"}, "--frequency 'fortnight' is none that pandas knows"),
    (
        table(),
        {"fill": "guess"},
        "unknown rule 'guess' .*; accepted are refuse, linear, last, zero",
    ),
    (
        table().iloc[:2],
        {},
        "has 2 rows, too few to tell the distance between them: give --frequency",
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
        "has one value column, got a, b",
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
        "have different steps: h in 'x', D in 'y'. Bring them to one with --frequency",
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
            match=r"100 steps: 70 to train, 10 to validate, 20 to test.*--horizon 10 and --lookback 60",
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


@pytest.mark.parametrize(
    ("frequency", "season"),
    [
        *(
            ("h", 24),
            ("2h", 12),
            ("15min", 96),
            ("min", 1440),
            ("7h", 1),
            ("D", 7),
            ("B", 5),
            ("W-MON", 52),
            ("7D", 52),
            ("MS", 12),
        ),
        *(("ME", 12), ("QS-JAN", 4), ("QE-DEC", 4), ("YS-JAN", 1), ("10D", 1)),
    ],
)
def test_the_season_that_one_would_try_first(frequency, season):
    assert season_of(pd.date_range("2024-01-01", periods=3, freq=frequency).freq) == season


TRAINED = {"path": "my.csv", "channels": 1, "frequency": "h", "lookback": 20}


def test_the_shares_leave_something_to_train_on():
    with pytest.raises(
        InputError,
        match=r"--validation-fraction 0\.6 and --test-fraction 0\.6 leave nothing to train on",
    ):
        split_by_time([plain(100)], lookback=10, horizon=5, validation=0.6, test=0.6)


@pytest.mark.parametrize("form", ["%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y"])
@pytest.mark.parametrize("frequency", ["MS", "QS", "ME"])
def test_months_are_not_taken_for_the_days_of_januaries(tmp_path, form, frequency):
    times = pd.date_range("2019-01-01", periods=24, freq=frequency)
    (series,) = read_series(
        write(tmp_path / "a.csv", table(times.strftime(form), a=np.arange(24.0)))
    )
    assert list(series.times) == list(times)


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
        InputError, match="column 'updated' holds times, no numbers; name the columns"
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
