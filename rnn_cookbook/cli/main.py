"""The command line: one module a command; bad input ends with one clear line and exit code 2."""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import itertools
import os
import re
import signal
import sys

from rnn_cookbook import __version__
from rnn_cookbook.cli.options import Parser, add_debug, option_of
from rnn_cookbook.errors import InputError
from rnn_cookbook.recipe import recipe_files

__all__ = ["described", "entry", "main"]

# Name -> summary; each is a module of this package with a `main(arguments) -> int`. A recipe that
# was copied with the library's modules has `run` and `predict` alone.
COMMANDS = {
    "run": "train and evaluate a recipe, on its benchmark, a sample or your own files",
    "predict": "answer raw input with a trained model",
    "tune": "search a recipe's settings on validation, by keras-tuner",
    "compare": "LSTM or GRU? a recipe with one cell after the other",
    "copy": "a recipe as code of your own, alone or with the library's modules that it uses",
    "export": "a trained network for TensorFlow Serving, LiteRT or ONNX, checked by the bundle",
}
ALIASES = {"score": "predict"}
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it


def main(arguments: list[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: arguments without the program's name; those of the process by default.

    Returns:
        The exit code: 0; 2 where the user can mend it, after one line on standard error.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        return _dispatch(arguments)
    except InputError as error:
        if debug:
            raise
        print(f"rnn-cookbook: {described(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if debug:
            raise
        resumable = arguments[:1] == ["run"]
        advice = "; `run … --resume` continues after the last finished epoch" if resumable else ""
        print(f"rnn-cookbook: interrupted{advice}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `predict … | head` closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if debug:
            raise
        print(f"rnn-cookbook: {error}", file=sys.stderr)
        return 2


def described(error: InputError) -> str:
    """The error in one line, with the options of the settings that it is about.

    A message that begins with the setting's name begins with the option instead: "--units must be
    at least 1"; otherwise the options follow in brackets.
    """
    text = re.sub(r"\s+", " ", str(error)).strip()
    others = []
    for field in error.fields:
        option = option_of(field)
        if text.startswith(f"{field} "):
            text = option + text.removeprefix(field)
        elif option not in text:
            others.append(option)
    return f"{text} ({', '.join(others)})" if others else text


def entry() -> None:
    """Runs the console script."""
    for stream in (sys.stdout, sys.stderr):
        # JSON lines are UTF-8, on Windows too
        stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    answering = sys.argv[1:2] in (["predict"], ["score"])
    if answering:  # a service that is stopped ends as by an error: what it has learnt is kept
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if answering:
        # At once: the thread that waits for standard input would make the interpreter abort while
        # it shuts down.
        os._exit(code)
    sys.exit(code)


def _dispatch(arguments: list[str]) -> int:
    parser = _parser()
    leading = list(itertools.takewhile(lambda argument: argument.startswith("-"), arguments))
    split = len(leading) + 1
    command = parser.parse_args(arguments[:split]).command
    if command == "list":
        parser.parse_args(arguments)  # which takes nothing but --debug
        return _list()
    module = importlib.import_module(f"rnn_cookbook.cli.{ALIASES.get(command, command)}")
    return module.main(arguments[split:])


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="rnn-cookbook",
        description="Recurrent-network recipes for Keras 3, measured beside their baselines.",
    )
    parser.add_argument("--version", action="version", version=f"rnn-cookbook {__version__}")
    add_debug(parser)
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=Parser
    )
    listing = commands.add_parser("list", help="name the recipes and what they do")
    add_debug(listing)
    for name, summary in COMMANDS.items():
        if importlib.util.find_spec(f"rnn_cookbook.cli.{name}"):
            aliases = [alias for alias, of in ALIASES.items() if of == name]
            commands.add_parser(name, help=summary, aliases=aliases, add_help=False)
    return parser


def _list() -> int:
    for name, file in recipe_files().items():
        docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        print(f"{name:<20} {docstring.partition(chr(10))[0]}")
    return 0
