"""Translation: from a sentence to one in another language, by a recurrent encoder-decoder with
attention.

    rnn-cookbook run translation                                              # Multi30k, English to German, 29,000 pairs
    rnn-cookbook run translation --data sample                                # a grammar, offline, about a minute
    rnn-cookbook run translation --data my.en --target my.de --reverse        # two text files, line by line
    rnn-cookbook run translation --data talk.csv --source-column question --target-column answer    # a small chatbot

Measured: bleu 38.5631 ± 0.7099 | word_for_word 15.8936 | 2 cores of AMD EPYC | 42.8 min

The model: 1. subwords of both sides, learnt from the training text (Sennrich et al. 2016); 2. a
bidirectional LSTM reads the source; 3. an LSTM writes the target, its word vectors tied to its
output (Press and Wolf 2017), and looks back at the source at every step (Luong et al.
2015); 4. label smoothing, and the mean of the last epochs' weights; 5. a beam search whose scores
are normalised by length (Wu et al.
2016). Any pairs of texts will do: questions and answers make a small chatbot, articles and
summaries a summariser.

Traps avoided: a decoder that reads its own answer; padding that is attended to or counted in the
loss; BLEU of tokenised or lowercased text; beams that prefer short answers; test sentences that
were seen in training; subwords that saw more than the training text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Literal

from rnn_cookbook import encode
from rnn_cookbook.data.splits import in_turn
from rnn_cookbook.errors import InputError, check_settings
from rnn_cookbook.files import log
from rnn_cookbook.nn import losses, optimizers
from rnn_cookbook.run import bundle, fit, report
from rnn_cookbook.tasks import translation


@dataclass(frozen=True)
class Config:
    data: str = "multi30k"  # multi30k, sample, a TFDS name such as ted_hrlr_translate/pt_to_en, or your own table, folder or text file
    target: str = ""  # your text file of targets, where --data is one of sources
    source_column: str = ""  # column of the sources in your table; found by its usual names
    target_column: str = ""  # column of the targets in your table; found by its usual names
    reverse: bool = False  # from the targets to the sources
    data_dir: str = ""  # where data sets are kept, else $RNN_COOKBOOK_DATA or ~/tensorflow_datasets
    validation_fraction: float = 0.05  # of the training data, where there is no validation split
    test_fraction: float = 0.05  # of the data, where there is no test split
    vocabulary_size: int = 4000  # subwords of each side
    subword_dropout: float = 0.0  # share of merges left out when a training text is cut into subwords, other ones every epoch
    max_tokens: int = (
        100  # subwords; longer training pairs are left out, longer texts translated in parts
    )
    embedding: int = 256  # dimensions of the subword vectors
    cell: Literal["simple_rnn", "lstm", "gru"] = "lstm"  # recurrent cell
    units: int = 320  # size of the state, of the encoder in each direction
    depth: int = 1  # recurrent layers on either side
    attention: Literal["luong", "bahdanau", "none"] = "luong"  # how the decoder looks at the source
    input_feeding: bool = (
        False  # luong: what was said goes into the next step; several times slower to train
    )
    dropout: float = 0.4  # of vector components, the same at every step
    label_smoothing: float = (
        0.1  # share of the probability that is spread over all subwords in training
    )
    epochs: int = 10  # passes over the training pairs
    least_steps: int = 1000  # small data gets more epochs, and patience in proportion, so that there are so many steps
    batch_size: int = 64  # pairs a step
    learning_rate: float = 4e-3  # its peak, before it falls by a cosine
    weight_decay: float = 0.0  # decoupled from the gradient, as in AdamW
    clip_norm: float = 1.0  # largest global norm of the gradient; 0 leaves it as it is
    average: int = 4  # keep the mean of the weights after so many last epochs; 1 keeps those of the best validation BLEU
    patience: int = 0  # epochs without a better BLEU on the validation split before the training stops; 0 goes through
    beam: int = 5  # width of the search; 1 is greedy
    alpha: float = 1.0  # exponent of its normalisation by length; 0 prefers short translations
    mixed_precision: bool = False  # half-precision arithmetic, for GPUs
    baselines: bool = (
        True  # score the copy, the nearest neighbour and the word-for-word translation, too
    )
    seed: int = 0  # of the split, the weights, the order and the dropout

    def __post_init__(self):
        if self.input_feeding and self.attention != "luong":
            raise InputError(f"--input-feeding goes with --attention luong, got {self.attention}")
        check_settings(
            self,
            positive=("learning_rate",),
            at_least={
                "vocabulary_size": 8,
                "max_tokens": 2,
                "embedding": 1,
                "units": 1,
                "depth": 1,
                "epochs": 1,
                "least_steps": 0,
            }
            | {
                "batch_size": 1,
                "weight_decay": 0,
                "clip_norm": 0,
                "average": 1,
                "patience": 0,
                "beam": 1,
                "alpha": 0,
                "seed": 0,
            },
            shares=(
                "validation_fraction",
                "test_fraction",
                "subword_dropout",
                "dropout",
                "label_smoothing",
            ),
        )


@dataclass(frozen=True)
class Prediction:
    beam: int = 0  # width of the search; 1 is greedy, 0 that of the run
    n_best: int = 1  # translations of each text, best first
    attention: bool = False  # what each subword of the translation looked at
    ensemble: str = ""  # folders of other runs with the same subwords, separated by commas: their probabilities are averaged

    def __post_init__(self):
        check_settings(self, at_least={"beam": 0, "n_best": 1})


SMALL = {"vocabulary_size": 160, "embedding": 64, "units": 96, "dropout": 0.0}
SAMPLE = Config(
    data="sample", **SMALL, epochs=4, least_steps=0, batch_size=32, learning_rate=1e-2, average=2
)
METRIC = "bleu"  # what the results are compared by
SUBWORDS = "source.model", "target.model"  # files of a bundle
SETTINGS = {"default": Config(), "sample": SAMPLE, "no_attention": Config(attention="none")}


@dataclass
class Data:
    train: translation.data.Pairs
    validation: translation.data.Pairs
    test: translation.data.Pairs
    source: encode.subwords.SubwordEncoder  # fitted on the training sources
    target: encode.subwords.SubwordEncoder  # fitted on the training targets
    limits: translation.predict.Limits  # what the training pairs are like


def load_data(config: Config) -> Data:
    """Raw pairs, split. Only training text chooses the subwords; pairs that are too long to learn
    from are left out of it."""
    log.info("reading %s", config.data)
    if config.data == "sample":
        parts = in_turn(
            translation.sample.translations(7500, seed=config.seed),
            train=6000,
            validation=500,
            test=1000,
        )
    elif config.data == "multi30k":
        parts = translation.data.multi30k(config.data_dir)
    elif translation.data.is_own(config.data, config.target):
        columns = {"source_column": config.source_column, "target_column": config.target_column}
        parts = translation.data.read_pairs(config.data, target=config.target, **columns)
    else:
        parts = translation.data.tfds_pairs(config.data, data_dir=config.data_dir)
    if config.reverse:
        parts = {name: part.reversed() for name, part in parts.items()}
    fractions = {
        "validation_fraction": config.validation_fraction,
        "test_fraction": config.test_fraction,
    }
    parts = translation.data.split_pairs(parts, **fractions, seed=config.seed)
    train = parts["train"]
    source, target = (
        encode.subwords.SubwordEncoder.fit(texts, size=config.vocabulary_size)
        for texts in (train.sources, train.targets)
    )
    train = short(config, train, source, target, name="training")
    limits = translation.predict.Limits.fit(
        train.sources, source.encode(train.sources), target.encode(train.targets)
    )
    return Data(train, parts["validation"], parts["test"], source, target, limits)


def build_model(config: Config, data: Data):
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
    rate = fit.warmup_cosine(
        config.learning_rate, steps=fit.plan(config, examples=len(data.train)).steps
    )
    model.compile(
        optimizer=optimizers.LazyAdam(
            rate, weight_decay=config.weight_decay or None, clip_norm=config.clip_norm or None
        ),
        loss=losses.PaddedCrossEntropy(
            padding=encode.subwords.PADDING, label_smoothing=config.label_smoothing
        ),
        jit_compile=False,  # XLA would compile every length of batch anew
    )
    return model


def train(config: Config, model, data: Data, run) -> dict:
    batches = batched(config, data, data.train, dropout=config.subword_dropout, shuffle=True)
    validation = batched(
        config, data, short(config, data.validation, data.source, data.target, name="validation")
    )
    # Of greedy search, which takes seconds: how well it translates, not how sure it is of each next
    # word.
    some, greedy = (
        data.validation.take(range(min(1000, len(data.validation)))),
        make_translator(config, model, data, beam=1),
    )
    plan = fit.plan(config, examples=batches.examples)
    log.info("training: %d epochs of %d pairs", plan.epochs, batches.examples)
    return fit.fit(
        model,
        batches,
        validation,
        epochs=plan.epochs,
        patience=plan.patience,
        average=config.average,
        run=run,
        monitor="val_bleu",
        scores=lambda: {
            "val_bleu": translation.scores.translation_scores(
                some.targets, greedy.best(some.sources)
            )["bleu"]
        },
    )


def evaluate(config: Config, model, data: Data, split: str = "test", run=None) -> dict:
    """Scores of detokenised translations on a split; with a run, also what its folder shows:
    translations, quality by length, attention."""
    examples = getattr(data, split)
    log.info("evaluating on %d %s pairs", len(examples), split)
    search, greedy = (make_translator(config, model, data, beam=beam) for beam in (config.beam, 1))
    found = search.translate(examples.sources)
    if run:
        translation.plots.write_translations(run, examples, found, search)
    scores = translation.scores.translation_scores(
        examples.targets, [best[0].text if best else "" for best in found]
    )
    return {
        **scores,
        "bleu_greedy": translation.scores.translation_scores(
            examples.targets, greedy.best(examples.sources)
        )["bleu"],
    }


def baselines(config: Config, data: Data) -> dict:
    """What goes without a network, on the same test split. Nothing is chosen on the validation
    split: it is learnt from, too."""
    known = translation.data.Pairs(
        data.train.sources + data.validation.sources, data.train.targets + data.validation.targets
    )
    return translation.baselines.translation_baselines(known, data.test)


def predict(
    loaded: bundle.Bundle, inputs: Iterable[list[str]], options: Prediction | None = None
) -> Iterator[dict]:
    """Raw texts, list by list, to their translations with scores (nats). What training had no
    character for is named."""
    config, options = Config(**loaded.config), options or Prediction()
    source, target = subwords_of(loaded)
    together = [loaded.model]
    for folder in filter(None, options.ensemble.split(",")):
        other = bundle.load_bundle(folder)
        if other.recipe != loaded.recipe or [one.model for one in subwords_of(other)] != [
            source.model,
            target.model,
        ]:
            raise InputError(
                f"{folder} cannot join {loaded.path}: it has other subwords. Give runs on the same training pairs"
            )
        together.append(other.model)
    settings = {
        "limits": translation.predict.Limits(**loaded.facts["limits"]),
        "longest": config.max_tokens,
        "alpha": config.alpha,
    }
    beam = max(options.beam or config.beam, options.n_best)
    search = translation.predict.Translator(
        together, source, target, **settings, beam=beam, n_best=options.n_best
    )
    if options.attention and not search.attends:
        raise InputError(
            "there is no attention to show: the model was trained with --attention none"
        )
    for texts in inputs:
        for text, found in zip(texts, search.translate(texts), strict=True):
            if not found:
                yield {"text": text, "translation": None, "error": "no character in the text"}
                continue
            rows = [
                {
                    "translation": one.text,
                    "score": round(one.score, 5),
                    "nats": round(one.log_probability, 5),
                }
                for one in found
            ]
            answer = {"text": text, **rows[0], **({"n_best": rows} if options.n_best > 1 else {})}
            if unknown := source.unknown(text):
                answer["unknown"] = unknown
            if options.attention:
                (seen,) = search.attention([text], [found[0].text])
                answer["attention"] = {
                    "source": seen.source,
                    "target": seen.target,
                    "weights": seen.weights.round(4).tolist(),
                }
            yield answer


def search_space(hp, config: Config) -> Config:
    """What is worth tuning, data settings included. `hp` is keras_tuner.HyperParameters."""
    return replace(
        config,
        vocabulary_size=hp.Choice(
            "vocabulary_size", [config.vocabulary_size, config.vocabulary_size * 2]
        ),
        cell=hp.Choice("cell", ["lstm", "gru"]),
        units=hp.Choice("units", [128, 256, 320]),
        attention=hp.Choice(
            "attention", ["luong"] if config.input_feeding else ["luong", "bahdanau"]
        ),
        dropout=hp.Float("dropout", 0.0, 0.5, step=0.1),
        label_smoothing=hp.Choice("label_smoothing", [0.0, 0.1]),
        learning_rate=hp.Float("learning_rate", 1e-3, 1e-2, sampling="log"),
        batch_size=hp.Choice("batch_size", [32, 64, 128]),
    )


def main(config: Config, run) -> str:
    fit.seed_everything(config.seed)
    data = load_data(config)
    model = build_model(config, data)
    history = train(config, model, data, run)
    encoders = [
        partial(data.source.save, name=SUBWORDS[0]),
        partial(data.target.save, name=SUBWORDS[1]),
    ]
    facts = {"limits": data.limits._asdict()}
    bundle.save_bundle(
        run.path / "model",
        recipe=run.recipe,
        config=asdict(config),
        facts=facts,
        model=model,
        encoders=encoders,
    )
    report.plot_training(run, history, metric="bleu", training="training (smoothed, with dropout)")
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
    return report.comparison(measured, metric="bleu", others=("chrf", "ter", "exact_match"))


# Small steps of the above


def short(
    config: Config, part: translation.data.Pairs, source, target, *, name: str
) -> translation.data.Pairs:
    """Without those that are too long to learn from, which are counted in the log."""
    sources, targets = source.encode(part.sources), target.encode(part.targets)
    return part.take(
        translation.batches.short_enough(sources, targets, longest=config.max_tokens, name=name)
    )


def batched(
    config: Config,
    data: Data,
    part: translation.data.Pairs,
    *,
    dropout: float = 0.0,
    shuffle: bool = False,
) -> translation.batches.PairBatches:
    def cut(epoch: int) -> tuple[list, list]:
        noise = {"dropout": dropout, "seed": [config.seed, epoch]}
        return data.source.encode(part.sources, **noise), data.target.encode(part.targets, **noise)

    known = cut(0)
    return translation.batches.PairBatches(
        cut if dropout else lambda _: known,
        batch_size=config.batch_size,
        shuffle=shuffle,
        seed=config.seed,
    )


def make_translator(
    config: Config, model, data: Data, *, beam: int
) -> translation.predict.Translator:
    settings = {
        "limits": data.limits,
        "longest": config.max_tokens,
        "beam": beam,
        "alpha": config.alpha,
    }
    return translation.predict.Translator([model], data.source, data.target, **settings)


def subwords_of(
    loaded: bundle.Bundle,
) -> tuple[encode.subwords.SubwordEncoder, encode.subwords.SubwordEncoder]:
    """Of the source and of the target."""
    return tuple(encode.subwords.SubwordEncoder.load(loaded.path, name) for name in SUBWORDS)


if __name__ == "__main__":
    from rnn_cookbook.cli.main import main as command

    sys.exit(command(["run", __file__, *sys.argv[1:]]))
