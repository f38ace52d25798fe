"""Layers come back from their configuration."""

import keras
import numpy as np
import pytest

from rnn_cookbook.nn.convolution import MaskedConv1D, MaskedConv2D
from rnn_cookbook.nn.masking import PaddingMask
from rnn_cookbook.nn.pooling import MaskedPooling
from rnn_cookbook.nn.segments import JoinSegments, SplitSegments
from rnn_cookbook.nn.words import WordDropout

RNG = np.random.default_rng(0)
SEQUENCE = RNG.normal(size=(3, 5, 4)).astype(np.float32)
LENGTHS = [5, 3, 1]
MASK = np.arange(5) < np.array(LENGTHS)[:, None]


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
