"""Causal models as step functions with explicit state: a stream in chunks of any size gives what
the whole would give, in constant memory."""

from collections.abc import Callable
from math import prod
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.masking import ReverseSequence
from rnn_cookbook.nn.recurrent_layers import CarriedState

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


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class Step(keras.layers.Wrapper):
    """A layer with its state outside: (inputs, states) -> (outputs, states). States are
    dictionaries of tensors, zeros in the beginning.

    SimpleRNN, LSTM and GRU, and every layer with two methods: `stream_states()`, the shapes of its
    states without the batch by name, and `stream(inputs, states) -> (outputs, states)`. A layer
    that waits for the future has the steps as its `stream_delay`: its outputs come so many steps
    late, and once its state "ended" is 1 it takes what else comes for nothing. A row whose sequence
    has ended may be fed padding; it cannot pause and go on, since not all layers are told where
    padding is.
    """

    def __init__(self, layer, **kwargs):
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        if not self.layer.built:
            inputs, _ = input_shape
            self.layer.build(inputs[0] if isinstance(self.layer, RECURRENT) else inputs)

    def stream_states(self):
        if isinstance(self.layer, RECURRENT):
            return {f"state_{i}": (size,) for i, size in enumerate(self.layer.state_size)}
        return self.layer.stream_states()

    def call(self, inputs):
        inputs, states = inputs
        if not isinstance(self.layer, RECURRENT):
            return self.layer.stream(inputs, states)
        sequence, *mask = inputs
        before = [ops.cast(states[name], self.compute_dtype) for name in self.stream_states()]
        if not mask:
            outputs, *after = self.layer(sequence, initial_state=before)
        else:
            # The fast GPU kernels raise on a row without a step: it takes one, which is then
            # undone.
            steps = ops.concatenate([ops.ones_like(mask[0][:, :1]), mask[0][:, 1:]], axis=1)
            outputs, *after = self.layer(sequence, initial_state=before, mask=steps)
            took = ops.any(mask[0], axis=1)[:, None]
            after = [ops.where(took, new, old) for new, old in zip(after, before, strict=True)]
        return outputs, {
            name: ops.cast(state, "float32")
            for name, state in zip(self.stream_states(), after, strict=True)
        }

    def compute_mask(self, inputs, previous_mask=None):
        return None


def streaming_model(model: keras.Model) -> keras.Model:
    """The step function of a causal model: (inputs, states) -> (outputs, states), weights shared
    with `model`.

    `inputs` are a chunk of what the model takes, `states` a dictionary of float32[batch, ...] that
    starts as zeros (`initial_states`). Outputs are those of the chunk's steps; after a pooling over
    time, of all that came so far. Feeding the chunks of a sequence one after the other, each with
    the states of the one before, gives the outputs of feeding it whole. It is a `keras.Model` as
    any other: it can be saved, exported, and called inside a compiled loop. Outputs above a
    `layers.LookAhead` come `delay_of(model)` steps late: so many of the first ones are of no step,
    and the last ones come with steps fed after states that are named "….ended" are set to 1
    (`Stream` does both).

    Inputs that only say where sequences begin and end (`starts` of carried states, `lengths`) fall
    away: a chunk's steps are all there, and to begin a new sequence is to put zeros into the
    states.

    Raises:
        InputError: a layer reads the future (bidirectional, segments, convolutions that are not
            causal, ...), or is not known to be causal. Give a layer of your own `stream_states` and
            `stream` (see `Step`). Or outputs that come late are read by a layer with a state, or
            beside others that do not.
    """
    calls: dict[str, int] = {}
    states: dict[str, keras.KerasTensor] = {}
    for layer in model.layers:
        if (inner := _streamed(layer)) is not None:
            for name, shape in Step(inner).stream_states().items():
                states[f"{layer.name}.{name}"] = keras.Input(shape, name=f"{layer.name}.{name}")
    after: dict[str, Any] = {}
    delays: dict[keras.KerasTensor, int] = {}

    def call(layer, *args, **kwargs):
        late = {
            delays.get(x, 0)
            for x in keras.tree.flatten((args, kwargs))
            if isinstance(x, keras.KerasTensor) and x.dtype != "bool"
        }
        inner = _streamed(layer)
        if len(late) > 1 or (any(late) and inner is not None):
            raise InputError(
                f"layer {layer.name!r} reads what comes late, above a LookAhead, with a state of its own or beside what does not"
            )
        outputs = stepped(layer, inner, args, kwargs)
        delays.update(
            dict.fromkeys(
                keras.tree.flatten(outputs),
                max(late, default=0) + getattr(inner, "stream_delay", 0),
            )
        )
        return outputs

    def stepped(layer, inner, args, kwargs):
        if inner is None:
            return layer(*args, **kwargs)
        calls[layer.name] = calls.get(layer.name, 0) + 1
        if calls[layer.name] > 1 or kwargs.get("initial_state") is not None:
            raise InputError(
                f"layer {layer.name!r} gets its state from elsewhere in the model: it cannot be streamed"
            )
        names = Step(inner).stream_states()
        own = {name: states[f"{layer.name}.{name}"] for name in names}
        outputs, new = Step(inner, name=f"{layer.name}_step")((_inputs(layer, args, kwargs), own))
        after.update({f"{layer.name}.{name}": new[name] for name in names})
        return (
            [outputs, *(new[name] for name in names)] if isinstance(inner, RECURRENT) else outputs
        )

    # No fixed batch: a stream may have any number of rows. The states are outputs, too, or cloning
    # would not know their inputs.
    inputs = [keras.Input(x.shape[1:], dtype=x.dtype, name=x.name) for x in model.inputs]
    whole = keras.Model([*model.inputs, *states.values()], [model.outputs, list(states.values())])
    cloned = keras.models.clone_model(
        whole,
        input_tensors=[*inputs, *states.values()],
        clone_function=lambda layer: layer,
        call_function=call,
    )
    if len({delays.get(x, 0) for x in cloned.outputs[: len(model.outputs)]}) > 1:
        raise InputError(
            "some outputs come late, above a LookAhead, and others do not: they cannot be streamed side by side"
        )
    kept = [
        x for x, old in zip(inputs, model.inputs, strict=True) if not _only_boundaries(model, old)
    ]
    outputs = keras.tree.pack_sequence_as(
        model.output, keras.tree.flatten(cloned.output)[: len(model.outputs)]
    )
    return keras.Model(
        (kept[0] if len(kept) == 1 else kept, states), (outputs, after), name=f"{model.name}_step"
    )


def _streamed(layer):
    """The layer whose state has to be carried, None for those that need none; raises for those that
    cannot stream."""
    if isinstance(layer, CarriedState):
        return layer.layer
    if isinstance(layer, RECURRENT):
        if not (layer.return_sequences and layer.return_state) or layer.go_backwards:
            raise InputError(
                f"layer {layer.name!r} must return sequences and states, and read forwards, to be streamed"
            )
        return layer
    if hasattr(layer, "stream"):
        return layer
    if isinstance(layer, keras.layers.InputLayer):
        return None
    if is_stepwise(layer):
        if setting := _mixes_steps(layer):
            raise InputError(
                f"layer {layer.name!r} ({type(layer).__name__}) mixes steps, or may do so, by {setting}: it cannot be streamed"
            )
        return None
    reason = (
        "reads the future"
        if isinstance(layer, keras.layers.Bidirectional | ReverseSequence)
        else "is not known to be causal"
    )
    raise InputError(
        f"layer {layer.name!r} ({type(layer).__name__}) {reason}: only causal models stream. Accepted are unidirectional recurrent layers, "
        f"layers that treat every step alone, and those with a method `stream`"
    )


def _mixes_steps(layer) -> str:
    """The setting by which a stepwise layer looks beyond a step; "" where it does not."""
    shape = keras.tree.flatten(layer.input)[0].shape
    axes = keras.tree.flatten(getattr(layer, "axis", None) or -1)
    if any(axis % len(shape) < 2 and axis is not None for axis in axes) and len(shape) > 2:
        return f"axis={layer.axis}"
    activation = getattr(layer, "activation", None)
    if activation is not None and activation not in _ACTIVATIONS:
        return f"an activation that is none of Keras' own, {activation}"
    if isinstance(layer, keras.layers.Reshape) and (
        layer.target_shape[0] != -1 or prod(layer.target_shape[1:]) != prod(shape[2:])
    ):
        return f"target_shape={layer.target_shape}"
    return ""


def _inputs(layer, args, kwargs):
    if isinstance(layer, RECURRENT):
        mask = kwargs.get("mask")
        return args if mask is None else (*args, mask)
    if isinstance(layer, CarriedState):
        sequence, _, mask = args[0]
        return (sequence,) if mask is None else (sequence, mask)
    drops = getattr(layer, "stream_drops", ())
    return tuple(x for i, x in enumerate(args[0]) if i not in drops) if drops else args[0]


def _only_boundaries(model, tensor) -> bool:
    """Whether all that is done with an input is to say where sequences begin and end."""
    uses = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        # `layer.input` is that of its first call, which another model may have made of shared
        # layers.
        for i, x in (
            (i, x) for node in layer._inbound_nodes for i, x in enumerate(node.input_tensors)
        ):
            if x is tensor:
                uses.append(
                    i
                    in (
                        (1,)
                        if isinstance(layer, CarriedState)
                        else getattr(layer, "stream_drops", ())
                    )
                )
    return bool(uses) and all(uses)


def initial_states(step_model: keras.Model, batch_size: int = 1) -> dict[str, tf.Tensor]:
    """The states of a `streaming_model` before the first step: zeros."""
    _, states = step_model.input
    return {
        name: tf.zeros((batch_size, *state.shape[1:]), state.dtype)
        for name, state in states.items()
    }


def token_step(model: keras.Model) -> tuple[Callable, Callable[[int], dict]]:
    """A language model as `decoding` wants it: (step, initial), step(int32[rows], state, None) ->
    (logits float32[rows, vocabulary], state).

    `initial(rows)` gives the first state. Any causal model from tokens to logits will do.
    """
    stepping = streaming_model(model)

    def step(tokens, state, constants=None):
        logits, state = stepping((tokens[:, None], state))
        return logits[:, -1], state

    return step, lambda rows: initial_states(stepping, rows)


def stride_of(model: keras.Model) -> int:
    """Steps of its input for one of its output."""
    return prod(getattr(layer, "stream_stride", 1) for layer in model.layers)


def delay_of(model: keras.Model) -> int:
    """Steps of its output that it waits for the future."""
    return max((getattr(layer, "stream_delay", 0) for layer in model.layers), default=0)


class Stream:
    """Runs a causal model over a stream: `feed` chunks as they come, of any size.

    What a `layers.LookAhead` waits for comes with later chunks, and the last of it with `finish`.

    Args:
        model: causal, see `streaming_model`.
        batch_size: streams side by side; all of them get chunks of the same length.
    """

    def __init__(self, model: keras.Model, *, batch_size: int = 1):
        self.model = streaming_model(model)
        self.batch_size = batch_size
        # Strided convolutions give an output for every `stride` steps: what is left over waits for
        # its next chunk.
        self.stride, self.delay = stride_of(model), delay_of(model)
        self._step = tf.function(self.model, reduce_retracing=True)
        self._last: Any = None
        self.reset()

    def reset(self) -> None:
        """Begins new sequences."""
        self.states = initial_states(self.model, self.batch_size)
        self._left: list[np.ndarray] | None = None
        self._early = [self.delay] * len(
            keras.tree.flatten(self.model.output[0])
        )  # outputs to come that are of no step
        self._ended = False

    def feed(self, *chunk: np.ndarray) -> Any:
        """The outputs of the chunk's steps, those of the past that were waiting for them included,
        in the structure of the model's.

        Takes one array per input of the model, of one length.

        Raises:
            InputError: not the batch size of the stream, inputs of different length, or a stream
                that has ended.
        """
        expected = keras.tree.flatten(self.model.input[0])
        arrays = [np.asarray(part, x.dtype) for part, x in zip(chunk, expected, strict=False)]
        lengths = {part.shape[1] if part.ndim > 1 else None for part in arrays}
        fits = all(
            part.shape[:1] + part.shape[2:] == (self.batch_size, *x.shape[2:])
            for part, x in zip(arrays, expected, strict=False)
        )
        if len(chunk) != len(expected) or len(lengths) != 1 or None in lengths or not fits:
            shapes = ", ".join(str(np.shape(part)) for part in chunk)
            wanted = ", ".join(
                f"({self.batch_size}, time{''.join(f', {size}' for size in x.shape[2:])})"
                for x in expected
            )
            raise InputError(
                f"a chunk of shape {shapes} does not fit this stream; accepted is {wanted}"
            )
        if self._ended:
            raise InputError("this stream has ended: `reset` begins new sequences")
        if self._left is not None:
            arrays = [
                np.concatenate([old, new], axis=1)
                for old, new in zip(self._left, arrays, strict=True)
            ]
        ready = arrays[0].shape[1] // self.stride * self.stride
        self._left = [part[:, ready:] for part in arrays]
        return self._on_time(self._run([part[:, :ready] for part in arrays]))

    def finish(self) -> Any:
        """The outputs that were still waiting for steps which will not come."""
        left, self._left = self._left, None
        outputs = self._run(None)
        if left is not None and (steps := left[0].shape[1]):
            # A causal output reads nothing of what stands in for the missing steps.
            filled = [
                np.pad(
                    part,
                    [(0, 0), (0, self.stride - steps)] + [(0, 0)] * (part.ndim - 2),
                    mode="edge",
                )
                for part in left
            ]
            outputs = self._over_time(
                lambda x: x[:, : -(-steps // (self.stride // x.shape[1]))], self._run(filled)
            )
        outputs = self._on_time(outputs)
        ended, self._ended = self._ended, True
        if not self.delay or self._last is None or ended:
            return outputs
        self.states = {
            name: tf.ones_like(x) if name.endswith(".ended") else x
            for name, x in self.states.items()
        }
        specs = keras.tree.flatten(self.model.input[0])
        nothing = [
            np.zeros((self.batch_size, self.delay * self.stride, *x.shape[2:]), x.dtype)
            for x in specs
        ]
        rest = self._on_time(self._over_time(lambda x: x[:, : self.delay], self._run(nothing)))
        return keras.tree.map_structure(lambda *parts: np.concatenate(parts, axis=1), outputs, rest)

    def _on_time(self, outputs):
        """Without those that are of no step."""
        if not self.delay:
            return outputs
        flat = keras.tree.flatten(outputs)
        early = [min(count, x.shape[1]) for count, x in zip(self._early, flat, strict=True)]
        self._early = [count - now for count, now in zip(self._early, early, strict=True)]
        return keras.tree.pack_sequence_as(
            outputs, [x[:, now:] for x, now in zip(flat, early, strict=True)]
        )

    def _run(self, arrays):
        if arrays is not None and arrays[0].shape[1]:
            outputs, self.states = self._step(
                (arrays[0] if len(arrays) == 1 else arrays, self.states)
            )
            self._last = keras.tree.map_structure(np.array, outputs)
            return self._last
        specs = self.model.output[0]
        if self._last is None and any(not _goes_on(x) for x in keras.tree.flatten(specs)):
            raise InputError(
                "nothing was fed yet: the model answers for all that came so far, and nothing came"
            )
        return self._over_time(
            lambda x: x[:, :0],
            self._last
            if self._last is not None
            else keras.tree.map_structure(self._nothing, specs),
        )

    def _over_time(self, function: Callable, outputs):
        """`function` of the outputs that go on step by step; the others, of all that came so far,
        stay as they are."""
        return keras.tree.map_structure(
            lambda x, spec: function(x) if _goes_on(spec) else x, outputs, self.model.output[0]
        )

    def _nothing(self, spec) -> np.ndarray:
        return np.zeros((self.batch_size, 0, *spec.shape[2:]), spec.dtype)


def _goes_on(spec) -> bool:
    """Whether an output has steps."""
    return len(spec.shape) > 1 and spec.shape[1] is None
