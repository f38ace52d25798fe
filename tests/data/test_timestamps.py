"""Time stamps in many forms, each read as its writer meant it."""

import numpy as np
import pandas as pd
import pytest
from series_tables import HOURS, table, write

from rnn_cookbook.data.series import read_series
from rnn_cookbook.data.timestamps import season_of


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


def test_years_alone(tmp_path):
    (series,) = read_series(
        write(tmp_path / "a.csv", pd.DataFrame({"year": range(1990, 2000), "births": range(10)}))
    )
    assert (series.times[0].year, series.times[-1].year, len(series)) == (1990, 1999, 10)


@pytest.mark.parametrize("form", ["%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y"])
@pytest.mark.parametrize("frequency", ["MS", "QS", "ME"])
def test_months_are_not_taken_for_the_days_of_januaries(tmp_path, form, frequency):
    times = pd.date_range("2019-01-01", periods=24, freq=frequency)
    (series,) = read_series(
        write(tmp_path / "a.csv", table(times.strftime(form), a=np.arange(24.0)))
    )
    assert list(series.times) == list(times)


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
