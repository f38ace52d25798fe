"""Training that survives being killed: seeding, schedule, fit, early stopping, checkpoint and
resume."""

import json
import math
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary, ref

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log, write_atomically, write_text
from rnn_cookbook.nn.diagnostics import gpu_summary
from rnn_cookbook.run.folder import Run


def seed_everything(seed: int) -> None:
    """Same seed, same numbers on a CPU; on a GPU the fast kernels' sums may differ in the last
    digits."""
    keras.utils.set_random_seed(seed)
    gpus = [gpu.name for gpu in tf.config.list_physical_devices("GPU")]
    log.info("computing on %s", ", ".join(gpus) or "the CPU")
    if not gpus:
        tf.config.experimental.enable_op_determinism()


def set_precision(mixed: bool) -> None:
    """Half-precision arithmetic with float32 weights for GPUs; losses are scaled by Keras so that
    small gradients survive."""
    keras.mixed_precision.set_global_policy("mixed_float16" if mixed else "float32")


def warmup_cosine(
    peak: float, *, steps: int, warmup: float = 0.05
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Learning rate: linear from 0 to `peak` in the first `warmup` share of the steps, then a half
    cosine to a fiftieth of it."""
    rise = max(1, round(warmup * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - rise), alpha=0.02, warmup_target=peak, warmup_steps=rise
    )


class Plan(NamedTuple):
    """How long to train."""

    epochs: int
    steps: int  # of all the epochs
    patience: int  # epochs


def plan(config, *, examples: int) -> Plan:
    """`config.epochs` passes over so many examples, or as many as it takes to make
    `config.least_steps` steps of `config.batch_size`; the patience in proportion."""
    steps = -(-examples // config.batch_size)
    epochs = max(config.epochs, -(-config.least_steps // steps))
    return Plan(epochs, epochs * steps, config.patience * epochs // config.epochs)


class Diverged(InputError):
    """The loss is not a number any more."""


def fit(
    model: keras.Model,
    train,
    validation,
    *,
    epochs: int,
    run: Run,
    patience: int = 0,
    average: int = 1,
    monitor: str = "val_loss",
    scores: Callable[[], dict[str, float]] | None = None,
    tensorboard: bool = True,
) -> dict:
    """Trains `model`, keeps its best weights or the mean of its last ones, and can go on after a
    kill as if nothing had happened.

    After every epoch the weights, the optimizer's and the random generators' state, the weights to
    keep, and the history are written to `checkpoints/last.npz` in one atomic step. A resumed run
    starts with the first epoch that did not finish; the order of the batches depends on the epoch
    alone, so it ends with the numbers of an uninterrupted run.

    Args:
        model: compiled; built for the batches' shapes.
        train, validation: `encode.batches.Batches`, or anything with `dataset()`, `epoch` and
            `examples`.
        epochs: the most passes over the training data.
        run: where checkpoints, `history.csv` and TensorBoard logs go; says whether to resume and
            whether to be quiet.
        patience: stop after so many epochs without a better `monitor`; 0 goes through all the
            epochs.
        average: above 1 the model ends with the mean of its weights after the last so many epochs
            (checkpoint averaging, as in Vaswani et al. 2017) instead of those of the best epoch.
            Each of them goes into the checkpoint.
        monitor: what decides which weights are the best; smaller is better unless its name ends in
            accuracy, f1, auc or bleu.
        scores: called after every epoch for what no Keras metric can say, such as {"val_f1": ...}
            of whole entities.
        tensorboard: write logs to `run.path / "tensorboard"`.

    Returns:
        "history" (a list of one dictionary an epoch), "best_epoch" (from 0), "averaged" (the
        weights of how many epochs), "epochs", "seconds" (validation included; "seconds_here"
        without those before a resume) and "examples_per_second". The model has the weights that
        were kept.

    Raises:
        Diverged: the loss is not a number. The checkpoint of the epoch before stands.
    """
    if epochs < 1:
        raise InputError(f"training needs 1 epoch or more, got {epochs}")
    if average < 1:
        raise InputError(f"the mean is of 1 epoch or more, got average={average}")
    log.info("%s", gpu_summary(model))
    keeper = _Keeper(
        train=train,
        run=run,
        epochs=epochs,
        patience=patience,
        average=average,
        monitor=monitor,
        scores=scores,
    )
    model.optimizer.build(
        model.trainable_variables
    )  # else its variables are made in the first step, which TensorFlow then traces twice
    if run.resumed:
        keeper.restore(model)
    if not keeper.state["done"]:
        callbacks = [keeper]
        if tensorboard:
            callbacks.append(
                keras.callbacks.TensorBoard(str(run.path / "tensorboard"), write_graph=False)
            )
        try:
            # shuffle: the batches have their order already, and Keras warns that it cannot shuffle
            # a tf.data pipeline.
            model.fit(
                train.dataset(),
                validation_data=validation.dataset(),
                initial_epoch=len(keeper.state["history"]),
                epochs=epochs,
                callbacks=callbacks,
                shuffle=False,
                verbose=0 if run.quiet else 1 if sys.stdout.isatty() else 2,
            )
        except tf.errors.OpError as error:  # TensorBoard's writer has its own file system
            if not any(
                reason in str(error) for reason in ("No space left", "File too large", "Disk quota")
            ):
                raise
            raise InputError(
                f"could not write to {run.path}: {error.message}; the last checkpoint is untouched. Make room, then --resume"
            ) from error
    keeper.write_history()  # a kill may have come between the checkpoint and its history
    for variable, value in zip(model.variables, keeper.kept, strict=True):
        variable.assign(value)
    state = keeper.state
    return {
        "history": state["history"],
        "best_epoch": state["best_epoch"],
        "averaged": max(1, len(keeper.recent)),
        "epochs": len(state["history"]),
        "seconds": round(state["seconds"], 1),
        "seconds_here": round(keeper.seconds_here, 1),
        "examples_per_second": round(train.examples * len(state["history"]) / state["seconds"], 1),
    }


class _Keeper(keras.callbacks.Callback):
    """Batch order, divergence, best weights, early stopping and the checkpoint: what has to be
    resumed together is kept together."""

    def __init__(
        self,
        *,
        train,
        run: Run,
        epochs: int,
        patience: int,
        average: int,
        monitor: str,
        scores: Callable[[], dict[str, float]] | None,
    ):
        super().__init__()
        self.scores, self.average = scores, average
        self.train, self.run, self.epochs, self.patience, self.monitor = (
            train,
            run,
            epochs,
            patience,
            monitor,
        )
        self.sign = -1 if monitor.endswith(("accuracy", "f1", "auc", "bleu")) else 1
        self.state = {
            "history": [],
            "best": math.inf,
            "best_epoch": 0,
            "seconds": 0.0,
            "done": False,
        }
        self.kept: list[np.ndarray] = []  # what the model ends with
        self.recent: list[list[np.ndarray]] = []  # of the last epochs, where their mean is kept
        self.seconds_here = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self.train.epoch = epoch
        self.started = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise Diverged(
                f"the loss is not a number in epoch {len(self.state['history']) + 1}, step {batch + 1}: training diverged. Try a lower "
                f"--learning-rate, or --clip-norm 1. Nothing after epoch {len(self.state['history'])} was kept"
            )

    def on_epoch_end(self, epoch, logs=None):
        state = self.state
        if self.scores:
            logs.update(self.scores())
        seconds = time.perf_counter() - self.started
        state["seconds"] += seconds
        self.seconds_here += seconds
        row = {
            "epoch": epoch,
            **{name: float(value) for name, value in logs.items()},
            "seconds": round(state["seconds"], 2),
        }
        state["history"].append(row)
        if self.monitor not in row:
            raise InputError(
                f"nothing called {self.monitor!r} to choose the best epoch by; there is {', '.join(row)}"
            )
        if self.sign * row[self.monitor] < state["best"]:
            state["best"], state["best_epoch"] = self.sign * row[self.monitor], epoch
            if self.average == 1:
                self.kept = self._weights()
        elif not self.kept:
            raise Diverged(
                f"{self.monitor} is not a number after the first epoch: training diverged. Try a lower --learning-rate"
            )
        if self.average > 1:
            self.recent = [*self.recent, self._weights()][-self.average :]
            self.kept = _means(self.recent)
        waited = epoch - state["best_epoch"]
        if self.patience and waited >= self.patience:
            log.info(
                "no better %s for %d epochs: stopping, epoch %d is the best",
                self.monitor,
                waited,
                state["best_epoch"] + 1,
            )
            self.model.stop_training = True
        state["done"] = self.model.stop_training or epoch + 1 >= self.epochs
        self.save()

    def _weights(self) -> list[np.ndarray]:
        return [np.array(variable) for variable in self.model.variables]

    @property
    def file(self) -> Path:
        return self.run.path / "checkpoints" / "last.npz"

    def save(self) -> None:
        arrays = {"state": np.frombuffer(json.dumps(self.state).encode(), np.uint8)}
        for name, values in (
            ("model", self.model.variables),
            ("optimizer", self.model.optimizer.variables),
            ("best", self.kept),
        ):
            arrays |= {f"{name}/{index}": np.array(value) for index, value in enumerate(values)}
        for number, values in enumerate(self.recent):
            arrays |= {f"recent {number}/{index}": value for index, value in enumerate(values)}
        write_atomically(self.file, lambda path: np.savez(path, **arrays))
        self.write_history()

    def write_history(self) -> None:
        write_text(
            self.run.path / "history.csv", pd.DataFrame(self.state["history"]).to_csv(index=False)
        )

    def restore(self, model: keras.Model) -> None:
        if not self.file.exists():
            log.info("no epoch was finished: starting from the beginning")
            return
        with np.load(self.file, allow_pickle=False) as arrays:
            self.state = json.loads(arrays["state"].tobytes())
            for name, variables in (
                ("model", model.variables),
                ("optimizer", model.optimizer.variables),
            ):
                if (kept := sum(array.startswith(f"{name}/") for array in arrays.files)) != len(
                    variables
                ):
                    raise InputError(
                        f"{self.file} does not fit the model: its {name} has {kept} arrays, expected {len(variables)}. It was written by "
                        "another version of the recipe or the library; go on with that one, or start anew in another --output"
                    )
                for index, variable in enumerate(variables):
                    value = arrays[f"{name}/{index}"]
                    if value.shape != tuple(variable.shape):
                        raise InputError(
                            f"{self.file} does not fit the model: {variable.path} is {value.shape}, expected {tuple(variable.shape)}"
                        )
                    variable.assign(value)
            self.kept = [arrays[f"best/{index}"] for index in range(len(model.variables))]
            numbers = range(
                len({name.split("/")[0] for name in arrays.files if name.startswith("recent ")})
            )
            self.recent = [
                [arrays[f"recent {number}/{index}"] for index in range(len(self.kept))]
                for number in numbers
            ]
        log.info("going on after epoch %d of %d", len(self.state["history"]), self.epochs)


def _means(weights: list[list[np.ndarray]]) -> list[np.ndarray]:
    """Of each variable the mean; of what is not a floating-point number, such as a random
    generator's state, the last."""
    return [
        np.mean(values, axis=0, dtype=values[0].dtype)
        if np.issubdtype(values[0].dtype, np.floating)
        else values[-1]
        for values in zip(*weights, strict=True)
    ]


_FORWARD: WeakKeyDictionary = WeakKeyDictionary()


def _forward(model: keras.Model) -> Callable:
    if model not in _FORWARD:  # tracing anew for every call would cost more than a small batch
        # Through a reference, or what is kept by the model would keep the model for ever; and as a
        # partial, for TensorFlow counts the tracings of a function or lambda by its code, and would
        # warn of the fifth of several models' first calls.
        _FORWARD[model] = tf.function(partial(_answer, ref(model)), reduce_retracing=True)
    return _FORWARD[model]


def _answer(alive: ref, inputs):
    return alive()(inputs, training=False)


def predict(
    model: keras.Model, batches, *, progress: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """The model's outputs in the order of the sequences: float32[examples, ...]. `progress` gets
    the batches done and their number."""
    outputs = []
    for batch in batches.dataset():
        outputs.append(_forward(model)(batch[0] if isinstance(batch, tuple) else batch).numpy())
        if progress:
            progress(len(outputs), len(batches))
    return batches.in_order(np.concatenate(outputs))


def predict_sequences(model: keras.Model, batches) -> list:
    """The model's outputs step by step, in the order of the sequences: one [time, ...] an example,
    without its padding.

    Where the model puts out a dictionary, so does each example.
    """
    found: list = [None] * len(batches.lengths)
    for indices, batch in zip(batches.plan(), batches.dataset(), strict=True):
        outputs = keras.tree.map_structure(
            np.asarray, _forward(model)(batch[0] if isinstance(batch, tuple) else batch)
        )
        for row, index in enumerate(indices):
            length = batches.lengths[index]
            found[index] = keras.tree.map_structure(
                lambda x, row=row, length=length: x[row, :length], outputs
            )
    return found
