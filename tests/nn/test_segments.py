"""Segments of a sequence, split and joined."""

import numpy as np
import pytest

from rnn_cookbook.nn.segments import JoinSegments, SplitSegments

RNG = np.random.default_rng(0)
SEQUENCE = RNG.normal(size=(3, 5, 4)).astype(np.float32)
LENGTHS = [5, 3, 1]
MASK = np.arange(5) < np.array(LENGTHS)[:, None]


@pytest.mark.parametrize("length", [1, 2, 3, 5, 7])
def test_segments_join_to_what_was_split(length):
    segments, mask = SplitSegments(length)((SEQUENCE, MASK))
    assert segments.shape[1:] == (length, 4)
    assert np.array(mask)[:, 0].all(), "a row without a step makes the fast GPU kernels raise"
    np.testing.assert_array_equal(np.array(JoinSegments()((segments, MASK))), SEQUENCE)


def test_segments_hold_consecutive_steps():
    segments, mask = SplitSegments(2)((SEQUENCE, MASK))
    np.testing.assert_array_equal(np.array(segments)[1], SEQUENCE[0, 2:4])
    assert np.array(mask).tolist()[3:6] == [
        [True, True],
        [True, False],
        [True, False],
    ]  # the last is padding throughout
