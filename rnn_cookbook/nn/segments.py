"""Long sequences read in segments side by side."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.masking import ExplicitMask, with_first_step
from rnn_cookbook.nn.tensors import Tensor

__all__ = ["JoinSegments", "SplitSegments"]


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class SplitSegments(ExplicitMask):
    """Cuts long sequences into segments that a recurrent layer reads side by side, as rows of the
    batch.

    (float[batch, time, features], bool[batch, time]) -> (float[batch * segments, length, features],
    bool[batch * segments, length])

    Johnson and Zhang (2016, "Supervised and Semi-Supervised Text Categorization using LSTM for
    Region Embeddings") do this to documents. The recurrent layer takes `length` steps instead of
    `time`, each on a larger matrix, and gradients travel `length` steps at most; what is lost is
    context across the cuts. `JoinSegments` puts the result together again.

    A segment that is padding throughout gets a mask with its first step True, since the fast GPU
    kernels raise on rows without a step; pooling with the true mask ignores it.

    Args:
        length: steps of a segment.

    Raises:
        InputError: the length is below 1.
    """

    makes_mask = True

    def __init__(self, length: int, **kwargs):
        super().__init__(**kwargs)
        if length < 1:
            raise InputError(f"the length of a segment must be at least 1; received {length}")
        self.length = length

    def call(self, inputs: Any) -> Tensor:
        sequence, mask = inputs
        shape: Tensor = ops.shape(sequence)
        time = shape[1]
        # No remainder of a negative number: ONNX has another one.
        missing = (time + self.length - 1) // self.length * self.length - time
        padded = ops.pad(sequence, [[0, 0], [0, missing], [0, 0]])
        segments = ops.reshape(padded, (-1, self.length, sequence.shape[-1]))
        mask = ops.reshape(ops.pad(mask, [[0, 0], [0, missing]]), (-1, self.length))
        return segments, with_first_step(mask)

    def compute_output_spec(self, inputs: Any) -> Any:
        sequence, _ = inputs
        segments = keras.KerasTensor((None, self.length, sequence.shape[-1]), sequence.dtype)
        return segments, keras.KerasTensor((None, self.length), "bool")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "length": self.length}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class JoinSegments(ExplicitMask):
    """Undoes `SplitSegments`: (float[batch * segments, length, features], bool[batch, time]) ->
    float[batch, time, features]."""

    def call(self, inputs: Any) -> Tensor:
        segments, mask = inputs
        shape: Tensor = ops.shape(mask)
        batch = shape[0]
        time = shape[1]
        length = segments.shape[1]
        count = (time + length - 1) // length
        joined: Tensor = ops.reshape(segments, (batch, count * length, segments.shape[2]))
        return joined[:, :time]

    def compute_output_spec(self, inputs: Any) -> Any:
        segments, mask = inputs
        return keras.KerasTensor((*mask.shape, segments.shape[-1]), segments.dtype)
