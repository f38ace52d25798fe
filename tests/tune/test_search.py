"""Searches: what fails is recorded and the search goes on, what was interrupted goes on, what is
found can be run."""

import json
import os
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import fresh
import numpy as np
import pandas as pd
import pytest

from rnn_cookbook.cli.main import main
from rnn_cookbook.errors import InputError
from rnn_cookbook.recipe import load_recipe, metric_of, recipe_files
from rnn_cookbook.run.record import cells_table
from rnn_cookbook.tune.plots import importance
from rnn_cookbook.tune.trial import score_names

pytest.importorskip("keras_tuner", reason="the tuner is an extra")

TOY = '''
"""A recipe that trains nothing: its score is known, and it can be told to fail."""
import os, signal, time
from dataclasses import dataclass, replace
from pathlib import Path

METRIC = "worth"

@dataclass(frozen=True)
class Config:
    data: str = "toy"  # data
    x: int = 9  # the best is 3
    colour: str = "red"  # blue is better by a tenth
    epochs: int = 9  # passes
    sleep: float = 0.0  # seconds of a training
    seed: int = 0  # seed

SETTINGS = {"default": Config()}

def load_data(config):
    if Path("offline").exists():
        raise OSError("no network")
    Path("started").mkdir(exist_ok=True)
    (Path("started") / f"{config.x}-{config.colour}-{config.epochs}-{time.time_ns()}").touch()

class Model:
    def count_params(self):
        return 7

def build_model(config, data):
    if config.x == 1:
        raise ValueError("one is none")
    if config.x == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return Model()

def train(config, model, data, run):
    time.sleep(config.sleep)
    return {"history": [{"val_loss": 1.0}], "best_epoch": 0, "epochs": config.epochs, "seconds": 1.0}

def evaluate(config, model, data, split="test"):
    assert split == "validation", "a search reads no test"
    worth = float("nan") if config.x == 2 else -abs(config.x - 3) + 0.1 * (config.colour == "blue") + 0.001 * config.epochs
    return {"worth": worth, "other": 1.0}

def search_space(hp, config):
    return replace(config, x=hp.Int("x", 0, 6), colour=hp.Choice("colour", ["red", "blue"]))

def main(config, run):
    report = {"x": config.x, "test": {"worth": 1.0}, "training": {"seconds": 1.0}, "baselines": {}, "splits": {"test": 1}}
    run.write_json("metrics.json", report)
    return f"trained with x {config.x}"
'''


@pytest.fixture
def toy(tmp_path) -> str:
    (tmp_path / "toy.py").write_text(TOY)
    return "toy.py"


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
    assert "the best is better by 6.1000" in out
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


def test_a_folder_of_another_configuration_gives_no_result_of_it(toy):
    from rnn_cookbook.tune.trial import train_apart

    config = load_recipe(toy).Config
    one = train_apart(toy, config(x=3), Path("place"))
    assert one["scores"]["worth"] == pytest.approx(0.009)
    other = train_apart(toy, config(x=5), Path("place"))
    assert other["scores"]["worth"] == pytest.approx(-2 + 0.009)
    assert train_apart(toy, config(x=5), Path("place")) == other
    assert len([*Path("started").iterdir()]) == 2, "the same one is taken as it is"
    Path("offline").touch()
    assert "no network" in train_apart(toy, config(x=6), Path("place"))["error"]
    Path("offline").unlink()
    assert "scores" in train_apart(toy, config(x=6), Path("place")), "what failed is tried again"


@pytest.mark.parametrize(
    ("more", "names"),
    [
        (True, ("accuracy", "f1_water", "f1_character", "bleu", "coverage")),
        (
            False,
            (
                "val_loss",
                "val_perplexity",
                "mae_units",
                "false_alarms_per_week",
                "deletions",
                "ter",
            ),
        ),
    ],
)
def test_errors_are_made_small(more, names):
    from rnn_cookbook.tune.search import _more_is_better

    assert {name: _more_is_better(name) for name in names} == dict.fromkeys(names, more)


@pytest.mark.slow
def test_killed_in_a_trial_it_goes_on(toy):
    """The finished trials are not run again, the one that was killed is; its process ends with the
    search."""
    command = ["tune", "toy.py", "--output", "search", "--tuner", "grid", "--sleep", "1"]
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
        (["--objective", "beauty"], "no objective 'beauty'; there are worth, other, val_loss"),
        (
            ["--trials", "0"],
            "a search needs 1 trial or more and no less than 0 minutes, got 0 and 0.0",
        ),
        (["--tuner", "magic"], "argument --tuner: invalid choice: 'magic'"),
        (
            ["--colour", "green", "--output", "there"],
            "there exists, and is no search: choose another --output",
        ),
        (
            ["--resume", "--output", "nowhere"],
            "--resume goes on with a search: name its folder with --output, got nowhere",
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
    assert "no objective 'beauty'; there are worth, other, val_loss" in capsys.readouterr().err
    assert not Path("search").exists()
    assert len([*Path("started").iterdir()]) == 1
    table = tune("--trials", "4", "--objective", "other", "--direction", "max")
    assert (table[table["status"] == "completed"]["score"] == 1.0).all()


def test_data_that_are_not_there_are_told_before_the_trials(tmp_path, capfd):
    (tmp_path / "toy.py").write_text(
        TOY.replace('raise OSError("no network")', "raise InputError('no network')").replace(
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


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(recipe_files()))
def test_every_recipe_names_its_scores_before_it_is_trained(name):
    module = load_recipe(name)
    assert {metric_of(module, module.SAMPLE), "val_loss"} <= {*score_names(name, module.SAMPLE)}


def test_a_folder_is_of_one_search(toy, capsys):
    tune("--trials", "1")
    assert main(["tune", toy, "--output", "search", "--trials", "1"]) == 2
    assert "search holds a search already: add --resume" in capsys.readouterr().err
    assert main(["tune", toy, "--output", "search", "--resume", "--seed", "5"]) == 2
    assert "search holds another search: config was " in capsys.readouterr().err
    Path("toy.py").write_text(
        TOY.replace('hp.Int("x", 0, 6)', 'hp.Int("x", 0, 10)')
    )  # of another size, or Python may not see the change
    assert main(["tune", toy, "--output", "search", "--resume"]) == 2
    assert "search holds another search: space was " in capsys.readouterr().err


def test_a_recipe_without_a_space(toy, capsys):
    Path("toy.py").write_text(TOY.replace("def search_space", "def nothing"))
    assert main(["tune", toy]) == 2
    assert "recipe 'toy' has no search_space(hp, config)" in capsys.readouterr().err
    Path("toy.py").write_text(
        TOY.replace('x=hp.Int("x", 0, 6), colour=hp.Choice("colour", ["red", "blue"])', "x=3")
    )
    assert main(["tune", toy]) == 2
    assert "the search space of recipe 'toy' names no parameter" in capsys.readouterr().err


def test_nothing_that_works(toy, capsys):
    """All trials fail: the search says why, and its table stands."""
    Path("toy.py").write_text(TOY.replace('hp.Int("x", 0, 6)', 'hp.Fixed("x", 1)'))
    assert main(["tune", toy, "--output", "search", "--quiet", "--tuner", "grid"]) == 2
    assert "trials has a score; the last error: ValueError: one is none" in capsys.readouterr().err
    table = pd.read_csv("search/trials.csv")
    assert (table["status"].iloc[:-1] == "failed").all()


# Several machines


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def environment(port: int, name: str) -> dict:
    chief = {
        "KERASTUNER_TUNER_ID": name,
        "KERASTUNER_ORACLE_IP": "127.0.0.1",
        "KERASTUNER_ORACLE_PORT": str(port),
    }
    return {
        **os.environ,
        **chief,
        "RNN_COOKBOOK_WORKER_SECONDS": "12",
        "RNN_COOKBOOK_CHIEF_SECONDS": "90",
    }


def test_a_chief_that_is_not_there(toy, capsys, monkeypatch):
    port = free_port()
    for name, value in {**environment(port, "worker0"), "RNN_COOKBOOK_CHIEF_SECONDS": "1"}.items():
        monkeypatch.setenv(name, value)
    assert main(["tune", toy, "--output", "search"]) == 2
    assert f"no chief answers at 127.0.0.1:{port} for 1 seconds" in capsys.readouterr().err
    monkeypatch.delenv("KERASTUNER_ORACLE_PORT")
    assert main(["tune", toy, "--output", "other"]) == 2
    assert (
        "needs KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_IP, KERASTUNER_ORACLE_PORT in the environment"
        in capsys.readouterr().err
    )


@pytest.mark.slow
def test_a_chief_and_two_workers_of_whom_one_is_killed_in_a_trial(toy):
    port = free_port()
    command = ["tune", "toy.py", "--output", "search", "--tuner", "grid", "--sleep", "1.5"]
    with ExitStack() as stack:
        processes = {}
        for name in ("chief", "worker0", "worker1"):
            Path(f"{name}.log").touch()
            pipes = (os.devnull, f"{name}.log", f"{name}.log")
            processes[name] = stack.enter_context(
                fresh.started(*command, pipes=pipes, env=environment(port, name))
            )
        until = time.time() + 900
        while "trial " not in Path("worker1.log").read_text():
            assert time.time() < until, Path("worker1.log").read_text()
            assert processes["chief"].is_alive(), Path("chief.log").read_text()
            time.sleep(0.05)
        processes["worker1"].kill()
        for name in ("worker0", "chief"):
            processes[name].join(max(1, until - time.time()))
            assert processes[name].exitcode == 0, Path(f"{name}.log").read_text()
    assert "worker worker1 was not heard of" in Path("chief.log").read_text()
    table = pd.read_csv("search/trials.csv")
    assert len(table) == 14
    assert sorted(table["x"]) == sorted([*range(7)] * 2), "every trial is accounted for"
    assert set(table[table["status"] == "failed"]["x"]) == {1, 2, 4}
    assert (table["status"].isin(["completed", "failed"])).all()
    assert "trained with x 3" in Path("chief.log").read_text()
    assert "the results are at the chief" in Path("worker0.log").read_text()


@pytest.mark.slow
def test_a_chief_to_whom_nobody_comes_ends_with_its_time(toy):
    port = free_port()
    ended = fresh.run(
        "tune",
        "toy.py",
        "--output",
        "search",
        "--max-minutes",
        "0.02",
        env=environment(port, "chief"),
    )
    assert ended.returncode == 2
    assert "none of 0 trials has a score: none has begun" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_who_waits_while_the_oracle_thinks_is_not_lost(monkeypatch):
    """One worker asks for a trial, which takes longer than the silence that counts as a loss, while
    another one trains."""
    from rnn_cookbook.tune import oracle as searching

    space = searching.keras_tuner.HyperParameters()
    space.Int("x", 0, 9)
    oracle = searching.make_oracle(
        "random", "worth", "max", space, trials=9, epochs=1, seed=0, max_minutes=0
    )
    oracle._set_project_dir(".", "search")
    now = [1000.0]
    monkeypatch.setattr(searching.time, "time", lambda: now[0])
    trial = oracle.create_trial("trains")
    populate = oracle.populate_space

    def slowly(trial_id):
        now[0] += 500
        return populate(trial_id)

    oracle.populate_space = slowly
    oracle.create_trial("asks")
    oracle.bury()
    assert set(oracle.ongoing_trials) == {"trains", "asks"}
    now[0] += oracle.silence + 1
    oracle.get_trial(trial.trial_id)  # one of them is heard of
    oracle.bury()
    assert set(oracle.ongoing_trials) == {"trains"}


def test_what_explains_the_score_is_important():
    rng = np.random.default_rng(0)
    done = pd.DataFrame(
        {
            "rate": 10.0 ** rng.uniform(-4, -1, 60),
            "cell": rng.choice(["lstm", "gru"], 60),
            "noise": rng.uniform(size=60),
        }
    )
    done["score"] = np.log10(done["rate"]) + 1.0 * (done["cell"] == "gru")
    rate, cell, noise = importance(done, ["rate", "cell", "noise"])
    assert rate > cell > 3 * noise
    assert rate + cell + noise == pytest.approx(1)


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
    with pytest.raises(InputError, match="no objective 'val_beauty'; there are loss, val_loss"):
        search(own_model, own_space, own_data, objective="val_beauty", folder=tmp_path / "other")
    with pytest.raises(InputError, match="names no parameter"):
        search(own_model, lambda hp: {}, own_data)


# Comparisons


COMPARED = TOY.replace(
    "x: int = 9", 'cell: str = "lstm"  # cell\n    units: int = 4  # size\n    x: int = 3'
).replace(
    "worth = float",
    "worth = (config.cell == 'gru') + config.seed / 100 if config.x == 3 else float",
)


def test_cells_side_by_side(tmp_path, capsys):
    (tmp_path / "toy.py").write_text(COMPARED)
    command = [
        "compare",
        "toy.py",
        "--cells",
        "gru,lstm",
        "--seeds",
        "2",
        "--output",
        "compared",
        "--quiet",
    ]
    assert main(command) == 0
    out = capsys.readouterr().out
    table = pd.read_csv("compared/comparison.csv")
    assert len(table) == 4
    summary = pd.read_csv("compared/summary.csv").set_index("network")
    assert summary["worth"].to_dict() == pytest.approx({"gru": 1.005, "lstm": 0.005})
    assert summary["std"].iloc[0] == pytest.approx(np.std([0, 0.01], ddof=1))
    assert summary["horizon, steps"]["lstm"] > summary["horizon, steps"]["gru"] > 0
    assert (summary[["parameters", "seconds an epoch", "memory, MB"]] > 0).all().all()
    assert "1.0050" in out
    assert Path("compared/plots/comparison.png").read_bytes().startswith(b"\x89PNG")
    count = len([*Path("started").iterdir()])
    assert main([*command, "--resume", "--record"]) == 0
    assert len([*Path("started").iterdir()]) == count, "what is finished is taken as it is"
    kept = json.loads(Path("results/toy/cells.json").read_text())
    assert (
        kept["command"]
        == "rnn-cookbook compare toy.py --setting default --cells gru,lstm --seeds 2"
    )
    first, second = cells_table(Path("results")).splitlines()[2:]
    assert first.startswith("| toy | toy | gru | worth | 1.0050 ± 0.0071 |")
    assert second.startswith("| toy | toy | lstm | worth | 0.0050 ± 0.0071 |")
    assert main([*command, "--record", "--x", "4"]) == 2
    assert (
        "--record compares within setting 'default' as it is: leave x out"
        in capsys.readouterr().err
    )
    Path("mine.json").write_text('{"x": 4}')
    assert main([*command, "--record", "--config", "mine.json"]) == 2
    assert "setting 'mine.json' as it is: leave --config out" in capsys.readouterr().err
    for arguments, message in (
        (command, "compared exists: choose another --output, or add --resume"),
        (["compare", "toy.py", "--cells", "rnn"], "no cell 'rnn'; there are simple_rnn, lstm, gru"),
        (["compare", "toy.py", "--seeds", "0"], "a comparison needs 1 seed or more, got 0"),
        (
            ["compare", "toy.py", "--bidirectional", "both"],
            "recipe 'toy' has no option --bidirectional to compare",
        ),
        (["compare", "toy.py", "--cell", "gru"], "unrecognized arguments: --cell gru"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
