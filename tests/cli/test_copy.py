"""Copies of recipes: they hold what they use and nothing else, run where nothing else is installed,
and overwrite nothing."""

import ast
import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import rnn_cookbook
from rnn_cookbook.cli.main import main
from rnn_cookbook.cli.vendor import copy_recipe, used_modules
from rnn_cookbook.recipe import recipe_files

RECIPES = [*recipe_files()]
# What copies do without: the record of this library's own results.
LEFT_OUT = {"rnn_cookbook.run.record", "rnn_cookbook.run.record.record"}


def imported(file: Path) -> set[str]:
    """What a file imports of the library when it runs, module by module."""
    found = set()
    tree = ast.parse(file.read_text())
    tree.body = [node for node in tree.body if "TYPE_CHECKING" not in ast.unparse(node)[:16]]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "rnn_cookbook":
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_copy_with_the_library_has_every_module_that_it_imports(recipe, tmp_path):
    copy_recipe(recipe, "mine", vendor=True)
    library = Path(rnn_cookbook.__path__[0])
    for file in Path("mine").rglob("*.py"):
        for name in imported(file) - LEFT_OUT:
            parts = name.split(".")[1:]
            whole = library.joinpath(*parts)
            if whole.is_dir() or whole.with_suffix(".py").exists():
                copied = tmp_path.joinpath("mine/rnn_cookbook", *parts)
                assert copied.is_dir() or copied.with_suffix(".py").exists(), (
                    f"{file} imports {name}"
                )
    assert not Path("mine/rnn_cookbook/tune").exists()
    assert Path("mine/rnn_cookbook/LICENSE").exists()
    assert Path("mine/rnn_cookbook/tasks/anomaly/nab.json").exists() == (
        recipe == "anomaly_detection"
    )


def test_it_has_no_module_that_it_does_not_use():
    of = {recipe: set(used_modules(recipe_files()[recipe])) for recipe in RECIPES}
    for recipe, others in {
        "sentiment": ("nn.ctc", "nn.audio", "nn.forecast", "tasks.speech", "tasks.anomaly", "tune"),
        "forecasting": (
            "nn.attention",
            "nn.crf",
            "tasks.classification",
            "encode.text",
            "export.write",
        ),
        "speech_to_text": ("tasks.classification", "tasks.forecasting", "nn.decoding", "cli.copy"),
    }.items():
        assert not {f"rnn_cookbook.{name}" for name in others} & of[recipe]
    assert {
        "rnn_cookbook.tasks.classification.model",
        "rnn_cookbook.tasks.classification.sample",
        "rnn_cookbook.run.fit",
        "rnn_cookbook.cli.predict",
    } <= of["sentiment"]


def test_a_package_lists_the_modules_that_are_copied():
    module = used_modules(recipe_files()["sentiment"])["rnn_cookbook.tasks"]
    tree = ast.parse(module.text)
    (names,) = (node.value for node in tree.body if ast.unparse(node).startswith("__all__"))
    assert ast.literal_eval(names) == ["classification"]


def test_requirements_are_those_of_what_it_imports(tmp_path):
    copy_recipe("sentiment", "plain")
    assert Path("plain/requirements.txt").read_text().splitlines()[0].startswith("rnn-cookbook>=")
    copy_recipe("sentiment", "whole", vendor=True)
    names = re.findall(r"^[\w.-]+", Path("whole/requirements.txt").read_text(), flags=re.MULTILINE)
    assert {"tensorflow", "keras", "tensorboard", "scikit-learn", "pandas", "pytest"} <= set(names)
    assert not {"soundfile", "sentencepiece", "jiwer", "rnn-cookbook", "keras-tuner"} & set(names)


def test_the_commands_of_the_readme(tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    rnn-cookbook (copy [^#\n]*)", readme, flags=re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert main(command.split()) == 0
    stated = re.search(r"\((\d+) of them for sentiment", readme)
    assert int(stated[1]) == len([*Path("standalone/rnn_cookbook").rglob("*.py")])


def test_bad_input(tmp_path, capsys):
    def told(*arguments) -> str:
        assert main(["copy", *arguments]) == 2
        return capsys.readouterr().err

    assert "the following arguments are required: RECIPE, DEST" in told()
    assert "the following arguments are required: DEST" in told("sentiment")
    assert "no recipe 'poetry'; recipes: anomaly_detection" in told("poetry", "there")
    Path("file").touch()
    assert "file is a file; accepted is a folder" in told("sentiment", "file")
    Path("there").mkdir()
    Path("there/sentiment.py").write_text("my own")
    Path("there/notes.txt").touch()
    assert "there has sentiment.py already, and nothing is overwritten" in told(
        "sentiment", "there"
    )
    assert Path("there/sentiment.py").read_text() == "my own"
    assert main(["copy", "ner", "there"]) == 0, "other files do not matter"
    assert main(["copy", "ner", "new", "--vendor"]) == 0
    for file in Path("new").glob("*.*"):
        file.unlink()
    assert "new has rnn_cookbook already" in told("ner", "new", "--vendor")


def test_a_recipe_of_your_own_can_be_copied(tmp_path, capsys):
    copy_recipe("sentiment", "first")
    Path("first/sentiment.py").rename("moods.py")
    assert main(["copy", "moods.py", "second", "--vendor"]) == 0
    assert "second has moods.py, and" in capsys.readouterr().out
    assert Path("second/test_moods.py").read_text().count("moods.py") == 1
    assert "python moods.py --data sample" in Path("second/README.md").read_text()


# An environment that matches: what requirements.txt does not bring cannot be imported.

GUARD = """
import importlib.machinery, json, sys
folder, absent = json.load(open(__file__.replace("sitecustomize.py", "guard.json")))

class Guard:
    def find_spec(self, name, path=None, target=None):
        if name == "rnn_cookbook":
            return importlib.machinery.PathFinder.find_spec(name, [folder])
        if name.split(".")[0] in absent:
            message = f"No module named {name!r}: requirements.txt does not bring it"
            raise ModuleNotFoundError(message, name=name)

sys.meta_path.insert(0, Guard())
"""


def brought(names: set[str]) -> set[str]:
    """What pip would install for these requirements: themselves, and what they need."""
    waiting, found = {canonicalize_name(name) for name in names}, set()
    while waiting:
        name = waiting.pop()
        found.add(name)
        try:
            needed = [Requirement(line) for line in metadata.requires(name) or ()]
        except metadata.PackageNotFoundError:
            continue
        waiting |= {
            canonicalize_name(each.name)
            for each in needed
            if not each.marker or each.marker.evaluate({"extra": ""})
        } - found
    return found


# Which modules a copy needs is tested for every recipe above.
@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["sentiment"])
def test_with_the_library_it_runs_where_only_its_requirements_are(recipe, tmp_path):
    copy_recipe(recipe, "mine", vendor=True)
    there = brought(
        {*re.findall(r"^[\w.-]+", Path("mine/requirements.txt").read_text(), flags=re.MULTILINE)}
    )
    of = metadata.packages_distributions()
    absent = [
        name
        for name, owners in of.items()
        if name != "rnn_cookbook" and not {canonicalize_name(owner) for owner in owners} & there
    ]
    assert {"keras_tuner", "hypothesis"} <= set(absent)
    Path("guard").mkdir()
    Path("guard/sitecustomize.py").write_text(GUARD)
    Path("guard/guard.json").write_text(json.dumps([str(tmp_path / "mine"), absent]))
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path / "guard"),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", f"test_{recipe}.py"]
    ended = subprocess.run(
        command, cwd="mine", env=environment, capture_output=True, text=True, timeout=1500
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    where = "import rnn_cookbook, sys; print(rnn_cookbook.__file__)"
    ended = subprocess.run(
        [sys.executable, "-c", where], env=environment, capture_output=True, text=True
    )
    assert Path(ended.stdout.strip()) == tmp_path / "mine/rnn_cookbook/__init__.py"
