"""The forecasting recipe: near the floor on the sample, the benchmark by its protocol, everybody's
own tables, honest backtests."""

import json
from dataclasses import replace
from pathlib import Path

import fresh
import numpy as np
import pandas as pd
import pytest
from conftest import run_sample
from rnn_cookbook.recipes import forecasting

from rnn_cookbook.cli.main import main
from rnn_cookbook.errors import InputError
from rnn_cookbook.run.bundle import load_bundle
from rnn_cookbook.run.fit import _Keeper, seed_everything
from rnn_cookbook.run.folder import Run
from rnn_cookbook.tasks.forecasting.sample import seasonal_floor, seasonal_oracle, seasonal_series

TINY = [
    "--epochs",
    "1",
    "--least-steps",
    "0",
    "--units",
    "4",
    "--embedding",
    "4",
    "--quiet",
    "--no-baselines",
]
SHORT = ["--lookback", "28", "--horizon", "7", "--segment", "7"]
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory):
    """One run of the sample by the command line, in a process of its own."""
    return run_sample("forecasting", tmp_path_factory)


def test_the_sample_is_forecast_nearly_as_well_as_by_who_knows_its_law(sample_run):
    folder, _ = sample_run
    report = json.loads((folder / "metrics.json").read_text())
    horizon, origins = 24, np.arange(4200, 6000 - 24 + 1)
    actual = seasonal_series(6000, seed=0).values[origins[:, None] + np.arange(horizon)]
    best = np.mean((seasonal_oracle(6000, origins, horizon, seed=0) - actual) ** 2)
    assert best == pytest.approx(seasonal_floor(horizon), rel=0.1)
    assert report["splits"]["test"] == len(origins)
    assert best < report["test"]["rmse_units"] ** 2 < 1.1 * best
    for name in ("repeat_last", "seasonal_naive", "seasonal_mean"):
        assert report["baselines"][name]["mse"] > 1.3 * report["test"]["mse"]
    assert 0.75 <= report["test"]["coverage"] <= 0.85
    assert report["test"]["mase"] < 0.8


def test_the_run_folder_holds_what_is_promised(sample_run):
    folder, ended = sample_run
    report = json.loads((folder / "metrics.json").read_text())
    measures = {"mse", "mae", "mae_units", "rmse_units", "mase", "smape"}
    assert set(report["test"]) == measures | {"pinball_units", "coverage", "width_units"}
    assert all(set(scores) == measures | {"seconds"} for scores in report["baselines"].values())
    for plot in ("training", "forecasts", "error_by_step", "residual_autocorrelation"):
        assert (folder / f"plots/{plot}.png").read_bytes().startswith(b"\x89PNG")
    by_step = pd.read_csv(folder / "error_by_step.csv", index_col="step")
    assert by_step.shape == (24, 5)
    assert by_step["this model"].mean() == pytest.approx(report["test"]["mse"], rel=1e-4)
    assert by_step["ridge"].mean() == pytest.approx(report["baselines"]["ridge"]["mse"], rel=1e-4)
    assert by_step["this model"].iloc[0] < 0.5 * by_step["this model"].iloc[-1], (
        "what lies further ahead is harder"
    )
    series = seasonal_series(6000, seed=0)
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 2 * (1800 // 24)
    for row in (rows[0], rows[-1]):
        start = series.times.get_loc(row["first_step"])
        wanted = series.values[start : start + 24, series.channels.index(row["unique_id"])]
        np.testing.assert_allclose(row["actual"], wanted, rtol=1e-4)
    inside = [
        low <= a <= high
        for row in rows
        for low, a, high in zip(row["q0.1"], row["actual"], row["q0.9"], strict=True)
    ]
    assert np.mean(inside) == pytest.approx(report["test"]["coverage"], abs=0.02)
    origins = pd.read_csv(folder / "backtest.csv")
    assert len(origins) == len(rows)
    error = np.abs(np.subtract(rows[0]["forecast"], rows[0]["actual"])).mean()
    assert origins.query("unique_id == 'series 1'")["model"].iloc[0] == pytest.approx(
        error, rel=1e-4
    )
    assert origins["wins"].mean() > 0.7
    assert "the model wins against the best baseline" in ended.stdout
    assert "Traceback" not in ended.stderr
    assert "WARNING" not in ended.stderr


def predict(folder, *arguments):
    return fresh.run("predict", folder, *arguments)


def test_predict_goes_on_after_the_end_in_a_new_process(sample_run, tmp_path):
    """The forecast of the sample cut short by a day is near the best one of that day; the backtest
    says who wins in words."""
    folder, _ = sample_run
    series = seasonal_series(6000, seed=0)
    table = pd.DataFrame(series.values, columns=series.channels)
    table.insert(0, "date", series.times)
    table.assign(remark="not a number").iloc[:-24].to_csv(tmp_path / "cut.csv", index=False)
    ended = predict(folder, "cut.csv", "--backtest", "20", "--output", "ahead.csv")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    found = pd.read_csv(tmp_path / "ahead.csv")
    assert list(found.columns) == ["unique_id", "ds", "forecast", "q0.1", "q0.5", "q0.9"]
    (best,) = seasonal_oracle(6000, np.array([5976]), 24, seed=0)
    for c, name in enumerate(series.channels):
        of = found[found["unique_id"] == name]
        assert list(pd.to_datetime(of["ds"])) == list(series.times[-24:])
        assert (np.diff(of[["q0.1", "q0.5", "q0.9"]], axis=1) >= 0).all()
        assert np.abs(of["forecast"] - best[:, c]).mean() < 0.4
        assert np.mean((of["q0.1"] <= best[:, c]) & (best[:, c] <= of["q0.9"])) > 0.9
    assert (tmp_path / "ahead.png").read_bytes().startswith(b"\x89PNG")
    assert ended.stderr.count("the model wins by") == 2
    assert "too good to be true" not in ended.stderr
    again = predict(folder, "--backtest", "90")  # without a table: the sample itself, far back
    assert again.stdout.splitlines()[1].startswith("series 1,2024-09-07 00:00:00,")
    assert "begins within what the model was trained on: too good to be true" in again.stderr


@pytest.mark.slow
def test_a_backtest_of_the_test_split_agrees_with_the_run(sample_run):
    """Other code, the same windows: `predict --backtest 75` is the test split's backtest."""
    folder, _ = sample_run
    origins = pd.read_csv(folder / "backtest.csv")
    ended = predict(folder, "--backtest", "75")
    for name, of in origins.groupby("unique_id"):
        wanted = f"backtest of {name}: mean absolute error {of['model'].mean():.4g}, seasonal naive {of['naive'].mean():.4g}; better at"
        assert f"{wanted} {of['wins'].sum()} of 75 origins" in ended.stderr


# The benchmark


def test_the_benchmark_is_scored_by_its_protocol(data_dir, tmp_path):
    """12, 4 and 4 months; every window; repeat-last and ridge give what others measured."""
    config = forecasting.Config(data_dir=str(data_dir), lookback=336)
    data = forecasting.load_data(config)
    sizes = {split: forecasting.cut(config, data, split).examples for split in data.spans}
    assert sizes == {
        "train": 8640 - 336 - 96 + 1,
        "validation": 2880 - 96 + 1,
        "test": 2880 - 96 + 1,
    }
    scores = forecasting.baselines(config, data)
    assert scores["repeat_last"]["mse"] == pytest.approx(1.294, abs=1e-3)
    assert scores["seasonal_naive"]["mse"] == pytest.approx(0.512, abs=1e-3)
    assert scores["ridge"]["mse"] == pytest.approx(0.370, abs=1e-3)


def test_predictions_of_the_benchmark_go_on_after_all_its_rows(data_dir):
    series = forecasting.read(forecasting.Config(data_dir=str(data_dir)), "ETTh1")
    assert (
        len(series[0]),
        len(forecasting.load_data(forecasting.Config(data_dir=str(data_dir))).series[0]),
    ) == (17_420, 14_400)


# Your own tables


def daily(steps: int, *, promotions=False, seed=0, days_ahead=0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    time, promo = np.arange(steps + days_ahead), (rng.random(steps + days_ahead) < 0.2).astype(int)
    sales = (
        100
        + 20 * np.sin(2 * np.pi * time / 7)
        + rng.normal(0, 3, len(time))
        + 40 * promotions * promo
    )
    sales[steps:] = np.nan
    return pd.DataFrame(
        {
            "date": pd.date_range("2022-01-01", periods=len(time), freq="D"),
            "sales": sales,
            "promo": promo,
        }
    )


def run(*arguments) -> dict:
    assert main(["run", "forecasting", "--output", "run", *TINY, *map(str, arguments)]) == 0
    return json.loads(Path("run/metrics.json").read_text())


@pytest.mark.parametrize(
    "options",
    [
        ["--head", "student_t"],
        *(
            pytest.param(options, marks=pytest.mark.slow)
            for options in (
                ["--model", "recursive"],
                ["--head", "gaussian", "--normalization", "standard", "--cell", "lstm"],
                ["--head", "point", "--depth", "2"],
                ["--quantiles", "0.05, 0.25, 0.5, 0.75, 0.95", "--cell", "simple_rnn"],
                ["--calendar", "--joint", "--covariates", "promo"],
                [
                    "--model",
                    "recursive",
                    "--calendar",
                    "--covariates",
                    "promo",
                    "--head",
                    "gaussian",
                    "--cell",
                    "lstm",
                ],
                [
                    "--horizon",
                    "10",
                    "--lookback",
                    "25",
                    "--no-linear",
                    "--normalization",
                    "last_scaled",
                ],
                ["--stride", "3", "--season", "30"],
            )
        ),
    ],
    ids=" ".join,
)
def test_a_wide_table_of_your_own(options, capsys):
    frame = daily(300, days_ahead=14).assign(other=RNG.normal(size=314))
    frame.loc[300:, "other"] = np.nan
    frame.iloc[: None if "promo" in options else 300].to_csv("my.csv", index=False)
    report = run("--data", "my.csv", "--columns", "sales,other", *SHORT, *options)
    horizon = 10 if "10" in options else 7
    assert report["splits"]["test"] == 60 - horizon + 1
    assert ("coverage" in report["test"]) == ("point" not in options)
    capsys.readouterr()
    assert main(["predict", "run", "--output", "f.csv"]) == 0
    found = pd.read_csv("f.csv")
    assert (
        found.groupby("unique_id", sort=False)["ds"].agg(["first", "last", "count"]).values.tolist()
        == [
            [
                "2022-10-28 00:00:00",
                str(pd.Timestamp("2022-10-27") + pd.Timedelta(horizon, "D")),
                horizon,
            ]
        ]
        * 2
    )
    assert list(found["unique_id"].unique()) == ["sales", "other"]
    quantiles = found.iloc[:, 3:]
    assert quantiles.shape[1] == (0 if "point" in options else 5 if "0.05" in str(options) else 3)
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert np.isfinite(found["forecast"]).all()


def test_a_long_table_with_series_of_any_scale_and_length(capsys):
    frame = pd.concat(
        daily(steps, seed=i).assign(
            unique_id=f"shop {i}", y=lambda rows, i=i: rows["sales"] * 10**i
        )
        for i, steps in enumerate((200, 150, 40, 20))
    )
    frame.drop(columns=["sales", "promo"]).to_parquet("my.parquet")
    report = run(
        "--data",
        "my.parquet",
        "--id-column",
        "unique_id",
        "--columns",
        "y",
        "--time-column",
        "date",
        *SHORT,
        "--quiet",
    )
    assert report["splits"]["test"] == (40 - 6) + (30 - 6)
    assert (
        "2 of 4 series are too short for a look-back of 28 and a horizon of 7, and left out: shop 2, shop 3"
        in capsys.readouterr().err
    )
    assert main(["predict", "run", "--output", "f.csv", "--backtest", "3"]) == 0
    told = capsys.readouterr().err
    found = pd.read_csv("f.csv").groupby("unique_id", sort=False)["forecast"].agg(["count", "mean"])
    assert list(found.index) == ["shop 0", "shop 1", "shop 2"]
    assert set(found["count"]) == {7}
    np.testing.assert_allclose(found["mean"] / [100, 1000, 10_000], 1, atol=0.4)
    assert "1 of 4 series have less than 28 steps and get no forecast: shop 3" in told
    assert "1 series that training did not see are scaled by their own values: shop 2" in told
    assert "backtest of shop 2: mean absolute error" in told


@pytest.mark.slow
def test_a_promotion_known_ahead_is_forecast(tmp_path):
    """What nobody could know from the past: with the covariate the error is that of the noise,
    without it that of the promotions."""
    daily(500, promotions=True).to_csv("my.csv", index=False)
    config = forecasting.Config(
        data="my.csv",
        columns="sales",
        lookback=28,
        horizon=7,
        segment=7,
        units=32,
        embedding=32,
        dropout=0.0,
    )
    config = replace(config, epochs=20, learning_rate=1e-2, baselines=False)
    errors = {}
    for covariates in ("", "promo"):
        config = replace(config, covariates=covariates)
        seed_everything(0)
        data = forecasting.load_data(config)
        model = forecasting.build_model(config, data)
        forecasting.train(
            config,
            model,
            data,
            Run(recipe="forecasting", config=config, output=f"run{covariates}", quiet=True),
        )
        errors[covariates] = forecasting.evaluate(config, model, data)["mae_units"]
    assert errors[""] > 8, "a promotion adds 40 to a fifth of the days: 8 for who forecasts none"
    assert errors["promo"] < 0.6 * errors[""]


def test_another_future_changes_nothing_that_was_learnt(tmp_path):
    """The scale, the weights and the chosen epoch: the same numbers, whatever the test steps are."""
    frame = daily(200)
    weights = []
    for name, change in (("a", 0), ("b", 1000)):
        frame.loc[160:, "sales"] += change
        frame.to_csv(f"{name}.csv", index=False)
        config = forecasting.Config(
            data=f"{name}.csv",
            columns="sales",
            lookback=21,
            horizon=5,
            segment=7,
            units=4,
            embedding=4,
            epochs=2,
        )
        seed_everything(0)
        data = forecasting.load_data(config)
        model = forecasting.build_model(config, data)
        forecasting.train(
            config,
            model,
            data,
            Run(recipe="forecasting", config=config, output=f"run-{name}", quiet=True),
        )
        weights.append([*model.get_weights(), *data.encoder.values.facts[""]])
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_numbers(tmp_path):
    class Killed(Exception):
        pass

    daily(150).to_csv("my.csv", index=False)
    config = forecasting.Config(
        data="my.csv",
        columns="sales",
        lookback=14,
        horizon=7,
        segment=7,
        units=4,
        embedding=4,
        dropout=0.3,
    )
    config = replace(config, epochs=3, least_steps=0, batch_size=8, baselines=False)
    forecasting.main(config, Run(recipe="forecasting", config=config, output="whole", quiet=True))
    run = Run(recipe="forecasting", config=config, output="killed", quiet=True)
    save = _Keeper.save

    def save_and_die(self):
        save(self)
        if len(self.state["history"]) == 2:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Keeper, "save", save_and_die)
        with pytest.raises(Killed):
            forecasting.main(config, run)
    del run
    forecasting.main(
        config, Run(recipe="forecasting", config=config, output="killed", resume=True, quiet=True)
    )
    one, other = (
        json.loads(Path(name, "metrics.json").read_text())["test"] for name in ("whole", "killed")
    )
    assert one == other
    assert (
        Path("whole/predictions.jsonl").read_text() == Path("killed/predictions.jsonl").read_text()
    )


def test_a_constant_series_is_told_and_divides_nothing_by_zero(capsys):
    daily(120).assign(sales=5.0).to_csv("my.csv", index=False)
    report = run("--data", "my.csv", "--columns", "sales", *SHORT)
    assert "constant from start to end: 'sales'" in capsys.readouterr().err
    assert np.isfinite(list(report["test"].values())).all()
    assert "mase" not in report["test"], "nothing to divide by"


@pytest.mark.slow
def test_a_season_longer_than_the_window_is_told(capsys):
    frame = daily(200)
    frame["date"] = pd.date_range("2024-01-01", periods=200, freq="min")
    frame.to_csv("my.csv", index=False)
    run("--data", "my.csv", "--columns", "sales", *SHORT)
    assert (
        "a season of 1440 steps is longer than --lookback 28: the naive forecasts repeat the last value"
        in capsys.readouterr().err
    )


BAD = [
    (
        ["--data", "my.csv"],
        "my.csv, row 2: column 'note' has 'x', which is no number (200 such rows). Mend it, or name the columns",
    ),
    (
        ["--data", "my.csv", "--columns", "sales", "--lookback", "400"],
        "140 to train, 20 to validate, 40 to test. That is too few for a look-back",
    ),
    (
        ["--data", "my.csv", "--columns", "sales", "--lookback", "20", "--segment", "30"],
        "--lookback 20 is less than one --segment 30",
    ),
    (
        ["--data", "my.csv", "--quantiles", "0.9,0.1"],
        "--quantiles must be numbers that rise, separated by commas, got '0.9,0.1'",
    ),
    (
        ["--data", "my.csv", "--quantiles", "ten"],
        "--quantiles must be numbers that rise, separated by commas, got 'ten'",
    ),
    (
        ["--data", "my.csv", "--quantiles", "0.5,1"],
        "--quantiles must be numbers between 0 and 1, got '0.5,1'",
    ),
    (
        ["--data", "my.csv", "--quantiles", "0.1,0.9"],
        "--quantiles must be numbers with 0.5 among them, got '0.1,0.9'",
    ),
    (["--columns", "OT"], "--columns is for tables of your own, not for ETTh1"),
    (
        ["--data", "my.csv", "--columns", "sales", "--frequency", "0D"],
        "--frequency '0D' does not suit my.csv: it would put 200 rows into inf",
    ),
    (
        ["--data", "my.csv", "--columns", "sales", "--frequency", "us"],
        "--frequency 'us' does not suit my.csv: it would put 200 rows into 1.7",
    ),
    (["--data", "my.csv", "--horizon", "0"], "--horizon must be at least 1, got 0"),
    (
        ["--data", "gaps.csv", "--columns", "sales"],
        "no value for 2 steps of 'sales' (the first at 2022-01-06 00:00:00). Choose what to put in",
    ),
    (
        ["--data", "twice.csv", "--columns", "sales"],
        "2022-01-05 00:00:00 occurs more than once, in row 6 and row 7",
    ),
    (["--data", "gone.csv"], "gone.csv cannot be read: No such file or directory"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_bad_input_ends_with_one_line(arguments, message, capsys):
    frame = daily(200).assign(note="x")
    frame.to_csv("my.csv", index=False)
    frame.drop(index=[5, 6]).to_csv("gaps.csv", index=False)
    frame.assign(date=frame["date"].where(frame.index != 5, frame["date"][4])).to_csv(
        "twice.csv", index=False
    )
    assert main(["run", "forecasting", "--output", "run", *TINY, *SHORT, *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told.splitlines()[-1]
    assert "Traceback" not in told
    assert not Path("run").exists()


def test_bad_tables_to_predict(capsys):
    daily(200).to_csv("my.csv", index=False)
    run("--data", "my.csv", "--columns", "sales", "--covariates", "promo", *SHORT)
    daily(20, days_ahead=7).to_csv("short.csv", index=False)
    weekly = daily(100).iloc[::7]
    weekly.to_csv("weekly.csv", index=False)
    weekly.drop(columns="sales").to_csv("other.csv", index=False)
    for arguments, message in (
        (
            ["my.csv"],
            "'promo' end at 2022-07-19 00:00:00, the values at 2022-07-19 00:00:00: to forecast 7 steps they must be known until",
        ),
        (
            ["short.csv"],
            "short.csv has 20 steps at most; the model reads 28 to forecast what follows",
        ),
        (
            ["weekly.csv"],
            "weekly.csv has steps of 7D; the model was trained on steps of D and can forecast no others",
        ),
        (["other.csv"], "other.csv has no column 'sales'"),
        (["my.csv", "--backtest", "-1"], "--backtest must be at least 0, got -1"),
        (["my.csv", "weekly.csv"], "one table at a time, got my.csv, weekly.csv"),
        (
            ["my.csv", "--output", "run"],
            "--output is the table, such as forecast.csv (the plot goes beside it), got run",
        ),
        (
            ["my.csv", "--output", "f.png"],
            "--output is the table, such as forecast.csv (the plot goes beside it), got f.png",
        ),
    ):
        capsys.readouterr()
        assert main(["predict", "run", *arguments]) == 2
        captured = capsys.readouterr()
        assert message in captured.err.splitlines()[-1]
        assert captured.out == ""


def test_options_may_stand_before_the_run(capsys):
    """Their values are not taken for the run, and the recipe's own options are known all the same."""
    daily(200).to_csv("my.csv", index=False)
    run("--data", "my.csv", "--columns", "sales", *SHORT)
    capsys.readouterr()
    assert main(["predict", "--output", "f.csv", "--backtest", "2", "run", "my.csv"]) == 0
    assert len(pd.read_csv("f.csv")) == 7
    assert "backtest of sales" in capsys.readouterr().err
    assert Path("f.png").exists()
    assert main(["predict", "nowhere", "my.csv", "--backtest", "2"]) == 2
    assert "nowhere holds no trained model" in capsys.readouterr().err


@pytest.mark.slow
def test_a_table_of_another_size_is_told(capsys):
    """A wide table has no name by which it would be new: it is scaled as in training, and said to
    be far from it."""
    daily(200).to_csv("my.csv", index=False)
    run("--data", "my.csv", "--columns", "sales", *SHORT)
    daily(200).assign(sales=lambda rows: rows["sales"] * 1e6).to_csv("large.csv", index=False)
    capsys.readouterr()
    assert main(["predict", "run", "large.csv"]) == 0
    captured = capsys.readouterr()
    assert "'sales': far from what the model was trained on" in captured.err
    assert main(["predict", "run", "my.csv"]) == 0
    assert "far from" not in capsys.readouterr().err


def test_the_bundle_knows_its_data(sample_run):
    loaded = load_bundle(sample_run[0])
    assert loaded.facts == {
        "columns": ["series 1", "series 2"],
        "channels": 2,
        "frequency": "h",
        "season": 24,
        "chosen_until": {"": "2024-06-24 00:00:00"},
    }
    with pytest.raises(InputError, match="too few"):
        forecasting.load_data(replace(forecasting.SAMPLE, lookback=5000))
