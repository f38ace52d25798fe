"""Word embeddings: their initialisation, and pretrained word vectors."""

from __future__ import annotations

import keras
import numpy as np

from rnn_cookbook.errors import InputError

__all__ = ["set_word_vectors", "unit_length", "word_embedding"]


def unit_length(size: int) -> keras.initializers.Initializer:
    """Returns an initializer that draws vectors of about unit length.

    Keras' default, uniform ±0.05, makes a language model learn a good deal more slowly.

    Args:
        size: width of the vectors.
    """
    return keras.initializers.RandomNormal(stddev=size**-0.5)


def word_embedding(
    vocabulary_size: int, size: int, *, word_vectors: np.ndarray | None, trainable: bool
) -> keras.layers.Embedding:
    """Returns the layer "embedding", and checks the vectors that `set_word_vectors` will put in.

    Args:
        vocabulary_size: number of words, padding and the unknown word included.
        size: width of the vectors.
        word_vectors: pretrained vectors, float[vocabulary_size, size], or None.
        trainable: whether training changes the vectors.

    Raises:
        InputError: the word vectors have another shape.
    """
    if word_vectors is not None and np.shape(word_vectors) != (vocabulary_size, size):
        raise InputError(
            f"word vectors of shape {np.shape(word_vectors)} do not fit {vocabulary_size} words of "
            f"{size} dimensions"
        )
    return keras.layers.Embedding(vocabulary_size, size, trainable=trainable, name="embedding")


def set_word_vectors(model: keras.Model, word_vectors: np.ndarray | None) -> keras.Model:
    """Puts word vectors into the layer "embedding" of a built model, unless there are none.

    Args:
        model: model with a `word_embedding`.
        word_vectors: float[vocabulary_size, size], or None.

    Returns:
        The same model.
    """
    if word_vectors is not None:
        model.get_layer("embedding").set_weights([np.asarray(word_vectors)])
    return model
