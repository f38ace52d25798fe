"""A network as it is: numbers in, numbers out."""

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.export.served import Served, call_by_name
from rnn_cookbook.nn.characters import LETTERS
from rnn_cookbook.nn.words import FeatureEmbedding

_STEPS = 40  # the longest example, where the length is free


class ServedNetwork(Served):
    """A Keras model by the names of its inputs; its only output is "output", where it does not name
    them itself.

    Args:
        model: any.
        steps: of every example, where the format wants fixed shapes; any number by default.
    """

    def __init__(self, model: keras.Model, *, steps: int | None = None):
        super().__init__()
        self.model, self.steps, self.about = model, steps, ""
        names, count = model.output if isinstance(model.output, dict) else (), len(model.outputs)
        self.outputs = tuple(sorted(names)) or (
            ("output",) if count == 1 else tuple(f"output_{number}" for number in range(count))
        )
        self.signature = self._shapes(steps, batch=None)
        self._function = tf.function(
            self, input_signature=self._shapes(None, batch=None), autograph=False
        )

    def __call__(self, *inputs):
        outputs = call_by_name(
            self.model, {one.name: value for one, value in zip(self.signature, inputs, strict=True)}
        )
        return dict(zip(self.outputs, keras.tree.flatten(outputs), strict=True))

    def _shapes(self, steps: int | None, *, batch: int | None) -> tuple[tf.TensorSpec, ...]:
        free = [batch, steps, LETTERS if steps else None]
        return tuple(
            tf.TensorSpec(
                [free[axis] if size is None else size for axis, size in enumerate(one.shape)],
                one.dtype,
                name=one.name,
            )
            for one in keras.tree.flatten(self.model.input)
        )

    def examples(self, size, rng):
        """Random numbers: rows of any length up to the longest, padded on the right."""
        longest = self.steps or int(rng.integers(2, _STEPS))
        if not self.steps and any(one.name == "samples" for one in self.signature):
            longest *= 200  # some frames
        lengths = rng.integers(1, longest + 1, size)
        if not self.steps:
            lengths[0] = longest

        numbers = min(
            (v.shape[0] for v in self.model.variables if v.path.endswith("embeddings")), default=2
        )
        made = {}
        for spec, fixed in zip(
            self._shapes(None, batch=None), self._shapes(longest, batch=size), strict=True
        ):
            shape = fixed.shape.as_list()
            if spec.name == "lengths":
                made[spec.name] = lengths.astype(np.int32)
                continue
            if spec.name == "features":
                values = rng.integers(
                    0,
                    next(
                        (
                            part.counts
                            for part in self.model.layers
                            if isinstance(part, FeatureEmbedding)
                        ),
                        2,
                    ),
                    shape,
                )
            elif spec.dtype.is_integer:
                values = rng.integers(min(1, numbers - 1), numbers, shape)
            elif spec.dtype == tf.bool:
                values = rng.integers(0, 2, shape)
            else:
                values = rng.normal(size=shape) * (0.1 if spec.name == "samples" else 1.0)
            if len(shape) > 1 and spec.shape[1] is None:
                inside = np.arange(longest) < lengths[:, None]
                values = values * inside.reshape(inside.shape + (1,) * (len(shape) - 2))
            made[spec.name] = values.astype(spec.dtype.as_numpy_dtype)
        return made

    def expected(self, inputs):
        return {
            name: value.numpy()
            for name, value in self._function(
                *(tf.constant(inputs[spec.name]) for spec in self.signature)
            ).items()
        }
