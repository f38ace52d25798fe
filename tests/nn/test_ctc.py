"""CTC against the sum over all paths in float64: loss, gradient, best path, alignment; true
lengths, and what padding must not change."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from ctc_reference import (
    LABELS,
    LENGTHS,
    LOGITS,
    collapsed,
    every_labelling,
    every_path,
    log_softmax,
    unpadded,
)

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.ctc import (
    CTCLoss,
    PadWithBlank,
    ctc_align,
    ctc_greedy,
    ctc_loss,
    frames_needed,
)
from rnn_cookbook.nn.ctc_search import ctc_beam_search

RNG = np.random.default_rng(1)

MASK = np.arange(5) < LENGTHS[:, None]


def padded(labellings):
    width = max(map(len, labellings))
    return np.array([(*labels, *[0] * (width - len(labels))) for labels in labellings], np.int32)


def expected_loss(logits=LOGITS):
    return [
        -every_labelling(row[:length])[unpadded(labels)]
        for row, length, labels in zip(logits, LENGTHS, LABELS, strict=True)
    ]


def gradient(function, logits):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = tf.reduce_sum(function(logits))
    return np.array(tape.gradient(loss, logits))


def textbook(logits, labels):
    """Loss of one example and its gradient, from the forward and backward variables in float64."""
    log_probs, states = log_softmax(logits), np.zeros(2 * len(labels) + 1, int)
    states[1::2] = labels

    def forward(emissions, states):
        skips = [False, False, *((states[2:] != 0) & (states[2:] != states[:-2]))]
        alpha = np.where(np.arange(len(states)) == 0, 0.0, -np.inf)
        for emission in emissions:
            before = np.concatenate([[-np.inf, -np.inf], alpha])
            alpha = (
                np.logaddexp(
                    np.logaddexp(alpha, before[1:-1]), np.where(skips, before[:-2], -np.inf)
                )
                + emission
            )
            yield alpha

    emissions = log_probs[:, states]
    alphas = np.array(list(forward(emissions, states)))
    betas = np.array(list(forward(emissions[::-1, ::-1], states[::-1])))[::-1, ::-1]
    total = np.logaddexp(alphas[-1, -1], alphas[-1, -2])
    return -total, np.exp(log_probs) - np.exp(alphas + betas - emissions - total) @ np.eye(
        logits.shape[1]
    )[states]


class TestLoss:
    def test_is_the_sum_over_all_paths(self):
        np.testing.assert_allclose(
            ctc_loss(LABELS, LOGITS, logit_lengths=LENGTHS), expected_loss(), rtol=1e-5
        )

    def test_probabilities_of_all_labellings_sum_to_one(self):
        labels = padded(
            [labels for count in range(6) for labels in itertools.product([1, 2], repeat=count)]
        )
        loss = ctc_loss(labels, np.repeat(LOGITS[:1, :, :3], len(labels), axis=0))
        assert np.exp(-np.array(loss, np.float64)).sum() == pytest.approx(1, abs=1e-5)

    def test_gradient_against_finite_differences(self):
        found = gradient(lambda logits: ctc_loss(LABELS, logits, logit_lengths=LENGTHS), LOGITS)
        for place in np.ndindex(LOGITS.shape):
            row, step = place[0], np.zeros(LOGITS.shape)
            step[place] = 1e-5
            up, down = ((LOGITS + sign * step)[row, : LENGTHS[row]] for sign in (1, -1))
            difference = (
                every_labelling(down)[unpadded(LABELS[row])]
                - every_labelling(up)[unpadded(LABELS[row])]
            )
            assert found[place] == pytest.approx(difference / 2e-5, abs=1e-5)

    def test_lengths_matter_and_padding_does_not(self):
        loss = np.array(ctc_loss(LABELS, LOGITS, logit_lengths=LENGTHS))
        changed = np.where(
            MASK[..., None], LOGITS, 7 * RNG.normal(size=LOGITS.shape).astype(np.float32)
        )
        more = np.pad(changed, [(0, 0), (0, 4), (0, 0)], constant_values=3)
        np.testing.assert_array_equal(ctc_loss(LABELS, changed, logit_lengths=LENGTHS), loss)
        np.testing.assert_allclose(
            ctc_loss(np.pad(LABELS, [(0, 0), (0, 2)]), more, logit_lengths=LENGTHS), loss, rtol=1e-6
        )
        ignored = np.array(ctc_loss(LABELS, LOGITS))
        assert (np.abs(ignored - loss)[LENGTHS < 5] > 0.01).all(), (
            "the padding of this data would show"
        )

    def test_labels_after_their_length_do_not_count(self):
        lengths = [len(unpadded(labels)) for labels in LABELS]
        labels = np.where(LABELS == 0, 99, LABELS)
        np.testing.assert_allclose(
            ctc_loss(labels, LOGITS, lengths, LENGTHS), expected_loss(), rtol=1e-5
        )

    def test_batch_equals_one_by_one(self):
        alone = [
            ctc_loss([unpadded(labels)], row[None, :length])[0]
            for row, length, labels in zip(LOGITS, LENGTHS, LABELS, strict=True)
            if any(labels)
        ]
        together = np.array(ctc_loss(LABELS, LOGITS, logit_lengths=LENGTHS))
        np.testing.assert_allclose(alone, together[(LABELS > 0).any(axis=1)], rtol=1e-6)

    @pytest.mark.parametrize("scale", [0.1, 1, 4, 1000])
    def test_long_sequences_keep_their_digits(self, scale):
        rng = np.random.default_rng(1)
        logits, labels = (
            (scale * rng.normal(size=(1, 300, 20))).astype(np.float32),
            rng.integers(1, 20, size=(1, 60)),
        )
        loss, slope = textbook(logits[0], labels[0])
        assert float(ctc_loss(labels, logits)[0]) == pytest.approx(loss, rel=1e-6)
        if scale < 1000:  # there float32 does not tell the best paths apart
            np.testing.assert_allclose(
                gradient(lambda logits: ctc_loss(labels, logits), logits)[0], slope, atol=1e-5
            )

    def test_compiled_by_xla_is_the_same(self):
        def function(logits):
            return ctc_loss(LABELS, logits, logit_lengths=LENGTHS)

        compiled = tf.function(
            lambda logits: tf.gradients(tf.reduce_sum(function(logits)), logits)[0],
            jit_compile=True,
        )
        np.testing.assert_allclose(
            compiled(tf.constant(LOGITS)), gradient(function, LOGITS), atol=1e-6
        )

    def test_equal_labels_need_a_blank_between(self):
        assert frames_needed(
            [[1, 1, 2], [1, 2, 1], [3, 3, 3], [0, 0, 0], [2, 0, 0]]
        ).numpy().tolist() == [4, 3, 5, 0, 1]
        assert frames_needed([[1, 1, 1]], [2]).numpy().tolist() == [3]
        for labels in itertools.product(range(1, 3), repeat=3):
            least = next(
                frames for frames in range(1, 6) if labels in every_labelling(np.zeros((frames, 3)))
            )
            assert least == frames_needed([labels])[0]
            for lengths, wanted in ((least - 1, True), (least, False)):
                assert (
                    np.isinf(ctc_loss([labels], LOGITS[:1, :, :3], logit_lengths=[lengths]))[0]
                    == wanted
                )

    def test_impossible_examples_have_no_gradient(self):
        labels = np.array([[1, 1], [1, 2]])
        found = gradient(lambda logits: ctc_loss(labels, logits), LOGITS[:2, :2])
        assert (found[0] == 0).all()
        assert (found[1] != 0).any()
        never = LOGITS[:1].copy()
        never[..., 1] = -np.inf
        assert np.isposinf(ctc_loss([[1]], never)[0])
        assert np.isfinite(ctc_loss([[2]], never)[0])
        assert np.isnan(ctc_loss([[1]], np.full((1, 3, 3), np.nan, np.float32))[0]), (
            "broken logits are not an impossible example"
        )


class TestPadWithBlank:
    """Nothing downstream of the layer needs the lengths."""

    sure = np.array(PadWithBlank()((LOGITS, MASK)))

    def test_valid_frames_stay_and_padded_ones_are_blank(self):
        np.testing.assert_array_equal(self.sure[MASK], LOGITS[MASK])
        np.testing.assert_allclose(
            tf.nn.softmax(self.sure)[~MASK], np.tile([1, 0, 0, 0], ((~MASK).sum(), 1)), atol=1e-6
        )

    def test_loss_is_that_of_the_true_lengths(self):
        np.testing.assert_allclose(ctc_loss(LABELS, self.sure), expected_loss(), rtol=1e-5)
        np.testing.assert_allclose(
            CTCLoss(reduction=None)(LABELS, self.sure), expected_loss(), rtol=1e-5
        )

    def test_gradient_is_that_of_the_true_lengths_and_none_reaches_the_padding(self):
        through = gradient(lambda logits: ctc_loss(LABELS, PadWithBlank()((logits, MASK))), LOGITS)
        for row, length in enumerate(LENGTHS):
            alone = gradient(
                lambda logits, row=row: ctc_loss(LABELS[row : row + 1], logits),
                LOGITS[row : row + 1, :length],
            )
            np.testing.assert_allclose(through[row, :length], alone[0], atol=1e-6)
        assert (through[~MASK] == 0).all()

    def test_decoders_give_what_the_true_lengths_give(self):
        for found, expected in (
            (ctc_greedy(self.sure), ctc_greedy(LOGITS, LENGTHS)),
            (ctc_beam_search(self.sure, n_best=5), ctc_beam_search(LOGITS, LENGTHS, n_best=5)),
        ):
            np.testing.assert_array_equal(found[0], expected[0])
            np.testing.assert_allclose(found[1], expected[1], rtol=1e-6)
        np.testing.assert_array_equal(
            ctc_align(self.sure, LABELS), ctc_align(LOGITS, LABELS, LENGTHS)
        )

    def test_impossible_stays_impossible_with_padding_after_it(self):
        assert np.isinf(ctc_loss([[1, 1]], PadWithBlank()((LOGITS[:1], np.arange(5)[None] < 2)))[0])

    def test_float32_whatever_comes(self):
        keras.mixed_precision.set_global_policy("mixed_float16")
        try:
            layer = PadWithBlank()
            half, full = layer((tf.cast(LOGITS, tf.float16), MASK)), layer((LOGITS, MASK))
        finally:
            keras.mixed_precision.set_global_policy("float32")
        assert half.dtype == tf.float32
        assert np.isfinite(half).all()
        np.testing.assert_array_equal(full, self.sure)


class TestGreedy:
    def test_collapses_the_best_path(self):
        labels, scores = ctc_greedy(LOGITS, LENGTHS)
        for row, length in enumerate(LENGTHS):
            path, nats = max(every_path(LOGITS[row, :length]), key=lambda pair: pair[1])
            assert unpadded(labels[row].numpy()) == collapsed(path)
            assert float(scores[row]) == pytest.approx(nats, rel=1e-5)

    def test_repeats_merge_unless_a_blank_is_between(self):
        paths = np.array([[1, 1, 0, 1, 2], [0, 2, 2, 2, 0], [0, 0, 0, 0, 0], [3, 0, 3, 3, 0]])
        labels, _ = ctc_greedy(9 * np.eye(4)[paths])
        assert labels.numpy().tolist() == [[1, 1, 2], [2, 0, 0], [0, 0, 0], [3, 3, 0]]
        assert labels.dtype == tf.int32

    def test_in_a_compiled_function_of_unknown_shape(self):
        signature = [tf.TensorSpec([None, None, 4]), tf.TensorSpec([None], tf.int32)]
        labels, scores = tf.function(ctc_greedy, input_signature=signature)(LOGITS, LENGTHS)
        np.testing.assert_array_equal(labels, ctc_greedy(LOGITS, LENGTHS)[0])
        np.testing.assert_allclose(scores, ctc_greedy(LOGITS, LENGTHS)[1], rtol=1e-6)


class TestAlignment:
    def test_is_the_best_path_of_the_labelling(self):
        spans = ctc_align(LOGITS, LABELS, LENGTHS)
        assert spans.shape == (7, 3, 2)
        for row, length in enumerate(LENGTHS):
            paths = [
                pair
                for pair in every_path(LOGITS[row, :length])
                if collapsed(pair[0]) == unpadded(LABELS[row])
            ]
            best = max(paths, key=lambda pair: pair[1])[0]
            found = np.zeros(length, int)
            for label, (start, end) in zip(LABELS[row], spans[row], strict=True):
                assert (end > start) == (label > 0)
                found[start:end] = label
            assert tuple(found) == best

    def test_equal_neighbours_have_spans_of_their_own(self):
        logits = 9 * np.eye(3)[[[0, 1, 1, 0, 1, 2]]]
        assert ctc_align(logits, [[1, 1, 2, 0]]).tolist() == [[[1, 3], [4, 5], [5, 6], [0, 0]]]

    def test_impossible_rows_are_named(self):
        with pytest.raises(InputError, match=r"too few frames.*rows: 1"):
            ctc_align(LOGITS[:2], [[1, 2, 0], [1, 1, 1]], [5, 4])


class TestLossInKeras:
    def test_error_is_the_default(self):
        with pytest.raises(InputError, match=r"too few frames.*rows: 1"):
            CTCLoss()([[1, 2], [1, 1]], LOGITS[:2, :2])

    def test_error_in_compiled_training(self):
        model = keras.Sequential([keras.Input((None, 4)), keras.layers.Dense(4)])
        model.compile(loss=CTCLoss())
        with pytest.raises(tf.errors.InvalidArgumentError, match="too few frames"):
            model.train_on_batch(LOGITS[:2, :2], np.array([[1, 2], [1, 1]]))

    def test_zero_leaves_the_example_out(self):
        labels, logits = np.array([[1, 2], [1, 1]]), LOGITS[:2, :2]
        loss = CTCLoss("zero", reduction=None)(labels, logits)
        assert loss[1] == 0
        assert float(loss[0]) == pytest.approx(float(ctc_loss(labels, logits)[0]))
        found = gradient(lambda logits: CTCLoss("zero")(labels, logits), logits)
        assert np.isfinite(found).all()
        assert (found[1] == 0).all()
        assert np.isposinf(CTCLoss("infinity", reduction=None)(labels, logits)[1])

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "policy", ["float32", pytest.param("mixed_float16", marks=pytest.mark.slow)]
    )
    def test_a_model_learns_a_batch_by_heart_and_reads_it_back(self, policy, tmp_path):
        keras.mixed_precision.set_global_policy(policy)
        try:
            keras.utils.set_random_seed(2)
            frames, mask = keras.Input((None, 6)), keras.Input((None,), dtype="bool")
            states = keras.layers.GRU(32, return_sequences=True)(frames, mask=mask)
            model = keras.Model(
                [frames, mask], PadWithBlank()((keras.layers.Dense(4)(states), mask))
            )
            model.compile(optimizer=keras.optimizers.Adam(0.02), loss=CTCLoss())
            lengths = np.array([12, 9, 7])
            inputs = [
                np.random.default_rng(4).normal(size=(3, 12, 6)).astype(np.float32),
                np.arange(12) < lengths[:, None],
            ]
            labels = np.array([[1, 1, 2, 3], [3, 3, 0, 0], [2, 1, 2, 0]], np.int32)
            model.fit(inputs, labels, epochs=40, verbose=0)
            logits, loss = (
                model.predict(inputs, verbose=0),
                model.evaluate(inputs, labels, verbose=0),
            )
            model.save(tmp_path / "m.keras")
            again = keras.saving.load_model(tmp_path / "m.keras")
        finally:
            keras.mixed_precision.set_global_policy("float32")
        assert logits.dtype == np.float32
        np.testing.assert_array_equal(ctc_greedy(logits)[0], labels)
        assert loss == pytest.approx(
            float(np.mean(ctc_loss(labels, logits, None, lengths))), rel=1e-3
        )
        np.testing.assert_allclose(
            again(inputs), logits, atol=2e-3 if policy == "mixed_float16" else 1e-5
        )
        assert again.loss.get_config() == model.loss.get_config()

    def test_a_travelling_mask_ends_at_the_layer(self):
        # It would weight the loss, frame by frame, if the layer let it through.
        frames = keras.Input((None, 4))
        model = keras.Model(
            frames,
            PadWithBlank()((keras.layers.Masking()(frames), keras.ops.any(frames != 0, axis=-1))),
        )
        model.compile(loss=CTCLoss())
        zeroed = LOGITS * MASK[..., None]
        assert model.evaluate(zeroed, LABELS, verbose=0) == pytest.approx(
            np.mean(expected_loss()), rel=1e-5
        )

    @pytest.mark.parametrize(
        "thing", [PadWithBlank(name="sure"), CTCLoss("zero", reduction="sum", name="mine")]
    )
    def test_comes_back_from_its_configuration(self, thing):
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(thing))
        assert type(again) is type(thing)
        assert again.get_config() == thing.get_config()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ctc_loss([[1, 4]], LOGITS[:1]), "labels must be 1 to symbols - 1.*rows: 0"),
        (
            lambda: ctc_loss([[1, 2], [1, -1]], LOGITS[:2]),
            "labels must be 1 to symbols - 1.*rows: 1",
        ),
        (lambda: ctc_loss([[1, 0, 2]], LOGITS[:1]), "labels must be 1 to symbols - 1"),
        (lambda: ctc_loss([[1, 2]], LOGITS[:1], [3]), "labels must be 1 to symbols - 1"),
        (
            lambda: ctc_loss([1, 2], LOGITS[:1]),
            r"labels must be \[batch, labels\]; received shape \(2,\)",
        ),
        (lambda: ctc_loss([[1]], LOGITS[0]), r"received shape \(5, 4\)"),
        (
            lambda: ctc_loss([[1]], LOGITS[:1], None, [6]),
            "lengths must be 1 to the number of frames; rows: 0",
        ),
        (
            lambda: ctc_greedy(LOGITS, [0, *LENGTHS[1:]]),
            "lengths must be 1 to the number of frames; rows: 0",
        ),
        (lambda: ctc_align(LOGITS[:1], [[7]]), "labels must be 1 to symbols - 1"),
        (lambda: CTCLoss("ignore"), "'ignore'; accepted are error, zero, infinity"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_bad_labels_stop_compiled_functions_and_are_infinite_under_xla():
    labels = np.array([[1, 4]])
    with pytest.raises(tf.errors.InvalidArgumentError, match="labels must be 1 to symbols - 1"):
        tf.function(ctc_loss)(labels, LOGITS[:1])
    assert np.isposinf(tf.function(ctc_loss, jit_compile=True)(labels, LOGITS[:1])[0])
