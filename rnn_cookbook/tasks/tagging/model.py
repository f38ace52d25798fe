"""A tagger that reads words, their characters and their features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.characters import CharacterEncoder
from rnn_cookbook.nn.crf import CRF
from rnn_cookbook.nn.embedding import set_word_vectors, word_embedding
from rnn_cookbook.nn.masking import PaddingMask
from rnn_cookbook.nn.recurrent import check_options, rnn_stack
from rnn_cookbook.nn.tag_schemes import tag_constraints
from rnn_cookbook.nn.words import FeatureEmbedding, LanguageModelObjective, WordDropout
from rnn_cookbook.settings import check_fractions

__all__ = ["INPUTS", "sequence_tagger"]

# What the inputs are, for who uses an exported network.
INPUTS = {
    "tokens": "numbers of the words in the order of the vocabulary, from 2 on; 1 is any other word,"
    " 0 pads on the right",
    "characters": "numbers of the letters of each word in the order of `letters`, from 2 on; 1 is"
    " any other letter, 0 pads on the right",
    "features": "the spelling of each word, as"
    " `rnn_cookbook.tasks.tagging.encode.WordEncoder` counts it",
}


def _check(
    tags: int | Sequence[str],
    *,
    crf: bool,
    scheme: str | None,
    depth: int,
    language_model: float,
    rnn: dict[str, Any],
) -> None:
    count = tags if isinstance(tags, int | np.integer) else len(tags)
    if count < 2:
        raise InputError(f"a tagger needs at least 2 tags; received {count}")
    if scheme and (isinstance(tags, int | np.integer) or not crf):
        raise InputError(
            f"scheme={scheme!r} constrains the CRF by the names of the tags: it needs crf=True and "
            "tags as a list",
            field="scheme",
        )
    merge = rnn.get("merge", "concat")
    residual = bool(rnn.get("residual"))
    if language_model and (merge != "concat" or (depth > 1 and residual)):
        raise InputError(
            "the language-model objective needs merge='concat' and no residual layer above the "
            f"first; received merge={merge!r}, residual={residual}",
            field="language_model",
        )


def sequence_tagger(
    *,
    vocabulary_size: int,
    tags: int | Sequence[str],
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
    **rnn: Any,
) -> keras.Model:
    """Builds a tagger, which gives each word of a sentence a tag.

    int32[batch, time] tokens, with `characters` also int32[batch, time, letters], with `features`
    also int32[batch, time, features]
    -> scores float32[batch, time, tags]

    It reads words, their characters and their features (Huang et al. 2015; Lample et al. 2016; Ma
    and Hovy 2016). With a CRF the scores are for the `loss`, `viterbi` and `marginals` of
    `model.get_layer("crf")`; without, they are logits.

    Args:
        vocabulary_size: number of words, 0 for padding and 1 for unknown words included.
        tags: number of tags, or their names, which `scheme` needs; at least 2.
        embedding_size: width of the word vectors.
        characters: number of characters, 0 for padding included; 0 reads no characters.
        character_encoder: "recurrent" (the last states of a bidirectional layer of `cell`) or
            "convolution" (width 3, maximum over the word).
        character_size: width of the character vectors.
        character_units: filters of the character encoder, or its state's size in each direction.
        features: number of values of each feature of a word, such as its casing.
        feature_size: width of the vectors of each feature.
        cell: recurrent cell of the encoder: "simple_rnn", "lstm" or "gru".
        units: size of the encoder's state, in each direction.
        depth: number of recurrent layers.
        bidirectional: whether the encoder reads from both ends.
        crf: whether whole tag sequences are scored (`nn.crf.CRF`), or every tag alone.
        scheme: "bio", "iob1" or "bioes" forbids the CRF the sequences that are invalid in that
            scheme.
        word_dropout: fraction of words replaced by the unknown word in training.
        rare_from: number of the first rare word, see `nn.words.WordDropout`.
        rare_dropout: fraction of rare words replaced by the unknown word in training.
        embedding_dropout: dropout rate of the concatenated vectors, the same components at every
            step.
        dropout: dropout rate before the scores and between the recurrent layers, likewise.
        language_model: weight of predicting each word's neighbours beside the tags while training
            (Rei 2017), by the first recurrent layer, see `nn.words.LanguageModelObjective`.
        language_vocabulary: number of words that the language model tells apart, the most frequent
            ones; the others count as unknown.
        word_vectors: initial word vectors, float[vocabulary_size, embedding_size]; without them
            uniform ±0.05, Keras' default.
        train_embedding: whether the word vectors are trained further.
        **rnn: further options of `rnn_stack`.

    Raises:
        InputError: fewer than two tags; a scheme without a CRF or without names; a language model
            over merged or residual layers; word vectors of another shape; a rate or an option that
            is not accepted.
    """
    check_options("sequence_tagger", rnn, own=("input_dropout",))
    check_fractions(rare_dropout=rare_dropout, embedding_dropout=embedding_dropout, dropout=dropout)
    _check(tags, crf=crf, scheme=scheme, depth=depth, language_model=language_model, rnn=rnn)
    names = None if isinstance(tags, int | np.integer) else list(tags)
    count = int(tags) if isinstance(tags, int | np.integer) else len(tags)
    tokens = keras.Input(shape=(None,), dtype="int32", name="tokens")
    inputs = [tokens]
    mask = PaddingMask(name="mask")(tokens)
    embedding = word_embedding(
        vocabulary_size, embedding_size, word_vectors=word_vectors, trainable=train_embedding
    )
    noise = WordDropout(
        word_dropout, rare_from=rare_from, rare_rate=rare_dropout, name="word_dropout"
    )
    parts = [embedding(noise(tokens))]
    if characters:
        letters = keras.Input(shape=(None, None), dtype="int32", name="characters")
        inputs.append(letters)
        encoder = CharacterEncoder(
            characters,
            embedding_size=character_size,
            units=character_units,
            kind=character_encoder,
            cell=cell,
            name="character_encoder",
        )
        parts.append(encoder(letters))
    if features:
        values = keras.Input(shape=(None, len(features)), dtype="int32", name="features")
        inputs.append(values)
        parts.append(FeatureEmbedding(features, feature_size, name="feature_embedding")(values))
    x = keras.layers.Concatenate(name="word")(parts) if len(parts) > 1 else parts[0]
    # The language model reads the first layer alone: the second has seen the words that the first
    # predicts.
    lower = 1 if language_model else depth
    x = rnn_stack(
        x,
        mask=mask,
        cell=cell,
        units=units,
        depth=lower,
        bidirectional=bidirectional,
        input_dropout=embedding_dropout,
        dropout=dropout,
        **rnn,
    )
    if language_model:
        objective = LanguageModelObjective(
            min(vocabulary_size, language_vocabulary),
            weight=language_model,
            bidirectional=bidirectional,
            per="sequence" if crf else "word",
            name="language_model",
        )
        x = objective((x, tokens, mask))
    if depth > lower:
        x = rnn_stack(
            x,
            mask=mask,
            cell=cell,
            units=units,
            depth=depth - lower,
            bidirectional=bidirectional,
            input_dropout=dropout,
            dropout=dropout,
            name="upper_rnn",
            **rnn,
        )
    if dropout:
        x = keras.layers.SpatialDropout1D(dropout, name="dropout")(x)
    scores = keras.layers.Dense(count, dtype="float32", name="emissions" if crf else "logits")(x)
    if crf:
        allowed = tag_constraints(names, scheme=scheme) if scheme and names else None
        scores = CRF(count, allowed=allowed, name="crf")((scores, mask))
    model = keras.Model(inputs if len(inputs) > 1 else tokens, scores, name="sequence_tagger")
    return set_word_vectors(model, word_vectors)
