"""Anomalies in streams: how improbable each point is, given all that came before, in constant memory; and what such scores are worth.

A score is -log10 of a probability: 3 is a point such as one in a thousand. Nothing looks ahead, and a detector's state can be saved and
restored.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from scipy.special import erfc
from scipy.stats import genpareto

from rnn_cookbook.errors import InputError
from rnn_cookbook.runs import write_atomically
from rnn_cookbook.streaming import Stream

LARGEST = 50.0  # of a score of one tail
WARM_UP = 100  # values of a stream before it is scored


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
    following = np.where(known[:, None], back(season - 1), 0.0)  # one season before the next step
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
        self.model, self.window = model, window
        self.past = np.zeros((streams, 0, channels))

    def feed(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scaled float64[streams, steps, channels] -> (error, last step of the reconstruction), the same shape; NaN while the window is not
        full."""
        context = np.concatenate([self.past, values], axis=1)
        errors, expected = np.full(values.shape, np.nan), np.full(values.shape, np.nan)
        first = max(0, self.window - 1 - self.past.shape[1])  # of the values, with a full window
        if first < values.shape[1]:
            windows = np.lib.stride_tricks.sliding_window_view(context, self.window, axis=1)[:, first - values.shape[1] :]
            windows = np.arcsinh(windows.transpose(0, 1, 3, 2)).reshape(-1, self.window, values.shape[2])
            said = np.concatenate([np.asarray(self.model(part)) for part in np.array_split(windows, -(-len(windows) // 1024))])
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
        heard = _carried(scaled, self.last)
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


def _carried(values: np.ndarray, last: np.ndarray) -> np.ndarray:
    """float[streams, steps, channels] with the last value in the place of each that is missing, `last` before the first."""
    whole = np.concatenate([last[:, None], values], axis=1)
    index = np.where(np.isnan(whole), 0, np.arange(whole.shape[1])[None, :, None])
    return np.take_along_axis(whole, np.maximum.accumulate(index, axis=1), axis=1)[:, 1:]


# Baselines: scores of one channel, float64[rows] -> float64[rows], by what came before each row


def rolling_z(values: np.ndarray, *, window: int = 300) -> np.ndarray:
    """How many standard deviations of the last `window` values a value is away from their mean."""
    past = pd.Series(values).shift(1).rolling(window, min_periods=WARM_UP)
    distance = (pd.Series(values) - past.mean()).abs() / past.std().clip(lower=_least(values))
    return distance.fillna(0.0).to_numpy()


def windowed_gaussian(values: np.ndarray, *, window: int = 6400, step: int = 100) -> np.ndarray:
    """1 less the tail probability of a normal distribution, fitted to a window of the past that moves on by `step` values when it is full:
    the benchmark's own baseline."""
    scores, rows = np.zeros(len(values)), np.flatnonzero(~np.isnan(values))
    there = values[rows]
    for i, row in enumerate(rows[1:], start=1):
        start = max(0, (i - window) // step * step)
        if i <= window or (i - window) % step == 0:
            mean, deviation = np.mean(there[start : start + min(i, window)]), np.std(there[start : start + min(i, window)]) or 1e-6
        scores[row] = 1 - 0.5 * erfc(abs(there[i] - mean) / deviation / np.sqrt(2))
    return scores


def seasonal_residual(values: np.ndarray, *, season: int, window: int = 300) -> np.ndarray:
    """`rolling_z` of the change since one season ago."""
    return rolling_z((pd.Series(values) - pd.Series(values).shift(season)).to_numpy(), window=window)


def _least(values: np.ndarray) -> float:
    """A deviation so small that it is none, in the values' units."""
    return 1e-6 * (np.nanmax(np.abs(values), initial=0.0) or 1.0)


# Thresholds and measures


def quiet_threshold(scores: np.ndarray, *, alarms: float) -> float:
    """The threshold that so many scores of as many as these will reach, by peaks over threshold: for streams without labels.

    Args:
        scores: float[rows], of a part that is taken to be usual.
        alarms: expected, may be below 1: then it lies beyond all that was seen.

    Raises:
        InputError: too few scores above 0.
    """
    peaks = np.sort(scores[scores > 0])
    count = max(10, len(peaks) // 10)
    if len(peaks) <= count or not 0 < alarms < count:
        raise InputError(
            f"a threshold for {alarms:g} alarms needs more than {max(10, int(alarms))} scores above 0 in the part that is taken to be "
            f"usual, got {len(peaks)}: make it longer"
        )
    base = peaks[-count - 1]
    shape, _, scale = genpareto.fit(peaks[-count:] - base, floc=0)
    return float(base + genpareto.isf(alarms / count, max(shape, 0.0), scale=scale))


def alarms_of(scores: np.ndarray, threshold: float, *, gap: int) -> list[tuple[int, int]]:
    """Rows [first, last] of each alarm: rows that reach the threshold, at most `gap` rows from one to the next."""
    rows = np.flatnonzero(scores >= threshold)
    parts = np.split(rows, np.flatnonzero(np.diff(rows) > gap) + 1) if len(rows) else []
    return [(int(part[0]), int(part[-1])) for part in parts]


def event_scores(
    scores: Sequence[np.ndarray], windows: Sequence[Sequence[tuple[int, int]]], threshold: float, *, gap: int, first: Sequence[int]
) -> dict[str, float]:
    """Anomalies found, rather than rows: "event_recall", of the windows those with an alarm; "event_precision", of the alarms those in a
    window; "event_f1"; "delay", mean rows from the beginning of a found window to its first alarm; "alarms" and "false_alarms".

    Args:
        scores: float[rows] of each stream.
        windows: rows [first, last] of each anomaly, of each stream.
        threshold: from which on a row is an alarm.
        gap: rows between alarms that are one, see `alarms_of`.
        first: row of each stream from which on alarms and windows count.
    """
    found = right = total = alarms = 0
    delays = []
    for score, spans, begin in zip(scores, windows, first, strict=True):
        spans = [(max(start, begin), end) for start, end in spans if end >= begin]
        rows = np.flatnonzero(score >= threshold)
        for start, end in spans:
            inside = rows[(rows >= start) & (rows <= end)]
            total += 1
            if len(inside):
                found += 1
                delays.append(int(inside[0]) - start)
        told = alarms_of(np.where(np.arange(len(score)) < begin, -np.inf, score), threshold, gap=gap)
        alarms += len(told)
        right += sum(any(one <= end and other >= start for start, end in spans) for one, other in told)
    precision, recall = right / alarms if alarms else 0.0, found / total if total else 0.0
    return {
        "event_f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        "event_precision": precision,
        "event_recall": recall,
        "delay": float(np.mean(delays)) if delays else 0.0,
        "alarms": alarms,
        "false_alarms": alarms - right,
    }


def best_event_threshold(
    scores: Sequence[np.ndarray], windows: Sequence[Sequence[tuple[int, int]]], *, gap: int, first: Sequence[int], most: int = 200
) -> float:
    """The threshold with the best "event_f1" of `event_scores`, of at most `most` that are tried; the highest of several. For labelled
    validation streams."""
    values = np.unique(np.concatenate([score[begin:] for score, begin in zip(scores, first, strict=True)]))
    values = values[values > 0]
    if not len(values):
        return np.inf
    tried = np.unique(np.quantile(values, 1 - np.geomspace(1 / len(values), 1, most), method="nearest"))
    return float(max(tried, key=lambda value: (event_scores(scores, windows, value, gap=gap, first=first)["event_f1"], value)))
