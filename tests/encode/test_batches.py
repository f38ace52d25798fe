"""Batches of sequences: every example once, beside others of its length, in an order that a
resumed run repeats."""

import numpy as np
import pytest

from rnn_cookbook.encode.batches import Batches, padded, together
from rnn_cookbook.errors import InputError

RNG = np.random.default_rng(0)
SEQUENCES = [
    RNG.integers(1, 99, size=length).astype(np.int32) for length in RNG.integers(1, 40, size=403)
]


class TestBatches:
    def test_every_example_comes_once_with_its_target_right_padded(self):
        batches = Batches(SEQUENCES, np.arange(403), batch_size=8, shuffle=True)
        seen = []
        for tokens, targets in batches.dataset():
            for row, index in zip(tokens.numpy(), targets.numpy(), strict=True):
                length = len(SEQUENCES[index])
                np.testing.assert_array_equal(row[:length], SEQUENCES[index])
                assert not row[length:].any()
                seen.append(index)
        assert sorted(seen) == list(range(403))
        assert len(batches) == 51

    def test_little_goes_into_padding(self):
        batches = Batches(SEQUENCES, batch_size=8, shuffle=True)
        cells = sum(tokens.shape[0] * tokens.shape[1] for tokens in batches.dataset())
        words = sum(map(len, SEQUENCES))
        assert cells < 1.1 * words
        assert 8 * len(batches) * 39 > 1.8 * words, (
            "fixed padding would cost this much: the test must be able to fail"
        )

    def test_order_depends_on_seed_and_epoch_alone(self):
        def order(seed, epoch):
            batches = Batches(SEQUENCES, np.arange(403), batch_size=8, shuffle=True, seed=seed)
            batches.epoch = epoch
            return np.concatenate([targets.numpy() for _, targets in batches.dataset()]).tolist()

        assert order(0, 3) == order(0, 3)
        assert order(0, 3) != order(0, 4)
        assert order(0, 3) != order(1, 3)

    def test_outputs_go_back_into_order(self):
        batches = Batches(SEQUENCES, batch_size=8)
        sums = np.concatenate([tokens.numpy().sum(axis=1) for tokens in batches.dataset()])
        assert batches.in_order(sums).tolist() == [sequence.sum() for sequence in SEQUENCES]
        with pytest.raises(ValueError, match="unshuffled"):
            Batches(SEQUENCES, batch_size=8, shuffle=True).in_order(sums)

    def test_lengths_are_rounded_up_or_fixed(self):
        assert all(
            tokens.shape[1] % 7 == 0
            for tokens in Batches(SEQUENCES, batch_size=8, multiple_of=7).dataset()
        )
        assert {
            tokens.shape[1] for tokens in Batches(SEQUENCES, batch_size=8, pad_to=50).dataset()
        } == {50}

    def test_extras_take_turns(self):
        batches = Batches(
            SEQUENCES, np.arange(403), batch_size=8, shuffle=True, extras=103, rounds=4
        )
        seen = []
        for epoch in range(4):
            batches.epoch = epoch
            epoch_seen = np.concatenate([targets.numpy() for _, targets in batches.dataset()])
            assert sorted(epoch_seen[epoch_seen < 300]) == list(range(300))
            assert len(epoch_seen) == batches.examples == 325
            seen += epoch_seen[epoch_seen >= 300].tolist()
        assert len(seen) == len(set(seen)) == 100

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"sequences": []}, "one token or more"),
            ({"sequences": [np.zeros(0, np.int32)]}, "one token or more"),
            ({"batch_size": 0}, "batch_size must be at least 1; received 0"),
            ({"pad_to": 3}, "39 tokens does not fit"),
        ],
    )
    def test_bad_arguments(self, arguments, message):
        with pytest.raises(InputError, match=message):
            Batches(**{"sequences": SEQUENCES, "batch_size": 8, **arguments})


def test_what_is_worked_on_together_is_about_as_long_and_fits():
    lengths = [3, 0, 50, 4, 200, 3, 4, 0, 49]
    batches = together(lengths, batch_size=3, cells=100)
    assert batches == [[0, 5, 3], [6, 8], [2], [4]], "98 cells with padding; a third would make 150"
    assert together([], batch_size=3, cells=100) == []


STEPS = {
    "tokens": SEQUENCES,
    "letters": [np.stack([row, row + 1, row + 2], axis=1) for row in SEQUENCES],
}
TAGS = [row % 5 for row in SEQUENCES]


class TestBatchesOfSeveralThings:
    """Words, their letters and their tags: what belongs to a word stays with it."""

    @pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"multiple_of": 7}, {"pad_to": 50}])
    def test_go_together_and_targets_are_padded_with_minus_one(self, options):
        batches = Batches(STEPS, TAGS, batch_size=8, **options)
        seen = []
        for inputs, targets in batches.dataset().as_numpy_iterator():
            assert list(inputs) == ["tokens", "letters"]
            tokens, letters, there = inputs["tokens"], inputs["letters"], inputs["tokens"] > 0
            assert {array.dtype for array in (tokens, letters, targets)} == {np.dtype(np.int32)}
            np.testing.assert_array_equal(targets, np.where(there, tokens % 5, -1))
            np.testing.assert_array_equal(
                letters, np.where(there, tokens + np.arange(3)[:, None, None], 0).transpose(1, 2, 0)
            )
            seen += [tuple(row[row > 0]) for row in tokens]
        assert sorted(seen) == sorted(tuple(row) for row in SEQUENCES)

    def test_targets_step_by_step_of_plain_sequences(self):
        for tokens, targets in Batches(SEQUENCES, TAGS, batch_size=8).dataset():
            np.testing.assert_array_equal(targets, np.where(tokens > 0, tokens % 5, -1))

    def test_one_target_an_example_and_none(self):
        seen = []
        for targets in (np.arange(403), list(range(403))):
            for inputs, numbers in Batches(STEPS, targets, batch_size=8).dataset():
                for row, number in zip(inputs["tokens"].numpy(), numbers.numpy(), strict=True):
                    assert row[row > 0].tolist() == SEQUENCES[number].tolist()
                seen += numbers.numpy().tolist()
        assert sorted(seen) == sorted([*range(403)] * 2)
        assert all(
            set(inputs) == {"tokens", "letters"}
            for inputs in Batches(STEPS, batch_size=8).dataset()
        )

    def test_vectors_as_targets_are_one_an_example(self):
        for tokens, targets in Batches(
            SEQUENCES, np.eye(403, dtype=np.float32), batch_size=8
        ).dataset():
            assert targets.shape == (len(tokens), 403)

    @pytest.mark.parametrize(
        ("sequences", "targets", "message"),
        [
            ({}, None, "one token or more"),
            ({"tokens": []}, None, "one token or more"),
            ({"tokens": [np.ones(2), np.ones(0)]}, None, "one token or more"),
            (
                {"a": [np.ones(2), np.ones(3)], "b": [np.ones((2, 4)), np.ones((2, 4))]},
                None,
                "sequence 1 has 3 steps, but 2 of b",
            ),
            (
                {"a": [np.ones(2)], "b": [np.ones(2)] * 2},
                None,
                "1 sequences and 2 of b do not go together",
            ),
            (
                [np.ones(2), np.ones(3)],
                [np.ones(2), np.ones(4)],
                "sequence 1 has 3 steps, but 4 of the targets",
            ),
            (
                [np.ones(2), np.ones(3)],
                [np.ones(2)],
                "2 sequences and 1 of the targets do not go together",
            ),
        ],
    )
    def test_what_does_not_fit(self, sequences, targets, message):
        with pytest.raises(InputError, match=message):
            Batches(sequences, targets, batch_size=8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": np.zeros(3)}, "2 sequences and 3 targets do not go together"),
        ({"targets": np.zeros(1)}, "2 sequences and 1 targets do not go together"),
        ({"multiple_of": 0}, "multiple_of must be at least 1; received 0"),
        ({"rounds": 0}, "rounds must be at least 1; received 0"),
    ],
)
def test_batches_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        Batches([np.array([2]), np.array([3])], batch_size=2, **options)


def test_padded_sequences_are_as_long_as_the_longest():
    whole = padded([np.array([1.5]), np.array([2.0, 3.0])], np.float32)
    np.testing.assert_array_equal(whole, [[1.5, 0], [2, 3]])
    assert whole.dtype == np.float32
