"""Layers that Keras lacks, for sequences: word dropout, segments, pooling over time that respects the mask."""

from collections.abc import Sequence

import keras
from keras import ops

from rnn_cookbook.errors import InputError

POOLINGS = ("last", "mean", "max", "attention")


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class WordDropout(keras.layers.Layer):
    """Replaces words by the unknown word at random while training: int32[batch, time] -> int32[batch, time].

    Iyyer et al. (2015, "Deep Unordered Composition Rivals Syntactic Methods"). The model learns not to lean on single words,
    and what to do with words that it never saw. Padding (0) stays padding.

    Args:
        rate: probability of each word, 0 <= rate < 1.
        unknown: number of the unknown word.
        seed: of the random numbers; drawn from Keras' global seed when None.
    """

    def __init__(self, rate: float, *, unknown: int = 1, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise InputError(f"the word dropout rate must be at least 0 and below 1, got {rate}")
        self.rate, self.unknown, self.seed = rate, unknown, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, tokens, training=False):
        if not training or self.rate == 0:
            return tokens
        drop = keras.random.uniform(ops.shape(tokens), seed=self.seed_generator) < self.rate
        return ops.where(ops.logical_and(drop, ops.not_equal(tokens, 0)), self.unknown, tokens)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "unknown": self.unknown, "seed": self.seed}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class PaddingMask(keras.layers.Layer):
    """True where there is a word: int32[batch, time] -> bool[batch, time]; the first step is always True.

    Explicit, because masks that travel with Keras tensors get lost without a word in layers that do not know them; and never
    all False, because the fast GPU kernels raise on a sequence without a step.
    """

    def call(self, tokens):
        mask = ops.not_equal(tokens, 0)
        return ops.concatenate([ops.ones_like(mask[:, :1]), mask[:, 1:]], axis=1)


class _ExplicitMask(keras.layers.Layer):
    """Takes its mask as an input. A mask that Keras has attached to the inputs besides is the same one, and ends here."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs, previous_mask=None):
        return None


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class SplitSegments(_ExplicitMask):
    """Cuts long sequences into segments that a recurrent layer reads side by side, as rows of the batch.

    (float[batch, time, features], bool[batch, time]) -> (float[batch * segments, length, features], bool[batch * segments, length])

    Johnson and Zhang (2016, "Supervised and Semi-Supervised Text Categorization using LSTM for Region Embeddings") do this to
    documents. The recurrent layer takes `length` steps instead of `time`, each on a larger matrix, and gradients travel
    `length` steps at most; what is lost is context across the cuts. `JoinSegments` puts the result together again.

    A segment that is padding throughout gets a mask with its first step True, since the fast GPU kernels raise on rows without
    a step; pooling with the true mask ignores it.
    """

    def __init__(self, length: int, **kwargs):
        super().__init__(**kwargs)
        if length < 1:
            raise InputError(f"a segment must be one step or longer, got {length}")
        self.length = length

    def call(self, inputs):
        sequence, mask = inputs
        missing = -ops.shape(sequence)[1] % self.length
        sequence = ops.pad(sequence, [[0, 0], [0, missing], [0, 0]])
        mask = ops.reshape(ops.pad(mask, [[0, 0], [0, missing]]), (-1, self.length))
        mask = ops.concatenate([ops.ones_like(mask[:, :1]), mask[:, 1:]], axis=1)
        return ops.reshape(sequence, (-1, self.length, sequence.shape[-1])), mask

    def compute_output_spec(self, inputs):
        sequence, _ = inputs
        return keras.KerasTensor((None, self.length, sequence.shape[-1]), sequence.dtype), keras.KerasTensor((None, self.length), "bool")

    def get_config(self):
        return {**super().get_config(), "length": self.length}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class JoinSegments(_ExplicitMask):
    """Undoes `SplitSegments`: (float[batch * segments, length, features], bool[batch, time]) -> float[batch, time, features]."""

    def call(self, inputs):
        segments, mask = inputs
        batch, time = ops.shape(mask)[0], ops.shape(mask)[1]
        count = (time + segments.shape[1] - 1) // segments.shape[1]
        return ops.reshape(segments, (batch, count * segments.shape[1], segments.shape[2]))[:, :time]

    def compute_output_spec(self, inputs):
        segments, mask = inputs
        return keras.KerasTensor((*mask.shape, segments.shape[-1]), segments.dtype)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class MaskedPooling(_ExplicitMask):
    """One vector a sequence from all its steps, padding left out.

    (float[batch, time, features], bool[batch, time]) -> float[batch, features * len(modes)]

    Args:
        modes: one or several of "last" (the last step that is not padding), "mean", "max", and "attention" (a learned softmax over
            the steps: Yang et al. 2016, "Hierarchical Attention Networks"); the results are concatenated.
    """

    def __init__(self, modes: Sequence[str] = ("max",), **kwargs):
        super().__init__(**kwargs)
        unknown = [mode for mode in modes if mode not in POOLINGS]
        if unknown or not modes:
            raise InputError(f"unknown pooling {', '.join(unknown) or 'none'}; accepted are {', '.join(POOLINGS)}, joined by +")
        self.modes = tuple(modes)
        # No bias: a softmax does not see what is added to all scores.
        self.score = keras.layers.Dense(1, use_bias=False, name="score") if "attention" in modes else None

    def build(self, input_shape):
        if self.score is not None:
            self.score.build(input_shape[0])

    def call(self, inputs):
        sequence, mask = inputs
        return ops.concatenate([getattr(self, f"_{mode}")(sequence, mask) for mode in self.modes], axis=-1)

    def _last(self, sequence, mask):
        last = ops.sum(ops.cast(mask, "int32"), axis=1) - 1
        return ops.squeeze(ops.take_along_axis(sequence, last[:, None, None], axis=1), axis=1)

    def _mean(self, sequence, mask):
        weights = ops.cast(mask, sequence.dtype)[..., None]
        return ops.sum(sequence * weights, axis=1) / ops.sum(weights, axis=1)

    def _max(self, sequence, mask):
        return ops.max(_hide(sequence, mask[..., None]), axis=1)

    def _attention(self, sequence, mask):
        # A softmax over time, written out: Keras' own warns about sequences of one step.
        scores = _hide(self.score(sequence), mask[..., None])
        weights = ops.exp(scores - ops.max(scores, axis=1, keepdims=True))
        return ops.sum(sequence * weights, axis=1) / ops.sum(weights, axis=1)

    def compute_output_shape(self, input_shape):
        sequence, _ = input_shape
        return (sequence[0], sequence[-1] * len(self.modes))

    def get_config(self):
        return {**super().get_config(), "modes": list(self.modes)}


def _hide(values, mask):
    # The lowest half-precision number, not minus infinity: a softmax over infinities has gradients that are not numbers.
    return ops.where(mask, values, ops.cast(-65504.0, values.dtype))
