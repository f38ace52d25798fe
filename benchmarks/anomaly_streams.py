"""Measures the points per second that a `Detector` scores on one core: many streams side by side,
and one stream point by point.

    python benchmarks/anomaly_streams.py [--streams 100] [--seconds 8] [--rounds 5]

The network is the recipe's (GRU, 32 units), the season 288 steps. Rounds take turns; the medians
and the rounds are printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections import defaultdict

if hasattr(os, "sched_setaffinity"):  # not on macOS and Windows
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core

import numpy as np
import tensorflow as tf

from rnn_cookbook.tasks.anomaly.encode import width_of_features
from rnn_cookbook.tasks.anomaly.model import autoencoder, online_forecaster
from rnn_cookbook.tasks.anomaly.predict import Detector
from rnn_cookbook.tasks.anomaly.residuals import (
    Errors,
    PersistenceErrors,
    PredictionErrors,
    ReconstructionErrors,
)

SEASON = 288  # steps: a day of five minutes
UNITS = 32
WINDOW = 32  # steps that the autoencoder reads
WARM_UP = 400  # steps
KINDS = ("predictor", "autoencoder", "no network")


def errors_of(kind: str, streams: int) -> Errors:
    if kind == "autoencoder":
        model = autoencoder(features=1, units=UNITS, code_size=8, cell="gru")
        return ReconstructionErrors(model, streams=streams, channels=1, window=WINDOW)
    if kind == "predictor":
        model = online_forecaster(features=width_of_features(1), units=UNITS, head="student_t")
        return PredictionErrors(model, streams=streams, channels=1, season=SEASON)
    return PersistenceErrors(streams=streams, channels=1)


def warm_detector(kind: str, streams: int, rng: np.random.Generator) -> Detector:
    detector = Detector(
        errors_of(kind, streams),
        mean=np.zeros((streams, 1)),
        scale=np.ones((streams, 1)),
        season=SEASON,
        refractory=SEASON,
    )
    detector.score(rng.normal(size=(streams, WARM_UP, 1)))
    detector.score(rng.normal(size=(streams, 1, 1)))
    return detector


def points_per_second(
    detector: Detector, streams: int, rng: np.random.Generator, *, seconds: float
) -> float:
    points = 0
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        detector.score(rng.normal(size=(streams, 1, 1)))
        points += streams
    return points / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=100, help="side by side (default: 100)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of a round (default: 8)")
    parser.add_argument("--rounds", type=int, default=5, help="of each detector (default: 5)")
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rng = np.random.default_rng(0)
    detectors = {
        (kind, streams): warm_detector(kind, streams, rng)
        for kind in KINDS
        for streams in (options.streams, 1)
    }
    rates = defaultdict(list)
    for _ in range(options.rounds):
        for (kind, streams), detector in detectors.items():
            rate = points_per_second(detector, streams, rng, seconds=options.seconds)
            rates[kind, streams].append(rate)
    for (kind, streams), rounds in rates.items():
        print(
            f"{kind:<12} {streams:>4} streams, one point of each at a time: "
            f"{statistics.median(rounds):>8.0f} points/s "
            f"({', '.join(f'{rate:.0f}' for rate in rounds)})"
        )


if __name__ == "__main__":
    main()
