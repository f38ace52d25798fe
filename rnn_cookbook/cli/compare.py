"""`rnn-cookbook compare RECIPE`: the recipe with one cell after the other."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from collections.abc import Callable
from functools import partial

from rnn_cookbook.cli.options import (
    check_recordable,
    given_settings,
    recipe_parser,
    requested_recipe,
    starting_point,
)
from rnn_cookbook.quiet import start_tensorflow
from rnn_cookbook.recipe import Recipe

__all__ = ["compare_parser", "main"]

_CELLS = "simple_rnn,lstm,gru"
_AS_IT_IS = "as it is"


def compare_parser(recipe: Recipe) -> argparse.ArgumentParser:
    """Makes the parser of `compare`: the recipe's options, and those of a comparison."""
    parser = recipe_parser("compare", recipe, without=("cell", "bidirectional", "seed"))
    group = parser.add_argument_group("comparison options")
    group.add_argument(
        "--cells",
        default=_CELLS,
        metavar="A,B,…",
        help=f"cells, separated by commas (default: {_CELLS})",
    )
    group.add_argument(
        "--bidirectional",
        choices=("yes", "no", "both"),
        default=_AS_IT_IS,
        help="reading directions (default: as the recipe has it)",
    )
    group.add_argument(
        "--seeds", type=int, default=3, help="number of seeds for each network (default: 3)"
    )
    group.add_argument(
        "--output", metavar="DIR", help="the folder (default: runs/RECIPE/compare-<time>)"
    )
    group.add_argument("--resume", action="store_true", help="resume the comparison in --output")
    group.add_argument(
        "--quiet", action="store_true", help="no progress; warnings and the table stay"
    )
    group.add_argument(
        "--record", action="store_true", help="record the table under recipes/results/"
    )
    return parser


def main(arguments: list[str]) -> int:
    """Runs the command; returns the exit code."""
    recipe = requested_recipe("compare", arguments)
    if recipe is None:
        return 0
    options = compare_parser(recipe).parse_args(arguments[1:])
    setting, start = starting_point(recipe, options)
    given = given_settings(recipe, options)
    given.pop("bidirectional", None)  # --bidirectional is the comparison's here
    if options.record:
        check_recordable(options, setting, given, free={"data_dir"})
    config = dataclasses.replace(start, **given)
    start_tensorflow()
    from rnn_cookbook.tune.compare import compare

    table = compare(
        recipe,
        config,
        cells=options.cells,
        bidirectional=options.bidirectional,
        seeds=options.seeds,
        output=options.output,
        resume=options.resume,
        quiet=options.quiet,
        record=_recorder(recipe, options, setting, start.data) if options.record else None,
    )
    print(table)
    return 0


def _recorder(recipe: Recipe, options: argparse.Namespace, setting: str, data: str) -> Callable:
    from rnn_cookbook.run.record import record_cells

    command = ["rnn-cookbook", "compare", recipe.given, "--setting", setting]
    command += ["--cells", options.cells, "--seeds", str(options.seeds)]
    if options.bidirectional != _AS_IT_IS:
        command += ["--bidirectional", options.bidirectional]
    return partial(record_cells, recipe, data=data, command=shlex.join(command))
