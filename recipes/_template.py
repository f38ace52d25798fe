"""Template: copy this file to recipes/NAME.py and replace its parts one by one; it runs at every
step.

    rnn-cookbook run recipes/_template.py --data sample     # a generator, offline, under a minute
    rnn-cookbook run recipes/_template.py --data my.csv     # your texts and classes

Measured: (written by `python -m rnn_cookbook.run.results README.md`, from `run NAME --record`)

The model, numbered, each part with its paper: 1. words; 2. a bidirectional LSTM (Hochreiter and
Schmidhuber 1997); 3. the maximum over time; 4. a softmax.

Traps avoided: the mistakes that are common in this task, in a line or two.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

from rnn_cookbook import encode
from rnn_cookbook.data.splits import complete, in_turn
from rnn_cookbook.data.texts import Texts, read_texts
from rnn_cookbook.files import log
from rnn_cookbook.metrics import Metric
from rnn_cookbook.run import bundle, fit, plots, report
from rnn_cookbook.settings import (
    Count,
    Fraction,
    NonNegative,
    NonNegativeCount,
    Positive,
    check_fields,
)
from rnn_cookbook.tasks import classification

if TYPE_CHECKING:  # imports that would make `--help` and argument errors slow
    import keras
    import keras_tuner
    import numpy as np

    from rnn_cookbook.run.folder import Run

METRIC = Metric("accuracy", higher_is_better=True)  # what results are compared by
OTHER_METRICS = (Metric("macro_f1", higher_is_better=True),)  # further columns of the comparison
SAMPLE_SIZES = {"train": 4000, "validation": 500, "test": 2000}
MAX_WORDS = 10_000
EMBEDDING = 32  # dimensions of the word vectors


# Each field is an option of the command line, and its comment is the option's help.
@dataclass(frozen=True)
class Config:
    data: str = "sample"  # sample, or your table or folder; a recipe's default is a benchmark
    text_column: str = ""  # column of the texts in your table; by default a common name
    label_column: str = ""  # column of the labels in your table; by default a common name
    validation_fraction: Fraction = 0.1  # fraction of training data, if it has no validation split
    test_fraction: Fraction = 0.2  # fraction of the data, if it lacks a test split
    cell: Literal["simple_rnn", "lstm", "gru"] = "lstm"  # recurrent cell
    units: Count = 32  # size of the state, in each direction
    epochs: Count = 10  # passes over the training data
    least_steps: NonNegativeCount = 0  # minimum optimizer steps: small data gets more epochs
    batch_size: Count = 64  # texts per step
    learning_rate: Positive = 1e-2  # peak of the learning rate, which then falls by a cosine
    clip_norm: NonNegative = 1.0  # maximum global norm of the gradient; 0 leaves it as it is
    patience: NonNegativeCount = 4  # epochs without a better validation loss before a stop; 0: none
    baselines: bool = True  # train the linear models, too
    seed: NonNegativeCount = 0  # seed of the split, the weights and the order

    def __post_init__(self):
        check_fields(self)


SAMPLE = Config(data="sample")
SETTINGS = {"default": Config(), "sample": SAMPLE}  # and others that are worth a row in the table


@dataclass
class Data:
    classes: list[str]  # class i is called classes[i]
    train: Texts
    validation: Texts
    test: Texts
    encoder: encode.text.TextEncoder  # what is learnt from the data is here, not in Config


def read(config: Config) -> dict[str, Texts]:
    """The sample, or the user's data; splits that the data lacks are missing."""
    if config.data == "sample":
        count = sum(SAMPLE_SIZES.values())
        return in_turn(classification.sample.reviews(count, seed=config.seed), **SAMPLE_SIZES)
    return read_texts(config.data, text_column=config.text_column, label_column=config.label_column)


def load_data(config: Config) -> Data:
    """Reads and splits texts. Only training texts decide the vocabulary."""
    log.info("reading %s", config.data)
    parts, classes = complete(
        read(config),
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        seed=config.seed,
    )
    encoder = encode.text.TextEncoder.fit(parts["train"].texts, max_words=MAX_WORDS)
    return Data(classes, parts["train"], parts["validation"], parts["test"], encoder)


def build_model(config: Config, data: Data) -> keras.Model:
    import keras

    model = classification.model.text_classifier(
        vocabulary_size=len(data.encoder),
        classes=len(data.classes),
        embedding_size=EMBEDDING,
        cell=config.cell,
        units=config.units,
    )
    plan = fit.plan(config, examples=len(data.train))
    rate = fit.warmup_cosine(config.learning_rate, steps=plan.steps)
    model.compile(
        optimizer=keras.optimizers.Adam(
            rate,  # pyright: ignore[reportArgumentType]  # Keras declares floats only
            global_clipnorm=config.clip_norm or None,
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name=METRIC.name)],
        # XLA would compile every length of batch anew.
        jit_compile=False,  # pyright: ignore[reportArgumentType]  # Keras declares its default only
    )
    return model


def batched(
    config: Config, data: Data, examples: Texts, *, shuffle: bool = False
) -> encode.batches.Batches:
    return encode.batches.Batches(
        data.encoder.encode(examples.texts),
        classification.encode.class_numbers(examples.labels, data.classes),
        batch_size=config.batch_size,
        shuffle=shuffle,
        seed=config.seed,
    )


def train(config: Config, model: keras.Model, data: Data, run: Run) -> dict:
    plan = fit.plan(config, examples=len(data.train))
    log.info("training: %d epochs of %d texts", plan.epochs, len(data.train))
    return fit.fit(
        model,
        batched(config, data, data.train, shuffle=True),
        batched(config, data, data.validation),
        epochs=plan.epochs,
        patience=plan.patience,
        run=run,
    )


def classify(config: Config, model: keras.Model, tokens: list[np.ndarray]) -> np.ndarray:
    """The probability of each class: float32[texts, classes]."""
    return classification.predict.class_probabilities(model, tokens, batch_size=config.batch_size)


def evaluate(
    config: Config, model: keras.Model, data: Data, split: str = "test", run: Run | None = None
) -> dict[str, float]:
    """Scores a split; with a run, writes predictions and plots into its folder."""
    examples = getattr(data, split)
    log.info("evaluating on %d %s texts", len(examples), split)
    tokens = data.encoder.encode(examples.texts)
    labels = classification.encode.class_numbers(examples.labels, data.classes)
    probabilities = classify(config, model, tokens)
    if run:
        classification.plots.write_classification(
            run,
            examples.texts,
            labels,
            probabilities,
            classes=data.classes,
            lengths=[len(sequence) for sequence in tokens],
            unit="words",
        )
    return classification.scores.classification_scores(labels, probabilities)


def baselines(config: Config, data: Data) -> dict[str, dict]:
    """Scores the methods without a network that a practitioner would try first, on the same test
    split. None of their settings is chosen on the validation split, so they learn from it too."""
    texts = data.train.texts + data.validation.texts
    labels = data.train.labels + data.validation.labels
    return classification.baselines.text_baselines(
        (texts, classification.encode.class_numbers(labels, data.classes)),
        (data.test.texts, classification.encode.class_numbers(data.test.labels, data.classes)),
        classes=len(data.classes),
    )


def predict(loaded: bundle.Bundle, inputs: Iterable[list[str]]) -> Iterator[dict]:
    """Answers raw inputs, list by list, from the bundle alone."""
    config = Config(**loaded.config)
    encoder = encode.text.TextEncoder.load(loaded.path)
    for texts in inputs:
        probabilities = classify(config, loaded.model, encoder.encode(texts))
        for text, row in zip(texts, probabilities, strict=True):
            label = loaded.facts["classes"][row.argmax()]
            yield {"text": text, "label": label, "probability": round(float(row.max()), 5)}


def search_space(hp: keras_tuner.HyperParameters, config: Config) -> Config:
    """The settings that are worth tuning, those of the data included."""
    return replace(
        config,
        cell=hp.Choice("cell", ["lstm", "gru"]),
        units=hp.Choice("units", [16, 32, 64]),
        learning_rate=hp.Float("learning_rate", 1e-3, 3e-2, sampling="log"),
        batch_size=hp.Choice("batch_size", [32, 64, 128]),
    )


def main(config: Config, run: Run) -> str:
    fit.seed_everything(config.seed)
    data = load_data(config)
    with run.training_clock():
        model = build_model(config, data)
        history = train(config, model, data, run)
    bundle.save_bundle(
        run.path / "model",
        recipe=run.recipe,
        config=asdict(config),
        facts={"classes": data.classes},
        model=model,
        encoders=[data.encoder.save],
    )
    plots.plot_training(run, history, metric=METRIC.name)
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
    return report.comparison(measured, metric=METRIC, others=OTHER_METRICS)


if __name__ == "__main__":
    from rnn_cookbook.cli.main import main as command

    sys.exit(command(["run", __file__, *sys.argv[1:]]))
