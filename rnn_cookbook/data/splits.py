"""Seeded splits. Labelled data is split so that every class keeps its share in every part."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from rnn_cookbook.errors import InputError, listing


def stratified_split(labels: Sequence, *, fraction: float, seed: int, part: str = "validation") -> tuple[np.ndarray, np.ndarray]:
    """Indices of the larger and of the smaller part, int64, both in the original order.

    Args:
        labels: one hashable label an example.
        fraction: share of the smaller part, between 0 and 1.
        seed: the same seed gives the same split.
        part: what the smaller part is called in error messages.

    Raises:
        InputError: one class only, or a class too small to be in both parts.
    """
    from sklearn.model_selection import train_test_split

    if not 0 < fraction < 1:
        raise InputError(f"the {part} fraction must lie between 0 and 1, got {fraction}")
    counts = check_classes(labels)
    size = max(round(fraction * len(labels)), len(counts))
    if len(labels) - size < len(counts):
        raise InputError(f"{len(labels)} examples of {len(counts)} classes are too few to set {size} aside for {part}")
    large, small = train_test_split(np.arange(len(labels)), test_size=size, stratify=list(labels), random_state=seed)
    return np.sort(large), np.sort(small)


def check_classes(labels: Sequence) -> Counter:
    """Counts of the labels; raises InputError unless there are two classes or more with two examples or more in each."""
    counts = Counter(labels)
    if len(counts) < 2:
        raise InputError(f"a classifier needs two classes or more; the only label in the data is {listing(map(repr, counts)) or 'none'}")
    rare = [f"{label!r} ({count})" for label, count in counts.items() if count < 2]
    if rare:
        raise InputError(f"every class needs two examples or more, so that it can be trained and checked; too few for {listing(rare)}")
    return counts
