"""One configuration of a recipe, trained and scored on validation in a process of its own: what
breaks there, breaks nothing else."""

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
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.context import BaseContext
from pathlib import Path

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log_to_console, write_json
from rnn_cookbook.quiet import quiet_tensorflow
from rnn_cookbook.recipe import load_recipe
from rnn_cookbook.run.fit import seed_everything
from rnn_cookbook.run.folder import Run, changes, peak_memory_mb

with quiet_tensorflow():
    import tensorflow as tf

_RESULT = "result.json"
_KILLED = -9  # how a process ends that the system kills, mostly for its memory


def train_apart(
    recipe: str,
    config,
    folder: Path,
    *,
    values: dict | None = None,
    alive: Callable[[], None] | None = None,
) -> dict:
    """Trains a configuration in another process, and waits for it.

    What was interrupted goes on after its last epoch, what was finished is taken as it is; what
    failed is tried again. What the folder has of another configuration is thrown away.

    Args:
        recipe: name, or path of a file.
        config: of the recipe.
        folder: for the run and the result.
        values: of the parameters that are searched, for TensorBoard.
        alive: called every few seconds.

    Returns:
        "scores" (those of the recipe's `evaluate` on the validation split, and "val_loss"),
        "seconds" (all of it), "epochs", "seconds_an_epoch" (training alone), "parameters" and
        "peak_memory_mb"; or an "error".
    """
    file, settings = folder / _RESULT, asdict(config)
    before = _read(file)
    begun = before.get("config") or _read(folder / "run" / "config.json")
    if begun and changes(begun, settings):
        shutil.rmtree(folder / "run", ignore_errors=True)
        before = {}
    if not before or "error" in before:
        file.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        process = processes().Process(
            target=_work,
            args=(os.getcwd(), recipe, settings, str(folder), values or {}),
            daemon=True,
        )
        process.start()
        try:
            while process.is_alive():
                process.join(2.0)
                if alive:
                    alive()
        except BaseException:
            process.terminate()
            process.join()
            raise
        if not file.exists():
            why = (
                "most likely it ran out of memory"
                if process.exitcode == _KILLED
                else "see its log.txt"
            )
            return {"error": f"the process ended with {process.exitcode}: {why}"}
    return {key: value for key, value in _read(file).items() if key != "config"}


def score_names(recipe: str, config) -> list[str]:
    """What can be an objective, by a network that is not trained: what the recipe's `evaluate`
    gives, and "val_loss". Empty where a network that is not trained cannot be scored.

    Raises:
        InputError: what the recipe raised, such as data that are not there.
    """
    with tempfile.TemporaryDirectory() as folder:
        process = processes().Process(
            target=_name_scores, args=(os.getcwd(), recipe, asdict(config), folder), daemon=True
        )
        process.start()
        process.join()
        found = _read(Path(folder) / _RESULT)
    if "error" in found:
        raise InputError(found["error"])
    return found.get("scores", [])


def processes() -> BaseContext:
    """Where new processes come from: a server that has imported TensorFlow once, for all; without
    one, each imports it."""
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload([__name__])
    return context


def _read(file: Path) -> dict:
    """Nothing of a file that is not there, or damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _work(where: str, recipe: str, settings: dict, folder: str, values: dict) -> None:
    _end_with_parent()
    os.chdir(where)  # not where the server of the processes was started
    path = Path(folder)
    try:
        result = _trained(recipe, settings, path, values)
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        result = {"error": f"out of memory: {str(error)[:300]}"}
    except InputError as error:
        result = {"error": str(error)}
    except Exception as error:  # whatever a configuration breaks is recorded
        result = {
            "error": f"{type(error).__name__}: {str(error)[:300]}",
            "traceback": traceback.format_exc(),
        }
    write_json(path / _RESULT, {**result, "config": settings})


def _name_scores(where: str, recipe: str, settings: dict, folder: str) -> None:
    _end_with_parent()
    os.chdir(where)
    module = load_recipe(recipe)
    config = module.Config(**settings)
    log_to_console(logging.ERROR)  # the trials tell the rest
    try:
        data = module.load_data(config)
        scores = module.evaluate(config, module.build_model(config, data), data, split="validation")
        found = {"scores": [*scores, "val_loss"]}
    except InputError as error:
        found = {"error": str(error)}
    except Exception:  # the trials tell and record what breaks
        found = {}
    write_json(Path(folder) / _RESULT, found)


def _trained(recipe: str, settings: dict, folder: Path, values: dict) -> dict:
    module, started = load_recipe(recipe), time.perf_counter()
    config = module.Config(**settings)
    begun = (folder / "run" / "config.json").exists()
    run = Run(
        recipe=Path(recipe).stem, config=config, output=folder / "run", resume=begun, quiet=True
    )
    seed_everything(config.seed)
    data = module.load_data(config)
    model = module.build_model(config, data)
    history = module.train(config, model, data, run)
    scores = module.evaluate(config, model, data, split="validation")
    losses = [row["val_loss"] for row in history["history"] if "val_loss" in row]
    scores = {**scores, **({"val_loss": losses[history["best_epoch"]]} if losses else {})}
    scores = {
        name: float(value) for name, value in scores.items() if isinstance(value, int | float)
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


def _write_hparams(folder: Path, values: dict, scores: dict) -> None:
    """For the HParams page of TensorBoard."""
    from tensorboard.plugins.hparams import api

    with tf.summary.create_file_writer(str(folder / "hparams")).as_default():
        api.hparams(values, trial_id=folder.name)
        for name, value in scores.items():
            tf.summary.scalar(name, value, step=0)


def _end_with_parent() -> None:
    """An orphan would go on training, and hold the folder against whoever resumes the search."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        parent.join()
        os._exit(1)

    if parent is not None:
        threading.Thread(target=wait, daemon=True).start()
