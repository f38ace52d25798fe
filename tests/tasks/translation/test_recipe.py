"""The translation recipe: on the sample it finds the one right answer, and it works on everybody's
own pairs."""

import json
from dataclasses import replace
from pathlib import Path

import fresh
import numpy as np
import pandas as pd
import pytest
from conftest import run_sample
from rnn_cookbook.recipes import translation

from rnn_cookbook.cli.main import main
from rnn_cookbook.errors import InputError
from rnn_cookbook.run.bundle import load_bundle
from rnn_cookbook.run.fit import Keeper, seed_everything
from rnn_cookbook.run.folder import Run
from rnn_cookbook.tasks.translation.sample import translations

SMALL = [
    "--epochs",
    "1",
    "--least-steps",
    "0",
    "--units",
    "8",
    "--embedding",
    "8",
    "--average",
    "1",
    "--quiet",
    "--no-baselines",
]
TINY = [*SMALL, "--vocabulary-size", "60", "--beam", "2"]


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory):
    """One run of the sample by the command line, in a process of its own."""
    return run_sample("translation", tmp_path_factory)


@pytest.mark.slow
def test_the_sample_is_learnt_to_its_known_optimum(sample_run):
    report = json.loads((sample_run[0] / "metrics.json").read_text())
    assert report["test"]["exact_match"] >= 0.97, "each sentence has exactly one right answer"
    assert report["test"]["bleu"] - max(one["bleu"] for one in report["baselines"].values()) >= 80
    assert max(one["exact_match"] for one in report["baselines"].values()) <= 0.01


@pytest.mark.slow
def test_the_run_folder_holds_what_is_promised(sample_run):
    folder, ended = sample_run
    report = json.loads((folder / "metrics.json").read_text())
    assert set(report["test"]) == {"bleu", "chrf", "ter", "exact_match", "bleu_greedy"}
    assert set(report["baselines"]) == {"copy", "nearest", "word_for_word"}
    assert "tok:13a" in report["scorer"]
    assert report["splits"] == translation.SAMPLE_SIZES
    for name in (
        "config.json",
        "history.csv",
        "predictions.jsonl",
        "examples.txt",
        "log.txt",
        "model/bundle.json",
    ):
        assert (folder / name).stat().st_size > 0
    for plot in ("training", "bleu_by_length", "attention"):
        assert (folder / f"plots/{plot}.png").read_bytes().startswith(b"\x89PNG")
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 1000
    assert np.mean([row["translation"] == row["reference"] for row in rows]) == pytest.approx(
        report["test"]["exact_match"], abs=1e-4
    )
    assert (folder / "examples.txt").read_text().count("reference") == 20
    assert "the model wins against the best baseline, nearest, by" in ended.stdout
    assert "Traceback" not in ended.stderr
    assert "WARNING" not in ended.stderr


def predict(folder, *arguments, **options):
    return fresh.run("predict", folder, *arguments, **options)


@pytest.mark.slow
def test_predict_translates_a_file_and_standard_input_alike(sample_run, tmp_path):
    """Sentences that were in none of the splits, an empty line, and two sentences in one line."""
    folder, _ = sample_run
    fresh = translations(60, seed=77)
    lines = [*fresh.sources, "", f"{fresh.sources[0]} {fresh.sources[1]}"]
    (tmp_path / "in.txt").write_text("\n".join(lines) + "\n")
    ended = predict(folder, "--input", str(tmp_path / "in.txt"))
    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [answer["text"] for answer in answers] == lines
    found = [answer["translation"] for answer in answers]
    right = [one == other for one, other in zip(found, fresh.targets, strict=False)]
    assert np.mean(right) >= 0.9
    assert answers[60] == {"text": "", "translation": None, "error": "no character in the text"}
    assert found[61] == f"{found[0]} {found[1]}", (
        "the model was trained on single sentences, and gets them one by one"
    )
    assert all(answer["nats"] <= 0 for answer in answers if answer["translation"])
    assert ended.stderr == ""
    piped = predict(folder, input=(tmp_path / "in.txt").read_text())
    assert [json.loads(line)["translation"] for line in piped.stdout.splitlines()] == found


@pytest.mark.slow
def test_n_best_scores_attention_and_ensembles_on_request(sample_run, capsys):
    folder, _ = sample_run
    (text,) = translations(1, seed=78).sources
    assert main(["predict", str(folder), text]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert set(plain) == {"text", "translation", "score", "nats"}
    assert (
        main(
            [
                "predict",
                str(folder),
                "--n-best",
                "3",
                "--attention",
                "--ensemble",
                str(folder),
                text,
            ]
        )
        == 0
    )
    answer = json.loads(capsys.readouterr().out)
    assert answer["translation"] == plain["translation"], (
        "an ensemble of one model twice is that model"
    )
    scores = [one["score"] for one in answer["n_best"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert len({one["translation"] for one in answer["n_best"]}) == 3
    weights = np.array(answer["attention"]["weights"])
    assert weights.shape == (len(answer["attention"]["target"]), len(answer["attention"]["source"]))
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-3)
    assert main(["predict", str(folder), "--beam", "1", text]) == 0
    assert json.loads(capsys.readouterr().out)["nats"] <= 0


@pytest.mark.slow
def test_what_no_training_text_had(sample_run):
    """Emoji and other scripts are named; a sentence of 10,000 words is translated in parts."""
    folder, _ = sample_run
    loaded = load_bundle(folder)
    text = translations(1, seed=79).sources[0]
    plain, odd, endless = translation.predict(
        loaded, [[text, f"{text} 🙂 Ω", "the tired dog " * 3400]]
    )
    assert "unknown" not in plain
    assert odd["unknown"] == ["🙂", "Ω"]
    assert odd["translation"]
    assert len(endless["translation"].split()) > 3000


# Own data


def own(path: Path, count: int = 120, columns: tuple[str, str] = ("source", "target")) -> Path:
    drawn = translations(count, seed=4)
    pd.DataFrame({columns[0]: drawn.sources, columns[1]: drawn.targets}).to_csv(path, index=False)
    return path


def run(*arguments) -> dict:
    assert main(["run", "translation", "--output", "run", *TINY, *map(str, arguments)]) == 0
    return json.loads(Path("run/metrics.json").read_text())


def test_a_table_of_your_own_in_both_directions(tmp_path):
    options = replace(translation.SAMPLE, data=str(own(tmp_path / "my.csv")), vocabulary_size=60)
    there, back = (
        translation.load_data(replace(options, reverse=reverse)) for reverse in (False, True)
    )
    assert [len(part) for part in (there.train, there.validation, there.test)] == [108, 6, 6]
    assert set(back.train.sources) | set(back.validation.sources) | set(back.test.sources) == set(
        there.train.targets + there.validation.targets + there.test.targets
    )
    assert not set(there.train.sources) & set(there.test.sources)


@pytest.mark.slow
def test_two_files_side_by_side(tmp_path, capsys):
    """The other way round, and by the other attention and cell."""
    drawn = translations(120, seed=4)
    for name, texts in (("my.en", drawn.sources), ("my.xx", drawn.targets)):
        (tmp_path / name).write_text("\n".join(texts) + "\n")
    wiring = ["--attention", "bahdanau", "--cell", "gru"]
    report = run("--data", "my.en", "--target", "my.xx", "--reverse", *wiring)
    assert report["splits"] == {"train": 108, "validation": 6, "test": 6}
    assert 0 <= report["test"]["bleu"] <= 100
    assert (tmp_path / "run/plots/attention.png").exists()
    capsys.readouterr()
    assert main(["predict", "run", "--attention", drawn.targets[0]]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["attention"]["source"][-1] == "</s>"
    assert answer["nats"] < 0


QUESTIONS = {
    "Where is the station?": "Left of the old bridge.",
    "How much is the ticket?": "Two coins and a smile.",
    "Who are you?": "I am a small program.",
    "What time is it?": "Late, as always.",
    "Do you like music?": "Only at night.",
}


@pytest.mark.slow
def test_questions_and_answers_make_a_small_chatbot(tmp_path, capsys):
    """The same recipe, by its own options alone: polite variants of five questions are answered as
    their likes were."""
    politely = [
        "",
        "Please: ",
        "Tell me: ",
        "Hello! ",
        "Excuse me: ",
        "Now: ",
        "Say: ",
        "Well: ",
        "Hm: ",
        "Listen: ",
        "So: ",
        "Dear: ",
    ]
    rows = [
        (f"{word}{question}", answer) for word in politely for question, answer in QUESTIONS.items()
    ]
    pd.DataFrame(rows, columns=["question", "answer"]).to_json(
        "talk.jsonl", orient="records", lines=True
    )
    options = [
        "--data",
        "talk.jsonl",
        "--vocabulary-size",
        "120",
        "--embedding",
        "32",
        "--units",
        "48",
        "--dropout",
        "0.1",
    ]
    shape = [
        "--epochs",
        "60",
        "--least-steps",
        "0",
        "--batch-size",
        "8",
        "--no-baselines",
        "--learning-rate",
        "0.01",
        "--quiet",
    ]
    assert main(["run", "translation", "--output", "chat", *options, *shape]) == 0
    capsys.readouterr()
    asked = [f"Friend: {question}" for question in QUESTIONS]
    assert main(["predict", "chat", *asked]) == 0
    replies = [json.loads(line)["translation"] for line in capsys.readouterr().out.splitlines()]
    right = [one == other for one, other in zip(replies, QUESTIONS.values(), strict=True)]
    assert sum(right) >= 4, replies


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--attention", "none"],
        ["--input-feeding", "--depth", "2"],
    ],
    ids=" ".join,
)
def test_other_wirings_run_end_to_end(tmp_path, options, capsys):
    report = run("--data", own(tmp_path / "my.csv"), *options)
    assert 0 <= report["test"]["bleu"] <= 100
    assert (tmp_path / "run/plots/attention.png").exists() == ("none" not in options)
    capsys.readouterr()
    assert main(["predict", "run", "The tired dog helps a bird."]) == 0
    assert json.loads(capsys.readouterr().out)["nats"] < 0
    if "none" in options:
        assert main(["predict", "run", "--attention", "The dog."]) == 2
        assert (
            "--attention cannot be shown: the model was trained without" in capsys.readouterr().err
        )


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    """A run on a table of its own, with other subwords in every epoch."""
    folder = tmp_path_factory.mktemp("tiny")
    data = ["--data", str(own(folder / "my.csv"))]
    options = ["--epochs", "3", "--average", "2", "--subword-dropout", "0.1"]
    arguments = [*data, *TINY, *options]
    assert main(["run", "translation", "--output", str(folder / "run"), *arguments]) == 0
    return folder / "run", arguments


@pytest.mark.slow
def test_runs_on_other_subwords_cannot_be_an_ensemble(sample_run, tiny_run, capsys):
    folder, _ = sample_run
    other, _ = tiny_run
    capsys.readouterr()
    assert main(["predict", str(folder), "--ensemble", str(other), "The dog."]) == 2
    told = capsys.readouterr().err
    assert "--ensemble needs runs on the same training pairs as" in told
    assert f"{other} has other subwords" in told
    assert main(["predict", str(folder), "--ensemble", "nowhere", "The dog."]) == 2
    assert "nowhere holds no trained model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--data", "my.en", "--target", "short.de"],
            "my.en and short.de must have the same number of lines; received 4 and 3",
        ),
        (["--data", "my.en", "--target", "my.en"], "the targets of the train split must differ"),
        (
            ["--data", "my.csv", "--vocabulary-size", "9000"],
            "--vocabulary-size 9000 is more than the training text has subwords: at most",
        ),
        (
            ["--data", "my.csv", "--vocabulary-size", "12"],
            "--vocabulary-size 12 is less than the training text has characters",
        ),
        (["--data", "my.csv", "--source-column", "english"], "no column 'english'"),
        (
            ["--data", "my.csv", "--max-tokens", "2", "--vocabulary-size", "60"],
            "--max-tokens 2 leaves none of 108 training pairs",
        ),
        (["--data", "absent.csv"], "no such file or folder: absent.csv"),
        (
            ["--data", "my.csv", "--input-feeding", "--attention", "bahdanau"],
            "--input-feeding needs attention 'luong'; received 'bahdanau'",
        ),
        (
            ["--data", "my.csv", "--dropout", "1"],
            "--dropout must be at least 0 and below 1; received 1.0",
        ),
        (["--data", "my.csv", "--beam", "0"], "--beam must be at least 1; received 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_told_in_one_line_and_leaves_nothing_behind(
    tmp_path, arguments, message, capsys
):
    own(tmp_path / "my.csv")
    (tmp_path / "my.en").write_text("A dog.\nA cat.\nA bird.\nA boat.\n")
    (tmp_path / "short.de").write_text("Ein Hund.\nEine Katze.\nEin Vogel.\n")
    assert main(["run", "translation", "--output", "run", *SMALL, *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not Path("run").exists()


def test_empty_lines_are_dropped_in_pairs_and_counted(tmp_path, messages):
    drawn = translations(120, seed=4)
    (tmp_path / "my.en").write_text("\n".join(["", *drawn.sources[1:]]))
    (tmp_path / "my.xx").write_text("\n".join([*drawn.targets[:2], " ", *drawn.targets[3:]]))
    data = translation.load_data(
        replace(translation.SAMPLE, data="my.en", target="my.xx", vocabulary_size=60)
    )
    assert sum(map(len, (data.train, data.validation, data.test))) == 118
    assert "2 of 120 pairs have an empty side, and are left out: 1, 3" in messages.text


def test_long_pairs_are_left_out_of_training_alone(tmp_path, messages):
    drawn = translations(300, seed=4)
    drawn.sources[3] = " ".join(drawn.sources[:200])
    pd.DataFrame({"source": drawn.sources, "target": drawn.targets}).to_csv("my.csv", index=False)
    data = translation.load_data(replace(translation.SAMPLE, data="my.csv", vocabulary_size=60))
    whole = sum(map(len, (data.train, data.validation, data.test)))
    assert whole == 300 - (drawn.sources[3] not in data.validation.sources + data.test.sources)
    assert whole == 299, "the seed puts it into the training part"
    assert "training: 1 of 271 pairs are longer than 100 subwords" in messages.text


def test_nothing_is_fitted_on_validation_or_test(tmp_path):
    drawn = translations(200, seed=6)
    (tmp_path / "my").mkdir()
    for name, span, mark in (
        ("train", range(150), ""),
        ("validation", range(150, 170), "ξ "),
        ("test", range(170, 200), "ξ "),
    ):
        part = drawn.take(span)
        pd.DataFrame(
            {"source": [mark + text for text in part.sources], "target": part.targets}
        ).to_csv(f"my/{name}.csv", index=False)
    data = translation.load_data(replace(translation.SAMPLE, data="my", vocabulary_size=60))
    assert data.test.sources[0].startswith("ξ")
    assert data.source.unknown(data.test.sources[0]) == ["ξ"]
    assert data.source.unknown(" ".join(data.train.sources)) == []


@pytest.mark.slow
def test_killed_and_resumed_it_ends_with_the_same_numbers(tiny_run, monkeypatch):
    whole, arguments = tiny_run
    original = Keeper.on_epoch_end

    def killed(keeper, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt
        original(keeper, epoch, logs)

    monkeypatch.setattr(Keeper, "on_epoch_end", killed)
    assert main(["run", "translation", "--output", "cut", *arguments]) == 130
    monkeypatch.setattr(Keeper, "on_epoch_end", original)
    assert main(["run", "translation", "--output", "cut", "--resume", "--quiet"]) == 0
    reports = [json.loads((folder / "metrics.json").read_text()) for folder in (whole, Path("cut"))]
    assert reports[0]["test"] == reports[1]["test"]
    assert reports[0]["validation"] == reports[1]["validation"]


@pytest.mark.slow
def test_what_is_said_depends_on_the_order_of_the_source(sample_run):
    rows = translations(40, seed=80)
    reversed_words = [" ".join(reversed(text.split())) for text in rows.sources]
    found = [
        answer["translation"]
        for answer in translation.predict(load_bundle(sample_run[0]), [reversed_words])
    ]
    assert np.mean([one == other for one, other in zip(found, rows.targets, strict=True)]) < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("breakage", ["shuffled targets", "no attention"])
def test_the_score_falls_when_something_is_broken(breakage, tmp_path):
    """What holds the other tests up; and what attention is for: two epochs with it are enough for
    nearly all."""
    config = replace(
        translation.SAMPLE,
        epochs=2,
        average=1,
        attention="none" if breakage == "no attention" else "luong",
    )
    seed_everything(0)
    data = translation.load_data(config)
    data.validation = data.validation.take(range(50))  # which only the log hears of
    if breakage == "shuffled targets":
        data.train.targets = list(np.random.default_rng(0).permutation(data.train.targets))
    model = translation.build_model(config, data)
    translation.train(
        config, model, data, Run(recipe="translation", config=config, output="run", quiet=True)
    )
    data.test = data.test.take(range(200))
    assert translation.evaluate(config, model, data)["exact_match"] < 0.6


@pytest.mark.slow
def test_the_real_benchmark_end_to_end_in_small(data_dir, tmp_path):
    """Multi30k from disk, few pairs, a small network: the code of the recorded numbers."""
    config = translation.Config(
        data_dir=str(data_dir),
        vocabulary_size=1000,
        units=48,
        embedding=48,
        batch_size=16,
        epochs=3,
        least_steps=0,
        average=1,
    )
    data = translation.load_data(config)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [29000, 1014, 1000]
    data.train, data.validation, data.test = (
        data.train.take(range(4000)),
        data.validation.take(range(50)),
        data.test.take(range(50)),
    )
    seed_everything(0)
    model = translation.build_model(config, data)
    found = translation.train(
        config,
        model,
        data,
        Run(recipe="translation", config=config, output=tmp_path / "run", quiet=True),
    )
    losses = [row["val_loss"] for row in found["history"]]
    assert losses[-1] < losses[0] - 0.3
    assert translation.evaluate(config, model, data)["chrf"] > 8


def test_the_options_of_prediction_are_checked():
    with pytest.raises(InputError, match="n_best must be at least 1; received 0"):
        translation.Prediction(n_best=0)
