"""Anomaly scores of streams: the improbability of each point given its stream's past, in constant
memory.

A score is -log10 of a probability: 3 is a point such as one in a thousand. Nothing looks ahead, and
the state of a detector can be saved and restored.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log
from rnn_cookbook.tasks.anomaly.encode import forward_filled
from rnn_cookbook.tasks.anomaly.residuals import Errors
from rnn_cookbook.tasks.anomaly.scores import RowScores
from rnn_cookbook.tasks.anomaly.tails import (
    RefractoryPeriod,
    SeasonalMedian,
    Smoothed,
    TailProbability,
)

__all__ = ["Detector", "Scale", "Scored", "score_streams"]

Scale = tuple[np.ndarray, np.ndarray]  # mean and standard deviation, float64[channels] each

STATISTICS = 5  # per channel: the value up and down, the error, the seasonal distance up and down
DISTANCE_SMOOTHING = 3  # seasonal distances are averaged over so many times the steps of errors
LOGGED_EVERY = 10.0  # seconds


class Detector:
    """Scores streams point by point, or in chunks with the same result, in constant memory and work
    per point.

    A score is the sum of three tail probabilities, each given the stream's own past
    (`TailProbability`): those of the value, up or down; of the smoothed error of the network; and
    of the smoothed distance from the seasonal median (`SeasonalMedian`), up or down. The largest
    channel counts, once per refractory period (`RefractoryPeriod`). What lasts becomes normal, so
    that streams may drift.

    A missing value (NaN) scores 0; the network reads the last value again.

    Args:
        errors: `PredictionErrors`, `ReconstructionErrors` or `PersistenceErrors`.
        mean: mean of the normal values, float64[streams, channels].
        scale: standard deviation of the normal values, float64[streams, channels].
        season: length of the season in steps; 0 for none.
        smoothing: steps that errors are averaged over.
        refractory: length of the refractory period in steps, in which only larger scores count.
        tails: further arguments of `TailProbability`.
    """

    def __init__(
        self,
        errors: Errors,
        *,
        mean: np.ndarray | Sequence[np.ndarray],
        scale: np.ndarray | Sequence[np.ndarray],
        season: int = 0,
        smoothing: int = 10,
        refractory: int = 0,
        **tails: Any,
    ):
        self.mean = np.asarray(mean, float)
        self.scale = np.asarray(scale, float)
        streams, channels = self.mean.shape
        self.shape = (streams, channels)
        self.errors = errors
        self.tails = TailProbability(STATISTICS * streams * channels, **tails)
        self.error = Smoothed(self.shape, steps=smoothing)
        self.normal = SeasonalMedian(self.shape, season=season)
        self.distance = Smoothed(self.shape, steps=DISTANCE_SMOOTHING * smoothing)
        self.refractory = RefractoryPeriod(streams, steps=refractory)
        self.last = np.zeros(self.shape)
        # By the names that saved states have; each state has one row per stream.
        self._parts = {
            "errors": self.errors,
            "error": self.error,
            "usual": self.normal,
            "distance": self.distance,
            "rest": self.refractory,
        }

    def score(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores the next steps of all streams: float64[streams, steps, channels] -> (scores
        float64[streams, steps], evidence float64[streams, steps], expected values float64[streams,
        steps, channels]). The evidence is the score before the refractory period.

        Raises:
            InputError: other streams or channels than the detector's, or infinite values.
        """
        values = np.asarray(values, np.float64)
        self._check(values)
        if not values.shape[1]:
            return np.zeros(values.shape[:2]), np.zeros(values.shape[:2]), values
        scaled = (values - self.mean[:, None]) / self.scale[:, None]
        filled = forward_filled(scaled, self.last)
        self.last = filled[:, -1]
        errors, expected = self.errors.feed(filled)
        errors = np.where(np.isnan(scaled), np.nan, errors)
        evidence = np.zeros(scaled.shape[:2])
        scores = np.zeros(scaled.shape[:2])
        for step in range(scaled.shape[1]):
            now = scaled[:, step]
            distance = now - self.normal.update(now)
            evidence[:, step] = self._evidence(now, np.abs(errors[:, step]), distance)
            scores[:, step] = self.refractory.update(evidence[:, step])
        return scores, evidence, expected * self.scale[:, None] + self.mean[:, None]

    def _check(self, values: np.ndarray) -> None:
        streams, channels = self.shape
        if values.ndim != 3 or (values.shape[0], values.shape[2]) != self.shape:
            raise InputError(
                f"values must have the shape ({streams}, steps, {channels}); received values of "
                f"shape {values.shape}"
            )
        if np.isinf(values).any():
            raise InputError(
                "a value is infinite; accepted are finite numbers, and NaN for a missing value"
            )

    def _evidence(self, value: np.ndarray, error: np.ndarray, distance: np.ndarray) -> np.ndarray:
        error = np.where(np.isnan(error), np.nan, self.error.update(error))
        distance = np.where(np.isnan(distance), np.nan, self.distance.update(distance))
        statistics = np.stack([value, -value, error, distance, -distance])
        tails = self.tails.score(statistics.ravel()).reshape(statistics.shape)
        total = np.maximum(tails[0], tails[1]) + tails[2] + np.maximum(tails[3], tails[4])
        return total.max(axis=1)

    @property
    def settings(self) -> dict[str, Any]:
        """What another detector must share to continue from this one's state."""
        return {
            "errors": type(self.errors).__name__,
            "model": self.errors.fingerprint,
            "channels": self.shape[1],
            "season": self.normal.season,
            "smoothing": self.error.steps,
            "rest": self.refractory.steps,
        }

    def state(self, stream: int = 0) -> dict[str, np.ndarray]:
        """Copies what was learnt of one stream, for `restore`; its size is at most a few times that
        of the season, the refractory period and the window."""
        arrays = {}
        for part, statistic in self._parts.items():
            for name, array in statistic.state().items():
                arrays[f"{part}/{name}"] = array
        for name, array in self.tails.state().items():  # statistics first: streams must be
            by_stream = array.reshape(-1, *self.shape, *array.shape[1:]).swapaxes(0, 1)
            arrays[f"tails/{name}"] = by_stream
        arrays["last"] = self.last
        return {name: np.array(array[stream : stream + 1]) for name, array in arrays.items()}

    def restore(self, *states: dict[str, np.ndarray]) -> None:
        """Continues from states, one per stream, of detectors with the same `settings`."""
        arrays = {name: np.concatenate([state[name] for state in states]) for name in states[0]}
        for part, statistic in self._parts.items():
            prefix = f"{part}/"
            names = [name for name in arrays if name.startswith(prefix)]
            statistic.restore({name.removeprefix(prefix): arrays[name] for name in names})
        tails = {}
        for name in self.tails.state():
            array = arrays[f"tails/{name}"].swapaxes(0, 1)
            tails[name] = array.reshape(-1, *array.shape[3:])
        self.tails.restore(tails)
        self.last = arrays["last"]


@dataclass
class Scored(RowScores):
    """A stream's scores, and what the detector learnt of it.

    Args:
        score: score that alarms are raised by, float64[rows].
        evidence: score of each row by itself, before the refractory period, float64[rows].
        expected: expected values, float64[rows, channels].
        state: what was learnt until the stream's end, see `Detector.state`.
        settings: `Detector.settings`.
    """

    expected: np.ndarray
    state: dict[str, np.ndarray]
    settings: dict[str, Any]


class _Progress:
    """Logs now and then how many rows are scored."""

    def __init__(self, label: str, *, total: int):
        self.label = label
        self.total = total
        self.rows = 0
        self.logged = time.perf_counter()

    def add(self, rows: int) -> None:
        self.rows += rows
        if self.label and time.perf_counter() - self.logged > LOGGED_EVERY:
            log.info("%s: %d of %d rows", self.label, self.rows, self.total)
            self.logged = time.perf_counter()


def _score_side_by_side(
    detector: Detector, streams: Sequence[np.ndarray], *, chunk: int, progress: _Progress
) -> list[Scored]:
    """Scores streams with one detector. Shorter ones are padded with missing values; the state of
    each is taken at its own end."""
    lengths = [len(stream) for stream in streams]
    values = np.full((len(streams), max(lengths), streams[0].shape[1]), np.nan)
    for row, stream in zip(values, streams, strict=True):
        row[: len(stream)] = stream
    parts = []
    states = {}
    edges = sorted({*range(0, values.shape[1], chunk), *lengths, 0})
    for start, end in itertools.pairwise(edges):
        parts.append(detector.score(values[:, start:end]))
        for place, length in enumerate(lengths):
            if length == end:
                states[place] = detector.state(place)
        progress.add(sum(min(length, end) - start for length in lengths if length > start))
    score, evidence, expected = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
    return [
        Scored(
            score=score[place, :length],
            evidence=evidence[place, :length],
            expected=expected[place, :length],
            state=states[place],
            settings=detector.settings,
        )
        for place, length in enumerate(lengths)
    ]


def score_streams(
    streams: Sequence[np.ndarray],
    make: Callable[[list[Scale], int], Detector],
    *,
    scales: Sequence[Scale],
    seasons: Sequence[int],
    chunk: int = 512,
    label: str = "",
) -> list[Scored]:
    """Scores whole streams of any length, those with one season side by side, in one pass.

    Args:
        streams: values of each stream, float64[rows, channels].
        make: function from the scales of streams and their season to their detector.
        scales: mean and standard deviation of each stream, float64[channels] each.
        seasons: length of each stream's season in steps.
        chunk: rows at a time.
        label: word before the progress that is logged; nothing is logged when empty.
    """
    progress = _Progress(label, total=sum(map(len, streams)))
    scored: dict[int, Scored] = {}
    for season in dict.fromkeys(seasons):
        members = [i for i, other in enumerate(seasons) if other == season]
        detector = make([scales[i] for i in members], season)
        values = [streams[i] for i in members]
        results = _score_side_by_side(detector, values, chunk=chunk, progress=progress)
        scored.update(zip(members, results, strict=True))
    return [scored[i] for i in range(len(streams))]
