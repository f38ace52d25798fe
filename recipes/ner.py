"""Named entities: who, where and what a text speaks of, by a recurrent network that reads words,
letters and neighbours.

    rnn-cookbook run ner                                   # CoNLL-2003: 14,041 sentences of news to train, 3,453 to test
    rnn-cookbook run ner --data sample                     # a generator, offline, under a minute
    rnn-cookbook run ner --data my.conll --columns 1,4     # your own annotated text: columns, JSON lines, a folder of splits

Measured: f1 0.8730 ± 0.0018 | feature_crf 0.8413 | 2 cores of Intel(R) Xeon(R) Processor @ 2.50GHz
| 18.5 min

The model: 1. word vectors from the task's own text (Levy et al. 2015), rare words now and then
replaced by the unknown one; 2. a convolution over the letters of each word (Ma and Hovy 2016), its
form and affixes; 3. a bidirectional LSTM (Lample et al. 2016) with variational dropout (Gal and
Ghahramani 2016), which in training predicts the neighbours of each word, too (Rei 2017); 4. a CRF
over whole tag sequences (Lafferty et al. 2001), BIOES inside.

Traps avoided: tags scored one by one, where most are O; an I that begins an entity, read otherwise
by every scorer; an unknown word that training never saw; entities of the test split known from
training, counted as if they were new.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Literal

from rnn_cookbook import encode
from rnn_cookbook.data.sentences import sentences
from rnn_cookbook.data.sources import load_tfds_with_names
from rnn_cookbook.data.texts import read_unlabelled
from rnn_cookbook.errors import InputError, check_settings
from rnn_cookbook.files import log
from rnn_cookbook.nn import losses, optimizers
from rnn_cookbook.run import bundle, fit, report
from rnn_cookbook.tasks import tagging


@dataclass(frozen=True)
class Config:
    data: str = "conll2003"  # conll2003, sample, or your own file or folder of tagged tokens
    data_dir: str = ""  # where data sets are kept, else $RNN_COOKBOOK_DATA or ~/tensorflow_datasets
    scheme: Literal["auto", "iob1", "bio", "bioes"] = (
        "auto"  # of your files' tags, to count or refuse what breaks it; bio is IOB2
    )
    columns: str = ""  # numbers of the token's and the tag's column in your files, such as 1,4; first and last when empty
    strict: bool = (
        False  # refuse tags that break their scheme, instead of repairing and counting them
    )
    vectors: str = (
        ""  # pretrained word vectors: a text file as GloVe, word2vec and fastText write it
    )
    vector_words: int = 200_000  # of that file, the first so many are taken
    unlabelled: str = (
        ""  # more text without tags for the word vectors: a table, a .txt file or a folder
    )
    validation_fraction: float = 0.1  # of the training data, where there is no validation split
    test_fraction: float = 0.2  # of the data, where there is no test split
    max_tokens: int = 200  # longer sentences are read in parts
    embedding: int = 100  # dimensions of the word vectors; those of --vectors where given
    word_vectors: Literal["ppmi", "none"] = (
        "ppmi"  # start from vectors of the task's text, or at random
    )
    characters: Literal["convolution", "recurrent", "none"] = (
        "convolution"  # how the letters of a word are read
    )
    character_size: int = 30  # width of the letters' vectors
    character_units: int = 50  # filters, or size of the state in each direction
    features: bool = True  # read the form and the affixes of a word, too
    cell: Literal["simple_rnn", "lstm", "gru"] = "lstm"  # recurrent cell
    units: int = 200  # size of the state, in each direction
    depth: int = 1  # recurrent layers
    language_model: float = (
        0.05  # weight of predicting the neighbours of each word as well, in training; 0 for none
    )
    crf: bool = True  # score whole tag sequences; otherwise every tag alone, by a softmax
    word_dropout: float = 0.0  # share of words replaced by the unknown word in training
    rare_dropout: float = 0.5  # the same of words that occur once
    embedding_dropout: float = (
        0.5  # dropout of the components that describe a word, the same at every step
    )
    dropout: float = 0.5  # before the tag scores and between recurrent layers, likewise
    epochs: int = 12  # passes over the training sentences
    least_steps: int = 600  # small data gets more epochs, and patience in proportion, so that there are so many steps
    batch_size: int = 16  # sentences a step
    learning_rate: float = 4e-3  # its peak, before it falls by a cosine
    weight_decay: float = 0.0  # decoupled from the gradient, as in AdamW
    clip_norm: float = 1.0  # largest global norm of the gradient; 0 leaves it as it is
    patience: int = 0  # epochs without a better F1 on the validation split before the training stops; 0 goes through
    mixed_precision: bool = False  # half-precision arithmetic, for GPUs
    baselines: bool = True  # score the known entities and the feature CRF, too
    seed: int = 0  # of the split, the weights, the order and the dropout

    def __post_init__(self):
        if self.unlabelled and (self.vectors or self.word_vectors == "none"):
            raise InputError(
                "--unlabelled text goes into --word-vectors ppmi: it is of no use with --vectors or --word-vectors none"
            )
        check_settings(
            self,
            positive=("learning_rate",),
            at_least={
                "max_tokens": 2,
                "embedding": 1,
                "character_size": 1,
                "character_units": 1,
                "units": 1,
                "depth": 1,
                "epochs": 1,
            }
            | {
                "vector_words": 1,
                "batch_size": 1,
                "least_steps": 0,
                "weight_decay": 0,
                "clip_norm": 0,
                "language_model": 0,
            }
            | {"patience": 0, "seed": 0},
            shares=(
                "validation_fraction",
                "test_fraction",
                "word_dropout",
                "rare_dropout",
                "embedding_dropout",
                "dropout",
            ),
        )


# fmt: off
SAMPLE = Config(data="sample", embedding=32, units=48, character_units=30, embedding_dropout=0.0, dropout=0.0, language_model=0.0,
                epochs=6, least_steps=0, batch_size=32, learning_rate=8e-3)
# fmt: on
METRIC = "f1"  # what the results are compared by
SETTINGS = {"default": Config(), "sample": SAMPLE, "softmax": Config(crf=False)}


@dataclass
class Data:
    train: tagging.data.Tagged
    validation: tagging.data.Tagged
    test: tagging.data.Tagged
    unlabelled: list[list[str]]  # sentences
    words: (
        tagging.encode.WordEncoder  # fitted on the training sentences, and on the unlabelled ones
    )
    tags: tagging.encode.TagEncoder  # fitted on the training sentences
    vectors: object = None  # float32[words, dimensions], of --vectors


def load_data(config: Config) -> Data:
    """Raw sentences, split. Only training and unlabelled text choose what has a number."""
    log.info("reading %s", config.data)
    if config.data == "sample":
        parts = {
            name: tagging.sample.tagged_sentences(size, seed=config.seed * 3 + i)
            for i, (name, size) in enumerate(
                {"train": 4000, "validation": 500, "test": 1000}.items()
            )
        }
    elif config.data == "conll2003":
        rows, names = load_tfds_with_names(
            "conll2003", splits=["train", "dev", "test"], feature="ner", data_dir=config.data_dir
        )
        parts = {
            name: tagging.data.Tagged(
                [[t.decode() for t in x["tokens"]] for x in part],
                [[names[i] for i in x["ner"]] for x in part],
            ).not_empty()
            for name, part in zip(("train", "validation", "test"), rows, strict=True)
        }
    else:
        parts = tagging.data.read_tagged(
            config.data, scheme=config.scheme, columns=config.columns, strict=config.strict
        )
    parts = tagging.data.complete(
        parts,
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
    others, vectors = tagging.encode.frequent(unlabelled), None
    if config.vectors:
        names, numbers = tagging.vectors.read_vectors(config.vectors, limit=config.vector_words)
        others += [tagging.encode.normalize(name) for name in names]
    words = tagging.encode.WordEncoder.fit(parts["train"].tokens, others=others)
    if config.vectors:
        vectors = words.align(names, numbers, seed=config.seed)
    return Data(
        parts["train"], parts["validation"], parts["test"], unlabelled, words, tags, vectors
    )


def build_model(config: Config, data: Data):
    fit.set_precision(config.mixed_precision)
    vectors = data.vectors
    if vectors is None and config.word_vectors == "ppmi":
        log.info("word vectors from %d sentences", len(data.train) + len(data.unlabelled))
        tokens = data.words.encode(data.train.tokens + data.unlabelled)["tokens"]
        shape = {"vocabulary_size": len(data.words), "dimensions": config.embedding}
        vectors = 0.3 * encode.word_vectors.ppmi_vectors(tokens, **shape, seed=config.seed)
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
    plan = fit.plan(config, examples=len(tagging.data.cut(data.train, longest=config.max_tokens)))
    rate = fit.warmup_cosine(config.learning_rate, steps=plan.steps)
    model.compile(
        optimizer=optimizers.LazyAdam(
            rate, weight_decay=config.weight_decay or None, clip_norm=config.clip_norm or None
        ),
        loss=model.get_layer("crf").loss if config.crf else losses.PaddedCrossEntropy(padding=-1),
        jit_compile=False,  # XLA would compile every length of batch anew
    )
    return model


def train(config: Config, model, data: Data, run) -> dict:
    batches, validation = (
        batched(config, model, data, part, shuffle=part is data.train)
        for part in (data.train, data.validation)
    )
    tagger, gold = (
        make_tagger(config, model, data.words, data.tags),
        [tagging.schemes.spans(tags) for tags in data.validation.tags],
    )
    plan = fit.plan(config, examples=batches.examples)
    log.info("training: %d epochs of %d sentences", plan.epochs, batches.examples)
    return fit.fit(
        model,
        batches,
        validation,
        epochs=plan.epochs,
        patience=plan.patience,
        run=run,
        monitor="val_f1",
        scores=lambda: {
            "val_f1": tagging.scores.span_scores(gold, tagger.spans(data.validation.tokens))["f1"]
        },
    )


def evaluate(config: Config, model, data: Data, split: str = "test", run=None) -> dict:
    """Strict scores of whole entities on a split; with a run, also what its folder shows:
    predictions, mistakes in context, a plot."""
    examples = getattr(data, split)
    log.info("evaluating on %d %s sentences", len(examples), split)
    gold = [tagging.schemes.spans(tags) for tags in examples.tags]
    found = make_tagger(config, model, data.words, data.tags).spans_with_probability(
        examples.tokens
    )
    guessed = [[span for span, _ in sentence] for sentence in found]
    if run:
        tagging.plots.write_spans(run, examples.tokens, gold, found, types=data.tags.types)
    known = tagging.data.phrases(data.train) | (
        tagging.data.phrases(data.validation) if split == "test" else set()
    )
    return {
        **tagging.scores.span_scores(gold, guessed),
        **tagging.scores.seen_scores(examples.tokens, gold, guessed, known),
    }


def baselines(config: Config, data: Data) -> dict:
    """Known entities and a feature CRF, on the same test split. Nothing of theirs is chosen on the
    validation split: they learn from it."""
    known = tagging.data.Tagged(
        data.train.tokens + data.validation.tokens, data.train.tags + data.validation.tags
    )
    return tagging.baselines.tagging_baselines(known, data.test)


def predict(loaded: bundle.Bundle, inputs: Iterable[list[str]]) -> Iterator[dict]:
    """Raw texts, list by list, to their entities, with offsets into the text and probabilities."""
    tagger = make_tagger(Config(**loaded.config), loaded.model, *encoders(loaded))
    for texts in inputs:
        split = [sentences(text) for text in texts]
        found = iter(
            tagger.spans_with_probability(
                [[token.text for token in sentence] for text in split for sentence in text]
            )
        )
        for text, parts in zip(texts, split, strict=True):
            entities = []
            for tokens in parts:
                for (first, end, kind), share in next(found):
                    start, stop = tokens[first].start, tokens[end - 1].end
                    entities.append(
                        {
                            "text": text[start:stop],
                            "type": kind,
                            "start": start,
                            "end": stop,
                            "probability": round(share, 5),
                        }
                    )
            yield {"text": text, "entities": entities}


def served(loaded: bundle.Bundle) -> tagging.export.ServedTagger:
    """From words to their tags in TensorFlow alone: what `rnn-cookbook export` writes."""
    return tagging.export.ServedTagger(loaded.model, *encoders(loaded))


def search_space(hp, config: Config) -> Config:
    """What is worth tuning, data settings included. `hp` is keras_tuner.HyperParameters."""
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


def main(config: Config, run) -> str:
    fit.seed_everything(config.seed)
    data = load_data(config)
    started = time.perf_counter()
    model = build_model(config, data)
    history = train(config, model, data, run)
    history["seconds"] += (
        time.perf_counter() - started - history.pop("seconds_here")
    )  # the word vectors count
    facts = {"types": data.tags.types}
    bundle.save_bundle(
        run.path / "model",
        recipe=run.recipe,
        config=asdict(config),
        facts=facts,
        model=model,
        encoders=[data.words.save],
    )
    report.plot_training(run, history, metric="f1", training="training (all objectives)")
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
        measured, metric="f1", others=("precision", "recall", "f1_seen", "f1_unseen")
    )


# Small steps of the above


def encoders(loaded: bundle.Bundle) -> tuple:
    return tagging.encode.WordEncoder.load(loaded.path), tagging.encode.TagEncoder(
        loaded.facts["types"]
    )


def make_tagger(config: Config, model, words, tags) -> tagging.predict.Tagger:
    return tagging.predict.Tagger(model, words, tags, longest=config.max_tokens)


def batched(
    config: Config, model, data: Data, examples: tagging.data.Tagged, *, shuffle: bool
) -> encode.batches.Batches:
    """What the model reads, and the tag of each token."""
    examples = tagging.data.cut(examples, longest=config.max_tokens)
    inputs, labels = (
        data.words.encode(examples.tokens),
        [data.tags.encode(tags) for tags in examples.tags],
    )
    return encode.batches.Batches(
        tagging.predict.inputs_of(model, inputs),
        labels,
        batch_size=config.batch_size,
        shuffle=shuffle,
        seed=config.seed,
    )


if __name__ == "__main__":
    from rnn_cookbook.cli.main import main as command

    sys.exit(command(["run", __file__, *sys.argv[1:]]))
