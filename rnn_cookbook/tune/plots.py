"""Plots of a search (the scores of its trials, the importance of the parameters, all trials side by
side) and of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rnn_cookbook.metrics import Metric
from rnn_cookbook.run.plots import BLUE, GREY, ORANGE, save_figure

__all__ = ["importance", "plot_comparison", "plot_search"]

_MIN_TRIALS = 6  # trials that an importance needs
_LOGARITHMIC = 50  # ratio of the largest to the smallest value from which a scale is logarithmic
_ABSENT = -0.05  # place of a value that a trial does not have: below the axis


def _places(values: np.ndarray) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """The places of a parameter's values between 0 and 1, and the labels of the axis: numbers by
    size, on a logarithmic scale where they span more than a factor of 50, other values in
    alphabetical order."""
    if not np.issubdtype(values.dtype, np.number):
        names = sorted({str(value) for value in values})
        place = {name: i / max(len(names) - 1, 1) for i, name in enumerate(names)}
        labels = [(y, name) for name, y in place.items()]
        return np.array([place[str(value)] for value in values]), labels
    numbers = values.astype(float)
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    labels = [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")]
    if high <= low:
        return np.where(np.isnan(numbers), _ABSENT, 0.5), labels
    scale = np.log if low > 0 and high / low > _LOGARITHMIC else np.asarray
    places = (scale(numbers) - scale(low)) / (scale(high) - scale(low))
    return np.nan_to_num(places, nan=_ABSENT), labels


def importance(done: pd.DataFrame, parameters: Sequence[str]) -> list[float]:
    """Estimates how much of the score each parameter explains, by the impurity that a random forest
    (Breiman 2001) removes with it.

    Args:
        done: a row for each trial with a "score", and a column for each parameter.
        parameters: names of the parameters.

    Returns:
        A fraction for each parameter; they sum to 1, or are all 0.
    """
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(200, min_samples_leaf=2, random_state=0)
    places = np.stack([_places(done[name].to_numpy())[0] for name in parameters], axis=1)
    return forest.fit(places, done["score"]).feature_importances_.tolist()


def _plot_scores(folder: Path, done: pd.DataFrame, metric: Metric) -> None:
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = figure.subplots()
    best = done["score"].cummax() if metric.higher_is_better else done["score"].cummin()
    numbers = done.index + 1
    axes.plot(numbers, done["score"], "o", color=GREY, label="trial")
    axes.step(numbers, best, where="post", color=BLUE, label="best so far")
    axes.set(xlabel="trial with a score", ylabel=f"{metric.name}, validation")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.legend(frameon=False)
    save_figure(folder, "scores", figure)


def _plot_importance(
    folder: Path, done: pd.DataFrame, parameters: Sequence[str], metric: Metric
) -> None:
    fractions = np.array(importance(done, parameters))
    figure = Figure(figsize=(7, 0.35 * len(parameters) + 1.2), layout="constrained")
    axes = figure.subplots()
    order = np.argsort(fractions)
    axes.barh(range(len(parameters)), fractions[order], color=BLUE)
    axes.set_yticks(range(len(parameters)), [str(parameters[i]) for i in order], parse_math=False)
    axes.set(
        xlabel=f"fraction of the differences in {metric.name} ({len(done)} trials: a hint, no "
        "proof)"
    )
    save_figure(folder, "importance", figure)


def _plot_parallel(
    folder: Path, done: pd.DataFrame, parameters: Sequence[str], metric: Metric
) -> None:
    figure = Figure(figsize=(1.4 * len(parameters) + 3, 4.2), layout="constrained")
    axes = figure.subplots()
    score = done["score"].to_numpy(float)
    low, high = score.min(), score.max()
    height = (score - low) / (high - low) if high > low else np.full(len(score), 0.5)
    columns = [_places(done[name].to_numpy()) for name in parameters]
    columns.append((height, [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")]))
    lines = np.stack([place for place, _ in columns], axis=1)
    colours = Normalize(low, high)
    palette = colormaps["viridis" if metric.higher_is_better else "viridis_r"]
    positions = range(len(columns))
    for i in np.argsort(score if metric.higher_is_better else -score):  # the best on top
        axes.plot(positions, lines[i], color=palette(colours(score[i])), alpha=0.8)
    chosen = int(score.argmax() if metric.higher_is_better else score.argmin())
    axes.plot(positions, lines[chosen], color=ORANGE, linewidth=3, label="best")
    for x, (_, ticks) in enumerate(columns):
        axes.axvline(x, color=GREY, linewidth=0.8)
        for y, text in ticks:
            axes.text(x + 0.03, y, text, fontsize=8, va="center", parse_math=False)
    names = [*parameters, metric.name]
    axes.set_xticks(positions, names, rotation=20, ha="right", parse_math=False)
    axes.set_yticks([])
    axes.set(xlim=(-0.1, len(columns) - 0.5), ylim=(-0.08, 1.12))
    axes.legend(frameon=False, loc="upper right")
    save_figure(folder, "parallel", figure)


def plot_search(
    folder: Path, table: pd.DataFrame, *, parameters: Sequence[str], metric: Metric
) -> None:
    """Plots a search: `plots/scores.png`, `plots/parallel.png`, and for six trials or more
    `plots/importance.png`.

    Args:
        folder: folder of the search.
        table: a row for each trial, with "score" and a column for each parameter.
        parameters: names of the parameters that were searched.
        metric: objective.
    """
    done = table.dropna(subset=["score"]).reset_index(drop=True)
    if not len(done):
        return
    _plot_scores(folder, done, metric)
    present = [name for name in parameters if name in done]
    varied = [name for name in present if len(pd.unique(done[name].to_numpy())) > 1]
    if not varied:
        return
    _plot_parallel(folder, done, varied, metric)
    if len(done) >= _MIN_TRIALS and np.ptp(done["score"].to_numpy(float)) > 0:
        _plot_importance(folder, done, varied, metric)


def plot_comparison(folder: Path, done: pd.DataFrame, *, metric: str) -> None:
    """Plots a comparison, `plots/comparison.png`: score, parameters, time and memory of each
    network, with a point for each seed.

    Args:
        folder: folder of the comparison.
        done: a row for each training, with "network", the score, "parameters", "seconds_an_epoch"
            and "peak_memory_mb".
        metric: name of the score.
    """
    names = list(dict.fromkeys(done["network"]))
    measures = {
        metric: f"{metric}, validation",
        "parameters": "parameters",
        "seconds_an_epoch": "seconds per epoch",
        "peak_memory_mb": "MB",
    }
    figure = Figure(figsize=(12, 0.45 * len(names) + 1.6), layout="constrained")
    panels = figure.subplots(1, len(measures), sharey=True)
    for axes, (column, title) in zip(panels, measures.items(), strict=True):
        for y, name in enumerate(names):
            values = done.loc[done["network"] == name, column]
            axes.barh(y, values.mean(), color=BLUE, alpha=0.7)
            axes.plot(values, [y] * len(values), "o", color=ORANGE, markersize=4)
        axes.set(xlabel=title)
        axes.set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()  # shared by all panels
    save_figure(folder, "comparison", figure)
