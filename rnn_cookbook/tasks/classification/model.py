"""Models that read text: classifier, tagger, encoder-decoder, language model."""

from collections.abc import Sequence

import keras
import numpy as np

from rnn_cookbook.attention import AttentionDecoder
from rnn_cookbook.characters import CharacterEncoder
from rnn_cookbook.crf import CRF, tag_constraints
from rnn_cookbook.errors import InputError, check_shares
from rnn_cookbook.layers import (
    EmbeddingDropout,
    FeatureEmbedding,
    JoinSegments,
    LanguageModelObjective,
    MaskedPooling,
    PaddingMask,
    SplitSegments,
    WordDropout,
)
from rnn_cookbook.recurrent import check_options, rnn_stack


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
    **rnn,
) -> keras.Model:
    """Embedding, recurrent encoder, pooling over time, softmax classifier: int32[batch, time] -> logits float32[batch, classes].

    The last state of a recurrent network forgets the beginning of a long document, and gradients hardly reach it; pooling over
    all states (Johnson and Zhang 2016) lets every word speak.

    Args:
        vocabulary_size: word numbers, 0 for padding and 1 for unknown words included.
        classes: number of classes, two or more.
        embedding_size: width of the word vectors.
        cell, units, depth, bidirectional: of the encoder, see `recurrent.rnn_stack`; `rnn` are further options of it.
        segment_length: read the text in segments of so many words side by side (see `layers.SplitSegments`); 0 reads it in one.
        pooling: one or several of "last", "mean", "max", "attention", as a list or joined by +.
        word_dropout: share of words replaced by the unknown word in training.
        embedding_dropout: dropout of word-vector components, the same at every step of a text.
        dropout: before the classifier, and between the recurrent layers.
        word_vectors: float[vocabulary_size, embedding_size] to start from; otherwise uniform ±0.05, Keras' default.
        train_embedding: whether the word vectors are trained further.
    """
    if classes < 2:
        raise InputError(f"a classifier needs two classes or more, got {classes}")
    check_options("text_classifier", rnn)
    check_shares(embedding_dropout=embedding_dropout, dropout=dropout)
    tokens = keras.Input(shape=(None,), dtype="int32", name="tokens")
    mask = PaddingMask(name="mask")(tokens)
    words = WordDropout(word_dropout, name="word_dropout")(tokens)
    x = _embedding(vocabulary_size, embedding_size, word_vectors=word_vectors, trainable=train_embedding)(words)
    if embedding_dropout:
        x = keras.layers.SpatialDropout1D(embedding_dropout, name="embedding_dropout")(x)
    rnn_mask = mask
    if segment_length:
        x, rnn_mask = SplitSegments(segment_length, name="split_segments")((x, mask))
    x = rnn_stack(x, mask=rnn_mask, cell=cell, units=units, depth=depth, bidirectional=bidirectional, dropout=dropout, **rnn)
    if segment_length:
        x = JoinSegments(name="join_segments")((x, mask))
    halves = bidirectional and rnn.get("merge", "concat") == "concat"
    x = MaskedPooling(pooling, bidirectional=halves, name="pooling")((x, mask))
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    # float32 also under mixed precision: a softmax over half-precision logits loses digits.
    logits = keras.layers.Dense(classes, dtype="float32", name="logits")(x)
    return _with_vectors(keras.Model(tokens, logits, name="text_classifier"), word_vectors)


def sequence_tagger(
    *,
    vocabulary_size: int,
    tags: int | list[str],
    embedding_size: int = 100,
    characters: int = 0,
    character_encoder: str = "recurrent",
    character_size: int = 30,
    character_units: int = 25,
    features: Sequence[int] = (),
    feature_size: int = 10,
    cell: str = "lstm",
    units: int = 100,
    depth: int = 1,
    bidirectional: bool = True,
    crf: bool = True,
    scheme: str | None = None,
    word_dropout: float = 0.0,
    rare_from: int | None = None,
    rare_dropout: float = 0.5,
    embedding_dropout: float = 0.0,
    dropout: float = 0.0,
    language_model: float = 0.0,
    language_vocabulary: int = 7500,
    word_vectors: np.ndarray | None = None,
    train_embedding: bool = True,
    **rnn,
) -> keras.Model:
    """One tag a word, from words, their characters and their features (Huang et al. 2015; Lample et al. 2016; Ma and Hovy 2016).

    int32[batch, time] tokens, with `characters` also int32[batch, time, letters], with `features` also int32[batch, time, features]
    -> scores float32[batch, time, tags]

    With a CRF the scores are for its `loss`, `viterbi` and `marginals` (`model.get_layer("crf")`); without, they are logits.

    Args:
        vocabulary_size: word numbers, 0 for padding and 1 for unknown words included.
        tags: number of tags, or their names, which `scheme` needs.
        embedding_size: width of the word vectors.
        characters: character numbers, 0 for padding included; 0 reads no characters.
        character_encoder: "recurrent" (the last states of a bidirectional layer of `cell`) or "convolution" (width 3, maximum over the
            word).
        character_size, character_units: width of the character vectors; of the encoder (of each direction, if recurrent).
        features: for each feature of a word (its casing, say) how many values it has; each gets vectors of `feature_size`.
        cell, units, depth, bidirectional: of the encoder, see `recurrent.rnn_stack`; `rnn` are further options of it.
        crf: score whole tag sequences (`crf.CRF`), or every tag alone.
        scheme: "bio", "iob1" or "bioes" forbids the CRF sequences that are none in that scheme.
        word_dropout: share of words replaced by the unknown word in training.
        rare_from, rare_dropout: words from this number on are replaced at this rate instead, see `layers.WordDropout`.
        embedding_dropout: on the concatenated vectors, the same components at every step.
        dropout: before the scores, and between the recurrent layers, likewise.
        language_model: weight of predicting each word's neighbours beside the tags while training (Rei 2017), by the first recurrent
            layer, see `layers.LanguageModelObjective`.
        language_vocabulary: of these, the words with smaller numbers; the others count as unknown.
        word_vectors, train_embedding: see `text_classifier`.
    """
    count = int(tags) if isinstance(tags, int | np.integer) else len(tags)
    if count < 2:
        raise InputError(f"a tagger needs two tags or more, got {count}")
    check_options("sequence_tagger", rnn, own=("input_dropout",))
    check_shares(rare_dropout=rare_dropout, embedding_dropout=embedding_dropout, dropout=dropout)
    if scheme and (isinstance(tags, int | np.integer) or not crf):
        raise InputError(f"scheme={scheme!r} constrains the CRF by the names of the tags: it needs crf=True and tags as a list")
    if language_model and (rnn.get("merge", "concat") != "concat" or (depth > 1 and rnn.get("residual"))):
        raise InputError(
            "the language-model objective needs two directions side by side and no residual layer on top, "
            f"got merge={rnn.get('merge', 'concat')!r}, residual={bool(rnn.get('residual'))}"
        )
    tokens = keras.Input(shape=(None,), dtype="int32", name="tokens")
    inputs = [tokens]
    mask = PaddingMask(name="mask")(tokens)
    embedding = _embedding(vocabulary_size, embedding_size, word_vectors=word_vectors, trainable=train_embedding)
    noise = WordDropout(word_dropout, rare_from=rare_from, rare_rate=rare_dropout, name="word_dropout")
    parts = [embedding(noise(tokens))]
    if characters:
        inputs.append(keras.Input(shape=(None, None), dtype="int32", name="characters"))
        encoder = CharacterEncoder(
            characters, embedding_size=character_size, units=character_units, kind=character_encoder, cell=cell, name="character_encoder"
        )
        parts.append(encoder(inputs[-1]))
    if features:
        inputs.append(keras.Input(shape=(None, len(features)), dtype="int32", name="features"))
        parts.append(FeatureEmbedding(features, feature_size, name="feature_embedding")(inputs[-1]))
    x = keras.layers.Concatenate(name="word")(parts) if len(parts) > 1 else parts[0]
    options = {"mask": mask, "cell": cell, "units": units, "bidirectional": bidirectional, "dropout": dropout, **rnn}
    lower = 1 if language_model else depth
    x = rnn_stack(x, depth=lower, input_dropout=embedding_dropout, **options)
    if language_model:
        objective = LanguageModelObjective(
            min(vocabulary_size, language_vocabulary),
            weight=language_model,
            bidirectional=bidirectional,
            per="sequence" if crf else "word",
            name="language_model",
        )
        x = objective((x, tokens, mask))  # below the second layer, which has seen the words that the first one predicts
    if depth > lower:
        x = rnn_stack(x, depth=depth - lower, input_dropout=dropout, **options, name="upper_rnn")
    if dropout:
        x = keras.layers.SpatialDropout1D(dropout, name="dropout")(x)
    scores = keras.layers.Dense(count, dtype="float32", name="emissions" if crf else "logits")(x)
    if crf:
        allowed = tag_constraints(tags, scheme=scheme) if scheme else None
        scores = CRF(count, allowed=allowed, name="crf")((scores, mask))
    return _with_vectors(keras.Model(inputs if len(inputs) > 1 else tokens, scores, name="sequence_tagger"), word_vectors)


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
    """Sequence to sequence with attention (Sutskever et al. 2014; Bahdanau et al. 2015; Luong et al. 2015).

    (int32[batch, time] source, int32[batch, t] target) -> logits float32[batch, t, target vocabulary]

    The target is both an input, which the decoder shifts by itself, and what the loss compares with (leave out its padding, 0). For search
    and sampling take the two halves: `encoding_model(model)` and `model.get_layer("decoder")`, whose `begin` and `step` the functions of
    `decoding` go by.

    Args:
        source_vocabulary, target_vocabulary: word numbers, 0 for padding included.
        embedding_size: width of the word vectors of both sides.
        cell, units, depth, bidirectional: of encoder and decoder, see `recurrent.rnn_stack`; `rnn` are further options of the encoder.
        attention, input_feeding, tie_weights, start, scheduled_sampling: of the decoder, see `attention.AttentionDecoder`.
        dropout: on the word vectors, between the layers, on the memory and before the logits, the same components at every step.
    """
    check_options("encoder_decoder", rnn, own=("input_dropout",))
    source = keras.Input(shape=(None,), dtype="int32", name="source")
    target = keras.Input(shape=(None,), dtype="int32", name="target")
    mask = PaddingMask(name="source_mask")(source)
    memory, states = rnn_stack(
        keras.layers.Embedding(source_vocabulary, embedding_size, embeddings_initializer=_unit(embedding_size), name="source_embedding")(
            source
        ),
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
    # The decoder starts from the encoder's last states through a small layer of their own: sizes and ranges differ.
    parts = len(states[0]) // 2 if bidirectional else len(states[0])
    initial = []
    for level, final in enumerate(states, start=1):
        both = (
            [keras.layers.Concatenate(name=f"final_{level}_{i}")([final[i], final[parts + i]]) for i in range(parts)]
            if bidirectional
            else final
        )
        initial.append([keras.layers.Dense(units, activation="tanh", name=f"bridge_{level}_{i}")(part) for i, part in enumerate(both)])
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
    return keras.Model([source, target], decoder((target, memory, mask, initial)), name="encoder_decoder")


def encoding_model(model: keras.Model) -> keras.Model:
    """The encoder of an `encoder_decoder`, weights shared: int32[batch, time] source -> what `AttentionDecoder.begin` takes."""
    decoder = model.get_layer("decoder")
    _, memory, mask, *parts = keras.tree.flatten(decoder.input)
    count = len(parts) // decoder.depth
    states = [parts[start : start + count] for start in range(0, len(parts), count)]
    return keras.Model(model.inputs[0], [memory, mask, states], name="encoder")


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
    """The next token from all before it (Mikolov et al. 2010; Merity et al. 2018): int32[batch, time] -> logits float32[batch, time,
    vocabulary].

    The logits at step i are those of the token after token i: the targets are the tokens, one step on.

    With `batch_size` the states are carried from batch to batch (truncated backpropagation through time, `recurrent.CarriedState`); the
    model then takes a second input, bool[batch] starts, as `encode.streams.Streams` gives them. For generation
    `streaming.token_step(model)` makes a step function of either kind.

    Args:
        vocabulary_size: token numbers, 0 for padding included.
        embedding_size: width of the token vectors.
        cell, units, depth: see `recurrent.rnn_stack`; `rnn` are further options of it, such as `weight_drop`.
        tie_weights: the output layer is the transposed embedding (Press and Wolf 2017); states of another width are projected first.
        embedding_dropout: share of the vocabulary's tokens dropped for a batch (`layers.EmbeddingDropout`).
        dropout: on the token vectors and between the layers, the same components at every step.
        output_dropout: before the output layer, likewise.
        batch_size: fixed number of rows, whose states are carried.
    """
    check_options("language_model", rnn, own=("input_dropout",), causal=True)
    check_shares(output_dropout=output_dropout)
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch_size must be the number of rows, 1 or more, or None, got {batch_size}")
    tokens = keras.Input(batch_shape=(batch_size, None), dtype="int32", name="tokens")
    carried = {}
    if batch_size:
        carried = {"starts": keras.Input(batch_shape=(batch_size,), dtype="bool", name="starts"), "batch_size": batch_size}
    options = {"embeddings_initializer": _unit(embedding_size), "name": "embedding"}
    if tie_weights:
        embedding = keras.layers.ReversibleEmbedding(vocabulary_size, embedding_size, reverse_dtype="float32", **options)
    else:
        embedding = keras.layers.Embedding(vocabulary_size, embedding_size, **options)
    x = embedding(tokens)
    if embedding_dropout:
        x = EmbeddingDropout(embedding_dropout, vocabulary_size=vocabulary_size, name="embedding_dropout")((tokens, x))
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
    return keras.Model([tokens, carried["starts"]] if carried else tokens, logits, name="language_model")


def _unit(size: int):
    # Vectors of about unit length. Keras' default, uniform ±0.05, makes a language model learn a good deal more slowly.
    return keras.initializers.RandomNormal(stddev=size**-0.5)


def _embedding(vocabulary_size: int, size: int, *, word_vectors: np.ndarray | None, trainable: bool):
    if word_vectors is not None and np.shape(word_vectors) != (vocabulary_size, size):
        raise InputError(f"word vectors of shape {np.shape(word_vectors)} do not fit {vocabulary_size} words of {size} dimensions")
    return keras.layers.Embedding(vocabulary_size, size, trainable=trainable, name="embedding")


def _with_vectors(model: keras.Model, word_vectors: np.ndarray | None) -> keras.Model:
    if word_vectors is not None:
        model.get_layer("embedding").set_weights([np.asarray(word_vectors)])
    return model
