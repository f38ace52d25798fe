"""The CRF's algorithms against enumeration of all paths in float64."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from crf_reference import (
    LABELS,
    LENGTHS,
    MASK,
    NER,
    SCORES,
    TAGS,
    TRANSITIONS,
    enumerate_paths,
    logsumexp,
    reference_marginals,
    reference_partition,
    rows,
    worth,
)

from rnn_cookbook.nn.linear_chain import (
    crf_conditionals,
    crf_log_likelihood,
    crf_log_partition,
    crf_marginals,
    crf_partial_log_likelihood,
    crf_viterbi,
)
from rnn_cookbook.nn.tag_schemes import tag_constraints

RNG = np.random.default_rng(1)


def test_partition_is_the_sum_over_all_paths():
    expected = [logsumexp(enumerate_paths(row, TRANSITIONS)[1]) for row in rows()]
    np.testing.assert_allclose(crf_log_partition(SCORES, MASK, TRANSITIONS), expected, rtol=1e-5)


def test_likelihood_is_the_softmax_over_all_paths():
    expected = []
    for row, labels in zip(rows(), rows(LABELS), strict=True):
        _, all_worth = enumerate_paths(row, TRANSITIONS)
        expected.append(worth(row, labels, TRANSITIONS) - logsumexp(all_worth))
    np.testing.assert_allclose(
        crf_log_likelihood(SCORES, LABELS, MASK, TRANSITIONS), expected, rtol=1e-5, atol=1e-5
    )


def test_viterbi_is_the_best_of_all_paths():
    paths, best = crf_viterbi(SCORES, MASK, TRANSITIONS)
    for row, path, value in zip(rows(), np.array(paths), np.array(best), strict=True):
        all_paths, all_worth = enumerate_paths(row, TRANSITIONS)
        assert path[: len(row)].tolist() == all_paths[all_worth.argmax()].tolist()
        assert (path[len(row) :] == 0).all()
        assert value == pytest.approx(all_worth.max(), rel=1e-5)


def test_marginals_are_those_of_all_paths():
    marginals = np.array(crf_marginals(SCORES, MASK, TRANSITIONS))
    np.testing.assert_allclose(marginals.sum(axis=-1), MASK, atol=1e-5)
    for row, found in zip(rows(), marginals, strict=True):
        paths, all_worth = enumerate_paths(row, TRANSITIONS)
        probabilities = np.exp(all_worth - logsumexp(all_worth))
        expected = [
            [probabilities[paths[:, step] == tag].sum() for tag in range(TAGS)]
            for step in range(len(row))
        ]
        np.testing.assert_allclose(found[: len(row)], expected, atol=1e-5)
        assert (found[len(row) :] == 0).all()


def test_gradient_is_that_of_finite_differences():
    weights = np.array([1.0, -0.5, 2.0, 0.3, -1.0, 0.7])  # of the rows: none may leak into another

    def loss(scores, transitions):
        values = [
            worth(row, y, transitions) - reference_partition(row, transitions)
            for row, y in zip(rows(scores), rows(LABELS), strict=True)
        ]
        return np.dot(values, weights)

    with tf.GradientTape() as tape:
        variables = [tf.Variable(SCORES), tf.Variable(TRANSITIONS)]
        value = tf.reduce_sum(
            crf_log_likelihood(variables[0], LABELS, MASK, variables[1])
            * weights.astype(np.float32)
        )
    inputs = [SCORES.astype(np.float64), TRANSITIONS.astype(np.float64)]
    for which, gradient in enumerate(tape.gradient(value, variables)):
        expected = np.zeros_like(inputs[which])
        for index in np.ndindex(expected.shape):
            up, down = ([x.copy() for x in inputs] for _ in range(2))
            up[which][index] += 1e-5
            down[which][index] -= 1e-5
            expected[index] = (loss(*up) - loss(*down)) / 2e-5
        np.testing.assert_allclose(gradient, expected, atol=2e-5)


@pytest.mark.parametrize("time", [1, 2, 3, 4, 7, 12])
@pytest.mark.parametrize("tags", [1, 2, 5])
def test_every_length_and_number_of_tags(time, tags):
    rng = np.random.default_rng(time)
    scores, transitions = (
        rng.normal(size=size).astype(np.float32) for size in ((time, time, tags), (tags, tags))
    )
    lengths = np.arange(time) + 1
    mask = np.arange(time) < lengths[:, None]
    expected = [reference_partition(row, transitions) for row in rows(scores, lengths)]
    np.testing.assert_allclose(
        crf_log_partition(scores, mask, transitions), expected, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        np.sum(crf_marginals(scores, mask, transitions), axis=-1), mask, atol=1e-5
    )
    paths, best = crf_viterbi(scores, mask, transitions)
    found = [
        worth(row, path, transitions)
        for row, path in zip(rows(scores, lengths), rows(np.array(paths), lengths), strict=True)
    ]
    np.testing.assert_allclose(best, found, rtol=1e-5, atol=1e-6)


def everything(scores, labels, mask, transitions=TRANSITIONS):
    scores, transitions = tf.cast(scores, tf.float32), tf.cast(transitions, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([scores, transitions])
        likelihood = crf_log_likelihood(scores, labels, mask, transitions)
    gradient, of_transitions = tape.gradient(likelihood, [scores, transitions])
    path, best = crf_viterbi(scores, mask, transitions)
    partition, marginals = (
        crf_log_partition(scores, mask, transitions),
        crf_marginals(scores, mask, transitions),
    )
    return likelihood, best, partition, gradient, path, marginals, of_transitions


def per_row(*arguments):
    return [np.array(x) for x in everything(*arguments)[:-1]]


@pytest.mark.parametrize(
    "jit_compile",
    [pytest.param(False, id="graph"), pytest.param(True, id="xla", marks=pytest.mark.slow)],
)
def test_compiled_gives_the_same(jit_compile):
    """Batch and time are unknown while the graph is built, and XLA knows other sums, other orders
    and no dynamic arrays."""
    unknown = [
        tf.TensorSpec([None, None, TAGS]),
        *(tf.TensorSpec([None, None], dtype) for dtype in (tf.int32, tf.bool)),
    ]
    function = tf.function(
        everything, jit_compile=jit_compile, input_signature=[*unknown, tf.TensorSpec([TAGS, TAGS])]
    )
    transitions = np.where(np.eye(TAGS, dtype=bool), -1e30, TRANSITIONS).astype(np.float32)
    for rows_, time in ((slice(0, 6), 6), (slice(3, 5), 3)):
        arguments = SCORES[rows_, :time], LABELS[rows_, :time], MASK[rows_, :time], transitions
        for x, y in zip(
            everything(*arguments), function(*(tf.constant(x) for x in arguments)), strict=True
        ):
            np.testing.assert_allclose(y, x, rtol=1e-5, atol=1e-5)


def test_padding_is_never_read():
    """More of it, and anything in it, even what is not a number, changes nothing, nor do its
    labels."""
    plain = per_row(SCORES, LABELS, MASK)
    padded = np.pad(
        np.where(MASK[..., None], SCORES, np.nan), [(0, 0), (0, 5), (0, 0)], constant_values=np.nan
    )
    labels = np.pad(np.where(MASK, LABELS, 99), [(0, 0), (0, 5)])
    found = per_row(padded.astype(np.float32), labels, np.pad(MASK, [(0, 0), (0, 5)]))
    for x, y in zip(plain, found, strict=True):
        np.testing.assert_allclose(y[:, :6] if y.ndim > 1 else y, x, atol=1e-5)
        assert y.ndim == 1 or (y[:, 6:] == 0).all()


def test_batch_equals_one_by_one():
    together = per_row(SCORES, LABELS, MASK)
    for row, length in enumerate(LENGTHS):
        alone = per_row(
            SCORES[row : row + 1, :length],
            LABELS[row : row + 1, :length],
            MASK[row : row + 1, :length],
        )
        for x, y in zip(together, alone, strict=True):
            np.testing.assert_allclose(y[0], x[row, :length] if x.ndim > 1 else x[row], atol=1e-5)


def test_long_sequences_of_large_scores_under_constraints():
    """2,000 steps of ±100 and transitions of -1e4: where float32 sums lose digits and scaled
    probabilities lose paths."""
    rng = np.random.default_rng(5)
    _, allowed, _ = tag_constraints(NER)
    transitions = np.where(allowed, rng.normal(size=(5, 5)), -1e4).astype(np.float32)
    scores = rng.choice([-100.0, 100.0], size=(2, 2000, 5)).astype(np.float32)
    lengths = [2000, 1999]
    mask = np.arange(2000) < np.array(lengths)[:, None]

    @tf.function
    def compute(labels):
        with tf.GradientTape() as tape:
            x, t = tf.constant(scores), tf.constant(transitions)
            tape.watch([x, t])
            likelihood = crf_log_likelihood(x, labels, mask, t)
        return (
            crf_viterbi(x, mask, t),
            crf_log_partition(x, mask, t),
            crf_marginals(x, mask, t),
            likelihood,
            tape.gradient(likelihood, [x, t]),
        )

    (path, best), partition, marginals, _, _ = compute(np.zeros_like(mask, np.int32))
    path = np.array(path)
    expected = np.array([reference_partition(row, transitions) for row in rows(scores, lengths)])
    np.testing.assert_allclose(partition, expected, rtol=1e-6)
    np.testing.assert_allclose(np.sum(marginals, axis=-1), mask, atol=2e-3)
    best_worth = [
        worth(row, y, transitions.astype(np.float64))
        for row, y in zip(rows(scores, lengths), rows(path, lengths), strict=True)
    ]
    np.testing.assert_allclose(best, best_worth, rtol=1e-6)
    assert all(
        allowed[before, after]
        for row in rows(path, lengths)
        for before, after in itertools.pairwise(row)
    )
    for row, found in zip(rows(scores, lengths), rows(np.array(marginals), lengths), strict=True):
        np.testing.assert_allclose(
            found, reference_marginals(row.astype(np.float64), transitions), atol=1e-3
        )
    *_, likelihood, gradients = compute(np.where(mask, path, -1))
    # The digits of the difference, not of the two sums of 2e5 that it comes from.
    np.testing.assert_allclose(likelihood, best_worth - expected, atol=5e-2)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_what_is_added_to_all_tags_of_a_step_costs_no_digits():
    rng = np.random.default_rng(6)
    scores, labels, mask = (
        rng.normal(size=(1, 2000, TAGS)),
        rng.integers(0, TAGS, size=(1, 2000)),
        np.ones((1, 2000), bool),
    )
    offset = rng.integers(500, 1500, size=(1, 2000, 1))
    scores = (np.round(scores * 1024) / 1024).astype(np.float32)  # the sum with the offset is exact
    likelihood = tf.function(crf_log_likelihood)
    expected = worth(
        scores[0].astype(np.float64), labels[0], TRANSITIONS.astype(np.float64)
    ) - reference_partition(scores[0], TRANSITIONS)
    np.testing.assert_allclose(
        likelihood(scores + offset.astype(np.float32), labels, mask, TRANSITIONS),
        [expected],
        rtol=1e-6,
    )


def test_a_path_a_thousand_nats_behind_can_still_win():
    """What scaled probabilities in float32 lose: the only way to the last tag leads through bad
    scores."""
    transitions = np.where(np.eye(2, dtype=bool), 0, -1e4).astype(np.float32)
    scores = np.zeros((1, 20, 2), np.float32)
    scores[0, :10, 1], scores[0, 10:, 1] = -100, 101
    np.testing.assert_allclose(
        crf_log_partition(scores, np.ones((1, 20), bool), transitions),
        [10 + np.log1p(np.exp(-10))],
        rtol=1e-5,
    )
    path, best = crf_viterbi(scores, np.ones((1, 20), bool), transitions)
    assert np.array(path).tolist() == [[1] * 20]
    assert best[0] == 10


def test_half_precision_comes_out_as_float32():
    half = [x.astype(np.float16) for x in (SCORES, TRANSITIONS)]
    found = crf_log_partition(half[0], MASK, half[1])
    assert found.dtype == tf.float32
    np.testing.assert_allclose(
        found,
        crf_log_partition(half[0].astype(np.float32), MASK, half[1].astype(np.float32)),
        rtol=1e-6,
    )


def test_second_gradients_are_refused():
    scores = tf.constant(SCORES)
    with tf.GradientTape() as outer:
        outer.watch(scores)
        with tf.GradientTape() as inner:
            inner.watch(scores)
            value = tf.reduce_sum(crf_log_partition(scores, MASK, TRANSITIONS))
        penalty = tf.reduce_sum(inner.gradient(value, scores) ** 2)
    with pytest.raises(LookupError, match="no second gradient"):
        outer.gradient(penalty, scores)


def test_partial_likelihood_is_the_share_of_the_paths_through_the_given_tags():
    scores, transitions = (
        RNG.normal(size=(1, 4, TAGS)).astype(np.float32),
        RNG.normal(size=(TAGS, TAGS)).astype(np.float32),
    )
    mask = np.ones((1, 4), bool)
    paths, worths = enumerate_paths(scores[0], transitions)
    for given in ([-1, -1, -1, -1], [-1, 2, -1, -1], [0, -1, 1, 1], [2, 2, 0, 1]):
        through = np.all((np.array(given) == -1) | (paths == given), axis=1)
        wanted = logsumexp(worths[through]) - logsumexp(worths)
        found = crf_partial_log_likelihood(scores, np.array([given]), mask, transitions)
        np.testing.assert_allclose(found, [wanted], atol=1e-5)
    np.testing.assert_allclose(
        found, crf_log_likelihood(scores, np.array([given]), mask, transitions), atol=1e-5
    )


@pytest.mark.parametrize("time", [6, 9], ids=["", "more padding"])
def test_conditionals_are_those_of_all_paths(time):
    padded, mask = (
        np.pad(x, [(0, 0), (0, time - 6)] + [(0, 0)] * (x.ndim - 2)) for x in (SCORES, MASK)
    )
    tags = np.where(MASK, LABELS, 0)
    given = np.pad(tags, [(0, 0), (0, time - 6)], constant_values=2)
    marginal, conditional = (
        np.array(x) for x in crf_conditionals(padded, given, mask, TRANSITIONS)
    )
    for row, (scores, labels) in enumerate(zip(rows(), tags, strict=True)):
        paths, worths = enumerate_paths(scores, TRANSITIONS)
        share = np.exp(worths - logsumexp(worths))
        for first, end in itertools.combinations(range(len(scores) + 1), 2):
            through = (paths[:, first:end] == labels[first:end]).all(axis=1)
            found = np.exp(marginal[row, first] + conditional[row, first + 1 : end].sum())
            assert found == pytest.approx(share[through].sum(), rel=1e-4)
    assert not marginal[~mask].any()
    assert not conditional[~mask].any()


@pytest.mark.slow
def test_conditionals_of_thousands_of_steps_keep_their_digits():
    scores = RNG.normal(scale=3, size=(1, 5000, TAGS)).astype(np.float32)
    mask, tags = np.ones((1, 5000), bool), RNG.integers(0, TAGS, (1, 5000)).astype(np.int32)
    found = tf.function(crf_conditionals)(scores, tags, mask, TRANSITIONS)
    marginal, conditional = (np.array(x, np.float64) for x in found)
    wanted = float(crf_log_likelihood(scores.astype(np.float32), tags, mask, TRANSITIONS)[0])
    assert marginal[0, 0] + conditional[0, 1:].sum() == pytest.approx(wanted, rel=1e-5)
    for place in (0, 2500, 4999):
        assert np.exp(marginal[0, place]) == pytest.approx(
            reference_marginals(scores[0], TRANSITIONS)[place, tags[0, place]], rel=1e-3
        )
