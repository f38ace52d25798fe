"""Keras' recurrent layers, as `rnn_stack` builds them, against float64 NumPy: outputs, final
states, every gradient."""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf

from rnn_cookbook.nn.recurrent import CELLS, rnn_stack

FEATURES, UNITS, TIME = 3, 2, 5
LENGTHS = [5, 3, 1]
MASK = np.arange(TIME) < np.array(LENGTHS)[:, None]
KINDS = [("simple_rnn", True), ("lstm", True), ("gru", True), ("gru", False)]


@pytest.fixture(autouse=True)
def _float64():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(before)


def stack(
    cell,
    *,
    reset_after=True,
    bidirectional=False,
    merge="concat",
    with_states=False,
    dtype="float64",
):
    """A model of one layer: ([x, mask, *initial states]) -> [outputs, *final states], with every
    weight random, biases included."""
    rng = np.random.default_rng(1)
    x, mask = keras.Input((None, FEATURES), dtype=dtype), keras.Input((None,), dtype="bool")
    count = (2 if cell == "lstm" else 1) * (2 if bidirectional else 1)
    initial = [keras.Input((UNITS,), dtype=dtype) for _ in range(count)] if with_states else []
    outputs, (states,) = rnn_stack(
        x,
        mask=mask,
        cell=cell,
        units=UNITS,
        bidirectional=bidirectional,
        merge=merge,
        reset_after=reset_after,
        initial_states=[initial] if with_states else None,
        return_states=True,
    )
    model = keras.Model([x, mask, *initial], [outputs, *states])
    for weight in weights_of(model):
        weight.assign(rng.normal(size=weight.shape))
    x = rng.normal(size=(len(LENGTHS), TIME, FEATURES))
    initial = [rng.normal(size=(len(LENGTHS), UNITS)) for _ in range(count)] if with_states else []
    return model, x, initial


def weights_of(model):
    """Forward ones first, which Keras does not promise."""
    layers = sorted(
        (layer for layer in model.layers if layer.weights),
        key=lambda layer: layer.name,
        reverse=True,
    )
    return [
        weight
        for layer in sorted(layers, key=lambda layer: layer.name.endswith("backward"))
        for weight in layer.weights
    ]


def values_of(model):
    return [np.array(weight) for weight in weights_of(model)]


def true_steps(array):
    """Of a sequence, what is not padding; final states as they are."""
    array = np.asarray(array)
    return array[MASK] if array.ndim == 3 else array


def expected(cell, x, weights, initial, *, bidirectional, reset_after):
    """[outputs, *final states] of the reference."""
    read = reference.both_ways if bidirectional else reference.one_way
    options = {"reset_after": reset_after} if cell == "gru" else {}
    outputs, states = read(cell, x, weights, lengths=LENGTHS, states=initial or None, **options)
    return [outputs, *states]


@pytest.mark.parametrize("with_states", [False, True], ids=["from zero", "from a state"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize(("cell", "reset_after"), KINDS)
class TestAgainstTheReference:
    def test_outputs_and_final_states(self, cell, reset_after, bidirectional, with_states):
        model, x, initial = stack(
            cell, reset_after=reset_after, bidirectional=bidirectional, with_states=with_states
        )
        found = model([x, MASK, *initial])
        wanted = expected(
            cell, x, values_of(model), initial, bidirectional=bidirectional, reset_after=reset_after
        )
        assert len(found) == len(wanted)
        for got, want in zip(found, wanted, strict=True):
            np.testing.assert_allclose(true_steps(got), true_steps(want), atol=1e-12)

    def test_gradients_of_inputs_states_and_weights(
        self, cell, reset_after, bidirectional, with_states
    ):
        """Every output but padding counts, and so do final states: with random weights, no two
        errors cancel."""
        model, x, initial = stack(
            cell, reset_after=reset_after, bidirectional=bidirectional, with_states=with_states
        )
        rng, weights = np.random.default_rng(2), [weight.copy() for weight in values_of(model)]
        projections = [rng.normal(size=output.shape) for output in model([x, MASK, *initial])]
        projections[0][~MASK] = 0

        def loss():
            outputs = expected(
                cell, x, weights, initial, bidirectional=bidirectional, reset_after=reset_after
            )
            return sum(
                (output * projection).sum()
                for output, projection in zip(outputs, projections, strict=True)
            )

        inputs = [
            tf.constant(array) for array in (x, *initial)
        ]  # Keras takes either tensors or arrays
        variables = [weight.value for weight in weights_of(model)]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = model([inputs[0], tf.constant(MASK), *inputs[1:]])
            total = tf.add_n(
                [
                    tf.reduce_sum(output * projection)
                    for output, projection in zip(outputs, projections, strict=True)
                ]
            )
        found = tape.gradient(total, [*inputs, *variables])
        np.testing.assert_allclose(total, loss(), rtol=1e-10)
        for got, array in zip(found, [x, *initial, *weights], strict=True):
            np.testing.assert_allclose(
                got, reference.finite_differences(loss, array), rtol=1e-6, atol=1e-8
            )
        assert not np.asarray(found[0])[~MASK].any(), "no gradient gets into padding"


@pytest.mark.parametrize(("cell", "reset_after"), KINDS)
def test_float32_as_trained_is_the_reference_to_its_precision(cell, reset_after):
    keras.config.set_dtype_policy("float32")
    model, x, _ = stack(cell, reset_after=reset_after, bidirectional=True, dtype="float32")
    weights = [weight.astype(np.float64) for weight in values_of(model)]
    for got, want in zip(
        model([x, MASK]),
        expected(
            cell, x.astype(np.float32), weights, [], bidirectional=True, reset_after=reset_after
        ),
        strict=True,
    ):
        assert got.dtype == tf.float32
        np.testing.assert_allclose(true_steps(got), true_steps(want), atol=2e-6)


@pytest.mark.parametrize(
    ("merge", "combine"), [("sum", np.add), ("mul", np.multiply), ("ave", lambda a, b: (a + b) / 2)]
)
@pytest.mark.parametrize("cell", CELLS)
def test_merges_of_the_directions(cell, merge, combine):
    model, x, _ = stack(cell, bidirectional=True, merge=merge)
    concatenated, *states = expected(
        cell, x, values_of(model), [], bidirectional=True, reset_after=True
    )
    outputs, *found = model([x, MASK])
    np.testing.assert_allclose(
        true_steps(outputs), true_steps(combine(*np.split(concatenated, 2, axis=-1))), atol=1e-12
    )
    for got, want in zip(found, states, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_final_states_are_where_the_next_part_goes_on(cell):
    """A sequence read in two parts, the states handed on, is the sequence read whole."""
    model, x, initial = stack(cell, with_states=True)
    everywhere = np.ones((len(x), TIME), bool)
    whole, *finals = model([x, everywhere, *initial])
    first, *states = model([x[:, :2], everywhere[:, :2], *initial])
    second, *again = model([x[:, 2:], everywhere[:, 2:], *(np.array(state) for state in states)])
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, atol=1e-12)
    for got, want in zip(again, finals, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-12)


def test_the_two_grus_differ():
    """Else nothing above would tell them apart."""
    (after, x, _), (before, *_) = (
        stack("gru", reset_after=reset_after) for reset_after in (True, False)
    )
    kernel, recurrent, bias = after.get_weights()
    bias[1] = 0
    after.set_weights([kernel, recurrent, bias])
    before.set_weights([kernel, recurrent, bias[0]])
    np.testing.assert_allclose(
        after([x, MASK])[0][:, 0], before([x, MASK])[0][:, 0], atol=1e-12
    )  # from zero, the reset does nothing
    assert np.abs(after([x, MASK])[0][:2, 1] - before([x, MASK])[0][:2, 1]).max() > 1e-3
