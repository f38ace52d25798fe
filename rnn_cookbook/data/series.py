"""The user's own series: a table, wide (a time column and value columns) or long (an identifier, a
time, a value), to values on an even grid of time.

What is not even is made so by a stated rule or refused, never guessed in silence.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from rnn_cookbook.data.tables import check_column, first_row, read_table, usual_column
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log

TIME_NAMES = ("ds", "date", "time", "timestamp", "datetime", "date_time", "day", "month", "year")
ID_NAMES = ("unique_id", "series_id", "item_id", "series")
VALUE_NAMES = ("y", "value", "target")
FILLS = ("refuse", "linear", "last", "zero", "keep")
MISSING = ("", "na", "n/a", "nan", "null", "none")  # how missing values are written
_MONTHS = (
    (31, 28, "M"),
    (92, 90, "Q"),
    (366, 365, "Y"),
)  # days at most and at least, pandas' letter
_ZONE = re.compile(r"\d\d:\d\d.*?(Z|[+-]\d\d:?(?:\d\d)?)$")


@dataclass
class Series:
    """One series, or several side by side, on an even grid of time.

    `times` covers the rows for which `known` holds the covariates, float64[rows, covariates];
    `values`, float64[steps, channels], are the first `steps` of them: where covariates are known
    ahead, there are more rows than steps.
    """

    times: pd.DatetimeIndex
    values: np.ndarray
    channels: list[str]
    name: str = ""
    known: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    covariates: list[str] = field(default_factory=list)

    def __post_init__(self):
        if not self.known.size:
            self.known = np.zeros((len(self.times), 0))

    def __len__(self) -> int:
        return len(self.values)

    def label(self, channel: str) -> str:
        """What tells a channel from those of other series, too."""
        if not self.name:
            return channel
        return f"{self.name} {channel}" if len(self.channels) > 1 else self.name

    def until(self, end: int) -> "Series":
        """The same without the values from step `end` on; what is known ahead stays."""
        return replace(self, values=self.values[:end])

    def ahead(self, horizon: int) -> "Series":
        """The same with the times of the next `horizon` steps after the last value, and the
        covariates until then.

        Raises:
            InputError: the covariates end before that.
        """
        end, times = len(self) + horizon, self.times[: len(self)].append(self.future(horizon))
        if self.covariates and len(self.known) < end:
            of = f"of series {self.name!r} " if self.name else ""
            raise InputError(
                f"{listing(map(repr, self.covariates))} {of}end at {self.times[-1]}, the values at {self.times[len(self) - 1]}: to "
                f"forecast {horizon} steps they must be known until {times[-1]}. Add rows that have them and no value"
            )
        known = self.known[:end] if self.covariates else np.zeros((end, 0))
        return replace(self, times=pd.DatetimeIndex(times, freq=self.times.freq), known=known)

    def future(self, horizon: int) -> pd.DatetimeIndex:
        """The times of the next `horizon` steps after the last value."""
        return pd.date_range(self.times[len(self) - 1], periods=horizon + 1, freq=self.times.freq)[
            1:
        ]


def read_series(
    path: str | Path,
    *,
    columns: str | Sequence[str] = "",
    time_column: str = "",
    id_column: str = "",
    covariates: str | Sequence[str] = "",
    frequency: str = "",
    step: str = "",
    fill: str = "refuse",
    fill_covariates: str = "",
    table: pd.DataFrame | None = None,
) -> list[Series]:
    """Reads a table (.csv, .tsv, .jsonl, .parquet): one `Series` with all its columns if wide, one
    for each identifier if long.

    A table is long where it has a column that is called unique_id (or as `id_column` says). Rows
    out of order are sorted, which is logged.

    Args:
        columns: names of the value columns, as a list or separated by commas (a name with a comma
            in double quotes); if empty, all that are neither time nor covariate (wide), or y
            (long).
        time_column: if empty, the column with a usual name (ds, date, timestamp, ...).
        id_column: of a long table, if it is called otherwise.
        covariates: names of columns that are known ahead, likewise. Rows at the end that have these
            and no value are the future.
        frequency: of the grid, as pandas writes it ("h", "15min", "D", "MS"). If empty, the usual
            distance between neighbours, which every row must keep to. If given, rows that fall into
            the same step are averaged.
        step: the frequency that every row must keep to, where it is known; see there.
        fill: what becomes of steps without a value: "refuse" them, put in "linear" interpolation,
            the "last" value, or "zero", or "keep" them as NaN. At the ends, where there is nothing
            to interpolate between, the nearest value.
        fill_covariates: the same of covariates; `fill` if empty.
        table: what `read_table` gave for the path, or a part of its columns, where it was read
            already.

    Raises:
        InputError: no such file or column; time stamps that cannot be read, occur twice, lie off
            the grid or in several time zones; values that are no numbers, infinite, or missing
            where `fill` refuses.
    """
    path = Path(path)
    if fill not in FILLS:
        raise InputError(
            f"unknown rule {fill!r} for steps without a value; accepted are {', '.join(FILLS)}"
        )
    frame = read_table(path) if table is None else table.copy(deep=False)
    if not len(frame):
        raise InputError(f"{path} has no rows")
    if any(frame.index.names) or isinstance(frame.index, pd.DatetimeIndex):  # Parquet keeps them
        frame = frame.reset_index(names=None if any(frame.index.names) else "time")
    frame.index = pd.RangeIndex(len(frame)) + first_row(path)  # as an editor counts the rows
    names = [str(column) for column in frame.columns]
    frame.columns = names
    time = _the_column(path, names, time_column, TIME_NAMES, what="time", option="--time-column")
    identifier = id_column or usual_column(names, ID_NAMES)
    known = _named(path, names, covariates, option="--covariates")
    wanted = _named(path, names, columns, option="--columns")
    if identifier:
        check_column(path, names, identifier, option="--id-column")
        unknown = frame.index[frame[identifier].isna()]
        if len(unknown):
            raise InputError(
                f"{path}, row {unknown[0]}: no name of a series in column {identifier!r} ({len(unknown)} such rows)"
            )
        wanted = wanted or [
            _the_column(
                path,
                [n for n in names if n not in (time, identifier, *known)],
                "",
                VALUE_NAMES,
                "value",
                "--columns",
            )
        ]
        if len(wanted) > 1:
            raise InputError(
                f"a long table ({identifier!r} tells its series apart) has one value column, got {listing(wanted)}"
            )
    wanted = wanted or [name for name in names if name not in (time, *known)]
    if clash := {time, identifier} & {*wanted, *known} | {*wanted} & {*known}:
        raise InputError(
            f"{path}: column {listing(map(repr, sorted(clash)))} cannot be two things; see --columns, --covariates, --time-column"
        )
    if not wanted:
        raise InputError(f"{path} has no value column beside {listing(map(repr, [time, *known]))}")
    numbers = pd.DataFrame({name: _numbers(path, frame[name]) for name in [*wanted, *known]})
    times = read_times(path, frame[time])
    fills = fill, fill_covariates or fill
    groups = (
        frame.groupby(frame[identifier].astype(str), sort=False).groups
        if identifier
        else {"": frame.index}
    )
    series = [
        _on_grid(
            path,
            str(name),
            times.loc[rows],
            numbers.loc[rows],
            wanted=wanted,
            known=known,
            frequency=(frequency, step),
            fills=fills,
        )
        for name, rows in groups.items()
    ]
    steps = {one.times.freqstr: one.name for one in series}
    if len(steps) > 1:
        told = ", ".join(f"{step} in {name!r}" for step, name in steps.items())
        raise InputError(
            f"the series of {path} have different steps: {told}. Bring them to one with --frequency"
        )
    return series


def split_by_time(
    series: Sequence[Series], *, lookback: int, horizon: int, validation: float, test: float
) -> tuple[list[Series], dict[str, list[tuple[int, int]]]]:
    """The last steps of each series are the test, those before them validation, the rest training:
    the series, and for each split the steps [first, end) of each series that are to be forecast.

    Series too short for a window of training and a forecast in each split are left out, which is
    logged.

    Args:
        lookback, horizon: steps read and forecast.
        validation, test: shares of each series' steps.

    Raises:
        InputError: every series is too short; says what would fit the longest. The shares leave
            nothing to train on.
    """
    if validation + test >= 1:
        raise InputError(
            f"--validation-fraction {validation} and --test-fraction {test} leave nothing to train on"
        )
    kept, spans = [], {"train": [], "validation": [], "test": []}
    for one in series:
        first, second = _borders(len(one), validation, test)
        if first >= lookback + horizon and min(second - first, len(one) - second) >= horizon:
            kept.append(one)
            for name, span in zip(
                spans, ((0, first), (first, second), (second, len(one))), strict=True
            ):
                spans[name].append(span)
    if not kept:
        longest = len(max(series, key=len))
        first, second = _borders(longest, validation, test)
        most = min(second - first, longest - second, first - 1)
        fits = (
            f"--horizon {most} and --lookback {first - most}" if most > 0 else "none, nor any other"
        )
        raise InputError(
            f"{'the series has' if len(series) == 1 else f'the longest of {len(series)} series has'} {longest} steps: {first} to train, "
            f"{second - first} to validate, {longest - second} to test. That is too few for a look-back of {lookback} and a horizon of "
            f"{horizon}; at most {fits} would fit with these shares"
        )
    if len(kept) < len(series):
        names = [one.name for one in series if all(one is not other for other in kept)]
        log.warning(
            "%d of %d series are too short for a look-back of %d and a horizon of %d, and left out: %s",
            len(names),
            len(series),
            lookback,
            horizon,
            listing(names),
        )
    return kept, spans


def _borders(steps: int, validation: float, test: float) -> tuple[int, int]:
    second = steps - round(steps * test)
    return second - round(steps * validation), second


def matching(
    series: Sequence[Series],
    *,
    path: str | Path,
    channels: int,
    frequency: str,
    lookback: int,
    horizon: int = 0,
) -> list[Series]:
    """Those of the series of a table that a trained model can go on with; shorter ones, and those
    whose covariates end too early, are left out, which is logged.

    Args:
        path: of the table, for messages.
        channels, frequency: of the series that the model was trained on.
        lookback, horizon: steps that it reads and forecasts.

    Raises:
        InputError: other steps, another number of channels, or no series is long enough and has its
            covariates.
    """
    found = series[0].times.freqstr
    if found != frequency:
        raise InputError(
            f"{path} has steps of {found}; the model was trained on steps of {frequency} and can forecast no others"
        )
    if len(series[0].channels) != channels:
        raise InputError(
            f"{path} has {len(series[0].channels)} value columns; the model was trained on {channels}"
        )
    short = [one for one in series if len(one) < lookback]
    if len(short) == len(series):
        raise InputError(
            f"{path} has {max(map(len, series))} steps at most; the model reads {lookback} to forecast what follows"
        )
    if short:
        names = listing(one.name for one in short)
        log.warning(
            "%d of %d series have less than %d steps and get no forecast: %s",
            len(short),
            len(series),
            lookback,
            names,
        )
    found, failures = [], []
    for one in (one for one in series if len(one) >= lookback):
        try:
            one.ahead(horizon)
            found.append(one)
        except InputError as error:
            failures.append(error)
    if failures and not found:
        raise failures[0]
    if failures:
        log.warning("%d of %d series get no forecast: %s", len(failures), len(series), failures[0])
    return found


def mean_step(frequency: str | pd.DateOffset) -> pd.Timedelta:
    """How long a step is; of months and the like, on average."""
    some = pd.date_range("2024-01-01", periods=29, freq=frequency)
    return (some[-1] - some[0]) / 28


def season_of(frequency: pd.DateOffset) -> int:
    """Steps of the season that one would try first: a day of hours or minutes, a week of days, a
    year of weeks, months or quarters; 1 where the steps make none up."""
    days = mean_step(frequency) / pd.Timedelta("1D")
    if days < 1:
        return round(1 / days) if abs(1 / days - round(1 / days)) < 1e-6 else 1
    for least, most, season in ((1, 1, 7), (1.3, 1.45, 5), (7, 7, 52), (28, 31, 12), (89, 93, 4)):
        if least <= days <= most:
            return season
    return 1


# Columns


def _the_column(
    path: Path, names: list[str], given: str, usual: Sequence[str], what: str, option: str
) -> str:
    if given:
        check_column(path, names, given, option=option)
    found = given or usual_column(names, usual) or (names[0] if len(names) == 1 else "")
    if not found:
        raise InputError(
            f"cannot tell which column of {path} holds the {what}: none is called {', '.join(usual)}; it has "
            f"{listing(map(repr, names), 12)}. Name it with {option}"
        )
    return found


def _named(path: Path, names: list[str], given: str | Sequence[str], *, option: str) -> list[str]:
    if isinstance(given, str):  # as in a CSV, a name with a comma stands in double quotes
        given = [
            name.strip()
            for name in next(csv.reader([given], skipinitialspace=True), [])
            if name.strip()
        ]
    for name in given:
        check_column(path, names, name, option=option)
    return list(dict.fromkeys(given))


def _numbers(path: Path, column: pd.Series) -> pd.Series:
    """float64, missing values as NaN."""
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        raise InputError(
            f"{path}: column {column.name!r} holds times, no numbers; name the columns to forecast with --columns"
        )
    text = column.map(lambda value: isinstance(value, str) and value.strip().lower() in MISSING)
    try:
        numbers = pd.to_numeric(column.mask(text), errors="coerce").astype(float)
    except OverflowError as error:
        raise InputError(
            f"{path}: column {column.name!r} has a number beyond what 64 bits hold"
        ) from error
    wrong = column.index[numbers.isna() & ~text & column.notna()]
    if len(wrong):
        raise InputError(
            f"{path}, row {wrong[0]}: column {column.name!r} has {column[wrong[0]]!r}, which is no number ({len(wrong)} such rows). Mend "
            "it, or name the columns to forecast with --columns"
        )
    infinite = column.index[np.isinf(numbers)]
    if len(infinite):
        raise InputError(
            f"{path}, row {infinite[0]}: column {column.name!r} is infinite ({len(infinite)} such rows)"
        )
    return numbers


# Time


def read_times(path: Path, column: pd.Series) -> pd.Series:
    """A column of time stamps, all of one zone, or all of none; see `read_series`."""
    if not pd.api.types.is_datetime64_any_dtype(column):
        text = column.map(lambda value: "" if pd.isna(value) else str(value).strip())
        zones = text.map(lambda value: found[1] if (found := _ZONE.search(value)) else "none")
        if zones.nunique() > 1:
            first = {
                zone: rows[0] for zone, rows in zones.groupby(zones, sort=False).groups.items()
            }
            raise InputError(
                f"{path} mixes time zones: "
                + ", ".join(f"{zone} in row {row}" for zone, row in first.items())
                + ". Write all of column "
                f"{column.name!r} in one, such as UTC"
            )
        column = _parsed(path, text)
    missing = column.index[column.isna()]
    if len(missing):
        raise InputError(
            f"{path}, row {missing[0]}: no time stamp in column {column.name!r} ({len(missing)} such rows)"
        )
    return column


def _parsed(path: Path, text: pd.Series) -> pd.Series:
    """ISO 8601 (a year alone, too); otherwise dates with month or day first, whichever reads more
    of them, in order, and more evenly."""
    readings = [pd.to_datetime(text, format="ISO8601", errors="coerce")]
    if readings[0].isna().any():
        for day_first in (False, True):
            readings.append(
                pd.to_datetime(text, format="mixed", dayfirst=day_first, errors="coerce")
            )
        # In a whole year of days the wrong order gives the same days, mixed up: rows go on, nearly
        # all. The first or last days of months are even, though months are not; the days of
        # Januaries only look so.
        readings.sort(
            key=lambda times: (
                times.isna().sum(),
                20 * (times.diff() < pd.Timedelta(0)).sum() > len(times),
                not ((times.dt.day == 1).all() or times.dt.is_month_end.all()),
                times.sort_values().diff().nunique(),
            )
        )
        if not readings[0].isna().any():
            log.info("%s: %r is read as %s", path, text.iloc[-1], readings[0].iloc[-1])
    times = readings[0]
    wrong = times.index[times.isna() & (text != "")]
    if len(wrong):
        raise InputError(
            f"{path}, row {wrong[0]}: {text[wrong[0]]!r} in column {text.name!r} is no time stamp ({len(wrong)} such rows); accepted are "
            "dates and times such as 2024-01-31 or 2024-01-31 13:00:00+01:00"
        )
    return times


def _on_grid(
    path: Path,
    name: str,
    times: pd.Series,
    numbers: pd.DataFrame,
    *,
    wanted: list[str],
    known: list[str],
    frequency: tuple[str, str],
    fills: tuple[str, str],
) -> Series:
    of = f"{path}, series {name!r}" if name else f"{path}"
    frame = numbers.set_axis(pd.DatetimeIndex(times), axis=0)
    rows = times.index[np.argsort(times, kind="stable")]
    if not frame.index.is_monotonic_increasing:
        log.warning("%s: rows are not in the order of time; they were sorted", of)
        frame = frame.sort_index(kind="stable")
    if frequency[0]:
        frame = _resampled(of, frame, frequency[0])
    else:
        twice = np.flatnonzero(frame.index.duplicated())
        if len(twice):
            at = frame.index[twice[0]]
            raise InputError(
                f"{of}: {at} occurs more than once, in row {rows[twice[0] - 1]} and row {rows[twice[0]]} ({len(twice)} such rows). Leave "
                "one out, say which series they belong to with --id-column, or average them with --frequency"
            )
        grid = (
            pd.date_range(frame.index[0], frame.index[-1], freq=frequency[1])
            if frequency[1]
            else _grid(of, frame.index)
        )
        off = np.flatnonzero(~frame.index.isin(grid))
        if len(off):
            told = f"{of}, row {rows[off[0]]}: {frame.index[off[0]]} does not lie on the grid"
            if frequency[1]:
                raise InputError(
                    f"{told} from {frame.index[0]} on in steps of {frequency[1]}, those of the training ({len(off)} such rows)"
                )
            usual = (grid[1] - grid[0]) / pd.Timedelta("1D")
            better = next(
                (
                    f"{letter}S"
                    for longest, shortest, letter in _MONTHS
                    if shortest <= usual <= longest
                ),
                grid.freqstr,
            )
            raise InputError(
                f"{told} that starts at {grid[0]} in steps of {grid.freqstr} ({len(off)} such rows). Say --frequency {better} (or another) "
                "to average the rows of each step"
            )
        frame = frame.reindex(grid)
    values, covariates = frame[wanted], frame[known]
    steps = len(frame)
    if known:  # rows at the end without a value are the future
        present = np.flatnonzero(values.notna().any(axis=1))
        steps = int(present[-1]) + 1 if len(present) else 0
    if not values.iloc[:steps].notna().any(axis=None):
        raise InputError(f"{of} has no value in {listing(map(repr, wanted))}")
    values, covariates = (
        _filled(of, values.iloc[:steps], fills[0]),
        _filled(of, covariates, fills[1]),
    )
    constant = [column for column in wanted if values[column].nunique() == 1]
    if constant:
        log.warning(
            "%s: constant from start to end: %s. A forecast of it says nothing",
            of,
            listing(map(repr, constant)),
        )
    return Series(
        frame.index,
        values.to_numpy(float),
        list(wanted),
        name,
        covariates.to_numpy(float),
        list(known),
    )


def _resampled(of: str, frame: pd.DataFrame, frequency: str) -> pd.DataFrame:
    try:
        offset = pd.tseries.frequencies.to_offset(frequency)
        start = frame.index[0]
        steps = (
            (frame.index[-1] - start) / (start + offset - start)
            if start + offset > start
            else np.inf
        )
        if steps > 100 * len(frame) + 1000:
            raise InputError(
                f"--frequency {frequency!r} does not suit {of}: it would put {len(frame)} rows into {steps:g} steps"
            )
        resampled = frame.resample(frequency).mean()
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(
            f"--frequency {frequency!r} is none that pandas knows ({error}); write h, 15min, D, W-MON, MS, for example"
        ) from error
    if len(resampled) != len(frame):
        log.info(
            "%s: %d rows in %d steps of %s, averaged where several fall into one",
            of,
            len(frame),
            len(resampled),
            frequency,
        )
    return resampled


def _grid(of: str, times: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """From the first to the last time stamp in the most frequent distance between neighbours."""
    if len(times) < 3:
        raise InputError(
            f"{of} has {len(times)} rows, too few to tell the distance between them: give --frequency"
        )
    usual = pd.Series(times[1:] - times[:-1]).mode()[0]
    days = usual / pd.Timedelta("1D")
    if days == 1 and not (times.day_of_week > 4).any() and len(times) > 10:
        return pd.date_range(times[0], times[-1], freq="B")
    for longest, shortest, letter in _MONTHS:
        if shortest <= days <= longest:
            ends = times.is_month_end.all()
            # Quarters from January, April, July or October are the same ones.
            month = times[0].month if letter == "Y" else (times[0].month - 1) % 3 + 1
            anchor = "" if letter == "M" else f"-{pd.Timestamp(2000, month, 1):%b}".upper()
            if ends or (times.day == 1).all():
                return pd.date_range(
                    times[0], times[-1], freq=f"{letter}{'E' if ends else 'S'}{anchor}"
                )
    # Days by the calendar: where clocks are put forward and back, they have 23 hours and 25.
    return pd.date_range(
        times[0], times[-1], freq=f"{days:.0f}D" if days >= 1 and days == round(days) else usual
    )


def _filled(of: str, frame: pd.DataFrame, fill: str) -> pd.DataFrame:
    missing = frame.isna()
    if not missing.any(axis=None):
        return frame
    counts = missing.sum()
    counts = counts[counts > 0]
    first = frame.index[missing.any(axis=1)][0]
    told = f"{of}: no value for {', '.join(f'{count} steps of {name!r}' for name, count in counts.items())} (the first at {first})"
    if fill == "refuse":
        raise InputError(f"{told}. Choose what to put in: --fill linear, last or zero")
    log.warning("%s; %s", told, "left out" if fill == "keep" else f"filled: {fill}")
    if fill == "keep":
        return frame
    if fill == "zero":
        return frame.fillna(0.0)
    filled = frame.interpolate("linear") if fill == "linear" else frame.ffill()
    return filled.ffill().bfill()
