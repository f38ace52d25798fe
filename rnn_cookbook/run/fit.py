"""Training that survives being killed: seeding, schedule, fit, early stopping, checkpoint and
resume."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log, write_atomically, write_text
from rnn_cookbook.metrics import VAL_LOSS, Metric
from rnn_cookbook.nn.diagnostics import gpu_summary
from rnn_cookbook.run.folder import Run

__all__ = [
    "Diverged",
    "Keeper",
    "Plan",
    "TrainingBatches",
    "TrainingLength",
    "fit",
    "plan",
    "seed_everything",
    "set_precision",
    "warmup_cosine",
]

# What TensorBoard's writer, which has its own file system, says where a device is full.
_FULL_DEVICE = ("No space left", "File too large", "Disk quota")


class TrainingBatches(Protocol):
    """What `fit` trains on: batches whose order depends on the epoch alone."""

    epoch: int

    @property
    def examples(self) -> int:
        """Number of examples of an epoch."""
        ...

    def dataset(self) -> tf.data.Dataset:
        """The batches of the current epoch: inputs and targets."""
        ...


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy and TensorFlow: same seed, same numbers on a CPU; on a GPU the sums of
    the fast kernels may differ in the last digits."""
    keras.utils.set_random_seed(seed)
    gpus = [gpu.name for gpu in tf.config.list_physical_devices("GPU")]
    log.info("computing on %s", ", ".join(gpus) or "the CPU")
    if not gpus:
        tf.config.experimental.enable_op_determinism()


def set_precision(mixed: bool) -> None:
    """Chooses half-precision arithmetic with float32 weights, for GPUs, or full precision.

    Keras scales the losses so that small gradients survive half precision.
    """
    keras.mixed_precision.set_global_policy("mixed_float16" if mixed else "float32")


def warmup_cosine(
    peak: float, *, steps: int, warmup: float = 0.05
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Makes a learning-rate schedule: a linear rise, then half a cosine to a fiftieth of the peak.

    Args:
        peak: highest learning rate.
        steps: number of optimizer steps of the training.
        warmup: fraction of the steps in which the rate rises from 0.
    """
    rise = max(1, round(warmup * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - rise), alpha=0.02, warmup_target=peak, warmup_steps=rise
    )


class Plan(NamedTuple):
    """How long to train."""

    epochs: int
    steps: int  # over all epochs
    patience: int  # epochs


class TrainingLength(Protocol):
    """The settings that `plan` reads."""

    @property
    def epochs(self) -> int:
        """Passes over the training examples."""
        ...

    @property
    def least_steps(self) -> int:
        """Minimum number of optimizer steps."""
        ...

    @property
    def batch_size(self) -> int:
        """Examples per step."""
        ...

    @property
    def patience(self) -> int:
        """Epochs without a better score before a stop."""
        ...


def plan(config: TrainingLength, *, examples: int) -> Plan:
    """Plans `config.epochs` passes over the examples, or as many as it takes to make
    `config.least_steps` optimizer steps; the patience grows in proportion.

    Args:
        config: settings with `epochs`, `least_steps`, `batch_size` and `patience`.
        examples: number of training examples.
    """
    steps = math.ceil(examples / config.batch_size)
    epochs = max(config.epochs, math.ceil(config.least_steps / steps))
    return Plan(epochs, epochs * steps, config.patience * epochs // config.epochs)


class Diverged(InputError):
    """The loss is not a number any more."""


def fit(
    model: keras.Model,
    train: TrainingBatches,
    validation: TrainingBatches,
    *,
    epochs: int,
    run: Run,
    patience: int = 0,
    average: int = 1,
    monitor: Metric = VAL_LOSS,
    scores: Callable[[], dict[str, float]] | None = None,
    tensorboard: bool = True,
) -> dict:
    """Trains `model`, keeps its best weights or the mean of its last ones, and can be resumed after
    a kill as if nothing had happened.

    After every epoch the weights, the state of the optimizer and of the random generators, the
    weights to keep, and the history are written to `checkpoints/last.npz` in one atomic step. A
    resumed run starts with the first epoch that did not finish. The order of the batches depends
    on the epoch alone, so a resumed run ends with the numbers of an uninterrupted one.

    Args:
        model: compiled model, built for the shapes of the batches.
        train: training batches; their `epoch` is set before each epoch.
        validation: validation batches.
        epochs: maximum number of passes over the training data.
        run: folder of the checkpoints, `history.csv` and TensorBoard logs; says whether to resume
            and whether to be quiet.
        patience: epochs without a better `monitor` after which training stops; 0 never stops early.
        average: number of last epochs over whose weights the model ends with the mean (checkpoint
            averaging, as in Vaswani et al. 2017); 1 keeps the weights of the best epoch instead.
            The weights of all these epochs are part of the checkpoint.
        monitor: metric of the history that decides which epoch is the best, such as
            `Metric("val_f1", higher_is_better=True)`.
        scores: function called after every epoch for what no Keras metric can say, such as
            {"val_f1": ...} of whole entities.
        tensorboard: whether logs are written to `run.path / "tensorboard"`.

    Returns:
        "history" (one dictionary per epoch), "best_epoch" (from 0), "averaged" (number of epochs
        whose weights were averaged), "epochs", "seconds" (of all epochs, validation included) and
        "examples_per_second". The model has the weights that were kept.

    Raises:
        InputError: no epoch, nothing to average, a `monitor` that is no Metric or that the history
            lacks, a checkpoint of another model, or a full device.
        Diverged: the loss is not a number. The checkpoint of the epoch before remains.
    """
    if epochs < 1:
        raise InputError(f"epochs must be at least 1; received {epochs}", field="epochs")
    if average < 1:
        raise InputError(f"average must be at least 1; received {average}", field="average")
    if not isinstance(monitor, Metric):
        raise InputError(
            f"monitor must be a Metric, which says which way is better; received {monitor!r}"
        )
    log.info("%s", gpu_summary(model))
    keeper = Keeper(
        train=train,
        run=run,
        epochs=epochs,
        patience=patience,
        average=average,
        monitor=monitor,
        scores=scores,
    )
    # Else its variables are made in the first step, which TensorFlow then traces twice.
    model.optimizer.build(model.trainable_variables)
    if run.resumed:
        keeper.restore(model)
    if not keeper.state["done"]:
        _train(model, train, validation, keeper=keeper, run=run, tensorboard=tensorboard)
    keeper.write_history()  # a kill may have come between the checkpoint and its history
    for variable, value in zip(model.variables, keeper.kept, strict=True):
        variable.assign(value)
    state = keeper.state
    finished = len(state["history"])
    return {
        "history": state["history"],
        "best_epoch": state["best_epoch"],
        "averaged": max(1, len(keeper.recent)),
        "epochs": finished,
        "seconds": round(state["seconds"], 1),
        "examples_per_second": round(train.examples * finished / state["seconds"], 1),
    }


def _train(
    model: keras.Model,
    train: TrainingBatches,
    validation: TrainingBatches,
    *,
    keeper: Keeper,
    run: Run,
    tensorboard: bool,
) -> None:
    callbacks: list[keras.callbacks.Callback] = [keeper]
    if tensorboard:
        folder = str(run.path / "tensorboard")
        callbacks.append(keras.callbacks.TensorBoard(folder, write_graph=False))
    verbose: Any = 0  # Keras declares a text and takes numbers, too
    if not run.quiet:
        verbose = 1 if sys.stdout.isatty() else 2
    try:
        model.fit(
            train.dataset(),
            validation_data=validation.dataset(),
            initial_epoch=len(keeper.state["history"]),
            epochs=keeper.epochs,
            callbacks=callbacks,
            # The batches have their order already, and Keras warns that it cannot shuffle a
            # tf.data pipeline.
            shuffle=False,
            verbose=verbose,
        )
    except tf.errors.OpError as error:
        if not any(reason in str(error) for reason in _FULL_DEVICE):
            raise
        raise InputError(
            f"could not write to {run.path}: {error.message}; the last checkpoint is untouched. "
            "Make room, then resume",
            field="resume",
        ) from error


class Keeper(keras.callbacks.Callback):
    """Batch order, divergence, best weights, early stopping and the checkpoint: what has to be
    resumed together is kept together."""

    def __init__(
        self,
        *,
        train: TrainingBatches,
        run: Run,
        epochs: int,
        patience: int,
        average: int,
        monitor: Metric,
        scores: Callable[[], dict[str, float]] | None,
    ):
        super().__init__()
        self.train = train
        self.run = run
        self.epochs = epochs
        self.patience = patience
        self.average = average
        self.monitor = monitor
        self.scores = scores
        self.state: dict[str, Any] = {
            "history": [],
            "best": math.inf,
            "best_epoch": 0,
            "seconds": 0.0,
            "done": False,
        }
        self.kept: list[np.ndarray] = []  # what the model ends with
        self.recent: list[list[np.ndarray]] = []  # of the last epochs, where their mean is kept
        self.started = 0.0

    @property
    def trained(self) -> keras.Model:
        """The model, which Keras sets before training begins."""
        assert self.model is not None
        return self.model

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.train.epoch = epoch
        self.started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if not math.isfinite((logs or {})["loss"]):
            finished = len(self.state["history"])
            raise Diverged(
                f"training diverged: the loss is not a number in epoch {finished + 1}, step "
                f"{batch + 1}; try a lower learning rate, or gradients clipped to norm 1. Nothing "
                f"after epoch {finished} was kept",
                field=("learning_rate", "clip_norm"),
            )

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        scores = self.scores() if self.scores else {}
        state = self.state
        state["seconds"] += time.perf_counter() - self.started
        row: dict[str, Any] = {"epoch": epoch}
        for name, value in {**(logs or {}), **scores}.items():
            row[name] = float(value)
        row["seconds"] = round(state["seconds"], 2)
        state["history"].append(row)
        self._keep_weights(epoch, row)
        waited = epoch - state["best_epoch"]
        if self.patience and waited >= self.patience:
            log.info(
                "no better %s for %d epochs: stopping, epoch %d is the best",
                self.monitor.name,
                waited,
                state["best_epoch"] + 1,
            )
            self.trained.stop_training = True
        state["done"] = self.trained.stop_training or epoch + 1 >= self.epochs
        self.save()

    def _keep_weights(self, epoch: int, row: dict[str, Any]) -> None:
        name = self.monitor.name
        if name not in row:
            raise InputError(f"no metric {name!r} in the history; it has {', '.join(row)}")
        state = self.state
        # Checkpoints hold the score so that smaller is better; at first the best one is infinite.
        badness = -row[name] if self.monitor.higher_is_better else row[name]
        if badness < state["best"]:
            state["best"] = badness
            state["best_epoch"] = epoch
            if self.average == 1:
                self.kept = self._weights()
        elif not self.kept:
            raise Diverged(
                f"training diverged: {name} is not a number after the first epoch; try a lower "
                "learning rate",
                field="learning_rate",
            )
        if self.average > 1:
            self.recent = [*self.recent, self._weights()][-self.average :]
            self.kept = _means(self.recent)

    def _weights(self) -> list[np.ndarray]:
        return [np.array(variable) for variable in self.trained.variables]

    @property
    def file(self) -> Path:
        """The checkpoint's file."""
        return self.run.path / "checkpoints" / "last.npz"

    def save(self) -> None:
        """Writes the checkpoint and the history."""
        groups = {
            "model": self.trained.variables,
            "optimizer": self.trained.optimizer.variables,
            "best": self.kept,
        }
        for number, values in enumerate(self.recent):
            groups[f"recent {number}"] = values
        arrays: dict[str, Any] = {"state": np.frombuffer(json.dumps(self.state).encode(), np.uint8)}
        for name, values in groups.items():
            for index, value in enumerate(values):
                arrays[f"{name}/{index}"] = np.array(value)
        write_atomically(self.file, lambda path: np.savez(path, **arrays))
        self.write_history()

    def write_history(self) -> None:
        """Writes `history.csv`: a row per epoch."""
        table = pd.DataFrame(self.state["history"])
        write_text(self.run.path / "history.csv", table.to_csv(index=False))

    def restore(self, model: keras.Model) -> None:
        """Reads the checkpoint of an unfinished run back into a model, where there is one."""
        if not self.file.exists():
            log.info("no epoch was finished: starting from the beginning")
            return
        with np.load(self.file, allow_pickle=False) as arrays:
            self.state = json.loads(arrays["state"].tobytes())
            self.run.seconds_before = self.state["seconds"]
            self._assign(model.variables, arrays, "model")
            self._assign(model.optimizer.variables, arrays, "optimizer")
            count = len(model.variables)
            self.kept = [arrays[f"best/{index}"] for index in range(count)]
            recent = {name.split("/")[0] for name in arrays.files if name.startswith("recent ")}
            self.recent = [
                [arrays[f"recent {number}/{index}"] for index in range(count)]
                for number in range(len(recent))
            ]
        log.info("resuming after epoch %d of %d", len(self.state["history"]), self.epochs)

    def _assign(self, variables: list, arrays: Any, name: str) -> None:
        kept = sum(array.startswith(f"{name}/") for array in arrays.files)
        if kept != len(variables):
            raise InputError(
                f"{self.file} does not fit the model: its {name} has {kept} arrays, expected "
                f"{len(variables)}. Another version of the recipe or the library wrote it: resume "
                "with that one, or start anew in another folder",
                field="output",
            )
        for index, variable in enumerate(variables):
            value = arrays[f"{name}/{index}"]
            expected = tuple(variable.shape)
            if value.shape != expected:
                raise InputError(
                    f"{self.file} does not fit the model: {variable.path} is {value.shape}, "
                    f"expected {expected}"
                )
            variable.assign(value)


def _means(weights: list[list[np.ndarray]]) -> list[np.ndarray]:
    """The mean of each variable; the last value of what is not a floating-point number, such as the
    state of a random generator."""
    return [
        np.mean(values, axis=0, dtype=values[0].dtype)
        if np.issubdtype(values[0].dtype, np.floating)
        else values[-1]
        for values in zip(*weights, strict=True)
    ]
