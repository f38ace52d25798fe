"""What scores of anomalies are worth: simple detectors to compare with, thresholds with labels and
without, events found and missed."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import genpareto
from sklearn.metrics import average_precision_score

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log
from rnn_cookbook.tasks.anomaly.data import LabelledStream

WARM_UP = 100  # values of a stream before it is scored
USUAL_THRESHOLD = 6.0  # of a sum of -log10 probabilities, where there is nothing to choose it by

# Baselines: scores of one channel, float64[rows] -> float64[rows], by what came before each row


# Thresholds and measures


def measures(
    streams: Sequence[LabelledStream],
    scores: Sequence[np.ndarray],
    spans: Mapping[str, Sequence[tuple[int, int]]],
    *,
    rows: Sequence[np.ndarray] | None = None,
    split: str = "test",
    gaps: Sequence[int],
    alarms_per_week: float,
) -> dict[str, float]:
    """`event_scores` of the rows of a split, "false_alarms_per_week", and "pr_auc", the average
    precision row by row; where the split has no anomalies only the number of "alarms" and of
    "weeks". "threshold" is the one used: with the best event F1 on the validation rows, if they
    have labels, else by `quiet_threshold` of the training rows.

    Args:
        streams: with their labels.
        scores: float[rows] of each, for alarms.
        spans: rows [first, end) of each stream, of "train", "validation" and "test".
        rows: scores of each row by itself, for the average precision; `scores` if None.
        split: what is measured.
        gaps: rows between alarms that are one, of each stream.
        alarms_per_week: expected false ones, without labels.
    """
    windows = [one.windows for one in streams]
    own, labelled = _part(scores, windows, spans["validation"])
    threshold = best_event_threshold(own, labelled, gaps=gaps) if any(labelled) else np.inf
    if not np.isfinite(threshold):
        quiet, _ = _part(scores if rows is None else rows, windows, spans["train"])
        weeks = sum(
            one.weeks(max(len(part) - WARM_UP, 0)) for one, part in zip(streams, quiet, strict=True)
        )
        try:
            threshold = quiet_threshold(np.concatenate(quiet), alarms=alarms_per_week * weeks)
        except InputError as error:
            threshold = USUAL_THRESHOLD
            log.warning("%s. The threshold is %g", error, threshold)
    own, labelled = _part(scores, windows, spans[split])
    weeks = sum(one.weeks(len(part)) for one, part in zip(streams, own, strict=True))
    if not any(labelled):
        told = [alarms_of(part, threshold, gap=gap) for part, gap in zip(own, gaps, strict=True)]
        return {"threshold": threshold, "alarms": sum(map(len, told)), "weeks": weeks}
    found = event_scores(own, labelled, threshold, gaps=gaps)
    flags = [np.zeros(len(part), bool) for part in own]
    for flag, spans_of in zip(flags, labelled, strict=True):
        for first, last in spans_of:
            flag[first : last + 1] = True
    each, _ = _part(scores if rows is None else rows, windows, spans[split])
    return {
        **found,
        "false_alarms_per_week": found["false_alarms"] / weeks,
        "pr_auc": float(average_precision_score(np.concatenate(flags), np.concatenate(each))),
        "threshold": threshold,
    }


def _part(
    scores: Sequence[np.ndarray],
    windows: Sequence[Sequence[tuple[int, int]]],
    spans: Sequence[tuple[int, int]],
) -> tuple[list[np.ndarray], list[list[tuple[int, int]]]]:
    """Scores and windows of the rows [first, end) of each stream alone; a window that begins before
    them, from there on."""
    parts = [score[first:end] for score, (first, end) in zip(scores, spans, strict=True)]
    inside = [
        [
            (max(start - first, 0), min(last, end - 1) - first)
            for start, last in own
            if last >= first and start < end
        ]
        for own, (first, end) in zip(windows, spans, strict=True)
    ]
    return parts, inside


def quiet_threshold(scores: np.ndarray, *, alarms: float) -> float:
    """The threshold that so many scores of as many as these will reach, by peaks over threshold:
    for streams without labels. Scores that reach it one after the other are one alarm, so that
    alarms will rather be fewer.

    Args:
        scores: float[rows], of a part that is taken to be usual.
        alarms: expected, may be below 1: then it lies beyond all that was seen.

    Raises:
        InputError: too few scores above 0.
    """
    peaks = np.sort(scores[scores > 0])
    count = max(10, len(peaks) // 10)
    if len(peaks) <= count or alarms <= 0:
        raise InputError(
            f"a threshold for {alarms:g} alarms needs more than {count} scores above 0 in the part that is taken to be usual, got "
            f"{len(peaks)}"
        )
    if alarms >= count:  # it was seen
        return float(peaks[-min(int(np.ceil(alarms)), len(peaks))])
    base = peaks[-count - 1]
    excess = peaks[-count:] - base
    shape, _, scale = genpareto.fit(excess, floc=0)
    if shape < 0:  # no end is known beyond which nothing comes
        shape, scale = 0.0, excess.mean()
    return float(base + genpareto.isf(alarms / count, shape, scale=scale))


def alarms_of(scores: np.ndarray, threshold: float, *, gap: int) -> list[tuple[int, int]]:
    """Rows [first, last] of each alarm: a row that reaches the threshold, and those that do so in
    the `gap` rows after it. What goes on for longer is told again."""
    found: list[tuple[int, int]] = []
    for row in np.flatnonzero(scores >= threshold):
        if found and row <= found[-1][0] + gap:
            found[-1] = found[-1][0], int(row)
        else:
            found.append((int(row), int(row)))
    return found


def event_scores(
    scores: Sequence[np.ndarray],
    windows: Sequence[Sequence[tuple[int, int]]],
    threshold: float,
    *,
    gaps: Sequence[int],
) -> dict[str, float]:
    """Anomalies found, not rows: "event_recall", of the windows those with a row of an alarm;
    "event_precision", of the alarms those that begin in a window; "event_f1"; "delay", mean rows
    from the beginning of a found window to its first alarm; "alarms" and "false_alarms".

    Args:
        scores: float[rows] of each stream.
        windows: rows [first, last] of each anomaly, of each stream.
        threshold: from which on a row is an alarm.
        gaps: rows between alarms that are one, of each stream, see `alarms_of`.
    """
    found = right = total = alarms = 0
    delays = []
    for score, spans, gap in zip(scores, windows, gaps, strict=True):
        rows = np.flatnonzero(score >= threshold)
        for start, end in spans:
            inside = rows[(rows >= start) & (rows <= end)]
            total += 1
            if len(inside):
                found += 1
                delays.append(int(inside[0]) - start)
        told = alarms_of(score, threshold, gap=gap)
        alarms += len(told)
        right += sum(any(start <= row <= end for start, end in spans) for row, _ in told)
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
    scores: Sequence[np.ndarray],
    windows: Sequence[Sequence[tuple[int, int]]],
    *,
    gaps: Sequence[int],
    most: int = 200,
) -> float:
    """The threshold with the best "event_f1" of `event_scores`, of at most `most` that are tried;
    the highest of several. For labelled validation streams."""
    values = np.unique(np.concatenate(list(scores)))
    values = values[values > 0]
    if not len(values):
        return np.inf
    tried = np.unique(
        np.quantile(values, 1 - np.geomspace(1 / len(values), 1, most), method="nearest")
    )
    return float(
        max(
            tried,
            key=lambda value: (event_scores(scores, windows, value, gaps=gaps)["event_f1"], value),
        )
    )
