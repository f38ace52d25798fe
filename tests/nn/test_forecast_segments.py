"""Segments of a window, one channel each."""

import numpy as np
import pytest

from rnn_cookbook.nn.forecast_segments import FoldSegments, UnfoldSegments

RNG = np.random.default_rng(0)


def test_segments_hold_consecutive_steps_of_one_channel():
    window = np.arange(24, dtype=np.float32).reshape(1, 12, 2)
    segments = np.array(FoldSegments(4)(window))
    assert segments.shape == (2, 3, 4)
    np.testing.assert_array_equal(segments[1, 2], window[0, 8:, 1])
    steps = np.array(UnfoldSegments(12, channels=2, width=1)(segments.reshape(6, 1, 4)))
    np.testing.assert_array_equal(steps[..., 0], window)


@pytest.mark.parametrize("joint", [False, True])
def test_segments_are_cut_and_put_together_by_step_and_channel(joint):
    window = RNG.normal(size=(2, 6, 3)).astype(np.float32)
    folded = FoldSegments(2, joint=joint)(window)
    assert folded.shape == ((2, 3, 6) if joint else (6, 3, 2))
    # Each segment a row, as the future's are: what was cut comes back.
    rows = np.reshape(folded, (-1, 1, folded.shape[2]))
    np.testing.assert_array_equal(
        UnfoldSegments(6, channels=3, width=1, joint=joint)(rows)[..., 0], window
    )


def test_folded_segments_have_the_covariates_of_their_steps():
    window, known = np.arange(12.0).reshape(1, 6, 2), np.arange(100.0, 106).reshape(1, 6, 1)
    rows = np.array(FoldSegments(3)((window, known)))
    np.testing.assert_array_equal(rows[1, 1], [7, 9, 11, 103, 104, 105])  # channel 1, steps 3 to 5
    together = np.array(FoldSegments(3, joint=True)((window, known)))
    np.testing.assert_array_equal(together[0, 1], [6, 7, 8, 9, 10, 11, 103, 104, 105])
