"""From encoded texts to the probabilities of the classes."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from scipy.special import softmax

from rnn_cookbook.encode.batches import Batches
from rnn_cookbook.run.inference import predict

__all__ = ["class_probabilities"]


def class_probabilities(
    model: keras.Model, tokens: Sequence[np.ndarray], *, batch_size: int, multiple_of: int = 1
) -> np.ndarray:
    """Returns the probability of each class, float32[texts, classes], in the order of the texts.

    Args:
        model: a `models.text_classifier`, which puts out logits.
        tokens: word numbers of each text, int32[words], as `TextEncoder.encode` gives them.
        batch_size: texts per batch.
        multiple_of: length in words that batches are padded to a multiple of; the model's segment
            length, where it reads in segments.
    """
    batches = Batches(tokens, batch_size=batch_size, multiple_of=multiple_of)
    return softmax(predict(model, batches), axis=1)
