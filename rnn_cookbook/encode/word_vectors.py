"""Word vectors from the task's own text, in seconds: positive pointwise mutual information,
factorised."""

from collections.abc import Sequence

import numpy as np

from rnn_cookbook.encode.text import UNKNOWN
from rnn_cookbook.errors import InputError


def ppmi_vectors(
    sequences: Sequence[np.ndarray],
    *,
    vocabulary_size: int,
    dimensions: int,
    window: int = 5,
    seed: int = 0,
) -> np.ndarray:
    """Word vectors: the truncated SVD of the PPMI matrix of words and the words around them.

    Levy, Goldberg and Dagan (2015, "Improving Distributional Similarity with Lessons Learned from
    Word Embeddings"), with their recommendations: context distribution smoothed by 0.75, linearly
    decaying window, eigenvalues to the power 0.5. On
    20 million tokens this takes half a minute, where a language model takes hours, and the vectors
    tell "terrible" from "great" although no label was read.

    Args:
        sequences: word numbers, int32[tokens] each; 0 and 1 (padding, unknown) neither get nor give
            meaning.
        vocabulary_size: rows of the result.
        dimensions: columns of the result; those beyond what so few words can fill are zero.
        window: words to either side that count as context.
        seed: of the randomised SVD.

    Returns:
        float32[vocabulary_size, dimensions], standard deviation 1 over the words seen; zeros for
        words never seen.
    """
    import scipy.sparse as sparse
    from sklearn.utils.extmath import randomized_svd

    if dimensions < 1:
        raise InputError(f"word vectors need 1 dimension or more, got {dimensions}")
    rank = min(dimensions, vocabulary_size - 1)
    # `window` zeros between the texts, so that no context reaches from one into the next.
    gap = np.zeros(window, np.int64)
    words = np.concatenate([part for sequence in sequences for part in (sequence, gap)]).astype(
        np.int64
    )
    counts = sparse.csr_matrix((vocabulary_size, vocabulary_size), dtype=np.float32)
    for distance in range(1, window + 1):
        left, right = words[:-distance], words[distance:]
        both = (left > UNKNOWN) & (right > UNKNOWN)
        weight = np.full(both.sum(), (window + 1 - distance) / window, np.float32)
        counts = (
            counts
            + sparse.coo_matrix((weight, (left[both], right[both])), shape=counts.shape).tocsr()
        )
    counts = (counts + counts.T).tocoo()
    total = np.asarray(counts.sum(axis=1)).ravel()
    context = total**0.75 / max((total**0.75).sum(), 1e-12)
    information = np.log(counts.data / (total[counts.row] * context[counts.col]))
    positive = information > 0
    matrix = sparse.csr_matrix(
        (information[positive].astype(np.float32), (counts.row[positive], counts.col[positive])),
        shape=counts.shape,
    )
    left, values, _ = randomized_svd(matrix, n_components=rank, n_iter=3, random_state=seed)
    vectors = left * np.sqrt(values)
    vectors[total == 0] = 0  # not only nearly
    spread = vectors[total > 0].std() if (total > 0).any() else 1.0
    return np.pad(vectors / max(spread, 1e-12), [(0, 0), (0, dimensions - rank)]).astype(np.float32)
