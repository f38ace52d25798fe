"""A search on several machines: workers that are lost, and a chief that is not there."""

import os
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import fresh
import pandas as pd
import pytest

from rnn_cookbook.cli.main import main

pytest.importorskip("keras_tuner", reason="the tuner is an extra")


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
    assert "worker worker1 sent nothing for" in Path("chief.log").read_text()
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
