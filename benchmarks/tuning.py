"""Measures what a search is worth: the sentiment recipe as it stands against 20 random trials and
against hyperband, on validation.

    python benchmarks/tuning.py                                   # the sample
    python benchmarks/tuning.py --reviews 5000 --data-dir DIR     # a part of IMDb

The table shows for each search the score of the recipe's default, the best score, the seconds of
training after which a trial was first as good as the default (in the order of the trials), the
seconds of all trials, and the fraction of the time outside the trials. An interrupted search is
resumed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd

COLUMNS = ("trials", "default", "best", "as good after", "all trials", "outside")
WIDTHS = (8, 10, 10, 16, 14, 12)


def write_reviews(file: Path, count: int, data_dir: str) -> None:
    """Writes the first reviews of IMDb's training split as a table."""
    import tensorflow_datasets as tfds

    split = tfds.load("imdb_reviews", split=f"train[:{count}]", data_dir=data_dir or None)
    rows = [(each["text"].decode(), int(each["label"])) for each in tfds.as_numpy(split)]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(file, index=False)


def run_search(folder: Path, tuner: str, data: str, trials: int) -> str:
    """Runs a search by the command line; returns its log."""
    command = [sys.executable, "-m", "rnn_cookbook.cli", "tune", "sentiment", "--data", data]
    command += ["--tuner", tuner, "--output", str(folder)]
    if tuner == "random":
        command += ["--trials", str(trials)]
    if (folder / "search.json").exists():
        command.append("--resume")
    lines = []
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            print(line, end="", file=sys.stderr, flush=True)
            lines.append(line)
    if process.returncode:
        sys.exit(process.returncode)
    return "".join(lines)


def row(folder: Path, log: str) -> list[str]:
    """Returns the cells of a search's row."""
    table = pd.read_csv(folder / "trials.csv")
    default = float(table.query("trial == 'default'")["score"].iloc[0])
    trials = table.query("trial != 'default'")
    seconds = trials["seconds"].fillna(0).cumsum()
    as_good = seconds.to_numpy()[(trials["score"] >= default).to_numpy()]
    inside = re.findall(r"([\d.]+)% of it inside its trials", log)
    return [
        str(len(trials)),
        f"{default:.4f}",
        f"{trials['score'].max():.4f}",
        f"{as_good[0]:.0f} s" if len(as_good) else "never",
        f"{seconds.iloc[-1]:.0f} s",
        f"{100 - float(inside[-1]):.1f}%" if inside else "unknown",
    ]


def print_row(name: str, cells: list[str]) -> None:
    """Prints a row of the table, its cells aligned on the right."""
    aligned = [cell.rjust(width) for cell, width in zip(cells, WIDTHS, strict=True)]
    print(name.ljust(12) + "".join(aligned), flush=True)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n\n")[0])
    parser.add_argument("--reviews", type=int, default=0, help="reviews of IMDb; 0 for the sample")
    parser.add_argument("--data-dir", default="", help="folder of the data sets")
    parser.add_argument("--output", default="runs/benchmark-tuning", help="folder of the searches")
    parser.add_argument("--trials", type=int, default=20, help="trials of the random search")
    parser.add_argument("--tuners", default="random,hyperband", help="separated by commas")
    options = parser.parse_args()
    name = f"imdb-{options.reviews}" if options.reviews else "sample"
    folder = Path(options.output) / name
    folder.mkdir(parents=True, exist_ok=True)
    data = "sample"
    if options.reviews:
        data = str(folder / "reviews.csv")
        write_reviews(Path(data), options.reviews, options.data_dir)
    print_row("", list(COLUMNS))
    for tuner in options.tuners.split(","):
        log = run_search(folder / tuner, tuner, data, options.trials)
        print_row(tuner, row(folder / tuner, log))


if __name__ == "__main__":
    main()
