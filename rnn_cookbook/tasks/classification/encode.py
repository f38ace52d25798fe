"""Names of classes to numbers and one-hot vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["class_numbers", "one_hot"]


def class_numbers(labels: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Returns the number of each label, int64[examples]: its position in `classes`.

    Args:
        labels: name of the class of each example.
        classes: names of all classes, in the order of the model's outputs.

    Raises:
        KeyError: a label is none of the classes.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([numbers[label] for label in labels], dtype=np.int64)


def one_hot(labels: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Returns each label as a distribution, float32[examples, classes]: 1 at its class, else 0.

    Args:
        labels: name of the class of each example.
        classes: names of all classes, in the order of the model's outputs.

    Raises:
        KeyError: a label is none of the classes.
    """
    return np.eye(len(classes), dtype=np.float32)[class_numbers(labels, classes)]
