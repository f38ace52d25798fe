"""Named entities: who, where and what a text is about, by a recurrent network with a CRF.

    rnn-cookbook run ner                     # CoNLL-2003: 14,041 sentences to train, 3,453 to test
    rnn-cookbook run ner --data sample       # a generator, offline, under a minute
    rnn-cookbook run ner --data my.conll --columns 1,4   # your annotated text, in columns or JSON

Measured: f1 0.8730 ± 0.0018 | feature_crf 0.8413 | 18.5 min
on 2 cores of Intel(R) Xeon(R) Processor @ 2.50GHz.

The model: 1. word vectors from the text of the task (Levy et al. 2015), rare words now and then
replaced by the unknown word; 2. a convolution over the letters of each word (Ma and Hovy 2016), the
word's form and affixes; 3. a bidirectional LSTM (Lample et al. 2016) with variational dropout (Gal
and Ghahramani 2016), which in training also predicts the neighbours of each word (Rei 2017); 4. a
CRF over whole tag sequences (Lafferty et al. 2001), BIOES inside.

Traps avoided: tags scored one by one, where most are O; an I that begins an entity, which every
scorer reads otherwise; an unknown word that training never saw; entities of the test split that are
known from training, counted as if they were new.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from rnn_cookbook import encode
from rnn_cookbook.data.sentences import sentences
from rnn_cookbook.data.sources import load_tfds_with_names
from rnn_cookbook.data.texts import read_unlabelled
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
from rnn_cookbook.tasks import tagging

if TYPE_CHECKING:
    import keras
    import keras_tuner
    import numpy as np

    from rnn_cookbook.run.folder import Run

METRIC = Metric("f1", higher_is_better=True)
OTHER_METRICS = (
    Metric("precision", higher_is_better=True),
    Metric("recall", higher_is_better=True),
    Metric("f1_seen", higher_is_better=True),
    Metric("f1_unseen", higher_is_better=True),
)
SPLITS = ("train", "validation", "test", "unlabelled")
SAMPLE_SIZES = {"train": 4000, "validation": 500, "test": 1000}
CONLL_SPLITS = {"train": "train", "validation": "dev", "test": "test"}  # by their names in TFDS
# Standard deviation of the initial word vectors. `ppmi_vectors` have 1, Keras' default has 0.03; a
# value between them leaves the gates of the LSTM away from saturation when training begins.
VECTOR_SCALE = 0.3


@dataclass(frozen=True)
class Config:
    data: str = "conll2003"  # conll2003, sample, or your file or folder of tagged tokens
    data_dir: str = ""  # folder of data sets; else $RNN_COOKBOOK_DATA or ~/tensorflow_datasets
    scheme: Literal["auto", "iob1", "bio", "bioes"] = "auto"  # scheme of your files; bio is IOB2
    columns: str = ""  # numbers of the token's and the tag's column in your files; else first, last
    strict: bool = False  # refuse tags that break the scheme, instead of repairing and counting
    vectors: str = ""  # pretrained word vectors: a text file of GloVe, word2vec or fastText
    vector_words: Count = 200_000  # maximum number of words read from that file
    unlabelled: str = ""  # text without tags, for the word vectors: a table, .txt file or folder
    validation_fraction: Fraction = 0.1  # fraction of training data, if it has no validation split
    test_fraction: Fraction = 0.2  # fraction of the data, if it lacks a test split
    max_tokens: Annotated[int, Range(at_least=2)] = 200  # longer sentences are read in parts
    embedding: Count = 100  # dimensions of the word vectors, unless --vectors has others
    word_vectors: Literal["ppmi", "none"] = "ppmi"  # initial vectors: of the task's text, or random
    characters: Literal["convolution", "recurrent", "none"] = "convolution"  # encoder of letters
    character_size: Count = 30  # width of the letters' vectors
    character_units: Count = 50  # filters, or size of the state in each direction
    features: bool = True  # read the form and the affixes of a word, too
    cell: Literal["simple_rnn", "lstm", "gru"] = "lstm"  # recurrent cell
    units: Count = 200  # size of the state, in each direction
    depth: Count = 1  # recurrent layers
    language_model: NonNegative = 0.05  # weight of predicting each word's neighbours in training
    crf: bool = True  # score whole tag sequences; otherwise every tag alone, by a softmax
    word_dropout: Fraction = 0.0  # fraction of words replaced by the unknown word in training
    rare_dropout: Fraction = 0.5  # the same fraction of the words that occur once
    embedding_dropout: Fraction = 0.5  # dropout rate of a word's components, alike at every step
    dropout: Fraction = 0.5  # dropout rate before the scores and between layers, likewise
    epochs: Count = 12  # passes over the training sentences
    least_steps: NonNegativeCount = 600  # minimum optimizer steps: small data gets more epochs
    batch_size: Count = 16  # sentences per step
    learning_rate: Positive = 4e-3  # peak of the learning rate, which then falls by a cosine
    weight_decay: NonNegative = 0.0  # weight decay, decoupled from the gradient as in AdamW
    clip_norm: NonNegative = 1.0  # maximum global norm of the gradient; 0 leaves it as it is
    patience: NonNegativeCount = 0  # epochs without a better validation F1 before a stop; 0: none
    mixed_precision: bool = False  # half-precision arithmetic, for GPUs
    baselines: bool = True  # score the known entities and the feature CRF, too
    seed: NonNegativeCount = 0  # seed of the split, the weights, the order and the dropout

    def __post_init__(self):
        if self.unlabelled and (self.vectors or self.word_vectors == "none"):
            raise InputError(
                "unlabelled text is for word vectors from the task's text: accepted with "
                "word_vectors 'ppmi' and without vectors from a file",
                field=("unlabelled", "word_vectors", "vectors"),
            )
        check_fields(self)


SAMPLE = Config(
    data="sample",
    embedding=32,
    units=48,
    character_units=30,
    embedding_dropout=0.0,
    dropout=0.0,
    language_model=0.0,
    epochs=6,
    least_steps=0,
    batch_size=32,
    learning_rate=8e-3,
)
SETTINGS = {"default": Config(), "sample": SAMPLE, "softmax": Config(crf=False)}


@dataclass
class Data:
    train: tagging.data.Tagged
    validation: tagging.data.Tagged
    test: tagging.data.Tagged
    unlabelled: list[list[str]]  # tokens of sentences
    words: tagging.encode.WordEncoder  # fitted on the training sentences and the unlabelled ones
    tags: tagging.encode.TagEncoder  # fitted on the training sentences
    vectors: np.ndarray | None = None  # float32[words, dimensions], from a file


def read_sample(config: Config) -> dict[str, tagging.data.Tagged]:
    parts = {}
    for number, (name, size) in enumerate(SAMPLE_SIZES.items()):
        seed = config.seed * len(SAMPLE_SIZES) + number
        parts[name] = tagging.sample.tagged_sentences(size, seed=seed)
    return parts


def read_conll(config: Config) -> dict[str, tagging.data.Tagged]:
    tables, names = load_tfds_with_names(
        "conll2003", splits=list(CONLL_SPLITS.values()), feature="ner", data_dir=config.data_dir
    )
    parts = {}
    for name, rows in zip(CONLL_SPLITS, tables, strict=True):
        tokens = [[token.decode() for token in row["tokens"]] for row in rows]
        tags = [[names[number] for number in row["ner"]] for row in rows]
        parts[name] = tagging.data.Tagged(tokens, tags).not_empty()
    return parts


def read(config: Config) -> dict[str, tagging.data.Tagged]:
    """The sample, CoNLL-2003, or the user's data; splits that the data lacks are missing."""
    if config.data == "sample":
        return read_sample(config)
    if config.data == "conll2003":
        return read_conll(config)
    return tagging.data.read_tagged(
        config.data, scheme=config.scheme, columns=config.columns, strict=config.strict
    )


def load_data(config: Config) -> Data:
    """Reads and splits sentences. Only training and unlabelled text decide what has a number."""
    log.info("reading %s", config.data)
    parts = tagging.data.complete(
        read(config),
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        seed=config.seed,
    )
    tags = tagging.encode.TagEncoder.fit(parts["train"].tags)
    for name in ("validation", "test"):
        tags.check(parts[name].tags, name=name)
    texts = read_unlabelled(config.unlabelled).texts if config.unlabelled else []
    unlabelled = [
        [token.text for token in sentence] for text in texts for sentence in sentences(text)
    ]
    others = tagging.encode.frequent(unlabelled)
    vectors = None
    if config.vectors:
        names, vectors = tagging.vectors.read_vectors(config.vectors, limit=config.vector_words)
        others += [tagging.encode.normalize(name) for name in names]
    words = tagging.encode.WordEncoder.fit(parts["train"].tokens, others=others)
    if vectors is not None:
        vectors = words.align(names, vectors, seed=config.seed)
    return Data(
        parts["train"], parts["validation"], parts["test"], unlabelled, words, tags, vectors
    )


def longest_input(config: Config) -> int:
    """Words of the longest sentence that the network reads at a time."""
    return config.max_tokens


def make_word_vectors(config: Config, data: Data) -> np.ndarray | None:
    """Word vectors to start from: from a file, or from tagged and unlabelled text."""
    if data.vectors is not None or config.word_vectors == "none":
        return data.vectors
    log.info("word vectors from %d sentences", len(data.train) + len(data.unlabelled))
    return VECTOR_SCALE * encode.word_vectors.ppmi_vectors(
        data.words.encode(data.train.tokens + data.unlabelled)["tokens"],
        vocabulary_size=len(data.words),
        dimensions=config.embedding,
        seed=config.seed,
    )


def build_model(config: Config, data: Data) -> keras.Model:
    fit.set_precision(config.mixed_precision)
    vectors = make_word_vectors(config, data)
    model = tagging.model.sequence_tagger(
        vocabulary_size=len(data.words),
        tags=data.tags.tags,
        scheme="bioes" if config.crf else None,
        embedding_size=config.embedding if vectors is None else vectors.shape[1],
        characters=0 if config.characters == "none" else data.words.letter_count,
        character_encoder="convolution" if config.characters == "none" else config.characters,
        character_size=config.character_size,
        character_units=config.character_units,
        features=data.words.feature_counts if config.features else (),
        cell=config.cell,
        units=config.units,
        depth=config.depth,
        language_model=config.language_model,
        crf=config.crf,
        word_dropout=config.word_dropout,
        rare_from=data.words.rare_from,
        rare_dropout=config.rare_dropout,
        embedding_dropout=config.embedding_dropout,
        dropout=config.dropout,
        word_vectors=vectors,
    )
    parts = tagging.data.cut(data.train, longest=config.max_tokens)
    plan = fit.plan(config, examples=len(parts))
    rate = fit.warmup_cosine(config.learning_rate, steps=plan.steps)
    model.compile(
        optimizer=optimizers.LazyAdam(
            rate,
            weight_decay=config.weight_decay or None,
            clip_norm=config.clip_norm or None,
        ),
        loss=model.get_layer("crf").loss if config.crf else losses.PaddedCrossEntropy(padding=-1),
        # XLA would compile every length of batch anew.
        jit_compile=False,  # pyright: ignore[reportArgumentType]  # Keras declares its default only
    )
    return model


def batched(
    config: Config,
    model: keras.Model,
    data: Data,
    examples: tagging.data.Tagged,
    *,
    shuffle: bool = False,
) -> encode.batches.Batches:
    """Batches of what the model reads, and the tag of each token."""
    parts = tagging.data.cut(examples, longest=config.max_tokens)
    return encode.batches.Batches(
        tagging.predict.inputs_of(model, data.words.encode(parts.tokens)),
        [data.tags.encode(tags) for tags in parts.tags],
        batch_size=config.batch_size,
        shuffle=shuffle,
        seed=config.seed,
    )


def make_tagger(config: Config, model: keras.Model, data: Data) -> tagging.predict.Tagger:
    return tagging.predict.Tagger(model, data.words, data.tags, longest=config.max_tokens)


def train(config: Config, model: keras.Model, data: Data, run: Run) -> dict:
    batches = batched(config, model, data, data.train, shuffle=True)
    tagger = make_tagger(config, model, data)
    gold = [tagging.schemes.spans(tags) for tags in data.validation.tags]
    monitor = METRIC.on_validation()

    def scores() -> dict[str, float]:
        predicted = tagger.spans(data.validation.tokens)
        return {monitor.name: tagging.scores.span_scores(gold, predicted)[METRIC.name]}

    plan = fit.plan(config, examples=batches.examples)
    log.info("training: %d epochs of %d sentences", plan.epochs, batches.examples)
    return fit.fit(
        model,
        batches,
        batched(config, model, data, data.validation),
        epochs=plan.epochs,
        patience=plan.patience,
        run=run,
        monitor=monitor,
        scores=scores,
    )


def evaluate(
    config: Config, model: keras.Model, data: Data, split: str = "test", run: Run | None = None
) -> dict[str, float]:
    """Scores whole entities on a split, strictly; with a run, writes predictions, mistakes in
    context and a plot into its folder."""
    examples = getattr(data, split)
    log.info("evaluating on %d %s sentences", len(examples), split)
    gold = [tagging.schemes.spans(tags) for tags in examples.tags]
    predicted = make_tagger(config, model, data).spans_with_probability(examples.tokens)
    if run:
        tagging.plots.write_spans(run, examples.tokens, gold, predicted, types=data.tags.types)
    spans = [[span for span, _ in entities] for entities in predicted]
    known = tagging.data.phrases(data.train)
    if split == "test":
        known |= tagging.data.phrases(data.validation)
    seen = tagging.scores.seen_scores(examples.tokens, gold, spans, known)
    return {**tagging.scores.span_scores(gold, spans), **seen}


def baselines(config: Config, data: Data) -> dict[str, dict]:
    """Scores known entities and a feature CRF on the same test split. None of their settings is
    chosen on the validation split, so they learn from it too."""
    return tagging.baselines.tagging_baselines(data.train + data.validation, data.test)


def load_words(loaded: bundle.Bundle) -> tagging.encode.WordEncoder:
    return tagging.encode.WordEncoder.load(loaded.path)


def load_tags(loaded: bundle.Bundle) -> tagging.encode.TagEncoder:
    return tagging.encode.TagEncoder(loaded.facts["types"])


def predict(loaded: bundle.Bundle, inputs: Iterable[list[str]]) -> Iterator[dict]:
    """Finds the entities of raw texts, list by list, with offsets into the text and
    probabilities."""
    tagger = tagging.predict.Tagger(
        loaded.model,
        load_words(loaded),
        load_tags(loaded),
        longest=Config(**loaded.config).max_tokens,
    )
    for texts in inputs:
        yield from tagging.predict.answers(tagger, texts)


def served(loaded: bundle.Bundle) -> tagging.export.ServedTagger:
    """From words to their tags in TensorFlow alone: what `rnn-cookbook export` writes."""
    return tagging.export.ServedTagger(loaded.model, load_words(loaded), load_tags(loaded))


def search_space(hp: keras_tuner.HyperParameters, config: Config) -> Config:
    """The settings that are worth tuning, those of the data included."""
    return replace(
        config,
        cell=hp.Choice("cell", ["lstm", "gru"]),
        units=hp.Choice("units", [64, 128, 200]),
        characters=hp.Choice("characters", ["convolution", "recurrent"]),
        crf=hp.Boolean("crf"),
        language_model=hp.Choice("language_model", [0.0, 0.05, 0.1]),
        word_dropout=hp.Float("word_dropout", 0.0, 0.2, step=0.05),
        rare_dropout=hp.Float("rare_dropout", 0.0, 0.75, step=0.25),
        embedding_dropout=hp.Float("embedding_dropout", 0.3, 0.7, step=0.1),
        dropout=hp.Float("dropout", 0.3, 0.7, step=0.1),
        learning_rate=hp.Float("learning_rate", 1e-3, 1e-2, sampling="log"),
        batch_size=hp.Choice("batch_size", [8, 16, 32]),
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
        facts={"types": data.tags.types},
        model=model,
        encoders=[data.words.save],
    )
    plots.plot_training(run, history, metric=METRIC.name, training="training (all objectives)")
    measured = report.write_metrics(
        run,
        config=config,
        model=model,
        training=history,
        splits={name: len(getattr(data, name)) for name in SPLITS},
        validation=evaluate(config, model, data, split="validation"),
        baselines=baselines(config, data) if config.baselines else {},
        test=evaluate(config, model, data, run=run),
    )
    return report.comparison(measured, metric=METRIC, others=OTHER_METRICS)


if __name__ == "__main__":
    from rnn_cookbook.cli.main import main as command

    sys.exit(command(["run", __file__, *sys.argv[1:]]))
