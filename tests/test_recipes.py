"""Every recipe keeps the contract; the inventory is complete; a copied recipe runs."""

import ast
import dataclasses
import io
import json
import re
import subprocess
import sys
import tokenize
from collections import Counter
from pathlib import Path

import fresh
import numpy as np
import pytest
import soundfile
from conftest import ROOT

from rnn_cookbook.cli.main import main
from rnn_cookbook.cli.options import field_comments
from rnn_cookbook.cli.run import run_parser
from rnn_cookbook.cli.vendor import copy_recipe
from rnn_cookbook.recipe import load_recipe, recipe_files
from rnn_cookbook.run.results import measured

RECIPES = sorted(recipe_files())
TOKENS_A_LINE = 9  # nanoGPT has 7, torchtune's recipes have 6
CODE = (tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING)


def check_config(name: str):
    recipe = load_recipe(name)
    assert recipe.Config.__dataclass_params__.frozen
    for field in dataclasses.fields(recipe.Config):
        assert isinstance(field.default, str | int | float | bool), field.name
    reported = {action.dest: action.help for action in run_parser(recipe)._actions}
    comments = field_comments(recipe.file, "Config")
    for field in dataclasses.fields(recipe.Config):
        assert comments[field.name], field.name
        assert reported[field.name].startswith(comments[field.name].replace("%", "%%"))
    assert recipe.settings["sample"].data == "sample"
    assert {"default", "sample"} <= set(recipe.settings)


def tokens_a_line(file: Path) -> float:
    """Names, operators, numbers and strings per line of code; docstrings and comments are none."""
    source = file.read_text(encoding="utf-8")
    docstrings = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    counts = Counter()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in CODE and token.start[0] not in docstrings:
            counts[token.start[0]] += 1
    return sum(counts.values()) / len(counts)


def test_there_are_recipes():
    assert "sentiment" in RECIPES


@pytest.mark.parametrize("name", RECIPES)
class TestEveryRecipe:
    def test_keeps_the_contract(self, name):
        recipe = load_recipe(name)  # which checks it
        assert recipe.name == name
        assert recipe.search_space is not None
        assert recipe.metric(recipe.settings["default"]) == recipe.module.METRIC

    def test_declares_directions_of_scores_that_it_has(self, name):
        """What was recorded names every score of the benchmark."""
        recipe = load_recipe(name)
        records = json.loads((ROOT / f"recipes/results/{name}.json").read_text(encoding="utf-8"))
        assert {metric.name for metric in recipe.metrics} <= set(records[0]["test"])

    def test_has_a_flat_frozen_config_with_a_comment_for_every_field(self, name):
        check_config(name)

    def test_has_a_picture_in_the_gallery(self, name):
        gallery = (
            (ROOT / "README.md")
            .read_text(encoding="utf-8")
            .split("## What you get")[1]
            .split("\n## ")[0]
        )
        (picture,) = re.findall(rf"recipes/results/{name}/\w+\.png", gallery)
        assert (ROOT / picture).exists()

    def test_reads_in_one_go(self, name):
        file = recipe_files()[name]
        lines = file.read_text(encoding="utf-8").splitlines()
        assert lines[0].endswith("."), "`list` and `--help` show the first line"
        assert len(lines) <= 450
        assert max(map(len, lines)) <= 100
        assert not re.search(r"fmt: *(off|skip)", "\n".join(lines))
        assert tokens_a_line(file) <= TOKENS_A_LINE

    def test_has_a_tour(self, name):
        assert (ROOT / "notebooks" / f"tour_{name}.ipynb").exists()

    def test_has_its_cells_side_by_side(self, name):
        cells = json.loads(
            (ROOT / f"recipes/results/{name}/cells.json").read_text(encoding="utf-8")
        )
        assert [row["network"] for row in cells["networks"]] == ["simple_rnn", "lstm", "gru"]
        assert all(row["seeds"] >= 3 for row in cells["networks"])

    def test_has_a_readme_row_and_recorded_results(self, name):
        results = ROOT / "recipes/results" / f"{name}.json"
        records = json.loads(results.read_text(encoding="utf-8"))
        assert records[0]["setting"] == "default"
        for record in records:
            assert len(record["seeds"]) >= 3
            assert record["commit"]
            assert "/" not in record["command"], "no path of one machine"
            for score in record["test"].values():
                assert score["mean"] == pytest.approx(
                    sum(score["values"]) / len(score["values"]), abs=1e-4
                )
        assert records[0]["baselines"]
        assert measured(records[0]) in recipe_files()[name].read_text(encoding="utf-8")
        assert f"| [{name}](recipes/{name}.py) | default |" in (ROOT / "README.md").read_text(
            encoding="utf-8"
        )

    def test_search_space_gives_configurations_of_the_recipe(self, name):
        keras_tuner = pytest.importorskip("keras_tuner", reason="the tuner is an extra")
        recipe = load_recipe(name)
        hp = keras_tuner.HyperParameters()
        config = recipe.search_space(hp, recipe.settings["sample"])
        assert isinstance(config, recipe.Config)
        assert config.data == "sample"
        assert len(hp.space) >= 4

    @pytest.mark.slow
    def test_copied_alone_into_an_empty_folder_it_runs(self, name, tmp_path):
        copy_recipe(name, tmp_path)
        text = (tmp_path / f"{name}.py").read_text(encoding="utf-8")
        # The copy is ours to change: less data, where the recipe says how much.
        sizes = 'SAMPLE_SIZES = {"train": 600, "validation": 60, "test": 60}'
        text = re.sub(r"SAMPLE_SIZES = \{.*\}", sizes, text)
        Path("mine.py").write_text(text, encoding="utf-8")
        (tmp_path / f"{name}.py").unlink()
        command = [
            sys.executable,
            "mine.py",
            "--data",
            "sample",
            "--epochs",
            "1",
            "--units",
            "8",
            "--no-baselines",
            "--quiet",
            "--output",
            "out",
        ]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1500)
        assert ended.returncode == 0, ended.stderr
        assert json.loads((tmp_path / "out/metrics.json").read_text())["recipe"] == "mine"
        given = {
            "speech_to_text": ["good film.wav"],
            "forecasting": [],
            "anomaly_detection": [],
        }.get(name, ["good film"])
        soundfile.write(tmp_path / "good film.wav", np.zeros(4000), 8000)
        answer = fresh.run("predict", "out", "--recipe", "mine.py", "--format", "jsonl", *given)
        first = json.loads(answer.stdout.splitlines()[0])
        begins = {
            "forecasting": "2024-09-07 00:00:00",
            "anomaly_detection": "2024-01-01 00:00:00",
        }  # of what it answers for
        if name == "speech_to_text":
            assert first["audio"] == "good film.wav", answer.stderr
        else:
            assert first["text"] == "good film" if given else first["ds"] == begins[name], (
                answer.stderr
            )
        bad = subprocess.run(
            [*command, "--units", "0"], cwd=tmp_path, capture_output=True, text=True, timeout=900
        )
        assert bad.returncode == 2
        assert "Traceback" not in bad.stderr


class TestTheTemplate:
    file = str(ROOT / "recipes" / "_template.py")

    def test_keeps_the_contract_and_is_no_recipe_itself(self):
        check_config(self.file)
        assert "_template" not in RECIPES

    def test_it_runs_and_predicts(self, tmp_path, capsys):
        assert (
            main(
                [
                    "run",
                    self.file,
                    "--epochs",
                    "1",
                    "--no-baselines",
                    "--quiet",
                    "--output",
                    str(tmp_path / "run"),
                ]
            )
            == 0
        )
        capsys.readouterr()
        assert (
            main(
                ["predict", str(tmp_path / "run"), "--recipe", self.file, "the plot was not good ."]
            )
            == 0
        )
        assert json.loads(capsys.readouterr().out)["label"] in ("negative", "positive")

    @pytest.mark.slow
    def test_it_learns_what_no_counting_of_words_can(self, tmp_path):
        assert main(["run", self.file, "--quiet", "--output", str(tmp_path / "run")]) == 0
        scores = json.loads((tmp_path / "run/metrics.json").read_text())
        assert (
            scores["test"]["accuracy"]
            > 0.9
            > max(baseline["accuracy"] for baseline in scores["baselines"].values())
        )
