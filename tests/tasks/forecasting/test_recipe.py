"""The forecasting recipe: near the floor on the sample, the benchmark by its protocol, nothing
learnt from the future, resumed to the same numbers."""

import json
from dataclasses import replace
from pathlib import Path

import fresh
import numpy as np
import pandas as pd
import pytest
from conftest import run_sample
from rnn_cookbook.recipes import forecasting

from rnn_cookbook.errors import InputError
from rnn_cookbook.run.bundle import load_bundle
from rnn_cookbook.run.fit import Keeper, seed_everything
from rnn_cookbook.run.folder import Run
from rnn_cookbook.tasks.forecasting.sample import seasonal_floor, seasonal_oracle, seasonal_series


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory):
    """One run of the sample by the command line, in a process of its own."""
    return run_sample("forecasting", tmp_path_factory)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
        wanted = (
            f"backtest of {name}: mean absolute error {of['model'].mean():.4g}, seasonal naive "
            f"{of['naive'].mean():.4g}; better at {of['wins'].sum()} of 75 origins"
        )
        assert wanted in ended.stderr


@pytest.mark.slow
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


# Learning


def trained(config, folder):
    """The data and the trained model of a run."""
    seed_everything(0)
    data = forecasting.load_data(config)
    model = forecasting.build_model(config, data)
    run = Run(recipe="forecasting", config=config, output=folder, quiet=True)
    forecasting.train(config, model, data, run)
    return data, model


@pytest.mark.slow
def test_a_promotion_known_ahead_is_forecast(daily):
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
        epochs=20,
        learning_rate=1e-2,
        baselines=False,
    )
    errors = {}
    for covariates in ("", "promo"):
        config = replace(config, covariates=covariates)
        data, model = trained(config, f"run{covariates}")
        errors[covariates] = forecasting.evaluate(config, model, data)["mae_units"]
    assert errors[""] > 8, "a promotion adds 40 to a fifth of the days: 8 for who forecasts none"
    assert errors["promo"] < 0.6 * errors[""]


@pytest.mark.slow
def test_another_future_changes_nothing_that_was_learnt(daily):
    """The scale, the weights, the chosen epoch and the mixture: the same numbers, whatever the test
    steps are."""
    config = forecasting.Config(
        data="a.csv",
        columns="sales",
        lookback=14,
        horizon=5,
        segment=7,
        units=4,
        embedding=4,
        epochs=3,
        least_steps=0,
        batch_size=16,
    )
    frame = daily(100)
    learnt = []
    for name, change in (("a", 0), ("b", 1000)):
        frame.loc[80:, "sales"] += change
        frame.to_csv(f"{name}.csv", index=False)
        data, model = trained(replace(config, data=f"{name}.csv"), f"run-{name}")
        assert data.spans["test"] == [(80, 100)]
        learnt.append([*model.get_weights(), *data.encoder.values.facts[""]])
    for one, other in zip(*learnt, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_numbers(daily):
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
        epochs=3,
        least_steps=0,
        batch_size=8,
        baselines=False,
    )

    def run(folder, resume=False):
        return Run(recipe="forecasting", config=config, output=folder, resume=resume, quiet=True)

    forecasting.main(config, run("whole"))
    killed = run("killed")
    save = Keeper.save

    def save_and_die(self):
        save(self)
        if len(self.state["history"]) == 2:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Keeper, "save", save_and_die)
        with pytest.raises(Killed):
            forecasting.main(config, killed)
    del killed
    forecasting.main(config, run("killed", resume=True))
    one, other = (
        json.loads(Path(name, "metrics.json").read_text())["test"] for name in ("whole", "killed")
    )
    assert one == other
    rows = [Path(name, "predictions.jsonl").read_text() for name in ("whole", "killed")]
    assert rows[0] == rows[1]
