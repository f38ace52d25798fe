"""A network as it is: numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.export.builders import network_facts
from rnn_cookbook.export.served import Facts, Served, call_by_name
from rnn_cookbook.nn.examples import InputValues, ReadsInputs

__all__ = ["ServedNetwork"]

LONGEST_EXAMPLE = 40  # steps, where the length is free
WIDTH = 20  # size of a free axis after the time axis, where no layer says it


def _output_names(model: keras.Model) -> tuple[str, ...]:
    if isinstance(model.output, dict):
        return tuple(sorted(model.output))
    count = len(model.outputs)
    return ("output",) if count == 1 else tuple(f"output_{number}" for number in range(count))


def _said(layer: keras.Layer) -> Sequence[InputValues]:
    return layer.input_values if isinstance(layer, ReadsInputs) else ()


def _input_values(model: keras.Model) -> dict[str, InputValues]:
    """Input name -> values, as the layers say that read the inputs."""
    names = {id(tensor): tensor.name for tensor in model.inputs}
    values = {name: InputValues() for name in names.values()}
    for layer in model.layers:
        said = _said(layer)
        tensors = keras.tree.flatten(layer.input) if said else []
        for tensor, each in zip(tensors, said, strict=True):
            if id(tensor) in names:
                values[names[id(tensor)]] = each
    return values


def _smallest_table(model: keras.Model) -> int:
    """Number of rows of the smallest embedding: smaller numbers are known to every embedding."""
    tables = [weight for weight in model.variables if weight.path.endswith("embeddings")]
    return min((table.shape[0] for table in tables), default=2)


class ServedNetwork(Served):
    """A Keras model under the names of its inputs. Its single output is called "output", unless the
    model names its outputs itself.

    Args:
        model: functional Keras model.
        steps: number of steps of every example, for a format with fixed shapes; free by default.
        learnt: facts of the bundle.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        steps: int | None = None,
        learnt: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self.model = model
        self.network = model
        self.steps = steps
        self.learnt = dict(learnt or {})
        self.about = ""
        self.outputs = _output_names(model)
        self.values = _input_values(model)
        self.signature = self._shapes(steps, batch=None)
        self._function = tf.function(
            self, input_signature=self._shapes(None, batch=None), autograph=False
        )

    def __call__(self, *inputs):
        outputs = call_by_name(self.network, dict(zip(self.input_names, inputs, strict=True)))
        return dict(zip(self.outputs, keras.tree.flatten(outputs), strict=True))

    def _shapes(self, steps: int | None, *, batch: int | None) -> tuple[tf.TensorSpec, ...]:
        """The inputs' shapes; with `steps`, the other free axes have their sizes, too."""
        specs = []
        for tensor in keras.tree.flatten(self.network.input):
            width = self.values[tensor.name].width or WIDTH
            free = [batch, steps, width if steps else None]
            shape = [free[axis] if size is None else size for axis, size in enumerate(tensor.shape)]
            specs.append(tf.TensorSpec(shape, tensor.dtype, name=tensor.name))
        return tuple(specs)

    def facts(self) -> Facts:
        return network_facts(self.network, self.learnt)

    def examples(self, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draws random numbers in rows of any length up to the longest, padded on the right."""
        longest = self.steps
        if not longest:
            steps = max(values.steps for values in self.values.values())
            longest = int(rng.integers(2, LONGEST_EXAMPLE)) * steps
        lengths = rng.integers(1, longest + 1, size)
        if not self.steps:
            lengths[0] = longest
        inside = np.arange(longest) < lengths[:, None]
        free = self._shapes(None, batch=None)
        fixed = self._shapes(longest, batch=size)
        made = {}
        for name, spec, sized in zip(self.input_names, free, fixed, strict=True):
            numbers = lengths
            if not self.values[name].lengths:
                numbers = self._drawn(self.values[name], sized, rng)
                if numbers.ndim > 1 and spec.shape[1] is None:
                    numbers = numbers * inside.reshape(inside.shape + (1,) * (numbers.ndim - 2))
            made[name] = numbers.astype(spec.dtype.as_numpy_dtype)
        return made

    def _drawn(
        self, values: InputValues, spec: tf.TensorSpec, rng: np.random.Generator
    ) -> np.ndarray:
        shape = [size or 0 for size in spec.shape]  # every size is known here
        if values.counts:
            return rng.integers(0, values.counts, shape)
        if spec.dtype.is_integer:
            numbers = _smallest_table(self.network)
            return rng.integers(min(1, numbers - 1), numbers, shape)  # 0 is padding
        if spec.dtype == tf.bool:
            return rng.integers(0, 2, shape)
        return rng.normal(size=shape) * values.deviation

    def expected(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        tensors = [tf.constant(inputs[name]) for name in self.input_names]
        answers = self._function(*tensors)
        return {name: value.numpy() for name, value in answers.items()}
