"""Dropout of words, and the language model as a second objective."""

import keras
import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.losses import PaddedCrossEntropy
from rnn_cookbook.nn.words import LanguageModelObjective, WordDropout
from rnn_cookbook.tasks.tagging.model import sequence_tagger

RNG = np.random.default_rng(0)
SEQUENCE = RNG.normal(size=(3, 5, 4)).astype(np.float32)
LENGTHS = [5, 3, 1]
MASK = np.arange(5) < np.array(LENGTHS)[:, None]


def test_word_dropout_replaces_words_in_training_only():
    tokens = np.tile(np.array([[7, 8, 9, 0]]), (2000, 1))
    layer = WordDropout(0.3, seed=1)
    np.testing.assert_array_equal(np.array(layer(tokens, training=False)), tokens)
    dropped = np.array(layer(tokens, training=True))
    assert (dropped[:, 3] == 0).all(), "padding stays padding"
    changed = dropped[:, :3] != tokens[:, :3]
    assert (dropped[:, :3][changed] == 1).all()
    assert changed.mean() == pytest.approx(0.3, abs=0.02)
    assert (np.array(layer(tokens, training=True)) != dropped).any(), "every step draws anew"


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_word_dropout_refuses_impossible_rates(rate):
    with pytest.raises(InputError, match="received"):
        WordDropout(rate)


def test_rare_words_are_replaced_at_their_own_rate():
    layer = WordDropout(0.1, rare_from=5, rare_rate=0.5, seed=0)
    tokens = np.tile(np.array([[0, 3, 7]], np.int32), (4000, 1))
    shares = (np.array(layer(tokens, training=True)) == 1).mean(axis=0)
    np.testing.assert_allclose(shares, [0, 0.1, 0.5], atol=0.03)
    np.testing.assert_array_equal(layer(tokens, training=False), tokens)


class TestLanguageModelObjective:
    def test_cross_entropy_is_that_of_the_neighbours_by_hand(self):
        keras.utils.set_random_seed(0)
        layer = LanguageModelObjective(6, size=3)
        states = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
        tokens = np.array([[2, 9, 4], [3, 0, 0]], np.int32)  # 9 is beyond the vocabulary
        mask = tokens > 0
        layer((states, tokens, mask))
        wanted = 0.0
        for half, hidden, words, targets in zip(
            np.split(states, 2, axis=-1),
            layer.hidden,
            layer.words,
            ([[1, 4, 0], [0]], [[0, 2, 1], [0]]),
            strict=True,
        ):
            logs = np.array(keras.ops.log_softmax(words(hidden(half))))
            wanted -= sum(
                logs[row, step, target]
                for row, steps in enumerate(targets)
                for step, target in enumerate(steps)
            )
        assert float(layer.cross_entropy(states, tokens, mask)) == pytest.approx(
            wanted / 2, rel=1e-5
        )
        layer.per = "word"
        assert float(layer.cross_entropy(states, tokens, mask)) == pytest.approx(
            wanted / 4, rel=1e-5
        )

    def test_adds_its_loss_in_training_only_and_changes_nothing(self):
        layer = LanguageModelObjective(6, weight=0.5)
        states, tokens = np.ones((1, 2, 4), np.float32), np.array([[2, 3]], np.int32)
        np.testing.assert_array_equal(layer((states, tokens, tokens > 0)), states)
        assert layer.losses == []
        np.testing.assert_array_equal(layer((states, tokens, tokens > 0), training=True), states)
        assert float(layer.losses[0]) == pytest.approx(
            0.5 * float(layer.cross_entropy(states, tokens, tokens > 0))
        )

    @pytest.mark.slow
    def test_a_tagger_learns_which_word_follows(self):
        """A language whose words follow each other in a circle: only where a sentence ends could
        surprise."""
        keras.utils.set_random_seed(0)
        tokens = 2 + (np.arange(64)[:, None] + np.arange(9)) % 8
        model = sequence_tagger(
            vocabulary_size=10,
            tags=2,
            embedding_size=8,
            units=16,
            crf=False,
            language_model=1.0,
            word_dropout=0.1,
        )
        model.compile(optimizer=keras.optimizers.Adam(0.02), loss=PaddedCrossEntropy(padding=-1))
        model.fit(
            tokens.astype(np.int32), np.zeros_like(tokens), epochs=40, batch_size=16, verbose=0
        )
        layer = model.get_layer("language_model")
        states = keras.Model(model.input, layer.output)(tokens.astype(np.int32))
        nats = float(layer.cross_entropy(states, tokens, tokens > 0))
        ends = 1 / 9  # of the words
        surprise = -ends * np.log(ends) - (1 - ends) * np.log(1 - ends)
        assert nats < 2 * 1.1 * surprise  # of both directions; 2 * log(10) without learning

    @pytest.mark.parametrize(
        "options",
        [{"depth": 2, "residual": True}, {"merge": "sum"}, {"language_model": -0.1}],
        ids=str,
    )
    def test_what_it_cannot_do_is_refused(self, options):
        with pytest.raises(InputError, match="language-model objective"):
            sequence_tagger(**{"vocabulary_size": 9, "tags": 2, "language_model": 0.1, **options})
