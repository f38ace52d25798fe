"""keras-tuner's search with what it lacks: an end by time, trials that fail, and workers on other
machines that are lost in a trial."""

import contextlib
import functools
import io
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log, write_json

try:
    import keras_tuner
    from keras_tuner.engine.trial import Trial
    from keras_tuner.src.distribute import oracle_client
    from keras_tuner.src.engine.oracle import (
        LOCKS,
        THREADS,
    )  # keras-tuner 1.4 has no public way to them
except ImportError as error:
    raise InputError('tuning needs keras-tuner: pip install "rnn-cookbook[tune]"') from error

TUNERS = {
    "random": keras_tuner.oracles.RandomSearchOracle,
    "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
    "hyperband": keras_tuner.oracles.HyperbandOracle,
    "grid": keras_tuner.oracles.GridSearchOracle,
}
_SILENCE = 60.0  # seconds after which a worker that was not heard of counts as lost
_RETRIES = 2  # of a trial whose worker was lost
_ANSWER = 60.0  # seconds that a worker waits for its chief to be there
_PATIENCE = 300.0  # seconds that it waits for an answer later on
EXTRAS = (
    "seconds",
    "epochs",
    "seconds_an_epoch",
    "parameters",
    "peak_memory_mb",
)  # beside the scores


class UnknownObjective(keras_tuner.errors.FatalError, InputError):
    """The recipe's scores have no such name: the search ends."""


def _locked(method: Callable) -> Callable:
    """keras-tuner's lock, which it does not give back after an exception: a full disk would block a
    chief for ever."""
    inner = keras_tuner.synchronized(method)

    @functools.wraps(method)
    def call(self, *args, **kwargs):
        mine = THREADS[self] != threading.current_thread().name
        try:
            return inner(self, *args, **kwargs)
        except BaseException:
            if mine and THREADS[self] == threading.current_thread().name:
                THREADS[self] = None
                LOCKS[self].release()
            raise

    return call


class _Watch:
    """What keras-tuner's oracles lack: an end by time and by the number of trials, workers that are
    lost in a trial, and files that are written whole or not at all."""

    deadline, most, silence = float("inf"), float("inf"), _SILENCE

    def listen(self, tuner_id: str) -> None:
        self.heard[tuner_id] = time.time()

    @_locked
    def create_trial(self, tuner_id):
        began = time.time()
        self.listen(tuner_id)
        self.bury()
        over = time.time() > self.deadline or (
            len(self.trials) >= self.most and not self._retry_queue
        )
        if over and tuner_id not in self.ongoing_trials:
            trial = Trial(
                hyperparameters=self.hyperparameters.copy(), trial_id="", status="STOPPED"
            )
            self.tuner_ids.discard(tuner_id)
        else:
            trial = super().create_trial(tuner_id)
        if (
            trial.status == "STOPPED" and self.ongoing_trials
        ):  # of others, who may be lost: somebody must be there to take their trials
            trial.status = "IDLE"
            self.tuner_ids.add(tuner_id)
        thought = (
            time.time() - began
        )  # a Bayesian search may take minutes, in which nobody can be heard
        self.heard = {each: when + thought for each, when in self.heard.items()}
        return trial

    def populate_space(self, trial_id):
        """Hyperband waits for every trial of a round to be completed; here those that failed count
        as the worst of it."""
        failed = [trial for trial in self.trials.values() if trial.status == "FAILED"]
        waits = isinstance(self, keras_tuner.oracles.HyperbandOracle)
        for trial in failed if waits else ():
            trial.status, trial.score = (
                "COMPLETED",
                float("-inf" if self.objective.direction == "max" else "inf"),
            )
        try:
            return super().populate_space(trial_id)
        finally:
            for trial in failed if waits else ():
                trial.status, trial.score = "FAILED", None

    def save(self):
        write_json(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial):
        write_json(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())

    @_locked
    def update_trial(self, trial_id, metrics, step=0):
        # keras-tuner would make a Keras metric to find its direction out, and so take the GPU from
        # the trials
        for name in metrics:
            if not self.trials[trial_id].metrics.exists(name):
                direction = self.objective.direction if name == self.objective.name else "min"
                self.trials[trial_id].metrics.register(name, direction=direction)
        return super().update_trial(trial_id, metrics, step=step)

    @_locked
    def end_trial(self, trial):
        return super().end_trial(trial)

    def reload(self):
        """keras-tuner's grid forgets where it was: here it goes on after the trials that have
        begun, each made from the one before."""
        super().reload()
        for each in set(self.trials) - set(
            self.start_order
        ):  # a kill came between the two files that tell of its beginning
            del self.trials[each]
        if isinstance(self, keras_tuner.oracles.GridSearchOracle):
            for before, each in zip([None, *self.start_order], self.start_order, strict=False):
                self._ordered_ids.insert(each, before)
            self._populate_next = [*self.start_order]

    @_locked
    def get_trial(self, trial_id):
        for tuner_id, trial in self.ongoing_trials.items():
            if trial.trial_id == trial_id:
                self.listen(tuner_id)
        return super().get_trial(trial_id)

    @_locked
    def bury(self) -> None:
        """Gives the trials of lost workers to others."""
        now = time.time()
        for tuner_id in [
            each for each in self.tuner_ids if now - self.heard.get(each, now) > self.silence
        ]:
            log.warning(
                "worker %s was not heard of for %.0f seconds: its trial goes to another one",
                tuner_id,
                self.silence,
            )
            if tuner_id in self.ongoing_trials:
                lost = self.ongoing_trials[tuner_id]
                lost.status, lost.message = "INVALID", f"worker {tuner_id} was lost"
                with contextlib.redirect_stdout(io.StringIO()):
                    self.end_trial(lost)
            self.tuner_ids.discard(tuner_id)
            self.heard.pop(tuner_id, None)


class RecipeTuner(keras_tuner.Tuner):
    """keras-tuner's tuner, whose trials are configurations of a recipe.

    Args:
        oracle: which chooses them.
        run: (configuration, folder, values of the parameters, what to call now and then) -> as
            `trials.train_apart`.
        configuration: parameters (keras_tuner.HyperParameters) -> configuration.
        folder: of the search.
    """

    def __init__(self, oracle, *, run: Callable[..., dict], configuration: Callable, folder: Path):
        self.run, self.configuration, self.started, self.idle, self.spent = (
            run,
            configuration,
            time.time(),
            False,
            0.0,
        )
        with contextlib.redirect_stdout(io.StringIO()):  # "Reloading Tuner from …"
            super().__init__(oracle, directory=str(folder), project_name="search")

    def _get_tuner_fname(self):
        # Not by the id: a search that was begun alone can be gone on with by a chief.
        return (
            super()._get_tuner_fname()
            if self._is_worker()
            else str(Path(self.project_dir) / "tuner.json")
        )

    def run_trial(self, trial, *_, **__):
        values = trial.hyperparameters.values
        folder = Path(self.project_dir) / f"trial_{trial.trial_id}"
        try:
            config = self.configuration(trial.hyperparameters.copy())
            result = self.run(
                config, folder, values=values, alive=lambda: self.oracle.get_trial(trial.trial_id)
            )
        except keras_tuner.errors.FatalError:
            raise
        except (
            Exception
        ) as error:  # whatever a configuration breaks is recorded, and the search goes on
            result = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
        if "error" in result:
            log.warning("trial %s failed: %s", trial.trial_id, result["error"])
            raise keras_tuner.errors.FailedTrialError(result["error"])
        name = self.oracle.objective.name
        self.spent += result["seconds"]
        if name not in result["scores"]:
            raise UnknownObjective(
                f"no objective {name!r}; there are {', '.join(result['scores'])}"
            )
        return {**result["scores"], **{extra: float(result[extra]) for extra in EXTRAS}}

    def pre_create_trial(self):
        if self.idle:
            time.sleep(1.0)  # an oracle that has nothing to do is asked again at once, else
        self.idle = True

    def on_trial_begin(self, trial):
        self.idle = False
        log.info("trial %s: %s", trial.trial_id, told(trial.hyperparameters.values))

    def on_trial_end(self, trial):
        super().on_trial_end(trial)
        self.idle = False
        if hasattr(self.oracle, "trials"):  # a worker's is at its chief
            self.tell()

    def go_on(self, trials: int | None) -> None:
        """With what was done before, under the limits of now."""
        self.before = len(getattr(self.oracle, "end_order", ()))
        if isinstance(self.oracle, keras_tuner.oracles.HyperbandOracle):
            self.oracle.hyperband_iterations = _iterations(trials)

    def tell(self) -> None:
        """How far the search is."""
        oracle, name = self.oracle, self.oracle.objective.name
        ended, best = len(oracle.end_order), best_trial(oracle)
        here = len([each for each in oracle.end_order if each in oracle.trials])
        most = oracle.most if oracle.most < float("inf") else None
        left = (
            (time.time() - self.started) / max(here - self.before, 1) * (most - ended)
            if most
            else None
        )
        log.info(
            "%d%s trials done%s%s",
            ended,
            f" of {most}" if most else "",
            f", best {name} {best.score:.4f} (trial {best.trial_id})"
            if best
            else ", none has a score yet",
            f", about {left / 60:.0f} minutes left" if left else "",
        )

    def tell_time(self) -> None:
        """What the search took beyond its trials."""
        took = time.time() - self.started
        log.info(
            "the search took %.1f minutes here, %.1f%% of it inside its trials",
            took / 60,
            100 * self.spent / took,
        )

    before = 0  # trials that had ended when this process began


def make_oracle(
    tuner: str,
    objective: str,
    direction: str,
    space,
    *,
    trials: int | None,
    epochs: int,
    seed: int,
    max_minutes: float,
):
    options = {
        "objective": keras_tuner.Objective(objective, direction),
        "hyperparameters": space,
        "seed": seed + 1,
    }
    limits = {"max_trials": trials}
    if tuner == "hyperband":
        limits = {"max_epochs": epochs, "hyperband_iterations": _iterations(trials)}
    retries = {"max_retries_per_trial": _RETRIES, "max_consecutive_failed_trials": 1_000_000}
    oracle = type(TUNERS[tuner].__name__, (_Watch, TUNERS[tuner]), {})(
        **options, **limits, **retries
    )
    oracle.verbose, oracle.heard = 0, {}  # when each worker was heard of
    oracle.most = trials or float("inf")
    oracle.deadline = time.time() + 60 * max_minutes if max_minutes else float("inf")
    return oracle


def _iterations(trials: int | None) -> int:
    """Of hyperband: one goes through all its brackets; with a number of trials it is that which
    ends the search."""
    return 1 if trials is None else 1_000


def best_trial(oracle):
    """The finished trial with the best score, if there is any."""
    done = [
        trial
        for trial in oracle.trials.values()
        if trial.status == "COMPLETED" and trial.score is not None
    ]
    return (
        (max if oracle.objective.direction == "max" else min)(done, key=lambda trial: trial.score)
        if done
        else None
    )


def shown(values: dict) -> dict:
    """What a reader wants to know of a trial: not how keras-tuner's hyperband got there, but for
    how many epochs."""
    return {name: value for name, value in values.items() if not name.startswith("tuner/")} | (
        {"epochs budget": values["tuner/epochs"]} if "tuner/epochs" in values else {}
    )


def told(values: dict) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in shown(values).items()
    )


def role() -> str:
    """Of this process, by keras-tuner's own variables: "alone", "chief" or "worker"."""
    names = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
    there = [name for name in names if os.environ.get(name)]
    if there and len(there) < len(names):
        raise InputError(
            f"a search on several machines needs {', '.join(names)} in the environment, got {', '.join(there)} only"
        )
    if not there:
        return "alone"
    if not os.environ[names[2]].isdigit():
        raise InputError(f"{names[2]} must be a number, got {os.environ[names[2]]!r}")
    return "chief" if "chief" in os.environ[names[0]] else "worker"


def find_chief() -> None:
    where = os.environ["KERASTUNER_ORACLE_IP"], int(os.environ["KERASTUNER_ORACLE_PORT"])
    wait = float(os.environ.get("RNN_COOKBOOK_CHIEF_SECONDS") or _ANSWER)
    until = time.time() + wait
    while True:
        try:
            socket.create_connection(where, timeout=2.0).close()
            oracle_client.TIMEOUT = _PATIENCE  # of keras-tuner, an hour
            return
        except OSError as error:
            if time.time() > until:
                raise InputError(
                    f"no chief answers at {where[0]}:{where[1]} for {wait:.0f} seconds ({error}): start the same command there, with "
                    "KERASTUNER_TUNER_ID=chief"
                ) from error
            time.sleep(1.0)


def watch_workers(oracle) -> None:
    """In the chief, beside its server: lost workers are found though nobody asks for a trial, and
    the end of the time is seen."""

    def watch() -> None:
        while True:
            time.sleep(min(5.0, oracle.silence / 2))
            oracle.bury()
            if time.time() > oracle.deadline and not oracle.ongoing_trials and not oracle.tuner_ids:
                # keras-tuner's chief ends once it has told somebody that nothing is left; here
                # nobody is there who would ask.
                oracle_client.OracleClient(oracle).create_trial("the watch")
                return

    oracle.silence = float(os.environ.get("RNN_COOKBOOK_WORKER_SECONDS") or _SILENCE)
    threading.Thread(target=watch, name="watch", daemon=True).start()
