"""The sentiment recipe: it learns what only order tells, on the sample, and works on everybody's
own files."""

import json
from dataclasses import replace
from pathlib import Path

import fresh
import numpy as np
import pandas as pd
import pytest
from conftest import run_sample
from rnn_cookbook.recipes import sentiment

from rnn_cookbook.cli.main import main
from rnn_cookbook.data.texts import Texts
from rnn_cookbook.errors import InputError
from rnn_cookbook.run.fit import plan, seed_everything
from rnn_cookbook.run.folder import Run
from rnn_cookbook.tasks.classification import sample
from rnn_cookbook.tasks.classification.sample import REVIEW_NOISE, reviews

OPTIMUM = 1 - REVIEW_NOISE
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
    "simple_rnn",
    "--no-bidirectional",
    "--quiet",
]


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory):
    """One run of the sample by the command line, in a process of its own."""
    return run_sample("sentiment", tmp_path_factory)


def test_the_sample_is_learnt_to_its_known_optimum(sample_run):
    folder, _ = sample_run
    report = json.loads((folder / "metrics.json").read_text())
    assert abs(report["test"]["accuracy"] - OPTIMUM) <= 0.03
    best = max(score["accuracy"] for score in report["baselines"].values())
    assert report["test"]["accuracy"] - best >= 0.1
    assert report["training"]["peak_memory_mb"] < 1500


def test_the_run_folder_holds_what_is_promised(sample_run):
    folder, _ = sample_run
    report = json.loads((folder / "metrics.json").read_text())
    assert {
        "recipe",
        "data",
        "seed",
        "splits",
        "test",
        "validation",
        "baselines",
        "model",
        "training",
        "environment",
    } <= set(report)
    assert set(report["test"]) == {
        "accuracy",
        "macro_f1",
        "roc_auc",
        "calibration_error",
        "log_loss",
    }
    for name in (
        "config.json",
        "history.csv",
        "predictions.jsonl",
        "mistakes.txt",
        "log.txt",
        "model/bundle.json",
        "checkpoints/last.npz",
    ):
        assert (folder / name).stat().st_size > 0
    for plot in ("training", "confusion", "accuracy_by_length"):
        assert (folder / f"plots/{plot}.png").read_bytes().startswith(b"\x89PNG")
    assert list((folder / "tensorboard").rglob("events*"))
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == report["splits"]["test"]
    assert np.mean([row["label"] == row["predicted"] for row in rows]) == pytest.approx(
        report["test"]["accuracy"], abs=1e-4
    )
    assert not list(folder.rglob(".partial-*"))


def test_it_says_plainly_who_wins_and_makes_no_noise(sample_run):
    _, ended = sample_run
    assert "the model wins against the best baseline, nb_lr, by" in ended.stdout
    for noise in ("Warning", "WARNING", "E0000", "I0000", "oneDNN", "cuda"):
        assert noise not in ended.stderr + ended.stdout


def predict(folder, *arguments, **options):
    return fresh.run("predict", folder, *arguments, text=False, **options)


def test_predict_understands_negation_and_contrast_in_a_new_process(sample_run):
    folder, _ = sample_run
    texts = [
        "the plot was not very good .",
        "the plot was very good .",
        "the plot was good . but the acting was awful .",
        "",
        "the acting was awful , although the plot was good .",
    ]
    ended = predict(folder, *texts)
    assert ended.returncode == 0, ended.stderr
    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [answer["label"] for answer in answers] == [
        "negative",
        "positive",
        "negative",
        None,
        "negative",
    ]
    assert answers[3]["error"] == "no word in the text"
    assert sum(answers[0]["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert ended.stderr == b""


def test_predict_reads_files_and_standard_input_alike(sample_run, tmp_path):
    folder, _ = sample_run
    texts = reviews(150, seed=9).texts
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n")
    from_file = predict(folder, "--input", str(tmp_path / "texts.txt")).stdout
    from_pipe = predict(folder, input=(tmp_path / "texts.txt").read_bytes()).stdout
    one, two = ([json.loads(line) for line in out.splitlines()] for out in (from_file, from_pipe))
    assert [answer["text"] for answer in one] == texts
    for a, b in zip(one, two, strict=True):
        assert a["label"] == b["label"]
        assert a["probabilities"]["positive"] == pytest.approx(
            b["probabilities"]["positive"], abs=1e-4
        )


def test_predict_needs_no_training_data_and_takes_a_million_words(sample_run, tmp_path):
    folder, _ = sample_run
    (tmp_path / "long.txt").write_text("the plot was good . " * 200_000 + "\n")
    ended = predict(folder / "model", "--input", str(tmp_path / "long.txt"))
    assert json.loads(ended.stdout)["label"] in ("negative", "positive")


# Own data


def own(path: Path, classes=("so-so", "10/10", "nö"), count=60) -> Path:
    rows = [
        (f"word{i % len(classes)} and filler {i % 7}", classes[i % len(classes)])
        for i in range(count)
    ]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(path, index=False)
    return path


def run(*arguments) -> dict:
    assert main(["run", "sentiment", "--output", "out", *TINY, *arguments]) == 0
    return json.loads(Path("out/metrics.json").read_text())


def test_many_classes_with_any_names_from_one_file(tmp_path, capsys):
    report = run("--data", str(own(tmp_path / "own.csv")))
    assert report["splits"] == {"train": 43, "validation": 5, "test": 12, "unlabelled": 0}
    assert json.loads((tmp_path / "out/model/bundle.json").read_text())["facts"]["classes"] == [
        "10/10",
        "nö",
        "so-so",
    ]
    capsys.readouterr()
    assert main(["predict", "out", "word2 and filler 1"]) == 0
    assert set(json.loads(capsys.readouterr().out)["probabilities"]) == {"so-so", "10/10", "nö"}


@pytest.mark.slow
def test_train_test_and_unlabelled_files(tmp_path):
    (tmp_path / "data").mkdir()
    own(tmp_path / "data/train.csv", count=90)
    own(tmp_path / "data/test.csv", count=30)
    (tmp_path / "more.txt").write_text("word1 again\nword2 again\n" * 30)
    report = run("--data", "data", "--unlabelled", "more.txt", "--no-baselines")
    assert report["splits"] == {"train": 81, "validation": 9, "test": 30, "unlabelled": 60}
    assert report["baselines"] == {}


@pytest.mark.slow
def test_class_folders(tmp_path):
    for label in ("ham", "spam"):
        (tmp_path / "mail" / label).mkdir(parents=True)
        for i in range(20):
            (tmp_path / "mail" / label / f"{i}.txt").write_text(f"{label} words {i}")
    assert run("--data", "mail", "--no-baselines")["splits"]["test"] == 8


def test_a_class_that_only_the_test_file_has(tmp_path):
    (tmp_path / "data").mkdir()
    own(tmp_path / "data/train.csv")
    own(tmp_path / "data/test.csv", classes=("so-so", "awful"))
    with pytest.raises(
        InputError,
        match="test split has classes that the training split lacks: awful; "
        "training has 10/10, nö, so-so",
    ):
        sentiment.load_data(sentiment.Config(data="data"))


def test_nothing_is_fitted_on_test_or_validation(monkeypatch):
    original = reviews

    def marked(count, *, seed):  # a word that only the validation and test splits have
        drawn = original(count, seed=seed)
        return Texts(
            [*drawn.texts[:4000], *(f"zebra {text}" for text in drawn.texts[4000:])], drawn.labels
        )

    monkeypatch.setattr(sample, "reviews", marked)
    data = sentiment.load_data(sentiment.SAMPLE)
    assert data.test.texts[0].startswith("zebra")
    assert data.validation.texts[0].startswith("zebra")
    train_words = {word for text in data.train.texts for word in text.split()}
    assert set(data.encoder.vocabulary) <= train_words
    assert "zebra" not in data.encoder.vocabulary


@pytest.mark.slow
@pytest.mark.parametrize("breakage", ["shuffled labels", "reversed time"])
def test_the_score_falls_when_something_is_broken(breakage, monkeypatch):
    """What holds the other tests up: a model trained on shuffled labels, or asked about reversed
    reviews, is found out."""
    config = replace(sentiment.SAMPLE, baselines=False)
    seed_everything(0)
    data = sentiment.load_data(config)
    if breakage == "shuffled labels":
        rng = np.random.default_rng(0)
        data.train.labels = list(rng.permutation(data.train.labels))
    model = sentiment.build_model(config, data)
    sentiment.train(
        config, model, data, Run(recipe="sentiment", config=config, output="run", quiet=True)
    )
    if breakage == "reversed time":
        data.test.texts = [" ".join(reversed(text.split())) for text in data.test.texts]
    assert sentiment.evaluate(config, model, data)["accuracy"] < OPTIMUM - 0.15


def test_basic_setting_is_the_example_that_everyone_starts_with(tmp_path):
    data = replace(
        sentiment.load_data(replace(sentiment.BASIC, data=str(own(tmp_path / "own.csv"))))
    )
    model = sentiment.build_model(sentiment.BASIC, data)
    names = [layer.__class__.__name__ for layer in model.layers if layer.count_params()]
    assert names == ["Embedding", "SimpleRNN", "Dense"]
    assert sentiment.BASIC.vocabulary + 2 == 10_000
    assert sentiment.BASIC.unlabelled == "none"
    assert (sentiment.BASIC.max_tokens, sentiment.BASIC.keep, sentiment.BASIC.pooling) == (
        100,
        "tail",
        "last",
    )


def test_small_data_gets_more_epochs(tmp_path):
    config = sentiment.Config(data=str(own(tmp_path / "own.csv", count=100)), batch_size=10)
    data = sentiment.load_data(config)
    assert plan(config, examples=len(data.train)) == (38, 304, 19)  # 72 texts are 8 steps an epoch
    assert plan(replace(config, least_steps=0), examples=len(data.train)) == (4, 32, 2)


@pytest.mark.slow
def test_labels_that_mean_something_to_plots_and_files(tmp_path):
    """Classes called like formulas, and many of them."""
    run(
        "--data",
        str(own(tmp_path / "own.csv", classes=[f"${i} x_{{$" for i in range(45)], count=450)),
        "--no-baselines",
    )
    assert Path("out/plots/confusion.png").stat().st_size < 2_000_000


def test_the_vocabulary_of_own_data_comes_from_its_training_part(tmp_path):
    rows = [(f"own{i} {'good' if i % 2 else 'bad'}", str(i % 2)) for i in range(100)]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(tmp_path / "own.csv", index=False)
    data = sentiment.load_data(sentiment.Config(data="own.csv", min_count=1))
    own_words = {text.split()[0] for text in data.train.texts}
    assert set(data.encoder.vocabulary) == own_words | {"good", "bad"}
    assert len(own_words) == 72


@pytest.mark.slow
def test_the_real_benchmark_end_to_end_in_small(data_dir, tmp_path):
    """IMDb from disk, with everything on but few texts: the code that the recorded numbers come
    from."""
    config = replace(
        sentiment.Config(),
        data_dir=str(data_dir),
        epochs=4,
        least_steps=0,
        units=16,
        embedding=32,
        learning_rate=1e-2,
    )
    data = sentiment.load_data(config)
    assert [len(part) for part in (data.train, data.validation, data.test, data.unlabelled)] == [
        22500,
        2500,
        25000,
        50000,
    ]
    for part, count in (("train", 4000), ("validation", 300), ("test", 500)):
        setattr(data, part, getattr(data, part).take(range(count)))
    data.unlabelled.texts = data.unlabelled.texts[:4000]
    seed_everything(0)
    model = sentiment.build_model(config, data)
    sentiment.train(
        config,
        model,
        data,
        Run(recipe="sentiment", config=config, output=tmp_path / "run", quiet=True),
    )
    assert sentiment.evaluate(config, model, data)["accuracy"] > 0.7
