"""Pooling over time that leaves padding out."""

from collections.abc import Sequence

import keras
from keras import ops

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.masking import ExplicitMask

POOLINGS = ("last", "mean", "max", "attention")


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class MaskedPooling(ExplicitMask):
    """One vector a sequence from all its steps, padding left out.

    (float[batch, time, features], bool[batch, time]) -> float[batch, features * len(modes)]

    Args:
        modes: one or several, as a list or joined by +, of "last" (the last step that is not
            padding), "mean", "max", and "attention" (a learned softmax over the steps: Yang et al.
            2016, "Hierarchical Attention Networks"); the results are concatenated.
        bidirectional: the second half of the features was read from the end: their "last" step is
            the first one. (At the last step a backward layer has read a single step.)
    """

    def __init__(self, modes: Sequence[str] = ("max",), *, bidirectional: bool = False, **kwargs):
        super().__init__(**kwargs)
        modes = modes.split("+") if isinstance(modes, str) else modes
        unknown = [mode for mode in modes if mode not in POOLINGS]
        if unknown or not modes:
            raise InputError(
                f"unknown pooling {', '.join(unknown) or 'none'}; accepted are {', '.join(POOLINGS)}, joined by +"
            )
        self.modes, self.bidirectional = tuple(modes), bidirectional
        # No bias: a softmax does not see what is added to all scores.
        self.score = (
            keras.layers.Dense(1, use_bias=False, dtype=self.dtype_policy, name="score")
            if "attention" in modes
            else None
        )

    def build(self, input_shape):
        self._width = input_shape[0][-1]
        if self.score is not None:
            self.score.build(input_shape[0])

    def call(self, inputs):
        sequence, mask = inputs
        return ops.concatenate(
            [getattr(self, f"_{mode}")(sequence, mask) for mode in self.modes], axis=-1
        )

    def stream_states(self):
        # All states start as zeros; `count` tells those zeros from seen ones.
        width = (self._width,)
        own = {"last": {"last": width}, "mean": {"sum": width}, "max": {"max": width}}
        own["attention"] = {"peak": (1,), "weight": (1,), "weighted": width}
        return {
            "count": (1,),
            **{name: shape for mode in self.modes for name, shape in own[mode].items()},
        }

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
                step = ops.squeeze(
                    ops.take_along_axis(sequence, last[:, None, None], axis=1), axis=1
                )
                new["last"] = ops.where(here, ops.cast(step, "float32"), old["last"])
                pooled.append(new["last"])
            elif mode == "mean":
                new["sum"] = old["sum"] + ops.sum(ops.cast(sequence, "float32") * valid, axis=1)
                pooled.append(new["sum"] / ops.maximum(count, 1.0))
            elif mode == "max":
                highest = ops.cast(self._max(sequence, mask), "float32")
                new["max"] = ops.where(
                    seen, ops.where(here, ops.maximum(old["max"], highest), old["max"]), highest
                )
                pooled.append(new["max"])
            else:
                scores = _hide(ops.cast(self.score(sequence), "float32"), mask[..., None])
                peak = ops.max(scores, axis=1)
                peak = ops.where(seen, ops.maximum(old["peak"], peak), peak)
                fade = ops.where(seen, ops.exp(old["peak"] - peak), 0.0)
                weights = ops.exp(scores - peak[:, None]) * valid
                new["peak"], new["weight"] = peak, old["weight"] * fade + ops.sum(weights, axis=1)
                new["weighted"] = old["weighted"] * fade + ops.sum(
                    ops.cast(sequence, "float32") * weights, axis=1
                )
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
        return {
            **super().get_config(),
            "modes": list(self.modes),
            "bidirectional": self.bidirectional,
        }


def _weighted(sequence, weights, mask):
    # In float32: sums over thousands of steps run out of half precision.
    steps = ops.where(mask[..., None], ops.cast(sequence, "float32"), 0.0)
    return ops.cast(ops.sum(steps * weights, axis=1) / ops.sum(weights, axis=1), sequence.dtype)


def _hide(values, mask):
    # The lowest half-precision number, not minus infinity: a softmax over infinities has gradients
    # that are not numbers.
    return ops.where(mask, values, ops.cast(-65504.0, values.dtype))
