"""What a recurrent model will do, before hours go into it: does it run on the fast GPU kernels, and
how far back do gradients reach?"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import ops

from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.nn.masking import makes_mask
from rnn_cookbook.nn.recurrent import rnn_stack

_TANH = (keras.activations.tanh, ops.tanh, tf.tanh)
_SIGMOID = (keras.activations.sigmoid, ops.sigmoid, tf.sigmoid)
_CELLS = (
    keras.layers.SimpleRNNCell,
    keras.layers.LSTMCell,
    keras.layers.GRUCell,
    keras.layers.StackedRNNCells,
)


class GpuKernel(NamedTuple):
    """Whether one recurrent layer runs on the fast GPU kernel (cuDNN's), and which settings prevent
    it ("" when it does)."""

    layer: str
    eligible: bool
    reason: str


def gpu_kernels(model: keras.Layer) -> list[GpuKernel]:
    """Which recurrent layers of a model (or layer) will use the fast kernels where there is a GPU,
    in the model's order.

    On a GPU a layer off the fast kernels runs step by step, several times slower, and Keras says
    nothing. The rule is that of Keras' TensorFlow backend: an LSTM or a GRU with tanh, sigmoid,
    biases, `reset_after`, and without recurrent dropout, unrolling and `use_cudnn=False`. The mask
    counts too, but only when a batch arrives: rows that are not right-padded, or without a step,
    raise.

    Layers are found wherever they are held: in nested models, wrappers, attributes of other layers.
    The two directions of a Bidirectional layer are listed one by one; so is a cell that a layer of
    your own steps by hand.
    """
    kernels = []
    for layer in _held(model, _is_recurrent_or_cell):
        obstacles = _obstacles(layer)
        kernels.append(GpuKernel(layer.name, not obstacles, ", ".join(obstacles)))
    return kernels


def gpu_summary(model: keras.Layer) -> str:
    """`gpu_kernels` in one line, for the log of a run."""
    kernels = gpu_kernels(model)
    if not kernels:
        return "fast GPU kernels: no recurrent layer"
    slow = "; ".join(
        f"{kernel.layer}: {kernel.reason}" for kernel in kernels if not kernel.eligible
    )
    layers = "layer" if len(kernels) == 1 else "layers"
    return (
        f"fast GPU kernels: {sum(kernel.eligible for kernel in kernels)} of {len(kernels)} recurrent {layers}"
        + (slow and f" ({slow})")
    )


def _obstacles(layer) -> list[str]:
    if not isinstance(layer, keras.layers.LSTM | keras.layers.GRU):
        kind = (
            f"{layer.cell.__class__.__name__} in keras.layers.RNN"
            if type(layer) is keras.layers.RNN
            else type(layer).__name__
        )
        return [f"{kind} has no fast kernel"]
    fast = {
        "activation": layer.activation in _TANH,
        "recurrent_activation": layer.recurrent_activation in _SIGMOID,
        "use_bias": layer.use_bias,
        "unroll": not layer.unroll,
        "recurrent_dropout": not layer.recurrent_dropout,
        "reset_after": getattr(layer, "reset_after", True),
        "use_cudnn": layer.use_cudnn,
    }
    return [f"{name}={_shown(getattr(layer, name))}" for name, ok in fast.items() if not ok]


def _shown(value) -> str:
    return getattr(value, "__name__", type(value).__name__) if callable(value) else str(value)


def _is_recurrent_or_cell(layer: keras.Layer) -> bool:
    return isinstance(layer, (keras.layers.RNN, *_CELLS))


def _reads_a_sequence(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.RNN | keras.layers.Bidirectional)


def _held(
    layer: keras.Layer, wanted: Callable[[keras.Layer], bool], seen: set[int] | None = None
) -> Iterator[keras.Layer]:
    """The outermost wanted layers in `layer`, each once and in the model's order (Keras' own
    recursive list is partly backwards)."""
    seen = set() if seen is None else seen
    if id(layer) in seen:
        return
    seen.add(id(layer))
    if wanted(layer):
        yield layer
    else:
        for child in layer._flatten_layers(include_self=False, recursive=False):
            yield from _held(child, wanted, seen)


@dataclass(frozen=True)
class GradientFlow:
    """How the gradient of a loss at the end of sequences decays with the distance in time, as
    `gradient_flow` measured it.

    Attributes:
        layer: the recurrent layer whose input sequence x it was measured on.
        distances: int[time], steps back from each sequence's last one: 0, 1, 2, ...
        norms: float64[time], mean of ‖∂loss/∂x‖ over the sequences that reach so far back, in units
            of the loss per unit of x.
        sequences: int[time], how many these are.
    """

    layer: str
    distances: np.ndarray
    norms: np.ndarray
    sequences: np.ndarray

    def horizon(self, share: float = 0.01) -> int | None:
        """Steps: the smallest distance from which on the norm stays below `share` of that at
        distance 0; None if it never does."""
        if not 0 < share < 1:
            raise InputError(f"the share of the gradient must be above 0 and below 1, got {share}")
        first = int(np.flatnonzero(~(self.norms < share * self.norms[0]))[-1]) + 1
        return first if first < len(self.norms) else None

    @property
    def half_life(self) -> int | None:
        """Steps: the horizon of one half."""
        return self.horizon(0.5)

    @property
    def rate(self) -> float:
        """Nats per step: slope of the line through ln(norm) over distance, by least squares; each
        step back multiplies by exp(rate).

        Below 0 gradients vanish, above 0 they explode. Norms below 1e-30, where float32 runs out,
        are left out (float16 runs out at
        1e-7: measure in float32); not a number where fewer than two are left.
        """
        usable = np.isfinite(self.norms) & (self.norms > 1e-30)
        if usable.sum() < 2:
            return float("nan")
        return float(np.polyfit(self.distances[usable], np.log(self.norms[usable]), 1)[0])

    def frame(self) -> pd.DataFrame:
        """One row a distance: distance, norm, relative (to distance 0), sequences."""
        relative = self.norms / self.norms[0] if self.norms[0] else np.full_like(self.norms, np.nan)
        return pd.DataFrame(
            {
                "distance": self.distances,
                "norm": self.norms,
                "relative": relative,
                "sequences": self.sequences,
            }
        )


def gradient_flow(
    model: keras.Model,
    inputs,
    *,
    lengths: Sequence[int] | None = None,
    loss: Callable | None = None,
    layer: str | None = None,
) -> GradientFlow:
    """Measures how the gradient of a loss at the end of sequences vanishes, or explodes, with the
    distance in time.

    For every distance d the mean over the sequences of ‖∂loss/∂x_(T-1-d)‖, where x is what a
    recurrent layer reads (of a model of tokens the embedded words) and T the true length of a
    sequence: padding has no part in it. The product of Jacobians behind it shrinks or grows
    geometrically (Hochreiter 1991; Bengio et al. 1994; Pascanu et al. 2013), and where it has
    shrunk to nothing, the model cannot learn from what was there.

    A Bidirectional layer is measured through both directions at once: at the last step its backward
    half has read that step only, so with the default loss it adds to distance 0, and deeper in a
    stack to all. A loss that pools over all steps has no distance of its own; the result then is
    how much each step counts. Only gradients through the layer count, not those around it (residual
    connections). Dropout is off, and states that layers carry between batches are put back.

    Args:
        model: any built model that calls its recurrent layers outside loops; its sequences must not
            mix (each row's loss is its own).
        inputs: a batch, as the model takes it; masks right-padded. An input of booleans is taken
            for the mask of sequences of its shape.
        lengths: int[batch], steps of each sequence, the rest being padding. Needed where nothing in
            the model says so: in a language model, a decoder, a tagger without a CRF. By default
            the layer's own mask counts, or else the one mask of its sequence's shape that the model
            makes; where there is none, every step does.
        loss: the model's output -> float[batch], one number a sequence, by operations of TensorFlow
            or keras.ops. By default a fixed random projection (onto a direction of length one) of
            the last true step of what the last recurrent layer puts out: this works whatever the
            model's head, and without targets.
        layer: name of the recurrent layer whose input is x; by default the first that the model
            calls.
    """
    layers = list(_held(model, _reads_a_sequence))
    names = [held.name for held in layers]
    if not layers:
        raise InputError(
            f"the model {model.name!r} has no recurrent layer: there is no gradient through time to measure"
        )
    if layer is not None and layer not in names:
        raise InputError(
            f"no recurrent layer {layer!r} in the model {model.name!r}; there are {', '.join(names)}"
        )
    if not model.built:
        raise InputError(f"the model {model.name!r} is not built: call it on a batch first")
    inputs = keras.tree.map_structure(ops.convert_to_tensor, inputs)
    used, masks = (
        [],
        [x for x in keras.tree.flatten(inputs) if x.dtype == tf.bool]
        + list(_held(model, makes_mask)),
    )

    def measured():
        with tf.GradientTape() as tape, _recorded(layers, tape, masks) as (calls, made):
            outputs = model(inputs, training=False)
            first, last = (_with_mask(call, model, made, lengths) for call in _choose(calls, layer))
            each = _projection(last) if loss is None else ops.convert_to_tensor(loss(outputs))
        if len(each.shape) != 1:
            raise InputError(
                f"the loss must be one number for each sequence, float[batch], got shape {tuple(each.shape)}"
            )
        gradient = tape.gradient(each, first.sequence)
        if gradient is None:
            raise InputError(
                f"the loss does not depend on what layer {first.layer.name!r} reads: no gradient gets there"
            )
        used.extend([first.layer.name, last.layer.name] if loss is None else [first.layer.name])
        return gradient, first.mask, last.mask

    with _states_kept(model):
        # As a graph, several times as fast as step by step; not by calling a tf.function, which
        # would warn of retracing.
        gradient, *masks = tf.function(measured, autograph=False).get_concrete_function()()
    for name, mask in zip(used, masks, strict=False):
        _check_padding(np.asarray(mask), name)
    gradient, ends = np.asarray(gradient, np.float64), np.asarray(masks[0]).sum(axis=1)
    norms = np.sqrt(np.square(gradient).sum(axis=tuple(range(2, gradient.ndim))))
    distances = np.arange(ends.max())
    step = ends[:, None] - 1 - distances
    reached = step >= 0
    norms = np.where(reached, np.take_along_axis(norms, np.maximum(step, 0), axis=1), 0)
    sequences = reached.sum(axis=0)
    return GradientFlow(used[0], distances, norms.sum(axis=0) / sequences, sequences)


class _Call(NamedTuple):
    layer: keras.Layer
    sequence: tf.Tensor
    mask: tf.Tensor | None
    outputs: Any


@contextmanager
def _recorded(
    layers: Sequence[keras.Layer], tape: tf.GradientTape, masks: Sequence
) -> Iterator[tuple[list[_Call], list[tf.Tensor]]]:
    """The calls of `layers` while it lasts, in order, with what Keras gave them: the mask is there
    also where it travelled unseen.

    Beside them the tensors among `masks`, and those that the layers among them make.

    Listening in beats a clone of the model with a probe in it: that is for functional models
    without nested ones alone, and leaves a trace in the layers it shares.
    """
    calls, graph = [], tf.compat.v1.get_default_graph()
    makers = [mask for mask in masks if isinstance(mask, keras.Layer)]
    made = [mask for mask in masks if not isinstance(mask, keras.Layer)]

    def noting(call):
        def note(inputs):
            outputs = call(inputs)
            made.append(outputs[1] if isinstance(outputs, tuple) else outputs)
            return outputs

        return note

    def listening(layer, call):
        def listen(sequences, initial_state=None, mask=None, **others):
            # A copy: what flows around the layer must not count as its input.
            sequences = tf.identity(sequences)
            tape.watch(sequences)
            outputs = call(sequences, initial_state=initial_state, mask=mask, **others)
            if (
                sequences.graph is graph
            ):  # and not inside a loop, out of which no gradient can be taken
                calls.append(_Call(layer, sequences, mask, outputs))
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
def _states_kept(model: keras.Model) -> Iterator[None]:
    before = [(variable, tf.identity(variable.value)) for variable in model.non_trainable_variables]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _with_mask(call: _Call, model: keras.Model, made: Sequence[tf.Tensor], lengths) -> _Call:
    """The call with the mask of its sequence, see `gradient_flow`: bool[batch, time]."""
    shape = call.sequence.shape[:2]
    mask = call.mask
    if lengths is not None:
        lengths = np.asarray(lengths)
        if lengths.shape != (shape[0],) or lengths.min() < 1 or lengths.max() > shape[1]:
            raise InputError(
                f"lengths must be {shape[0]} numbers from 1 to {shape[1]}, got {lengths.tolist()}"
            )
        mask = tf.sequence_mask(lengths, shape[1])
    # `recurrent.rnn_stack` spares its layers the mask. A layer held by another layer, as in a
    # decoder, reads a sequence of its own.
    elif mask is None and any(layer is call.layer for layer in _called_by(model)):
        mask = next((mask for mask in reversed(made) if mask.shape == shape), None)
    return call._replace(
        mask=tf.ones(tf.shape(call.sequence)[:2], bool) if mask is None else tf.cast(mask, bool)
    )


def _called_by(model: keras.Model) -> Iterator[keras.Layer]:
    """The layers that a model calls itself, through models and wrappers in it."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _called_by(layer)
        elif isinstance(layer, keras.layers.Wrapper):
            yield layer.layer


def _choose(calls: list[_Call], name: str | None) -> tuple[_Call, _Call]:
    """The call whose input to measure, and the last one; a layer that is called several times reads
    no one sequence."""
    once = [call for call in calls if sum(other.layer is call.layer for other in calls) == 1]
    chosen = [call for call in once if name in (None, call.layer.name)]
    if not chosen:
        which = "every recurrent layer" if name is None else f"layer {name!r}"
        raise InputError(
            f"{which} is called several times (shared, or in TimeDistributed), in a loop or never: it has no one sequence"
        )
    return chosen[0], once[-1]


def _check_padding(mask: np.ndarray, name: str) -> None:
    lengths = mask.sum(axis=1)
    wrong = np.flatnonzero(
        (lengths == 0) | (mask != (np.arange(mask.shape[1]) < lengths[:, None])).any(axis=1)
    )
    if wrong.size:
        raise InputError(
            f"layer {name!r} got a mask that is not right-padded, or without a step, in rows {listing(wrong)} of the batch"
        )


def _projection(call: _Call) -> tf.Tensor:
    both = getattr(call.layer, "merge_mode", "concat") is None
    outputs = keras.tree.flatten(call.outputs)[: 2 if both else 1]
    if call.layer.return_sequences:
        last = tf.maximum(tf.reduce_sum(tf.cast(call.mask, tf.int32), axis=1) - 1, 0)
        outputs = [tf.gather(output, last, batch_dims=1) for output in outputs]
    state = tf.concat(
        [tf.reshape(output, (-1, np.prod(output.shape[1:]))) for output in outputs], axis=1
    )
    direction = np.random.default_rng(0).normal(size=state.shape[1])
    return tf.linalg.matvec(state, tf.constant(direction / np.linalg.norm(direction), state.dtype))


def memory_horizon(
    *,
    cells: Sequence[str] = ("simple_rnn", "lstm", "gru"),
    units: int = 64,
    time: int = 200,
    share: float = 0.01,
    seed: int = 0,
    features: int = 16,
    batch: int = 16,
) -> pd.DataFrame:
    """How far back each type of cell reaches before it has learnt anything: one row a cell, all on
    the same standard normal noise.

    What to expect: with no recurrent weights the gradient of an LSTM would travel through the
    forget gates alone, which start at sigmoid(1) = 0.73 (Jozefowicz et al. 2015), that of a GRU
    through update gates of 0.5. The orthogonal recurrent kernels add a second way: 0.82 and 0.63 a
    step are measured. A SimpleRNN keeps nearly all on small inputs, where tanh is a line, and loses
    more than an LSTM on these, where it saturates. All of it moves with training; `gradient_flow`
    measures a trained model.

    Columns: "cell"; "horizon" and "half_life", steps after which the gradient stays below `share`
    and one half (missing where `time` is too short to see it); "rate", nats per step, and "factor"
    = exp(rate), what each step back multiplies the gradient by (`gradient_flow`).

    Args:
        cells: of `recurrent.rnn_stack`.
        units: size of the state.
        time: length of the sequences, steps.
        share: of the gradient at distance 0.
        seed: of weights and data; the state of the global random generators stays as it is.
        features, batch: shape of the data.
    """
    if min(time, features, batch) < 1:
        raise InputError(
            f"the data needs 1 or more of each, got time={time}, features={features}, batch={batch}"
        )
    noise = np.random.default_rng(seed).normal(size=(batch, time, features))
    rows = []
    for cell in cells:
        sequence = keras.Input((None, features))
        with _seeded(seed):
            model = keras.Model(sequence, rnn_stack(sequence, mask=None, cell=cell, units=units))
        flow = gradient_flow(model, noise)
        rows.append((cell, flow.horizon(share), flow.half_life, flow.rate, np.exp(flow.rate)))
    return pd.DataFrame(rows, columns=["cell", "horizon", "half_life", "rate", "factor"]).astype(
        {"horizon": "Int64", "half_life": "Int64"}
    )


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    # Keras draws the seeds of initialisers from Python's own generator.
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
