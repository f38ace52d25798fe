"""The run folder: one meaning of training seconds, and the memory of the process alone."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass

import keras
import numpy as np
import pytest

from rnn_cookbook.metrics import Metric
from rnn_cookbook.run.folder import Run, peak_memory_mb
from rnn_cookbook.run.report import comparison, write_metrics


@dataclass(frozen=True)
class Config:
    data: str = "toy"
    seed: int = 0


def written(run, history):
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    write_metrics(
        run,
        config=Config(),
        model=model,
        training=history,
        splits={"test": 1},
        validation={},
        test={"right": 1.0},
        baselines={},
    )
    return json.loads((run.path / "metrics.json").read_text())["training"]["seconds"]


def test_training_seconds_count_the_building_and_the_epochs_before_a_resume(tmp_path):
    run = Run(recipe="toy", config=Config(), output=tmp_path / "run", quiet=True)
    history = {"history": [], "seconds": 7.0}
    assert written(run, history) == 7.0, "a model of one's own, without the clock"
    run.seconds_before = 100.0  # as `fit` reads it from a checkpoint
    started = time.perf_counter()
    with run.training_clock():
        time.sleep(0.2)
    passed = time.perf_counter() - started
    assert 100.2 <= written(run, history) <= 100 + passed + 0.1


@pytest.mark.parametrize(
    ("score", "higher", "verdict"),
    [
        (0.5, True, "wins against the best baseline, b, by 0.1000 right"),
        (0.5, False, "loses to the best baseline, a, by 0.2000 right"),
        (0.4, True, "ties with the best baseline, b"),
    ],
)
def test_the_comparison_ranks_as_the_metric_says(score, higher, verdict):
    report = {
        "splits": {"test": 10},
        "test": {"right": score},
        "training": {"seconds": 3.0},
        "baselines": {
            "a": {"right": 0.3, "seconds": 1.0},
            "b": {"right": 0.4, "seconds": 2.0, "other": 0.1},
        },
    }
    metric = Metric("right", higher_is_better=higher)
    other = Metric("other", higher_is_better=True)
    table = comparison(report, metric=metric, others=(other,)).splitlines()
    assert table[0].split() == ["test", "(10", "examples)", "right", "other", "seconds"]
    scores = [float(line.removeprefix("this model").split()[-3]) for line in table[1:4]]
    assert scores == sorted(scores, reverse=higher)
    assert table[-1] == f"the model {verdict}"


def test_peak_memory_is_that_of_the_process_and_not_of_its_parent():
    held = np.ones(40_000_000)  # 320 MB in this process
    code = "from rnn_cookbook.run.folder import peak_memory_mb; print(peak_memory_mb())"
    child = float(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
    )
    assert 5 < child < 300
    assert peak_memory_mb() > 300
    assert held.sum() > 0
