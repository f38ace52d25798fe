"""Statistics of streams in constant memory: tail probabilities, running means, seasonal medians,
and a refractory period after an alarm.

Streams lie side by side and are independent of one another. `state()` returns arrays with one row
per stream; `restore` takes them.
"""

from __future__ import annotations

import numpy as np

from rnn_cookbook.errors import InputError

__all__ = [
    "LARGEST",
    "WARM_UP",
    "RefractoryPeriod",
    "SeasonalMedian",
    "Smoothed",
    "TailProbability",
]

LARGEST = 50.0  # upper limit of the score of one tail
WARM_UP = 100  # values of a stream before it is scored

_ZERO_SHAPE = 1e-6  # shapes below this one count as 0, where the formula has a 0/0


class TailProbability:
    """The tail probability of a value given the stream's past, as -log10, by peaks over threshold
    (Pickands 1975; on streams: Siffer et al. 2017).

    The largest values so far, a fraction of all of them, are peaks over a threshold. Their excess
    over the threshold is modelled as generalised Pareto, fitted by probability-weighted moments
    (Hosking and Wallis 1987). A lasting change becomes normal as soon as its values are the peaks.
    Memory and work per value are those of `max_peaks` numbers per stream.

    Args:
        streams: number of streams side by side.
        max_peaks: maximum number of peaks.
        fraction: fraction of the values so far that are peaks.
        min_peaks: minimum number of peaks.
        warm_up: values of a stream before its first score.
        max_shape: largest shape of the distribution; 0 is an exponential tail, 0.5 and more have no
            variance.
        min_excess: smallest mean excess in units of the values, so that a stream that hardly moves
            does not alarm all the time.

    Raises:
        InputError: settings outside these ranges.
    """

    def __init__(
        self,
        streams: int,
        *,
        max_peaks: int = 100,
        fraction: float = 0.05,
        min_peaks: int = 10,
        warm_up: int = WARM_UP,
        max_shape: float = 0.5,
        min_excess: float = 1e-3,
    ):
        if not 1 < min_peaks <= max_peaks or not 0 < fraction < 1 or not 0 <= max_shape < 1:
            raise InputError(
                "tail probabilities need 1 < min_peaks <= max_peaks, 0 < fraction < 1 and "
                f"0 <= max_shape < 1; received min_peaks={min_peaks}, max_peaks={max_peaks}, "
                f"fraction={fraction} and max_shape={max_shape}"
            )
        self.fraction = fraction
        self.min_peaks = min_peaks
        self.max_shape = max_shape
        self.min_excess = min_excess
        self.warm_up = max(warm_up, min_peaks + 1)
        # In rising order: the last ones are the threshold and the peaks above it.
        self.peaks = np.full((streams, max_peaks + 1), -np.inf)
        self.seen = np.zeros(streams, int)

    def score(self, values: np.ndarray) -> np.ndarray:
        """Scores one value of each stream, then learns it: float64[streams] -> float64[streams].

        A missing value (NaN) scores 0 and is not learnt.
        """
        present = ~np.isnan(values)
        scores = np.where(present & (self.seen >= self.warm_up), self._tail(values), 0.0)
        self.seen += present
        larger = present & (values > self.peaks[:, 0])
        self.peaks[larger, 0] = values[larger]
        self.peaks[larger] = np.sort(self.peaks[larger], axis=1)
        return scores

    def _tail(self, values: np.ndarray) -> np.ndarray:
        rows = np.arange(len(values))
        size = self.peaks.shape[1]
        count = np.clip((self.fraction * self.seen).astype(int), self.min_peaks, size - 1)
        threshold = self.peaks[rows, size - 1 - count]
        rank = np.arange(size - 1, -1, -1)  # 0 is the largest
        with np.errstate(invalid="ignore"):  # streams in their warm-up have infinite peaks
            excess = np.where(rank < count[:, None], self.peaks - threshold[:, None], 0.0)
            mean = np.maximum(excess.sum(axis=1) / count, self.min_excess)
            weighted = (excess * rank).sum(axis=1) / (count * (count - 1))
            spacing = np.maximum(mean - 2 * weighted, 1e-6 * mean)  # never 0
            shape = np.clip(2 - mean / spacing, 0.0, self.max_shape)
            over = (values - threshold) / (mean * (1 - shape))
            # The survival function is (1 + shape * over) ** (-1 / shape); its limit at shape 0 is
            # exp(-over).
            pareto = np.log1p(shape * np.maximum(over, 0)) / np.maximum(shape, _ZERO_SHAPE)
            exponent = np.where(shape > _ZERO_SHAPE, pareto, over)
            score = (exponent + np.log(np.maximum(self.seen, 1) / count)) / np.log(10)
        return np.where(over > 0, np.minimum(score, LARGEST), 0.0)

    def state(self) -> dict[str, np.ndarray]:
        """Returns what was learnt, for `restore`."""
        return {"peaks": self.peaks, "seen": self.seen}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Continues from a state."""
        self.peaks = np.array(state["peaks"])
        self.seen = np.array(state["seen"])


class Smoothed:
    """An exponentially weighted mean over about `steps` values; the plain mean while there are
    fewer. NaN changes nothing.

    Args:
        shape: shape of the values.
        steps: number of values that the mean looks back on.
    """

    def __init__(self, shape: int | tuple[int, ...], *, steps: int):
        self.steps = steps
        self.mean = np.zeros(shape)
        self.seen = np.zeros(shape, int)

    def update(self, values: np.ndarray) -> np.ndarray:
        """Learns one value of each stream and returns the means, of the same shape."""
        present = ~np.isnan(values)
        self.seen += present
        rate = np.maximum(1 / self.steps, 1 / np.maximum(self.seen, 1))
        change = rate * (np.where(present, values, 0.0) - self.mean)
        self.mean = np.where(present, self.mean + change, self.mean)
        return self.mean

    def state(self) -> dict[str, np.ndarray]:
        """Returns what was learnt, for `restore`."""
        return {"mean": self.mean, "seen": self.seen}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Continues from a state."""
        self.mean = np.array(state["mean"])
        self.seen = np.array(state["seen"])


class SeasonalMedian:
    """The normal value at a place of the season: the median of the values one season ago, two, and
    so on up to `seasons`.

    The median ignores an anomaly among these values; the value one season ago alone would bring
    every anomaly back as an echo.

    Args:
        shape: (streams, channels).
        season: length of the season in steps; 0 for none, where no value is normal.
        seasons: number of seasons to look back on.
    """

    def __init__(self, shape: tuple[int, int], *, season: int, seasons: int = 7):
        streams, channels = shape
        self.season = season
        self.past = np.full((streams, seasons * season, channels), np.nan)  # a ring buffer
        self.place = 0

    def update(self, values: np.ndarray) -> np.ndarray:
        """Returns the normal values and learns the present ones: float64[streams, channels] -> the
        same shape, NaN where nothing is known yet.

        A missing value (NaN) does not count.
        """
        if not self.season:
            return np.full(values.shape, np.nan)
        ago = np.sort(self.past[:, self.place % self.season :: self.season], axis=1)  # NaN last
        count = (~np.isnan(ago)).sum(axis=1, keepdims=True)
        below = np.maximum(count - 1, 0) // 2
        above = count // 2 % ago.shape[1]
        lower = np.take_along_axis(ago, below, axis=1)[:, 0]
        upper = np.take_along_axis(ago, above, axis=1)[:, 0]
        self.past[:, self.place] = values
        self.place = (self.place + 1) % self.past.shape[1]
        return np.where(count[:, 0] > 0, (lower + upper) / 2, np.nan)

    def state(self) -> dict[str, np.ndarray]:
        """Returns what was learnt, the oldest value first, for `restore`."""
        return {"past": np.roll(self.past, -self.place, axis=1)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Continues from a state."""
        self.past = np.array(state["past"])
        self.place = 0


class RefractoryPeriod:
    """A filter that reports an alarm once: a score counts where it exceeds all of the last `steps`
    scores, else it is 0.

    Args:
        streams: number of streams side by side.
        steps: length of the period; 0 lets every score count.
    """

    def __init__(self, streams: int, *, steps: int):
        self.last = np.zeros((streams, steps))  # a ring buffer
        self.place = 0

    @property
    def steps(self) -> int:
        """The length of the period."""
        return self.last.shape[1]

    def update(self, scores: np.ndarray) -> np.ndarray:
        """Filters one score of each stream: float64[streams] -> float64[streams]."""
        if not self.steps:
            return scores
        counts = np.where(scores > self.last.max(axis=1), scores, 0.0)
        self.last[:, self.place] = scores
        self.place = (self.place + 1) % self.steps
        return counts

    def state(self) -> dict[str, np.ndarray]:
        """Returns the last scores, the oldest first, for `restore`."""
        return {"last": np.roll(self.last, -self.place, axis=1)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Continues from a state."""
        self.last = np.array(state["last"])
        self.place = 0
