"""Searches: what fails is recorded and the search goes on, what was interrupted goes on, what is
found can be run."""

import json
import os
import time
from pathlib import Path

import fresh
import numpy as np
import pandas as pd
import pytest
from toys import SEARCHED

from rnn_cookbook.cli.main import main
from rnn_cookbook.errors import InputError
from rnn_cookbook.metrics import Metric

pytest.importorskip("keras_tuner", reason="the tuner is an extra")


def tune(*arguments) -> pd.DataFrame:
    assert main(["tune", "toy.py", "--output", "search", "--quiet", *arguments]) == 0
    return pd.read_csv("search/trials.csv", dtype={"trial": str})


def test_a_grid_finds_the_best_and_what_fails_is_recorded(toy, capsys):
    table = tune("--tuner", "grid")
    assert table["trial"].iloc[-1] == "default"
    table, default = table.iloc[:-1], table.iloc[-1]
    assert len(table) == 14
    assert default["score"] == pytest.approx(-6 + 0.009)
    assert (default["x"], default["colour"]) == (9, "red")
    assert table["x"].dtype == np.int64
    failed = table[table["status"] == "failed"]
    assert set(failed["x"]) == {1, 2, 4}
    assert not failed["error"].str.contains("keras_tuner").any()
    for x, told in (
        (1, "ValueError: one is none"),
        (2, "scores that are no numbers"),
        (4, "ran out of memory"),
    ):
        assert failed[failed["x"] == x]["error"].str.contains(told).all(), x
    done = table[table["status"] == "completed"]
    np.testing.assert_allclose(
        done["score"], -abs(done["x"] - 3) + 0.1 * (done["colour"] == "blue") + 0.009
    )
    best = json.loads(Path("search/best.json").read_text())
    assert (best["x"], best["colour"], best["epochs"]) == (3, "blue", 9)
    out = capsys.readouterr().out
    assert "best of the search, on validation: worth 0.1090" in out
    assert "the search started from worth -5.9910; the best is better by 6.1000" in out
    assert "trained with x 3" in out
    assert json.loads(Path("search/best/metrics.json").read_text())["x"] == 3
    for plot in ("scores", "parallel", "importance"):
        assert Path(f"search/plots/{plot}.png").read_bytes().startswith(b"\x89PNG")
    assert [*Path("search/search").glob("trial_*/hparams/events*")], (
        "TensorBoard has the parameters"
    )
    assert (
        main(["run", "toy.py", "--config", "search/best.json", "--output", "again", "--quiet"]) == 0
    )
    assert json.loads(Path("again/metrics.json").read_text())["x"] == 3
    # A finished search that is gone on with has nothing left to do.
    count = len([*Path("started").iterdir()])
    assert len(tune("--resume")) == 15
    assert len([*Path("started").iterdir()]) == count


def test_hyperband_spends_epochs_on_what_is_good(toy):
    table = tune("--tuner", "hyperband").iloc[:-1]
    assert set(table["epochs budget"]) == {1, 3, 9}, "though some fail, which count as the worst"
    budgets = table.groupby("epochs budget").size()
    assert budgets[1] > budgets[3]
    first, last = (table[table["epochs budget"] == budget]["score"].mean() for budget in (1, 9))
    assert last > first + 0.1
    assert json.loads(Path("search/best.json").read_text())["epochs"] == 9, (
        "the best is trained with all its epochs"
    )


@pytest.mark.parametrize("tuner", ["random", "bayesian"])
def test_as_many_trials_as_are_asked_for(toy, tuner):
    table = tune("--tuner", tuner, "--trials", "4", "--objective", "val_loss")
    assert len(table) == 5
    assert (table[table["status"] == "completed"]["score"] == 1.0).all()


def test_no_trial_begins_when_the_time_is_up(toy):
    table = tune("--sleep", "1.5", "--max-minutes", "0.02", "--trials", "50")
    assert 1 <= len(table) - 1 < 10


def test_more_trials_later_and_the_same_limits_without_a_word(toy, capsys):
    """What is reported as the best is the best of now, not of then."""
    first = tune("--trials", "2")
    assert len(tune("--resume")) == len(first) == 3, "the limit of then holds"
    later = tune("--resume", "--trials", "8")
    assert len(later) == 9
    pd.testing.assert_series_equal(later["x"].iloc[:2], first["x"].iloc[:2])
    best = json.loads(Path("search/best.json").read_text())
    assert best["x"] == later.iloc[:-1].sort_values("score", ascending=False)["x"].iloc[0]
    assert best["x"] in [
        json.loads(file.read_text())["x"] for file in Path("search").glob("best*/metrics.json")
    ]


@pytest.mark.slow
def test_killed_in_a_trial_it_goes_on(toy):
    """The finished trials are not run again, the one that was killed is; its process ends with the
    search."""
    command = ["tune", "toy.py", "--output", "search", "--tuner", "grid", "--sleep", "0.5"]
    with fresh.started(*command, pipes=(os.devnull, "search.log", "search.log")) as search:
        until = time.time() + 900
        while len([*Path("search").glob("search/trial_*/result.json")]) < 3:
            assert time.time() < until
            assert search.is_alive(), Path("search.log").read_text()
            time.sleep(0.1)
        search.kill()
        search.join()
    time.sleep(3)
    finished = len([*Path("search").glob("search/trial_*/result.json")])
    time.sleep(2)
    assert len([*Path("search").glob("search/trial_*/result.json")]) == finished, (
        "no orphan goes on"
    )
    before = len([*Path("started").iterdir()])
    table = tune("--resume")
    assert len(table) == 15
    more = (
        len([*Path("started").iterdir()]) - before - (14 - finished + 1)
    )  # than those that were left, and the default
    assert more in (0, 1), "what failed in the moment of the kill is tried again"
    assert (table[table["x"] == 3]["status"] == "completed").all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-minutes", "1e-9"], "none of 0 trials has a score: none has begun"),
        (
            ["--objective", "beauty"],
            "no objective 'beauty'; accepted are worth, cost, other, val_loss (--objective)",
        ),
        (
            ["--trials", "0"],
            "--trials must be at least 1; received 0",
        ),
        (
            ["--max-minutes", "-1"],
            "--max-minutes must be at least 0; received -1",
        ),
        (
            ["--objective", "other"],
            "--direction of 'other' must be given, min or max; recipe 'toy' declares a direction "
            "for worth, cost, val_loss",
        ),
        (["--tuner", "magic"], "argument --tuner: invalid choice: 'magic'"),
        (
            ["--colour", "green", "--output", "there"],
            "there exists and holds no search: choose another folder (--output)",
        ),
        (
            ["--resume", "--output", "nowhere"],
            "--resume continues a search: name its folder with --output; received nowhere",
        ),
        (["--config", "absent.json"], "--config absent.json cannot be read as JSON"),
        (["--config", "other.json"], "--config other.json has no settings of recipe 'toy'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input(toy, arguments, message, capsys):
    Path("there").mkdir()
    Path("there/file").touch()
    Path("other.json").write_text('{"recipe": "ner"}')
    assert main(["tune", toy, "--quiet", *arguments]) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in told
    assert told.startswith("rnn-cookbook: ")


def test_an_objective_that_does_not_exist_costs_no_training(toy, capsys):
    assert main(["tune", toy, "--output", "search", "--objective", "beauty"]) == 2
    told = capsys.readouterr().err
    assert "no objective 'beauty'; accepted are worth, cost, other, val_loss" in told
    assert not Path("search").exists()
    assert len([*Path("started").iterdir()]) == 1
    table = tune("--trials", "4", "--objective", "other", "--direction", "max")
    assert (table[table["status"] == "completed"]["score"] == 1.0).all()


def test_data_that_are_not_there_are_told_before_the_trials(tmp_path, capfd):
    (tmp_path / "toy.py").write_text(
        SEARCHED.replace('raise OSError("no network")', "raise InputError('no network')").replace(
            "import os, signal, time",
            "import os, signal, time\nfrom rnn_cookbook.errors import InputError",
        )
    )
    Path("offline").touch()
    assert main(["tune", "toy.py", "--output", "search", "--objective", "other"]) == 2
    told = capfd.readouterr().err
    assert told.strip().splitlines()[-1] == "rnn-cookbook: no network"
    assert "Traceback" not in told
    assert not Path("search").exists()


def test_a_folder_is_of_one_search(toy, capsys):
    tune("--trials", "1")
    assert main(["tune", toy, "--output", "search", "--trials", "1"]) == 2
    told = capsys.readouterr().err
    assert "search holds a search already: resume it, or choose another folder" in told
    assert "(--resume, --output)" in told
    assert main(["tune", toy, "--output", "search", "--resume", "--seed", "5"]) == 2
    assert "search holds another search: config was " in capsys.readouterr().err
    Path("toy.py").write_text(
        SEARCHED.replace('hp.Int("x", 0, 6)', 'hp.Int("x", 0, 10)')
    )  # of another size, or Python may not see the change
    assert main(["tune", toy, "--output", "search", "--resume"]) == 2
    assert "search holds another search: space was " in capsys.readouterr().err


def test_a_recipe_without_a_space(toy, capsys):
    Path("toy.py").write_text(SEARCHED.replace("def search_space", "def nothing"))
    assert main(["tune", toy]) == 2
    assert "recipe 'toy' has no search_space(hp, config)" in capsys.readouterr().err
    Path("toy.py").write_text(
        SEARCHED.replace('x=hp.Int("x", 0, 6), colour=hp.Choice("colour", ["red", "blue"])', "x=3")
    )
    assert main(["tune", toy]) == 2
    assert "the search space of recipe 'toy' names no parameter" in capsys.readouterr().err


def test_nothing_that_works(toy, capsys):
    """All trials fail: the search says why, and its table stands."""
    Path("toy.py").write_text(SEARCHED.replace('hp.Int("x", 0, 6)', 'hp.Fixed("x", 1)'))
    assert main(["tune", toy, "--output", "search", "--quiet", "--tuner", "grid"]) == 2
    assert "trials has a score; the last error: ValueError: one is none" in capsys.readouterr().err
    table = pd.read_csv("search/trials.csv")
    assert (table["status"].iloc[:-1] == "failed").all()


# Models of your own


def own_space(hp) -> dict:
    return {
        "units": hp.Choice("units", [1, 4]),
        "rate": hp.Choice("rate", [0.0, 0.1]),
        "batch": hp.Choice("batch", [16]),
    }


def own_model(configuration):
    import keras

    if configuration["units"] == 1 and configuration["rate"] == 0.0:
        raise ValueError("too small")
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(configuration["units"], "tanh"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer=keras.optimizers.SGD(configuration["rate"]), loss="mse")
    return model


def own_data(configuration):
    import tensorflow as tf

    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    whole = tf.data.Dataset.from_tensor_slices((x, x.sum(axis=1, keepdims=True))).batch(
        configuration["batch"]
    )
    return whole, whole


def test_a_model_of_your_own_is_tuned_by_functions(tmp_path):
    from rnn_cookbook.tune.search import search

    chosen, table = search(
        own_model,
        own_space,
        own_data,
        tuner="grid",
        trials=None,
        epochs=3,
        folder=tmp_path / "mine",
    )
    assert chosen["rate"] == 0.1, "what does not learn is not chosen"
    assert len(table) == 4
    failed = table[table["status"] == "failed"]
    assert failed[["units", "rate"]].to_numpy().tolist() == [[1, 0.0]]
    assert "too small" in failed["error"].iloc[0]
    best = table["val_loss"].idxmin()
    assert (table["units"][best], table["rate"][best]) == (chosen["units"], chosen["rate"])
    again, same = search(
        own_model,
        own_space,
        own_data,
        tuner="grid",
        trials=None,
        epochs=3,
        folder=tmp_path / "mine",
    )
    assert again == chosen
    pd.testing.assert_frame_equal(same, table)
    with pytest.raises(InputError, match="mine holds another search: epochs was 3, now 4"):
        search(own_model, own_space, own_data, tuner="grid", epochs=4, folder=tmp_path / "mine")
    beauty = Metric("val_beauty", higher_is_better=True)
    with pytest.raises(InputError, match="no objective 'val_beauty'; accepted are loss, val_loss"):
        search(own_model, own_space, own_data, objective=beauty, folder=tmp_path / "other")
    with pytest.raises(InputError, match="direction of 'val_beauty' must be given, min or max"):
        search(own_model, own_space, own_data, objective="val_beauty")
    with pytest.raises(InputError, match="names no parameter"):
        search(own_model, lambda hp: {}, own_data)
