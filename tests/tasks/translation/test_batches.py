"""Batches of pairs: every pair once an epoch, little padding, an order of seed and epoch alone."""

import numpy as np
import pytest

from rnn_cookbook.encode.batches import padded
from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.translation.batches import PairBatches, short_enough


class TestPairBatches:
    def encode(self, epoch):
        rng = np.random.default_rng(3)
        sources = [rng.integers(4, 9, rng.integers(1, 20)) for _ in range(500)]
        return sources, [np.append(source[::-1], 3 + epoch) for source in sources]

    def test_every_pair_once_an_epoch_and_no_batch_much_padded(self):
        batches = PairBatches(self.encode, batch_size=16, shuffle=True)
        seen, cells, tokens = [], 0, 0
        for (source, target), also in batches.dataset().as_numpy_iterator():
            np.testing.assert_array_equal(target, also)
            for row, answer in zip(source, target, strict=True):
                own = row[row > 0]
                np.testing.assert_array_equal(answer[answer > 0], np.append(own[::-1], 3))
                seen.append(tuple(own))
            cells, tokens = cells + source.size, tokens + (source > 0).sum()
        assert sorted(seen) == sorted(map(tuple, self.encode(0)[0]))
        assert tokens / cells > 0.85
        assert len(batches) == 32

    def test_order_and_sequences_depend_on_seed_and_epoch_only(self):
        def flat(seed, epoch):
            batches = PairBatches(self.encode, batch_size=16, shuffle=True, seed=seed)
            batches.epoch = epoch
            return [part.tolist() for _, part in batches.dataset().as_numpy_iterator()]

        assert flat(0, 1) == flat(0, 1)
        assert flat(0, 1) != flat(1, 1)
        assert flat(0, 1) != flat(0, 0)
        assert all(
            row[np.flatnonzero(row)[-1]] == 4 for part in flat(0, 1) for row in map(np.array, part)
        )  # the second epoch's end

    @pytest.mark.parametrize(
        ("pairs", "message"),
        [
            (([], []), "0 sources and 0 targets"),
            (([np.ones(2)], []), "1 sources and 0 targets"),
            (([np.ones(2)], [np.ones(0)]), "every source and target needs a token"),
        ],
    )
    def test_bad_input(self, pairs, message):
        with pytest.raises(InputError, match=message):
            PairBatches(lambda epoch: pairs, batch_size=2)

    def test_padding(self):
        assert padded([np.array([1, 2]), np.array([3])]).tolist() == [[1, 2], [3, 0]]


def test_pairs_that_are_too_long_are_left_out_and_counted(messages):
    sources = [np.ones(length) for length in (3, 9, 4)]
    targets = [np.ones(length) for length in (5, 2, 3)]
    assert short_enough(sources, targets, longest=5).tolist() == [0, 2]
    assert "training: 1 of 3 pairs are longer than 5 subwords (up to 9)" in messages.text
    with pytest.raises(InputError, match="max_tokens 2 leaves none of 3 test pairs") as error:
        short_enough(sources, targets, longest=2, name="test")
    assert error.value.fields == ("max_tokens",)
