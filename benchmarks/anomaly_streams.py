"""Points a second that a `Detector` scores: many streams side by side, and one stream point by
point, on one core.

    python benchmarks/anomaly_streams.py [--streams 100] [--seconds 8] [--rounds 5]

The network is the recipe's (GRU, 32 units); a season of 288 steps is looked back on. Rounds take
turns; medians, and the rounds.
"""

import argparse
import os
import statistics
import time

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core

import numpy as np
import tensorflow as tf

from rnn_cookbook.tasks.anomaly.model import autoencoder, online_forecaster
from rnn_cookbook.tasks.anomaly.predict import (
    Detector,
    PersistenceErrors,
    PredictionErrors,
    ReconstructionErrors,
)

SEASON = 288


def detector(kind: str, streams: int) -> Detector:
    shape = {"streams": streams, "channels": 1}
    if kind == "autoencoder":
        errors = ReconstructionErrors(
            autoencoder(features=1, units=32, code_size=8, cell="gru"), **shape, window=32
        )
    elif kind == "predictor":
        model = online_forecaster(features=5, units=32, head="student_t")
        errors = PredictionErrors(model, **shape, season=SEASON)
    else:
        errors = PersistenceErrors(**shape)
    return Detector(
        errors, mean=np.zeros((streams, 1)), scale=np.ones((streams, 1)), season=SEASON, rest=SEASON
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=100, help="side by side (default: 100)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of a round (default: 8)")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rng = np.random.default_rng(0)
    cases = {}
    for kind in ("predictor", "autoencoder", "no network"):
        for streams in (options.streams, 1):
            cases[kind, streams] = detector(kind, streams)
            cases[kind, streams].score(rng.normal(size=(streams, 400, 1)))  # warm
            cases[kind, streams].score(rng.normal(size=(streams, 1, 1)))
    found: dict = {case: [] for case in cases}
    for _ in range(options.rounds):
        for (kind, streams), one in cases.items():
            points, started = 0, time.perf_counter()
            while time.perf_counter() - started < options.seconds:
                one.score(rng.normal(size=(streams, 1, 1)))
                points += streams
            found[kind, streams].append(points / (time.perf_counter() - started))
    for (kind, streams), rates in found.items():
        rounds = ", ".join(f"{rate:.0f}" for rate in rates)
        print(
            f"{kind:<12} {streams:>4} streams, one point of each at a time: {statistics.median(rates):>8.0f} points/s ({rounds})"
        )


if __name__ == "__main__":
    main()
