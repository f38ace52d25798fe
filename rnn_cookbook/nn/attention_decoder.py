"""The recurrent decoder with attention: teacher forcing, scheduled sampling, and one step at a time
for search and sampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.attention import ATTENTIONS, BahdanauAttention, LuongAttention
from rnn_cookbook.nn.recurrent import CELLS
from rnn_cookbook.nn.tensors import Tensor
from rnn_cookbook.settings import check_fractions

__all__ = ["AttentionDecoder"]


def _check(accepted: bool, message: str, field: str | tuple[str, ...]) -> None:
    if not accepted:
        raise InputError(message, field=field)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class AttentionDecoder(keras.layers.Layer):
    """A recurrent decoder over an encoded sequence, from target words to the logits of each word.

    (int32[batch, t] target, float[batch, time, m] memory, bool[batch, time] mask, states: for each
    layer a list of float[batch, units]) -> logits float32[batch, t, vocabulary]

    The target goes in as it is, and the layer shifts it: the logits at step i see the start symbol
    and target[:, :i], never target[:, i]. One array thus holds inputs and labels, and a decoder
    that reads the word it predicts cannot be built by mistake.

    The attention mechanism decides how the parts are connected. "luong" (Luong et al. 2015): the
    state of the last layer is the query, and the output layer reads the attentional vector
    tanh(W [context; state]); with `input_feeding` the attentional vector is also part of the next
    step's input. "bahdanau" (Bahdanau et al. 2015): the last state is the query, the context is
    part of the cell's input, and the output layer reads tanh(W [state; context; word]). "none"
    (Sutskever et al. 2014): the decoder knows the source only by its initial states.

    "luong" without input feeding and "none" compute all steps of a training batch at once, on the
    fast GPU kernels. Input feeding, "bahdanau" and scheduled sampling run step by step: several
    times slower, on a GPU even more.

    Args:
        vocabulary_size: number of target symbols, 0 for padding included.
        embedding_size: width of the target's word vectors.
        cell: recurrent cell: "simple_rnn", "lstm" or "gru".
        units: size of the state of each layer.
        depth: number of recurrent layers.
        attention: attention mechanism: "luong", "bahdanau" or "none".
        input_feeding: whether the attentional vector is fed into the next step; "luong" only.
        dropout: dropout rate on the word vectors, between the layers and before the logits; the
            same components are dropped at every step.
        tie_weights: whether the output layer is the transposed embedding (Press and Wolf 2017); the
            attentional vector is then as wide as the embedding.
        start: number of the start symbol.
        scheduled_sampling: whether training may feed the decoder words drawn from its own
            predictions (Bengio et al. 2015). The probability is the variable `sampling_rate`, from
            0 (teacher forcing, the default) to 1, which a schedule sets:
            `decoder.sampling_rate.assign(0.2)`.

    Raises:
        InputError: unknown cell or attention, or a number out of range.
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
        cells = ", ".join(CELLS)
        attentions = ", ".join(ATTENTIONS)
        _check(cell in CELLS, f"unknown cell {cell!r}; accepted are {cells}", "cell")
        _check(
            attention in ATTENTIONS,
            f"unknown attention {attention!r}; accepted are {attentions}",
            "attention",
        )
        _check(
            attention == "luong" or not input_feeding,
            f"input_feeding needs attention 'luong'; received attention={attention!r}",
            ("input_feeding", "attention"),
        )
        _check(units >= 1, f"units must be at least 1; received {units}", "units")
        _check(depth >= 1, f"depth must be at least 1; received {depth}", "depth")
        check_fractions(dropout=dropout)
        _check(
            0 < start < vocabulary_size,
            f"start must be a word number from 1 to {vocabulary_size - 1}; received {start}",
            "start",
        )
        self.vocabulary_size = vocabulary_size
        self.embedding_size = embedding_size
        self.cell = cell
        self.units = units
        self.depth = depth
        self.attention_type = attention
        self.input_feeding = input_feeding
        self.dropout = dropout
        self.tie_weights = tie_weights
        self.start = start
        self.scheduled_sampling = scheduled_sampling
        self.supports_masking = True
        # XLA cannot differentiate products of three axes by two inside a loop, which additive
        # attention is.
        self.supports_jit = attention != "bahdanau"
        self._runs_stepwise = input_feeding or attention == "bahdanau"
        self._make_layers()

    def _make_layers(self) -> None:
        # Not the global policy, which may be another when the layer is loaded.
        policy = self.dtype_policy
        # Unit variance after the sum over a tied output; Keras' default of ±0.05 learns far more
        # slowly.
        vectors: Any = keras.initializers.RandomNormal(stddev=self.embedding_size**-0.5)
        if self.tie_weights:
            self.embedding = keras.layers.ReversibleEmbedding(
                self.vocabulary_size,
                self.embedding_size,
                reverse_dtype="float32",
                embeddings_initializer=vectors,
                name="embedding",
                dtype=policy,
            )
        else:
            self.embedding = keras.layers.Embedding(
                self.vocabulary_size,
                self.embedding_size,
                embeddings_initializer=vectors,
                name="embedding",
                dtype=policy,
            )
            self.output_layer = keras.layers.Dense(
                self.vocabulary_size, dtype="float32", name="logits"
            )
        self.rnns = [
            CELLS[self.cell](
                self.units,
                return_sequences=True,
                return_state=True,
                name=f"rnn_{level + 1}",
                dtype=policy,
            )
            for level in range(self.depth)
        ]
        if self._runs_stepwise or self.scheduled_sampling:
            for rnn in self.rnns:
                # Only their cells are used; `diagnostics.gpu_kernels` shall say so.
                rnn.use_cudnn = False
        self.attention: Any = None
        if self.attention_type == "luong":
            self.attention = LuongAttention(name="attention", dtype=policy)
        elif self.attention_type == "bahdanau":
            self.attention = BahdanauAttention(self.units, name="attention", dtype=policy)
        width = self.embedding_size if self.tie_weights else self.units
        self.combine = keras.layers.Dense(width, activation="tanh", name="combine", dtype=policy)
        self.word_dropout = keras.layers.SpatialDropout1D(
            self.dropout, name="word_dropout", dtype=policy
        )
        self.output_dropout = keras.layers.SpatialDropout1D(
            self.dropout, name="output_dropout", dtype=policy
        )
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, input_shape: Any) -> None:
        _, memory, mask, _ = input_shape
        batch = memory[0]
        context = memory[-1] if self.attention else 0
        fed = 0  # width of what the first layer reads beside the word
        combined = self.units + context
        if self.attention_type == "bahdanau":
            fed = context
            combined += self.embedding_size
        elif self.input_feeding:
            fed = self.combine.units
        self.embedding.build((batch, None))
        for level, rnn in enumerate(self.rnns):
            rnn.build((batch, None, self.units if level else self.embedding_size + fed))
        if self.attention:
            self.attention.build(((batch, None, self.units), memory, mask))
        self.combine.build((batch, None, combined))
        if not self.tie_weights:
            self.output_layer.build((batch, None, self.combine.units))
        if self.scheduled_sampling:
            self.sampling_rate = self.add_weight(
                shape=(), initializer="zeros", trainable=False, name="sampling_rate"
            )

    def compute_output_spec(self, inputs: Any, training: bool = False) -> Any:
        target, *_ = inputs
        return keras.KerasTensor((*target.shape, self.vocabulary_size), "float32")

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return None

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        target, memory, mask, states = inputs
        first = ops.full_like(target[:, :1], self.start)
        previous: Tensor = ops.concatenate([first, target[:, :-1]], axis=1)
        state, constants = self.begin(memory, mask, states)
        if self._runs_stepwise or (self.scheduled_sampling and training):
            outputs = self._outputs_stepwise(previous, state, constants, training)
        else:
            outputs = self._outputs_at_once(previous, state, constants, training)
        return self._logits(self.output_dropout(outputs, training=training))

    def _outputs_at_once(self, previous, state, constants, training) -> Tensor:
        """Returns float[batch, t, width], all steps of a layer in one call."""
        outputs: Tensor = self.word_dropout(self.embedding(previous), training=training)
        for level, (rnn, initial) in enumerate(zip(self.rnns, state["cells"], strict=True)):
            if level:
                outputs = outputs * self._noise(previous, training)[:, None]
            outputs, *_ = rnn(outputs, initial_state=list(initial))
        if self.attention:
            context, _ = self.attention.attend(
                outputs, constants["keys"], constants["memory"], constants["mask"]
            )
            outputs = ops.concatenate([context, outputs], axis=-1)
        return self.combine(outputs)

    # One step at a time

    def begin(self, memory: Tensor, mask: Tensor, states: list) -> tuple[dict, dict | None]:
        """Returns (state, constants), with which `step` starts.

        The state holds float[batch, units] of each cell and, with input feeding, the last
        attentional vector. The constants are the memory, its keys and its mask, or None without
        attention. A beam search repeats the rows of the state; the constants stay as they are.

        Args:
            memory: outputs of the encoder, float[batch, time, m].
            mask: steps of the memory that are not padding, bool[batch, time].
            states: initial states; for each layer a list of float[batch, units].
        """
        cells = [[ops.cast(part, self.compute_dtype) for part in parts] for parts in states]
        state: dict[str, Any] = {"cells": cells}
        if self.input_feeding:
            rows: Tensor = ops.shape(memory)
            state["fed"] = ops.zeros((rows[0], self.combine.units), self.compute_dtype)
        if not self.attention:
            return state, None
        memory = ops.cast(memory, self.compute_dtype)
        return state, {"keys": self.attention.keys(memory), "memory": memory, "mask": mask}

    def step(self, tokens: Tensor, state: dict, constants: dict | None) -> tuple[Tensor, dict]:
        """Runs one step of decoding, without dropout: -> (logits float32[rows, vocabulary], state).

        Args:
            tokens: last words, int32[rows]. Rows are the batch of the constants, or a multiple of
                it with the beams of an example side by side.
            state: what `begin` or the last step returned.
            constants: what `begin` returned.
        """
        output, state, _ = self._advance(self.embedding(tokens), state, constants)
        return self._logits(output), state

    def attend_step(
        self, tokens: Tensor, state: dict, constants: dict | None
    ) -> tuple[Tensor, Tensor, dict]:
        """Runs one step as `step` does: -> (attention weights float32[rows, time], logits, state).

        Args:
            tokens: last words, int32[rows].
            state: what `begin` or the last step returned.
            constants: what `begin` returned.
        """
        output, state, weights = self._advance(self.embedding(tokens), state, constants)
        return weights, self._logits(output), state

    def _advance(self, word, state, constants, noise=None) -> tuple[Tensor, dict, Tensor]:
        """Returns (the output layer's input float[rows, width], the next state, the weights)."""
        weights = None
        if self.attention_type == "bahdanau":
            context, weights = self._attend_memory(state["cells"][-1][0], constants)
            x = ops.concatenate([word, context], axis=-1)
            x, cells = self._run_cells(x, state["cells"], noise)
            x = ops.concatenate([x, context, word], axis=-1)
        elif self.attention_type == "luong":
            x = ops.concatenate([word, state["fed"]], axis=-1) if self.input_feeding else word
            x, cells = self._run_cells(x, state["cells"], noise)
            context, weights = self._attend_memory(x, constants)
            x = ops.concatenate([context, x], axis=-1)
        else:
            x, cells = self._run_cells(word, state["cells"], noise)
        output = self.combine(x)
        following = {"cells": cells}
        if self.input_feeding:
            following["fed"] = output
        return output, following, weights

    def _run_cells(self, x, cells, noise) -> tuple[Tensor, list]:
        following = []
        for level, (rnn, parts) in enumerate(zip(self.rnns, cells, strict=True)):
            if level and noise is not None:
                x = x * noise[level - 1]
            x, parts = rnn.cell(x, list(parts))
            following.append(list(parts) if isinstance(parts, list | tuple) else [parts])
        return x, following

    def _attend_memory(self, query, constants) -> tuple[Tensor, Tensor]:
        # The beams of an example query its memory together: nothing is copied for them, and the
        # products are larger.
        memory = constants["memory"]
        rows: Tensor = ops.shape(query)
        batch: Tensor = ops.shape(memory)
        query = ops.reshape(query, (batch[0], -1, self.units))
        context, weights = self.attention.attend(
            query, constants["keys"], memory, constants["mask"]
        )
        context = ops.reshape(context, (rows[0], memory.shape[-1]))
        return context, ops.reshape(weights, (rows[0], -1))

    def _logits(self, outputs) -> Tensor:
        if not self.tie_weights:
            return self.output_layer(outputs)
        return self.embedding(outputs, reverse=True)

    def _noise(self, target, training) -> Tensor:
        rows: Tensor = ops.shape(target)
        ones: Tensor = ops.ones((rows[0], self.units), self.compute_dtype)
        if training and self.dropout:
            return keras.random.dropout(ones, self.dropout, seed=self.seed_generator)
        return ones

    def _outputs_stepwise(self, previous, state, constants, training) -> Tensor:
        """Returns float[batch, t, width], step by step; in training with scheduled sampling some
        input words are drawn from the decoder's own predictions."""
        time = tf.shape(previous)[1]
        noise = [self._noise(previous, training) for _ in self.rnns[1:]]
        vectors: Tensor = self.word_dropout(self.embedding(previous), training=training)
        words = tf.TensorArray(vectors.dtype, size=time)
        words = words.unstack(tf.transpose(vectors, [1, 0, 2]))
        sampled_word = None
        if self.scheduled_sampling and training:
            sampled_word = self._sampled_word(words, previous)
        outputs = tf.TensorArray(
            self.compute_dtype, size=time, element_shape=(None, self.combine.units)
        )

        def body(t, state, output, outputs):
            word = sampled_word(t, output) if sampled_word else words.read(t)
            output, state, _ = self._advance(word, state, constants, noise)
            return t + 1, state, output, outputs.write(t, output)

        nothing = tf.zeros([tf.shape(previous)[0], self.combine.units], self.compute_dtype)
        *_, outputs = tf.while_loop(
            lambda t, *_: t < time,
            body,
            (tf.constant(0), state, nothing, outputs),
            maximum_iterations=time,
        )
        return tf.transpose(outputs.stack(), [1, 0, 2])

    def _sampled_word(self, words: tf.TensorArray, previous) -> Callable[[Tensor, Tensor], Tensor]:
        """Returns the function (step, last output) -> input word vectors for scheduled sampling."""
        uniform: Tensor = keras.random.uniform(ops.shape(previous), seed=self.seed_generator)
        sampled: Tensor = uniform < ops.cast(self.sampling_rate, "float32")
        seed: Tensor = tf.cast(self.seed_generator.next(), tf.int32)
        ones = tf.ones([tf.shape(previous)[0], 1, self.embedding_size], self.compute_dtype)
        dropout: Tensor = self.word_dropout(ones, training=True)

        def input_word(t, output):
            word = words.read(t)
            guess: Tensor = tf.random.stateless_categorical(
                self._logits(output), 1, seed=seed + tf.stack([0, t]), dtype=tf.int32
            )
            drawn = self.embedding(guess[:, 0]) * dropout[:, 0]
            # Before the first step there is no prediction.
            return tf.where((sampled[:, t] & (t > 0))[:, None], drawn, word)

        return input_word

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_size": self.embedding_size,
            "cell": self.cell,
            "units": self.units,
            "depth": self.depth,
            "input_feeding": self.input_feeding,
            "dropout": self.dropout,
            "tie_weights": self.tie_weights,
            "start": self.start,
            "attention": self.attention_type,
            "scheduled_sampling": self.scheduled_sampling,
        }
