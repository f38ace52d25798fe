"""Model builders: keyword arguments in, an uncompiled keras.Model with named layers out."""

from collections.abc import Sequence

import keras
import numpy as np

from rnn_cookbook.errors import InputError
from rnn_cookbook.layers import JoinSegments, MaskedPooling, PaddingMask, SplitSegments, WordDropout
from rnn_cookbook.recurrent import rnn_stack


def text_classifier(
    *,
    vocabulary_size: int,
    classes: int,
    embedding_size: int = 128,
    cell: str = "lstm",
    units: int = 64,
    depth: int = 1,
    bidirectional: bool = True,
    segment_length: int = 0,
    pooling: Sequence[str] = ("max",),
    word_dropout: float = 0.0,
    embedding_dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    dropout: float = 0.0,
    word_vectors: np.ndarray | None = None,
    train_embedding: bool = True,
) -> keras.Model:
    """Embedding, recurrent encoder, pooling over time, softmax classifier: int32[batch, time] -> logits float32[batch, classes].

    The last state of a recurrent network forgets the beginning of a long document, and gradients hardly reach it; pooling over
    all states (Johnson and Zhang 2016) lets every word speak.

    Args:
        vocabulary_size: word numbers, 0 for padding and 1 for unknown words included.
        classes: number of classes, two or more.
        embedding_size: width of the word vectors.
        cell, units, depth, bidirectional, recurrent_dropout: of the encoder, see `recurrent.rnn_stack`.
        segment_length: read the text in segments of so many words side by side (see `layers.SplitSegments`); 0 reads it in one.
        pooling: one or several of "last", "mean", "max", "attention".
        word_dropout: share of words replaced by the unknown word in training.
        embedding_dropout: dropout of word-vector components, the same at every step of a text.
        dropout: before the classifier, and between the recurrent layers.
        word_vectors: float[vocabulary_size, embedding_size] to start from; otherwise uniform ±0.05, Keras' default.
        train_embedding: whether the word vectors are trained further.
    """
    if classes < 2:
        raise InputError(f"a classifier needs two classes or more, got {classes}")
    if word_vectors is not None and word_vectors.shape != (vocabulary_size, embedding_size):
        raise InputError(f"word vectors of shape {word_vectors.shape} do not fit {vocabulary_size} words of {embedding_size} dimensions")
    tokens = keras.Input(shape=(None,), dtype="int32", name="tokens")
    mask = PaddingMask(name="mask")(tokens)
    words = WordDropout(word_dropout, name="word_dropout")(tokens)
    embedding = keras.layers.Embedding(vocabulary_size, embedding_size, trainable=train_embedding, name="embedding")
    x = embedding(words)
    if embedding_dropout:
        x = keras.layers.SpatialDropout1D(embedding_dropout, name="embedding_dropout")(x)
    rnn_mask = mask
    if segment_length:
        x, rnn_mask = SplitSegments(segment_length, name="split_segments")((x, mask))
    x = rnn_stack(
        x,
        mask=rnn_mask,
        cell=cell,
        units=units,
        depth=depth,
        bidirectional=bidirectional,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
    )
    if segment_length:
        x = JoinSegments(name="join_segments")((x, mask))
    x = MaskedPooling(pooling, name="pooling")((x, mask))
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    # float32 also under mixed precision: a softmax over half-precision logits loses digits.
    logits = keras.layers.Dense(classes, dtype="float32", name="logits")(x)
    model = keras.Model(tokens, logits, name="text_classifier")
    if word_vectors is not None:
        embedding.set_weights([word_vectors])
    return model
