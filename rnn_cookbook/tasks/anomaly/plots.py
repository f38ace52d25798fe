"""What a detector's run folder shows: scores, alarms, and the streams with both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnn_cookbook.files import write_atomically
from rnn_cookbook.run.folder import Run
from rnn_cookbook.run.plots import BLUE, GREY, ORANGE, save_plot
from rnn_cookbook.tasks.anomaly.scores import RowScores, alarms_of
from rnn_cookbook.tasks.anomaly.streams import LabelledStream, Span, Window

__all__ = ["write_anomalies"]

DIGITS = 4  # of written scores
TICKS = 6


def write_anomalies(
    run: Run,
    streams: Sequence[LabelledStream],
    scored: Sequence[RowScores],
    *,
    threshold: float,
    spans: Sequence[Span],
    gaps: Sequence[int],
    shown: int = 6,
) -> None:
    """Writes `scores.csv.gz`, every row of every stream; `predictions.jsonl`, every alarm; and
    `plots/anomalies.png`, the streams with the most anomalies and alarms.

    Args:
        run: run whose folder is written to.
        streams: streams with their labels.
        scored: scores of each stream.
        threshold: smallest score of an alarm.
        spans: rows [first, end) of each stream that count.
        gaps: rows of each stream within which alarms are one.
        shown: maximum number of streams in the plot.
    """
    alarms = []
    for each, (first, end), gap in zip(scored, spans, gaps, strict=True):
        inside = alarms_of(each.score[first:end], threshold, gap=gap)
        alarms.append([(first + start, first + last) for start, last in inside])
    _write_scores(run, streams, scored)
    _write_alarms(run, streams, scored, alarms)

    def interest(i: int) -> tuple[bool, int, int]:
        first, end = spans[i]
        return first < end, len(streams[i].windows), len(alarms[i])

    chosen = sorted(sorted(range(len(streams)), key=interest, reverse=True)[:shown])
    figure = Figure(figsize=(11, 2.6 * len(chosen)), layout="constrained")
    grid = figure.subplots(len(chosen), 1, squeeze=False)[:, 0]
    for axes, i in zip(grid, chosen, strict=True):
        _plot_stream(axes, streams[i], scored[i].score, threshold=threshold, span=spans[i])
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=4, frameon=False, fontsize=8)
    save_plot(run, "anomalies", figure)


def _write_scores(run: Run, streams: Sequence[LabelledStream], scored: Sequence[RowScores]) -> None:
    tables = [
        pd.DataFrame(
            {
                "unique_id": stream.name,
                "ds": stream.times,
                "score": each.score.round(DIGITS),
                "evidence": each.evidence.round(DIGITS),
            }
        )
        for stream, each in zip(streams, scored, strict=True)
    ]
    table = pd.concat(tables)
    write_atomically(
        run.path / "scores.csv.gz", lambda path: table.to_csv(path, index=False, compression="gzip")
    )


def _write_alarms(
    run: Run,
    streams: Sequence[LabelledStream],
    scored: Sequence[RowScores],
    alarms: Sequence[Sequence[Window]],
) -> None:
    labelled = any(stream.windows for stream in streams)
    lines = []
    for stream, each, stream_alarms in zip(streams, scored, alarms, strict=True):
        for start, last in stream_alarms:
            line = {
                "unique_id": stream.name,
                "start": str(stream.times[start]),
                "end": str(stream.times[last]),
                "score": round(float(each.score[start : last + 1].max()), DIGITS),
            }
            if labelled:
                line["labelled"] = any(first <= start <= end for first, end in stream.windows)
            lines.append(line)
    run.write_lines("predictions.jsonl", lines)


def _plot_stream(
    axes: Axes, stream: LabelledStream, score: np.ndarray, *, threshold: float, span: Span
) -> None:
    rows = np.arange(len(stream))  # not the times: they may go back, and leave gaps
    first, end = span
    axes.plot(rows, stream.values, linewidth=0.7, color=GREY, label="values")
    for number, (begin, last) in enumerate(stream.windows):
        label = None if number else "labelled"
        axes.axvspan(begin, last, color=ORANGE, alpha=0.2, linewidth=0, label=label)
    axes.axvspan(0, first, color=GREY, alpha=0.12, linewidth=0, label="does not count")
    alarm = rows[(score >= threshold) & (rows >= first) & (rows < end)]
    axes.plot(alarm, stream.values[alarm, 0], "v", color=BLUE, markersize=5, label="alarm")
    axes.set_title(stream.name, fontsize=10, parse_math=False)
    axes.set_xlim(0, len(stream))
    ticks = np.linspace(0, len(stream) - 1, TICKS).astype(int)
    axes.set_xticks(ticks, [f"{stream.times[row]:%Y-%m-%d %H:%M}" for row in ticks], fontsize=8)
    below = axes.twinx()
    below.plot(rows, score, color=BLUE, linewidth=0.6, alpha=0.6)
    highest = max(float(score.max()), 1e-9)
    if np.isfinite(threshold):
        highest = max(highest, threshold)
        below.axhline(threshold, color=BLUE, linestyle=":", linewidth=0.8)
    below.set_ylim(0, 3 * highest)  # in the lower third
    below.set_ylabel("score", fontsize=8)
