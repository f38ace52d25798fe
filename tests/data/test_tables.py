"""Tables in every format, their columns and rows, and every way in which a file can be wrong."""

import json

import numpy as np
import pandas as pd
import pytest

from rnn_cookbook.data.tables import Table, match_column, read_table, split_files
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
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in frame.to_dict("records")]
        path.write_text("".join(lines), encoding="utf-8")
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


def table(*columns: str) -> Table:
    return Table("my.csv", pd.DataFrame([["x"] * len(columns)], columns=columns), np.array([2]))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_gives_the_same_cells(tmp_path, suffix):
    read = read_table(write(tmp_path / f"a{suffix}"))
    assert read.names == ["text", "label"]
    # "None" is a text, not a gap
    assert list(zip(read.texts("text"), read.texts("label"), strict=True)) == ROWS


@pytest.mark.parametrize(("suffix", "first"), [(".csv", 2), (".tsv", 2), (".jsonl", 1)])
def test_rows_are_numbered_as_in_the_file(tmp_path, suffix, first):
    read = read_table(write(tmp_path / f"a{suffix}"))
    assert read.rows.tolist() == [first, first + 1, first + 2, first + 3]
    assert read.values("text").index.tolist() == read.rows.tolist()
    assert read.place(read.rows[1]) == f"{tmp_path}/a{suffix}, row {first + 1}"


def test_names_of_columns_are_strings(tmp_path):
    pd.DataFrame({1: ["x"], "y": ["z"]}).to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    pd.DataFrame([["x"]], columns=[2024]).to_parquet(tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.jsonl").names == ["1", "y"]
    assert read_table(tmp_path / "a.parquet").names == ["2024"]


class TestColumn:
    def test_is_the_given_or_the_first_with_a_reference_name_or_the_only_one(self):
        names = ("ds", "date")
        assert table("date", "Ds ", "x").column("x", names, "time") == "x"
        assert table("date", "Ds ", "x").column("", names, "time") == "Ds "
        assert table("x").column("", names, "time") == "x"

    def test_that_is_not_there(self):
        with pytest.raises(
            InputError, match=r"^my.csv has no column 'z'; it has 'x', 'y'$"
        ) as error:
            table("x", "y").column("z", ("ds",), "time", field="time_column")
        assert error.value.fields == ("time_column",)

    def test_that_cannot_be_told(self):
        with pytest.raises(
            InputError, match=r"of my.csv holds the time: none is called ds, date; "
        ):
            table("x", "y").column("", ("ds", "date"), "time", field="time_column")

    def test_several_are_a_list_or_separated_by_commas(self):
        several = table("a", "b, c", "d")
        assert several.columns('a, "b, c",a', field="columns") == ["a", "b, c"]
        assert several.columns(["d", "b, c"], field="columns") == ["d", "b, c"]
        assert several.columns("", field="columns") == []
        with pytest.raises(InputError, match="no column 'b'"):
            several.columns("a,b", field="columns")

    def test_without_some_of_them(self):
        assert table("a", "b", "c").without("b", "x", "").names == ["a", "c"]


def test_reference_names_match_in_any_case():
    assert match_column(["Other", " Date"], ("ds", "date")) == " Date"
    assert match_column(["other"], ("ds", "date")) == ""


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "a.csv is empty"),
        ("a.jsonl", b"\n \n", "is empty"),
        ("a.csv", b"text,label\nabc\0def,x\n", r"binary file \(a zero byte at position 14\)"),
        ("a.csv", b"text,label\nfine,x\ncaf\xe9,y\n", "not UTF-8: byte 0xe9 at position 21, row 3"),
        ("a.csv", b'text,label\n"open,x\n', "cannot be read as csv"),
        ("a.csv", b"text,label\nI liked it, really,good\ndull, yes,bad\n", "cannot be read as csv"),
        ("a.csv", b"text,label\nfine,good\ndull, yes,bad\n", "cannot be read as csv"),
        ("a.jsonl", b'{"text": "a", "label": "x"}\n{"text": \n', "row 2 is not JSON"),
        ("a.jsonl", b'["a"]\n', "row 1 is a JSON list"),
        ("a.parquet", b"not parquet", "cannot be read as parquet"),
        ("a.xlsx", b"x", "ends in .xlsx; accepted are .csv, .tsv, .jsonl, .parquet"),
    ],
)
def test_bad_tables(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_table(tmp_path / name)


def test_a_byte_order_mark_is_no_part_of_the_name(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbftext,label\nx,good\ny,bad\n")
    assert read_table(tmp_path / "a.csv").texts("text") == ["x", "y"]


def test_quotes_in_tsv_are_characters(tmp_path):
    (tmp_path / "a.tsv").write_text('text\tlabel\n"open quote\tgood\nplain\tbad\n')
    assert read_table(tmp_path / "a.tsv").texts("text") == ['"open quote', "plain"]


def test_lines_end_at_line_breaks_only(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"text": "one\u2028two\x85", "label": "x"}\n{"text": "b", "label": "y"}\n',
        encoding="utf-8",
    )
    assert read_table(tmp_path / "a.jsonl").texts("text") == ["one\u2028two\x85", "b"]


def test_two_files_for_one_split(tmp_path):
    write(tmp_path / "train.csv")
    write(tmp_path / "train.jsonl")
    with pytest.raises(
        InputError, match=r"two files for its train split: train.csv and train.jsonl"
    ):
        split_files(tmp_path, (".csv", ".jsonl"))


def test_an_unreadable_file(tmp_path, monkeypatch):
    path = write(tmp_path / "a.csv")
    # root may read everything, so the refusal is made here
    monkeypatch.setattr(
        "pathlib.Path.read_bytes",
        lambda self: (_ for _ in ()).throw(PermissionError(13, "Permission denied")),
    )
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        read_table(path)
