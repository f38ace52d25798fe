"""The bundle: whole or not there, and honest about what is wrong with it."""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from rnn_cookbook.recipes import sentiment

from rnn_cookbook.encode.text import TextEncoder
from rnn_cookbook.errors import InputError
from rnn_cookbook.run.bundle import load_bundle, register_layers, save_bundle
from rnn_cookbook.tasks.classification.model import text_classifier

DATA = Path(__file__).parent / "data"


@pytest.fixture
def model():
    return text_classifier(
        vocabulary_size=6,
        classes=2,
        embedding_size=3,
        units=2,
        segment_length=2,
        pooling=["attention"],
        word_dropout=0.1,
    )


@pytest.fixture
def saved(tmp_path, model):
    encoder = TextEncoder(["a", "b", "c", "d"])
    save_bundle(
        tmp_path / "model",
        recipe="sentiment",
        config={"units": 2},
        facts={"classes": ["x", "y"]},
        model=model,
        encoders=[encoder.save],
    )
    return tmp_path / "model"


def test_comes_back_as_it_was(saved, model):
    for path in (saved, saved.parent, str(saved)):
        loaded = load_bundle(path)
        assert (loaded.recipe, loaded.config, loaded.facts, loaded.path) == (
            "sentiment",
            {"units": 2},
            {"classes": ["x", "y"]},
            saved,
        )
        np.testing.assert_array_equal(
            loaded.model(np.array([[2, 3, 4]])), model(np.array([[2, 3, 4]]))
        )
    assert TextEncoder.load(saved).vocabulary == ["a", "b", "c", "d"]


def test_holds_no_pickle(saved):
    assert sorted(file.name for file in saved.iterdir()) == [
        "bundle.json",
        "model.keras",
        "vocabulary.txt",
    ]


@pytest.mark.parametrize("name", ["model.keras", "vocabulary.txt"])
def test_truncated(saved, name):
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[:-1])
    with pytest.raises(InputError, match=f"is damaged: {name} missing, truncated or changed"):
        load_bundle(saved)
    (saved / name).unlink()
    with pytest.raises(InputError, match=f"is damaged: {name} missing"):
        load_bundle(saved)


def test_truncated_description(saved):
    text = (saved / "bundle.json").read_text()
    (saved / "bundle.json").write_text(text[: len(text) // 2])
    with pytest.raises(InputError, match=r"bundle.json is damaged"):
        load_bundle(saved)


def test_of_another_version(saved):
    facts = json.loads((saved / "bundle.json").read_text())
    (saved / "bundle.json").write_text(
        json.dumps({**facts, "format": 99, "versions": {"rnn_cookbook": "7.0"}})
    )
    with pytest.raises(
        InputError,
        match=r"format 99 \(written by rnn-cookbook 7.0\); this is .* which reads format 1",
    ):
        load_bundle(saved)


def test_not_a_bundle(tmp_path):
    with pytest.raises(InputError, match="holds no trained model"):
        load_bundle(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_device_leaves_the_bundle_before(saved, model):
    before = {file.name: file.read_bytes() for file in saved.iterdir()}

    def full(folder: Path):
        (folder / "big").symlink_to("/dev/full")
        (folder / "big").write_bytes(b"x" * 100_000)

    with pytest.raises(InputError, match=r"could not write the bundle .*No space left on device"):
        save_bundle(saved, recipe="sentiment", config={}, facts={}, model=model, encoders=[full])
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_a_bundle_of_version_0_1_answers_as_it_did(tmp_path):
    """Registered names are package and class: where the modules lie does not matter."""
    with zipfile.ZipFile(DATA / "bundle_0_1.zip") as archive:
        archive.extractall(tmp_path)
    loaded = load_bundle(tmp_path)
    texts = ["not good film", "bad film good not film unknown"]
    answers = list(sentiment.predict(loaded, [texts]))
    assert [answer["probabilities"]["positive"] for answer in answers] == pytest.approx(
        [0.50546, 0.50489], abs=2e-5
    )
    assert [answer["label"] for answer in answers] == ["positive", "positive"]


def test_every_class_of_version_0_1_is_registered_under_its_name():
    register_layers()
    names = json.loads((DATA / "registered_0_1.json").read_text())
    assert len(names) > 40
    assert not [name for name in names if keras.saving.get_registered_object(name) is None]
