"""Series with anomalies at known rows."""

import numpy as np
import pandas as pd

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.anomaly.data import LabelledStream

ANOMALIES = ("spike", "shift", "faster", "flat")


def anomalous_series(
    count: int, steps: int, *, seed: int, clean: float = 0.3
) -> list[LabelledStream]:
    """Half-hourly series of a daily season and noise, with anomalies of four kinds at known rows,
    none of them in the first `clean` share.

    A spike of one row; a shift of the level for half a day; a season that runs at three times its
    speed for a day; and half a day at exactly one value that is in itself usual. Spikes and shifts
    leave the range; the other two never do: only who knows what comes next sees them. Each kind
    occurs once, in any order, at least two days apart, so that who knows the law finds all and no
    other.

    Args:
        count: series, called validation and test in turns.
        steps: of each, 48 a day.
        seed: of all.
        clean: share of the steps without any.
    """
    rng, day, streams = np.random.default_rng(seed), 48, []
    lengths = {"spike": 1, "shift": day // 2, "faster": day, "flat": day // 2}
    times = pd.date_range("2024-01-01", periods=steps, freq="30min")
    first = round(clean * steps)
    room = (steps - first) // len(ANOMALIES)
    if room < 4 * day:
        raise InputError(
            f"the sample's {steps} steps leave {room} for each anomaly, less than 4 days of {day}: take a smaller --train-fraction"
        )
    for number in range(count):
        kinds = [str(kind) for kind in rng.permutation(ANOMALIES)]
        places = [
            (kind, first + i * room + int(rng.integers(day, room - 2 * day)))
            for i, kind in enumerate(kinds)
        ]
        speed = np.ones(steps)
        for kind, start in places:
            if kind == "faster":
                speed[start : start + day] = (
                    3.0  # whole turns, so that the season goes on as before
                )
        angle = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(speed) / day
        size = rng.uniform(1, 3)
        values = (
            rng.uniform(5, 50)
            + size * np.sin(angle)
            + 0.4 * size * np.sin(2 * angle + 1)
            + rng.normal(scale=0.08 * size, size=steps)
        )
        for kind, start in places:
            stretch = slice(start, start + lengths[kind])
            if kind == "spike":
                values[stretch] += 4 * size * rng.choice([-1, 1])
            elif kind == "shift":
                values[stretch] += 2.5 * size * rng.choice([-1, 1])
            elif kind == "flat":
                values[stretch] = values[start]
        windows = [(start, start + max(lengths[kind], day // 2) - 1) for kind, start in places]
        streams.append(
            LabelledStream(
                f"{'test' if number % 2 else 'validation'} {number // 2 + 1}",
                times,
                values[:, None],
                ["value"],
                windows,
                day,
                "30min",
            )
        )
    return streams
