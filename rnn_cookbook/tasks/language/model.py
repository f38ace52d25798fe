"""A recurrent language model."""

import keras

from rnn_cookbook.errors import InputError, check_shares
from rnn_cookbook.nn.embedding import _unit
from rnn_cookbook.nn.recurrent import check_options, rnn_stack
from rnn_cookbook.nn.words import EmbeddingDropout


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
    **rnn,
) -> keras.Model:
    """The next token from all before it (Mikolov et al. 2010; Merity et al. 2018): int32[batch,
    time] -> logits float32[batch, time, vocabulary].

    The logits at step i are those of the token after token i: the targets are the tokens, one step
    on.

    With `batch_size` the states are carried from batch to batch (truncated backpropagation through
    time, `recurrent.CarriedState`); the model then takes a second input, bool[batch] starts, as
    `encode.streams.Streams` gives them. For generation `streaming.token_step(model)` makes a step
    function of either kind.

    Args:
        vocabulary_size: token numbers, 0 for padding included.
        embedding_size: width of the token vectors.
        cell, units, depth: see `recurrent.rnn_stack`; `rnn` are further options of it, such as
            `weight_drop`.
        tie_weights: the output layer is the transposed embedding (Press and Wolf 2017); states of
            another width are projected first.
        embedding_dropout: share of the vocabulary's tokens dropped for a batch
            (`layers.EmbeddingDropout`).
        dropout: on the token vectors and between the layers, the same components at every step.
        output_dropout: before the output layer, likewise.
        batch_size: fixed number of rows, whose states are carried.
    """
    check_options("language_model", rnn, own=("input_dropout",), causal=True)
    check_shares(output_dropout=output_dropout)
    if batch_size is not None and batch_size < 1:
        raise InputError(
            f"batch_size must be the number of rows, 1 or more, or None, got {batch_size}"
        )
    tokens = keras.Input(batch_shape=(batch_size, None), dtype="int32", name="tokens")
    carried = {}
    if batch_size:
        carried = {
            "starts": keras.Input(batch_shape=(batch_size,), dtype="bool", name="starts"),
            "batch_size": batch_size,
        }
    options = {"embeddings_initializer": _unit(embedding_size), "name": "embedding"}
    if tie_weights:
        embedding = keras.layers.ReversibleEmbedding(
            vocabulary_size, embedding_size, reverse_dtype="float32", **options
        )
    else:
        embedding = keras.layers.Embedding(vocabulary_size, embedding_size, **options)
    x = embedding(tokens)
    if embedding_dropout:
        x = EmbeddingDropout(
            embedding_dropout, vocabulary_size=vocabulary_size, name="embedding_dropout"
        )((tokens, x))
    # No mask: padding comes after all that counts, and `Streams` begins a new sequence after it.
    x = rnn_stack(
        x,
        mask=None,
        cell=cell,
        units=units,
        depth=depth,
        input_dropout=dropout,
        dropout=dropout,
        **rnn,
        **carried,
    )
    if output_dropout:
        x = keras.layers.SpatialDropout1D(output_dropout, name="output_dropout")(x)
    if tie_weights:
        if x.shape[-1] != embedding_size:
            x = keras.layers.Dense(embedding_size, name="projection")(x)
        logits = embedding(x, reverse=True)
    else:
        logits = keras.layers.Dense(vocabulary_size, dtype="float32", name="logits")(x)
    return keras.Model(
        [tokens, carried["starts"]] if carried else tokens, logits, name="language_model"
    )
