"""Anomaly detection: scores the points of streams by the tails of a recurrent network's errors.

    rnn-cookbook run anomaly_detection                  # the Numenta Anomaly Benchmark (NAB)
    rnn-cookbook run anomaly_detection --data sample    # a generator, offline, under a minute
    rnn-cookbook run anomaly_detection --data load.csv --labels anomalies.csv
    tail -n 0 -F sensor.csv | rnn-cookbook score runs/anomaly_detection/<time> - --state state.npz

Measured: nab_standard 66.4907 ± 0.2629 | no_network 62.5703 | 0.4 min
on 2 cores of Intel(R) Xeon(R) Processor @ 2.50GHz.

The method: 1. a GRU, trained on the first part of all streams, forecasts the next value of each; 2.
its errors are smoothed; 3. the tail probabilities of the error, of the value, and of its distance
from the normal value at this time of the day are fitted to the stream's own past by peaks over
threshold (Siffer et al. 2017); 4. the sum of their negative logarithms is the score; 5. after an
alarm only larger scores count for one season (the refractory period).

Traps avoided: a scale, a threshold or a network that knows the future; a threshold per file; scores
of points adjusted by the labels around them (point adjustment); a network that is not compared with
the same detector without it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rnn_cookbook import encode
from rnn_cookbook.baselines import timed_scores
from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log
from rnn_cookbook.metrics import Metric
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
from rnn_cookbook.tasks import anomaly

if TYPE_CHECKING:
    import keras

    from rnn_cookbook.run.folder import Run
    from rnn_cookbook.tasks.anomaly.predict import Detector, Scale, Scored
    from rnn_cookbook.tasks.anomaly.scores import RowScores
    from rnn_cookbook.tasks.anomaly.streams import LabelledStream, Span

Steps = Annotated[int, Range(at_least=2)]  # a window has a step and the next one


@dataclass(frozen=True)
class Config:
    data: str = "NAB"  # NAB, sample, or your table: .csv, .tsv, .jsonl, .parquet
    data_dir: str = ""  # folder of data sets; $RNN_COOKBOOK_DATA or ~/tensorflow_datasets if empty
    columns: str = ""  # value columns, comma-separated; all others when empty, y in a long table
    time_column: str = ""  # column of the times; ds, date, time, timestamp, … when empty
    id_column: str = ""  # column of the streams' names in a long table; unique_id when empty
    label_column: str = ""  # above 0 or true in anomalous rows; label, is_anomaly, … when empty
    labels: str = ""  # table of your anomalies, with columns start and end
    frequency: str = ""  # step length (h, 15min, D); the most frequent distance when empty
    fill: Literal["keep", "refuse", "linear", "last", "zero"] = "keep"  # steps without a value
    train_fraction: Fraction = 0.3  # fraction of your streams, at the beginning, taken to be normal
    validation_fraction: Fraction = 0.3  # fraction after it, whose labels choose the threshold
    model: Literal["predictor", "autoencoder"] = "predictor"  # forecast, or reconstruct windows
    head: Literal["student_t", "gaussian", "quantiles", "point"] = "quantiles"  # form of forecasts
    cell: Literal["simple_rnn", "lstm", "gru"] = "gru"  # recurrent cell
    units: Count = 32  # size of the state
    depth: Count = 1  # number of recurrent layers
    code_size: Count = 8  # width of the bottleneck (autoencoder)
    length: Steps = 96  # steps of a training window (predictor)
    window: Steps = 32  # steps of a window (autoencoder)
    season: NonNegativeCount = 0  # steps of the season to look back on; one day when 0
    smoothing: Count = 10  # steps that errors are averaged over
    rest: NonNegativeCount = 0  # refractory period: steps with larger scores only; 0: one season
    alarms_per_week: Positive = 0.5  # expected false alarms where no labels choose the threshold
    epochs: Count = 12  # passes over the training windows
    batch_size: Count = 32  # windows per step
    learning_rate: Positive = 5e-3  # peak of the learning rate, before it falls by a cosine
    clip_norm: NonNegative = 1.0  # max global norm of the gradient; 0 turns clipping off
    patience: NonNegativeCount = 0  # epochs without a better validation loss; 0 never stops early
    mixed_precision: bool = False  # half-precision arithmetic, for GPUs
    baselines: bool = True  # also score simple detectors
    seed: NonNegativeCount = 0  # seed of the weights, the order of the windows and the sample

    def __post_init__(self):
        check_fields(self)
        if self.train_fraction <= 0 or self.train_fraction + self.validation_fraction >= 1:
            raise InputError(
                "the training fraction must be above 0, and leave rows to test on with the "
                f"validation fraction; received {self.train_fraction}, {self.validation_fraction}",
                field=("train_fraction", "validation_fraction"),
            )

    def refractory(self, season: int) -> int:
        """Steps of the refractory period: within one season the echo of an anomaly is over."""
        return self.rest or max(season, self.smoothing)


@dataclass(frozen=True)
class Prediction:
    output: str = ""  # table to write
    state: str = ""  # file of what is learnt of the streams: read if it exists, kept up to date
    fresh: bool = False  # do not continue from what the training learnt of its streams
    stream: str = ""  # known stream that standard input continues; the only one when empty
    threshold: NonNegative = 0.0  # smallest score of an alarm; the run's threshold when 0

    def __post_init__(self):
        check_fields(self)


SAMPLE = Config(data="sample", train_fraction=0.4, validation_fraction=0.0)
SETTINGS = {"default": Config(), "sample": SAMPLE, "autoencoder": Config(model="autoencoder")}
READS = "tables"
METRIC = Metric("nab_standard", higher_is_better=True)
EVENT_F1 = Metric("event_f1", higher_is_better=True)
PR_AUC = Metric("pr_auc", higher_is_better=True)
BY_EVENT = (
    Metric("event_precision", higher_is_better=True),
    Metric("event_recall", higher_is_better=True),
    PR_AUC,
)
OTHER_METRICS = (
    EVENT_F1,
    *BY_EVENT,
    Metric("nab_low_fp", higher_is_better=True),
    Metric("nab_low_fn", higher_is_better=True),
    Metric("delay", higher_is_better=False),  # rows
    Metric("false_alarms", higher_is_better=False),
    Metric("false_alarms_per_week", higher_is_better=False),
)


def metric(config: Config) -> Metric:
    """NAB has its own score; other data are scored by detected anomalies."""
    return METRIC if config.data == "NAB" else EVENT_F1


def longest_input(config: Config) -> int:
    """Steps of a window."""
    return config.length if config.model == "predictor" else config.window


@dataclass
class Data:
    streams: list[LabelledStream]
    spans: dict[str, list[Span]]  # rows of each stream, by split
    scaler: encode.series.SeriesScaler  # fitted on the training rows
    seasons: list[int]  # steps


def read_data(config: Config, path: str, *, step: str | None = None) -> list[LabelledStream]:
    """Reads the benchmark, the sample, or a table; without labels where the `step` is known."""
    if path == "NAB":
        return anomaly.nab_corpus.read_all(config.data_dir)
    if path == "sample":
        return anomaly.sample.anomalous_series(seed=config.seed, clean=config.train_fraction)
    return anomaly.data.read_streams(
        path,
        columns=config.columns,
        time_column=config.time_column,
        id_column=config.id_column,
        label_column=config.label_column,
        labels=config.labels,
        frequency=config.frequency,
        fill=config.fill,
        step=step,
    )


def borders(config: Config, rows: int) -> tuple[int, int]:
    """The rows of a stream where validation and test begin; of NAB both after the probation."""
    if config.data == "NAB":
        probation = anomaly.nab.probation(rows)
        return probation, probation
    end = config.train_fraction + config.validation_fraction
    return round(rows * config.train_fraction), round(rows * end)


def load_data(config: Config) -> Data:
    """Reads the streams and splits them by time: their first rows are taken to be normal. Of NAB
    the artificial files validate, of the sample every second stream."""
    log.info("reading %s", config.data)
    streams = read_data(config, config.data)
    streams, limits = anomaly.streams.long_enough(
        streams,
        [borders(config, len(stream)) for stream in streams],
        min_rows=anomaly.tails.WARM_UP,
        min_longest=2 * (longest_input(config) + 1),  # a window and its target, twice
    )
    if config.data == "NAB":
        spans = anomaly.streams.split(streams, limits, validating="artificial")
    elif config.data == "sample":
        spans = anomaly.streams.split(streams, limits, validating="validation", testing="test")
    else:
        spans = anomaly.streams.split(streams, limits)
    return Data(
        streams=streams,
        spans=spans,
        scaler=anomaly.encode.normal_scale(streams, [first for first, _ in limits]),
        seasons=[
            config.season or stream.season_within(first)
            for stream, (first, _) in zip(streams, limits, strict=True)
        ],
    )


def windows(config: Config, data: Data) -> tuple[encode.streams.Chunks, encode.streams.Chunks]:
    """Windows of the training rows, and of their last fifth, which shows how training goes."""
    rows = [end for _, end in data.spans["train"]]
    examples = []
    for stream, end, season in zip(data.streams, rows, data.seasons, strict=True):
        scaled = data.scaler.transform(stream.name, stream.values[:end])
        values = anomaly.encode.forward_filled(scaled)
        if config.model == "autoencoder":
            examples.append(anomaly.encode.reconstruction_example(values))
        else:
            examples.append(anomaly.encode.forecasting_example(values, season=season))
    return anomaly.encode.training_windows(
        examples,
        rows=rows,
        length=longest_input(config),
        batch_size=config.batch_size,
        seed=config.seed,
    )


def build_model(config: Config, data: Data) -> keras.Model:
    import keras  # here, not above: `--help` and argument errors answer without TensorFlow

    fit.set_precision(config.mixed_precision)
    channels = len(data.streams[0].channels)
    if config.model == "autoencoder":
        loss = "mae"
        model = anomaly.model.autoencoder(
            features=channels,
            code_size=config.code_size,
            cell=config.cell,
            units=config.units,
            depth=config.depth,
        )
    else:
        loss = anomaly.model.forecast_loss(config.head)
        model = anomaly.model.online_forecaster(
            channels=channels,
            features=anomaly.encode.width_of_features(channels),
            head=config.head,
            cell=config.cell,
            units=config.units,
            depth=config.depth,
        )
    training, _ = windows(config, data)
    rate = fit.warmup_cosine(config.learning_rate, steps=config.epochs * len(training))
    optimizer = keras.optimizers.Adam(
        rate,  # pyright: ignore[reportArgumentType]  # Keras annotates the default's type
        global_clipnorm=config.clip_norm or None,
    )
    model.compile(optimizer, loss=loss)
    return model


def train(config: Config, model: keras.Model, data: Data, run: Run) -> dict:
    training, held = windows(config, data)
    log.info("training: %d epochs of %d windows", config.epochs, training.examples)
    return fit.fit(model, training, held, epochs=config.epochs, patience=config.patience, run=run)


def detector(
    config: Config, model: keras.Model | None, scales: Sequence[Scale], season: int
) -> Detector:
    """The detector of streams with these scales (mean, standard deviation) and one season; without
    a model the last value is the forecast."""
    errors = anomaly.residuals.errors_of(
        model,
        autoencoder=config.model == "autoencoder",
        streams=len(scales),
        channels=len(scales[0][0]),
        season=season,
        window=config.window,
    )
    return anomaly.predict.Detector(
        errors,
        mean=[mean for mean, _ in scales],
        scale=[scale for _, scale in scales],
        season=season,
        smoothing=config.smoothing,
        refractory=config.refractory(season),
    )


def score(config: Config, model: keras.Model | None, data: Data) -> list[Scored]:
    """Scores all streams, those with the same season side by side."""
    return anomaly.predict.score_streams(
        [stream.values for stream in data.streams],
        partial(detector, config, model),
        scales=[data.scaler.facts[stream.name] for stream in data.streams],
        seasons=data.seasons,
        label="scored",
    )


def measures(config: Config, data: Data, scored: Sequence[RowScores], split: str = "test") -> dict:
    """Scores a detector at the threshold that is chosen before the test; on NAB also as the
    benchmark does."""
    events = anomaly.scores.measures(
        data.streams,
        scored,
        data.spans,
        split=split,
        gaps=[config.refractory(season) for season in data.seasons],
        alarms_per_week=config.alarms_per_week,
    )
    if config.data != "NAB":
        return events
    # The benchmark's score is over all files, those that validate included.
    spans = data.spans[split]
    counted = [i for i, (first, end) in enumerate(spans) if split == "test" or first < end]
    benchmark = anomaly.nab.measures(
        [data.streams[i] for i in counted],
        [scored[i].score for i in counted],
        chosen_on="artificial",
    )
    return {**benchmark, **events}


def evaluate(
    config: Config,
    model: keras.Model,
    data: Data,
    split: str = "test",
    run: Run | None = None,
    scored: list[Scored] | None = None,
) -> dict[str, Any]:
    """Scores a split; `scored` are the streams' scores where they are known already."""
    scored = scored or score(config, model, data)
    scores = measures(config, data, scored, split=split)
    if run:
        anomaly.plots.write_anomalies(
            run,
            data.streams,
            scored,
            threshold=scores["threshold"],
            spans=data.spans[split],
            gaps=[config.refractory(season) for season in data.seasons],
        )
    return scores


def baselines(config: Config, data: Data) -> dict[str, dict]:
    """Scores simple detectors, and, as "no_network", this recipe's without its network."""
    methods = anomaly.baselines.simple_detectors(data.streams, seasons=data.seasons)
    methods["no_network"] = lambda: score(config, None, data)
    return timed_scores(methods, partial(measures, config, data), metric=metric(config).name)


def predict(
    loaded: bundle.Bundle, inputs: Iterable[list[str]], options: Prediction | None = None
) -> Iterator[dict]:
    """Scores the rows of a table, or of standard input (-) as they come; without a table, the data
    that the model was trained on."""
    config = Config(**loaded.config)
    facts = loaded.facts
    options = options or Prediction()
    trained = "" if options.fresh else loaded.path / anomaly.states.STATES
    memory = anomaly.states.Memory(options.state, trained=trained)
    streams = anomaly.live.streams_to_score(
        anomaly.live.only_table(inputs, config.data),
        partial(read_data, config, step=facts["frequency"]),
        facts=facts,
        memory=memory,
        name=options.stream,
        held=bool(options.state and config.frequency),
    )
    for stream in streams:
        scale, season = anomaly.live.scale_and_season(
            stream, memory, facts, fraction=config.train_fraction, season=config.season
        )
        yield from anomaly.live.score_rows(
            detector(config, loaded.model, [scale], season),
            stream,
            threshold=options.threshold or facts["threshold"],
            memory=memory,
        )


def search_space(hp: Any, config: Config) -> Config:
    """What is worth tuning, data settings included. `hp` is a keras_tuner.HyperParameters."""
    return replace(
        config,
        smoothing=hp.Choice("smoothing", [3, 10, 30]),
        length=hp.Choice("length", [48, 96, 192]),
        cell=hp.Choice("cell", ["lstm", "gru"]),
        units=hp.Choice("units", [16, 32, 64]),
        learning_rate=hp.Float("learning_rate", 1e-3, 2e-2, sampling="log"),
        batch_size=hp.Choice("batch_size", [16, 32, 64]),
    )


def main(config: Config, run: Run) -> str:
    fit.seed_everything(config.seed)
    data = load_data(config)
    with run.training_clock():
        model = build_model(config, data)
        history = train(config, model, data, run)
    scored = score(config, model, data)
    test = evaluate(config, model, data, run=run, scored=scored)
    bundle.save_bundle(
        run.path / "model",
        recipe=run.recipe,
        config=asdict(config),
        facts={
            "threshold": test["threshold"],
            "channels": data.streams[0].channels,
            "frequency": data.streams[0].frequency,
            "scales": data.scaler.to_json(),
            "seasons": dict(zip(data.scaler.facts, data.seasons, strict=True)),
        },
        model=model,
        encoders=[partial(anomaly.states.save_states, data.streams, scored, data.scaler)],
    )
    plots.plot_training(run, history, metric="loss")
    labelled = metric(config).name in test
    on_nab = config.data == "NAB"
    measured = report.write_metrics(
        run,
        config=config,
        model=model,
        training=history,
        splits=anomaly.streams.sizes(data.spans),
        validation=evaluate(config, model, data, "validation", scored=scored) if on_nab else {},
        baselines=baselines(config, data) if config.baselines and labelled else {},
        test=test,
    )
    if not labelled:
        alarms = f"{test['alarms']} alarms in {test['weeks']:.1f} weeks"
        return f"{alarms}, scores of {test['threshold']:.2f} and more; no labels to compare with"
    others = (EVENT_F1, PR_AUC) if on_nab else BY_EVENT
    return report.comparison(measured, metric=metric(config), others=others)


if __name__ == "__main__":
    from rnn_cookbook.cli.main import main as command

    sys.exit(command(["run", __file__, *sys.argv[1:]]))
