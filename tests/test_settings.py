"""Field types with ranges: enforced in code, shown in the help, named by the command line."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pytest

from rnn_cookbook.cli.main import described
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.settings import (
    Count,
    Fraction,
    NonNegative,
    NonNegativeCount,
    Positive,
    Range,
    check_fields,
    check_fractions,
    increasing_fractions,
    range_of,
)


@dataclass(frozen=True)
class Config:
    name: str = "a"
    cell: Literal["lstm", "gru"] = "lstm"
    on: bool = True
    units: Count = 1
    seed: NonNegativeCount = 0
    rate: Positive = 0.1
    weight: NonNegative = 0.0
    dropout: Fraction = 0.5
    window: Annotated[int, Range(at_least=2)] = 2

    def __post_init__(self):
        check_fields(self)


def test_what_lies_in_its_range_is_accepted():
    config = Config(rate=1, units=np.int64(3), dropout=0, weight=np.float32(0.5))
    assert config.units == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"units": 0}, "units must be at least 1; received 0"),
        ({"units": 1.5}, "units must be a whole number; received 1.5"),
        ({"units": True}, "units must be a whole number; received True"),
        ({"units": "64"}, "units must be a whole number; received '64'"),
        ({"seed": -1}, "seed must be at least 0; received -1"),
        ({"rate": 0}, "rate must be above 0; received 0"),
        ({"rate": float("nan")}, "rate must be above 0; received nan"),
        ({"weight": -0.1}, "weight must be at least 0; received -0.1"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1; received 1.0"),
        ({"window": 1}, "window must be at least 2; received 1"),
        ({"cell": "rnn"}, "cell must be one of lstm, gru; received 'rnn'"),
        ({"on": 1}, "on must be true or false; received 1"),
        ({"name": 3}, "name must be a text; received 3"),
    ],
)
def test_what_does_not_is_refused_and_named(settings, message):
    with pytest.raises(InputError) as raised:
        Config(**settings)
    assert str(raised.value) == message
    (field,) = settings
    assert raised.value.fields == (field,)
    assert described(raised.value) == f"--{message}"


def test_fractions():
    check_fractions(dropout=0.0, word_dropout=0.99)
    with pytest.raises(
        InputError, match=r"word_dropout must be at least 0 and below 1; received 1"
    ):
        check_fractions(dropout=0.0, word_dropout=1.0)
    assert increasing_fractions("quantiles", "0.1,0.5, 0.9", including=0.5) == (0.1, 0.5, 0.9)
    for text, message in {
        "": "increasing numbers separated by commas; received ''",
        "0.5,x": "increasing numbers separated by commas",
        "0.5,0.1": "increasing numbers separated by commas",
        "0,0.5": "numbers between 0 and 1",
        "0.5,1": "numbers between 0 and 1",
        "0.1,0.9": "numbers with 0.5 among them",
    }.items():
        with pytest.raises(InputError, match=f"quantiles must be {message}"):
            increasing_fractions("quantiles", text, including=0.5)


def test_the_help_of_an_option_says_its_range():
    assert str(range_of(Fraction)) == "at least 0 and below 1"
    assert str(range_of(Count)) == "at least 1"
    assert range_of(int) is None


def test_the_command_line_adds_the_options_of_an_error():
    assert described(InputError("too  few\nrows", field="data_dir")) == "too few rows (--data-dir)"
    both = InputError("give labels, or a threshold", field=("labels", "threshold"))
    assert described(both) == "give labels, or a threshold (--labels, --threshold)"
    assert described(InputError("--fill is wrong", field="fill")) == "--fill is wrong"
    assert described(InputError("nothing to name")) == "nothing to name"


def test_a_listing_is_short():
    assert listing([]) == ""
    assert listing("abc") == "a, b, c"
    assert listing(range(8)) == "0, 1, 2, 3, 4 and 3 more"
