"""What happens to words before the recurrent layers: dropout, features, and a language model as a
second objective."""

from collections.abc import Sequence

import keras
from keras import ops

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.examples import InputValues
from rnn_cookbook.nn.masking import ExplicitMask
from rnn_cookbook.settings import check_fractions


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class WordDropout(keras.layers.Layer):
    """Replaces words by the unknown word at random while training: int32[batch, time] ->
    int32[batch, time].

    Iyyer et al. (2015, "Deep Unordered Composition Rivals Syntactic Methods"). The model learns not
    to lean on single words, and what to do with words that it never saw. Padding (0) stays padding.

    Args:
        rate: probability of each word, 0 <= rate < 1.
        unknown: number of the unknown word.
        rare_from: words from this number on are rare; None where the numbers do not say. They are
            replaced with `rare_rate` instead: the unknown word then learns from just those words
            whose like it will stand for (Lample et al. 2016 take those that occur once in the
            training data, at one half).
        rare_rate: probability of each rare word.
        seed: of the random numbers; drawn from Keras' global seed when None.
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
        self.rate, self.unknown, self.rare_from, self.rare_rate, self.seed = (
            rate,
            unknown,
            rare_from,
            rare_rate,
            seed,
        )
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, tokens, training=False):
        rare = self.rare_from is not None and self.rare_rate > 0
        if not training or (self.rate == 0 and not rare):
            return tokens
        rate = ops.where(tokens >= self.rare_from, self.rare_rate, self.rate) if rare else self.rate
        drop = keras.random.uniform(ops.shape(tokens), seed=self.seed_generator) < rate
        return ops.where(ops.logical_and(drop, ops.not_equal(tokens, 0)), self.unknown, tokens)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        own = ("rate", "unknown", "rare_from", "rare_rate", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class EmbeddingDropout(ExplicitMask):
    """Drops whole words of the vocabulary while training, wherever they stand in the batch; the
    others grow to keep the sum.

    (int32[batch, time] tokens, float[batch, time, features] their vectors) -> float[batch, time,
    features]

    Gal and Ghahramani (2016), section 4.2; Merity et al. (2018) call it embedding dropout. It costs
    one random number a word of the vocabulary and batch, on a GPU too.

    Args:
        rate: probability of each word of the vocabulary, 0 <= rate < 1.
        vocabulary_size: word numbers.
        seed: of the random numbers; drawn from Keras' global seed when None.
    """

    stepwise = True

    def __init__(self, rate: float, *, vocabulary_size: int, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise InputError(
                f"the embedding dropout rate must be at least 0 and below 1, got {rate}"
            )
        self.rate, self.vocabulary_size, self.seed = rate, vocabulary_size, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        tokens, vectors = inputs
        if not training or self.rate == 0:
            return vectors
        keep = keras.random.dropout(
            ops.ones((self.vocabulary_size,), vectors.dtype), self.rate, seed=self.seed_generator
        )
        return vectors * ops.take(keep, tokens)[..., None]

    def compute_output_shape(self, input_shape):
        return input_shape[1]

    def get_config(self):
        return {
            **super().get_config(),
            "rate": self.rate,
            "vocabulary_size": self.vocabulary_size,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class LanguageModelObjective(ExplicitMask):
    """Makes a recurrent layer predict the next word while training, and its backward half the
    previous one (Rei 2017).

    (float[batch, time, units] states, int32[batch, time] tokens, bool[batch, time] mask) -> the
    states, unchanged

    Labels are rare and words are not: a tagger that must also know which words go together learns
    more of each sentence. The loss is added to the model's own (`add_loss`) in training only:
    `weight` times the cross-entropy in nats, of both directions together, through a tanh layer of
    `size` for each. Words from number `vocabulary_size` on count as the unknown word; what stands
    before the first word and after the last is predicted as 0.

    The states must not have seen the words that they predict: those of one recurrent layer, whose
    directions are concatenated.

    Args:
        vocabulary_size: word numbers that are told apart, 0 and the unknown word included.
        weight: of the loss.
        size: of the layer between the states and the words.
        bidirectional: the first half of the states reads forward, the second backward; otherwise
            all of them forward.
        per: "sequence" sums over the words of a sequence, as the loss of a CRF does; "word" takes
            their mean.
        unknown: number of the unknown word.
    """

    stepwise = True  # it looks further in training alone

    def __init__(
        self,
        vocabulary_size: int,
        *,
        weight: float = 0.05,
        size: int = 50,
        bidirectional: bool = True,
        per: str = "sequence",
        unknown: int = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if vocabulary_size <= unknown or size < 1 or weight < 0 or per not in ("sequence", "word"):
            raise InputError(
                f"a language-model objective needs more words than the unknown one, a size of 1 or more, a weight of 0 or more, and per "
                f"'sequence' or 'word', got vocabulary_size={vocabulary_size}, size={size}, weight={weight}, per={per!r}"
            )
        self.vocabulary_size, self.weight, self.size = vocabulary_size, weight, size
        self.bidirectional, self.per, self.unknown = bidirectional, per, unknown
        names = ("next", "previous") if bidirectional else ("next",)
        policy = self.dtype_policy
        self.hidden = [
            keras.layers.Dense(size, activation="tanh", dtype=policy, name=f"{name}_hidden")
            for name in names
        ]
        self.words = [
            keras.layers.Dense(vocabulary_size, dtype=policy, name=f"{name}_word") for name in names
        ]

    def build(self, input_shape):
        (*_, units), *_ = input_shape
        if units is None or units % len(self.hidden):
            raise InputError(f"two directions need an even number of units, got {units}")
        for hidden, words in zip(self.hidden, self.words, strict=True):
            hidden.build((None, None, units // len(self.hidden)))
            words.build((None, None, self.size))

    def call(self, inputs, training=False):
        states, tokens, mask = inputs
        if training and self.weight:
            self.add_loss(self.weight * self.cross_entropy(states, tokens, mask))
        return states

    def cross_entropy(self, states, tokens, mask):
        """Nats of the neighbours, of both directions together: a scalar, see `per`."""
        counts = ops.cast(mask, "float32")
        known = ops.where(
            ops.logical_and(mask, tokens >= self.vocabulary_size),
            self.unknown,
            ops.where(mask, tokens, 0),
        )
        edge = ops.zeros_like(known[:, :1])
        neighbours = (
            ops.concatenate([known[:, 1:], edge], axis=1),
            ops.concatenate([edge, known[:, :-1]], axis=1),
        )
        total = 0.0
        halves = ops.split(states, len(self.hidden), axis=-1)
        for half, hidden, words, targets in zip(
            halves, self.hidden, self.words, neighbours[: len(halves)], strict=True
        ):
            logits = ops.cast(words(hidden(half)), "float32")
            total += ops.sum(
                counts
                * keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)
            )
        return total / (
            ops.cast(ops.shape(tokens)[0], "float32") if self.per == "sequence" else ops.sum(counts)
        )

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        own = ("vocabulary_size", "weight", "size", "bidirectional", "per", "unknown")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class FeatureEmbedding(keras.layers.Layer):
    """A vector for each of several features of a word, joined: int32[batch, time, features] ->
    float[batch, time, features * size].

    Args:
        counts: how many values each feature has: 0 to count - 1.
        size: width of each vector.
    """

    stepwise = True

    def __init__(self, counts: Sequence[int], size: int, **kwargs):
        super().__init__(**kwargs)
        if not counts or min(counts) < 1 or size < 1:
            raise InputError(
                f"features need 1 value or more each and vectors of 1 or more, got {list(counts)} and {size}"
            )
        self.counts, self.size = tuple(counts), size
        # One table for all: feature i begins after the values of those before it.
        self.embedding = keras.layers.Embedding(
            sum(counts), size, dtype=self.dtype_policy, name="embedding"
        )

    @property
    def input_values(self) -> tuple[InputValues, ...]:
        """The values of the features, for random examples."""
        return (InputValues(counts=self.counts),)

    def build(self, input_shape):
        self.embedding.build(input_shape)

    def call(self, features):
        offsets = [sum(self.counts[:i]) for i in range(len(self.counts))]
        vectors = self.embedding(features + ops.cast(ops.array(offsets), features.dtype))
        return ops.reshape(vectors, (*ops.shape(features)[:2], len(self.counts) * self.size))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:2], len(self.counts) * self.size)

    def get_config(self):
        return {**super().get_config(), "counts": list(self.counts), "size": self.size}
