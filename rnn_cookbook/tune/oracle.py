"""keras-tuner's oracles with what they lack: an end by time, and workers on other machines that
are lost in a trial."""

from __future__ import annotations

import contextlib
import functools
import io
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log, write_json
from rnn_cookbook.metrics import Metric

try:
    import keras_tuner
    from keras_tuner.engine.trial import Trial

    # keras-tuner 1.4 has no public way to its client and its locks.
    from keras_tuner.src.distribute import oracle_client
    from keras_tuner.src.engine.oracle import LOCKS, THREADS
except ImportError as error:
    raise InputError('tuning needs keras-tuner: pip install "rnn-cookbook[tune]"') from error

__all__ = [
    "TUNERS",
    "WORKER_TIMEOUT",
    "BayesianSearch",
    "GridSearch",
    "HyperbandSearch",
    "RandomSearch",
    "SearchOracle",
    "Trial",
    "best_trial",
    "keras_tuner",
    "make_oracle",
    "oracle_client",
]

WORKER_TIMEOUT = 60.0  # seconds without a heartbeat after which a worker counts as lost
_RETRIES = 2  # further runs of a trial whose worker was lost
_ANY_NUMBER = 1_000_000  # of failed trials in a row: keras-tuner would stop after three
_NEVER_ENDING = 1_000  # passes of hyperband, so that the number of trials ends the search


def _locked(method: Callable) -> Callable:
    """keras-tuner's lock, given back after an exception: else a full disk blocks a chief for
    ever."""
    synchronized = keras_tuner.synchronized(method)

    @functools.wraps(method)
    def call(self, *args, **kwargs):
        thread = threading.current_thread().name
        acquires = THREADS[self] != thread
        try:
            return synchronized(self, *args, **kwargs)
        except BaseException:
            if acquires and THREADS[self] == thread:
                THREADS[self] = None
                LOCKS[self].release()
            raise

    return call


class SearchOracle(keras_tuner.Oracle):
    """A base of oracles that end by time and by number of trials, give the trials of lost workers
    to others, and write each file whole or not at all.

    Attributes:
        trial_limit: number of trials after which none begins.
        deadline: time (seconds since 1970) after which no trial begins.
        worker_timeout: seconds without a heartbeat after which a worker counts as lost.
        last_seen: worker id -> time of its last heartbeat.
    """

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.verbose = 0
        self.trial_limit = float("inf")
        self.deadline = float("inf")
        self.worker_timeout = WORKER_TIMEOUT
        self.last_seen: dict[str, float] = {}

    def heartbeat(self, worker: str) -> None:
        """Notes that a worker is alive."""
        self.last_seen[worker] = time.time()

    @_locked
    def reap(self) -> None:
        """Gives the trials of lost workers to others."""
        now = time.time()
        for worker in list(self.tuner_ids):
            if now - self.last_seen.get(worker, now) <= self.worker_timeout:
                continue
            log.warning(
                "worker %s sent nothing for %.0f seconds: its trial goes to another worker",
                worker,
                self.worker_timeout,
            )
            if worker in self.ongoing_trials:
                lost = self.ongoing_trials[worker]
                lost.status = "INVALID"
                lost.message = f"worker {worker} was lost"
                with contextlib.redirect_stdout(io.StringIO()):
                    self.end_trial(lost)
            self.tuner_ids.discard(worker)
            self.last_seen.pop(worker, None)

    def _is_over(self) -> bool:
        enough = len(self.trials) >= self.trial_limit and not self._retry_queue
        return enough or time.time() > self.deadline

    @_locked
    def create_trial(self, tuner_id: str) -> Trial:
        began = time.time()
        self.heartbeat(tuner_id)
        self.reap()
        if self._is_over() and tuner_id not in self.ongoing_trials:
            values = self.hyperparameters.copy()
            trial = Trial(hyperparameters=values, trial_id="", status="STOPPED")
            self.tuner_ids.discard(tuner_id)
        else:
            trial = super().create_trial(tuner_id)
        if trial.status == "STOPPED" and self.ongoing_trials:
            # Other workers still hold trials and may be lost: this one stays to take those over.
            trial.status = "IDLE"
            self.tuner_ids.add(tuner_id)
        # A Bayesian search may think for minutes, in which no heartbeat gets through.
        thought = time.time() - began
        self.last_seen = {worker: seen + thought for worker, seen in self.last_seen.items()}
        return trial

    @_locked
    def get_trial(self, trial_id: str) -> Trial:
        for worker, trial in self.ongoing_trials.items():
            if trial.trial_id == trial_id:
                self.heartbeat(worker)
        return super().get_trial(trial_id)

    @_locked
    def update_trial(self, trial_id: str, metrics: Mapping[str, float], step: int = 0) -> Trial:
        # keras-tuner would make a Keras metric to find its direction out, and so take the GPU from
        # the trials.
        known = self.trials[trial_id].metrics
        for name in metrics:
            if not known.exists(name):
                is_objective = name == self.objective.name
                known.register(name, self.objective.direction if is_objective else "min")
        return super().update_trial(trial_id, metrics, step=step)

    @_locked
    def end_trial(self, trial: Trial) -> None:
        return super().end_trial(trial)

    def save(self) -> None:
        write_json(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial):
        write_json(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())

    def reload(self) -> None:
        super().reload()
        # A kill may come between the two files that say that a trial has begun.
        for trial_id in set(self.trials) - set(self.start_order):
            del self.trials[trial_id]

    def allow(self, trials: int | None) -> None:
        """Sets the number of trials; None for as many as the search has."""
        self.trial_limit = trials or float("inf")


class RandomSearch(SearchOracle, keras_tuner.oracles.RandomSearchOracle):
    """A search that draws each trial at random."""


class BayesianSearch(SearchOracle, keras_tuner.oracles.BayesianOptimizationOracle):
    """A search by a Gaussian process over the scores so far."""


class HyperbandSearch(SearchOracle, keras_tuner.oracles.HyperbandOracle):
    """Hyperband (Li et al. 2018), in which failed trials are the worst of their round."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        # keras-tuner waits until every trial of a round is completed: a failed trial never is.
        worst = float("-inf" if self.objective.direction == "max" else "inf")
        failed = [trial for trial in self.trials.values() if trial.status == "FAILED"]
        for trial in failed:
            trial.status = "COMPLETED"
            trial.score = worst
        try:
            return super().populate_space(trial_id)
        finally:
            for trial in failed:
                trial.status = "FAILED"
                trial.score = None

    def allow(self, trials: int | None) -> None:
        super().allow(trials)
        # One pass goes through all brackets.
        self.hyperband_iterations = 1 if trials is None else _NEVER_ENDING


class GridSearch(SearchOracle, keras_tuner.oracles.GridSearchOracle):
    """A search through all combinations."""

    def reload(self) -> None:
        super().reload()
        # keras-tuner's grid forgets where it was: it resumes after the trials that have begun, each
        # made from the trial before.
        before = None
        for trial_id in self.start_order:
            self._ordered_ids.insert(trial_id, before)
            before = trial_id
        self._populate_next = [*self.start_order]


TUNERS: Mapping[str, type[SearchOracle]] = {
    "random": RandomSearch,
    "bayesian": BayesianSearch,
    "hyperband": HyperbandSearch,
    "grid": GridSearch,
}


def make_oracle(
    tuner: str,
    metric: Metric,
    space: keras_tuner.HyperParameters,
    *,
    trials: int | None,
    epochs: int,
    seed: int,
    max_minutes: float = 0.0,
) -> SearchOracle:
    """Makes the oracle that chooses the trials of a search.

    Args:
        tuner: one of `TUNERS`.
        metric: objective.
        space: parameters to search.
        trials: maximum number of trials; None for as many as the search has.
        epochs: epochs of a full training, which hyperband divides.
        seed: seed of the recipe; the search draws by the next number.
        max_minutes: minutes after which no trial begins; 0 for no limit.
    """
    limits: dict[str, Any] = {"max_trials": trials}
    if tuner == "hyperband":
        limits = {"max_epochs": epochs}
    oracle = TUNERS[tuner](
        objective=keras_tuner.Objective(metric.name, metric.direction),
        hyperparameters=space,
        seed=seed + 1,
        max_retries_per_trial=_RETRIES,
        max_consecutive_failed_trials=_ANY_NUMBER,
        **limits,
    )
    oracle.allow(trials)
    if max_minutes:
        oracle.deadline = time.time() + 60 * max_minutes
    return oracle


def best_trial(oracle: SearchOracle) -> Trial | None:
    """Returns the completed trial with the best score; None where no trial has a score."""
    done = [
        trial
        for trial in oracle.trials.values()
        if trial.status == "COMPLETED" and trial.score is not None
    ]
    choose = max if oracle.objective.direction == "max" else min
    return choose(done, key=lambda trial: trial.score) if done else None
