"""The CRF against enumeration of all paths in float64, and what only its transitions can decide."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.crf import (
    CRF,
    CRFDecoder,
    CRFLoss,
    crf_conditionals,
    crf_log_likelihood,
    crf_log_partition,
    crf_marginals,
    crf_partial_log_likelihood,
    crf_viterbi,
    decoding_model,
    tag_constraints,
)

RNG = np.random.default_rng(0)
LENGTHS = [6, 5, 4, 3, 2, 1]
TAGS = 3
MASK = np.arange(6) < np.array(LENGTHS)[:, None]
SCORES = RNG.normal(scale=2, size=(6, 6, TAGS)).astype(np.float32)
TRANSITIONS = RNG.normal(scale=2, size=(TAGS, TAGS)).astype(
    np.float32
)  # not symmetric: from -> to must matter
LABELS = np.where(MASK, RNG.integers(0, TAGS, MASK.shape), -1).astype(np.int32)
NER = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
BIOES = ["O", "B-X", "I-X", "E-X", "S-X", "S-Y"]


def worth(scores, path, transitions):
    pairs = sum(transitions[before, after] for before, after in itertools.pairwise(path))
    return sum(step[tag] for step, tag in zip(scores, path, strict=True)) + pairs


def enumerate_paths(scores, transitions):
    """All paths of one row and what each is worth, in float64."""
    scores, transitions = np.asarray(scores, np.float64), np.asarray(transitions, np.float64)
    paths = list(itertools.product(range(scores.shape[1]), repeat=len(scores)))
    return np.array(paths), np.array([worth(scores, path, transitions) for path in paths])


def logsumexp(x, axis=None):
    peak = np.max(x, axis=axis, keepdims=True)
    return np.log(np.exp(x - peak).sum(axis=axis)) + np.squeeze(peak, axis=axis)


def reference_states(scores, transitions):
    """float64[time, tags], one row by the textbook's recursion from left to right: for what is too
    long to enumerate."""
    scores, transitions = np.asarray(scores, np.float64), np.asarray(transitions, np.float64)
    states = [scores[0]]
    for step in scores[1:]:
        states.append(logsumexp(states[-1][:, None] + transitions, axis=0) + step)
    return np.array(states)


def reference_partition(scores, transitions):
    return logsumexp(reference_states(scores, transitions)[-1])


def reference_marginals(scores, transitions):
    both = (
        reference_states(scores, transitions)
        + reference_states(scores[::-1], transitions.T)[::-1]
        - scores
    )
    return np.exp(both - logsumexp(both, axis=1)[:, None])


def rows(scores=SCORES, lengths=LENGTHS):
    return [row[:length] for row, length in zip(scores, lengths, strict=True)]


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


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
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


# The layer


def tagger(crf, *, features=4, rnn=False):
    """float[batch, time, features] with its mask -> the CRF's scores."""
    x, mask = (
        keras.Input((None, features), name="x"),
        keras.Input((None,), dtype="bool", name="mask"),
    )
    hidden = keras.layers.LSTM(6, return_sequences=True)(x, mask=mask) if rnn else x
    return keras.Model(
        [x, mask], crf((keras.layers.Dense(crf.tags, name="emissions")(hidden), mask))
    )


def random_weights(model, scale=1.0, seed=2):
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(scale=scale, size=weight.shape) for weight in model.weights])
    return model


FEATURES = RNG.normal(size=(6, 6, 4)).astype(np.float32)


def test_scores_and_transitions_are_the_whole_model():
    crf = CRF(TAGS)
    model = random_weights(tagger(crf))
    emissions = np.array(
        keras.Model(model.inputs, model.get_layer("emissions").output)([FEATURES, MASK]), np.float64
    )
    start, pairs, end = (np.array(weight, np.float64) for weight in (crf.start, crf.pairs, crf.end))
    expected = []
    for row, labels in zip(rows(emissions), rows(LABELS), strict=True):
        paths, all_worth = enumerate_paths(row, pairs)
        all_worth += start[paths[:, 0]] + end[paths[:, -1]]
        expected.append(
            logsumexp(all_worth) - worth(row, labels, pairs) - start[labels[0]] - end[labels[-1]]
        )
    scores = model([FEATURES, MASK])
    np.testing.assert_allclose(crf.loss.call(LABELS, scores), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(crf.loss(LABELS, scores), np.mean(expected), rtol=1e-5)


def test_loss_is_the_weighted_mean_over_sequences():
    crf = CRF(TAGS)
    model = random_weights(tagger(crf))
    each, weights = (
        np.array(crf.loss.call(LABELS, model([FEATURES, MASK]))),
        np.array([0, 1, 2, 0.5, 0, 3], np.float32),
    )
    model.compile(optimizer="sgd", loss=crf.loss)
    assert model.evaluate([FEATURES, MASK], LABELS, verbose=0) == pytest.approx(
        each.mean(), rel=1e-5
    )
    assert model.evaluate(
        [FEATURES, MASK], LABELS, sample_weight=weights, verbose=0
    ) == pytest.approx((weights * each).mean(), rel=1e-5)


def test_starts_as_the_softmax_of_each_step():
    crf = CRF(TAGS)
    scores = tagger(crf)([FEATURES, MASK])
    expected = np.where(MASK[..., None], keras.ops.softmax(scores), 0)
    np.testing.assert_allclose(crf.marginals(scores, MASK), expected, atol=1e-6)


@pytest.mark.parametrize("allowed", [None, tag_constraints(NER)], ids=["free", "constrained"])
def test_every_weight_gets_a_gradient_but_the_forbidden(allowed):
    crf = CRF(5, allowed=allowed)
    model = random_weights(tagger(crf, rnn=True), scale=0.5)
    labels = np.where(MASK, 0, -1)
    with tf.GradientTape() as tape:
        loss = crf.loss(labels, model([FEATURES, MASK]))
    gradients = {
        w.path: np.array(g)
        for w, g in zip(
            model.trainable_weights, tape.gradient(loss, model.trainable_weights), strict=True
        )
    }
    assert len(gradients) == 8
    for weight, part in zip(
        (crf.start, crf.pairs, crf.end),
        allowed or [np.ones(n, bool) for n in (5, (5, 5), 5)],
        strict=True,
    ):
        np.testing.assert_array_equal(gradients.pop(weight.path) != 0, part)
    assert all((gradient != 0).any() for gradient in gradients.values())


@pytest.mark.parametrize(
    ("tags", "scheme"), [(NER, "bio"), (["O", "B-X", "I-X", "I-Y"], "iob1"), (BIOES, "bioes")]
)
def test_constraints_hold_whatever_the_emissions(tags, scheme):
    """Forbidden paths are offered up to a million nats more than allowed ones, and the best allowed
    path is still found."""
    start, allowed, end = tag_constraints(tags, scheme=scheme)
    crf = CRF(len(tags), allowed=(start, allowed, end))
    crf.build([(None, None, len(tags)), (None, None)])
    rng = np.random.default_rng(3)
    crf.pairs.assign(rng.normal(size=crf.pairs.shape))
    lengths = rng.integers(1, 6, size=80)
    mask = np.arange(5) < lengths[:, None]
    emissions = (
        rng.normal(size=(80, 5, len(tags))) * 10.0 ** rng.integers(0, 7, size=(80, 1, 1))
    ).astype(np.float32)
    scores = crf((emissions, mask))
    paths = np.array(crf.viterbi(scores, mask)[0])
    marginals = np.array(crf.marginals(scores, mask))
    np.testing.assert_allclose(marginals.sum(axis=-1), mask, atol=1e-4)
    assert (marginals[:, 0, ~start] == 0).all()
    for row, path, found in zip(
        rows(emissions, lengths), rows(paths, lengths), rows(marginals, lengths), strict=True
    ):
        all_paths, all_worth = enumerate_paths(row, np.where(allowed, crf.pairs, -np.inf))
        all_worth[~(start[all_paths[:, 0]] & end[all_paths[:, -1]])] = -np.inf
        assert worth(
            row.astype(np.float64), path, np.where(allowed, crf.pairs, -np.inf)
        ) == pytest.approx(all_worth.max(), rel=1e-6)
        assert start[path[0]]
        assert end[path[-1]]
        assert (found[-1, ~end] == 0).all()


def test_a_wrong_label_costs_much_but_stays_finite():
    crf = CRF(5, allowed=tag_constraints(NER))
    scores = tagger(crf)([FEATURES, MASK])
    each = np.array(
        crf.loss.call(np.where(MASK, [0, 0, 0, 0, 0, 2], -1), scores)
    )  # I-PER after O at the end of the first row
    assert 9e3 < each[0] < 1.1e4
    assert (each[1:] < 100).all()


def test_learns_what_only_transitions_can_decide():
    """Tags alternate from a visible first one; all later inputs say nothing. The best classifier of
    single steps guesses."""
    rng = np.random.default_rng(4)
    first, lengths = rng.integers(0, 2, size=256), rng.integers(2, 9, size=256)
    mask = np.arange(8) < lengths[:, None]
    labels = np.where(mask, (first[:, None] + np.arange(8)) % 2, -1)
    x = np.zeros((256, 8, 2), np.float32)
    x[np.arange(256), 0, first] = 1
    crf = CRF(2)
    model = tagger(crf, features=2)
    model.compile(optimizer=keras.optimizers.Adam(0.1), loss=crf.loss)
    losses = model.fit([x, mask], labels, epochs=20, batch_size=32, verbose=0).history["loss"]
    assert losses[-1] < 0.05, (
        "a classifier of single steps cannot fall below the entropy of all steps but the first"
    )
    tags = decoding_model(model).predict([x, mask], verbose=0)["tags"]
    assert (tags[mask] == labels[mask]).mean() > 0.99


def test_one_tag_and_one_step_train():
    crf = CRF(1)
    model = tagger(crf)
    model.compile(optimizer="sgd", loss=crf.loss)
    assert model.train_on_batch([FEATURES, MASK], np.where(MASK, 0, -1)) == pytest.approx(
        0, abs=1e-5
    )
    crf = CRF(TAGS)
    model = tagger(crf)
    model.compile(optimizer="sgd", loss=crf.loss)
    assert model.train_on_batch([FEATURES[:, :1], MASK[:, :1]], LABELS[:, :1]) > 0


def test_mixed_precision_trains_in_float32():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        crf = CRF(TAGS, allowed=(np.ones(TAGS), ~np.eye(TAGS, dtype=bool), np.ones(TAGS)))
        model = tagger(crf)
        model.compile(optimizer=keras.optimizers.Adam(0.1), loss=crf.loss)
        labels = np.where(MASK, np.arange(6) % TAGS, -1)
        losses = model.fit([FEATURES, MASK], labels, epochs=20, verbose=0).history["loss"]
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_layer("emissions").compute_dtype == "float16"
    assert model([FEATURES, MASK]).dtype == tf.float32
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0] / 2


def test_training_compiled_by_xla_gives_the_same():
    losses = []
    for jit_compile in (False, True):
        crf = CRF(TAGS)
        model = random_weights(tagger(crf))
        model.compile(optimizer="sgd", loss=crf.loss, jit_compile=jit_compile)
        losses.append([model.train_on_batch([FEATURES, MASK], LABELS) for _ in range(3)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_reload_predicts_and_trains_on_the_same(tmp_path):
    crf = CRF(5, allowed=tag_constraints(NER))
    model = tagger(crf)
    model.compile(optimizer="adam", loss=crf.loss)
    labels = np.where(MASK, 0, -1)
    model.train_on_batch([FEATURES, MASK], labels)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again([FEATURES, MASK]), model([FEATURES, MASK]))
    (layer,) = (layer for layer in again.layers if isinstance(layer, CRF))
    np.testing.assert_array_equal(layer.transitions, crf.transitions)
    assert layer.get_config() == crf.get_config()
    for _ in range(2):
        assert again.train_on_batch([FEATURES, MASK], labels) == pytest.approx(
            model.train_on_batch([FEATURES, MASK], labels), rel=1e-6
        )
    # That the loss reads the transitions that are trained, and not a copy of them, shows in the
    # second step.
    np.testing.assert_allclose(layer.transitions, crf.transitions, atol=1e-6)


def test_decoding_model_decodes_shares_and_reloads(tmp_path):
    crf = CRF(5, allowed=tag_constraints(NER))
    model = tagger(crf, rnn=True)
    decoder = decoding_model(model)
    random_weights(model)  # after the decoder was made: weights are shared
    scores = model([FEATURES, MASK])
    found = decoder([FEATURES, MASK])
    np.testing.assert_array_equal(found["tags"], crf.viterbi(scores, MASK)[0])
    np.testing.assert_array_equal(found["probabilities"], crf.marginals(scores, MASK))
    decoder.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras").predict([FEATURES, MASK], verbose=0)
    for name, value in found.items():
        np.testing.assert_allclose(again[name], value, atol=1e-6)


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


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("structure", [lambda x: x, lambda x: [x], lambda x: {"features": x}])
def test_decoding_model_takes_its_inputs_as_the_model_does(structure):
    x = keras.Input((None, 4), name="features")
    model = keras.Model(
        structure(x), CRF(TAGS)((keras.layers.Dense(TAGS)(x), keras.ops.any(x != 0, axis=-1)))
    )
    features = FEATURES[..., :4]
    assert (
        decoding_model(model)(structure(features))["tags"].shape
        == model(structure(features)).shape[:2]
    )


def test_decoding_model_exports(tmp_path):
    model = decoding_model(random_weights(tagger(CRF(TAGS))))
    model.export(tmp_path / "saved", verbose=False)
    saved = tf.saved_model.load(tmp_path / "saved")  # its variables live as long as it
    found = saved.serve([tf.constant(FEATURES), tf.constant(MASK)])
    np.testing.assert_array_equal(found["tags"], model([FEATURES, MASK])["tags"])


def test_decoding_model_needs_one_crf():
    x = keras.Input((4,))
    with pytest.raises(InputError, match="must have one CRF layer, has 0 among input_layer"):
        decoding_model(keras.Model(x, keras.layers.Dense(2)(x)))


def test_loss_alone_does_not_take_another_layer():
    config = CRFLoss(CRF(2, name="mine"), reduction="sum").get_config()
    assert config["reduction"] == "sum"
    with pytest.raises(InputError, match="the CRF layer 'mine' came without its model"):
        CRFLoss.from_config(config)


def test_a_travelling_mask_ends_at_the_layer():
    tokens = keras.Input((None,), dtype="int32")
    crf = CRF(TAGS)
    mask = keras.ops.not_equal(tokens, 0)
    model = keras.Model(
        tokens, crf((keras.layers.Embedding(9, TAGS, mask_zero=True)(tokens), mask))
    )
    model.compile(optimizer="sgd", loss=crf.loss)
    words = MASK * RNG.integers(1, 9, MASK.shape)
    each = np.array(crf.loss.call(LABELS, model(words)))
    assert model.evaluate(words, LABELS, verbose=0) == pytest.approx(each.mean(), rel=1e-5)


@pytest.mark.parametrize(
    "layer", [CRF(3), CRF(5, allowed=tag_constraints(NER)), CRFDecoder(CRF(2))]
)
def test_layers_come_back_from_their_configuration(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize(
    "labels", [[[0, 3, 1]], [[0, -1, 1]], [[-1, 0, 1]]], ids=["not a tag", "hole", "left padding"]
)
def test_labels_that_would_give_wrong_numbers_are_refused(labels):
    crf = CRF(3)
    crf.build([(None, None, 3), (None, None)])
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match="labels must be below 3 and padded on the right with -1",
    ):
        crf.loss(np.array(labels), np.zeros((1, 3, 3), np.float32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CRF(0), "one tag or more, got 0"),
        (
            lambda: CRF(2, allowed=tag_constraints(NER)),
            r"shapes \(2,\), \(2, 2\), \(2,\), got \[\(5,\), \(5, 5\), \(5,\)\]",
        ),
        (lambda: CRF(2, allowed=([0, 0], np.ones((2, 2)), [1, 1])), "no tag be the first"),
        (lambda: CRF(2, allowed=([1, 1], np.ones((2, 2)), [0, 0])), "no tag be the last"),
        (
            lambda: CRF(4)((SCORES, MASK)),
            r"emissions of shape \(6, 6, 3\) do not fit a CRF of 4 tags",
        ),
        (
            lambda: tag_constraints(NER, scheme="iobes"),
            "unknown tag scheme 'iobes'; accepted are bio, iob1, bioes",
        ),
        (lambda: tag_constraints([]), "no tags at all in scheme bio"),
        (
            lambda: tag_constraints(["O", "S-X", "PER", "B-"]),
            "'S-X', 'PER', 'B-' in scheme bio; accepted are O, B-TYPE, I-TYPE",
        ),
        (lambda: tag_constraints(["O", "B-X", "O"]), "got O more than once"),
        (lambda: tag_constraints(["O", "B-X", "I-Y"]), "scheme bio can hold I-Y"),
        (lambda: tag_constraints(["O", "B-X", "I-Y"], scheme="iob1"), "scheme iob1 can hold B-X"),
        (
            lambda: tag_constraints(["O", "B-X", "I-X", "E-Y"], scheme="bioes"),
            "can hold B-X, I-X, E-Y",
        ),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()


# The schemes


def spans_of(tags, scheme):
    """Entities (type, begin, end) of a sequence read strictly, or None where it breaks the scheme:
    written from the definitions."""
    spans, begin, kind = [], None, None
    for position, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        inside = begin is not None
        if scheme == "bioes":
            if inside != (prefix in ("I", "E")) or (inside and name != kind):
                return None
            if prefix in ("E", "S"):
                spans.append((name, begin if inside else position, position + 1))
                begin = None
            elif prefix == "B":
                begin, kind = position, name
            continue
        going_on = prefix == "I" and inside and name == kind
        if (scheme == "bio" and prefix == "I" and not going_on) or (
            scheme == "iob1" and prefix == "B" and not (inside and name == kind)
        ):
            return None
        if inside and not going_on:
            spans.append((kind, begin, position))
            begin = None
        if prefix != "O" and not going_on:
            begin, kind = position, name
    return spans


def write(spans, length, scheme):
    """The one right way to write entities down."""
    tags, last = ["O"] * length, None
    for kind, begin, end in spans:
        first = "I" if scheme == "iob1" and last != (kind, begin) else "B"
        tags[begin:end] = [f"{first}-{kind}"] + [f"I-{kind}"] * (end - begin - 1)
        if scheme == "bioes":
            tags[end - 1] = f"E-{kind}" if end - begin > 1 else f"S-{kind}"
        last = (kind, end)
    return tags


@pytest.mark.parametrize("scheme", ["bio", "iob1", "bioes"])
def test_allowed_are_exactly_the_sequences_that_entities_can_give(scheme):
    """All sequences of up to four tags of two types: allowed are those which come back when their
    entities are written down again."""
    prefixes = {"bio": "BI", "iob1": "BI", "bioes": "BIES"}[scheme]
    tags = ["O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC-X") for prefix in prefixes)]
    start, transitions, end = tag_constraints(tags, scheme=scheme)
    count = 0
    for length in (1, 2, 3, 4):
        for path in itertools.product(range(len(tags)), repeat=length):
            allowed = (
                start[path[0]]
                and end[path[-1]]
                and all(transitions[pair] for pair in itertools.pairwise(path))
            )
            names = [tags[tag] for tag in path]
            spans = spans_of(names, scheme)
            assert allowed == (spans is not None and write(spans, length, scheme) == names), names
            count += allowed
    # The three schemes write the same entities: as many sequences each.
    assert count == sum(number_of_annotations(length, types=2) for length in (1, 2, 3, 4))


def number_of_annotations(length, types):
    """Ways to place entities of so many types on a sequence."""
    ways = [1]
    for _ in range(length):
        ways.append(ways[-1] + types * sum(ways))
    return ways[-1]


def test_constraints_of_bio_as_a_table():
    start, transitions, end = tag_constraints(["O", "B-A", "I-A", "B-B", "I-B"])
    assert start.tolist() == [True, True, False, True, False]
    assert end.all()
    assert transitions.astype(int).tolist() == [
        [1, 1, 0, 1, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 1, 1],
        [1, 1, 0, 1, 1],
    ]


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
