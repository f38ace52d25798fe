"""Recurrent encoders and the classifier: masks, directions, gradients, reload. Shapes alone would hide every one of these."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnn_cookbook.errors import InputError
from rnn_cookbook.models import text_classifier
from rnn_cookbook.recurrent import CELLS, rnn_stack

RNG = np.random.default_rng(0)
TOKENS = RNG.integers(1, 30, size=(4, 11)).astype(np.int32)
for row, length in enumerate([11, 7, 3, 1]):
    TOKENS[row, length:] = 0


def classifier(**options):
    keras.utils.set_random_seed(1)
    return text_classifier(**{"vocabulary_size": 30, "classes": 3, "embedding_size": 5, "units": 4, **options})


VARIANTS = [
    {"cell": cell, "bidirectional": bidirectional, "depth": depth, "segment_length": segment, "pooling": pooling}
    for cell in CELLS
    for bidirectional, depth, segment, pooling in [
        (False, 1, 0, ["last"]),
        (True, 2, 0, ["max", "mean"]),
        (True, 1, 4, ["attention"]),
        (False, 2, 4, ["max", "last"]),
    ]
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
class TestEveryClassifier:
    def test_more_padding_changes_nothing(self, options):
        model = classifier(**options)
        padded = np.pad(TOKENS, [(0, 0), (0, 6)])
        np.testing.assert_allclose(model(padded), model(TOKENS), atol=1e-5)

    def test_batch_equals_one_by_one(self, options):
        model = classifier(**options)
        alone = np.concatenate([model(row[None, : (row > 0).sum()]) for row in TOKENS])
        np.testing.assert_allclose(model(TOKENS), alone, atol=1e-5)

    def test_every_weight_gets_a_gradient_and_moves(self, options):
        model = classifier(**options)
        model.compile(optimizer="sgd", loss=keras.losses.CategoricalCrossentropy(from_logits=True))
        before = [np.array(weight) for weight in model.trainable_variables]
        model.train_on_batch(TOKENS, np.eye(3, dtype=np.float32)[[0, 1, 2, 0]])
        still = [w.path for w, old in zip(model.trainable_variables, before, strict=True) if np.array_equal(np.array(w), old)]
        assert not still

    def test_reload_predicts_the_same(self, options, tmp_path):
        model = classifier(**options)
        model.save(tmp_path / "m.keras")
        np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "m.keras")(TOKENS), model(TOKENS))

    def test_order_matters(self, options):
        model = classifier(**options)
        assert not np.allclose(model(TOKENS[:1]), model(TOKENS[:1, ::-1]), atol=1e-4)

    def test_stays_eligible_for_the_fast_gpu_kernels(self, options):
        model = classifier(**options)
        cells = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.LSTM | keras.layers.GRU)]
        assert cells or options["cell"] == "simple_rnn"
        for layer in cells:
            assert layer.activation is keras.activations.tanh
            assert layer.recurrent_activation is keras.activations.sigmoid
            assert layer.use_bias
            assert not layer.unroll
            assert layer.recurrent_dropout == 0
            assert getattr(layer, "reset_after", True)


def test_backward_direction_reads_the_reversed_sequence():
    """The output of the backward layer is that of a forward layer with the same weights on the reversed words, reversed again."""
    x = keras.Input((None, 5))
    mask = keras.Input((None,), dtype="bool")
    model = keras.Model([x, mask], rnn_stack(x, mask=mask, cell="lstm", units=4, bidirectional=True))
    inputs, lengths = RNG.normal(size=(2, 6, 5)).astype(np.float32), [6, 4]
    outputs = np.array(model([inputs, np.arange(6) < np.array(lengths)[:, None]]))
    backward = model.layers[-1].backward_layer
    for row, length in enumerate(lengths):
        alone = keras.layers.LSTM(4, return_sequences=True)
        alone.build((None, None, 5))
        alone.set_weights(backward.get_weights())
        expected = np.array(alone(inputs[row : row + 1, :length][:, ::-1]))[:, ::-1]
        np.testing.assert_allclose(outputs[row : row + 1, :length, 4:], expected, atol=1e-6)


def test_lstm_against_its_equations_in_float64():
    """Hochreiter and Schmidhuber's cell with a forget gate, step by step in NumPy, in Keras' order of the gates."""
    x = RNG.normal(size=(1, 7, 3))
    inputs, mask = keras.Input((None, 3)), keras.Input((None,), dtype="bool")
    model = keras.Model([inputs, mask], rnn_stack(inputs, mask=mask, cell="lstm", units=2))
    kernel, recurrent, bias = (weight.astype(np.float64) for weight in model.get_weights())
    np.testing.assert_array_equal(bias[2:4], 1)  # the forget gate starts open
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(2), atol=1e-6)  # orthogonal
    h, c, states = np.zeros(2), np.zeros(2), []
    for step in x[0]:
        i, f, g, o = np.split(step @ kernel + h @ recurrent + bias, 4)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        states.append(h)
    np.testing.assert_allclose(model([x, np.ones((1, 7), bool)])[0], states, atol=1e-5)


def test_segments_cut_the_state():
    """A change in one segment leaves the states of the others alone; without segments it travels on."""
    changed = TOKENS[:1].copy()
    changed[0, 0] = 29 if changed[0, 0] != 29 else 28
    for segment, travels in ((4, False), (0, True)):
        model = classifier(segment_length=segment, bidirectional=False, pooling=["last"])
        moved = not np.allclose(model(changed), model(TOKENS[:1]), atol=1e-7)
        assert moved == travels


def test_word_vectors_are_where_the_words_are():
    vectors = RNG.normal(size=(30, 5)).astype(np.float32)
    model = classifier(word_vectors=vectors)
    np.testing.assert_array_equal(model.get_layer("embedding").get_weights()[0], vectors)
    assert not classifier(word_vectors=vectors, train_embedding=False).get_layer("embedding").trainable_variables


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "transformer"}, "'transformer'; accepted are simple_rnn, lstm, gru"),
        ({"units": 0}, "got units=0"),
        ({"classes": 1}, "got 1"),
        ({"word_vectors": np.zeros((3, 5))}, r"\(3, 5\) do not fit 30 words"),
        ({"segment_length": -2}, "got -2"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(InputError, match=message):
        classifier(**options)


def test_one_batch_can_be_learnt_by_heart():
    model = classifier(units=16, embedding_size=16)
    targets = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    model.compile(optimizer=keras.optimizers.Adam(0.03), loss=keras.losses.CategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit(TOKENS, targets, epochs=60, verbose=0)
    assert model.evaluate(TOKENS, targets, verbose=0)[1] == 1


def test_mixed_precision_keeps_float32_logits():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = classifier(segment_length=4, pooling=["max", "mean", "attention", "last"])
        assert model(TOKENS).dtype == tf.float32
        assert np.isfinite(model(TOKENS)).all()
    finally:
        keras.mixed_precision.set_global_policy("float32")
