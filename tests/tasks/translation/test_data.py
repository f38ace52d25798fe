"""Sentence pairs: files in every accepted form give the same pairs, and what is wrong with them is
said."""

import gzip
import hashlib
import json

import pandas as pd
import pytest
import tensorflow_datasets as tfds

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.translation import data as pairs
from rnn_cookbook.tasks.translation.data import (
    Pairs,
    is_own,
    multi30k,
    read_pairs,
    split_pairs,
    tfds_pairs,
)

TEXTS = Pairs(
    ["a dog .", "two cats", "no one\u2028else"], ["ein Hund .", "zwei Katzen", "sonst niemand"]
)


def write(path, text: str):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "a.tsv",
            "source\ttarget\n"
            + "".join(f"{a}\t{b}\n" for a, b in zip(TEXTS.sources, TEXTS.targets, strict=True)),
        ),
        (
            "a.csv",
            "id,EN,De\n"
            + "".join(
                f"{i},{a},{b}\n"
                for i, (a, b) in enumerate(zip(TEXTS.sources, TEXTS.targets, strict=True))
            ),
        ),
        (
            "a.csv",
            "frage,antwort\n"
            + "".join(f"{a},{b}\n" for a, b in zip(TEXTS.sources, TEXTS.targets, strict=True)),
        ),
        (
            "a.jsonl",
            "".join(
                json.dumps({"article": a, "summary": b}) + "\n"
                for a, b in zip(TEXTS.sources, TEXTS.targets, strict=True)
            ),
        ),
    ],
    ids=["tsv", "csv by language", "csv of two columns", "jsonl"],
)
def test_tables_of_two_columns(tmp_path, name, content):
    assert read_pairs(write(tmp_path / name, content)) == {"train": TEXTS}


def test_two_files_side_by_side_and_folders(tmp_path):
    source, target = (
        write(tmp_path / "a.en", "\n".join(TEXTS.sources)),
        write(tmp_path / "a.de", "\r\n".join(TEXTS.targets) + "\r\n"),
    )
    assert read_pairs(source, target=target) == {"train": TEXTS}
    folder = tmp_path / "folder"
    folder.mkdir()
    for split in ("train", "dev", "test"):
        write(folder / f"{split}.tsv", f"source\ttarget\n{split}\tT{split}\n")
    found = read_pairs(folder)
    assert {name: part.targets for name, part in found.items()} == {
        "train": ["Ttrain"],
        "validation": ["Tdev"],
        "test": ["Ttest"],
    }


def test_named_columns_and_the_other_direction(tmp_path):
    file = write(tmp_path / "a.csv", "x,y,z\n1,2,3\n")
    assert read_pairs(file, source_column="z", target_column="x")["train"] == Pairs(["3"], ["1"])
    assert Pairs(["3"], ["1"]).reversed() == Pairs(["1"], ["3"])


def test_empty_sides_are_left_out_in_pairs_and_counted(tmp_path, messages):
    source, target = (
        write(tmp_path / "a", "one\n\nthree\nfour\n"),
        write(tmp_path / "b", "eins\nzwei\n \nvier\n"),
    )
    assert read_pairs(source, target=target)["train"] == Pairs(["one", "four"], ["eins", "vier"])
    assert "2 of 4 pairs have an empty side, and are left out: 2, 3" in messages.text


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (
            {"a": "1\n2\n", "b": "1\n"},
            {"target": "b"},
            "a and b must have the same number of lines; received 2 and 1",
        ),
        (
            {"a": "1\n2\n", "b": "1\n2\n"},
            {"target": "b"},
            "the targets of the train split must differ from its sources",
        ),
        (
            {"a": "\n", "b": "\n"},
            {"target": "b"},
            "no pair of the train split has a text on both sides",
        ),
        ({"a": "1\n"}, {"target": "none"}, "no such file or folder: .*none"),
        ({"a.csv": "x,y,z\n1,2,3\n"}, {}, "cannot tell which columns .* it has 'x', 'y', 'z'"),
        ({"a.csv": "x,y\n1,2\n"}, {"target_column": "z"}, "has no column 'z'; it has 'x', 'y'"),
        ({"a.csv": "x\n1\n"}, {}, "cannot tell which columns"),
    ],
)
def test_bad_input(tmp_path, files, options, message):
    for name, content in files.items():
        write(tmp_path / name, content)
    options = {
        key: tmp_path / value if key == "target" else value for key, value in options.items()
    }
    with pytest.raises(InputError, match=message):
        read_pairs(tmp_path / next(iter(files)), **options)


def test_messages_know_the_setting_that_mends_them(tmp_path):
    file = write(tmp_path / "a.csv", "x,y,z\n1,2,3\n")
    with pytest.raises(InputError) as error:
        read_pairs(file)
    assert error.value.fields == ("source_column", "target_column")
    with pytest.raises(InputError) as error:
        read_pairs(file, target_column="w")
    assert error.value.fields == ("target_column",)


def test_the_same_source_is_never_in_two_splits():
    whole = Pairs([f"s{i % 40}" for i in range(200)], [f"t{i}" for i in range(200)])
    parts = split_pairs({"train": whole}, validation_fraction=0.1, test_fraction=0.2, seed=0)
    sets = {name: set(part.sources) for name, part in parts.items()}
    assert {name: len(own) for name, own in sets.items()} == {
        "train": 29,
        "test": 8,
        "validation": 3,
    }
    assert sum(map(len, parts.values())) == 200
    assert (
        split_pairs({"train": whole}, validation_fraction=0.1, test_fraction=0.2, seed=0) == parts
    )
    assert (
        split_pairs({"train": whole}, validation_fraction=0.1, test_fraction=0.2, seed=1) != parts
    )
    with pytest.raises(
        InputError, match="1 different source texts are too few to set 1 aside for test"
    ):
        split_pairs(
            {"train": Pairs(["a", "a"], ["b", "c"])},
            validation_fraction=0.1,
            test_fraction=0.1,
            seed=0,
        )


def test_the_benchmark_is_downloaded_and_checked(tmp_path, monkeypatch):
    (tmp_path / "web").mkdir()
    checksums = {}
    for name in pairs.MULTI30K:
        content = gzip.compress(f"{name} one\n{name} two\n".encode(), mtime=0)
        (tmp_path / "web" / name).write_bytes(content)
        checksums[name] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(pairs, "MULTI30K_URL", (tmp_path / "web").as_uri())
    monkeypatch.setattr(pairs, "MULTI30K", checksums)
    found = multi30k(tmp_path / "data")
    assert found["validation"] == Pairs(
        ["val.en.gz one", "val.en.gz two"], ["val.de.gz one", "val.de.gz two"]
    )
    (tmp_path / "data" / "multi30k" / "val.en.gz").write_bytes(b"another")
    with pytest.raises(InputError, match="is not the file of"):
        multi30k(tmp_path / "data")


def test_the_benchmark_has_its_sizes(data_dir):
    found = multi30k(data_dir)
    assert {name: len(part) for name, part in found.items()} == {
        "train": 29_000,
        "validation": 1014,
        "test": 1000,
    }
    assert found["test"].sources[0] == "A man in an orange hat starring at something."
    assert found["test"].targets[0].startswith("Ein Mann mit einem orangefarbenen Hut")


class ToyTranslate(tfds.core.GeneratorBasedBuilder):
    """Two languages, as TFDS has them; without a split for the test."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.Translation(languages=("pt", "en"))
        return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=("pt", "en"))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(5), "validation": self._generate_examples(2)}

    def _generate_examples(self, count):
        for i in range(count):
            yield i, {"pt": f"frase {i}" if i != 3 else " ", "en": f"sentence  {i}"}


class ToyLabels(ToyTranslate):
    """No translation."""

    def _info(self):
        features = tfds.features.FeaturesDict(
            {"pt": tfds.features.Text(), "en": tfds.features.Text()}
        )
        return tfds.core.DatasetInfo(builder=self, features=features)


def test_any_translation_data_set_of_tfds_by_its_name(tmp_path, messages):
    found = tfds_pairs("toy_translate", data_dir=tmp_path)
    assert {name: len(part) for name, part in found.items()} == {"train": 4, "validation": 2}
    assert dict(zip(found["train"].sources, found["train"].targets, strict=True))[
        "frase 1"
    ].split() == ["sentence", "1"]
    assert "toy_translate train: 1 of 5 pairs have an empty side" in messages.text
    with pytest.raises(InputError, match="'toy_labels' holds no pairs of texts: it has pt, en"):
        tfds_pairs("toy_labels", data_dir=tmp_path)
    with pytest.raises(InputError, match=r"'no_such_set' is not in .*Use the data .sample"):
        tfds_pairs("no_such_set", data_dir=tmp_path)


def test_what_is_a_file_and_what_a_data_set(tmp_path):
    (tmp_path / "folder").mkdir()
    assert all(is_own(name) for name in ("folder", "missing.tsv", "./x", "~/pairs", "/data/x"))
    assert is_own("missing.en", "missing.de")
    assert not any(
        is_own(name) for name in ("ted_hrlr_translate/pt_to_en", "wmt14_translate/de-en:1.0.0")
    )


def test_parquet_of_other_types(tmp_path):
    pd.DataFrame({"source": [1, 2], "target": ["eins", None]}).to_parquet(tmp_path / "a.parquet")
    assert read_pairs(tmp_path / "a.parquet")["train"] == Pairs(["1"], ["eins"])
