"""Records: several seeds of one setting, summed up in `recipes/results/<recipe>.json`; and the
comparison of cells, in `recipes/results/<recipe>/cells.json`."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import write_json
from rnn_cookbook.metrics import Metric
from rnn_cookbook.recipe import Recipe
from rnn_cookbook.run.folder import Run, check_same, environment

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["record", "record_cells", "summary"]

_VERSIONS = ("rnn_cookbook", "tensorflow", "keras", "python")
_DIGITS = 5


def record(
    recipe: Recipe,
    config: Any,
    *,
    seeds: int,
    setting: str,
    command: str,
    output: str | Path | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> str:
    """Runs seeds 0 to `seeds - 1` of a setting, each in its own folder, and writes its record.

    Where the test split is fixed, the baselines are trained once; where it depends on the seed,
    they are trained for every seed.

    Args:
        recipe: recipe to run.
        config: configuration of the setting.
        seeds: number of seeds.
        setting: name of the setting, under which the record is kept.
        command: command that makes the same record, as it is written into it.
        output: folder of the runs; `runs/<recipe>/record-<setting>` by default.
        resume: take finished seeds as they are and resume the interrupted one.
        quiet: no progress.

    Returns:
        The record as text.

    Raises:
        InputError: no seed, or a folder that holds runs of other settings.
    """
    if seeds < 1:
        raise InputError(f"seeds must be at least 1; received {seeds}", field="seeds")
    folder = Path(output) if output else Path("runs") / recipe.name / f"record-{setting}"
    reports = []
    for seed in range(seeds):
        with_baselines = config.baselines and (seed == 0 or not _has_fixed_split(recipe, config))
        settings = replace(config, seed=seed, baselines=with_baselines)
        path = folder / f"seed-{seed}"
        reports.append(_report(recipe, settings, path, resume=resume, quiet=quiet))
    entry = summary(reports, metric=recipe.metric(config), setting=setting, command=command)
    results = recipe.file.parent / "results" / f"{recipe.name}.json"
    others = [old for old in _read(results) if old["setting"] != setting]
    records = sorted(
        [*others, entry], key=lambda old: (old["setting"] != "default", old["setting"])
    )
    write_json(results, records)
    return json.dumps(entry, indent=2) + f"\n\nrecorded in {results}"


def _has_fixed_split(recipe: Recipe, config: Any) -> bool:
    """Whether every seed has the test split of the recipe's benchmark: another data set, or another
    way to split it, is split by the seed."""
    benchmark = vars(recipe.Config())
    settings = vars(config)
    return all(settings.get(name) == benchmark.get(name) for name in ("data", "split"))


def _report(recipe: Recipe, settings: Any, path: Path, *, resume: bool, quiet: bool) -> dict:
    """The contents of `metrics.json` of one seed, which is run where it is not finished."""
    file = path / "metrics.json"
    begun = resume and path.exists()
    if begun:
        check_same(path, asdict(settings))
    if not (begun and file.exists()):
        run = Run(recipe=recipe.name, config=settings, output=path, resume=begun, quiet=quiet)
        recipe.module.main(settings, run)
    return json.loads(file.read_text(encoding="utf-8"))


def summary(reports: list[dict], *, metric: Metric, setting: str, command: str) -> dict:
    """Sums up the reports of several seeds: mean and sample standard deviation.

    Args:
        reports: contents of each seed's `metrics.json`.
        metric: score that the record is compared by.
        setting: name of the setting.
        command: command that makes the same record.

    Returns:
        One record of `recipes/results/<recipe>.json`.
    """
    first = reports[0]
    sizes = ", ".join(f"{size} {split}" for split, size in first["splits"].items())
    record = {
        "setting": setting,
        "metric": metric.name,
        "higher_is_better": metric.higher_is_better,
        "command": command,
        "data": first["data"],
        "seeds": [report["seed"] for report in reports],
        "protocol": f"{sizes}; chosen on validation, test read once",
        "test": _over_seeds(reports, "test"),
        "validation": _over_seeds(reports, "validation"),
        "baselines": _mean_baselines([each["baselines"] for each in reports if each["baselines"]]),
        "training_minutes": _statistics([each["training"]["seconds"] / 60 for each in reports]),
        "parameters": first["model"]["parameters"],
        "peak_memory_mb": max(report["training"]["peak_memory_mb"] for report in reports),
    }
    if "scorer" in first:
        record["scorer"] = first["scorer"]
    return {**record, **_made_on(first["environment"])}


def record_cells(
    recipe: Recipe, table: pd.DataFrame, metric: str, *, data: str, command: str
) -> None:
    """Writes the table of `tune.compare` into `recipes/results/<recipe>/cells.json`.

    Args:
        recipe: recipe that was compared.
        table: a row for each network.
        metric: column of the score.
        data: data set.
        command: command that makes the same table.
    """
    rows = json.loads(str(table.reset_index().round(6).to_json(orient="records")))
    entry = {
        "metric": metric,
        "data": data,
        "split": "validation",
        "command": command,
        "networks": rows,
        **_made_on(environment()),
    }
    write_json(recipe.file.parent / "results" / recipe.name / "cells.json", entry)


def _over_seeds(reports: list[dict], split: str) -> dict:
    names = reports[0][split]
    return {name: _statistics([report[split][name] for report in reports]) for name in names}


def _statistics(values: list[float]) -> dict:
    return {
        "mean": round(mean(values), _DIGITS),
        "std": round(stdev(values), _DIGITS) if len(values) > 1 else 0.0,
        "values": [round(value, _DIGITS) for value in values],
    }


def _mean_baselines(reports: list[dict]) -> dict:
    means: dict[str, dict] = {}
    for name, scores in (reports[0] if reports else {}).items():
        means[name] = {
            metric: round(mean(report[name][metric] for report in reports), _DIGITS)
            for metric in scores
        }
    return means


def _made_on(machine: dict) -> dict:
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    return {
        "hardware": f"{machine['cores']} cores of {machine['cpu']}{gpu}",
        "versions": {name: machine[name] for name in _VERSIONS},
        "commit": _commit(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _commit() -> str:
    """The commit of the checkout that the code was run from, "+" where it had changes; empty
    outside a checkout."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", "recipes/*.py", "rnn_cookbook")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return commit + ("+" if changed else "")


def _git(*arguments: str) -> str:
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
    )
    return ended.stdout.strip()


def _read(file: Path) -> list[dict]:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
