"""What a run leaves behind: `metrics.json`, plots, and the table that puts the model beside its baselines."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure

from rnn_cookbook import alarms, forecasts
from rnn_cookbook.anomalies import Scored
from rnn_cookbook.data.anomalies import LabelledStream
from rnn_cookbook.data.series import Series
from rnn_cookbook.data.tags import Span
from rnn_cookbook.diagnostics import gpu_summary
from rnn_cookbook.encode.series import SeriesEncoder, Windows
from rnn_cookbook.errors import listing
from rnn_cookbook.metrics import accuracy_by_length
from rnn_cookbook.runs import Run, environment, log, peak_memory_mb, write_atomically, write_text

# A colour each, told apart by the colour-blind too (Okabe and Ito).
_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#999999"


def write_metrics(
    run: Run, *, config, splits: dict[str, int], test: dict, validation: dict, baselines: dict, model, training: dict
) -> dict:
    """Writes `metrics.json`, the last file of a run: a run that has it is finished. Returns its contents."""
    report = {
        "recipe": run.recipe,
        "data": config.data,
        "seed": config.seed,
        "splits": splits,
        "test": test,
        "validation": validation,
        "baselines": baselines,
        "model": {"parameters": model.count_params(), "gpu_kernels": gpu_summary(model)},
        "training": {**{key: value for key, value in training.items() if key != "history"}, "peak_memory_mb": peak_memory_mb()},
        "environment": environment(),
    }
    run.write_json("metrics.json", report)
    return report


def comparison(report: dict, *, metric: str, others: tuple[str, ...] = (), higher_is_better: bool = True) -> str:
    """A table of the model and its baselines, best first, and a sentence that says which one wins."""
    rows = {"this model": {**report["test"], "seconds": report["training"]["seconds"]}, **report["baselines"]}
    ranked = sorted(rows, key=lambda name: rows[name][metric], reverse=higher_is_better)
    columns = [metric, *others, "seconds"]
    width = max(map(len, ranked))
    lines = [f"test ({report['splits']['test']} examples)".ljust(width + 2) + "".join(f"{column:>19}" for column in columns)]
    width = max(width + 2, len(lines[0]) - 19 * len(columns))
    for name in ranked:
        cells = (
            f"{rows[name][column]:.1f}" if column == "seconds" else f"{rows[name][column]:.4f}" if column in rows[name] else "–"
            for column in columns
        )
        lines.append(name.ljust(width) + "".join(f"{cell:>19}" for cell in cells))
    best = next((name for name in ranked if name != "this model"), None)
    if best is not None:
        gap = abs(rows["this model"][metric] - rows[best][metric])
        verdict = "ties with" if gap < 5e-5 else "wins against" if ranked[0] == "this model" else "loses to"
        lines.append(f"the model {verdict} the best baseline, {best}" + (f", by {gap:.4f} {metric}" if gap >= 5e-5 else ""))
    return "\n".join(lines)


def write_classification(
    run: Run, texts: Sequence[str], labels: np.ndarray, probabilities: np.ndarray, *, classes, lengths, unit: str
) -> None:
    """What a classifier's run folder shows of the test split.

    `predictions.jsonl` in the order of the split; `mistakes.txt`, the 20 most confident ones; `plots/confusion.png`; and
    `plots/accuracy_by_length.png`.

    Args:
        run: where to write.
        texts: the raw examples.
        labels: int[examples].
        probabilities: float[examples, classes].
        classes: their names.
        lengths: of the examples, before anything was cut.
        unit: of the lengths.
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    rows = zip(labels, predicted, confidence, strict=True)
    run.write_lines(
        "predictions.jsonl",
        ({"label": classes[label], "predicted": classes[guess], "probability": round(float(share), 5)} for label, guess, share in rows),
    )
    wrong = sorted(np.flatnonzero(predicted != labels), key=lambda i: -confidence[i])[:20]
    mistakes = (f"[{i}] {classes[labels[i]]}, taken for {classes[predicted[i]]} ({confidence[i]:.1%})\n{texts[i]}\n\n" for i in wrong)
    write_text(run.path / "mistakes.txt", "".join(mistakes) or "no mistakes\n")
    log.info("the %d most confident mistakes: %s", len(wrong), run.path / "mistakes.txt")
    plot_confusion(run, labels, predicted, classes)
    plot_by_length(run, accuracy_by_length(labels, predicted, lengths), unit=unit)


def write_spans(
    run: Run, sentences: Sequence[Sequence[str]], gold: Sequence[Sequence[Span]], found: Sequence[Sequence[tuple[Span, float]]], *, types
) -> None:
    """What a tagger's run folder shows of the test split.

    `predictions.jsonl` in the order of the split; the 30 sentences with the most confident mistakes in context, as `mistakes.txt` and
    `mistakes.html`; and `plots/confusion.png`, the types token by token.

    Args:
        run: where to write.
        sentences: their tokens.
        gold: the right spans.
        found: the predicted ones with their probabilities.
        types: names of the types.
    """
    guessed = [[span for span, _ in spans] for spans in found]
    run.write_lines(
        "predictions.jsonl",
        (
            {
                "tokens": tokens,
                "entities": [[*span] for span in right],
                "predicted": [[*span, round(share, 5)] for span, share in spans],
            }
            for tokens, right, spans in zip(sentences, gold, found, strict=True)
        ),
    )
    # How sure the model was of the worst that it got wrong; a missed span counts as a mistake that it was not sure of.
    sureness = {
        i: max((share for span, share in found[i] if span not in right), default=0.0)
        for i, right in enumerate(gold)
        if set(right) != set(guessed[i])
    }
    shown = sorted(sureness, key=sureness.get, reverse=True)[:30]
    lines = []
    for i in shown:
        right = _named(sentences[i], [(span, "") for span in gold[i]])
        answer = _named(sentences[i], [(span, f" {share:.0%}") for span, share in found[i]])
        lines.append(f"[{i}] {' '.join(sentences[i])}\n    right: {right}\n    found: {answer}\n\n")
    write_text(run.path / "mistakes.txt", "".join(lines) or "no mistakes\n")
    write_text(run.path / "mistakes.html", _html([(sentences[i], gold[i], found[i]) for i in shown]))
    log.info("%d of %d sentences with mistakes: %s", len(shown), len(sureness), run.path / "mistakes.html")
    names = ["O", *types]
    labels, predicted = (
        np.concatenate([_token_types(len(tokens), spans, names) for tokens, spans in zip(sentences, part, strict=True)])
        for part in (gold, guessed)
    )
    plot_confusion(run, labels, predicted, names)


def _named(tokens: Sequence[str], spans: Sequence[tuple[Span, str]]) -> str:
    return ", ".join(f"{' '.join(tokens[span.start : span.end])} ({span.type}{note})" for span, note in spans) or "nothing"


def _token_types(length: int, spans: Sequence[Span], names: list[str]) -> np.ndarray:
    types = np.zeros(length, int)
    for span in spans:
        types[span.start : span.end] = names.index(span.type)
    return types


_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Mistakes</title><style>
body {{ font: 16px/1.7 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }}
p {{ margin: .2em 0 }} section {{ border-top: 1px solid #ddd; padding: .8em 0 }} small {{ color: #555 }}
mark {{ padding: .1em .3em; border-radius: .3em; background: #e3eef7; color: inherit }} mark.wrong {{ background: #fbe3d2 }}
</style></head><body><h1>Mistakes</h1><p>The sentences whose mistakes the model was surest of. Above what is right, below what was found,
each with its probability; what does not agree is orange.</p>{}</body></html>
"""


def _html(mistakes: Sequence[tuple]) -> str:
    sections = []
    for tokens, right, spans in mistakes:
        guessed = {span for span, _ in spans}
        above = _marked(tokens, [(span, "", span not in guessed) for span in right])
        below = _marked(tokens, [(span, f" {share:.0%}", span not in right) for span, share in spans])
        sections.append(f"<section><p><small>right</small> {above}</p><p><small>found</small> {below}</p></section>")
    return _PAGE.format("\n".join(sections) or "<p>None.</p>")


def _marked(tokens: Sequence[str], spans: Sequence[tuple[Span, str, bool]]) -> str:
    words, position = [], 0
    for span, note, wrong in spans:
        words += map(html.escape, tokens[position : span.start])
        inside = html.escape(" ".join(tokens[span.start : span.end]))
        words.append(f"<mark{' class=wrong' if wrong else ''}>{inside} <small>{html.escape(span.type)}{note}</small></mark>")
        position = span.end
    return " ".join([*words, *map(html.escape, tokens[position:])])


def write_forecasts(
    run: Run,
    series: Sequence[Series],
    windows: Windows,
    encoder: SeriesEncoder,
    point: np.ndarray,
    quantiles: np.ndarray | None,
    *,
    levels: Sequence[float],
    season: int,
) -> None:
    """What a forecaster's run folder shows of the test split.

    `predictions.jsonl`, of the windows that do not overlap; `backtest.csv`, the same windows beside the seasonal naive forecast; and
    `plots/forecasts.png`, `plots/residual_autocorrelation.png`.

    Args:
        run: where to write.
        series, encoder: what the windows were cut from, and by.
        windows: what was forecast.
        point: float[windows, horizon, channels], scaled.
        quantiles: float[windows, horizon, channels, quantiles], scaled, or None.
        levels: of the quantiles.
        season: steps, of the naive forecast and of the lags.
    """
    horizon, scaled = windows.horizon, (*windows.arrays(), point, quantiles)
    apart = np.flatnonzero(((windows.starts - windows.starts[np.searchsorted(windows.series, windows.series)]) % horizon) == 0)
    past, actual, point, quantiles = (encoder.own_units(series, windows, part, rows=apart) for part in scaled)
    naive = forecasts.seasonal_naive(past, horizon, season=season)
    named = [(series[windows.series[i]], windows.starts[i]) for i in apart]
    origins = [
        {"unique_id": one.label(channel), "first_step": str(one.times[start]), **origin}
        for c, channel in enumerate(series[0].channels)
        for (one, start), origin in zip(
            named, forecasts.rolling_origins(*(part[..., c : c + 1] for part in (actual, point, naive))), strict=True
        )
    ]
    write_text(run.path / "backtest.csv", pd.DataFrame(origins).to_csv(index=False))
    won = sum(origin["wins"] for origin in origins)
    log.info(
        "backtest: better than the seasonal naive forecast at %d of %d origins (those whose horizons do not overlap)", won, len(origins)
    )
    run.write_lines(
        "predictions.jsonl",
        (
            {
                "unique_id": one.label(channel),
                "first_step": str(one.times[start]),
                "actual": _rounded(actual[i, :, c]),
                "forecast": _rounded(point[i, :, c]),
                **({} if quantiles is None else {f"q{level:g}": _rounded(quantiles[i, :, c, q]) for q, level in enumerate(levels)}),
            }
            for i, (one, start) in enumerate(named)
            for c, channel in enumerate(one.channels)
        ),
    )
    fans, channels = [], actual.shape[2]
    for place, i in enumerate(np.linspace(0, len(named) - 1, min(4, len(named))).round().astype(int)):
        (one, start), c = named[i], channels - 1 - place % channels
        before = min(windows.lookback, 2 * max(horizon, season))
        fans.append(
            Fan(
                title=one.label(one.channels[c]),
                times_past=one.times[start - before : start],
                past=past[i, -before:, c],
                times=one.times[start : start + horizon],
                point=point[i, :, c],
                quantiles=None if quantiles is None else quantiles[i, :, c],
                actual=actual[i, :, c],
            )
        )
    plot_fans(run.path / "plots" / "forecasts.png", fans, levels=levels)
    longest = np.bincount(windows.series).argmax()
    ahead = (scaled[1][:, 0] - scaled[2][:, 0])[windows.series == longest]
    plot_residual_autocorrelation(run, ahead, season=season, name=series[longest].name)


def forecast_rows(series: Sequence[Series], point: np.ndarray, quantiles: np.ndarray | None, *, levels: Sequence[float]) -> Iterator[dict]:
    """A row for each step after the end of each channel: "unique_id", "ds", "forecast", and "q0.1" and so on where there are quantiles.

    Args:
        series: whole.
        point: float[series, horizon, channels], in their units.
        quantiles: float[series, horizon, channels, quantiles], or None.
        levels: of the quantiles.
    """
    for one, values, spread in zip(series, point, [None] * len(point) if quantiles is None else quantiles, strict=True):
        for c, channel in enumerate(one.channels):
            columns = {"forecast": values[:, c]}
            columns |= {} if spread is None else {f"q{level:g}": spread[:, c, q] for q, level in enumerate(levels)}
            rounded = {name: _rounded(column) for name, column in columns.items()}
            for step, at in enumerate(one.future(len(values))):
                yield {"unique_id": one.label(channel), "ds": str(at), **{name: column[step] for name, column in rounded.items()}}


def tell_backtest(
    series: Sequence[Series], spans: Sequence[tuple[int, int]], found: dict[str, list], *, chosen_until: dict[str, str], limit: int = 20
) -> None:
    """Logs what `forecasts.Forecaster.backtest` found over `spans`, channel by channel, and where the model knew the answers.

    Args:
        series, spans: what was forecast.
        found: by the names of the channels.
        chosen_until: the first time of each series that neither trained nor chose the model.
        limit: more channels are summed up.
    """
    for name, origins in list(found.items())[:limit]:
        log.info("backtest%s: %s", f" of {name}" if name else "", forecasts.verdict(origins))
    if len(found) > limit:
        won = sum(np.mean([origin["model"] - origin["naive"] for origin in origins]) < 0 for origins in found.values())
        log.info("backtest of all %d channels: the model wins at %d", len(found), won)
    known = [
        one.name or "the series"
        for one, (first, _) in zip(series, spans, strict=True)
        if one.name in chosen_until and str(one.times[first]) < chosen_until[one.name]
    ]
    if known:
        log.warning("the backtest of %s begins within what the model was trained on: too good to be true", listing(known))


def plot_ahead(path: Path, series: Sequence[Series], point: np.ndarray, quantiles: np.ndarray | None, *, levels: Sequence[float]) -> None:
    """A picture of what `forecast_rows` says, of the first 12 channels."""
    fans = [
        Fan(
            title=one.label(channel),
            times_past=one.times[max(0, len(one) - 3 * point.shape[1]) : len(one)],
            past=one.values[-3 * point.shape[1] :, c],
            times=one.future(point.shape[1]),
            point=point[i, :, c],
            quantiles=None if quantiles is None else quantiles[i, :, c],
        )
        for i, one in enumerate(series[:12])
        for c, channel in enumerate(one.channels)
    ]
    if len(fans) > 12 or len(series) > 12:
        log.info("%s shows the first 12 channels", path)
    plot_fans(path, fans[:12], levels=levels)


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.10g}") for value in values]


@dataclass
class Fan:
    """A forecast to be drawn: one channel, float[steps] each, quantiles float[steps, quantiles]."""

    title: str
    times_past: pd.DatetimeIndex
    past: np.ndarray
    times: pd.DatetimeIndex
    point: np.ndarray
    quantiles: np.ndarray | None = None
    actual: np.ndarray | None = None


def plot_fans(path: Path, fans: Sequence[Fan], *, levels: Sequence[float]) -> None:
    """A picture of forecasts, two beside each other: what was, what is forecast with its intervals, and what came, where that is known."""
    rows = -(-len(fans) // 2)
    figure = Figure(figsize=(11 if len(fans) > 1 else 7, 2.9 * rows), layout="constrained")
    grid = list(figure.subplots(rows, min(len(fans), 2), squeeze=False).flat)
    for axes, fan in zip(grid, fans, strict=False):
        axes.plot(fan.times_past, fan.past, color=_GREY, linewidth=1, label="past")
        if fan.quantiles is not None:
            for i in range(len(levels) // 2):
                outer = {"color": _BLUE, "alpha": 0.2, "linewidth": 0}
                label = f"{levels[-1 - i] - levels[i]:.0%} interval"
                axes.fill_between(fan.times, fan.quantiles[:, i], fan.quantiles[:, -1 - i], label=label, **outer)
        axes.plot(fan.times, fan.point, color=_BLUE, linewidth=1.4, label="forecast")
        if fan.actual is not None:
            axes.plot(fan.times, fan.actual, color=_ORANGE, linewidth=1, label="what came")
        axes.set_title(fan.title, fontsize=10, parse_math=False)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))
    for axes in grid[len(fans) :]:  # where the last row is not full
        axes.set_visible(False)
    grid[0].legend(frameon=False, fontsize=8)
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=120))


def plot_residual_autocorrelation(run: Run, residuals: np.ndarray, *, season: int, name: str = "") -> None:
    """`plots/residual_autocorrelation.png` of the errors one step ahead, float[steps, channels], with the band of white noise.

    What sticks out of the band is regular, and so could have been forecast. Errors that are all the same have no autocorrelation, nor plot.
    """
    lags = min(max(24, 2 * season + 2), 200, len(residuals) - 1)
    if lags < 1 or not np.ptp(residuals, axis=0).any():
        return
    found = forecasts.autocorrelation(residuals, lags=lags)
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.axhspan(-1.96 / np.sqrt(len(residuals)), 1.96 / np.sqrt(len(residuals)), color=_GREY, alpha=0.3, label="95% of white noise")
    axes.vlines(range(1, lags + 1), 0, found, color=_BLUE)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set(xlabel="lag (steps)", ylabel="autocorrelation of the\nerrors one step ahead")
    if name:
        axes.set_title(name, fontsize=10, parse_math=False)
    axes.legend(frameon=False)
    _save(run, "residual_autocorrelation", figure)


def add_errors_by_step(run: Run, name: str, errors: np.ndarray) -> None:
    """Adds a model's mean squared error of each step of the horizon, float[horizon], to `error_by_step.csv` and its plot."""
    file = run.path / "error_by_step.csv"
    table = pd.read_csv(file, index_col="step") if file.exists() else pd.DataFrame(index=pd.RangeIndex(1, len(errors) + 1, name="step"))
    table[name] = errors
    write_text(file, table.to_csv())
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    colours = {"this model": _BLUE, "ridge": _ORANGE}
    for i, column in enumerate(table):
        style = {"color": colours[column]} if column in colours else {"color": _GREY, "linestyle": ("-", "--", ":", "-.")[i % 4]}
        axes.plot(table.index, table[column], **style, label=column)
    axes.set(xlabel="steps ahead", ylabel="mean squared error (scaled values)")
    axes.set_ylim(0, 1.5 * table.max().sort_values().iloc[(table.shape[1] - 1) // 2] or 1)  # who is far off leaves the picture
    axes.legend(frameon=False)
    _save(run, "error_by_step", figure)


def plot_training(run: Run, history: dict, *, metric: str, training: str = "training (with dropout)", unit: str = "nats") -> None:
    """`plots/training.png`: loss and `metric`, where they were measured on the training and the validation split, by epoch.

    The kept epoch is marked. `history` is what `training.fit` returns, `training` what the legend says of the training split, `unit` that
    of the loss.
    """
    best, history = history["best_epoch"], history["history"]
    epochs = [row["epoch"] + 1 for row in history]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", metric), strict=True):
        if name in history[0]:
            axes.plot(epochs, [row[name] for row in history], "o-", color=_GREY, label=training)
        axes.plot(epochs, [row[f"val_{name}"] for row in history], "o-", color=_BLUE, label="validation")
        axes.axvline(best + 1, color=_ORANGE, linestyle=":", label="kept")
        axes.set(xlabel="epoch", ylabel=f"loss ({unit})" if name == "loss" else name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
    _save(run, "training", figure)


def plot_confusion(run: Run, labels: np.ndarray, predicted: np.ndarray, names: list[str]) -> None:
    """`plots/confusion.png`: shares of each true class, with counts."""
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(labels, predicted, labels=range(len(names)))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = min(max(3.6, 0.7 * len(names) + 1.5), 16)  # inches; hundreds of classes stay a picture
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
    if len(names) <= 15:
        for row, column in np.ndindex(counts.shape):
            axes.text(
                column,
                row,
                f"{counts[row, column]}\n{share[row, column]:.1%}",
                ha="center",
                va="center",
                color="white" if share[row, column] > 0.5 else "black",
                fontsize=8,
            )
    axes.set(xlabel="predicted", ylabel="true")
    if len(names) <= 40:
        labels = {"labels": [name[:30] for name in names], "parse_math": False}  # "$" is a character of a label, not a formula
        axes.set_xticks(range(len(names)), rotation=45 if len(names) > 3 else 0, **labels)
        axes.set_yticks(range(len(names)), **labels)
    figure.colorbar(image, label="share of the true class")
    _save(run, "confusion", figure)


def plot_by_length(run: Run, groups: list[dict], *, unit: str) -> None:
    """`plots/accuracy_by_length.png`: accuracy of groups of equal size, with the 95% interval of their size."""
    accuracy = np.array([group["accuracy"] for group in groups])
    error = 1.96 * np.sqrt(accuracy * (1 - accuracy) / np.array([group["examples"] for group in groups]))
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.errorbar(range(len(groups)), accuracy, yerr=error, fmt="o-", color=_BLUE, capsize=3)
    axes.set_xticks(range(len(groups)), [f"{group['shortest']}–{group['longest']}" for group in groups], rotation=30, ha="right")
    axes.set(xlabel=f"length of the text ({unit})", ylabel="accuracy (with its 95% interval)")
    _save(run, "accuracy_by_length", figure)


def _save(run: Run, name: str, figure: Figure) -> None:
    path: Path = run.path / "plots" / f"{name}.png"
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=120))


def write_anomalies(
    run: Run,
    streams: Sequence[LabelledStream],
    found: Sequence[Scored],
    *,
    threshold: float,
    spans: Sequence[tuple[int, int]],
    gaps: Sequence[int],
    shown: int = 6,
) -> None:
    """What a detector's run folder shows of a split: `scores.csv.gz`, every row of every stream; `predictions.jsonl`, every alarm; and
    `plots/anomalies.png`, the streams with the most anomalies and the most alarms.

    Args:
        run: where to write.
        streams: with their labels.
        found: their scores.
        threshold: from which on a score is an alarm.
        spans: rows [first, end) of each stream that count.
        gaps: rows between alarms that are one, of each stream.
        shown: streams in the plot.
    """
    tables, told, interest = [], [], []
    for one, scored, (first, end), gap in zip(streams, found, spans, gaps, strict=True):
        rows = {"unique_id": one.name, "ds": one.times, "score": scored.score.round(4), "evidence": scored.evidence.round(4)}
        tables.append(pd.DataFrame(rows))
        own = [(start + first, last + first) for start, last in alarms.alarms_of(scored.score[first:end], threshold, gap=gap)]
        for start, last in own:
            known = any(begin <= start <= until for begin, until in one.windows)
            peak = float(scored.score[start : last + 1].max())
            told.append(
                {
                    "unique_id": one.name,
                    "start": str(one.times[start]),
                    "end": str(one.times[last]),
                    "score": round(peak, 4),
                    **({"labelled": known} if any(each.windows for each in streams) else {}),
                }
            )
        interest.append((first < end, len(one.windows), len(own)))
    table = pd.concat(tables)
    write_atomically(run.path / "scores.csv.gz", lambda path: table.to_csv(path, index=False, compression="gzip"))
    run.write_lines("predictions.jsonl", told)
    chosen = sorted(sorted(range(len(streams)), key=lambda i: interest[i], reverse=True)[:shown])
    figure = Figure(figsize=(11, 2.6 * len(chosen)), layout="constrained")
    grid = figure.subplots(len(chosen), 1, squeeze=False)[:, 0]
    for axes, i in zip(grid, chosen, strict=True):
        _plot_stream(axes, streams[i], found[i].score, threshold=threshold, span=spans[i])
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper right", ncols=4, frameon=False, fontsize=8)
    _save(run, "anomalies", figure)


def _plot_stream(axes, stream: LabelledStream, score: np.ndarray, *, threshold: float, span: tuple[int, int]) -> None:
    rows = np.arange(len(stream))  # not the times: they may go back, and leave gaps
    axes.plot(rows, stream.values, linewidth=0.7, color=_GREY, label="values")
    for number, (first, last) in enumerate(stream.windows):
        axes.axvspan(first, last, color=_ORANGE, alpha=0.2, linewidth=0, label=None if number else "labelled")
    axes.axvspan(0, span[0], color=_GREY, alpha=0.12, linewidth=0, label="does not count")
    alarm = rows[(score >= threshold) & (rows >= span[0]) & (rows < span[1])]
    axes.plot(alarm, stream.values[alarm, 0], "v", color=_BLUE, markersize=5, label="alarm")
    axes.set_title(stream.name, fontsize=10, parse_math=False)
    axes.set_xlim(0, len(stream))
    ticks = np.linspace(0, len(stream) - 1, 6).astype(int)
    axes.set_xticks(ticks, [f"{stream.times[row]:%Y-%m-%d %H:%M}" for row in ticks], fontsize=8)
    below = axes.twinx()
    below.plot(rows, score, color=_BLUE, linewidth=0.6, alpha=0.6)
    highest = max(float(score.max()), 1e-9)
    if np.isfinite(threshold):
        highest = max(highest, threshold)
        below.axhline(threshold, color=_BLUE, linestyle=":", linewidth=0.8)
    below.set_ylim(0, 3 * highest)  # in the lower third
    below.set_ylabel("score", fontsize=8)
