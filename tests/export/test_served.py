"""From raw input to the answer in one graph: what is served answers as the library does by its own
way."""

import json
import os
import re
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from rnn_cookbook import models
from rnn_cookbook.data.series import Series
from rnn_cookbook.encode.series import SeriesEncoder
from rnn_cookbook.encode.text import TextEncoder
from rnn_cookbook.errors import InputError
from rnn_cookbook.export.check import largest_difference
from rnn_cookbook.export.served import size_in_row
from rnn_cookbook.export.write import export
from rnn_cookbook.recipe import load_recipe
from rnn_cookbook.run.bundle import save_bundle
from rnn_cookbook.tasks.classification.export import ServedClassifier
from rnn_cookbook.tasks.classification.model import text_classifier
from rnn_cookbook.tasks.forecasting.export import ServedForecaster
from rnn_cookbook.tasks.forecasting.model import recursive_forecaster
from rnn_cookbook.tasks.speech.alphabet import Alphabet
from rnn_cookbook.tasks.speech.export import ServedRecognizer
from rnn_cookbook.tasks.speech.model import sound_recognizer
from rnn_cookbook.tasks.tagging.encode import TagEncoder, WordEncoder
from rnn_cookbook.tasks.tagging.export import ServedTagger
from rnn_cookbook.tasks.tagging.model import sequence_tagger

SENTENCES = [
    ["The", "U.S.", "bank", "of", "Paris", "paid", "300", "euros", "."],
    ["Über", "McDonald", "1996-08-22", "iPod", "a", "the"],
]


def difference(served, *, batches=(1, 4, 20)):
    return largest_difference(
        served,
        lambda inputs: served(*(tf.constant(value) for value in inputs.values())),
        batches=batches,
    )


def shaken(model):
    """Weights that no initialiser leaves at 0."""
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(weight + rng.normal(scale=0.3, size=weight.shape))
    return model


def classifier():
    model = shaken(text_classifier(vocabulary_size=5, classes=2, embedding_size=4, units=3))
    return ServedClassifier(
        model, TextEncoder(["good", "film", "!"]), classes=["no", "yes"], max_tokens=6, keep="both"
    )


def tagger(*, crf=True, features=True, sentences=SENTENCES):
    words, tags = WordEncoder.fit(sentences * 5), TagEncoder(["LOC", "ORG"])
    options = (
        {"characters": words.letter_count, "features": words.feature_counts} if features else {}
    )
    model = sequence_tagger(
        vocabulary_size=len(words),
        tags=tags.tags,
        scheme="bioes" if crf else None,
        embedding_size=4,
        units=3,
        crf=crf,
        **options,
    )
    return ServedTagger(shaken(model), words, tags)


def series(name, *, level, scale, known=0, steps=60):
    rng = np.random.default_rng(len(name))
    values = level + scale * rng.normal(size=(steps, 2)).cumsum(axis=0)
    return Series(
        pd.date_range("2024-01-01", periods=steps, freq="h"),
        values,
        ["a", "b"],
        name=name,
        known=50 + 9 * rng.normal(size=(steps, known)),
    )


def forecaster(
    *, names=("",), known=0, calendar=False, level=500.0, scale=3.0, recursive=False, **options
):
    parts = [
        series(name, level=level * (i + 1), scale=scale, known=known)
        for i, name in enumerate(names)
    ]
    encoder = SeriesEncoder.fit(parts, [(0, 50)] * len(parts), calendar=calendar)
    covariates = known + 2 * len(encoder.calendar)
    shape = {"lookback": 12, "horizon": 4, "channels": 2, "covariates": covariates, "units": 4}
    model = (
        recursive_forecaster(**shape, **options)
        if recursive
        else models.forecaster(**shape, segment_length=2, **options)
    )
    return ServedForecaster(shaken(model), encoder)


def recognizer():
    return ServedRecognizer(
        shaken(sound_recognizer(symbols=4, rate=8000, units=4, bands=8, filters=8)), Alphabet(" ab")
    )


SERVED = {
    "classifier": classifier,
    "tagger": tagger,
    "tagger without a CRF": lambda: tagger(crf=False),
    "tagger of words alone": lambda: tagger(features=False),
    "tagger of Turkish": lambda: tagger(
        sentences=[["İstanbul", "İl", "İki", "ISPARTA", "ılık", "çok"]]
    ),
    "recursive": lambda: forecaster(recursive=True, head="quantiles", known=1),
    "quantiles": lambda: forecaster(head="quantiles"),
    "a point of several series": lambda: forecaster(names=("x", "y", "z")),
    "gaussian with covariates": lambda: forecaster(
        head="gaussian", known=2, normalization="standard"
    ),
    "student_t with a calendar": lambda: forecaster(
        head="student_t", known=1, calendar=True, normalization="last_scaled"
    ),
    "recognizer": recognizer,
}


# One of each kind; the slower checks go through the others.
FIRST = ("classifier", "tagger", "quantiles")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in FIRST else pytest.mark.slow) for name in SERVED],
)
def test_answers_as_the_library_does(name):
    served = SERVED[name]()
    assert difference(served) <= 1e-4
    inputs = served.examples(2, np.random.default_rng(1))
    assert [*inputs] == [one.name for one in served.signature]
    assert sorted(served(*map(tf.constant, inputs.values()))) == list(served.outputs)
    for one in served.signature:
        assert f"`{one.name}`" in served.about
    for name in served.outputs:
        assert f"`{name}`" in served.about


def test_words_are_read_as_the_encoder_reads_them():
    served = tagger()
    words = [
        *SENTENCES[0],
        *SENTENCES[1],
        "A",
        "AB",
        "A1",
        "x-Y",
        "IBM's",
        "+3.5",
        "-",
        "…",
        "ß",
        "ÉTÉ",
        "été",
        "日本",
        "٣٤",
        "x" * 21,
        "McDONALD",
    ]
    words += ["A.²", "U.S.²", "A.½.", "A.Ⅷ.", "İstanbul", "IBM", "ISPARTA"]
    words += [
        "".join(np.random.default_rng(i).choice([*"aAéÉ1.,-_日ǅ²"], 1 + i % 23)) for i in range(300)
    ]
    wanted = served.words.encode([words])
    for name, numbers in served.read(tf.constant(words)).items():
        np.testing.assert_array_equal(np.squeeze(numbers), wanted[name][0], err_msg=name)


def test_rows_without_a_word_and_padding_say_nothing():
    served = tagger()
    alone = served(tf.constant([SENTENCES[0]]))["tags"].numpy()
    padded = served(tf.constant([SENTENCES[0] + [""] * 5, [""] * 14]))["tags"].numpy()
    assert (padded[0, :9] == alone[0]).all()
    assert (padded[0, 9:] == b"").all()
    assert (padded[1] == b"").all()


def test_a_level_that_float32_has_no_digits_for():
    served = forecaster(level=1e6 + 0.03, scale=0.1)
    assert difference(served) <= 1e-4
    scaled, inputs = served.model.get_layer("scaled"), served.examples(5, np.random.default_rng(0))
    wanted = [served.encoder.values.transform("", row) for row in inputs["values"]]
    np.testing.assert_allclose(scaled([inputs["values"]]), wanted, atol=1e-5)
    assert (np.abs(scaled.rest / scaled.scale) > 0.01).any(), (
        "the mean as one number in float32 would be off by as much"
    )


@pytest.mark.parametrize(
    "break_it",
    [
        "mean",
        pytest.param("number", marks=pytest.mark.slow),
        pytest.param("covariates", marks=pytest.mark.slow),
        pytest.param("letters", marks=pytest.mark.slow),
        "tags",
        "one row",
    ],
)
def test_who_serves_something_else_is_found(break_it, monkeypatch):
    if break_it == "mean":
        served = forecaster()
        served.model.get_layer("own_units").mean += 0.1
    elif break_it == "number":
        served = forecaster(names=("x", "y"), normalization="none")
        monkeypatch.setattr(
            "rnn_cookbook.tasks.forecasting.export.row_of_series",
            lambda facts, series: tf.constant(facts[:1]),
        )
    elif break_it == "covariates":
        served = forecaster(known=1)
        served.model.get_layer("scaled_covariates").near += 1
    elif break_it == "letters":
        served, read = tagger(), ServedTagger.read
        served.read = lambda words: {
            **read(served, words),
            "characters": read(served, words)["characters"][:, ::-1],
        }
    elif break_it == "tags":
        served = tagger()
        served.tags = [*served.tags[1:], "O"]
    else:
        served, answer = classifier(), ServedClassifier.__call__

        def one_wrong(self, text):
            found = answer(self, text)
            return found if len(text) > 1 else {**found, "label": tf.constant(["maybe"])}

        monkeypatch.setattr(ServedClassifier, "__call__", one_wrong)
    if break_it in ("mean", "number", "covariates"):
        assert not difference(served) <= 1e-4
    else:
        with pytest.raises(InputError, match="gives another text than the bundle"):
            difference(served)


def test_a_label_may_be_another_where_two_are_as_probable():
    served = classifier()
    wanted = {
        "label": np.array([b"no", b"no"], dtype=object),
        "probabilities": np.array([[0.500001, 0.499999], [0.5001, 0.4999]]),
    }
    assert served.ties({}, wanted).tolist() == [True, False]


def test_a_sound_without_a_sample_says_nothing():
    answer = recognizer()(tf.zeros((2, 400)), tf.constant([0, 400]))
    assert answer["text"].numpy()[0] == b""
    assert answer["score"].numpy()[0] == 0 > answer["score"].numpy()[1]


@pytest.mark.slow
def test_lower_case_is_the_same_in_every_locale():
    code = (
        "import tensorflow as tf; from rnn_cookbook.encode.text import lower; "
        "found = lower(tf.constant(['IBM ISTANBUL', 'İl'])).numpy().tolist(); "
        "assert found == ['ibm istanbul'.encode(), 'İl'.lower().encode()]"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "LC_ALL": "tr_TR.UTF-8"},
        check=True,
        timeout=900,
    )


@pytest.mark.parametrize(
    ("found", "wanted", "share"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0002]], 1e-4),
        ([[1.0, 3.0]], [[3.0, 1.0]], 2 / 3),
        ([[0.5, -1e4], [0.1, 0.2]], [[0.5, -1e4], [0.4, 0.2]], 0.3),
        ([[0.5, -1e4]], [[1.5, -1e4]], 2 / 3),
        ([[0.5, -1e9], [0.0, 1.0]], [[0.5, -1e9], [1.0, 0.0]], 1.0),
        ([[np.nan, 1.0]], [[1.0, 1.0]], np.nan),
        ([900.0, 1.0], [900.0, 1.05], 0.05 / 1.05),
    ],
)
def test_a_difference_does_not_hide_behind_what_is_never(found, wanted, share):
    largest = (np.abs(np.array(found) - np.array(wanted)) / size_in_row(np.array(wanted))).max()
    assert largest == pytest.approx(share, abs=1e-6, nan_ok=True)


def saved(folder, recipe, model, *encoders, facts=None):
    save_bundle(
        folder / "model",
        recipe=recipe.name,
        config=vars(recipe.settings["sample"]),
        facts=facts or {},
        model=model,
        encoders=[*encoders],
    )
    return folder


EXPORTS = [
    ("forecasting", "litert"),
    ("ner", "saved_model"),
    ("forecasting", "saved_model"),
    ("speech", "saved_model"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "form"), EXPORTS)
def test_raw_input_goes_into_what_a_recipe_exports(name, form, tmp_path, monkeypatch, capsys):
    if name == "forecasting":
        recipe = load_recipe("forecasting")
        served = forecaster(names=("x", "y"), head="quantiles", known=1)
        run = saved(tmp_path, recipe, served.network, served.encoder.save)
    elif name == "ner":
        recipe, served = load_recipe("ner"), tagger()
        run = saved(
            tmp_path, recipe, served.network, served.words.save, facts={"types": ["LOC", "ORG"]}
        )
    else:
        recipe, served = load_recipe("speech_to_text"), recognizer()
        run = saved(tmp_path, recipe, served.network, Alphabet(" ab").save)
    assert "as the bundle on 100 raw inputs" in export(run, form=form, recipe=recipe)
    facts = json.loads((run / "export" / form / "export.json").read_text())
    assert [one["name"] for one in facts["signatures"]["serving_default"]["inputs"]] == [
        one.name for one in served.signature
    ]
    assert ("network" in facts["signatures"]) == (form == "saved_model")
    readme = (run / "export" / form / "README.md").read_text()
    assert served.about in readme
    monkeypatch.chdir(run / "export" / form)
    (example,) = re.findall(r"```python\n(.+?)```", readme, flags=re.DOTALL)
    exec(example, {})
    answer = capsys.readouterr().out
    assert all(name in answer for name in served.outputs) or form == "onnx"


@keras.saving.register_keras_serializable(package="tests")
class Gamma(keras.layers.Layer):
    """What only TensorFlow can do."""

    def call(self, x):
        return tf.math.igamma(tf.cast(x, "float32"), 1.0)


@pytest.mark.parametrize("form", ["litert", "onnx"])
def test_a_network_that_a_format_cannot_hold(form, tmp_path):
    x = keras.Input((3,), dtype="int32", name="tokens")
    save_bundle(
        tmp_path / "model",
        recipe="toy",
        config={},
        facts={},
        model=keras.Model(x, Gamma()(x)),
        encoders=[],
    )
    with pytest.raises(
        InputError, match=r"(LiteRT|ONNX) cannot hold this network: .+\. Take saved_model"
    ):
        export(tmp_path, form=form)
    assert not any((tmp_path / "export").iterdir())
    assert "as the bundle on 100 inputs" in export(tmp_path, form="saved_model")
