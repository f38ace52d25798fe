"""Forecasting: the next steps of one or many series, with intervals, by a recurrent network.

    rnn-cookbook run forecasting                  # ETTh1, 96 hours ahead; or --setting h192, …
    rnn-cookbook run forecasting --data sample    # a generator, offline, under a minute
    rnn-cookbook run forecasting --data sales.csv --horizon 28 --lookback 112 --segment 7
    rnn-cookbook predict runs/forecasting/<time> --output forecast.csv --backtest 5

Measured: mse 0.3584 ± 0.0010 | ridge 0.3635 | 2.4 min
on 2 cores of Intel(R) Xeon(R) Processor @ 2.50GHz.

The model (SegRNN: Lin et al. 2023): 1. the last value is subtracted from each window; 2. segments
of the window are the steps of a GRU; 3. all segments of the future are decoded side by side from
its last state, so that no forecast feeds on a forecast; 4. quantiles that cannot cross are trained
with the pinball loss; 5. the result is mixed with two linear forecasts, with weights chosen on
validation (Bates and Granger 1969).

Traps avoided: a scaler fitted on the test split; windows dropped with the last batch; a network
that loses to a linear model silently; intervals of unmeasured coverage; gaps that are filled.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rnn_cookbook import encode
from rnn_cookbook.data.sources import ETTH1, download
from rnn_cookbook.data.splits import split_by_time
from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log
from rnn_cookbook.metrics import Metric
from rnn_cookbook.nn import losses
from rnn_cookbook.run import bundle, fit, plots, report
from rnn_cookbook.settings import (
    Count,
    Fraction,
    NonNegative,
    NonNegativeCount,
    Positive,
    check_fields,
    increasing_fractions,
)
from rnn_cookbook.tasks import forecasting

if TYPE_CHECKING:
    import keras

    from rnn_cookbook.data.series import Series
    from rnn_cookbook.run.folder import Run


@dataclass(frozen=True)
class Config:
    data: str = "ETTh1"  # ETTh1, sample, or your table: .csv, .tsv, .jsonl, .parquet
    data_dir: str = ""  # folder of data sets; $RNN_COOKBOOK_DATA or ~/tensorflow_datasets if empty
    columns: str = ""  # value columns, comma-separated; all others when empty, y in a long table
    time_column: str = ""  # column of the times; ds, date, time, timestamp, … when empty
    id_column: str = ""  # column of the series' names in a long table; unique_id when empty
    covariates: str = ""  # columns known ahead, comma-separated; they continue after the values
    calendar: bool = False  # day, week and year as covariates, if training covers them twice
    frequency: str = ""  # step length (h, 15min, D, MS); the usual distance of rows when empty
    fill: Literal["refuse", "linear", "last", "zero"] = "refuse"  # filling of missing values
    lookback: Count = 480  # steps read
    horizon: Count = 96  # steps forecast
    season: NonNegativeCount = 0  # steps of a season for the naive forecasts; 0: by the frequency
    validation_fraction: Fraction = 0.1  # fraction of your series, before the test part
    test_fraction: Fraction = 0.2  # fraction of your series, at the end
    model: Literal["direct", "recursive"] = "direct"  # all steps at once, or one after the other
    head: Literal["quantiles", "gaussian", "student_t", "point"] = "quantiles"  # form of forecasts
    quantiles: str = "0.1,0.5,0.9"  # quantiles of the forecast, comma-separated
    joint: bool = False  # read all channels together instead of each with the same weights
    cell: Literal["simple_rnn", "lstm", "gru"] = "gru"  # recurrent cell
    units: Count = 128  # size of the state
    depth: Count = 1  # number of recurrent layers
    segment: Count = 48  # steps of the series that make a step of the network (direct)
    embedding: Count = 128  # width of the segments' vectors (direct)
    dropout: Fraction = 0.3  # dropout rate before the output (direct)
    normalization: Literal["last", "last_scaled", "standard", "none"] = "last"  # window scaling
    linear: bool = True  # mix with ridge and seasonal mean, weighted on validation (direct)
    stride: Count = 1  # steps from one training window to the next
    epochs: Count = 6  # passes over the training windows
    least_steps: NonNegativeCount = 300  # min optimizer steps; scales epochs and patience up
    batch_size: Count = 64  # windows per step
    learning_rate: Positive = 1e-3  # peak of the learning rate, before it falls by a cosine
    clip_norm: NonNegative = 1.0  # max global norm of the gradient; 0 turns clipping off
    patience: NonNegativeCount = 0  # epochs without a better validation loss; 0 never stops early
    mixed_precision: bool = False  # half-precision arithmetic, for GPUs
    baselines: bool = True  # also score the naive forecasts and ridge regression
    seed: NonNegativeCount = 0  # seed of the weights, the order of the windows and the dropout

    def __post_init__(self):
        check_fields(self)
        if self.model == "direct" and self.lookback < self.segment:
            raise InputError(
                f"lookback must be at least segment={self.segment}; received {self.lookback}",
                field="lookback",
            )
        increasing_fractions("quantiles", self.quantiles, including=0.5)
        of_tables = {
            "columns": self.columns,
            "time_column": self.time_column,
            "id_column": self.id_column,
            "covariates": self.covariates,
            "frequency": self.frequency,
        }
        for name, value in of_tables.items():
            if value and self.data in ("ETTh1", "sample"):
                raise InputError(
                    f"{name} is for tables of your own, not for {self.data}", field=name
                )

    @property
    def levels(self) -> tuple[float, ...]:
        return increasing_fractions("quantiles", self.quantiles, including=0.5)


@dataclass(frozen=True)
class Prediction:
    output: str = ""  # table to write; a plot of the forecast goes beside it
    backtest: NonNegativeCount = 0  # origins in the file to compare with the naive forecast at

    def __post_init__(self):
        check_fields(self)
        path = Path(self.output)
        if self.output and (path.suffix.lower() == ".png" or path.is_dir()):
            raise InputError(
                f"output must be a table (its plot goes beside it); received {self.output}",
                field="output",
            )


SAMPLE = Config(
    data="sample",
    lookback=672,
    horizon=24,
    segment=24,
    units=48,
    embedding=48,
    dropout=0.2,
    epochs=11,
    learning_rate=3e-3,
)
SETTINGS = {
    "default": Config(),
    "sample": SAMPLE,
    "h192": Config(horizon=192, epochs=5),
    "h336": Config(horizon=336, epochs=4),
    "h720": Config(horizon=720, epochs=3, normalization="standard"),
    "recursive": Config(model="recursive", lookback=96),
}
METRIC = Metric("mse", higher_is_better=False)  # of scaled values, as the benchmarks report it
OTHER_METRICS = (
    Metric("mae", higher_is_better=False),
    Metric("mae_units", higher_is_better=False),
    Metric("rmse_units", higher_is_better=False),
    Metric("mase", higher_is_better=False),
    Metric("smape", higher_is_better=False),
    Metric("pinball_units", higher_is_better=False),
)
# A coverage is best at its nominal level, neither high nor low: it is shown, and has no direction.
COLUMNS = ("mae", "mase", "coverage")
READS = "tables"

# The protocol of the benchmark (Zhou et al. 2021): 12 months to train, 4 to validate, 4 to test.
ETT_STEPS = 20 * 30 * 24  # 20 months of 30 days, in hours
ETT_FRACTION = 4 / 20


@dataclass
class Data:
    series: list[Series]
    spans: dict[str, list[tuple[int, int]]]  # split -> steps to forecast of each series
    encoder: encode.series.SeriesEncoder  # fitted on the training steps
    season: int  # steps


def read(config: Config, path: str, columns: str | list[str] = "") -> list[Series]:
    """Reads all series of a table, or the data set or the sample of that name."""
    from rnn_cookbook.data.series import read_series  # needs pandas, and `--help` does not

    if path == "sample":
        return [forecasting.sample.seasonal_series(6000, seed=config.seed)]
    if path == "ETTh1":
        return read_series(download("ett/ETTh1.csv", **ETTH1, data_dir=config.data_dir))
    return read_series(
        path,
        columns=columns or config.columns,
        time_column=config.time_column,
        id_column=config.id_column,
        covariates=config.covariates,
        frequency=config.frequency,
        fill=config.fill,
    )


def load_data(config: Config) -> Data:
    """Splits the series by time, the test part last; only the training steps set the scale."""
    log.info("reading %s", config.data)
    series = read(config, config.data)
    validation = config.validation_fraction
    test = config.test_fraction
    if config.data == "ETTh1":
        series = [series[0].until(ETT_STEPS)]
        validation = test = ETT_FRACTION
    elif config.data == "sample":
        validation, test = 0.1, 0.3
    series, spans = split_by_time(
        series, lookback=config.lookback, horizon=config.horizon, validation=validation, test=test
    )
    season = config.season or series[0].season
    season = forecasting.baselines.season_within(season, lookback=config.lookback)
    encoder = encode.series.SeriesEncoder.fit(series, spans["train"], calendar=config.calendar)
    return Data(series, spans, encoder, season)


def cut(config: Config, data: Data, split: str, *, teacher: bool = False) -> encode.windows.Windows:
    """Cuts the windows of a split, with their targets as an input where a teacher is wanted."""
    training = split == "train"
    return data.encoder.windows(
        data.series,
        data.spans[split],
        lookback=config.lookback,
        horizon=config.horizon,
        batch_size=config.batch_size,
        teacher=teacher,
        stride=config.stride if training else 1,
        shuffle=training,
        seed=config.seed,
    )


def build_model(config: Config, data: Data) -> keras.Model:
    import keras  # here, not above: `--help` and argument errors answer without TensorFlow

    fit.set_precision(config.mixed_precision)
    windows = cut(config, data, "train")
    channels = len(data.series[0].channels)
    if config.model == "recursive":
        model = forecasting.model.recursive_forecaster(
            lookback=config.lookback,
            horizon=config.horizon,
            channels=channels,
            covariates=windows.covariates,
            cell=config.cell,
            units=config.units,
            depth=config.depth,
            normalization=config.normalization,
            head=config.head,
            quantiles=config.levels,
        )
    else:
        model = forecasting.model.forecaster(
            lookback=config.lookback,
            horizon=config.horizon,
            channels=channels,
            joint=config.joint,
            covariates=windows.covariates,
            segment_length=config.segment,
            embedding_size=config.embedding,
            cell=config.cell,
            units=config.units,
            depth=config.depth,
            dropout=config.dropout,
            normalization=config.normalization,
            linear=config.linear,
            head=config.head,
            quantiles=config.levels,
        )
    loss = {
        "quantiles": losses.QuantileLoss(config.levels),
        "gaussian": losses.GaussianLoss(),
        "student_t": losses.StudentTLoss(),
        "point": "mse",
    }
    centre = model.get_layer("head").centre

    def mse(actual, forecast):  # of the point forecast, whatever the head
        return keras.losses.mean_squared_error(actual, centre(forecast))

    steps = fit.plan(config, examples=windows.examples).steps
    rate = fit.warmup_cosine(config.learning_rate, steps=steps)
    optimizer = keras.optimizers.Adam(
        rate,  # pyright: ignore[reportArgumentType]  # Keras annotates the default's type
        global_clipnorm=config.clip_norm or None,
    )
    model.compile(optimizer, loss=loss[config.head], metrics=[mse])
    return model


def train(config: Config, model: keras.Model, data: Data, run: Run) -> dict:
    teacher = config.model == "recursive"
    windows = cut(config, data, "train", teacher=teacher)
    validation = cut(config, data, "validation", teacher=teacher)
    plan = fit.plan(config, examples=windows.examples)
    log.info("training: %d epochs of %d windows", plan.epochs, windows.examples)
    history = fit.fit(
        model, windows, validation, epochs=plan.epochs, patience=plan.patience, run=run
    )
    if config.linear and config.model == "direct":
        linear = forecasting.mixture.linear_forecasts(windows, validation, season=data.season)
        history["shares"] = forecasting.mixture.mix_linear(model, linear, validation)
    return history


def scorer(data: Data, windows: encode.windows.Windows) -> forecasting.scores.Scorer:
    return forecasting.scores.Scorer(
        windows,
        series=data.series,
        encoder=data.encoder,
        train=data.spans["train"],
        season=data.season,
    )


def evaluate(
    config: Config, model: keras.Model, data: Data, split: str = "test", run: Run | None = None
) -> dict[str, float]:
    """Scores every window of a split; with a run, also writes forecasts, a backtest and plots."""
    windows = cut(config, data, split)
    log.info("evaluating on %d %s windows", windows.examples, split)
    forecaster = forecasting.predict.Forecaster(model, data.encoder, batch_size=config.batch_size)
    point, quantiles = forecaster(windows)
    score = scorer(data, windows)
    if run:
        forecasting.plots.write_forecasts(run, score, point, quantiles, levels=config.levels)
    return score(point, quantiles, levels=config.levels)


def baselines(config: Config, data: Data, run: Run | None = None) -> dict[str, dict]:
    """Scores naive and linear forecasts of the test windows, whose settings validation chooses."""
    test = cut(config, data, "test")
    score = scorer(data, test)

    def keep(name, point):
        if run:
            forecasting.plots.add_errors_by_step(run, name, actual=score.actual, point=point)

    return forecasting.baselines.forecast_baselines(
        cut(config, data, "train"),
        cut(config, data, "validation"),
        test,
        season=data.season,
        score=score,
        keep=keep,
    )


def predict(
    loaded: bundle.Bundle, inputs: Iterable[list[str]], options: Prediction | None = None
) -> Iterator[dict]:
    """Forecasts the steps after each series of a table; without one, of the training data."""
    from rnn_cookbook.data.series import matching

    config = Config(**loaded.config)
    facts = loaded.facts
    options = options or Prediction()
    paths = [path for arrived in inputs for path in arrived] or [config.data]
    if len(paths) > 1:
        raise InputError(f"predict takes one table at a time; received {', '.join(paths)}")
    series = matching(
        read(config, paths[0], columns=facts["columns"]),
        path=paths[0],
        channels=facts["channels"],
        frequency=facts["frequency"],
        lookback=config.lookback,
        horizon=config.horizon,
    )
    encoder = encode.series.SeriesEncoder.load(loaded.path).adapted(series)
    forecaster = forecasting.predict.Forecaster(loaded.model, encoder, batch_size=config.batch_size)
    if options.backtest:
        season, chosen_until = facts["season"], facts["chosen_until"]
        spans, errors = forecaster.backtest(series, origins=options.backtest, season=season)
        forecasting.backtest.log_backtest(series, spans, errors, chosen_until=chosen_until)
    point, quantiles = forecaster.ahead(series)
    yield from forecasting.predict.forecast_rows(series, point, quantiles, levels=config.levels)
    if options.output:
        picture = Path(options.output).with_suffix(".png")
        forecasting.plots.plot_ahead(picture, series, point, quantiles, levels=config.levels)


def served(loaded: bundle.Bundle) -> forecasting.export.ServedForecaster:
    """Makes what `rnn-cookbook export` writes: from values to forecasts in the same units."""
    encoder = encode.series.SeriesEncoder.load(loaded.path)
    return forecasting.export.ServedForecaster(loaded.model, encoder)


def search_space(hp: Any, config: Config) -> Config:
    """Chooses what is worth tuning, data settings included. `hp` is keras_tuner.HyperParameters."""
    segment = hp.Choice("segment", [max(1, config.segment // part) for part in (1, 2, 4)])
    lookbacks = [config.lookback, *(max(segment, config.lookback // part) for part in (2, 4))]
    return replace(
        config,
        segment=segment,
        lookback=hp.Choice("lookback", lookbacks),
        normalization=hp.Choice("normalization", ["last", "standard"]),
        cell=hp.Choice("cell", ["lstm", "gru"]),
        units=hp.Choice("units", [32, 64, 128, 256]),
        dropout=hp.Float("dropout", 0.0, 0.6, step=0.1),
        learning_rate=hp.Float("learning_rate", 3e-4, 1e-2, sampling="log"),
        batch_size=hp.Choice("batch_size", [32, 64, 128]),
    )


def main(config: Config, run: Run) -> str:
    fit.seed_everything(config.seed)
    data = load_data(config)
    with run.training_clock():
        model = build_model(config, data)
        history = train(config, model, data, run)
    model = forecasting.model.without_teacher(model)
    first = data.series[0]
    tested = zip(data.series, data.spans["test"], strict=True)
    chosen_until = {each.name: str(each.times[start]) for each, (start, _) in tested}
    facts = {
        "columns": config.columns if first.name else first.channels,
        "channels": len(first.channels),
        "frequency": first.times.freqstr,
        "season": data.season,
        "chosen_until": chosen_until,
    }
    bundle.save_bundle(
        run.path / "model",
        recipe=run.recipe,
        config=asdict(config),
        facts=facts,
        model=model,
        encoders=[data.encoder.save],
    )
    plots.plot_training(run, history, metric=METRIC.name, unit="of scaled values")
    measured = report.write_metrics(
        run,
        config=config,
        model=model,
        training=history,
        splits={name: cut(config, data, name).examples for name in data.spans},
        validation=evaluate(config, model, data, split="validation"),
        baselines=baselines(config, data, run=run) if config.baselines else {},
        test=evaluate(config, model, data, run=run),
    )
    return report.comparison(measured, metric=METRIC, others=COLUMNS)


if __name__ == "__main__":
    from rnn_cookbook.cli.main import main as command

    sys.exit(command(["run", __file__, *sys.argv[1:]]))
