"""Layers that Keras lacks, for sequences: dropout of words, a language model beside the task, segments, convolution and pooling over time
that respect the mask."""

from collections.abc import Sequence

import keras
import tensorflow as tf
from keras import ops

from rnn_cookbook.errors import InputError, check_shares

POOLINGS = ("last", "mean", "max", "attention")


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class WordDropout(keras.layers.Layer):
    """Replaces words by the unknown word at random while training: int32[batch, time] -> int32[batch, time].

    Iyyer et al. (2015, "Deep Unordered Composition Rivals Syntactic Methods"). The model learns not to lean on single words,
    and what to do with words that it never saw. Padding (0) stays padding.

    Args:
        rate: probability of each word, 0 <= rate < 1.
        unknown: number of the unknown word.
        rare_from: words from this number on are rare; None where the numbers do not say. They are replaced with `rare_rate` instead:
            the unknown word then learns from just those words whose like it will stand for (Lample et al. 2016 take those that
            occur once in the training data, at one half).
        rare_rate: probability of each rare word.
        seed: of the random numbers; drawn from Keras' global seed when None.
    """

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
        check_shares(rate=rate, rare_rate=rare_rate)
        self.rate, self.unknown, self.rare_from, self.rare_rate, self.seed = rate, unknown, rare_from, rare_rate, seed
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


class ExplicitMask(keras.layers.Layer):
    """Takes its mask as an input. A mask that Keras has attached to the inputs besides is the same one, and ends here."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs, previous_mask=None):
        return None


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class EmbeddingDropout(ExplicitMask):
    """Drops whole words of the vocabulary while training, wherever they stand in the batch; the others grow to keep the sum.

    (int32[batch, time] tokens, float[batch, time, features] their vectors) -> float[batch, time, features]

    Gal and Ghahramani (2016), section 4.2; Merity et al. (2018) call it embedding dropout. It costs one random number a word of the
    vocabulary and batch, on a GPU too.

    Args:
        rate: probability of each word of the vocabulary, 0 <= rate < 1.
        vocabulary_size: word numbers.
        seed: of the random numbers; drawn from Keras' global seed when None.
    """

    def __init__(self, rate: float, *, vocabulary_size: int, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise InputError(f"the embedding dropout rate must be at least 0 and below 1, got {rate}")
        self.rate, self.vocabulary_size, self.seed = rate, vocabulary_size, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        tokens, vectors = inputs
        if not training or self.rate == 0:
            return vectors
        keep = keras.random.dropout(ops.ones((self.vocabulary_size,), vectors.dtype), self.rate, seed=self.seed_generator)
        return vectors * ops.take(keep, tokens)[..., None]

    def compute_output_shape(self, input_shape):
        return input_shape[1]

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "vocabulary_size": self.vocabulary_size, "seed": self.seed}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class LanguageModelObjective(ExplicitMask):
    """Makes a recurrent layer predict the next word while training, and its backward half the previous one (Rei 2017).

    (float[batch, time, units] states, int32[batch, time] tokens, bool[batch, time] mask) -> the states, unchanged

    Labels are rare and words are not: a tagger that must also know which words go together learns more of each sentence. The loss is
    added to the model's own (`add_loss`) in training only: `weight` times the cross-entropy in nats, of both directions together, through a
    tanh layer of `size` for each. Words from number `vocabulary_size` on count as the unknown word; what stands before the first
    word and after the last is predicted as 0.

    The states must not have seen the words that they predict: those of one recurrent layer, whose directions are concatenated.

    Args:
        vocabulary_size: word numbers that are told apart, 0 and the unknown word included.
        weight: of the loss.
        size: of the layer between the states and the words.
        bidirectional: the first half of the states reads forward, the second backward; otherwise all of them forward.
        per: "sequence" sums over the words of a sequence, as the loss of a CRF does; "word" takes their mean.
        unknown: number of the unknown word.
    """

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
        self.hidden = [keras.layers.Dense(size, activation="tanh", dtype=policy, name=f"{name}_hidden") for name in names]
        self.words = [keras.layers.Dense(vocabulary_size, dtype=policy, name=f"{name}_word") for name in names]

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
        known = ops.where(ops.logical_and(mask, tokens >= self.vocabulary_size), self.unknown, ops.where(mask, tokens, 0))
        edge = ops.zeros_like(known[:, :1])
        neighbours = (ops.concatenate([known[:, 1:], edge], axis=1), ops.concatenate([edge, known[:, :-1]], axis=1))
        total = 0.0
        halves = ops.split(states, len(self.hidden), axis=-1)
        for half, hidden, words, targets in zip(halves, self.hidden, self.words, neighbours[: len(halves)], strict=True):
            logits = ops.cast(words(hidden(half)), "float32")
            total += ops.sum(counts * keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True))
        return total / (ops.cast(ops.shape(tokens)[0], "float32") if self.per == "sequence" else ops.sum(counts))

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        own = ("vocabulary_size", "weight", "size", "bidirectional", "per", "unknown")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class FeatureEmbedding(keras.layers.Layer):
    """A vector for each of several features of a word, joined: int32[batch, time, features] -> float[batch, time, features * size].

    Args:
        counts: how many values each feature has: 0 to count - 1.
        size: width of each vector.
    """

    def __init__(self, counts: Sequence[int], size: int, **kwargs):
        super().__init__(**kwargs)
        if not counts or min(counts) < 1 or size < 1:
            raise InputError(f"features need 1 value or more each and vectors of 1 or more, got {list(counts)} and {size}")
        self.counts, self.size = tuple(counts), size
        # One table for all: feature i begins after the values of those before it.
        self.embedding = keras.layers.Embedding(sum(counts), size, dtype=self.dtype_policy, name="embedding")

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


def _with_first_step(mask):
    # The fast GPU kernels raise on a sequence without a step.
    return ops.concatenate([ops.ones_like(mask[:, :1]), mask[:, 1:]], axis=1)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class PaddingMask(keras.layers.Layer):
    """True where there is a word: int32[batch, time] -> bool[batch, time]; the first step is always True.

    Explicit, because masks that travel with Keras tensors get lost without a word in layers that do not know them; and never
    all False, because the fast GPU kernels raise on a sequence without a step.
    """

    def call(self, tokens):
        return _with_first_step(ops.not_equal(tokens, 0))

    def stream_states(self):
        return {}

    def stream(self, tokens, states):
        return ops.not_equal(tokens, 0), states  # a chunk may hold nothing for a row whose sequence has ended


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class LengthMask(ExplicitMask):
    """True before each sequence's length: (float[batch, time, features], int32[batch]) -> bool[batch, time]; the first step is always
    True."""

    def call(self, inputs):
        sequence, lengths = inputs
        return _with_first_step(ops.arange(ops.shape(sequence)[1])[None] < ops.cast(lengths, "int32")[:, None])

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs[0].shape[:2], "bool")

    stream_drops = (1,)  # all the steps of a chunk are there

    def stream_states(self):
        return {}

    def stream(self, inputs, states):
        return ops.ones_like(inputs[0][..., 0], dtype="bool"), states


def _without_padding(sequence, mask):
    # Not a product: what stands at padding may be no number.
    return ops.where(mask[..., None], sequence, ops.zeros_like(sequence))


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class MaskedConv1D(ExplicitMask):
    """Convolution over time that neither reads padding nor depends on how much of it there is.

    (float[batch, time, features], bool[batch, time]) -> (float[batch, time / strides, filters], bool[batch, time / strides]), rounded up

    Keras' own "same" padding of a strided convolution shifts the frames by one depending on the length of the batch. Here output i
    belongs to input i * strides, in every batch.

    Args:
        filters: features of the output.
        kernel_size: steps that an output sees.
        strides: steps between outputs.
        causal: see the past only, as streaming needs it; otherwise half of the kernel lies in the future.
        activation: name of an activation, or None.
    """

    def __init__(self, filters: int, kernel_size: int, *, strides: int = 1, causal: bool = False, activation: str | None = None, **kwargs):
        super().__init__(**kwargs)
        if min(filters, kernel_size, strides) < 1:
            raise InputError(f"filters, kernel_size and strides must be 1 or more, got {filters}, {kernel_size} and {strides}")
        self.filters, self.kernel_size, self.strides, self.causal, self.activation = filters, kernel_size, strides, causal, activation
        self.conv = self._convolution(activation=activation, dtype=self.dtype_policy, name="conv")

    def _convolution(self, **options) -> keras.layers.Layer:
        return keras.layers.Conv1D(self.filters, self.kernel_size, strides=self.strides, **options)

    def build(self, input_shape):
        self.features = input_shape[0][-1]
        self.conv.build(input_shape[0])

    def convolved(self, sequence):
        """Of a sequence that has all that its outputs see."""
        return self.conv(sequence)

    def call(self, inputs):
        sequence, mask = inputs
        future = 0 if self.causal else (self.kernel_size - 1) // 2
        sequence = ops.pad(_without_padding(sequence, mask), [[0, 0], [self.kernel_size - 1 - future, future], [0, 0]])
        return self.convolved(sequence), mask[:, :: self.strides]

    def compute_output_spec(self, inputs):
        sequence, mask = inputs
        time = None if mask.shape[1] is None else -(-mask.shape[1] // self.strides)
        shape = (sequence.shape[0], time, self._width(sequence.shape[-1]))
        return keras.KerasTensor(shape, self.compute_dtype), keras.KerasTensor((mask.shape[0], time), "bool")

    def _width(self, features: int) -> int:
        return self.filters

    def compute_mask(self, inputs, previous_mask=None):
        return [None, None]

    def stream_states(self):
        if not self.causal:
            raise InputError(f"layer {self.name!r} reads the future: a {type(self).__name__} streams with causal=True")
        return {"past": (self.kernel_size - 1, self.features)}

    def stream(self, inputs, states):
        # Chunks are multiples of the strides long (`streaming.Stream` sees to it), so the next one starts on an output again.
        sequence, mask = inputs
        sequence = ops.concatenate([ops.cast(states["past"], sequence.dtype), _without_padding(sequence, mask)], axis=1)
        past = sequence[:, ops.shape(sequence)[1] - (self.kernel_size - 1) :]
        return (self.convolved(sequence), mask[:, :: self.strides]), {"past": past}

    def get_config(self):
        own = {"filters": self.filters, "kernel_size": self.kernel_size, "strides": self.strides, "causal": self.causal}
        return {**super().get_config(), **own, "activation": self.activation}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class LookAhead(ExplicitMask):
    """Each feature together with what becomes of it in the next steps, in a weighted sum ("row convolution"): as much of the future as
    recognition needs, and little enough to wait for (Wang et al. 2016, "Lookahead Convolution Layer for Unidirectional Recurrent
    Neural Networks").

    (float[batch, time, features], bool[batch, time]) -> float[batch, time, features]; after the end of a sequence come zeros

    For the output of a recurrent layer that reads forwards. A stream answers so many steps late, and waits for no more. Half of the
    weights' sum is, in the beginning, that of the present step, and half that of all, evenly.

    Args:
        steps: of the future that an output sees; 0 or more.
    """

    def __init__(self, steps: int, **kwargs):
        super().__init__(**kwargs)
        if steps < 0:
            raise InputError(f"LookAhead takes 0 or more steps of the future, got {steps}")
        self.steps = steps

    def build(self, input_shape):
        self.features = input_shape[0][-1]
        shape = (self.steps + 1, self.features, 1)
        self.kernel = self.add_weight(shape=shape, initializer=self._half_now, name="kernel")

    def _half_now(self, shape, dtype=None):
        now = ops.one_hot(0, shape[0], dtype=dtype)[:, None, None]
        return ops.broadcast_to(0.5 * now + 0.5 / shape[0], shape)

    def call(self, inputs):
        ahead = ops.pad(_without_padding(*inputs), [[0, 0], [0, self.steps], [0, 0]])
        return ops.depthwise_conv(ahead, ops.cast(self.kernel, ahead.dtype))

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs[0].shape, self.compute_dtype)

    @property
    def stream_delay(self) -> int:
        return self.steps

    def stream_states(self):
        return {"past": (self.steps, self.features), "ended": (1,)}

    def stream(self, inputs, states):
        sequence, mask = inputs
        sequence = _without_padding(sequence, mask & (states["ended"] == 0))
        sequence = ops.concatenate([ops.cast(states["past"], sequence.dtype), sequence], axis=1)
        after = {"past": ops.cast(sequence[:, ops.shape(sequence)[1] - self.steps :], "float32"), "ended": states["ended"]}
        return ops.depthwise_conv(sequence, ops.cast(self.kernel, sequence.dtype)), after

    def get_config(self):
        return {**super().get_config(), "steps": self.steps}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class MaskedConv2D(MaskedConv1D):
    """Convolution over time and frequency, and the maximum of neighbouring bands: what is heard a little higher or lower, as by another
    voice, is heard as the same (Abdel-Hamid et al. 2014; Amodei et al. 2016). Over time it is a `MaskedConv1D`.

    (float[batch, time, bands * channels], bool[batch, time]) -> (float[batch, time / strides, bands / pooling * filters],
    bool[batch, time / strides]), rounded up; the channels of a band lie side by side.

    Args:
        filters: channels of the output.
        kernel_size: steps, and bands, that an output sees; half of the bands are above it, and there are zeros beyond the last.
        channels: of the input: 1 of energies, the `filters` of a layer like this.
        pooling: bands that become one.
        strides, causal, activation: see `MaskedConv1D`.

    Raises:
        InputError: the features of the input are no multiple of the channels.
    """

    def __init__(self, filters: int, kernel_size: int, *, channels: int = 1, pooling: int = 2, **options):
        super().__init__(filters, kernel_size, **options)
        if min(channels, pooling) < 1:
            raise InputError(f"channels and pooling must be 1 or more, got {channels} and {pooling}")
        self.channels, self.pooling = channels, pooling

    def _convolution(self, **options):
        return keras.layers.Conv2D(self.filters, self.kernel_size, strides=(self.strides, 1), **options)

    def build(self, input_shape):
        self.features = input_shape[0][-1]
        if self.features % self.channels:
            raise InputError(f"{self.features} features are not so many bands of {self.channels} channels")
        self.conv.build((None, None, self.features // self.channels + self.kernel_size - 1, self.channels))

    def convolved(self, sequence):
        shape = ops.shape(sequence)
        below = (self.kernel_size - 1) // 2
        bands = ops.reshape(sequence, (shape[0], shape[1], self.features // self.channels, self.channels))
        x = self.conv(ops.pad(bands, [[0, 0], [0, 0], [below, self.kernel_size - 1 - below], [0, 0]]))
        x = ops.max_pool(x, (1, self.pooling), strides=(1, self.pooling), padding="same")
        return ops.reshape(x, (shape[0], ops.shape(x)[1], self._width(self.features)))

    def _width(self, features):
        return -(-features // self.channels // self.pooling) * self.filters

    def get_config(self):
        return {**super().get_config(), "channels": self.channels, "pooling": self.pooling}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class ReverseSequence(ExplicitMask):
    """Turns the steps before each sequence's end round; padding stays behind.

    (float[batch, time, features], bool[batch, time]) -> float[batch, time, features]; the mask may be left out.
    """

    def call(self, inputs):
        if not isinstance(inputs, list | tuple):
            return ops.flip(inputs, axis=1)
        sequence, mask = inputs
        return tf.reverse_sequence(sequence, tf.reduce_sum(tf.cast(mask, tf.int32), axis=1), seq_axis=1, batch_axis=0)

    def compute_output_spec(self, inputs):
        sequence = inputs[0] if isinstance(inputs, list | tuple) else inputs
        return keras.KerasTensor(sequence.shape, sequence.dtype)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class SplitSegments(ExplicitMask):
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
        time = ops.shape(sequence)[1]
        missing = (time + self.length - 1) // self.length * self.length - time  # no remainder of a negative number: ONNX has another
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
class JoinSegments(ExplicitMask):
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
class MaskedPooling(ExplicitMask):
    """One vector a sequence from all its steps, padding left out.

    (float[batch, time, features], bool[batch, time]) -> float[batch, features * len(modes)]

    Args:
        modes: one or several, as a list or joined by +, of "last" (the last step that is not padding), "mean", "max", and "attention" (a
            learned softmax over the steps: Yang et al. 2016, "Hierarchical Attention Networks"); the results are concatenated.
        bidirectional: the second half of the features was read from the end: their "last" step is the first one. (At the last step a
            backward layer has read a single step.)
    """

    def __init__(self, modes: Sequence[str] = ("max",), *, bidirectional: bool = False, **kwargs):
        super().__init__(**kwargs)
        modes = modes.split("+") if isinstance(modes, str) else modes
        unknown = [mode for mode in modes if mode not in POOLINGS]
        if unknown or not modes:
            raise InputError(f"unknown pooling {', '.join(unknown) or 'none'}; accepted are {', '.join(POOLINGS)}, joined by +")
        self.modes, self.bidirectional = tuple(modes), bidirectional
        # No bias: a softmax does not see what is added to all scores.
        self.score = keras.layers.Dense(1, use_bias=False, dtype=self.dtype_policy, name="score") if "attention" in modes else None

    def build(self, input_shape):
        self._width = input_shape[0][-1]
        if self.score is not None:
            self.score.build(input_shape[0])

    def call(self, inputs):
        sequence, mask = inputs
        return ops.concatenate([getattr(self, f"_{mode}")(sequence, mask) for mode in self.modes], axis=-1)

    def stream_states(self):
        # All states start as zeros; `count` tells those zeros from seen ones.
        width = (self._width,)
        own = {"last": {"last": width}, "mean": {"sum": width}, "max": {"max": width}}
        own["attention"] = {"peak": (1,), "weight": (1,), "weighted": width}
        return {"count": (1,), **{name: shape for mode in self.modes for name, shape in own[mode].items()}}

    def stream(self, inputs, states):
        """Pooled over all that came so far: the chunk's own pooling, joined with the states."""
        sequence, mask = inputs
        old = {name: ops.cast(state, "float32") for name, state in states.items()}
        valid = ops.cast(mask, "float32")[..., None]
        seen, here = old["count"] > 0, ops.any(mask, axis=1)[:, None]
        count = old["count"] + ops.sum(valid, axis=1)
        new, pooled = {"count": count}, []
        for mode in self.modes:
            if mode == "last":
                last = ops.maximum(ops.sum(ops.cast(mask, "int32"), axis=1) - 1, 0)
                step = ops.squeeze(ops.take_along_axis(sequence, last[:, None, None], axis=1), axis=1)
                new["last"] = ops.where(here, ops.cast(step, "float32"), old["last"])
                pooled.append(new["last"])
            elif mode == "mean":
                new["sum"] = old["sum"] + ops.sum(ops.cast(sequence, "float32") * valid, axis=1)
                pooled.append(new["sum"] / ops.maximum(count, 1.0))
            elif mode == "max":
                highest = ops.cast(self._max(sequence, mask), "float32")
                new["max"] = ops.where(seen, ops.where(here, ops.maximum(old["max"], highest), old["max"]), highest)
                pooled.append(new["max"])
            else:
                scores = _hide(ops.cast(self.score(sequence), "float32"), mask[..., None])
                peak = ops.max(scores, axis=1)
                peak = ops.where(seen, ops.maximum(old["peak"], peak), peak)
                fade = ops.where(seen, ops.exp(old["peak"] - peak), 0.0)
                weights = ops.exp(scores - peak[:, None]) * valid
                new["peak"], new["weight"] = peak, old["weight"] * fade + ops.sum(weights, axis=1)
                new["weighted"] = old["weighted"] * fade + ops.sum(ops.cast(sequence, "float32") * weights, axis=1)
                pooled.append(new["weighted"] / ops.maximum(new["weight"], 1e-30))
        return ops.cast(ops.concatenate(pooled, axis=-1), sequence.dtype), new

    def _last(self, sequence, mask):
        last = ops.sum(ops.cast(mask, "int32"), axis=1) - 1
        step = ops.squeeze(ops.take_along_axis(sequence, last[:, None, None], axis=1), axis=1)
        if not self.bidirectional:
            return step
        half = sequence.shape[-1] // 2
        return ops.concatenate([step[:, :half], sequence[:, 0, half:]], axis=-1)

    def _mean(self, sequence, mask):
        return _weighted(sequence, ops.cast(mask, "float32")[..., None], mask)

    def _max(self, sequence, mask):
        return ops.max(_hide(sequence, mask[..., None]), axis=1)

    def _attention(self, sequence, mask):
        # A softmax over time, written out: Keras' own warns about sequences of one step.
        scores = _hide(ops.cast(self.score(sequence), "float32"), mask[..., None])
        return _weighted(sequence, ops.exp(scores - ops.max(scores, axis=1, keepdims=True)), mask)

    def compute_output_shape(self, input_shape):
        sequence, _ = input_shape
        return (sequence[0], sequence[-1] * len(self.modes))

    def get_config(self):
        return {**super().get_config(), "modes": list(self.modes), "bidirectional": self.bidirectional}


def _weighted(sequence, weights, mask):
    # In float32: sums over thousands of steps run out of half precision.
    steps = ops.where(mask[..., None], ops.cast(sequence, "float32"), 0.0)
    return ops.cast(ops.sum(steps * weights, axis=1) / ops.sum(weights, axis=1), sequence.dtype)


def _hide(values, mask):
    # The lowest half-precision number, not minus infinity: a softmax over infinities has gradients that are not numbers.
    return ops.where(mask, values, ops.cast(-65504.0, values.dtype))
