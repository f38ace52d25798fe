"""What every run leaves behind: `metrics.json`, its training curves, and the table that puts the
model beside its baselines."""

from pathlib import Path

from matplotlib.figure import Figure

from rnn_cookbook.files import write_atomically
from rnn_cookbook.nn.diagnostics import gpu_summary
from rnn_cookbook.run.folder import Run, environment, peak_memory_mb

# A colour each, told apart by the colour-blind too (Okabe and Ito).
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#999999"


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
            **{
                key: value
                for key, value in training.items()
                if key not in ("history", "seconds_here")
            },
            "peak_memory_mb": peak_memory_mb(),
        },
        "environment": environment(),
        **({"scorer": scorer} if scorer else {}),
    }
    run.write_json("metrics.json", report)
    return report


def comparison(
    report: dict, *, metric: str, others: tuple[str, ...] = (), higher_is_better: bool = True
) -> str:
    """A table of the model and its baselines, best first, and a sentence that says which one wins."""
    rows = {
        "this model": {**report["test"], "seconds": report["training"]["seconds"]},
        **report["baselines"],
    }
    ranked = sorted(rows, key=lambda name: rows[name][metric], reverse=higher_is_better)
    columns = [metric, *others, "seconds"]
    width = max(map(len, ranked))
    lines = [
        f"test ({report['splits']['test']} examples)".ljust(width + 2)
        + "".join(f"{column:>19}" for column in columns)
    ]
    width = max(width + 2, len(lines[0]) - 19 * len(columns))
    for name in ranked:
        cells = (
            f"{rows[name][column]:.1f}"
            if column == "seconds"
            else f"{rows[name][column]:.4f}"
            if column in rows[name]
            else "–"
            for column in columns
        )
        lines.append(name.ljust(width) + "".join(f"{cell:>19}" for cell in cells))
    best = next((name for name in ranked if name != "this model"), None)
    if best is not None:
        gap = abs(rows["this model"][metric] - rows[best][metric])
        verdict = (
            "ties with"
            if gap < 5e-5
            else "wins against"
            if ranked[0] == "this model"
            else "loses to"
        )
        lines.append(
            f"the model {verdict} the best baseline, {best}"
            + (f", by {gap:.4f} {metric}" if gap >= 5e-5 else "")
        )
    return "\n".join(lines)


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
