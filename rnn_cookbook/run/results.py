"""What was recorded: as data for notebooks, as tables for the README, as a line for each recipe.

    python -m rnn_cookbook.run.results README.md

rewrites the README's tables and the line "Measured: …" of the recipes.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import write_text
from rnn_cookbook.metrics import Metric
from rnn_cookbook.recipe import recipe_files

__all__ = [
    "CELLS_MARKERS",
    "RESULTS_MARKERS",
    "cells_table",
    "measured",
    "recorded",
    "results_table",
    "update_docstring",
    "update_readme",
]

_WRITTEN_BY = "written by python -m rnn_cookbook.run.results README.md"
RESULTS_MARKERS = (f"<!-- results: {_WRITTEN_BY} -->", "<!-- end of results -->")
CELLS_MARKERS = (f"<!-- cells: {_WRITTEN_BY} -->", "<!-- end of cells -->")

_RESULTS_HEAD = (
    "recipe",
    "setting",
    "data",
    "metric",
    "this model, test",
    "best baseline, same run",
    "wins",
    "published",
    "minutes a seed",
    "hardware",
)
_CELLS_HEAD = (
    "recipe",
    "data",
    "network",
    "metric",
    "on validation",
    "parameters",
    "seconds an epoch",
    "memory, MB",
    "horizon, steps",
    "hardware",
)


def recorded(folder: Path | None = None) -> list[dict]:
    """Reads every record of every recipe.

    Args:
        folder: folder of records; those that come with the library by default.

    Returns:
        A dictionary for each record: "recipe", "setting", "data", "metric", "higher_is_better";
        "mean", "std" and "seeds" (their number) of the network's test score; "baseline", the name
        of the best method without a network, with its "baseline_score" and "baseline_seconds";
        "network_wins"; "published", what a public source prints, in words; "minutes" of training
        per seed; "hardware".

    Raises:
        InputError: a record has no baselines, nor has another one on its test split.
    """
    folder = folder or next(iter(recipe_files().values())).parent / "results"
    file = folder.parent / "published.json"
    published = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return [
        row
        for file in sorted(folder.glob("*.json"))
        for row in _rows(file, published.get(file.stem, {}))
    ]


def _rows(file: Path, published: dict[str, str]) -> list[dict]:
    records = json.loads(file.read_text(encoding="utf-8"))
    # A setting that was recorded without baselines is compared with another's on its test split.
    shared = {_test_split(each): each["baselines"] for each in records if each["baselines"]}
    rows = []
    for record in records:
        baselines = record["baselines"] or shared.get(_test_split(record))
        if not baselines:
            raise InputError(
                f"{file}: setting {record['setting']!r} has no baselines, nor has another on its "
                "test split"
            )
        metric = _metric(record)
        ours = record["test"][metric.name]
        best = _best(baselines, metric)
        theirs = baselines[best][metric.name]
        rows.append(
            {
                "recipe": file.stem,
                "setting": record["setting"],
                "data": record["data"],
                "metric": metric.name,
                "higher_is_better": metric.higher_is_better,
                "mean": ours["mean"],
                "std": ours["std"],
                "seeds": len(record["seeds"]),
                "baseline": best,
                "baseline_score": theirs,
                "baseline_seconds": baselines[best]["seconds"],
                "network_wins": metric.better(ours["mean"], than=theirs),
                "published": published.get(record["setting"], ""),
                "minutes": record["training_minutes"]["mean"],
                "hardware": record["hardware"],
            }
        )
    return rows


def results_table(folder: Path) -> str:
    """Formats the records in `folder` as Markdown, the better of model and baseline in bold."""
    lines = _head(_RESULTS_HEAD)
    for row in recorded(folder):
        wins = row["network_wins"]
        seeds = _count(row["seeds"], "seed")
        score = _bold(_with_std(row["mean"], row["std"], row["seeds"]), wins)
        baseline = _bold(f"{row['baseline_score']:.4f}", not wins)
        cells = (
            f"[{row['recipe']}](recipes/{row['recipe']}.py)",
            row["setting"],
            row["data"],
            row["metric"],
            f"{score} ({seeds})",
            f"{baseline} {row['baseline']}, {row['baseline_seconds']:.0f} s",
            "the network" if wins else "the baseline",
            row["published"] or "–",
            f"{row['minutes']:.1f}",
            row["hardware"],
        )
        lines.append(_line(cells))
    return "\n".join(lines)


def cells_table(folder: Path) -> str:
    """Formats the comparisons of cells in `folder` as Markdown, a row for each network."""
    lines = _head(_CELLS_HEAD)
    for file in sorted(folder.glob("*/cells.json")):
        entry = json.loads(file.read_text(encoding="utf-8"))
        for row in entry["networks"]:
            cells = (
                file.parent.name,
                entry["data"],
                row["network"],
                entry["metric"],
                _with_std(row[entry["metric"]], row["std"], row["seeds"]),
                f"{row['parameters']:,.0f}",
                f"{row['seconds an epoch']:.1f}",
                f"{row['memory, MB']:.0f}",
                f"{row['horizon, steps']:.0f}",
                entry["hardware"],
            )
            lines.append(_line(cells))
    return "\n".join(lines)


def _head(columns: tuple[str, ...]) -> list[str]:
    return [_line(columns), "|" + "---|" * len(columns)]


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def _test_split(record: dict) -> tuple[str, str]:
    size = re.search(r"\d+ test", record["protocol"])
    return record["data"], size.group() if size else record["protocol"]


def _metric(record: dict) -> Metric:
    return Metric(record["metric"], higher_is_better=record.get("higher_is_better", True))


def _best(baselines: dict[str, dict], metric: Metric) -> str:
    scores = {name: baseline[metric.name] for name, baseline in baselines.items()}
    return metric.ranked(scores)[0]


def _with_std(mean: float, std: float, seeds: int) -> str:
    return f"{mean:.4f} ± {std:.4f}" if seeds > 1 else f"{mean:.4f}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _bold(text: str, bold: bool) -> str:
    return f"**{text}**" if bold else text


def update_readme(readme: Path, results: Path) -> None:
    """Rewrites what stands between the markers of the README.

    Args:
        readme: file with both pairs of markers.
        results: folder of the records.

    Raises:
        InputError: a pair of markers is missing, or occurs twice.
    """
    text = readme.read_text(encoding="utf-8")
    text = _replaced(readme, text, RESULTS_MARKERS, results_table(results))
    text = _replaced(readme, text, CELLS_MARKERS, cells_table(results))
    write_text(readme, text)


def _replaced(readme: Path, text: str, markers: tuple[str, str], table: str) -> str:
    start, end = markers
    pattern = f"(?s){re.escape(start)}.*?{re.escape(end)}"
    text, count = re.subn(pattern, lambda _: f"{start}\n{table}\n{end}", text)
    if count != 1:
        raise InputError(f"{readme} must have the markers {start} and {end} once; found {count}")
    return text


def measured(record: dict) -> str:
    """The paragraph of a recipe's docstring: the network's score, the best baseline's, minutes and
    hardware."""
    metric = _metric(record)
    ours = record["test"][metric.name]
    seeds = len(record["seeds"])
    score = _with_std(ours["mean"], ours["std"], seeds)
    note = " (1 seed)" if seeds == 1 else ""
    best = _best(record["baselines"], metric)
    theirs = record["baselines"][best][metric.name]
    minutes = record["training_minutes"]["mean"]
    return (
        f"Measured: {metric.name} {score}{note} | {best} {theirs:.4f} | {minutes:.1f} min\n"
        f"on {record['hardware']}."
    )


def update_docstring(recipe: Path, results: Path) -> None:
    """Rewrites the paragraph that begins with "Measured: " in a recipe, from its `default` record.

    Args:
        recipe: file of the recipe.
        results: file of its records.
    """
    records = json.loads(results.read_text(encoding="utf-8"))
    default = next((each for each in records if each["setting"] == "default"), None)
    if default:
        text = recipe.read_text(encoding="utf-8")
        paragraph = measured(default)
        text = re.sub(r"(?ms)^Measured: .*?(?=\n\n)", lambda _: paragraph, text, count=1)
        write_text(recipe, text)


if __name__ == "__main__":
    root = Path(sys.argv[1]).parent
    update_readme(Path(sys.argv[1]), root / "recipes" / "results")
    for file in (root / "recipes" / "results").glob("*.json"):
        update_docstring(root / "recipes" / f"{file.stem}.py", file)
