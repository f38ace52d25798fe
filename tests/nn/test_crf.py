"""The CRF layer, its loss and its decoder: what only its transitions can decide."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from crf_reference import (
    LABELS,
    MASK,
    NER,
    SCORES,
    TAGS,
    enumerate_paths,
    logsumexp,
    rows,
    worth,
)

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.crf import CRF, CRFDecoder, CRFLoss, decoding_model
from rnn_cookbook.nn.tag_schemes import tag_constraints

RNG = np.random.default_rng(2)

BIOES = ["O", "B-X", "I-X", "E-X", "S-X", "S-Y"]


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_training_compiled_by_xla_gives_the_same():
    losses = []
    for jit_compile in (False, True):
        crf = CRF(TAGS)
        model = random_weights(tagger(crf))
        model.compile(optimizer="sgd", loss=crf.loss, jit_compile=jit_compile)
        losses.append([model.train_on_batch([FEATURES, MASK], LABELS) for _ in range(3)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


@pytest.mark.slow
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
    with pytest.raises(InputError, match="must have one CRF layer; received 0 among input_layer"):
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
        (lambda: CRF(0), "tags must be at least 1; received 0"),
        (
            lambda: CRF(2, allowed=tag_constraints(NER)),
            r"shapes \(2,\), \(2, 2\), \(2,\); received \[\(5,\), \(5, 5\), \(5,\)\]",
        ),
        (
            lambda: CRF(2, allowed=([0, 0], np.ones((2, 2)), [1, 1])),
            "must let some tag be the first",
        ),
        (
            lambda: CRF(2, allowed=([1, 1], np.ones((2, 2)), [0, 0])),
            "must let some tag be the last",
        ),
        (
            lambda: CRF(4)((SCORES, MASK)),
            r"emissions must have 4 tags .* received shape \(6, 6, 3\)",
        ),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
