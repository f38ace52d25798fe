"""How long each notebook takes from top to bottom, in an empty folder and a process of its own; the
limit is 90 s on two quiet cores.

    python benchmarks/notebooks.py [notebooks/1*.ipynb …] [--rounds 1]

Wall time and the processor time of the notebook's process and what it started, of each round. Where
the cores are shared or throttled, wall time says little. Needs the test extra.

The slower tests run the notebooks that take less than a minute; the others run here alone. Their
own assertions hold, or the script ends with the error.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

LIMIT = 90  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    everyone = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
    parser.add_argument("notebooks", nargs="*", type=Path, default=everyone)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    for path in options.notebooks:
        book = nbformat.read(path, as_version=4)
        for _ in range(options.rounds):
            before, started = processor_seconds(), time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                NotebookClient(
                    book,
                    timeout=None,
                    kernel_name="python3",
                    resources={"metadata": {"path": folder}},
                ).execute()
            wall, used = time.perf_counter() - started, processor_seconds() - before
            print(
                f"{path.stem:<48} {wall:6.0f} s, {used:6.0f} s of a "
                f"processor{'' if wall <= LIMIT else f': above {LIMIT} s'}",
                flush=True,
            )


def processor_seconds() -> float:
    """Of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
