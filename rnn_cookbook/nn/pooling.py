"""Pooling over time that leaves padding out, and its counterpart, a vector repeated over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.masking import ExplicitMask
from rnn_cookbook.nn.tensors import Tensor

__all__ = ["POOLINGS", "MaskedPooling", "RepeatOver"]

POOLINGS = ("last", "mean", "max", "attention")

# The lowest half-precision number, not minus infinity: a softmax over infinities has gradients that
# are not numbers.
_LOWEST = -65504.0

# The sum of the attention weights before the first step: 0 divided by it is 0.
_MIN_WEIGHT = 1e-30


def _hide(values: Tensor, mask: Tensor) -> Tensor:
    return ops.where(mask, values, ops.cast(_LOWEST, values.dtype))


def _weighted(sequence: Tensor, weights: Tensor, mask: Tensor) -> Tensor:
    # In float32: sums over thousands of steps run out of half precision.
    steps = ops.where(mask[..., None], ops.cast(sequence, "float32"), 0.0)
    total: Tensor = ops.sum(steps * weights, axis=1)
    return ops.cast(total / ops.sum(weights, axis=1), sequence.dtype)


def _last_step(sequence: Tensor, mask: Tensor) -> Tensor:
    count: Tensor = ops.sum(ops.cast(mask, "int32"), axis=1)
    last: Tensor = ops.maximum(count - 1, 0)  # a row may have no step in the chunk of a stream
    return ops.squeeze(ops.take_along_axis(sequence, last[:, None, None], axis=1), axis=1)


def _max(sequence: Tensor, mask: Tensor) -> Tensor:
    return ops.max(_hide(sequence, mask[..., None]), axis=1)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class MaskedPooling(ExplicitMask):
    """Pools the steps of each sequence into one vector, padding left out.

    (float[batch, time, features], bool[batch, time]) -> float[batch, features * len(modes)]

    Args:
        modes: one or several, as a list or joined by +, of "last" (the last step that is not
            padding), "mean", "max", and "attention" (a learned softmax over the steps: Yang et al.
            2016, "Hierarchical Attention Networks"); the results are concatenated.
        bidirectional: whether the second half of the features was read from the end: their "last"
            step is then the first step. (At the last step a backward layer has read a single step.)

    Raises:
        InputError: no mode, or an unknown mode.
    """

    def __init__(
        self, modes: Sequence[str] | str = ("max",), *, bidirectional: bool = False, **kwargs
    ):
        super().__init__(**kwargs)
        modes = modes.split("+") if isinstance(modes, str) else modes
        unknown = [mode for mode in modes if mode not in POOLINGS]
        if unknown or not modes:
            raise InputError(
                f"unknown pooling {', '.join(unknown) or 'none'}; accepted are "
                f"{', '.join(POOLINGS)}, joined by +",
                field="pooling",
            )
        self.modes = tuple(modes)
        self.bidirectional = bidirectional
        self.score = None
        if "attention" in modes:
            # No bias: a softmax does not see what is added to all scores.
            self.score = keras.layers.Dense(
                1, use_bias=False, dtype=self.dtype_policy, name="score"
            )

    def build(self, input_shape: Any) -> None:
        self._width = input_shape[0][-1]
        if self.score is not None:
            self.score.build(input_shape[0])

    def call(self, inputs: Any) -> Tensor:
        sequence, mask = inputs
        pooling = {
            "last": self._last,
            "mean": self._mean,
            "max": _max,
            "attention": self._attention,
        }
        return ops.concatenate([pooling[mode](sequence, mask) for mode in self.modes], axis=-1)

    def _last(self, sequence: Tensor, mask: Tensor) -> Tensor:
        step = _last_step(sequence, mask)
        if not self.bidirectional:
            return step
        half = sequence.shape[-1] // 2
        return ops.concatenate([step[:, :half], sequence[:, 0, half:]], axis=-1)

    def _mean(self, sequence: Tensor, mask: Tensor) -> Tensor:
        weights: Tensor = ops.cast(mask, "float32")
        return _weighted(sequence, weights[..., None], mask)

    def _scores(self, sequence: Tensor, mask: Tensor) -> Tensor:
        assert self.score is not None
        return _hide(ops.cast(self.score(sequence), "float32"), mask[..., None])

    def _attention(self, sequence: Tensor, mask: Tensor) -> Tensor:
        # A softmax over time, written out: Keras' own warns about sequences of one step.
        scores = self._scores(sequence, mask)
        return _weighted(sequence, ops.exp(scores - ops.max(scores, axis=1, keepdims=True)), mask)

    def compute_output_shape(self, input_shape: Any) -> Any:
        sequence, _ = input_shape
        return (sequence[0], sequence[-1] * len(self.modes))

    def stream_states(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of the states of a stream, see `nn.streaming`.

        All states start as zeros; "count", the number of steps so far, tells whether they stand for
        steps.
        """
        width = (self._width,)
        states = {
            "last": {"last": width},
            "mean": {"sum": width},
            "max": {"max": width},
            "attention": {"peak": (1,), "weight": (1,), "weighted": width},
        }
        shapes: dict[str, tuple[int, ...]] = {"count": (1,)}
        for mode in self.modes:
            shapes.update(states[mode])
        return shapes

    def stream(self, inputs: Tensor, states: dict[str, Tensor]) -> tuple[Any, dict[str, Tensor]]:
        """Pools all steps so far: the chunk's own pooling, joined with the states."""
        sequence, mask = inputs
        old: dict[str, Tensor] = {
            name: ops.cast(state, "float32") for name, state in states.items()
        }
        steps: Tensor = ops.cast(sequence, "float32")
        mask_as_weights: Tensor = ops.cast(mask, "float32")
        valid = mask_as_weights[..., None]
        seen = old["count"] > 0
        any_step: Tensor = ops.any(mask, axis=1)
        here = any_step[:, None]
        count = old["count"] + ops.sum(valid, axis=1)
        new = {"count": count}
        pooled = []
        for mode in self.modes:
            if mode == "last":
                last = ops.cast(_last_step(sequence, mask), "float32")
                new["last"] = ops.where(here, last, old["last"])
                pooled.append(new["last"])
            elif mode == "mean":
                new["sum"] = old["sum"] + ops.sum(steps * valid, axis=1)
                pooled.append(new["sum"] / ops.maximum(count, 1.0))
            elif mode == "max":
                highest = ops.cast(_max(sequence, mask), "float32")
                joined = ops.where(here, ops.maximum(old["max"], highest), old["max"])
                new["max"] = ops.where(seen, joined, highest)
                pooled.append(new["max"])
            else:
                scores = self._scores(sequence, mask)
                new |= self._streamed_attention(steps, scores, valid, old, seen)
                pooled.append(new["weighted"] / ops.maximum(new["weight"], _MIN_WEIGHT))
        return ops.cast(ops.concatenate(pooled, axis=-1), sequence.dtype), new

    def _streamed_attention(
        self, steps: Tensor, scores: Tensor, valid: Tensor, old: dict[str, Tensor], seen: Tensor
    ) -> dict[str, Tensor]:
        """Returns the new states of "attention": weights relative to the highest score so far."""
        peak: Tensor = ops.max(scores, axis=1)
        peak = ops.where(seen, ops.maximum(old["peak"], peak), peak)
        fade: Tensor = ops.where(seen, ops.exp(old["peak"] - peak), 0.0)
        weights: Tensor = ops.exp(scores - peak[:, None]) * valid
        return {
            "peak": peak,
            "weight": old["weight"] * fade + ops.sum(weights, axis=1),
            "weighted": old["weighted"] * fade + ops.sum(steps * weights, axis=1),
        }

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "modes": list(self.modes),
            "bidirectional": self.bidirectional,
        }


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class RepeatOver(ExplicitMask):
    """Repeats a vector at every step of a sequence: (float[batch, size], float[batch, time,
    features]) -> float[batch, time, size]."""

    def call(self, inputs: Any) -> Tensor:
        vector, sequence = inputs
        shape: Tensor = ops.shape(sequence)
        return ops.repeat(vector[:, None], shape[1], axis=1)

    def compute_output_spec(self, inputs: Any) -> Any:
        vector, sequence = inputs
        shape = (vector.shape[0], sequence.shape[1], vector.shape[1])
        return keras.KerasTensor(shape, vector.dtype)
