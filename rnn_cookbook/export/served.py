"""What every served model has."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

_NEVER = 1e3  # outputs as large as this say what cannot be
_CLOSE = 1e-5  # of probabilities, or nats: a rounding decides which is larger


class Served(tf.Module, ABC):
    """A trained model from raw input to its answer, as one function of TensorFlow.

    Attributes:
        signature: of each raw input shape and type, under its name.
        outputs: the names of its answers, in alphabetical order.
        about: for who is to use it: what goes in, and what comes out.
        model: the same function as a Keras model, where numbers go in and come out and any format
            may hold it; else None.
    """

    signature: Sequence[tf.TensorSpec]
    outputs: Sequence[str]
    about: str
    model: keras.Model | None = None

    @abstractmethod
    def __call__(self, *inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """The answers by their names, of inputs in the order of the signature."""

    @abstractmethod
    def examples(self, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Raw inputs to try it with, drawn at random."""

    @abstractmethod
    def expected(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the library itself answers to raw inputs, by the way that predictions take; strings
        as bytes."""

    def sizes(
        self, inputs: dict[str, np.ndarray], wanted: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """What a difference to each expected number is to be seen as a share of."""
        return {name: size_in_row(value) for name, value in wanted.items() if value.dtype != object}

    def ties(self, inputs: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> np.ndarray:
        """bool[batch]: where another answer in words is as good as the expected one, but for a
        rounding."""
        return np.zeros(len(next(iter(wanted.values()))), bool)


def call_by_name(network: keras.Model, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
    """The network's output, of inputs by their names, in whatever structure it takes them."""
    values = [inputs[one.name] for one in keras.tree.flatten(network.input)]
    return network(keras.tree.pack_sequence_as(network.input, values), training=False)


def size_in_row(wanted: np.ndarray) -> np.ndarray:
    """The largest number in the row of each, or 1 where that is less: float32 has so many digits,
    and no more. Numbers that say "never", such as -1e4, and those of which an example has one,
    count for themselves alone."""
    size = np.abs(wanted)
    never = size >= _NEVER
    row = np.where(never, 0.0, size)
    row = row.max(axis=-1, keepdims=True) if row.ndim > 1 else row
    return np.where(never, size, np.maximum(row, 1.0))


def close_at_the_top(scores: np.ndarray) -> np.ndarray:
    """float[..., classes] -> bool[...]: whether a rounding decides which is the largest."""
    two = np.sort(scores, axis=-1)[..., -2:]
    return two[..., 1] - two[..., 0] < _CLOSE
