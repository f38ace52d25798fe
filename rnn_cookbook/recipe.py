"""Which recipes there are, and their modules."""

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

from rnn_cookbook.errors import InputError


def recipe_files() -> dict[str, Path]:
    """Name to file of the recipes that come with the library, whether installed or in a checkout."""
    spec = importlib.util.find_spec("rnn_cookbook.recipes")
    folders = list(spec.submodule_search_locations or []) if spec else []
    return {
        file.stem: file
        for folder in folders
        for file in sorted(Path(folder).glob("*.py"))
        if not file.stem.startswith("_")
    }


def names() -> str:
    """For messages."""
    return "recipes: " + ", ".join(recipe_files())


def recipe_file(name: str) -> Path:
    """A recipe's file, by name or by the path of a file."""
    file = recipe_files().get(name, Path(name))
    if file.suffix != ".py" or not file.is_file():
        raise InputError(f"no recipe {name!r}; {names()}, or the path of a recipe file")
    return file


def load_recipe(name: str) -> ModuleType:
    """A recipe's module, by name or by the path of a file."""
    file = recipe_file(name)
    if name in recipe_files():
        return importlib.import_module(f"rnn_cookbook.recipes.{name}")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def metric_of(module: ModuleType, config) -> str:
    """What a recipe's results are compared by, which may depend on its data."""
    return module.metric(config) if hasattr(module, "metric") else module.METRIC


def trained_by(folder: Path) -> str | None:
    """The recipe that a bundle says it was trained by; None where it cannot be read, which
    `load_bundle` tells."""
    for file in (folder / "model" / "bundle.json", folder / "bundle.json"):
        try:
            if file.exists():
                return str(json.loads(file.read_text(encoding="utf-8"))["recipe"])
        except (OSError, ValueError, KeyError, TypeError):  # a name that is too long, among others
            return None
    return None


def read_config(module: ModuleType, settings: dict):
    """The recipe's Config from a run folder or a bundle; InputError where the recipe has other
    fields now."""
    try:
        return module.Config(**settings)
    except TypeError as error:
        message = str(error).replace("Config.__init__() ", "")
        raise InputError(
            f"{module.__file__} is not the recipe that wrote these settings: {message}. Name that one with --recipe"
        ) from error
