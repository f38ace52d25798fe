"""What detectors of anomalies show: scores, alarms, and the streams that they are of."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rnn_cookbook.files import write_atomically
from rnn_cookbook.run.folder import Run
from rnn_cookbook.run.report import BLUE, GREY, ORANGE, save_plot
from rnn_cookbook.tasks.anomaly.data import LabelledStream
from rnn_cookbook.tasks.anomaly.predict import Scored
from rnn_cookbook.tasks.anomaly.scores import alarms_of


def write_anomalies(
    run: Run,
    streams: Sequence[LabelledStream],
    found: Sequence[Scored],
    *,
    threshold: float,
    spans: Sequence[tuple[int, int]],
    gaps: Sequence[int],
    shown: int = 6,
) -> None:
    """What a detector's run folder shows of a split: `scores.csv.gz`, every row of every stream;
    `predictions.jsonl`, every alarm; and `plots/anomalies.png`, the streams with the most anomalies
    and the most alarms.

    Args:
        run: where to write.
        streams: with their labels.
        found: their scores.
        threshold: from which on a score is an alarm.
        spans: rows [first, end) of each stream that count.
        gaps: rows between alarms that are one, of each stream.
        shown: streams in the plot.
    """
    tables, told, interest = [], [], []
    for one, scored, (first, end), gap in zip(streams, found, spans, gaps, strict=True):
        rows = {
            "unique_id": one.name,
            "ds": one.times,
            "score": scored.score.round(4),
            "evidence": scored.evidence.round(4),
        }
        tables.append(pd.DataFrame(rows))
        own = [
            (start + first, last + first)
            for start, last in alarms_of(scored.score[first:end], threshold, gap=gap)
        ]
        for start, last in own:
            known = any(begin <= start <= until for begin, until in one.windows)
            peak = float(scored.score[start : last + 1].max())
            told.append(
                {
                    "unique_id": one.name,
                    "start": str(one.times[start]),
                    "end": str(one.times[last]),
                    "score": round(peak, 4),
                    **({"labelled": known} if any(each.windows for each in streams) else {}),
                }
            )
        interest.append((first < end, len(one.windows), len(own)))
    table = pd.concat(tables)
    write_atomically(
        run.path / "scores.csv.gz", lambda path: table.to_csv(path, index=False, compression="gzip")
    )
    run.write_lines("predictions.jsonl", told)
    chosen = sorted(sorted(range(len(streams)), key=lambda i: interest[i], reverse=True)[:shown])
    figure = Figure(figsize=(11, 2.6 * len(chosen)), layout="constrained")
    grid = figure.subplots(len(chosen), 1, squeeze=False)[:, 0]
    for axes, i in zip(grid, chosen, strict=True):
        _plot_stream(axes, streams[i], found[i].score, threshold=threshold, span=spans[i])
    figure.legend(
        *grid[0].get_legend_handles_labels(),
        loc="outside upper right",
        ncols=4,
        frameon=False,
        fontsize=8,
    )
    save_plot(run, "anomalies", figure)


def _plot_stream(
    axes, stream: LabelledStream, score: np.ndarray, *, threshold: float, span: tuple[int, int]
) -> None:
    rows = np.arange(len(stream))  # not the times: they may go back, and leave gaps
    axes.plot(rows, stream.values, linewidth=0.7, color=GREY, label="values")
    for number, (first, last) in enumerate(stream.windows):
        axes.axvspan(
            first, last, color=ORANGE, alpha=0.2, linewidth=0, label=None if number else "labelled"
        )
    axes.axvspan(0, span[0], color=GREY, alpha=0.12, linewidth=0, label="does not count")
    alarm = rows[(score >= threshold) & (rows >= span[0]) & (rows < span[1])]
    axes.plot(alarm, stream.values[alarm, 0], "v", color=BLUE, markersize=5, label="alarm")
    axes.set_title(stream.name, fontsize=10, parse_math=False)
    axes.set_xlim(0, len(stream))
    ticks = np.linspace(0, len(stream) - 1, 6).astype(int)
    axes.set_xticks(ticks, [f"{stream.times[row]:%Y-%m-%d %H:%M}" for row in ticks], fontsize=8)
    below = axes.twinx()
    below.plot(rows, score, color=BLUE, linewidth=0.6, alpha=0.6)
    highest = max(float(score.max()), 1e-9)
    if np.isfinite(threshold):
        highest = max(highest, threshold)
        below.axhline(threshold, color=BLUE, linestyle=":", linewidth=0.8)
    below.set_ylim(0, 3 * highest)  # in the lower third
    below.set_ylabel("score", fontsize=8)
