"""Sentiment: which class a text belongs to, by a recurrent network that reads all of it.

    rnn-cookbook run sentiment                                    # IMDb reviews, 25,000 to train and 25,000 to test
    rnn-cookbook run sentiment --data sample                      # a generator, offline, under a minute
    rnn-cookbook run sentiment --data my.csv --label-column mood  # your own texts and classes

Measured: accuracy 0.9096 ± 0.0003 | nb_lr 0.9179 | 2 cores of Intel(R) Xeon(R) Processor @ 2.50GHz
| 7.3 min

The model: 1. numbered words, punctuation included; 2. word vectors from the task's own text (Levy
et al. 2015), trained further; 3. an LSTM (Hochreiter and Schmidhuber 1997) over segments of the
text (Johnson and Zhang 2016); 4. pooling over all its states, maximum and mean; 5. a softmax. Texts
without labels, where there are any, teach it twice: they go into the word vectors, and a linear
model that learnt from the labelled texts marks them for the network (distillation: Hinton et al.
2015).

Traps avoided: the last state alone, which forgets how a review began; padding that leaks into
states or pooling; batches padded to the longest review; a vocabulary, a teacher or an early stop
that saw the test split; an accuracy without the linear model's beside it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import softmax

from rnn_cookbook import encode
from rnn_cookbook.data.sources import load_tfds
from rnn_cookbook.data.splits import complete, in_turn
from rnn_cookbook.data.texts import Texts, read_texts, read_unlabelled
from rnn_cookbook.errors import check_settings
from rnn_cookbook.files import log
from rnn_cookbook.nn import optimizers
from rnn_cookbook.run import bundle, fit, report
from rnn_cookbook.tasks import classification


@dataclass(frozen=True)
class Config:
    data: str = "imdb_reviews"  # imdb_reviews, sample, or your own table or folder
    data_dir: str = ""  # where data sets are kept, else $RNN_COOKBOOK_DATA or ~/tensorflow_datasets
    text_column: str = ""  # column of the texts in your table; found by its usual names
    label_column: str = ""  # column of the labels in your table; found by its usual names
    drop_missing: bool = False  # leave rows without a text or a label out
    unlabelled: str = ""  # more texts without labels: a table or a folder; "none" does without those that the data set brings
    validation_fraction: float = 0.1  # of the training data, where there is no validation split
    test_fraction: float = 0.2  # of the data, where there is no test split
    vocabulary: int = 30_000  # most frequent words that get a number
    min_count: int = 2  # rarer words are unknown words
    max_tokens: int = 400  # longer texts are cut
    keep: Literal["head", "tail", "both"] = "both"  # which end of a longer text stays
    embedding: int = 128  # dimensions of the word vectors
    word_vectors: Literal["ppmi", "none"] = (
        "ppmi"  # start from vectors of the task's text, or at random
    )
    teacher: bool = True  # a linear model labels the unlabelled texts for the network
    cell: Literal["simple_rnn", "lstm", "gru"] = "lstm"  # recurrent cell
    units: int = 64  # size of the state, in each direction
    depth: int = 1  # recurrent layers
    bidirectional: bool = False  # read from both ends
    segment: int = 50  # words a segment; 0 reads the text in one piece
    pooling: str = "max+mean"  # last, mean, max, attention, or several joined by +
    word_dropout: float = 0.2  # share of words replaced by the unknown word in training
    embedding_dropout: float = 0.2  # dropout of word-vector components, the same at every step
    dropout: float = 0.5  # before the classifier and between recurrent layers
    epochs: int = 4  # passes over the labelled texts
    least_steps: int = 300  # small data gets more epochs, and patience in proportion, so that there are so many steps
    batch_size: int = 64  # texts a step
    learning_rate: float = 3e-3  # its peak
    schedule: Literal["cosine", "constant"] = "cosine"  # learning rate over time
    weight_decay: float = 0.0  # decoupled from the gradient, as in AdamW
    clip_norm: float = 1.0  # largest global norm of the gradient; 0 leaves it as it is
    patience: int = (
        2  # epochs without a better validation loss before the training stops; 0 goes through
    )
    mixed_precision: bool = False  # half-precision arithmetic, for GPUs
    baselines: bool = True  # train the linear models, too
    seed: int = 0  # of the split, the weights, the order and the dropout

    def __post_init__(self):
        check_settings(
            self,
            positive=("learning_rate",),
            at_least={
                "vocabulary": 1,
                "max_tokens": 1,
                "embedding": 1,
                "units": 1,
                "depth": 1,
                "segment": 0,
                "epochs": 1,
                "batch_size": 1,
            }
            | {"least_steps": 0, "weight_decay": 0, "clip_norm": 0, "patience": 0, "seed": 0},
            shares=(
                "validation_fraction",
                "test_fraction",
                "word_dropout",
                "embedding_dropout",
                "dropout",
            ),
        )


# fmt: off
SAMPLE = Config(data="sample", min_count=1, embedding=32, units=32, segment=0, word_dropout=0.0, dropout=0.2, epochs=10, least_steps=0,
                learning_rate=1e-2, patience=4)
# The example that everyone starts with: the last 100 words, the last state of a SimpleRNN, three
# epochs.
BASIC = Config(vocabulary=9_998, min_count=1, max_tokens=100, keep="tail", embedding=32, word_vectors="none", unlabelled="none",
               teacher=False, cell="simple_rnn", units=32, segment=0, pooling="last", word_dropout=0.0, embedding_dropout=0.0, dropout=0.0,
               epochs=3,
               least_steps=0, learning_rate=1e-3, schedule="constant", clip_norm=0.0, patience=0, validation_fraction=0.2)
# fmt: on
METRIC = "accuracy"  # what the results are compared by
SETTINGS = {
    "default": Config(),
    "sample": SAMPLE,
    "basic": BASIC,
    "supervised": Config(unlabelled="none", teacher=False),
}


@dataclass
class Data:
    classes: list[str]  # class i is called classes[i]
    train: Texts
    validation: Texts
    test: Texts
    unlabelled: Texts
    encoder: encode.text.TextEncoder  # fitted on the training texts, and on the unlabelled ones


def load_data(config: Config) -> Data:
    """Raw texts, split. Only training and unlabelled texts choose the vocabulary."""
    log.info("reading %s", config.data)
    if config.data == "sample":
        parts = in_turn(
            classification.sample.reviews(6500, seed=config.seed),
            train=4000,
            validation=500,
            test=2000,
        )
    elif config.data == "imdb_reviews":
        names = ["train", "test", "unsupervised"]
        train, test, unlabelled = load_tfds("imdb_reviews", splits=names, data_dir=config.data_dir)
        parts = {
            name: Texts(
                [x["text"].decode() for x in rows],
                [("negative", "positive")[x["label"]] for x in rows],
            )
            for name, rows in (("train", train), ("test", test))
        }
        parts["unlabelled"] = Texts([x["text"].decode() for x in unlabelled])
    else:
        parts = read_texts(
            config.data,
            text_column=config.text_column,
            label_column=config.label_column,
            drop_missing=config.drop_missing,
        )
        parts = {
            name: encode.text.without_empty(part, name=name, drop=config.drop_missing)
            for name, part in parts.items()
        }
    fractions = {
        "validation_fraction": config.validation_fraction,
        "test_fraction": config.test_fraction,
    }
    parts, classes = complete(parts, **fractions, seed=config.seed)
    if config.unlabelled:
        parts["unlabelled"] = (
            Texts()
            if config.unlabelled == "none"
            else read_unlabelled(config.unlabelled, text_column=config.text_column)
        )
    unlabelled = parts.get("unlabelled", Texts())
    encoder = encode.text.TextEncoder.fit(
        parts["train"].texts + unlabelled.texts,
        max_words=config.vocabulary,
        min_count=config.min_count,
    )
    return Data(classes, parts["train"], parts["validation"], parts["test"], unlabelled, encoder)


def build_model(config: Config, data: Data):
    import keras  # here, not above: `--help` and argument errors answer without TensorFlow

    fit.set_precision(config.mixed_precision)
    vectors = None
    if config.word_vectors == "ppmi":
        log.info("word vectors from %d texts", len(data.train) + len(data.unlabelled))
        tokens, shape = (
            tokenise(config, data, data.train.texts + data.unlabelled.texts),
            (len(data.encoder), config.embedding),
        )
        vectors = 0.5 * encode.word_vectors.ppmi_vectors(
            tokens, vocabulary_size=shape[0], dimensions=shape[1], seed=config.seed
        )
    model = classification.model.text_classifier(
        vocabulary_size=len(data.encoder),
        classes=len(data.classes),
        embedding_size=config.embedding,
        cell=config.cell,
        units=config.units,
        depth=config.depth,
        bidirectional=config.bidirectional,
        segment_length=config.segment,
        pooling=config.pooling.split("+"),
        word_dropout=config.word_dropout,
        embedding_dropout=config.embedding_dropout,
        dropout=config.dropout,
        word_vectors=vectors,
    )
    count = len(data.train) + extras(config, data) // rounds(config, data)
    steps = fit.plan(config, examples=count).steps
    rate = (
        fit.warmup_cosine(config.learning_rate, steps=steps)
        if config.schedule == "cosine"
        else config.learning_rate
    )
    model.compile(
        optimizer=optimizers.LazyAdam(
            rate, weight_decay=config.weight_decay or None, clip_norm=config.clip_norm or None
        ),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True
        ),  # of probabilities: the teacher is not always sure
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=False,  # XLA would compile every length of batch anew
    )
    return model


def train(config: Config, model, data: Data, run) -> dict:
    tokens, targets = tokenise(config, data, data.train.texts), one_hot(data, data.train)
    if extras(config, data):
        log.info(
            "a linear model learns from %d texts, to mark %d unlabelled ones",
            len(data.train),
            len(data.unlabelled),
        )
        teacher = classification.baselines.NBClassifier().fit(
            data.train.texts, targets.argmax(axis=1), classes=len(data.classes)
        )
        tokens += tokenise(config, data, data.unlabelled.texts)
        targets = np.concatenate(
            [targets, teacher.predict(data.unlabelled.texts).astype(np.float32)]
        )
    shape = {"batch_size": config.batch_size, "multiple_of": config.segment or 1}
    turns = {"extras": extras(config, data), "rounds": rounds(config, data)}
    batches = encode.batches.Batches(
        tokens, targets, shuffle=True, seed=config.seed, **turns, **shape
    )
    validation = encode.batches.Batches(
        tokenise(config, data, data.validation.texts), one_hot(data, data.validation), **shape
    )
    plan = fit.plan(config, examples=batches.examples)
    log.info("training: %d epochs of %d texts", plan.epochs, batches.examples)
    return fit.fit(model, batches, validation, epochs=plan.epochs, patience=plan.patience, run=run)


def evaluate(config: Config, model, data: Data, split: str = "test", run=None) -> dict:
    """Scores on a split; with a run, also what its folder shows: predictions, plots and the most
    confident mistakes."""
    examples = getattr(data, split)
    log.info("evaluating on %d %s texts", len(examples), split)
    tokens, labels = tokenise(config, data, examples.texts), one_hot(data, examples).argmax(axis=1)
    probabilities = classify(config, model, tokens)
    if run:
        lengths = [len(sequence) for sequence in data.encoder.encode(examples.texts)]
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
    """Linear models on the same test split. Nothing of theirs is chosen on the validation split, so
    they learn from it, too."""
    known = Texts(
        data.train.texts + data.validation.texts, data.train.labels + data.validation.labels
    )
    (texts, labels), (test_texts, test_labels) = (
        (part.texts, one_hot(data, part).argmax(axis=1)) for part in (known, data.test)
    )
    return classification.baselines.text_baselines(
        (texts, labels), (test_texts, test_labels), classes=len(data.classes)
    )


def predict(loaded: bundle.Bundle, inputs: Iterable[list[str]]) -> Iterator[dict]:
    """Raw texts, list by list, to one answer a text. A text without a word gets an error instead of
    a guess."""
    config, encoder = Config(**loaded.config), encode.text.TextEncoder.load(loaded.path)
    for texts in inputs:
        tokens = encoder.encode(texts, max_tokens=config.max_tokens, keep=config.keep)
        for text, empty, p in zip(
            texts,
            ~encode.text.has_token(texts),
            classify(config, loaded.model, tokens),
            strict=True,
        ):
            shares = {
                name: round(float(share), 5)
                for name, share in zip(loaded.facts["classes"], p, strict=True)
            }
            answer = {"label": max(shares, key=shares.get), "probabilities": shares}
            yield {
                "text": text,
                **({"label": None, "error": "no word in the text"} if empty else answer),
            }


def served(loaded: bundle.Bundle) -> classification.export.ServedClassifier:
    """From raw text to the answer in TensorFlow alone: what `rnn-cookbook export` writes."""
    options = {
        "classes": loaded.facts["classes"],
        **{name: loaded.config[name] for name in ("max_tokens", "keep")},
    }
    return classification.export.ServedClassifier(
        loaded.model, encode.text.TextEncoder.load(loaded.path), **options
    )


def search_space(hp, config: Config) -> Config:
    """What is worth tuning, data settings included. `hp` is keras_tuner.HyperParameters."""
    return replace(
        config,
        cell=hp.Choice("cell", ["lstm", "gru"]),
        units=hp.Choice("units", [32, 64, 128]),
        bidirectional=hp.Boolean("bidirectional"),
        pooling=hp.Choice("pooling", ["max", "mean", "max+mean", "attention"]),
        max_tokens=hp.Choice("max_tokens", [200, 400, 800]),
        word_dropout=hp.Float("word_dropout", 0.0, 0.4, step=0.1),
        dropout=hp.Float("dropout", 0.0, 0.6, step=0.1),
        learning_rate=hp.Float("learning_rate", 3e-4, 1e-2, sampling="log"),
        batch_size=hp.Choice("batch_size", [32, 64, 128]),
    )


def main(config: Config, run) -> str:
    fit.seed_everything(config.seed)
    data = load_data(config)
    started = time.perf_counter()
    model = build_model(config, data)
    history = train(config, model, data, run)
    history["seconds"] += (
        time.perf_counter() - started - history.pop("seconds_here")
    )  # the word vectors and the teacher count
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
        splits={
            name: len(getattr(data, name)) for name in ("train", "validation", "test", "unlabelled")
        },
        validation=evaluate(config, model, data, split="validation"),
        baselines=baselines(config, data) if config.baselines else {},
        test=evaluate(config, model, data, run=run),
    )
    return report.comparison(
        measured, metric="accuracy", others=("macro_f1", "roc_auc", "calibration_error")
    )


# Small pieces that several of the above use


def tokenise(config: Config, data: Data, texts: list[str]) -> list[np.ndarray]:
    return data.encoder.encode(texts, max_tokens=config.max_tokens, keep=config.keep)


def one_hot(data: Data, examples: Texts) -> np.ndarray:
    """float32[examples, classes]"""
    number = {name: i for i, name in enumerate(data.classes)}
    return np.eye(len(data.classes), dtype=np.float32)[[number[label] for label in examples.labels]]


def extras(config: Config, data: Data) -> int:
    """How many unlabelled texts the teacher marks."""
    return len(data.unlabelled) if config.teacher else 0


def rounds(config: Config, data: Data) -> int:
    """In how many epochs the unlabelled texts are gone through once."""
    return max(1, min(config.epochs, extras(config, data)))


def classify(config: Config, model, tokens: list[np.ndarray]) -> np.ndarray:
    """Probabilities: float64[texts, classes]"""
    return softmax(
        fit.predict(
            model,
            encode.batches.Batches(
                tokens, batch_size=config.batch_size, multiple_of=config.segment or 1
            ),
        ),
        axis=1,
    )


if __name__ == "__main__":
    from rnn_cookbook.cli.main import main as command

    sys.exit(command(["run", __file__, *sys.argv[1:]]))
