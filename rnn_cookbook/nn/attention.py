"""Attention and the decoder that uses it: teacher forcing, scheduled sampling, and one step at a
time for search and sampling."""

import keras
import tensorflow as tf
from keras import ops

from rnn_cookbook.errors import InputError, check_shares
from rnn_cookbook.nn.recurrent import CELLS


class _Attention(keras.layers.Layer):
    """Weighted mean of a memory for each query; what differs is the score.

    call: (float[batch, queries, q] query, float[batch, time, m] memory, bool[batch, time] mask)
    -> (float[batch, queries, m] context, float[batch, queries, time] weights, which sum to one over the memory that is not padding)

    Where queries come one by one, compute `keys(memory)` once and call `attend(query, keys, memory,
    mask)`.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs, previous_mask=None):
        return [None, None]

    def call(self, inputs):
        query, memory, mask = inputs
        return self.attend(query, self.keys(memory), memory, mask)

    def attend(self, query, keys, memory, mask):
        scores = ops.cast(self.score(query, keys), "float32")
        # A finite number, not minus infinity: a softmax over infinities has gradients that are not
        # numbers.
        scores = ops.where(mask[:, None], scores, -1e9)
        # Written out: Keras' own softmax warns about memories of one step.
        weights = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True))
        weights = weights / ops.sum(weights, axis=-1, keepdims=True)
        return ops.matmul(ops.cast(weights, memory.dtype), memory), weights

    def compute_output_spec(self, inputs):
        query, memory, _ = inputs
        context = keras.KerasTensor((*query.shape[:2], memory.shape[-1]), self.compute_dtype)
        return context, keras.KerasTensor((*query.shape[:2], memory.shape[1]), "float32")


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class LuongAttention(_Attention):
    """Multiplicative attention, score = query · W memory (Luong et al. 2015, "general"), divided by
    the root of the width so that wide states do not start with a softmax that is all or nothing
    (Vaswani et al. 2017). One matrix product for all queries.
    """

    def build(self, input_shape):
        query, memory, _ = input_shape
        self.kernel = self.add_weight(
            shape=(memory[-1], query[-1]), initializer="glorot_uniform", name="kernel"
        )

    def keys(self, memory):
        return (
            ops.matmul(memory, ops.cast(self.kernel, self.compute_dtype))
            / self.kernel.shape[1] ** 0.5
        )

    def score(self, query, keys):
        return ops.matmul(query, ops.swapaxes(keys, 1, 2))


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class BahdanauAttention(_Attention):
    """Additive attention, score = v · tanh(W query + U memory + b) (Bahdanau et al. 2015). Costs a
    tanh for every pair of query and memory.

    Args:
        units: width of the sum.
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        if units < 1:
            raise InputError(f"attention needs 1 unit or more, got {units}")
        self.units = units

    def build(self, input_shape):
        query, memory, _ = input_shape
        self.query_kernel = self.add_weight(
            shape=(query[-1], self.units), initializer="glorot_uniform", name="query_kernel"
        )
        self.memory_kernel = self.add_weight(
            shape=(memory[-1], self.units), initializer="glorot_uniform", name="memory_kernel"
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.vector = self.add_weight(
            shape=(self.units, 1), initializer="glorot_uniform", name="vector"
        )

    def keys(self, memory):
        return ops.matmul(memory, ops.cast(self.memory_kernel, self.compute_dtype)) + ops.cast(
            self.bias, self.compute_dtype
        )

    def score(self, query, keys):
        query = ops.matmul(query, ops.cast(self.query_kernel, self.compute_dtype))
        return ops.matmul(
            ops.tanh(query[:, :, None] + keys[:, None]), ops.cast(self.vector, self.compute_dtype)
        )[..., 0]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


ATTENTIONS = ("luong", "bahdanau", "none")


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class AttentionDecoder(keras.layers.Layer):
    """Recurrent decoder over an encoded sequence, from target words to the logits of each word.

    (int32[batch, t] target, float[batch, time, m] memory, bool[batch, time] mask, states: one list
    of float[batch, units] a layer)
    -> logits float32[batch, t, vocabulary]

    The target goes in as it is, and the layer shifts it: the logits at step i see the start symbol
    and target[:, :i], never target[:, i]. What predicts and what is predicted thus come from one
    array, and a decoder that reads its own answer cannot be built by mistake.

    Three wirings. "luong" (Luong et al. 2015): the recurrent state asks, and tanh(W [context;
    state]) speaks; with `input_feeding` that goes into the next step's input. "bahdanau" (Bahdanau
    et al. 2015): the last state asks, the context goes into the cell, and tanh(W [state; context;
    word]) speaks. "none" (Sutskever et al. 2014): all that is known of the source is the initial
    state.

    "luong" without input feeding and "none" compute all steps of a training batch at once, on the
    fast GPU kernels. Input feeding, "bahdanau" and scheduled sampling walk step by step: several
    times slower, on a GPU even more.

    Args:
        vocabulary_size: word numbers; 0 is padding.
        embedding_size: width of the target's word vectors.
        cell, units, depth: of the recurrent layers.
        attention: "luong", "bahdanau" or "none".
        input_feeding: with "luong", see above.
        dropout: on the word vectors, between the layers and before the logits, the same components
            at every step.
        tie_weights: the output layer is the transposed embedding (Press and Wolf 2017); what speaks
            is then as wide as the embedding.
        start: number of the start symbol.
        scheduled_sampling: whether training may feed the decoder words of its own (Bengio et al.
            2015). How often, is `sampling_rate`, a variable from 0 (the default, teacher forcing)
            to 1 that a schedule sets: `decoder.sampling_rate.assign(0.2)`.
    """

    def __init__(
        self,
        vocabulary_size: int,
        *,
        embedding_size: int = 128,
        cell: str = "lstm",
        units: int = 128,
        depth: int = 1,
        attention: str = "luong",
        input_feeding: bool = False,
        dropout: float = 0.0,
        tie_weights: bool = True,
        start: int = 2,
        scheduled_sampling: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if cell not in CELLS:
            raise InputError(f"unknown cell {cell!r}; accepted are {', '.join(CELLS)}")
        if attention not in ATTENTIONS:
            raise InputError(
                f"unknown attention {attention!r}; accepted are {', '.join(ATTENTIONS)}"
            )
        if input_feeding and attention != "luong":
            raise InputError(
                f"input_feeding goes with luong attention, got attention={attention!r}"
            )
        if units < 1 or depth < 1:
            raise InputError(
                f"a decoder needs 1 or more units and layers, got units={units}, depth={depth}"
            )
        check_shares(dropout=dropout)
        if not 0 < start < vocabulary_size:
            raise InputError(
                f"the start symbol must be a word number from 1 to {vocabulary_size - 1}, got {start}"
            )
        self.vocabulary_size, self.embedding_size, self.cell, self.units, self.depth = (
            vocabulary_size,
            embedding_size,
            cell,
            units,
            depth,
        )
        self.attention_type, self.input_feeding, self.dropout, self.tie_weights = (
            attention,
            input_feeding,
            dropout,
            tie_weights,
        )
        self.start, self.scheduled_sampling = start, scheduled_sampling
        self.supports_masking = True
        # XLA cannot differentiate products of three axes by two inside a loop, which additive
        # attention is.
        self.supports_jit = attention != "bahdanau"
        # Not the global policy, which may be another when the layer is loaded.
        policy = {"dtype": self.dtype_policy}
        # Unit variance after the sum over a tied output; Keras' default of ±0.05 learns far more
        # slowly.
        vectors = keras.initializers.RandomNormal(stddev=embedding_size**-0.5)
        options = {"embeddings_initializer": vectors, "name": "embedding", **policy}
        if tie_weights:
            self.embedding = keras.layers.ReversibleEmbedding(
                vocabulary_size, embedding_size, reverse_dtype="float32", **options
            )
        else:
            self.embedding = keras.layers.Embedding(vocabulary_size, embedding_size, **options)
            self.output_layer = keras.layers.Dense(vocabulary_size, dtype="float32", name="logits")
        self.rnns = [
            CELLS[cell](
                units, return_sequences=True, return_state=True, name=f"rnn_{level + 1}", **policy
            )
            for level in range(depth)
        ]
        self._walks = input_feeding or attention == "bahdanau"
        for rnn in self.rnns if self._walks or scheduled_sampling else ():
            rnn.use_cudnn = (
                False  # only their cells are used; `diagnostics.gpu_kernels` shall say so
            )
        self.attention = {"luong": LuongAttention, "bahdanau": BahdanauAttention}.get(attention)
        if self.attention:
            self.attention = self.attention(
                name="attention", **policy, **({"units": units} if attention == "bahdanau" else {})
            )
        self.combine = keras.layers.Dense(
            embedding_size if tie_weights else units, activation="tanh", name="combine", **policy
        )
        self.word_dropout = keras.layers.SpatialDropout1D(dropout, name="word_dropout", **policy)
        self.output_dropout = keras.layers.SpatialDropout1D(
            dropout, name="output_dropout", **policy
        )
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, input_shape):
        _, memory, mask, _ = input_shape
        batch, width = memory[0], memory[-1]
        self.embedding.build((batch, None))
        context = width if self.attention else 0
        fed = {
            "bahdanau": context,
            "luong": self.combine.units if self.input_feeding else 0,
            "none": 0,
        }[self.attention_type]
        for level, rnn in enumerate(self.rnns):
            rnn.build((batch, None, self.units if level else self.embedding_size + fed))
        if self.attention:
            self.attention.build(((batch, None, self.units), memory, mask))
        self.combine.build(
            (
                batch,
                None,
                self.units
                + context
                + (self.embedding_size if self.attention_type == "bahdanau" else 0),
            )
        )
        if not self.tie_weights:
            self.output_layer.build((batch, None, self.combine.units))
        if self.scheduled_sampling:
            self.sampling_rate = self.add_weight(
                shape=(), initializer="zeros", trainable=False, name="sampling_rate"
            )

    def compute_output_spec(self, inputs, training=False):
        target, *_ = inputs
        return keras.KerasTensor((*target.shape, self.vocabulary_size), "float32")

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def call(self, inputs, training=False):
        target, memory, mask, states = inputs
        before = ops.concatenate([ops.full_like(target[:, :1], self.start), target[:, :-1]], axis=1)
        state, constants = self.begin(memory, mask, states)
        if self._walks or (self.scheduled_sampling and training):
            outputs = self._walk(before, state, constants, training)
        else:
            outputs = self.word_dropout(self.embedding(before), training=training)
            for level, (rnn, initial) in enumerate(zip(self.rnns, state["cells"], strict=True)):
                if level:
                    outputs = outputs * self._noise(target, training)[:, None]
                outputs, *_ = rnn(outputs, initial_state=list(initial))
            if self.attention:
                context, _ = self.attention.attend(
                    outputs, constants["keys"], constants["memory"], constants["mask"]
                )
                outputs = ops.concatenate([context, outputs], axis=-1)
            outputs = self.combine(outputs)
        return self._logits(self.output_dropout(outputs, training=training))

    # One step at a time

    def begin(self, memory, mask, states):
        """What `step` goes on from: (state, constants).

        State has float[batch, units] cells and, with input feeding, what was said last; constants
        are the memory, its keys and its mask. Beams multiply the rows of the state; the constants
        stay as they are.
        """
        state = {
            "cells": [[ops.cast(part, self.compute_dtype) for part in parts] for parts in states]
        }
        if self.input_feeding:
            state["fed"] = ops.zeros((ops.shape(memory)[0], self.combine.units), self.compute_dtype)
        if not self.attention:
            return state, None
        memory = ops.cast(memory, self.compute_dtype)
        return state, {"keys": self.attention.keys(memory), "memory": memory, "mask": mask}

    def step(self, tokens, state, constants):
        """One step of decoding, without dropout: (int32[rows] last words, state, constants) ->
        (float32[rows, vocabulary] logits, state).

        Rows are the batch of the constants, or a multiple of it with the beams of one example side
        by side.
        """
        output, state, _ = self._advance(self.embedding(tokens), state, constants)
        return self._logits(output), state

    def attend_step(self, tokens, state, constants):
        """As `step`, with the attention weights float32[rows, time] in front, for heat maps."""
        output, state, weights = self._advance(self.embedding(tokens), state, constants)
        return weights, self._logits(output), state

    def _advance(self, word, state, constants, noise=None):
        cells, weights = state["cells"], None
        x = word
        if self.attention_type == "bahdanau":
            context, weights = self._ask(cells[-1][0], constants)
            x = ops.concatenate([word, context], axis=-1)
        elif self.input_feeding:
            x = ops.concatenate([word, state["fed"]], axis=-1)
        after = []
        for level, (rnn, parts) in enumerate(zip(self.rnns, cells, strict=True)):
            if level and noise is not None:
                x = x * noise[level - 1]
            x, parts = rnn.cell(x, list(parts))
            after.append(list(parts) if isinstance(parts, list | tuple) else [parts])
        if self.attention_type == "bahdanau":
            x = ops.concatenate([x, context, word], axis=-1)
        elif self.attention_type == "luong":
            context, weights = self._ask(x, constants)
            x = ops.concatenate([context, x], axis=-1)
        output = self.combine(x)
        return output, {"cells": after} | ({"fed": output} if self.input_feeding else {}), weights

    def _ask(self, query, constants):
        # Beams of one example ask its memory together: nothing is copied for them, and the products
        # are larger.
        rows, memory = ops.shape(query)[0], constants["memory"]
        query = ops.reshape(query, (ops.shape(memory)[0], -1, self.units))
        context, weights = self.attention.attend(
            query, constants["keys"], memory, constants["mask"]
        )
        return ops.reshape(context, (rows, memory.shape[-1])), ops.reshape(weights, (rows, -1))

    def _logits(self, outputs):
        if not self.tie_weights:
            return self.output_layer(outputs)
        return self.embedding(outputs, reverse=True)

    def _noise(self, target, training):
        ones = ops.ones((ops.shape(target)[0], self.units), self.compute_dtype)
        return (
            keras.random.dropout(ones, self.dropout, seed=self.seed_generator)
            if training and self.dropout
            else ones
        )

    def _walk(self, before, state, constants, training):
        """All outputs float[batch, t, width], step by step; in training with scheduled sampling
        some inputs are the decoder's own."""
        time = tf.shape(before)[1]
        noise = [self._noise(before, training) for _ in self.rnns[1:]]
        sampling = self.scheduled_sampling and training
        words = self.word_dropout(self.embedding(before), training=training)
        words = tf.TensorArray(words.dtype, size=time).unstack(tf.transpose(words, [1, 0, 2]))
        outputs = tf.TensorArray(
            self.compute_dtype, size=time, element_shape=(None, self.combine.units)
        )
        if sampling:
            own = keras.random.uniform(ops.shape(before), seed=self.seed_generator) < ops.cast(
                self.sampling_rate, "float32"
            )
            seed = tf.cast(self.seed_generator.next(), tf.int32)
            kept = self.word_dropout(
                tf.ones([tf.shape(before)[0], 1, self.embedding_size], self.compute_dtype),
                training=training,
            )[:, 0]

        def body(t, state, said, outputs):
            word = words.read(t)
            if sampling:
                guess = tf.random.stateless_categorical(
                    self._logits(said), 1, seed=seed + tf.stack([0, t]), dtype=tf.int32
                )[:, 0]
                # Before the first step nothing was said.
                word = tf.where((own[:, t] & (t > 0))[:, None], self.embedding(guess) * kept, word)
            output, state, _ = self._advance(word, state, constants, noise)
            return t + 1, state, output, outputs.write(t, output)

        said = tf.zeros([tf.shape(before)[0], self.combine.units], self.compute_dtype)
        *_, outputs = tf.while_loop(
            lambda t, *_: t < time,
            body,
            (tf.constant(0), state, said, outputs),
            maximum_iterations=time,
        )
        return tf.transpose(outputs.stack(), [1, 0, 2])

    def get_config(self):
        own = (
            "vocabulary_size",
            "embedding_size",
            "cell",
            "units",
            "depth",
            "input_feeding",
            "dropout",
            "tie_weights",
            "start",
        )
        config = {name: getattr(self, name) for name in own}
        return {
            **super().get_config(),
            **config,
            "attention": self.attention_type,
            "scheduled_sampling": self.scheduled_sampling,
        }
