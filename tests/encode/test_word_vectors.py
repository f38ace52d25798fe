"""Word vectors: words in the same contexts are neighbours."""

import warnings

import numpy as np
import pytest

from rnn_cookbook.encode.word_vectors import ppmi_vectors
from rnn_cookbook.errors import InputError


class TestWordVectors:
    def test_words_in_the_same_contexts_are_neighbours(self):
        # 2 and 3 occur beside 6, 4 and 5 beside 7; 8 is everywhere.
        sequences = [
            np.array([first, context, 8])
            for first, context in [(2, 6), (3, 6), (4, 7), (5, 7)] * 50
        ]
        vectors = ppmi_vectors(sequences, vocabulary_size=10, dimensions=4)
        assert vectors.shape == (10, 4)
        assert vectors.dtype == np.float32
        unit = vectors[2:6] / np.linalg.norm(vectors[2:6], axis=1, keepdims=True)
        likeness = unit @ unit.T
        assert likeness[0, 1] > 0.95
        assert likeness[2, 3] > 0.95
        assert likeness[0, 2] < 0.5
        assert not vectors[[0, 1, 9]].any(), "padding, unknown and unseen words have no meaning"

    def test_no_context_reaches_from_text_to_text(self):
        apart = [np.array([2, 3]), np.array([4, 5])] * 20
        vectors = ppmi_vectors(
            apart, vocabulary_size=6, dimensions=5
        )  # the full rank: likeness is that of the matrix
        np.testing.assert_allclose(vectors[2:4] @ vectors[4:6].T, 0, atol=1e-4)

    def test_few_words_fill_few_dimensions(self):
        vectors = ppmi_vectors([np.array([2, 3])] * 5, vocabulary_size=6, dimensions=9)
        assert vectors.shape == (6, 9)
        assert vectors[2:4].any()
        assert not vectors[:, 5:].any()
        with pytest.raises(InputError, match="dimensions must be at least 1; received 0"):
            ppmi_vectors([np.array([2, 3])], vocabulary_size=6, dimensions=0)

    def test_a_text_of_single_words_has_no_context(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert not ppmi_vectors(
                [np.array([2]), np.array([3])], vocabulary_size=6, dimensions=2
            ).any()
