"""The user's own files, splits, generators, data sets on disk; and every way in which a file can be
wrong."""

import hashlib
import json
import logging
import random
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from rnn_cookbook.data.sources import data_folder, download, load_tfds
from rnn_cookbook.data.splits import complete, in_turn, stratified_split
from rnn_cookbook.data.texts import Texts, read_texts, read_unlabelled
from rnn_cookbook.encode.text import without_empty
from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.classification.sample import _BAD, _GOOD, REVIEW_NOISE, reviews
from rnn_cookbook.tasks.forecasting.sample import (
    SERIES_MEMORY,
    SERIES_SEASON,
    seasonal_floor,
    seasonal_oracle,
    seasonal_series,
)
from rnn_cookbook.tasks.tagging.sample import (
    _DAYS,
    _DEEDS,
    _NOUNS,
    _OPENINGS,
    _RELATIONS,
    ENTITY_NOISE,
    tagged_sentences,
)
from rnn_cookbook.tasks.tagging.schemes import Span, spans
from rnn_cookbook.tasks.tagging.scores import span_scores

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

    def test_a_byte_order_mark_is_no_part_of_the_name(self, tmp_path):
        (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbftext,label\nx,good\ny,bad\n")
        assert read_texts(tmp_path / "a.csv")["train"].texts == ["x", "y"]

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
            InputError, match=r"1 without a text \(pos/1.TXT\) of 6 rows.*--drop-missing"
        ):
            read_texts(folder)
        assert len(read_texts(folder, drop_missing=True)["train"]) == 5


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", None, "no such file or folder: .*a.csv"),
        ("a.csv", b"", "a.csv is empty"),
        ("a.csv", b"text,label\n", "has no rows"),
        ("a.jsonl", b"\n \n", "is empty"),
        ("a.csv", b"text,label\nabc\0def,x\n", r"binary file \(a zero byte at position 14\)"),
        ("a.csv", b"text,label\nfine,x\ncaf\xe9,y\n", "not UTF-8: byte 0xe9 at position 21, row 3"),
        ("a.csv", b"headline,mood,n\nx,y,1\n", "text and label; it has 'headline', 'mood', 'n'"),
        ("a.csv", b"text,mood,n\nx,y,1\n", "holds the label; it has 'text', 'mood', 'n'"),
        (
            "a.csv",
            b"text,label\n,good\nx,\ny,good\n",
            r"1 without a text \(row 2\) and 1 without a label \(row 3\) of 3 rows.*--drop-missing",
        ),
        ("a.csv", b'text,label\n"open,x\n', "cannot be read as csv"),
        ("a.csv", b"text,label\nI liked it, really,good\ndull, yes,bad\n", "cannot be read as csv"),
        ("a.csv", b"text,label\nfine,good\ndull, yes,bad\n", "cannot be read as csv"),
        ("a.jsonl", b'{"text": "a", "label": "x"}\n{"text": \n', "row 2 is not JSON"),
        ("a.jsonl", b'["a"]\n', "row 1 is a JSON list"),
        ("a.parquet", b"not parquet", "cannot be read as parquet"),
        ("a.xlsx", b"x", "ends in .xlsx, accepted are .csv, .tsv, .jsonl, .parquet"),
    ],
)
def test_bad_tables(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_texts(tmp_path / name)


def test_quotes_in_tsv_are_characters(tmp_path):
    (tmp_path / "a.tsv").write_text('text\tlabel\n"open quote\tgood\nplain\tbad\n')
    assert read_texts(tmp_path / "a.tsv")["train"].texts == ['"open quote', "plain"]


def test_lines_end_at_line_breaks_only(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"text": "one\u2028two\x85", "label": "x"}\n{"text": "b", "label": "y"}\n',
        encoding="utf-8",
    )
    assert read_texts(tmp_path / "a.jsonl")["train"].texts == ["one\u2028two\x85", "b"]


def test_lone_surrogates_are_replaced_on_reading(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "bad \\ud800 escape", "label": "x"}\n')
    assert read_texts(tmp_path / "a.jsonl")["train"].texts == ["bad ? escape"]


def test_two_files_for_one_split(tmp_path):
    write(tmp_path / "train.csv")
    write(tmp_path / "train.jsonl")
    with pytest.raises(
        InputError, match=r"two files for its train split: train.csv and train.jsonl"
    ):
        read_texts(tmp_path)


def test_texts_without_a_word_can_be_dropped():
    examples = Texts(["fine", "<br />"], ["x", "y"])
    assert without_empty(examples, name="train", drop=True) == Texts(["fine"], ["x"])
    with pytest.raises(
        InputError, match=r"train: 1 texts have no word in them \(number 2: '<br />'\)"
    ):
        without_empty(examples, name="train", drop=False)


def test_texts_that_are_in_two_splits_are_counted(caplog):
    parts = {
        "train": Texts(["a", "b", "c", "d"], ["x", "y", "x", "y"]),
        "test": Texts(["a", "e"], ["x", "y"]),
        "validation": Texts(["f"], ["x"]),
    }
    with caplog.at_level("WARNING", logger="rnn_cookbook"):
        logging.getLogger("rnn_cookbook").propagate = True
        complete(parts, validation_fraction=0.1, test_fraction=0.1, seed=0)
    assert "1 texts of the training split are in the test split, too" in caplog.text


def test_a_column_that_is_not_there(tmp_path):
    with pytest.raises(
        InputError, match=r"no column 'mood' \(--label-column\); it has 'text', 'label'"
    ):
        read_texts(write(tmp_path / "a.csv"), label_column="mood")


def test_an_unreadable_file(tmp_path, monkeypatch):
    path = write(tmp_path / "a.csv")
    # root may read everything, so the refusal is made here
    monkeypatch.setattr(
        "pathlib.Path.read_bytes",
        lambda self: (_ for _ in ()).throw(PermissionError(13, "Permission denied")),
    )
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        read_texts(path)


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


def test_parts_one_after_the_other():
    drawn = Texts([f"text {i}" for i in range(10)], ["a", "b"] * 5)
    parts = in_turn(drawn, train=6, validation=1, test=2)
    assert {name: part.texts for name, part in parts.items()} == {
        "train": drawn.texts[:6],
        "validation": drawn.texts[6:7],
        "test": drawn.texts[7:9],
    }
    assert parts["test"].labels == ["b", "a"]
    with pytest.raises(ValueError, match="10 examples are too few for"):
        in_turn(drawn, train=6, test=5)


class TestSplits:
    LABELS = ["a"] * 80 + ["b"] * 20

    def test_classes_keep_their_shares_and_nothing_is_lost(self):
        large, small = stratified_split(self.LABELS, fraction=0.2, seed=0)
        assert sorted([*large, *small]) == list(range(100))
        assert Counter(self.LABELS[i] for i in small) == {"a": 16, "b": 4}

    def test_the_seed_decides(self):
        splits = [
            stratified_split(self.LABELS, fraction=0.2, seed=seed)[1].tolist() for seed in (0, 0, 1)
        ]
        assert splits[0] == splits[1] != splits[2]

    @pytest.mark.parametrize(
        ("labels", "fraction", "message"),
        [
            (["a"] * 9, 0.2, "the only label in the data is 'a'"),
            ([], 0.2, "two classes or more"),
            (["a"] * 9 + ["b"], 0.2, r"too few for 'b' \(1\)"),
            (["a", "a", "b", "b", "c", "c"], 0.9, "too few to set 5 aside"),
            (["a", "b"] * 5, 1.5, "got 1.5"),
        ],
    )
    def test_impossible_splits(self, labels, fraction, message):
        with pytest.raises(InputError, match=message):
            stratified_split(labels, fraction=fraction, seed=0)


class TestReviews:
    def test_are_seeded_and_different(self):
        one, same, other = (reviews(50, seed=seed) for seed in (0, 0, 1))
        assert one.texts == same.texts
        assert one.labels == same.labels
        assert not set(one.texts) & set(other.texts)

    def test_none_is_drawn_twice(self):
        assert (
            len(set(reviews(6500, seed=0).texts)) == 6500
        )  # else a split would hold examples of another

    def test_noise_flips_its_share_of_the_labels(self):
        clean, noisy = reviews(4000, seed=0, noise=0.0), reviews(4000, seed=0, noise=0.05)
        assert clean.texts == noisy.texts
        flipped = sum(a != b for a, b in zip(clean.labels, noisy.labels, strict=True)) / 4000
        assert flipped == pytest.approx(REVIEW_NOISE, abs=0.01)

    def test_contrast_is_in_the_order_alone(self):
        """Around "but" and "although" both verdicts are always opposite: the words without their
        order tell nothing."""
        polarity = {**dict.fromkeys(_GOOD, 1), **dict.fromkeys(_BAD, -1)}

        def verdict(part):
            words = part.split()
            found = [polarity[word] for word in words if word in polarity]
            return found[0] * (-1 if {"not", "never", "hardly"} & set(words) else 1) if found else 0

        examples, contrasting = reviews(2000, seed=0, noise=0.0), 0
        for text, label in zip(examples.texts, examples.labels, strict=True):
            sign = 1 if label == "positive" else -1
            if " but " in text:
                before, after = text.split(" but ")
                assert (verdict(before), verdict(after)) == (-sign, sign)
            elif ", although " in text:
                before, after = text.split(", although ")
                assert (verdict(before), verdict(after)) == (sign, -sign)
            else:
                assert verdict(text) == sign
                continue
            contrasting += 1
        assert contrasting == pytest.approx(1333, abs=100)


def _told(tokens):
    """The spans of a sentence of the generator with the types that its words tell; "?" where they
    tell none."""
    capitals = {*_DAYS, *(opening.split()[0] for opening in _OPENINGS if opening), "Nobody", "We"}
    named, found, end = [token[0].isupper() and token not in capitals for token in tokens], [], 0
    named = [
        name and not (i == 0 and token == "The")
        for i, (token, name) in enumerate(zip(tokens, named, strict=True))
    ]
    for start in range(len(tokens)):
        if named[start] and start >= end:
            end = next((i for i in range(start, len(tokens)) if not named[i]), len(tokens))
            found.append(
                Span(start, end, _shown(tokens[start:end]) or _context(tokens, start, end))
            )
    return found


def _shown(name):
    first, last = name[0], name[-1]
    if first.endswith(".") or last.endswith(("sson", "escu")):
        return "PER"
    if first in ("Mount", "Fort") or last.endswith(("ville", "stan", "burg")):
        return "LOC"
    return (
        "ORG" if last in ("Corp", "Inc", "Group") or (len(name) == 1 and first.isupper()) else None
    )


def _context(tokens, start, end):
    nouns = {noun: kind for kind, nouns in _NOUNS.items() for noun in nouns}
    for i, token in enumerate(tokens):
        if token in _RELATIONS:
            return _RELATIONS[token][i < start]
        if token in nouns and tokens[i - 2] == "but":
            return nouns[token] if end <= i else "?"
    text = " ".join(tokens[end:])
    return next((kind for kind, deeds in _DEEDS.items() for deed in deeds if deed in text), "?")


def _entities(part):
    return [
        (tokens, span)
        for tokens, tags in zip(part.tokens, part.tags, strict=True)
        for span in spans(tags)
    ]


class TestTaggedSentences:
    def test_are_seeded_and_different(self):
        one, same, other = (tagged_sentences(200, seed=seed) for seed in (0, 0, 1))
        assert one == same
        assert not set(map(tuple, one.tokens)) & set(map(tuple, other.tokens))

    def test_noise_replaces_its_share_of_the_types_and_no_span(self):
        clean, noisy = (
            tagged_sentences(4000, seed=0, noise=noise) for noise in (0.0, ENTITY_NOISE)
        )
        assert clean.tokens == noisy.tokens
        pairs = [(a, b) for (_, a), (_, b) in zip(_entities(clean), _entities(noisy), strict=True)]
        assert all(a[:2] == b[:2] for a, b in pairs)
        replaced = Counter((a.type, b.type) for a, b in pairs if a != b)
        assert replaced.total() / len(pairs) == pytest.approx(ENTITY_NOISE, abs=0.01)
        # Uniformly: each of the six replacements about as often as any other.
        assert len(replaced) == 6
        assert max(replaced.values()) < 2 * min(replaced.values())

    def test_the_words_tell_every_span_and_type_but_for_the_noise(self):
        clean, noisy = (
            tagged_sentences(2000, seed=3, noise=noise) for noise in (0.0, ENTITY_NOISE)
        )
        told = [_told(tokens) for tokens in clean.tokens]
        assert told == [spans(tags) for tags in clean.tags]
        assert span_scores([spans(tags) for tags in noisy.tags], told)["f1"] == pytest.approx(
            1 - ENTITY_NOISE, abs=0.01
        )

    def test_most_names_are_new(self):
        train, test = (
            [" ".join(tokens[a:b]) for tokens, (a, b, _) in _entities(tagged_sentences(n, seed=n))]
            for n in (4000, 1000)
        )
        assert sum(name not in set(train) for name in set(test)) / len(set(test)) > 0.75
        assert {len(name.split()) for name in test} == {1, 2, 3}

    def test_capitals_are_not_only_names(self):
        part = tagged_sentences(1000, seed=0)
        capitals = [
            tag == "O"
            for tokens, tags in zip(part.tokens, part.tags, strict=True)
            for token, tag in zip(tokens, tags, strict=True)
            if token[0].isupper()
        ]
        assert sum(capitals) / len(capitals) > 0.2

    def test_most_types_are_told_beyond_a_window_of_two(self):
        """Of the names that do not show their type, most have no telling word among the two tokens
        on either side."""
        telling = {*_RELATIONS, *(noun for nouns in _NOUNS.values() for noun in nouns)}
        telling |= {
            word for deeds in _DEEDS.values() for deed in deeds for word in deed.split()
        } - {"a"}
        bare = [
            (tokens, span)
            for tokens, span in _entities(tagged_sentences(2000, seed=0))
            if not _shown(tokens[span.start : span.end])
        ]
        far = [
            not telling & set(tokens[max(span.start - 2, 0) : span.end + 2])
            for tokens, span in bare
        ]
        assert len(bare) / 2000 > 0.6
        assert sum(far) / len(far) > 0.5

    def test_the_order_of_the_words_tells(self):
        """The same words in another order tell other types: of names that do not show theirs, where
        two stand in a relation or one is corrected. Shuffled, the words beside the names tell them
        no more."""
        part, rng, relations, corrections, right = (
            tagged_sentences(2000, seed=0, noise=0.0),
            random.Random(0),
            0,
            0,
            [],
        )
        for tokens, tags in zip(part.tokens, part.tags, strict=True):
            found = spans(tags)
            names = [tokens[span.start : span.end] for span in found]
            if any(map(_shown, names)) or not (len(found) == 2 or "but" in tokens):
                continue
            if len(found) == 2:
                relations += 1
                (start, end, _), (other_start, other_end, _) = found
                swapped = [
                    *tokens[:start],
                    *names[1],
                    *tokens[end:other_start],
                    *names[0],
                    *tokens[other_end:],
                ]
                assert [span.type for span in _told(swapped)] == [span.type for span in found]
            else:
                corrections += 1
                places, swapped = (tokens.index("not") + 2, tokens.index("but") + 2), list(tokens)
                swapped[places[0]], swapped[places[1]] = tokens[places[1]], tokens[places[0]]
                ((*place, kind),) = _told(swapped)
                assert place == [*found[0][:2]]
                assert kind != found[0].type
            assert sorted(swapped) == sorted(tokens)
            units = rng.sample(
                [*names, *([token] for token, tag in zip(tokens, tags, strict=True) if tag == "O")],
                k=len(tokens) - sum(map(len, names)) + len(names),
            )
            shuffled, told = [], {}
            for unit in units:
                if unit in names:
                    told[tuple(unit)] = len(shuffled), len(shuffled) + len(unit)
                shuffled += unit
            right += [
                _context(shuffled, *told[tuple(name)]) == span.type
                for name, span in zip(names, found, strict=True)
            ]
        assert min(relations, corrections) > 200
        assert sum(right) / len(right) < 0.55


def test_a_data_set_that_is_neither_on_disk_nor_to_be_had(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def offline(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", offline)
    with pytest.raises(
        InputError,
        match=f"'imdb_reviews' is not in {tmp_path}.*no route to host.*--data sample.*--data-dir",
    ):
        load_tfds("imdb_reviews", splits=["train"], data_dir=tmp_path)


def test_the_real_reviews_are_read_from_disk(data_dir):
    (rows,) = load_tfds("imdb_reviews", splits=["test[:200]"], data_dir=data_dir)
    assert len(rows) == 200
    assert set(rows[0]) == {"text", "label"}


def test_data_folder_comes_from_option_then_environment(monkeypatch):
    monkeypatch.setenv("RNN_COOKBOOK_DATA", "/somewhere")
    assert str(data_folder("")) == "/somewhere"
    assert str(data_folder("/else")) == "/else"


class TestDownload:
    """By a file URL: the code that a web address goes through."""

    CONTENT = b"date,a\n2024-01-01,1\n"

    @pytest.fixture
    def origin(self, tmp_path):
        (tmp_path / "origin.csv").write_bytes(self.CONTENT)
        return {
            "url": (tmp_path / "origin.csv").as_uri(),
            "sha256": hashlib.sha256(self.CONTENT).hexdigest(),
        }

    def test_comes_once_and_is_checked(self, tmp_path, origin):
        path = download("set/a.csv", **origin, data_dir=tmp_path / "data")
        assert path == tmp_path / "data/set/a.csv"
        assert path.read_bytes() == self.CONTENT
        (tmp_path / "origin.csv").unlink()
        assert download("set/a.csv", **origin, data_dir=tmp_path / "data") == path
        assert [file.name for file in path.parent.iterdir()] == ["a.csv"]
        path.write_bytes(b"mine")
        with pytest.raises(InputError, match=r"is not the file of file:.* SHA-256"):
            download("set/a.csv", **origin, data_dir=tmp_path / "data")
        assert path.read_bytes() == b"mine"

    def test_a_wrong_or_missing_file_leaves_nothing(self, tmp_path, origin):
        with pytest.raises(InputError, match=r"could not be downloaded .*--data sample"):
            download("set/a.csv", url=origin["url"], sha256="0" * 64, data_dir=tmp_path / "data")
        with pytest.raises(InputError, match="could not be downloaded"):
            download(
                "set/a.csv",
                url=origin["url"] + ".none",
                sha256="0" * 64,
                data_dir=tmp_path / "data",
            )
        assert list((tmp_path / "data/set").iterdir()) == []


class TestSeasonalSeries:
    def test_the_floor_is_that_of_who_knows_the_law(self):
        """The season and the trend by regression, the noise by its mean given the last one: no
        forecast can do better."""
        series, time = seasonal_series(40_000, seed=0), np.arange(40_000)
        angles = 2 * np.pi * np.outer(time, [1, 2]) / SERIES_SEASON
        known = np.concatenate(
            [np.ones((40_000, 1)), time[:, None], np.sin(angles), np.cos(angles)], axis=1
        )
        law = known @ np.linalg.lstsq(known, series.values, rcond=None)[0]
        noise = series.values - law
        errors = [noise[i:] - SERIES_MEMORY**i * noise[:-i] for i in range(1, 13)]
        assert np.mean([np.mean(error**2) for error in errors]) == pytest.approx(
            seasonal_floor(12), rel=0.05
        )
        assert np.mean(noise**2) > 1.8 * seasonal_floor(
            12
        )  # who forgets the last value pays for it

    def test_the_oracle_reaches_the_floor_and_nothing_beats_it(self):
        origins = np.arange(100, 39_000)
        actual = seasonal_series(40_000, seed=0).values[origins[:, None] + np.arange(12)]
        best = seasonal_oracle(40_000, origins, 12, seed=0)
        assert np.mean((best - actual) ** 2) == pytest.approx(seasonal_floor(12), rel=0.05)
        again = actual[24:] - (
            actual[:-24] - best[:-24]
        )  # correcting by an error of a day before makes it worse
        assert np.mean((again - actual[24:]) ** 2) >= 0
        assert abs((best - actual).mean()) < 0.05

    def test_is_seeded(self):
        one, same, other = (seasonal_series(100, seed=seed, channels=3) for seed in (0, 0, 1))
        np.testing.assert_array_equal(one.values, same.values)
        assert one.values.shape == (100, 3)
        assert not np.allclose(one.values, other.values)
        assert (len(one), one.times.freqstr, one.channels[2]) == (100, "h", "series 3")
