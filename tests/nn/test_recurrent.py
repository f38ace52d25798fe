"""The recurrent stack: options against what they say, states that are returned and given."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.recurrent import CELLS, rnn_stack
from rnn_cookbook.nn.recurrent_layers import (
    CarriedState,
    WeightDropGRU,
    WeightDropLSTM,
    WeightDropSimpleRNN,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 6, 5)).astype(np.float32)
MASK = np.arange(6) < np.array([6, 4, 1])[:, None]
PARTS = {"simple_rnn": 1, "lstm": 2, "gru": 1}


def stack(**options):
    keras.utils.set_random_seed(1)
    x, mask = keras.Input((None, 5)), keras.Input((None,), dtype="bool")
    return keras.Model([x, mask], rnn_stack(x, mask=mask, **{"units": 4, **options}))


def halves(**options):
    """The forward and the backward outputs of one bidirectional layer."""
    return (np.array(half) for half in stack(bidirectional=True, merge=None, **options)([X, MASK]))


@pytest.mark.parametrize(
    ("merge", "expected"),
    [
        ("concat", lambda f, b: np.concatenate([f, b], axis=-1)),
        ("sum", lambda f, b: f + b),
        ("mul", lambda f, b: f * b),
        ("ave", lambda f, b: (f + b) / 2),
    ],
)
def test_directions_are_merged_as_named(merge, expected):
    merged = np.array(stack(bidirectional=True, merge=merge)([X, MASK]))
    np.testing.assert_allclose(merged[MASK], expected(*halves())[MASK], atol=1e-6)


def test_backward_direction_reads_the_reversed_sequence():
    """The output of the backward layer is that of a forward layer with the same weights on the
    reversed steps, reversed again."""
    model = stack(bidirectional=True)
    outputs = np.array(model([X, MASK]))
    backward = model.get_layer("rnn_1_bidirectional").backward_layer
    alone = keras.layers.LSTM(4, return_sequences=True)
    alone.build((None, None, 5))
    alone.set_weights(backward.get_weights())
    for row, length in enumerate(MASK.sum(axis=1)):
        expected = np.array(alone(X[row : row + 1, :length][:, ::-1]))[:, ::-1]
        np.testing.assert_allclose(outputs[row : row + 1, :length, 4:], expected, atol=1e-6)


def test_initialisation_is_by_the_book():
    for cell in CELLS:
        _, recurrent, bias = stack(cell=cell).get_weights()
        np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(4), atol=1e-5)  # orthogonal rows
        expected = np.repeat([0.0, 1.0, 0.0, 0.0], 4) if cell == "lstm" else np.zeros_like(bias)
        np.testing.assert_array_equal(bias, expected)  # the forget gate starts open


def test_residual_adds_the_layer_below_and_norm_normalises():
    plain, residual, normed = (
        np.array(stack(depth=2, **o)([X, MASK]))
        for o in ({}, {"residual": True}, {"layer_norm": True})
    )
    below = np.array(stack(depth=1)([X, MASK]))
    np.testing.assert_allclose(residual[MASK], (plain + below)[MASK], atol=1e-6)
    variance = below.var(axis=-1, keepdims=True)
    once = np.array(stack(layer_norm=True)([X, MASK]))
    np.testing.assert_allclose(
        once, (below - below.mean(axis=-1, keepdims=True)) / np.sqrt(variance + 1e-3), atol=1e-4
    )
    np.testing.assert_allclose(normed.mean(axis=-1), 0, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_returned_states_are_those_after_each_sequences_last_step(cell, bidirectional):
    keras.utils.set_random_seed(1)
    x, mask = keras.Input((None, 5)), keras.Input((None,), dtype="bool")
    model = keras.Model(
        [x, mask],
        rnn_stack(
            x,
            mask=mask,
            cell=cell,
            units=4,
            depth=2,
            bidirectional=bidirectional,
            return_states=True,
        ),
    )
    outputs, states = model([X, MASK])
    assert [len(layer) for layer in states] == [PARTS[cell] * (2 if bidirectional else 1)] * 2
    outputs, top = np.array(outputs), states[-1]
    for row, length in enumerate(MASK.sum(axis=1)):
        np.testing.assert_allclose(top[0][row], outputs[row, length - 1, :4], atol=1e-6)
        if bidirectional:
            np.testing.assert_allclose(top[PARTS[cell]][row], outputs[row, 0, 4:], atol=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_given_states_go_on_where_another_stack_ended(cell):
    keras.utils.set_random_seed(1)
    x, mask = keras.Input((None, 5)), keras.Input((None,), dtype="bool")
    outputs, states = rnn_stack(x, mask=mask, cell=cell, units=4, depth=2, return_states=True)
    first = keras.Model([x, mask], [outputs, states])
    given = [[keras.Input((4,)) for _ in layer] for layer in states]
    rest = keras.Model(
        [x, mask, given], rnn_stack(x, mask=mask, cell=cell, units=4, depth=2, initial_states=given)
    )
    rest.set_weights(first.get_weights())
    whole, (head, middle) = (
        np.array(first([X, MASK | True])[0]),
        first([X[:, :2], MASK[:, :2] | True]),
    )
    tail = rest([tf.constant(X[:, 2:]), tf.constant(MASK[:, 2:] | True), middle])
    np.testing.assert_allclose(np.concatenate([head, tail], axis=1), whole, atol=1e-6)


class TestDropout:
    def test_variational_dropout_drops_the_same_components_at_every_step(self):
        for variational in (True, False):
            x = keras.Input((None, 5))
            keras.Model(
                x, rnn_stack(x, mask=None, units=4, input_dropout=0.5, variational=variational)
            )
            layer = next(
                node
                for node in keras.Model(
                    x, rnn_stack(x, mask=None, input_dropout=0.5, variational=variational)
                ).layers
                if "dropout" in node.name
            )
            dropped = np.array(layer(np.ones((20, 6, 5), np.float32), training=True)) == 0
            assert 0.3 < dropped.mean() < 0.7
            assert (dropped == dropped[:, :1]).all() == variational

    @pytest.mark.parametrize(
        ("cell", "layer"),
        [("simple_rnn", WeightDropSimpleRNN), ("lstm", WeightDropLSTM), ("gru", WeightDropGRU)],
    )
    def test_weight_drop_computes_with_a_kernel_of_which_a_share_is_zero(
        self, cell, layer, monkeypatch
    ):
        seen = []
        drop = layer(16, weight_drop=0.3, return_sequences=True)
        drop.build((None, None, 5))
        inner = type(drop).__mro__[2].inner_loop
        monkeypatch.setattr(
            type(drop).__mro__[2],
            "inner_loop",
            lambda self, *a, **k: (
                seen.append(np.array(self.cell.recurrent_kernel)),
                inner(self, *a, **k),
            )[1],
        )
        kernel = np.array(drop.cell.recurrent_kernel)
        first, second, still = (
            drop(X, training=True),
            drop(X, training=True),
            drop(X, training=False),
        )
        for used in seen[:2]:
            assert (used == 0).mean() == pytest.approx(0.3, abs=0.08)
            np.testing.assert_allclose(used[used != 0], kernel[used != 0] / 0.7, rtol=1e-6)
        assert (seen[0] != seen[1]).any(), "a new mask every batch"
        np.testing.assert_array_equal(seen[2], kernel)
        assert not np.allclose(first, second)
        plain = CELLS[cell](16, return_sequences=True)
        plain.build((None, None, 5))
        plain.set_weights(drop.get_weights()[:3])
        np.testing.assert_allclose(still, plain(X), atol=1e-6)
        np.testing.assert_array_equal(drop.cell.recurrent_kernel, kernel)
        assert any(weight is drop.cell.recurrent_kernel for weight in drop.trainable_variables)

    def test_dropped_weights_get_no_gradient_and_the_others_do(self):
        drop = WeightDropLSTM(8, weight_drop=0.5)
        drop.build((None, None, 5))
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(drop(X, training=True))
        gradient = np.array(tape.gradient(loss, drop.cell.recurrent_kernel))
        assert (gradient == 0).mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "transformer"}, "'transformer'; accepted are simple_rnn, lstm, gru"),
        ({"units": 0}, "received units=0"),
        ({"merge": "max"}, "'max' of two directions; accepted are concat, sum, mul, ave, None"),
        ({"merge": None, "depth": 2, "bidirectional": True}, "received depth=2"),
        ({"weight_drop": 1.0}, r"weight_drop must be at least 0 and below 1; received 1\.0"),
        ({"dropout": -0.1}, r"dropout must .* received -0\.1"),
        ({"batch_size": 4}, "both starts and batch_size; received starts=None, batch_size=4"),
        ({"initial_states": [[]], "depth": 2}, "each of 2 layers; received 1"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(InputError, match=message):
        stack(**options)


def test_carried_states_refuse_what_cannot_be_carried():
    x, starts = keras.Input(batch_shape=(3, None, 5)), keras.Input(batch_shape=(3,), dtype="bool")
    with pytest.raises(InputError, match="starts without bidirectional"):
        rnn_stack(x, mask=None, starts=starts, batch_size=3, bidirectional=True)
    with pytest.raises(InputError, match="received 0"):
        CarriedState(keras.layers.LSTM(4, return_sequences=True, return_state=True), batch_size=0)


@pytest.mark.parametrize(
    ("cell", "bidirectional", "count"),
    [("gru", False, 2), ("gru", True, 3), ("lstm", False, 1), ("lstm", True, 2)],
)
def test_initial_states_of_the_wrong_number_or_width(cell, bidirectional, count):
    sequence, state = keras.Input((None, 3)), keras.Input((4,))
    wanted = (2 if cell == "lstm" else 1) * (2 if bidirectional else 1)
    options = {"mask": None, "cell": cell, "units": 4, "bidirectional": bidirectional}
    with pytest.raises(
        InputError, match=f"initial_states must have {wanted} states of 4 units for each layer"
    ):
        rnn_stack(sequence, initial_states=[[state] * count], **options)
    with pytest.raises(
        InputError, match=f"initial_states must have {wanted} states of 4 units for each layer"
    ):
        rnn_stack(sequence, initial_states=[[keras.Input((5,))] * wanted], **options)
    rnn_stack(sequence, initial_states=[[state] * wanted], **options)
