"""Toy recipes for tests: files that keep the contract and do next to nothing."""

from __future__ import annotations

TOY = '''"""A toy.

    rnn-cookbook run toy
"""
from dataclasses import dataclass

from rnn_cookbook.metrics import Metric


@dataclass(frozen=True)
class Config:
    data: str = "toy"  # data set
    seed: int = 0  # seed
    baselines: bool = True  # whether baselines are scored


SETTINGS = {"default": Config(), "sample": Config(data="sample")}
METRIC = Metric("accuracy", higher_is_better=True)


def load_data(config):
    return None


def build_model(config, data):
    return None


def train(config, model, data, run):
    return {}


def evaluate(config, model, data, split="test", run=None):
    return {"accuracy": 0.5}


def baselines(config, data):
    return {}


def predict(loaded, inputs, options=None):
    for given in inputs:
        yield from ({"got": text} for text in given)


def main(config, run):
    return ""
'''


def toy_recipe(*changes: str) -> str:
    """The source of a toy recipe in which later definitions replace the ones above."""
    return "\n\n".join([TOY, *changes]) + "\n"


def toy_report(seed: int, accuracy: float, baselines: dict | None = None) -> dict:
    """The contents of `metrics.json` of a toy's run."""
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


# A recipe that trains nothing: its score is known, and it can be told to fail. The tests of
# searches and comparisons run it.
SEARCHED = '''
"""A recipe that trains nothing: its score is known, and it can be told to fail."""
import os, signal, time
from dataclasses import dataclass, replace
from pathlib import Path

from rnn_cookbook.metrics import Metric

METRIC = Metric("worth", higher_is_better=True)
OTHER_METRICS = (Metric("cost", higher_is_better=False),)

@dataclass(frozen=True)
class Config:
    data: str = "toy"  # data
    x: int = 9  # the best is 3
    colour: str = "red"  # blue is better by a tenth
    epochs: int = 9  # passes
    sleep: float = 0.0  # seconds of a training
    seed: int = 0  # seed

SETTINGS = {"default": Config()}

def load_data(config):
    if Path("offline").exists():
        raise OSError("no network")
    Path("started").mkdir(exist_ok=True)
    (Path("started") / f"{config.x}-{config.colour}-{config.epochs}-{time.time_ns()}").touch()

class Model:
    def count_params(self):
        return 7

def build_model(config, data):
    if config.x == 1:
        raise ValueError("one is none")
    if config.x == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return Model()

def train(config, model, data, run):
    time.sleep(config.sleep)
    history = [{"val_loss": 1.0}]
    return {"history": history, "best_epoch": 0, "epochs": config.epochs, "seconds": 1.0}

def evaluate(config, model, data, split="test"):
    assert split == "validation", "a search reads no test"
    worth = -abs(config.x - 3) + 0.1 * (config.colour == "blue") + 0.001 * config.epochs
    if config.x == 2:
        worth = float("nan")
    return {"worth": worth, "cost": -worth, "other": 1.0}

def baselines(config, data):
    return {}

def predict(loaded, inputs):
    yield {}

def search_space(hp, config):
    return replace(config, x=hp.Int("x", 0, 6), colour=hp.Choice("colour", ["red", "blue"]))

def main(config, run):
    report = {"x": config.x, "test": {"worth": 1.0}, "training": {"seconds": 1.0}}
    report |= {"baselines": {}, "splits": {"test": 1}}
    run.write_json("metrics.json", report)
    return f"trained with x {config.x}"
'''
