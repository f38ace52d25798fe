"""What every run leaves behind: `metrics.json`, its training curves, and the table that puts the
model beside its baselines."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from rnn_cookbook.files import write_atomically
from rnn_cookbook.metrics import Metric
from rnn_cookbook.nn.diagnostics import gpu_summary
from rnn_cookbook.run.folder import Run, environment, peak_memory_mb

# A colour each, told apart by the colour-blind too (Okabe and Ito).
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#999999"

_TIE = 5e-5  # scores that are printed as equal


def write_metrics(
    run: Run,
    *,
    config,
    splits: dict[str, int],
    test: dict,
    validation: dict,
    baselines: dict,
    model,
    training: dict,
    scorer: str = "",
) -> dict:
    """Writes `metrics.json`, the last file of a run: a run that has it is finished. Returns its
    contents.

    `scorer` says how the scores were counted, where that is not one way only.
    """
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
            **{key: value for key, value in training.items() if key not in ("history", "seconds")},
            "seconds": round(
                training["seconds"] if run.training_seconds is None else run.training_seconds, 1
            ),
            "peak_memory_mb": peak_memory_mb(),
        },
        "environment": environment(),
        **({"scorer": scorer} if scorer else {}),
    }
    run.write_json("metrics.json", report)
    return report


def comparison(report: dict, *, metric: Metric, others: Sequence[Metric | str] = ()) -> str:
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


def _cell(row: dict, column: str) -> str:
    if column == "seconds":
        return f"{row[column]:.1f}"
    return f"{row[column]:.4f}" if column in row else "–"


def _verdict(metric: Metric, *, ours: float, best: str, theirs: float) -> str:
    gap = abs(ours - theirs)
    if gap < _TIE:
        return f"the model ties with the best baseline, {best}"
    verdict = "wins against" if metric.better(ours, than=theirs) else "loses to"
    return f"the model {verdict} the best baseline, {best}, by {gap:.4f} {metric.name}"


def plot_training(
    run: Run,
    history: dict,
    *,
    metric: str,
    training: str = "training (with dropout)",
    unit: str = "nats",
) -> None:
    """`plots/training.png`: loss and `metric`, where they were measured on the training and the
    validation split, by epoch.

    What was kept is marked, one epoch or several. `history` is what `training.fit` returns,
    `training` what the legend says of the training split, `unit` that of the loss.
    """
    best, averaged, history = history["best_epoch"], history["averaged"], history["history"]
    epochs = [row["epoch"] + 1 for row in history]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", metric), strict=True):
        if name in history[0]:
            axes.plot(epochs, [row[name] for row in history], "o-", color=GREY, label=training)
        axes.plot(
            epochs, [row[f"val_{name}"] for row in history], "o-", color=BLUE, label="validation"
        )
        if averaged > 1:
            axes.axvspan(
                len(history) + 0.5 - averaged,
                len(history) + 0.5,
                color=ORANGE,
                alpha=0.15,
                linewidth=0,
                label="kept: their mean",
            )
        else:
            axes.axvline(best + 1, color=ORANGE, linestyle=":", label="kept")
        axes.set(xlabel="epoch", ylabel=f"loss ({unit})" if name == "loss" else name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
    save_plot(run, "training", figure)


def save_plot(run: Run, name: str, figure: Figure) -> None:
    """`plots/<name>.png` in the run's folder."""
    save_figure(run.path, name, figure)


def save_figure(folder: Path, name: str, figure: Figure) -> None:
    """`plots/<name>.png` in a folder."""
    write_atomically(
        folder / "plots" / f"{name}.png", lambda temporary: figure.savefig(temporary, dpi=120)
    )
