"""Masks from word numbers."""

import numpy as np

from rnn_cookbook.nn.masking import PaddingMask

RNG = np.random.default_rng(0)
SEQUENCE = RNG.normal(size=(3, 5, 4)).astype(np.float32)
LENGTHS = [5, 3, 1]
MASK = np.arange(5) < np.array(LENGTHS)[:, None]


def test_padding_mask_is_true_on_words_and_never_empty():
    mask = np.array(PaddingMask()(np.array([[5, 1, 0], [0, 0, 0]])))
    assert mask.tolist() == [[True, True, False], [True, False, False]]
