"""Tagged sentences in the user's own files, and every way in which a file can be wrong."""

import json
import logging
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.tagging.data import Tagged, pieces, random_split, read_tagged
from rnn_cookbook.tasks.tagging.schemes import Span, spans, tags_of

# Its caches would lie in the checkout.
set_hypothesis_home_dir(Path(gettempdir()) / "rnn_cookbook_hypothesis")

TOKENS = [["EU", "rejects", "German", "call"], ["Peter", "Blackburn"]]
TAGS = [["B-ORG", "O", "B-MISC", "O"], ["B-PER", "I-PER"]]


def columns(between=" ", end="\n", *, tokens=TOKENS, tags=TAGS, middle=()) -> str:
    sentences = (
        "".join(between.join([token, *middle, tag]) + end for token, tag in zip(*pair, strict=True))
        for pair in zip(tokens, tags, strict=True)
    )
    return end.join(sentences)


def json_lines(tokens=TOKENS, tags=TAGS) -> str:
    return "".join(
        json.dumps({"tokens": one, "tags": two}) + "\n"
        for one, two in zip(tokens, tags, strict=True)
    )


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


EU_FIRST = columns(middle=("NNP", "I-NP"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", columns()),
        ("a.conll", columns("\t")),
        ("a.tsv", columns("   ")),
        ("a.txt", columns(" \t ")),
        ("a", EU_FIRST),
        ("a.txt", columns(end="\r\n")),
        ("a.txt", columns(end="\r")),
        ("a.txt", "EU B-ORG\r\nrejects O\rGerman B-MISC\ncall O\r\n\rPeter B-PER\rBlackburn I-PER"),
        ("a.txt", b"\xef\xbb\xbf" + columns().encode()),
        ("a.txt", "\n\n \n" + columns().replace("\n\n", "\n \n\t\n\n") + "\n\n"),
        ("a.txt", columns().rstrip("\n")),
        ("a.txt", columns().replace("\n", "  \n")),
        ("a.txt", "-DOCSTART- -X- -X- O\n\n" + EU_FIRST),
        ("a.txt", "-DOCSTART- O\n\n" + EU_FIRST.replace("\n\n", "\n-DOCSTART- (2)\n")),
        ("a.tsv", "-DOCSTART- -X- -X- O\n\n" + columns("\t")),
        (
            "a.conllu",
            "# newdoc\n# sent_id = 1\n# text = EU = B-ORG\n"
            + columns("\t").replace("\n\n", "\n\n#sent_id=2\n# type O\n"),
        ),
        ("a.txt", "# id 4b\tdomain=en\n" + columns(middle=("_", "_"))),
        ("a.jsonl", json_lines()),
        ("a.jsonl", b"\xef\xbb\xbf" + json_lines().replace("\n", "\r\n\n").encode()),
        ("a.JSON", '{"tokens": [], "tags": []}\n' + json_lines()),
    ],
)
def test_every_format_gives_the_same_sentences(tmp_path, name, content):
    assert read_tagged(write(tmp_path / name, content)) == {"train": Tagged(TOKENS, TAGS)}


@pytest.mark.parametrize("name", ["a.tsv", "a.jsonl"])
def test_tokens_with_spaces(tmp_path, name):
    tokens, tags = [["New York", "a  b c", "U\u00a0S"]], [["B-LOC", "O", "B-LOC"]]
    path = write(
        tmp_path / name,
        json_lines(tokens, tags) if name == "a.jsonl" else columns("\t", tokens=tokens, tags=tags),
    )
    assert read_tagged(path)["train"].tokens == [["New York", "a b c", "U S"]]


def test_hashes_are_tokens_where_they_have_a_tag(tmp_path):
    path = write(tmp_path / "a.txt", "# O\n#1 O\n#\tO\n#love= O\n# a comment\n")
    assert read_tagged(path)["train"].tokens == [["#", "#1", "#", "#love="]]


@pytest.mark.parametrize("option", ["2,4", " 2 , -2 ", "-4,4", "2,-2"])
def test_columns_are_chosen(tmp_path, option):
    rows = (
        "1 EU NNP B-ORG _\n2 rejects VBZ O _\n3 German JJ B-MISC _\n4 call NN O _\n\n"
        "1 Peter NNP B-PER _\n2 Blackburn NNP I-PER _\n"
    )
    path = write(tmp_path / "a.txt", "0 -DOCSTART- -X- O _\n" + rows)
    assert read_tagged(path, columns=option)["train"] == Tagged(TOKENS, TAGS)


@pytest.mark.parametrize("option", ["1", "0,1", "1,2,3", "a,b", "1;2", "1,0", "1.0,2"])
def test_columns_that_are_no_columns(tmp_path, option):
    with pytest.raises(
        InputError,
        match=f"columns must be the numbers of .*, such as 1,4 or 1,-1; received '{option}'",
    ):
        read_tagged(write(tmp_path / "a.jsonl", json_lines()), columns=option)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("1,3", "line 1 has 2 columns, too few for a token and a tag in columns 1,3: 'EU B-ORG'"),
        ("-3,2", "line 1 has 2 columns, too few for a token and a tag in columns -3,2"),
        (
            "2,-1",
            "columns 2,-1 are the same one of 2 columns; the token and the tag must stand in two",
        ),
        ("2,1", "line 1: unknown tag 'EU'"),
    ],
)
def test_columns_that_the_file_lacks(tmp_path, option, message):
    with pytest.raises(InputError, match=message):
        read_tagged(write(tmp_path / "a.txt", columns()), columns=option)


SCHEMES = {
    "iob1": ["I-PER", "I-PER", "B-PER", "O", "I-LOC"],
    "bio": ["B-PER", "I-PER", "B-PER", "O", "B-LOC"],
    "bioes": ["B-PER", "E-PER", "S-PER", "O", "S-LOC"],
    "bilou": ["B-PER", "L-PER", "U-PER", "O", "U-LOC"],
}


@pytest.mark.parametrize("asked", ["auto", "named"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_schemes_are_recognised_and_become_bio(tmp_path, scheme, asked, messages):
    path = write(tmp_path / "a.txt", columns(tokens=[list("abcde")], tags=[SCHEMES[scheme]]))
    name = "bioes" if scheme == "bilou" else scheme
    read = read_tagged(path, scheme="auto" if asked == "auto" else name, strict=True)
    assert read["train"].tags == [SCHEMES["bio"]]
    assert (f"tags are taken for {name}" in messages.text) == (asked == "auto")


def test_the_scheme_is_that_of_all_the_splits(tmp_path, messages):
    write(tmp_path / "train.txt", "a I-PER\nb B-PER\n\nc I-LOC\n")
    write(tmp_path / "test.txt", "a I-PER\n")
    parts = read_tagged(tmp_path, strict=True)
    assert parts["test"].tags == [["B-PER"]]
    assert "tags are taken for iob1" in messages.text


class TestBrokenTags:
    CONTENT = columns() + "\nin O\nNew I-LOC\nYork I-LOC\n\nin O\nRome I-LOC\n"

    def test_are_repaired_and_counted(self, tmp_path, messages):
        path = write(tmp_path / "a.txt", self.CONTENT)
        assert read_tagged(path)["train"].tags == [*TAGS, ["O", "B-LOC", "I-LOC"], ["O", "B-LOC"]]
        (warning,) = (
            record.getMessage() for record in messages.records if record.levelno == logging.WARNING
        )
        assert (
            f"{path}: 2 tags break the scheme bio: 'I-LOC' in line 10, 'I-LOC' in line 14; "
            "each was read as" in warning
        )

    def test_are_refused_when_strict(self, tmp_path):
        path = write(tmp_path / "a.txt", self.CONTENT)
        with pytest.raises(
            InputError,
            match=r"a.txt: 2 tags break the scheme bio: 'I-LOC' in line 10.*"
            "do not ask for strict reading",
        ):
            read_tagged(path, strict=True)
        json_path = write(
            tmp_path / "a.jsonl",
            json_lines() + '\n{"tokens": ["in", "Rome"], "tags": ["O", "I-LOC"]}\n',
        )
        with pytest.raises(
            InputError, match=r"a.jsonl: 1 tags break the scheme bio: 'I-LOC' in line 4"
        ):
            read_tagged(json_path, strict=True)

    def test_are_those_of_the_scheme_that_was_named(self, tmp_path):
        path = write(tmp_path / "a.txt", columns())
        with pytest.raises(
            InputError,
            match="3 tags break the scheme iob1: 'B-ORG' in line 1, 'B-MISC' in line 3, "
            "'B-PER' in line 6",
        ):
            read_tagged(path, scheme="iob1", strict=True)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", None, "no file or folder .*a.txt; accepted are a file of tagged tokens"),
        ("a.txt", "", "a.txt holds no sentence"),
        ("a.txt", b"\xef\xbb\xbf\r\n \n", "a.txt holds no sentence"),
        ("a.txt", "-DOCSTART- -X- O O\n\n# sent_id = 3\n", "a.txt holds no sentence"),
        ("a.jsonl", "\n", "a.jsonl holds no sentence"),
        ("a.jsonl", '{"tokens": [], "tags": []}\n', "a.jsonl holds no sentence"),
        ("a.txt", b"caf O\ncaf\xe9 O\n", "a.txt is not UTF-8: byte 0xe9 at position 9, row 2"),
        ("a.txt", b"a O\nb\0 O\n", r"binary file \(a zero byte at position 5\)"),
        (
            "a.txt",
            "EU B-ORG\n\nrejects VBZ O\n",
            "a.txt, line 3 has 3 columns, those before it have 2: 'rejects VBZ O'$",
        ),
        (
            "a.txt",
            "EU NNP B-ORG\r\rrejects O\r",
            "a.txt, line 3 has 2 columns, those before it have 3: 'rejects O'$",
        ),
        (
            "a.txt",
            "EU B-ORG\nNew York B-LOC\n",
            "a.txt, line 2 has 3 columns, those before it have 2: 'New York B-LOC'$",
        ),
        (
            "a.tsv",
            "EU\tB-ORG\nNew York\tX\tB-LOC\n",
            r"a.tsv, line 2 has 3 columns, those before it have 2: 'New York\\tX\\tB-LOC'$",
        ),
        (
            "a.tsv",
            "EU\tB-ORG\nNew York\tB-LOC\n\nor O\n",
            "line 2 has 3 columns.*; columns lie between spaces, as line 4 has no tab",
        ),
        (
            "a.txt",
            "-DOCSTART-\n\nEU\n",
            "a.txt, line 3 has 1 columns, too few for a token and a tag",
        ),
        (
            "a.tsv",
            "EU\tB-ORG\n \tO\n",
            "a.tsv, line 2 has an empty token; say which columns hold the token and the tag",
        ),
        ("a.tsv", "EU\tB-ORG\t\n", "a.tsv, line 1 has an empty tag"),
        ("a.tsv", "EU\tB-ORG\n#\tQ-ORG\n", "a.tsv, line 2: unknown tag 'Q-ORG'"),
        ("a.jsonl", "[" * 100_000, "a.jsonl, line 1 is not a JSON object of tokens and tags"),
        (
            "a.txt",
            "EU B-ORG\n\ncalls PER\n",
            "a.txt, line 3: unknown tag 'PER'; accepted are O and B-TYPE",
        ),
        ("a.txt", "EU B-ORG\ncalls BI-PER\n", "a.txt, line 2: unknown tag 'BI-PER'"),
        ("a.txt", "EU B-ORG\n#call PER\n", "a.txt, line 2: unknown tag 'PER'"),
        ("a.txt", "a O\n" * 150, "a.txt has no blank line between its 150 tokens"),
        (
            "a.txt",
            "-DOCSTART- O\n\n" + "a O\n" * 1500 + "\n\n",
            "a.txt has no blank line between its 1500 tokens",
        ),
        (
            "a.jsonl",
            '{"tokens": ["a"], "tags": ["O"]}\n{"tokens": \n',
            "a.jsonl, line 2 is not a JSON object .*: Expecting value at column",
        ),
        (
            "a.json",
            '[\n{"tokens": ["a"], "tags": ["O"]}\n]\n',
            "a.json, line 1 is not a JSON object on a line of its own",
        ),
        (
            "a.jsonl",
            '["a"]\n',
            "a.jsonl, line 1 must be an object with the lists tokens and tags; received a list",
        ),
        (
            "a.jsonl",
            '{"words": ["a"], "tags": ["O"]}\n',
            "line 1 must be an object with the lists tokens and tags; received words, tags",
        ),
        ("a.jsonl", '{"tokens": "a", "tags": ["O"]}\n', "line 1 must be an object with the lists"),
        ("a.jsonl", "{}", "received nothing"),
        (
            "a.jsonl",
            '{"tokens": ["a", "b"], "tags": ["O"]}\n',
            "a.jsonl, line 1 has 2 tokens and 1 tags",
        ),
        (
            "a.jsonl",
            '{"tokens": ["a"], "tags": [0]}\n',
            "a.jsonl, line 1: tokens and tags must be strings, .* received 0",
        ),
        (
            "a.jsonl",
            '\n{"tokens": ["a", null], "tags": ["O", "O"]}\n',
            "a.jsonl, line 2: tokens and tags must be strings, .* received None",
        ),
        (
            "a.jsonl",
            '{"tokens": ["a", " "], "tags": ["O", "O"]}\n',
            "a.jsonl, line 1 has an empty token",
        ),
        ("a.jsonl", '{"tokens": ["a"], "tags": ["PER"]}\n', "a.jsonl, line 1: unknown tag 'PER'"),
    ],
)
def test_bad_files(tmp_path, name, content, message):
    if content is not None:
        write(tmp_path / name, content)
    with pytest.raises(InputError, match=message):
        read_tagged(tmp_path / name)


def test_an_unknown_scheme(tmp_path):
    with pytest.raises(
        InputError, match="unknown tag scheme 'bilou'; accepted are auto, iob1, bio, bioes"
    ):
        read_tagged(write(tmp_path / "a.txt", columns()), scheme="bilou")


def test_lone_surrogates_are_replaced(tmp_path):
    path = write(
        tmp_path / "a.jsonl", r'{"tokens": ["bad \ud800", "nul \u0000"], "tags": ["O", "B-\ud800"]}'
    )
    assert read_tagged(path)["train"] == Tagged([["bad ?", "nul \ufffd"]], [["O", "B-?"]])


def test_a_token_may_be_white_space_that_separates_nothing(tmp_path):
    assert read_tagged(write(tmp_path / "a.tsv", "EU\tB-ORG\n\u00a0\tO\n"))["train"].tokens == [
        ["EU", "\u00a0"]
    ]


def test_comments_inside_sentences_are_told(tmp_path, messages):
    assert read_tagged(write(tmp_path / "a.txt", "# one\nEU B-ORG\n# NN O extra\nleft O\n"))[
        "train"
    ].tokens == [["EU", "left"]]
    assert "1 lines inside sentences begin with # and are taken for comments: 3" in messages.text


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_sentence_of_5000_tokens(tmp_path, name):
    tokens, tags = [["a"] * 5000, ["b"]], [["O"] * 5000, ["O"]]
    path = write(
        tmp_path / name,
        columns(tokens=tokens, tags=tags) if name == "a.txt" else json_lines(tokens, tags),
    )
    assert list(map(len, read_tagged(path)["train"].tokens)) == [5000, 1]


class TestFolders:
    @pytest.mark.parametrize(
        ("train", "validation", "test"),
        [
            ("train.txt", "dev.txt", "test.txt"),
            ("train.conll", "valid.jsonl", "TEST.tsv"),
            ("eng.train", "eng.testa", "eng.testb"),
            ("train", "validation", "test"),
            ("en_ewt-ud-train.conllu", "en_ewt-ud-dev.conllu", "en_ewt-ud-test.conllu"),
            ("training.jsonl", "val.json", "emerging.test.annotated"),
        ],
    )
    def test_splits(self, tmp_path, train, validation, test):
        for i, name in enumerate((train, validation, test)):
            tokens, tags = [[f"word{i}"]], [["B-PER"]]
            write(
                tmp_path / name,
                json_lines(tokens, tags)
                if name.endswith(("jsonl", "json"))
                else columns(tokens=tokens, tags=tags),
            )
        for name in ("README.md", "train.txt.bak", ".train"):
            write(tmp_path / name, "not a table")
        parts = read_tagged(tmp_path)
        assert {name: part.tokens for name, part in parts.items()} == {
            "train": [["word0"]],
            "validation": [["word1"]],
            "test": [["word2"]],
        }

    def test_of_train_alone(self, tmp_path):
        write(tmp_path / "train.txt", columns())
        assert list(read_tagged(tmp_path)) == ["train"]

    def test_without_train(self, tmp_path):
        with pytest.raises(InputError, match=r"has no train file .*; it has nothing"):
            read_tagged(tmp_path)
        write(tmp_path / "test.txt", columns())
        with pytest.raises(InputError, match=r"has no train file .*; it has test.txt"):
            read_tagged(tmp_path)

    def test_with_two_files_for_a_split(self, tmp_path):
        for name in ("train.txt", "dev.txt", "eng.testa"):
            write(tmp_path / name, columns())
        with pytest.raises(
            InputError, match=r"more than one file for validation: dev.txt, eng.testa"
        ):
            read_tagged(tmp_path)

    def test_the_file_at_fault_is_named(self, tmp_path):
        write(tmp_path / "train.txt", columns())
        write(tmp_path / "test.txt", "a PER\n")
        with pytest.raises(InputError, match=r"test.txt, line 1: unknown tag 'PER'"):
            read_tagged(tmp_path)


# No white space; a zero byte is refused as binary. A first U+FEFF is a byte order mark, so the
# files have one.
ANY_TOKEN = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=5
).filter(lambda token: token.split() == [token] and token != "-DOCSTART-")
ANY_SENTENCES = st.lists(
    st.lists(
        st.tuples(ANY_TOKEN, st.sampled_from(["O", "B-PER", "B-LOC", "B-ß日"])),
        min_size=1,
        max_size=5,
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(ANY_SENTENCES, st.sampled_from([" ", "\t", "  \t"]), st.sampled_from(["\n", "\r\n", "\r"]))
@example(sentences=[[("#", "O"), ("#", "B-PER")]], between="\t", end="\n")
@example(sentences=[[("#a=", "O"), ("\ufeff", "O")]], between=" ", end="\r")
def test_what_was_written_is_read(sentences, between, end):
    tokens, tags = ([[pair[i] for pair in sentence] for sentence in sentences] for i in (0, 1))
    with TemporaryDirectory() as folder:
        table = write(
            Path(folder) / "a.txt", "\ufeff" + columns(between, end, tokens=tokens, tags=tags)
        )
        lines = write(Path(folder) / "a.jsonl", json_lines(tokens, tags))
        assert (
            read_tagged(table, strict=True)
            == read_tagged(lines, strict=True)
            == {"train": Tagged(tokens, tags)}
        )


class TestPieces:
    def test_short_sentences_stay_whole(self):
        assert pieces(5, None, longest=5) == [slice(0, 5)]

    def test_cuts_lie_before_entities(self):
        tags = tags_of([Span(3, 6, "PER"), Span(6, 8, "PER")], 10)
        assert pieces(10, tags, longest=4) == [slice(0, 3), slice(3, 6), slice(6, 10)]

    def test_an_entity_longer_than_a_part_is_cut(self):
        tags = tags_of([Span(1, 9, "PER")], 10)
        assert pieces(10, tags, longest=4) == [slice(0, 1), slice(1, 5), slice(5, 9), slice(9, 10)]

    def test_a_sentence_of_5000_tokens(self):
        found = [Span(start, start + 3, "PER") for start in range(1, 4990, 4)]
        tags = tags_of(found, 5000)
        parts = pieces(5000, tags, longest=200)
        assert [i for part in parts for i in range(part.start, part.stop)] == list(range(5000))
        assert max(part.stop - part.start for part in parts) <= 200
        assert len(parts) <= 26
        assert [
            Span(a + part.start, b + part.start, kind)
            for part in parts
            for a, b, kind in spans(tags[part])
        ] == found

    @settings(max_examples=150, derandomize=True, deadline=None)
    @given(
        st.lists(st.sampled_from(["O", "B-PER", "I-PER", "I-LOC"]), min_size=1, max_size=40),
        st.integers(1, 12),
    )
    def test_only_entities_that_fit_no_part_are_cut(self, tags, longest):
        parts = pieces(len(tags), tags, longest=longest)
        assert [i for part in parts for i in range(part.start, part.stop)] == list(range(len(tags)))
        assert all(1 <= part.stop - part.start <= longest for part in parts)
        cuts = {part.start for part in parts}
        assert all(
            span.end - span.start > longest
            for span in spans(tags)
            if cuts & set(range(span.start + 1, span.end))
        )

    def test_parts_of_nothing(self):
        with pytest.raises(InputError, match="received 0"):
            pieces(5, None, longest=0)


class TestRandomSplit:
    EXAMPLES = Tagged([[f"word{i}"] for i in range(20)], [["O"]] * 20)

    def test_is_seeded_and_keeps_the_order(self):
        one, same, other = (
            random_split(self.EXAMPLES, fraction=0.2, seed=seed, part="test") for seed in (0, 0, 1)
        )
        assert one == same != other
        assert len(one[1]) == 4
        numbers = [[int(tokens[0].removeprefix("word")) for tokens in part.tokens] for part in one]
        assert sorted(numbers[0] + numbers[1]) == list(range(20))
        assert all(part == sorted(part) for part in numbers)

    def test_a_type_never_ends_up_outside_the_larger_part_alone(self):
        tags = [["B-RARE" if i == 3 else "B-TWICE" if i in (5, 11) else "B-X"] for i in range(20)]
        for seed in range(30):
            large, small = random_split(
                Tagged(self.EXAMPLES.tokens, tags), fraction=0.4, seed=seed, part="test"
            )
            assert {tag for tags in large.tags for tag in tags} == {"B-RARE", "B-TWICE", "B-X"}
            assert len(small) == 8
            assert sorted(large.tokens + small.tokens) == sorted(self.EXAMPLES.tokens)

    @pytest.mark.parametrize(
        ("count", "fraction", "message"),
        [(20, 1.0, "received 1.0"), (20, 0.0, "received 0.0"), (1, 0.1, "too few to set 1")],
    )
    def test_impossible_splits(self, count, fraction, message):
        with pytest.raises(InputError, match=message):
            random_split(
                self.EXAMPLES.take(range(count)), fraction=fraction, seed=0, part="validation"
            )
