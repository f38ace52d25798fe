"""A stream line by line: headers, missing values, and lines that are refused."""

import numpy as np
import pandas as pd
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.anomaly.lines import LineStream


@pytest.mark.parametrize(
    ("channels", "lines", "values"),
    [
        (
            ["a"],
            ["2024-01-01,\n", "2024-01-02,NA\n", "2024-01-03,1\n"],
            [np.nan, np.nan, 1],
        ),  # no header: nothing measured
        (
            ["a"],
            ["when,what\n", "2024-01-01,1\n", "when,a\n", "2024-01-02,2\n"],
            [1, 2],
        ),  # once more, as after a rotation
        (
            ["1"],
            ["\n", "time,1\n", "2024-01-01,5\n"],
            [5],
        ),  # a name that is a number, after an empty line
        (["a"], ["soon,\n", "2024-01-01,1\n"], [np.nan, 1]),
    ],
)
def test_what_is_a_header_and_what_is_not(channels, lines, values):
    found = [row[2][0, 0] for row in LineStream(channels, lines=lines).parts()]
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["unique_id,ds,y\n"],
            "the header has a column 'unique_id': standard input is of one stream",
        ),
        (["2024-01-01,\x00\n"], "could not convert"),
        (["2024-01-01," + "1" * 200_000 + "\n"], "line 1 cannot be read: field larger"),
    ],
)
def test_lines_that_are_refused(lines, message):
    with pytest.raises(InputError, match=message):
        list(LineStream(["y"], lines=lines).parts())


def test_lines_with_a_header_and_missing_values():
    rows = list(
        LineStream(
            ["a", "b"], lines=["time,b,is it,a\n", "2024-01-01,2,no,3\n", "\n", "soon,n/a,,nan\n"]
        ).parts()
    )
    assert [names for names, _, _ in rows] == [["2024-01-01"], ["soon"]]
    assert rows[0][1][0] == pd.Timestamp("2024-01-01")
    assert rows[1][1].hasnans
    assert rows[0][2].tolist() == [[3, 2]]
    assert np.isnan(rows[1][2]).all()
