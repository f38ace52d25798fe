"""The report of a run: `metrics.json`, and the table that puts the model beside its baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rnn_cookbook.metrics import Metric
from rnn_cookbook.nn.diagnostics import gpu_summary
from rnn_cookbook.run.folder import Run, environment, peak_memory_mb

if TYPE_CHECKING:
    import keras

    from rnn_cookbook.recipe import Config

__all__ = ["comparison", "write_metrics"]

_TIE = 5e-5  # scores that are printed as equal


def write_metrics(
    run: Run,
    *,
    config: Config,
    splits: Mapping[str, int],
    test: Mapping[str, Any],
    validation: Mapping[str, Any],
    baselines: Mapping[str, Mapping[str, Any]],
    model: keras.Model,
    training: Mapping[str, Any],
    scorer: str = "",
) -> dict[str, Any]:
    """Writes `metrics.json`, the last file of a run: a run that has it is finished.

    Args:
        run: folder of the run.
        config: settings of the recipe.
        splits: name -> number of examples.
        test: scores on the test split.
        validation: scores on the validation split.
        baselines: name -> scores on the test split, with their seconds.
        model: trained network.
        training: what `run.fit.fit` returns.
        scorer: how the scores were counted, where there is more than one way.

    Returns:
        The contents of the file.
    """
    facts = {key: value for key, value in training.items() if key not in ("history", "seconds")}
    seconds = training["seconds"] if run.training_seconds is None else run.training_seconds
    report = {
        "recipe": run.recipe,
        "data": config.data,
        "seed": config.seed,
        "splits": splits,
        "test": test,
        "validation": validation,
        "baselines": baselines,
        "model": {"parameters": model.count_params(), "gpu_kernels": gpu_summary(model)},
        "training": {
            **facts,
            "seconds": round(seconds, 1),
            "peak_memory_mb": peak_memory_mb(),
        },
        "environment": environment(),
    }
    if scorer:
        report["scorer"] = scorer
    run.write_json("metrics.json", report)
    return report


def comparison(
    report: Mapping[str, Any], *, metric: Metric, others: Sequence[Metric | str] = ()
) -> str:
    """Tabulates the model and its baselines, best first, and says in a sentence which one wins.

    Args:
        report: contents of `metrics.json`.
        metric: score that ranks the rows.
        others: further columns; a score without a direction, such as a coverage, by its name.
    """
    model = {**report["test"], "seconds": report["training"]["seconds"]}
    rows = {"this model": model, **report["baselines"]}
    ranked = metric.ranked({name: row[metric.name] for name, row in rows.items()})
    names = [other.name if isinstance(other, Metric) else other for other in others]
    columns = [metric.name, *names, "seconds"]
    title = f"test ({report['splits']['test']} examples)"
    width = max(len(title), max(map(len, ranked)) + 2)
    lines = [title.ljust(width) + "".join(f"{column:>19}" for column in columns)]
    for name in ranked:
        cells = [_cell(rows[name], column) for column in columns]
        lines.append(name.ljust(width) + "".join(f"{cell:>19}" for cell in cells))
    best = next((name for name in ranked if name != "this model"), None)
    if best is not None:
        lines.append(
            _verdict(metric, ours=model[metric.name], best=best, theirs=rows[best][metric.name])
        )
    return "\n".join(lines)


def _cell(row: Mapping[str, Any], column: str) -> str:
    if column == "seconds":
        return f"{row[column]:.1f}"
    return f"{row[column]:.4f}" if column in row else "–"


def _verdict(metric: Metric, *, ours: float, best: str, theirs: float) -> str:
    gap = abs(ours - theirs)
    if gap < _TIE:
        return f"the model ties with the best baseline, {best}"
    verdict = "wins against" if metric.better(ours, than=theirs) else "loses to"
    return f"the model {verdict} the best baseline, {best}, by {gap:.4f} {metric.name}"
