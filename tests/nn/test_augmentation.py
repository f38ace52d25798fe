"""Random changes in training: what is hidden is what was asked for."""

import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.augmentation import RandomEqualizer, SpecAugment


def test_what_spec_augment_hides():
    features, frames = np.ones((200, 50, 12), np.float32), np.full(200, 40, np.int32)
    layer = SpecAugment(bands=1, widest_band=3, stretches=1, longest_stretch=20, share=0.25)
    np.testing.assert_array_equal(layer((features, frames)), features)
    found = np.asarray(layer((features, frames), training=True))
    hidden = found == 0
    bands, stretches = hidden[:, 45:].all(axis=1).sum(axis=1), hidden.all(axis=2).sum(axis=1)
    assert set(bands) == {0, 1, 2, 3}
    assert set(stretches) == set(range(11)), "at most a quarter of 40 frames"
    for row, band, stretch in zip(hidden, bands, stretches, strict=True):
        assert row.sum() == stretch * 12 + band * 50 - stretch * band, (
            "whole bands and whole frames, nothing else"
        )
        times = np.flatnonzero(row.all(axis=1))
        assert len(times) == 0 or times[-1] - times[0] + 1 == len(times)
        assert len(times) == 0 or times[-1] < 40


def test_what_the_equalizer_does():
    features, frames = np.ones((4000, 3, 12), np.float32), np.full(4000, 3, np.int32)
    layer = RandomEqualizer(6.0)
    np.testing.assert_array_equal(layer((features, frames)), features)
    curves = np.asarray(layer((features, frames), training=True)) - features
    np.testing.assert_allclose(
        curves,
        np.broadcast_to(curves[:, :1], curves.shape),
        atol=1e-6,
        err_msg="the same in all frames",
    )
    decibels = curves[:, 0] * 10 / np.log(10)
    assert np.sqrt(np.square(decibels).mean()) == pytest.approx(6, rel=0.05)
    np.testing.assert_allclose(
        decibels.mean(axis=1), 0, atol=1e-4, err_msg="no sound is louder as a whole"
    )
    neighbours = np.corrcoef(decibels[:, 5], decibels[:, 6])[0, 1]
    assert 0.5 < neighbours < 1, "smooth"
    with pytest.raises(InputError, match="received -1 and 6"):
        RandomEqualizer(-1)
