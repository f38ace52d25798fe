"""A model's outputs for many examples, in the order in which they were given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol
from weakref import WeakKeyDictionary, ref

import keras
import numpy as np
import tensorflow as tf

__all__ = ["PredictionBatches", "SequenceBatches", "predict", "predict_sequences"]


class PredictionBatches(Protocol):
    """What `predict` answers: batches in any order, which can be undone."""

    def __len__(self) -> int: ...

    def dataset(self) -> tf.data.Dataset:
        """The batches: inputs, or inputs and targets."""
        ...

    def in_order(self, outputs: np.ndarray) -> np.ndarray:
        """Puts outputs of the batches into the order of the examples."""
        ...


class SequenceBatches(Protocol):
    """What `predict_sequences` answers: batches of sequences of known lengths."""

    @property
    def lengths(self) -> Sequence[int] | np.ndarray:
        """The number of steps of each sequence."""
        ...

    def dataset(self) -> tf.data.Dataset:
        """The batches, in the order of `plan`."""
        ...

    def plan(self) -> Iterable[Sequence[int] | np.ndarray]:
        """The indices of the sequences of each batch."""
        ...


_FORWARD: WeakKeyDictionary = WeakKeyDictionary()


def _forward(model: keras.Model) -> Callable:
    if model not in _FORWARD:  # tracing anew for every call would cost more than a small batch
        # Through a reference, or the function, which the model keeps, would keep the model for
        # ever; and as a partial, since TensorFlow counts the tracings of a function by its code,
        # and would warn of the fifth of several models' first calls.
        _FORWARD[model] = tf.function(partial(_answer, ref(model)), reduce_retracing=True)
    return _FORWARD[model]


def _answer(alive: ref, inputs: Any) -> Any:
    model = alive()
    assert model is not None  # who calls holds it
    return model(inputs, training=False)


def _inputs_of(batch: Any) -> Any:
    return batch[0] if isinstance(batch, tuple) else batch


def predict(
    model: keras.Model,
    batches: PredictionBatches,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Computes the model's outputs in the order of the examples: float32[examples, ...].

    Args:
        model: any model.
        batches: batches of inputs, or of inputs and targets.
        progress: function called with the number of finished batches and of all batches.
    """
    outputs = []
    for batch in batches.dataset():
        outputs.append(_forward(model)(_inputs_of(batch)).numpy())
        if progress:
            progress(len(outputs), len(batches))
    return batches.in_order(np.concatenate(outputs))


def predict_sequences(model: keras.Model, batches: SequenceBatches) -> list:
    """Computes the model's outputs step by step, in the order of the sequences.

    Args:
        model: model with an output for each step: one array, or a dictionary of arrays.
        batches: batches of sequences.

    Returns:
        For each sequence float32[time, ...] without its padding, or a dictionary of such arrays.
    """
    answers: list = [None] * len(batches.lengths)
    for indices, batch in zip(batches.plan(), batches.dataset(), strict=True):
        outputs = keras.tree.map_structure(np.asarray, _forward(model)(_inputs_of(batch)))
        for row, index in enumerate(indices):
            length = batches.lengths[index]
            answers[index] = keras.tree.map_structure(
                lambda x, row=row, length=length: x[row, :length], outputs
            )
    return answers
