"""What a search is worth: sentiment, as it stands against 20 random trials and against hyperband,
on validation.

    python benchmarks/tuning.py                                   # the sample
    python benchmarks/tuning.py --reviews 5000 --data-dir DIR     # a part of IMDb

Of each search: the best score, after how many seconds of training, in the order of its trials, it
was first as good as the recipe's default, the seconds of all its trials, and the share of the time
that went elsewhere. A search that was interrupted goes on.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--reviews", type=int, default=0, help="of IMDb; 0 for the sample")
parser.add_argument("--data-dir", default="")
parser.add_argument("--output", default="runs/benchmark-tuning")
parser.add_argument("--trials", type=int, default=20, help="of the random search")
parser.add_argument("--tuners", default="random,hyperband")
arguments = parser.parse_args()

folder = Path(arguments.output) / (f"imdb-{arguments.reviews}" if arguments.reviews else "sample")
folder.mkdir(parents=True, exist_ok=True)
data = ["--data", "sample"]
if arguments.reviews:
    import tensorflow_datasets as tfds

    part = tfds.load(
        "imdb_reviews", split=f"train[:{arguments.reviews}]", data_dir=arguments.data_dir or None
    )
    rows = [(each["text"].decode(), int(each["label"])) for each in tfds.as_numpy(part)]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / "reviews.csv", index=False)
    data = ["--data", str(folder / "reviews.csv")]

print(
    f"{'':<12}{'trials':>8}{'default':>10}{'best':>10}{'as good after':>16}{'all trials':>14}{'elsewhere':>12}"
)
for tuner in arguments.tuners.split(","):
    place = folder / tuner
    command = [
        sys.executable,
        "-m",
        "rnn_cookbook.cli",
        "tune",
        "sentiment",
        *data,
        "--tuner",
        tuner,
        "--output",
        str(place),
    ]
    command += ["--trials", str(arguments.trials)] * (tuner == "random") + ["--resume"] * (
        place / "search.json"
    ).exists()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        lines = []
        for line in process.stderr:
            print(line, end="", file=sys.stderr, flush=True)
            lines.append(line)
    if process.returncode:
        sys.exit(process.returncode)
    table = pd.read_csv(place / "trials.csv")
    default = float(table[table["trial"] == "default"]["score"].iloc[0])
    trials = table[table["trial"] != "default"]
    spent = trials["seconds"].fillna(0).cumsum()
    good = spent[trials["score"] >= default]
    inside = re.findall(r"([\d.]+)% of it inside its trials", "".join(lines))
    print(
        f"{tuner:<12}{len(trials):>8}{default:>10.4f}{trials['score'].max():>10.4f}{f'{good.iloc[0]:.0f} s' if len(good) else 'never':>16}"
        f"{f'{spent.iloc[-1]:.0f} s':>14}{f'{100 - float(inside[-1]):.1f}%' if inside else 'unknown':>12}",
        flush=True,
    )
