"""`run --record`: several seeds of one setting, summed up in `recipes/results/<recipe>.json`;
`compare --record`: its table, in `recipes/results/<recipe>/cells.json`; and the README's tables
from these."""

import json
import re
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, stdev
from types import ModuleType

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import write_json, write_text
from rnn_cookbook.recipe import recipe_files
from rnn_cookbook.run.folder import Run, check_same, environment

START, END = (
    "<!-- results: written by python -m rnn_cookbook.run.record README.md -->",
    "<!-- end of results -->",
)
CELLS_START, CELLS_END = (
    "<!-- cells: written by python -m rnn_cookbook.run.record README.md -->",
    "<!-- end of cells -->",
)


def record(
    module: ModuleType,
    name: str,
    config,
    *,
    seeds: int,
    setting: str,
    command: str,
    output: str | None,
    resume: bool,
    quiet: bool,
) -> str:
    """Runs seeds 0 to `seeds - 1`, each in a folder of its own, and writes the record of `setting`;
    returns it as text.

    With `resume`, finished seeds are taken as they are and the interrupted one goes on. On the
    recipe's benchmark, whose test split is fixed, the baselines are trained once; elsewhere, and
    where a setting splits it otherwise, the split depends on the seed, and they are trained on
    every one.
    """
    if seeds < 1:
        raise InputError(f"--seeds needs 1 or more, got {seeds}")
    folder = Path(output) if output else Path("runs") / name / f"record-{setting}"
    reports = []
    for seed in range(seeds):
        path = folder / f"seed-{seed}"
        file = path / "metrics.json"
        usual = module.Config()
        fixed_split = config.data == usual.data and getattr(config, "split", None) == getattr(
            usual, "split", None
        )
        settings = replace(
            config, seed=seed, baselines=config.baselines and (seed == 0 or not fixed_split)
        )
        if resume and path.exists():
            check_same(path, asdict(settings))
        if not (resume and file.exists()):
            module.main(
                settings,
                Run(
                    recipe=name,
                    config=settings,
                    output=path,
                    resume=resume and path.exists(),
                    quiet=quiet,
                ),
            )
        reports.append(json.loads(file.read_text(encoding="utf-8")))
    higher = getattr(module, "HIGHER_IS_BETTER", True)
    entry = summary(
        reports, metric=module.METRIC, setting=setting, command=command, higher_is_better=higher
    )
    results = Path(module.__file__).parent / "results" / f"{name}.json"
    others = [old for old in _read(results) if old["setting"] != setting]
    write_json(
        results,
        sorted([*others, entry], key=lambda old: (old["setting"] != "default", old["setting"])),
    )
    return json.dumps(entry, indent=2) + f"\n\nrecorded in {results}"


def summary(
    reports: list[dict], *, metric: str, setting: str, command: str, higher_is_better: bool = True
) -> dict:
    """One record of `recipes/results/`: mean and sample standard deviation over the seeds' reports."""
    first = reports[0]
    minutes = [report["training"]["seconds"] / 60 for report in reports]
    return {
        "setting": setting,
        "metric": metric,
        "higher_is_better": higher_is_better,
        "command": command,
        "data": first["data"],
        "seeds": [report["seed"] for report in reports],
        "protocol": ", ".join(f"{size} {split}" for split, size in first["splits"].items())
        + "; chosen on validation, test read once",
        "test": {
            metric: _spread([report["test"][metric] for report in reports])
            for metric in first["test"]
        },
        "validation": {
            metric: _spread([report["validation"][metric] for report in reports])
            for metric in first["validation"]
        },
        "baselines": _mean_baselines(
            [report["baselines"] for report in reports if report["baselines"]]
        ),
        "training_minutes": _spread(minutes),
        "parameters": first["model"]["parameters"],
        "peak_memory_mb": max(report["training"]["peak_memory_mb"] for report in reports),
        **({"scorer": first["scorer"]} if "scorer" in first else {}),
        **_made_on(first["environment"]),
    }


def record_cells(
    module: ModuleType, name: str, table, metric: str, *, data: str, command: str
) -> None:
    """Writes the table of `comparing.compare`, as it stands then, with what it was measured on."""
    rows = json.loads(table.reset_index().round(6).to_json(orient="records"))
    entry = {
        "metric": metric,
        "data": data,
        "split": "validation",
        "command": command,
        "networks": rows,
        **_made_on(environment()),
    }
    write_json(Path(module.__file__).parent / "results" / name / "cells.json", entry)


def _made_on(machine: dict) -> dict:
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    return {
        "hardware": f"{machine['cores']} cores of {machine['cpu']}{gpu}",
        "versions": {
            key: machine[key] for key in ("rnn_cookbook", "tensorflow", "keras", "python")
        },
        "commit": _commit(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _spread(values: list[float]) -> dict:
    return {
        "mean": round(mean(values), 5),
        "std": round(stdev(values), 5) if len(values) > 1 else 0.0,
        "values": [round(value, 5) for value in values],
    }


def _mean_baselines(reports: list[dict]) -> dict:
    names = reports[0] if reports else {}
    return {
        name: {
            metric: round(mean(report[name][metric] for report in reports), 5)
            for metric in reports[0][name]
        }
        for name in names
    }


def _commit() -> str:
    """The commit of the checkout that the code was run from, "+" where it had changes; empty
    outside a checkout."""
    root = Path(__file__).parent.parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--", "recipes/*.py", "rnn_cookbook"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return commit + ("+" if changed.stdout.strip() else "")


def _read(file: Path) -> list[dict]:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else []


# What was recorded, for the README's table, its gallery and the notebooks


def recorded(folder: Path | None = None) -> list[dict]:
    """One dictionary for each record of every recipe, of those that come with the library unless a
    folder of records is given.

    "recipe", "setting", "data", "metric", "higher_is_better"; "mean", "std" and "seeds" (how many)
    of the network's test score; "baseline", the name of the best method without a network, with its
    "baseline_score" and "baseline_seconds"; "network_wins"; "published", what is printed at a
    public source, in words; "minutes" of training a seed; "hardware".
    """
    folder = folder or next(iter(recipe_files().values())).parent / "results"
    rows, others = [], folder.parent / "published.json"
    published = json.loads(others.read_text(encoding="utf-8")) if others.exists() else {}
    for file in sorted(folder.glob("*.json")):
        records = _read(file)
        # Settings that were recorded without baselines are compared with another's on the same test
        # split.
        shared = {
            _test_split(record): record["baselines"] for record in records if record["baselines"]
        }
        for record in records:
            metric, ours = record["metric"], record["test"][record["metric"]]
            baselines = record["baselines"] or shared.get(_test_split(record))
            if not baselines:
                raise InputError(
                    f"{file}: setting {record['setting']!r} has no baselines, nor has another on its test split"
                )
            name = _best(baselines, record)
            best = baselines[name][metric]
            rows.append(
                {
                    "recipe": file.stem,
                    **{key: record[key] for key in ("setting", "data", "metric")},
                    "higher_is_better": _higher(record),
                    "mean": ours["mean"],
                    "std": ours["std"],
                    "seeds": len(record["seeds"]),
                    "baseline": name,
                    "baseline_score": best,
                    "baseline_seconds": baselines[name]["seconds"],
                    "network_wins": ours["mean"] != best
                    and (ours["mean"] > best) == _higher(record),
                    "published": published.get(file.stem, {}).get(record["setting"], ""),
                    "minutes": record["training_minutes"]["mean"],
                    "hardware": record["hardware"],
                }
            )
    return rows


def table(folder: Path) -> str:
    """Markdown: a row for every record of every recipe in `folder`, the best of model and baselines
    in bold."""
    lines = [
        "| recipe | setting | data | metric | this model, test | best baseline, same run | wins | published | minutes a seed | hardware |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in recorded(folder):
        wins = row["network_wins"]
        ours = (
            _bold(_with_spread(row["mean"], row["std"], row["seeds"]), wins)
            + f" ({row['seeds']} seed{'s' * (row['seeds'] > 1)})"
        )
        rival = (
            _bold(f"{row['baseline_score']:.4f}", not wins)
            + f" {row['baseline']}, {row['baseline_seconds']:.0f} s"
        )
        lines.append(
            f"| [{row['recipe']}](recipes/{row['recipe']}.py) | {row['setting']} | {row['data']} | {row['metric']} | {ours} | {rival} "
            f"| {'the network' if wins else 'the baseline'} | {row['published'] or '–'} | {row['minutes']:.1f} | {row['hardware']} |"
        )
    return "\n".join(lines)


def cells_table(folder: Path) -> str:
    """Markdown: a row for every network of every recorded comparison in `folder`."""
    lines = [
        "| recipe | data | network | metric | on validation | parameters | seconds an epoch | memory, MB | horizon, steps | hardware |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for file in sorted(folder.glob("*/cells.json")):
        entry = json.loads(file.read_text(encoding="utf-8"))
        for row in entry["networks"]:
            score = _with_spread(row[entry["metric"]], row["std"], row["seeds"])
            lines.append(
                f"| {file.parent.name} | {entry['data']} | {row['network']} | {entry['metric']} | {score} | {row['parameters']:,.0f} "
                f"| {row['seconds an epoch']:.1f} | {row['memory, MB']:.0f} | {row['horizon, steps']:.0f} | {entry['hardware']} |"
            )
    return "\n".join(lines)


def _test_split(record: dict) -> tuple[str, str]:
    return record["data"], re.search(r"\d+ test", record["protocol"]).group()


def _higher(record: dict) -> bool:
    return record.get("higher_is_better", True)


def _best(baselines: dict, record: dict) -> str:
    """Name of the best of the baselines."""
    return (max if _higher(record) else min)(
        baselines, key=lambda name: baselines[name][record["metric"]]
    )


def _with_spread(mean: float, std: float, seeds: int) -> str:
    return f"{mean:.4f} ± {std:.4f}" if seeds > 1 else f"{mean:.4f}"


def _bold(text: str, bold: bool) -> str:
    return f"**{text}**" if bold else text


def update_readme(readme: Path, results: Path) -> None:
    """Rewrites what stands between the markers of the README."""
    text = readme.read_text(encoding="utf-8")
    for start, end, made in (
        (START, END, table(results)),
        (CELLS_START, CELLS_END, cells_table(results)),
    ):
        text, count = re.subn(
            f"(?s){re.escape(start)}.*?{re.escape(end)}",
            lambda _, all=f"{start}\n{made}\n{end}": all,
            text,
        )
        if count != 1:
            raise InputError(f"{readme} needs the markers {start} and {end} once, found {count}")
    write_text(readme, text)


def measured(record: dict) -> str:
    """The line of a recipe's docstring: ours | the best baseline | hardware | minutes."""
    ours, metric = record["test"][record["metric"]], record["metric"]
    name = _best(record["baselines"], record)
    seeds = len(record["seeds"])
    score = _with_spread(ours["mean"], ours["std"], seeds) + " (1 seed)" * (seeds == 1)
    rival, minutes = record["baselines"][name][metric], record["training_minutes"]["mean"]
    return f"Measured: {metric} {score} | {name} {rival:.4f} | {record['hardware']} | {minutes:.1f} min"


def update_docstring(recipe: Path, results: Path) -> None:
    """Rewrites the line that begins with "Measured: " in the recipe, from its `default` record, if
    there is one."""
    line = next(
        (measured(record) for record in _read(results) if record["setting"] == "default"), None
    )
    if line:
        write_text(
            recipe,
            re.sub(
                r"(?m)^Measured: .*$", lambda _: line, recipe.read_text(encoding="utf-8"), count=1
            ),
        )


if __name__ == "__main__":
    root = Path(sys.argv[1]).parent
    update_readme(Path(sys.argv[1]), root / "recipes" / "results")
    for file in (root / "recipes" / "results").glob("*.json"):
        update_docstring(root / "recipes" / f"{file.stem}.py", file)
