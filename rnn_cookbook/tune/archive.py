"""The folder of a search: whose it is, the table of the trials, the plots, and the summary."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import write_atomically, write_json
from rnn_cookbook.metrics import Metric
from rnn_cookbook.run.folder import changes
from rnn_cookbook.tune.oracle import SearchOracle, Trial
from rnn_cookbook.tune.plots import plot_search
from rnn_cookbook.tune.tuner import EXTRAS, shown, values_text

__all__ = ["claim_folder", "summary", "why_no_score", "write_trials"]

_DEFAULT = "default"  # row of the configuration that the search started from
_CHANGE_LENGTH = 160  # characters of a change that are shown


def claim_folder(
    folder: Path, about: Mapping[str, Any], limits: Mapping[str, Any], *, resume: bool
) -> None:
    """Writes `search.json`, which says whose a folder is.

    Args:
        folder: folder of the search.
        about: what makes it the same search.
        limits: what may change when the search is resumed.
        resume: whether the folder may hold this search already.

    Raises:
        InputError: the folder holds another search, or something else.
    """
    file = folder / "search.json"
    if file.exists():
        before = json.loads(file.read_text(encoding="utf-8"))
        if changed := changes(before, about):
            short = [
                each if len(each) <= _CHANGE_LENGTH else each[:_CHANGE_LENGTH] + "…"
                for each in changed
            ]
            raise InputError(
                f"{folder} holds another search: {listing(short, 3)}. Choose another folder",
                field="output",
            )
        if not resume:
            raise InputError(
                f"{folder} holds a search already: resume it, or choose another folder",
                field=("resume", "output"),
            )
    elif folder.exists() and any(folder.iterdir()):
        raise InputError(
            f"{folder} exists and holds no search: choose another folder", field="output"
        )
    write_json(file, {**about, **limits})


def _trial_row(trial: Trial) -> dict[str, Any]:
    lines = (trial.message or "").strip().splitlines() or [""]
    error = lines[-1].rpartition("FailedTrialError: ")[2]
    if trial.status == "FAILED" and not error:
        error = "see the log of its worker"  # which does not send it
    row = {"trial": trial.trial_id, "status": trial.status.lower(), "score": trial.score}
    row.update(shown(trial.hyperparameters.values))
    for name in trial.metrics.metrics:
        row[name] = trial.metrics.get_last_value(name)
    row["error"] = error
    return row


def _default_row(default: Mapping[str, Any], objective: str) -> dict[str, Any]:
    row: dict[str, Any] = {"trial": _DEFAULT}
    if "error" in default:
        row["status"] = "failed"
        row.update(default["values"])
        row["error"] = default["error"]
        return row
    row["status"] = "completed"
    row["score"] = default["scores"].get(objective)
    row.update(default["values"])
    row.update(default["scores"])
    for extra in EXTRAS:
        row[extra] = default[extra]
    return row


def _without_default(table: pd.DataFrame) -> pd.DataFrame:
    return table.query("trial != @_DEFAULT")


def write_trials(
    folder: Path, oracle: SearchOracle, *, default: Mapping[str, Any] | None, metric: Metric
) -> pd.DataFrame:
    """Writes `trials.csv`, a row for each trial in the order of their beginnings, and the plots.

    Args:
        folder: folder of the search.
        oracle: oracle that has ended.
        default: result of the configuration that the search started from, as `trial.train_apart`
            returns it, with its "values".
        metric: objective.

    Returns:
        The table.
    """
    rows = [_trial_row(oracle.trials[trial_id]) for trial_id in oracle.start_order]
    if default:
        rows.append(_default_row(default, metric.name))
    table = pd.DataFrame(rows)
    if not rows:
        table = pd.DataFrame(columns=["trial", "status", "score", "error"])
    if "error" not in table:
        table["error"] = ""
    others = [column for column in table.columns if column != "error"]
    table = table.reindex(columns=[*others, "error"])
    write_atomically(folder / "trials.csv", lambda path: table.to_csv(path, index=False))
    plot_search(
        folder,
        _without_default(table),
        parameters=[parameter.name for parameter in oracle.hyperparameters.space],
        metric=metric,
    )
    return table


def why_no_score(table: pd.DataFrame) -> str:
    """Returns why a search has no best trial."""
    tried = _without_default(table)
    if not len(tried):
        return "none of 0 trials has a score: none has begun"
    last = tried["error"].iloc[-1]
    return f"none of {len(tried)} trials has a score; the last error: {last}"


def _verdict(gain: float) -> str:
    if np.isclose(gain, 0):
        return "is as good"
    return f"is better by {gain:.4f}" if gain > 0 else "is worse: keep the former configuration"


def summary(folder: Path, best: Trial, default: Mapping[str, Any] | None, *, metric: Metric) -> str:
    """Returns the report of a search: its best trial beside what it started from.

    Args:
        folder: folder of the search.
        best: best trial.
        default: result of the configuration that the search started from.
        metric: objective.
    """
    values = values_text(best.hyperparameters.values)
    lines = [
        f"best of the search, on validation: {metric.name} {best.score:.4f}, "
        f"trial {best.trial_id}: {values}"
    ]
    if default and metric.name in default.get("scores", {}):
        start = default["scores"][metric.name]
        gain = best.score - start if metric.higher_is_better else start - best.score
        lines.append(
            f"the search started from {metric.name} {start:.4f}; the best {_verdict(gain)}"
        )
    lines.append(f"all trials: {folder / 'trials.csv'}")
    lines.append(f"the best configuration, to run again: {folder / 'best.json'}")
    return "\n".join(lines)
