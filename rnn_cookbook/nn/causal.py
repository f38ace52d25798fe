"""Which layers can be streamed: what a layer says of itself, and what Keras' layers do."""

from __future__ import annotations

from math import prod
from typing import Any

import keras

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.masking import ReverseSequence
from rnn_cookbook.nn.recurrent_layers import CarriedState
from rnn_cookbook.nn.tensors import Tensor

__all__ = ["RECURRENT", "is_stepwise", "marks_boundaries", "stateful_layer", "stream_drops"]

RECURRENT = (keras.layers.SimpleRNN, keras.layers.LSTM, keras.layers.GRU)

# Layers of Keras whose output at a step depends on that step alone, unless a setting has them mix
# steps (`_mixes_steps`). Every other layer says so itself, by a class attribute `stepwise = True`.
_KERAS_STEPWISE = (
    keras.layers.Activation,
    keras.layers.Add,
    keras.layers.Concatenate,
    keras.layers.Dense,
    keras.layers.Dropout,
    keras.layers.Embedding,
    keras.layers.LayerNormalization,
    keras.layers.Normalization,
    keras.layers.Reshape,
    keras.layers.SpatialDropout1D,
)

_ACTIVATIONS = {function for function in vars(keras.activations).values() if callable(function)}


def is_stepwise(layer: keras.Layer) -> bool:
    """Returns whether a layer says that its output at a step depends on that step alone.

    A layer says so by a class attribute `stepwise = True`, and then streams without a state. Layers
    of Keras, which cannot say it, are known here.
    """
    return isinstance(layer, _KERAS_STEPWISE) or getattr(layer, "stepwise", False)


def _mixes_steps(layer: keras.Layer) -> str:
    """The setting by which a stepwise layer looks beyond a step; "" where it does not."""
    shape: Any = keras.tree.flatten(layer.input)[0].shape
    axes = keras.tree.flatten(getattr(layer, "axis", None) or -1)
    if any(axis % len(shape) < 2 for axis in axes) and len(shape) > 2:
        return f"axis={axes if len(axes) > 1 else axes[0]}"
    activation = getattr(layer, "activation", None)
    if activation is not None and activation not in _ACTIVATIONS:
        return f"an activation that is none of Keras' own, {activation}"
    if isinstance(layer, keras.layers.Reshape):
        target = layer.target_shape
        if target[0] != -1 or prod(target[1:]) != prod(shape[2:]):
            return f"target_shape={target}"
    return ""


def stateful_layer(layer: keras.Layer) -> keras.Layer | None:
    """Returns the layer whose state a stream carries; None for a layer that needs no state.

    Raises:
        InputError: a layer that reads the future, or is not known to be causal.
    """
    if isinstance(layer, CarriedState):
        return layer.layer
    if isinstance(layer, RECURRENT):
        if not (layer.return_sequences and layer.return_state) or layer.go_backwards:
            raise InputError(
                f"layer {layer.name!r} must return sequences and states, and read forwards, to be "
                "streamed"
            )
        return layer
    if hasattr(layer, "stream"):
        return layer
    if isinstance(layer, keras.layers.InputLayer):
        return None
    kind = type(layer).__name__
    if is_stepwise(layer):
        setting = _mixes_steps(layer)
        if setting:
            raise InputError(
                f"layer {layer.name!r} ({kind}) mixes steps, or may do so, by {setting}: it cannot "
                "be streamed"
            )
        return None
    two_way = isinstance(layer, keras.layers.Bidirectional | ReverseSequence)
    reason = "reads the future" if two_way else "is not known to be causal"
    raise InputError(
        f"layer {layer.name!r} ({kind}) {reason}: only causal models stream. Accepted are "
        "unidirectional recurrent layers, layers that treat every step alone, and those with a "
        "method `stream`"
    )


def stream_drops(layer: keras.Layer) -> tuple[int, ...]:
    """Returns the numbers of the layer's inputs that only say where sequences begin and end, which
    a stream does not need."""
    if isinstance(layer, CarriedState):
        return (1,)
    return getattr(layer, "stream_drops", ())


def marks_boundaries(model: keras.Model, tensor: Tensor) -> bool:
    """Returns whether an input is used only to say where sequences begin and end."""
    uses = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        # `layer.input` is that of its first call, which another model may have made of shared
        # layers.
        for node in layer._inbound_nodes:
            for number, given in enumerate(node.input_tensors):
                if given is tensor:
                    uses.append(number in stream_drops(layer))
    return bool(uses) and all(uses)
