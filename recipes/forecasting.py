"""Forecasting: the next days of one or many series, with intervals, by a recurrent network that
takes a segment of hours for a step.

    rnn-cookbook run forecasting                             # ETTh1, 96 hours ahead; --setting h192, h336, h720 for more
    rnn-cookbook run forecasting --data sample               # a generator, offline, under a minute
    rnn-cookbook run forecasting --data sales.csv --horizon 28 --lookback 112 --segment 7
    rnn-cookbook predict runs/forecasting/<time> --output forecast.csv --backtest 5   # beyond the end of the file

Measured: mse 0.3584 ± 0.0010 | ridge 0.3635 | 2 cores of Intel(R) Xeon(R) Processor @ 2.50GHz | 2.4
min

The model (SegRNN: Lin et al. 2023): 1. each window moved by its last value; 2. segments of it are
the steps of a GRU; 3. all segments of the future are decoded side by side from its last state, so
that no forecast feeds on a forecast; 4. quantiles that cannot cross, by the pinball loss; 5. mixed
with two linear forecasts by the shares that validation gives them (Bates and Granger 1969).

Traps avoided: a scale that knows the test split; windows dropped at the end of the last batch; a
plain recurrent network that loses to a linear one and is not told so; intervals that nobody
counted; gaps between time stamps, filled in silence.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from rnn_cookbook import encode
from rnn_cookbook.data.series import Series, matching, read_series, season_of, split_by_time
from rnn_cookbook.data.sources import ETTH1, download
from rnn_cookbook.errors import InputError, check_settings, rising_shares
from rnn_cookbook.files import log
from rnn_cookbook.nn import losses
from rnn_cookbook.run import bundle, fit, report
from rnn_cookbook.tasks import forecasting


@dataclass(frozen=True)
class Config:
    data: str = "ETTh1"  # ETTh1, sample, or your own table: .csv, .tsv, .jsonl, .parquet
    data_dir: str = ""  # where data sets are kept, else $RNN_COOKBOOK_DATA or ~/tensorflow_datasets
    columns: str = ""  # value columns of your table, separated by commas; all others when empty, y in a long table
    time_column: str = ""  # if it is not called ds, date, time, timestamp, …
    id_column: str = ""  # of a long table, if it is not called unique_id
    covariates: str = (
        ""  # columns known ahead, separated by commas; their rows go on where the values end
    )
    calendar: bool = False  # read the time of the day, week and year as covariates, too, as far as training covers them twice
    frequency: str = (
        ""  # of the steps (h, 15min, D, MS); the usual distance between rows when empty
    )
    fill: Literal["refuse", "linear", "last", "zero"] = (
        "refuse"  # what becomes of steps without a value
    )
    lookback: int = 480  # steps read
    horizon: int = 96  # steps forecast
    season: int = 0  # steps of the season that the naive forecasts repeat; by the frequency when 0
    validation_fraction: float = 0.1  # of the steps of your series, before the test
    test_fraction: float = 0.2  # of them, at the end
    model: Literal["direct", "recursive"] = (
        "direct"  # all steps at once from segments, or one after the other with a teacher
    )
    head: Literal["quantiles", "gaussian", "student_t", "point"] = "quantiles"  # what a forecast is
    quantiles: str = "0.1,0.5,0.9"  # of the forecast, separated by commas
    joint: bool = (
        False  # read all channels together, instead of each by itself with the same weights
    )
    cell: Literal["simple_rnn", "lstm", "gru"] = "gru"  # recurrent cell
    units: int = 128  # size of the state
    depth: int = 1  # recurrent layers
    segment: int = 48  # steps of the series that make one of the network (direct)
    embedding: int = 128  # width of the segments' vectors (direct)
    dropout: float = 0.3  # before the output (direct)
    normalization: Literal["last", "last_scaled", "standard", "none"] = (
        "last"  # of each window, see `models.forecaster`
    )
    linear: bool = True  # mix with ridge regression and seasonal mean, by the shares that are best on validation (direct)
    stride: int = 1  # steps from one training window to the next
    epochs: int = 6  # passes over the training windows
    least_steps: int = 300  # short series get more epochs, and patience in proportion, so that there are so many steps
    batch_size: int = 64  # windows a step
    learning_rate: float = 1e-3  # its peak, before it falls by a cosine
    clip_norm: float = 1.0  # largest global norm of the gradient; 0 leaves it as it is
    patience: int = (
        0  # epochs without a better validation loss before the training stops; 0 goes through
    )
    mixed_precision: bool = False  # half-precision arithmetic, for GPUs
    baselines: bool = True  # score the naive forecasts and the linear one, too
    seed: int = 0  # of the weights, the order and the dropout

    def __post_init__(self):
        check_settings(
            self,
            positive=("learning_rate",),
            at_least={
                "lookback": 1,
                "horizon": 1,
                "season": 0,
                "units": 1,
                "depth": 1,
                "segment": 1,
                "embedding": 1,
                "stride": 1,
            }
            | {
                "epochs": 1,
                "least_steps": 0,
                "batch_size": 1,
                "clip_norm": 0,
                "patience": 0,
                "seed": 0,
            },
            shares=("validation_fraction", "test_fraction", "dropout"),
        )
        if self.model == "direct" and self.lookback < self.segment:
            raise InputError(
                f"--lookback {self.lookback} is less than one --segment {self.segment}"
            )
        rising_shares("quantiles", self.quantiles, including=0.5)
        own = [
            name
            for name in ("columns", "time_column", "id_column", "covariates", "frequency")
            if getattr(self, name)
        ]
        if self.data in ("ETTh1", "sample") and own:
            raise InputError(
                f"--{own[0].replace('_', '-')} is for tables of your own, not for {self.data}"
            )

    @property
    def levels(self) -> tuple[float, ...]:
        return rising_shares("quantiles", self.quantiles, including=0.5)


@dataclass(frozen=True)
class Prediction:
    output: str = ""  # table to write; a plot of the forecast goes beside it
    backtest: int = 0  # forecast so many times from within the file first, one horizon apart, and compare with the seasonal naive forecast

    def __post_init__(self):
        check_settings(self, at_least={"backtest": 0})
        if self.output and (
            Path(self.output).suffix.lower() == ".png" or Path(self.output).is_dir()
        ):
            raise InputError(
                f"--output is the table, such as forecast.csv (the plot goes beside it), got {self.output}"
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
METRIC, HIGHER_IS_BETTER, TABLES = (
    "mse",
    False,
    True,
)  # what the results are compared by; predictions are of tables
SETTINGS = {
    "default": Config(),
    "sample": SAMPLE,
    "h192": Config(horizon=192, epochs=5),
    "h336": Config(horizon=336, epochs=4),
    "h720": Config(horizon=720, epochs=3, normalization="standard"),
    "recursive": Config(model="recursive", lookback=96),
}


@dataclass
class Data:
    series: list[Series]
    spans: dict[str, list[tuple[int, int]]]  # steps to forecast, of each series, by split
    encoder: encode.series.SeriesEncoder  # fitted on the training steps
    season: int  # steps


def load_data(config: Config) -> Data:
    """Series, split by time: training first, the test last. Only the training steps set the scale."""
    log.info("reading %s", config.data)
    series, shares = (
        read(config, config.data),
        {"validation": config.validation_fraction, "test": config.test_fraction},
    )
    if config.data == "ETTh1":
        series, shares = (
            [series[0].until(20 * 30 * 24)],
            {"validation": 0.2, "test": 0.2},
        )  # 12 months to train, 4 to validate, 4 to test
    elif config.data == "sample":
        shares = {"validation": 0.1, "test": 0.3}
    series, spans = split_by_time(
        series, lookback=config.lookback, horizon=config.horizon, **shares
    )
    season = config.season or season_of(series[0].times.freq)
    if season > config.lookback:
        log.warning(
            "a season of %d steps is longer than --lookback %d: the naive forecasts repeat the last value",
            season,
            config.lookback,
        )
        season = 1
    return Data(
        series,
        spans,
        encode.series.SeriesEncoder.fit(series, spans["train"], calendar=config.calendar),
        season,
    )


def build_model(config: Config, data: Data):
    import keras  # here, not above: `--help` and argument errors answer without TensorFlow

    fit.set_precision(config.mixed_precision)
    windows = cut(config, data, "train")
    names = ("lookback", "horizon", "cell", "units", "depth", "normalization", "head")
    options = {name: getattr(config, name) for name in names} | {
        "quantiles": config.levels,
        "covariates": windows.covariates,
    }
    options["channels"] = len(data.series[0].channels)
    if config.model == "recursive":
        model = forecasting.model.recursive_forecaster(**options)
    else:
        segments = {"segment_length": config.segment, "embedding_size": config.embedding}
        model = forecasting.model.forecaster(
            **options, **segments, dropout=config.dropout, joint=config.joint, linear=config.linear
        )
    loss = {"gaussian": losses.GaussianLoss(), "student_t": losses.StudentTLoss(), "point": "mse"}
    loss["quantiles"] = losses.QuantileLoss(config.levels)
    centre = model.get_layer("head").centre

    def mse(actual, forecast):
        return keras.losses.mean_squared_error(actual, centre(forecast))

    rate = fit.warmup_cosine(
        config.learning_rate, steps=fit.plan(config, examples=windows.examples).steps
    )
    model.compile(
        keras.optimizers.Adam(rate, global_clipnorm=config.clip_norm or None),
        loss=loss[config.head],
        metrics=[mse],
    )
    return model


def train(config: Config, model, data: Data, run) -> dict:
    windows, validation = (
        cut(config, data, split, teacher=config.model == "recursive")
        for split in ("train", "validation")
    )
    plan = fit.plan(config, examples=windows.examples)
    log.info("training: %d epochs of %d windows", plan.epochs, windows.examples)
    history = fit.fit(
        model, windows, validation, epochs=plan.epochs, patience=plan.patience, run=run
    )
    if config.linear and config.model == "direct":
        history["shares"] = forecasting.predict.mix_linear(
            model,
            forecasting.predict.linear_forecasts(windows, validation, season=data.season),
            validation,
        )
    return history


def evaluate(config: Config, model, data: Data, split: str = "test", run=None) -> dict:
    """Scores of every window of a split; with a run, also what its folder shows: forecasts, a
    backtest, and plots of the errors."""
    windows = cut(config, data, split)
    log.info("evaluating on %d %s windows", windows.examples, split)
    point, quantiles = forecasting.predict.Forecaster(
        model, data.encoder, batch_size=config.batch_size
    )(windows)
    if run:
        forecasting.plots.write_forecasts(
            run,
            data.series,
            windows,
            data.encoder,
            point,
            quantiles,
            levels=config.levels,
            season=data.season,
        )
        forecasting.plots.add_errors_by_step(
            run, "this model", forecasting.scores.errors_by_step(windows.arrays()[1], point)
        )
    return scorer(data, windows)(point, quantiles, levels=config.levels)


def baselines(config: Config, data: Data, run=None) -> dict:
    """Naive forecasts and a linear one of the same test windows. What is to be chosen for them is
    chosen on validation."""
    train, validation, test = (
        cut(config, data, split) for split in ("train", "validation", "test")
    )
    score = scorer(data, test)

    def keep(name, point):
        if run:
            forecasting.plots.add_errors_by_step(
                run, name, forecasting.scores.errors_by_step(score.actual, point)
            )

    return forecasting.baselines.forecast_baselines(
        train, validation, test, season=data.season, score=score, keep=keep
    )


def predict(
    loaded: bundle.Bundle, inputs: Iterable[list[str]], options: Prediction | None = None
) -> Iterator[dict]:
    """The steps after the end of each series of a table; without a table, of the data that the
    model was trained on."""
    config, facts, options = Config(**loaded.config), loaded.facts, options or Prediction()
    given = [path for paths in inputs for path in paths] or [config.data]
    if len(given) > 1:
        raise InputError(f"one table at a time, got {', '.join(given)}")
    shape = {
        "frequency": facts["frequency"],
        "lookback": config.lookback,
        "horizon": config.horizon,
    }
    series = matching(
        read(config, given[0], columns=facts["columns"]),
        path=given[0],
        channels=facts["channels"],
        **shape,
    )
    encoder = encode.series.SeriesEncoder.load(loaded.path).adapted(series)
    forecaster = forecasting.predict.Forecaster(loaded.model, encoder, batch_size=config.batch_size)
    if options.backtest:
        spans, found = forecaster.backtest(series, origins=options.backtest, season=facts["season"])
        forecasting.plots.tell_backtest(series, spans, found, chosen_until=facts["chosen_until"])
    point, quantiles = forecaster.ahead(series)
    yield from forecasting.plots.forecast_rows(series, point, quantiles, levels=config.levels)
    if options.output:
        forecasting.plots.plot_ahead(
            Path(options.output).with_suffix(".png"), series, point, quantiles, levels=config.levels
        )


def served(loaded: bundle.Bundle) -> forecasting.export.ServedForecaster:
    """From values to forecasts in TensorFlow alone, both in their own units: what `rnn-cookbook
    export` writes."""
    return forecasting.export.ServedForecaster(
        loaded.model, encode.series.SeriesEncoder.load(loaded.path)
    )


def search_space(hp, config: Config) -> Config:
    """What is worth tuning, data settings included. `hp` is keras_tuner.HyperParameters."""
    segment = hp.Choice(
        "segment", [config.segment, max(1, config.segment // 2), max(1, config.segment // 4)]
    )
    return replace(
        config,
        segment=segment,
        lookback=hp.Choice(
            "lookback",
            [
                config.lookback,
                max(segment, config.lookback // 2),
                max(segment, config.lookback // 4),
            ],
        ),
        normalization=hp.Choice("normalization", ["last", "standard"]),
        cell=hp.Choice("cell", ["lstm", "gru"]),
        units=hp.Choice("units", [32, 64, 128, 256]),
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
    history["seconds"] += time.perf_counter() - started - history.pop("seconds_here")
    model = forecasting.model.without_teacher(model)
    one, chosen = data.series[0], zip(data.series, data.spans["test"], strict=True)
    facts = {
        "columns": one.channels if not one.name else config.columns,
        "channels": len(one.channels),
        "frequency": one.times.freqstr,
        "season": data.season,
        "chosen_until": {
            each.name: str(each.times[first]) for each, (first, _) in chosen
        },  # what came before the test
    }
    bundle.save_bundle(
        run.path / "model",
        recipe=run.recipe,
        config=asdict(config),
        facts=facts,
        model=model,
        encoders=[data.encoder.save],
    )
    report.plot_training(run, history, metric="mse", unit="of scaled values")
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
    return report.comparison(
        measured, metric="mse", others=("mae", "mase", "coverage"), higher_is_better=False
    )


# Small steps of the above


def read(config: Config, path: str, columns: str | list[str] = "") -> list[Series]:
    """All series of a table, or of the data set or the sample of that name."""
    if path == "sample":
        return [forecasting.sample.seasonal_series(6000, seed=config.seed)]
    if path == "ETTh1":
        return read_series(download("ett/ETTh1.csv", **ETTH1, data_dir=config.data_dir))
    names = ("time_column", "id_column", "covariates", "frequency", "fill")
    return read_series(
        path, columns=columns or config.columns, **{name: getattr(config, name) for name in names}
    )


def cut(
    config: Config, data: Data, split: str, *, teacher: bool = False
) -> encode.series.Windows:
    return data.encoder.windows(
        data.series,
        data.spans[split],
        **{name: getattr(config, name) for name in ("lookback", "horizon", "batch_size")},
        teacher=teacher,
        stride=config.stride if split == "train" else 1,
        shuffle=split == "train",
        seed=config.seed,
    )


def scorer(data: Data, windows) -> forecasting.scores.Scorer:
    return forecasting.scores.Scorer(
        windows,
        series=data.series,
        encoder=data.encoder,
        train=data.spans["train"],
        season=data.season,
    )


if __name__ == "__main__":
    from rnn_cookbook.cli.main import main as command

    sys.exit(command(["run", __file__, *sys.argv[1:]]))
