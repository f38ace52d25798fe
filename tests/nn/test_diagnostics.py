"""GPU kernels against Keras' own decision; gradients against closed forms and finite differences;
padding, errors, and no traces left."""

import contextlib
import importlib
import itertools
import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn import lstm as fused
from rnn_cookbook.nn.diagnostics import (
    GradientFlow,
    gpu_kernels,
    gpu_summary,
    gradient_flow,
    memory_horizon,
)
from rnn_cookbook.nn.masking import PaddingMask
from rnn_cookbook.nn.pooling import MaskedPooling
from rnn_cookbook.nn.recurrent import rnn_stack
from rnn_cookbook.nn.recurrent_layers import CarriedState
from rnn_cookbook.tasks.classification.model import text_classifier
from rnn_cookbook.tasks.language.model import language_model
from rnn_cookbook.tasks.speech.model import speech_recognizer
from rnn_cookbook.tasks.tagging.model import sequence_tagger
from rnn_cookbook.tasks.translation.model import encoder_decoder

RNG = np.random.default_rng(0)
SEQUENCES = RNG.normal(size=(3, 6, 4)).astype(np.float32)
LENGTHS = [6, 4, 1]
MASK = np.arange(6) < np.array(LENGTHS)[:, None]
TOKENS = np.where(MASK, RNG.integers(1, 30, size=(3, 6)), 0).astype(np.int32)


@pytest.fixture
def tried(monkeypatch):
    """The units of the layers for which Keras tried the fast kernel, on a machine that it takes for
    one with a GPU."""
    backend = importlib.import_module(
        "keras.src.backend.tensorflow.rnn"
    )  # the attribute of that name is a function
    units = []

    def kernel(place):
        def record(*args):
            units.append(int(args[place].shape[0]))  # of the recurrent kernel
            raise NotImplementedError

        return record

    monkeypatch.setattr(backend, "_is_gpu_available", lambda: True)
    monkeypatch.setattr(fused, "_on_plain_cpu", lambda _: False)
    monkeypatch.setattr(backend, "_cudnn_lstm", kernel(place=4))
    monkeypatch.setattr(backend, "_cudnn_gru", kernel(place=3))
    return units


SETTINGS = {
    "activation": ["tanh", "relu"],
    "recurrent_activation": ["sigmoid", "hard_sigmoid"],
    "use_bias": [True, False],
    "unroll": [False, True],
    "recurrent_dropout": [0.0, 0.2],
    "use_cudnn": ["auto", True, False],
}
KINDS = [(keras.layers.LSTM, {}), (keras.layers.GRU, {"reset_after": [True, False]})]


class TestGpuKernels:
    def agrees(self, tried, layer):
        """Whether the layer is eligible, once Keras has been seen to decide the same."""
        tried.clear()
        refused = (
            layer.use_cudnn is True
        )  # Keras raises where it cannot, and the kernel of this test never can
        with (
            pytest.raises(ValueError, match="use_cudnn=True was specified")
            if refused
            else contextlib.nullcontext()
        ):
            layer(tf.zeros((1, 1, 3)))
        (verdict,) = gpu_kernels(layer)
        assert verdict.eligible == bool(tried), layer.get_config()
        assert verdict.eligible == (not verdict.reason)
        return verdict.eligible

    @pytest.mark.parametrize(("kind", "more"), KINDS, ids=["lstm", "gru"])
    def test_every_combination_is_judged_as_keras_does(self, tried, monkeypatch, kind, more):
        # Stands in for the slow loop that Keras falls back to: only the choice counts here.
        monkeypatch.setattr(
            keras.layers.RNN,
            "inner_loop",
            lambda self, sequences, initial_state, mask, training: [sequences] * 3,
        )
        settings = SETTINGS | more
        eligible = sum(
            self.agrees(
                tried,
                kind(1, recurrent_initializer="zeros", **dict(zip(settings, values, strict=True))),
            )
            for values in itertools.product(*settings.values())
        )
        assert eligible == 2, "all at their defaults, with use_cudnn either auto or True"

    @pytest.mark.parametrize("kind", [keras.layers.LSTM, keras.layers.GRU])
    @pytest.mark.parametrize(
        ("activation", "recurrent_activation"),
        [
            (tf.tanh, tf.sigmoid),
            (keras.ops.tanh, keras.ops.sigmoid),
            (tf.sigmoid, tf.sigmoid),
            (tf.tanh, tf.tanh),
            (np.tanh, tf.sigmoid),
        ],
    )
    def test_functions_are_judged_as_keras_does(
        self, tried, monkeypatch, kind, activation, recurrent_activation
    ):
        monkeypatch.setattr(
            keras.layers.RNN,
            "inner_loop",
            lambda self, sequences, initial_state, mask, training: [sequences] * 3,
        )
        eligible = self.agrees(
            tried, kind(1, activation=activation, recurrent_activation=recurrent_activation)
        )
        assert eligible == (
            activation in (tf.tanh, keras.ops.tanh)
            and recurrent_activation in (tf.sigmoid, keras.ops.sigmoid)
        )

    @pytest.mark.parametrize(
        ("layer", "reason"),
        [
            (keras.layers.LSTM(2, recurrent_dropout=0.2), "recurrent_dropout=0.2"),
            (keras.layers.LSTM(2, activation="relu"), "activation=relu"),
            (
                keras.layers.LSTM(2, recurrent_activation=keras.layers.ReLU()),
                "recurrent_activation=ReLU",
            ),
            (keras.layers.GRU(2, reset_after=False, unroll=True), "unroll=True, reset_after=False"),
            (keras.layers.GRU(2, use_bias=False), "use_bias=False"),
            (keras.layers.GRU(2, use_cudnn=False), "use_cudnn=False"),
            (keras.layers.SimpleRNN(2), "SimpleRNN has no fast kernel"),
            (
                keras.layers.RNN(keras.layers.LSTMCell(2)),
                "LSTMCell in keras.layers.RNN has no fast kernel",
            ),
            (
                keras.layers.RNN([keras.layers.GRUCell(2)]),
                "StackedRNNCells in keras.layers.RNN has no fast kernel",
            ),
            (keras.layers.ConvLSTM2D(2, 3), "ConvLSTM2D has no fast kernel"),
            (keras.layers.LSTMCell(2), "LSTMCell has no fast kernel"),
        ],
    )
    def test_the_setting_that_prevents_it_is_named(self, layer, reason):
        assert gpu_kernels(layer) == [(layer.name, False, reason)]

    def test_layers_are_found_wherever_they_are_and_in_order(self, tried):
        class Holder(keras.layers.Layer):
            """Keeps a layer and a cell as attributes."""

            def __init__(self):
                super().__init__()
                self.reader, self.cell = (
                    keras.layers.GRU(3, return_sequences=True, name="held"),
                    keras.layers.GRUCell(2, name="stepped"),
                )

            def call(self, x):
                return self.cell(self.reader(x)[:, -1], [tf.zeros((x.shape[0], 2))])[0]

        inner = keras.Sequential(
            [keras.Input((6, 4)), keras.layers.LSTM(4, return_sequences=True, name="nested")],
            name="inner",
        )
        both = keras.layers.Bidirectional(
            keras.layers.LSTM(5, return_sequences=True, name="a"),
            backward_layer=keras.layers.LSTM(
                6, return_sequences=True, go_backwards=True, activation="relu", name="b"
            ),
        )
        carried = CarriedState(
            keras.layers.GRU(7, return_sequences=True, return_state=True, name="carried"),
            batch_size=3,
        )
        each = keras.layers.TimeDistributed(keras.layers.LSTM(8, name="each"))
        parts = [
            lambda x: carried([x, tf.zeros(3, bool), tf.ones((3, 6), bool)])[0],
            lambda x: each(x[..., None]),
            Holder(),
        ]
        x = both(inner(tf.constant(SEQUENCES)))
        for part in parts:
            x = part(x)
        model = keras.Sequential([inner, both, carried, each, parts[-1]])
        kernels = gpu_kernels(model)
        assert [kernel.layer for kernel in kernels] == [
            "nested",
            "forward_a",
            "b",
            "carried",
            "each",
            "held",
            "stepped",
        ]
        assert [kernel.eligible for kernel in kernels] == [
            True,
            True,
            False,
            True,
            True,
            True,
            False,
        ]
        assert list(dict.fromkeys(tried)) == [4, 5, 7, 8, 3], (
            "the very layers for which Keras tried it"
        )

    @pytest.mark.parametrize("cell", ["lstm", "gru"])
    @pytest.mark.parametrize("bidirectional", [False, True])
    def test_weight_drop_stays_on_the_fast_kernels(self, tried, cell, bidirectional):
        x = keras.Input((None, 4))
        model = keras.Model(
            x,
            rnn_stack(
                x,
                mask=None,
                cell=cell,
                units=3,
                bidirectional=bidirectional,
                weight_drop=0.3,
                dropout=0.1,
            ),
        )
        tried.clear()
        model(SEQUENCES, training=True)
        assert tried == [3] * len(gpu_kernels(model))
        assert all(kernel.eligible for kernel in gpu_kernels(model))

    def test_summary_is_one_line(self):
        sequence = keras.Input((None, 4))
        model = keras.Model(
            sequence,
            rnn_stack(sequence, mask=None, cell="lstm", units=3, depth=2, bidirectional=True),
        )
        assert gpu_summary(model) == "fast GPU kernels: 4 of 4 recurrent layers"
        slow = keras.Model(
            sequence,
            rnn_stack(
                sequence, mask=None, cell="gru", units=3, reset_after=False, recurrent_dropout=0.2
            ),
        )
        assert (
            gpu_summary(slow) == "fast GPU kernels: 0 of 1 recurrent layer "
            "(rnn_1: recurrent_dropout=0.2, reset_after=False)"
        )
        assert (
            gpu_summary(keras.Sequential([keras.layers.Dense(1)]))
            == "fast GPU kernels: no recurrent layer"
        )


def linear(factor: float, *, units: int = 4) -> keras.Model:
    """h_t = x_t + factor h_(t-1): the gradient d steps back is factor**d times that of now."""
    x, mask = keras.Input((None, units)), keras.Input((None,), dtype="bool")
    layer = keras.layers.SimpleRNN(units, activation=None, return_sequences=True, name="linear")
    model = keras.Model([x, mask], layer(x, mask=mask))
    layer.set_weights([np.eye(units), factor * np.eye(units), np.zeros(units)])
    return model


def tagger(*, dtype: str = "float32", **options) -> keras.Model:
    """Recurrent layers over float sequences with explicit mask, and a head."""
    keras.utils.set_random_seed(3)
    x, mask = keras.Input((None, 4), dtype=dtype), keras.Input((None,), dtype="bool")
    states = rnn_stack(x, mask=mask, **{"cell": "lstm", "units": 5, **options})
    return keras.Model([x, mask], keras.layers.Dense(2, name="head")(states))


class TestGradientFlow:
    @pytest.mark.parametrize("factor", [0.5, 1.0, 1.5, -0.9])
    def test_linear_recurrence_is_a_power_of_its_factor(self, factor):
        flow = gradient_flow(linear(factor), [SEQUENCES, MASK])
        assert flow.layer == "linear"
        assert flow.distances.tolist() == [0, 1, 2, 3, 4, 5]
        assert flow.sequences.tolist() == [3, 2, 2, 2, 1, 1]
        np.testing.assert_allclose(flow.norms, np.abs(factor) ** np.arange(6.0), rtol=1e-5)
        assert flow.rate == pytest.approx(np.log(abs(factor)), abs=1e-5)

    def test_vanishing_and_exploding_over_500_steps(self):
        x = RNG.normal(size=(2, 500, 4)).astype(np.float32)
        mask = np.ones((2, 500), bool)
        vanishing, exploding = (
            gradient_flow(linear(0.5), [x, mask]),
            gradient_flow(linear(3.0), [x, mask]),
        )
        assert vanishing.horizon(0.01) == 7  # 0.5**7 < 0.01 < 0.5**6
        assert vanishing.half_life == 2  # below a half, not at it
        assert vanishing.rate == pytest.approx(np.log(0.5), abs=1e-3), (
            "what float32 cannot hold is left out"
        )
        assert exploding.norms[60] == pytest.approx(3.0**60, rel=1e-4)
        assert not np.isfinite(exploding.norms[-1]), "float32 runs over, as it would in training"
        assert exploding.horizon() is None
        assert exploding.rate == pytest.approx(np.log(3), abs=1e-3)

    @pytest.mark.parametrize(
        "options",
        [
            {"cell": "lstm"},
            {"cell": "gru", "reset_after": False},
            {"cell": "lstm", "bidirectional": True},
            {
                "cell": "gru",
                "depth": 2,
                "bidirectional": True,
                "merge": "sum",
                "residual": True,
                "layer_norm": True,
            },
        ],
        ids=str,
    )
    def test_norms_are_those_of_finite_differences(self, options):
        """Of a loss on the model's output, in float64, sequence by sequence."""
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy("float64")
        try:
            model = tagger(dtype="float64", **options)
        finally:
            keras.config.set_dtype_policy(before)
        last = np.array(LENGTHS) - 1

        def loss(outputs):
            return tf.gather(outputs, np.resize(last, outputs.shape[0]), batch_dims=1)[:, 1] ** 2

        x, size = SEQUENCES.astype(np.float64), 1e-6
        moves = size * np.eye(24).reshape(
            24, 1, 6, 4
        )  # every component of every step, all as one batch
        moved = np.stack([x + moves, x - moves]).reshape(-1, 6, 4)
        high, low = np.array(loss(model([moved, np.tile(MASK, (48, 1))]))).reshape(2, 24, 3)
        norms = np.linalg.norm(((high - low) / (2 * size)).reshape(6, 4, 3), axis=1).T
        wanted = [
            np.mean([norms[row, end - d] for row, end in enumerate(last) if end >= d])
            for d in range(6)
        ]
        found = gradient_flow(model, [x, MASK], loss=loss)
        np.testing.assert_allclose(found.norms, wanted, rtol=1e-5)
        assert found.norms[5] > 0

    @pytest.mark.parametrize("bidirectional", [False, pytest.param(True, marks=pytest.mark.slow)])
    def test_padding_changes_nothing(self, bidirectional):
        model = tagger(cell="simple_rnn", bidirectional=bidirectional, depth=2)
        flow = gradient_flow(model, [SEQUENCES, MASK])
        longer = [
            np.pad(SEQUENCES, [(0, 0), (0, 5), (0, 0)], constant_values=9),
            np.pad(MASK, [(0, 0), (0, 5)]),
        ]
        np.testing.assert_allclose(gradient_flow(model, longer).norms, flow.norms, rtol=1e-5)

    def test_mean_is_over_the_sequences_that_reach_so_far_back(self):
        model = tagger(cell="simple_rnn")
        alone = [
            gradient_flow(model, [SEQUENCES[row : row + 1, :end], MASK[row : row + 1, :end]]).norms
            for row, end in enumerate(LENGTHS)
        ]
        wanted = [np.mean([norms[d] for norms in alone if len(norms) > d]) for d in range(6)]
        np.testing.assert_allclose(gradient_flow(model, [SEQUENCES, MASK]).norms, wanted, rtol=1e-4)

    def test_tokens_are_measured_at_their_vectors(self):
        """As if the words' vectors came in from outside; the embedding may be frozen, and the mask
        may travel unseen."""
        tokens = keras.Input((None,), dtype="int32")
        mask = PaddingMask()(tokens)
        embedded = keras.layers.Embedding(30, 4, trainable=False, name="embedding")(tokens)
        states = rnn_stack(embedded, mask=mask, cell="gru", units=5, bidirectional=True)
        model = keras.Model(tokens, MaskedPooling(["max"])((states, mask)))
        vectors = np.array(model.get_layer("embedding")(TOKENS))
        inputs = keras.Input((None, 4)), keras.Input((None,), dtype="bool")
        again = keras.Model(
            inputs, rnn_stack(inputs[0], mask=inputs[1], cell="gru", units=5, bidirectional=True)
        )
        again.set_weights(model.get_layer("rnn_1_bidirectional").get_weights())
        flow = gradient_flow(model, TOKENS)
        assert flow.layer == "rnn_1_bidirectional"
        np.testing.assert_allclose(
            flow.norms, gradient_flow(again, [vectors, MASK]).norms, rtol=1e-4
        )
        unseen = keras.Sequential(
            [keras.layers.Embedding(30, 4, mask_zero=True), keras.layers.SimpleRNN(5)]
        )
        unseen.build((None, None))
        assert gradient_flow(unseen, TOKENS).sequences.tolist() == [3, 2, 2, 2, 1, 1]

    def test_one_direction_looks_back_and_the_other_does_not(self):
        """The backward half of the last step has read the last step only."""
        model = tagger(bidirectional=True)
        both = model.get_layer("rnn_1_bidirectional")
        both.forward_layer.set_weights(
            [np.zeros_like(weight) for weight in both.forward_layer.get_weights()]
        )
        flow = gradient_flow(model, [SEQUENCES, MASK])
        assert flow.norms[0] > 0
        assert not flow.norms[1:].any()

    def test_residual_sums_go_around_the_layer(self):
        """What is measured is the second layer, not the shortcut past it."""
        model = tagger(cell="simple_rnn", depth=2, residual=True)
        layer = model.get_layer("rnn_2")
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])

        def last_output(outputs):
            return outputs[:, 0, 0]

        assert not gradient_flow(
            model, [SEQUENCES, MASK], loss=last_output, layer="rnn_2"
        ).norms.any()
        assert gradient_flow(model, [SEQUENCES, MASK], loss=last_output, layer="rnn_1").norms.any()

    def test_nested_models_and_outputs_of_every_kind(self):
        inner = keras.Sequential(
            [keras.Input((None, 4)), keras.layers.LSTM(3, return_sequences=True, name="inside")]
        )
        x = keras.Input((None, 4))
        states = keras.layers.Bidirectional(
            keras.layers.GRU(3, return_sequences=True, return_state=True), merge_mode=None
        )(inner(x))
        flow = gradient_flow(keras.Model(x, states), SEQUENCES)
        assert flow.layer == "inside"
        assert (flow.norms > 0).all()
        pictures = keras.Sequential([keras.Input((None, 5, 5, 1)), keras.layers.ConvLSTM2D(2, 3)])
        assert (gradient_flow(pictures, RNG.normal(size=(2, 4, 5, 5, 1))).norms > 0).all()

    def test_leaves_the_model_as_it_was(self, caplog):
        starts, mask = (
            keras.Input(batch_shape=(3,), dtype="bool"),
            keras.Input(batch_shape=(3, None), dtype="bool"),
        )
        x = keras.Input(batch_shape=(3, None, 4))
        model = keras.Model(
            [x, starts, mask],
            rnn_stack(x, mask=mask, cell="simple_rnn", units=3, starts=starts, batch_size=3),
        )
        inputs = [SEQUENCES, np.zeros(3, bool), MASK]
        model(inputs)
        layer = model.get_layer("rnn_1_carried")
        before, nodes = (
            [np.array(variable) for variable in model.variables],
            len(layer._inbound_nodes),
        )
        with caplog.at_level(logging.WARNING):
            flows = [gradient_flow(model, inputs).norms for _ in range(6)]
        assert not caplog.records, "no warnings of retracing"
        for flow in flows:
            np.testing.assert_array_equal(flow, flows[0])
        for variable, value in zip(model.variables, before, strict=True):
            np.testing.assert_array_equal(variable, value)
        assert len(layer._inbound_nodes) == nodes
        assert layer.layer.call.__func__ is keras.layers.SimpleRNN.call

    def test_mixed_precision(self):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_float16")
        try:
            model = tagger()
        finally:
            keras.config.set_dtype_policy(before)
        np.testing.assert_allclose(
            gradient_flow(model, [SEQUENCES, MASK]).norms,
            gradient_flow(tagger(), [SEQUENCES, MASK]).norms,
            rtol=0.05,
        )

    def test_errors_name_what_is_wrong(self):
        model, inputs = tagger(cell="simple_rnn", depth=2), [SEQUENCES, MASK]
        with pytest.raises(
            InputError, match=r"no recurrent layer 'rnn_3' in the model .*; there are rnn_1, rnn_2"
        ):
            gradient_flow(model, inputs, layer="rnn_3")
        with pytest.raises(InputError, match="has no recurrent layer"):
            gradient_flow(
                keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]), SEQUENCES[:, 0]
            )
        with pytest.raises(InputError, match="is not built"):
            gradient_flow(keras.Sequential([keras.layers.LSTM(2)]), SEQUENCES)
        with pytest.raises(InputError, match=r"float\[batch\]; received shape \(\)"):
            gradient_flow(model, inputs, loss=tf.reduce_mean)
        with pytest.raises(InputError, match="does not depend on what layer 'rnn_1' reads"):
            gradient_flow(model, inputs, loss=lambda outputs: tf.zeros(3))
        with pytest.raises(
            InputError,
            match=r"layer 'rnn_1' received a mask that is not right-padded, or without a step, "
            "in rows 1, 2",
        ):
            gradient_flow(model, [SEQUENCES, MASK[:, ::-1]])
        with pytest.raises(InputError, match="without a step, in rows 0, 1, 2"):
            gradient_flow(model, [SEQUENCES, np.zeros_like(MASK)])
        shared = keras.layers.LSTM(4, return_sequences=True, name="shared")
        x = keras.Input((None, 4))
        with pytest.raises(InputError, match="every recurrent layer is called several times"):
            gradient_flow(keras.Model(x, shared(shared(x))), SEQUENCES)
        assert shared.call.__func__ is keras.layers.LSTM.call, "also after an error"


class TestNumbersOfAFlow:
    def flow(self, *norms):
        return GradientFlow(
            "rnn_1", np.arange(len(norms)), np.array(norms, np.float64), np.ones(len(norms), int)
        )

    def test_horizon_is_where_it_stays_below(self):
        flow = self.flow(1, 0.4, 0.6, 0.005, 0.02, 0.009, 0.001)
        assert (flow.half_life, flow.horizon(), flow.horizon(0.1)) == (3, 5, 3)
        assert self.flow(1, 0.1, 2).half_life is None
        assert self.flow(0, 0, 0).half_life is None

    @pytest.mark.parametrize("share", [0, 1, -0.5])
    def test_impossible_shares(self, share):
        with pytest.raises(InputError, match=f"received {share}"):
            self.flow(1, 0.5).horizon(share)

    def test_rate_needs_two_norms(self):
        assert np.isnan(self.flow(1).rate)
        assert np.isnan(self.flow(1, 0, np.inf).rate)
        assert self.flow(1, 0.25, 0).rate == pytest.approx(np.log(0.25))

    def test_frame_has_a_row_for_each_distance(self):
        frame = self.flow(2, 1, 0.5).frame()
        assert frame.to_dict("list") == {
            "distance": [0, 1, 2],
            "norm": [2, 1, 0.5],
            "relative": [1, 0.5, 0.25],
            "sequences": [1, 1, 1],
        }


class TestMemoryHorizon:
    def test_the_gates_at_the_start_explain_it(self):
        """Without recurrent weights only the gates are left: sigmoid(1) of an LSTM and 1/2 of a
        GRU, to the step."""
        for kind, gate in ((keras.layers.LSTM, 1 / (1 + np.exp(-1))), (keras.layers.GRU, 0.5)):
            model = keras.Sequential(
                [keras.Input((None, 4)), kind(8, recurrent_initializer="zeros")]
            )
            flow = gradient_flow(model, 1e-3 * RNG.normal(size=(4, 60, 4)))
            assert np.exp(flow.rate) == pytest.approx(gate, abs=2e-3)

    def test_lstm_reaches_further_than_gru(self):
        table = memory_horizon(time=60, units=32).set_index("cell")
        assert table.index.tolist() == ["simple_rnn", "lstm", "gru"]
        assert (
            table.loc["lstm", "horizon"]
            > table.loc["gru", "horizon"]
            > table.loc["gru", "half_life"]
            >= 1
        )
        assert 0.73 < table.loc["lstm", "factor"] < 0.9
        assert 0.5 < table.loc["gru", "factor"] < 0.75

    def test_same_seed_same_numbers_and_nothing_else_moves(self):
        keras.utils.set_random_seed(5)
        undisturbed = (
            keras.random.uniform((2,)),
            np.random.rand(),
            keras.initializers.GlorotUniform()((2, 2)),
        )
        keras.utils.set_random_seed(5)
        first = memory_horizon(cells=["gru"], time=20, units=8)
        after = (
            keras.random.uniform((2,)),
            np.random.rand(),
            keras.initializers.GlorotUniform()((2, 2)),
        )
        for value, wanted in zip(after, undisturbed, strict=True):
            np.testing.assert_array_equal(value, wanted)
        assert first.equals(memory_horizon(cells=["gru"], time=20, units=8))
        assert not first.equals(memory_horizon(cells=["gru"], time=20, units=8, seed=1))

    def test_impossible_data_is_named(self):
        with pytest.raises(InputError, match="received time=0, features=16, batch=16"):
            memory_horizon(time=0)

    def test_too_short_to_see_it_is_missing(self):
        assert memory_horizon(cells=["lstm"], time=3, units=8)["horizon"].isna().all()


class TestPaddingIsNoStep:
    """Also where the recurrent layer is not handed the mask."""

    TOKENS = np.array([[3, 4, 5, 0], [3, 0, 0, 0]], np.int32)

    @pytest.mark.parametrize(
        "model",
        [
            lambda: text_classifier(vocabulary_size=9, classes=3, units=4, bidirectional=False),
            lambda: text_classifier(
                vocabulary_size=9,
                classes=3,
                units=4,
                depth=2,
                bidirectional=False,
                pooling=["last"],
            ),
            lambda: sequence_tagger(vocabulary_size=9, tags=3, units=4, bidirectional=False),
        ],
    )
    def test_by_the_mask_of_the_model(self, model):
        model = model()
        flow = gradient_flow(model, self.TOKENS)
        assert flow.sequences.tolist() == [2, 1, 1]
        np.testing.assert_allclose(
            flow.norms, gradient_flow(model, np.pad(self.TOKENS, ((0, 0), (0, 3)))).norms, rtol=1e-4
        )

    def test_by_strided_masks(self):
        model = speech_recognizer(features=3, symbols=4, units=4, bidirectional=False)
        flow = gradient_flow(
            model,
            [
                np.random.default_rng(0).normal(size=(2, 40, 3)).astype(np.float32),
                np.array([40, 10]),
            ],
        )
        assert flow.sequences.tolist() == [2] * 5 + [1] * 15

    def test_by_lengths_where_no_mask_is(self):
        model = language_model(vocabulary_size=9, units=4)
        assert gradient_flow(model, self.TOKENS).sequences.tolist() == [2] * 4
        flow = gradient_flow(model, self.TOKENS, lengths=[3, 1])
        assert flow.sequences.tolist() == [2, 1, 1]
        np.testing.assert_allclose(
            flow.norms, gradient_flow(model, self.TOKENS[:, :3], lengths=[3, 1]).norms, rtol=1e-4
        )
        for wrong in ([3], [3, 0], [3, 5]):
            with pytest.raises(InputError, match="lengths must be 2 numbers from 1 to 4"):
                gradient_flow(model, self.TOKENS, lengths=wrong)

    def test_the_source_is_no_mask_of_the_target(self):
        model = encoder_decoder(
            source_vocabulary=9, target_vocabulary=9, units=4, bidirectional=False
        )
        source, target = (
            np.array([[5, 6, 0, 0, 0]], np.int32),
            np.array([[3, 4, 5, 6, 7]], np.int32),
        )
        assert len(gradient_flow(model, [source, target], layer="rnn_1").norms) == 5
        assert len(gradient_flow(model, [source, target], layer="encoder_1").norms) == 2
