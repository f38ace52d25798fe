"""Recordings and their texts: every layout gives the same utterances, and files that cannot be used are named."""

import json

import numpy as np
import pytest
import soundfile

from rnn_cookbook.data.speech import Clip, Utterances, read_utterances
from rnn_cookbook.errors import InputError

RATE = 8000
SOUNDS = {"a": np.linspace(-0.5, 0.5, 4000), "b": np.linspace(0.5, -0.5, 8000)}
TEXTS = {"a": "one two", "b": "three"}


def write(folder, suffix="wav"):
    folder.mkdir(parents=True, exist_ok=True)
    for name, samples in SOUNDS.items():
        soundfile.write(folder / f"{name}.{suffix}", samples, RATE)
    return folder


def manifest(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def as_manifest(folder):
    write(folder / "wav")
    return manifest(folder / "m.jsonl", *({"audio_filepath": f"wav/{name}.wav", "text": text} for name, text in TEXTS.items()))


def as_manifests(folder):
    file = as_manifest(folder)
    for name in ("train", "dev"):
        (folder / f"{name}.jsonl").write_text(file.read_text())
    file.unlink()
    return folder


def as_ljspeech(folder):
    write(folder / "wavs")
    (folder / "metadata.csv").write_text("a|1 2|one  two\nb|three|\n")
    return folder


def as_texts_beside(folder):
    write(folder / "anna", suffix="flac")
    for name, text in TEXTS.items():
        (folder / "anna" / f"{name}.txt").write_text(f"{text}\n")
    return folder


@pytest.mark.parametrize("layout", [as_manifest, as_manifests, as_ljspeech, as_texts_beside])
def test_layouts(tmp_path, layout):
    parts = read_utterances(layout(tmp_path / "own"))
    assert set(parts) == ({"train", "validation"} if layout is as_manifests else {"train"})
    for part in parts.values():
        assert part.texts == ["one two", "three"]
        assert part.speakers == (["anna"] * 2 if layout is as_texts_beside else ["", ""])
        for i, samples in enumerate(SOUNDS.values()):
            np.testing.assert_allclose(part.samples(i, RATE), samples, atol=1e-4)
        assert part.name(1).startswith("b.")
        assert part.take([1]).texts == ["three"]


def test_parts_of_files(tmp_path):
    write(tmp_path)
    rows = [{"audio_filepath": "b.wav", "text": "x", "offset": 0.25, "duration": 0.5, "speaker": 7}]
    rows += [{"audio_filepath": "b.wav", "text": "y", "duration": 1.0}]  # as most manifests have it: of the whole file
    part = read_utterances(manifest(tmp_path / "m.jsonl", *rows))["train"]
    np.testing.assert_allclose(part.samples(0, RATE), SOUNDS["b"][2000:6000], atol=1e-4)
    assert len(part.samples(1, RATE)) == 8000
    assert part.speakers == ["7", ""]
    assert len(Clip(str(tmp_path / "b.wav"), start=0.5).read(2 * RATE)) == 8000
    assert Utterances([np.ones(3, np.float32)], ["z"], [""]).samples(0, RATE).tolist() == [1, 1, 1]


def test_recordings_without_a_text_are_left_out_and_counted(tmp_path, messages):
    folder = as_texts_beside(tmp_path / "own")
    (folder / "anna" / "b.txt").unlink()
    assert read_utterances(folder)["train"].texts == ["one two"]
    assert "1 of 2 recordings have no text, and are left out: b.flac" in messages.text


def test_all_files_that_cannot_be_used_are_named_up_to_a_limit(tmp_path):
    write(tmp_path)
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "cut.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:2000])
    (tmp_path / "empty.wav").write_bytes(b"")
    rows = [{"audio_filepath": f"{name}.wav", "text": "x"} for name in ("a", "text", "cut", "empty", *(f"missing{i}" for i in range(9)))]
    rows.append({"audio_filepath": "a.wav", "text": "x", "offset": 0.4, "duration": 0.5})
    with pytest.raises(InputError) as error:
        read_utterances(manifest(tmp_path / "m.jsonl", *rows))
    for part in (
        "13 of 14 recordings cannot be used",
        "text.wav is no sound",
        "cut.wav is cut off",
        "empty.wav is empty",
        "missing6",
        "and 3 more",
    ):
        assert part in str(error.value)
    with pytest.raises(InputError, match=r"a\.wav has 0\.50 s, not what is from 0\.4 s to 0\.9 s"):
        read_utterances(manifest(tmp_path / "m.jsonl", rows[-1]))


@pytest.mark.parametrize(
    ("files", "given", "message"),
    [
        ({}, "none", "no such file or folder: .*none"),
        ({"a.txt": "x"}, ".", r"has no sounds \(.wav, .* no metadata.csv and no train.jsonl; it has a.txt"),
        ({"a.txt": "x"}, "a.txt", "a.txt is no manifest: accepted is .jsonl"),
        ({"m.jsonl": '{"audio_filepath": "a.wav"}'}, "m.jsonl", "m.jsonl, line 1: needs an object with audio_filepath and text"),
        ({"m.jsonl": "[1]\n"}, "m.jsonl", "m.jsonl, line 1: needs an object"),
        ({"m.jsonl": '{"audio_filepath": "a.wav", "text": "x", "offset": 0, "duration": -1}'}, "m.jsonl", "duration -1 s are no part"),
        ({"m.jsonl": '{"audio_filepath": "a.wav", "text": " "}'}, "m.jsonl", "no recording of the train split has a text"),
        ({"metadata.csv": "a\n"}, ".", "metadata.csv, line 1: needs name|text, got 'a'"),
        ({"train.jsonl": "{}", "dev.jsonl": "{}", "val.jsonl": "{}"}, ".", "two files for its validation split: dev.jsonl and val.jsonl"),
        ({"test.jsonl": '{"audio_filepath": "a.wav", "text": "x"}'}, ".", "has test.jsonl but no train.jsonl beside it"),
    ],
)
def test_bad_input(tmp_path, files, given, message):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_utterances(tmp_path / given)
