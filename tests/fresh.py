"""The command line in a process of its own, for a moment's wait: it is forked from one that has
imported TensorFlow and done nothing else.

Importing TensorFlow takes longer than most tests. Where the platform cannot fork a server, every
process imports it anew.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

from rnn_cookbook.tune.trial import processes


def run(
    *arguments, input=None, text: bool = True, timeout: float = 900, env: dict | None = None
) -> subprocess.CompletedProcess:
    """What `subprocess.run` gives for `rnn-cookbook ARGUMENTS`, its output captured."""
    with tempfile.TemporaryDirectory() as folder:
        pipes = [Path(folder, name) for name in ("in", "out", "err")]
        pipes[0].write_bytes(input.encode() if isinstance(input, str) else input or b"")
        with started(*arguments, pipes=pipes, env=env) as process:
            process.join(timeout)
            assert process.exitcode is not None, (
                f"{arguments} has not ended after {timeout} s: {pipes[2].read_text()}"
            )
        out, err = (pipe.read_bytes() for pipe in pipes[1:])
    ended = subprocess.CompletedProcess(arguments, process.exitcode, out, err)
    if text:
        ended.stdout, ended.stderr = out.decode(), err.decode()
    return ended


@contextlib.contextmanager
def started(
    *arguments, pipes=(os.devnull, os.devnull, os.devnull), env: dict | None = None
) -> Iterator[BaseProcess]:
    """The process of `rnn-cookbook ARGUMENTS`; `pipes` are the paths of its standard input, output
    and error. It is killed at the end."""
    where = (os.getcwd(), dict(os.environ, **(env or {})), [str(pipe) for pipe in pipes])
    process = processes().Process(
        target=_work, args=([str(argument) for argument in arguments], *where)
    )
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _work(arguments: list[str], folder: str, environment: dict, pipes: list[str]) -> None:
    from rnn_cookbook.cli.main import entry

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which servers of processes ignore
    for number, pipe in enumerate(pipes):
        os.dup2(
            os.open(pipe, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND),
            number,
        )
    sys.stdin = os.fdopen(
        0
    )  # multiprocessing has put an empty one there; the others write to 1 and 2 as they are
    sys.argv = ["rnn-cookbook", *arguments]
    entry()
