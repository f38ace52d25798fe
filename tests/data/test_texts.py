"""The user's labelled texts: tables, folders of tables, folders of text files."""

import json
from collections import Counter

import pandas as pd
import pytest

from rnn_cookbook.data.texts import read_texts, read_unlabelled
from rnn_cookbook.errors import InputError

ROWS = [
    ("fine, really", "good"),
    ("dull", "bad"),
    ('a "quoted"\nsecond line', "good"),
    ("None", "bad"),
]


def write(path, rows=ROWS, columns=("text", "label")):
    frame = pd.DataFrame(rows, columns=list(columns))
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in frame.to_dict("records")),
            encoding="utf-8",
        )
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


class TestTables:
    @pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
    def test_every_format_gives_the_same_examples(self, tmp_path, suffix):
        texts = read_texts(write(tmp_path / f"a{suffix}"))["train"]
        assert (
            list(zip(texts.texts, texts.labels, strict=True)) == ROWS
        )  # "None" is a text, not a gap

    @pytest.mark.parametrize(
        "columns", [("Review", "Sentiment"), ("id_text", "label"), ("text", "mood")]
    )
    def test_columns_are_found_when_obvious(self, tmp_path, columns):
        assert read_texts(write(tmp_path / "a.csv", columns=columns))["train"].labels == [
            "good",
            "bad",
            "good",
            "bad",
        ]

    def test_columns_by_name(self, tmp_path):
        path = write(
            tmp_path / "a.csv",
            [("x", "1", "good"), ("y", "2", "bad")],
            ("body of it", "stars", "mood"),
        )
        assert read_texts(path, text_column="body of it", label_column="mood")["train"].labels == [
            "good",
            "bad",
        ]

    def test_numbers_are_labels_too(self, tmp_path):
        path = tmp_path / "a.jsonl"
        path.write_text(
            '{"text": "a", "label": 1}\n{"text": "b", "label": 1.0}\n{"text": "c", "label": 0}\n'
        )
        assert read_texts(path)["train"].labels == ["1", "1", "0"]

    def test_drop_missing_keeps_the_rest(self, tmp_path):
        path = write(tmp_path / "a.csv", [*ROWS, ("", "good"), ("  ", "bad"), ("text", None)])
        assert len(read_texts(path, drop_missing=True)["train"]) == 4

    def test_train_and_test_files(self, tmp_path):
        for name in ("train", "test", "dev"):
            write(tmp_path / f"{name}.csv")
        (tmp_path / "unlabelled.jsonl").write_text('{"text": "only text"}\n')
        parts = read_texts(tmp_path)
        assert {name: len(part) for name, part in parts.items()} == {
            "train": 4,
            "test": 4,
            "validation": 4,
            "unlabelled": 1,
        }
        assert parts["unlabelled"].labels == []


class TestFolders:
    @pytest.fixture
    def folder(self, tmp_path):
        for place in ("train/pos", "train/neg", "train/unsup", "test/pos", "test/neg"):
            (tmp_path / place).mkdir(parents=True)
            for i in range(3):
                (tmp_path / place / f"{i}.txt").write_text(f"{place} {i}")
        return tmp_path

    def test_class_folders(self, folder):
        texts = read_texts(folder / "test")["train"]
        assert Counter(texts.labels) == {"pos": 3, "neg": 3}
        assert texts.texts[0] == "test/neg 0"

    def test_the_layout_of_the_imdb_archive(self, folder):
        parts = read_texts(folder)
        assert {name: len(part) for name, part in parts.items()} == {
            "train": 6,
            "test": 6,
            "unlabelled": 3,
        }
        assert set(parts["test"].labels) == {"pos", "neg"}

    def test_an_empty_text_file_is_named(self, folder):
        (folder / "train/pos/1.txt").rename(folder / "train/pos/1.TXT").write_text(" \n")
        with pytest.raises(
            InputError,
            match=r"1 without a text \(pos/1.TXT\) of 6 rows. Mend them, or leave them out",
        ):
            read_texts(folder)
        assert len(read_texts(folder, drop_missing=True)["train"]) == 5


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", None, "no such file or folder: .*a.csv"),
        ("a.csv", b"text,label\n", "has no rows"),
        ("a.csv", b"headline,mood,n\nx,y,1\n", "text and label; it has 'headline', 'mood', 'n'"),
        ("a.csv", b"text,mood,n\nx,y,1\n", "holds the label; it has 'text', 'mood', 'n'"),
        (
            "a.csv",
            b"text,label\n,good\nx,\ny,good\n",
            r"1 without a text \(row 2\) and 1 without a label \(row 3\) of 3 rows. Mend them, or "
            r"leave them out",
        ),
    ],
)
def test_bad_texts(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_texts(tmp_path / name)


def test_lone_surrogates_are_replaced_on_reading(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "bad \\ud800 escape", "label": "x"}\n')
    assert read_texts(tmp_path / "a.jsonl")["train"].texts == ["bad ? escape"]


def test_a_column_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"no column 'mood'; it has 'text', 'label'"):
        read_texts(write(tmp_path / "a.csv"), label_column="mood")


def test_a_folder_with_nothing_of_use(tmp_path):
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(InputError, match=r"neither train.* nor folders.*it has notes.md"):
        read_texts(tmp_path)
    write(tmp_path / "test.csv")
    with pytest.raises(InputError, match=r"has test.csv but no train"):
        read_texts(tmp_path)


def test_unlabelled_texts_from_lines_tables_and_folders(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    write(tmp_path / "b.csv", [("x",), ("y",)], ("text",))
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/c.txt").write_text("three\nlines\nhere")
    assert read_unlabelled(tmp_path / "a.txt").texts == ["one", "two"]
    assert read_unlabelled(tmp_path / "b.csv").texts == ["x", "y"]
    assert read_unlabelled(tmp_path / "deep").texts == ["three\nlines\nhere"]
    with pytest.raises(InputError, match="no such file"):
        read_unlabelled(tmp_path / "nowhere")
