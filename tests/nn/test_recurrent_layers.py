"""States that are carried from batch to batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnn_cookbook.encode.streams import Streams
from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.recurrent import CELLS, rnn_stack
from rnn_cookbook.nn.recurrent_layers import (
    CarriedState,
)
from rnn_cookbook.tasks.language.model import language_model

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 6, 5)).astype(np.float32)
MASK = np.arange(6) < np.array([6, 4, 1])[:, None]
PARTS = {"simple_rnn": 1, "lstm": 2, "gru": 1}


def stack(**options):
    keras.utils.set_random_seed(1)
    x, mask = keras.Input((None, 5)), keras.Input((None,), dtype="bool")
    return keras.Model([x, mask], rnn_stack(x, mask=mask, **{"units": 4, **options}))


class TestCarriedState:
    """Truncated backpropagation through time."""

    @staticmethod
    def model(cell="lstm", depth=2):
        keras.utils.set_random_seed(1)
        x, starts = (
            keras.Input(batch_shape=(3, None, 5)),
            keras.Input(batch_shape=(3,), dtype="bool"),
        )
        return keras.Model(
            [x, starts],
            rnn_stack(x, mask=None, cell=cell, units=4, depth=depth, starts=starts, batch_size=3),
        )

    @pytest.mark.parametrize("cell", CELLS)
    def test_windows_give_what_the_whole_sequence_gives(self, cell):
        model = self.model(cell)
        whole = np.array(model([X, np.ones(3, bool)]))
        windows = [model([X[:, i : i + 2], np.full(3, i == 0)]) for i in (0, 2, 4)]
        np.testing.assert_allclose(np.concatenate(windows, axis=1), whole, atol=1e-6)

    def test_a_row_that_starts_forgets_and_the_others_do_not(self):
        model = self.model()
        fresh = np.array(model([X, np.ones(3, bool)]))
        again = np.array(model([X, np.array([False, True, False])]))
        np.testing.assert_array_equal(again[1], fresh[1])
        assert not np.allclose(again[0], fresh[0])
        assert not np.allclose(again[2], fresh[2])

    def test_an_evaluation_leaves_the_state_of_the_training_alone(self):
        model = self.model()
        model([X, np.ones(3, bool)], training=True)
        expected = np.array(model([X, np.zeros(3, bool)], training=True))
        model([X, np.ones(3, bool)], training=True)
        model([X[:, ::-1], np.ones(3, bool)], training=False)
        np.testing.assert_array_equal(model([X, np.zeros(3, bool)], training=True), expected)

    def test_no_gradient_travels_into_the_batch_before(self):
        layer = CarriedState(
            keras.layers.LSTM(4, return_sequences=True, return_state=True), batch_size=3
        )
        x = tf.constant(X)
        with tf.GradientTape() as tape:
            tape.watch(x)
            layer((x[:, :3], np.ones(3, bool), None), training=True)
            loss = tf.reduce_sum(layer((x[:, 3:], np.zeros(3, bool), None), training=True)[0])
        gradient = np.array(tape.gradient(loss, x))
        assert (gradient[:, :3] == 0).all()
        assert (gradient[:, 3:] != 0).any()

    def test_the_state_is_saved_with_the_model(self, tmp_path):
        model = self.model()
        model([X, np.ones(3, bool)])
        model.save(tmp_path / "m.keras")
        again = keras.saving.load_model(tmp_path / "m.keras")
        np.testing.assert_array_equal(again([X, np.zeros(3, bool)]), model([X, np.zeros(3, bool)]))

    @pytest.mark.slow
    def test_a_language_model_learns_what_only_the_carried_state_can_tell(self):
        """Windows of 2 steps; the third token repeats the first. With the state carried it is
        certain, without it a coin toss."""
        rng = np.random.default_rng(0)
        text = np.concatenate([[bit, 3, bit, 4] for bit in rng.integers(1, 3, 3000)]).astype(
            np.int32
        )
        losses = {}
        for carried in (True, False):  # the latter: every window a new sequence
            keras.utils.set_random_seed(1)
            streams = Streams([text], rows=20, window=2)
            model = language_model(
                vocabulary_size=5, embedding_size=8, units=16, depth=1, batch_size=20
            )
            optimizer, ends = keras.optimizers.Adam(0.03), []

            @tf.function
            def step(x, starts, y, model=model, optimizer=optimizer):
                with tf.GradientTape() as tape:
                    loss = tf.reduce_mean(
                        keras.losses.sparse_categorical_crossentropy(
                            y, model([x, starts], training=True), from_logits=True
                        )
                    )
                optimizer.apply(
                    tape.gradient(loss, model.trainable_variables), model.trainable_variables
                )
                return loss

            for (x, starts), y, _ in streams.dataset():
                ends.append(float(step(x, starts if carried else tf.ones_like(starts), y)))
            losses[carried] = np.mean(ends[-50:])
        coin = np.log(2)
        assert losses[True] == pytest.approx(coin / 4, abs=0.03), "one token in four is a coin toss"
        assert losses[False] > coin / 2 - 0.05, "and so is the one that repeats it, at least"


def test_a_carried_state_of_other_rows():
    inputs = keras.Input((None, 3)), keras.Input((), dtype="bool")
    model = keras.Model(
        inputs, rnn_stack(inputs[0], mask=None, starts=inputs[1], batch_size=2, units=4)
    )
    with pytest.raises(InputError, match="carries the states of 2 rows; received a batch of 3"):
        model([np.zeros((3, 2, 3), np.float32), np.ones(3, bool)])
