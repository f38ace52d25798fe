"""Outputs of many examples: in their order, without keeping the model, traced once."""

import gc
import weakref

import numpy as np
import tensorflow as tf

from rnn_cookbook.encode.batches import Batches
from rnn_cookbook.run.inference import predict
from rnn_cookbook.tasks.classification.model import text_classifier

RNG = np.random.default_rng(0)
TOKENS = [RNG.integers(2, 20, size=length) for length in RNG.integers(2, 12, size=20)]


def test_predictions_come_in_the_order_of_the_texts():
    model = text_classifier(vocabulary_size=20, classes=2, embedding_size=8, units=6)
    alone = np.concatenate([model(tokens[None]) for tokens in TOKENS])
    np.testing.assert_allclose(predict(model, Batches(TOKENS, batch_size=6)), alone, atol=1e-6)


def test_a_model_that_has_predicted_can_be_forgotten():
    """A service that loads one model after the other keeps none that it has dropped."""
    model = text_classifier(vocabulary_size=9, classes=2, embedding_size=4, units=3)
    predict(model, Batches([np.array([1, 2, 3])], batch_size=1))
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_the_first_calls_of_several_models_are_no_retracing(monkeypatch):
    """TensorFlow would tell a user, whose search has predicted with five models, to mend what he
    cannot."""
    warned = []
    monkeypatch.setattr(
        tf.get_logger(), "warning", lambda message, *_, **__: warned.append(message)
    )
    for units in range(2, 8):
        model = text_classifier(vocabulary_size=9, classes=2, embedding_size=4, units=units)
        predict(model, Batches([np.array([1, 2, 3])], batch_size=1))
    assert warned == []
