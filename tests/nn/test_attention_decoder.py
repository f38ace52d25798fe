"""The decoder with attention: what it sees, what it says step by step, and whose words it hears."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.attention_decoder import AttentionDecoder
from rnn_cookbook.nn.decoding import beam_search, greedy_search
from rnn_cookbook.nn.losses import PaddedCrossEntropy
from rnn_cookbook.tasks.translation.model import encoder_decoder, encoding_model

RNG = np.random.default_rng(0)

SOURCE = RNG.integers(1, 20, (3, 7)).astype(np.int32)
SOURCE[1, 4:] = 0
SOURCE[2, 1:] = 0
TARGET = RNG.integers(3, 20, (3, 5)).astype(np.int32)


WIRINGS = [
    {"attention": "luong"},
    {"attention": "luong", "input_feeding": True},
    {"attention": "bahdanau"},
    {"attention": "none"},
    {"attention": "luong", "tie_weights": False},
    {"attention": "bahdanau", "cell": "gru"},
    {"attention": "luong", "input_feeding": True, "cell": "simple_rnn"},
]


def translator(**options):
    keras.utils.set_random_seed(1)
    options = {
        "source_vocabulary": 20,
        "target_vocabulary": 20,
        "units": 6,
        "embedding_size": 5,
        "depth": 2,
        **options,
    }
    return encoder_decoder(**options)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(options, id=str(options), marks=() if i < 3 else pytest.mark.slow)
        for i, options in enumerate(WIRINGS)
    ],
)
class TestEveryWiring:
    def test_a_step_sees_the_words_before_it_and_never_its_own(self, options):
        model = translator(**options)
        logits = np.array(model([SOURCE, TARGET]))
        for step in range(5):
            changed = TARGET.copy()
            changed[:, step:] = (changed[:, step:] + 1 - 3) % 17 + 3
            other = np.array(model([SOURCE, changed]))
            np.testing.assert_array_equal(other[:, : step + 1], logits[:, : step + 1])
            assert step == 4 or not np.allclose(other[:, step + 1], logits[:, step + 1], atol=1e-6)

    def test_step_by_step_says_what_teacher_forcing_says(self, options):
        model = translator(**options)
        decoder = model.get_layer("decoder")
        state, constants = decoder.begin(*encoding_model(model)(SOURCE))
        words, logits = np.full(3, decoder.start, np.int32), []
        for step in range(5):
            scores, state = decoder.step(words, state, constants)
            logits.append(scores)
            words = TARGET[:, step]
        np.testing.assert_allclose(np.stack(logits, axis=1), model([SOURCE, TARGET]), atol=1e-5)

    def test_beams_ask_one_memory_as_they_would_ask_copies_of_it(self, options):
        model = translator(**options)
        decoder = model.get_layer("decoder")
        memory, mask, states = encoding_model(model)(SOURCE)
        state, constants = decoder.begin(memory, mask, states)
        beams = tf.nest.map_structure(lambda x: tf.repeat(x, 4, axis=0), state)
        copies = constants and tf.nest.map_structure(lambda x: tf.repeat(x, 4, axis=0), constants)
        words = RNG.integers(3, 20, 12).astype(np.int32)
        np.testing.assert_allclose(
            decoder.step(words, beams, constants)[0],
            decoder.step(words, beams, copies)[0],
            atol=1e-5,
        )

    def test_greedy_search_gives_the_words_that_teacher_forcing_prefers(self, options):
        model = translator(**options)
        decoder = model.get_layer("decoder")
        state, constants = decoder.begin(*encoding_model(model)(SOURCE))
        found = greedy_search(decoder.step, end=3, max_length=6)(
            tf.fill([3], decoder.start), state, constants
        )
        words = (
            np.array(found.tokens)[:, 0]
            if np.array(found.tokens).ndim == 3
            else np.array(found.tokens)
        )
        best = np.array(model([SOURCE, words])).copy()
        best[..., 0] = -np.inf  # padding is never said
        for row, said in enumerate(words):
            length = int(np.argmax(said == 3)) + 1 if (said == 3).any() else len(said)
            np.testing.assert_array_equal(best[row, :length].argmax(axis=-1), said[:length])


def test_without_attention_only_the_last_state_tells_of_the_source():
    """Other words in the source at equal final states are not seen; with attention they are."""
    for attention, seen in (("none", False), ("luong", True)):
        decoder = translator(attention=attention).get_layer("decoder")
        states = [[RNG.normal(size=(3, 6)).astype(np.float32) for _ in range(2)] for _ in range(2)]
        memory = RNG.normal(size=(3, 7, 12)).astype(np.float32)
        logits, other = (
            np.array(decoder((TARGET, x, SOURCE != 0, states))) for x in (memory, memory + 1)
        )
        assert (not np.allclose(logits, other)) == seen


def test_attention_weights_of_a_step_are_those_of_its_memory():
    decoder = translator().get_layer("decoder")
    memory, mask, states = encoding_model(translator())(SOURCE)
    state, constants = decoder.begin(memory, mask, states)
    weights, logits, _ = decoder.attend_step(np.array([2, 2, 2], np.int32), state, constants)
    np.testing.assert_allclose(np.array(weights).sum(axis=-1), 1, atol=1e-5)
    assert (np.array(weights)[SOURCE == 0] == 0).all()
    np.testing.assert_array_equal(
        logits, decoder.step(np.array([2, 2, 2], np.int32), state, constants)[0]
    )


class TestScheduledSampling:
    def test_at_rate_nought_it_is_teacher_forcing(self):
        model = translator(scheduled_sampling=True)
        np.testing.assert_allclose(
            model([SOURCE, TARGET], training=True),
            model([SOURCE, TARGET], training=False),
            atol=1e-6,
        )

    def test_at_rate_one_the_decoder_hears_only_itself(self):
        model = translator(scheduled_sampling=True)
        model.get_layer("decoder").sampling_rate.assign(1.0)
        keras.utils.set_random_seed(5)
        other = (TARGET + 5) % 17 + 3
        sampled = []
        for target in (TARGET, other):
            model.get_layer("decoder").seed_generator.state.assign([7, 7])
            sampled.append(np.array(model([SOURCE, target], training=True)))
        np.testing.assert_array_equal(*sampled)
        assert not np.allclose(sampled[0], model([SOURCE, TARGET], training=False), atol=1e-6)

    def test_in_evaluation_nothing_is_sampled(self):
        model = translator(scheduled_sampling=True)
        forced = np.array(model([SOURCE, TARGET]))
        model.get_layer("decoder").sampling_rate.assign(1.0)
        np.testing.assert_array_equal(model([SOURCE, TARGET]), forced)

    def test_what_it_hears_is_drawn_from_what_it_said(self):
        """An output layer that always says word 9: fed with itself the decoder goes on as if the
        target were 9, 9, 9."""
        model = translator(scheduled_sampling=True, tie_weights=False)
        decoder = model.get_layer("decoder")
        kernel, bias = decoder.output_layer.get_weights()
        decoder.output_layer.set_weights(
            [kernel, np.where(np.arange(20) == 9, 100, bias).astype(np.float32)]
        )
        decoder.sampling_rate.assign(1.0)
        nines = np.full_like(TARGET, 9)
        np.testing.assert_allclose(
            model([SOURCE, TARGET], training=True), model([SOURCE, nines]), atol=1e-5
        )


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["luong", pytest.param("bahdanau", marks=pytest.mark.slow)])
def test_a_translator_learns_to_turn_sequences_round(attention):
    """Reversal needs the whole source; 40 seconds of learning would be a recipe, so six symbols of
    ten, up to 6 long."""
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(3)
    lengths = rng.integers(2, 7, 3000)
    source, target = np.zeros((3000, 6), np.int32), np.zeros((3000, 7), np.int32)
    for row, length in enumerate(lengths):
        source[row, :length] = rng.integers(4, 14, length)
        target[row, : length + 1] = [*source[row, :length][::-1], 3]
    model = encoder_decoder(
        source_vocabulary=14, target_vocabulary=14, units=48, embedding_size=32, attention=attention
    )
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=PaddedCrossEntropy())
    model.fit(
        [source[:2800], target[:2800]],
        target[:2800],
        batch_size=50,
        epochs=6 if attention == "luong" else 4,
        verbose=0,
    )
    decoder = model.get_layer("decoder")
    state, constants = decoder.begin(*encoding_model(model)(source[2800:]))
    start = tf.fill([200], decoder.start)
    found = np.array(
        beam_search(decoder.step, end=3, beam=3, max_length=7)(start, state, constants).tokens
    )[:, 0]
    found = np.pad(found, [(0, 0), (0, 7 - found.shape[1])])
    assert (found == target[2800:]).all(axis=1).mean() > 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention": "self"}, "'self'; accepted are luong, bahdanau, none"),
        ({"attention": "bahdanau", "input_feeding": True}, "received attention='bahdanau'"),
        ({"cell": "mlp"}, "'mlp'; accepted are simple_rnn"),
        ({"start": 20}, "from 1 to 19; received 20"),
        ({"dropout": 1.5}, r"below 1; received 1\.5"),
        ({"depth": 0}, "depth must be at least 1; received 0"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(InputError, match=message):
        AttentionDecoder(20, **options)
