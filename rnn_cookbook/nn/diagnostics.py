"""What a recurrent model will do, before hours go into it: does it run on the fast GPU kernels, and
how far back do gradients reach?"""

from __future__ import annotations

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

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.masking import makes_mask
from rnn_cookbook.nn.probe import (
    check_padding,
    chosen_calls,
    held_layers,
    projection,
    recorded_calls,
    states_kept,
    with_mask,
)
from rnn_cookbook.nn.recurrent import rnn_stack
from rnn_cookbook.nn.tensors import Tensor

__all__ = [
    "GpuKernel",
    "GradientFlow",
    "gpu_kernels",
    "gpu_summary",
    "gradient_flow",
    "memory_horizon",
]

_TANH = (keras.activations.tanh, ops.tanh, tf.tanh)
_SIGMOID = (keras.activations.sigmoid, ops.sigmoid, tf.sigmoid)
_CELLS = (
    keras.layers.SimpleRNNCell,
    keras.layers.LSTMCell,
    keras.layers.GRUCell,
    keras.layers.StackedRNNCells,
)


class GpuKernel(NamedTuple):
    """Whether a recurrent layer runs on the fast GPU kernel (cuDNN's), and which settings prevent
    it ("" if it does)."""

    layer: str
    eligible: bool
    reason: str


def gpu_kernels(model: keras.Layer) -> list[GpuKernel]:
    """Returns which recurrent layers of a model (or layer) will use the fast kernels where there is
    a GPU, in the model's order.

    On a GPU a layer off the fast kernels runs step by step, several times slower, and Keras says
    nothing. The rule is that of Keras' TensorFlow backend: an LSTM or a GRU with tanh, sigmoid,
    biases, `reset_after`, and without recurrent dropout, unrolling and `use_cudnn=False`. The mask
    counts too, but only when a batch arrives: rows that are not right-padded, or without a step,
    raise.

    Layers are found wherever they are held: in nested models, wrappers, attributes of other layers.
    The two directions of a Bidirectional layer are listed one by one; so is a cell that a layer of
    your own steps by hand.

    Args:
        model: model or layer.
    """
    kernels = []
    for layer in held_layers(model, _is_recurrent_or_cell):
        obstacles = _obstacles(layer)
        kernels.append(GpuKernel(layer.name, not obstacles, ", ".join(obstacles)))
    return kernels


def gpu_summary(model: keras.Layer) -> str:
    """Returns `gpu_kernels` in one line, for the log of a run."""
    kernels = gpu_kernels(model)
    if not kernels:
        return "fast GPU kernels: no recurrent layer"
    slow = "; ".join(
        f"{kernel.layer}: {kernel.reason}" for kernel in kernels if not kernel.eligible
    )
    eligible = sum(kernel.eligible for kernel in kernels)
    layers = "layer" if len(kernels) == 1 else "layers"
    reasons = f" ({slow})" if slow else ""
    return f"fast GPU kernels: {eligible} of {len(kernels)} recurrent {layers}{reasons}"


def _obstacles(layer: Any) -> list[str]:
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


def _shown(value: Any) -> str:
    return getattr(value, "__name__", type(value).__name__) if callable(value) else str(value)


def _is_recurrent_or_cell(layer: keras.Layer) -> bool:
    return isinstance(layer, (keras.layers.RNN, *_CELLS))


def _reads_a_sequence(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.RNN | keras.layers.Bidirectional)


@dataclass(frozen=True)
class GradientFlow:
    """How the gradient of a loss at the end of sequences decays with the distance in time, as
    `gradient_flow` measured it.

    Attributes:
        layer: name of the recurrent layer whose input sequence x was measured.
        distances: int[time], steps back from the last step of each sequence: 0, 1, 2, ...
        norms: float64[time], mean of ‖∂loss/∂x‖ over the sequences that reach so far back, in units
            of the loss per unit of x.
        sequences: int[time], number of sequences that reach so far back.
    """

    layer: str
    distances: np.ndarray
    norms: np.ndarray
    sequences: np.ndarray

    def horizon(self, share: float = 0.01) -> int | None:
        """Returns the smallest distance, in steps, from which on the norm stays below a fraction of
        the norm at distance 0; None if it never does.

        Args:
            share: fraction of the norm at distance 0.

        Raises:
            InputError: a fraction that is not between 0 and 1.
        """
        if not 0 < share < 1:
            raise InputError(
                f"the fraction of the gradient must be above 0 and below 1; received {share}"
            )
        first = int(np.flatnonzero(~(self.norms < share * self.norms[0]))[-1]) + 1
        return first if first < len(self.norms) else None

    @property
    def half_life(self) -> int | None:
        """The horizon of one half, in steps."""
        return self.horizon(0.5)

    @property
    def rate(self) -> float:
        """The slope of ln(norm) over distance by least squares, in nats per step; each step back
        multiplies the gradient by exp(rate).

        Below 0 gradients vanish, above 0 they explode. Norms below 1e-30, where float32 underflows,
        are left out (float16 underflows at 1e-7: measure in float32); not a number where fewer than
        two are left.
        """
        usable = np.isfinite(self.norms) & (self.norms > 1e-30)
        if usable.sum() < 2:
            return float("nan")
        return float(np.polyfit(self.distances[usable], np.log(self.norms[usable]), 1)[0])

    def frame(self) -> pd.DataFrame:
        """Returns a row per distance: distance, norm, relative (to distance 0), sequences."""
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
    inputs: Any,
    *,
    lengths: Sequence[int] | None = None,
    loss: Callable[[Any], Any] | None = None,
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
        model: built model that calls its recurrent layers outside loops; its sequences must not mix
            (each row's loss is its own).
        inputs: batch, as the model takes it; masks right-padded. An input of booleans is taken for
            the mask of sequences of its shape.
        lengths: int[batch], steps of each sequence; later steps are padding. Needed where nothing
            in the model says so: in a language model, a decoder, a tagger without a CRF. By default
            the layer's own mask counts, or else the single mask of its sequence's shape that the
            model makes; without a mask every step counts.
        loss: function from the model's output to float[batch], a number for each sequence, by
            operations of TensorFlow or keras.ops. By default a fixed random projection (onto a
            direction of length one) of the last true step of the last recurrent layer's output:
            this works whatever the model's head, and without targets.
        layer: name of the recurrent layer whose input is x; by default the first that the model
            calls.

    Raises:
        InputError: a model without a recurrent layer or not built, an unknown layer, a loss that is
            not a number for each sequence or does not depend on x, a mask that is not right-padded.
    """
    layers = list(held_layers(model, _reads_a_sequence))
    names = [held.name for held in layers]
    if not layers:
        raise InputError(
            f"the model {model.name!r} has no recurrent layer: there is no gradient through time "
            "to measure"
        )
    if layer is not None and layer not in names:
        raise InputError(
            f"no recurrent layer {layer!r} in the model {model.name!r}; there are "
            f"{', '.join(names)}"
        )
    if not model.built:
        raise InputError(f"the model {model.name!r} is not built: call it on a batch first")
    inputs = keras.tree.map_structure(ops.convert_to_tensor, inputs)
    used: list[str] = []
    given = [x for x in keras.tree.flatten(inputs) if x.dtype == tf.bool]
    masks = given + list(held_layers(model, makes_mask))

    def measured() -> tuple[Tensor, Tensor, Tensor]:
        with tf.GradientTape() as tape, recorded_calls(layers, tape, masks) as (calls, made):
            outputs = model(inputs, training=False)
            chosen = chosen_calls(calls, layer)
            first, last = (with_mask(call, model, made, lengths) for call in chosen)
            each: Tensor = (
                projection(last) if loss is None else ops.convert_to_tensor(loss(outputs))
            )
        if len(each.shape) != 1:
            raise InputError(
                "the loss must be a number for each sequence, float[batch]; received shape "
                f"{tuple(each.shape)}"
            )
        gradient = tape.gradient(each, first.sequence)
        if gradient is None:
            raise InputError(
                f"the loss does not depend on what layer {first.layer.name!r} reads: no gradient "
                "gets there"
            )
        used.extend([first.layer.name, last.layer.name] if loss is None else [first.layer.name])
        return gradient, first.mask, last.mask

    with states_kept(model):
        # As a graph, several times as fast as step by step; not by calling a tf.function, which
        # would warn of retracing.
        graph: Any = tf.function(measured, autograph=False)
        gradient, *found = graph.get_concrete_function()()
    for name, mask in zip(used, found, strict=False):
        check_padding(np.asarray(mask), name)
    gradient = np.asarray(gradient, np.float64)
    ends = np.asarray(found[0]).sum(axis=1)
    norms = np.sqrt(np.square(gradient).sum(axis=tuple(range(2, gradient.ndim))))
    distances = np.arange(ends.max())
    step = ends[:, None] - 1 - distances
    reached = step >= 0
    norms = np.where(reached, np.take_along_axis(norms, np.maximum(step, 0), axis=1), 0)
    sequences = reached.sum(axis=0)
    return GradientFlow(used[0], distances, norms.sum(axis=0) / sequences, sequences)


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
    """Measures how far back each type of cell reaches at initialisation: a row per cell, all on the
    same standard normal noise.

    With no recurrent weights the gradient of an LSTM would travel through the
    forget gates alone, which start at sigmoid(1) = 0.73 (Jozefowicz et al. 2015), that of a GRU
    through update gates of 0.5. The orthogonal recurrent kernels add a second way: 0.82 and 0.63
    per step are measured. A SimpleRNN keeps nearly all of the gradient on small inputs, where tanh
    is a line, and loses more than an LSTM on this noise, where it saturates. Training changes these
    figures; `gradient_flow` measures a trained model.

    Args:
        cells: cells of `recurrent.rnn_stack`.
        units: size of the state.
        time: length of the sequences, in steps.
        share: fraction of the gradient at distance 0, for the horizon.
        seed: seed of weights and data; the state of the global random generators stays as it is.
        features: number of features of the data.
        batch: number of sequences.

    Returns:
        Columns "cell"; "horizon" and "half_life", steps after which the gradient stays below
        `share` and one half (missing if `time` is too short); "rate", nats per step, and "factor" =
        exp(rate), by which each step back multiplies the gradient.

    Raises:
        InputError: data without a step, a feature or a sequence.
    """
    if min(time, features, batch) < 1:
        raise InputError(
            "time, features and batch must be at least 1; received "
            f"time={time}, features={features}, batch={batch}"
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
