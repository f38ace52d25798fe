"""Splits into training, validation and test: seeded by class or by group, or by time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log

if TYPE_CHECKING:
    from rnn_cookbook.data.series import Series

__all__ = [
    "Examples",
    "LabelledExamples",
    "check_classes",
    "complete",
    "in_turn",
    "split_by_group",
    "split_by_time",
    "stratified_split",
]

_Self = TypeVar("_Self", bound="Examples")


class Examples(Protocol):
    """Examples of which a part can be taken."""

    def __len__(self) -> int: ...

    def take(self: _Self, indices: Iterable[int]) -> _Self: ...


class LabelledExamples(Examples, Protocol):
    """Texts with a label each, such as `data.texts.Texts`."""

    texts: list[str]
    labels: list[str]


_Part = TypeVar("_Part", bound=Examples)
_LabelledPart = TypeVar("_LabelledPart", bound=LabelledExamples)


def in_turn(examples: _Part, **sizes: int) -> dict[str, _Part]:
    """Returns parts of these sizes by their names, one after the other.

    Args:
        examples: examples that were drawn at random, and are all different.
        sizes: number of examples of each part.

    Raises:
        ValueError: there are fewer examples than the sizes need.
    """
    if sum(sizes.values()) > len(examples):
        raise ValueError(f"{len(examples)} examples are too few for {sizes}")
    ends = np.cumsum([0, *sizes.values()])
    return {
        name: examples.take(range(start, end))
        for name, (start, end) in zip(sizes, pairwise(ends), strict=True)
    }


def check_classes(labels: Sequence[Hashable]) -> Counter:
    """Counts the labels.

    Raises:
        InputError: fewer than two classes, or a class with a single example.
    """
    counts = Counter(labels)
    if len(counts) < 2:
        raise InputError(
            "a classifier needs two classes or more; the only label in the data is "
            f"{listing(map(repr, counts)) or 'none'}"
        )
    rare = [f"{label!r} ({count})" for label, count in counts.items() if count < 2]
    if rare:
        raise InputError(
            "every class needs two examples or more, so that it can be trained and checked; too "
            f"few for {listing(rare)}"
        )
    return counts


def stratified_split(
    labels: Sequence[Hashable], *, fraction: float, seed: int, part: str = "validation"
) -> tuple[np.ndarray, np.ndarray]:
    """Splits examples at random, so that every class keeps its fraction in both parts.

    Args:
        labels: label of each example.
        fraction: fraction of the smaller part, between 0 and 1.
        seed: seed of the draw; the same seed gives the same split.
        part: name of the smaller part in messages.

    Returns:
        int64 indices of the larger and of the smaller part, both in the original order.

    Raises:
        InputError: a single class, a class with a single example, or too few examples for every
            class to be in both parts.
    """
    from sklearn.model_selection import train_test_split

    if not 0 < fraction < 1:
        name = f"{part}_fraction"
        raise InputError(f"{name} must be above 0 and below 1; received {fraction}", field=name)
    counts = check_classes(labels)
    size = max(round(fraction * len(labels)), len(counts))
    if len(labels) - size < len(counts):
        raise InputError(
            f"{len(labels)} examples of {len(counts)} classes are too few to set {size} aside for "
            f"{part}",
            field=f"{part}_fraction",
        )
    parts = train_test_split(
        np.arange(len(labels)), test_size=size, stratify=list(labels), random_state=seed
    )
    large, small = map(np.asarray, parts)
    large, small = _with_every_class(large, small, labels, counts)
    small, large = _with_every_class(small, large, labels, counts)
    return np.sort(large), np.sort(small)


def complete(
    parts: dict[str, _LabelledPart], *, validation_fraction: float, test_fraction: float, seed: int
) -> tuple[dict[str, _LabelledPart], list[str]]:
    """Splits missing parts, "test" and then "validation", off "train", by class, and checks that
    the classes agree.

    Args:
        parts: split name to examples.
        validation_fraction: fraction of the examples that are left after the test split.
        test_fraction: fraction of all examples.
        seed: seed of both splits.

    Returns:
        All the splits, and the names of the classes in alphabetical order.

    Raises:
        InputError: as `stratified_split`; or a split has a class that the training split lacks.
    """
    parts = dict(parts)
    for name, fraction in (("test", test_fraction), ("validation", validation_fraction)):
        if name not in parts:
            train = parts["train"]
            large, small = stratified_split(train.labels, fraction=fraction, seed=seed, part=name)
            parts[name] = train.take(small)
            parts["train"] = train.take(large)
    classes = sorted(check_classes(parts["train"].labels))
    for name in ("validation", "test"):
        if unknown := sorted(set(parts[name].labels) - set(classes)):
            raise InputError(
                f"the {name} split has classes that the training split lacks: {listing(unknown)}; "
                f"training has {listing(classes)}"
            )
        if shared := len(set(parts["train"].texts) & set(parts[name].texts)):
            log.warning(
                "%d texts of the training split are in the %s split, too: its scores flatter",
                shared,
                name,
            )
    return parts, classes


def split_by_group(
    parts: dict[str, _Part],
    groups: Callable[[_Part], tuple[Sequence[Hashable], Sequence[Hashable]]],
    *,
    what: str,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
) -> dict[str, _Part]:
    """Splits missing parts, "test" and then "validation", off "train", at random, whole groups at
    a time.

    Args:
        parts: split name to examples.
        groups: function of examples; returns the group of each example, and the different groups
            in the order that they are drawn from.
        what: name of the groups in messages.
        validation_fraction: fraction of the groups that are left after the test split.
        test_fraction: fraction of all groups.
        seed: seed of both splits.

    Raises:
        InputError: too few groups.
    """
    parts = dict(parts)
    fractions = (("test", test_fraction), ("validation", validation_fraction))
    for number, (name, fraction) in enumerate(fractions):
        if name in parts:
            continue
        train = parts["train"]
        owners, distinct = groups(train)
        size = max(1, round(fraction * len(distinct)))
        if size >= len(distinct):
            raise InputError(
                f"{len(distinct)} {what} are too few to set {size} aside for {name}",
                field=f"{name}_fraction",
            )
        order = np.random.default_rng([seed, number]).permutation(len(distinct))
        chosen = {distinct[i] for i in order[:size]}
        flags = np.array([owner in chosen for owner in owners])
        parts[name] = train.take(np.flatnonzero(flags))
        parts["train"] = train.take(np.flatnonzero(~flags))
    return parts


def split_by_time(
    series: Sequence[Series], *, lookback: int, horizon: int, validation: float, test: float
) -> tuple[list[Series], dict[str, list[tuple[int, int]]]]:
    """Splits each series by time: its last steps are the test, the steps before validation, the
    first ones training.

    Series too short for a window of training and a forecast in each split are left out, which is
    logged.

    Args:
        series: series to split.
        lookback: steps that the model reads.
        horizon: steps that the model forecasts.
        validation: fraction of each series' steps.
        test: fraction of each series' steps.

    Returns:
        The series that are long enough; and for each split the steps [first, end) of each series
        that are to be forecast.

    Raises:
        InputError: every series is too short, with what would fit the longest; or the fractions
            leave nothing to train on.
    """
    if validation + test >= 1:
        raise InputError(
            f"fractions of {validation} for validation and {test} for the test leave nothing to "
            "train on",
            field=("validation_fraction", "test_fraction"),
        )
    kept: list[Series] = []
    left_out: list[Series] = []
    spans: dict[str, list[tuple[int, int]]] = {"train": [], "validation": [], "test": []}
    for each in series:
        first, second = _borders(len(each), validation, test)
        end = len(each)
        if first < lookback + horizon or min(second - first, end - second) < horizon:
            left_out.append(each)
            continue
        kept.append(each)
        spans["train"].append((0, first))
        spans["validation"].append((first, second))
        spans["test"].append((second, end))
    if not kept:
        _refuse_short(series, lookback, horizon, validation, test)
    if left_out:
        log.warning(
            "%d of %d series are too short for a look-back of %d and a horizon of %d, and left "
            "out: %s",
            len(left_out),
            len(series),
            lookback,
            horizon,
            listing(each.name for each in left_out),
        )
    return kept, spans


def _with_every_class(
    part: np.ndarray, other: np.ndarray, labels: Sequence[Hashable], counts: Counter
) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn may round a rare class out of a part: an example of it changes places with an
    example of the part's largest class."""
    part = part.copy()
    other = other.copy()
    for label in counts:
        present = Counter(labels[i] for i in part)
        if not present[label]:
            ((largest, _),) = present.most_common(1)
            given = next(k for k, i in enumerate(part) if labels[i] == largest)
            taken = next(k for k, i in enumerate(other) if labels[i] == label)
            part[given], other[taken] = other[taken], part[given]
    return part, other


def _borders(steps: int, validation: float, test: float) -> tuple[int, int]:
    """The first steps of the validation and of the test."""
    second = steps - round(steps * test)
    return second - round(steps * validation), second


def _refuse_short(
    series: Sequence[Series], lookback: int, horizon: int, validation: float, test: float
) -> None:
    longest = len(max(series, key=len))
    first, second = _borders(longest, validation, test)
    fitting = min(second - first, longest - second, first - 1)
    if fitting > 0:
        fits = f"a horizon of {fitting} and a look-back of {first - fitting}"
    else:
        fits = "none, nor any other"
    subject = "the series" if len(series) == 1 else f"the longest of {len(series)} series"
    raise InputError(
        f"{subject} has {longest} steps: {first} to train, {second - first} to validate, "
        f"{longest - second} to test. That is too few for a look-back of {lookback} and a horizon "
        f"of {horizon}; at most {fits} would fit with these fractions",
        field=("horizon", "lookback"),
    )
