"""The LSTM with a training step of its own: Keras' layer is the reference, in everything."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnn_cookbook.nn.lstm import LSTM
from rnn_cookbook.nn.recurrent_layers import WeightDropLSTM

KERNEL = "BlockLSTMV2"
rng = np.random.default_rng(0)


def pair(features=4, units=5, **options):
    """Keras' layer and this one, with the same weights, none of them zero."""
    one, other = keras.layers.LSTM(units, **options), LSTM(units, **options)
    for layer in (one, other):
        layer.build((None, None, features))
    one.set_weights([weights + rng.normal(size=weights.shape) for weights in one.get_weights()])
    other.set_weights(one.get_weights())
    return one, other


def step(layer, *inputs, training=True, mask=None, **compiled):
    """A compiled function of what the layer gives, and the derivatives of a sum of all of it, by
    inputs and weights."""

    @tf.function(**compiled)
    def call(x, *states):
        with tf.GradientTape() as tape:
            tape.watch([x, *states])
            outputs = keras.tree.flatten(
                layer(x, initial_state=list(states) or None, mask=mask, training=training)
            )
            total = sum(
                tf.reduce_sum(tf.sin(output * (i + 1.3))) for i, output in enumerate(outputs)
            )
        return outputs, tape.gradient(total, [x, *states, *layer.trainable_variables])

    return call.get_concrete_function(*inputs)


def is_fast(call) -> bool:
    return KERNEL in {node.op for node in call.graph.as_graph_def().node}


def drawn(*shape, scale=1.0):
    return tf.constant(rng.normal(size=shape) * scale, tf.float32)


def assert_same(found, wanted):
    for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(wanted), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=2e-5 * max(1, np.abs(other).max()), rtol=0)


@pytest.mark.parametrize("given", [False, True], ids=["from zeros", "from states"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_sequences": True},
        {"return_state": True},
        {"return_sequences": True, "return_state": True},
        {"return_sequences": True, "return_state": True, "go_backwards": True},
    ],
    ids=" ".join,
)
def test_outputs_and_derivatives_are_those_of_keras(options, given):
    inputs = drawn(3, 7, 4), *([drawn(3, 5), drawn(3, 5)] if given else [])
    one, other = (step(layer, *inputs) for layer in pair(**options))
    assert is_fast(other)
    assert not is_fast(one)
    assert_same(other(*inputs), one(*inputs))


@pytest.mark.parametrize(
    ("time", "scale"), [(1, 1), (80, 30)], ids=["one step", "gates and cells far out"]
)
def test_extremes(time, scale):
    x = drawn(2, time, 4, scale=scale)
    one, other = (step(layer, x) for layer in pair(return_sequences=True))
    assert_same(other(x), one(x))


def test_lengths_and_batches_are_known_when_they_come():
    one, other = pair(return_sequences=True)
    anything = tf.TensorSpec((None, None, 4))
    expected, call = step(one, anything), step(other, anything)
    for shape in [(2, 3, 4), (5, 9, 4)]:
        x = drawn(*shape)
        assert_same(call(x), expected(x))


def test_derivatives_are_those_of_differences():
    """Of the layer alone, whatever Keras does: in float32, along random directions."""
    _, layer = pair(return_sequences=True)
    x, ahead, toward = drawn(2, 6, 4), drawn(2, 6, 4), drawn(2, 6, 5)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(layer(x, training=True) * toward)
    along = tf.reduce_sum(tape.gradient(total, x) * ahead)
    differences = (
        tf.reduce_sum(
            (layer(x + 1e-2 * ahead, training=True) - layer(x - 1e-2 * ahead, training=True))
            * toward
        )
        / 2e-2
    )
    np.testing.assert_allclose(along, differences, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "relu"},
        {"recurrent_activation": "hard_sigmoid"},
        {"use_bias": False},
        {"recurrent_dropout": 0.5},
        {"dropout": 0.5},
        {"unroll": True},
        {"dtype": "mixed_float16"},
    ],
    ids=lambda options: "=".join(map(str, *options.items())),
)
def test_any_other_layer_is_keras_own(options):
    assert not is_fast(step(LSTM(5, **options), drawn(3, 7, 4)))


@pytest.mark.parametrize("given", [False, True], ids=["from zeros", "from states"])
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize(
    "options",
    [{}, {"return_sequences": True}, {"return_sequences": True, "zero_output_for_mask": True}],
    ids=["last output", "all outputs", "zeros at padding"],
)
def test_right_padded_sequences_are_read_as_by_keras(options, backwards, given):
    """Rows with all steps, some, one and none; what stands at padding is anything."""
    inputs = drawn(4, 7, 4), *([drawn(4, 5), drawn(4, 5)] if given else [])
    mask = tf.sequence_mask([7, 4, 1, 0], 7)
    layers = pair(**options, return_state=True, go_backwards=backwards)
    one, other = (step(layer, *inputs, mask=mask) for layer in layers)
    assert is_fast(other)
    assert not is_fast(one)
    assert_same(other(*inputs), one(*inputs))


def test_both_directions_over_right_padded_sequences_are_fast():
    x, mask = drawn(3, 6, 4), tf.sequence_mask([6, 4, 1])
    one, other = (
        keras.layers.Bidirectional(layer)
        for layer in pair(return_sequences=True, return_state=True)
    )
    for layer in (one, other):
        layer.build(x.shape)
    other.set_weights(one.get_weights())
    one, other = (step(layer, x, mask=mask) for layer in (one, other))
    assert is_fast(other)
    assert_same(other(x), one(x))


def test_a_mask_that_is_not_right_padded_is_refused_in_training_alone():
    x, (one, other), mask = drawn(1, 3, 4), pair(), tf.constant([[True, False, True]])
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be right-padded in training"):
        other(x, mask=mask, training=True)
    assert_same(other(x, mask=mask), one(x, mask=mask))


def test_for_predictions_it_is_keras_own():
    x, (one, other) = drawn(2, 5, 4), pair(return_sequences=True)
    for mask in (None, tf.sequence_mask([5, 3])):
        call = step(other, x, training=False, mask=mask)
        assert not is_fast(call)
        assert_same(call(x), step(one, x, training=False, mask=mask)(x))


def test_under_xla_it_is_keras_own():
    x, (one, other) = drawn(2, 5, 4), pair(return_sequences=True)
    call = step(other, x, jit_compile=True)
    assert not is_fast(call)
    assert_same(call(x), step(one, x)(x))


def test_where_a_gpu_is_it_is_keras_own(monkeypatch):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a GPU"])
    assert not is_fast(step(LSTM(5), drawn(3, 7, 4)))


def test_second_derivatives_are_refused_not_wrong():
    _, layer = pair()
    x = drawn(2, 3, 4)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(layer(x, training=True))
        slope = tape.gradient(total, x)
    with pytest.raises(LookupError, match="first derivatives only"):
        outer.gradient(slope, x)


def test_dropped_weights_are_dropped_here_too():
    layer, x = WeightDropLSTM(5, weight_drop=0.5, return_sequences=True), drawn(2, 6, 4)
    call = step(layer, x)
    assert is_fast(call)
    (found,), gradients = call(x)
    assert np.abs(found - layer(x, training=False)).max() > 1e-3
    kernel = gradients[2]  # of the recurrent kernel: no derivative at what was dropped
    assert 0.3 < np.mean(kernel == 0) < 0.7


def test_it_is_saved_and_loaded_with_its_class(tmp_path):
    model = keras.Sequential([keras.Input((None, 4)), LSTM(5)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0]) is LSTM
    x = drawn(2, 6, 4)
    np.testing.assert_array_equal(loaded(x), model(x))


def test_the_same_seed_gives_the_same_weights_twice():
    x, y = drawn(32, 9, 4), drawn(32, 5)
    weights = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((None, 4)), LSTM(5)])
        model.compile("adam", "mse", jit_compile=False)
        model.fit(x, y, epochs=2, batch_size=8, verbose=0)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
