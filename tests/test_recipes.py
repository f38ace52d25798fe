"""Every recipe keeps the contract; the inventory is complete; a copied recipe runs."""

import argparse
import ast
import dataclasses
import inspect
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import fresh
import numpy as np
import pytest
import soundfile
from conftest import ROOT

from rnn_cookbook.cli.copy import copy
from rnn_cookbook.cli.main import _add_prediction_options, config_parser, main
from rnn_cookbook.errors import InputError
from rnn_cookbook.recipe import load_recipe, recipe_files
from rnn_cookbook.run import record as recording

RECIPES = sorted(recipe_files())
CONTRACT = {
    "load_data": ["config"],
    "build_model": ["config", "data"],
    "train": ["config", "model", "data", "run"],
    "evaluate": ["config", "model", "data"],
    "baselines": ["config", "data"],
    "predict": ["loaded", "inputs"],
    "search_space": ["hp", "config"],
    "main": ["config", "run"],
}


def check_contract(module):
    for function, parameters in CONTRACT.items():
        signature = inspect.signature(getattr(module, function))
        required = [p.name for p in signature.parameters.values() if p.default is p.empty]
        assert required == parameters, function


def check_config(name: str):
    module = load_recipe(name)
    assert module.Config.__dataclass_params__.frozen
    for field in dataclasses.fields(module.Config):
        assert isinstance(field.default, str | int | float | bool), field.name
    told = {action.dest: action.help for action in config_parser(module, name)._actions}
    source = Path(module.__file__).read_text(encoding="utf-8")
    (definition,) = (
        node for node in ast.parse(source).body if getattr(node, "name", "") == "Config"
    )
    for field in (node for node in definition.body if isinstance(node, ast.AnnAssign)):
        comment = source.splitlines()[field.lineno - 1].partition("  # ")[2]
        assert comment, field.target.id
        assert told[field.target.id].startswith(comment.replace("%", "%%"))
    assert module.SAMPLE.data == "sample"
    assert {"default", "sample"} <= set(module.SETTINGS)


def test_there_are_recipes():
    assert "sentiment" in RECIPES


@pytest.mark.parametrize("name", RECIPES)
class TestEveryRecipe:
    def test_has_the_functions_of_the_contract(self, name):
        check_contract(load_recipe(name))

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
        assert len(recipe_files()[name].read_text(encoding="utf-8").splitlines()) <= 300

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
        assert recording.measured(records[0]) in recipe_files()[name].read_text(encoding="utf-8")
        assert f"| [{name}](recipes/{name}.py) | default |" in (ROOT / "README.md").read_text(
            encoding="utf-8"
        )

    def test_search_space_gives_configurations_of_the_recipe(self, name):
        keras_tuner = pytest.importorskip("keras_tuner", reason="the tuner is an extra")
        module, hp = load_recipe(name), keras_tuner.HyperParameters()
        config = module.search_space(hp, module.SAMPLE)
        assert isinstance(config, module.Config)
        assert config.data == "sample"
        assert len(hp.space) >= 4

    @pytest.mark.slow
    def test_copied_alone_into_an_empty_folder_it_runs(self, name, tmp_path):
        copy(name, tmp_path)
        (tmp_path / f"{name}.py").rename("mine.py")
        command = [
            sys.executable,
            "mine.py",
            "--data",
            "sample",
            "--epochs",
            "1",
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
        check_contract(load_recipe(self.file))
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


def test_the_checklist_of_the_readme_names_tests_that_exist():
    checklist = (ROOT / "README.md").read_text(encoding="utf-8").split("## Contribute a recipe")[1]
    named = re.findall(r"`(test_\w+)`", checklist)
    tests = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").glob("test_*.py"))
    assert len(named) >= 9
    assert not [name for name in named if f"def {name}(" not in tests]


def test_the_readme_table_is_that_of_the_results():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = readme.split(recording.START)[1].split(recording.END)[0].strip()
    assert block == recording.table(ROOT / "recipes" / "results")
    cells = readme.split(recording.CELLS_START)[1].split(recording.CELLS_END)[0].strip()
    assert cells == recording.cells_table(ROOT / "recipes" / "results")


def test_the_readme_commands_parse():
    """Every `rnn-cookbook run` of the README names options and settings that exist."""
    commands = re.findall(
        r"rnn-cookbook run ([\w./]+)([^`#\n]*)", (ROOT / "README.md").read_text(encoding="utf-8")
    )
    assert len(commands) >= 4
    for name, rest in commands:
        name = TestTheTemplate.file if name == "recipes/mine.py" else name  # of which it is a copy
        options = [option for option in rest.split("&&")[0].split() if option != "--help"]
        config_parser(load_recipe(name), name).parse_args(options)


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
        parser = argparse.ArgumentParser(exit_on_error=False)
        assert _add_prediction_options(parser, arguments) is load_recipe(name)
        assert parser.parse_intermixed_args(arguments).run == str(run), rest


def test_the_readme_commands_that_search_and_compare_parse(monkeypatch):
    """Up to the search itself: the options are known, and so is what they are given."""
    from rnn_cookbook.tune import compare as comparing
    from rnn_cookbook.tune import search as tuning

    called = []
    monkeypatch.setattr(
        tuning, "tune", lambda module, name, config, **options: called.append((name, options)) or ""
    )
    monkeypatch.setattr(
        comparing,
        "compare",
        lambda module, name, config, **options: called.append((name, options)) or "",
    )
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


def report(seed, accuracy, baselines=None):
    versions = {"rnn_cookbook": "0", "tensorflow": "2", "keras": "3", "python": "3"}
    return {
        "data": "toy",
        "seed": seed,
        "splits": {"train": 8, "test": 2},
        "test": {"accuracy": accuracy},
        "validation": {"accuracy": accuracy},
        "baselines": baselines or {},
        "model": {"parameters": 5},
        "training": {"seconds": 60.0 * (seed + 1), "peak_memory_mb": 10.0 + seed},
        "environment": {**versions, "cores": 2, "cpu": "Abacus", "gpu": None},
    }


def test_summary_has_mean_and_spread_over_the_seeds():
    reports = [
        report(0, 0.8, {"nb_lr": {"accuracy": 0.85, "seconds": 9.0}}),
        report(1, 0.9),
        report(2, 1.0),
    ]
    entry = recording.summary(
        reports, metric="accuracy", setting="default", command="rnn-cookbook run toy"
    )
    assert entry["test"]["accuracy"] == {"mean": 0.9, "std": 0.1, "values": [0.8, 0.9, 1.0]}
    assert entry["training_minutes"]["mean"] == 2
    assert entry["peak_memory_mb"] == 12
    assert entry["hardware"] == "2 cores of Abacus"
    assert entry["protocol"].startswith("8 train, 2 test")


@pytest.mark.parametrize(("baseline", "wins"), [(0.85, "the network"), (0.95, "the baseline")])
def test_the_table_says_plainly_who_wins(tmp_path, baseline, wins):
    reports = [
        report(
            seed,
            0.9,
            {
                "majority": {"accuracy": 0.5, "seconds": 0},
                "nb_lr": {"accuracy": baseline, "seconds": 9.0},
            },
        )
        for seed in range(3)
    ]
    entries = [
        recording.summary(reports, metric="accuracy", setting=setting, command="")
        for setting in ("default", "other")
    ]
    entries[1]["baselines"] = {}
    (tmp_path / "toy.json").write_text(json.dumps(entries))
    rows = recording.table(tmp_path).splitlines()[2:]
    assert len(rows) == 2
    for row in rows:
        assert f"| {wins} |" in row
        assert f"{baseline:.4f}" in row
        assert ("**0.9000" in row) == (wins == "the network")


def test_what_was_recorded_is_there_as_data_with_what_is_published(tmp_path):
    reports = [
        report(seed, accuracy, {"nb_lr": {"accuracy": 0.5, "seconds": 9.0}})
        for seed, accuracy in enumerate((0.8, 0.9, 1.0))
    ]
    entries = [
        recording.summary(reports, metric="accuracy", setting=setting, command="")
        for setting in ("default", "other")
    ]
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "toy.json").write_text(json.dumps(entries))
    (tmp_path / "published.json").write_text(
        json.dumps({"toy": {"default": "0.97 somebody (somewhere)"}})
    )
    first, second = recording.recorded(tmp_path / "results")
    assert (first["recipe"], first["mean"], first["std"], first["seeds"]) == ("toy", 0.9, 0.1, 3)
    assert (first["baseline"], first["baseline_score"], first["network_wins"]) == (
        "nb_lr",
        0.5,
        True,
    )
    assert (first["published"], second["published"]) == ("0.97 somebody (somewhere)", "")
    assert "| 0.97 somebody (somewhere) |" in recording.table(tmp_path / "results")
    assert {row["recipe"] for row in recording.recorded()} == {*RECIPES}


def test_a_record_without_a_rival_on_its_test_split_is_refused(tmp_path):
    entry = recording.summary([report(0, 0.8)], metric="accuracy", setting="default", command="")
    other = {
        **entry,
        "setting": "longer",
        "protocol": "8 train, 3 test",
        "baselines": {"nb_lr": {"accuracy": 0.5, "seconds": 9.0}},
    }
    (tmp_path / "toy.json").write_text(json.dumps([entry, other]))
    with pytest.raises(
        InputError,
        match=r"toy\.json: setting 'default' has no baselines, nor has another on its test split",
    ):
        recording.recorded(tmp_path)


def test_where_less_is_better_the_least_wins(tmp_path):
    reports = [
        report(
            seed,
            0.3,
            {"a": {"accuracy": 0.5, "seconds": 0}, "b": {"accuracy": 0.4, "seconds": 2.0}},
        )
        for seed in range(3)
    ]
    entry = recording.summary(
        reports, metric="accuracy", setting="default", command="", higher_is_better=False
    )
    (tmp_path / "toy.json").write_text(json.dumps([entry]))
    (row,) = recording.table(tmp_path).splitlines()[2:]
    assert "| **0.3000 ± 0.0000** (3 seeds) | 0.4000 b, 2 s | the network |" in row
    assert " | b 0.4000 | " in recording.measured(entry)


def test_a_record_tells_what_decides_it_and_not_where_it_was_made(monkeypatch, capsys):
    monkeypatch.setattr(recording, "record", lambda *_, command, **__: command)
    for given, told in [
        (
            ["--seeds", "2", "--data-dir", "/mine", "--output", "/runs", "--resume", "--quiet"],
            "--record --seeds 2",
        ),
        (
            ["--setting", "basic", "--no-baselines"],
            "--record --seeds 3 --setting basic --no-baselines",
        ),
    ]:
        assert main(["run", "sentiment", "--record", *given]) == 0
        assert capsys.readouterr().out.strip() == f"rnn-cookbook run sentiment {told}"


def test_one_seed_has_no_spread(tmp_path):
    entry = recording.summary(
        [report(0, 0.8, {"b": {"accuracy": 0.5, "seconds": 2}})],
        metric="accuracy",
        setting="default",
        command="",
    )
    (tmp_path / "toy.json").write_text(json.dumps([entry]))
    (row,) = recording.table(tmp_path).splitlines()[2:]
    assert "| **0.8000** (1 seed) |" in row
    assert recording.measured(entry).startswith("Measured: accuracy 0.8000 (1 seed) | b 0.5000 |")


def test_recording_runs_the_seeds_and_goes_on_after_a_kill(tmp_path):
    """A recipe of a few lines, recorded with three seeds; the second record takes finished seeds as
    they are."""
    (tmp_path / "toy.py").write_text(
        "from dataclasses import dataclass\n"
        "import json\n"
        "METRIC = 'accuracy'\n"
        "@dataclass(frozen=True)\n"
        "class Config:\n"
        "    data: str = 'toy'  # data\n"
        "    seed: int = 0  # seed\n"
        "    baselines: bool = True  # baselines\n"
        "def main(config, run):\n"
        "    rivals = {'b': {'accuracy': 1, 'seconds': 1}} if config.baselines else {}\n"
        "    run.write_json('metrics.json', REPORT(config.seed, 0.7 + config.seed / 10, rivals))\n"
    )
    module = load_recipe("toy.py")
    module.REPORT = report
    options = {"seeds": 3, "setting": "default", "command": "c", "output": None, "quiet": True}
    recording.record(module, "toy", module.Config(), **options, resume=False)
    (entry,) = json.loads(Path("results/toy.json").read_text())
    assert entry["test"]["accuracy"]["values"] == [0.7, 0.8, 0.9]
    assert entry["baselines"] == {"b": {"accuracy": 1, "seconds": 1}}
    Path("runs/toy/record-default/seed-1/metrics.json").unlink()
    module.REPORT = lambda seed, *rest: report(seed, 0.1)
    recording.record(module, "toy", module.Config(), **options, resume=True)
    recording.record(
        module,
        "toy",
        module.Config(),
        **{**options, "setting": "other", "output": "elsewhere", "seeds": 1},
        resume=False,
    )
    entries = json.loads(Path("results/toy.json").read_text())
    assert [entry["setting"] for entry in entries] == ["default", "other"]
    assert entries[0]["test"]["accuracy"]["values"] == [0.7, 0.1, 0.9]
    with pytest.raises(InputError, match="exists"):
        recording.record(module, "toy", module.Config(), **options, resume=False)


def test_baselines_are_trained_on_every_split(tmp_path):
    """Once where the split is fixed; for every seed where a setting splits the benchmark by the
    seed, as by speaker."""
    (tmp_path / "toy.py").write_text(
        "from dataclasses import dataclass\n"
        "METRIC = 'accuracy'\n"
        "@dataclass(frozen=True)\n"
        "class Config:\n"
        "    data: str = 'toy'  # data\n"
        "    split: str = 'take'  # split\n"
        "    seed: int = 0  # seed\n"
        "    baselines: bool = True  # baselines\n"
        "def main(config, run):\n"
        "    rivals = {'b': {'accuracy': config.seed, 'seconds': 1}} if config.baselines else {}\n"
        "    run.write_json('metrics.json', REPORT(config.seed, 0.5, rivals))\n"
    )
    module = load_recipe("toy.py")
    module.REPORT = report
    options = {"seeds": 3, "command": "c", "quiet": True, "resume": False}
    recording.record(module, "toy", module.Config(), setting="default", output="one", **options)
    recording.record(
        module, "toy", module.Config(split="speaker"), setting="speaker", output="other", **options
    )
    one, other = json.loads(Path("results/toy.json").read_text())
    assert one["baselines"]["b"]["accuracy"] == 0
    assert other["baselines"]["b"]["accuracy"] == 1, "the mean over the seeds"


def test_a_record_is_never_pieced_together_from_other_settings(tmp_path):
    """Seeds that were finished with other settings are refused, and so is a setting's name for
    anything else."""
    from rnn_cookbook.recipes import sentiment

    from rnn_cookbook.run.folder import Run

    other = dataclasses.replace(sentiment.SAMPLE, units=7)
    Run(
        recipe="sentiment", config=other, output="runs/sentiment/record-sample/seed-0", quiet=True
    ).write_json("metrics.json", {})
    with pytest.raises(InputError, match="units was 7, now 32"):
        main(["run", "sentiment", "--data", "sample", "--record", "--resume", "--debug"])
    assert main(["run", "sentiment", "--record", "--epochs", "1"]) == 2
    assert main(["run", "sentiment", "--record", "--seed", "5"]) == 2
