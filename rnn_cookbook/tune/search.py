"""Hyperparameter search with keras-tuner: of a recipe's `search_space` on the validation split, on
one machine or several, each trial in its own process; or of a model without a recipe."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import grpc  # comes with keras-tuner and TensorFlow
import keras
import numpy as np
import pandas as pd

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log, log_to_console, write_json
from rnn_cookbook.metrics import VAL_LOSS, Metric
from rnn_cookbook.recipe import Recipe
from rnn_cookbook.run.folder import Run, changes, peak_memory_mb
from rnn_cookbook.run.report import comparison
from rnn_cookbook.tune.archive import claim_folder, summary, why_no_score, write_trials
from rnn_cookbook.tune.objective import check_objective, objective_metric, own_metric
from rnn_cookbook.tune.oracle import TUNERS, best_trial, keras_tuner, make_oracle
from rnn_cookbook.tune.trial import train_apart
from rnn_cookbook.tune.tuner import RecipeTuner, UnknownObjective
from rnn_cookbook.tune.workers import chief_address, find_chief, role, watch_workers

__all__ = ["search", "tune"]

_DEFAULT_TRIALS = 20  # of searches that have no end of their own


def _check_tuner(tuner: str) -> None:
    if tuner not in TUNERS:
        raise InputError(f"no tuner {tuner!r}; accepted are {', '.join(TUNERS)}", field="tuner")


def _trial_limit(trials: int | None, tuner: str, max_minutes: float) -> int | None:
    """The maximum number of trials; None where the search ends by itself."""
    if trials is not None and trials < 1:
        raise InputError(f"trials must be at least 1; received {trials}", field="trials")
    if max_minutes < 0:
        raise InputError(
            f"max_minutes must be at least 0; received {max_minutes:g}", field="max_minutes"
        )
    return trials or (_DEFAULT_TRIALS if tuner in ("random", "bayesian") else None)


def _check_space(space: keras_tuner.HyperParameters, owner: str) -> None:
    if not space.space:
        raise InputError(f"the search space{owner} names no parameter")


def _space_settings(space: keras_tuner.HyperParameters) -> Any:
    return json.loads(json.dumps(space.get_config()))


def _within_budget(chosen: Any, config: Any, epochs: int | None) -> Any:
    """The configuration of a trial of hyperband, which trains for some of the epochs."""
    if epochs is None:
        return chosen
    budget = {"epochs": epochs}
    names = {field.name for field in dataclasses.fields(chosen)}
    if "least_steps" in names:
        budget["least_steps"] = round(chosen.least_steps * epochs / config.epochs)
    return dataclasses.replace(chosen, **budget)


def _train_best(recipe: Recipe, config: Any, folder: Path, trial: str, *, quiet: bool) -> str:
    """Trains the best configuration in `best/`, or in a folder named by its trial where `best/`
    holds another one; returns the report."""
    place = folder / "best"
    before = place / "config.json"
    if before.exists():
        settings = json.loads(before.read_text(encoding="utf-8"))
        if changes(settings, dataclasses.asdict(config)):
            place = folder / f"best-{trial}"
    if (place / "metrics.json").exists():
        measured = json.loads((place / "metrics.json").read_text(encoding="utf-8"))
        return comparison(measured, metric=recipe.metric(config))
    resume = (place / "config.json").exists()
    run = Run(recipe=recipe.name, config=config, output=place, resume=resume, quiet=quiet)
    return recipe.module.main(config, run)


def _search_here(tuner: RecipeTuner, part: Literal["alone", "chief", "worker"]) -> None:
    try:
        tuner.search(verbose=0)
    except (grpc.RpcError, RuntimeError) as error:
        if part == "alone":
            raise
        host, port = chief_address()
        raise InputError(
            f"the {part} cannot continue at {host}:{port}: {str(error)[:300]}"
        ) from error
    if part != "chief":
        tuner.log_time()


def tune(
    recipe: Recipe,
    config: Any,
    *,
    tuner: str = "random",
    trials: int | None = None,
    objective: str = "",
    direction: str = "",
    max_minutes: float = 0.0,
    output: str | Path | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> str:
    """Searches a recipe's space on the validation split, trains the best configuration anew, and
    reads the test split once.

    With KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT in the environment, as
    keras-tuner has it, a process whose id contains "chief" hands out the trials, and the other
    processes train them.

    Args:
        recipe: recipe to tune.
        config: configuration that the search starts from.
        tuner: search algorithm, one of `TUNERS`.
        trials: maximum number of trials; by default 20, for hyperband and grid all that they have.
        objective: name of a score of the recipe's `evaluate`, or "val_loss"; the recipe's metric by
            default.
        direction: "min" or "max"; needed for an objective whose direction the recipe does not
            declare.
        max_minutes: minutes after which no trial begins; 0 for no limit.
        output: folder of the search; `runs/<recipe>/tune-<time>` by default.
        resume: resume the search in that folder.
        quiet: log warnings only.

    Returns:
        The best trial beside the starting point, and the report of the best configuration.

    Raises:
        InputError: nothing to search, no such tuner or objective, an unknown direction, a folder
            that is in use, no chief, or no trial with a score.
    """
    if recipe.search_space is None:
        raise InputError(
            f"recipe {recipe.name!r} has no search_space(hp, config): there is nothing to tune"
        )
    _check_tuner(tuner)
    limit = _trial_limit(trials, tuner, max_minutes)
    search_space = recipe.search_space
    space = keras_tuner.HyperParameters()
    search_space(space, config)
    _check_space(space, f" of recipe {recipe.name!r}")
    part = role()
    default_folder = Path("runs") / recipe.name / time.strftime("tune-%Y-%m-%d_%H-%M-%S")
    folder = Path(output) if output else default_folder
    log_to_console(logging.WARNING if quiet else logging.INFO)
    usual = recipe.metric(config).name
    objective = objective or usual
    # A resumed search has asked before; a chief, whose workers wait for it, finds a wrong name out
    # after its first trial.
    fresh = not folder.exists() or not any(folder.iterdir())
    if part == "alone" and fresh and objective not in (usual, VAL_LOSS.name):
        check_objective(recipe, config, objective)
    metric = objective_metric(recipe, config, objective=objective, direction=direction)
    if part == "worker":  # the folder is the chief's, or its own
        find_chief()
    else:
        about = {
            "recipe": recipe.name,
            "tuner": tuner,
            "objective": objective,
            "config": dataclasses.asdict(config),
            "space": _space_settings(space),
        }
        limits = {"trials": limit, "max_minutes": max_minutes, "direction": direction}
        claim_folder(folder, about, limits, resume=resume)

    def configuration(hp: keras_tuner.HyperParameters) -> Any:
        return _within_budget(search_space(hp, config), config, hp.values.get("tuner/epochs"))

    def run(
        config: Any,
        folder: Path,
        *,
        values: Mapping[str, Any] | None = None,
        alive: Callable[[], None] | None = None,
    ) -> dict[str, Any]:
        return train_apart(recipe, config, folder, values=values, alive=alive)

    oracle = make_oracle(
        tuner,
        metric,
        space,
        trials=limit,
        epochs=config.epochs,
        seed=config.seed,
        max_minutes=max_minutes,
    )
    searching = RecipeTuner(
        oracle, run=run, configuration=configuration, folder=folder, trials=limit
    )
    if part == "chief":
        watch_workers(oracle)
    _search_here(searching, part)
    if part == "worker":
        return f"no trial is left; the results are at the chief, in its {folder}"
    default = None
    if part == "alone":
        log.info("for comparison: the configuration that the search started from")
        settings = dataclasses.asdict(config)
        default = run(config, folder / "search" / "default")
        default["values"] = {
            each.name: settings[each.name] for each in space.space if each.name in settings
        }
    table = write_trials(folder, oracle, default=default, metric=metric)
    best = best_trial(oracle)
    if best is None:
        raise InputError(f"{why_no_score(table)}. All are in {folder / 'trials.csv'}")
    chosen = search_space(best.hyperparameters.copy(), config)  # of hyperband with all its epochs
    write_json(folder / "best.json", dataclasses.asdict(chosen))
    log.info("training the best configuration, trial %s", best.trial_id)
    report = _train_best(recipe, chosen, folder, best.trial_id, quiet=quiet)
    return summary(folder, best, default, metric=metric) + "\n\n" + report


class _Heartbeat(keras.callbacks.Callback):
    """Reports after each epoch that the training is alive."""

    def __init__(self, alive: Callable[[], None]):
        super().__init__()
        self.alive = alive

    def on_epoch_end(self, epoch, logs=None):
        self.alive()


def _fit_own(
    model: keras.Model, data: tuple[Any, Any], *, epochs: int, alive: Callable[[], None]
) -> dict[str, list[float]]:
    """Trains a model that has no recipe; returns the history of its metrics."""
    if model.built and model.optimizer:
        # Else the first step makes the optimizer's variables, and TensorFlow traces it twice.
        model.optimizer.build(model.trainable_variables)
    train, validation = data
    arrays = isinstance(train, tuple)
    history = model.fit(
        *(train if arrays else (train,)),
        validation_data=validation,
        epochs=epochs,
        verbose=0,  # pyright: ignore[reportArgumentType]  # Keras declares its default only
        callbacks=[_Heartbeat(alive)],
        shuffle=arrays,  # data sets have an order of their own
    )
    return history.history


def search(
    build_model: Callable[[Any], keras.Model],
    search_space: Callable[[keras_tuner.HyperParameters], Any],
    data: Any,
    *,
    objective: Metric | str = VAL_LOSS,
    direction: str = "",
    tuner: str = "random",
    trials: int | None = None,
    epochs: int = 10,
    max_minutes: float = 0.0,
    folder: str | Path = "tuning",
    seed: int = 0,
) -> tuple[Any, pd.DataFrame]:
    """Tunes a model that has no recipe. Its trials run in this process, unlike those of `tune`,
    because another process may be unable to receive the functions.

    Args:
        build_model: function from a configuration to a compiled keras.Model.
        search_space: function from parameters (keras_tuner.HyperParameters) to a configuration of
            any kind.
        data: pair of what `model.fit` takes as training and as validation data; or a function from
            a configuration to such a pair, if settings of the data are tuned, too.
        objective: metric of the history of `fit`, or its name; its best epoch counts.
        direction: "min" or "max"; needed for a name other than "loss" and "val_loss".
        tuner: search algorithm, one of `TUNERS`.
        trials: maximum number of trials; by default 20, for hyperband and grid all that they have.
        epochs: maximum number of epochs of each model.
        max_minutes: minutes after which no trial begins; 0 for no limit.
        folder: folder of the search. The same search in it is resumed, another one is refused.
        seed: seed of the search, the weights and the order of the examples.

    Returns:
        The best configuration, and a table with a row for each trial, as in `trials.csv`.

    Raises:
        InputError: nothing to search, no such tuner or objective, an unknown direction, a folder
            of another search, or no trial with a score.
    """
    _check_tuner(tuner)
    space = keras_tuner.HyperParameters()
    search_space(space)
    _check_space(space, "")
    limit = _trial_limit(trials, tuner, max_minutes)
    metric = own_metric(objective, direction)
    about = {
        "tuner": tuner,
        "objective": metric.name,
        "epochs": epochs,
        "seed": seed,
        "space": _space_settings(space),
    }
    claim_folder(Path(folder), about, {"trials": limit}, resume=True)
    oracle = make_oracle(
        tuner,
        metric,
        space,
        trials=limit,
        epochs=epochs,
        seed=seed,
        max_minutes=max_minutes,
    )

    def run(
        config: Any, folder: Path, *, values: Mapping[str, Any], alive: Callable[[], None]
    ) -> dict[str, Any]:
        keras.backend.clear_session()  # what the trial before has left behind
        keras.utils.set_random_seed(seed)
        started = time.perf_counter()
        model = build_model(config)
        budget = values.get("tuner/epochs", epochs)
        read: Any = data(config) if callable(data) else data
        history = _fit_own(model, read, epochs=budget, alive=alive)
        if metric.name not in history:
            raise UnknownObjective(
                f"no objective {metric.name!r}; accepted are {', '.join(history)}",
                field="objective",
            )
        scores = np.asarray(history[metric.name])
        if not np.isfinite(scores).any():
            return {"error": f"{metric.name} was never a number"}
        best = int(np.nanargmax(scores) if metric.higher_is_better else np.nanargmin(scores))
        seconds = time.perf_counter() - started
        return {
            "scores": {name: float(row[best]) for name, row in history.items()},
            "seconds": seconds,
            "epochs": budget,
            "seconds_an_epoch": seconds / budget,
            "parameters": model.count_params(),
            "peak_memory_mb": peak_memory_mb(),
        }

    searching = RecipeTuner(
        oracle, run=run, configuration=search_space, folder=Path(folder), trials=limit
    )
    searching.search(verbose=0)
    table = write_trials(Path(folder), oracle, default=None, metric=metric)
    best = best_trial(oracle)
    if best is None:
        raise InputError(why_no_score(table))
    return search_space(best.hyperparameters.copy()), table
