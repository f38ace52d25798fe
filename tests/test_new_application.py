"""What a new application costs: a folder of its own in `tasks`, a recipe, and nothing else. All the
commands know it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rnn_cookbook
from rnn_cookbook.recipe import recipe_files

PACKAGE = '''"""Which of two ends of a sequence is larger."""

from rnn_cookbook._lazy import lazy_submodules

__all__ = ["data", "model"]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
'''
DATA = '''"""Sequences of numbers, and whether the first is larger than the last."""

import numpy as np

__all__ = ["ends", "read"]


def ends(count, *, seed):
    """Draws sequences: int32[count, 6] -> labels int32[count]."""
    sequences = np.random.default_rng(seed).integers(1, 10, (count, 6)).astype(np.int32)
    return sequences, (sequences[:, 0] > sequences[:, -1]).astype(np.int32)


def read(text):
    """Parses numbers separated by spaces: int32[1, time]."""
    return np.array([[int(word) for word in text.split()]], np.int32)
'''
MODEL = '''"""A layer of its own that streams, and a classifier."""

import keras

from rnn_cookbook.nn.recurrent import rnn_stack

__all__ = ["INPUTS", "Doubled", "ends_classifier"]

INPUTS = {"tokens": "the numbers of a sequence, from 1 to 9"}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class Doubled(keras.layers.Layer):
    """Doubles each step by itself."""

    stepwise = True

    def call(self, inputs):
        return 2 * inputs


def ends_classifier(*, cell, units):
    """Reads numbers: int32[batch, time] -> logits float32[batch, 2]."""
    tokens = keras.Input(shape=(None,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(10, 4, name="embedding")(tokens)
    x = Doubled(name="doubled")(x)
    x = rnn_stack(x, mask=None, cell=cell, units=units)[:, -1]
    return keras.Model(tokens, keras.layers.Dense(2, name="logits")(x), name="ends_classifier")
'''
RECIPE = '''"""Ends: whether a sequence begins with a larger number than it ends with.

    rnn-cookbook run ends --data sample
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from typing import Literal

from rnn_cookbook.metrics import Metric
from rnn_cookbook.run import bundle, fit, report
from rnn_cookbook.settings import Count, NonNegativeCount, Positive, check_fields
from rnn_cookbook.tasks import ends


@dataclass(frozen=True)
class Config:
    data: str = "sample"  # sample
    data_dir: str = ""  # folder of data sets
    cell: Literal["simple_rnn", "lstm", "gru"] = "gru"  # recurrent cell
    units: Count = 8  # size of the state
    epochs: Count = 2  # passes over the training data
    batch_size: Count = 32  # sequences per step
    learning_rate: Positive = 0.02  # learning rate
    baselines: bool = True  # whether the majority class is scored
    seed: NonNegativeCount = 0  # seed of the data and the weights

    def __post_init__(self):
        check_fields(self)


SETTINGS = {"default": Config(), "sample": Config()}
METRIC = Metric("right", higher_is_better=True)


class Batches:
    epoch = 0

    def __init__(self, part, size):
        self.part = part
        self.size = size
        self.examples = len(part[0])

    def dataset(self):
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices(self.part).batch(self.size)


def load_data(config):
    sizes = {"train": 256, "validation": 64, "test": 64}
    return {
        name: ends.data.ends(size, seed=config.seed * 3 + number)
        for number, (name, size) in enumerate(sizes.items())
    }


def build_model(config, data):
    import keras

    model = ends.model.ends_classifier(cell=config.cell, units=config.units)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(config.learning_rate), loss=loss)
    return model


def train(config, model, data, run):
    batches = Batches(data["train"], config.batch_size)
    validation = Batches(data["validation"], config.batch_size)
    return fit.fit(model, batches, validation, epochs=config.epochs, run=run)


def evaluate(config, model, data, split="test", run=None):
    tokens, labels = data[split]
    return {"right": float((model.predict(tokens, verbose=0).argmax(axis=1) == labels).mean())}


def baselines(config, data):
    return {"majority": {"right": float((data["test"][1] == 0).mean()), "seconds": 0.0}}


def predict(loaded, inputs):
    for texts in inputs:
        for text in texts:
            logits = loaded.model(ends.data.read(text))
            yield {"text": text, "larger": "first" if logits[0, 1] > logits[0, 0] else "last"}


def search_space(hp, config):
    return replace(config, units=hp.Choice("units", [4, 8]))


def main(config, run):
    fit.seed_everything(config.seed)
    data = load_data(config)
    with run.training_clock():
        model = build_model(config, data)
        history = train(config, model, data, run)
    bundle.save_bundle(
        run.path / "model",
        recipe=run.recipe,
        config=asdict(config),
        facts={},
        model=model,
        encoders=[],
    )
    measured = report.write_metrics(
        run,
        config=config,
        model=model,
        training=history,
        splits={name: len(part[0]) for name, part in data.items()},
        validation=evaluate(config, model, data, split="validation"),
        baselines=baselines(config, data),
        test=evaluate(config, model, data),
    )
    return report.comparison(measured, metric=METRIC)


if __name__ == "__main__":
    from rnn_cookbook.cli.main import main as command

    sys.exit(command(["run", __file__, *sys.argv[1:]]))
'''


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    """A copy of the library with one folder and one recipe more."""
    root = tmp_path_factory.mktemp("library")
    package = root / "rnn_cookbook"
    unwanted = shutil.ignore_patterns("__pycache__", "results")
    shutil.copytree(rnn_cookbook.__path__[0], package, ignore=unwanted)
    shutil.copytree(recipe_files()["sentiment"].parent, package / "recipes", ignore=unwanted)
    task = package / "tasks" / "ends"
    task.mkdir()
    (task / "__init__.py").write_text(PACKAGE)
    (task / "data.py").write_text(DATA)
    (task / "model.py").write_text(MODEL)
    (package / "recipes" / "ends.py").write_text(RECIPE)
    return root


@pytest.mark.slow
def test_a_new_application_is_a_folder_and_a_recipe(library, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(library)}

    def run(*command: str, env: dict = environment) -> str:
        ended = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, env=env, timeout=900
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def command(*arguments: str) -> str:
        return run("-m", "rnn_cookbook.cli", *arguments)

    assert "ends                 Ends: whether a sequence begins" in command("list")
    assert "at least 1; default: 8" in " ".join(command("run", "ends", "--help").split())
    out = command("run", "ends", "--quiet", "--output", "run")
    assert "the model wins against the best baseline, majority" in out
    answers = command("predict", "run", "9 1 1 1 1 1", "1 1 1 1 1 9")
    assert [json.loads(line)["larger"] for line in answers.splitlines()] == ["first", "last"]

    out = command("tune", "ends", "--trials", "2", "--epochs", "1", "--quiet", "--output", "tune")
    assert "right" in out
    assert json.loads(Path("tune/best.json").read_text())["units"] in (4, 8)
    options = ["--cells", "lstm,gru", "--seeds", "1", "--epochs", "1", "--quiet"]
    assert "right" in command("compare", "ends", *options, "--output", "compare")

    command("export", "run", "--format", "saved_model")
    readme = Path("run/export/saved_model/README.md").read_text()
    assert "the numbers of a sequence, from 1 to 9" in readme
    assert "Reads numbers" in readme

    command("copy", "ends", "mine", "--vendor")
    assert Path("mine/rnn_cookbook/tasks/ends/model.py").exists()
    assert not Path("mine/rnn_cookbook/tasks/speech").exists()
    alone = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    options = ["--epochs", "1", "--quiet", "--output", "alone"]
    assert "majority" in run("mine/ends.py", *options, env=alone)
    assert Path("alone/metrics.json").exists()
