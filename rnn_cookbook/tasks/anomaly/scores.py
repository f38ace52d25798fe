"""Scores of anomaly detectors: thresholds with and without labels, alarms, and detected and missed
anomalies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import genpareto
from sklearn.metrics import average_precision_score

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log
from rnn_cookbook.tasks.anomaly.streams import LabelledStream, Span, Window
from rnn_cookbook.tasks.anomaly.tails import WARM_UP

__all__ = [
    "DEFAULT_THRESHOLD",
    "RowScores",
    "alarms_of",
    "best_event_threshold",
    "event_scores",
    "measures",
    "quiet_threshold",
]

DEFAULT_THRESHOLD = 6.0  # a sum of -log10 probabilities, where there is nothing to choose it by
MIN_PEAKS = 10  # scores that a tail is fitted to
PEAK_FRACTION = 10  # one in so many positive scores is a peak


@dataclass
class RowScores:
    """The scores of a stream's rows.

    Args:
        score: score that alarms are raised by, float64[rows].
        evidence: score of each row by itself, float64[rows]; the same for a detector without a
            refractory period.
    """

    score: np.ndarray
    evidence: np.ndarray


def alarms_of(scores: np.ndarray, threshold: float, *, gap: int) -> list[Window]:
    """Returns the rows [first, last] of each alarm: a row that reaches the threshold, and those
    that reach it within `gap` rows after the previous one. What lasts longer is a new alarm."""
    alarms: list[Window] = []
    for row in np.flatnonzero(scores >= threshold):
        if alarms and row <= alarms[-1][0] + gap:
            alarms[-1] = (alarms[-1][0], int(row))
        else:
            alarms.append((int(row), int(row)))
    return alarms


def event_scores(
    scores: Sequence[np.ndarray],
    windows: Sequence[Sequence[Window]],
    threshold: float,
    *,
    gaps: Sequence[int],
) -> dict[str, float]:
    """Counts detected anomalies instead of rows.

    Args:
        scores: scores of each stream, float[rows].
        windows: rows [first, last] of each stream's anomalies.
        threshold: smallest score of an alarm.
        gaps: rows of each stream within which alarms are one, see `alarms_of`.

    Returns:
        "event_recall", detected windows / windows; "event_precision", alarms that begin in a
        window / alarms; "event_f1", their harmonic mean; "delay", mean rows from the beginning of a
        detected window to its first alarm; "alarms" and "false_alarms".
    """
    delays = []
    total = 0
    alarms = 0
    right = 0
    for score, spans, gap in zip(scores, windows, gaps, strict=True):
        rows = np.flatnonzero(score >= threshold)
        total += len(spans)
        for start, end in spans:
            inside = rows[(rows >= start) & (rows <= end)]
            if len(inside):
                delays.append(int(inside[0]) - start)
        stream_alarms = alarms_of(score, threshold, gap=gap)
        alarms += len(stream_alarms)
        right += sum(any(start <= row <= end for start, end in spans) for row, _ in stream_alarms)
    precision = right / alarms if alarms else 0.0
    recall = len(delays) / total if total else 0.0
    return {
        "event_f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        "event_precision": precision,
        "event_recall": recall,
        "delay": float(np.mean(delays)) if delays else 0.0,
        "alarms": alarms,
        "false_alarms": alarms - right,
    }


def best_event_threshold(
    scores: Sequence[np.ndarray],
    windows: Sequence[Sequence[Window]],
    *,
    gaps: Sequence[int],
    candidates: int = 200,
) -> float:
    """Returns the threshold with the best "event_f1" of `event_scores`, the highest of several; for
    labelled validation streams. Infinite where no score is above 0.

    Args:
        scores: scores of each stream, float[rows].
        windows: rows [first, last] of each stream's anomalies.
        gaps: rows of each stream within which alarms are one, see `alarms_of`.
        candidates: maximum number of thresholds to try.
    """
    values = np.unique(np.concatenate(list(scores)))
    values = values[values > 0]
    if not len(values):
        return np.inf
    above = np.geomspace(1 / len(values), 1, candidates)  # fractions of the scores
    tried = np.unique(np.quantile(values, 1 - above, method="nearest"))

    def worth(threshold: float) -> tuple[float, float]:
        return event_scores(scores, windows, threshold, gaps=gaps)["event_f1"], threshold

    return float(max(tried, key=worth))


def quiet_threshold(scores: np.ndarray, *, alarms: float) -> float:
    """Returns the threshold that is reached about `alarms` times in `len(scores)` rows, from a
    peaks-over-threshold fit; for streams without labels.

    Neighbouring scores that reach it are one alarm: alarms will rather be fewer.

    Args:
        scores: scores of rows that are taken to be normal, float[rows].
        alarms: expected number; below 1 the threshold lies beyond all scores.

    Raises:
        InputError: too few scores above 0.
    """
    peaks = np.sort(scores[scores > 0])
    count = max(MIN_PEAKS, len(peaks) // PEAK_FRACTION)
    if len(peaks) <= count or alarms <= 0:
        raise InputError(
            f"a threshold for {alarms:g} alarms needs more than {count} scores above 0 in the part "
            f"that is taken to be normal; received {len(peaks)}"
        )
    if alarms >= count:  # so many were seen
        return float(peaks[-min(int(np.ceil(alarms)), len(peaks))])
    base = peaks[-count - 1]
    excess = peaks[-count:] - base
    shape, _, scale = genpareto.fit(excess, floc=0)
    if shape < 0:  # a distribution with an upper end, beyond which the data know nothing
        shape = 0.0
        scale = excess.mean()
    return float(base + genpareto.isf(alarms / count, shape, scale=scale))


def measures(
    streams: Sequence[LabelledStream],
    scored: Sequence[RowScores],
    spans: Mapping[str, Sequence[Span]],
    *,
    split: str = "test",
    gaps: Sequence[int],
    alarms_per_week: float,
) -> dict[str, float]:
    """Scores a detector on the rows of a split.

    Args:
        streams: streams with their labels.
        scored: scores of each stream.
        spans: rows [first, end) of each stream, of "train", "validation" and "test".
        split: split to measure.
        gaps: rows of each stream within which alarms are one, see `alarms_of`.
        alarms_per_week: expected false alarms per week where no labels choose the threshold.

    Returns:
        `event_scores`; "false_alarms_per_week"; "pr_auc", the average precision row by row; and
        "threshold": that with the best event F1 on the validation rows if they have labels, else
        `quiet_threshold` of the training rows. Where the split has no anomalies, "threshold",
        "alarms" and "weeks" alone.
    """
    windows = [stream.windows for stream in streams]
    scores = [each.score for each in scored]
    evidence = [each.evidence for each in scored]
    inside = _windows_inside(windows, spans["validation"])
    threshold = np.inf
    if any(inside):
        threshold = best_event_threshold(_cut(scores, spans["validation"]), inside, gaps=gaps)
    if not np.isfinite(threshold):
        normal = _cut(evidence, spans["train"])
        threshold = _threshold_without_labels(streams, normal, alarms_per_week=alarms_per_week)
    parts = _cut(scores, spans[split])
    labelled = _windows_inside(windows, spans[split])
    weeks = sum(stream.weeks(len(part)) for stream, part in zip(streams, parts, strict=True))
    if not any(labelled):
        alarms = sum(
            len(alarms_of(part, threshold, gap=gap)) for part, gap in zip(parts, gaps, strict=True)
        )
        return {"threshold": threshold, "alarms": alarms, "weeks": weeks}
    events = event_scores(parts, labelled, threshold, gaps=gaps)
    flags = np.concatenate(
        [_flags(part, inside) for part, inside in zip(parts, labelled, strict=True)]
    )
    by_row = np.concatenate(_cut(evidence, spans[split]))
    return {
        **events,
        "false_alarms_per_week": events["false_alarms"] / weeks,
        "pr_auc": float(average_precision_score(flags, by_row)),
        "threshold": threshold,
    }


def _threshold_without_labels(
    streams: Sequence[LabelledStream], evidence: Sequence[np.ndarray], *, alarms_per_week: float
) -> float:
    weeks = sum(
        stream.weeks(max(len(part) - WARM_UP, 0))
        for stream, part in zip(streams, evidence, strict=True)
    )
    try:
        return quiet_threshold(np.concatenate(evidence), alarms=alarms_per_week * weeks)
    except InputError as error:
        log.warning("%s. The threshold is %g", error, DEFAULT_THRESHOLD)
        return DEFAULT_THRESHOLD


def _cut(scores: Sequence[np.ndarray], spans: Sequence[Span]) -> list[np.ndarray]:
    """The scores of the rows [first, end) of each stream."""
    return [score[first:end] for score, (first, end) in zip(scores, spans, strict=True)]


def _windows_inside(
    windows: Sequence[Sequence[Window]], spans: Sequence[Span]
) -> list[list[Window]]:
    """The windows as rows counted from the beginning of each span; those that lie partly outside
    are cut."""
    return [
        [
            (max(start - first, 0), min(last, end - 1) - first)
            for start, last in stream_windows
            if last >= first and start < end
        ]
        for stream_windows, (first, end) in zip(windows, spans, strict=True)
    ]


def _flags(scores: np.ndarray, windows: Sequence[Window]) -> np.ndarray:
    """Whether each row is labelled as anomalous."""
    flags = np.zeros(len(scores), bool)
    for first, last in windows:
        flags[first : last + 1] = True
    return flags
