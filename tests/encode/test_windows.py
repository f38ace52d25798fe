"""Windows of series: every one of them once, nothing of the future in them, in an order that a
resumed run repeats."""

import numpy as np
import pytest

from rnn_cookbook.encode.windows import Windows
from rnn_cookbook.errors import InputError

SERIES = [np.arange(20.0)[:, None] + [0, 100], 1000 + np.arange(12.0)[:, None] + [0, 100]]


def read(windows):
    pairs = [(np.array(x), np.array(y)) for x, y in windows.dataset()]
    return [np.concatenate(part) for part in zip(*pairs, strict=True)]


def test_all_windows_and_what_follows_each():
    windows = Windows(SERIES, [(0, 20), (0, 12)], lookback=4, horizon=3, batch_size=5)
    past, future = read(windows)
    assert windows.examples == len(past) == (20 - 7 + 1) + (12 - 7 + 1)
    assert len(windows) == -(-windows.examples // 5)
    np.testing.assert_array_equal(past[0, :, 0], [0, 1, 2, 3])
    np.testing.assert_array_equal(future[0, :, 0], [4, 5, 6])
    np.testing.assert_array_equal(
        future[13, :, 1], [117, 118, 119]
    )  # the last one of the first series
    np.testing.assert_array_equal(
        past[14, :, 0], [1000, 1001, 1002, 1003]
    )  # none goes from one series into the other
    np.testing.assert_array_equal(future[-1, :, 0], [1009, 1010, 1011])
    np.testing.assert_array_equal(future[:, 0] - past[:, -1], np.ones((windows.examples, 2)))
    for got, wanted in zip(windows.arrays(), (past, future), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_targets_stay_in_their_span_and_windows_reach_back():
    """As the ETT benchmark has it: 2,880 test steps have 2,880 - horizon + 1 windows, the first of
    which looks at validation data."""
    windows = Windows(
        [np.arange(14_400.0)[:, None]], [(11_520, 14_400)], lookback=336, horizon=96, batch_size=512
    )
    past, future = windows.arrays()
    assert windows.examples == 2880 - 96 + 1
    assert (past.min(), future.min(), future.max()) == (11_520 - 336, 11_520, 14_399)


def test_a_stride_leaves_windows_out_evenly():
    windows = Windows(SERIES[:1], [(8, 20)], lookback=4, horizon=3, batch_size=2, stride=3)
    np.testing.assert_array_equal(windows.arrays()[1][:, 0, 0], [8, 11, 14, 17])


def test_the_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        windows = Windows(
            SERIES, [(0, 20), (0, 12)], lookback=4, horizon=3, batch_size=5, shuffle=True, seed=seed
        )
        windows.epoch = epoch
        return read(windows)[1][:, 0, 0].tolist()

    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4
    assert sorted(order(0, 0)) == sorted(order(1, 1))


def test_outputs_go_back_to_the_order_of_the_windows():
    windows = Windows(
        SERIES, [(0, 20), (0, 12)], lookback=4, horizon=3, batch_size=5, shuffle=True, seed=2
    )
    np.testing.assert_array_equal(windows.in_order(read(windows)[1]), windows.arrays()[1])


def test_covariates_are_those_of_the_window_and_of_the_steps_to_forecast():
    known = [
        np.arange(25.0)[:, None],
        np.arange(1000.0, 1015)[:, None],
    ]  # further than the series, which is where they help
    windows = Windows(SERIES, [(0, 20), (0, 12)], lookback=4, horizon=3, batch_size=50, known=known)
    ((inputs, target),) = windows.dataset()
    both = np.concatenate([inputs["window"], target], axis=1)
    np.testing.assert_array_equal(np.array(inputs["covariates"])[..., 0], both[..., 0])
    assert inputs["window"].shape == (windows.examples, 4, 2)


def test_a_teacher_hears_the_target():
    ((inputs, target),) = Windows(
        SERIES, [(0, 20), (0, 12)], lookback=4, horizon=3, batch_size=50, teacher=True
    ).dataset()
    assert set(inputs) == {"window", "target"}
    np.testing.assert_array_equal(inputs["target"], target)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lookback": 30}, "no window of 30 \\+ 3 steps fits: of the series, 20, 12 steps long"),
        (
            {"spans": [(18, 20), (10, 12)]},
            "no window of 4 \\+ 3 steps fits.* at most 2 are to be forecast",
        ),
        ({"spans": [(0, 21), (0, 12)]}, "within its series of 20 steps; received 0 to 21"),
        ({"spans": [(0, 20)]}, "received 2 series and 1 spans"),
        ({"horizon": 0}, "horizon must be at least 1; received 0"),
        (
            {"known": [np.zeros((20, 1)), np.zeros((11, 1))]},
            "covariates of series 1 end after 11 steps, its values after 12",
        ),
    ],
)
def test_what_cannot_be_cut_is_told(options, message):
    with pytest.raises(InputError, match=message):
        Windows(
            **{
                "series": SERIES,
                "spans": [(0, 20), (0, 12)],
                "lookback": 4,
                "horizon": 3,
                "batch_size": 5,
            }
            | options
        )
