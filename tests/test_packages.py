"""The face of the library: what packages and modules list, and where CHANGELOG says names are."""

import importlib
import pkgutil
import re

import pytest
from conftest import ROOT

import rnn_cookbook

# The recipes are files to copy; their functions are those of the contract.
MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(rnn_cookbook.__path__, "rnn_cookbook.")
    if not name.endswith("__main__") and not name.startswith("rnn_cookbook.recipes.")
]
PACKAGES = [
    "rnn_cookbook",
    *(name for name in MODULES if hasattr(importlib.import_module(name), "__path__")),
]


def test_the_root_is_small():
    assert len(list((ROOT / "rnn_cookbook").glob("*.py"))) <= 10


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_lists_its_modules(name):
    package = importlib.import_module(name)
    modules = {
        module.name
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_")
    }
    if name == "rnn_cookbook":
        modules.add("recipes")  # a folder of its own in a checkout
    assert set(package.__all__) == modules
    assert set(package.__all__) <= set(dir(package))
    for module in modules:
        assert getattr(package, module) is importlib.import_module(f"{name}.{module}")


@pytest.mark.parametrize("name", [name for name in MODULES if name not in PACKAGES])
def test_a_module_says_what_it_is_and_lists_names_that_it_has(name):
    module = importlib.import_module(name)
    assert module.__doc__
    assert module.__all__
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        assert hasattr(module, public), public


def test_names_that_moved_are_where_the_changelog_says():
    moved = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("### What moved")[1]
    for row in re.findall(r"^\| `.*$", moved, re.MULTILINE):
        _, old, new, _ = row.split("|")
        for name, public in re.findall(r"`([\w.]+)`(?: \(([\w, ]+)\))?(?! is)", new):
            if f"`{name}` is" in new:  # the name in 0.1, before the one that it has now
                continue
            holder = find(name)
            for each in public.split(", ") if public else ():
                assert hasattr(holder, each), f"{old.strip()}: {name}.{each}"


def find(name: str):
    """The module, or what is defined in one, of a dotted name below the library's."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        dotted = ".".join(["rnn_cookbook", *parts[:end]])
        if dotted not in MODULES:
            continue
        found = importlib.import_module(dotted)
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"no {name}")
