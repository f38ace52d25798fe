"""LSTM or GRU? A recipe with one cell after the other: what each reaches on validation, and what it
costs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log, log_to_console, write_atomically, write_json
from rnn_cookbook.metrics import VAL_LOSS
from rnn_cookbook.nn.diagnostics import memory_horizon
from rnn_cookbook.nn.recurrent import CELLS
from rnn_cookbook.recipe import Recipe
from rnn_cookbook.run.folder import check_same
from rnn_cookbook.tune.plots import plot_comparison
from rnn_cookbook.tune.trial import train_apart

__all__ = ["DIRECTIONS", "compare"]

# What `bidirectional` may be, and the values of the recipe's option; None leaves it as it is.
DIRECTIONS: Mapping[str, tuple[bool | None, ...]] = {
    "as it is": (None,),
    "yes": (True,),
    "no": (False,),
    "both": (False, True),
}


class _Network(NamedTuple):
    """A network of the comparison."""

    cell: str
    bidirectional: bool | None

    @property
    def label(self) -> str:
        if self.bidirectional is None:
            return self.cell
        return self.cell + (", both directions" if self.bidirectional else ", one direction")

    def configured(self, config: Any, seed: int) -> Any:
        changed = replace(config, cell=self.cell, seed=seed)
        if self.bidirectional is None:
            return changed
        return replace(changed, bidirectional=self.bidirectional)


def _networks(recipe: Recipe, config: Any, cells: str, bidirectional: str) -> list[_Network]:
    wanted = [cell.strip() for cell in cells.split(",")]
    if unknown := [cell for cell in wanted if cell not in CELLS]:
        raise InputError(
            f"no cell {', '.join(map(repr, unknown))}; accepted are {', '.join(CELLS)}",
            field="cells",
        )
    if bidirectional not in DIRECTIONS:
        raise InputError(
            f"bidirectional must be one of {', '.join(DIRECTIONS)}; received {bidirectional!r}",
            field="bidirectional",
        )
    needed = ["cell", "units"]
    if DIRECTIONS[bidirectional] != (None,):
        needed.append("bidirectional")
    present = {field.name for field in fields(config)}
    for option in needed:
        if option not in present:
            raise InputError(f"recipe {recipe.name!r} has no option {option!r} to compare")
    return [_Network(cell, both) for cell in wanted for both in DIRECTIONS[bidirectional]]


def _claim_folder(
    folder: Path, recipe: Recipe, settings: Mapping[str, Any], *, resume: bool
) -> None:
    if (folder / "config.json").exists() and resume:
        check_same(folder, settings)
    elif folder.exists() and any(folder.iterdir()):
        raise InputError(
            f"{folder} exists: choose another folder, or resume the comparison in it",
            field=("output", "resume"),
        )
    else:
        write_json(folder / "config.json", {"recipe": recipe.name, **settings})


def _trained(
    recipe: Recipe, config: Any, networks: list[_Network], seeds: int, folder: Path
) -> list[dict[str, Any]]:
    """Trains every network with every seed; returns a row for each training."""
    rows = []
    for network in networks:
        for seed in range(seeds):
            log.info(
                "%s, seed %d (training %d of %d)",
                network.label,
                seed,
                len(rows) + 1,
                len(networks) * seeds,
            )
            place = folder / network.label.replace(", ", "-") / f"seed-{seed}"
            result = train_apart(recipe, network.configured(config, seed), place)
            if "error" in result:
                log.warning("%s, seed %d failed: %s", network.label, seed, result["error"])
            row = {"network": network.label, "cell": network.cell, "seed": seed}
            row.update(result.pop("scores", {}))
            row.update(result)
            rows.append(row)
    return rows


def _summary(done: pd.DataFrame, metric: str, units: int) -> pd.DataFrame:
    """A row for each network: means and standard deviations over the seeds."""
    horizons = memory_horizon(cells=sorted(set(done["cell"])), units=units)
    steps = dict(zip(horizons["cell"], horizons["horizon"], strict=True))
    groups = done.groupby("network", sort=False)
    return pd.DataFrame(
        {
            metric: groups[metric].mean(),
            "std": groups[metric].std(),
            "parameters": groups["parameters"].first(),
            "seconds an epoch": groups["seconds_an_epoch"].mean(),
            "memory, MB": groups["peak_memory_mb"].max(),
            "horizon, steps": groups["cell"].first().map(steps.get),
            "seeds": groups.size(),
        }
    )


def compare(
    recipe: Recipe,
    config: Any,
    *,
    cells: str = "simple_rnn,lstm,gru",
    bidirectional: str = "as it is",
    seeds: int = 3,
    output: str | Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    record: Callable[[pd.DataFrame, str], object] | None = None,
) -> str:
    """Trains a recipe with each cell and seed, each training in its own process.

    Writes `comparison.csv` (a row for each training), `summary.csv` and `plots/comparison.png`. The
    scores are those of the validation split. "horizon" is how many steps back the gradient reaches
    before training, down to a hundredth (`nn.diagnostics.memory_horizon`), in one direction.

    Args:
        recipe: recipe to compare in.
        config: configuration that all trainings share.
        cells: names of cells, separated by commas.
        bidirectional: one of `DIRECTIONS`, for a recipe that has this option.
        seeds: number of seeds of each network.
        output: folder of the comparison; `runs/<recipe>/compare-<time>` by default.
        resume: resume the comparison in that folder.
        quiet: log warnings only.
        record: function that receives the summary, and the name of its score.

    Returns:
        The summary as text.

    Raises:
        InputError: no such cell, a recipe without the option, a folder in use, or no training that
            ended well.
    """
    networks = _networks(recipe, config, cells, bidirectional)
    if seeds < 1:
        raise InputError(f"seeds must be at least 1; received {seeds}", field="seeds")
    default_folder = Path("runs") / recipe.name / time.strftime("compare-%Y-%m-%d_%H-%M-%S")
    folder = Path(output) if output else default_folder
    settings = {**asdict(config), "cells": cells, "both": bidirectional}
    _claim_folder(folder, recipe, settings, resume=resume)
    log_to_console(logging.WARNING if quiet else logging.INFO)
    rows = _trained(recipe, config, networks, seeds, folder)
    table = pd.DataFrame(rows)
    write_atomically(folder / "comparison.csv", lambda path: table.to_csv(path, index=False))
    metric = recipe.metric(config).name
    if metric not in table:
        log.warning("no training has a %s: compared by %s", metric, VAL_LOSS.name)
        metric = VAL_LOSS.name
    if metric not in table:
        raise InputError(
            f"none of {len(table)} trainings ended well; the last error: {rows[-1]['error']}"
        )
    done = table.dropna(subset=[metric])
    summary = _summary(done, metric, config.units)
    write_atomically(folder / "summary.csv", lambda path: summary.to_csv(path))
    plot_comparison(folder, done, metric=metric)
    if record:
        record(summary, metric)
    formats: dict[str | int, Callable[[float], str]] = {
        metric: "{:.4f}".format,
        "std": "{:.4f}".format,
        "seconds an epoch": "{:.1f}".format,
        "memory, MB": "{:.0f}".format,
    }
    text = summary.to_string(formatters=formats)
    return f"{text}\n\non validation; all trainings: {folder / 'comparison.csv'}"
