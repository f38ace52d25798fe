"""The user's series: a table, wide (a time column and value columns) or long (an identifier, a
time, a value), to values on an even grid of time.

What is not even is made so by a stated rule or refused, never guessed in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from rnn_cookbook.data.grid import Fill, filled, on_grid
from rnn_cookbook.data.tables import Table, read_table
from rnn_cookbook.data.timestamps import read_times, season_of
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log

__all__ = [
    "ID_NAMES",
    "MISSING",
    "TIME_NAMES",
    "VALUE_NAMES",
    "Series",
    "matching",
    "read_series",
]

TIME_NAMES = ("ds", "date", "time", "timestamp", "datetime", "date_time", "day", "month", "year")
ID_NAMES = ("unique_id", "series_id", "item_id", "series")
VALUE_NAMES = ("y", "value", "target")
MISSING = ("", "na", "n/a", "nan", "null", "none")  # how missing values are written


@dataclass
class Series:
    """One series, or several side by side, on an even grid of time.

    Attributes:
        times: time of each row.
        values: float64[steps, channels], the first `steps` rows: where covariates are known ahead,
            there are more rows than steps.
        channels: names of the channels.
        name: identifier of the series in a long table, else "".
        known: float64[rows, covariates], what is known ahead.
        covariates: names of the covariates.
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
        """Returns a name that tells a channel from the channels of other series, too."""
        if not self.name:
            return channel
        return f"{self.name} {channel}" if len(self.channels) > 1 else self.name

    def until(self, end: int) -> Series:
        """Returns the series without the values from step `end` on; what is known ahead stays."""
        return replace(self, values=self.values[:end])

    def ahead(self, horizon: int) -> Series:
        """Returns the series with the times of the next `horizon` steps after the last value, and
        the covariates until then.

        Raises:
            InputError: the covariates end earlier.
        """
        end = len(self) + horizon
        times = self.times[: len(self)].append(self.future(horizon))
        if self.covariates and len(self.known) < end:
            owner = f"of series {self.name!r} " if self.name else ""
            raise InputError(
                f"{listing(map(repr, self.covariates))} {owner}end at {self.times[-1]}, the values "
                f"at {self.times[len(self) - 1]}: to forecast {horizon} steps they must be known "
                f"until {times[-1]}. Add rows that have them and no value"
            )
        known = self.known[:end] if self.covariates else np.zeros((end, 0))
        times = pd.DatetimeIndex(
            times,
            freq=self.times.freq,  # pyright: ignore[reportArgumentType]  # the stubs lack None
        )
        return replace(self, times=times, known=known)

    @property
    def season(self) -> int:
        """The season that the frequency suggests, in steps, see `timestamps.season_of`."""
        return season_of(self.times.freqstr)

    def future(self, horizon: int) -> pd.DatetimeIndex:
        """Returns the times of the next `horizon` steps after the last value."""
        last = self.times[len(self) - 1]
        return pd.date_range(last, periods=horizon + 1, freq=self.times.freq)[1:]


@dataclass(frozen=True)
class _Roles:
    """Which column of a table is what."""

    time: str
    identifier: str  # "" in a wide table
    values: list[str]
    covariates: list[str]


def read_series(
    source: str | Path | Table,
    *,
    columns: str | Sequence[str] = "",
    time_column: str = "",
    id_column: str = "",
    covariates: str | Sequence[str] = "",
    frequency: str = "",
    step: str = "",
    fill: Fill | str = "refuse",
    fill_covariates: Fill | str = "",
) -> list[Series]:
    """Reads a table: one `Series` with all its columns if wide, one for each identifier if long.

    A table is long where it has a column that is called unique_id (or as `id_column` says). Rows
    out of order are sorted, which is logged.

    Args:
        source: path of a table (.csv, .tsv, .jsonl, .parquet), or a table that was read already.
        columns: names of the value columns, as a list or separated by commas (a name with a comma
            in double quotes); if empty, all that are neither time nor covariate (wide), or y
            (long).
        time_column: column of the time stamps; if empty, the column with a reference name (ds,
            date, timestamp, ...).
        id_column: column of the identifiers of a long table, if it has no reference name.
        covariates: names of columns that are known ahead, as `columns`. Rows at the end that have
            covariates and no value are the future.
        frequency: frequency of the grid, as pandas writes it ("h", "15min", "D", "MS"). If empty,
            the most frequent distance between neighbours, which every row must keep to. If given,
            rows that fall into the same step are averaged.
        step: frequency that every row must keep to, where it is known and `frequency` is empty.
        fill: what becomes of steps without a value, see `grid.filled`.
        fill_covariates: the same for covariates; `fill` if empty.

    Raises:
        InputError: no such file or column; time stamps that cannot be read, occur twice, lie off
            the grid or in several time zones; values that are no numbers, infinite, or missing
            where `fill` refuses.
    """
    table = _with_index(source if isinstance(source, Table) else read_table(source))
    if not len(table):
        raise InputError(f"{table.path} has no rows")
    roles = _roles(table, columns, time_column, id_column, covariates)
    numbers = pd.DataFrame(
        {name: _numbers(table, name) for name in [*roles.values, *roles.covariates]}
    )
    times = read_times(table.values(roles.time), path=table.path)
    series = []
    for name, rows in _groups(table, roles.identifier).items():
        place = f"{table.path}, series {name!r}" if name else f"{table.path}"
        frame = on_grid(
            numbers.loc[rows].set_axis(pd.DatetimeIndex(times.loc[rows]), axis=0),
            np.asarray(rows),
            place=place,
            frequency=frequency,
            step=step,
        )
        series.append(
            _series(
                frame,
                roles,
                name=name,
                place=place,
                fill=fill,
                fill_covariates=fill_covariates or fill,
            )
        )
    steps = {each.times.freqstr: each.name for each in series}
    if len(steps) > 1:
        different = ", ".join(f"{step} in {name!r}" for step, name in steps.items())
        raise InputError(
            f"the series of {table.path} have different steps: {different}. Give a frequency for "
            "all of them",
            field="frequency",
        )
    return series


def matching(
    series: Sequence[Series],
    *,
    path: str | Path,
    channels: int,
    frequency: str,
    lookback: int,
    horizon: int = 0,
) -> list[Series]:
    """Returns the series of a table that a trained model can forecast. Series that are too short,
    or whose covariates end too early, are left out, which is logged.

    Args:
        series: series of the table.
        path: file of the table, for messages.
        channels: number of channels that the model was trained on.
        frequency: frequency of the series that the model was trained on.
        lookback: steps that the model reads.
        horizon: steps that the model forecasts.

    Raises:
        InputError: other steps, another number of channels, or no series is long enough and has its
            covariates.
    """
    steps = series[0].times.freqstr
    if steps != frequency:
        raise InputError(
            f"{path} has steps of {steps}; the model was trained on steps of {frequency} and can "
            "forecast no others"
        )
    if len(series[0].channels) != channels:
        raise InputError(
            f"{path} has {len(series[0].channels)} value columns; the model was trained on "
            f"{channels}"
        )
    short = [each for each in series if len(each) < lookback]
    if len(short) == len(series):
        raise InputError(
            f"{path} has {max(map(len, series))} steps at most; the model reads {lookback} to "
            "forecast what follows"
        )
    if short:
        log.warning(
            "%d of %d series have less than %d steps and get no forecast: %s",
            len(short),
            len(series),
            lookback,
            listing(each.name for each in short),
        )
    accepted: list[Series] = []
    failures: list[InputError] = []
    for each in series:
        if len(each) < lookback:
            continue
        try:
            each.ahead(horizon)
            accepted.append(each)
        except InputError as error:
            failures.append(error)
    if failures and not accepted:
        raise failures[0]
    if failures:
        log.warning("%d of %d series get no forecast: %s", len(failures), len(series), failures[0])
    return accepted


def _with_index(table: Table) -> Table:
    """The table with the index that a Parquet file keeps, of time stamps or under a name, as a
    column."""
    index = table.frame.index
    if any(index.names):
        frame = table.frame.reset_index()
    elif isinstance(index, pd.DatetimeIndex):
        frame = table.frame.reset_index(names="time")
    else:
        return table
    return replace(table, frame=frame.set_axis([str(name) for name in frame.columns], axis=1))


def _roles(
    table: Table,
    columns: str | Sequence[str],
    time_column: str,
    id_column: str,
    covariates: str | Sequence[str],
) -> _Roles:
    time = table.column(time_column, TIME_NAMES, "time", field="time_column")
    identifier = id_column or table.match(ID_NAMES)
    known = table.columns(covariates, field="covariates")
    values = table.columns(columns, field="columns")
    if identifier:
        table.require(identifier, field="id_column")
        _check_identifiers(table, identifier)
        if not values:
            rest = table.without(time, identifier, *known)
            values = [rest.column("", VALUE_NAMES, "value", field="columns")]
        if len(values) > 1:
            raise InputError(
                f"a long table ({identifier!r} tells its series apart) has one value column; "
                f"received {listing(values)}",
                field="columns",
            )
    if not values:
        values = [name for name in table.names if name not in (time, *known)]
    clash = {time, identifier} & {*values, *known} | {*values} & {*known}
    if clash:
        raise InputError(
            f"{table.path}: column {listing(map(repr, sorted(clash)))} cannot be two things",
            field=("columns", "covariates", "time_column"),
        )
    if not values:
        raise InputError(
            f"{table.path} has no value column beside {listing(map(repr, [time, *known]))}"
        )
    return _Roles(time, identifier, values, known)


def _check_identifiers(table: Table, identifier: str) -> None:
    unknown = table.rows[table.frame[identifier].isna()]
    if len(unknown):
        raise InputError(
            f"{table.place(unknown[0])}: no name of a series in column {identifier!r} "
            f"({len(unknown)} such rows)"
        )


def _groups(table: Table, identifier: str) -> dict[str, pd.Index]:
    """The numbers of the rows of each series."""
    if not identifier:
        return {"": pd.Index(table.rows)}
    names = table.values(identifier).astype(str)
    return {str(name): rows for name, rows in names.groupby(names, sort=False).groups.items()}


def _numeric(column: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    assert isinstance(numbers, pd.Series)  # as its argument
    return numbers


def _numbers(table: Table, name: str) -> pd.Series:
    """float64, missing values as NaN."""
    column = table.values(name)
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        raise InputError(
            f"{table.path}: column {name!r} holds times, no numbers; name the columns that hold "
            "values",
            field="columns",
        )
    absent = column.map(lambda value: isinstance(value, str) and value.strip().lower() in MISSING)
    try:
        numbers = _numeric(column.mask(absent)).astype(float)
    except OverflowError as error:
        raise InputError(
            f"{table.path}: column {name!r} has a number beyond what 64 bits hold"
        ) from error
    wrong = table.rows[(numbers.isna() & ~absent & column.notna()).to_numpy(bool)]
    if len(wrong):
        raise InputError(
            f"{table.place(wrong[0])}: column {name!r} has {column[wrong[0]]!r}, which is no "
            f"number ({len(wrong)} such rows). Mend it, or name the columns that hold values",
            field="columns",
        )
    infinite = table.rows[np.isinf(numbers.to_numpy())]
    if len(infinite):
        raise InputError(
            f"{table.place(infinite[0])}: column {name!r} is infinite ({len(infinite)} such rows)"
        )
    return numbers


def _series(
    frame: pd.DataFrame,
    roles: _Roles,
    *,
    name: str,
    place: str,
    fill: str,
    fill_covariates: str,
) -> Series:
    steps = len(frame)
    if roles.covariates:  # rows at the end without a value are the future
        present = np.flatnonzero(frame[roles.values].notna().to_numpy().any(axis=1))
        steps = int(present[-1]) + 1 if len(present) else 0
    values = frame.loc[:, roles.values].iloc[:steps]
    if values.isna().to_numpy().all():
        raise InputError(f"{place} has no value in {listing(map(repr, roles.values))}")
    values = filled(values, fill, place=place)
    known = filled(frame.loc[:, roles.covariates], fill_covariates, place=place)
    constant = [name for name, count in values.nunique().items() if count == 1]
    if constant:
        log.warning(
            "%s: constant from start to end: %s. A forecast of a constant says nothing",
            place,
            listing(map(repr, constant)),
        )
    return Series(
        times=pd.DatetimeIndex(frame.index),
        values=values.to_numpy(float),
        channels=list(roles.values),
        name=name,
        known=known.to_numpy(float),
        covariates=list(roles.covariates),
    )
