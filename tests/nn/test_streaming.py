"""Streams beyond the table of test_every_model.py: conditions, errors, rows that end early,
language models for search."""

import keras
import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.causal import is_stepwise
from rnn_cookbook.nn.convolution import LookAhead, MaskedConv1D
from rnn_cookbook.nn.decoding import greedy_search
from rnn_cookbook.nn.masking import LengthMask
from rnn_cookbook.nn.streaming import (
    Stream,
    initial_states,
    streaming_model,
    token_step,
)
from rnn_cookbook.tasks.classification.model import text_classifier
from rnn_cookbook.tasks.language.model import language_model
from rnn_cookbook.tasks.speech.model import speech_recognizer


@keras.saving.register_keras_serializable(package="test_streaming")
class Doubled(keras.layers.Layer):
    """A layer of a user's own, which says of itself that it works step by step."""

    stepwise = True

    def call(self, x):
        return 2 * x


@keras.saving.register_keras_serializable(package="test_streaming")
class Silent(keras.layers.Layer):
    """A layer that says nothing of itself."""

    def call(self, x):
        return 2 * x


@keras.saving.register_keras_serializable(package="test_streaming")
class EveryOther(keras.layers.Layer):
    """A layer of a user's own that gives a step for every two of its input."""

    stepwise = True
    stream_stride = 2

    def call(self, x):
        return x[:, ::2]


RNG = np.random.default_rng(0)
TOKENS = RNG.integers(1, 20, (2, 12)).astype(np.int32)


def lm(**options):
    keras.utils.set_random_seed(1)
    return language_model(**{"vocabulary_size": 20, "embedding_size": 6, "units": 5, **options})


def test_carried_states_and_fixed_batches_fall_away():
    """A model trained on 4 rows with carried states streams any number of rows, and needs no
    `starts`."""
    model = lm(batch_size=4)
    rows = np.concatenate([TOKENS, TOKENS])
    whole = np.array(model([rows, np.ones(4, bool)]))[:2]
    stream = Stream(model, batch_size=2)
    np.testing.assert_allclose(
        np.concatenate([stream.feed(TOKENS[:, :5]), stream.feed(TOKENS[:, 5:])], axis=1),
        whole,
        atol=1e-6,
    )


def test_weights_are_shared_with_the_model():
    model = lm()
    stream = Stream(model, batch_size=2)
    before = stream.feed(TOKENS)
    model.set_weights([weight * 2 for weight in model.get_weights()])
    stream.reset()
    after = stream.feed(TOKENS)
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, model(TOKENS), atol=1e-6)


def test_a_row_without_steps_keeps_its_state():
    """Rows of a classifier may end early: their chunks are padding from there on, and their answer
    stays."""
    keras.utils.set_random_seed(1)
    model = text_classifier(
        vocabulary_size=20,
        classes=3,
        units=5,
        bidirectional=False,
        pooling=["last", "max", "mean", "attention"],
    )
    tokens = TOKENS.copy()
    tokens[1, 4:] = 0
    stream = Stream(model, batch_size=2)
    for start in range(0, 12, 3):
        answer = stream.feed(tokens[:, start : start + 3])
    np.testing.assert_allclose(answer, model(tokens), atol=1e-6)


def test_the_state_can_be_put_away_and_taken_up_again():
    model = lm()
    stream, other = Stream(model, batch_size=2), Stream(model, batch_size=2)
    stream.feed(TOKENS[:, :7])
    saved = {name: np.array(state) for name, state in stream.states.items()}
    other.states = saved
    np.testing.assert_array_equal(other.feed(TOKENS[:, 7:]), stream.feed(TOKENS[:, 7:]))


def test_a_language_model_generates_by_its_step_what_it_scores_whole():
    model = lm()
    step, initial = token_step(model)
    found = greedy_search(step, end=None, max_length=9)(TOKENS[:, 0], initial(2))
    words = np.array(found.tokens).reshape(2, -1)
    logits = np.array(model(np.concatenate([TOKENS[:, :1], words[:, :-1]], axis=1)))
    logits[..., 0] = -np.inf
    np.testing.assert_array_equal(logits.argmax(axis=-1), words)


def test_outputs_wait_for_a_full_stride_and_finish_gives_the_rest():
    keras.utils.set_random_seed(1)
    model = speech_recognizer(features=3, symbols=4, units=5, bidirectional=False, strides=(4,))
    sound = RNG.normal(size=(1, 10, 3)).astype(np.float32)
    stream = Stream(model)
    assert [stream.feed(sound[:, i : i + 1]).shape[1] for i in range(10)] == [
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        1,
        0,
        0,
    ]
    assert stream.finish().shape[1] == 1
    assert stream.finish().shape[1] == 0


def test_initial_states_are_zeros_of_the_batch():
    states = initial_states(streaming_model(lm(depth=2)), 3)
    assert sorted(states) == ["rnn_1.state_0", "rnn_1.state_1", "rnn_2.state_0", "rnn_2.state_1"]
    assert all(state.shape == (3, 5) and not np.array(state).any() for state in states.values())


@pytest.mark.parametrize("chunk", [(TOKENS[:1],), (TOKENS[:, 0],), (TOKENS, TOKENS), ()])
def test_chunks_that_do_not_fit_are_shown(chunk):
    with pytest.raises(InputError, match=r"accepted is \(2, time\)"):
        Stream(lm(), batch_size=2).feed(*chunk)


def test_a_model_that_answers_for_the_whole_has_no_answer_to_nothing():
    stream = Stream(text_classifier(vocabulary_size=20, classes=3, units=5, bidirectional=False))
    with pytest.raises(InputError, match="nothing came"):
        stream.feed(np.zeros((1, 0), np.int32))


def test_layers_that_are_not_known_to_be_causal_are_named():
    x = keras.Input((None, 3))
    model = keras.Model(x, keras.layers.Conv1D(2, 3, padding="same", name="around")(x))
    with pytest.raises(InputError, match=r"layer 'around' \(Conv1D\) is not known to be causal"):
        streaming_model(model)
    model = keras.Model(x, keras.layers.LSTM(2, name="last")(x))
    with pytest.raises(InputError, match="'last' must return sequences and states"):
        streaming_model(model)


def test_a_layer_of_ones_own_streams_because_it_says_so():
    sequence = keras.Input((None, 3))
    states = keras.layers.GRU(4, return_sequences=True, return_state=True)
    model = keras.Model(sequence, states(Doubled()(sequence))[0])
    x = RNG.normal(size=(2, 6, 3)).astype(np.float32)
    stream = Stream(model, batch_size=2)
    streamed = np.concatenate([stream.feed(x[:, :2]), stream.feed(x[:, 2:])], axis=1)
    np.testing.assert_allclose(streamed, model(x), atol=1e-6)
    assert is_stepwise(Doubled())
    assert not is_stepwise(Silent())
    with pytest.raises(InputError, match=r"\(Silent\) is not known to be causal"):
        streaming_model(keras.Model(sequence, Silent(name="silent")(sequence)))


def test_a_layer_of_ones_own_says_its_stride():
    sequence = keras.Input((None, 3))
    model = keras.Model(sequence, EveryOther()(sequence))
    x = RNG.normal(size=(1, 5, 3)).astype(np.float32)
    stream = Stream(model)
    parts = [stream.feed(x[:, i : i + 1]) for i in range(5)]
    assert [part.shape[1] for part in parts] == [0, 1, 0, 1, 0]
    np.testing.assert_allclose(np.concatenate([*parts, stream.finish()], axis=1), model(x))


def test_layers_that_mix_steps_by_a_setting_are_refused():
    sequence = keras.Input((None, 3))
    x = keras.layers.GRU(3, return_sequences=True, return_state=True)(sequence)[0]
    for mixing in (
        lambda: keras.layers.Concatenate(axis=1)([x, x]),
        lambda: keras.layers.Activation(lambda y: keras.ops.softmax(y, axis=1))(x),
        lambda: keras.layers.Dense(3, activation=lambda y: keras.ops.softmax(y, axis=1))(x),
        lambda: keras.layers.Reshape((-1, 6))(x),
    ):
        with pytest.raises(
            InputError, match=r"mixes steps, or may do so, by (axis=1|an activation|target_shape)"
        ):
            streaming_model(keras.Model(sequence, mixing()))
    for fine in (
        keras.layers.Concatenate()([x, x]),
        keras.layers.Activation("gelu")(x),
        keras.layers.Reshape((-1, 3, 1))(x),
        keras.layers.LayerNormalization()(x),
    ):
        streaming_model(keras.Model(sequence, fine))


def test_a_stream_answers_in_the_structure_of_the_model():
    sequence = keras.Input((None, 3))
    outputs, state = keras.layers.GRU(4, return_sequences=True, return_state=True)(sequence)
    model = keras.Model(sequence, {"steps": outputs, "state": state})
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)
    stream = Stream(model, batch_size=2)
    with pytest.raises(InputError, match="nothing was fed yet"):
        stream.feed(x[:, :0])
    first, second, third = stream.feed(x[:, :2]), stream.feed(x[:, 2:]), stream.finish()
    np.testing.assert_allclose(
        np.concatenate([first["steps"], second["steps"]], axis=1), model(x)["steps"], atol=1e-6
    )
    np.testing.assert_allclose(second["state"], model(x)["state"], atol=1e-6)
    assert third["steps"].shape == (2, 0, 4)
    with pytest.raises(
        InputError,
        match=r"a chunk of shape \(2, 2, 5\) does not fit this stream; accepted is \(2, time, 3\)",
    ):
        stream.feed(np.zeros((2, 2, 5)))


def test_convolutions_side_by_side_end_a_stream_with_their_own_stride():
    sequence, lengths = keras.Input((None, 3)), keras.Input((), dtype="int32")
    mask = LengthMask()((sequence, lengths))
    both = [MaskedConv1D(4, 3, strides=2, causal=True)((sequence, mask))[0] for _ in range(2)]
    model = keras.Model([sequence, lengths], keras.layers.Concatenate()(both))
    x = np.random.default_rng(0).normal(size=(1, 9, 3)).astype(np.float32)
    stream = Stream(model)
    streamed = np.concatenate([stream.feed(x), stream.finish()], axis=1)
    np.testing.assert_allclose(streamed, model([x, np.array([9])]), atol=1e-5)


def test_a_look_ahead_waits_for_its_steps_and_for_no_more():
    model = speech_recognizer(
        features=3, symbols=4, units=5, bidirectional=False, strides=(2,), look_ahead=2
    )
    sound = RNG.normal(size=(1, 11, 3)).astype(np.float32)
    whole = np.array(model([sound, np.array([11])]))
    stream = Stream(model)
    parts = [stream.feed(sound[:, i : i + 1]) for i in range(11)]
    assert [part.shape[1] for part in parts] == [0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0]
    rest = stream.finish()
    assert rest.shape[1] == 3
    np.testing.assert_allclose(np.concatenate([*parts, rest], axis=1), whole, atol=1e-5)
    assert stream.finish().shape[1] == 0
    with pytest.raises(InputError, match="this stream has ended"):
        stream.feed(sound)
    changed = sound.copy()
    changed[:, 5] += (
        # the third step of the network begins with the fifth frame, and its convolution sees no
        # later one
        1
    )
    same = np.array(model([changed, np.array([11])])) == whole
    assert same[:, 0].all()
    assert not same[:, 1].all()
    changed[:, 4] += 1
    assert not (np.array(model([changed, np.array([11])]))[:, 0] == whole[:, 0]).all()


@pytest.mark.parametrize("fed", [0, 1, 2, 4])
def test_a_stream_that_is_shorter_than_its_look_ahead(fed):
    model = speech_recognizer(
        features=3, symbols=4, units=5, bidirectional=False, strides=(1,), look_ahead=3
    )
    sound = RNG.normal(size=(1, max(fed, 1), 3)).astype(np.float32)
    stream = Stream(model)
    for _ in range(2):
        found = np.concatenate([stream.feed(sound[:, :fed]), stream.finish()], axis=1)
        assert found.shape[1] == fed
        if fed:
            np.testing.assert_allclose(found, model([sound, np.array([fed])]), atol=1e-5)
        stream.reset()


def test_nothing_with_a_state_and_nothing_on_time_goes_with_a_look_ahead():
    sequence, lengths = keras.Input((None, 3)), keras.Input((), dtype="int32")
    mask = LengthMask()((sequence, lengths))
    late = LookAhead(2)((sequence, mask))
    state = keras.layers.GRU(3, return_sequences=True, return_state=True, name="above")(late)[0]
    beside = keras.layers.Add(name="beside")([sequence, late])
    for outputs, message in (
        (state, "layer 'above' reads what comes late"),
        (beside, "layer 'beside' reads"),
        ([sequence, late], "others do not"),
    ):
        with pytest.raises(InputError, match=message):
            streaming_model(keras.Model([sequence, lengths], outputs))
    Stream(keras.Model([sequence, lengths], keras.layers.Dense(2)(late)))
