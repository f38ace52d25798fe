"""Long sequences read in segments side by side."""

import keras
from keras import ops

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.masking import ExplicitMask


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
    """

    makes_mask = True

    def __init__(self, length: int, **kwargs):
        super().__init__(**kwargs)
        if length < 1:
            raise InputError(f"a segment must be one step or longer, got {length}")
        self.length = length

    def call(self, inputs):
        sequence, mask = inputs
        time = ops.shape(sequence)[1]
        missing = (
            time + self.length - 1
        ) // self.length * self.length - time  # no remainder of a negative number: ONNX has another
        sequence = ops.pad(sequence, [[0, 0], [0, missing], [0, 0]])
        mask = ops.reshape(ops.pad(mask, [[0, 0], [0, missing]]), (-1, self.length))
        mask = ops.concatenate([ops.ones_like(mask[:, :1]), mask[:, 1:]], axis=1)
        return ops.reshape(sequence, (-1, self.length, sequence.shape[-1])), mask

    def compute_output_spec(self, inputs):
        sequence, _ = inputs
        return keras.KerasTensor(
            (None, self.length, sequence.shape[-1]), sequence.dtype
        ), keras.KerasTensor((None, self.length), "bool")

    def get_config(self):
        return {**super().get_config(), "length": self.length}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class JoinSegments(ExplicitMask):
    """Undoes `SplitSegments`: (float[batch * segments, length, features], bool[batch, time]) ->
    float[batch, time, features]."""

    def call(self, inputs):
        segments, mask = inputs
        batch, time = ops.shape(mask)[0], ops.shape(mask)[1]
        count = (time + segments.shape[1] - 1) // segments.shape[1]
        return ops.reshape(segments, (batch, count * segments.shape[1], segments.shape[2]))[
            :, :time
        ]

    def compute_output_spec(self, inputs):
        segments, mask = inputs
        return keras.KerasTensor((*mask.shape, segments.shape[-1]), segments.dtype)
