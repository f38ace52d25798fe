"""Conditional random field (CRF) as the last layer of a tagger: the layer that learns the
transitions, its loss, and its decoder.

On top of a recurrent network: Huang et al. (2015, "Bidirectional LSTM-CRF Models for Sequence
Tagging"), Lample et al. (2016, "Neural Architectures for Named Entity Recognition"). The algorithms
are in `nn.linear_chain`, the constraints of tag schemes in `nn.tag_schemes`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.nn.linear_chain import (
    NEVER,
    PADDING,
    crf_conditionals,
    crf_log_likelihood,
    crf_marginals,
    crf_viterbi,
)
from rnn_cookbook.nn.tensors import Tensor

__all__ = ["CRF", "CRFDecoder", "CRFLoss", "decoding_model"]

# Score in nats of what is not allowed, in training: a label that breaks a constraint costs much,
# not infinitely much.
FORBIDDEN = -1e4

# Layers by name, the last one loaded: Keras loads a model before its loss, which finds its layer
# here. Keras has no way of its own.
_LOADED: weakref.WeakValueDictionary[str, CRF] = weakref.WeakValueDictionary()


def _add_borders(scores: Tensor, mask: Tensor, start: Tensor, end: Tensor) -> Tensor:
    mask = ops.cast(mask, "bool")
    continues = ops.pad(mask[:, 1:], [[0, 0], [0, 1]])
    last: Tensor = ops.logical_and(mask, ops.logical_not(continues))
    shape: Tensor = ops.shape(mask)
    first: Tensor = ops.equal(ops.arange(shape[1]), 0)
    scores = ops.cast(scores, "float32")
    scores = scores + ops.where(first[:, None], start, 0.0)
    return scores + ops.where(last[..., None], end, 0.0)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class CRF(keras.layers.Layer):
    """Learns start scores, end scores and transitions on top of emissions.

    (float[batch, time, tags], bool[batch, time]) -> scores float32[batch, time, tags]

    As the last layer of a model, on emissions without a softmax. Start scores are added at the
    first step and end scores at the last one, so that its output and `transitions` are the whole
    model: `model.compile(loss=crf.loss)`, then `crf.viterbi(scores, mask)` and
    `crf.marginals(scores, mask)`, or `decoding_model(model)`. The output alone is no classifier:
    its argmax knows no transitions.

    All weights start at zero: the model then is the softmax classifier of each step, which is where
    training should start from, and there is no symmetry to break, since every weight has its own
    pair of tags. Always float32, also under mixed precision.

    Args:
        tags: number of tags.
        allowed: (start bool[tags], transitions bool[tags, tags], end bool[tags]) as from
            `nn.tag_schemes.tag_constraints`; everything when None. What is not allowed scores -1e4
            in training, so that a wrong label costs much but stays finite, and is never decoded.

    Raises:
        InputError: no tag, `allowed` of other shapes, or no tag that may be first or last; on
            building, emissions of another number of tags.
    """

    def __init__(self, tags: int, *, allowed: Sequence[Any] | None = None, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        if tags < 1:
            raise InputError(f"tags must be at least 1; received {tags}")
        self.supports_masking = True
        self.tags = tags
        self.allowed = None
        if allowed is not None:
            self.allowed = self._checked(allowed)

    def _checked(self, allowed: Sequence[Any]) -> list[list]:
        n = self.tags
        shapes = [np.shape(part) for part in allowed]
        if shapes != [(n,), (n, n), (n,)]:
            raise InputError(
                f"allowed for {n} tags must be of the shapes ({n},), ({n}, {n}), ({n},); received "
                f"{shapes}"
            )
        lists = [np.asarray(part, bool).tolist() for part in allowed]
        start, _, end = lists
        for part, place in ((start, "first"), (end, "last")):
            if not any(part):
                raise InputError(f"allowed must let some tag be the {place}; received none")
        return lists

    def build(self, input_shape: Any) -> None:
        emissions, _ = input_shape
        if emissions[-1] != self.tags:
            raise InputError(
                f"emissions must have {self.tags} tags on their last axis; received shape "
                f"{tuple(emissions)}"
            )
        self.start = self.add_weight(shape=(self.tags,), initializer="zeros", name="start")
        self.pairs = self.add_weight(
            shape=(self.tags, self.tags), initializer="zeros", name="transitions"
        )
        self.end = self.add_weight(shape=(self.tags,), initializer="zeros", name="end")

    def call(self, inputs: Any) -> Tensor:
        emissions, mask = inputs
        start, _, end = self._potentials(FORBIDDEN)
        return _add_borders(emissions, mask, start, end)

    @property
    def transitions(self) -> Tensor:
        """Scores of the pairs of tags, float32[tags, tags], from the row to the column; -1e4 where
        a pair is not allowed."""
        return self._potentials(FORBIDDEN)[1]

    @property
    def loss(self) -> CRFLoss:
        """The loss for `model.compile`, see `CRFLoss`."""
        return CRFLoss(self)

    def viterbi(self, scores: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the best allowed path, int32[batch, time] with 0 at padding, and its score,
        float32[batch].

        Args:
            scores: output of this layer, float32[batch, time, tags].
            mask: steps that are not padding, bool[batch, time].
        """
        return crf_viterbi(*self._decoding(scores, mask))

    def marginals(self, scores: Tensor, mask: Tensor) -> Tensor:
        """Returns the probability of each tag at each step, float32[batch, time, tags]; 0 at
        padding.

        Args:
            scores: output of this layer, float32[batch, time, tags].
            mask: steps that are not padding, bool[batch, time].
        """
        return crf_marginals(*self._decoding(scores, mask))

    def conditionals(self, scores: Tensor, tags: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the nats of each step of a path, by itself and given the step before it, see
        `nn.linear_chain.crf_conditionals`.

        Args:
            scores: output of this layer, float32[batch, time, tags].
            tags: the path, int32[batch, time].
            mask: steps that are not padding, bool[batch, time].
        """
        scores, mask, transitions = self._decoding(scores, mask)
        return crf_conditionals(scores, tags, mask, transitions)

    def _potentials(self, forbidden: float) -> list[Tensor]:
        weights = (self.start, self.pairs, self.end)
        if self.allowed is None:
            return [ops.convert_to_tensor(weight) for weight in weights]
        return [
            ops.where(np.array(part), weight, forbidden)
            for part, weight in zip(self.allowed, weights, strict=True)
        ]

    def _decoding(self, scores: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # The penalty of training can be outbid by large emissions; this one cannot.
        if self.allowed is not None:
            start, _, end = self.allowed
            start = np.where(start, 0.0, NEVER).astype(np.float32)
            end = np.where(end, 0.0, NEVER).astype(np.float32)
            scores = _add_borders(scores, mask, start, end)
        return scores, mask, self._potentials(NEVER)[1]

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        # A travelling mask would end here as a weight bool[batch, time] on a loss float32[batch].
        return None

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "tags": self.tags, "allowed": self.allowed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> CRF:
        crf = cls(**config)
        _LOADED[crf.name] = crf
        return crf


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class CRFLoss(keras.losses.Loss):
    """The negative log-likelihood of each labelling, in nats.

    (int32[batch, time], scores float32[batch, time, tags] of the CRF layer) -> float32[batch],
    reduced

    Labels are padded with -1 on the right, as far as the mask that the layer was given: each of its
    steps needs a label. The mean is over sequences, not over steps; sample weights are
    float[batch].

    Args:
        crf: layer whose output is the model's.
        reduction: reduction over the batch, see `keras.losses.Loss`.
        name: name of the loss.
        **kwargs: further arguments of `keras.losses.Loss`.
    """

    def __init__(
        self,
        crf: CRF,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str = "crf",
        **kwargs,
    ):
        # Keras accepts None, too.
        super().__init__(reduction=reduction, name=name, **kwargs)  # pyright: ignore[reportArgumentType]
        # Behind a function: from an attribute Keras would store the layer's weights as the loss's.
        self._layer: Callable[[], CRF] = lambda: crf

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        crf = self._layer()
        labels: Tensor = tf.cast(y_true, tf.int32)
        mask = labels >= 0
        # Both would give wrong numbers without a word.
        holes = tf.logical_and(mask[:, 1:], tf.logical_not(mask[:, :-1]))
        wrong = tf.logical_or(tf.reduce_any(holes), tf.reduce_any(labels >= crf.tags))
        message = (
            f"labels must be below {crf.tags} and padded on the right with {PADDING}; received"
        )
        check = tf.debugging.Assert(tf.logical_not(wrong), [message, labels])
        with tf.control_dependencies([check]):
            return -crf_log_likelihood(y_pred, labels, mask, crf.transitions)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "crf": self._layer().name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> CRFLoss:
        """Makes the loss for the last loaded layer of the name in the configuration.

        Raises:
            InputError: no such layer was loaded.
        """
        crf = _LOADED.get(config["crf"])
        if crf is None:
            raise InputError(
                f"the loss of the CRF layer {config['crf']!r} came without its model; make a new "
                "loss by `layer.loss`"
            )
        return cls(**{**config, "crf": crf})


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class CRFDecoder(keras.layers.Layer):
    """Computes tags and probabilities in place of a CRF layer's scores.

    (float[batch, time, tags], bool[batch, time]) -> {"tags": int32[batch, time], 0 at padding;
    "probabilities": float32[batch, time, tags], the marginals, 0 at padding}

    Args:
        crf: CRF layer; it is shared, not copied, so that the decoder follows its training.
    """

    def __init__(self, crf: CRF, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.supports_masking = True
        self.crf = crf

    def build(self, input_shape: Any) -> None:
        if not self.crf.built:
            self.crf.build(input_shape)

    def call(self, inputs: Any) -> Tensor:
        _, mask = inputs
        scores = self.crf(inputs)
        path, _ = self.crf.viterbi(scores, mask)
        return {"tags": path, "probabilities": self.crf.marginals(scores, mask)}

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return None

    def compute_output_spec(self, inputs: Any) -> Any:
        emissions, _ = inputs
        return {
            "tags": keras.KerasTensor(emissions.shape[:-1], "int32"),
            "probabilities": keras.KerasTensor(emissions.shape, "float32"),
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "crf": keras.saving.serialize_keras_object(self.crf)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> CRFDecoder:
        return cls(**{**config, "crf": keras.saving.deserialize_keras_object(config["crf"])})


def decoding_model(model: keras.Model) -> keras.Model:
    """Returns the model with a `CRFDecoder` in place of its CRF layer, weights shared.

    It takes the same inputs and answers {"tags": …, "probabilities": …}.

    Args:
        model: model with one CRF layer.

    Raises:
        InputError: the model has no CRF layer, or several.
    """
    layers = [layer for layer in model.layers if isinstance(layer, CRF)]
    if len(layers) != 1:
        raise InputError(
            f"model {model.name!r} must have one CRF layer; received {len(layers)} among "
            f"{listing(layer.name for layer in model.layers)}"
        )
    crf: Any = layers[0]
    outputs = CRFDecoder(crf, name="decoder")(tuple(crf.input))
    return keras.Model(model.input, outputs, name=f"{model.name}_decoder")
