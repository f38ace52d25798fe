"""Exported networks answer as their bundles do, in formats that know nothing of this library; what
fails leaves nothing behind."""

import dataclasses
import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from conftest import ROOT

from rnn_cookbook.cli.main import main
from rnn_cookbook.encode.text import TextEncoder
from rnn_cookbook.errors import InputError
from rnn_cookbook.export import formats
from rnn_cookbook.export.readme import UNDESCRIBED
from rnn_cookbook.export.write import export
from rnn_cookbook.recipe import load_recipe
from rnn_cookbook.run.bundle import load_bundle, save_bundle
from rnn_cookbook.tasks.anomaly.model import autoencoder, online_forecaster
from rnn_cookbook.tasks.classification.export import ServedClassifier
from rnn_cookbook.tasks.classification.model import text_classifier
from rnn_cookbook.tasks.forecasting.model import forecaster, recursive_forecaster, without_teacher
from rnn_cookbook.tasks.speech.model import sound_recognizer
from rnn_cookbook.tasks.tagging.encode import TagEncoder
from rnn_cookbook.tasks.tagging.model import sequence_tagger
from rnn_cookbook.tasks.translation.model import encoder_decoder

WORDS = ["the", "plot", "was", "good", "not", "bad", "!"]


def classifier():
    return text_classifier(
        vocabulary_size=9,
        classes=2,
        embedding_size=4,
        units=3,
        segment_length=2,
        pooling=["max", "mean"],
    )


MODELS = {
    "text_classifier": classifier,
    "sequence_tagger": lambda: sequence_tagger(
        vocabulary_size=9,
        tags=TagEncoder(["X"]).tags,
        scheme="bioes",
        embedding_size=4,
        characters=8,
        features=[3, 4],
        units=3,
        crf=True,
    ),
    "forecaster": lambda: forecaster(
        lookback=12, horizon=4, channels=2, covariates=1, segment_length=2, units=4
    ),
    "recursive_forecaster": lambda: recursive_forecaster(
        lookback=6, horizon=3, channels=1, units=4
    ),
    "online_forecaster": lambda: online_forecaster(channels=1, units=4),
    "autoencoder": lambda: autoencoder(features=2, code_size=3, units=4),
    "encoder_decoder": lambda: encoder_decoder(
        source_vocabulary=9, target_vocabulary=8, embedding_size=4, units=4
    ),
    "sound_recognizer": lambda: sound_recognizer(symbols=4, rate=8000, units=4),
    "sound_recognizer that looks ahead": lambda: sound_recognizer(
        symbols=4, rate=8000, units=4, bidirectional=False, look_ahead=3, layer_norm=True
    ),
    "sound_recognizer of voices": lambda: sound_recognizer(
        symbols=4,
        rate=8000,
        units=4,
        convolution="time_frequency",
        filters=4,
        strides=(3, 1),
        equalizer=3.0,
    ),
}


def saved(folder, model, *, recipe="toy", config=None, facts=None, encoders=()):
    save_bundle(
        folder / "model",
        recipe=recipe,
        config=config or {},
        facts=facts or {},
        model=model,
        encoders=[*encoders],
    )
    return folder


@pytest.fixture
def reviews(tmp_path):
    return reviews_run(tmp_path, classifier())


def reviews_run(folder, model):
    """A run of the sentiment recipe, as far as predictions go."""
    sample = load_recipe("sentiment").settings["sample"]
    config = {**vars(sample), "max_tokens": 8, "keep": "both", "segment": 2}
    return saved(
        folder,
        model,
        recipe="sentiment",
        config=config,
        facts={"classes": ["no", "yes"]},
        encoders=[TextEncoder(WORDS).save],
    )


@pytest.mark.slow
def test_a_savedmodel_takes_raw_text(reviews, capsys):
    assert main(["export", str(reviews), "--format", "saved_model"]) == 0
    folder = reviews / "export/saved_model"
    assert f"{folder}: as the bundle on 100 raw inputs" in capsys.readouterr().out
    assert sorted(file.name for file in folder.iterdir()) == [
        "1",
        "README.md",
        "export.json",
        "vocabulary.txt",
    ]
    served = tf.saved_model.load(str(folder / "1"))
    texts = ["The plot was not good!", "Unheard-of", "the " * 30 + "bad"]
    answers = served.signatures["serving_default"](text=tf.constant(texts))
    loaded = load_bundle(reviews)
    predict = load_recipe("sentiment").module.predict
    pairs = zip(answers["label"].numpy(), answers["probabilities"].numpy(), strict=True)
    for wanted, (label, shares) in zip(predict(loaded, [texts]), pairs, strict=True):
        assert label.decode() == wanted["label"]
        np.testing.assert_allclose(
            shares, [wanted["probabilities"][name] for name in ("no", "yes")], atol=1e-5
        )
    logits = served.signatures["network"](tokens=tf.constant([[2, 3, 0], [4, 0, 0]]))["output"]
    np.testing.assert_allclose(logits, loaded.model(np.array([[2, 3, 0], [4, 0, 0]])), atol=1e-6)
    assert served.signatures["serving_default"](text=tf.constant([""]))["probabilities"].shape == (
        1,
        2,
    ), "no word: still an answer"
    told = (folder / "README.md").read_text()
    assert "Raw text goes in" in told
    assert "## The network alone: signature `network`" in told
    assert "tensorflow_model_server" in told


@pytest.mark.parametrize("keep", ["head", "tail", "both"])
def test_the_reader_in_the_graph_reads_as_the_encoder(keep):
    encoder = TextEncoder(WORDS)
    for longest in (1, 3, 5, None):
        reader = encoder.reader(max_tokens=longest, keep=keep)
        served = ServedClassifier(
            classifier(), encoder, classes=["no", "yes"], max_tokens=longest, keep=keep
        )
        texts = [
            *served.examples(30, np.random.default_rng(1))["text"],
            "",
            " <br /> ",
            "the",
            "the plot was not bad ! the plot",
        ]
        sequences = encoder.encode(texts, max_tokens=longest, keep=keep)
        rows = reader(tf.constant(texts)).numpy()
        assert rows.shape == (len(texts), max(map(len, sequences)))
        for row, sequence in zip(rows, sequences, strict=True):
            np.testing.assert_array_equal(row, np.pad(sequence, (0, len(row) - len(sequence))))


QUICK = [
    ("online_forecaster", "onnx"),
    ("online_forecaster", "saved_model"),
]
# Every network as a SavedModel, and one of each kind of input in the other formats.
EACH = [(name, "saved_model") for name in MODELS]
EACH += [("online_forecaster", "onnx"), ("sequence_tagger", "litert"), ("text_classifier", "onnx")]
EACH += [("text_classifier", "litert"), ("forecaster", "litert"), ("forecaster", "onnx")]


@pytest.mark.parametrize(
    ("name", "form"),
    [pytest.param(*case, marks=[] if case in QUICK else pytest.mark.slow) for case in EACH],
)
def test_every_network_is_exported(name, form, tmp_path):
    run = saved(tmp_path, MODELS[name]())
    free = name not in ("forecaster", "recursive_forecaster")
    length = (1600 if "sound" in name else 20) if form == "litert" and free else 0
    told = export(run, form=form, length=length)
    facts = json.loads((run / f"export/{form}/export.json").read_text())
    assert "as the bundle on 100 inputs" in told
    assert facts["checked"]["largest_difference"] <= 1e-4
    inputs = facts["signatures"]["serving_default"]["inputs"]
    served = without_teacher(MODELS[name]())
    assert [one["name"] for one in inputs] == [one.name for one in keras.tree.flatten(served.input)]
    readme = (run / f"export/{form}/README.md").read_text()
    assert UNDESCRIBED not in readme, "every input of the library's models is explained"


def test_litert_needs_no_operation_of_tensorflow(reviews):
    export(reviews, form="litert", length=6)
    # The interpreter has no operation of TensorFlow: it would refuse a network that needs one.
    network = Interpreter(str(reviews / "export/litert/model.tflite")).get_signature_runner()
    (details,) = network.get_input_details().values()
    assert details["shape"].tolist() == [1, 6]
    padded = network(tokens=np.array([[2, 3, 4, 0, 0, 0]], np.int32))["output"]
    np.testing.assert_allclose(
        padded,
        load_bundle(reviews).model(np.array([[2, 3, 4]])),
        atol=1e-5,
        err_msg="padding says nothing",
    )


def test_who_answers_otherwise_is_not_exported(reviews, monkeypatch):
    write = formats.WRITERS["saved_model"]

    def wrong(signatures, folder):
        run = write(signatures, folder)
        return lambda name, inputs: {
            "output": run(name, inputs)["output"] + tf.constant([0.0, 2e-4])
        }

    monkeypatch.setitem(formats.WRITERS, "saved_model", wrong)
    with pytest.raises(
        InputError,
        match=r"the answers of saved_model differ from the bundle's by up to 0\.0002; "
        r"accepted is a difference of 0\.0001",
    ):
        export(reviews, form="saved_model")
    assert list((reviews / "export").iterdir()) == []


def test_answers_that_are_no_numbers_are_not_exported(reviews, monkeypatch):
    write = formats.WRITERS["saved_model"]

    def silent(signatures, folder):
        run = write(signatures, folder)
        return lambda name, inputs: {"output": run(name, inputs)["output"] * np.nan}

    monkeypatch.setitem(formats.WRITERS, "saved_model", silent)
    with pytest.raises(
        InputError, match="the answers of saved_model differ from the bundle's by up to nan"
    ):
        export(reviews, form="saved_model")


def test_the_bundle_itself_can_be_named(reviews):
    assert export(reviews / "model", form="litert", length=6).startswith(
        f"{reviews}/export/litert: "
    )
    assert sorted(file.name for file in (reviews / "model").iterdir()) == [
        "bundle.json",
        "model.keras",
        "vocabulary.txt",
    ]


@pytest.mark.slow
def test_a_tagger_brings_what_finds_its_best_path(tmp_path):
    model = MODELS["sequence_tagger"]()
    export(saved(tmp_path, model, facts={"types": ["X"]}), form="litert", length=8)
    crf = json.loads((tmp_path / "export/litert/export.json").read_text())["crf"]
    assert crf["tags"] == ["O", "B-X", "I-X", "E-X", "S-X"]
    np.testing.assert_allclose(crf["transitions"], model.get_layer("crf").transitions)
    assert crf["transitions"][0][2] == -1e4, "no I after an O"
    assert "Viterbi" in (tmp_path / "export/litert/README.md").read_text()


@pytest.mark.parametrize(
    ("name", "changed", "steps"),
    [
        ("sentiment", {"max_tokens": 7}, 7),
        ("ner", {"max_tokens": 11}, 11),
        ("translation", {"max_tokens": 9}, 9),
        ("anomaly_detection", {"model": "autoencoder", "window": 32}, 32),
        ("anomaly_detection", {"model": "predictor", "length": 96}, 96),
        ("speech_to_text", {"rate": 8000}, 80_000),
    ],
)
def test_the_length_that_is_read_by_default(name, changed, steps):
    recipe = load_recipe(name)
    config = dataclasses.replace(recipe.settings["default"], **changed)
    assert recipe.longest_input(config) == steps


def test_litert_reads_what_the_recipe_reads_at_most(reviews):
    export(reviews, form="litert", recipe=load_recipe("sentiment"))
    facts = json.loads((reviews / "export/litert/export.json").read_text())
    assert facts["signatures"]["serving_default"]["inputs"][0]["shape"] == [1, 8]


@pytest.mark.slow
def test_a_reader_that_reads_otherwise_is_found(tmp_path, monkeypatch):
    model = classifier()
    model.layers[-1].bias.assign([3.0, 0.0])  # always the same word, with other probabilities
    run = reviews_run(tmp_path, model)
    monkeypatch.setattr(
        "rnn_cookbook.encode.text.TextReader.call",
        lambda self, text: self.numbers(text).to_tensor()[:, :1],
    )
    with pytest.raises(InputError, match="the answers of saved_model differ from the bundle's"):
        export(run, form="saved_model", recipe=load_recipe("sentiment"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--format", "onnx"], "nowhere holds no trained model"),
        (["."], "the following arguments are required: --format"),
        ([".", "--format", "torch"], "invalid choice: 'torch'"),
        (
            [".", "--format", "onnx", "--length", "7"],
            "--length is for litert, whose inputs have a fixed length; onnx takes any length",
        ),
        ([".", "--format", "litert", "--length", "-7"], "--length must be at least 1; received -7"),
        (
            [".", "--format", "litert", "--output", "full"],
            "full exists already; name another folder (--output)",
        ),
        ([".", "--format", "litert", "--output", "full/file"], "file exists already"),
    ],
)
def test_bad_input(arguments, message, reviews, capsys):
    (reviews / "full").mkdir()
    (reviews / "full/file").write_text("mine")
    assert main(["export", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told
    assert (reviews / "full/file").read_text() == "mine"
    assert not (reviews / "export").exists()


def test_another_recipe_than_the_one_that_trained_it(reviews, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(
        load_recipe("sentiment").file.read_text().replace("text_column", "message_column")
    )
    assert (
        main(
            [
                "export",
                str(reviews),
                "--format",
                "saved_model",
                "--recipe",
                str(tmp_path / "mine.py"),
            ]
        )
        == 2
    )
    assert "mine.py is not the recipe that wrote these settings" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("form", ["litert", "onnx"])
def test_a_network_trained_in_half_precision(form, tmp_path):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        saved(tmp_path, MODELS["forecaster"]())
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert "as the bundle on 100 inputs" in export(tmp_path, form=form)


def test_a_length_that_is_fixed(tmp_path):
    run = saved(tmp_path, MODELS["forecaster"]())
    with pytest.raises(
        InputError,
        match="length has no effect here: this network reads exactly 12 steps",
    ):
        export(run, form="litert", length=50)


def test_packages_that_are_missing_are_named(reviews, monkeypatch):
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        InputError,
        match="format onnx needs tf2onnx and onnxruntime: pip install tf2onnx onnxruntime",
    ):
        export(reviews, form="onnx")


def test_the_commands_of_the_readme(capsys):
    commands = re.findall(
        r"^    rnn-cookbook (export [^#\n]*)",
        (ROOT / "README.md").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    assert [command.split()[-1] for command in commands] == list(formats.WRITERS)
    for command in commands:
        assert main(command.split()) == 2
        assert "runs/sentiment/<time> holds no trained model" in capsys.readouterr().err, (
            "there is no such run here; the options exist"
        )
