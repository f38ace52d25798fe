"""Settings as a frozen dataclass whose field types carry their ranges.

    @dataclass(frozen=True)
    class Config:
        units: Count = 64  # size of the state
        dropout: Fraction = 0.5  # dropout rate before the classifier

        def __post_init__(self):
            check_fields(self)

The command line shows the ranges in `--help`; `check_fields` enforces them everywhere else.
"""

from __future__ import annotations

import dataclasses
import functools
import numbers
import typing
from dataclasses import dataclass
from typing import Annotated, Any

from rnn_cookbook.errors import InputError

__all__ = [
    "Count",
    "Fraction",
    "NonNegative",
    "NonNegativeCount",
    "Positive",
    "Range",
    "check_fields",
    "check_fractions",
    "increasing_fractions",
    "range_of",
]


@dataclass(frozen=True)
class Range:
    """The numbers that a setting accepts.

    Args:
        at_least: smallest accepted number.
        above: number that must be exceeded.
        below: number that must not be reached.
    """

    at_least: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        bounds = (("at least", self.at_least), ("above", self.above), ("below", self.below))
        return " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)


Count = Annotated[int, Range(at_least=1)]
NonNegativeCount = Annotated[int, Range(at_least=0)]
Positive = Annotated[float, Range(above=0)]
NonNegative = Annotated[float, Range(at_least=0)]
Fraction = Annotated[float, Range(at_least=0, below=1)]


@functools.cache
def field_types(settings: type) -> dict[str, Any]:
    """The type of each field of a dataclass, `Annotated` ranges included."""
    hints = typing.get_type_hints(settings, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(settings)}


def range_of(kind: Any) -> Range | None:
    """The range that a field type carries, if it carries one."""
    return next((extra for extra in typing.get_args(kind) if isinstance(extra, Range)), None)


def base_of(kind: Any) -> Any:
    """The type without its range: `Count` is an int."""
    return typing.get_args(kind)[0] if range_of(kind) else kind


def check_fields(settings: Any) -> None:
    """Raises InputError where a field has another type than declared, or lies outside its range.

    Args:
        settings: instance of a dataclass whose fields are str, bool, int, float, `Literal`, or one
            of the ranges of this module.
    """
    for name, kind in field_types(type(settings)).items():
        value = getattr(settings, name)
        base = base_of(kind)
        if typing.get_origin(base) is typing.Literal:
            choices = typing.get_args(base)
            _check(value in choices, name, value, f"one of {', '.join(map(str, choices))}")
            continue
        _check(_is_a(value, base), name, value, _WORDS.get(base, str(base)))
        accepted = range_of(kind)
        _check(accepted is None or value in accepted, name, value, str(accepted))


def check_fractions(**fractions: float) -> None:
    """Raises InputError, naming the argument, where a number is not at least 0 and below 1."""
    accepted = Range(at_least=0, below=1)
    for name, fraction in fractions.items():
        _check(fraction in accepted, name, fraction, str(accepted))


def increasing_fractions(name: str, text: str, *, including: float) -> tuple[float, ...]:
    """Parses numbers between 0 and 1 in increasing order, such as the quantiles "0.1,0.5,0.9".

    Args:
        name: name of the setting, for the error.
        text: numbers separated by commas.
        including: number that must be among them.

    Raises:
        InputError: the text is anything else.
    """
    try:
        fractions = tuple(float(part) for part in text.split(","))
    except ValueError:
        fractions = tuple[float, ...]()
    increasing = bool(fractions) and list(fractions) == sorted(set(fractions))
    _check(increasing, name, text, "increasing numbers separated by commas")
    _check(min(fractions) > 0 and max(fractions) < 1, name, text, "numbers between 0 and 1")
    _check(including in fractions, name, text, f"numbers with {including} among them")
    return fractions


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def _is_a(value: object, kind: Any) -> bool:
    if kind is bool or kind is str:
        return isinstance(value, kind)
    if isinstance(value, bool):
        return False
    return isinstance(value, numbers.Integral if kind is int else numbers.Real)


def _check(accepted: bool, name: str, value: object, wanted: str) -> None:
    if not accepted:
        raise InputError(f"{name} must be {wanted}; received {value!r}", field=name)
