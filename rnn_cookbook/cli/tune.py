"""`rnn-cookbook tune RECIPE`: searches a recipe's settings on the validation split."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from pathlib import Path

from rnn_cookbook.cli.options import (
    given_settings,
    recipe_parser,
    requested_recipe,
    starting_point,
)
from rnn_cookbook.errors import InputError
from rnn_cookbook.quiet import start_tensorflow
from rnn_cookbook.recipe import Recipe, read_config

__all__ = ["main", "tune_parser"]


def tune_parser(recipe: Recipe) -> argparse.ArgumentParser:
    """Makes the parser of `tune`: the recipe's options, and those of a search."""
    parser = recipe_parser("tune", recipe)
    group = parser.add_argument_group("search options")
    group.add_argument(
        "--tuner",
        choices=("random", "bayesian", "hyperband", "grid"),
        help="search algorithm (default: random)",
    )
    group.add_argument(
        "--objective",
        help="score of the validation split, or val_loss "
        f"(default: {recipe.module.METRIC.name}, or what the data allow)",
    )
    group.add_argument(
        "--direction",
        choices=("min", "max"),
        help="direction of an objective for which the recipe declares none",
    )
    group.add_argument(
        "--trials",
        type=int,
        help="maximum number of trials (default: 20; for hyperband and grid all that they have)",
    )
    group.add_argument(
        "--max-minutes",
        type=float,
        metavar="M",
        help="minutes after which no trial begins (default: no limit)",
    )
    group.add_argument(
        "--output", metavar="DIR", help="the search's folder (default: runs/RECIPE/tune-<time>)"
    )
    group.add_argument("--resume", action="store_true", help="resume the search in --output")
    group.add_argument(
        "--quiet", action="store_true", help="no progress; warnings and the result stay"
    )
    return parser


def main(arguments: list[str]) -> int:
    """Runs the command; returns the exit code."""
    recipe = requested_recipe("tune", arguments)
    if recipe is None:
        return 0
    options = tune_parser(recipe).parse_args(arguments[1:])
    before = _search_to_resume(options)
    start = starting_point(recipe, options).config
    if "config" in before and before.get("recipe") == recipe.name:
        start = read_config(recipe, before["config"])
    config = dataclasses.replace(start, **given_settings(recipe, options))
    if options.trials is None:
        options.trials = before.get("trials")
    if options.max_minutes is None:
        options.max_minutes = before.get("max_minutes", 0.0)
    start_tensorflow()
    from rnn_cookbook.tune.search import tune

    report = tune(
        recipe,
        config,
        tuner=options.tuner or before.get("tuner", "random"),
        trials=options.trials,
        objective=options.objective or before.get("objective", ""),
        direction=options.direction or before.get("direction", ""),
        max_minutes=options.max_minutes,
        output=options.output,
        resume=options.resume,
        quiet=options.quiet,
    )
    print(report)
    return 0


def _search_to_resume(options: argparse.Namespace) -> dict:
    """What `search.json` of the resumed search says; nothing for a new search, or for a worker,
    which has no search of its own."""
    worker = "chief" not in os.environ.get("KERASTUNER_TUNER_ID", "chief")
    if not options.resume or worker:
        return {}
    file = Path(options.output or "") / "search.json"
    if not options.output or not file.exists():
        raise InputError(
            "--resume continues a search: name its folder with --output; received "
            f"{options.output or 'none'}"
        )
    return json.loads(file.read_text(encoding="utf-8"))
