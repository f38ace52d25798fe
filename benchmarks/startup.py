"""How long a user waits: `rnn-cookbook --help`, `list`, an argument error, and the whole sample
run, with its peak memory.

    python benchmarks/startup.py [--rounds 5]

Whole processes, wall clock; the quick commands take turns and the median counts.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = [str(Path(sys.executable).with_name("rnn-cookbook"))]
QUICK = {
    "--help": ["--help"],
    "list": ["list"],
    "an unknown option": ["run", "sentiment", "--bogus"],
}


def seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([*COMMAND, *arguments], capture_output=True, check=False)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in QUICK}
    for _ in range(options.rounds):
        for name, arguments in QUICK.items():
            times[name].append(seconds(arguments))
    for name, values in times.items():
        print(
            f"{name:<24}{statistics.median(values):8.2f} s  ({min(values):.2f} to "
            f"{max(values):.2f})"
        )
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "run"
        whole = seconds(
            ["run", "sentiment", "--data", "sample", "--quiet", "--output", str(output)]
        )
        report = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    memory, accuracy = report["training"]["peak_memory_mb"], report["test"]["accuracy"]
    print(
        f"{'the sample run':<24}{whole:8.2f} s, {memory:.0f} MB at its peak, accuracy "
        f"{accuracy:.4f}"
    )
    print(f"on {report['environment']['cores']} cores of {report['environment']['cpu']}")


if __name__ == "__main__":
    main()
