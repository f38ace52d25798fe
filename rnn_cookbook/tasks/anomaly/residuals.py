"""The errors of a network on streams as they come: of a forecaster, of an autoencoder, and, without
a network, of the last value as the forecast.

A class's name is written into saved states: a state is refused by another class.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.nn.streaming import Stream
from rnn_cookbook.tasks.anomaly.encode import arcsinh_scaled, point_features

__all__ = [
    "Errors",
    "PersistenceErrors",
    "PredictionErrors",
    "ReconstructionErrors",
    "errors_of",
    "fingerprint",
]

BATCH = 1024  # windows that an autoencoder reads at a time


class Errors(Protocol):
    """What a detector needs of a network: errors in chunks, and a state."""

    fingerprint: str  # identifies the weights

    def feed(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Continues with scaled values: float64[streams, steps, channels] -> (errors, expected
        values), the same shape; NaN before the first expectation."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """Returns what was learnt, one row per stream, for `restore`."""
        ...

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Continues from a state."""
        ...


def fingerprint(model: keras.Model) -> str:
    """Returns 16 hexadecimal digits that identify a model's weights."""
    weights = (np.ascontiguousarray(weight).tobytes() for weight in model.get_weights())
    return hashlib.sha256(b"".join(weights)).hexdigest()[:16]


class PredictionErrors:
    """The errors of a causal next-step forecaster, from `point_features` to `next_changes`.

    Args:
        model: `models.online_forecaster` with a horizon of 1 and any head.
        streams: number of streams side by side.
        channels: number of channels of each.
        season: length of the season in steps, as in training.
    """

    def __init__(self, model: keras.Model, *, streams: int, channels: int, season: int):
        self.stream = Stream(model, batch_size=streams)
        self.head = model.get_layer("head")
        self.season = season
        self.fingerprint = fingerprint(model)
        self.past = np.zeros((streams, 0, channels))
        self.expected = np.full((streams, channels), np.nan)

    def feed(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Continues with scaled values: float64[streams, steps, channels] -> (errors, expected
        values), the same shape; NaN before the first expectation."""
        context = np.concatenate([self.past, values], axis=1)
        features = point_features(context, season=self.season, before=self.past.shape[1])
        change = np.asarray(self.head.centre(self.stream.feed(features)), np.float64)[:, :, 0]
        following = values + change
        expected = np.concatenate([self.expected[:, None], following[:, :-1]], axis=1)
        self.past = context[:, max(0, context.shape[1] - max(self.season, 1)) :]
        self.expected = following[:, -1]
        return values - expected, expected

    def state(self) -> dict[str, np.ndarray]:
        """Returns what was learnt, one row per stream, for `restore`."""
        state = {"past": self.past, "expected": self.expected}
        for name, array in self.stream.states.items():
            state[f"network/{name}"] = np.asarray(array)
        return state

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Continues from a state."""
        self.past = state["past"]
        self.expected = state["expected"]
        self.stream.states = {
            name: tf.constant(state[f"network/{name}"]) for name in self.stream.states
        }


class ReconstructionErrors:
    """The errors of an autoencoder of the last `window` steps: the mean absolute error over the
    window, channel by channel.

    Args:
        model: `models.autoencoder` of windows of all channels.
        streams: number of streams side by side.
        channels: number of channels of each.
        window: steps of a window, as in training.
    """

    def __init__(self, model: keras.Model, *, streams: int, channels: int, window: int):
        self.window = window
        self.fingerprint = fingerprint(model)
        # A `partial`, because TensorFlow counts compilations by code: those of several detectors
        # would look like one compiled too often.
        self.run = tf.function(partial(model), reduce_retracing=True)
        self.run_last = self.run
        if not tf.config.list_physical_devices("GPU"):
            # Point by point the windows have one shape, for which the loop over their steps is
            # worth compiling; fast GPU kernels are better.
            self.run_last = tf.function(partial(model), jit_compile=True)
        self.past = np.zeros((streams, 0, channels))

    def feed(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Continues with scaled values: float64[streams, steps, channels] -> (errors, last step of
        the reconstruction), the same shape; NaN while the window is not full."""
        streams, steps, channels = values.shape
        context = np.concatenate([self.past, values], axis=1)
        errors = np.full(values.shape, np.nan)
        expected = np.full(values.shape, np.nan)
        first = max(0, self.window - 1 - self.past.shape[1])  # step with the first full window
        if first < steps:
            views = np.lib.stride_tricks.sliding_window_view(context, self.window, axis=1)
            windows = views[:, first - steps :].transpose(0, 1, 3, 2)
            windows = arcsinh_scaled(windows).reshape(-1, self.window, channels)
            run = self.run_last if steps == 1 else self.run
            parts = np.array_split(windows, -(-len(windows) // BATCH))
            outputs = np.concatenate([np.asarray(run(part)) for part in parts])
            shape = (streams, -1, self.window, channels)
            errors[:, first:] = np.abs(windows - outputs).reshape(shape).mean(axis=2)
            expected[:, first:] = np.sinh(outputs.reshape(shape)[:, :, -1])
        self.past = context[:, max(0, context.shape[1] - self.window + 1) :]
        return errors, expected

    def state(self) -> dict[str, np.ndarray]:
        """Returns the last values, one row per stream, for `restore`."""
        return {"past": self.past}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Continues from a state."""
        self.past = state["past"]


class PersistenceErrors:
    """The errors of the last value as the forecast: `PredictionErrors` without a network, which
    shows what the network is worth.

    Args:
        streams: number of streams side by side.
        channels: number of channels of each.
    """

    fingerprint = ""

    def __init__(self, *, streams: int, channels: int):
        self.last = np.full((streams, channels), np.nan)

    def feed(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Continues with scaled values: float64[streams, steps, channels] -> (errors, expected
        values), the same shape; NaN at the first step."""
        expected = np.concatenate([self.last[:, None], values[:, :-1]], axis=1)
        self.last = values[:, -1]
        return values - expected, expected

    def state(self) -> dict[str, np.ndarray]:
        """Returns the last values, one row per stream, for `restore`."""
        return {"last": self.last}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Continues from a state."""
        self.last = state["last"]


def errors_of(
    model: keras.Model | None,
    *,
    autoencoder: bool,
    streams: int,
    channels: int,
    season: int,
    window: int,
) -> Errors:
    """Makes the errors of a model: `PersistenceErrors` where there is none.

    Args:
        model: forecaster or autoencoder, or None.
        autoencoder: whether the model is an autoencoder.
        streams: number of streams side by side.
        channels: number of channels of each.
        season: length of the season in steps (forecaster).
        window: steps of a window (autoencoder).
    """
    if model is None:
        return PersistenceErrors(streams=streams, channels=channels)
    if autoencoder:
        return ReconstructionErrors(model, streams=streams, channels=channels, window=window)
    return PredictionErrors(model, streams=streams, channels=channels, season=season)
