"""keras-tuner's tuner, whose trials are configurations of a recipe."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log
from rnn_cookbook.tune.oracle import SearchOracle, Trial, best_trial, keras_tuner

__all__ = ["EXTRAS", "RecipeTuner", "TrialRunner", "UnknownObjective", "shown", "values_text"]

# What a trial measures beside its scores.
EXTRAS = ("seconds", "epochs", "seconds_an_epoch", "parameters", "peak_memory_mb")


class UnknownObjective(keras_tuner.errors.FatalError, InputError):
    """An error that ends the search: the scores have no such name."""


class TrialRunner(Protocol):
    """A function that trains and scores one configuration."""

    def __call__(
        self,
        config: Any,
        folder: Path,
        *,
        values: Mapping[str, Any],
        alive: Callable[[], None],
    ) -> dict[str, Any]:
        """Returns what `trial.train_apart` returns.

        Args:
            config: configuration.
            folder: folder of the trial.
            values: values of the parameters that are searched.
            alive: function to call every few seconds.
        """
        ...


def shown(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of a trial without the bookkeeping of keras-tuner's hyperband, of which
    only the number of epochs is left ("epochs budget")."""
    kept = {name: value for name, value in values.items() if not name.startswith("tuner/")}
    if "tuner/epochs" in values:
        kept["epochs budget"] = values["tuner/epochs"]
    return kept


def values_text(values: Mapping[str, Any]) -> str:
    """Returns the values of a trial as a line of text."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in shown(values).items()
    )


class RecipeTuner(keras_tuner.Tuner):
    """A tuner that runs each trial by a function, and reports its progress.

    Args:
        oracle: oracle that chooses the trials.
        run: function that trains and scores a configuration.
        configuration: function from parameters (keras_tuner.HyperParameters) to a configuration.
        folder: folder of the search; a search in it is resumed.
        trials: maximum number of trials, those before a resume included.
    """

    def __init__(
        self,
        oracle: SearchOracle,
        *,
        run: TrialRunner,
        configuration: Callable[[Any], Any],
        folder: Path,
        trials: int | None = None,
    ):
        self.run = run
        self.configuration = configuration
        self.started = time.time()
        self.seconds_in_trials = 0.0
        self.idle = False
        with contextlib.redirect_stdout(io.StringIO()):  # "Reloading Tuner from …"
            super().__init__(oracle, directory=str(folder), project_name="search")
        oracle.allow(trials)  # the reload has restored the former number
        self.ended_before = len(oracle.end_order)

    def _get_tuner_fname(self):
        if self._is_worker():
            return super()._get_tuner_fname()
        # Not by the id: a chief can resume a search that was begun alone.
        return str(Path(self.project_dir) / "tuner.json")

    def run_trial(self, trial: Trial, *_: Any, **__: Any) -> dict[str, Any]:
        values = trial.hyperparameters.values
        folder = Path(self.project_dir) / f"trial_{trial.trial_id}"

        def alive() -> None:
            self.oracle.get_trial(trial.trial_id)  # counts as a heartbeat

        result: dict[str, Any]
        try:
            config = self.configuration(trial.hyperparameters.copy())
            result = self.run(config, folder, values=values, alive=alive)
        except keras_tuner.errors.FatalError:
            raise
        except Exception as error:  # whatever a configuration breaks is recorded
            result = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
        if "error" in result:
            log.warning("trial %s failed: %s", trial.trial_id, result["error"])
            raise keras_tuner.errors.FailedTrialError(result["error"])
        name = self.oracle.objective.name
        self.seconds_in_trials += result["seconds"]
        if name not in result["scores"]:
            raise UnknownObjective(
                f"no objective {name!r}; accepted are {', '.join(result['scores'])}",
                field="objective",
            )
        measured = dict(result["scores"])
        for extra in EXTRAS:
            measured[extra] = float(result[extra])
        return measured

    def pre_create_trial(self) -> None:
        if self.idle:
            time.sleep(1.0)  # keras-tuner asks an oracle without a trial again at once
        self.idle = True

    def on_trial_begin(self, trial: Trial) -> None:
        self.idle = False
        log.info("trial %s: %s", trial.trial_id, values_text(trial.hyperparameters.values))

    def on_trial_end(self, trial: Trial) -> None:
        super().on_trial_end(trial)
        self.idle = False
        if isinstance(self.oracle, SearchOracle):  # the chief's, as a worker has it, has no trials
            self.log_progress(self.oracle)

    def log_progress(self, oracle: SearchOracle) -> None:
        """Logs how many trials have ended, the best of them, and how long the others will take."""
        ended = len(oracle.end_order)
        best = best_trial(oracle)
        parts = ["none has a score yet"]
        if best:
            parts = [f"best {oracle.objective.name} {best.score:.4f} (trial {best.trial_id})"]
        total = ""
        if oracle.trial_limit < float("inf"):
            total = f" of {oracle.trial_limit}"
            ended_here = len([each for each in oracle.end_order if each in oracle.trials])
            seconds = (time.time() - self.started) / max(ended_here - self.ended_before, 1)
            minutes = seconds * (oracle.trial_limit - ended) / 60
            if minutes:
                parts.append(f"about {minutes:.0f} minutes left")
        log.info("%d%s trials done, %s", ended, total, ", ".join(parts))

    def log_time(self) -> None:
        """Logs how long the search took, and which fraction of the time its trials took."""
        seconds = time.time() - self.started
        percent = 100 * self.seconds_in_trials / seconds
        log.info(
            "the search took %.1f minutes here, %.1f%% of it inside its trials",
            seconds / 60,
            percent,
        )
