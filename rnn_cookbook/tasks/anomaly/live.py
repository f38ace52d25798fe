"""Streams scored as their rows come, and what was learnt of them kept in a file: after a restart
the scores are the same."""

import itertools
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from rnn_cookbook.encode.series import SeriesScaler
from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log, write_atomically
from rnn_cookbook.tasks.anomaly.data import LabelledStream, steps_between
from rnn_cookbook.tasks.anomaly.lines import LineStream
from rnn_cookbook.tasks.anomaly.predict import Detector, Scored

FORMAT = 1  # of the file; raised when an older library could not read it
STATES = "states.npz"  # in a bundle: of the streams of the training, at their ends
SAVED_EVERY = 10.0  # seconds, while rows come
LONGEST_GAP = 10_000  # steps; of a longer one as many are put in as keep the season


@dataclass
class State:
    """What a detector has learnt of one stream: its arrays (`Detector.state`), and whose they are."""

    arrays: dict[str, np.ndarray]
    settings: dict  # of the detector
    mean: list[float]  # the stream's scale, channel by channel
    scale: list[float]
    last: str = ""  # time of the last row

    @classmethod
    def of(
        cls, detector: Detector, stream: int = 0, *, last: pd.Timestamp | None = None
    ) -> "State":
        return cls(
            arrays=detector.state(stream),
            settings=detector.settings,
            mean=detector.mean[stream].tolist(),
            scale=detector.scale[stream].tolist(),
            last="" if last is None or pd.isna(last) else last.isoformat(),
        )

    @property
    def time(self) -> pd.Timestamp | None:
        return pd.Timestamp(self.last) if self.last else None


def write_states(path: str | Path, states: Mapping[str, State]) -> None:
    """Writes states by the names of their streams; the whole file or nothing of it."""
    about = [
        {"name": name, **{key: value for key, value in vars(state).items() if key != "arrays"}}
        for name, state in states.items()
    ]
    arrays = {
        f"{i}/{name}": array
        for i, state in enumerate(states.values())
        for name, array in state.arrays.items()
    }
    arrays["about"] = np.frombuffer(
        json.dumps({"format": FORMAT, "streams": about}).encode(), np.uint8
    )

    def write(temporary: Path) -> None:
        with open(
            temporary, "wb"
        ) as file:  # savez would append .npz to a name that does not end so
            np.savez(file, **arrays)

    write_atomically(Path(path), write)


def save_states(
    streams: Sequence[LabelledStream], found: Sequence[Scored], scaler: SeriesScaler, folder: Path
) -> None:
    """Writes what was learnt of whole streams into a bundle's folder, for those who go on with
    them."""
    states = {}
    for one, scored in zip(streams, found, strict=True):
        mean, scale = (part.tolist() for part in scaler.facts[one.name])
        states[one.name] = State(
            scored.state, scored.settings, mean, scale, last=one.times[-1].isoformat()
        )
    write_states(folder / STATES, states)


def read_states(path: str | Path) -> dict[str, State]:
    """What `write_states` wrote.

    Raises:
        InputError: it is damaged, something else, or of another format.
    """
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = dict(file)
        about = json.loads(arrays["about"].tobytes())
        if about["format"] == FORMAT:
            return {
                one.pop("name"): State(
                    {
                        name.partition("/")[2]: array
                        for name, array in arrays.items()
                        if name.partition("/")[0] == str(i)
                    },
                    **one,
                )
                for i, one in enumerate(about["streams"])
            }
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        BadZipFile,
    ) as error:
        raise InputError(
            f"{path} is no saved state of a detector, or is damaged: {error}. Give another --state, or move it away to begin anew"
        ) from error
    raise InputError(
        f"{path} is a state of format {about['format']}; this reads format {FORMAT}. Move it away to begin anew"
    )


class Memory:
    """What was learnt of streams before, and what is being learnt: in a file of your own, which is
    read if it is there, and else, of the streams of the training, in the bundle.

    Args:
        path: your file; nothing is kept if empty.
        trained: the bundle's file, which is only read.
    """

    def __init__(self, path: str | Path = "", *, trained: str | Path = ""):
        self.path = Path(path) if path else None
        self.kept = read_states(self.path) if self.path and self.path.exists() else {}
        self.trained = read_states(trained) if trained and Path(trained).exists() else {}

    @property
    def states(self) -> dict[str, State]:
        """By the streams' names."""
        return self.trained | self.kept

    def begin(self, detector: Detector, stream: LabelledStream | LineStream) -> pd.Timestamp | None:
        """Lets the detector go on from what is known of a stream. Returns the time until which its
        rows were learnt; None where all count.

        What training learnt of its streams counts for rows that come later: a table without such
        rows is scored from its beginning.

        Raises:
            InputError: the state is that of other settings, or of another model.
        """
        state = self.states.get(stream.name)
        if state is None:
            return None
        of = f"stream {stream.name!r}" if stream.name else "the stream"
        last = state.time
        if (
            stream.name not in self.kept
            and last is not None
            and stream.end is not None
            and not later(stream.end, last)
        ):
            log.info(
                "%s has no row after %s, where the training data ended: it is scored from its beginning",
                of,
                last,
            )
            return None
        where = self.path if stream.name in self.kept else "the run"
        own = detector.settings
        if changed := [
            f"{key} {old!r}, now {own.get(key)!r}"
            for key, old in state.settings.items()
            if old != own.get(key)
        ]:
            raise InputError(
                f"{where} has what a detector with other settings learnt of {of}: {', '.join(changed)}. Give another --state"
            )
        if [state.mean, state.scale] != [detector.mean[0].tolist(), detector.scale[0].tolist()]:
            raise InputError(
                f"{where} has what was learnt of {of} in another scale. Give another --state"
            )
        detector.restore(state.arrays)
        log.info("%s goes on%s, by %s", of, f" after {last}" if last is not None else "", where)
        return last

    def keep(self, stream: LabelledStream | LineStream, state: State) -> None:
        """Writes your file, if there is to be one."""
        self.kept[stream.name] = state
        if self.path:
            write_states(self.path, self.kept)


def rows(
    detector: Detector,
    stream: LabelledStream | LineStream,
    *,
    threshold: float,
    memory: Memory | None = None,
) -> Iterator[dict]:
    """Scores of a stream as its rows come: "unique_id", "ds", "score", "alarm" (1 from `threshold`
    on, else 0), and "expected" of each channel, empty before anything was.

    Rows that do not come after those that were learnt are left out, which is logged; so that the
    same file may be given again after it has grown. Steps that are missing between them are missing
    values, without a row of their own.

    Args:
        detector: of one stream.
        stream: whole, or line by line.
        threshold: of the score.
        memory: what is known of the stream. What is learnt is kept there every few seconds and at
            the end, also where the rows end by an error or are not asked for any more: all of the
            rows that were taken, and no other.
    """
    memory = memory or Memory()
    parts = stream.parts()
    first = next(parts, None)
    if first is None:
        return
    last = memory.begin(detector, stream)
    learnt, saved, given = State.of(detector, last=last), time.perf_counter(), 0
    try:
        for names, times, values, missing in _new(
            itertools.chain([first], parts), last, stream.frequency, detector.usual.season
        ):
            given = 0
            gap = np.full((1, missing, len(stream.channels)), np.nan)
            detector.score(gap)
            score, _, expected = detector.score(values[None])
            for i, at in enumerate(names):
                yield {
                    "unique_id": stream.name,
                    "ds": at,
                    "score": round(float(score[0, i]), 4),
                    "alarm": int(score[0, i] >= threshold),
                    **{
                        f"expected {name}": _short(value)
                        for name, value in zip(stream.channels, expected[0, i], strict=True)
                    },
                }
                given = i + 1
            last = _last(times, last)
            if memory.path:
                learnt, given = State.of(detector, last=last), 0
                if time.perf_counter() - saved > SAVED_EVERY:
                    memory.keep(stream, learnt)
                    saved = time.perf_counter()
    finally:
        if memory.path:
            if given:  # of a part of the rows: what was learnt of the others does not count
                detector.restore(learnt.arrays)
                detector.score(gap)
                detector.score(values[None, :given])
                learnt = State.of(detector, last=_last(times[:given], last))
            memory.keep(stream, learnt)


def later(time: pd.Timestamp, than: pd.Timestamp) -> bool:
    """Whether a time is after another; InputError where one has a time zone and the other has none."""
    try:
        return time > than
    except TypeError as error:
        raise InputError(
            f"time {time} cannot be compared with {than}: give both with a time zone, or both without"
        ) from error


def _new(
    parts: Iterable[tuple[list[str], pd.DatetimeIndex, np.ndarray]],
    last: pd.Timestamp | None,
    frequency: str,
    season: int,
) -> Iterator[tuple[list[str], pd.DatetimeIndex, np.ndarray, int]]:
    """The rows that come after `last`, and after each other, and how many steps are missing before
    each part of them. Of streams without a frequency, rows in any order after `last`. Rows whose
    time cannot be read are taken as they come."""
    left, unread, close = 0, 0, False
    for names, times, values in parts:
        missing = 0
        if times.hasnans:
            unread += len(times)
        elif last is not None:
            old = 0
            while old < len(times) and not later(times[old], last):
                old += 1
            if old and not left:
                log.warning(
                    "%s is not after %s: rows that were scored before, or come late, are left out",
                    names[0],
                    last,
                )
            left += old
            names, times, values = names[old:], times[old:], values[old:]
            if len(times) and frequency:
                steps = steps_between(last, times[0], frequency)
                if not steps and not close:
                    close = True
                    log.warning(
                        "%s is no step of %s after %s: every row is taken for one; average them first",
                        names[0],
                        frequency,
                        last,
                    )
                missing = max(0, steps - 1 - unread)
                if missing > LONGEST_GAP:
                    missing = LONGEST_GAP - LONGEST_GAP % max(season, 1) + missing % max(season, 1)
                if missing:
                    log.warning("%d steps are missing between %s and %s", missing, last, times[0])
        if len(times):
            yield names, times, values, missing
            if not times.hasnans:
                last, unread = times[-1] if frequency else last, 0
    if left:
        log.warning("%d rows were left out", left)


def _last(times: pd.DatetimeIndex, before: pd.Timestamp | None) -> pd.Timestamp | None:
    """The latest time that could be read."""
    times = times.dropna()
    return times[-1] if len(times) else before


def _short(value: float) -> float | str:
    return "" if np.isnan(value) else float(f"{value:.6g}")


# Scales


def usual_scale(streams: Sequence[LabelledStream], first: Sequence[int]) -> SeriesScaler:
    """By the rows before `first` of each stream."""
    return SeriesScaler.fit(
        {one.name: one.usual(rows) for one, rows in zip(streams, first, strict=True)}
    )


def terms_of(
    stream: LabelledStream | LineStream,
    memory: Memory,
    facts: Mapping[str, dict],
    *,
    first: float,
    season: int,
) -> tuple[SeriesScaler, int]:
    """The scale and the season of a stream: those of the training, or of the memory; else the scale
    is by the first share of its own rows, which is logged.

    Args:
        stream: that is to be scored.
        memory: what is known of streams.
        facts: "scales" and "seasons" by the names of the training's streams.
        first: share of the rows.
        season: steps of those that are not known; a day of them when 0.
    """
    if stream.name in facts["scales"]:
        return SeriesScaler({stream.name: tuple(facts["scales"][stream.name])}), facts["seasons"][
            stream.name
        ]
    if stream.name in memory.states:
        state = memory.states[stream.name]
        return SeriesScaler({stream.name: (state.mean, state.scale)}), state.settings["season"]
    rows = round(first * len(stream))
    if not len(stream.usual(rows)):
        raise InputError(
            f"the first {rows} rows of stream {stream.name!r}, which training did not see, have no value to scale it by"
        )
    log.info(
        "stream %r, which training did not see, is scaled by its first %d rows", stream.name, rows
    )
    return usual_scale([stream], [rows]), season or stream.season_within(len(stream))
