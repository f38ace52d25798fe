"""A recipe's Config as options of the command line."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import io
import json
import tokenize
import typing
from pathlib import Path
from typing import Any, NoReturn

from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.recipe import Recipe, load_recipe, names, read_config
from rnn_cookbook.settings import base_of, field_types, range_of

__all__ = [
    "Parser",
    "Start",
    "add_debug",
    "add_fields",
    "check_recordable",
    "field_comments",
    "given_settings",
    "option_of",
    "recipe_parser",
    "requested_recipe",
    "starting_point",
]


class Parser(argparse.ArgumentParser):
    """A parser that raises InputError instead of printing its usage and leaving."""

    def __init__(self, **options: Any):
        # argparse would take --epoch for --epochs; only exact names are options.
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see `{self.prog} --help`)")


def option_of(field: str) -> str:
    """The option of a setting: "--batch-size" of "batch_size"."""
    return "--" + field.replace("_", "-")


def add_debug(parser: argparse._ActionsContainer) -> None:
    """Adds --debug, which `cli.main` looks for."""
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def requested_recipe(command: str, arguments: list[str]) -> Recipe | None:
    """Loads the recipe that is the first argument; None after printing the help of a command whose
    other options are the recipe's.

    Raises:
        InputError: no recipe is named, or there is no such recipe.
    """
    if arguments[:1] in (["-h"], ["--help"]):
        print(f"usage: rnn-cookbook {command} RECIPE [options]\n")
        print(f"The options are the recipe's: rnn-cookbook {command} RECIPE --help\n{names()}")
        return None
    if not arguments or arguments[0].startswith("-"):
        raise InputError(f"which recipe? rnn-cookbook {command} RECIPE [options]; {names()}")
    return load_recipe(arguments[0])


def recipe_parser(
    command: str, recipe: Recipe, *, without: tuple[str, ...] = ()
) -> argparse.ArgumentParser:
    """Makes the parser of a command with an option for each field of the recipe's Config.

    Args:
        command: name of the command.
        recipe: recipe whose options these are.
        without: fields that the command sets itself.
    """
    summary = (ast.get_docstring(_tree(recipe.file)) or recipe.name).splitlines()[0]
    parser = Parser(prog=f"rnn-cookbook {command} {recipe.given}", description=summary)
    group = parser.add_argument_group(
        "recipe options (defaults of the benchmark; --data sample has its own)"
    )
    add_fields(group, recipe.file, recipe.Config, without=without)
    start = parser.add_argument_group("starting point")
    start.add_argument("--setting", help=f"a setting of the recipe: {', '.join(recipe.settings)}")
    start.add_argument(
        "--config",
        metavar="FILE",
        help="settings as JSON: best.json of a search, config.json of a run",
    )
    add_debug(start)
    return parser


def add_fields(
    group: argparse._ActionsContainer,
    file: Path,
    settings: type,
    *,
    without: tuple[str, ...] = (),
) -> None:
    """Adds an option for each field of a recipe's dataclass.

    Args:
        group: parser or group of options.
        file: source of the dataclass; the trailing comment of a field is the option's help.
        settings: the dataclass.
        without: fields to leave out.
    """
    comments = field_comments(file, settings.__name__)
    kinds = field_types(settings)
    for field in dataclasses.fields(settings):
        if field.name in without:
            continue
        base = base_of(kinds[field.name])
        details: dict[str, Any] = {
            "default": None,
            "dest": field.name,
            "help": _help(comments.get(field.name, ""), kinds[field.name], field.default),
        }
        if base is bool:
            details["action"] = argparse.BooleanOptionalAction
        elif typing.get_origin(base) is typing.Literal:
            details["choices"] = typing.get_args(base)
        else:
            details["type"] = base
            details["metavar"] = base.__name__.upper()
        group.add_argument(option_of(field.name), **details)


def _help(comment: str, kind: Any, default: object) -> str:
    facts = []
    if accepted := range_of(kind):
        facts.append(str(accepted))
    if default != "":
        facts.append(f"default: {default}")
    return (comment + (f" ({'; '.join(facts)})" if facts else "")).replace("%", "%%")


def field_comments(file: Path, name: str) -> dict[str, str]:
    """Reads the trailing comment of each field of the dataclass `name` in a source file.

    The file is parsed instead of inspected: `inspect.getsource` looks into every loaded module, and
    so loads the lazy ones, TensorFlow with them.
    """
    source = file.read_text(encoding="utf-8")
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokens
        if token.type == tokenize.COMMENT
    }
    for node in _tree(file).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return {
                field.target.id: comments.get(field.end_lineno or 0, "")
                for field in node.body
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            }
    return {}


def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def given_settings(recipe: Recipe, options: argparse.Namespace) -> dict[str, Any]:
    """The recipe's settings among the options of the command line."""
    fields = {field.name for field in dataclasses.fields(recipe.Config)}
    return {
        name: value for name, value in vars(options).items() if name in fields and value is not None
    }


class Start(typing.NamedTuple):
    """What the options of the command line are applied to."""

    setting: str  # a setting's name, or the file of --config
    config: Any


def starting_point(recipe: Recipe, options: argparse.Namespace) -> Start:
    """Finds the configuration that the options start from: a setting, or a file of settings.

    Raises:
        InputError: no such setting, or a file that holds no settings of this recipe.
    """
    if options.setting not in (None, *recipe.settings):
        raise InputError(
            f"no setting {options.setting!r}; {recipe.name} has {', '.join(recipe.settings)}"
        )
    if options.config and options.setting:
        raise InputError("give --setting or --config, not both")
    if not options.config:
        sample = given_settings(recipe, options).get("data") == "sample"
        setting = options.setting or ("sample" if sample else "default")
        return Start(setting, recipe.settings[setting])
    try:
        settings = json.loads(Path(options.config).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--config {options.config} cannot be read as JSON: {error}") from error
    if not isinstance(settings, dict) or settings.pop("recipe", recipe.name) != recipe.name:
        raise InputError(f"--config {options.config} has no settings of recipe {recipe.name!r}")
    return Start(options.config, read_config(recipe, settings))


def check_recordable(
    options: argparse.Namespace, setting: str, given: dict[str, Any], *, free: set[str]
) -> None:
    """Raises InputError where --record would record anything but a setting as it stands.

    Args:
        options: options of the command line.
        setting: name of the setting.
        given: settings that the command line changes.
        free: settings that do not change what is measured.
    """
    implied = {"data"} if setting == "sample" else set()
    changed = [option_of(name) for name in sorted(set(given) - free - implied)]
    if options.config:
        changed.append("--config")
    if changed:
        raise InputError(
            f"--record needs the unmodified setting {setting!r}; remove {listing(changed)}"
        )
