"""Seeded splits. Labelled data is split so that every class keeps its share in every part."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log


def in_turn(examples, **sizes: int) -> dict:
    """Parts of these sizes by their names, one after the other: of examples that were drawn at
    random, and are all different.

    Raises:
        ValueError: there are not as many as are wanted.
    """
    if sum(sizes.values()) > len(examples):
        raise ValueError(f"{len(examples)} examples are too few for {sizes}")
    ends = np.cumsum([0, *sizes.values()])
    return {
        name: examples.take(range(start, end))
        for name, (start, end) in zip(sizes, pairwise(ends), strict=True)
    }


def stratified_split(
    labels: Sequence, *, fraction: float, seed: int, part: str = "validation"
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the larger and of the smaller part, int64, both in the original order.

    Args:
        labels: one hashable label an example.
        fraction: share of the smaller part, between 0 and 1.
        seed: the same seed gives the same split.
        part: what the smaller part is called in error messages.

    Raises:
        InputError: one class only, a class of one example, or too few examples for every class to
            be in both parts.
    """
    from sklearn.model_selection import train_test_split

    if not 0 < fraction < 1:
        raise InputError(f"the {part} fraction must lie between 0 and 1, got {fraction}")
    counts = check_classes(labels)
    size = max(round(fraction * len(labels)), len(counts))
    if len(labels) - size < len(counts):
        raise InputError(
            f"{len(labels)} examples of {len(counts)} classes are too few to set {size} aside for {part}"
        )
    large, small = train_test_split(
        np.arange(len(labels)), test_size=size, stratify=list(labels), random_state=seed
    )
    large, small = _with_every_class(large, small, labels, counts)
    small, large = _with_every_class(small, large, labels, counts)
    return np.sort(large), np.sort(small)


def _with_every_class(
    part: np.ndarray, other: np.ndarray, labels: Sequence, counts: Counter
) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn may round a rare class out of a part: an example of it changes places with one
    of the part's largest class."""
    part, other = part.copy(), other.copy()
    for label in counts:
        here = Counter(labels[i] for i in part)
        if not here[label]:
            (most, _), *_ = here.most_common(1)
            given = next(k for k, i in enumerate(part) if labels[i] == most)
            taken = next(k for k, i in enumerate(other) if labels[i] == label)
            part[given], other[taken] = other[taken], part[given]
    return part, other


def split_by_group(
    parts: dict,
    groups: Callable[[object], tuple[list, list]],
    *,
    what: str,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
) -> dict:
    """Splits what is missing of "test" and "validation" off "train", at random, whole groups at a
    time.

    Args:
        parts: split name to examples with `take(indices)`.
        groups: examples -> the group of each, and the different groups in the order that they are
            drawn from.
        what: groups are, for errors.
        validation_fraction, test_fraction: of the groups of what is left.
        seed: of both splits.

    Raises:
        InputError: too few groups.
    """
    parts = dict(parts)
    for number, (name, fraction) in enumerate(
        (("test", test_fraction), ("validation", validation_fraction))
    ):
        if name in parts:
            continue
        train = parts["train"]
        owners, distinct = groups(train)
        size = max(1, round(fraction * len(distinct)))
        if size >= len(distinct):
            raise InputError(f"{len(distinct)} {what} are too few to set {size} aside for {name}")
        chosen = {
            distinct[i]
            for i in np.random.default_rng([seed, number]).permutation(len(distinct))[:size]
        }
        flags = np.array([owner in chosen for owner in owners])
        parts[name], parts["train"] = (
            train.take(np.flatnonzero(flags)),
            train.take(np.flatnonzero(~flags)),
        )
    return parts


def complete(
    parts: dict, *, validation_fraction: float, test_fraction: float, seed: int
) -> tuple[dict, list[str]]:
    """Splits the missing ones of "test" and "validation" off "train", by class, and checks that the
    classes agree.

    Args:
        parts: split name to examples with `texts`, `labels` and `take(indices)`, such as
            `data.texts.Texts`.
        validation_fraction: of what remains for training.
        test_fraction: of all the examples.
        seed: of both splits.

    Returns:
        All the splits, and the names of the classes in alphabetical order.

    Raises:
        InputError: as `stratified_split`, or a split has a class that the training split lacks.
    """
    parts = dict(parts)
    for name, fraction in (("test", test_fraction), ("validation", validation_fraction)):
        if name not in parts:
            large, small = stratified_split(
                parts["train"].labels, fraction=fraction, seed=seed, part=name
            )
            parts[name], parts["train"] = parts["train"].take(small), parts["train"].take(large)
    classes = sorted(check_classes(parts["train"].labels))
    for name in ("validation", "test"):
        if unknown := sorted(set(parts[name].labels) - set(classes)):
            raise InputError(
                f"the {name} split has classes that the training split lacks: {listing(unknown)}; training has {listing(classes)}"
            )
        if shared := len(set(parts["train"].texts) & set(parts[name].texts)):
            log.warning(
                "%d texts of the training split are in the %s split, too: its scores flatter",
                shared,
                name,
            )
    return parts, classes


def check_classes(labels: Sequence) -> Counter:
    """Counts of the labels; raises InputError unless there are two classes or more with two
    examples or more in each."""
    counts = Counter(labels)
    if len(counts) < 2:
        raise InputError(
            f"a classifier needs two classes or more; the only label in the data is {listing(map(repr, counts)) or 'none'}"
        )
    rare = [f"{label!r} ({count})" for label, count in counts.items() if count < 2]
    if rare:
        raise InputError(
            f"every class needs two examples or more, so that it can be trained and checked; too few for {listing(rare)}"
        )
    return counts
