"""A recipe as code of your own: alone, where this library is installed, or with exactly the modules
of the library that it uses."""

from __future__ import annotations

import ast
import functools
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rnn_cookbook import __version__
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.recipe import recipe_file

__all__ = ["Module", "copy_recipe", "requirements", "used_modules"]

_PACKAGE = "rnn_cookbook"
_DISTRIBUTION = "rnn-cookbook"
_HOME = Path(__file__).parents[1]
# What `cli.main` loads by name, and every copy needs.
_COMMANDS = ("cli.__main__", "cli.run", "cli.predict")
# What `cli.run` imports for --record, which works on the recipes of this library alone.
_LEFT_OUT = {f"{_PACKAGE}.run.record"}
# A distribution that is imported by another one when this call is made.
_IMPLIED = {"callbacks.TensorBoard": "tensorboard"}
_DATA_SUFFIXES = (".json", ".csv", ".txt")


def copy_recipe(recipe: str, destination: str | Path, *, vendor: bool = False) -> str:
    """Writes a recipe into a folder of its own, with `requirements.txt`, `README.md` and a smoke
    test.

    Args:
        recipe: name, or path of a recipe's file.
        destination: folder; nothing in it is overwritten.
        vendor: whether to put the library's modules that the recipe uses beside it, so that it runs
            without the library.

    Returns:
        What to do next, as text.

    Raises:
        InputError: no such recipe, a file that is there already, or a library that pip does not
            know.
    """
    source = recipe_file(recipe)
    name = source.stem
    folder = Path(destination)
    if folder.is_file():
        raise InputError(f"{folder} is a file; accepted is a folder, which need not exist")
    modules = used_modules(source) if vendor else {}
    recipe_text = source.read_text(encoding="utf-8")
    texts = {f"{name}.py": recipe_text, f"test_{name}.py": _TEST.format(name=name)}
    for module in modules.values():
        texts[module.path] = module.text
    needed = [f"{_DISTRIBUTION}>={__version__}"]
    if vendor:
        needed = requirements([recipe_text, *(module.text for module in modules.values())])
    texts["requirements.txt"] = "\n".join([*needed, f"pytest  # for test_{name}.py", ""])
    texts["README.md"] = _readme(name, recipe_text, modules)
    others = _data_files(modules.values())
    if vendor:
        others[f"{_PACKAGE}/LICENSE"] = _license()
    _check_nothing_is_overwritten(folder, [*texts, *others], vendor=vendor)
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    for path, file in others.items():
        shutil.copy(file, folder / path)
    beside = f", and the {len(modules)} modules of the library that it uses" if vendor else ""
    return (
        f"{folder} has {name}.py{beside}.\n"
        f"Next: cd {folder} && pip install -r requirements.txt && python {name}.py --data sample"
    )


def _check_nothing_is_overwritten(folder: Path, paths: Iterable[str], *, vendor: bool) -> None:
    existing = [path for path in paths if (folder / path).exists()]
    if vendor and (folder / _PACKAGE).exists():
        existing = [_PACKAGE]
    if existing:
        raise InputError(
            f"{folder} has {listing(existing)} already, and nothing is overwritten: choose another "
            "folder"
        )


# Which modules of the library a recipe uses


@dataclass(frozen=True)
class Module:
    """A module of the library as it is copied.

    Args:
        name: dotted name.
        file: source file.
        submodules: for a package, its modules that are copied.
    """

    name: str
    file: Path
    submodules: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Path below the destination."""
        return f"{_PACKAGE}/{self.file.relative_to(_HOME).as_posix()}"

    @property
    def text(self) -> str:
        """The source; of a package, with the modules in `__all__` that are copied."""
        if self.file.name == "__init__.py":
            return _trimmed(self.file, self.submodules)
        return self.file.read_text(encoding="utf-8")


def used_modules(recipe: Path) -> dict[str, Module]:
    """Finds the modules of the library that a recipe reaches by its imports, and by theirs.

    Args:
        recipe: file of the recipe.

    Returns:
        Dotted name -> module, in alphabetical order.
    """
    files: dict[str, Path] = {}
    waiting = [*_references(_tree(recipe)), *(f"{_PACKAGE}.{name}" for name in _COMMANDS)]
    while waiting:
        parts = waiting.pop().split(".")
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            file = _file(name)
            if name in _LEFT_OUT or file is None:
                break
            if name not in files:
                files[name] = file
                waiting += _references(_tree(file))
    modules = {}
    for name in sorted(files):
        prefix = f"{name}."
        children = [each.removeprefix(prefix) for each in files if each.startswith(prefix)]
        submodules = tuple(child for child in children if "." not in child)
        modules[name] = Module(name, files[name], submodules)
    return modules


def _references(tree: ast.Module) -> set[str]:
    """Dotted names of the library that a module imports, and of what it then takes from them:
    "rnn_cookbook.tasks.tagging.scores.span_scores"."""
    nodes = [
        node
        for statement in tree.body
        if not _is_for_types(statement)
        for node in ast.walk(statement)
    ]
    local: dict[str, str] = {}  # local name -> dotted name
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and _is_ours(node.module or ""):
            for alias in node.names:
                local[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if _is_ours(alias.name)}
    for node in nodes:
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.insert(0, node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id in local:
            names.add(".".join([local[node.id], *attributes]))
    return names | set(local.values())


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == _PACKAGE


def _is_for_types(statement: ast.stmt) -> bool:
    """Whether it is `if TYPE_CHECKING:`, which does not run."""
    return (
        isinstance(statement, ast.If)
        and isinstance(statement.test, ast.Name)
        and statement.test.id == "TYPE_CHECKING"
    )


@functools.cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _file(name: str) -> Path | None:
    """The source of a module of the library; None where there is no such module."""
    path = _HOME.joinpath(*name.split(".")[1:])
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def _trimmed(file: Path, submodules: Iterable[str]) -> str:
    """The source of a package's `__init__` with these modules in its `__all__`."""
    lines = file.read_text(encoding="utf-8").splitlines()
    names = ", ".join(f'"{name}"' for name in submodules if not name.startswith("_"))
    for statement in reversed(_tree(file).body):
        replacement = None
        if _is_for_types(statement):
            replacement = []
        elif isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            replacement = [f"__all__ = [{names}]"]
        if replacement is not None:
            lines[statement.lineno - 1 : statement.end_lineno] = replacement
    unused = "from typing import TYPE_CHECKING"
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line for line in lines if line != unused)) + "\n"


# What else belongs to them


def _data_files(modules: Iterable[Module]) -> dict[str, Path]:
    """Files of the library that are no modules and are named in one: path below the destination ->
    file."""
    named = {
        node.value
        for module in modules
        for node in ast.walk(_tree(module.file))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {
        f"{_PACKAGE}/{file.relative_to(_HOME).as_posix()}": file
        for file in _HOME.rglob("*")
        if file.suffix in _DATA_SUFFIXES and "recipes" not in file.parts and file.name in named
    }


def requirements(texts: Iterable[str]) -> list[str]:
    """Finds the library's own requirements that these modules import.

    Requirements that other packages need without saying so are among them.

    Args:
        texts: sources of the modules.

    Raises:
        InputError: pip does not know the library, so that its requirements are not known.
    """
    texts = list(texts)
    try:
        lines = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError as error:
        raise InputError(
            f"pip knows no {_DISTRIBUTION}: install it (pip install -e .), its requirements are "
            "copied"
        ) from error
    wanted = {}
    for requirement in map(Requirement, lines):
        if requirement.marker is None:
            name = canonicalize_name(requirement.name)
            wanted[name] = f"{requirement.name}{requirement.specifier}"
    imported = {name for text in texts for name in _distributions(ast.parse(text))}
    for call, distribution in _IMPLIED.items():
        if any(call in text for text in texts):
            imported.add(distribution)
    everywhere = _of_the_library()
    return [line for name, line in wanted.items() if name in imported or name not in everywhere]


def _distributions(tree: ast.Module) -> set[str]:
    """Names of the packages of pip that a module imports from."""
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    distributions = _installed()
    return {
        str(canonicalize_name(distribution))
        for name in imported - set(sys.stdlib_module_names)
        for distribution in distributions.get(name, [name])
    }


@functools.cache
def _of_the_library() -> set[str]:
    return {name for file in _HOME.rglob("*.py") for name in _distributions(_tree(file))}


@functools.cache
def _installed() -> dict[str, list[str]]:
    """Name of a module -> the packages of pip that it may be of."""
    return {name: list(packages) for name, packages in metadata.packages_distributions().items()}


def _license() -> Path:
    """The license among what pip keeps of the installed library, or in the checkout."""
    files = metadata.files(_DISTRIBUTION) or ()
    kept = [Path(str(file.locate())) for file in files if file.name == "LICENSE"]
    return next(path for path in [*kept, _HOME.parent / "LICENSE"] if path.is_file())


# What is written beside it

_TEST = '''"""The recipe works after your changes: it trains, and its model loads again."""

import json
import subprocess
import sys
from pathlib import Path

RECIPE = Path(__file__).with_name("{name}.py")


def test_it_trains_and_is_kept(tmp_path):
    options = ["--data", "sample", "--epochs", "1", "--no-baselines", "--quiet"]
    command = [sys.executable, RECIPE, *options, "--output", tmp_path / "run"]
    subprocess.run(command, check=True, cwd=RECIPE.parent)
    report = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert report["recipe"] == RECIPE.stem
    assert report["test"]
    load = (
        "import sys; from rnn_cookbook.run.bundle import load_bundle; "
        "load_bundle(sys.argv[1]).model.summary()"
    )
    subprocess.run([sys.executable, "-c", load, tmp_path / "run"], check=True, cwd=RECIPE.parent)
'''


def _readme(name: str, text: str, modules: dict[str, Module]) -> str:
    lines = (ast.get_docstring(ast.parse(text)) or name).splitlines()
    uses = [line for line in lines if line.startswith("    ")]
    uses = [re.sub(r"rnn-cookbook run \S+", f"python {name}.py", line) for line in uses]
    uses.append(f"    rnn-cookbook predict runs/{name}/<time> --recipe {name}.py")
    about = (
        f"It needs `{_DISTRIBUTION}` {__version__} or later; "
        f"`{_DISTRIBUTION} copy {name} FOLDER --vendor` gives a copy that does not."
    )
    if modules:
        uses = [line.replace("rnn-cookbook", f"python -m {_PACKAGE}.cli") for line in uses]
        about = (
            f"`{_PACKAGE}/` holds the {len(modules)} modules of RNN Cookbook {__version__} that "
            "the recipe uses, under the license in it."
        )
    commands = ["    pip install -r requirements.txt", *uses, f"    pytest test_{name}.py"]
    return (
        f"# {lines[0]}\n\n"
        + "\n".join(commands)
        + f"\n\nThe recipe is `{name}.py`: it is yours, change it. {about}\n"
    )
