"""Anomaly detection: what does not fit a stream, point by point as it comes, by a recurrent network
and the tails of its errors.

    rnn-cookbook run anomaly_detection                       # the Numenta Anomaly Benchmark (NAB): the files that are there, or a download
    rnn-cookbook run anomaly_detection --data sample         # a generator, offline, under a minute
    rnn-cookbook run anomaly_detection --data load.csv --labels anomalies.csv
    tail -n 0 -F sensor.csv | rnn-cookbook score runs/anomaly_detection/<time> - --state state.npz

Measured: nab_standard 66.4907 ± 0.2629 | no_network 62.5703 | 2 cores of Intel(R) Xeon(R) Processor
@ 2.50GHz | 0.4 min

The model: 1. a GRU forecasts the next value of every stream, trained on the first part of all; 2.
its errors are smoothed; 3. their tail probability, the value's, and that of its distance from the
usual one at this time of the day are fitted to the stream's own past by peaks over threshold
(Siffer et al. 2017); 4. the sum of their logarithms is the score; 5. for a season after it only
larger ones count.

Traps avoided: a scale, a threshold or a network that knows the future; a threshold for each file;
scores of points adjusted by the labels around them; a network that is not compared with none.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Literal

from rnn_cookbook import encode
from rnn_cookbook.baselines import timed_scores
from rnn_cookbook.errors import InputError, check_settings
from rnn_cookbook.files import log
from rnn_cookbook.nn import losses
from rnn_cookbook.run import bundle, fit, report
from rnn_cookbook.tasks import anomaly


@dataclass(frozen=True)
class Config:
    data: str = "NAB"  # NAB, sample, or your own table: .csv, .tsv, .jsonl, .parquet
    data_dir: str = ""  # where data sets are kept, else $RNN_COOKBOOK_DATA or ~/tensorflow_datasets
    columns: str = ""  # value columns of your table, separated by commas; all others when empty, y in a long table
    time_column: str = ""  # if it is not called ds, date, time, timestamp, …
    id_column: str = ""  # of a long table, if it is not called unique_id
    label_column: str = (
        ""  # above 0 or true in anomalous rows, if it is not called label, is_anomaly or anomaly
    )
    labels: str = ""  # table of your anomalies, with columns start and end
    frequency: str = ""  # of the steps (h, 15min, D); the usual distance between rows when empty
    fill: Literal["keep", "refuse", "linear", "last", "zero"] = (
        "keep"  # what becomes of missing values; kept, they get no score
    )
    train_fraction: float = 0.3  # of your streams' steps, at their beginning, taken to be usual
    validation_fraction: float = (
        0.3  # of them, after it: where there are labels, they choose the threshold
    )
    model: Literal["predictor", "autoencoder"] = (
        "predictor"  # of the next value, or of the last ones through a bottleneck
    )
    head: Literal["student_t", "gaussian", "quantiles", "point"] = (
        "quantiles"  # what a forecast is (predictor)
    )
    cell: Literal["simple_rnn", "lstm", "gru"] = "gru"  # recurrent cell
    units: int = 32  # size of the state
    depth: int = 1  # recurrent layers
    code_size: int = 8  # the bottleneck (autoencoder)
    length: int = 96  # steps of a stretch in training (predictor)
    window: int = 32  # steps read at once (autoencoder)
    season: int = 0  # steps of the season to look back on; a day of them when 0
    smoothing: int = 10  # steps that errors are averaged over
    rest: int = 0  # steps after a score in which only larger ones count; one season when 0
    alarms_per_week: float = 0.5  # expected false ones, where no labels choose the threshold
    epochs: int = 12  # passes over the stretches
    batch_size: int = 32  # stretches a step
    learning_rate: float = 5e-3  # its peak, before it falls by a cosine
    clip_norm: float = 1.0  # largest global norm of the gradient; 0 leaves it as it is
    patience: int = (
        0  # epochs without a better validation loss before the training stops; 0 goes through
    )
    mixed_precision: bool = False  # half-precision arithmetic, for GPUs
    baselines: bool = True  # score the simple detectors, too
    seed: int = 0  # of the weights, the order and the sample

    def __post_init__(self):
        check_settings(
            self,
            positive=("learning_rate", "alarms_per_week"),
            at_least={
                "units": 1,
                "depth": 1,
                "code_size": 1,
                "length": 2,
                "window": 2,
                "season": 0,
                "smoothing": 1,
                "rest": 0,
            }
            | {"epochs": 1, "batch_size": 1, "clip_norm": 0, "patience": 0, "seed": 0},
            shares=("train_fraction", "validation_fraction"),
        )
        if self.train_fraction <= 0 or self.train_fraction + self.validation_fraction >= 1:
            shares = f"--train-fraction {self.train_fraction} and --validation-fraction {self.validation_fraction}"
            raise InputError(f"{shares} must leave something to train on, and something after both")


@dataclass(frozen=True)
class Prediction:
    output: str = ""  # table to write
    state: str = ""  # file of what was learnt of the streams: read if it is there, kept up to date, so that the next call goes on
    fresh: bool = False  # do not go on from what the training learnt of its streams
    stream: str = (
        ""  # which of the known streams standard input goes on with; the only one when empty
    )
    threshold: float = 0.0  # of the score, from which on it is an alarm; that of the run when 0

    def __post_init__(self):
        check_settings(self, at_least={"threshold": 0})


SAMPLE = Config(data="sample", train_fraction=0.4, validation_fraction=0.0)
METRIC, HIGHER_IS_BETTER, TABLES = (
    "nab_standard",
    True,
    True,
)  # what the results are compared by; predictions are of tables
SETTINGS = {"default": Config(), "sample": SAMPLE, "autoencoder": Config(model="autoencoder")}


@dataclass
class Data:
    streams: list[anomaly.data.LabelledStream]
    spans: dict[str, list[tuple[int, int]]]  # rows of each stream, by split
    scaler: encode.series.SeriesScaler  # fitted on the training rows
    seasons: list[int]  # steps


def load_data(config: Config) -> Data:
    """Streams, split by time: their first rows are taken to be usual. Of NAB these are its
    probation, and its artificial files validate."""
    log.info("reading %s", config.data)
    streams, shares = (
        read(config, config.data),
        (config.train_fraction, config.train_fraction + config.validation_fraction),
    )
    borders = [tuple(round(len(one) * share) for share in shares) for one in streams]
    if config.data == "NAB":
        borders = [
            (anomaly.nab.probation(len(one)), anomaly.nab.probation(len(one))) for one in streams
        ]
    streams, borders = anomaly.data.long_enough(
        streams, borders, each=anomaly.scores.WARM_UP, longest=2 * length(config) + 2
    )
    whole = {"NAB": "artificial", "sample": "validation"}.get(
        config.data
    )  # streams that validate, all of them
    spans = anomaly.data.split(
        streams, borders, validating=whole, testing="" if config.data == "NAB" else "test"
    )
    seasons = [
        config.season or one.season_within(first)
        for one, (first, _) in zip(streams, borders, strict=True)
    ]
    return Data(
        streams, spans, anomaly.live.usual_scale(streams, [first for first, _ in borders]), seasons
    )


def build_model(config: Config, data: Data):
    import keras  # here, not above: `--help` and argument errors answer without TensorFlow

    fit.set_precision(config.mixed_precision)
    channels, shape = (
        len(data.streams[0].channels),
        {"cell": config.cell, "units": config.units, "depth": config.depth},
    )
    if config.model == "autoencoder":
        model, loss = (
            anomaly.model.autoencoder(features=channels, code_size=config.code_size, **shape),
            "mae",
        )
    else:
        model = anomaly.model.online_forecaster(
            channels=channels, features=4 * channels + 1, head=config.head, **shape
        )
        loss = {
            "gaussian": losses.GaussianLoss(),
            "student_t": losses.StudentTLoss(),
            "quantiles": losses.QuantileLoss(),
        }
        loss = loss.get(config.head, keras.losses.Huber(0.2))
    rate = fit.warmup_cosine(config.learning_rate, steps=config.epochs * len(cut(config, data)[0]))
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=config.clip_norm or None), loss=loss)
    return model


def train(config: Config, model, data: Data, run) -> dict:
    chunks, later = cut(config, data)
    log.info("training: %d epochs of %d stretches", config.epochs, chunks.examples)
    return fit.fit(model, chunks, later, epochs=config.epochs, patience=config.patience, run=run)


def evaluate(config: Config, model, data: Data, split: str = "test", run=None, found=None) -> dict:
    """What the scores of a split are worth, at the threshold that is chosen before the test;
    `found` are those of all streams."""
    found = found or scores(config, data, model)
    worth = measures(config, data, found, split=split)
    if run:
        anomaly.plots.write_anomalies(
            run,
            data.streams,
            found,
            threshold=worth["threshold"],
            spans=data.spans[split],
            gaps=rests(config, data),
        )
    return worth


def baselines(config: Config, data: Data) -> dict:
    """Simple detectors of the same rows, their thresholds chosen in the same way; `no_network` is
    this recipe without its network."""
    pairs = list(zip(data.streams, data.seasons, strict=True))
    methods = {
        "rolling_z": lambda: [
            anomaly.baselines.largest(anomaly.baselines.rolling_z, one.values) for one, _ in pairs
        ],
        "windowed_gaussian": lambda: [
            anomaly.baselines.largest(anomaly.baselines.windowed_gaussian, one.values)
            for one, _ in pairs
        ],
        "seasonal_residual": lambda: [
            anomaly.baselines.largest(
                anomaly.baselines.seasonal_residual, one.values, season=season or 1
            )
            for one, season in pairs
        ],
        "no_network": lambda: scores(config, data),
    }
    return timed_scores(methods, lambda found: measures(config, data, found), metric=metric(config))


def predict(
    loaded: bundle.Bundle, inputs: Iterable[list[str]], options: Prediction | None = None
) -> Iterator[dict]:
    """Scores of the rows of a table, or of standard input (-) as they come; without a table, of the
    data that the model was trained on."""
    config, facts, options = Config(**loaded.config), loaded.facts, options or Prediction()
    path, step, channels = (
        anomaly.data.only_table(inputs, config.data),
        facts["frequency"],
        facts["channels"],
    )
    memory = anomaly.live.Memory(
        options.state, trained="" if options.fresh else loaded.path / anomaly.live.STATES
    )
    if path == "-":
        name = anomaly.data.the_name(options.stream, [*facts["scales"], *memory.states])
        streams = [anomaly.lines.LineStream(channels, name=name, frequency=step)]
    else:
        held = bool(options.state and config.frequency)
        streams = anomaly.data.matching(
            path, read(config, path, step), channels=channels, frequency=step, held=held
        )
    for one in streams:
        scaler, season = anomaly.live.terms_of(
            one, memory, facts, first=config.train_fraction, season=config.season
        )
        alone = detector(config, Data([one], {}, scaler, [season]), [0], loaded.model)
        yield from anomaly.live.rows(
            alone, one, threshold=options.threshold or facts["threshold"], memory=memory
        )


def search_space(hp, config: Config) -> Config:
    """What is worth tuning, data settings included. `hp` is keras_tuner.HyperParameters."""
    return replace(
        config,
        smoothing=hp.Choice("smoothing", [3, 10, 30]),
        length=hp.Choice("length", [48, 96, 192]),
        cell=hp.Choice("cell", ["lstm", "gru"]),
        units=hp.Choice("units", [16, 32, 64]),
        learning_rate=hp.Float("learning_rate", 1e-3, 2e-2, sampling="log"),
        batch_size=hp.Choice("batch_size", [16, 32, 64]),
    )


def main(config: Config, run) -> str:
    fit.seed_everything(config.seed)
    data = load_data(config)
    started = time.perf_counter()
    model = build_model(config, data)
    history = train(config, model, data, run)
    history["seconds"] += time.perf_counter() - started - history.pop("seconds_here")
    found = scores(config, data, model)
    test = evaluate(config, model, data, run=run, found=found)
    facts = {
        "threshold": test["threshold"],
        "channels": data.streams[0].channels,
        "frequency": data.streams[0].frequency,
    }
    facts |= {
        "scales": data.scaler.to_json(),
        "seasons": dict(zip([one.name for one in data.streams], data.seasons, strict=True)),
    }
    save = partial(anomaly.live.save_states, data.streams, found, data.scaler)
    bundle.save_bundle(
        run.path / "model",
        recipe=run.recipe,
        config=asdict(config),
        facts=facts,
        model=model,
        encoders=[save],
    )
    report.plot_training(run, history, metric="loss")
    measured = report.write_metrics(
        run,
        config=config,
        model=model,
        training=history,
        splits={
            name: sum(end - first for first, end in spans) for name, spans in data.spans.items()
        },
        validation={}
        if config.data != "NAB"
        else evaluate(config, model, data, split="validation", found=found),
        baselines=baselines(config, data) if config.baselines and metric(config) in test else {},
        test=test,
    )
    if metric(config) not in test:
        return f"{test['alarms']} alarms in {test['weeks']:.1f} weeks, scores of {test['threshold']:.2f} and more; no labels to compare with"
    others = (
        ("event_precision", "event_recall", "pr_auc")
        if metric(config) == "event_f1"
        else ("event_f1", "pr_auc")
    )
    return report.comparison(measured, metric=metric(config), others=others)


# Small steps of the above


def read(config: Config, path: str, step: str | None = None) -> list[anomaly.data.LabelledStream]:
    """All streams of the benchmark, of the sample, or of a table; of a new table, with the `step`
    of the training, without its labels."""
    if path == "NAB":
        return [
            anomaly.nab_corpus.read_nab(name, data_dir=config.data_dir)
            for name in anomaly.nab_corpus.nab_files(config.data_dir)
        ]
    if path == "sample":
        return anomaly.sample.anomalous_series(
            12, 2800, seed=config.seed, clean=config.train_fraction
        )
    names = ("columns", "time_column", "id_column", "label_column", "labels", "frequency", "fill")
    return anomaly.data.read_streams(
        path, step=step, **{name: getattr(config, name) for name in names}
    )


def cut(config: Config, data: Data) -> tuple[encode.streams.Chunks, encode.streams.Chunks]:
    """Stretches of the training rows, and of the last fifth of them, which tells how training goes."""
    before, after = [], []
    for one, (_, first), season in zip(
        data.streams, data.spans["train"], data.seasons, strict=True
    ):
        values = anomaly.predict.carried(data.scaler.transform(one.name, one.values[:first]))
        if config.model == "predictor":
            x, y = (
                anomaly.predict.point_features(values, season=season)[:-1],
                anomaly.predict.next_changes(values)[:, None],
            )
        else:
            x = y = anomaly.predict.squashed(values)
        border = first - max(first // 5, length(config) + 1)
        before.append((x[:border], y[:border]))
        after.append((x[border:], y[border:]))
    options = {
        "length": length(config),
        "stride": max(1, length(config) // 4),
        "batch_size": config.batch_size,
    }
    return encode.streams.Chunks(
        before, **options, shuffle=True, seed=config.seed
    ), encode.streams.Chunks(after, **options)


def length(config: Config) -> int:
    return config.length if config.model == "predictor" else config.window


def scores(config: Config, data: Data, model=None) -> list[anomaly.predict.Scored]:
    values = [one.values for one in data.streams]
    return anomaly.predict.score_streams(
        values,
        lambda members: detector(config, data, members, model),
        groups=data.seasons,
        told="scored",
    )


def detector(
    config: Config, data: Data, members: list[int], model=None
) -> anomaly.predict.Detector:
    """Of the streams of these numbers, which have the same season; without a model the last value
    stands for the forecast."""
    facts = [data.scaler.facts[data.streams[i].name] for i in members]
    shape, season = (
        {"streams": len(members), "channels": len(facts[0][0])},
        data.seasons[members[0]],
    )
    if model is None:
        errors = anomaly.predict.PersistenceErrors(**shape)
    elif config.model == "autoencoder":
        errors = anomaly.predict.ReconstructionErrors(model, **shape, window=config.window)
    else:
        errors = anomaly.predict.PredictionErrors(model, **shape, season=season)
    mean, scale = ([fact[i] for fact in facts] for i in range(2))
    rest = rests(config, data)[members[0]]
    return anomaly.predict.Detector(
        errors, mean=mean, scale=scale, season=season, smoothing=config.smoothing, rest=rest
    )


def rests(config: Config, data: Data) -> list[int]:
    """Steps of each stream: within one season the echo of an anomaly, which looks back on it, is
    over."""
    return [config.rest or max(season, config.smoothing) for season in data.seasons]


def measures(config: Config, data: Data, found: list, *, split: str = "test") -> dict:
    """What scores are worth, alone or as `anomalies.Scored`: see `alarms.measures`; of NAB its own,
    too, in a test of all files."""
    found, rows = ([getattr(one, name, one) for one in found] for name in ("score", "evidence"))
    options = {
        "split": split,
        "gaps": rests(config, data),
        "alarms_per_week": config.alarms_per_week,
    }
    worth = anomaly.scores.measures(data.streams, found, data.spans, rows=rows, **options)
    if config.data != "NAB":
        return worth
    whole = [
        i for i, (first, end) in enumerate(data.spans[split]) if end > first or split == "test"
    ]
    return {
        **anomaly.nab.measures(
            [data.streams[i] for i in whole], [found[i] for i in whole], chosen_on="artificial"
        ),
        **worth,
    }


def metric(config: Config) -> str:
    return METRIC if config.data == "NAB" else "event_f1"


if __name__ == "__main__":
    from rnn_cookbook.cli.main import main as command

    sys.exit(command(["run", __file__, *sys.argv[1:]]))
