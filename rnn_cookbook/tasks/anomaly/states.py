"""What detectors have learnt of streams, in a file: after a restart the scores are the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from rnn_cookbook.encode.series import SeriesScaler
from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log, write_atomically
from rnn_cookbook.tasks.anomaly.lines import LineStream
from rnn_cookbook.tasks.anomaly.predict import Detector, Scored
from rnn_cookbook.tasks.anomaly.streams import LabelledStream

__all__ = [
    "FORMAT",
    "STATES",
    "Memory",
    "State",
    "is_later",
    "read_states",
    "save_states",
    "write_states",
]

FORMAT = 1  # version of the file; raised when an older library could not read it
STATES = "states.npz"  # in a bundle: the training's streams, at their ends


@dataclass
class State:
    """What a detector has learnt of one stream.

    Args:
        arrays: state of the detector, see `Detector.state`.
        settings: settings of the detector, see `Detector.settings`.
        mean: mean of the stream's normal values, channel by channel.
        scale: standard deviation of the stream's normal values, channel by channel.
        last: time of the last row in ISO 8601; "" where none could be read.
    """

    arrays: dict[str, np.ndarray]
    settings: dict[str, Any]
    mean: list[float]
    scale: list[float]
    last: str = ""

    @classmethod
    def of(cls, detector: Detector, stream: int = 0, *, last: pd.Timestamp | None = None) -> State:
        """Copies what a detector has learnt of one of its streams until the time `last`."""
        return cls(
            arrays=detector.state(stream),
            settings=detector.settings,
            mean=detector.mean[stream].tolist(),
            scale=detector.scale[stream].tolist(),
            last="" if last is None or pd.isna(last) else last.isoformat(),
        )

    @property
    def time(self) -> pd.Timestamp | None:
        """The time of the last row."""
        return cast(pd.Timestamp, pd.Timestamp(self.last)) if self.last else None


def write_states(path: str | Path, states: Mapping[str, State]) -> None:
    """Writes states by the names of their streams; the file is replaced whole or not at all.

    Args:
        path: file to write, in NumPy's format .npz whatever its name.
        states: name of a stream -> its state.

    Raises:
        InputError: the file could not be written.
    """
    about = []
    arrays = {}
    for i, (name, state) in enumerate(states.items()):
        about.append(
            {
                "name": name,
                "settings": state.settings,
                "mean": state.mean,
                "scale": state.scale,
                "last": state.last,
            }
        )
        for key, array in state.arrays.items():
            arrays[f"{i}/{key}"] = array
    contents = json.dumps({"format": FORMAT, "streams": about})
    arrays["about"] = np.frombuffer(contents.encode(), np.uint8)

    def write(temporary: Path) -> None:
        # By a file object: `savez` would append .npz to a path without it.
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)

    write_atomically(Path(path), write)


def read_states(path: str | Path) -> dict[str, State]:
    """Reads what `write_states` wrote.

    Args:
        path: file to read.

    Raises:
        InputError: the file is damaged, something else, or of another format.
    """
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = dict(file)
        about = json.loads(arrays["about"].tobytes())
        if about["format"] == FORMAT:
            return {
                entry["name"]: _state_of(i, entry, arrays)
                for i, entry in enumerate(about["streams"])
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
            f"{path} is no saved state of a detector, or is damaged: {error}. Give another file, "
            "or move this one away to begin anew",
            field="state",
        ) from error
    raise InputError(
        f"{path} is a state of format {about['format']}; this library reads format {FORMAT}. Move "
        "it away to begin anew",
        field="state",
    )


def _state_of(number: int, entry: dict[str, Any], arrays: dict[str, np.ndarray]) -> State:
    prefix = f"{number}/"
    own = {key: array for key, array in arrays.items() if key.startswith(prefix)}
    return State(
        arrays={key.removeprefix(prefix): array for key, array in own.items()},
        settings=entry["settings"],
        mean=entry["mean"],
        scale=entry["scale"],
        last=entry["last"],
    )


def save_states(
    streams: Sequence[LabelledStream],
    scored: Sequence[Scored],
    scaler: SeriesScaler,
    folder: Path,
) -> None:
    """Writes what was learnt of whole streams into a bundle's folder, so that predictions can
    continue them.

    Args:
        streams: streams of the training.
        scored: their scores and states.
        scaler: scale of each stream.
        folder: folder to write to.

    Raises:
        InputError: the file could not be written.
    """
    states = {}
    for stream, each in zip(streams, scored, strict=True):
        mean, scale = scaler.facts[stream.name]
        states[stream.name] = State(
            arrays=each.state,
            settings=each.settings,
            mean=mean.tolist(),
            scale=scale.tolist(),
            last=stream.end.isoformat(),
        )
    write_states(folder / STATES, states)


def is_later(time: pd.Timestamp, than: pd.Timestamp) -> bool:
    """Compares two times.

    Args:
        time: a time.
        than: the time that `time` should be after.

    Raises:
        InputError: one of them has a time zone and the other has none.
    """
    try:
        return time > than
    except TypeError as error:
        raise InputError(
            f"time {time} cannot be compared with {than}: give both with a time zone, or both "
            "without"
        ) from error


class Memory:
    """What was learnt of streams before, and is being learnt: in a file of the user's, which is
    read if it exists, and, for the training's streams, in the bundle.

    Args:
        path: the user's file; nothing is kept if empty.
        trained: file in the bundle, which is only read.

    Raises:
        InputError: a file is damaged, something else, or of another format.
    """

    def __init__(self, path: str | Path = "", *, trained: str | Path = ""):
        self.path = Path(path) if path else None
        self.kept = read_states(self.path) if self.path and self.path.exists() else {}
        self.trained = read_states(trained) if trained and Path(trained).exists() else {}

    @property
    def states(self) -> dict[str, State]:
        """The states by the names of their streams; those of the user's file come first."""
        return self.trained | self.kept

    def begin(self, detector: Detector, stream: LabelledStream | LineStream) -> pd.Timestamp | None:
        """Lets a detector continue from what is known of a stream.

        What training learnt of its streams counts for later rows: a table without later rows is
        scored from its beginning.

        Args:
            detector: detector of this stream alone.
            stream: stream to be scored.

        Returns:
            The time until which the stream's rows are learnt; None where all rows count.

        Raises:
            InputError: the state is that of other settings, another model, or another scale.
        """
        state = self.states.get(stream.name)
        if state is None:
            return None
        name = f"stream {stream.name!r}" if stream.name else "the stream"
        last = state.time
        kept = stream.name in self.kept
        ends = None if kept else stream.end
        if last is not None and ends is not None and not is_later(ends, last):
            log.info(
                "%s has no row after %s, where the training data ended: it is scored from its "
                "beginning",
                name,
                last,
            )
            return None
        source = self.path if kept else "the run"
        _check_state(state, detector, name=name, source=source)
        detector.restore(state.arrays)
        after = f" after {last}" if last is not None else ""
        log.info("%s continues%s, by %s", name, after, source)
        return last

    def keep(self, stream: LabelledStream | LineStream, state: State) -> None:
        """Keeps the state of a stream, in the user's file too if there is one.

        Raises:
            InputError: the file could not be written.
        """
        self.kept[stream.name] = state
        if self.path:
            write_states(self.path, self.kept)


def _check_state(state: State, detector: Detector, *, name: str, source: object) -> None:
    settings = detector.settings
    changed = [
        f"{key} {old!r}, now {settings.get(key)!r}"
        for key, old in state.settings.items()
        if old != settings.get(key)
    ]
    if changed:
        raise InputError(
            f"{source} has what a detector with other settings learnt of {name}: "
            f"{', '.join(changed)}. Give another file of states",
            field="state",
        )
    if [state.mean, state.scale] != [detector.mean[0].tolist(), detector.scale[0].tolist()]:
        raise InputError(
            f"{source} has what was learnt of {name} in another scale. Give another file of states",
            field="state",
        )
