"""The interface of a model that is exported, from its inputs to its answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

__all__ = [
    "ROUNDING",
    "SENTINEL",
    "Facts",
    "Served",
    "call_by_name",
    "close_at_the_top",
    "size_in_row",
]

# Magnitude from which a number is a sentinel, such as -1e4 for a forbidden transition.
SENTINEL = 1e3
# Difference of two probabilities (or log-probabilities, in nats) that rounding may turn round.
ROUNDING = 1e-5


class Facts(NamedTuple):
    """What the user of a network has to know beside its inputs and outputs.

    Args:
        entries: entries of `export.json`.
        paragraph: paragraph of the README that explains them.
    """

    entries: Mapping[str, Any]
    paragraph: str


class Served(tf.Module, ABC):
    """A trained model from raw input to its answer, as one function of TensorFlow.

    Attributes:
        signature: name, shape and type of each raw input.
        outputs: names of the answers, in alphabetical order.
        about: description of the inputs and the answers, for the user of the export.
        network: network from numbers to numbers, without inputs that only training feeds.
        model: the same function as a Keras model, if its inputs and outputs are numbers that any
            format can hold; None otherwise.
    """

    signature: Sequence[tf.TensorSpec]
    outputs: Sequence[str]
    about: str
    network: keras.Model
    model: keras.Model | None = None

    @property
    def input_names(self) -> list[str]:
        """The names of the raw inputs, in the order of the signature."""
        return [str(spec.name) for spec in self.signature]

    @abstractmethod
    def __call__(self, *inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the answers by name, given the inputs in the order of the signature."""

    @abstractmethod
    def examples(self, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draws `size` random raw inputs to check the export with."""

    @abstractmethod
    def expected(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns what the library itself answers, by its own way of predicting; strings as
        bytes."""

    def facts(self) -> Facts:
        """Returns what `export.json` and the README say of the network besides; nothing by
        default."""
        return Facts(entries={}, paragraph="")

    def sizes(
        self, inputs: dict[str, np.ndarray], wanted: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Returns the scale that the error of each expected number is divided by."""
        return {name: size_in_row(value) for name, value in wanted.items() if value.dtype != object}

    def ties(self, inputs: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> np.ndarray:
        """Returns where rounding decides which text is the answer: bool[batch]."""
        return np.zeros(len(next(iter(wanted.values()))), bool)


def call_by_name(network: keras.Model, inputs: Mapping[str, tf.Tensor]) -> Any:
    """Calls a network with its inputs by name, in whatever structure the network takes them.

    Args:
        network: functional Keras model.
        inputs: a tensor for each input of the network; others are ignored.

    Returns:
        The network's output: a tensor, or a structure of tensors.
    """
    values = [inputs[tensor.name] for tensor in keras.tree.flatten(network.input)]
    return network(keras.tree.pack_sequence_as(network.input, values), training=False)


def size_in_row(wanted: np.ndarray) -> np.ndarray:
    """Returns the scale that the error of each number is divided by: the largest magnitude in the
    number's row, and at least 1, because float32 keeps so many digits and no more.

    Sentinels (magnitude `SENTINEL` or more) and arrays with one number per example are compared on
    their own scale.

    Args:
        wanted: expected numbers, float[batch] or float[batch, ..., values].
    """
    size = np.abs(wanted)
    sentinel = size >= SENTINEL
    row = np.where(sentinel, 0.0, size)
    if row.ndim > 1:
        row = row.max(axis=-1, keepdims=True)
    return np.where(sentinel, size, np.maximum(row, 1.0))


def close_at_the_top(scores: np.ndarray) -> np.ndarray:
    """Returns whether rounding decides which class has the largest score: float[..., classes] ->
    bool[...]."""
    two = np.sort(scores, axis=-1)[..., -2:]
    return two[..., 1] - two[..., 0] < ROUNDING
