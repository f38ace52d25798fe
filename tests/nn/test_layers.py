"""The layers that Keras lacks, against NumPy and against what padding must not change."""

import keras
import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.convolution import MaskedConv1D, MaskedConv2D
from rnn_cookbook.nn.losses import PaddedCrossEntropy
from rnn_cookbook.nn.masking import PaddingMask
from rnn_cookbook.nn.pooling import MaskedPooling
from rnn_cookbook.nn.segments import JoinSegments, SplitSegments
from rnn_cookbook.nn.words import LanguageModelObjective, WordDropout
from rnn_cookbook.tasks.tagging.model import sequence_tagger

RNG = np.random.default_rng(0)
SEQUENCE = RNG.normal(size=(3, 5, 4)).astype(np.float32)
LENGTHS = [5, 3, 1]
MASK = np.arange(5) < np.array(LENGTHS)[:, None]


@pytest.mark.parametrize(
    ("mode", "reference"),
    [
        ("last", lambda x: x[-1]),
        ("mean", lambda x: x.mean(axis=0)),
        ("max", lambda x: x.max(axis=0)),
    ],
)
def test_pooling_is_that_of_the_unpadded_sequence(mode, reference):
    pooled = np.array(MaskedPooling([mode])((SEQUENCE, MASK)))
    expected = [
        reference(sequence[:length].astype(np.float64))
        for sequence, length in zip(SEQUENCE, LENGTHS, strict=True)
    ]
    np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-6)


def test_last_of_both_directions_is_where_each_of_them_ended():
    pooled = np.array(MaskedPooling(["last"], bidirectional=True)((SEQUENCE, MASK)))
    for row, length in enumerate(LENGTHS):
        np.testing.assert_array_equal(
            pooled[row], [*SEQUENCE[row, length - 1, :2], *SEQUENCE[row, 0, 2:]]
        )


def test_maximum_of_negative_states_is_not_the_padding():
    pooled = np.array(MaskedPooling(["max"])((-1 - np.abs(SEQUENCE), MASK)))
    assert (pooled < -1).all()


def test_attention_weights_only_what_is_not_padding():
    layer = MaskedPooling(["attention"])
    pooled = np.array(layer((SEQUENCE, MASK)))
    (kernel,) = (np.array(weight, np.float64) for weight in layer.score.weights)
    for row, length in enumerate(LENGTHS):
        states = SEQUENCE[row, :length].astype(np.float64)
        weights = np.exp(states @ kernel)
        np.testing.assert_allclose(
            pooled[row], (weights * states).sum(axis=0) / weights.sum(), rtol=1e-5
        )
    np.testing.assert_allclose(pooled[2], SEQUENCE[2, 0], rtol=1e-5)  # one step: all the weight


def test_several_poolings_are_concatenated_in_order():
    both = np.array(MaskedPooling(["max", "mean"])((SEQUENCE, MASK)))
    for half, mode in ((both[:, :4], "max"), (both[:, 4:], "mean")):
        np.testing.assert_allclose(half, np.array(MaskedPooling([mode])((SEQUENCE, MASK))))


@pytest.mark.parametrize("modes", [["median"], [], [""]])
def test_unknown_pooling_is_named_with_the_accepted_ones(modes):
    with pytest.raises(InputError, match="accepted are last, mean, max, attention"):
        MaskedPooling(modes)


def test_padding_mask_is_true_on_words_and_never_empty():
    mask = np.array(PaddingMask()(np.array([[5, 1, 0], [0, 0, 0]])))
    assert mask.tolist() == [[True, True, False], [True, False, False]]


@pytest.mark.parametrize("length", [1, 2, 3, 5, 7])
def test_segments_join_to_what_was_split(length):
    segments, mask = SplitSegments(length)((SEQUENCE, MASK))
    assert segments.shape[1:] == (length, 4)
    assert np.array(mask)[:, 0].all(), "a row without a step makes the fast GPU kernels raise"
    np.testing.assert_array_equal(np.array(JoinSegments()((segments, MASK))), SEQUENCE)


def test_segments_hold_consecutive_steps():
    segments, mask = SplitSegments(2)((SEQUENCE, MASK))
    np.testing.assert_array_equal(np.array(segments)[1], SEQUENCE[0, 2:4])
    assert np.array(mask).tolist()[3:6] == [
        [True, True],
        [True, False],
        [True, False],
    ]  # the last is padding throughout


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
    with pytest.raises(InputError, match="got"):
        WordDropout(rate)


@pytest.mark.parametrize(
    "layer",
    [
        WordDropout(0.2, seed=3),
        PaddingMask(),
        SplitSegments(4),
        JoinSegments(),
        MaskedPooling(["max", "attention"]),
        MaskedConv1D(4, 3, strides=2, causal=True, activation="relu"),
        MaskedConv2D(4, 3, channels=2, pooling=3, strides=2, causal=True, activation="relu"),
    ],
)
def test_layers_come_back_from_their_configuration(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("mode", ["mean", "attention"])
def test_pooling_of_long_sequences_keeps_its_digits_in_half_precision(mode):
    pooling = MaskedPooling([mode], dtype="mixed_float16")
    pooled = pooling((np.full((1, 9000, 4), 8.0, np.float32), np.ones((1, 9000), bool)))
    np.testing.assert_allclose(pooled, np.full((1, 4), 8.0), rtol=1e-3)


@pytest.mark.parametrize("mode", ["last", "mean", "max", "attention"])
def test_pooling_does_not_read_what_is_no_number(mode):
    sequence = np.ones((1, 3, 2), np.float32)
    sequence[0, 2] = np.nan
    assert np.isfinite(MaskedPooling(mode)((sequence, np.array([[True, True, False]])))).all()


def test_convolution_does_not_read_what_is_no_number():
    sequence = np.ones((1, 3, 2), np.float32)
    sequence[0, 2] = np.nan
    for layer in (MaskedConv1D(4, 3), MaskedConv2D(4, 3)):
        outputs, _ = layer((sequence, np.array([[True, True, False]])))
        assert np.isfinite(np.array(outputs)[:, :2]).all()


@pytest.mark.parametrize(
    ("channels", "pooling", "strides", "causal"),
    [(1, 2, 1, False), (2, 3, 2, False), (2, 1, 2, True)],
)
def test_convolution_over_time_and_frequency_by_hand(channels, pooling, strides, causal):
    layer = MaskedConv2D(2, 3, channels=channels, pooling=pooling, strides=strides, causal=causal)
    x = RNG.normal(size=(1, 6, 5 * channels)).astype(np.float32)
    found, mask = layer((x, np.arange(6)[None] < 5))
    assert np.array(mask).tolist() == [[True] * 5 + [False] if strides == 1 else [True] * 3]
    kernel, bias = (np.array(weight, np.float64) for weight in layer.conv.get_weights())
    framed = np.zeros((6 + 2, 5 + 2, channels))  # what lies around is 0, and so is padding
    framed[2 if causal else 1 :, 1:-1][:5] = x[0, :5].reshape(5, 5, channels)
    wanted = []
    for step in range(0, 6, strides):
        bands = [
            np.einsum("tbc,tbcf->f", framed[step : step + 3, band : band + 3], kernel) + bias
            for band in range(5)
        ]
        wanted.append(
            np.concatenate(
                [np.max(bands[first : first + pooling], axis=0) for first in range(0, 5, pooling)]
            )
        )
    np.testing.assert_allclose(found[0], wanted, atol=1e-5)


def test_what_is_heard_higher_is_found_higher():
    """The same sound two bands up: the same features, one place on."""
    layer, mask = MaskedConv2D(4, 3, pooling=2), np.ones((1, 5), bool)
    low, high = np.zeros((2, 1, 5, 12), np.float32)
    low[:, :, 3:6] = RNG.normal(size=(1, 5, 3))
    high[:, :, 5:8] = low[:, :, 3:6]
    ((one, _), (other, _)) = layer((low, mask)), layer((high, mask))
    np.testing.assert_allclose(one[..., 4:-8], other[..., 8:-4], atol=1e-6)


@pytest.mark.parametrize("options", [{"channels": 0}, {"pooling": 0}, {"filters": 0}])
def test_convolution_refuses(options):
    with pytest.raises(InputError, match="1 or more, got"):
        MaskedConv2D(**{"filters": 2, "kernel_size": 3, **options})
    with pytest.raises(InputError, match="5 features are not so many bands of 2 channels"):
        MaskedConv2D(2, 3, channels=2)((np.zeros((1, 4, 5)), np.ones((1, 4), bool)))


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
