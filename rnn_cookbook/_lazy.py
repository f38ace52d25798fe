"""Submodules that load when they are first used."""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

__all__ = ["lazy_submodules"]


def lazy_submodules(
    package: str, names: Sequence[str]
) -> tuple[Callable[[str], ModuleType], Callable[[], list[str]]]:
    """Makes a package's `__getattr__` and `__dir__`: its submodules are listed at once and run on
    first use.

    Args:
        package: `__name__` of the package.
        names: names of its submodules, its `__all__`.
    """

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

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names})

    return __getattr__, __dir__
