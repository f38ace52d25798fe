"""A classifier of texts: recurrent encoder, pooling over time, softmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.embedding import set_word_vectors, word_embedding
from rnn_cookbook.nn.masking import PaddingMask
from rnn_cookbook.nn.pooling import MaskedPooling
from rnn_cookbook.nn.recurrent import check_options, rnn_stack
from rnn_cookbook.nn.segments import JoinSegments, SplitSegments
from rnn_cookbook.nn.words import WordDropout
from rnn_cookbook.settings import check_fractions

__all__ = ["INPUTS", "text_classifier"]

# What the inputs are, for who uses an exported network.
INPUTS = {
    "tokens": "numbers of the words in the order of the vocabulary, from 2 on; 1 is any other word,"
    " 0 pads on the right",
}


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
    pooling: str | Sequence[str] = ("max",),
    word_dropout: float = 0.0,
    embedding_dropout: float = 0.0,
    dropout: float = 0.0,
    word_vectors: np.ndarray | None = None,
    train_embedding: bool = True,
    **rnn: Any,
) -> keras.Model:
    """Builds a text classifier: int32[batch, time] -> logits float32[batch, classes].

    The last state of a recurrent network forgets the beginning of a long document, and gradients
    hardly reach it; pooling over all states (Johnson and Zhang 2016) lets every word speak.

    Args:
        vocabulary_size: number of words, 0 for padding and 1 for unknown words included.
        classes: number of classes, at least 2.
        embedding_size: width of the word vectors.
        cell: recurrent cell of the encoder: "simple_rnn", "lstm" or "gru".
        units: size of the encoder's state, in each direction.
        depth: number of recurrent layers.
        bidirectional: whether the encoder reads from both ends.
        segment_length: words per segment, where segments of a text are read side by side (see
            `SplitSegments`); 0 reads a text in one piece.
        pooling: one or several of "last", "mean", "max" and "attention", as a list or joined by +.
        word_dropout: fraction of words replaced by the unknown word in training.
        embedding_dropout: dropout rate of word-vector components, the same ones at every step of a
            text.
        dropout: dropout rate before the classifier and between the recurrent layers.
        word_vectors: initial word vectors, float[vocabulary_size, embedding_size]; without them
            uniform ±0.05, Keras' default.
        train_embedding: whether the word vectors are trained further.
        **rnn: further options of `rnn_stack`.

    Raises:
        InputError: fewer than two classes; word vectors of another shape; a rate or an option that
            is not accepted.
    """
    if classes < 2:
        raise InputError(f"a classifier needs at least 2 classes; received {classes}")
    check_options("text_classifier", rnn)
    check_fractions(embedding_dropout=embedding_dropout, dropout=dropout)
    tokens = keras.Input(shape=(None,), dtype="int32", name="tokens")
    mask = PaddingMask(name="mask")(tokens)
    words = WordDropout(word_dropout, name="word_dropout")(tokens)
    x = word_embedding(
        vocabulary_size, embedding_size, word_vectors=word_vectors, trainable=train_embedding
    )(words)
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
        **rnn,
    )
    if segment_length:
        x = JoinSegments(name="join_segments")((x, mask))
    halves = bidirectional and rnn.get("merge", "concat") == "concat"
    x = MaskedPooling(pooling, bidirectional=halves, name="pooling")((x, mask))
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    # float32 also under mixed precision: a softmax over half-precision logits loses digits.
    logits = keras.layers.Dense(classes, dtype="float32", name="logits")(x)
    return set_word_vectors(keras.Model(tokens, logits, name="text_classifier"), word_vectors)
