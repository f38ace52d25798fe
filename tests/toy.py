"""A recipe that trains nothing, as text: the searches and comparisons of the tests run it."""

TOY = '''
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
