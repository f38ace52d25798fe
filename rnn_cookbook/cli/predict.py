"""`rnn-cookbook predict RUN [INPUT ...]`: answers raw input with a trained model."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnn_cookbook.cli.options import Parser, add_debug, add_fields
from rnn_cookbook.data.lines import read_inputs
from rnn_cookbook.errors import InputError
from rnn_cookbook.quiet import start_tensorflow
from rnn_cookbook.recipe import Recipe, load_recipe, read_config, recipe_files, trained_by
from rnn_cookbook.run.answers import answer_lines, as_they_arrive, write_answers

if TYPE_CHECKING:
    from rnn_cookbook.run.bundle import Bundle

__all__ = ["main", "predict_parser", "recipe_among"]


def recipe_among(arguments: list[str]) -> Recipe | None:
    """Loads the recipe of a prediction before its options are known: that of --recipe, or the one
    that trained the run in the arguments; None where there is none that the library has.

    The run is the first argument that is one: the values of options that are not known yet may
    stand before it.
    """
    early = Parser(prog="rnn-cookbook predict", add_help=False)
    early.add_argument("--recipe")
    given, others = early.parse_known_args(arguments)
    if given.recipe:
        return load_recipe(given.recipe)
    places = (Path(argument) for argument in others if not argument.startswith("-"))
    name = next(filter(None, map(trained_by, places)), None)
    return load_recipe(name) if name in recipe_files() else None


def predict_parser(recipe: Recipe | None) -> argparse.ArgumentParser:
    """Makes the parser of `predict`: the options of every prediction, and those of the recipe."""
    parser = Parser(
        prog="rnn-cookbook predict", description="Answers raw input with a trained model."
    )
    parser.add_argument("run", metavar="RUN_DIR", help="the run's folder, or the bundle in it")
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="*",
        help="raw inputs, or tables; without any, lines from --input",
    )
    parser.add_argument(
        "--input",
        metavar="FILE",
        help="file with one input per line (.jsonl: one object per line), or a table; - is "
        "standard input",
    )
    parser.add_argument(
        "--recipe", metavar="FILE", help="recipe file that trained the run, if it is your own copy"
    )
    parser.add_argument(
        "--format",
        choices=("jsonl", "csv"),
        help="format of the answers (default: csv for tables, else jsonl)",
    )
    add_debug(parser)
    fields: set[str] = set()
    if recipe and recipe.prediction:
        fields = {field.name for field in dataclasses.fields(recipe.prediction)}
        group = parser.add_argument_group(f"options of {recipe.name}")
        add_fields(group, recipe.file, recipe.prediction)
    if "output" not in fields:
        parser.add_argument(
            "--output",
            metavar="FILE",
            default="",
            help="file of the answers (default: standard output)",
        )
    return parser


def main(arguments: list[str]) -> int:
    """Runs the command; returns the exit code."""
    recipe = recipe_among(arguments)
    parser = predict_parser(recipe)
    # Intermixed: inputs may stand after options.
    options, unknown = parser.parse_known_intermixed_args(arguments)
    if unknown:
        if recipe is None:  # its options they might be
            _load(options)
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if options.inputs and options.input:
        raise InputError("give inputs as arguments or with --input, not both")
    tables = recipe is not None and recipe.reads == "tables"
    # A missing file is reported before TensorFlow starts.
    lines = None if options.inputs or tables else read_inputs(options.input or "-")
    settings = _prediction_settings(recipe, options)
    loaded = _load(options)
    recipe = recipe or load_recipe(options.recipe or loaded.recipe)
    read_config(recipe, loaded.config)
    from rnn_cookbook.files import log_to_console

    log_to_console()  # warnings, beside the answers
    batches: Any
    if tables:
        batches = [options.inputs or ([options.input] if options.input else [])]
    else:
        batches = as_they_arrive(options.inputs if lines is None else lines)
    with ExitStack() as stack:
        answers = _answers(recipe, loaded, batches, settings)
        # Closed at once, however this ends: what a recipe keeps of its streams is written then.
        stack.callback(answers.close)
        _give(answers, options, form=options.format or ("csv" if tables else "jsonl"))
    return 0


def _prediction_settings(recipe: Recipe | None, options: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments for `predict`: nothing where the recipe has no options of its own."""
    if recipe is None or recipe.prediction is None:
        return {}
    fields = {field.name for field in dataclasses.fields(recipe.prediction)}
    given = {key: value for key, value in vars(options).items() if key in fields}
    return {
        "options": recipe.prediction(
            **{key: value for key, value in given.items() if value is not None}
        )
    }


def _load(options: argparse.Namespace) -> Bundle:
    start_tensorflow()
    from rnn_cookbook.run.bundle import load_bundle

    loaded = load_bundle(options.run)
    if not options.recipe and loaded.recipe not in recipe_files():
        raise InputError(
            f"{options.run} was trained by a recipe of your own, {loaded.recipe!r}: name its file "
            "with --recipe"
        )
    return loaded


def _answers(
    recipe: Recipe, loaded: Bundle, batches: Any, settings: dict[str, Any]
) -> Generator[dict, None, None]:
    yield from recipe.module.predict(loaded, batches, **settings)


def _give(answers: Iterator[dict], options: argparse.Namespace, *, form: Any) -> None:
    lines = answer_lines(answers, form)
    if options.output:
        write_answers(Path(options.output), lines)
        return
    for line in lines:
        print(line, end="", flush=True)
