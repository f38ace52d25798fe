"""Training: the best weights, divergence, early stop, and a kill anywhere changes no number."""

import gc
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import fresh
import keras
import numpy as np
import pandas as pd
import pytest

from rnn_cookbook.encode.batches import Batches
from rnn_cookbook.errors import InputError
from rnn_cookbook.files import write_atomically
from rnn_cookbook.metrics import VAL_LOSS, Metric
from rnn_cookbook.nn.optimizers import LazyAdam
from rnn_cookbook.run import fit as training
from rnn_cookbook.run.folder import Run
from rnn_cookbook.tasks.classification.model import text_classifier


@dataclass(frozen=True)
class Config:
    data: str = "toy"
    seed: int = 0


RNG = np.random.default_rng(0)
TOKENS = [RNG.integers(2, 20, size=length) for length in RNG.integers(2, 12, size=120)]
TARGETS = np.eye(2, dtype=np.float32)[[int(tokens[0] > tokens[-1]) for tokens in TOKENS]]


def fit(
    folder,
    *,
    epochs=4,
    resume=False,
    learning_rate=0.02,
    patience=0,
    monitor=VAL_LOSS,
    scores=None,
    average=1,
):
    training.seed_everything(3)
    model = text_classifier(
        vocabulary_size=20,
        classes=2,
        embedding_size=8,
        units=6,
        word_dropout=0.1,
        dropout=0.3,
        pooling=["last"],
        cell="simple_rnn",
    )
    rate = (
        training.warmup_cosine(learning_rate, steps=epochs * 7)
        if math.isfinite(learning_rate)
        else learning_rate
    )
    model.compile(
        optimizer=LazyAdam(rate, clip_norm=1.0),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    run = Run(recipe="toy", config=Config(), output=folder, resume=resume, quiet=True)
    train = Batches(TOKENS[:100], TARGETS[:100], batch_size=16, shuffle=True)
    report = training.fit(
        model,
        train,
        Batches(TOKENS[100:], TARGETS[100:], batch_size=16),
        epochs=epochs,
        run=run,
        patience=patience,
        average=average,
        monitor=monitor,
        scores=scores,
        tensorboard=False,
    )
    return model, report


class Killed(Exception):
    """Stands for a kill: nothing of the process is left but its files."""


@pytest.fixture
def kill_after(monkeypatch):
    """Makes the training end with `Killed` after so many steps."""

    def install(steps):
        original, done = training.Keeper.on_train_batch_end, [0]

        def counted(self, batch, logs=None):
            original(self, batch, logs)
            done[0] += 1
            if done[0] > steps:
                raise Killed

        monkeypatch.setattr(training.Keeper, "on_train_batch_end", counted)

    return install


def without_times(report):
    return [
        {key: value for key, value in row.items() if key != "seconds"} for row in report["history"]
    ]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("whole") / "run")


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(3, id="first epoch", marks=pytest.mark.slow),
        pytest.param(7, id="between epochs"),
        pytest.param(18, id="third epoch", marks=pytest.mark.slow),
        pytest.param(27, id="last epoch", marks=pytest.mark.slow),
    ],
)
def test_a_kill_anywhere_changes_no_number(tmp_path, uninterrupted, steps, kill_after, monkeypatch):
    kill_after(steps)
    with pytest.raises(Killed):
        fit(tmp_path / "run")
    monkeypatch.undo()
    gc.collect()  # a killed process holds no lock; here the frames of the exception do
    model, report = fit(tmp_path / "run", resume=True)
    whole_model, whole = uninterrupted
    assert without_times(report) == without_times(whole)
    for one, two in zip(model.variables, whole_model.variables, strict=True):
        np.testing.assert_array_equal(np.array(one), np.array(two))
    assert pd.read_csv(tmp_path / "run/history.csv")["val_loss"].tolist() == pytest.approx(
        [row["val_loss"] for row in whole["history"]]
    )


@pytest.mark.slow
def test_streams_with_carried_states_train_and_resume_as_if_nothing_had_happened(
    tmp_path, kill_after, monkeypatch
):
    """The states of both phases are variables: checkpoints hold them."""
    from rnn_cookbook.encode.streams import Streams
    from rnn_cookbook.tasks.language.model import language_model

    def learn(folder, resume=False):
        training.seed_everything(3)
        model = language_model(
            vocabulary_size=20, embedding_size=8, units=8, depth=1, batch_size=4, weight_drop=0.2
        )
        model.compile(
            optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        run = Run(recipe="toy", config=Config(), output=folder, resume=resume, quiet=True)
        train, validation = (
            Streams(part, rows=4, window=5, shuffle=True) for part in (TOKENS[:80], TOKENS[80:])
        )
        report = training.fit(model, train, validation, epochs=3, run=run, tensorboard=False)
        return [np.array(variable) for variable in model.variables], [
            row["val_loss"] for row in report["history"]
        ]

    weights, losses = learn(tmp_path / "whole")
    kill_after(30)
    with pytest.raises(Killed):
        learn(tmp_path / "killed")
    monkeypatch.undo()
    gc.collect()  # a killed process holds no lock; here the frames of the exception do
    again, same = learn(tmp_path / "killed", resume=True)
    assert losses == same
    for left, right in zip(weights, again, strict=True):
        np.testing.assert_array_equal(left, right)
    assert losses[-1] < losses[0]


def test_same_seed_same_numbers(tmp_path, uninterrupted):
    assert without_times(fit(tmp_path / "run")[1]) == without_times(uninterrupted[1])


@pytest.mark.slow
def test_mixed_precision_trains_and_resumes(tmp_path, kill_after, monkeypatch):
    training.set_precision(True)
    try:
        _, whole = fit(tmp_path / "whole", epochs=2)
        kill_after(9)
        with pytest.raises(Killed):
            fit(tmp_path / "run", epochs=2)
        monkeypatch.undo()
        gc.collect()
        model, resumed = fit(tmp_path / "run", epochs=2, resume=True)
        assert model.get_layer("pooling").compute_dtype == "float16"
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        assert without_times(resumed) == without_times(whole)
    finally:
        training.set_precision(False)


def test_a_finished_training_is_not_repeated(tmp_path, uninterrupted, kill_after):
    fit(tmp_path / "run")
    kill_after(0)
    before = (tmp_path / "run/checkpoints/last.npz").read_bytes()
    model, report = fit(tmp_path / "run", resume=True)  # a single step would raise
    assert (tmp_path / "run/checkpoints/last.npz").read_bytes() == before
    assert without_times(report) == without_times(uninterrupted[1])
    np.testing.assert_array_equal(
        np.array(model.variables[0]), np.array(uninterrupted[0].variables[0])
    )


def test_scores_that_no_metric_can_say_choose_the_best_epoch(tmp_path):
    values = iter([0.2, 0.9, 0.4, 0.3])
    monitor = Metric("val_f1", higher_is_better=True)
    _, report = fit(tmp_path / "run", monitor=monitor, scores=lambda: {"val_f1": next(values)})
    assert report["best_epoch"] == 1
    assert [row["val_f1"] for row in report["history"]] == [0.2, 0.9, 0.4, 0.3]
    assert pd.read_csv(tmp_path / "run/history.csv")["val_f1"].tolist() == [0.2, 0.9, 0.4, 0.3]


@pytest.mark.parametrize(("name", "higher", "best"), [("val_chrf", True, 1), ("val_ter", False, 2)])
def test_the_metric_says_which_way_is_better_whatever_its_name(tmp_path, name, higher, best):
    values = iter([0.4, 0.9, 0.2, 0.3])
    monitor = Metric(name, higher_is_better=higher)
    _, report = fit(tmp_path / "run", monitor=monitor, scores=lambda: {name: next(values)})
    assert report["best_epoch"] == best


@pytest.mark.parametrize(
    "monitor", [pytest.param("val_loss", marks=pytest.mark.slow), "val_accuracy"]
)
def test_the_best_epoch_is_what_remains(tmp_path, monitor):
    metric = Metric(monitor, higher_is_better=monitor == "val_accuracy")
    model, report = fit(tmp_path / "run", epochs=8, learning_rate=0.3, monitor=metric)
    values = [row[monitor] for row in report["history"]]
    assert report["best_epoch"] == (
        np.argmin(values) if monitor == "val_loss" else np.argmax(values)
    )
    validation = Batches(TOKENS[100:], TARGETS[100:], batch_size=16)
    score = dict(
        zip(
            ["val_loss", "val_accuracy"],
            model.evaluate(validation.dataset(), verbose=0),
            strict=True,
        )
    )[monitor]
    assert score == pytest.approx(values[report["best_epoch"]], abs=1e-5)


@pytest.mark.slow
def test_the_mean_of_the_last_epochs_survives_a_kill(tmp_path, kill_after, monkeypatch):
    kill_after(24)  # in the fourth epoch of five, when the first has left the mean
    with pytest.raises(Killed):
        fit(tmp_path / "run", average=3, epochs=5)
    monkeypatch.undo()
    gc.collect()
    model, report = fit(tmp_path / "run", average=3, epochs=5, resume=True)
    assert report["averaged"] == 3
    with np.load(tmp_path / "run/checkpoints/last.npz") as arrays:
        for index, variable in enumerate(model.variables):
            three = [arrays[f"recent {number}/{index}"] for number in range(3)]
            np.testing.assert_array_equal(arrays[f"model/{index}"], three[-1])
            if "kernel" in variable.path:
                assert not np.array_equal(three[0], three[2])
                np.testing.assert_allclose(np.array(variable), sum(three) / 3, atol=1e-6)
            assert np.array(variable).dtype == three[0].dtype
    whole, _ = fit(tmp_path / "whole", average=3, epochs=5)
    for one, two in zip(model.variables, whole.variables, strict=True):
        np.testing.assert_array_equal(np.array(one), np.array(two))


def test_the_step_is_traced_once(tmp_path, monkeypatch):
    original, calls = keras.Model.train_step, []
    monkeypatch.setattr(
        keras.Model, "train_step", lambda self, data: calls.append(data) or original(self, data)
    )
    fit(tmp_path / "run", epochs=2)
    message = "variables that are made in the first step have TensorFlow trace it again: seconds"
    assert len(calls) == 1, message


@pytest.mark.slow
def test_patience_stops_after_so_many_epochs_without_a_better_one(tmp_path):
    _, report = fit(tmp_path / "run", epochs=30, learning_rate=0.5, patience=2)
    assert report["epochs"] == report["best_epoch"] + 3 < 30


def test_a_loss_that_is_not_a_number_is_told_and_costs_nothing_before(tmp_path):
    with pytest.raises(
        training.Diverged, match=r"not a number in epoch 1, step [12]; try a lower learning rate"
    ) as raised:
        fit(tmp_path / "run", learning_rate=float("nan"))
    assert raised.value.fields == ("learning_rate", "clip_norm")
    assert not (tmp_path / "run/checkpoints/last.npz").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1; received 0"),
        ({"average": 0}, "average must be at least 1; received 0"),
        ({"monitor": "val_chrf"}, "monitor must be a Metric.*received 'val_chrf'"),
        (
            {"monitor": Metric("val_bleu", higher_is_better=True)},
            "no metric 'val_bleu' in the history; it has .*val_accuracy",
        ),
    ],
)
def test_bad_arguments(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        fit(tmp_path / "run", **options)


@pytest.mark.slow
def test_a_full_device_in_the_middle_leaves_the_checkpoint_before(
    tmp_path, uninterrupted, monkeypatch
):
    """From the second epoch on the system refuses to write more than 2 kB to a file; then there is
    room again."""
    resource = pytest.importorskip("resource", reason="POSIX only")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    original = training.Keeper.on_epoch_end

    def no_room(self, epoch, logs=None):
        if epoch == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
        original(self, epoch, logs)

    monkeypatch.setattr(training.Keeper, "on_epoch_end", no_room)
    try:
        with pytest.raises(
            InputError,
            match=r"last.npz: File too large; what was saved before is untouched.*then resume",
        ):
            fit(tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    monkeypatch.undo()
    assert [file.name for file in (tmp_path / "run/checkpoints").iterdir()] == ["last.npz"]
    gc.collect()
    assert without_times(fit(tmp_path / "run", resume=True)[1]) == without_times(uninterrupted[1])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_no_space_left_on_the_device(tmp_path):
    """/dev/full takes nothing: the error of a full device itself, in the place of the file being
    written."""
    file = tmp_path / "a.txt"
    file.write_text("before")
    with pytest.raises(
        InputError, match=r"a.txt: No space left on device; what was saved before is untouched"
    ):
        write_atomically(
            file, lambda path: (path.symlink_to("/dev/full"), path.write_bytes(b"x" * 100_000))
        )
    assert file.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.slow
def test_a_checkpoint_of_a_model_with_fewer_weights_is_refused(tmp_path):
    fit(tmp_path / "run", epochs=1)
    checkpoint = tmp_path / "run/checkpoints/last.npz"
    arrays = dict(np.load(checkpoint))
    del arrays["model/0"]
    np.savez(checkpoint, **arrays)
    with pytest.raises(
        InputError,
        match=r"its model has \d+ arrays, expected \d+\. Another version",
    ):
        fit(tmp_path / "run", resume=True)


@pytest.mark.slow
def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    fit(tmp_path / "run", epochs=1)
    checkpoint = tmp_path / "run/checkpoints/last.npz"
    arrays = dict(np.load(checkpoint))
    arrays = {
        name: np.zeros((3, 3)) if array.shape == (20, 8) else array
        for name, array in arrays.items()
    }
    np.savez(checkpoint, **arrays)
    with pytest.raises(InputError, match=r"does not fit the model.*\(3, 3\), expected \(20, 8\)"):
        fit(tmp_path / "run", resume=True)


def test_learning_rate_rises_then_falls():
    rate = training.warmup_cosine(1.0, steps=100, warmup=0.1)
    values = [float(rate(step)) for step in range(101)]
    assert values[0] == 0
    assert max(values) == pytest.approx(1, abs=0.01)
    assert np.argmax(values) == 10
    assert values[100] == pytest.approx(0.02, abs=1e-3)


COMMAND = ["run", "sentiment", "--data", "sample", "--epochs", "3", "--no-baselines", "--quiet"]
COMMAND += ["--cell", "simple_rnn", "--no-bidirectional", "--units", "8", "--batch-size", "128"]


@pytest.mark.slow
def test_kill_9_and_resume_gives_the_same_numbers(tmp_path):
    """The real thing: SIGKILL in the second epoch of a run from the command line, then --resume."""
    assert fresh.run(*COMMAND, "--output", "whole").returncode == 0
    with fresh.started(*COMMAND, "--output", "killed") as process:
        deadline = time.monotonic() + 900
        while not Path("killed/checkpoints/last.npz").exists():
            assert process.is_alive(), "ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
        process.join()
    assert not Path("killed/metrics.json").exists()
    assert fresh.run(*COMMAND, "--output", "killed", "--resume").returncode == 0
    whole, killed = (
        json.loads(Path(name, "metrics.json").read_text()) for name in ("whole", "killed")
    )
    for key in ("test", "validation", "model", "splits"):
        assert whole[key] == killed[key]
    assert (
        Path("whole/predictions.jsonl").read_bytes()
        == Path("killed/predictions.jsonl").read_bytes()
    )
