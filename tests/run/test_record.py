"""Records: mean and standard deviation over seeds, of a setting as it stands, with its metric."""

import dataclasses
import json
from pathlib import Path

import pytest
from conftest import run_sample
from rnn_cookbook.recipes import sentiment
from toys import toy_recipe, toy_report

from rnn_cookbook.cli.main import main
from rnn_cookbook.errors import InputError
from rnn_cookbook.metrics import Metric
from rnn_cookbook.recipe import load_recipe
from rnn_cookbook.run.folder import Run
from rnn_cookbook.run.record import record, summary
from rnn_cookbook.run.results import recorded

ACCURACY = Metric("accuracy", higher_is_better=True)


def test_summary_has_mean_and_spread_over_the_seeds():
    reports = [
        toy_report(0, 0.8, {"nb_lr": {"accuracy": 0.85, "seconds": 9.0}}),
        toy_report(1, 0.9),
        toy_report(2, 1.0),
    ]
    entry = summary(reports, metric=ACCURACY, setting="default", command="rnn-cookbook run toy")
    assert entry["test"]["accuracy"] == {"mean": 0.9, "std": 0.1, "values": [0.8, 0.9, 1.0]}
    assert entry["training_minutes"]["mean"] == 2
    assert entry["peak_memory_mb"] == 12
    assert entry["hardware"] == "2 cores of Abacus"
    assert entry["protocol"].startswith("8 train, 2 test")


def test_a_record_tells_what_decides_it_and_not_where_it_was_made(monkeypatch, capsys):
    monkeypatch.setattr("rnn_cookbook.run.record.record", lambda *_, command, **__: command)
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


TOY = """
from toys import toy_report


@dataclass(frozen=True)
class Config:
    data: str = "toy"  # data set
    split: str = "take"  # how it is split
    seed: int = 0  # seed
    baselines: bool = True  # whether baselines are scored


SETTINGS = {"default": Config(), "sample": Config(data="sample")}


def main(config, run):
    baselines = {"b": {"accuracy": BASELINE(config), "seconds": 1}} if config.baselines else {}
    run.write_json("metrics.json", toy_report(config.seed, SCORE(config), baselines))


def SCORE(config):
    return 0.7 + config.seed / 10


def BASELINE(config):
    return config.seed
"""


@pytest.fixture
def toy():
    Path("toy.py").write_text(toy_recipe(TOY))
    return load_recipe("toy.py")


def test_recording_runs_the_seeds_and_resumes_after_a_kill(toy):
    """The second record takes finished seeds as they are."""

    def again(setting="default", seeds=3, **options):
        record(toy, toy.Config(), seeds=seeds, setting=setting, command="c", quiet=True, **options)

    again()
    (entry,) = json.loads(Path("results/toy.json").read_text())
    assert entry["test"]["accuracy"]["values"] == [0.7, 0.8, 0.9]
    assert entry["baselines"] == {"b": {"accuracy": 0, "seconds": 1}}
    Path("runs/toy/record-default/seed-1/metrics.json").unlink()
    toy.module.SCORE = lambda config: 0.1
    again(resume=True)
    again(setting="other", output="elsewhere", seeds=1)
    entries = json.loads(Path("results/toy.json").read_text())
    assert [entry["setting"] for entry in entries] == ["default", "other"]
    assert entries[0]["test"]["accuracy"]["values"] == [0.7, 0.1, 0.9]
    with pytest.raises(InputError, match="exists"):
        again()
    with pytest.raises(InputError, match="seeds must be at least 1; received 0"):
        again(seeds=0)


def test_baselines_are_trained_on_every_split(toy):
    """Once where the split is fixed; for every seed where a setting splits the benchmark by the
    seed, as by speaker."""

    def of(setting, config):
        record(toy, config, seeds=3, setting=setting, command="c", output=setting, quiet=True)

    of("default", toy.Config())
    of("speaker", toy.Config(split="speaker"))
    default, speaker = json.loads(Path("results/toy.json").read_text())
    assert default["baselines"]["b"]["accuracy"] == 0
    assert speaker["baselines"]["b"]["accuracy"] == 1, "the mean over the seeds"


def test_a_record_is_of_the_metric_that_its_data_have(toy):
    toy = dataclasses.replace(toy, _metric=lambda config: Metric("error", config.data == "never"))
    toy.module.main = lambda config, run: run.write_json(
        "metrics.json",
        {
            **toy_report(config.seed, 0.5, {"b": {"error": 0.9, "seconds": 1}}),
            "test": {"error": 0.3},
        },
    )
    record(toy, toy.Config(), seeds=1, setting="default", command="c", quiet=True)
    (row,) = recorded(Path("results"))
    assert (row["metric"], row["higher_is_better"], row["network_wins"]) == ("error", False, True)


@pytest.mark.slow
def test_the_sample_of_anomaly_detection_is_recorded_by_a_score_that_it_has(
    tmp_path, tmp_path_factory
):
    """NAB's score is of the benchmark alone."""
    folder, _ = run_sample("anomaly_detection", tmp_path_factory)
    report = json.loads((folder / "metrics.json").read_text())
    recipe = load_recipe("anomaly_detection")
    metric = recipe.metric(recipe.settings["sample"])
    entry = summary([report], metric=metric, setting="sample", command="")
    (tmp_path / "anomaly_detection.json").write_text(json.dumps([entry]))
    (row,) = recorded(tmp_path)
    assert row["metric"] == "event_f1"
    assert row["mean"] == pytest.approx(report["test"]["event_f1"], abs=1e-5)


def test_a_record_is_never_pieced_together_from_other_settings():
    """Seeds that were finished with other settings are refused, and so is a setting's name for
    anything else."""
    other = dataclasses.replace(sentiment.SETTINGS["sample"], units=7)
    folder = "runs/sentiment/record-sample/seed-0"
    Run(recipe="sentiment", config=other, output=folder, quiet=True).write_json("metrics.json", {})
    with pytest.raises(InputError, match="units was 7, now 32"):
        main(["run", "sentiment", "--data", "sample", "--record", "--resume", "--debug"])
    assert main(["run", "sentiment", "--record", "--epochs", "1"]) == 2
    assert main(["run", "sentiment", "--record", "--seed", "5"]) == 2
