"""A recurrent language model."""

from __future__ import annotations

from typing import Any

import keras

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.embedding import unit_length
from rnn_cookbook.nn.recurrent import check_options, rnn_stack
from rnn_cookbook.nn.words import EmbeddingDropout
from rnn_cookbook.settings import check_fractions

__all__ = ["INPUTS", "language_model"]

# What the inputs are, for who uses an exported network.
INPUTS = {
    "tokens": "numbers of the tokens in the order of the vocabulary; 0 pads on the right",
    "starts": "whether a new sequence begins in the row, so that its states start from zero",
}


def language_model(
    *,
    vocabulary_size: int,
    embedding_size: int = 128,
    cell: str = "lstm",
    units: int = 256,
    depth: int = 2,
    tie_weights: bool = False,
    embedding_dropout: float = 0.0,
    dropout: float = 0.0,
    output_dropout: float = 0.0,
    batch_size: int | None = None,
    **rnn: Any,
) -> keras.Model:
    """Builds a network that predicts each token from all before it (Mikolov et al. 2010; Merity et
    al. 2018).

    int32[batch, time] -> logits float32[batch, time, vocabulary]

    The logits at step i are those of token i + 1: the targets are the tokens shifted by one step.

    With `batch_size` the states are carried from batch to batch (truncated backpropagation through
    time, `nn.recurrent_layers.CarriedState`), and the model takes a second input, bool[batch]
    starts, as `encode.streams.Streams` gives them. For generation `nn.streaming.token_step(model)`
    makes a step function of either kind.

    Args:
        vocabulary_size: number of token numbers, 0 for padding included.
        embedding_size: width of the token vectors.
        cell: recurrent cell: "simple_rnn", "lstm" or "gru".
        units: size of the state.
        depth: number of recurrent layers.
        tie_weights: whether the output layer is the transposed embedding (Press and Wolf 2017);
            states of another width are projected first.
        embedding_dropout: fraction of the vocabulary's tokens dropped for a batch
            (`nn.words.EmbeddingDropout`).
        dropout: dropout rate on the token vectors and between the layers; the same components are
            dropped at every step.
        output_dropout: dropout rate before the output layer, likewise.
        batch_size: fixed number of rows whose states are carried; None carries none.
        rnn: further options of `nn.recurrent.rnn_stack`, such as `weight_drop`.

    Raises:
        InputError: a dropout rate or size is out of range, or an option is not accepted; the layers
            cannot be bidirectional.
    """
    check_options("language_model", rnn, own=("input_dropout",), causal=True)
    check_fractions(output_dropout=output_dropout)
    if batch_size is not None and batch_size < 1:
        raise InputError(
            f"batch_size must be at least 1, or None; received {batch_size}", field="batch_size"
        )
    tokens = keras.Input(batch_shape=(batch_size, None), dtype="int32", name="tokens")
    starts = None
    if batch_size:
        starts = keras.Input(batch_shape=(batch_size,), dtype="bool", name="starts")
    # Keras annotates the initializer by its default, a text.
    if tie_weights:
        embedding = keras.layers.ReversibleEmbedding(
            vocabulary_size,
            embedding_size,
            # Keras declares its default only.
            embeddings_initializer=unit_length(embedding_size),  # pyright: ignore[reportArgumentType]
            reverse_dtype="float32",
            name="embedding",
        )
    else:
        embedding = keras.layers.Embedding(
            vocabulary_size,
            embedding_size,
            # Keras declares its default only.
            embeddings_initializer=unit_length(embedding_size),  # pyright: ignore[reportArgumentType]
            name="embedding",
        )
    x = embedding(tokens)
    if embedding_dropout:
        drop = EmbeddingDropout(
            embedding_dropout, vocabulary_size=vocabulary_size, name="embedding_dropout"
        )
        x = drop((tokens, x))
    # No mask: padding comes after all that counts, and `Streams` begins a new sequence after it.
    x = rnn_stack(
        x,
        mask=None,
        cell=cell,
        units=units,
        depth=depth,
        input_dropout=dropout,
        dropout=dropout,
        starts=starts,
        batch_size=batch_size,
        **rnn,
    )
    if output_dropout:
        x = keras.layers.SpatialDropout1D(output_dropout, name="output_dropout")(x)
    if tie_weights:
        if x.shape[-1] != embedding_size:
            x = keras.layers.Dense(embedding_size, name="projection")(x)
        logits = embedding(x, reverse=True)
    else:
        logits = keras.layers.Dense(vocabulary_size, dtype="float32", name="logits")(x)
    inputs = tokens if starts is None else [tokens, starts]
    return keras.Model(inputs, logits, name="language_model")
