"""LSTM or GRU? A recipe with one cell after the other: what each reaches on validation, and what it
costs."""

import time
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import ModuleType

import pandas as pd

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log, log_to_console, write_atomically, write_json
from rnn_cookbook.nn.diagnostics import memory_horizon
from rnn_cookbook.nn.recurrent import CELLS
from rnn_cookbook.recipe import metric_of
from rnn_cookbook.run.folder import check_same
from rnn_cookbook.tune.plots import plot_comparison
from rnn_cookbook.tune.trial import train_apart

DIRECTIONS = {"as it is": (None,), "yes": (True,), "no": (False,), "both": (False, True)}


def compare(
    module: ModuleType,
    recipe: str,
    config,
    *,
    cells: str = "simple_rnn,lstm,gru",
    bidirectional: str = "as it is",
    seeds: int = 3,
    output: str | None = None,
    resume: bool = False,
    quiet: bool = False,
    record: Callable[[pd.DataFrame, str], None] | None = None,
) -> str:
    """Trains a recipe with each cell and seed, each in a process of its own; returns a table.

    Writes `comparison.csv` (a row for each training), `summary.csv` and `plots/comparison.png`.
    Scores are those of the validation split. "horizon" is how many steps back the gradient reaches
    before training, down to a hundredth (`diagnostics.memory_horizon`), in one direction.

    Args:
        module, recipe: the recipe, and its name or file.
        config: what all the trainings have in common.
        cells: separated by commas.
        bidirectional: one of `DIRECTIONS`: of the recipes that have that option.
        seeds: of each.
        output: the folder; `runs/<recipe>/compare-<time>` by default.
        resume: go on with the comparison in it.
        quiet: warnings only.
        record: is given the table, and the name of its score.

    Raises:
        InputError: no such cell, a recipe without that option, or no training that ended well.
    """
    name, wanted, there = (
        Path(recipe).stem,
        [cell.strip() for cell in cells.split(",")],
        {field.name for field in fields(config)},
    )
    if unknown := [cell for cell in wanted if cell not in CELLS]:
        raise InputError(f"no cell {', '.join(map(repr, unknown))}; there are {', '.join(CELLS)}")
    if seeds < 1:
        raise InputError(f"a comparison needs 1 seed or more, got {seeds}")
    for option in ["cell", "units", *(["bidirectional"] if bidirectional != "as it is" else [])]:
        if option not in there:
            raise InputError(f"recipe {name!r} has no option --{option} to compare")
    folder = (
        Path(output) if output else Path("runs") / name / time.strftime("compare-%Y-%m-%d_%H-%M-%S")
    )
    settings = {**asdict(config), "cells": cells, "both": bidirectional}
    if (folder / "config.json").exists() and resume:
        check_same(folder, settings)
    elif folder.exists() and any(folder.iterdir()):
        raise InputError(
            f"{folder} exists: choose another --output, or add --resume to go on with the comparison in it"
        )
    else:
        write_json(folder / "config.json", {"recipe": name, **settings})
    log_to_console(30 if quiet else 20)
    rows = []
    variants = [(cell, both) for cell in wanted for both in DIRECTIONS[bidirectional]]
    for number, (cell, both) in enumerate(variants):
        direction = {} if both is None else {"bidirectional": both}
        label = cell + ("" if both is None else ", both directions" if both else ", one direction")
        for seed in range(seeds):
            log.info(
                "%s, seed %d (training %d of %d)",
                label,
                seed,
                number * seeds + seed + 1,
                len(variants) * seeds,
            )
            result = train_apart(
                recipe,
                replace(config, cell=cell, seed=seed, **direction),
                folder / label.replace(", ", "-") / f"seed-{seed}",
            )
            if "error" in result:
                log.warning("%s, seed %d failed: %s", label, seed, result["error"])
            scores = result.pop("scores", {})
            rows.append({"network": label, "cell": cell, "seed": seed, **scores, **result})
    table = pd.DataFrame(rows)
    write_atomically(folder / "comparison.csv", lambda path: table.to_csv(path, index=False))
    metric = metric_of(module, config)
    if metric not in table:
        log.warning("no training has a %s: compared by val_loss", metric)
        metric = "val_loss"
    if metric not in table:
        raise InputError(
            f"none of {len(table)} trainings ended well; the last error: {rows[-1]['error']}"
        )
    done = table[table[metric].notna()]
    groups = done.groupby("network", sort=False)
    horizons = memory_horizon(cells=sorted(set(done["cell"])), units=config.units).set_index(
        "cell"
    )["horizon"]
    summary = pd.DataFrame(
        {
            metric: groups[metric].mean(),
            "std": groups[metric].std(),
            "parameters": groups["parameters"].first(),
            "seconds an epoch": groups["seconds_an_epoch"].mean(),
            "memory, MB": groups["peak_memory_mb"].max(),
            "horizon, steps": groups["cell"].first().map(horizons),
            "seeds": groups.size(),
        }
    )
    write_atomically(folder / "summary.csv", lambda path: summary.to_csv(path))
    plot_comparison(folder, done, metric=metric)
    formats = {
        metric: "{:.4f}".format,
        "std": "{:.4f}".format,
        "seconds an epoch": "{:.1f}".format,
        "memory, MB": "{:.0f}".format,
    }
    if record:
        record(summary, metric)
    return f"{summary.to_string(formatters=formats)}\n\non validation; all trainings: {folder / 'comparison.csv'}"
