"""Statistics of streams in constant memory: how improbable a value is, given all that came before;
running means; alarms told once.

Streams lie side by side, and each knows of itself alone. What `state()` gives has one row a stream,
and `restore` takes it.
"""

import numpy as np

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.anomaly.scores import WARM_UP

LARGEST = 50.0  # of a score of one tail


class TailProbability:
    """How improbable values as large as this one are, by what each stream has been so far: peaks
    over threshold (Pickands 1975; on streams: Siffer et al. 2017).

    The largest values so far, at most `keep` of them and a share of `share`, are peaks over a
    threshold, and the excess over it is taken to be generalised Pareto, fitted by
    probability-weighted moments (Hosking and Wallis 1987). A lasting change becomes the new usual
    as soon as its values are the peaks. Memory and work are those of `keep` numbers a stream.

    Args:
        streams: side by side.
        keep, share, least: how many peaks: `share` of the values so far, but `least` or more and
            `keep` at most.
        warm_up: values of a stream before its first score.
        heaviest: largest shape of the distribution, 0 for an exponential tail; 0.5 and more have no
            variance.
        finest: smallest mean excess that counts, in the values' units, so that a stream that hardly
            moves is not all alarms.
    """

    def __init__(
        self,
        streams: int,
        *,
        keep: int = 100,
        share: float = 0.05,
        least: int = 10,
        warm_up: int = WARM_UP,
        heaviest: float = 0.5,
        finest: float = 1e-3,
    ):
        if not 1 < least <= keep or not 0 < share < 1 or not 0 <= heaviest < 1:
            raise InputError(
                "tail probabilities need 1 < least <= keep, 0 < share < 1 and 0 <= heaviest < 1, got "
                f"{least}, {keep}, {share} and {heaviest}"
            )
        self.share, self.least, self.heaviest, self.finest = share, least, heaviest, finest
        self.warm_up = max(warm_up, least + 1)
        self.peaks = np.full(
            (streams, keep + 1), -np.inf
        )  # rising; the threshold and what lies above it are the last ones
        self.seen = np.zeros(streams, int)

    def score(self, values: np.ndarray) -> np.ndarray:
        """float64[streams] -> float64[streams], and the values are learnt. NaN is no value: its
        score is 0, and nothing is learnt."""
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
            shape = np.clip(
                2 - mean / np.maximum(mean - 2 * weighted, 1e-6 * mean), 0.0, self.heaviest
            )
            over = (values - threshold) / (mean * (1 - shape))
            # log of 1 over (1 + shape * over) ** (-1 / shape), whose limit for a shape of 0 is
            # `over`
            exponent = np.where(
                shape > 1e-6, np.log1p(shape * np.maximum(over, 0)) / np.maximum(shape, 1e-6), over
            )
            score = (exponent + np.log(np.maximum(self.seen, 1) / count)) / np.log(10)
        return np.where(over > 0, np.minimum(score, LARGEST), 0.0)

    def state(self) -> dict[str, np.ndarray]:
        return {"peaks": self.peaks, "seen": self.seen}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.peaks, self.seen = np.array(state["peaks"]), np.array(state["seen"])


class Smoothed:
    """Exponentially weighted mean over about `steps` values; over all of them while they are fewer.
    NaN changes nothing."""

    def __init__(self, shape: int | tuple[int, ...], *, steps: int):
        self.steps = steps
        self.mean, self.seen = np.zeros(shape), np.zeros(shape, int)

    def update(self, values: np.ndarray) -> np.ndarray:
        there = ~np.isnan(values)
        self.seen += there
        rate = np.maximum(1 / self.steps, 1 / np.maximum(self.seen, 1))
        self.mean = np.where(
            there, self.mean + rate * (np.where(there, values, 0.0) - self.mean), self.mean
        )
        return self.mean

    def state(self) -> dict[str, np.ndarray]:
        return {"mean": self.mean, "seen": self.seen}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.mean, self.seen = np.array(state["mean"]), np.array(state["seen"])


class SeasonalMedian:
    """What a value is usually at this place of the season: the median of the values one season ago,
    two, and so on up to `seasons`. An anomaly among them does not matter, as the value one season
    ago alone would, whose anomalies come back as echoes.

    Args:
        shape: (streams, channels).
        season: steps; 0 for none, where nothing is usual.
        seasons: how many of them are looked back on.
    """

    def __init__(self, shape: tuple[int, int], *, season: int, seasons: int = 7):
        self.season = season
        self.past = np.full((shape[0], seasons * season, shape[1]), np.nan)  # a ring
        self.place = 0

    def update(self, values: np.ndarray) -> np.ndarray:
        """float64[streams, channels] -> what is usual, the same shape, NaN where nothing is known
        yet. NaN is no value."""
        if not self.season:
            return np.full(values.shape, np.nan)
        found = np.sort(self.past[:, self.place % self.season :: self.season], axis=1)  # NaN last
        count = (~np.isnan(found)).sum(axis=1, keepdims=True)
        lower, upper = (
            np.take_along_axis(found, place, axis=1)[:, 0]
            for place in (np.maximum(count - 1, 0) // 2, count // 2 % found.shape[1])
        )
        self.past[:, self.place] = values
        self.place = (self.place + 1) % self.past.shape[1]
        return np.where(count[:, 0] > 0, (lower + upper) / 2, np.nan)

    def state(self) -> dict[str, np.ndarray]:
        return {"past": np.roll(self.past, -self.place, axis=1)}  # the oldest first

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.past, self.place = np.array(state["past"]), 0


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
        return {"last": np.roll(self.last, -self.place, axis=1)}  # the oldest first

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.last, self.place = np.array(state["last"]), 0
