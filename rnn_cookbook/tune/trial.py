"""One configuration of a recipe, trained and scored on validation in its own process: whatever
breaks there breaks nothing else."""

from __future__ import annotations

import json
import logging
import math
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log_to_console, write_json
from rnn_cookbook.metrics import VAL_LOSS
from rnn_cookbook.quiet import quiet_tensorflow
from rnn_cookbook.recipe import Recipe, load_recipe
from rnn_cookbook.run.fit import seed_everything
from rnn_cookbook.run.folder import Run, changes, peak_memory_mb

with quiet_tensorflow():
    import tensorflow as tf

__all__ = ["processes", "score_names", "train_apart"]

_RESULT = "result.json"
_KILLED = -9  # exit code of a process that the system kills, mostly for its memory
_HEARTBEAT = 2.0  # seconds between two calls of `alive`


def _read(file: Path) -> dict[str, Any]:
    """The contents of a JSON file; nothing of a file that is absent or damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _end_with_parent() -> None:
    """Ends this process when its parent ends: an orphan would continue to train, and lock the
    folder against whoever resumes the search."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _write_hparams(folder: Path, values: Mapping[str, Any], scores: Mapping[str, float]) -> None:
    """Writes what TensorBoard's HParams page reads."""
    from tensorboard.plugins.hparams import api

    with tf.summary.create_file_writer(str(folder / "hparams")).as_default():
        api.hparams(values, trial_id=folder.name)
        for name, value in scores.items():
            tf.summary.scalar(name, value, step=0)


def _trained(
    given: str, settings: Mapping[str, Any], folder: Path, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Trains and scores a configuration in this process."""
    started = time.perf_counter()
    recipe = load_recipe(given)
    config = recipe.Config(**settings)
    place = folder / "run"
    resume = (place / "config.json").exists()
    run = Run(recipe=recipe.name, config=config, output=place, resume=resume, quiet=True)
    seed_everything(config.seed)
    data = recipe.module.load_data(config)
    with run.training_clock():
        model = recipe.module.build_model(config, data)
        history = recipe.module.train(config, model, data, run)
    measured = dict(recipe.module.evaluate(config, model, data, split="validation"))
    losses = [row[VAL_LOSS.name] for row in history["history"] if VAL_LOSS.name in row]
    if losses:
        measured[VAL_LOSS.name] = losses[history["best_epoch"]]
    scores = {
        name: float(value) for name, value in measured.items() if isinstance(value, int | float)
    }
    if not all(map(math.isfinite, scores.values())):
        return {"error": f"scores that are no numbers: {scores}"}
    if values:
        _write_hparams(folder, values, scores)
    return {
        "scores": scores,
        "seconds": round(time.perf_counter() - started, 2),
        "epochs": history["epochs"],
        "seconds_an_epoch": round(history["seconds"] / history["epochs"], 3),
        "parameters": model.count_params(),
        "peak_memory_mb": peak_memory_mb(),
    }


def _work(
    where: str, given: str, settings: Mapping[str, Any], folder: str, values: Mapping[str, Any]
) -> None:
    """The process of a trial: writes the result, or the error."""
    _end_with_parent()
    os.chdir(where)  # not where the server of the processes was started
    try:
        result = _trained(given, settings, Path(folder), values)
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        result = {"error": f"out of memory: {str(error)[:300]}"}
    except InputError as error:
        result = {"error": str(error)}
    except Exception as error:  # whatever a configuration breaks is recorded
        result = {
            "error": f"{type(error).__name__}: {str(error)[:300]}",
            "traceback": traceback.format_exc(),
        }
    write_json(Path(folder) / _RESULT, {**result, "config": settings})


def _name_scores(where: str, given: str, settings: Mapping[str, Any], folder: str) -> None:
    """The process of `score_names`: writes the names, or the error."""
    _end_with_parent()
    os.chdir(where)
    recipe = load_recipe(given)
    config = recipe.Config(**settings)
    log_to_console(logging.ERROR)  # the trials log the rest
    try:
        data = recipe.module.load_data(config)
        model = recipe.module.build_model(config, data)
        scores = recipe.module.evaluate(config, model, data, split="validation")
        result = {"scores": [*scores, VAL_LOSS.name]}
    except InputError as error:
        result = {"error": str(error), "fields": error.fields}
    except Exception:  # the trials report and record what breaks
        result = {}
    write_json(Path(folder) / _RESULT, result)


def processes() -> BaseContext:
    """Returns the source of new processes: a server that has imported TensorFlow once for all of
    them; on platforms without such a server, each process imports it."""
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload([__name__])
    return context


def score_names(recipe: Recipe, config: Any) -> list[str]:
    """Finds the possible objectives with a network that is not trained: the scores that the
    recipe's `evaluate` returns, and "val_loss".

    Args:
        recipe: recipe to tune.
        config: configuration of the recipe.

    Returns:
        The names; empty where a network that is not trained cannot be scored.

    Raises:
        InputError: the recipe raised it, because of missing data, for example.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = (os.getcwd(), recipe.given, asdict(config), folder)
        process = processes().Process(  # type: ignore[attr-defined]  # of every context
            target=_name_scores, args=arguments, daemon=True
        )
        process.start()
        process.join()
        result = _read(Path(folder) / _RESULT)
    if "error" in result:
        raise InputError(result["error"], field=tuple(result["fields"]))
    return result.get("scores", [])


def train_apart(
    recipe: Recipe,
    config: Any,
    folder: Path,
    *,
    values: Mapping[str, Any] | None = None,
    alive: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Trains a configuration in another process, and waits for it.

    An interrupted training resumes after its last epoch, a finished one is taken as it is, a failed
    one is repeated. What the folder holds of another configuration is deleted.

    Args:
        recipe: recipe to train.
        config: configuration of the recipe.
        folder: folder for the run and the result.
        values: values of the parameters that are searched, for TensorBoard.
        alive: function to call every few seconds.

    Returns:
        "scores" (the scores of the recipe's `evaluate` on the validation split, and "val_loss"),
        "seconds" (all of it), "epochs", "seconds_an_epoch" (the epochs alone), "parameters" and
        "peak_memory_mb"; or an "error".
    """
    file = folder / _RESULT
    settings = asdict(config)
    before = _read(file)
    begun = before.get("config") or _read(folder / "run" / "config.json")
    if begun and changes(begun, settings):
        shutil.rmtree(folder / "run", ignore_errors=True)
        before = {}
    if not before or "error" in before:
        file.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        arguments = (os.getcwd(), recipe.given, settings, str(folder), dict(values or {}))
        process = processes().Process(  # type: ignore[attr-defined]  # of every context
            target=_work, args=arguments, daemon=True
        )
        process.start()
        try:
            while process.is_alive():
                process.join(_HEARTBEAT)
                if alive:
                    alive()
        except BaseException:
            process.terminate()
            process.join()
            raise
        if not file.exists():
            killed = process.exitcode == _KILLED
            why = "most likely it ran out of memory" if killed else "see its log.txt"
            return {"error": f"the process ended with {process.exitcode}: {why}"}
    return {key: value for key, value in _read(file).items() if key != "config"}
