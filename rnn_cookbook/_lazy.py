"""Submodules that load when they are first used."""

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType


def submodules(package: str) -> Callable[[str], ModuleType]:
    """A module-level `__getattr__` for `package`: names a submodule at once, runs it when something in it is asked for."""

    def __getattr__(name: str) -> ModuleType:
        spec = None if name.startswith("_") else importlib.util.find_spec(f"{package}.{name}")
        if spec is None or spec.loader is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if spec.name not in sys.modules:
            spec.loader = importlib.util.LazyLoader(spec.loader)
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
        setattr(sys.modules[package], name, sys.modules[spec.name])
        return sys.modules[spec.name]

    return __getattr__
