"""An encoder-decoder with attention."""

import keras

from rnn_cookbook.nn.attention import AttentionDecoder
from rnn_cookbook.nn.embedding import _unit
from rnn_cookbook.nn.masking import PaddingMask
from rnn_cookbook.nn.recurrent import check_options, rnn_stack


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
    """Sequence to sequence with attention (Sutskever et al. 2014; Bahdanau et al. 2015; Luong et
    al. 2015).

    (int32[batch, time] source, int32[batch, t] target) -> logits float32[batch, t, target
    vocabulary]

    The target is both an input, which the decoder shifts by itself, and what the loss compares with
    (leave out its padding, 0). For search and sampling take the two halves: `encoding_model(model)`
    and `model.get_layer("decoder")`, whose `begin` and `step` the functions of `decoding` go by.

    Args:
        source_vocabulary, target_vocabulary: word numbers, 0 for padding included.
        embedding_size: width of the word vectors of both sides.
        cell, units, depth, bidirectional: of encoder and decoder, see `recurrent.rnn_stack`; `rnn`
            are further options of the encoder.
        attention, input_feeding, tie_weights, start, scheduled_sampling: of the decoder, see
            `attention.AttentionDecoder`.
        dropout: on the word vectors, between the layers, on the memory and before the logits, the
            same components at every step.
    """
    check_options("encoder_decoder", rnn, own=("input_dropout",))
    source = keras.Input(shape=(None,), dtype="int32", name="source")
    target = keras.Input(shape=(None,), dtype="int32", name="target")
    mask = PaddingMask(name="source_mask")(source)
    memory, states = rnn_stack(
        keras.layers.Embedding(
            source_vocabulary,
            embedding_size,
            embeddings_initializer=_unit(embedding_size),
            name="source_embedding",
        )(source),
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
    # The decoder starts from the encoder's last states through a small layer of their own: sizes
    # and ranges differ.
    parts = len(states[0]) // 2 if bidirectional else len(states[0])
    initial = []
    for level, final in enumerate(states, start=1):
        both = (
            [
                keras.layers.Concatenate(name=f"final_{level}_{i}")([final[i], final[parts + i]])
                for i in range(parts)
            ]
            if bidirectional
            else final
        )
        initial.append(
            [
                keras.layers.Dense(units, activation="tanh", name=f"bridge_{level}_{i}")(part)
                for i, part in enumerate(both)
            ]
        )
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
    return keras.Model(
        [source, target], decoder((target, memory, mask, initial)), name="encoder_decoder"
    )


def encoding_model(model: keras.Model) -> keras.Model:
    """The encoder of an `encoder_decoder`, weights shared: int32[batch, time] source -> what
    `AttentionDecoder.begin` takes."""
    decoder = model.get_layer("decoder")
    _, memory, mask, *parts = keras.tree.flatten(decoder.input)
    count = len(parts) // decoder.depth
    states = [parts[start : start + count] for start in range(0, len(parts), count)]
    return keras.Model(model.inputs[0], [memory, mask, states], name="encoder")
