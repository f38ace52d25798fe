"""A search on several machines: keras-tuner's chief hands out the trials, workers train them."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Literal

from rnn_cookbook.errors import InputError
from rnn_cookbook.tune.oracle import WORKER_TIMEOUT, SearchOracle, oracle_client

__all__ = ["chief_address", "find_chief", "role", "watch_workers"]

_ID, _IP, _PORT = "KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT"
_CHIEF_TIMEOUT = 60.0  # seconds that a worker waits for its chief to be there
_ANSWER_TIMEOUT = 300.0  # seconds that a worker waits for an answer later on


def role() -> Literal["alone", "chief", "worker"]:
    """Returns the role of this process, by keras-tuner's environment variables.

    Raises:
        InputError: some of the variables are missing, or the port is not a number.
    """
    variables = (_ID, _IP, _PORT)
    present = [name for name in variables if os.environ.get(name)]
    if not present:
        return "alone"
    if len(present) < len(variables):
        raise InputError(
            f"a search on several machines needs {', '.join(variables)} in the environment; "
            f"received {', '.join(present)} only"
        )
    if not os.environ[_PORT].isdigit():
        raise InputError(f"{_PORT} must be a number; received {os.environ[_PORT]!r}")
    return "chief" if "chief" in os.environ[_ID] else "worker"


def chief_address() -> tuple[str, int]:
    """Returns host and port of the chief."""
    return os.environ[_IP], int(os.environ[_PORT])


def find_chief() -> None:
    """Waits in a worker until the chief answers.

    RNN_COOKBOOK_CHIEF_SECONDS in the environment sets how long.

    Raises:
        InputError: no chief answers.
    """
    host, port = chief_address()
    seconds = float(os.environ.get("RNN_COOKBOOK_CHIEF_SECONDS") or _CHIEF_TIMEOUT)
    until = time.time() + seconds
    while True:
        try:
            socket.create_connection((host, port), timeout=2.0).close()
            oracle_client.TIMEOUT = _ANSWER_TIMEOUT  # keras-tuner would wait for an hour
            return
        except OSError as error:
            if time.time() > until:
                raise InputError(
                    f"no chief answers at {host}:{port} for {seconds:.0f} seconds ({error}): start "
                    f"the same command there, with {_ID}=chief"
                ) from error
            time.sleep(1.0)


def watch_workers(oracle: SearchOracle) -> None:
    """Starts a thread in the chief that finds lost workers while nobody asks for a trial, and ends
    the search when its time is up.

    RNN_COOKBOOK_WORKER_SECONDS in the environment sets after how long a worker counts as lost.
    """

    def watch() -> None:
        while True:
            time.sleep(min(5.0, oracle.worker_timeout / 2))
            oracle.reap()
            if time.time() > oracle.deadline and not oracle.ongoing_trials and not oracle.tuner_ids:
                # keras-tuner's chief ends once it has told a worker that nothing is left; here no
                # worker is there to ask.
                oracle_client.OracleClient(oracle).create_trial("the watch")
                return

    oracle.worker_timeout = float(os.environ.get("RNN_COOKBOOK_WORKER_SECONDS") or WORKER_TIMEOUT)
    threading.Thread(target=watch, name="watch", daemon=True).start()
