"""The encoder-decoder with attention."""

from __future__ import annotations

import keras

from rnn_cookbook.nn.attention_decoder import AttentionDecoder
from rnn_cookbook.nn.embedding import unit_length
from rnn_cookbook.nn.masking import PaddingMask
from rnn_cookbook.nn.recurrent import check_options, rnn_stack

__all__ = ["INPUTS", "encoder_decoder", "encoding_model"]

# What the inputs are, for who uses an exported network.
INPUTS = {
    "source": "numbers of subwords by source.model (SentencePiece); 0 pads on the right",
    "target": "numbers of the subwords so far by target.model (SentencePiece); the output at step t"
    " is for the subword at t, from the subwords before it",
}


def _bridges(states, *, units: int, bidirectional: bool) -> list[list]:
    """The decoder's first states, from the encoder's last states through a small layer each: sizes
    and ranges differ."""
    parts = len(states[0]) // 2 if bidirectional else len(states[0])
    initial = []
    for level, final in enumerate(states, start=1):
        bridged = []
        for i in range(parts):
            state = final[i]
            if bidirectional:
                concatenate = keras.layers.Concatenate(name=f"final_{level}_{i}")
                state = concatenate([final[i], final[parts + i]])
            bridge = keras.layers.Dense(units, activation="tanh", name=f"bridge_{level}_{i}")
            bridged.append(bridge(state))
        initial.append(bridged)
    return initial


def encoder_decoder(
    *,
    source_vocabulary: int,
    target_vocabulary: int,
    embedding_size: int = 128,
    cell: str = "lstm",
    units: int = 128,
    depth: int = 1,
    bidirectional: bool = True,
    attention: str = "luong",
    input_feeding: bool = False,
    dropout: float = 0.0,
    tie_weights: bool = True,
    start: int = 2,
    scheduled_sampling: bool = False,
    **rnn,
) -> keras.Model:
    """Builds a sequence-to-sequence model with attention (Sutskever et al. 2014; Bahdanau et al.
    2015; Luong et al. 2015).

    (int32[batch, time] source, int32[batch, t] target) -> logits float32[batch, t, target
    vocabulary]

    The target is both an input, which the decoder shifts by itself, and what the loss compares with
    (leave out its padding, 0). Search and sampling take the two halves: `encoding_model(model)` and
    `model.get_layer("decoder")`, whose `begin` and `step` the functions of `nn.decoding` call.

    Args:
        source_vocabulary: number of source symbols, 0 for padding included.
        target_vocabulary: number of target symbols, 0 for padding included.
        embedding_size: width of the word vectors of both sides.
        cell: recurrent cell of encoder and decoder, see `nn.recurrent.rnn_stack`.
        units: size of the state, of the encoder in each direction.
        depth: number of recurrent layers of the encoder, and of the decoder.
        bidirectional: whether the encoder reads in both directions.
        attention: kind of attention, see `nn.attention_decoder.AttentionDecoder`.
        input_feeding: whether the attentional vector is fed into the next step, see there.
        dropout: dropout rate on the word vectors, between the layers, on the memory and before the
            logits; the same components are dropped at every step.
        tie_weights: whether the decoder's word vectors are its output weights, see there.
        start: symbol that the decoder begins with.
        scheduled_sampling: whether training may feed the decoder its own answers, see there.
        **rnn: further options of the encoder, see `nn.recurrent.rnn_stack`.

    Raises:
        InputError: no such cell, attention or option.
    """
    check_options("encoder_decoder", rnn, own=("input_dropout",))
    source = keras.Input(shape=(None,), dtype="int32", name="source")
    target = keras.Input(shape=(None,), dtype="int32", name="target")
    mask = PaddingMask(name="source_mask")(source)
    embedding = keras.layers.Embedding(
        source_vocabulary,
        embedding_size,
        # Keras declares its default only.
        embeddings_initializer=unit_length(embedding_size),  # pyright: ignore[reportArgumentType]
        name="source_embedding",
    )
    memory, states = rnn_stack(
        embedding(source),
        mask=mask,
        cell=cell,
        units=units,
        depth=depth,
        bidirectional=bidirectional,
        return_states=True,
        name="encoder",
        input_dropout=dropout,
        dropout=dropout,
        **rnn,
    )
    if dropout:
        memory = keras.layers.SpatialDropout1D(dropout, name="memory_dropout")(memory)
    initial = _bridges(states, units=units, bidirectional=bidirectional)
    decoder = AttentionDecoder(
        target_vocabulary,
        embedding_size=embedding_size,
        cell=cell,
        units=units,
        depth=depth,
        attention=attention,
        input_feeding=input_feeding,
        dropout=dropout,
        tie_weights=tie_weights,
        start=start,
        scheduled_sampling=scheduled_sampling,
        name="decoder",
    )
    logits = decoder((target, memory, mask, initial))
    return keras.Model([source, target], logits, name="encoder_decoder")


def encoding_model(model: keras.Model) -> keras.Model:
    """Takes the encoder out of an `encoder_decoder`, weights shared: int32[batch, time] source ->
    the arguments of `AttentionDecoder.begin`.

    Args:
        model: model of `encoder_decoder`.
    """
    decoder = model.get_layer("decoder")
    _, memory, mask, *parts = keras.tree.flatten(decoder.input)
    per_level = len(parts) // decoder.depth
    states = [parts[start : start + per_level] for start in range(0, len(parts), per_level)]
    return keras.Model(model.inputs[0], [memory, mask, states], name="encoder")
