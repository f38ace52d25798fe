"""Plots that more than one application has."""

import numpy as np
from matplotlib.figure import Figure

from rnn_cookbook.run.folder import Run
from rnn_cookbook.run.report import save_plot


def plot_confusion(run: Run, labels: np.ndarray, predicted: np.ndarray, names: list[str]) -> None:
    """`plots/confusion.png`: shares of each true class, with counts."""
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(labels, predicted, labels=range(len(names)))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = min(max(3.6, 0.7 * len(names) + 1.5), 16)  # inches; hundreds of classes stay a picture
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
    if len(names) <= 15:
        for row, column in np.ndindex(counts.shape):
            axes.text(
                column,
                row,
                f"{counts[row, column]}\n{share[row, column]:.1%}",
                ha="center",
                va="center",
                color="white" if share[row, column] > 0.5 else "black",
                fontsize=8,
            )
    axes.set(xlabel="predicted", ylabel="true")
    if len(names) <= 40:
        labels = {
            "labels": [name[:30] for name in names],
            "parse_math": False,
        }  # "$" is a character of a label, not a formula
        axes.set_xticks(range(len(names)), rotation=45 if len(names) > 3 else 0, **labels)
        axes.set_yticks(range(len(names)), **labels)
    figure.colorbar(image, label="share of the true class")
    save_plot(run, "confusion", figure)
