"""One table of cases, every model of the library: padding, batches, gradients, reload, precision,
the future, streams."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnn_cookbook.errors import InputError
from rnn_cookbook.models import __all__
from rnn_cookbook.nn.ctc import CTCLoss
from rnn_cookbook.nn.diagnostics import gpu_kernels
from rnn_cookbook.nn.losses import GaussianLoss, PaddedCrossEntropy, QuantileLoss, StudentTLoss
from rnn_cookbook.nn.streaming import Stream, streaming_model
from rnn_cookbook.run.bundle import in_full_precision
from rnn_cookbook.tasks.anomaly.model import autoencoder, online_forecaster
from rnn_cookbook.tasks.classification.model import text_classifier
from rnn_cookbook.tasks.forecasting.model import forecaster, recursive_forecaster
from rnn_cookbook.tasks.language.model import language_model
from rnn_cookbook.tasks.speech.model import speech_recognizer
from rnn_cookbook.tasks.tagging.model import sequence_tagger
from rnn_cookbook.tasks.translation.model import encoder_decoder

LENGTHS = (11, 7, 3, 1)
VOCABULARY = 30


@dataclass
class Case:
    """A builder, what it reads and how it learns."""

    build: Callable[[], keras.Model]
    reads: tuple[str, ...] = ("tokens",)  # inputs, in order; see `inputs`
    loss: str | keras.losses.Loss = "logits"
    causal: bool = False
    per_step: bool = True  # an output for every step of the input
    stride: int = 1  # steps of the input for one of the output
    fixed_time: int = 0  # windows of one length only
    fast: bool = True  # all recurrent layers have fast GPU kernels

    def inputs(self, lengths=LENGTHS, time: int | None = None, seed: int = 0) -> list[np.ndarray]:
        time = self.fixed_time or time or max(lengths)
        rng = np.random.default_rng(seed)
        kinds = {
            "tokens": lambda: rng.integers(2, VOCABULARY, (len(lengths), 500)),
            "characters": lambda: rng.integers(1, 9, (len(lengths), 500, 4)),
            "features": lambda: rng.integers(0, 2, (len(lengths), 500, 2)),
            "sequence": lambda: rng.normal(size=(len(lengths), 500, 3)),
        }
        arrays = []
        for name in self.reads:
            if name == "lengths":
                arrays.append(np.array(lengths, np.int32))
            elif name == "target":
                arrays.append(rng.integers(3, VOCABULARY, (len(lengths), 6)).astype(np.int32))
            else:
                array = kinds[name]()
                array = np.tile(array, (1, -(-time // 500)) + (1,) * (array.ndim - 2))[:, :time]
                for row, length in enumerate(lengths if not self.fixed_time else ()):
                    array[row, length:] = 0
                arrays.append(array.astype(np.float32 if name == "sequence" else np.int32))
        return arrays

    def valid(self, outputs: np.ndarray, lengths=LENGTHS) -> list[np.ndarray]:
        """The part of each row's output that is not padding."""
        if not self.per_step:
            return list(outputs)
        return [
            row[: -(-length // self.stride)] for row, length in zip(outputs, lengths, strict=True)
        ]

    def learn(
        self, model: keras.Model, inputs: list[np.ndarray], lengths=LENGTHS
    ) -> tuple[tf.Tensor, list]:
        """The loss of one training step and its gradients."""
        rng = np.random.default_rng(1)
        with tf.GradientTape() as tape:
            outputs = model(_one(inputs), training=True)
            shape = outputs.shape
            if self.loss == "crf":
                labels = rng.integers(0, shape[-1], shape[:2])
                labels[np.arange(shape[1]) >= np.array(lengths)[:, None]] = -1
                loss = tf.reduce_mean(model.get_layer("crf").loss(labels.astype(np.int32), outputs))
            elif self.loss == "ctc":
                labels = np.array([[1, 2], [2, 0], [1, 0], [2, 0]], np.int32)[: shape[0]]
                loss = CTCLoss()(labels, outputs)
            elif self.loss == "logits":
                loss = PaddedCrossEntropy(padding=-1)(
                    rng.integers(0, shape[-1], shape[:-1]), outputs
                )
            else:
                target = (
                    shape if isinstance(self.loss, keras.losses.MeanSquaredError) else shape[:-1]
                )
                loss = self.loss(rng.normal(size=target).astype(np.float32), outputs)
            loss += sum(model.losses)  # what layers add
        return loss, tape.gradient(loss, model.trainable_variables)


def _one(inputs):
    return inputs[0] if len(inputs) == 1 else inputs


TEXT = {"vocabulary_size": VOCABULARY, "embedding_size": 6, "units": 5}
PAIR = {
    "source_vocabulary": VOCABULARY,
    "target_vocabulary": VOCABULARY,
    "embedding_size": 6,
    "units": 5,
    "depth": 2,
}
SOUND = {"features": 3, "symbols": 4, "units": 5, "filters": 6, "kernel_size": 3}
WINDOW = {"lookback": 12, "horizon": 4, "channels": 3, "units": 5, "embedding_size": 6}
TAGS = ["O", "B-X", "I-X"]
MEAN_SQUARE = keras.losses.MeanSquaredError()


def classifier(cell="lstm", **options):
    return lambda: text_classifier(**TEXT, classes=3, cell=cell, **options)


CASES: dict[str, Case] = {}
for cell in ("simple_rnn", "lstm", "gru"):
    fast = cell != "simple_rnn"
    options = {"per_step": False, "fast": fast}
    CASES[f"classifier {cell}"] = Case(
        classifier(cell, bidirectional=False, pooling=["max", "mean"]), causal=True, **options
    )
    CASES[f"classifier {cell} both"] = Case(classifier(cell, depth=2, pooling=["last"]), **options)
    CASES[f"classifier {cell} segments"] = Case(
        classifier(cell, segment_length=4, pooling=["attention"]), **options
    )
    CASES[f"online forecaster {cell}"] = Case(
        lambda cell=cell: online_forecaster(
            channels=3, horizon=2, cell=cell, units=5, depth=2, residual=True
        ),
        ("sequence",),
        MEAN_SQUARE,
        causal=True,
        fast=fast,
    )
CASES["classifier attention"] = Case(
    classifier(bidirectional=False, pooling=["attention", "last"]), causal=True, per_step=False
)
for merge in ("sum", "mul", "ave"):
    CASES[f"classifier {merge}"] = Case(classifier(merge=merge), per_step=False)
every_dropout = {
    "input_dropout": 0.2,
    "recurrent_dropout": 0.2,
    "weight_drop": 0.2,
    "depth": 2,
    "layer_norm": True,
    "residual": True,
}
CASES["classifier every dropout"] = Case(
    classifier(word_dropout=0.2, dropout=0.2, embedding_dropout=0.2, **every_dropout),
    per_step=False,
    fast=False,
)
CASES["classifier gru before"] = Case(
    classifier("gru", reset_after=False), per_step=False, fast=False
)
CASES["language model"] = Case(lambda: language_model(**TEXT, cell="gru"), causal=True)
CASES["language model weight drop"] = Case(
    lambda: language_model(
        **TEXT,
        depth=3,
        tie_weights=True,
        weight_drop=0.3,
        dropout=0.1,
        embedding_dropout=0.1,
        output_dropout=0.1,
        residual=True,
    ),
    causal=True,
)
CASES["tagger"] = Case(
    lambda: sequence_tagger(**TEXT, tags=3, bidirectional=False, crf=False), causal=True
)
CASES["tagger crf"] = Case(lambda: sequence_tagger(**TEXT, tags=3), loss="crf")
CASES["tagger language model"] = Case(
    lambda: sequence_tagger(**TEXT, tags=3, depth=2, language_model=0.1), loss="crf"
)
CASES["tagger causal language model"] = Case(
    lambda: sequence_tagger(**TEXT, tags=3, bidirectional=False, crf=False, language_model=0.1),
    causal=True,
)
for kind in ("recurrent", "convolution"):
    CASES[f"tagger crf {kind}"] = Case(
        lambda kind=kind: sequence_tagger(
            **TEXT,
            tags=TAGS,
            scheme="bio",
            characters=9,
            character_encoder=kind,
            features=(2, 2),
            dropout=0.1,
        ),
        ("tokens", "characters", "features"),
        "crf",
    )
for options in (
    {},
    {"cell": "gru", "input_feeding": True},
    {"attention": "bahdanau", "tie_weights": False},
    {"attention": "none"},
    {"scheduled_sampling": True},
):
    CASES[f"translator {options}"] = Case(
        lambda options=options: encoder_decoder(**PAIR, dropout=0.1, **options),
        ("tokens", "target"),
        per_step=False,
        fast=not {"input_feeding", "scheduled_sampling"} & set(options)
        and options.get("attention") != "bahdanau",
    )
CASES["recognizer"] = Case(
    lambda: speech_recognizer(**SOUND), ("sequence", "lengths"), "ctc", stride=2
)
CASES["recognizer causal"] = Case(
    lambda: speech_recognizer(**SOUND, bidirectional=False, strides=(2, 1, 2)),
    ("sequence", "lengths"),
    "ctc",
    causal=True,
    stride=4,
)
CASES["recognizer that looks ahead"] = Case(
    lambda: speech_recognizer(**SOUND, bidirectional=False, look_ahead=3, layer_norm=True),
    ("sequence", "lengths"),
    "ctc",
    causal=True,
    stride=2,
)
CASES["recognizer of both"] = Case(
    lambda: speech_recognizer(**SOUND, convolution="time_frequency"),
    ("sequence", "lengths"),
    "ctc",
    stride=2,
)
CASES["recognizer of both causal"] = Case(
    lambda: speech_recognizer(
        **SOUND, convolution="time_frequency", bidirectional=False, strides=(2, 1, 2)
    ),
    ("sequence", "lengths"),
    "ctc",
    causal=True,
    stride=4,
)
for head, loss in {
    "quantiles": QuantileLoss(),
    "gaussian": GaussianLoss(),
    "student_t": StudentTLoss(),
}.items():
    CASES[f"online forecaster {head}"] = Case(
        lambda head=head: online_forecaster(channels=3, head=head, units=5, output_dropout=0.1),
        ("sequence",),
        loss,
        causal=True,
    )
    CASES[f"forecaster {head}"] = Case(
        lambda head=head: forecaster(**WINDOW, head=head, normalization="standard", dropout=0.1),
        ("sequence",),
        loss,
        per_step=False,
        fixed_time=12,
    )
CASES["forecaster joint"] = Case(
    lambda: forecaster(**WINDOW, segment_length=2, joint=True, head="gaussian"),
    ("sequence",),
    GaussianLoss(),
    per_step=False,
    fixed_time=12,
)
for cell in ("lstm", "gru"):
    CASES[f"recursive forecaster {cell}"] = Case(
        lambda cell=cell: recursive_forecaster(
            lookback=12, horizon=4, channels=3, units=5, depth=2, cell=cell, teacher=False
        ),
        ("sequence",),
        MEAN_SQUARE,
        per_step=False,
        fixed_time=12,
        fast=False,
    )
CASES["forecaster linear"] = Case(
    lambda: forecaster(**WINDOW, segment_length=4, linear=True, head="quantiles"),
    ("sequence",),
    QuantileLoss(),
    per_step=False,
    fixed_time=12,
)
CASES["forecaster segments"] = Case(
    lambda: forecaster(**WINDOW, segment_length=4, cell="lstm", depth=2),
    ("sequence",),
    MEAN_SQUARE,
    per_step=False,
    fixed_time=12,
)
CASES["autoencoder"] = Case(
    lambda: autoencoder(features=3, units=5, depth=2, bidirectional=True, lengths=True),
    ("sequence", "lengths"),
    MEAN_SQUARE,
)
CASES["autoencoder windows"] = Case(
    lambda: autoencoder(features=3, units=5, cell="gru"), ("sequence",), MEAN_SQUARE, fixed_time=9
)


# Of each builder what is most unlike the others; the rest are variations, which the slower checks
# go through.
FIRST = {
    "classifier simple_rnn",
    "classifier lstm both",
    "classifier gru segments",
    "classifier attention",
    "classifier every dropout",
    "language model weight drop",
    "tagger crf",
    "tagger crf convolution",
    "translator {}",
    "translator {'attention': 'bahdanau', 'tie_weights': False}",
    "recognizer",
    "recognizer causal",
    "online forecaster lstm",
    "online forecaster quantiles",
    "forecaster joint",
    "recursive forecaster lstm",
    "autoencoder",
    "autoencoder windows",
}
assert set(CASES) >= FIRST


def choose(wanted: Callable[[Case], bool], *, names: Iterable[str] = CASES):
    marks = {name: () if name in FIRST else pytest.mark.slow for name in CASES}
    chosen = [
        pytest.param(case, id=name, marks=marks[name])
        for name, case in CASES.items()
        if name in names and wanted(case)
    ]
    return pytest.mark.parametrize("case", chosen)


every, causal = choose(lambda case: True), choose(lambda case: case.causal)
# What does not depend on how a builder is varied.
first = choose(lambda case: True, names=FIRST)
first_ragged = choose(lambda case: not case.fixed_time, names=FIRST)
first_causal = choose(lambda case: case.causal, names=FIRST)
ragged = choose(lambda case: not case.fixed_time)


def built(case: Case) -> keras.Model:
    keras.utils.set_random_seed(1)
    return case.build()


_KEPT: dict[tuple[int, str], keras.Model] = {}


def kept(case: Case, policy: str = "float32") -> keras.Model:
    """As `built`, once for all tests that change nothing in it."""
    if (id(case), policy) not in _KEPT:
        with precision(policy):
            _KEPT[id(case), policy] = built(case)
    return _KEPT[id(case), policy]


@contextmanager
def precision(policy: str) -> Iterator[None]:
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy("float32")


def close(left, right, atol=1e-5):
    for one, other in zip(left, right, strict=True):
        np.testing.assert_allclose(one, other, atol=atol)


def test_every_builder_is_in_the_table():
    names = " ".join(CASES)
    words = {
        "text_classifier": "classifier",
        "sequence_tagger": "tagger",
        "encoder_decoder": "translator",
        "speech_recognizer": "recognizer",
    }
    for builder in __all__:
        made_of_another = builder in (
            "encoding_model",
            "frame_model",
            "sound_recognizer",
            "without_teacher",
        )  # tests of their own
        assert made_of_another or words.get(builder, builder.replace("_", " ")) in names


@ragged
def test_more_padding_changes_nothing(case):
    model = kept(case)
    padded = case.valid(np.array(model(_one(case.inputs(time=max(LENGTHS) + 6)))))
    close(case.valid(np.array(model(_one(case.inputs())))), padded)


@first
def test_batch_equals_one_by_one(case):
    model, inputs = kept(case), case.inputs()
    together = case.valid(np.array(model(_one(inputs))))
    alone = []
    for row, length in enumerate(LENGTHS):
        end = case.fixed_time or length
        single = [
            x[row : row + 1] if name in ("lengths", "target") else x[row : row + 1, :end]
            for name, x in zip(case.reads, inputs, strict=True)
        ]
        alone += case.valid(np.array(model(_one(single))), [length])
    close(together, alone)


@every
def test_every_weight_gets_a_gradient_and_moves(case):
    model = kept(case)
    loss, gradients = case.learn(model, case.inputs())
    assert np.isfinite(loss)
    before = [np.array(weight) for weight in model.trainable_variables]
    assert all(gradient is not None for gradient in gradients), [
        w.path for w, g in zip(model.trainable_variables, gradients, strict=True) if g is None
    ]
    keras.optimizers.SGD(10.0).apply(gradients, model.trainable_variables)
    still = [
        w.path
        for w, old in zip(model.trainable_variables, before, strict=True)
        if np.array_equal(np.array(w), old)
    ]
    for weight, old in zip(
        model.trainable_variables, before, strict=True
    ):  # the next test finds the model as it was
        weight.assign(old)
    assert not still, "no gradient arrives, or none that counts"


@first
def test_reload_predicts_the_same_without_custom_objects(case, tmp_path):
    model, inputs = kept(case), case.inputs()
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again(_one(inputs)), model(_one(inputs)))
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]


@pytest.mark.slow
@first
@pytest.mark.parametrize(
    ("trained", "loaded"), [("float32", "mixed_float16"), ("mixed_float16", "float32")]
)
def test_reload_under_another_precision_keeps_its_own(case, trained, loaded, tmp_path):
    model, inputs = kept(case, trained), case.inputs()
    model.save(tmp_path / "m.keras")
    with precision(loaded):
        again = keras.saving.load_model(tmp_path / "m.keras")
        # Keras reads a tied embedding in the precision of the model around it, which is the global
        # one.
        tied = any(isinstance(layer, keras.layers.ReversibleEmbedding) for layer in model.layers)
        np.testing.assert_allclose(
            again(_one(inputs)), model(_one(inputs)), atol=1e-3 if tied else 0, rtol=0
        )


@pytest.mark.slow
@first
def test_trained_in_half_precision_a_bundle_answers_in_full(case):
    half, inputs = kept(case, "mixed_float16"), case.inputs()
    full = in_full_precision(half)
    assert not [layer.name for layer in full._flatten_layers() if layer.compute_dtype != "float32"]
    close(keras.tree.flatten(full(_one(inputs))), keras.tree.flatten(half(_one(inputs))), atol=2e-2)
    assert in_full_precision(full) is full


@pytest.mark.slow
@first
def test_mixed_precision_stays_finite_and_ends_in_float32(case):
    model = kept(case, "mixed_float16")
    with precision("mixed_float16"):
        loss, gradients = case.learn(model, case.inputs())
    assert np.isfinite(loss)
    assert all(
        np.isfinite(np.array(tf.convert_to_tensor(gradient))).all() for gradient in gradients
    )
    outputs = model(_one(case.inputs()))
    assert outputs.dtype == tf.float32
    assert all(np.isfinite(row).all() for row in case.valid(np.array(outputs)))


@first
def test_order_of_time_matters(case):
    """Every model here answers otherwise for a sequence turned round: none of them is a bag of
    steps."""
    model, inputs = kept(case), case.inputs([11] * 4)
    turned = [
        x if name in ("lengths", "target") else x[:, ::-1]
        for name, x in zip(case.reads, inputs, strict=True)
    ]
    forwards, backwards = np.array(model(_one(inputs))), np.array(model(_one(turned)))
    if case.per_step:
        backwards = backwards[:, ::-1]
    assert not np.allclose(forwards, backwards, atol=1e-4)


@choose(lambda case: case.per_step and not case.fixed_time)
def test_the_future_is_read_if_and_only_if_the_model_is_not_causal(case):
    """Another last step changes the output of the first step in models of both directions, and
    never in causal ones."""
    model, inputs = kept(case), case.inputs([12] * 4)
    changed = [x.copy() for x in inputs]
    for name, x in zip(case.reads, changed, strict=True):
        if name in ("tokens", "sequence"):
            x[:, -1] = x[:, -1] + 1
    before, after = (np.array(model(_one(x)))[:, 0] for x in (inputs, changed))
    assert np.array_equal(before, after) == case.causal


@pytest.mark.slow
@first_ragged
def test_one_step_and_very_many(case):
    model = tf.function(kept(case), reduce_retracing=True)
    for length in (1, 1000):
        outputs = np.array(model(_one(case.inputs([length]))))
        assert all(np.isfinite(row).all() for row in case.valid(outputs, [length]))


@every
def test_fast_gpu_kernels_are_given_up_only_where_it_is_said(case):
    assert all(kernel.eligible for kernel in gpu_kernels(kept(case))) == case.fast


@causal
def test_a_stream_in_chunks_of_any_size_gives_what_the_whole_gives(case):
    model, time = kept(case), 23
    inputs = case.inputs([time] * 3)
    whole = np.array(model(_one(inputs)))
    stream = Stream(model, batch_size=3)
    inputs = [x for name, x in zip(case.reads, inputs, strict=True) if name != "lengths"]
    for sizes in ([1] * 23, [5, 0, 1, 9, 2, 6]):
        stream.reset()
        ends = np.cumsum(sizes)
        outputs = [
            stream.feed(*(x[:, end - size : end] for x in inputs))
            for size, end in zip(sizes, ends, strict=True)
        ]
        outputs.append(stream.finish())
        close([whole], [np.concatenate(outputs, axis=1) if case.per_step else outputs[-1]])
    assert sum(state.shape.num_elements() for state in stream.states.values()) < 3 * 100, (
        "memory does not grow with the stream"
    )


@first_causal
def test_a_streaming_model_can_be_saved_and_called_as_any_other(case, tmp_path):
    model = kept(case)
    step = streaming_model(model)
    step.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    stream = Stream(model, batch_size=2)
    chunk = [
        x for name, x in zip(case.reads, case.inputs([4] * 2), strict=True) if name != "lengths"
    ]
    chunk = [tf.constant(x) for x in chunk]  # Keras does not mix arrays and tensors
    expected, states = step((_one(chunk), stream.states))
    outputs, after = again((_one(chunk), stream.states))
    np.testing.assert_array_equal(outputs, expected)
    for name, state in states.items():
        np.testing.assert_array_equal(after[name], state)


@choose(lambda case: not case.causal)
def test_models_that_are_not_causal_are_refused_by_name(case):
    with pytest.raises(InputError, match=r"layer '[a-z_0-9]+'"):
        streaming_model(kept(case))
