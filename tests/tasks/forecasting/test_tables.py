"""The forecasting recipe on the users' own tables: wide and long ones, bad input, predictions."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rnn_cookbook.cli.main import main

TINY = ["--epochs=1", "--least-steps=0", "--units=4", "--embedding=4", "--quiet", "--no-baselines"]
SHORT = ["--lookback=28", "--horizon=7", "--segment=7"]
RNG = np.random.default_rng(0)


def run(*arguments, folder=Path()) -> dict:
    output = folder / "run"
    assert main(["run", "forecasting", "--output", str(output), *TINY, *map(str, arguments)]) == 0
    return json.loads((output / "metrics.json").read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory, daily) -> Path:
    """A folder with a table, my.csv, and a run on its sales with the promotions known ahead."""
    folder = tmp_path_factory.mktemp("trained")
    table = folder / "my.csv"
    daily(200, days_ahead=7).to_csv(table, index=False)
    columns = ["--columns", "sales", "--covariates", "promo"]
    run("--data", table, *columns, *SHORT, folder=folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        "--head student_t",
        "--head gaussian --normalization standard --cell lstm",
        "--head point --depth 2",
        "--quantiles 0.05,0.25,0.5,0.75,0.95 --cell simple_rnn",
        "--calendar --joint --covariates promo",
        "--model recursive --calendar --covariates promo --head gaussian --cell lstm",
        "--horizon 10 --lookback 25 --no-linear --normalization last_scaled",
        "--stride 3 --season 30",
    ],
)
def test_a_wide_table_of_your_own(options, daily, capsys):
    frame = daily(300, days_ahead=14).assign(other=RNG.normal(size=314))
    frame.loc[300:, "other"] = np.nan
    frame.iloc[: None if "promo" in options else 300].to_csv("my.csv", index=False)
    report = run("--data", "my.csv", "--columns", "sales,other", *SHORT, *options.split())
    horizon = 10 if "--horizon 10" in options else 7
    assert report["splits"]["test"] == 60 - horizon + 1
    assert ("coverage" in report["test"]) == ("point" not in options)
    capsys.readouterr()
    assert main(["predict", "run", "--output", "f.csv"]) == 0
    forecast = pd.read_csv("f.csv")
    last = pd.Timestamp("2022-10-27") + pd.Timedelta(horizon, "D")
    spans = forecast.groupby("unique_id", sort=False)["ds"].agg(["first", "last", "count"])
    assert spans.values.tolist() == [["2022-10-28 00:00:00", str(last), horizon]] * 2
    assert list(forecast["unique_id"].unique()) == ["sales", "other"]
    quantiles = forecast.iloc[:, 3:]
    assert quantiles.shape[1] == (0 if "point" in options else 5 if "0.05" in options else 3)
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert np.isfinite(forecast["forecast"]).all()


@pytest.mark.slow
def test_a_long_table_with_series_of_any_scale_and_length(daily, capsys):
    frame = pd.concat(
        daily(steps, seed=i).assign(
            unique_id=f"shop {i}", y=lambda rows, i=i: rows["sales"] * 10**i
        )
        for i, steps in enumerate((200, 150, 40, 20))
    )
    frame.drop(columns=["sales", "promo"]).to_parquet("my.parquet")
    columns = ["--id-column", "unique_id", "--columns", "y", "--time-column", "date"]
    report = run("--data", "my.parquet", *columns, *SHORT)
    assert report["splits"]["test"] == (40 - 6) + (30 - 6)
    wanted = (
        "2 of 4 series are too short for a look-back of 28 and a horizon of 7, and left out: "
        "shop 2, shop 3"
    )
    assert wanted in capsys.readouterr().err
    assert main(["predict", "run", "--output", "f.csv", "--backtest", "3"]) == 0
    log = capsys.readouterr().err
    means = pd.read_csv("f.csv").groupby("unique_id", sort=False)["forecast"].agg(["count", "mean"])
    assert list(means.index) == ["shop 0", "shop 1", "shop 2"]
    assert set(means["count"]) == {7}
    np.testing.assert_allclose(means["mean"] / [100, 1000, 10_000], 1, atol=0.4)
    assert "1 of 4 series have less than 28 steps and get no forecast: shop 3" in log
    assert "1 series that training did not see are scaled by their own values: shop 2" in log
    assert "backtest of shop 2: mean absolute error" in log


@pytest.mark.slow
def test_a_constant_series_is_told_and_divides_nothing_by_zero(daily, capsys):
    daily(120).assign(sales=5.0).to_csv("my.csv", index=False)
    report = run("--data", "my.csv", "--columns", "sales", *SHORT)
    assert "constant from start to end: 'sales'" in capsys.readouterr().err
    assert np.isfinite(list(report["test"].values())).all()
    assert "mase" not in report["test"], "nothing to divide by"


@pytest.mark.slow
def test_a_season_longer_than_the_window_is_told(daily, capsys):
    frame = daily(200)
    frame["date"] = pd.date_range("2024-01-01", periods=200, freq="min")
    frame.to_csv("my.csv", index=False)
    run("--data", "my.csv", "--columns", "sales", *SHORT)
    wanted = (
        "a season of 1440 steps is longer than the look-back of 28: the naive forecasts repeat the "
        "last value"
    )
    assert wanted in capsys.readouterr().err


BAD = {
    "--data my.csv": (
        "my.csv, row 2: column 'note' has 'x', which is no number (200 such rows). Mend it, or "
        "name the columns"
    ),
    "--data my.csv --columns sales --lookback 400": (
        "140 to train, 20 to validate, 40 to test. That is too few for a look-back"
    ),
    "--data my.csv --columns sales --lookback 20 --segment 30": (
        "--lookback must be at least segment=30; received 20"
    ),
    "--data my.csv --quantiles 0.9,0.1": (
        "--quantiles must be increasing numbers separated by commas; received '0.9,0.1'"
    ),
    "--data my.csv --quantiles ten": (
        "--quantiles must be increasing numbers separated by commas; received 'ten'"
    ),
    "--data my.csv --quantiles 0.5,1": (
        "--quantiles must be numbers between 0 and 1; received '0.5,1'"
    ),
    "--data my.csv --quantiles 0.1,0.9": (
        "--quantiles must be numbers with 0.5 among them; received '0.1,0.9'"
    ),
    "--columns OT": "--columns is for tables of your own, not for ETTh1",
    "--data my.csv --columns sales --frequency 0D": (
        "--frequency '0D' does not suit my.csv: it would put 200 rows into inf"
    ),
    "--data my.csv --columns sales --frequency us": (
        "--frequency 'us' does not suit my.csv: it would put 200 rows into 1.7"
    ),
    "--data my.csv --horizon 0": "--horizon must be at least 1; received 0",
    "--data gaps.csv --columns sales": (
        "no value for 2 steps of 'sales' (the first at 2022-01-06 00:00:00). Choose what to put in"
    ),
    "--data twice.csv --columns sales": (
        "2022-01-05 00:00:00 occurs more than once, in row 6 and row 7"
    ),
    "--data gone.csv": "gone.csv cannot be read: No such file or directory",
}


@pytest.mark.parametrize("arguments", BAD)
def test_bad_input_ends_with_one_line(arguments, daily, capsys):
    frame = daily(200).assign(note="x")
    frame.to_csv("my.csv", index=False)
    frame.drop(index=[5, 6]).to_csv("gaps.csv", index=False)
    twice = frame["date"].where(frame.index != 5, frame["date"][4])
    frame.assign(date=twice).to_csv("twice.csv", index=False)
    given = [*TINY, *SHORT, *arguments.split()]
    assert main(["run", "forecasting", "--output", "run", *given]) == 2
    printed = capsys.readouterr().err
    assert BAD[arguments] in printed.splitlines()[-1]
    assert "Traceback" not in printed
    assert not Path("run").exists()


@pytest.mark.slow
def test_bad_tables_to_predict(trained, daily, capsys):
    daily(200).to_csv("my.csv", index=False)
    daily(20, days_ahead=7).to_csv("short.csv", index=False)
    weekly = daily(100).iloc[::7]
    weekly.to_csv("weekly.csv", index=False)
    weekly.drop(columns="sales").to_csv("other.csv", index=False)
    bad = {
        "my.csv": (
            "'promo' end at 2022-07-19 00:00:00, the values at 2022-07-19 00:00:00: to forecast 7 "
            "steps they must be known until"
        ),
        "short.csv": "short.csv has 20 steps at most; the model reads 28 to forecast what follows",
        "weekly.csv": (
            "weekly.csv has steps of 7D; the model was trained on steps of D and can forecast no "
            "others"
        ),
        "other.csv": "other.csv has no column 'sales'",
        "my.csv --backtest -1": "--backtest must be at least 0; received -1",
        "my.csv weekly.csv": "one table at a time; received my.csv, weekly.csv",
        "my.csv --output .": "--output must be a table (its plot goes beside it); received .",
        "my.csv --output f.png": (
            "--output must be a table (its plot goes beside it); received f.png"
        ),
    }
    for arguments, message in bad.items():
        capsys.readouterr()
        assert main(["predict", str(trained / "run"), *arguments.split()]) == 2
        captured = capsys.readouterr()
        assert message in captured.err.splitlines()[-1]
        assert captured.out == ""


@pytest.mark.slow
def test_options_may_stand_before_the_run(trained, capsys):
    """Their values are not taken for the run, and the recipe's own options are known anyway."""
    run_folder, table = str(trained / "run"), str(trained / "my.csv")
    capsys.readouterr()
    assert main(["predict", "--output", "f.csv", "--backtest", "2", run_folder, table]) == 0
    assert len(pd.read_csv("f.csv")) == 7
    assert "backtest of sales" in capsys.readouterr().err
    assert Path("f.png").exists()
    assert main(["predict", "nowhere", table, "--backtest", "2"]) == 2
    assert "nowhere holds no trained model" in capsys.readouterr().err


@pytest.mark.slow
def test_a_table_of_another_size_is_told(trained, daily, capsys):
    """A wide table has no name by which it would be new: it is scaled as in training, and said to
    be far from it."""
    run_folder = str(trained / "run")
    large = daily(200, days_ahead=7).assign(sales=lambda rows: rows["sales"] * 1e6)
    large.to_csv("large.csv", index=False)
    capsys.readouterr()
    assert main(["predict", run_folder, "large.csv"]) == 0
    captured = capsys.readouterr()
    assert "'sales': far from what the model was trained on" in captured.err
    assert main(["predict", run_folder, str(trained / "my.csv")]) == 0
    assert "far from" not in capsys.readouterr().err
