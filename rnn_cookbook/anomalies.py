"""Anomalies in streams: how improbable each point is, given all that came before, in constant memory.

A score is -log10 of a probability: 3 is a point such as one in a thousand. Nothing looks ahead, and a detector's state can be saved and
restored.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.alarms import WARM_UP
from rnn_cookbook.data.anomalies import LabelledStream, LineStream
from rnn_cookbook.encode.series import SeriesScaler
from rnn_cookbook.errors import InputError
from rnn_cookbook.runs import log, write_atomically
from rnn_cookbook.streaming import Stream

LARGEST = 50.0  # of a score of one tail


class TailProbability:
    """How improbable values as large as this one are, by what each stream has been so far: peaks over threshold (Pickands 1975; on streams:
    Siffer et al. 2017).

    The largest values so far, at most `keep` of them and a share of `share`, are peaks over a threshold, and the excess over it is taken to
    be generalised Pareto, fitted by probability-weighted moments (Hosking and Wallis 1987). A lasting change becomes the
    new usual as soon as its values are the peaks. Memory and work are those of `keep` numbers a stream.

    Args:
        streams: side by side.
        keep, share, least: how many peaks: `share` of the values so far, but `least` or more and `keep` at most.
        warm_up: values before the first score, of all streams, or int[streams].
        heaviest: largest shape of the distribution, 0 for an exponential tail; 0.5 and more have no variance.
        finest: smallest mean excess that counts, in the values' units, so that a stream that hardly moves is not all alarms.
    """

    def __init__(
        self,
        streams: int,
        *,
        keep: int = 100,
        share: float = 0.05,
        least: int = 10,
        warm_up: int | np.ndarray = WARM_UP,
        heaviest: float = 0.5,
        finest: float = 1e-3,
    ):
        if not 1 < least <= keep or not 0 < share < 1 or not 0 <= heaviest < 1:
            raise InputError(
                "tail probabilities need 1 < least <= keep, 0 < share < 1 and 0 <= heaviest < 1, got "
                f"{least}, {keep}, {share} and {heaviest}"
            )
        self.share, self.least, self.heaviest, self.finest = share, least, heaviest, finest
        self.warm_up = np.broadcast_to(np.maximum(warm_up, least + 1), streams)
        self.peaks = np.full((streams, keep + 1), -np.inf)  # rising; the threshold and what lies above it are the last ones
        self.seen = np.zeros(streams, int)

    def score(self, values: np.ndarray) -> np.ndarray:
        """float64[streams] -> float64[streams], and the values are learnt. NaN is no value: its score is 0, and nothing is learnt."""
        there = ~np.isnan(values)
        scores = np.where(there & (self.seen >= self.warm_up), self._tail(values), 0.0)
        self.seen += there
        larger = there & (values > self.peaks[:, 0])
        self.peaks[larger, 0] = values[larger]
        self.peaks[larger] = np.sort(self.peaks[larger], axis=1)
        return scores

    def _tail(self, values: np.ndarray) -> np.ndarray:
        rows, size = np.arange(len(values)), self.peaks.shape[1]
        count = np.clip((self.share * self.seen).astype(int), self.least, size - 1)
        threshold = self.peaks[rows, size - 1 - count]
        rank = np.arange(size - 1, -1, -1)  # 0 is the largest
        with np.errstate(invalid="ignore"):  # streams that are not warm yet have infinite peaks
            excess = np.where(rank < count[:, None], self.peaks - threshold[:, None], 0.0)
            mean = np.maximum(excess.sum(axis=1) / count, self.finest)
            weighted = (excess * rank).sum(axis=1) / (count * (count - 1))
            shape = np.clip(2 - mean / np.maximum(mean - 2 * weighted, 1e-6 * mean), 0.0, self.heaviest)
            over = (values - threshold) / (mean * (1 - shape))
            # log of 1 over (1 + shape * over) ** (-1 / shape), whose limit for a shape of 0 is `over`
            exponent = np.where(shape > 1e-6, np.log1p(shape * np.maximum(over, 0)) / np.maximum(shape, 1e-6), over)
            score = (exponent + np.log(np.maximum(self.seen, 1) / count)) / np.log(10)
        return np.where(over > 0, np.minimum(score, LARGEST), 0.0)

    def state(self) -> dict[str, np.ndarray]:
        return {"peaks": self.peaks, "seen": self.seen}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.peaks, self.seen = np.array(state["peaks"]), np.array(state["seen"])


class Smoothed:
    """Exponentially weighted mean over about `steps` values; over all of them while they are fewer. NaN changes nothing."""

    def __init__(self, shape: int | tuple[int, ...], *, steps: int):
        self.steps = steps
        self.mean, self.seen = np.zeros(shape), np.zeros(shape, int)

    def update(self, values: np.ndarray) -> np.ndarray:
        there = ~np.isnan(values)
        self.seen += there
        rate = np.maximum(1 / self.steps, 1 / np.maximum(self.seen, 1))
        self.mean = np.where(there, self.mean + rate * (np.where(there, values, 0.0) - self.mean), self.mean)
        return self.mean

    def state(self) -> dict[str, np.ndarray]:
        return {"mean": self.mean, "seen": self.seen}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.mean, self.seen = np.array(state["mean"]), np.array(state["seen"])


class Rest:
    """Alarms once: a score counts where it is larger than all of the last `steps`, else it is 0."""

    def __init__(self, streams: int, *, steps: int):
        self.last = np.zeros((streams, steps))
        self.place = 0

    def update(self, scores: np.ndarray) -> np.ndarray:
        if not self.last.shape[1]:
            return scores
        counts = np.where(scores > self.last.max(axis=1), scores, 0.0)
        self.last[:, self.place] = scores
        self.place = (self.place + 1) % self.last.shape[1]
        return counts

    def state(self) -> dict[str, np.ndarray]:
        return {"last": self.last, "place": np.array(self.place)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.last, self.place = np.array(state["last"]), int(state["place"])


# What the network reads


def point_features(values: np.ndarray, *, season: int, before: int = 0, seen: int = 0) -> np.ndarray:
    """What a predictor hears of each step: float[..., steps, channels] -> float32[..., steps - before, 4 * channels + 1].

    Of each channel its value, its last change, its change one season ago at the next step, and how far it is from there; and whether there
    is a season to look back on. All by the inverse hyperbolic sine, so that a spike is loud and not deafening. Nothing looks ahead.

    Args:
        values: scaled.
        season: steps; 0 for none.
        before: steps at the beginning that are only looked back on.
        seen: steps that came before those.
    """
    steps = values.shape[-2]
    at = np.arange(before, steps)

    def back(lag: int) -> np.ndarray:
        return values[..., np.maximum(at - lag, 0), :]

    known = (at + seen >= season) & (season > 0)
    now, ago = values[..., at, :], back(season)
    following = np.where(known[:, None], back(max(season - 1, 0)), 0.0)  # one season before the next step
    ago = np.where(known[:, None], ago, 0.0)
    parts = [now, 3 * (now - back(1)), 3 * (following - ago), np.where(known[:, None], following - now, 0.0)]
    flags = np.broadcast_to(known[:, None].astype(float), (*now.shape[:-1], 1))
    return np.concatenate([np.arcsinh(np.concatenate(parts, axis=-1)), flags], axis=-1).astype(np.float32)


def next_changes(values: np.ndarray) -> np.ndarray:
    """What a predictor is to say at each step but the last: float[steps, channels] -> float32[steps - 1, channels]."""
    return np.diff(values, axis=0).astype(np.float32)


class PredictionErrors:
    """What a next-step predictor did not expect: a causal model from `point_features` to `next_changes`, over streams side by side.

    Args:
        model: `models.online_forecaster` of one step ahead, with any head.
        streams, channels: side by side.
        season: steps, as in training.
    """

    def __init__(self, model: keras.Model, *, streams: int, channels: int, season: int):
        self.stream = Stream(model, batch_size=streams)
        self.head, self.season = model.get_layer("head"), season
        self.past = np.zeros((streams, 0, channels))
        self.seen = 0  # steps before those of `past`
        self.expected = np.full((streams, channels), np.nan)

    def feed(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scaled float64[streams, steps, channels] -> (error, what was expected), the same shape; NaN before anything was expected."""
        context = np.concatenate([self.past, values], axis=1)
        features = point_features(context, season=self.season, before=self.past.shape[1], seen=self.seen)
        change = np.asarray(self.head.centre(self.stream.feed(features)), np.float64)[:, :, 0]
        following = values + change
        expected = np.concatenate([self.expected[:, None], following[:, :-1]], axis=1)
        dropped = max(0, context.shape[1] - max(self.season, 1))
        self.past, self.seen, self.expected = context[:, dropped:], self.seen + dropped, following[:, -1]
        return values - expected, expected

    def state(self) -> dict[str, np.ndarray]:
        own = {"past": self.past, "seen": np.array(self.seen), "expected": self.expected}
        return own | {f"network/{name}": np.array(state) for name, state in self.stream.states.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.past, self.seen, self.expected = state["past"], int(state["seen"]), state["expected"]
        self.stream.states = {name: state[f"network/{name}"] for name in self.stream.states}


class ReconstructionErrors:
    """What an autoencoder of the last `window` steps cannot say again: its mean error over the window, channel by channel.

    Args:
        model: `models.autoencoder` of windows of all channels.
        streams, channels: side by side.
        window: steps, as in training.
    """

    def __init__(self, model: keras.Model, *, streams: int, channels: int, window: int):
        self.window = window
        self.run = tf.function(model, reduce_retracing=True)
        self.past = np.zeros((streams, 0, channels))

    def feed(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scaled float64[streams, steps, channels] -> (error, last step of the reconstruction), the same shape; NaN while the window is not
        full."""
        context = np.concatenate([self.past, values], axis=1)
        errors, expected = np.full(values.shape, np.nan), np.full(values.shape, np.nan)
        first = max(0, self.window - 1 - self.past.shape[1])  # of the values, with a full window
        if first < values.shape[1]:
            windows = np.lib.stride_tricks.sliding_window_view(context, self.window, axis=1)[:, first - values.shape[1] :]
            windows = squashed(windows.transpose(0, 1, 3, 2)).reshape(-1, self.window, values.shape[2])
            said = np.concatenate([np.asarray(self.run(part)) for part in np.array_split(windows, -(-len(windows) // 1024))])
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
    """Scores streams point by point, or in chunks with the same result: constant memory and work a point, nothing of the future.

    A score is the sum of three tail probabilities, each of what the stream itself has been so far (`TailProbability`): of the value, up or
    down; of the network's error, smoothed; and of the change since one season ago, smoothed, up or down. The largest of the
    channels counts, once (`Rest`). What lasts becomes usual, so that streams may drift.

    A value that is NaN is missing: its score is 0, and the network hears the last value again.

    Args:
        errors: `PredictionErrors` or `ReconstructionErrors`.
        mean, scale: float64[streams, channels] of the usual values.
        season: steps; 0 for none.
        smoothing: steps.
        rest: steps after a score in which only larger ones count.
        tails: further arguments of `TailProbability`.
    """

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
        self.errors, self.mean, self.scale, self.season = errors, np.asarray(mean, float), np.asarray(scale, float), season
        streams, channels = self.mean.shape
        self.shape = streams, channels
        size = streams * channels
        warm_up = np.repeat([WARM_UP] * 3 + [WARM_UP + season] * 2, size)  # value up and down, error, season up and down
        self.tails = TailProbability(5 * size, warm_up=warm_up, **tails)
        self.error = Smoothed(self.shape, steps=smoothing)
        self.change = Smoothed(self.shape, steps=smoothing)
        self.rest = Rest(streams, steps=rest)
        self.past = np.full((streams, season, channels), np.nan)
        self.last = np.zeros(self.shape)

    def score(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """float64[streams, steps, channels] -> (scores float64[streams, steps], the same before the rest, what was expected
        float64[streams, steps, channels]).

        Raises:
            InputError: not the streams and channels of this detector, or infinite values.
        """
        values = np.asarray(values, np.float64)
        if values.ndim != 3 or (values.shape[0], values.shape[2]) != self.shape:
            raise InputError(f"values of shape {values.shape} do not fit; accepted is ({self.shape[0]}, steps, {self.shape[1]})")
        if np.isinf(values).any():
            raise InputError("a value is infinite; accepted are finite numbers, and NaN for a missing one")
        scaled = (values - self.mean[:, None]) / self.scale[:, None]
        heard = carried(scaled, self.last)
        self.last = heard[:, -1] if heard.shape[1] else self.last
        errors, expected = self.errors.feed(heard)
        errors = np.where(np.isnan(scaled), np.nan, errors)
        before = np.concatenate([self.past, scaled], axis=1)
        evidence = np.zeros(scaled.shape[:2])
        scores = np.zeros(scaled.shape[:2])
        for step in range(scaled.shape[1]):
            now = scaled[:, step]
            change = now - before[:, step] if self.season else np.full(self.shape, np.nan)
            evidence[:, step] = self._evidence(now, np.abs(errors[:, step]), change)
            scores[:, step] = self.rest.update(evidence[:, step])
        self.past = before[:, scaled.shape[1] :]
        return scores, evidence, expected * self.scale[:, None] + self.mean[:, None]

    def _evidence(self, value: np.ndarray, error: np.ndarray, change: np.ndarray) -> np.ndarray:
        error, change = (
            np.where(np.isnan(part), np.nan, smoothed.update(part)) for part, smoothed in ((error, self.error), (change, self.change))
        )
        statistics = np.stack([value, -value, error, change, -change])
        tails = self.tails.score(statistics.ravel()).reshape(statistics.shape)
        total = np.maximum(tails[0], tails[1]) + tails[2] + np.maximum(tails[3], tails[4])
        return total.max(axis=1)

    # State

    def save(self, path: str | Path) -> None:
        """Writes all that the detector has learnt of its streams, to go on from here in another process; whole or not at all."""
        parts = {f"{part}/{name}": array for part, of in self._parts().items() for name, array in of.state().items()}
        shape = np.frombuffer(json.dumps([*self.shape, self.season]).encode(), np.uint8)
        arrays = parts | {"past": self.past, "last": self.last, "shape": shape}
        path = Path(path)

        def write(temporary: Path) -> None:
            with open(temporary, "wb") as file:
                np.savez(file, **arrays)

        write_atomically(path, write)

    def load(self, path: str | Path) -> None:
        """Goes on where the detector that wrote the file stopped.

        Raises:
            InputError: no such state, or that of other streams.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
            shape = json.loads(arrays["shape"].tobytes())
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path} is no saved state of a detector: {error}") from error
        if shape != [*self.shape, self.season]:
            raise InputError(
                f"{path} is the state of {shape[0]} streams of {shape[1]} channels with a season of {shape[2]} steps; this detector has "
                f"{self.shape[0]}, {self.shape[1]} and {self.season}"
            )
        for part, of in self._parts().items():
            of.restore({name.removeprefix(f"{part}/"): array for name, array in arrays.items() if name.startswith(f"{part}/")})
        self.past, self.last = arrays["past"], arrays["last"]

    def _parts(self) -> dict:
        return {"errors": self.errors, "tails": self.tails, "error": self.error, "change": self.change, "rest": self.rest}


def carried(values: np.ndarray, last: np.ndarray | float = 0.0) -> np.ndarray:
    """float[..., steps, channels] with the last value in the place of each that is missing, `last` before the first."""
    last = np.broadcast_to(last, (*values.shape[:-2], values.shape[-1]))
    whole = np.concatenate([last[..., None, :], values], axis=-2)
    index = np.where(np.isnan(whole), 0, np.arange(whole.shape[-2])[:, None])
    return np.take_along_axis(whole, np.maximum.accumulate(index, axis=-2), axis=-2)[..., 1:, :]


def squashed(values: np.ndarray) -> np.ndarray:
    """Inverse hyperbolic sine, as an autoencoder reads scaled values: a spike is loud and not deafening."""
    return np.arcsinh(values).astype(np.float32)


class PersistenceErrors:
    """What the last value did not foretell: `PredictionErrors` without a network, to see what the network is good for."""

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
    """Of one stream: what counts for alarms, the same before the rest, float64[rows] each; what was expected, float64[rows, channels]."""

    score: np.ndarray
    evidence: np.ndarray
    expected: np.ndarray


def score_streams(
    streams: Sequence[np.ndarray], make: Callable[[list[int]], Detector], *, groups: Sequence, chunk: int = 512, told: str = ""
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
        parts = []
        for start in range(0, values.shape[1], chunk):
            parts.append(detector.score(values[:, start : start + chunk]))
            rows += sum(min(max(length - start, 0), chunk) for length in lengths)
            if told and time.perf_counter() - logged > 10:
                log.info("%s: %d of %d rows", told, rows, total)
                logged = time.perf_counter()
        score, evidence, expected = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
        for place, i in enumerate(members):
            whole = slice(lengths[place])
            found[i] = Scored(score[place, whole], evidence[place, whole], expected[place, whole])
    return found


def rows(detector: Detector, stream: LabelledStream | LineStream, *, threshold: float, state: str = "") -> Iterator[dict]:
    """Scores of a stream as its rows come: "unique_id", "ds", "score", "alarm" (1 from `threshold` on, else 0), and "expected" of each
    channel, empty before anything was.

    Args:
        detector: of one stream.
        stream: whole, or line by line.
        threshold: of the score.
        state: file of the detector's state: read where there is one, and written when the rows end, or are not asked for any more.
    """
    if state and Path(state).exists():
        detector.load(state)
    try:
        for times, values in stream.parts():
            score, _, expected = detector.score(values[None])
            for i, at in enumerate(times):
                told = {f"expected {name}": float(f"{value:.6g}") for name, value in zip(stream.channels, expected[0, i], strict=True)}
                told = {name: "" if np.isnan(value) else value for name, value in told.items()}
                yield {
                    "unique_id": stream.name,
                    "ds": at,
                    "score": round(float(score[0, i]), 4),
                    "alarm": int(score[0, i] >= threshold),
                    **told,
                }
    finally:
        if state:
            detector.save(state)


# Scales


def usual_scale(streams: Sequence[LabelledStream], first: Sequence[int]) -> SeriesScaler:
    """By the rows before `first` of each stream."""
    return SeriesScaler.fit({one.name: one.usual(rows) for one, rows in zip(streams, first, strict=True)})


def scale_of(stream: LabelledStream | LineStream, facts: dict[str, list], *, first: float) -> SeriesScaler:
    """The scale of a stream that training saw; of another, its own by the first share of its rows, which is logged."""
    if stream.name not in facts:
        rows = round(first * len(stream))
        if not len(stream.usual(rows)):
            raise InputError(f"the first {rows} rows of stream {stream.name!r}, which training did not see, have no value to scale it by")
        log.info("stream %r, which training did not see, is scaled by its first %d rows", stream.name, rows)
        return usual_scale([stream], [rows])
    return SeriesScaler({stream.name: tuple(facts[stream.name])})
