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
