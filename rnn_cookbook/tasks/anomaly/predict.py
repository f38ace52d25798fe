"""Anomalies in streams: how improbable each point is, given all that came before, in constant
memory.

A score is -log10 of a probability: 3 is a point such as one in a thousand. Nothing looks ahead, and
a detector's state can be saved and restored.
"""

import hashlib
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log
from rnn_cookbook.nn.streaming import Stream
from rnn_cookbook.tasks.anomaly.tails import Rest, SeasonalMedian, Smoothed, TailProbability

# What the network reads


def point_features(values: np.ndarray, *, season: int, before: int = 0) -> np.ndarray:
    """What a predictor hears of each step: float[..., steps, channels] -> float32[..., steps -
    before, 4 * channels + 1].

    Of each channel its value, its last change, its change one season ago at the next step, and how
    far it is from there; and whether there is a season to look back on. All by the inverse
    hyperbolic sine, so that a spike is loud and not deafening. Nothing looks ahead.

    Args:
        values: scaled.
        season: steps; 0 for none.
        before: steps at the beginning that are only looked back on: a season of them, or all that
            came so far.
    """
    steps = values.shape[-2]
    at = np.arange(before, steps)

    def back(lag: int) -> np.ndarray:
        return values[..., np.maximum(at - lag, 0), :]

    known = (at >= season) & (season > 0)
    now, ago = values[..., at, :], back(season)
    following = np.where(
        known[:, None], back(max(season - 1, 0)), 0.0
    )  # one season before the next step
    ago = np.where(known[:, None], ago, 0.0)
    parts = [
        now,
        3 * (now - back(1)),
        3 * (following - ago),
        np.where(known[:, None], following - now, 0.0),
    ]
    flags = np.broadcast_to(known[:, None].astype(float), (*now.shape[:-1], 1))
    return np.concatenate([np.arcsinh(np.concatenate(parts, axis=-1)), flags], axis=-1).astype(
        np.float32
    )


def next_changes(values: np.ndarray) -> np.ndarray:
    """What a predictor is to say at each step but the last: float[steps, channels] -> float32[steps
    - 1, channels]."""
    return np.diff(values, axis=0).astype(np.float32)


class PredictionErrors:
    """What a next-step predictor did not expect: a causal model from `point_features` to
    `next_changes`, over streams side by side.

    Args:
        model: `models.online_forecaster` of one step ahead, with any head.
        streams, channels: side by side.
        season: steps, as in training.
    """

    def __init__(self, model: keras.Model, *, streams: int, channels: int, season: int):
        self.stream = Stream(model, batch_size=streams)
        self.head, self.season, self.fingerprint = (
            model.get_layer("head"),
            season,
            fingerprint(model),
        )
        self.past = np.zeros((streams, 0, channels))
        self.expected = np.full((streams, channels), np.nan)

    def feed(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scaled float64[streams, steps, channels] -> (error, what was expected), the same shape;
        NaN before anything was expected."""
        context = np.concatenate([self.past, values], axis=1)
        features = point_features(context, season=self.season, before=self.past.shape[1])
        change = np.asarray(self.head.centre(self.stream.feed(features)), np.float64)[:, :, 0]
        following = values + change
        expected = np.concatenate([self.expected[:, None], following[:, :-1]], axis=1)
        self.past, self.expected = (
            context[:, max(0, context.shape[1] - max(self.season, 1)) :],
            following[:, -1],
        )
        return values - expected, expected

    def state(self) -> dict[str, np.ndarray]:
        network = {
            f"network/{name}": np.asarray(state) for name, state in self.stream.states.items()
        }
        return {"past": self.past, "expected": self.expected, **network}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.past, self.expected = state["past"], state["expected"]
        self.stream.states = {
            name: tf.constant(state[f"network/{name}"]) for name in self.stream.states
        }


class ReconstructionErrors:
    """What an autoencoder of the last `window` steps cannot say again: its mean error over the
    window, channel by channel.

    Args:
        model: `models.autoencoder` of windows of all channels.
        streams, channels: side by side.
        window: steps, as in training.
    """

    def __init__(self, model: keras.Model, *, streams: int, channels: int, window: int):
        self.window, self.fingerprint = window, fingerprint(model)
        # A `partial`, because TensorFlow counts compilations by code: those of several detectors
        # would look like one compiled too often.
        self.run = tf.function(partial(model), reduce_retracing=True)
        # Point by point the windows have one shape, for which the loop over their steps is worth
        # compiling; fast GPU kernels are better.
        self.run_last = (
            self.run
            if tf.config.list_physical_devices("GPU")
            else tf.function(partial(model), jit_compile=True)
        )
        self.past = np.zeros((streams, 0, channels))

    def feed(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scaled float64[streams, steps, channels] -> (error, last step of the reconstruction), the
        same shape; NaN while the window is not full."""
        context = np.concatenate([self.past, values], axis=1)
        errors, expected = np.full(values.shape, np.nan), np.full(values.shape, np.nan)
        first = max(0, self.window - 1 - self.past.shape[1])  # of the values, with a full window
        if first < values.shape[1]:
            windows = np.lib.stride_tricks.sliding_window_view(context, self.window, axis=1)[
                :, first - values.shape[1] :
            ]
            windows = squashed(windows.transpose(0, 1, 3, 2)).reshape(
                -1, self.window, values.shape[2]
            )
            run = self.run_last if values.shape[1] == 1 else self.run
            said = np.concatenate(
                [
                    np.asarray(run(part))
                    for part in np.array_split(windows, -(-len(windows) // 1024))
                ]
            )
            shape = (len(values), -1, self.window, values.shape[2])
            errors[:, first:] = np.abs(windows - said).reshape(shape).mean(axis=2)
            expected[:, first:] = np.sinh(said.reshape(shape)[:, :, -1])
        self.past = context[:, max(0, context.shape[1] - self.window + 1) :]
        return errors, expected

    def state(self) -> dict[str, np.ndarray]:
        return {"past": self.past}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.past = state["past"]


class Detector:
    """Scores streams point by point, or in chunks with the same result: constant memory and work a
    point, nothing of the future.

    A score is the sum of three tail probabilities, each of what the stream itself has been so far
    (`TailProbability`): of the value, up or down; of the network's error, smoothed; and of the
    distance from what is usual at this place of the season (`SeasonalMedian`), smoothed, up or
    down. The largest of the channels counts, once (`Rest`). What lasts becomes usual, so that
    streams may drift.

    A value that is NaN is missing: its score is 0, and the network hears the last value again.

    Args:
        errors: `PredictionErrors` or `ReconstructionErrors`.
        mean, scale: float64[streams, channels] of the usual values.
        season: steps; 0 for none.
        smoothing: steps that errors are averaged over; distances over three times as many.
        rest: steps after a score in which only larger ones count.
        tails: further arguments of `TailProbability`.
    """

    PARTS = (
        "errors",
        "error",
        "usual",
        "distance",
        "rest",
    )  # each with a row a stream in its state

    def __init__(
        self,
        errors: PredictionErrors | ReconstructionErrors,
        *,
        mean: np.ndarray,
        scale: np.ndarray,
        season: int = 0,
        smoothing: int = 10,
        rest: int = 0,
        **tails,
    ):
        self.errors, self.mean, self.scale = (
            errors,
            np.asarray(mean, float),
            np.asarray(scale, float),
        )
        streams, channels = self.mean.shape
        self.shape = streams, channels
        size = streams * channels
        self.tails = TailProbability(
            5 * size, **tails
        )  # value up and down, error, distance up and down
        self.error = Smoothed(self.shape, steps=smoothing)
        self.usual = SeasonalMedian(self.shape, season=season)
        self.distance = Smoothed(self.shape, steps=3 * smoothing)
        self.rest = Rest(streams, steps=rest)
        self.last = np.zeros(self.shape)

    def score(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """float64[streams, steps, channels] -> (scores float64[streams, steps], the same before the
        rest, what was expected float64[streams, steps, channels]).

        Raises:
            InputError: not the streams and channels of this detector, or infinite values.
        """
        values = np.asarray(values, np.float64)
        if values.ndim != 3 or (values.shape[0], values.shape[2]) != self.shape:
            raise InputError(
                f"values of shape {values.shape} do not fit; accepted is ({self.shape[0]}, steps, {self.shape[1]})"
            )
        if np.isinf(values).any():
            raise InputError(
                "a value is infinite; accepted are finite numbers, and NaN for a missing one"
            )
        if not values.shape[1]:
            return np.zeros(values.shape[:2]), np.zeros(values.shape[:2]), values
        scaled = (values - self.mean[:, None]) / self.scale[:, None]
        heard = carried(scaled, self.last)
        self.last = heard[:, -1]
        errors, expected = self.errors.feed(heard)
        errors = np.where(np.isnan(scaled), np.nan, errors)
        evidence = np.zeros(scaled.shape[:2])
        scores = np.zeros(scaled.shape[:2])
        for step in range(scaled.shape[1]):
            now = scaled[:, step]
            evidence[:, step] = self._evidence(
                now, np.abs(errors[:, step]), now - self.usual.update(now)
            )
            scores[:, step] = self.rest.update(evidence[:, step])
        return scores, evidence, expected * self.scale[:, None] + self.mean[:, None]

    def _evidence(self, value: np.ndarray, error: np.ndarray, distance: np.ndarray) -> np.ndarray:
        error, distance = (
            np.where(np.isnan(part), np.nan, smoothed.update(part))
            for part, smoothed in ((error, self.error), (distance, self.distance))
        )
        statistics = np.stack([value, -value, error, distance, -distance])
        tails = self.tails.score(statistics.ravel()).reshape(statistics.shape)
        total = np.maximum(tails[0], tails[1]) + tails[2] + np.maximum(tails[3], tails[4])
        return total.max(axis=1)

    # State

    @property
    def settings(self) -> dict:
        """What another detector must share to go on from this one's state."""
        own = {
            "errors": type(self.errors).__name__,
            "model": self.errors.fingerprint,
            "channels": self.shape[1],
        }
        return {
            **own,
            "season": self.usual.season,
            "smoothing": self.error.steps,
            "rest": self.rest.last.shape[1],
        }

    def state(self, stream: int = 0) -> dict[str, np.ndarray]:
        """A copy of what was learnt of one of the streams, for `restore`; a few times the season,
        the rest and the window at most."""
        arrays = {
            f"{part}/{name}": array
            for part in self.PARTS
            for name, array in getattr(self, part).state().items()
        }
        for name, array in self.tails.state().items():
            arrays[f"tails/{name}"] = array.reshape(-1, *self.shape, *array.shape[1:]).swapaxes(
                0, 1
            )
        return {
            name: np.array(array[stream : stream + 1])
            for name, array in (arrays | {"last": self.last}).items()
        }

    def restore(self, *states: dict[str, np.ndarray]) -> None:
        """Goes on from what detectors with the same `settings` learnt of each of the streams."""
        arrays = {name: np.concatenate([state[name] for state in states]) for name in states[0]}
        for part in self.PARTS:
            names = [name for name in arrays if name.startswith(f"{part}/")]
            getattr(self, part).restore(
                {name.removeprefix(f"{part}/"): arrays[name] for name in names}
            )
        tails = {name: arrays[f"tails/{name}"].swapaxes(0, 1) for name in self.tails.state()}
        self.tails.restore(
            {name: array.reshape(-1, *array.shape[3:]) for name, array in tails.items()}
        )
        self.last = arrays["last"]


def fingerprint(model: keras.Model) -> str:
    """What tells a model's weights from those of others."""
    return hashlib.sha256(
        b"".join(np.ascontiguousarray(weight).tobytes() for weight in model.get_weights())
    ).hexdigest()[:16]


def carried(values: np.ndarray, last: np.ndarray | float = 0.0) -> np.ndarray:
    """float[..., steps, channels] with the last value in the place of each that is missing, `last`
    before the first."""
    last = np.broadcast_to(last, (*values.shape[:-2], values.shape[-1]))
    whole = np.concatenate([last[..., None, :], values], axis=-2)
    index = np.where(np.isnan(whole), 0, np.arange(whole.shape[-2])[:, None])
    return np.take_along_axis(whole, np.maximum.accumulate(index, axis=-2), axis=-2)[..., 1:, :]


def squashed(values: np.ndarray) -> np.ndarray:
    """Inverse hyperbolic sine, as an autoencoder reads scaled values: a spike is loud and not
    deafening."""
    return np.arcsinh(values).astype(np.float32)


class PersistenceErrors:
    """What the last value did not foretell: `PredictionErrors` without a network, to see what the
    network is good for."""

    fingerprint = ""

    def __init__(self, *, streams: int, channels: int):
        self.last = np.full((streams, channels), np.nan)

    def feed(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        expected = np.concatenate([self.last[:, None], values[:, :-1]], axis=1)
        self.last = values[:, -1]
        return values - expected, expected

    def state(self) -> dict[str, np.ndarray]:
        return {"last": self.last}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.last = state["last"]


@dataclass
class Scored:
    """Of one stream: what counts for alarms, the same before the rest, float64[rows] each; what was
    expected, float64[rows, channels]; what was learnt of it until its end, see `Detector.state`,
    and by which settings."""

    score: np.ndarray
    evidence: np.ndarray
    expected: np.ndarray
    state: dict[str, np.ndarray]
    settings: dict


def score_streams(
    streams: Sequence[np.ndarray],
    make: Callable[[list[int]], Detector],
    *,
    groups: Sequence,
    chunk: int = 512,
    told: str = "",
) -> list[Scored]:
    """Scores whole streams of any length, those of a group side by side, in one pass.

    Args:
        streams: float64[rows, channels] each.
        make: the detector of the streams of these numbers.
        groups: what each stream is grouped by, such as its season.
        chunk: rows at a time.
        told: what progress is logged under; nothing when empty.
    """
    found: list[Scored] = [None] * len(streams)
    rows, total, logged = 0, sum(map(len, streams)), time.perf_counter()
    for group in dict.fromkeys(groups):
        members = [i for i, own in enumerate(groups) if own == group]
        lengths = [len(streams[i]) for i in members]
        values = np.full((len(members), max(lengths), streams[members[0]].shape[1]), np.nan)
        for place, i in enumerate(members):
            values[place, : lengths[place]] = streams[i]
        detector = make(members)
        parts, states = [], {}
        edges = sorted({*range(0, values.shape[1], chunk), *lengths, 0})
        for start, end in itertools.pairwise(edges):
            parts.append(detector.score(values[:, start:end]))
            states |= {
                place: detector.state(place)
                for place, length in enumerate(lengths)
                if length == end
            }
            rows += sum(min(length, end) - start for length in lengths if length > start)
            if told and time.perf_counter() - logged > 10:
                log.info("%s: %d of %d rows", told, rows, total)
                logged = time.perf_counter()
        score, evidence, expected = (
            np.concatenate(part, axis=1) for part in zip(*parts, strict=True)
        )
        for place, i in enumerate(members):
            whole = slice(lengths[place])
            found[i] = Scored(
                score[place, whole],
                evidence[place, whole],
                expected[place, whole],
                states[place],
                detector.settings,
            )
    return found
