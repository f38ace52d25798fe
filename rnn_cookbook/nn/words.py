"""Layers over words, before the recurrent layers: dropout, features, and a language model as a
second objective."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import ops

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.examples import InputValues
from rnn_cookbook.nn.masking import ExplicitMask
from rnn_cookbook.nn.tensors import Tensor
from rnn_cookbook.settings import check_fractions

__all__ = ["EmbeddingDropout", "FeatureEmbedding", "LanguageModelObjective", "WordDropout"]


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class WordDropout(keras.layers.Layer):
    """Replaces words by the unknown word at random while training: int32[batch, time] ->
    int32[batch, time].

    The model learns not to depend on single words, and how to read a word that it never saw (Iyyer
    et al. 2015, "Deep Unordered Composition Rivals Syntactic Methods"). Padding (0) stays padding.

    Args:
        rate: probability of replacing a word, 0 <= rate < 1.
        unknown: number of the unknown word.
        rare_from: number from which on words are rare; None if the numbers do not tell. Rare words
            are replaced with probability `rare_rate`: the unknown word then learns from the words
            that are most like unknown ones (Lample et al. 2016 replace half of the words that occur
            once in the training data).
        rare_rate: probability of replacing a rare word.
        seed: seed of the random numbers; drawn from Keras' global seed if None.

    Raises:
        InputError: a rate below 0, or of 1 or more.
    """

    stepwise = True

    def __init__(
        self,
        rate: float,
        *,
        unknown: int = 1,
        rare_from: int | None = None,
        rare_rate: float = 0.5,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_fractions(rate=rate, rare_rate=rare_rate)
        self.rate = rate
        self.unknown = unknown
        self.rare_from = rare_from
        self.rare_rate = rare_rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, tokens: Tensor, training: bool = False) -> Tensor:
        rare = self.rare_from is not None and self.rare_rate > 0
        if not training or (self.rate == 0 and not rare):
            return tokens
        rate = ops.where(tokens >= self.rare_from, self.rare_rate, self.rate) if rare else self.rate
        drop = keras.random.uniform(ops.shape(tokens), seed=self.seed_generator) < rate
        return ops.where(ops.logical_and(drop, ops.not_equal(tokens, 0)), self.unknown, tokens)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rate": self.rate,
            "unknown": self.unknown,
            "rare_from": self.rare_from,
            "rare_rate": self.rare_rate,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class EmbeddingDropout(ExplicitMask):
    """Drops words of the vocabulary while training, wherever they stand in the batch; the vectors
    of the other words are scaled up to keep the expected sum.

    (int32[batch, time] tokens, float[batch, time, features] word vectors) -> float[batch, time,
    features]

    See Gal and Ghahramani (2016, section 4.2); Merity et al. (2018) call it embedding dropout. It
    costs one random number per word of the vocabulary and batch.

    Args:
        rate: probability of dropping a word of the vocabulary, 0 <= rate < 1.
        vocabulary_size: number of word numbers.
        seed: seed of the random numbers; drawn from Keras' global seed if None.

    Raises:
        InputError: a rate below 0, or of 1 or more.
    """

    stepwise = True

    def __init__(self, rate: float, *, vocabulary_size: int, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise InputError(
                f"the rate of embedding dropout must be at least 0 and below 1; received {rate}"
            )
        self.rate = rate
        self.vocabulary_size = vocabulary_size
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Sequence[Tensor], training: bool = False) -> Tensor:
        tokens, vectors = inputs
        if not training or self.rate == 0:
            return vectors
        keep = keras.random.dropout(
            ops.ones((self.vocabulary_size,), vectors.dtype), self.rate, seed=self.seed_generator
        )
        kept: Tensor = ops.take(keep, tokens)
        return vectors * kept[..., None]

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[1]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rate": self.rate,
            "vocabulary_size": self.vocabulary_size,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class LanguageModelObjective(ExplicitMask):
    """Makes a recurrent layer predict the next word while training, and the layer that reads
    backwards the previous word (Rei 2017).

    (float[batch, time, units] states, int32[batch, time] tokens, bool[batch, time] mask) -> the
    states, unchanged

    Labels are rare and words are not: a tagger that also learns which words go together learns more
    from each sentence. In training the layer adds to the model's loss (`add_loss`): `weight` times
    the cross-entropy in nats, both directions together, through a tanh layer of `size` units per
    direction. Words from number `vocabulary_size` on count as the unknown word; 0 is predicted
    before the first word and after the last.

    The states must not depend on the words that they predict: they are the outputs of one recurrent
    layer, its directions concatenated.

    Args:
        vocabulary_size: number of words that are predicted, 0 and the unknown word included.
        weight: weight of the auxiliary loss.
        size: units of the layer between the states and the words.
        bidirectional: whether the first half of the states reads forwards and the second half
            backwards; otherwise all of them read forwards.
        per: "sequence" sums the loss over the words of a sequence, as the loss of a CRF does;
            "word" takes the mean over words.
        unknown: number of the unknown word.

    Raises:
        InputError: too few words, a size below 1, a negative weight, or another value of `per`.
    """

    stepwise = True  # it looks at other steps in training only

    def __init__(
        self,
        vocabulary_size: int,
        *,
        weight: float = 0.05,
        size: int = 50,
        bidirectional: bool = True,
        per: Literal["sequence", "word"] = "sequence",
        unknown: int = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if vocabulary_size <= unknown or size < 1 or weight < 0 or per not in ("sequence", "word"):
            raise InputError(
                "a language-model objective needs a vocabulary_size above the number of the "
                "unknown word, a size of at least 1, a weight of at least 0, and per 'sequence' or "
                f"'word'; received vocabulary_size={vocabulary_size}, size={size}, "
                f"weight={weight}, per={per!r}"
            )
        self.vocabulary_size = vocabulary_size
        self.weight = weight
        self.size = size
        self.bidirectional = bidirectional
        self.per = per
        self.unknown = unknown
        names = ("next", "previous") if bidirectional else ("next",)
        policy = self.dtype_policy
        self.hidden = [
            keras.layers.Dense(size, activation="tanh", dtype=policy, name=f"{name}_hidden")
            for name in names
        ]
        self.words = [
            keras.layers.Dense(vocabulary_size, dtype=policy, name=f"{name}_word") for name in names
        ]

    def build(self, input_shape: Any) -> None:
        (*_, units), *_ = input_shape
        if units is None or units % len(self.hidden):
            raise InputError(
                f"two directions need an even number of units; received states of {units}"
            )
        for hidden, words in zip(self.hidden, self.words, strict=True):
            hidden.build((None, None, units // len(self.hidden)))
            words.build((None, None, self.size))

    def call(self, inputs: Sequence[Tensor], training: bool = False) -> Tensor:
        states, tokens, mask = inputs
        if training and self.weight:
            self.add_loss(self.weight * self.cross_entropy(states, tokens, mask))
        return states

    def _neighbours(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The next and the previous word of each word."""
        rare = ops.logical_and(mask, tokens >= self.vocabulary_size)
        known: Tensor = ops.where(rare, self.unknown, ops.where(mask, tokens, 0))
        edge = ops.zeros_like(known[:, :1])
        following = ops.concatenate([known[:, 1:], edge], axis=1)
        previous = ops.concatenate([edge, known[:, :-1]], axis=1)
        return following, previous

    def cross_entropy(self, states: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Returns the cross-entropy of the neighbours in nats, both directions together: a scalar,
        a mean per sequence or per word, see `per`."""
        counts: Tensor = ops.cast(mask, "float32")
        neighbours = self._neighbours(tokens, mask)
        halves: Tensor = ops.split(states, len(self.hidden), axis=-1)
        total: Tensor = 0.0
        for half, hidden, words, targets in zip(
            halves, self.hidden, self.words, neighbours[: len(halves)], strict=True
        ):
            logits = ops.cast(words(hidden(half)), "float32")
            nats = keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)
            total += ops.sum(counts * nats)
        if self.per == "word":
            return total / ops.sum(counts)
        shape: Tensor = ops.shape(tokens)
        return total / ops.cast(shape[0], "float32")

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "weight": self.weight,
            "size": self.size,
            "bidirectional": self.bidirectional,
            "per": self.per,
            "unknown": self.unknown,
        }


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class FeatureEmbedding(keras.layers.Layer):
    """Embeds several features of a word and concatenates their vectors: int32[batch, time,
    features] -> float[batch, time, features * size].

    Args:
        counts: number of values of each feature, which are 0 to count - 1.
        size: width of each vector.

    Raises:
        InputError: no feature, a feature without values, or a size below 1.
    """

    stepwise = True

    def __init__(self, counts: Sequence[int], size: int, **kwargs):
        super().__init__(**kwargs)
        if not counts or min(counts) < 1 or size < 1:
            raise InputError(
                "counts must be numbers of at least 1, one for each feature, and size at least 1; "
                f"received counts={list(counts)}, size={size}"
            )
        self.counts = tuple(counts)
        self.size = size
        # One table for all: feature i begins after the values of those before it.
        self.embedding = keras.layers.Embedding(
            sum(counts), size, dtype=self.dtype_policy, name="embedding"
        )

    @property
    def input_values(self) -> tuple[InputValues, ...]:
        """The values of the features, for random examples."""
        return (InputValues(counts=self.counts),)

    def build(self, input_shape: Any) -> None:
        self.embedding.build(input_shape)

    def call(self, features: Tensor) -> Tensor:
        offsets = [sum(self.counts[:i]) for i in range(len(self.counts))]
        vectors = self.embedding(features + ops.cast(ops.array(offsets), features.dtype))
        shape: Tensor = ops.shape(features)
        return ops.reshape(vectors, (*shape[:2], len(self.counts) * self.size))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:2], len(self.counts) * self.size)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "counts": list(self.counts), "size": self.size}
