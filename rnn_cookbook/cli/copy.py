"""A recipe as code of your own: alone, for who has this library installed, or with exactly the
modules of the library that it uses."""

import ast
import functools
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rnn_cookbook import __version__
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.recipe import recipe_file

_PACKAGE = "rnn_cookbook"
_HOME = Path(__file__).parent.parent
_OURS = {
    f"{_PACKAGE}.commands",
    f"{_PACKAGE}.recording",
}  # what works on many recipes or keeps their records stays here
_DISTRIBUTION = "rnn-cookbook"
_UNSAID = {"callbacks.TensorBoard": "tensorboard"}  # what is imported elsewhere once this is called
_WIDTH = 140  # of a line


def copy(recipe: str, destination: str | Path, *, vendor: bool = False) -> str:
    """Writes a recipe into a folder of its own, with `requirements.txt`, `README.md` and a smoke
    test; returns what to do next.

    Args:
        recipe: name, or path of a recipe's file.
        destination: the folder; nothing in it is overwritten.
        vendor: put the modules of the library that the recipe uses beside it, so that it runs
            without the library.

    Raises:
        InputError: no such recipe, a file that is there already, or a library that pip knows
            nothing of.
    """
    file = recipe_file(recipe)
    name, folder = file.stem, Path(destination)
    if folder.is_file():
        raise InputError(f"{folder} is a file: name a folder, which need not exist")
    texts = {
        f"{name}.py": file.read_text(encoding="utf-8"),
        f"test_{name}.py": _TEST.format(name=name),
    }
    modules = used_modules(file) if vendor else {}
    texts |= {module.path: module.text for module in modules.values()}
    needed = [f"{_DISTRIBUTION}>={__version__}"]
    if vendor:
        needed = requirements(
            [texts[f"{name}.py"], *(texts[module.path] for module in modules.values())]
        )
    texts["requirements.txt"] = "\n".join([*needed, f"pytest  # for test_{name}.py", ""])
    texts["README.md"] = _readme(name, texts[f"{name}.py"], modules)
    others = _data_files(modules)
    if vendor:
        others |= {f"{_PACKAGE}/LICENSE": _license()}
    there = [path for path in [*texts, *others] if (folder / path).exists()]
    if vendor and (folder / _PACKAGE).exists():
        there = [_PACKAGE]
    if there:
        raise InputError(
            f"{folder} has {listing(there)} already, and nothing is overwritten: choose another folder"
        )
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    for path, source in others.items():
        shutil.copy(source, folder / path)
    with_it = f", and {len(modules)} modules of the library that it uses" if vendor else ""
    return f"{folder} has {name}.py{with_it}.\nNext: cd {folder} && pip install -r requirements.txt && python {name}.py --data sample"


# Which modules of the library a recipe uses


class Module:
    """A module of the library and what is asked of it: a package keeps only the names that are."""

    def __init__(self, name: str):
        self.name, self.asked = name, set()
        self.file = _file(name)
        self.tree = _tree(self.file)
        self.exported = _exported(self.tree) if self.file.name == "__init__.py" else []

    @property
    def path(self) -> str:
        return f"{_PACKAGE}/{self.file.relative_to(_HOME).as_posix()}"

    @property
    def gathers(self) -> bool:
        """Whether it is a package that only gives names of its modules on."""
        return bool(self.exported)

    @property
    def text(self) -> str:
        return _trimmed(self) if self.gathers else self.file.read_text(encoding="utf-8")


def used_modules(recipe: Path) -> dict[str, Module]:
    """Name to module, of all that a recipe reaches by its imports, and by theirs."""
    found: dict[str, Module] = {}
    waiting = [*_references(_tree(recipe))]
    while waiting:
        parts = waiting.pop().split(".")
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            if name in _OURS or _file(name) is None:
                break
            if name not in found:
                found[name] = Module(name)
                if not found[name].gathers:
                    waiting += _references(found[name].tree)
            module, rest = found[name], parts[end:]
            if rest and module.gathers and rest[0] not in module.asked:
                module.asked.add(rest[0])
                waiting += [
                    f"{source}.{rest[0]}"
                    for source, exported in module.exported
                    if rest[0] in exported
                ]
    return dict(sorted(found.items()))


def _references(tree: ast.Module) -> set[str]:
    """Dotted names of the library that a module imports, and of what it then takes from them:
    "rnn_cookbook.models.text_classifier"."""
    known, found = {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == _PACKAGE:
            known |= {
                alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names
            }
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == _PACKAGE}
    for node in ast.walk(tree):
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.insert(0, node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id in known:
            found.add(".".join([known[node.id], *attributes]))
    return found | set(known.values())


@functools.cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _file(name: str) -> Path | None:
    """Of a module of the library; None where there is no such module."""
    path = _HOME.joinpath(*name.split(".")[1:])
    return next(
        (file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None
    )


def _exported(tree: ast.Module) -> list[tuple[str, set[str]]]:
    """What a package takes from its own modules to give it on: (module, names)."""
    given = next((ast.literal_eval(node.value) for node in tree.body if _is_all(node)), ())
    taken = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return [
        (node.module, names)
        for node in taken
        if (names := {alias.name for alias in node.names} & set(given))
    ]


def _is_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"


def _trimmed(module: Module) -> str:
    """A package's `__init__` with the names that are asked of it."""
    lines, given = [], set()
    for source, exported in module.exported:
        if kept := sorted(exported & module.asked):
            line = f"from {source} import {', '.join(kept)}"
            lines.append(
                line
                if len(line) <= _WIDTH
                else f"from {source} import (\n" + "".join(f"    {each},\n" for each in kept) + ")"
            )
            given.update(kept)
    parts = [f'"""{ast.get_docstring(module.tree)}"""']
    if given:
        parts += [
            "\n".join(lines),
            "__all__ = [\n" + "".join(f'    "{name}",\n' for name in sorted(given)) + "]",
        ]
    return "\n\n".join(parts) + "\n"


# What else belongs to them


def _data_files(modules: dict[str, Module]) -> dict[str, Path]:
    """Files of the library that are no modules and are named in one: path below the destination to
    file."""
    there = {
        file.name: file
        for file in _HOME.rglob("*")
        if file.suffix in (".json", ".csv", ".txt") and "recipes" not in file.parts
    }
    named = {
        node.value
        for module in modules.values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant)
    }
    return {
        f"{_PACKAGE}/{file.relative_to(_HOME).as_posix()}": file
        for name, file in there.items()
        if name in named
    }


def requirements(texts: list[str]) -> list[str]:
    """What of the library's own requirements the modules of these texts import; those that other
    packages need unsaid are among them."""
    try:
        wanted = [Requirement(line) for line in metadata.requires(_DISTRIBUTION) or ()]
    except metadata.PackageNotFoundError as error:
        raise InputError(
            f"pip knows no {_DISTRIBUTION}: install it (pip install -e .), its requirements are copied"
        ) from error
    wanted = {
        canonicalize_name(each.name): f"{each.name}{each.specifier}"
        for each in wanted
        if each.marker is None
    }
    everywhere, here = (
        _of_the_library(),
        set().union(*(_distributions(ast.parse(text)) for text in texts)),
    )
    here |= {package for call, package in _UNSAID.items() if any(call in text for text in texts)}
    return [line for name, line in wanted.items() if name in here or name not in everywhere]


def _distributions(tree: ast.Module) -> set[str]:
    """Names of the packages of pip that a module imports from."""
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    known = _installed()
    return {
        canonicalize_name(each)
        for name in imported - set(sys.stdlib_module_names)
        for each in known.get(name, [name])
    }


@functools.cache
def _of_the_library() -> set[str]:
    return set().union(*(_distributions(_tree(file)) for file in _HOME.rglob("*.py")))


@functools.cache
def _installed() -> dict[str, list[str]]:
    """Name of a module to the packages of pip that it may be of."""
    return dict(metadata.packages_distributions())


def _license() -> Path:
    """Among what pip keeps of the installed library, or in the checkout."""
    kept = [
        Path(str(file.locate()))
        for file in metadata.files(_DISTRIBUTION) or ()
        if file.name == "LICENSE"
    ]
    return next(path for path in [*kept, _HOME.parent / "LICENSE"] if path.is_file())


# What is written beside it

_TEST = '''"""That the recipe works after your changes: it trains shortly on its sample, and what it has learnt can be loaded again."""

import json
import subprocess
import sys
from pathlib import Path

RECIPE = Path(__file__).with_name("{name}.py")


def test_it_trains_and_is_kept(tmp_path):
    options = ["--data", "sample", "--epochs", "1", "--no-baselines", "--quiet", "--output", tmp_path / "run"]
    subprocess.run([sys.executable, RECIPE, *options], check=True, cwd=RECIPE.parent)
    report = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert report["recipe"] == RECIPE.stem
    assert report["test"]
    load = "import sys; from rnn_cookbook.run.bundle import load_bundle; load_bundle(sys.argv[1]).model.summary()"
    subprocess.run([sys.executable, "-c", load, tmp_path / "run"], check=True, cwd=RECIPE.parent)
'''


def _readme(name: str, text: str, modules: dict[str, Module]) -> str:
    lines = (ast.get_docstring(ast.parse(text)) or name).splitlines()
    summary, uses = lines[0], [line for line in lines if line.startswith("    ")]
    uses = [re.sub(r"rnn-cookbook run \S+", f"python {name}.py", line) for line in uses]
    predict = f"rnn-cookbook predict runs/{name}/<time> --recipe {name}.py"
    if modules:
        uses = [line.replace("rnn-cookbook", f"python -m {_PACKAGE}.cli") for line in uses]
        predict = predict.replace("rnn-cookbook", f"python -m {_PACKAGE}.cli")
        about = f"`{_PACKAGE}/` holds the {len(modules)} modules of RNN Cookbook {__version__} that the recipe uses, under the licence in it."
    else:
        about = f"It needs `{_DISTRIBUTION}` {__version__} or later; `{_DISTRIBUTION} copy {name} FOLDER --vendor` gives a copy that does not."
    commands = "\n".join(
        [
            "    pip install -r requirements.txt",
            *uses,
            f"    {predict}",
            f"    pytest test_{name}.py",
        ]
    )
    return (
        f"# {summary}\n\n{commands}\n\nThe recipe is `{name}.py`: it is yours, change it. {about}\n"
    )
