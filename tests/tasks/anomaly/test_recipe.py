"""The recipe: learning itself on the sample, tables with labels and without, records, and the
benchmark's splits."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rnn_cookbook.recipes import anomaly_detection as recipe

from rnn_cookbook.recipe import load_recipe
from rnn_cookbook.run.record import record
from rnn_cookbook.run.results import recorded
from rnn_cookbook.tasks.anomaly.nab import PROFILES, probation

ROOT = Path(__file__).parents[3]
HOURS = pd.date_range("2024-01-01", periods=400, freq="h")


class TestSample:
    @pytest.mark.slow
    def test_nearly_all_anomalies_are_found_and_little_else(self, sample):
        folder, ended = sample
        report = json.loads((folder / "metrics.json").read_text())
        assert report["test"]["event_f1"] >= 0.9
        assert report["test"]["event_f1"] > report["baselines"]["rolling_z"]["event_f1"] + 0.1
        assert report["test"]["event_f1"] > report["baselines"]["no_network"]["event_f1"]
        assert (
            report["baselines"]["no_network"]["pr_auc"] > 0.5
        )  # row by row it is measured like the model, before the rest
        assert "event_f1" in ended.stdout

    @pytest.mark.slow
    def test_the_run_folder_holds_scores_alarms_and_a_plot(self, sample):
        folder, _ = sample
        scores = pd.read_csv(folder / "scores.csv.gz")
        assert set(scores.columns) == {"unique_id", "ds", "score", "evidence"}
        assert len(scores) == 12 * 2800
        told = [
            json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()
        ]
        report = json.loads((folder / "metrics.json").read_text())
        assert len(told) == report["test"]["alarms"]
        assert sum(not each["labelled"] for each in told) == report["test"]["false_alarms"]
        assert (folder / "plots" / "anomalies.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_score_of_the_data_is_what_a_record_compares(sample, tmp_path):
    """The sample has events and no NAB score: its record says so, and can be read."""
    folder, _ = sample
    file = shutil.copy(recipe.__file__, tmp_path / "anomaly_detection.py")
    shutil.copytree(folder, tmp_path / "runs" / "seed-0")
    record(
        load_recipe(str(file)),
        recipe.SAMPLE,
        seeds=1,
        setting="sample",
        command="",
        output=tmp_path / "runs",
        resume=True,  # the seed is finished: nothing is trained
    )
    (entry,) = json.loads((tmp_path / "results" / "anomaly_detection.json").read_text())
    report = json.loads((folder / "metrics.json").read_text())
    assert (entry["metric"], entry["higher_is_better"]) == ("event_f1", True)
    assert entry["test"]["event_f1"]["mean"] == pytest.approx(report["test"]["event_f1"], abs=1e-5)
    (row,) = recorded(tmp_path / "results")
    assert (row["metric"], row["baseline"]) == ("event_f1", "seasonal_residual")


@pytest.mark.slow
def test_directions_of_the_scores(sample):
    loaded = load_recipe("anomaly_detection")
    assert loaded.metric(recipe.Config()).name == "nab_standard"
    assert loaded.metric(recipe.SAMPLE).name == "event_f1"
    scores = json.loads((sample[0] / "metrics.json").read_text())["test"]
    better = {metric.name: metric.higher_is_better for metric in loaded.metrics}
    assert set(scores) - set(better) == {"alarms", "threshold"}  # neither is better nor worse
    lower = {name for name, higher in better.items() if not higher}
    assert lower == {"delay", "false_alarms", "false_alarms_per_week"}
    assert set(PROFILES) <= set(better)


@pytest.mark.slow
def test_own_tables_run_with_labels_and_without(tmp_path, command, wave):
    values = wave(1200, spike=[700, 1000])
    frame = pd.DataFrame(
        {
            "time": pd.date_range("2024-01-01", periods=1200, freq="h"),
            "load": values,
            "heat": wave(1200),
        }
    )
    for name, labelled in (("with", True), ("without", False)):
        flags = np.isin(np.arange(1200), [700, 701, 1000, 1001]).astype(int)
        frame.assign(**({"label": flags} if labelled else {})).to_csv(
            tmp_path / f"{name}.csv", index=False
        )
        options = [
            "--data",
            tmp_path / f"{name}.csv",
            "--output",
            tmp_path / name,
            "--epochs",
            "2",
        ]
        options += ["--model", "autoencoder"] if labelled else []
        code, output, told = command("run", "anomaly_detection", *options)
        assert code == 0, told
        report = json.loads((tmp_path / name / "metrics.json").read_text())
        assert ("event_recall" in report["test"]) == labelled
        if labelled:
            assert report["test"]["event_recall"] == 1
        else:
            assert "no labels to compare with" in output


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (300, [], "no stream has more than 90 rows to train on; 194 or more are needed"),
        (
            300,
            ["--length", "20"],
            "the stream has 300 rows, 90 of them with values to train on, 120 for the test; 100 "
            "or more",
        ),
        (
            400,
            ["--train-fraction", "0.8", "--validation-fraction", "0.3"],
            "leave rows to test on with the validation fraction; received 0.8, 0.3 "
            "(--train-fraction, --validation-fraction)",
        ),
        (400, ["--alarms-per-week", "0"], "alarms-per-week"),
    ],
)
def test_bad_settings(tmp_path, rows, options, message, command, wave):
    pd.DataFrame({"time": HOURS[:rows], "value": wave(rows)}).to_csv(
        tmp_path / "own.csv", index=False
    )
    code, _, told = command(
        "run",
        "anomaly_detection",
        "--data",
        tmp_path / "own.csv",
        "--output",
        tmp_path / "run",
        *options,
    )
    assert code == 2
    assert message in told
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_streams_without_variation_and_with_other_units(tmp_path, command, wave):
    """A constant, and values that jump by 1e12: the run goes through, numbers stay numbers, and the
    jump is the alarm."""
    frame = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=800, freq="h"), "y": 5.0})
    jump = frame.assign(y=wave(800) + np.where(np.arange(800) == 700, 1e12, 0))
    pd.concat([frame.assign(unique_id="flat"), jump.assign(unique_id="jump")]).to_csv(
        tmp_path / "own.csv", index=False
    )
    code, _, told = command(
        "run",
        "anomaly_detection",
        "--data",
        tmp_path / "own.csv",
        "--output",
        tmp_path / "run",
        "--epochs",
        "2",
    )
    assert code == 0, told
    assert "no variation at all" in told
    scores = pd.read_csv(tmp_path / "run" / "scores.csv.gz")
    assert np.isfinite(scores["score"]).all()
    assert scores[scores["unique_id"] == "flat"]["score"].max() < 4
    alarms = [
        json.loads(line)
        for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()
    ]
    assert [(alarm["unique_id"], alarm["start"]) for alarm in alarms] == [
        ("jump", "2024-01-30 04:00:00")
    ]


def test_the_benchmark_is_split_by_probation_and_by_file(data_dir):
    data = recipe.load_data(recipe.Config(data_dir=str(data_dir)))
    names = [stream.name for stream in data.streams]
    assert (
        data.spans["test"][names.index("realKnownCause/nyc_taxi.csv")]
        == (probation(10_320), 10_320)
        == (750, 10_320)
    )
    validating = [end > first for first, end in data.spans["validation"]]
    assert sum(validating) == 11  # the artificial ones, which are no test
    assert [end > first for first, end in data.spans["test"]] == [not each for each in validating]


def test_the_readme_has_the_recorded_scores():
    records = {
        each["setting"]: each
        for each in json.loads((ROOT / "recipes/results/anomaly_detection.json").read_text())
    }
    default = records["default"]["test"]
    rows = {
        "mean of 3 seeds": {name: default[name]["mean"] for name in PROFILES},
        "threshold from the artificial files": {
            name: default[f"{name}_artificial"]["mean"] for name in PROFILES
        },
        "without its network": {
            name: _value(records["default"]["baselines"]["no_network"][name]) for name in PROFILES
        },
        "with the autoencoder": {
            name: records["autoencoder"]["test"][name]["mean"] for name in PROFILES
        },
    }
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for row, scores in rows.items():
        assert re.search(
            rf"\| this recipe,? {row} \| "
            + r" \| ".join(f"{score:.1f}" for score in scores.values()),
            readme,
        ), (row, scores)


def _value(measured) -> float:
    return measured["mean"] if isinstance(measured, dict) else measured
