"""Listening to the recurrent layers of a model while it is called: what `diagnostics` measures
gradients with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.nn.tensors import Tensor

__all__ = [
    "Call",
    "check_padding",
    "chosen_calls",
    "held_layers",
    "projection",
    "recorded_calls",
    "states_kept",
    "with_mask",
]


def held_layers(
    layer: Any, wanted: Callable[[keras.Layer], bool], seen: set[int] | None = None
) -> Iterator[Any]:
    """Yields the outermost wanted layers in a layer, each once and in the model's order (Keras' own
    recursive list is partly backwards).

    Args:
        layer: model or layer to look in.
        wanted: whether a layer is wanted.
        seen: ids of layers that were looked in before.
    """
    seen = set() if seen is None else seen
    if id(layer) in seen:
        return
    seen.add(id(layer))
    if wanted(layer):
        yield layer
    else:
        for child in layer._flatten_layers(include_self=False, recursive=False):
            yield from held_layers(child, wanted, seen)


class Call(NamedTuple):
    """A call of a recurrent layer."""

    layer: Any
    sequence: Tensor  # float[batch, time, features]
    mask: Tensor  # bool[batch, time], or None
    outputs: Any


@contextmanager
def recorded_calls(
    layers: Sequence[Any], tape: tf.GradientTape, masks: Sequence[Any]
) -> Iterator[tuple[list[Call], list[Tensor]]]:
    """Records the calls of layers, in order, with the arguments that Keras gave them: an implicit
    mask is there, too.

    The model itself is called: a clone of it with a probe would be possible for functional models
    without nested models only, and would leave a trace in the layers that it shares.

    Args:
        layers: recurrent layers.
        tape: tape that watches their inputs.
        masks: masks of the model, and layers that make masks.

    Yields:
        The calls, and the masks; both lists grow as the model is called.
    """
    calls: list[Call] = []
    graph = tf.compat.v1.get_default_graph()
    makers = [mask for mask in masks if isinstance(mask, keras.Layer)]
    made = [mask for mask in masks if not isinstance(mask, keras.Layer)]

    def noting(call: Callable) -> Callable:
        def note(inputs: Any) -> Any:
            outputs = call(inputs)
            made.append(outputs[1] if isinstance(outputs, tuple) else outputs)
            return outputs

        return note

    def listening(layer: Any, call: Callable) -> Callable:
        def listen(
            sequences: Any, initial_state: Any = None, mask: Any = None, **others: Any
        ) -> Any:
            # A copy: what flows around the layer must not count as its input.
            sequences = tf.identity(sequences)
            tape.watch(sequences)
            outputs = call(sequences, initial_state=initial_state, mask=mask, **others)
            # No gradient can be taken out of a loop, which has a graph of its own.
            if sequences.graph is graph:
                calls.append(Call(layer, sequences, mask, outputs))
            return outputs

        return listen

    try:
        for layer in layers:
            layer.call = listening(layer, layer.call)
        for layer in makers:
            layer.call = noting(layer.call)
        yield calls, made
    finally:
        for layer in (*layers, *makers):
            del layer.call


@contextmanager
def states_kept(model: keras.Model) -> Iterator[None]:
    """Puts the states that layers carry between batches back at the end."""
    before = [(variable, tf.identity(variable.value)) for variable in model.non_trainable_variables]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def with_mask(
    call: Call, model: keras.Model, made: Sequence[Any], lengths: Sequence[int] | None
) -> Call:
    """Returns the call with the mask of its sequence, bool[batch, time].

    Args:
        call: call of a recurrent layer.
        model: model that called the layer.
        made: masks that the model made.
        lengths: true lengths of the sequences; by default what the masks say.

    Raises:
        InputError: lengths that are not those of the batch.
    """
    shape = call.sequence.shape[:2]
    mask = call.mask
    if lengths is not None:
        counts = np.asarray(lengths)
        if counts.shape != (shape[0],) or counts.min() < 1 or counts.max() > shape[1]:
            raise InputError(
                f"lengths must be {shape[0]} numbers from 1 to {shape[1]}; received "
                f"{counts.tolist()}"
            )
        mask = tf.sequence_mask(counts, shape[1])
    # `recurrent.rnn_stack` spares its layers the mask. A layer held by another layer, as in a
    # decoder, reads a sequence of its own.
    elif mask is None and any(layer is call.layer for layer in _called_by(model)):
        mask = next((mask for mask in reversed(made) if mask.shape == shape), None)
    if mask is None:
        size: Tensor = tf.shape(call.sequence)
        return call._replace(mask=tf.ones(size[:2], tf.bool))
    return call._replace(mask=tf.cast(mask, tf.bool))


def _called_by(model: keras.Model) -> Iterator[Any]:
    """The layers that a model calls itself, through models and wrappers in it."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _called_by(layer)
        elif isinstance(layer, keras.layers.Wrapper):
            yield layer.layer


def chosen_calls(calls: list[Call], name: str | None) -> tuple[Call, Call]:
    """Returns the call whose input is measured, and the last call. A layer that is called several
    times has no single sequence.

    Args:
        calls: calls of a model.
        name: name of the layer that is measured; by default the first that is called once.

    Raises:
        InputError: no call that can be measured.
    """
    once = [call for call in calls if sum(other.layer is call.layer for other in calls) == 1]
    chosen = [call for call in once if name in (None, call.layer.name)]
    if not chosen:
        which = "every recurrent layer" if name is None else f"layer {name!r}"
        raise InputError(
            f"{which} is called several times (shared, or in TimeDistributed), in a loop or never: "
            "it has no single sequence"
        )
    return chosen[0], once[-1]


def check_padding(mask: np.ndarray, name: str) -> None:
    """Checks that a mask, bool[batch, time], is right-padded and has a step in every row.

    Args:
        mask: mask of a layer.
        name: name of the layer, for messages.

    Raises:
        InputError: the rows that are wrong.
    """
    lengths = mask.sum(axis=1)
    right_padded = np.arange(mask.shape[1]) < lengths[:, None]
    wrong = np.flatnonzero((lengths == 0) | (mask != right_padded).any(axis=1))
    if wrong.size:
        raise InputError(
            f"layer {name!r} received a mask that is not right-padded, or without a step, in rows "
            f"{listing(wrong)} of the batch"
        )


def projection(call: Call) -> Tensor:
    """Returns a fixed random projection of the last true step of what a layer puts out:
    float[batch]."""
    both = getattr(call.layer, "merge_mode", "concat") is None
    outputs = keras.tree.flatten(call.outputs)[: 2 if both else 1]
    if call.layer.return_sequences:
        last: Tensor = tf.maximum(tf.reduce_sum(tf.cast(call.mask, tf.int32), axis=1) - 1, 0)
        outputs = [tf.gather(output, last, batch_dims=1) for output in outputs]
    flat = [tf.reshape(output, (-1, np.prod(output.shape[1:]))) for output in outputs]
    state: Tensor = tf.concat(flat, axis=1)
    direction = np.random.default_rng(0).normal(size=state.shape[1])
    return tf.linalg.matvec(state, tf.constant(direction / np.linalg.norm(direction), state.dtype))
