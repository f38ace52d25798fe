"""Attention over a memory: multiplicative (Luong) and additive (Bahdanau)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.tensors import Tensor

__all__ = ["ATTENTIONS", "BahdanauAttention", "LuongAttention"]

ATTENTIONS = ("luong", "bahdanau", "none")

# Score of a padded memory step, before the softmax. Finite: a softmax over infinities has gradients
# that are not numbers.
_PADDING_SCORE = -1e9


class _Attention(keras.layers.Layer):
    """Computes the weighted mean of a memory for each query; subclasses define the score.

    (float[batch, queries, q] query, float[batch, time, m] memory, bool[batch, time] mask) ->
    (float[batch, queries, m] context, float[batch, queries, time] weights). The weights are 0 at
    padding and sum to one over the other steps of the memory.

    Where queries come step by step, compute `keys(memory)` once and call `attend(query, keys,
    memory, mask)`.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def keys(self, memory: Tensor) -> Tensor:
        """Returns the part of the score that does not depend on the query."""
        raise NotImplementedError

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        """Returns float[batch, queries, time], before the softmax."""
        raise NotImplementedError

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return [None, None]

    def call(self, inputs: Any) -> Tensor:
        query, memory, mask = inputs
        return self.attend(query, self.keys(memory), memory, mask)

    def attend(
        self, query: Tensor, keys: Tensor, memory: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns context and weights as the layer does, from keys that are computed already."""
        scores: Tensor = ops.cast(self.score(query, keys), "float32")
        scores = ops.where(mask[:, None], scores, _PADDING_SCORE)
        peak: Tensor = ops.max(scores, axis=-1, keepdims=True)
        # Written out: Keras' own softmax warns about memories of one step.
        weights: Tensor = ops.exp(scores - peak)
        weights = weights / ops.sum(weights, axis=-1, keepdims=True)
        return ops.matmul(ops.cast(weights, memory.dtype), memory), weights

    def compute_output_spec(self, inputs: Any) -> Any:
        query, memory, _ = inputs
        context = (*query.shape[:2], memory.shape[-1])
        weights = (*query.shape[:2], memory.shape[1])
        return (
            keras.KerasTensor(context, self.compute_dtype),
            keras.KerasTensor(weights, "float32"),
        )


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class LuongAttention(_Attention):
    """Attends by a multiplicative score, query · W memory / √q (Luong et al. 2015, "general").

    The root of the width keeps the softmax of wide states from starting all or nothing (Vaswani et
    al. 2017). All queries take one matrix product. Inputs and outputs: float[batch, queries, q]
    query, float[batch, time, m] memory, bool[batch, time] mask -> float[batch, queries, m] context,
    float[batch, queries, time] weights.
    """

    def build(self, input_shape: Any) -> None:
        query, memory, _ = input_shape
        self.kernel = self.add_weight(
            shape=(memory[-1], query[-1]), initializer="glorot_uniform", name="kernel"
        )

    def keys(self, memory: Tensor) -> Tensor:
        """Returns W memory / √q: float[batch, time, q]."""
        keys: Tensor = ops.matmul(memory, ops.cast(self.kernel, self.compute_dtype))
        return keys / self.kernel.shape[1] ** 0.5

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        """Returns the products of queries and keys: float[batch, queries, time]."""
        return ops.matmul(query, ops.swapaxes(keys, 1, 2))


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class BahdanauAttention(_Attention):
    """Attends by an additive score, v · tanh(W query + U memory + b) (Bahdanau et al. 2015).

    Costs a tanh of `units` numbers for every pair of query and memory step. Inputs and outputs:
    float[batch, queries, q] query, float[batch, time, m] memory, bool[batch, time] mask ->
    float[batch, queries, m] context, float[batch, queries, time] weights.

    Args:
        units: width of the sum inside the tanh.

    Raises:
        InputError: `units` is below 1.
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        if units < 1:
            raise InputError(f"units must be at least 1; received {units}", field="units")
        self.units = units

    def build(self, input_shape: Any) -> None:
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

    def keys(self, memory: Tensor) -> Tensor:
        """Returns U memory + b: float[batch, time, units]."""
        keys: Tensor = ops.matmul(memory, ops.cast(self.memory_kernel, self.compute_dtype))
        return keys + ops.cast(self.bias, self.compute_dtype)

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        """Returns v · tanh(W query + keys): float[batch, queries, time]."""
        projected: Tensor = ops.matmul(query, ops.cast(self.query_kernel, self.compute_dtype))
        hidden = ops.tanh(projected[:, :, None] + keys[:, None])
        scores: Tensor = ops.matmul(hidden, ops.cast(self.vector, self.compute_dtype))
        return scores[..., 0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}
