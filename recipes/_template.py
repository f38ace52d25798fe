"""Template: copy this file to recipes/NAME.py, and replace what it does step by step; it runs at
every step.

    rnn-cookbook run recipes/_template.py --data sample     # a generator, offline, under a minute
    rnn-cookbook run recipes/_template.py --data my.csv     # own files; a new recipe also has a public benchmark, as its default

Measured: (from `run NAME --record`, by `python -m rnn_cookbook.run.record README.md`, never by
hand)

The model, numbered, each part with its paper: 1. words; 2. a bidirectional LSTM (Hochreiter and
Schmidhuber 1997); 3. the maximum over time; 4. a softmax.

Traps avoided: what everyone gets wrong at this task, in a line or two.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import softmax

from rnn_cookbook import encode
from rnn_cookbook.data.splits import complete, in_turn
from rnn_cookbook.data.texts import Texts, read_texts
from rnn_cookbook.errors import check_settings
from rnn_cookbook.files import log
from rnn_cookbook.run import bundle, fit, report
from rnn_cookbook.tasks import classification


@dataclass(frozen=True)
class Config:
    data: str = "sample"  # sample, or your own table or folder
    text_column: str = ""  # column of the texts in your table; found by its usual names
    label_column: str = ""  # column of the labels in your table; found by its usual names
    drop_missing: bool = False  # leave rows without a text or a label out
    validation_fraction: float = 0.1  # of the training data, where there is no validation split
    test_fraction: float = 0.2  # of the data, where there is no test split
    cell: Literal["simple_rnn", "lstm", "gru"] = "lstm"  # recurrent cell
    units: int = 32  # size of the state, in each direction
    epochs: int = 10  # passes over the training data
    least_steps: int = 0  # small data gets more epochs, and patience in proportion, so that there are so many steps
    batch_size: int = 64  # texts a step
    learning_rate: float = 1e-2  # its peak
    clip_norm: float = 1.0  # largest global norm of the gradient; 0 leaves it as it is
    patience: int = (
        4  # epochs without a better validation loss before the training stops; 0 goes through
    )
    mixed_precision: bool = False  # half-precision arithmetic, for GPUs
    baselines: bool = True  # train the linear models, too
    seed: int = 0  # of the split, the weights, the order and the dropout

    def __post_init__(self):
        check_settings(  # what cannot work is refused here, before anything is read
            self,
            positive=("learning_rate",),
            at_least={
                "units": 1,
                "epochs": 1,
                "least_steps": 0,
                "batch_size": 1,
                "clip_norm": 0,
                "patience": 0,
                "seed": 0,
            },
            shares=("validation_fraction", "test_fraction"),
        )


SAMPLE = Config(data="sample")
METRIC = "accuracy"  # what the results are compared by
SETTINGS = {"default": Config(), "sample": SAMPLE}  # and others that are worth a row in the table


@dataclass
class Data:
    classes: list[str]
    train: Texts
    validation: Texts
    test: Texts
    encoder: encode.text.TextEncoder  # what is learnt from the data is no setting: it is here


def load_data(config: Config) -> Data:
    """Raw examples, split. Nothing is fitted but on the training split."""
    log.info("reading %s", config.data)
    if config.data == "sample":
        parts = in_turn(
            classification.sample.reviews(6500, seed=config.seed),
            train=4000,
            validation=500,
            test=2000,
        )
    else:
        parts = read_texts(
            config.data,
            text_column=config.text_column,
            label_column=config.label_column,
            drop_missing=config.drop_missing,
        )
    fractions = {
        "validation_fraction": config.validation_fraction,
        "test_fraction": config.test_fraction,
    }
    parts, classes = complete(parts, **fractions, seed=config.seed)
    encoder = encode.text.TextEncoder.fit(parts["train"].texts, max_words=10_000, min_count=1)
    return Data(classes, parts["train"], parts["validation"], parts["test"], encoder)


def build_model(config: Config, data: Data):
    import keras  # here, not above: `--help` and argument errors answer without TensorFlow

    fit.set_precision(config.mixed_precision)
    model = classification.model.text_classifier(
        vocabulary_size=len(data.encoder),
        classes=len(data.classes),
        embedding_size=32,
        cell=config.cell,
        units=config.units,
    )
    rate = fit.warmup_cosine(
        config.learning_rate, steps=fit.plan(config, examples=len(data.train)).steps
    )
    model.compile(
        optimizer=keras.optimizers.Adam(rate, global_clipnorm=config.clip_norm or None),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        jit_compile=False,  # XLA would compile every length of batch anew
    )
    return model


def train(config: Config, model, data: Data, run) -> dict:
    plan = fit.plan(config, examples=len(data.train))
    log.info("training: %d epochs of %d texts", plan.epochs, len(data.train))
    batches, validation = (
        batched(config, data, part, shuffle=part is data.train)
        for part in (data.train, data.validation)
    )
    return fit.fit(model, batches, validation, epochs=plan.epochs, patience=plan.patience, run=run)


def evaluate(config: Config, model, data: Data, split: str = "test", run=None) -> dict:
    """Scores on a split; with a run, also what its folder shows."""
    examples = getattr(data, split)
    log.info("evaluating on %d %s texts", len(examples), split)
    probabilities, labels = (
        classify(config, model, data.encoder.encode(examples.texts)),
        numbers(data, examples),
    )
    if run:
        lengths = [len(tokens) for tokens in data.encoder.encode(examples.texts)]
        classification.plots.write_classification(
            run,
            examples.texts,
            labels,
            probabilities,
            classes=data.classes,
            lengths=lengths,
            unit="words",
        )
    return classification.scores.classification_scores(labels, probabilities)


def baselines(config: Config, data: Data) -> dict:
    """The strong method without a network that a practitioner would try first, on the same test
    split, scored by the same scorer."""
    known = Texts(
        data.train.texts + data.validation.texts, data.train.labels + data.validation.labels
    )
    return classification.baselines.text_baselines(
        (known.texts, numbers(data, known)),
        (data.test.texts, numbers(data, data.test)),
        classes=len(data.classes),
    )


def predict(loaded: bundle.Bundle, inputs: Iterable[list[str]]) -> Iterator[dict]:
    """Raw inputs, list by list, to one answer each, by the bundle alone."""
    config, encoder = Config(**loaded.config), encode.text.TextEncoder.load(loaded.path)
    for texts in inputs:
        for text, shares in zip(
            texts, classify(config, loaded.model, encoder.encode(texts)), strict=True
        ):
            yield {
                "text": text,
                "label": loaded.facts["classes"][shares.argmax()],
                "probability": round(float(shares.max()), 5),
            }


def search_space(hp, config: Config) -> Config:
    """What is worth tuning, data settings included. `hp` is keras_tuner.HyperParameters."""
    return replace(
        config,
        cell=hp.Choice("cell", ["lstm", "gru"]),
        units=hp.Choice("units", [16, 32, 64]),
        learning_rate=hp.Float("learning_rate", 1e-3, 3e-2, sampling="log"),
        batch_size=hp.Choice("batch_size", [32, 64, 128]),
    )


def main(config: Config, run) -> str:
    fit.seed_everything(config.seed)
    data = load_data(config)
    model = build_model(config, data)
    history = train(config, model, data, run)
    facts = {"classes": data.classes}
    bundle.save_bundle(
        run.path / "model",
        recipe=run.recipe,
        config=asdict(config),
        facts=facts,
        model=model,
        encoders=[data.encoder.save],
    )
    report.plot_training(run, history, metric="accuracy")
    measured = report.write_metrics(
        run,
        config=config,
        model=model,
        training=history,
        splits={name: len(getattr(data, name)) for name in ("train", "validation", "test")},
        validation=evaluate(config, model, data, split="validation"),
        baselines=baselines(config, data) if config.baselines else {},
        test=evaluate(config, model, data, run=run),  # read once, last
    )
    return report.comparison(measured, metric=METRIC, others=("macro_f1",))


# Small steps of the above


def batched(
    config: Config, data: Data, examples: Texts, *, shuffle: bool = False
) -> encode.batches.Batches:
    tokens, options = (
        data.encoder.encode(examples.texts),
        {"batch_size": config.batch_size, "seed": config.seed},
    )
    return encode.batches.Batches(tokens, numbers(data, examples), shuffle=shuffle, **options)


def numbers(data: Data, examples: Texts) -> np.ndarray:
    """int[examples], the class of each."""
    return np.array([data.classes.index(label) for label in examples.labels])


def classify(config: Config, model, tokens: list[np.ndarray]) -> np.ndarray:
    """Probabilities: float64[texts, classes]"""
    return softmax(
        fit.predict(model, encode.batches.Batches(tokens, batch_size=config.batch_size)), axis=1
    )


if __name__ == "__main__":
    from rnn_cookbook.cli.main import main as command

    sys.exit(command(["run", __file__, *sys.argv[1:]]))
