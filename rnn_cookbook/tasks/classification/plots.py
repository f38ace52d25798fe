"""What runs on texts show of their test split: predictions, mistakes, and where they were made."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from rnn_cookbook.files import log, write_text
from rnn_cookbook.run.folder import Run
from rnn_cookbook.run.plots import plot_confusion
from rnn_cookbook.run.report import BLUE, save_plot
from rnn_cookbook.tasks.classification.scores import accuracy_by_length


def write_classification(
    run: Run,
    texts: Sequence[str],
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    classes,
    lengths,
    unit: str,
) -> None:
    """What a classifier's run folder shows of the test split.

    `predictions.jsonl` in the order of the split; `mistakes.txt`, the 20 most confident ones;
    `plots/confusion.png`; and `plots/accuracy_by_length.png`.

    Args:
        run: where to write.
        texts: the raw examples.
        labels: int[examples].
        probabilities: float[examples, classes].
        classes: their names.
        lengths: of the examples, before anything was cut.
        unit: of the lengths.
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    rows = zip(labels, predicted, confidence, strict=True)
    run.write_lines(
        "predictions.jsonl",
        (
            {
                "label": classes[label],
                "predicted": classes[guess],
                "probability": round(float(share), 5),
            }
            for label, guess, share in rows
        ),
    )
    wrong = sorted(np.flatnonzero(predicted != labels), key=lambda i: -confidence[i])[:20]
    mistakes = (
        f"[{i}] {classes[labels[i]]}, taken for {classes[predicted[i]]} ({confidence[i]:.1%})\n{texts[i]}\n\n"
        for i in wrong
    )
    write_text(run.path / "mistakes.txt", "".join(mistakes) or "no mistakes\n")
    log.info("the %d most confident mistakes: %s", len(wrong), run.path / "mistakes.txt")
    plot_confusion(run, labels, predicted, classes)
    plot_by_length(run, accuracy_by_length(labels, predicted, lengths), unit=unit)


def plot_by_length(run: Run, groups: list[dict], *, unit: str) -> None:
    """`plots/accuracy_by_length.png`: accuracy of groups of equal size, with the 95% interval of
    their size."""
    accuracy = np.array([group["accuracy"] for group in groups])
    error = 1.96 * np.sqrt(
        accuracy * (1 - accuracy) / np.array([group["examples"] for group in groups])
    )
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.errorbar(range(len(groups)), accuracy, yerr=error, fmt="o-", color=BLUE, capsize=3)
    axes.set_xticks(
        range(len(groups)),
        [f"{group['shortest']}–{group['longest']}" for group in groups],
        rotation=30,
        ha="right",
    )
    axes.set(xlabel=f"length of the text ({unit})", ylabel="accuracy (with its 95% interval)")
    save_plot(run, "accuracy_by_length", figure)
