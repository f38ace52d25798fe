"""Word embeddings: initialisation, and pretrained vectors."""

import keras
import numpy as np

from rnn_cookbook.errors import InputError


def _unit(size: int):
    # Vectors of about unit length. Keras' default, uniform ±0.05, makes a language model learn a
    # good deal more slowly.
    return keras.initializers.RandomNormal(stddev=size**-0.5)


def _embedding(
    vocabulary_size: int, size: int, *, word_vectors: np.ndarray | None, trainable: bool
):
    if word_vectors is not None and np.shape(word_vectors) != (vocabulary_size, size):
        raise InputError(
            f"word vectors of shape {np.shape(word_vectors)} do not fit {vocabulary_size} words of {size} dimensions"
        )
    return keras.layers.Embedding(vocabulary_size, size, trainable=trainable, name="embedding")


def _with_vectors(model: keras.Model, word_vectors: np.ndarray | None) -> keras.Model:
    if word_vectors is not None:
        model.get_layer("embedding").set_weights([np.asarray(word_vectors)])
    return model
