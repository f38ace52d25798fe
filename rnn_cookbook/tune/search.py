"""Tuning a recipe by keras-tuner's own search: over what its `search_space` names, on the
validation split alone, on one machine or on many, with every trial in a process of its own."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

import grpc  # comes with keras-tuner and TensorFlow
import keras
import numpy as np
import pandas as pd

from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log, log_to_console, write_atomically, write_json
from rnn_cookbook.recipe import metric_of
from rnn_cookbook.run.fit import seed_everything
from rnn_cookbook.run.folder import Run, changes, peak_memory_mb
from rnn_cookbook.run.report import comparison
from rnn_cookbook.tune.oracle import (
    EXTRAS,
    TUNERS,
    RecipeTuner,
    UnknownObjective,
    best_trial,
    find_chief,
    keras_tuner,
    make_oracle,
    role,
    shown,
    told,
    watch_workers,
)
from rnn_cookbook.tune.plots import plot_search
from rnn_cookbook.tune.trial import score_names, train_apart

# Parts of the names of what is better when it is less.
_SMALL = {
    "loss",
    "error",
    "wer",
    "cer",
    "ter",
    "mse",
    "mae",
    "rmse",
    "mase",
    "smape",
    "pinball",
    "perplexity",
    "divergence",
    "nll",
    "width",
} | {*("substitutions", "insertions", "deletions", "delay", "alarm", "alarms")}


def tune(
    module: ModuleType,
    recipe: str,
    config,
    *,
    tuner: str = "random",
    trials: int | None = None,
    objective: str = "",
    direction: str = "",
    max_minutes: float = 0.0,
    output: str | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> str:
    """Searches a recipe's space on validation, trains the best configuration anew, and reads the
    test once; returns a report.

    With KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT in the environment, as
    keras-tuner has it, a process whose id has "chief" in it hands out the trials, and the others
    work on them.

    Args:
        module, recipe: the recipe, and its name or file.
        config: what the search starts from.
        tuner: one of `TUNERS`.
        trials: at most; by default 20, for hyperband and grid as many as they have.
        objective: a score of the recipe's `evaluate`, or "val_loss"; the recipe's METRIC by
            default.
        direction: "min" or "max"; by the name of the objective when empty: errors and losses are
            made small.
        max_minutes: after which no trial begins; 0 for no end.
        output: folder of the search; `runs/<recipe>/tune-<time>` by default.
        resume: go on with the search in it.
        quiet: warnings only.

    Raises:
        InputError: nothing to search, no such tuner or objective, a folder of another search, no
            chief.
    """
    name = Path(recipe).stem
    if not hasattr(module, "search_space"):
        raise InputError(
            f"recipe {name!r} has no search_space(hp, config): there is nothing to tune"
        )
    if tuner not in TUNERS:
        raise InputError(f"no tuner {tuner!r}; there are {', '.join(TUNERS)}")
    trials = _trials(trials, tuner, max_minutes)
    space = keras_tuner.HyperParameters()
    module.search_space(space, config)
    if not space.space:
        raise InputError(f"the search space of recipe {name!r} names no parameter")
    usual = metric_of(module, config)
    objective, part = objective or usual, role()
    folder = (
        Path(output) if output else Path("runs") / name / time.strftime("tune-%Y-%m-%d_%H-%M-%S")
    )
    log_to_console(30 if quiet else 20)
    # For the usual two nothing need be asked. A chief, whose workers wait for it, tells after the
    # first trial.
    fresh = not folder.exists() or not any(folder.iterdir())
    if part == "alone" and fresh and objective not in (usual, "val_loss"):
        log.info("which scores there are, by a network that is not trained")
        known = score_names(recipe, config)
        if known and objective not in known:
            raise InputError(f"no objective {objective!r}; there are {', '.join(known)}")
    about = {"recipe": name, "tuner": tuner, "objective": objective, "config": asdict(config)}
    about["space"] = json.loads(json.dumps(space.get_config()))
    limits = {
        "trials": trials,
        "max_minutes": max_minutes,
        "direction": direction,
    }  # which may be others when it is gone on with
    if part == "worker":  # the folder is the chief's, or its own
        find_chief()
    else:
        _claim(folder, about, limits, resume=resume)

    def configuration(hp):
        found = module.search_space(hp, config)
        budget = hp.values.get("tuner/epochs")
        if budget is None:
            return found
        least = (
            {"least_steps": round(found.least_steps * budget / config.epochs)}
            if hasattr(found, "least_steps")
            else {}
        )
        return replace(found, epochs=budget, **least)

    def run(config, folder, **options) -> dict:
        return train_apart(recipe, config, folder, **options)

    higher = (
        getattr(module, "HIGHER_IS_BETTER", True)
        if objective == usual
        else _more_is_better(objective)
    )
    direction = direction or ("max" if higher else "min")
    oracle = make_oracle(
        tuner,
        objective,
        direction,
        space,
        trials=trials,
        epochs=config.epochs,
        seed=config.seed,
        max_minutes=max_minutes,
    )
    searching = RecipeTuner(oracle, run=run, configuration=configuration, folder=folder)
    searching.go_on(trials)
    if part == "chief":
        watch_workers(oracle)
    try:
        searching.search(verbose=0)
    except (grpc.RpcError, RuntimeError) as error:
        if part == "alone":
            raise
        where = ":".join(os.environ[f"KERASTUNER_ORACLE_{name}"] for name in ("IP", "PORT"))
        raise InputError(f"the {part} cannot go on at {where}: {str(error)[:300]}") from error
    if part != "chief":
        searching.tell_time()
    if part == "worker":
        return f"no trial is left; the results are at the chief, in its {folder}"
    default = None
    if part == "alone":
        log.info("for comparison: the configuration that the search started from")
        values = {
            each.name: getattr(config, each.name)
            for each in space.space
            if hasattr(config, each.name)
        }
        default = {**run(config, folder / "search" / "default"), "values": values}
    table = write_search(folder, oracle, default=default, direction=direction)
    best = best_trial(oracle)
    if best is None:
        raise InputError(f"{_why_nothing(table)}. All are in {folder / 'trials.csv'}")
    chosen = module.search_space(
        best.hyperparameters.copy(), config
    )  # of hyperband with all its epochs
    write_json(folder / "best.json", asdict(chosen))
    log.info("training the best configuration, trial %s", best.trial_id)
    report = _final(module, name, chosen, folder, best.trial_id, quiet=quiet)
    return _summary(folder, best, default, objective, direction) + "\n\n" + report


def search(
    build_model: Callable,
    search_space: Callable,
    data,
    *,
    objective: str = "val_loss",
    direction: str = "",
    tuner: str = "random",
    trials: int | None = None,
    epochs: int = 10,
    max_minutes: float = 0.0,
    folder: str | Path = "tuning",
    seed: int = 0,
) -> tuple[object, pd.DataFrame]:
    """Tunes a model of your own; in this process, unlike `tune`, since what you give may not fit
    through to another one.

    Args:
        build_model: configuration -> compiled keras.Model.
        search_space: parameters (keras_tuner.HyperParameters) -> configuration, of any kind.
        data: what `model.fit` takes, and what it is validated on; or configuration -> such a pair,
            where data settings are tuned, too.
        objective: of the history of `fit`; the best epoch counts.
        direction, tuner, trials, max_minutes: see `tune`.
        epochs: the most, of each model.
        folder: where everything is written; the same search is gone on with, another one is
            refused.
        seed: of the search, the weights and the order.

    Returns:
        The best configuration, and a row for each trial, as in `trials.csv`.

    Raises:
        InputError: nothing to search, no such tuner, or no trial with a score.
    """
    if tuner not in TUNERS:
        raise InputError(f"no tuner {tuner!r}; there are {', '.join(TUNERS)}")
    space = keras_tuner.HyperParameters()
    search_space(space)
    if not space.space:
        raise InputError("the search space names no parameter")
    trials, direction = (
        _trials(trials, tuner, max_minutes),
        direction or ("max" if _more_is_better(objective) else "min"),
    )
    about = {
        "tuner": tuner,
        "objective": objective,
        "epochs": epochs,
        "seed": seed,
        "space": json.loads(json.dumps(space.get_config())),
    }
    _claim(Path(folder), about, {"trials": trials}, resume=True)
    oracle = make_oracle(
        tuner,
        objective,
        direction,
        space,
        trials=trials,
        epochs=epochs,
        seed=seed,
        max_minutes=max_minutes,
    )

    def run(configuration, place: Path, *, values: dict, alive) -> dict:
        keras.backend.clear_session()  # what the trial before has left behind
        keras.utils.set_random_seed(seed)
        started = time.perf_counter()
        model = build_model(configuration)
        if model.built and model.optimizer:
            model.optimizer.build(
                model.trainable_variables
            )  # else TensorFlow traces the first step twice
        train, validation = data(configuration) if callable(data) else data
        arrays, spent = isinstance(train, tuple), values.get("tuner/epochs", epochs)
        options = {
            "epochs": spent,
            "verbose": 0,
            "callbacks": [_Alive(alive)],
            "shuffle": arrays,
        }  # data sets have an order of their own
        history = model.fit(
            *(train if arrays else (train,)), validation_data=validation, **options
        ).history
        if objective not in history:
            raise UnknownObjective(f"no objective {objective!r}; there are {', '.join(history)}")
        if not np.isfinite(history[objective]).any():
            return {"error": f"{objective} was never a number"}
        at = int((np.nanargmax if direction == "max" else np.nanargmin)(history[objective]))
        seconds = time.perf_counter() - started
        extras = {
            "seconds": seconds,
            "epochs": spent,
            "seconds_an_epoch": seconds / spent,
            "peak_memory_mb": peak_memory_mb(),
        }
        return {
            "scores": {name: float(row[at]) for name, row in history.items()},
            "parameters": model.count_params(),
            **extras,
        }

    searching = RecipeTuner(oracle, run=run, configuration=search_space, folder=Path(folder))
    searching.go_on(trials)
    searching.search(verbose=0)
    table, best = (
        write_search(Path(folder), oracle, default=None, direction=direction),
        best_trial(oracle),
    )
    if best is None:
        raise InputError(_why_nothing(table))
    return search_space(best.hyperparameters.copy()), table


class RecipeHyperModel(keras_tuner.HyperModel):
    """A recipe for tuner code of your own: `keras_tuner.RandomSearch(RecipeHyperModel(sentiment,
    config), objective=…)`.

    The configuration decides what the data are, so `search` needs no arguments: `fit` trains on
    them, scores the validation split, and returns those scores, among which the objective is looked
    up.

    Args:
        module: the recipe.
        config: that the space is on top of.
        folder: for the runs.
    """

    def __init__(self, module: ModuleType, config, *, folder: str | Path = "tuning"):
        super().__init__(name=Path(module.__file__).stem)
        self.module, self.config, self.folder = module, config, Path(folder)

    def build(self, hp):
        self.chosen = self.module.search_space(hp, self.config)
        seed_everything(self.chosen.seed)
        self.data = self.module.load_data(self.chosen)
        return self.module.build_model(self.chosen, self.data)

    def fit(self, hp, model, *_, **__):
        place = self.folder / f"run-{time.time_ns()}"
        run = Run(recipe=self.name, config=self.chosen, output=place, quiet=True)
        self.module.train(self.chosen, model, self.data, run)
        return self.module.evaluate(self.chosen, model, self.data, split="validation")


class _Alive(keras.callbacks.Callback):
    """Tells that the training goes on."""

    def __init__(self, alive: Callable[[], None]):
        super().__init__()
        self.alive = alive

    def on_epoch_end(self, epoch, logs=None):
        self.alive()


def write_search(folder: Path, oracle, *, default: dict | None, direction: str) -> pd.DataFrame:
    """`trials.csv`, a row for each trial in the order of their beginnings, and the plots; returns
    the table."""
    name, rows = oracle.objective.name, []
    for each in oracle.start_order:
        trial = oracle.trials[each]
        metrics = {key: trial.metrics.get_last_value(key) for key in trial.metrics.metrics}
        error = ((trial.message or "").strip().splitlines() or [""])[-1].rpartition(
            "FailedTrialError: "
        )[2]
        if trial.status == "FAILED" and not error:
            error = "see the log of its worker"  # which does not send it
        row = {
            "trial": each,
            "status": trial.status.lower(),
            "score": trial.score,
            **shown(trial.hyperparameters.values),
            **metrics,
        }
        rows.append({**row, "error": error})
    if default and "error" in default:
        rows.append(
            {"trial": "default", "status": "failed", **default["values"], "error": default["error"]}
        )
    elif default:
        score, extras = default["scores"].get(name), {extra: default[extra] for extra in EXTRAS}
        rows.append(
            {
                "trial": "default",
                "status": "completed",
                "score": score,
                **default["values"],
                **default["scores"],
                **extras,
            }
        )
    table = pd.DataFrame(
        rows or [{}], columns=None if rows else ["trial", "status", "score", "error"]
    ).iloc[: len(rows)]
    if "error" not in table:
        table["error"] = ""
    table = table[[*(column for column in table.columns if column != "error"), "error"]]
    write_atomically(folder / "trials.csv", lambda path: table.to_csv(path, index=False))
    parameters = [parameter.name for parameter in oracle.hyperparameters.space]
    plot_search(
        folder,
        table[table["trial"] != "default"],
        parameters=parameters,
        objective=name,
        direction=direction,
    )
    return table


def _more_is_better(objective: str) -> bool:
    return not _SMALL & set(objective.split("_"))


def _trials(trials: int | None, tuner: str, max_minutes: float) -> int | None:
    if (trials is not None and trials < 1) or max_minutes < 0:
        raise InputError(
            f"a search needs 1 trial or more and no less than 0 minutes, got {trials} and {max_minutes}"
        )
    return trials or (20 if tuner in ("random", "bayesian") else None)


def _why_nothing(table: pd.DataFrame) -> str:
    tried = table[table["trial"] != "default"]
    last = f"; the last error: {tried['error'].iloc[-1]}" if len(tried) else ": none has begun"
    return f"none of {len(tried)} trials has a score{last}"


def _claim(folder: Path, about: dict, limits: dict, *, resume: bool) -> None:
    """A folder is of one search."""
    file = folder / "search.json"
    if file.exists():
        before = json.loads(file.read_text(encoding="utf-8"))
        if changed := changes(before, about):
            shown = listing((each[:160] + "…" if len(each) > 160 else each for each in changed), 3)
            raise InputError(f"{folder} holds another search: {shown}. Choose another --output")
        if not resume:
            raise InputError(
                f"{folder} holds a search already: add --resume to go on with it, or choose another --output"
            )
    elif folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} exists, and is no search: choose another --output")
    write_json(file, {**about, **limits})


def _final(module: ModuleType, name: str, config, search: Path, trial: str, *, quiet: bool) -> str:
    """The report of the best configuration, trained in `best/`; in a folder by the name of its
    trial where `best/` has another one."""
    folder = search / "best"
    if (folder / "config.json").exists():
        before = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if changes(before, asdict(config)):
            folder = search / f"best-{trial}"
    if (folder / "metrics.json").exists():
        report = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        return comparison(
            report,
            metric=metric_of(module, config),
            higher_is_better=getattr(module, "HIGHER_IS_BETTER", True),
        )
    return module.main(
        config,
        Run(
            recipe=name,
            config=config,
            output=folder,
            resume=(folder / "config.json").exists(),
            quiet=quiet,
        ),
    )


def _summary(folder: Path, best, default: dict | None, objective: str, direction: str) -> str:
    found = (
        f"{objective} {best.score:.4f}, trial {best.trial_id}: {told(best.hyperparameters.values)}"
    )
    lines = [f"best of the search, on validation: {found}"]
    if default and objective in default.get("scores", {}):
        score = default["scores"][objective]
        gain = (best.score - score) * (1 if direction == "max" else -1)
        verdict = (
            "is as good"
            if np.isclose(gain, 0)
            else f"is better by {gain:.4f}"
            if gain > 0
            else "is worse: keep what you had"
        )
        lines.append(f"what it started from: {objective} {score:.4f}; the best {verdict}")
    lines.append(
        f"all trials: {folder / 'trials.csv'}; to run it again: rnn-cookbook run … --config {folder / 'best.json'}"
    )
    return "\n".join(lines)
