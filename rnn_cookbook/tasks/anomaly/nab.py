"""The score of the Numenta Anomaly Benchmark (Lavin and Ahmad 2015): early detections count more,
false ones cost, by window.

Every labelled window is worth one detection, its earliest: nearly 1 at the window's left edge, 0 at
its right one, and the cost of a missed anomaly where there is none. Every detection outside costs:
little just behind a window, up to the whole weight further away. The first
15% of each file, at most 750 rows, are probation and do not count. Sums are scaled so that no
detection at all is 0, and a detector that names the first row of each window and no other is about
100.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.anomaly.data import LabelledStream

PROBATION, LONGEST_PROBATION = 0.15, 750  # share of a file's rows, rows


@dataclass(frozen=True)
class Profile:
    """What a detection in time, one outside the windows, and a missed window count."""

    hit: float = 1.0
    false_alarm: float = 0.11
    miss: float = 1.0


PROFILES = {
    "nab_standard": Profile(),
    "nab_low_fp": Profile(false_alarm=0.22),
    "nab_low_fn": Profile(miss=2.0),
}


def probation(rows: int) -> int:
    """Rows at the beginning of a file that do not count."""
    return int(min(np.floor(PROBATION * rows), LONGEST_PROBATION))


def sweep(
    scores: Sequence[np.ndarray], windows: Sequence[Sequence[tuple[int, int]]], profile: Profile
) -> tuple[np.ndarray, np.ndarray]:
    """What every threshold is worth, over all files: (float64[thresholds] falling,
    float64[thresholds] normalised scores).

    Args:
        scores: float[rows] of each file; from the threshold on, a row is detected.
        windows: the rows [first, last] of each anomaly, last included, in order, of each file.
        profile: of `PROFILES`, or your own.

    Raises:
        InputError: windows outside the file, or out of order; no window at all; scores that are no
            numbers.
    """
    values, gains = [np.array([np.inf])], [np.array([0.0])]
    count = 0
    for score, spans in zip(scores, windows, strict=True):
        score = np.asarray(score, np.float64)
        _check(score, spans)
        first = probation(len(score))
        count += sum(last >= first for _, last in spans)
        worth, window = _worth(len(score), spans, profile)
        gain = worth.copy()
        order = np.argsort(-score, kind="stable")
        for i in range(len(spans)):
            rows = order[(window[order] == i) & (order >= first)]
            best = np.maximum.accumulate(
                np.append(-profile.miss, worth[rows])
            )  # by the rows found so far
            gain[rows] = np.diff(best)
        values.append(score[first:])
        gains.append(gain[first:])
    if not count:
        raise InputError("there is no labelled anomaly after the probation: no score can be told")
    values, gains = np.concatenate(values), np.concatenate(gains)
    order = np.argsort(-values, kind="stable")
    total = np.cumsum(gains[order]) - profile.miss * count
    last = np.flatnonzero(
        np.append(np.diff(values[order]) != 0, True)
    )  # rows of one score are found together
    none, perfect = -profile.miss * count, profile.hit * count
    return values[order][last], 100 * (total[last] - none) / (perfect - none)


def best_threshold(
    scores: Sequence[np.ndarray], windows: Sequence[Sequence[tuple[int, int]]], profile: Profile
) -> tuple[float, float]:
    """The threshold that is worth most, the highest of several, and its normalised score; see
    `sweep`. Infinite where none is best."""
    thresholds, worth = sweep(scores, windows, profile)
    best = int(np.argmax(worth))
    return float(thresholds[best]), float(worth[best])


def score_at(
    scores: Sequence[np.ndarray],
    windows: Sequence[Sequence[tuple[int, int]]],
    profile: Profile,
    threshold: float,
) -> float:
    """The normalised score at one threshold, see `sweep`."""
    thresholds, worth = sweep(scores, windows, profile)
    return float(worth[np.flatnonzero(thresholds >= threshold)[-1]])


def nab_scores(
    scores: Sequence[np.ndarray],
    windows: Sequence[Sequence[tuple[int, int]]],
    *,
    thresholds: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Normalised scores of all `PROFILES`: each at the threshold that suits it best, as the
    benchmark has it, or at those given."""
    if thresholds is None:
        return {
            name: best_threshold(scores, windows, profile)[1] for name, profile in PROFILES.items()
        }
    return {
        name: score_at(scores, windows, profile, thresholds[name])
        for name, profile in PROFILES.items()
    }


def measures(
    streams: Sequence[LabelledStream], scores: Sequence[np.ndarray], *, chosen_on: str
) -> dict[str, float]:
    """`nab_scores`, each at the threshold that suits these streams best, as the benchmark has it;
    and as "nab_standard_artificial" and so on at the threshold that suits those best whose name
    begins with `chosen_on`."""
    windows = [one.windows for one in streams]
    chosen = [i for i, one in enumerate(streams) if one.name.startswith(chosen_on)]
    parts = [scores[i] for i in chosen], [windows[i] for i in chosen]
    found = nab_scores(scores, windows)
    if any(parts[1]):
        thresholds = {
            name: best_threshold(*parts, profile)[0] for name, profile in PROFILES.items()
        }
        found |= {
            f"{name}_{chosen_on}": worth
            for name, worth in nab_scores(scores, windows, thresholds=thresholds).items()
        }
    return found


def _worth(
    rows: int, spans: Sequence[tuple[int, int]], profile: Profile
) -> tuple[np.ndarray, np.ndarray]:
    """What a detection of each row is worth, and the number of its window, -1 outside."""
    index = np.arange(rows)
    behind, window = (
        np.full(rows, np.inf),
        np.full(rows, -1),
    )  # window lengths behind the last window's end
    for i, (first, last) in enumerate(spans):
        width = last - first + 1
        behind[last + 1 :] = (index[last + 1 :] - last) / max(width - 1, 1)
        window[first : last + 1] = i
        behind[first : last + 1] = -(last - index[first : last + 1] + 1) / width
    value = np.where(behind >= 3, -1.0, _falling(np.minimum(behind, 3)))
    return np.where(
        window >= 0, profile.hit * value / _falling(-1.0), profile.false_alarm * value
    ), window


def _falling(position):
    """From nearly 1 at -1, the left edge of a window, through 0 at 0, its right edge, to nearly -1."""
    return 2 / (1 + np.exp(5 * position)) - 1


def _check(score: np.ndarray, spans: Sequence[tuple[int, int]]) -> None:
    if not np.isfinite(score).all():
        raise InputError(
            f"anomaly scores must be finite numbers, got {score[~np.isfinite(score)][0]}"
        )
    before = -1
    for first, last in spans:
        if not before < first <= last < len(score):
            raise InputError(
                f"windows must follow each other within the {len(score)} rows of their file, got rows {first} to {last}"
            )
        before = last
