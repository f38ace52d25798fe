"""What the README says: its tables are those of the results, its commands parse, its code runs."""

import json
import re
import shlex

import pytest
from conftest import ROOT

from rnn_cookbook.cli.main import main
from rnn_cookbook.cli.predict import predict_parser, recipe_among
from rnn_cookbook.cli.run import run_parser
from rnn_cookbook.recipe import load_recipe, recipe_files
from rnn_cookbook.run.results import CELLS_MARKERS, RESULTS_MARKERS, cells_table, results_table

RECIPES = sorted(recipe_files())
TEMPLATE = ROOT / "recipes" / "_template.py"


def test_the_checklist_of_the_readme_names_tests_that_exist():
    checklist = (ROOT / "README.md").read_text(encoding="utf-8").split("## Contribute a recipe")[1]
    named = re.findall(r"`(test_\w+)`", checklist)
    tests = "".join(
        file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py")
    )
    assert len(named) >= 9
    assert not [name for name in named if f"def {name}(" not in tests]


def test_the_readme_table_is_that_of_the_results():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = readme.split(RESULTS_MARKERS[0])[1].split(RESULTS_MARKERS[1])[0].strip()
    assert block == results_table(ROOT / "recipes" / "results")
    cells = readme.split(CELLS_MARKERS[0])[1].split(CELLS_MARKERS[1])[0].strip()
    assert cells == cells_table(ROOT / "recipes" / "results")


def test_the_readme_commands_parse():
    """Every `rnn-cookbook run` of the README names options and settings that exist."""
    commands = re.findall(
        r"rnn-cookbook run ([\w./]+)([^`#\n]*)", (ROOT / "README.md").read_text(encoding="utf-8")
    )
    assert len(commands) >= 4
    for name, rest in commands:
        name = str(TEMPLATE) if name == "recipes/mine.py" else name  # of which it is a copy
        options = [option for option in rest.split("&&")[0].split() if option != "--help"]
        run_parser(load_recipe(name)).parse_args(options)


def test_the_readme_commands_that_predict_parse(tmp_path):
    """The recipe that trained the run says which options there are."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"rnn-cookbook (?:predict|score) (runs/(\w+)/[^#\n]*)", readme)
    assert {name for _, name in commands} == {*RECIPES}
    for rest, name in commands:
        run = tmp_path / name
        (run / "model").mkdir(parents=True, exist_ok=True)
        (run / "model" / "bundle.json").write_text(json.dumps({"recipe": name}))
        arguments = [
            str(run) if word.startswith("runs/") else word
            for word in shlex.split(rest.split(" > ")[0].split(" | ")[0])
        ]
        recipe = recipe_among(arguments)
        assert recipe.name == name
        assert predict_parser(recipe).parse_intermixed_args(arguments).run == str(run), rest


def test_the_readme_commands_that_search_and_compare_parse(monkeypatch):
    """Up to the search itself: the options are known, and so is what they are given."""
    called = []

    def instead(recipe, config, **options):
        called.append((recipe.name, options))
        return ""

    monkeypatch.setattr("rnn_cookbook.tune.search.tune", instead)
    monkeypatch.setattr("rnn_cookbook.tune.compare.compare", instead)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"rnn-cookbook ((?:tune|compare) [^`#\n]*)", readme)
    assert len(commands) >= 6
    for command in commands:
        arguments = command.replace("$SLURM_PROCID", "1").split()
        if "--resume" not in arguments:  # which looks for the folder
            assert (
                main([*arguments, "--data", "sample"] if "--data" not in arguments else arguments)
                == 0
            ), command
    assert {name for name, _ in called} >= {"sentiment", "ner", "translation"}


@pytest.mark.parametrize(
    "code",
    re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL
    ),
)
def test_the_readme_code_runs(code):
    exec(compile(code, "README.md", "exec"), {})
