"""What a classifier's run folder shows of the test split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rnn_cookbook.files import log, write_text
from rnn_cookbook.run.folder import Run
from rnn_cookbook.run.plots import BLUE, plot_confusion, save_plot
from rnn_cookbook.tasks.classification.scores import accuracy_by_length

__all__ = ["plot_by_length", "write_classification"]

_MISTAKES = 20  # texts in mistakes.txt
_INTERVAL_95 = 1.96  # standard errors to either side of a mean


def plot_by_length(run: Run, groups: list[dict[str, Any]], *, unit: str) -> None:
    """Draws `plots/accuracy_by_length.png`: the accuracy of each group, with its 95% interval.

    Args:
        run: run whose folder the plot goes into.
        groups: what `scores.accuracy_by_length` returns.
        unit: unit of the lengths, for the axis.
    """
    accuracy = np.array([group["accuracy"] for group in groups])
    examples = np.array([group["examples"] for group in groups])
    error = _INTERVAL_95 * np.sqrt(accuracy * (1 - accuracy) / examples)
    names = [f"{group['shortest']}–{group['longest']}" for group in groups]
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.errorbar(range(len(groups)), accuracy, yerr=error, fmt="o-", color=BLUE, capsize=3)
    axes.set_xticks(range(len(groups)), names, rotation=30, ha="right")
    axes.set(xlabel=f"length of the text ({unit})", ylabel="accuracy (with its 95% interval)")
    save_plot(run, "accuracy_by_length", figure)


def _mistake(number: int, text: str, label: str, predicted: str, confidence: float) -> str:
    return f"[{number}] {label}, taken for {predicted} ({confidence:.1%})\n{text}\n\n"


def write_classification(
    run: Run,
    texts: Sequence[str],
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    classes: Sequence[str],
    lengths: Sequence[int],
    unit: str,
) -> None:
    """Writes what a classifier's run folder shows of the test split.

    `predictions.jsonl`, in the order of the split; `mistakes.txt`, the 20 most confident mistakes;
    `plots/confusion.png`; `plots/accuracy_by_length.png`.

    Args:
        run: run whose folder the files go into.
        texts: raw examples.
        labels: right classes, int[examples].
        probabilities: predicted distribution of each example, float[examples, classes].
        classes: names of the classes.
        lengths: length of each example, before anything was cut.
        unit: unit of the lengths.
    """
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    right_names = [classes[int(number)] for number in labels]
    predicted_names = [classes[int(number)] for number in predicted]
    rows = [
        {"label": label, "predicted": guess, "probability": round(float(probability), 5)}
        for label, guess, probability in zip(right_names, predicted_names, confidence, strict=True)
    ]
    run.write_lines("predictions.jsonl", rows)
    wrong = np.flatnonzero(predicted != labels).tolist()
    shown = sorted(wrong, key=lambda i: -confidence[i])[:_MISTAKES]
    mistakes = [
        _mistake(i, texts[i], right_names[i], predicted_names[i], confidence[i]) for i in shown
    ]
    write_text(run.path / "mistakes.txt", "".join(mistakes) or "no mistakes\n")
    log.info("the %d most confident mistakes: %s", len(shown), run.path / "mistakes.txt")
    plot_confusion(run, labels, predicted, list(classes))
    plot_by_length(run, accuracy_by_length(labels, predicted, lengths), unit=unit)
