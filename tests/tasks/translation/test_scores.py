"""Translation without a network, and its scores: by hand where they can be counted."""

import numpy as np
import pytest

from rnn_cookbook.encode.batches import padded
from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.translation.baselines import WordForWord, nearest
from rnn_cookbook.tasks.translation.batches import PairBatches
from rnn_cookbook.tasks.translation.data import Pairs
from rnn_cookbook.tasks.translation.scores import bleu_signature, translation_scores

NOUNS = {"dog": "Hund", "cat": "Katze", "man": "Mann", "tree": "Baum"}
VERBS = {"sees": "sieht", "bites": "beißt", "likes": "mag"}


def sentences(count=200, seed=0) -> Pairs:
    """Subject verb object; in the target the verb is last."""
    rng = np.random.default_rng(seed)
    sources, targets = [], []
    for _ in range(count):
        (one, other), verb = rng.choice(list(NOUNS), 2), rng.choice(list(VERBS))
        sources.append(f"{one} {verb} {other}.")
        targets.append(f"{NOUNS[one]} {NOUNS[other]} {VERBS[verb]}.")
    return Pairs(sources, targets)


def test_word_for_word_finds_the_words_whatever_their_order():
    model = WordForWord().fit(sentences())
    assert {word: model.best[word] for word in (NOUNS | VERBS)} == NOUNS | VERBS
    assert model.translate(["man sees zebra."]) == ["Mann sieht zebra."]


def test_the_nearest_is_the_one_that_shares_rare_words():
    train = Pairs(["the dog sleeps", "the cat sleeps", "the zebra runs"], ["D", "C", "Z"])
    assert nearest(train, ["the zebra sleeps", "dog"]) == ["Z", "D"]


def test_scores():
    same = translation_scores(["ein Hund sieht die Katze ."], ["ein Hund sieht die Katze ."])
    assert same == {"bleu": pytest.approx(100), "chrf": 100, "ter": 0, "exact_match": 1}
    other = translation_scores(
        ["ein Hund sieht die Katze ."] * 2,
        ["ein Hund sieht die Katze .", "ein Hund sieht Katze die ."],
    )
    assert 0 < other["bleu"] < 100
    assert other["ter"] == pytest.approx(100 / 12, abs=0.01)  # one word moved, of twelve
    assert other["exact_match"] == 0.5
    cased = translation_scores(["Ein Hund"], ["ein hund"])
    assert cased["exact_match"] == cased["bleu"] == 0
    assert "case:mixed|eff:no|tok:13a" in bleu_signature()


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
            (([np.ones(2)], [np.ones(0)]), "a source or target has no token"),
        ],
    )
    def test_bad_input(self, pairs, message):
        with pytest.raises(InputError, match=message):
            PairBatches(lambda epoch: pairs, batch_size=2)

    def test_padding(self):
        assert padded([np.array([1, 2]), np.array([3])]).tolist() == [[1, 2], [3, 0]]
