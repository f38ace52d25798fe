"""The named-entity recipe: it learns what only context tells, on the sample, and works on
everybody's own annotated text."""

import json
import re
from dataclasses import replace
from pathlib import Path

import fresh
import numpy as np
import pytest
from conftest import run_sample
from rnn_cookbook.recipes import ner

from rnn_cookbook.cli.main import main
from rnn_cookbook.errors import InputError
from rnn_cookbook.run.bundle import load_bundle
from rnn_cookbook.run.fit import plan, seed_everything
from rnn_cookbook.run.folder import Run
from rnn_cookbook.tasks.tagging import sample
from rnn_cookbook.tasks.tagging.data import Tagged
from rnn_cookbook.tasks.tagging.plots import write_spans
from rnn_cookbook.tasks.tagging.sample import ENTITY_NOISE, tagged_sentences
from rnn_cookbook.tasks.tagging.schemes import Span, spans, tags_of

OPTIMUM = 1 - ENTITY_NOISE
TINY = [
    "--epochs",
    "1",
    "--least-steps",
    "0",
    "--units",
    "4",
    "--embedding",
    "8",
    "--cell",
    "gru",
    "--quiet",
    "--no-baselines",
]


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory):
    """One run of the sample by the command line, in a process of its own."""
    return run_sample("ner", tmp_path_factory)


@pytest.mark.slow
def test_the_sample_is_learnt_to_its_known_optimum(sample_run):
    folder, _ = sample_run
    report = json.loads((folder / "metrics.json").read_text())
    assert abs(report["test"]["f1"] - OPTIMUM) <= 0.02
    assert abs(report["test"]["f1_unseen"] - OPTIMUM) <= 0.03, (
        "names that training never saw are read by their context"
    )
    assert report["test"]["f1"] - report["baselines"]["feature_crf"]["f1"] >= 0.1
    assert (
        report["baselines"]["feature_crf"]["f1"] - report["baselines"]["known_entities"]["f1"]
        >= 0.1
    )


@pytest.mark.slow
def test_the_run_folder_holds_what_is_promised(sample_run):
    folder, ended = sample_run
    report = json.loads((folder / "metrics.json").read_text())
    kinds = {"f1_LOC", "f1_ORG", "f1_PER"}
    assert set(report["test"]) == {"precision", "recall", "f1", "f1_seen", "f1_unseen"} | kinds
    for name in (
        "config.json",
        "history.csv",
        "predictions.jsonl",
        "mistakes.txt",
        "mistakes.html",
        "log.txt",
        "model/bundle.json",
    ):
        assert (folder / name).stat().st_size > 0
    for plot in ("training", "confusion"):
        assert (folder / f"plots/{plot}.png").read_bytes().startswith(b"\x89PNG")
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == report["splits"]["test"]
    right = sum(
        len({tuple(x) for x in row["entities"]} & {tuple(x[:3]) for x in row["predicted"]})
        for row in rows
    )
    assert right / sum(len(row["predicted"]) for row in rows) == pytest.approx(
        report["test"]["precision"], abs=1e-4
    )
    shares = np.array([x[3] for row in rows for x in row["predicted"]])
    hits = np.array([x[:3] in row["entities"] for row in rows for x in row["predicted"]])
    assert abs(shares.mean() - hits.mean()) < 0.05, "probabilities mean what they say"
    page = (folder / "mistakes.html").read_text()
    assert page.count("<section>") == 30
    assert "class=wrong" in page
    assert "the model wins against the best baseline, feature_crf, by" in ended.stdout
    assert "Traceback" not in ended.stderr
    assert "WARNING" not in ended.stderr


def predict(folder, *arguments, **options):
    return fresh.run("predict", folder, *arguments, **options)


@pytest.mark.slow
def test_predict_finds_entities_with_their_offsets_in_a_new_process(sample_run, tmp_path):
    folder, _ = sample_run
    sentences = tagged_sentences(40, seed=99)
    text = "\n\n".join(" ".join(tokens) for tokens in sentences.tokens)
    other = " ".join(sentences.tokens[0])
    (tmp_path / "in.jsonl").write_text(
        "".join(json.dumps({"text": each}) + "\n" for each in (text, "", other))
    )
    ended = predict(folder, "--input", str(tmp_path / "in.jsonl"))
    document, nothing, single = (json.loads(line) for line in ended.stdout.splitlines())
    assert nothing == {"text": "", "entities": []}
    assert single["text"] == other
    assert single["entities"] == [
        entity for entity in document["entities"] if entity["end"] <= len(other)
    ]
    assert document["text"] == text
    starts = []
    for entity in document["entities"]:
        assert text[entity["start"] : entity["end"]] == entity["text"]
        assert entity["type"] in ("LOC", "ORG", "PER")
        assert 0 < entity["probability"] <= 1
        starts.append(entity["start"])
    assert starts == sorted(starts)
    wanted = sum(tag.startswith("B-") for tags in sentences.tags for tag in tags)
    assert abs(len(starts) - wanted) <= 0.1 * wanted


@pytest.mark.slow
def test_a_very_long_document(sample_run):
    """Of whole sentences, and as one sentence without an end."""
    folder, _ = sample_run
    loaded = load_bundle(folder)
    one = " ".join(tagged_sentences(1, seed=7).tokens[0])
    without_end = re.sub(r"[.!?]", ",", one)
    text = "\n\n".join([one] * 500) + "\n\n" + " ".join([without_end] * 500)
    (answer,) = ner.predict(loaded, [[text]])
    ends = [entity["end"] for entity in answer["entities"]]
    assert len(ends) > 500
    assert ends[-1] > 0.99 * len(text)
    assert all(text[x["start"] : x["end"]] == x["text"] for x in answer["entities"])


def own(path: Path, count=60, scheme=lambda tag: tag, seed=0) -> Path:
    part = tagged_sentences(count, seed=seed)
    lines = (
        "\n".join(f"{t}\t{scheme(g)}" for t, g in zip(*pair, strict=True))
        for pair in zip(part.tokens, part.tags, strict=True)
    )
    path.write_text("\n\n".join(lines) + "\n")
    return path


def run(*arguments) -> dict:
    assert main(["run", "ner", "--output", "run", *TINY, *map(str, arguments)]) == 0
    return json.loads(Path("run/metrics.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--no-crf"],
        ["--characters", "none", "--no-features", "--word-vectors", "none"],
        ["--characters", "recurrent", "--depth", "2"],
        ["--max-tokens", "3"],
    ],
    ids=" ".join,
)
def test_one_file_of_your_own(tmp_path, options, capsys):
    report = run("--data", own(tmp_path / "my.conll"), *options)
    assert report["splits"] == {"train": 43, "validation": 5, "test": 12, "unlabelled": 0}
    assert main(["predict", "run", "Anna flew to Rome."]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["text"] == "Anna flew to Rome."


@pytest.mark.slow
def test_a_folder_of_splits_with_baselines(tmp_path):
    (tmp_path / "my").mkdir()
    for seed, name in enumerate(("train.txt", "dev.txt", "test.txt")):
        own(tmp_path / "my" / name, count=30, seed=seed)
    report = run("--data", tmp_path / "my", "--baselines")
    assert report["splits"] == {"train": 30, "validation": 30, "test": 30, "unlabelled": 0}
    assert set(report["baselines"]) == {"known_entities", "feature_crf"}


@pytest.mark.slow
def test_word_vectors_and_text_without_tags(tmp_path):
    data = own(tmp_path / "my.conll")
    words = sorted({token for tokens in tagged_sentences(60, seed=0).tokens for token in tokens})
    lines = [
        f"{word} {' '.join(map(str, row))}"
        for word, row in zip(["elsewhere", *words], np.eye(len(words) + 1, 7), strict=True)
    ]
    (tmp_path / "vectors.txt").write_text(f"{len(lines)} 7\n" + "\n".join(lines) + "\n")
    (tmp_path / "more.txt").write_text("Somebody went somewhere.\n" * 6)
    report = run("--data", data, "--vectors", tmp_path / "vectors.txt", "--vector-words", "20")
    assert report["splits"]["unlabelled"] == 0
    vocabulary = json.loads(Path("run/model/words.json").read_text())["vocabulary"]
    assert "elsewhere" in vocabulary
    assert load_bundle("run").model.get_layer("embedding").output.shape[-1] == 7
    config = replace(ner.SAMPLE, data=str(data), unlabelled=str(tmp_path / "more.txt"))
    more = ner.load_data(config)
    assert len(more.unlabelled) == 6
    number = 2 + more.words.vocabulary.index("somebody")
    assert number >= 2 + more.words.vocabulary.index("somewhere") - 1
    vectors = ner.build_model(config, more).get_layer("embedding").get_weights()[0]
    other = (
        ner.build_model(replace(config, word_vectors="none", unlabelled=""), more)
        .get_layer("embedding")
        .get_weights()[0]
    )
    assert (
        np.linalg.norm(vectors[number]) > 0.1
    )  # from the unlabelled text: no sentence with a tag has it
    assert vectors.std() != pytest.approx(other.std(), rel=1e-3)
    with pytest.raises(
        InputError, match="unlabelled text is for word vectors from the task's text"
    ):
        replace(config, vectors="vectors.txt")


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("a B-X\n\nb B-X c\n", [], "my.conll, line 3 has 3 columns, .* 2"),
        ("a B-X\n\nb Q-X\n", [], "my.conll, line 3: unknown tag 'Q-X'"),
        ("a O\n\nb O\n\nc O\n\nd O\n\ne O\n", [], "the training data has no entity"),
        (
            "a O\nb I-X\n\n" * 9 + "c B-X\n",
            ["--strict", "--scheme", "bio"],
            "9 tags break the scheme",
        ),
        ("a B-X\n\n" * 9, ["--columns", "3,1"], "line 1 has 2 columns, too few"),
        ("a B-X\n\n" * 9, ["--columns", "one"], "--columns must be the numbers"),
        (
            "a B-X\n\n" * 9,
            ["--vectors", "wide.txt"],
            "wide.txt, line 2 must be a word and 2 numbers",
        ),
        ("a B-X\n\n" * 9, ["--vectors", "none.txt"], "cannot read none.txt"),
        ("a B-X\n\n" * 9, ["--max-tokens", "1"], "--max-tokens must be at least 2; received 1"),
        ("a B-X\n", [], "1 sentences are too few"),
        ("", [], "holds no sentence"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_folder(tmp_path, content, options, message, capsys):
    (tmp_path / "my.conll").write_text(content)
    (tmp_path / "wide.txt").write_text("a 1 2\nb 1 2x\n")
    assert (
        main(
            ["run", "ner", "--output", "run", *TINY, "--data", str(tmp_path / "my.conll"), *options]
        )
        == 2
    )
    error = capsys.readouterr().err
    assert re.search(message, error.splitlines()[-1]), error
    assert not Path("run").exists()


def test_a_type_that_only_the_test_file_has(tmp_path, capsys):
    (tmp_path / "my").mkdir()
    (tmp_path / "my/train.txt").write_text("a B-X\n\nb O\n\n" * 9)
    (tmp_path / "my/test.txt").write_text("a B-Y\n")
    assert main(["run", "ner", "--output", "run", *TINY, "--data", str(tmp_path / "my")]) == 2
    assert (
        "the test split has 1 entities of types that the training split lacks: Y; training has X"
        in capsys.readouterr().err
    )


@pytest.mark.slow
def test_tags_that_break_their_scheme_are_repaired_and_counted(tmp_path, capsys):
    (tmp_path / "my.conll").write_text("a O\nb I-X\n\n" * 9 + "c B-X\nd I-X\n\n" * 9)
    run("--data", tmp_path / "my.conll", "--scheme", "bio")
    assert "9 tags break the scheme bio" in Path("run/log.txt").read_text()


def test_settings_reach_the_model():
    config = replace(
        ner.SAMPLE,
        word_dropout=0.15,
        rare_dropout=0.35,
        embedding_dropout=0.25,
        dropout=0.45,
        language_model=0.07,
        max_tokens=5,
    )
    data = ner.load_data(config)
    model = ner.build_model(config, data)
    noise = model.get_layer("word_dropout")
    assert (noise.rate, noise.rare_rate, noise.rare_from) == (0.15, 0.35, data.words.rare_from)
    assert (model.get_layer("rnn_1_dropout").rate, model.get_layer("dropout").rate) == (0.25, 0.45)
    assert model.get_layer("language_model").weight == 0.07
    parts = sum(
        -(-len(tokens) // 5) for tokens in data.train.tokens
    )  # or a few more, where a cut would go through an entity
    batches = ner.batched(config, model, data, data.train, shuffle=True)
    assert parts <= len(batches) * config.batch_size <= 1.2 * parts
    schedule = model.optimizer.get_config()["learning_rate"]["config"]
    assert schedule["decay_steps"] + schedule["warmup_steps"] == config.epochs * len(batches)
    assert plan(replace(config, least_steps=10**5), examples=batches.examples).epochs == -(
        -(10**5) // len(batches)
    )


def small(monkeypatch):
    original = tagged_sentences
    monkeypatch.setattr(
        sample, "tagged_sentences", lambda count, *, seed: original(count // 20, seed=seed)
    )


@pytest.mark.slow
def test_the_test_split_decides_nothing(monkeypatch, tmp_path):
    """Another test split: the same word vectors, the same training, the same epoch kept."""
    small(monkeypatch)
    config, weights, histories = replace(ner.SAMPLE, epochs=2, units=8), [], []
    for change in (False, True):
        seed_everything(0)
        data = ner.load_data(config)
        if change:
            data.test = Tagged(
                [["Zzz", *tokens] for tokens in data.train.tokens],
                [["B-PER", *tags] for tags in data.train.tags],
            )
        model = ner.build_model(config, data)
        weights.append(model.get_layer("embedding").get_weights()[0])
        report = ner.train(
            config,
            model,
            data,
            Run(recipe="ner", config=config, output=tmp_path / str(change), quiet=True),
        )
        histories.append(
            [
                {name: value for name, value in row.items() if name != "seconds"}
                for row in report["history"]
            ]
        )
        weights.append(model.get_weights()[-1])
    np.testing.assert_array_equal(weights[0], weights[2])
    np.testing.assert_array_equal(weights[1], weights[3])
    assert histories[0] == histories[1]
    assert {"val_f1", "val_loss"} <= set(histories[0][0])


def test_mistakes_are_told_by_how_sure_the_model_was_of_them(tmp_path):
    sentences = [["Al", "ran"], ["Bo", "ran"], ["Cy", "ran"], ["Di", "ran"]]
    gold = [[Span(0, 1, "PER")], [], [Span(0, 1, "PER")], []]
    found = [
        [],
        [(Span(0, 1, "PER"), 0.6)],
        [(Span(0, 1, "PER"), 0.99)],
        [(Span(0, 2, "LOC"), 0.9)],
    ]
    run = Run(recipe="ner", config=ner.SAMPLE, output=tmp_path / "run", quiet=True)
    write_spans(run, sentences, gold, found, types=["LOC", "PER"])
    text = (tmp_path / "run/mistakes.txt").read_text()
    assert re.findall(r"^\[(\d)\]", text, flags=re.MULTILINE) == ["3", "1", "0"]
    assert "right: nothing\n    found: Di ran (LOC 90%)" in text
    assert "right: Al (PER)\n    found: nothing" in text


def test_nothing_is_fitted_on_test_or_validation(monkeypatch):
    original = tagged_sentences

    def marked(count, *, seed):  # a word that only the validation and test splits have
        part = original(min(count, 50), seed=seed)
        return (
            part
            if count == 4000
            else Tagged(
                [[*tokens, "Ωmega"] for tokens in part.tokens], [[*tags, "O"] for tags in part.tags]
            )
        )

    monkeypatch.setattr(sample, "tagged_sentences", marked)
    data = ner.load_data(ner.SAMPLE)
    assert "Ωmega" in data.test.tokens[0]
    assert "ωmega" not in data.words.vocabulary
    assert "Ω" not in data.words.letters


@pytest.mark.slow
@pytest.mark.parametrize("breakage", ["shuffled tags", "reversed time"])
def test_the_score_falls_when_something_is_broken(breakage, monkeypatch, tmp_path):
    """The score of the sample comes from the tags and from the order of the words, and from nothing
    else."""
    config = replace(ner.SAMPLE, epochs=3)
    seed_everything(0)
    data = ner.load_data(config)
    if breakage == "shuffled tags":
        types = [tag[2:] for tags in data.train.tags for tag in tags if tag != "O"]
        shuffled = iter(np.random.default_rng(0).permutation(types))
        data.train.tags = [
            [tag if tag == "O" else f"{tag[:2]}{next(shuffled)}" for tag in tags]
            for tags in data.train.tags
        ]
    model = ner.build_model(config, data)
    ner.train(
        config, model, data, Run(recipe="ner", config=config, output=tmp_path / "run", quiet=True)
    )
    if breakage == "reversed time":
        data.test.tokens = [tokens[::-1] for tokens in data.test.tokens]
        ends = [
            [Span(len(tags) - end, len(tags) - start, kind) for start, end, kind in spans(tags)][
                ::-1
            ]
            for tags in data.test.tags
        ]
        data.test.tags = [
            tags_of(found, len(tags)) for found, tags in zip(ends, data.test.tags, strict=True)
        ]
    assert ner.evaluate(config, model, data)["f1"] < 0.75


@pytest.mark.slow
def test_the_real_benchmark_is_read_whole(data_dir):
    data = ner.load_data(replace(ner.Config(), data_dir=str(data_dir)))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [14041, 3250, 3453]
    assert data.tags.types == ["LOC", "MISC", "ORG", "PER"]
    assert sum(tag.startswith("B-") for tags in data.test.tags for tag in tags) == 5648


def test_your_data_without_network_is_an_error_that_helps(tmp_path, capsys):
    with pytest.raises(InputError, match="no file or folder nowhere"):
        ner.load_data(replace(ner.SAMPLE, data="nowhere"))
