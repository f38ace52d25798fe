"""`rnn-cookbook run RECIPE`: trains and evaluates a recipe."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import shlex
from typing import Any

from rnn_cookbook.cli.options import (
    check_recordable,
    given_settings,
    recipe_parser,
    requested_recipe,
    starting_point,
)
from rnn_cookbook.errors import InputError
from rnn_cookbook.quiet import start_tensorflow
from rnn_cookbook.recipe import Recipe, read_config, recipe_files

__all__ = ["main", "run_parser"]


def run_parser(recipe: Recipe) -> argparse.ArgumentParser:
    """Makes the parser of `run`: the recipe's options, and those of every run."""
    parser = recipe_parser("run", recipe)
    group = parser.add_argument_group("run options")
    group.add_argument(
        "--output", metavar="DIR", help="the run's folder (default: runs/RECIPE/<time>)"
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="resume the interrupted run in --output (default: the latest one)",
    )
    group.add_argument(
        "--quiet", action="store_true", help="no progress; warnings and the final table stay"
    )
    parser.set_defaults(record=False)
    if _is_installed("run.record"):
        group.add_argument(
            "--record",
            action="store_true",
            help="run --seeds seeds and record the result under recipes/results/",
        )
        group.add_argument(
            "--seeds", type=int, default=3, help="number of seeds of --record (default: 3)"
        )
    return parser


def main(arguments: list[str]) -> int:
    """Runs the command; returns the exit code."""
    recipe = requested_recipe("run", arguments)
    if recipe is None:
        return 0
    options = run_parser(recipe).parse_args(arguments[1:])
    if options.resume and options.config:
        raise InputError("--resume continues with the settings of the run; remove --config")
    setting, start = starting_point(recipe, options)
    given = given_settings(recipe, options)
    if options.record:
        return _record(recipe, options, setting, start, given)
    if options.resume:  # the run's own settings: whoever resumes need not repeat them
        from rnn_cookbook.run.folder import saved_settings

        start = read_config(recipe, saved_settings(recipe.name, options.output))
    config = dataclasses.replace(start, **given)
    start_tensorflow()
    from rnn_cookbook.run.folder import Run

    run = Run(
        recipe=recipe.name,
        config=config,
        output=options.output,
        resume=options.resume,
        quiet=options.quiet,
    )
    try:
        report = recipe.module.main(config, run)
    except InputError:
        run.discard_if_untrained()
        raise
    print(f"\n{report}\n\nrun folder: {run.path}")
    print(f"predict:    {_predict_command(recipe, str(run.path))}")
    return 0


def _record(
    recipe: Recipe,
    options: argparse.Namespace,
    setting: str,
    start: Any,
    given: dict[str, Any],
) -> int:
    check_recordable(options, setting, given, free={"data_dir", "baselines"})
    config = dataclasses.replace(start, **given)
    # The command that is recorded holds what decides the figures; neither where data and runs are
    # on this machine, nor how often it was interrupted.
    command = ["rnn-cookbook", "run", recipe.given, "--record", "--seeds", str(options.seeds)]
    if setting != "default":
        command += ["--setting", setting]
    if not config.baselines:
        command.append("--no-baselines")
    start_tensorflow()
    from rnn_cookbook.run.record import record

    text = record(
        recipe,
        config,
        seeds=options.seeds,
        setting=setting,
        command=shlex.join(command),
        output=options.output,
        resume=options.resume,
        quiet=options.quiet,
    )
    print(text)
    return 0


def _predict_command(recipe: Recipe, folder: str) -> str:
    program = ["rnn-cookbook"]
    if not _is_installed("cli.copy"):  # a copy of the recipe with the library's modules
        program = ["python", "-m", "rnn_cookbook.cli"]
    command = [*program, "predict", folder]
    if recipe.name not in recipe_files():
        command += ["--recipe", recipe.given]
    example = "--output answers.csv" if recipe.reads == "tables" else recipe.example
    return f"{shlex.join(command)} {example}"


def _is_installed(module: str) -> bool:
    """Whether this library has a module: a vendored copy has what its recipe uses."""
    return importlib.util.find_spec(f"rnn_cookbook.{module}") is not None
