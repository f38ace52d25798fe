"""What the networks read of a stream, and windows of it for training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnn_cookbook.encode.series import SeriesScaler
from rnn_cookbook.encode.streams import Chunks
from rnn_cookbook.tasks.anomaly.streams import LabelledStream

__all__ = [
    "arcsinh_scaled",
    "forecasting_example",
    "forward_filled",
    "next_changes",
    "normal_scale",
    "point_features",
    "reconstruction_example",
    "training_windows",
    "width_of_features",
]

CHANGE_GAIN = 3  # changes are smaller than values; brings both to one order of magnitude
HELD_OUT = 5  # one in so many training rows, at the end, shows how training goes
OVERLAP = 4  # windows that read a row


def forward_filled(values: np.ndarray, last: np.ndarray | float = 0.0) -> np.ndarray:
    """Replaces each missing value by the one before it: float[..., steps, channels] -> the same
    shape.

    Args:
        values: values, NaN where one is missing.
        last: value before the first step.
    """
    before = np.broadcast_to(last, (*values.shape[:-2], values.shape[-1]))
    whole = np.concatenate([before[..., None, :], values], axis=-2)
    index = np.where(np.isnan(whole), 0, np.arange(whole.shape[-2])[:, None])
    return np.take_along_axis(whole, np.maximum.accumulate(index, axis=-2), axis=-2)[..., 1:, :]


def normal_scale(streams: Sequence[LabelledStream], rows: Sequence[int]) -> SeriesScaler:
    """Fits the scale of each stream to its first rows, which are taken to be normal.

    Args:
        streams: streams with values in these rows.
        rows: number of rows of each stream.
    """
    return SeriesScaler.fit(
        {
            stream.name: stream.complete_rows(0, end)
            for stream, end in zip(streams, rows, strict=True)
        }
    )


def arcsinh_scaled(values: np.ndarray) -> np.ndarray:
    """Compresses scaled values by the inverse hyperbolic sine, as an autoencoder reads them: linear
    near 0, logarithmic for spikes."""
    return np.arcsinh(values).astype(np.float32)


def width_of_features(channels: int) -> int:
    """The number of `point_features` per step."""
    return 4 * channels + 1


def point_features(values: np.ndarray, *, season: int, before: int = 0) -> np.ndarray:
    """Returns what a forecaster reads at each step: float[..., steps, channels] -> float32[...,
    steps - before, 4 * channels + 1].

    Each channel has its value, its last change, the change one season ago at the next step, and the
    distance to the value one season before the next step; a flag says whether there is a season to
    look back on. All are arcsinh-scaled. Nothing looks ahead.

    Args:
        values: scaled values.
        season: length of the season in steps; 0 for none.
        before: number of steps at the beginning that are only looked back on: a season of them, or
            all that there are.
    """
    at = np.arange(before, values.shape[-2])

    def back(lag: int) -> np.ndarray:
        return values[..., np.maximum(at - lag, 0), :]

    known = (at >= season) & (season > 0)
    now = values[..., at, :]
    ago = np.where(known[:, None], back(season), 0.0)
    # One season before the next step.
    following = np.where(known[:, None], back(max(season - 1, 0)), 0.0)
    parts = [
        now,
        CHANGE_GAIN * (now - back(1)),
        CHANGE_GAIN * (following - ago),
        np.where(known[:, None], following - now, 0.0),
    ]
    flags = np.broadcast_to(known[:, None].astype(float), (*now.shape[:-1], 1))
    scaled = np.arcsinh(np.concatenate(parts, axis=-1))
    return np.concatenate([scaled, flags], axis=-1).astype(np.float32)


def next_changes(values: np.ndarray) -> np.ndarray:
    """Returns the targets of a forecaster at each step but the last: float[steps, channels] ->
    float32[steps - 1, channels]."""
    return np.diff(values, axis=0).astype(np.float32)


def forecasting_example(values: np.ndarray, *, season: int) -> tuple[np.ndarray, np.ndarray]:
    """Makes an input and a target for `model.online_forecaster`: scaled float[steps, channels] ->
    (float32[steps - 1, features], float32[steps - 1, 1, channels])."""
    features = point_features(values, season=season)
    return features[:-1], next_changes(values)[:, None]


def reconstruction_example(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Makes an input and a target for `model.autoencoder`, which are the same: scaled float[steps,
    channels] -> two of float32[steps, channels]."""
    scaled = arcsinh_scaled(values)
    return scaled, scaled


def training_windows(
    examples: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    rows: Sequence[int],
    length: int,
    batch_size: int,
    seed: int,
) -> tuple[Chunks, Chunks]:
    """Cuts examples into overlapping windows: those to train on, shuffled, and those of the last
    fifth of each stream, which show how training goes.

    Args:
        examples: input and target of each stream, as `forecasting_example` or
            `reconstruction_example` makes them.
        rows: number of training rows of each stream.
        length: steps of a window.
        batch_size: windows per batch.
        seed: seed of the order.

    Raises:
        InputError: no stream has `length` steps in both parts.
    """
    before, after = [], []
    for (inputs, targets), total in zip(examples, rows, strict=True):
        border = total - max(total // HELD_OUT, length + 1)
        before.append((inputs[:border], targets[:border]))
        after.append((inputs[border:], targets[border:]))
    stride = max(1, length // OVERLAP)
    training = Chunks(
        before, length=length, stride=stride, batch_size=batch_size, shuffle=True, seed=seed
    )
    return training, Chunks(after, length=length, stride=stride, batch_size=batch_size)
