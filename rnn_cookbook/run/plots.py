"""Plots that more than one application has."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from rnn_cookbook.run.folder import Run
from rnn_cookbook.run.report import save_plot

__all__ = ["plot_confusion"]

_NUMBERED = 15  # classes up to which every cell shows its number
_NAMED = 40  # classes up to which the axes show names
_NAME_LENGTH = 30  # characters of a name
_INCHES_PER_CLASS = 0.7
_MAX_INCHES = 16  # hundreds of classes stay a picture


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
