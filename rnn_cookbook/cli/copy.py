"""`rnn-cookbook copy RECIPE DEST`: a recipe as code of your own."""

from __future__ import annotations

from rnn_cookbook.cli.options import Parser, add_debug
from rnn_cookbook.cli.vendor import copy_recipe

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Runs the command; returns the exit code."""
    parser = Parser(
        prog="rnn-cookbook copy", description="Copies a recipe as code of your own into a folder."
    )
    parser.add_argument("recipe", metavar="RECIPE", help="name, or path of a recipe's file")
    parser.add_argument(
        "destination", metavar="DEST", help="the folder; nothing in it is overwritten"
    )
    parser.add_argument(
        "--vendor",
        action="store_true",
        help="add the library's modules that the recipe uses: it then runs without the library",
    )
    add_debug(parser)
    options = parser.parse_args(arguments)
    print(copy_recipe(options.recipe, options.destination, vendor=options.vendor))
    return 0
