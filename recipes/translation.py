"""Translation: from a text to one in another language, by an encoder-decoder with attention.

    rnn-cookbook run translation                                # Multi30k, English to German
    rnn-cookbook run translation --data sample                  # a grammar, offline, about a minute
    rnn-cookbook run translation --data my.en --target my.de --reverse      # parallel text files
    rnn-cookbook run translation --data talk.csv --source-column question --target-column answer

Measured: bleu 38.5631 ± 0.7099 | word_for_word 15.8936 | 42.8 min
on 2 cores of AMD EPYC.

The model: 1. subwords of both sides, learnt from the training text (Sennrich et al. 2016); 2. a
bidirectional LSTM that reads the source; 3. an LSTM that writes the target, with word vectors tied
to its output (Press and Wolf 2017) and attention to the source at every step (Luong et al. 2015);
4. label smoothing, and the mean of the last epochs' weights; 5. a beam search whose scores are
normalised by length (Wu et al. 2016). Any pairs of texts will do: questions and answers make a
small chatbot, articles and summaries a summariser.

Traps avoided: a decoder that reads its own answer; padding that is attended to or counted in the
loss; BLEU of tokenised or lowercased text; beams that prefer short answers; test sentences that
were seen in training; subwords that saw more than the training text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from rnn_cookbook import encode
from rnn_cookbook.data.splits import in_turn
from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log
from rnn_cookbook.metrics import Metric
from rnn_cookbook.nn import losses, optimizers
from rnn_cookbook.run import bundle, fit, plots, report
from rnn_cookbook.settings import (
    Count,
    Fraction,
    NonNegative,
    NonNegativeCount,
    Positive,
    Range,
    check_fields,
)
from rnn_cookbook.tasks import translation

if TYPE_CHECKING:
    import keras
    import keras_tuner
    import numpy as np

    from rnn_cookbook.run.folder import Run

METRIC = Metric("bleu", higher_is_better=True)
OTHER_METRICS = (
    Metric("chrf", higher_is_better=True),
    Metric("ter", higher_is_better=False),
    Metric("exact_match", higher_is_better=True),
)
SAMPLE_SIZES = {"train": 6000, "validation": 500, "test": 1000}
SCORED = 1000  # validation pairs that are translated after every epoch
SOURCE_FILE = "source.model"  # files of a bundle
TARGET_FILE = "target.model"


@dataclass(frozen=True)
class Config:
    data: str = "multi30k"  # multi30k, sample, a TFDS name (wmt14_translate/de-en), or your data
    target: str = ""  # your text file of targets, line by line beside the sources of --data
    source_column: str = ""  # column of the sources in your table; by default a common name
    target_column: str = ""  # column of the targets in your table; by default a common name
    reverse: bool = False  # translate the targets into the sources
    data_dir: str = ""  # folder of data sets; else $RNN_COOKBOOK_DATA or ~/tensorflow_datasets
    validation_fraction: Fraction = 0.05  # fraction of training data, if it has no validation split
    test_fraction: Fraction = 0.05  # fraction of the data, if it lacks a test split
    vocabulary_size: Annotated[int, Range(at_least=8)] = 4000  # subwords of each side
    subword_dropout: Fraction = 0.0  # fraction of merges left out of training texts in each epoch
    max_tokens: Annotated[int, Range(at_least=2)] = 100  # longest training pair; texts are split
    embedding: Count = 256  # dimensions of the subword vectors
    cell: Literal["simple_rnn", "lstm", "gru"] = "lstm"  # recurrent cell
    units: Count = 320  # size of the state, of the encoder in each direction
    depth: Count = 1  # recurrent layers on either side
    attention: Literal["luong", "bahdanau", "none"] = "luong"  # attention of the decoder
    input_feeding: bool = False  # luong: feed the attentional vector into the next step; slow
    dropout: Fraction = 0.4  # dropout rate of vector components, the same at every step
    label_smoothing: Fraction = 0.1  # fraction of the probability spread over all subwords
    epochs: Count = 10  # passes over the training data
    least_steps: NonNegativeCount = 1000  # minimum optimizer steps: small data gets more epochs
    batch_size: Count = 64  # pairs per step
    learning_rate: Positive = 4e-3  # peak of the learning rate, which then falls by a cosine
    weight_decay: NonNegative = 0.0  # weight decay, decoupled from the gradient as in AdamW
    clip_norm: NonNegative = 1.0  # maximum global norm of the gradient; 0 leaves it as it is
    average: Count = 4  # last epochs whose mean weights are kept; 1 keeps the best epoch's
    patience: NonNegativeCount = 0  # epochs without a better validation BLEU before a stop; 0: none
    beam: Count = 5  # width of the beam search; 1 is greedy
    alpha: NonNegative = 1.0  # exponent of the length normalisation; 0 prefers short translations
    mixed_precision: bool = False  # half-precision arithmetic, for GPUs
    baselines: bool = True  # score the copy, the nearest neighbour and IBM model 1
    seed: NonNegativeCount = 0  # seed of the split, the weights, the order and the dropout

    def __post_init__(self):
        if self.input_feeding and self.attention != "luong":
            raise InputError(
                f"input_feeding needs attention 'luong'; received {self.attention!r}",
                field=("input_feeding", "attention"),
            )
        check_fields(self)


@dataclass(frozen=True)
class Prediction:
    beam: NonNegativeCount = 0  # width of the beam search; 1 is greedy, 0 the run's
    n_best: Count = 1  # translations of each text, best first
    attention: bool = False  # show the attention weights of each subword of the translation
    ensemble: str = ""  # more runs with the same subwords, by commas, to average probabilities with

    def __post_init__(self):
        check_fields(self)


SAMPLE = Config(
    data="sample",
    vocabulary_size=160,
    embedding=64,
    units=96,
    dropout=0.0,
    epochs=4,
    least_steps=0,
    batch_size=32,
    learning_rate=1e-2,
    average=2,
)
SETTINGS = {"default": Config(), "sample": SAMPLE, "no_attention": Config(attention="none")}


@dataclass
class Data:
    train: translation.data.Pairs
    validation: translation.data.Pairs
    test: translation.data.Pairs
    source: encode.subwords.SubwordEncoder  # fitted on the training sources
    target: encode.subwords.SubwordEncoder  # fitted on the training targets
    limits: translation.predict.Limits  # of the length of translations


def read(config: Config) -> dict[str, translation.data.Pairs]:
    """The sample, Multi30k, the user's data, or a TFDS data set; missing splits are missing."""
    if config.data == "sample":
        count = sum(SAMPLE_SIZES.values())
        return in_turn(translation.sample.translations(count, seed=config.seed), **SAMPLE_SIZES)
    if config.data == "multi30k":
        return translation.data.multi30k(config.data_dir)
    if translation.data.is_own(config.data, config.target):
        return translation.data.read_pairs(
            config.data,
            target=config.target,
            source_column=config.source_column,
            target_column=config.target_column,
        )
    return translation.data.tfds_pairs(config.data, data_dir=config.data_dir)


def short(
    config: Config,
    part: translation.data.Pairs,
    *,
    source: encode.subwords.SubwordEncoder,
    target: encode.subwords.SubwordEncoder,
    name: str,
) -> translation.data.Pairs:
    """The pairs that are not too long to learn from; the others are logged."""
    kept = translation.batches.short_enough(
        source.encode(part.sources),
        target.encode(part.targets),
        longest=config.max_tokens,
        name=name,
    )
    return part.take(kept.tolist())


def load_data(config: Config) -> Data:
    """Reads and splits pairs. Only training text decides the subwords; pairs that are too long are
    left out of it."""
    log.info("reading %s", config.data)
    parts = read(config)
    if config.reverse:
        parts = {name: part.reversed() for name, part in parts.items()}
    parts = translation.data.split_pairs(
        parts,
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        seed=config.seed,
    )
    train = parts["train"]
    size = config.vocabulary_size
    source = encode.subwords.SubwordEncoder.fit(train.sources, size=size)
    target = encode.subwords.SubwordEncoder.fit(train.targets, size=size)
    train = short(config, train, source=source, target=target, name="training")
    limits = translation.predict.Limits.fit(
        train.sources, source.encode(train.sources), target.encode(train.targets)
    )
    return Data(train, parts["validation"], parts["test"], source, target, limits)


def longest_input(config: Config) -> int:
    """Subwords of the longest text that is translated at a time."""
    return config.max_tokens


def build_model(config: Config, data: Data) -> keras.Model:
    fit.set_precision(config.mixed_precision)
    model = translation.model.encoder_decoder(
        source_vocabulary=len(data.source),
        target_vocabulary=len(data.target),
        embedding_size=config.embedding,
        cell=config.cell,
        units=config.units,
        depth=config.depth,
        attention=config.attention,
        input_feeding=config.input_feeding,
        dropout=config.dropout,
        start=encode.subwords.START,
    )
    plan = fit.plan(config, examples=len(data.train))
    rate = fit.warmup_cosine(config.learning_rate, steps=plan.steps)
    model.compile(
        optimizer=optimizers.LazyAdam(
            rate,
            weight_decay=config.weight_decay or None,
            clip_norm=config.clip_norm or None,
        ),
        loss=losses.PaddedCrossEntropy(
            padding=encode.subwords.PADDING, label_smoothing=config.label_smoothing
        ),
        # XLA would compile every length of batch anew.
        jit_compile=False,  # pyright: ignore[reportArgumentType]  # Keras declares its default only
    )
    return model


def batched(
    config: Config,
    data: Data,
    part: translation.data.Pairs,
    *,
    dropout: float = 0.0,
    shuffle: bool = False,
) -> translation.batches.PairBatches:
    def subwords(epoch: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        seed = [config.seed, epoch]
        sources = data.source.encode(part.sources, dropout=dropout, seed=seed)
        return sources, data.target.encode(part.targets, dropout=dropout, seed=seed)

    known = subwords(0)
    return translation.batches.PairBatches(
        subwords if dropout else lambda epoch: known,
        batch_size=config.batch_size,
        shuffle=shuffle,
        seed=config.seed,
    )


def make_translator(
    config: Config, model: keras.Model, data: Data, *, beam: int
) -> translation.predict.Translator:
    return translation.predict.Translator(
        [model],
        data.source,
        data.target,
        limits=data.limits,
        longest=config.max_tokens,
        beam=beam,
        alpha=config.alpha,
    )


def train(config: Config, model: keras.Model, data: Data, run: Run) -> dict:
    batches = batched(config, data, data.train, dropout=config.subword_dropout, shuffle=True)
    validation = short(
        config, data.validation, source=data.source, target=data.target, name="validation"
    )
    # Of greedy search, which takes seconds: how well the model translates, not how sure it is of
    # each next word.
    scored = data.validation.take(range(min(SCORED, len(data.validation))))
    greedy = make_translator(config, model, data, beam=1)
    monitor = METRIC.on_validation()

    def scores() -> dict[str, float]:
        texts = greedy.best(scored.sources)
        measured = translation.scores.translation_scores(scored.targets, texts)
        return {monitor.name: measured[METRIC.name]}

    plan = fit.plan(config, examples=batches.examples)
    log.info("training: %d epochs of %d pairs", plan.epochs, batches.examples)
    return fit.fit(
        model,
        batches,
        batched(config, data, validation),
        epochs=plan.epochs,
        patience=plan.patience,
        average=config.average,
        run=run,
        monitor=monitor,
        scores=scores,
    )


def evaluate(
    config: Config, model: keras.Model, data: Data, split: str = "test", run: Run | None = None
) -> dict[str, float]:
    """Scores the beam search and greedy search on a split; with a run, writes translations, quality
    by length and attention into its folder."""
    examples = getattr(data, split)
    log.info("evaluating on %d %s pairs", len(examples), split)
    search = make_translator(config, model, data, beam=config.beam)
    found = search.translate(examples.sources)
    if run:
        translation.plots.write_translations(run, examples, found, search)
    texts = [best[0].text if best else "" for best in found]
    scores = translation.scores.translation_scores(examples.targets, texts)
    greedy = make_translator(config, model, data, beam=1)
    of_greedy = translation.scores.translation_scores(
        examples.targets, greedy.best(examples.sources)
    )
    return {**scores, "bleu_greedy": of_greedy["bleu"]}


def baselines(config: Config, data: Data) -> dict[str, dict]:
    """Scores methods without a network on the same test split. None of their settings is chosen on
    the validation split, so they learn from it too."""
    known = translation.data.Pairs(
        data.train.sources + data.validation.sources, data.train.targets + data.validation.targets
    )
    return translation.baselines.translation_baselines(known, data.test)


def source_subwords(loaded: bundle.Bundle) -> encode.subwords.SubwordEncoder:
    return encode.subwords.SubwordEncoder.load(loaded.path, SOURCE_FILE)


def target_subwords(loaded: bundle.Bundle) -> encode.subwords.SubwordEncoder:
    return encode.subwords.SubwordEncoder.load(loaded.path, TARGET_FILE)


def load_ensemble(loaded: bundle.Bundle, folders: str) -> list[keras.Model]:
    """The model with those of other runs, which must have the same subwords."""
    models = [loaded.model]
    for folder in filter(None, folders.split(",")):
        other = bundle.load_bundle(folder)
        same = (
            other.recipe == loaded.recipe
            and source_subwords(other).model == source_subwords(loaded).model
            and target_subwords(other).model == target_subwords(loaded).model
        )
        if not same:
            raise InputError(
                f"ensemble needs runs on the same training pairs as {loaded.path}; {folder} has "
                "other subwords",
                field="ensemble",
            )
        models.append(other.model)
    return models


def predict(
    loaded: bundle.Bundle, inputs: Iterable[list[str]], options: Prediction | None = None
) -> Iterator[dict]:
    """Translates raw texts, list by list, with scores in nats. Characters that the training text
    lacks are named."""
    config = Config(**loaded.config)
    options = options or Prediction()
    search = translation.predict.Translator(
        load_ensemble(loaded, options.ensemble),
        source_subwords(loaded),
        target_subwords(loaded),
        limits=translation.predict.Limits(**loaded.facts["limits"]),
        longest=config.max_tokens,
        alpha=config.alpha,
        beam=max(options.beam or config.beam, options.n_best),
        n_best=options.n_best,
    )
    if options.attention and not search.attends:
        raise InputError(
            "attention cannot be shown: the model was trained without", field="attention"
        )
    for texts in inputs:
        for text, found in zip(texts, search.translate(texts), strict=True):
            yield translation.predict.answer(
                search, text, found, n_best=options.n_best, attention=options.attention
            )


def search_space(hp: keras_tuner.HyperParameters, config: Config) -> Config:
    """The settings that are worth tuning, those of the data included."""
    sizes = [config.vocabulary_size, config.vocabulary_size * 2]
    attentions = ["luong"] if config.input_feeding else ["luong", "bahdanau"]
    return replace(
        config,
        vocabulary_size=hp.Choice("vocabulary_size", sizes),
        cell=hp.Choice("cell", ["lstm", "gru"]),
        units=hp.Choice("units", [128, 256, 320]),
        attention=hp.Choice("attention", attentions),
        dropout=hp.Float("dropout", 0.0, 0.5, step=0.1),
        label_smoothing=hp.Choice("label_smoothing", [0.0, 0.1]),
        learning_rate=hp.Float("learning_rate", 1e-3, 1e-2, sampling="log"),
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
        facts={"limits": data.limits._asdict()},
        model=model,
        encoders=[
            partial(data.source.save, name=SOURCE_FILE),
            partial(data.target.save, name=TARGET_FILE),
        ],
    )
    plots.plot_training(
        run, history, metric=METRIC.name, training="training (smoothed, with dropout)"
    )
    measured = report.write_metrics(
        run,
        config=config,
        model=model,
        training=history,
        splits={name: len(getattr(data, name)) for name in ("train", "validation", "test")},
        validation=evaluate(config, model, data, split="validation"),
        baselines=baselines(config, data) if config.baselines else {},
        test=evaluate(config, model, data, run=run),
        scorer=translation.scores.bleu_signature(),
    )
    return report.comparison(measured, metric=METRIC, others=OTHER_METRICS)


if __name__ == "__main__":
    from rnn_cookbook.cli.main import main as command

    sys.exit(command(["run", __file__, *sys.argv[1:]]))
