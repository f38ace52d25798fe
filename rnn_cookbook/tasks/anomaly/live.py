"""Streams scored as their rows come, continuing from what was learnt of them before."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log
from rnn_cookbook.tasks.anomaly.encode import normal_scale
from rnn_cookbook.tasks.anomaly.lines import LineStream
from rnn_cookbook.tasks.anomaly.predict import Detector, Scale
from rnn_cookbook.tasks.anomaly.states import Memory, State, is_later
from rnn_cookbook.tasks.anomaly.streams import LabelledStream, matching, steps_between

__all__ = ["known_stream", "only_table", "scale_and_season", "score_rows", "streams_to_score"]

SAVED_EVERY = 10.0  # seconds, while rows come
LONGEST_GAP = 10_000  # steps; a longer gap is shortened by whole seasons
SHOWN_NAMES = 12  # in a message
DIGITS = 4  # of scores

Part = tuple[list[str], pd.DatetimeIndex, np.ndarray]  # times as text, times, values


def only_table(inputs: Iterable[list[str]], default: str) -> str:
    """Returns the path of the one table that is to be scored.

    Args:
        inputs: paths that were given, in lists.
        default: path where none was given.

    Raises:
        InputError: several tables.
    """
    given = [path for paths in inputs for path in paths] or [default]
    if len(given) > 1:
        raise InputError(f"accepted is one table at a time; received {', '.join(given)}")
    return given[0]


def known_stream(name: str, known: Iterable[str]) -> str:
    """Returns the name of a stream that the model knows; its only one where `name` is empty.

    Args:
        name: name that was given, or "".
        known: names of the model's streams.

    Raises:
        InputError: the model does not know the stream, or knows several and none was named.
    """
    names = list(dict.fromkeys(known))
    if name in names:
        return name
    if not name and len(names) == 1:
        return names[0]
    what = f"unknown stream {name!r}" if name else "no stream was named"
    raise InputError(
        f"{what}; the model knows {listing(map(repr, names), SHOWN_NAMES)}", field="stream"
    )


def streams_to_score(
    path: str,
    read: Callable[[str], Sequence[LabelledStream]],
    *,
    facts: Mapping[str, Any],
    memory: Memory,
    name: str,
    held: bool,
) -> Sequence[LabelledStream | LineStream]:
    """Returns the streams of a table, or the stream on standard input, with the channels that the
    model was trained on.

    Args:
        path: path of the table; "-" for standard input.
        read: function that reads a table.
        facts: "channels" and "frequency" of the training, and "scales" by its streams' names.
        memory: what is known of streams.
        name: name of the stream on standard input; the only known one if empty.
        held: whether the last row of a table is left out, see `streams.matching`.

    Raises:
        InputError: the name is unknown, channels are missing, or the steps are others.
    """
    channels = facts["channels"]
    frequency = facts["frequency"]
    if path == "-":
        stream = known_stream(name, [*facts["scales"], *memory.states])
        return [LineStream(channels, name=stream, frequency=frequency)]
    return matching(path, read(path), channels=channels, frequency=frequency, held=held)


def scale_and_season(
    stream: LabelledStream | LineStream,
    memory: Memory,
    facts: Mapping[str, Any],
    *,
    fraction: float,
    season: int,
) -> tuple[Scale, int]:
    """Returns the scale (mean, standard deviation) and the season of a stream: those of the
    training, or of the memory; a new stream is scaled by its own first rows, which is logged.

    Args:
        stream: stream to be scored.
        memory: what is known of streams.
        facts: "scales" and "seasons" by the names of the training's streams.
        fraction: fraction of a new stream's rows that scale it.
        season: length of a new stream's season in steps; one day of steps when 0.

    Raises:
        InputError: a new stream has no value in these rows.
    """
    if stream.name in facts["scales"]:
        mean, scale = facts["scales"][stream.name]
        return (np.asarray(mean, float), np.asarray(scale, float)), facts["seasons"][stream.name]
    state = memory.states.get(stream.name)
    if state is not None:
        kept = (np.asarray(state.mean, float), np.asarray(state.scale, float))
        return kept, state.settings["season"]
    assert isinstance(stream, LabelledStream)  # the name of a stream of lines is known
    rows = round(fraction * len(stream))
    if not len(stream.complete_rows(0, rows)):
        raise InputError(
            f"the first {rows} rows of stream {stream.name!r}, which training did not see, have no "
            "value to scale it by"
        )
    log.info(
        "stream %r, which training did not see, is scaled by its first %d rows", stream.name, rows
    )
    scaler = normal_scale([stream], [rows])
    return scaler.facts[stream.name], season or stream.season_within(len(stream))


def score_rows(
    detector: Detector,
    stream: LabelledStream | LineStream,
    *,
    threshold: float,
    memory: Memory | None = None,
) -> Iterator[dict[str, Any]]:
    """Scores a stream as its rows come.

    Rows that do not come after those that were learnt are left out, which is logged; so the same
    file may be given again after it has grown. Missing steps between rows are missing values,
    without a row of their own.

    Args:
        detector: detector of this stream alone.
        stream: whole stream, or a stream of lines.
        threshold: smallest score of an alarm.
        memory: what is known of the stream. What is learnt is kept there every few seconds and at
            the end, also where the rows end by an error or are no longer asked for: that of all
            rows that were taken, and of no other.

    Yields:
        "unique_id", "ds", "score", "alarm" (1 or 0), and "expected <channel>" for each channel,
        empty before the first expectation.

    Raises:
        InputError: a row that cannot be read, or a state that does not fit.
    """
    memory = memory or Memory()
    parts = stream.parts()
    first = next(parts, None)
    if first is None:
        return
    last = memory.begin(detector, stream)
    learnt = State.of(detector, last=last)
    saved = time.perf_counter()
    taken = 0  # rows of this part that were taken and are not in `learnt`
    gap = np.empty(0)
    times = first[1]
    values = first[2]
    new = _new_parts(
        itertools.chain([first], parts), last, stream.frequency, detector.normal.season
    )
    try:
        for (names, times, values), missing in new:
            taken = 0
            gap = np.full((1, missing, len(stream.channels)), np.nan)
            detector.score(gap)
            scores, _, expected = detector.score(values[None])
            for i, name in enumerate(names):
                score = float(scores[0, i])
                row = {
                    "unique_id": stream.name,
                    "ds": name,
                    "score": round(score, DIGITS),
                    "alarm": int(score >= threshold),
                }
                for channel, value in zip(stream.channels, expected[0, i], strict=True):
                    row[f"expected {channel}"] = _short(value)
                yield row
                taken = i + 1
            last = _latest(times, last)
            if memory.path:
                learnt = State.of(detector, last=last)
                taken = 0
                if time.perf_counter() - saved > SAVED_EVERY:
                    memory.keep(stream, learnt)
                    saved = time.perf_counter()
    finally:
        if memory.path:
            if taken:  # a part of the rows: what was learnt of the others does not count
                detector.restore(learnt.arrays)
                detector.score(gap)
                detector.score(values[None, :taken])
                learnt = State.of(detector, last=_latest(times[:taken], last))
            memory.keep(stream, learnt)


def _new_parts(
    parts: Iterable[Part], last: pd.Timestamp | None, frequency: str, season: int
) -> Iterator[tuple[Part, int]]:
    """The rows that come after `last` and after each other, and the number of steps missing before
    each part. Without a frequency, the rows after `last` in any order. Rows whose time cannot be
    read are taken as they come."""
    left_out = 0
    unread = 0  # rows since `last` whose time cannot be read, which are steps too
    too_close = False
    for names, times, values in parts:
        missing = 0
        if times.hasnans:
            unread += len(times)
        elif last is not None:
            old = _count_old(times, last)
            if old and not left_out:
                log.warning(
                    "%s is not after %s: rows that were scored before, or come late, are left out",
                    names[0],
                    last,
                )
            left_out += old
            names = names[old:]
            times = times[old:]
            values = values[old:]
            if len(times) and frequency:
                steps = steps_between(last, cast(pd.Timestamp, times[0]), frequency)
                if not steps and not too_close:
                    too_close = True
                    log.warning(
                        "%s is less than a step of %s after %s: every row counts as a step; "
                        "average them first",
                        names[0],
                        frequency,
                        last,
                    )
                missing = _shortened(max(0, steps - 1 - unread), season)
                if missing:
                    log.warning("%d steps are missing between %s and %s", missing, last, times[0])
        if len(times):
            yield (names, times, values), missing
            if not times.hasnans:
                unread = 0
                if frequency:
                    last = cast(pd.Timestamp, times[-1])
    if left_out:
        log.warning("%d rows were left out", left_out)


def _count_old(times: pd.DatetimeIndex, last: pd.Timestamp) -> int:
    """How many rows at the beginning do not come after `last`."""
    for count, row in enumerate(times):
        if is_later(row, last):
            return count
    return len(times)


def _shortened(missing: int, season: int) -> int:
    """A gap of at most about `LONGEST_GAP` steps that keeps the place in the season."""
    if missing <= LONGEST_GAP:
        return missing
    season = max(season, 1)
    return LONGEST_GAP - LONGEST_GAP % season + missing % season


def _latest(times: pd.DatetimeIndex, before: pd.Timestamp | None) -> pd.Timestamp | None:
    """The last time that could be read."""
    readable = times.dropna()
    return cast(pd.Timestamp, readable[-1]) if len(readable) else before


def _short(value: float) -> float | str:
    return "" if np.isnan(value) else float(f"{value:.6g}")
