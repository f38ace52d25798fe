"""Causal models as step functions with explicit state: a stream in chunks of any size gives what
the whole would give, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.causal import RECURRENT, marks_boundaries, stateful_layer, stream_drops
from rnn_cookbook.nn.recurrent_layers import CarriedState
from rnn_cookbook.nn.tensors import Tensor

__all__ = [
    "Step",
    "Stream",
    "delay_of",
    "initial_states",
    "streaming_model",
    "stride_of",
    "token_step",
]


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class Step(keras.layers.Wrapper):
    """A layer with its state outside: (inputs, states) -> (outputs, states). States are
    dictionaries of tensors, zeros in the beginning.

    It wraps SimpleRNN, LSTM and GRU, and every layer with two methods: `stream_states()`, name ->
    shape of a state without the batch, and `stream(inputs, states) -> (outputs, states)`. A layer
    that waits for the future has an attribute `stream_delay`, the number of steps by which its
    outputs are late; once its state "ended" is 1 it ignores further steps. A row whose sequence has
    ended may be fed padding; it cannot pause and continue, since not all layers are told where
    padding is.

    Args:
        layer: layer to stream.
    """

    def __init__(self, layer: Any, **kwargs):
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        if not self.layer.built:
            inputs, _ = input_shape
            self.layer.build(inputs[0] if isinstance(self.layer, RECURRENT) else inputs)

    def stream_states(self) -> dict[str, tuple[int, ...]]:
        """Returns name -> shape of each state, without the batch."""
        if isinstance(self.layer, RECURRENT):
            return {f"state_{i}": (size,) for i, size in enumerate(self.layer.state_size)}
        return self.layer.stream_states()

    def call(self, inputs: tuple[Any, Mapping[str, Tensor]]) -> tuple[Any, dict[str, Tensor]]:
        given, states = inputs
        if not isinstance(self.layer, RECURRENT):
            return self.layer.stream(given, states)
        sequence, *masks = given
        before = [ops.cast(states[name], self.compute_dtype) for name in self.stream_states()]
        if not masks:
            outputs, *after = self.layer(sequence, initial_state=before)
        else:
            # The fast GPU kernels raise on a row without a step: it takes one, which is then
            # undone.
            mask: Tensor = masks[0]
            steps = ops.concatenate([ops.ones_like(mask[:, :1]), mask[:, 1:]], axis=1)
            outputs, *after = self.layer(sequence, initial_state=before, mask=steps)
            took: Tensor = ops.any(mask, axis=1)
            after = [
                ops.where(took[:, None], new, old) for new, old in zip(after, before, strict=True)
            ]
        return outputs, {
            name: ops.cast(state, "float32")
            for name, state in zip(self.stream_states(), after, strict=True)
        }

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None


def _inputs(layer: keras.Layer, args: tuple, kwargs: Mapping[str, Any]) -> Any:
    """The inputs of a layer's call as `Step` takes them."""
    if isinstance(layer, RECURRENT):
        mask = kwargs.get("mask")
        return args if mask is None else (*args, mask)
    if isinstance(layer, CarriedState):
        sequence, _, mask = args[0]
        return (sequence,) if mask is None else (sequence, mask)
    drops = stream_drops(layer)
    if not drops:
        return args[0]
    return tuple(x for number, x in enumerate(args[0]) if number not in drops)


class _Unrolling:
    """The calls of a model's layers, repeated with their states outside."""

    def __init__(self, states: Mapping[str, keras.KerasTensor]):
        self.states = states  # before the chunk
        self.after: dict[str, Any] = {}
        self.delays: dict[Any, int] = {}  # steps by which a tensor is late
        self.called: set[str] = set()

    def call(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls a layer as the model does, or its step."""
        inner: Any = stateful_layer(layer)
        late = {
            self.delays.get(x, 0)
            for x in keras.tree.flatten((args, kwargs))
            if isinstance(x, keras.KerasTensor) and x.dtype != "bool"
        }
        if len(late) > 1 or (any(late) and inner is not None):
            raise InputError(
                f"layer {layer.name!r} reads what comes late, above a LookAhead, with a state of "
                "its own or beside what does not; accepted there are layers that treat every step "
                "alone"
            )
        outputs = (
            layer(*args, **kwargs) if inner is None else self._step(layer, inner, args, kwargs)
        )
        delay = max(late, default=0) + getattr(inner, "stream_delay", 0)
        self.delays.update(dict.fromkeys(keras.tree.flatten(outputs), delay))
        return outputs

    def _step(self, layer: Any, inner: Any, args: tuple, kwargs: Mapping[str, Any]) -> Any:
        if layer.name in self.called or kwargs.get("initial_state") is not None:
            raise InputError(
                f"layer {layer.name!r} gets its state from elsewhere in the model: it cannot be "
                "streamed"
            )
        self.called.add(layer.name)
        names = Step(inner).stream_states()
        own = {name: self.states[f"{layer.name}.{name}"] for name in names}
        step = Step(inner, name=f"{layer.name}_step")
        outputs, new = step((_inputs(layer, args, kwargs), own))
        self.after.update({f"{layer.name}.{name}": new[name] for name in names})
        return [outputs, *new.values()] if isinstance(inner, RECURRENT) else outputs


def streaming_model(model: keras.Model) -> keras.Model:
    """Makes the step function of a causal model: (inputs, states) -> (outputs, states), with the
    weights of `model`.

    `inputs` are a chunk of what the model takes, `states` a dictionary of float32[batch, ...] that
    starts as zeros (`initial_states`). Outputs are those of the chunk's steps; after a pooling over
    time, of all steps so far. Feeding the chunks of a sequence one after the other, each with the
    states of the chunk before, gives the outputs of feeding it whole. The step function is a
    `keras.Model` as any other: it can be saved, exported, and called inside a compiled loop.
    Outputs above a `convolution.LookAhead` come `delay_of(model)` steps late: so many of the first
    outputs belong to no step, and the last outputs come with steps fed after states that are named
    "….ended" are set to 1 (`Stream` does both).

    Inputs that only say where sequences begin and end (`starts` of carried states, `lengths`) are
    left out: a chunk's steps are all there, and zeros as states begin a new sequence.

    Args:
        model: functional model of causal layers.

    Raises:
        InputError: a layer reads the future (bidirectional, segments, convolutions that are not
            causal, ...), or is not known to be causal: give a layer of your own `stream_states` and
            `stream` (see `Step`). Or outputs that come late are read by a layer with a state, or
            beside outputs that do not.
    """
    states: dict[str, Any] = {}
    for layer in model.layers:
        inner = stateful_layer(layer)
        if inner is not None:
            for name, shape in Step(inner).stream_states().items():
                states[f"{layer.name}.{name}"] = keras.Input(shape, name=f"{layer.name}.{name}")
    unrolling = _Unrolling(states)
    # No fixed batch: a stream may have any number of rows. The states are outputs, too, or cloning
    # would not know their inputs.
    inputs = [keras.Input(x.shape[1:], dtype=x.dtype, name=x.name) for x in model.inputs]
    whole = keras.Model([*model.inputs, *states.values()], [model.outputs, list(states.values())])
    cloned: Any = keras.models.clone_model(
        whole,
        input_tensors=[*inputs, *states.values()],
        clone_function=lambda layer: layer,
        call_function=unrolling.call,
    )
    count = len(model.outputs)
    if len({unrolling.delays.get(x, 0) for x in cloned.outputs[:count]}) > 1:
        raise InputError(
            "some outputs come late, above a LookAhead, and others do not: they cannot be streamed "
            "side by side"
        )
    kept = [
        x for x, old in zip(inputs, model.inputs, strict=True) if not marks_boundaries(model, old)
    ]
    outputs = keras.tree.pack_sequence_as(model.output, keras.tree.flatten(cloned.output)[:count])
    return keras.Model(
        (kept[0] if len(kept) == 1 else kept, states),
        (outputs, unrolling.after),
        name=f"{model.name}_step",
    )


def initial_states(step_model: keras.Model, batch_size: int = 1) -> dict[str, tf.Tensor]:
    """Returns the states of a `streaming_model` before the first step: zeros.

    Args:
        step_model: what `streaming_model` returns.
        batch_size: number of rows.
    """
    given: Any = step_model.input
    _, states = given
    return {
        name: tf.zeros((batch_size, *state.shape[1:]), state.dtype)
        for name, state in states.items()
    }


def token_step(model: keras.Model) -> tuple[Callable, Callable[[int], dict]]:
    """Makes a step function for `decoding` and `sampling` of a language model.

    Args:
        model: causal model, int32[batch, time] tokens -> float32[batch, time, vocabulary] logits.

    Returns:
        (step, initial): step(int32[rows] tokens, state, None) -> (logits float32[rows, vocabulary],
        state); initial(rows) is the first state.
    """
    stepping = streaming_model(model)

    def step(tokens: Tensor, state: Any, constants: Any = None) -> tuple[Tensor, Any]:
        logits, state = stepping((tokens[:, None], state))
        return logits[:, -1], state

    def initial(rows: int) -> dict[str, tf.Tensor]:
        return initial_states(stepping, rows)

    return step, initial


def stride_of(model: keras.Model) -> int:
    """Returns the number of steps of the input for each step of the output."""
    return math.prod(getattr(layer, "stream_stride", 1) for layer in model.layers)


def delay_of(model: keras.Model) -> int:
    """Returns the number of steps of the output by which a stream is late."""
    return max((getattr(layer, "stream_delay", 0) for layer in model.layers), default=0)


def _has_steps(spec: Any) -> bool:
    """Whether an output has a time axis."""
    return len(spec.shape) > 1 and spec.shape[1] is None


class Stream:
    """Runs a causal model over a stream: `feed` chunks as they come, of any size.

    Outputs for which a `convolution.LookAhead` waits come with later chunks, the last of them with
    `finish`.

    Args:
        model: causal model, see `streaming_model`.
        batch_size: number of streams side by side, which all get chunks of the same length.

    Raises:
        InputError: a model that cannot be streamed.
    """

    def __init__(self, model: keras.Model, *, batch_size: int = 1):
        self.model = streaming_model(model)
        self.batch_size = batch_size
        # Strided convolutions give an output for every `stride` steps: what is left over waits for
        # its next chunk.
        self.stride = stride_of(model)
        self.delay = delay_of(model)
        given: Any = self.model.input
        self._inputs: list[Any] = keras.tree.flatten(given[0])
        returned: Any = self.model.output
        self._outputs = returned[0]
        self._step: Any = tf.function(self.model, reduce_retracing=True)
        self._last: Any = None
        self.reset()

    def reset(self) -> None:
        """Begins new sequences."""
        self.states = initial_states(self.model, self.batch_size)
        self._left: list[np.ndarray] | None = None
        # Outputs to come that belong to no step.
        self._early = [self.delay] * len(keras.tree.flatten(self._outputs))
        self._ended = False

    def feed(self, *chunk: np.ndarray) -> Any:
        """Feeds a chunk.

        Args:
            chunk: an array for each input of the model, [batch, time, ...], of one length.

        Returns:
            The outputs of the chunk's steps, and the outputs of earlier steps that were waiting for
            them, in the structure of the model's outputs.

        Raises:
            InputError: another batch size, inputs of different length, or a stream that has ended.
        """
        arrays = self._arrays(chunk)
        if self._ended:
            raise InputError("this stream has ended; `reset` begins new sequences")
        if self._left is not None:
            arrays = [
                np.concatenate([old, new], axis=1)
                for old, new in zip(self._left, arrays, strict=True)
            ]
        ready = arrays[0].shape[1] // self.stride * self.stride
        self._left = [part[:, ready:] for part in arrays]
        return self._on_time(self._run([part[:, :ready] for part in arrays]))

    def _arrays(self, chunk: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The arrays of a chunk in the types of the inputs; raises InputError where they do not
        fit."""
        expected = self._inputs
        arrays = [np.asarray(part, x.dtype) for part, x in zip(chunk, expected, strict=False)]
        lengths = {part.shape[1] if part.ndim > 1 else None for part in arrays}
        fits = all(
            part.shape[:1] + part.shape[2:] == (self.batch_size, *x.shape[2:])
            for part, x in zip(arrays, expected, strict=False)
        )
        if len(chunk) != len(expected) or len(lengths) != 1 or None in lengths or not fits:
            shapes = ", ".join(str(np.shape(part)) for part in chunk)
            wanted = ", ".join(
                f"({', '.join(map(str, (self.batch_size, 'time', *x.shape[2:])))})"
                for x in expected
            )
            raise InputError(
                f"a chunk of shape {shapes} does not fit this stream; accepted is {wanted}"
            )
        return arrays

    def finish(self) -> Any:
        """Ends the stream; returns the outputs that were still waiting for steps."""
        left = self._left
        self._left = None
        outputs = self._run(None)
        if left is not None and left[0].shape[1]:
            outputs = self._last_steps(left)
        outputs = self._on_time(outputs)
        had_ended = self._ended
        self._ended = True
        if not self.delay or self._last is None or had_ended:
            return outputs
        self.states = {
            name: tf.ones_like(state) if name.endswith(".ended") else state
            for name, state in self.states.items()
        }
        steps = self.delay * self.stride
        nothing = [np.zeros((self.batch_size, steps, *x.shape[2:]), x.dtype) for x in self._inputs]
        rest = self._over_time(lambda x: x[:, : self.delay], self._run(nothing))
        return keras.tree.map_structure(
            lambda *parts: np.concatenate(parts, axis=1), outputs, self._on_time(rest)
        )

    def _last_steps(self, left: list[np.ndarray]) -> Any:
        """The outputs of steps that are too few for a stride."""
        steps = left[0].shape[1]
        # A causal output reads nothing of what stands in for the missing steps.
        filled = []
        for part in left:
            missing = [(0, 0), (0, self.stride - steps)] + [(0, 0)] * (part.ndim - 2)
            filled.append(np.pad(part, missing, mode="edge"))

        def begun(outputs: np.ndarray) -> np.ndarray:
            per_output = self.stride // outputs.shape[1]
            return outputs[:, : math.ceil(steps / per_output)]

        return self._over_time(begun, self._run(filled))

    def _on_time(self, outputs: Any) -> Any:
        """The outputs without those that belong to no step."""
        if not self.delay:
            return outputs
        flat = keras.tree.flatten(outputs)
        early = [min(count, x.shape[1]) for count, x in zip(self._early, flat, strict=True)]
        self._early = [count - now for count, now in zip(self._early, early, strict=True)]
        return keras.tree.pack_sequence_as(
            outputs, [x[:, now:] for x, now in zip(flat, early, strict=True)]
        )

    def _run(self, arrays: list[np.ndarray] | None) -> Any:
        if arrays is not None and arrays[0].shape[1]:
            inputs = arrays[0] if len(arrays) == 1 else arrays
            outputs, self.states = self._step((inputs, self.states))
            self._last = keras.tree.map_structure(np.array, outputs)
            return self._last
        if self._last is not None:
            return self._over_time(lambda x: x[:, :0], self._last)
        if any(not _has_steps(spec) for spec in keras.tree.flatten(self._outputs)):
            raise InputError(
                "nothing was fed yet: the model answers for all that came so far, and nothing came"
            )
        return keras.tree.map_structure(self._nothing, self._outputs)

    def _over_time(self, function: Callable[[np.ndarray], np.ndarray], outputs: Any) -> Any:
        """Applies a function to the outputs that have steps; outputs of all steps so far stay as
        they are."""
        return keras.tree.map_structure(
            lambda x, spec: function(x) if _has_steps(spec) else x, outputs, self._outputs
        )

    def _nothing(self, spec: Any) -> np.ndarray:
        return np.zeros((self.batch_size, 0, *spec.shape[2:]), spec.dtype)
