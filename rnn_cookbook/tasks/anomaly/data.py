"""Tables of the user's own streams, with labelled anomalies or without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rnn_cookbook.data.series import TIME_NAMES, read_series
from rnn_cookbook.data.tables import Table, read_table
from rnn_cookbook.data.timestamps import season_of
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.tasks.anomaly.labels import FLAG_NAMES, labelled_windows, read_flags, runs
from rnn_cookbook.tasks.anomaly.streams import LabelledStream

__all__ = ["read_streams"]


def read_streams(
    path: str | Path,
    *,
    columns: str | Sequence[str] = "",
    time_column: str = "",
    id_column: str = "",
    label_column: str = "",
    labels: str | Path = "",
    frequency: str = "",
    fill: str = "keep",
    step: str | None = None,
) -> list[LabelledStream]:
    """Reads the streams of a table, see `data.series.read_series`; missing values may stay missing.

    Labels are optional: a column with numbers above 0, true or yes in anomalous rows; or a table of
    their own with columns start and end, both included, and unique_id where there are several
    streams. Anomalous rows with nothing but missing labels between them are one anomaly.

    Args:
        path: table, see `data.tables.read_table`.
        columns: names of the value columns, see `read_series`.
        time_column: column of the time stamps; one with a reference name if empty.
        id_column: column of the streams' names; one with a reference name if empty.
        label_column: column of the labels; label, is_anomaly or anomaly if empty.
        labels: table of the anomalies; none if empty.
        frequency: frequency of the grid, see `read_series`.
        fill: what becomes of steps without a value, see `data.grid.filled`.
        step: frequency of the table that a model was trained on, "" if it had none. The table is
            then a new one, which is read without labels; its rows must keep to the step where
            `frequency` does not bring them to it. None for a table to train on.

    Raises:
        InputError: as `read_series`; labels given twice; labels that cannot be read; windows that
            cannot be read, lie outside their stream, or overlap.
    """
    table = read_table(path)
    if step is not None:
        table = table.without(label_column, *_flag_columns(table))
        labels = ""
        flags = ""
    else:
        flags = _chosen_flags(table, label_column)
        table = table.without(*(name for name in _flag_columns(table) if name != flags))
    if flags and labels:
        raise InputError(
            f"{path} has labels in its column {flags!r}, and {labels} has others: leave one of "
            "them out",
            field="labels",
        )
    if flags:
        marks = {flags: read_flags(table, flags)}
        table = replace(table, frame=table.frame.assign(**marks))
    series = read_series(
        table,
        columns=columns,
        time_column=time_column,
        id_column=id_column,
        covariates=[flags] if flags else "",
        frequency=frequency,
        step=step or "",
        fill=fill,
        fill_covariates="keep",
    )
    windows = {}
    if flags:
        windows = {each.name: runs(each.known[: len(each), 0]) for each in series}
    elif labels:
        times = time_column or table.match(TIME_NAMES)
        like = table.values(times) if times in table.names else None
        windows = labelled_windows(labels, series, id_column=id_column, like=like)
    return [
        LabelledStream(
            name=each.name,
            times=each.times[: len(each)],
            values=each.values,
            channels=each.channels,
            windows=windows.get(each.name, []),
            season=season_of(each.times.freqstr),
            frequency=each.times.freqstr,
        )
        for each in series
    ]


def _flag_columns(table: Table) -> list[str]:
    return [name for name in table.names if name.strip().lower() in FLAG_NAMES]


def _chosen_flags(table: Table, label_column: str) -> str:
    """The column of the labels; "" where there is none."""
    if label_column:
        table.require(label_column, field="label_column")
        return label_column
    columns = _flag_columns(table)
    if len(columns) > 1:
        raise InputError(
            f"{table.path} has several columns of labels, {listing(map(repr, columns))}: name one",
            field="label_column",
        )
    return columns[0] if columns else ""
