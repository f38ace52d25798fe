"""Losses that Keras lacks: of words without their padding, of quantiles and of distributions. The
losses of CRF and CTC live beside their layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.tensors import Tensor
from rnn_cookbook.settings import check_fractions

__all__ = ["GaussianLoss", "PaddedCrossEntropy", "QuantileLoss", "StudentTLoss"]

# A batch without a word has the loss 0, not a division of 0 by 0.
_MIN_COUNT = 1e-7


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class PaddedCrossEntropy(keras.losses.Loss):
    """The mean cross-entropy of the steps that are not padding, in nats.

    (int32[batch, time] labels, float32[batch, time, classes] logits) -> scalar

    The mean is over all steps of the batch, not over sequences first: a word counts the same in a
    short sequence as in a long one.

    Args:
        padding: label that does not count: 0 for words, -1 for tags.
        label_smoothing: fraction of the probability that is spread evenly over all classes
            (Szegedy et al. 2016), 0 <= label_smoothing < 1.
        name: name of the loss.
        kwargs: other options of `keras.losses.Loss`.

    Raises:
        InputError: `label_smoothing` is out of range.
    """

    def __init__(
        self,
        *,
        padding: int = 0,
        label_smoothing: float = 0.0,
        name: str = "padded_cross_entropy",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        check_fractions(label_smoothing=label_smoothing)
        self.padding = padding
        self.label_smoothing = label_smoothing

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        # A reduction of its own: Keras would divide by all the steps, padding included.
        labels: Tensor = ops.cast(y_true, "int32")
        logits: Tensor = ops.cast(y_pred, "float32")
        counts: Tensor = ops.cast(ops.not_equal(labels, self.padding), "float32")
        if sample_weight is not None:
            weight: Tensor = ops.cast(sample_weight, "float32")
            counts = counts * (weight if len(weight.shape) == 2 else weight[:, None])
        loss = self._cross_entropy(labels, logits)
        total: Tensor = ops.sum(loss * counts)
        return total / ops.maximum(ops.sum(counts), _MIN_COUNT)

    def _cross_entropy(self, labels: Tensor, logits: Tensor) -> Tensor:
        # TensorFlow's own kernels compute loss and gradient in one pass.
        if not self.label_smoothing:
            labels = ops.maximum(labels, 0)
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        classes = logits.shape[-1]
        low = self.label_smoothing / classes
        high = 1 - self.label_smoothing + low
        smoothed = tf.one_hot(labels, classes, on_value=high, off_value=low)
        return tf.nn.softmax_cross_entropy_with_logits(smoothed, logits)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "padding": self.padding,
            "label_smoothing": self.label_smoothing,
        }


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class QuantileLoss(keras.losses.Loss):
    """The pinball loss (Koenker and Bassett 1978), mean over the quantiles, in the series' units.

    max(q * (y - f), (q - 1) * (y - f)) for the forecast f of quantile q

    (float[batch, horizon, channels], float[batch, horizon, channels, quantiles]) -> float[batch,
    horizon, channels]

    Args:
        quantiles: quantiles of the forecast, in its order, each above 0 and below 1.
        name: name of the loss.
        kwargs: other options of `keras.losses.Loss`.

    Raises:
        InputError: no quantile, or a quantile out of range.
    """

    def __init__(
        self, quantiles: Sequence[float] = (0.1, 0.5, 0.9), *, name: str = "quantile_loss", **kwargs
    ):
        super().__init__(name=name, **kwargs)
        if not quantiles or not 0 < min(quantiles) <= max(quantiles) < 1:
            received = ", ".join(map(str, quantiles)) or "none"
            raise InputError(
                f"quantiles must lie between 0 and 1; received {received}", field="quantiles"
            )
        self.quantiles = tuple(quantiles)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        target: Tensor = ops.cast(y_true, "float32")
        error: Tensor = target[..., None] - ops.cast(y_pred, "float32")
        quantiles: Tensor = ops.array(self.quantiles, "float32")
        return ops.mean(ops.maximum(quantiles * error, (quantiles - 1) * error), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "quantiles": list(self.quantiles)}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class GaussianLoss(keras.losses.Loss):
    """The negative log-likelihood of a normal distribution, in nats.

    (float[...], float[..., (mean, scale)]) -> float[...]

    Args:
        name: name of the loss.
        kwargs: other options of `keras.losses.Loss`.
    """

    def __init__(self, *, name: str = "gaussian_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        y_pred = ops.cast(y_pred, "float32")
        mean = y_pred[..., 0]
        scale = y_pred[..., 1]
        distance: Tensor = ops.square((ops.cast(y_true, "float32") - mean) / scale)
        return 0.5 * distance + ops.log(scale) + 0.5 * math.log(2 * math.pi)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class StudentTLoss(keras.losses.Loss):
    """The negative log-likelihood of Student's t, in nats; outliers weigh less than in a normal
    distribution's.

    (float[...], float[..., (mean, scale, degrees of freedom)]) -> float[...]

    Args:
        name: name of the loss.
        kwargs: other options of `keras.losses.Loss`.
    """

    def __init__(self, *, name: str = "student_t_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        y_pred = ops.cast(y_pred, "float32")
        mean = y_pred[..., 0]
        scale = y_pred[..., 1]
        degrees = y_pred[..., 2]
        distance: Tensor = ops.square((ops.cast(y_true, "float32") - mean) / scale)
        log_degrees: Tensor = ops.log(degrees * math.pi)
        normaliser: Tensor = (
            tf.math.lgamma(degrees / 2)
            - tf.math.lgamma((degrees + 1) / 2)
            + 0.5 * log_degrees
            + ops.log(scale)
        )
        return normaliser + 0.5 * (degrees + 1) * ops.log1p(distance / degrees)
