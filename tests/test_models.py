"""Builders, one by one: what test_every_model.py does not ask of all of them."""

import itertools
import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.anomaly.model import online_forecaster
from rnn_cookbook.tasks.classification.model import text_classifier
from rnn_cookbook.tasks.forecasting.model import forecaster
from rnn_cookbook.tasks.language.model import language_model
from rnn_cookbook.tasks.speech.model import speech_recognizer
from rnn_cookbook.tasks.tagging.model import sequence_tagger
from rnn_cookbook.tasks.translation.model import encoder_decoder

RNG = np.random.default_rng(0)
TOKENS = RNG.integers(1, 30, size=(4, 11)).astype(np.int32)
for row, length in enumerate([11, 7, 3, 1]):
    TOKENS[row, length:] = 0


def classifier(**options):
    keras.utils.set_random_seed(1)
    return text_classifier(
        **{"vocabulary_size": 30, "classes": 3, "embedding_size": 5, "units": 4, **options}
    )


def test_segments_cut_the_state():
    """A change in one segment leaves the states of the others alone; without segments it travels
    on."""
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
    assert (
        not classifier(word_vectors=vectors, train_embedding=False)
        .get_layer("embedding")
        .trainable_variables
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "transformer"}, "'transformer'; accepted are simple_rnn, lstm, gru"),
        ({"units": 0}, "received units=0"),
        ({"classes": 1}, "received 1"),
        ({"word_vectors": np.zeros((3, 5))}, r"\(3, 5\) do not fit 30 words"),
        ({"segment_length": -2}, "received -2"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(InputError, match=message):
        classifier(**options)


@pytest.mark.slow
def test_one_batch_can_be_learnt_by_heart():
    model = classifier(units=16, embedding_size=16)
    targets = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    model.compile(
        optimizer=keras.optimizers.Adam(0.03),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(TOKENS, targets, epochs=40, verbose=0)
    assert model.evaluate(TOKENS, targets, verbose=0)[1] == 1


def test_schemes_forbid_what_is_no_sequence_of_tags():
    """An untrained tagger never says an inside tag without its beginning, whatever its scores."""
    keras.utils.set_random_seed(1)
    tags = ["O", "B-X", "I-X", "B-Y", "I-Y"]
    model = sequence_tagger(vocabulary_size=30, tags=tags, scheme="bio", embedding_size=5, units=4)
    scores, crf = model(TOKENS) * 1000, model.get_layer("crf")
    for row, length in zip(
        np.array(crf.viterbi(scores, TOKENS > 0)[0]), (TOKENS > 0).sum(axis=1), strict=True
    ):
        named = ["O", *(tags[tag] for tag in row[:length])]
        assert all(
            after[0] != "I" or before[1:] == after[1:]
            for before, after in itertools.pairwise(named)
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tags": 1}, "at least 2 tags; received 1"),
        ({"tags": 3, "scheme": "bio"}, "scheme='bio'"),
        ({"tags": ["O", "B-X", "I-X"], "scheme": "bio", "crf": False}, "crf=True"),
        (
            {"tags": 3, "characters": 9, "character_encoder": "transformer"},
            "'transformer'; accepted are recurrent, convolution",
        ),
        ({"tags": 3, "features": (0,)}, r"received counts=\[0\]"),
    ],
)
def test_bad_arguments_of_the_tagger_are_named(options, message):
    with pytest.raises(InputError, match=message):
        sequence_tagger(vocabulary_size=30, **options)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: text(merge=None),
            "text_classifier needs one sequence: accepted for merge are concat, sum, mul, ave; "
            "received None",
        ),
        (
            lambda: text(return_states=True),
            "text_classifier sets return_states of its recurrent layers itself",
        ),
        (lambda: text(mask=None), "text_classifier sets mask"),
        (
            lambda: text(embedding_dropout=1.0),
            "embedding_dropout must be at least 0 and below 1; received 1.0",
        ),
        (
            lambda: sequence_tagger(vocabulary_size=9, tags=3, input_dropout=0.1),
            "sequence_tagger sets input_dropout",
        ),
        (
            lambda: speech_recognizer(features=3, symbols=4, merge=None),
            "speech_recognizer needs one sequence",
        ),
        (
            lambda: speech_recognizer(features=3, symbols=4, look_ahead=2),
            "look_ahead must be 0 in a bidirectional network",
        ),
        (
            lambda: speech_recognizer(features=3, symbols=4, convolution="2d"),
            "must be one of time, time_frequency; received '2d'",
        ),
        (
            lambda: encoder_decoder(source_vocabulary=9, target_vocabulary=9, merge=None),
            "encoder_decoder needs one sequence",
        ),
        (
            lambda: language_model(vocabulary_size=9, bidirectional=True),
            "which a bidirectional layer would have seen already",
        ),
        (
            lambda: online_forecaster(bidirectional=True),
            "which a bidirectional layer would have seen already",
        ),
        (
            lambda: language_model(vocabulary_size=9, batch_size=0),
            "batch_size must be at least 1, or None; received 0",
        ),
        (
            lambda: forecaster(lookback=4, horizon=2, segment_length=0),
            "segment_length must be at least 1; received 0",
        ),
        (
            lambda: forecaster(lookback=4, horizon=2, depth=0),
            "depth must be at least 1; received 0",
        ),
        (
            lambda: forecaster(lookback=4, horizon=2, covariates=-1),
            "covariates must be at least 0; received -1",
        ),
        (lambda: forecaster(lookback=4, horizon=2, dropout=1.0), "dropout must be at least 0"),
        (
            lambda: text_classifier(vocabulary_size=9, classes=2, word_vectors=[[1.0]]),
            r"word vectors of shape \(1, 1\) do not fit",
        ),
    ],
)
def test_options_that_no_model_can_have(build, message):
    with pytest.raises(InputError, match=message):
        build()


def text(**options):
    return text_classifier(vocabulary_size=9, classes=2, **options)


@pytest.mark.slow
def test_a_saved_model_loads_in_a_process_that_has_imported_nothing_else(tmp_path):
    model = text(units=3, pooling="max+attention")
    model.save(tmp_path / "m.keras")
    tokens = np.array([[3, 4, 0]], np.int32)
    code = "import sys, numpy as np; from rnn_cookbook.run import bundle as b; "
    code += "print(b.load_model(sys.argv[1])(np.array([[3, 4, 0]])).numpy().tolist())"
    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "m.keras"],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert ended.returncode == 0, ended.stderr
    np.testing.assert_allclose(json.loads(ended.stdout), model(tokens), atol=1e-6)


def test_attention_that_xla_cannot_differentiate_says_so():
    """Keras compiles with XLA by itself where it sees a GPU, unless a layer objects."""
    for attention in ("luong", "bahdanau", "none"):
        model = encoder_decoder(source_vocabulary=9, target_vocabulary=9, attention=attention)
        assert all(layer.supports_jit for layer in model._flatten_layers()) == (
            attention != "bahdanau"
        )
