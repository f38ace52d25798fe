"""What a search shows: the score of its trials one after the other, what the parameters are worth,
and all of them side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from rnn_cookbook.run.report import BLUE, GREY, ORANGE, save_figure

_LEAST = 6  # trials that an importance needs


def plot_search(
    folder: Path, table: pd.DataFrame, *, parameters: Sequence[str], objective: str, direction: str
) -> None:
    """`plots/scores.png`, `plots/parallel.png`, and, of six trials or more, `plots/importance.png`.

    Args:
        folder: of the search.
        table: a row for each trial, with "score" and a column for each parameter.
        parameters: that were searched.
        objective: what the score is.
        direction: "max" or "min".
    """
    done = table[table["score"].notna()].reset_index(drop=True)
    if not len(done):
        return
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = figure.subplots()
    best = done["score"].cummax() if direction == "max" else done["score"].cummin()
    axes.plot(done.index + 1, done["score"], "o", color=GREY, label="trial")
    axes.step(done.index + 1, best, where="post", color=BLUE, label="best so far")
    axes.set(xlabel="trial with a score", ylabel=f"{objective}, validation")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False)
    save_figure(folder, "scores", figure)
    present = [name for name in parameters if name in done and done[name].nunique(dropna=False) > 1]
    if not present:
        return
    _plot_parallel(folder, done, present, objective, direction)
    if len(done) >= _LEAST and done["score"].nunique() > 1:
        worth = importance(done, present)
        figure = Figure(figsize=(7, 0.35 * len(present) + 1.2), layout="constrained")
        axes = figure.subplots()
        order = np.argsort(worth)
        axes.barh(range(len(present)), np.array(worth)[order], color=BLUE)
        axes.set_yticks(range(len(present)), [present[i] for i in order], parse_math=False)
        axes.set(
            xlabel=f"share of what {objective} differs by (of {len(done)} trials: a hint, no proof)"
        )
        save_figure(folder, "importance", figure)


def plot_comparison(folder: Path, done: pd.DataFrame, *, metric: str) -> None:
    """`plots/comparison.png`: of each network the score, the parameters, the time and the memory,
    with the spread over the seeds.

    `done` has a row for each training: "network", `metric`, "parameters", "seconds_an_epoch" and
    "peak_memory_mb".
    """
    names = list(dict.fromkeys(done["network"]))
    measures = {
        metric: f"{metric}, validation",
        "parameters": "parameters",
        "seconds_an_epoch": "seconds an epoch",
        "peak_memory_mb": "MB",
    }
    figure = Figure(figsize=(12, 0.45 * len(names) + 1.6), layout="constrained")
    for axes, (column, title) in zip(
        figure.subplots(1, len(measures), sharey=True), measures.items(), strict=True
    ):
        for y, name in enumerate(names):
            values = done.loc[done["network"] == name, column]
            axes.barh(y, values.mean(), color=BLUE, alpha=0.7)
            axes.plot(values, [y] * len(values), "o", color=ORANGE, markersize=4)
        axes.set(xlabel=title)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis() if column == metric else None
    save_figure(folder, "comparison", figure)


def importance(done: pd.DataFrame, parameters: Sequence[str]) -> list[float]:
    """How much of the score each parameter explains, by the impurity that a random forest (Breiman
    2001) takes away with it; the shares sum to 1, or are all 0."""
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(200, min_samples_leaf=2, random_state=0)
    return forest.fit(
        np.stack([_places(done[name])[0] for name in parameters], axis=1), done["score"]
    ).feature_importances_.tolist()


def _plot_parallel(
    folder: Path, done: pd.DataFrame, parameters: Sequence[str], objective: str, direction: str
) -> None:
    figure = Figure(figsize=(1.4 * len(parameters) + 3, 4.2), layout="constrained")
    axes = figure.subplots()
    columns = [_places(done[name]) for name in parameters]
    score = done["score"].to_numpy(float)
    low, high = score.min(), score.max()
    lines = np.stack(
        [
            *(place for place, _ in columns),
            (score - low) / (high - low) if high > low else np.full(len(score), 0.5),
        ],
        axis=1,
    )
    colours = Normalize(low, high)
    palette = colormaps["viridis" if direction == "max" else "viridis_r"]
    for i in np.argsort(score if direction == "max" else -score):  # the best on top
        axes.plot(range(lines.shape[1]), lines[i], color=palette(colours(score[i])), alpha=0.8)
    chosen = int(score.argmax() if direction == "max" else score.argmin())
    axes.plot(range(lines.shape[1]), lines[chosen], color=ORANGE, linewidth=3, label="best")
    for x, (_, ticks) in enumerate([*columns, (None, [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")])]):
        axes.axvline(x, color=GREY, linewidth=0.8)
        for y, text in ticks:
            axes.text(x + 0.03, y, text, fontsize=8, va="center", parse_math=False)
    axes.set_xticks(
        range(lines.shape[1]), [*parameters, objective], rotation=20, ha="right", parse_math=False
    )
    axes.set_yticks([])
    axes.set(xlim=(-0.1, lines.shape[1] - 0.5), ylim=(-0.08, 1.12))
    axes.legend(frameon=False, loc="upper right")
    save_figure(folder, "parallel", figure)


def _places(column: pd.Series) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """Where the values of a parameter lie between 0 and 1, and what to write there: numbers by
    size, on a logarithmic scale where they span more than a factor of 50; others in alphabetical
    order."""
    values = column.to_numpy()
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if not numeric:
        names = sorted({str(value) for value in values})
        place = {name: i / max(len(names) - 1, 1) for i, name in enumerate(names)}
        return np.array([place[str(value)] for value in values]), [
            (y, name) for name, y in place.items()
        ]
    numbers = values.astype(float)
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    scale = np.log if low > 0 and high / low > 50 else np.asarray
    place = (
        (scale(numbers) - scale(low)) / (scale(high) - scale(low))
        if high > low
        else np.full(len(numbers), 0.5)
    )
    return np.nan_to_num(place, nan=-0.05), [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")]
