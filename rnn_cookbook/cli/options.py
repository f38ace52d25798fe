"""A recipe's Config as options of the command line."""

import argparse
import dataclasses
import json
import re
import typing
from pathlib import Path
from types import ModuleType

from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.recipe import read_config


class Parser(argparse.ArgumentParser):
    """argparse that raises InputError instead of printing its usage and leaving."""

    def error(self, message: str):
        raise InputError(f"{message} (see `{self.prog} --help`)")


def recipe_parser(
    command: str, module: ModuleType, name: str, *, without: tuple[str, ...] = ()
) -> argparse.ArgumentParser:
    """The options that a command has of the recipe, `without` some, and where its configuration
    starts."""
    parser = Parser(
        prog=f"rnn-cookbook {command} {name}",
        description=(module.__doc__ or name).splitlines()[0],
        allow_abbrev=False,
    )
    add_fields(
        parser.add_argument_group(
            "recipe options (defaults of the benchmark; --data sample has its own)"
        ),
        module,
        "Config",
        without=without,
    )
    start = parser.add_argument_group("where to start from")
    start.add_argument(
        "--setting", help=f"one of the recipe's settings: {', '.join(module.SETTINGS)}"
    )
    start.add_argument(
        "--config",
        metavar="FILE",
        help="settings as JSON: best.json of a search, config.json of a run",
    )
    start.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def add_fields(group, module: ModuleType, name: str, *, without: tuple[str, ...] = ()) -> None:
    """An option for each field of the dataclass of that name in a recipe, `without` some."""
    # From the file: inspect.getsource would look into every loaded module, and so load the late
    # ones, TensorFlow with them.
    source = re.split(
        r"\n(?=\S)", Path(module.__file__).read_text(encoding="utf-8").partition(f"class {name}")[2]
    )[0]
    comments = dict(re.findall(r"^    (\w+): .*?  # (.*)$", source, flags=re.MULTILINE))
    kinds = typing.get_type_hints(getattr(module, name))
    for field in dataclasses.fields(getattr(module, name)):
        if field.name in without:
            continue
        option, kind, comment = (
            f"--{field.name.replace('_', '-')}",
            kinds[field.name],
            comments.get(field.name, ""),
        )
        default = "" if field.default == "" else f" (default: {field.default})"
        details: dict = {
            "default": None,
            "dest": field.name,
            "help": f"{comment}{default}".replace("%", "%%"),
        }
        if kind is bool:
            details["action"] = argparse.BooleanOptionalAction
        elif typing.get_origin(kind) is typing.Literal:
            details["choices"] = typing.get_args(kind)
        else:
            details |= {"type": kind, "metavar": kind.__name__.upper()}
        group.add_argument(option, **details)


def given_settings(module: ModuleType, options: argparse.Namespace) -> dict:
    """The recipe's settings among the options."""
    fields = {field.name for field in dataclasses.fields(module.Config)}
    return {
        key: value for key, value in vars(options).items() if key in fields and value is not None
    }


def check_recordable(
    options: argparse.Namespace, setting: str, given: dict, *, free: set[str], does: str
) -> None:
    """InputError where --record would record anything but a setting as it stands; `free` settings
    do not change what is measured."""
    changed = sorted(set(given) - free - ({"data"} if setting == "sample" else set()))
    if changed or options.config:
        raise InputError(
            f"--record {does} setting {setting!r} as it is: leave {listing(changed) or '--config'} out"
        )


def starting_point(
    module: ModuleType, name: str, options: argparse.Namespace
) -> tuple[str, object]:
    """The setting that the options are on top of: its name, and its configuration."""
    if options.setting not in (None, *module.SETTINGS):
        raise InputError(f"no setting {options.setting!r}; {name} has {', '.join(module.SETTINGS)}")
    if options.config and options.setting:
        raise InputError("give --setting or --config, not both")
    if not options.config:
        setting = options.setting or (
            "sample" if given_settings(module, options).get("data") == "sample" else "default"
        )
        return setting, module.SETTINGS[setting]
    try:
        settings = json.loads(Path(options.config).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--config {options.config} cannot be read as JSON: {error}") from error
    if not isinstance(settings, dict) or settings.pop("recipe", name) != name:
        raise InputError(f"--config {options.config} has no settings of recipe {name!r}")
    return options.config, read_config(module, settings)
