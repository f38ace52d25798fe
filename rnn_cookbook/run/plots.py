"""Plots that more than one application has: training curves and confusions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rnn_cookbook.files import write_atomically
from rnn_cookbook.run.folder import Run

__all__ = [
    "BLUE",
    "GREY",
    "ORANGE",
    "plot_confusion",
    "plot_training",
    "save_figure",
    "save_plot",
]

# Told apart by the colour-blind too (Okabe and Ito).
BLUE = "#0072b2"
ORANGE = "#d55e00"
GREY = "#999999"

_NUMBERED = 15  # classes up to which every cell shows its number
_NAMED = 40  # classes up to which the axes show names
_NAME_LENGTH = 30  # characters of a name
_INCHES_PER_CLASS = 0.7
_MAX_INCHES = 16  # hundreds of classes stay a picture


def save_figure(folder: Path, name: str, figure: Figure) -> None:
    """Writes `plots/<name>.png` into a folder."""
    write_atomically(
        folder / "plots" / f"{name}.png", lambda temporary: figure.savefig(temporary, dpi=120)
    )


def save_plot(run: Run, name: str, figure: Figure) -> None:
    """Writes `plots/<name>.png` into the run's folder."""
    save_figure(run.path, name, figure)


def plot_training(
    run: Run,
    history: Mapping[str, Any],
    *,
    metric: str,
    training: str = "training (with dropout)",
    unit: str = "nats",
) -> None:
    """Draws `plots/training.png`: the loss and a score by epoch. The epochs whose weights were kept
    are marked.

    Args:
        run: folder of the plot.
        history: what `run.fit.fit` returns.
        metric: score that is drawn beside the loss, where it was measured.
        training: legend of the training split.
        unit: unit of the loss.
    """
    best = history["best_epoch"]
    averaged = history["averaged"]
    rows = history["history"]
    epochs = [row["epoch"] + 1 for row in rows]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", metric), strict=True):
        if name in rows[0]:
            axes.plot(epochs, [row[name] for row in rows], "o-", color=GREY, label=training)
        validation = [row[f"val_{name}"] for row in rows]
        axes.plot(epochs, validation, "o-", color=BLUE, label="validation")
        if averaged > 1:
            axes.axvspan(
                len(rows) + 0.5 - averaged,
                len(rows) + 0.5,
                color=ORANGE,
                alpha=0.15,
                linewidth=0,
                label="kept: their mean",
            )
        else:
            axes.axvline(best + 1, color=ORANGE, linestyle=":", label="kept")
        axes.set(xlabel="epoch", ylabel=f"loss ({unit})" if name == "loss" else name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
    save_plot(run, "training", figure)


def plot_confusion(run: Run, labels: np.ndarray, predicted: np.ndarray, names: list[str]) -> None:
    """Draws `plots/confusion.png`: the fraction of each true class that is predicted as each class,
    with counts.

    Args:
        run: folder of the plot.
        labels: true classes, int[examples].
        predicted: predicted classes, int[examples].
        names: names of the classes.
    """
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(labels, predicted, labels=range(len(names)))
    fraction = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = min(max(3.6, _INCHES_PER_CLASS * len(names) + 1.5), _MAX_INCHES)
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(fraction, vmin=0, vmax=1, cmap="Blues")
    if len(names) <= _NUMBERED:
        for row, column in np.ndindex(counts.shape):
            axes.text(
                column,
                row,
                f"{counts[row, column]}\n{fraction[row, column]:.1%}",
                ha="center",
                va="center",
                color="white" if fraction[row, column] > 0.5 else "black",
                fontsize=8,
            )
    axes.set(xlabel="predicted", ylabel="true")
    if len(names) <= _NAMED:
        shown = [name[:_NAME_LENGTH] for name in names]
        ticks = range(len(names))
        rotation = 45 if len(names) > 3 else 0
        # parse_math: "$" is a character of a name, not a formula
        axes.set_xticks(ticks, labels=shown, rotation=rotation, parse_math=False)
        axes.set_yticks(ticks, labels=shown, parse_math=False)
    figure.colorbar(image, label="fraction of the true class")
    save_plot(run, "confusion", figure)
