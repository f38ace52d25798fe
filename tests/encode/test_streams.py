"""Windows of long sequences: every step once, in order, each row going on where it ended."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn_cookbook.encode.streams import Chunks, Streams
from rnn_cookbook.errors import InputError

QUICK = settings(derandomize=True, deadline=None, max_examples=40, database=None)


def read(streams):
    """What each row reads between two starts: lists of (inputs, targets), and all weights seen at
    padding."""
    pieces, open_pieces = [], [None] * streams.rows
    for (inputs, starts), targets, weights in streams.dataset().as_numpy_iterator():
        for row in range(streams.rows):
            steps = int(weights[row].sum())
            assert (weights[row, :steps] == 1).all()
            assert not weights[row, steps:].any()
            assert not inputs[row, steps:].any()
            if not steps:
                assert starts[row], "an idle row begins anew"
                continue
            if starts[row]:
                open_pieces[row] = ([], [])
                pieces.append(open_pieces[row])
            open_pieces[row][0].extend(inputs[row, :steps].tolist())
            open_pieces[row][1].extend(targets[row, :steps].tolist())
    return pieces


@QUICK
@given(
    lengths=st.lists(st.integers(2, 40), min_size=1, max_size=12),
    rows=st.integers(1, 5),
    window=st.integers(1, 9),
    epoch=st.integers(0, 3),
)
def test_every_step_comes_once_and_in_order(lengths, rows, window, epoch):
    numbers = iter(range(1, sum(lengths) + 1))
    sequences = [np.array([next(numbers) for _ in range(length)], np.int32) for length in lengths]
    streams = Streams(sequences, rows=rows, window=window, shuffle=True)
    streams.epoch = epoch
    pieces = read(streams)
    for inputs, targets in pieces:
        assert targets == [number + 1 for number in inputs], "the target is the next step"
        assert inputs == list(range(inputs[0], inputs[0] + len(inputs))), (
            "in order, and from one sequence"
        )
    assert sorted(number for inputs, _ in pieces for number in inputs) == sorted(
        n for s in sequences for n in s[:-1].tolist()
    )
    if len(lengths) >= rows:
        assert len(pieces) == len(lengths), "sequences stay whole"


def test_one_text_becomes_one_piece_a_row():
    streams = Streams([np.arange(1, 102, dtype=np.int32)], rows=4, window=10)
    assert [inputs[0] for inputs, _ in read(streams)] == [1, 26, 51, 76]
    assert len(streams) == 3
    assert streams.examples == 100


def test_the_order_depends_on_seed_and_epoch_only():
    sequences = [np.full(5, i, np.int32) for i in range(20)]

    def order(seed, epoch):
        streams = Streams(sequences, rows=2, window=4, shuffle=True, seed=seed)
        streams.epoch = epoch
        return streams.plan()

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)
    assert len({len(order(0, epoch)) for epoch in range(5)}) == 1, "as many batches every epoch"


def test_series_of_several_features_and_own_targets():
    series, flags = np.arange(24, dtype=np.float32).reshape(12, 2), np.arange(12, dtype=np.float32)
    ((inputs, starts), targets, weights), *_ = Streams(
        [series], [flags], rows=2, window=4
    ).dataset()
    assert inputs.shape == (2, 4, 2)
    np.testing.assert_array_equal(inputs[1, 0], series[6])
    np.testing.assert_array_equal(targets[:, 0], [0, 6])
    assert starts.numpy().all()
    assert weights.numpy().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"sequences": [np.ones(3)], "rows": 0, "window": 2},
            "rows must be at least 1; received 0",
        ),
        (
            {"sequences": [np.ones(3)], "rows": 1, "window": 0},
            "window must be at least 1; received 0",
        ),
        ({"sequences": [], "rows": 1, "window": 2}, "need sequences"),
        (
            {"sequences": [np.ones(1)], "rows": 1, "window": 2},
            "two where the next step is the target",
        ),
        (
            {"sequences": [np.ones(3)], "targets": [np.ones(2)], "rows": 1, "window": 2},
            "a target for each",
        ),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        Streams(**arguments)


class TestChunks:
    PAIRS = (
        (np.arange(10)[:, None], np.arange(10) * 2),
        (np.arange(100, 107)[:, None], np.arange(7)),
        (np.arange(3)[:, None], np.arange(3)),
    )

    def test_windows_by_hand_and_the_end_is_read_too(self):
        chunks = Chunks(self.PAIRS, length=4, stride=3, batch_size=3)
        batches = [(x.numpy(), y.numpy()) for x, y in chunks.dataset()]
        rows = np.concatenate([x[:, :, 0] for x, _ in batches])
        assert rows[:, 0].tolist() == [0, 3, 6, 100, 103]
        assert rows[2].tolist() == [6, 7, 8, 9]
        np.testing.assert_array_equal(np.concatenate([y for _, y in batches])[:3], rows[:3] * 2)
        assert (len(chunks), chunks.examples, [len(x) for x, _ in batches]) == (2, 5, [3, 2])
        longer = Chunks(self.PAIRS[:1], length=4, stride=5, batch_size=3)
        assert next(iter(longer.dataset()))[0][:, 0, 0].numpy().tolist() == [0, 5, 6]

    def test_the_order_is_that_of_seed_and_epoch(self):
        orders = []
        for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0)):
            chunks = Chunks(self.PAIRS, length=2, stride=1, batch_size=50, shuffle=True, seed=seed)
            chunks.epoch = epoch
            orders.append(next(iter(chunks.dataset()))[0][:, 0, 0].numpy().tolist())
        assert orders[0] == orders[1]
        assert orders[0] != orders[2] != orders[3]
        assert sorted(orders[0]) == sorted(orders[2])

    def test_bad_input(self):
        with pytest.raises(
            InputError, match="no window of 11 steps fits: the longest of 3 sequences has 10"
        ):
            Chunks(self.PAIRS, length=11, stride=1, batch_size=1)
        with pytest.raises(InputError, match="stride must be at least 1; received 0"):
            Chunks(self.PAIRS, length=2, stride=0, batch_size=1)
