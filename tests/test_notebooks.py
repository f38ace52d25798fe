"""The notebooks: stored as they ran, from top to bottom, and they run again."""

import ast
import importlib
import json
import re
import types
from pathlib import Path

import pytest
from conftest import ROOT

from rnn_cookbook.recipe import recipe_files

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Those that train for half a minute of a processor or more; `benchmarks/notebooks.py` runs all.
LONG = {
    "3_inside_the_gates",
    "5_both_directions_depth_and_attention",
    "6_learning_rate_regularisation_and_curves",
    "8_from_notebook_to_production",
    "9_what_a_search_finds",
    "tour_anomaly_detection",
    "tour_forecasting",
    "tour_ner",
    "tour_sentiment",
    "tour_speech_to_text",
    "tour_translation",
}


def read(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def test_there_are_notebooks_and_the_readme_names_each():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(NOTEBOOKS) >= 8
    for path in NOTEBOOKS:
        assert f"(notebooks/{path.name})" in readme


def test_every_recipe_has_a_tour():
    assert {path.stem for path in NOTEBOOKS if path.stem.startswith("tour_")} == {
        f"tour_{name}" for name in recipe_files()
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_stored_as_it_ran(path):
    cells = read(path)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == [*range(1, len(code) + 1)], (
        "run in order, in one go"
    )
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [
        output
        for output in outputs
        if output["output_type"] == "error" or output.get("name") == "stderr"
    ]
    for (
        cell
    ) in code:  # what is printed is one output, however it arrived: see `coalesce_streams` below
        assert sum(output["output_type"] == "stream" for output in cell["outputs"]) <= 1
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
    shown = json.dumps(
        [
            {k: v for k, v in output.get("data", output).items() if k != "image/png"}
            for output in outputs
        ]
    )
    assert not re.search(
        r"/(home|root|tmp|usr|Users|work)/|site-packages|Warning|object at 0x", shown
    )
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    assert sum("$" in text for text in texts) >= (1 if path.stem.startswith("tour_") else 3), (
        "formulas"
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_it_imports_from_the_library_is_there(path):
    code = "\n".join("".join(cell["source"]) for cell in read(path) if cell["cell_type"] == "code")
    tree = ast.parse(re.sub(r"^[%!].*$", "", code, flags=re.MULTILINE))
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rnn_cookbook"):
            module = importlib.import_module(node.module)
            for name in node.names:
                if not hasattr(module, name.name):
                    importlib.import_module(f"{node.module}.{name.name}")
                modules[name.asname or name.name] = getattr(module, name.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id)
            if isinstance(module, types.ModuleType):
                assert hasattr(module, node.attr), f"{module.__name__}.{node.attr}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [path for path in NOTEBOOKS if path.stem not in LONG], ids=lambda path: path.stem
)
def test_it_runs_from_an_empty_folder(path, tmp_path):
    """Its own assertions hold, and what it prints is what is stored, but for the last digits. A
    cell with nbval's tag for output that depends on the machine, such as which examples a trained
    network gets wrong, has some."""
    nbformat = pytest.importorskip("nbformat", reason="executing notebooks needs the test extra")
    from nbclient import NotebookClient

    book = nbformat.read(path, as_version=4)
    options = {
        "timeout": 1500,
        "kernel_name": "python3",
        "coalesce_streams": True,
    }  # else when a line came decides how lines are grouped
    NotebookClient(book, **options, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for stored, cell in zip(read(path), book.cells, strict=True):
        for one, other in zip(stored.get("outputs", []), cell.get("outputs", []), strict=True):
            assert one["output_type"] == other["output_type"]
            if one["output_type"] == "stream" and "nbval-ignore-output" in cell["metadata"].get(
                "tags", []
            ):
                assert other["text"].strip()
            elif one["output_type"] == "stream":
                assert without_digits("".join(one["text"])) == without_digits(other["text"])


def without_digits(text: str) -> str:
    return re.sub(
        r" +", " ", re.sub(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?|–", "#", text)
    )  # a shorter number moves its column
