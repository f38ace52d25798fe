"""`rnn-cookbook export RUN --format FORMAT`: a trained network for other runtimes."""

from __future__ import annotations

from pathlib import Path

from rnn_cookbook.cli.options import Parser, add_debug
from rnn_cookbook.quiet import start_tensorflow
from rnn_cookbook.recipe import load_recipe, recipe_files, trained_by

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Runs the command; returns the exit code."""
    parser = Parser(
        prog="rnn-cookbook export",
        description="Writes a trained network in a format that runs without this library.",
    )
    parser.add_argument("run", metavar="RUN_DIR", help="the run's folder, or the bundle in it")
    parser.add_argument(
        "--format",
        required=True,
        choices=("saved_model", "litert", "onnx"),
        help="for TensorFlow, phones, other runtimes",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        default="",
        help="an empty folder, or a new one (default: RUN_DIR/export/FORMAT)",
    )
    parser.add_argument(
        "--length",
        type=int,
        default=0,
        help="litert: steps of an input (default: the longest input that the recipe reads)",
    )
    parser.add_argument(
        "--recipe", metavar="FILE", help="recipe file that trained the run, if it is your own copy"
    )
    add_debug(parser)
    options = parser.parse_args(arguments)
    name = options.recipe or trained_by(Path(options.run)) or ""
    recipe = load_recipe(name) if options.recipe or name in recipe_files() else None
    start_tensorflow()
    from rnn_cookbook.export.write import export

    report = export(
        options.run,
        form=options.format,
        recipe=recipe,
        output=options.output,
        length=options.length,
    )
    print(report)
    return 0
