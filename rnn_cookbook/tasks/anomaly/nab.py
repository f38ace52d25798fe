"""The score of the Numenta Anomaly Benchmark (Lavin and Ahmad 2015): early detections count more,
false ones cost, by window.

Every labelled window is worth one detection, its earliest: nearly 1 at the window's left edge, 0 at
its right edge; a window without a detection costs a miss. Every detection outside costs: little
just behind a window, up to the whole weight of a false alarm further away. The first 15% of each
file, at most 750 rows, are probation and do not count. Sums are scaled so that a detector that
detects nothing has 0, and one that detects the first row of each window and nothing else about 100.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.anomaly.streams import LabelledStream, Window

__all__ = [
    "PROFILES",
    "Profile",
    "best_threshold",
    "measures",
    "nab_scores",
    "probation",
    "score_at",
    "sweep",
]

PROBATION = 0.15  # fraction of a file's rows
LONGEST_PROBATION = 750  # rows
FAR = 3  # window lengths behind a window's end, from where on a false alarm has its whole weight
STEEPNESS = 5  # of the benchmark's sigmoid


@dataclass(frozen=True)
class Profile:
    """The weights of the benchmark.

    Args:
        hit: worth of a detection in time.
        false_alarm: cost of a detection outside the windows.
        miss: cost of a window without a detection.
    """

    hit: float = 1.0
    false_alarm: float = 0.11
    miss: float = 1.0


PROFILES = {
    "nab_standard": Profile(),
    "nab_low_fp": Profile(false_alarm=0.22),
    "nab_low_fn": Profile(miss=2.0),
}


def probation(rows: int) -> int:
    """Returns the number of rows at the beginning of a file that do not count."""
    return int(min(np.floor(PROBATION * rows), LONGEST_PROBATION))


def sweep(
    scores: Sequence[np.ndarray], windows: Sequence[Sequence[Window]], profile: Profile
) -> tuple[np.ndarray, np.ndarray]:
    """Scores all thresholds over all files.

    Args:
        scores: anomaly scores of each file, float[rows]; a row that reaches the threshold is
            detected.
        windows: rows [first, last] of each file's anomalies, in order.
        profile: one of `PROFILES`, or your own.

    Returns:
        The thresholds in falling order, float64[thresholds], and their normalised scores,
        float64[thresholds].

    Raises:
        InputError: windows outside the file or out of order, no window at all, or scores that are
            not finite.
    """
    values = [np.array([np.inf])]
    gains = [np.array([0.0])]
    count = 0
    for file_scores, spans in zip(scores, windows, strict=True):
        score = np.asarray(file_scores, np.float64)
        _check(score, spans)
        first = probation(len(score))
        count += sum(last >= first for _, last in spans)
        values.append(score[first:])
        gains.append(_gains(score, spans, profile, first=first)[first:])
    if not count:
        raise InputError(
            "there is no labelled anomaly after the probation: nothing can be scored; accepted are "
            "files with one window or more"
        )
    thresholds = np.concatenate(values)
    order = np.argsort(-thresholds, kind="stable")
    total = np.cumsum(np.concatenate(gains)[order]) - profile.miss * count
    # Rows of one score are detected together.
    last = np.flatnonzero(np.append(np.diff(thresholds[order]) != 0, True))
    none = -profile.miss * count
    perfect = profile.hit * count
    return thresholds[order][last], 100 * (total[last] - none) / (perfect - none)


def _gains(
    score: np.ndarray, spans: Sequence[Window], profile: Profile, *, first: int
) -> np.ndarray:
    """What the sum gains when each row is detected after all rows of higher scores: inside a window
    only what is better than its detections so far."""
    worth, window = _worth(len(score), spans, profile)
    gain = worth.copy()
    order = np.argsort(-score, kind="stable")
    for i in range(len(spans)):
        rows = order[(window[order] == i) & (order >= first)]
        best = np.maximum.accumulate(np.append(-profile.miss, worth[rows]))
        gain[rows] = np.diff(best)
    return gain


def _worth(rows: int, spans: Sequence[Window], profile: Profile) -> tuple[np.ndarray, np.ndarray]:
    """The worth of a detection of each row, and the number of the row's window, -1 outside."""
    index = np.arange(rows)
    behind = np.full(rows, np.inf)  # window lengths behind the end of the last window
    window = np.full(rows, -1)
    for i, (first, last) in enumerate(spans):
        width = last - first + 1
        behind[last + 1 :] = (index[last + 1 :] - last) / max(width - 1, 1)
        window[first : last + 1] = i
        behind[first : last + 1] = -(last - index[first : last + 1] + 1) / width
    value = np.where(behind >= FAR, -1.0, _falling(np.minimum(behind, FAR)))
    inside = profile.hit * value / _falling(np.array(-1.0))
    return np.where(window >= 0, inside, profile.false_alarm * value), window


def _falling(position: np.ndarray) -> np.ndarray:
    """From nearly 1 at -1, the left edge of a window, through 0 at 0, its right edge, to nearly
    -1."""
    return 2 / (1 + np.exp(STEEPNESS * position)) - 1


def _check(score: np.ndarray, spans: Sequence[Window]) -> None:
    infinite = score[~np.isfinite(score)]
    if len(infinite):
        raise InputError(f"anomaly scores must be finite numbers; received {infinite[0]}")
    before = -1
    for first, last in spans:
        if not before < first <= last < len(score):
            raise InputError(
                f"windows must follow each other within the {len(score)} rows of their file; "
                f"received rows {first} to {last}"
            )
        before = last


def best_threshold(
    scores: Sequence[np.ndarray], windows: Sequence[Sequence[Window]], profile: Profile
) -> tuple[float, float]:
    """Returns the threshold with the highest normalised score, the highest of several, and this
    score; infinite where detecting nothing is best.

    Args:
        scores: anomaly scores of each file, float[rows].
        windows: rows [first, last] of each file's anomalies, in order.
        profile: one of `PROFILES`, or your own.

    Raises:
        InputError: as `sweep`.
    """
    thresholds, worth = sweep(scores, windows, profile)
    best = int(np.argmax(worth))
    return float(thresholds[best]), float(worth[best])


def score_at(
    scores: Sequence[np.ndarray],
    windows: Sequence[Sequence[Window]],
    profile: Profile,
    threshold: float,
) -> float:
    """Returns the normalised score at one threshold.

    Args:
        scores: anomaly scores of each file, float[rows].
        windows: rows [first, last] of each file's anomalies, in order.
        profile: one of `PROFILES`, or your own.
        threshold: smallest score of a detection.

    Raises:
        InputError: as `sweep`.
    """
    thresholds, worth = sweep(scores, windows, profile)
    return float(worth[np.flatnonzero(thresholds >= threshold)[-1]])


def nab_scores(
    scores: Sequence[np.ndarray],
    windows: Sequence[Sequence[Window]],
    *,
    thresholds: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Returns the normalised scores of all `PROFILES`.

    Args:
        scores: anomaly scores of each file, float[rows].
        windows: rows [first, last] of each file's anomalies, in order.
        thresholds: threshold of each profile; the best on these files, as in the benchmark, if
            None.

    Raises:
        InputError: as `sweep`.
    """
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
    """Returns `nab_scores` at the best threshold on all streams, as in the benchmark, and, as
    "nab_standard_artificial" and so on, at the best threshold on some streams alone.

    Args:
        streams: streams with their labels.
        scores: anomaly scores of each stream, float[rows].
        chosen_on: beginning of the names of these streams, such as "artificial".

    Raises:
        InputError: as `sweep`.
    """
    windows = [stream.windows for stream in streams]
    worth = nab_scores(scores, windows)
    choosing = [i for i, stream in enumerate(streams) if stream.name.startswith(chosen_on)]
    some_scores = [scores[i] for i in choosing]
    some_windows = [windows[i] for i in choosing]
    if any(some_windows):
        thresholds = {
            name: best_threshold(some_scores, some_windows, profile)[0]
            for name, profile in PROFILES.items()
        }
        for name, value in nab_scores(scores, windows, thresholds=thresholds).items():
            worth[f"{name}_{chosen_on}"] = value
    return worth
