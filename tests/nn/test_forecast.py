"""The forecasters' layers: windows, segments, quantiles."""

import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.forecast import (
    Denormalize,
    ForecastHead,
    Normalize,
)
from rnn_cookbook.tasks.anomaly.model import autoencoder, online_forecaster

RNG = np.random.default_rng(0)


def test_quantiles_cannot_cross():
    raw = RNG.normal(size=(100, 5)).astype(np.float32) * 10
    assert (
        np.diff(
            np.array(ForecastHead("quantiles", quantiles=[0.1, 0.3, 0.5, 0.7, 0.9])(raw)), axis=-1
        )
        >= 0
    ).all()


def test_normalisation_is_undone():
    window = RNG.normal(size=(3, 12, 2)).astype(np.float32) * 5 + 3
    for kind in ("last", "standard", "none"):
        normal, offset, scale = Normalize(kind)(window)
        np.testing.assert_allclose(Denormalize()((normal, offset, scale)), window, atol=1e-4)
    assert (np.array(Normalize("last")(window)[0])[:, -1] == 0).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: online_forecaster(channels=0), "channels=0"),
        (lambda: autoencoder(features=0), "features=0 and code_size=16"),
        (
            lambda: ForecastHead("quantiles", quantiles=[0.5, 0.1]),
            r"increase .* received 0\.5, 0\.1",
        ),
    ],
)
def test_bad_arguments_are_named(build, message):
    with pytest.raises(InputError, match=message):
        build()
