"""Losses against SciPy's distributions and plain sums in float64."""

import keras
import numpy as np
import pytest
from scipy import special, stats

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.losses import GaussianLoss, PaddedCrossEntropy, QuantileLoss, StudentTLoss

RNG = np.random.default_rng(0)


def test_cross_entropy_is_the_mean_over_words_that_are_not_padding():
    logits, labels = RNG.normal(size=(3, 5, 4)).astype(np.float32), RNG.integers(1, 4, (3, 5))
    labels[1, 2:] = labels[2, 1:] = 0
    nats = [
        -special.log_softmax(logits[i, t].astype(np.float64))[labels[i, t]]
        for i in range(3)
        for t in range(5)
        if labels[i, t]
    ]
    assert float(PaddedCrossEntropy()(labels, logits)) == pytest.approx(np.mean(nats), rel=1e-5)
    padded = PaddedCrossEntropy()(
        np.pad(labels, [(0, 0), (0, 7)]), np.pad(logits, [(0, 0), (0, 7), (0, 0)])
    )
    assert float(padded) == pytest.approx(np.mean(nats), rel=1e-5)
    weights = (np.arange(5) < 1)[None].repeat(3, axis=0)
    first = [-special.log_softmax(logits[i, 0].astype(np.float64))[labels[i, 0]] for i in range(3)]
    assert float(PaddedCrossEntropy()(labels, logits, sample_weight=weights)) == pytest.approx(
        np.mean(first), rel=1e-5
    )


def test_label_smoothing_mixes_in_the_mean_over_all_classes():
    logits, labels = RNG.normal(size=(1, 2, 4)).astype(np.float32), np.array([[1, 3]])
    logs = special.log_softmax(logits.astype(np.float64), axis=-1)[0]
    smooth = 0.1 / 4 + 0.9 * np.eye(4)[labels[0]]
    expected = -(smooth * logs).sum(axis=-1).mean()
    assert float(PaddedCrossEntropy(label_smoothing=0.1)(labels, logits)) == pytest.approx(
        expected, rel=1e-5
    )


def test_cross_entropy_is_what_compile_reports():
    logits, labels = RNG.normal(size=(4, 5, 4)).astype(np.float32), RNG.integers(1, 4, (4, 5))
    labels[1:, 2:] = 0
    x = keras.Input((5, 4))
    model = keras.Model(x, keras.layers.Identity()(x))
    model.compile(loss=PaddedCrossEntropy())
    assert model.evaluate(logits, labels, batch_size=4, verbose=0) == pytest.approx(
        float(PaddedCrossEntropy()(labels, logits)), rel=1e-5
    )


def test_quantile_loss_is_least_at_the_quantile():
    values = RNG.normal(size=20_000).astype(np.float32)
    guesses = np.linspace(-2, 2, 81, dtype=np.float32)
    for share in (0.1, 0.5, 0.9):
        losses = [
            float(QuantileLoss([share])(values, np.full((20_000, 1), guess, np.float32)))
            for guess in guesses
        ]
        assert guesses[np.argmin(losses)] == pytest.approx(stats.norm.ppf(share), abs=0.06)


def test_distributions_are_those_of_scipy():
    values, mean = RNG.normal(size=(2, 50)).astype(np.float32)
    scale, degrees = (
        RNG.uniform(0.3, 3, 50).astype(np.float32),
        RNG.uniform(2.1, 30, 50).astype(np.float32),
    )
    gaussian = GaussianLoss(reduction=None)(values, np.stack([mean, scale], axis=-1))
    np.testing.assert_allclose(
        gaussian, -stats.norm.logpdf(values, mean, scale), rtol=1e-4, atol=1e-5
    )
    student = StudentTLoss(reduction=None)(values, np.stack([mean, scale, degrees], axis=-1))
    np.testing.assert_allclose(
        student, -stats.t.logpdf(values, degrees, mean, scale), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    "loss",
    [
        PaddedCrossEntropy(padding=-1, label_smoothing=0.1),
        QuantileLoss([0.2, 0.8]),
        GaussianLoss(),
        StudentTLoss(),
    ],
)
def test_losses_come_back_from_their_configuration(loss):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="received 1"):
        PaddedCrossEntropy(label_smoothing=1)
    with pytest.raises(InputError, match=r"received .*0\.5, 1\.5"):
        QuantileLoss([0.5, 1.5])
