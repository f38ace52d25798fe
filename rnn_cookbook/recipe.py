"""What a recipe is, and where recipes are found.

A recipe is a Python file with the functions of `RecipeModule`. `load_recipe` checks the file once
and fills in what it leaves out, so that no command has to ask a module what it has.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, cast

from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.metrics import Metric

if TYPE_CHECKING:
    from rnn_cookbook.export.served import Served
    from rnn_cookbook.run.bundle import Bundle
    from rnn_cookbook.run.folder import Run

__all__ = [
    "Config",
    "Recipe",
    "RecipeModule",
    "load_recipe",
    "read_config",
    "recipe_file",
    "recipe_files",
    "trained_by",
]


class Config(Protocol):
    """A recipe's settings: a frozen dataclass of flat scalars; the fields that every recipe has."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def data(self) -> str: ...
    @property
    def epochs(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def baselines(self) -> bool: ...
    @property
    def seed(self) -> int: ...


class RecipeModule(Protocol):
    """What a recipe's file has to define."""

    @property
    def Config(self) -> type:
        """A frozen dataclass."""
        ...

    @property
    def SETTINGS(self) -> Mapping[str, Any]:
        """Name -> Config, "default" and "sample" at least."""
        ...

    @property
    def METRIC(self) -> Metric:
        """The score that the results are compared by."""
        ...

    def load_data(self, config: Any) -> Any:
        """Returns splits of raw examples; nothing is fitted but on the training split."""
        ...

    def build_model(self, config: Any, data: Any) -> Any:
        """Returns a compiled keras.Model."""
        ...

    def train(self, config: Any, model: Any, data: Any, run: Run) -> dict:
        """Trains the model; returns what `run.fit.fit` returns."""
        ...

    def evaluate(
        self, config: Any, model: Any, data: Any, split: str = "test", run: Run | None = None
    ) -> dict[str, float]:
        """Returns the scores on a split; with a run, also fills its folder."""
        ...

    def baselines(self, config: Any, data: Any) -> dict[str, dict]:
        """Returns name -> scores of methods without the network, on the same test split."""
        ...

    def predict(self, loaded: Bundle, inputs: Iterable[list[str]]) -> Iterator[dict]:
        """Yields one answer per raw input; inputs come in lists, of what has arrived by then."""
        ...

    def main(self, config: Any, run: Run) -> str:
        """Trains, evaluates and saves; returns the report."""
        ...


# The functions of the contract with their required parameters.
CONTRACT: dict[str, tuple[str, ...]] = {
    "load_data": ("config",),
    "build_model": ("config", "data"),
    "train": ("config", "model", "data", "run"),
    "evaluate": ("config", "model", "data"),
    "baselines": ("config", "data"),
    "predict": ("loaded", "inputs"),
    "main": ("config", "run"),
}

Reads = Literal["lines", "tables"]


@dataclass(frozen=True)
class Recipe:
    """A loaded recipe: its module, checked, and its optional parts with their defaults.

    Args:
        name: stem of the file.
        given: name or path that it was loaded by; loads it again in another process.
        file: the recipe's file.
        module: what the file defines.
        metrics: METRIC first, then the other scores whose direction the recipe declares
            (`OTHER_METRICS`).
        search_space: (keras_tuner.HyperParameters, config) -> config; None where there is nothing
            to tune.
        prediction: dataclass of the options of `predict` (`Prediction`); None without options.
        reads: what `predict` takes: "lines", one raw input each, or "tables", paths of files
            (`READS`).
        example: an input as one types it, for the last line of a run (`EXAMPLE`).
    """

    name: str
    given: str
    file: Path
    module: RecipeModule
    metrics: tuple[Metric, ...]
    search_space: Callable[[Any, Any], Any] | None
    prediction: type | None
    reads: Reads
    example: str
    _metric: Callable[[Any], Metric]
    _served: Callable[[Bundle], Served] | None
    _longest_input: Callable[[Any], int]

    @property
    def Config(self) -> type:
        """The dataclass of the recipe's settings."""
        return self.module.Config

    @property
    def settings(self) -> Mapping[str, Any]:
        """Name -> Config."""
        return self.module.SETTINGS

    def metric(self, config: Any) -> Metric:
        """The score that results are compared by, which may depend on the data (`metric`)."""
        return self._metric(config)

    def metric_called(self, name: str, config: Any) -> Metric | None:
        """The declared metric of that name; None where the recipe declares no direction for it."""
        declared = (self.metric(config), *self.metrics)
        return next((metric for metric in declared if metric.name == name), None)

    def served(self, loaded: Bundle) -> Served | None:
        """The trained model from raw input to the answer in TensorFlow alone (`served`); None
        where the recipe has no such form."""
        return self._served(loaded) if self._served else None

    def longest_input(self, config: Any) -> int:
        """Steps of the longest example that the network reads (`longest_input`; 100 without)."""
        return self._longest_input(config)


def recipe_files() -> dict[str, Path]:
    """Name -> file of the recipes that come with the library, installed or in a checkout."""
    spec = importlib.util.find_spec("rnn_cookbook.recipes")
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = [file for folder in folders for file in sorted(Path(folder).glob("*.py"))]
    return {file.stem: file for file in files if not file.stem.startswith("_")}


def names() -> str:
    """The names of the recipes, for messages."""
    return "recipes: " + ", ".join(recipe_files())


def recipe_file(name: str) -> Path:
    """Finds a recipe's file by the recipe's name, or by the path of a file.

    Raises:
        InputError: no such recipe.
    """
    file = recipe_files().get(name, Path(name))
    if file.suffix != ".py" or not file.is_file():
        raise InputError(f"no recipe {name!r}; {names()}, or the path of a recipe file")
    return file


def load_recipe(name: str) -> Recipe:
    """Loads a recipe by its name, or by the path of a file, and checks that it keeps the contract.

    Raises:
        InputError: no such recipe, or a file that lacks a part of the contract.
    """
    file = recipe_file(name)
    if name in recipe_files():
        return as_recipe(importlib.import_module(f"rnn_cookbook.recipes.{name}"), given=name)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return as_recipe(module, given=name)


def as_recipe(module: ModuleType, *, given: str = "") -> Recipe:
    """Checks a module against the contract and fills in its optional parts.

    Args:
        module: an imported recipe.
        given: name or path that loads it again; the path of its file by default.

    Raises:
        InputError: a part is missing, or takes other parameters.
    """
    file = Path(module.__file__ or "")
    _check_contract(module, file)
    parts = vars(module)
    checked = cast(RecipeModule, module)
    return Recipe(
        name=file.stem,
        given=given or str(file),
        file=file,
        module=checked,
        metrics=(checked.METRIC, *parts.get("OTHER_METRICS", ())),
        search_space=parts.get("search_space"),
        prediction=parts.get("Prediction"),
        reads=parts.get("READS", "lines"),
        example=parts.get("EXAMPLE", '"…"'),
        _metric=parts.get("metric", lambda config: checked.METRIC),
        _served=parts.get("served"),
        _longest_input=parts.get("longest_input", lambda config: 100),
    )


def _check_contract(module: ModuleType, file: Path) -> None:
    parts = vars(module)
    constants = {
        "Config": is_dataclass(parts.get("Config")),
        "SETTINGS": {"default"} <= set(parts.get("SETTINGS", ())),
        "METRIC": isinstance(parts.get("METRIC"), Metric),
    }
    wrong = [name for name, right in constants.items() if not right]
    for name, wanted in CONTRACT.items():
        function = parts.get(name)
        if not callable(function) or _required(function) != wanted:
            wrong.append(f"{name}({', '.join(wanted)})")
    if wrong:
        raise InputError(
            f"{file} is no recipe: it lacks {listing(wrong, limit=len(wrong))}, or has another "
            "form of these; a recipe defines Config (a dataclass), SETTINGS (with 'default'), "
            f"METRIC (a Metric), {', '.join(CONTRACT)}"
        )


def _required(function: Callable) -> tuple[str, ...]:
    """The parameters without a default; `options` of `predict` is always given where the recipe
    has any."""
    parameters = inspect.signature(function).parameters.values()
    required = (each.name for each in parameters if each.default is each.empty)
    return tuple(name for name in required if name != "options")


def read_config(recipe: Recipe, settings: Mapping[str, Any]) -> Any:
    """Makes the recipe's Config of the settings of a run folder, a bundle or a search.

    Raises:
        InputError: the recipe has other fields now.
    """
    try:
        return recipe.Config(**settings)
    except TypeError as error:
        reason = str(error).replace("Config.__init__() ", "")
        raise InputError(
            f"{recipe.file} is not the recipe that wrote these settings: {reason}. Name that file",
            field="recipe",
        ) from error


def trained_by(folder: Path) -> str | None:
    """The name of the recipe that trained a bundle; None where it cannot be read, which
    `load_bundle` reports."""
    for file in (folder / "model" / "bundle.json", folder / "bundle.json"):
        try:
            if file.exists():
                return str(json.loads(file.read_text(encoding="utf-8"))["recipe"])
        except (OSError, ValueError, KeyError, TypeError):  # a name that is too long, among others
            return None
    return None
