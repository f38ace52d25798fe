"""A tagger that reads words, their characters and their features."""

from collections.abc import Sequence

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

# What the inputs are, for who uses an exported network.
INPUTS = {
    "tokens": "numbers of the words in the order of the vocabulary, from 2 on; 1 is any other word,"
    " 0 pads on the right",
    "characters": "numbers of the letters of each word in the order of `letters`, from 2 on; 1 is"
    " any other letter, 0 pads on the right",
    "features": "the spelling of each word, as"
    " `rnn_cookbook.tasks.tagging.encode.WordEncoder` counts it",
}


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
    """One tag a word, from words, their characters and their features (Huang et al. 2015; Lample et
    al. 2016; Ma and Hovy 2016).

    int32[batch, time] tokens, with `characters` also int32[batch, time, letters], with `features`
    also int32[batch, time, features]
    -> scores float32[batch, time, tags]

    With a CRF the scores are for its `loss`, `viterbi` and `marginals` (`model.get_layer("crf")`);
    without, they are logits.

    Args:
        vocabulary_size: word numbers, 0 for padding and 1 for unknown words included.
        tags: number of tags, or their names, which `scheme` needs.
        embedding_size: width of the word vectors.
        characters: character numbers, 0 for padding included; 0 reads no characters.
        character_encoder: "recurrent" (the last states of a bidirectional layer of `cell`) or
            "convolution" (width 3, maximum over the word).
        character_size, character_units: width of the character vectors; of the encoder (of each
            direction, if recurrent).
        features: for each feature of a word (its casing, say) how many values it has; each gets
            vectors of `feature_size`.
        cell, units, depth, bidirectional: of the encoder, see `recurrent.rnn_stack`; `rnn` are
            further options of it.
        crf: score whole tag sequences (`crf.CRF`), or every tag alone.
        scheme: "bio", "iob1" or "bioes" forbids the CRF sequences that are none in that scheme.
        word_dropout: share of words replaced by the unknown word in training.
        rare_from, rare_dropout: words from this number on are replaced at this rate instead, see
            `layers.WordDropout`.
        embedding_dropout: on the concatenated vectors, the same components at every step.
        dropout: before the scores, and between the recurrent layers, likewise.
        language_model: weight of predicting each word's neighbours beside the tags while training
            (Rei 2017), by the first recurrent layer, see `layers.LanguageModelObjective`.
        language_vocabulary: of these, the words with smaller numbers; the others count as unknown.
        word_vectors, train_embedding: see `text_classifier`.
    """
    count = int(tags) if isinstance(tags, int | np.integer) else len(tags)
    if count < 2:
        raise InputError(f"a tagger needs two tags or more, got {count}")
    check_options("sequence_tagger", rnn, own=("input_dropout",))
    check_fractions(rare_dropout=rare_dropout, embedding_dropout=embedding_dropout, dropout=dropout)
    if scheme and (isinstance(tags, int | np.integer) or not crf):
        raise InputError(
            f"scheme={scheme!r} constrains the CRF by the names of the tags: it needs crf=True and tags as a list"
        )
    if language_model and (
        rnn.get("merge", "concat") != "concat" or (depth > 1 and rnn.get("residual"))
    ):
        raise InputError(
            "the language-model objective needs two directions side by side and no residual layer on top, "
            f"got merge={rnn.get('merge', 'concat')!r}, residual={bool(rnn.get('residual'))}"
        )
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
        inputs.append(keras.Input(shape=(None, None), dtype="int32", name="characters"))
        encoder = CharacterEncoder(
            characters,
            embedding_size=character_size,
            units=character_units,
            kind=character_encoder,
            cell=cell,
            name="character_encoder",
        )
        parts.append(encoder(inputs[-1]))
    if features:
        inputs.append(keras.Input(shape=(None, len(features)), dtype="int32", name="features"))
        parts.append(FeatureEmbedding(features, feature_size, name="feature_embedding")(inputs[-1]))
    x = keras.layers.Concatenate(name="word")(parts) if len(parts) > 1 else parts[0]
    options = {
        "mask": mask,
        "cell": cell,
        "units": units,
        "bidirectional": bidirectional,
        "dropout": dropout,
        **rnn,
    }
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
        x = objective(
            (x, tokens, mask)
        )  # below the second layer, which has seen the words that the first one predicts
    if depth > lower:
        x = rnn_stack(x, depth=depth - lower, input_dropout=dropout, **options, name="upper_rnn")
    if dropout:
        x = keras.layers.SpatialDropout1D(dropout, name="dropout")(x)
    scores = keras.layers.Dense(count, dtype="float32", name="emissions" if crf else "logits")(x)
    if crf:
        allowed = tag_constraints(tags, scheme=scheme) if scheme else None
        scores = CRF(count, allowed=allowed, name="crf")((scores, mask))
    return set_word_vectors(
        keras.Model(inputs if len(inputs) > 1 else tokens, scores, name="sequence_tagger"),
        word_vectors,
    )
