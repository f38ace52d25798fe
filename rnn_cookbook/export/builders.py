"""What the application that built a network says of it.

The applications lie above this package, so they are found by walking their folders: a copy of the
library that has only one of them works likewise.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import keras

from rnn_cookbook.export.served import Facts

__all__ = ["builder_of", "inference_network", "input_descriptions", "network_facts"]

_HOME = Path(__file__).parent.parent


def _modules(name: str) -> Iterator[ModuleType]:
    """Imports the modules of that name, one for each application that has such a module."""
    for file in sorted(_HOME.glob(f"tasks/*/{name}.py")):
        parts = file.relative_to(_HOME.parent).with_suffix("").parts
        yield importlib.import_module(".".join(parts))


def _building_module(model: keras.Model) -> ModuleType | None:
    """The application's `model` module that defines the builder named like the model."""
    for module in _modules("model"):
        builder = vars(module).get(model.name)
        if callable(builder) and builder.__module__ == module.__name__:
            return module
    return None


def _export_hook(model: keras.Model, name: str) -> Callable | None:
    """The function of that name in the `export` module of the application that built the model."""
    built_in = _building_module(model)
    if built_in is None:
        return None
    package = built_in.__name__.rpartition(".")[0]
    beside = [each for each in _modules("export") if each.__name__ == f"{package}.export"]
    return vars(beside[0]).get(name) if beside else None


def builder_of(model: keras.Model) -> Callable[..., keras.Model] | None:
    """Finds the builder of the library that made a model, by the model's name.

    Args:
        model: any Keras model.

    Returns:
        The builder, such as `text_classifier`; None for a model of another origin.
    """
    module = _building_module(model)
    return vars(module)[model.name] if module else None


def input_descriptions(model: keras.Model) -> Mapping[str, str]:
    """Returns input name -> description (`INPUTS` of the builder's module); empty for a model of
    another origin."""
    module = _building_module(model)
    return vars(module).get("INPUTS", {}) if module else {}


def inference_network(model: keras.Model) -> keras.Model:
    """Returns the network without inputs that only training feeds, by `inference_network(model)` of
    the application's `export` module; the model itself where the application has none."""
    hook = _export_hook(model, "inference_network")
    return hook(model) if hook else model


def network_facts(model: keras.Model, learnt: Mapping[str, Any]) -> Facts:
    """Returns what an export says of a network besides, by `network_facts(model, learnt)` of the
    application's `export` module.

    Args:
        model: network to export.
        learnt: facts of the bundle.
    """
    hook = _export_hook(model, "network_facts")
    return hook(model, learnt) if hook else Facts(entries={}, paragraph="")
