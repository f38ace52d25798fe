"""Convolutions that leave padding out, against NumPy."""

import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.convolution import MaskedConv1D, MaskedConv2D

RNG = np.random.default_rng(0)
SEQUENCE = RNG.normal(size=(3, 5, 4)).astype(np.float32)
LENGTHS = [5, 3, 1]
MASK = np.arange(5) < np.array(LENGTHS)[:, None]


def test_convolution_does_not_read_what_is_no_number():
    sequence = np.ones((1, 3, 2), np.float32)
    sequence[0, 2] = np.nan
    for layer in (MaskedConv1D(4, 3), MaskedConv2D(4, 3)):
        outputs, _ = layer((sequence, np.array([[True, True, False]])))
        assert np.isfinite(np.array(outputs)[:, :2]).all()


@pytest.mark.parametrize(
    ("channels", "pooling", "strides", "causal"),
    [(1, 2, 1, False), (2, 3, 2, False), (2, 1, 2, True)],
)
def test_convolution_over_time_and_frequency_by_hand(channels, pooling, strides, causal):
    layer = MaskedConv2D(2, 3, channels=channels, pooling=pooling, strides=strides, causal=causal)
    x = RNG.normal(size=(1, 6, 5 * channels)).astype(np.float32)
    found, mask = layer((x, np.arange(6)[None] < 5))
    assert np.array(mask).tolist() == [[True] * 5 + [False] if strides == 1 else [True] * 3]
    kernel, bias = (np.array(weight, np.float64) for weight in layer.conv.get_weights())
    framed = np.zeros((6 + 2, 5 + 2, channels))  # what lies around is 0, and so is padding
    framed[2 if causal else 1 :, 1:-1][:5] = x[0, :5].reshape(5, 5, channels)
    wanted = []
    for step in range(0, 6, strides):
        bands = [
            np.einsum("tbc,tbcf->f", framed[step : step + 3, band : band + 3], kernel) + bias
            for band in range(5)
        ]
        wanted.append(
            np.concatenate(
                [np.max(bands[first : first + pooling], axis=0) for first in range(0, 5, pooling)]
            )
        )
    np.testing.assert_allclose(found[0], wanted, atol=1e-5)


def test_what_is_heard_higher_is_found_higher():
    """The same sound two bands up: the same features, one place on."""
    layer, mask = MaskedConv2D(4, 3, pooling=2), np.ones((1, 5), bool)
    low, high = np.zeros((2, 1, 5, 12), np.float32)
    low[:, :, 3:6] = RNG.normal(size=(1, 5, 3))
    high[:, :, 5:8] = low[:, :, 3:6]
    ((one, _), (other, _)) = layer((low, mask)), layer((high, mask))
    np.testing.assert_allclose(one[..., 4:-8], other[..., 8:-4], atol=1e-6)


@pytest.mark.parametrize("options", [{"channels": 0}, {"pooling": 0}, {"filters": 0}])
def test_convolution_refuses(options):
    with pytest.raises(InputError, match="must be at least 1; received 0"):
        MaskedConv2D(**{"filters": 2, "kernel_size": 3, **options})
    with pytest.raises(InputError, match="features must be a multiple of 2 channels; received 5"):
        MaskedConv2D(2, 3, channels=2)((np.zeros((1, 4, 5)), np.ones((1, 4), bool)))
