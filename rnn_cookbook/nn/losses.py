"""Losses that Keras lacks: of words without their padding, of quantiles and of distributions. Those
of CRF and CTC live beside their layers."""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf
from keras import ops

from rnn_cookbook.errors import InputError


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class PaddedCrossEntropy(keras.losses.Loss):
    """Mean cross-entropy of the steps that are not padding, in nats: (int32[batch, time] labels,
    float32[batch, time, classes] logits)
    -> scalar.

    The mean is over all steps of the batch, not over sequences first: a word counts the same in a
    short sequence as in a long one.

    Args:
        padding: the label that does not count: 0 for words, -1 for tags.
        label_smoothing: share of the probability that is spread over all classes (Szegedy et al.
            2016), 0 <= label_smoothing < 1.
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
        if not 0 <= label_smoothing < 1:
            raise InputError(
                f"label_smoothing must be at least 0 and below 1, got {label_smoothing}"
            )
        self.padding, self.label_smoothing = padding, label_smoothing

    def __call__(self, y_true, y_pred, sample_weight=None):
        # Its own reduction: Keras would divide by all the steps, padding included.
        labels, logits = ops.cast(y_true, "int32"), ops.cast(y_pred, "float32")
        counts = ops.cast(ops.not_equal(labels, self.padding), "float32")
        if sample_weight is not None:
            weight = ops.cast(sample_weight, "float32")
            counts = counts * (weight if len(weight.shape) == 2 else weight[:, None])
        # TensorFlow's own kernels find loss and gradient in one pass.
        if self.label_smoothing:
            rest = self.label_smoothing / logits.shape[-1]
            spread = tf.one_hot(
                labels, logits.shape[-1], on_value=1 - self.label_smoothing + rest, off_value=rest
            )
            loss = tf.nn.softmax_cross_entropy_with_logits(spread, logits)
        else:
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(ops.maximum(labels, 0), logits)
        return ops.sum(loss * counts) / ops.maximum(ops.sum(counts), 1e-7)

    def get_config(self):
        return {
            **super().get_config(),
            "padding": self.padding,
            "label_smoothing": self.label_smoothing,
        }


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class QuantileLoss(keras.losses.Loss):
    """Pinball loss (Koenker and Bassett 1978), mean over the quantiles, in the series' units.

    (float[batch, horizon, channels], float[batch, horizon, channels, quantiles]) -> float[batch,
    horizon, channels]

    Args:
        quantiles: those of the forecast, in its order.
    """

    def __init__(
        self, quantiles: Sequence[float] = (0.1, 0.5, 0.9), *, name: str = "quantile_loss", **kwargs
    ):
        super().__init__(name=name, **kwargs)
        if not quantiles or not 0 < min(quantiles) <= max(quantiles) < 1:
            raise InputError(
                f"quantiles must lie between 0 and 1, got {', '.join(map(str, quantiles)) or 'none'}"
            )
        self.quantiles = tuple(quantiles)

    def call(self, y_true, y_pred):
        error = ops.cast(y_true, "float32")[..., None] - ops.cast(y_pred, "float32")
        share = ops.array(self.quantiles, "float32")
        return ops.mean(ops.maximum(share * error, (share - 1) * error), axis=-1)

    def get_config(self):
        return {**super().get_config(), "quantiles": list(self.quantiles)}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class GaussianLoss(keras.losses.Loss):
    """Negative log-likelihood in nats: (float[...], float[..., (mean, scale)]) -> float[...]."""

    def __init__(self, *, name: str = "gaussian_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        y_pred = ops.cast(y_pred, "float32")
        mean, scale = y_pred[..., 0], y_pred[..., 1]
        return (
            0.5 * ops.square((ops.cast(y_true, "float32") - mean) / scale)
            + ops.log(scale)
            + 0.5 * math.log(2 * math.pi)
        )


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class StudentTLoss(keras.losses.Loss):
    """Negative log-likelihood in nats of Student's t, which forgives outliers: (float[...],
    float[..., (mean, scale, degrees)]) -> float[...]."""

    def __init__(self, *, name: str = "student_t_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        y_pred = ops.cast(y_pred, "float32")
        mean, scale, degrees = y_pred[..., 0], y_pred[..., 1], y_pred[..., 2]
        distance = ops.square((ops.cast(y_true, "float32") - mean) / scale)
        normaliser = (
            tf.math.lgamma(degrees / 2)
            - tf.math.lgamma((degrees + 1) / 2)
            + 0.5 * ops.log(degrees * math.pi)
            + ops.log(scale)
        )
        return normaliser + 0.5 * (degrees + 1) * ops.log1p(distance / degrees)
