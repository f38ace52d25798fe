"""Recordings and their texts: every layout gives the same utterances, and files that cannot be used
are named."""

import json

import numpy as np
import pytest
import soundfile
import tensorflow_datasets as tfds

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.speech.data import (
    Clip,
    Utterances,
    read_utterances,
    split_utterances,
    tfds_utterances,
)

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
    return manifest(
        folder / "m.jsonl",
        *({"audio_filepath": f"wav/{name}.wav", "text": text} for name, text in TEXTS.items()),
    )


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
    rows += [
        {"audio_filepath": "b.wav", "text": "y", "duration": 1.0}
    ]  # as most manifests have it: of the whole file
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
    rows = [
        {"audio_filepath": f"{name}.wav", "text": "x"}
        for name in ("a", "text", "cut", "empty", *(f"missing{i}" for i in range(9)))
    ]
    rows.append({"audio_filepath": "a.wav", "text": "x", "offset": 0.4, "duration": 0.5})
    with pytest.raises(InputError) as error:
        read_utterances(manifest(tmp_path / "m.jsonl", *rows))
    for part in (
        "13 of 14 recordings cannot be used",
        "text.wav is no audio",
        "cut.wav is cut off",
        "empty.wav is empty",
        "missing6",
        "and 3 more",
    ):
        assert part in str(error.value)
    with pytest.raises(InputError, match=r"a\.wav has 0\.50 s, not the part from 0\.4 s to 0\.9 s"):
        read_utterances(manifest(tmp_path / "m.jsonl", rows[-1]))


@pytest.mark.parametrize(
    ("files", "given", "message"),
    [
        ({}, "none", "no such file or folder: .*none"),
        (
            {"a.txt": "x"},
            ".",
            r"has no audio files \(.wav, .* no metadata.csv and no train.jsonl; it has a.txt",
        ),
        ({"a.txt": "x"}, "a.txt", "a.txt is no manifest: accepted is .jsonl"),
        (
            {"m.jsonl": '{"audio_filepath": "a.wav"}'},
            "m.jsonl",
            "m.jsonl, line 1: needs an object with audio_filepath and text",
        ),
        ({"m.jsonl": "[1]\n"}, "m.jsonl", "m.jsonl, line 1: needs an object"),
        (
            {"m.jsonl": '{"audio_filepath": "a.wav", "text": "x", "offset": 0, "duration": -1}'},
            "m.jsonl",
            "line 1: the offset must not be negative, .*; received offset 0 s and duration -1 s",
        ),
        (
            {"m.jsonl": '{"audio_filepath": "a.wav", "text": "x", "offset": -1}'},
            "m.jsonl",
            "line 1: the offset must not be negative, .*; received offset -1 s",
        ),
        (
            {"m.jsonl": '{"audio_filepath": "a.wav", "text": " "}'},
            "m.jsonl",
            "no recording of the train split has a text",
        ),
        ({"metadata.csv": "a\n"}, ".", "metadata.csv, line 1: needs name.text; received 'a'"),
        (
            {"train.jsonl": "{}", "dev.jsonl": "{}", "val.jsonl": "{}"},
            ".",
            "two files for its validation split: dev.jsonl and val.jsonl",
        ),
        (
            {"test.jsonl": '{"audio_filepath": "a.wav", "text": "x"}'},
            ".",
            "has test.jsonl but no train.jsonl beside it",
        ),
    ],
)
def test_bad_input(tmp_path, files, given, message):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_utterances(tmp_path / given)


def test_how_long_utterances_are(tmp_path):
    write(tmp_path)
    clips = [
        Clip(str(tmp_path / "b.wav")),
        Clip(str(tmp_path / "b.wav"), start=0.4),
        Clip("nowhere.wav", start=1.0, seconds=0.2),
    ]
    part = Utterances([*clips, np.zeros(RATE // 4)], ["x"] * 4, [""] * 4)
    np.testing.assert_allclose(part.seconds(RATE), [1.0, 0.6, 0.2, 0.25])


@pytest.mark.parametrize("by_speaker", [False, True])
def test_what_is_not_split_is_split_by_recording_or_by_voice(by_speaker):
    part = Utterances(
        [np.full(3, i) for i in range(60)],
        [str(i) for i in range(60)],
        [f"voice {i % 6}" for i in range(60)],
    )
    options = {"by_speaker": by_speaker, "validation_fraction": 0.2, "test_fraction": 0.2}
    found = split_utterances({"train": part}, **options, seed=0)
    assert {name: len(each) for name, each in found.items()} == (
        {"train": 40, "validation": 10, "test": 10}
        if by_speaker
        else {"train": 38, "validation": 10, "test": 12}
    )
    assert sorted(text for each in found.values() for text in each.texts) == sorted(part.texts)
    voices = {name: set(each.speakers) for name, each in found.items()}
    assert (not voices["train"] & voices["test"]) == by_speaker
    assert split_utterances({"train": part}, **options, seed=1)["test"].texts != found["test"].texts
    assert split_utterances(found, **options, seed=7)["test"] is found["test"], (
        "what is split stays so"
    )


def test_splits_that_cannot_be():
    part = Utterances([np.ones(3)] * 3, ["x"] * 3, ["a", "a", ""])
    options = {"validation_fraction": 0.1, "test_fraction": 0.1, "seed": 0}
    with pytest.raises(InputError, match="the speaker of every recording; unknown for 1 of 3"):
        split_utterances({"train": part}, by_speaker=True, **options)
    with pytest.raises(InputError, match="1 speakers are too few to set 1 aside for test"):
        split_utterances({"train": part.take([0, 1])}, by_speaker=True, **options)
    with pytest.raises(InputError, match="1 recordings are too few to set 1 aside for validation"):
        split_utterances({"train": part.take([0, 1])}, by_speaker=False, **options)


class ToySpeech(tfds.core.GeneratorBasedBuilder):
    """As librispeech has it: splits of its own, 16 kHz, sentences in capitals, a speaker."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        audio = {
            "speech": tfds.features.Audio(sample_rate=16_000),
            "text": tfds.features.Text(),
            "speaker_id": np.int64,
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(audio))

    def _split_generators(self, dl_manager):
        return {
            "train_clean100": self._generate_examples(4),
            "dev_clean": self._generate_examples(2),
            "dev_other": self._generate_examples(1),
        }

    def _generate_examples(self, count):
        for i in range(count):
            yield (
                i,
                {
                    "speech": np.full(1600 * (i + 1), 1000 * i, np.int64),
                    "text": f"WORD {i}",
                    "speaker_id": 7 + i,
                },
            )


class ToyCommands(tfds.core.GeneratorBasedBuilder):
    """As speech_commands has it: labels instead of texts, some of which are no words."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        labels = tfds.features.ClassLabel(names=["down", "up", "_silence_"])
        audio = tfds.features.FeaturesDict(
            {"audio": tfds.features.Audio(sample_rate=16_000), "label": labels}
        )
        return tfds.core.DatasetInfo(builder=self, features=audio)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(3), "test": self._generate_examples(2)}

    def _generate_examples(self, count):
        for i in range(count):
            yield i, {"audio": np.full(800, i, np.int64), "label": i}


class ToyTexts(tfds.core.GeneratorBasedBuilder):
    """No sound."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict({"text": tfds.features.Text()})
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        yield 0, {"text": "x"}


def test_data_sets_of_speech_by_their_names(tmp_path, messages):
    found = tfds_utterances("toy_speech", data_dir=tmp_path)
    assert {name: len(part) for name, part in found.items()} == {"train": 4, "validation": 2}
    part = found["train"]
    assert sorted(part.texts) == [f"WORD {i}" for i in range(4)]
    for i, text in enumerate(part.texts):
        number = int(text[-1])
        assert part.speakers[i] == str(7 + number)
        np.testing.assert_allclose(
            part.samples(i, 16_000), np.full(1600 * (number + 1), 1000 * number / 2**15), atol=1e-4
        )
    assert "writing the audio" in messages.text
    messages.clear()
    assert tfds_utterances("toy_speech", data_dir=tmp_path)["train"].texts == part.texts
    assert "writing the audio" not in messages.text, "they are written once"
    commands = tfds_utterances("toy_commands", data_dir=tmp_path)
    assert sorted(commands["train"].texts) == ["down", "up"], "what is no word is left out"
    with pytest.raises(InputError, match="'toy_texts' holds no audio with texts: it has text"):
        tfds_utterances("toy_texts", data_dir=tmp_path)
    with pytest.raises(InputError, match=r"'no_such_set' is not in .*Use the data .sample"):
        tfds_utterances("no_such_set", data_dir=tmp_path)
