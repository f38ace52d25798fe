"""What forecasts show: tables, backtests, fans, and what is left in the errors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure

from rnn_cookbook.data.series import Series
from rnn_cookbook.encode.series import SeriesEncoder, Windows
from rnn_cookbook.errors import listing
from rnn_cookbook.files import log, write_atomically, write_text
from rnn_cookbook.run.folder import Run
from rnn_cookbook.run.report import BLUE, GREY, ORANGE, save_plot
from rnn_cookbook.tasks.forecasting.baselines import seasonal_naive
from rnn_cookbook.tasks.forecasting.predict import rolling_origins, verdict
from rnn_cookbook.tasks.forecasting.scores import autocorrelation


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

    `predictions.jsonl`, of the windows that do not overlap; `backtest.csv`, the same windows beside
    the seasonal naive forecast; and `plots/forecasts.png`, `plots/residual_autocorrelation.png`.

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
    apart = np.flatnonzero(
        (
            (windows.starts - windows.starts[np.searchsorted(windows.series, windows.series)])
            % horizon
        )
        == 0
    )
    past, actual, point, quantiles = (
        encoder.own_units(series, windows, part, rows=apart) for part in scaled
    )
    naive = seasonal_naive(past, horizon, season=season)
    named = [(series[windows.series[i]], windows.starts[i]) for i in apart]
    origins = [
        {"unique_id": one.label(channel), "first_step": str(one.times[start]), **origin}
        for c, channel in enumerate(series[0].channels)
        for (one, start), origin in zip(
            named,
            rolling_origins(*(part[..., c : c + 1] for part in (actual, point, naive))),
            strict=True,
        )
    ]
    write_text(run.path / "backtest.csv", pd.DataFrame(origins).to_csv(index=False))
    won = sum(origin["wins"] for origin in origins)
    log.info(
        "backtest: better than the seasonal naive forecast at %d of %d origins (those whose horizons do not overlap)",
        won,
        len(origins),
    )
    run.write_lines(
        "predictions.jsonl",
        (
            {
                "unique_id": one.label(channel),
                "first_step": str(one.times[start]),
                "actual": _rounded(actual[i, :, c]),
                "forecast": _rounded(point[i, :, c]),
                **(
                    {}
                    if quantiles is None
                    else {
                        f"q{level:g}": _rounded(quantiles[i, :, c, q])
                        for q, level in enumerate(levels)
                    }
                ),
            }
            for i, (one, start) in enumerate(named)
            for c, channel in enumerate(one.channels)
        ),
    )
    fans, channels = [], actual.shape[2]
    for place, i in enumerate(
        np.linspace(0, len(named) - 1, min(4, len(named))).round().astype(int)
    ):
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


def forecast_rows(
    series: Sequence[Series],
    point: np.ndarray,
    quantiles: np.ndarray | None,
    *,
    levels: Sequence[float],
) -> Iterator[dict]:
    """A row for each step after the end of each channel: "unique_id", "ds", "forecast", and "q0.1"
    and so on where there are quantiles.

    Args:
        series: whole.
        point: float[series, horizon, channels], in their units.
        quantiles: float[series, horizon, channels, quantiles], or None.
        levels: of the quantiles.
    """
    for one, values, spread in zip(
        series, point, [None] * len(point) if quantiles is None else quantiles, strict=True
    ):
        for c, channel in enumerate(one.channels):
            columns = {"forecast": values[:, c]}
            columns |= (
                {}
                if spread is None
                else {f"q{level:g}": spread[:, c, q] for q, level in enumerate(levels)}
            )
            rounded = {name: _rounded(column) for name, column in columns.items()}
            for step, at in enumerate(one.future(len(values))):
                yield {
                    "unique_id": one.label(channel),
                    "ds": str(at),
                    **{name: column[step] for name, column in rounded.items()},
                }


def tell_backtest(
    series: Sequence[Series],
    spans: Sequence[tuple[int, int]],
    found: dict[str, list],
    *,
    chosen_until: dict[str, str],
    limit: int = 20,
) -> None:
    """Logs what `forecasts.Forecaster.backtest` found over `spans`, channel by channel, and where
    the model knew the answers.

    Args:
        series, spans: what was forecast.
        found: by the names of the channels.
        chosen_until: the first time of each series that neither trained nor chose the model.
        limit: more channels are summed up.
    """
    for name, origins in list(found.items())[:limit]:
        log.info("backtest%s: %s", f" of {name}" if name else "", verdict(origins))
    if len(found) > limit:
        won = sum(
            np.mean([origin["model"] - origin["naive"] for origin in origins]) < 0
            for origins in found.values()
        )
        log.info("backtest of all %d channels: the model wins at %d", len(found), won)
    known = [
        one.name or "the series"
        for one, (first, _) in zip(series, spans, strict=True)
        if one.name in chosen_until and str(one.times[first]) < chosen_until[one.name]
    ]
    if known:
        log.warning(
            "the backtest of %s begins within what the model was trained on: too good to be true",
            listing(known),
        )


def plot_ahead(
    path: Path,
    series: Sequence[Series],
    point: np.ndarray,
    quantiles: np.ndarray | None,
    *,
    levels: Sequence[float],
) -> None:
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
    """A picture of forecasts, two beside each other: what was, what is forecast with its intervals,
    and what came, where that is known."""
    rows = -(-len(fans) // 2)
    figure = Figure(figsize=(11 if len(fans) > 1 else 7, 2.9 * rows), layout="constrained")
    grid = list(figure.subplots(rows, min(len(fans), 2), squeeze=False).flat)
    for axes, fan in zip(grid, fans, strict=False):
        axes.plot(fan.times_past, fan.past, color=GREY, linewidth=1, label="past")
        if fan.quantiles is not None:
            for i in range(len(levels) // 2):
                outer = {"color": BLUE, "alpha": 0.2, "linewidth": 0}
                label = f"{levels[-1 - i] - levels[i]:.0%} interval"
                axes.fill_between(
                    fan.times, fan.quantiles[:, i], fan.quantiles[:, -1 - i], label=label, **outer
                )
        axes.plot(fan.times, fan.point, color=BLUE, linewidth=1.4, label="forecast")
        if fan.actual is not None:
            axes.plot(fan.times, fan.actual, color=ORANGE, linewidth=1, label="what came")
        axes.set_title(fan.title, fontsize=10, parse_math=False)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))
    for axes in grid[len(fans) :]:  # where the last row is not full
        axes.set_visible(False)
    grid[0].legend(frameon=False, fontsize=8)
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=120))


def plot_residual_autocorrelation(
    run: Run, residuals: np.ndarray, *, season: int, name: str = ""
) -> None:
    """`plots/residual_autocorrelation.png` of the errors one step ahead, float[steps, channels],
    with the band of white noise.

    What sticks out of the band is regular, and so could have been forecast. Errors that are all the
    same have no autocorrelation, nor plot.
    """
    lags = min(max(24, 2 * season + 2), 200, len(residuals) - 1)
    if lags < 1 or not np.ptp(residuals, axis=0).any():
        return
    found = autocorrelation(residuals, lags=lags)
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.axhspan(
        -1.96 / np.sqrt(len(residuals)),
        1.96 / np.sqrt(len(residuals)),
        color=GREY,
        alpha=0.3,
        label="95% of white noise",
    )
    axes.vlines(range(1, lags + 1), 0, found, color=BLUE)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set(xlabel="lag (steps)", ylabel="autocorrelation of the\nerrors one step ahead")
    if name:
        axes.set_title(name, fontsize=10, parse_math=False)
    axes.legend(frameon=False)
    save_plot(run, "residual_autocorrelation", figure)


def add_errors_by_step(run: Run, name: str, errors: np.ndarray) -> None:
    """Adds a model's mean squared error of each step of the horizon, float[horizon], to
    `error_by_step.csv` and its plot."""
    file = run.path / "error_by_step.csv"
    table = (
        pd.read_csv(file, index_col="step")
        if file.exists()
        else pd.DataFrame(index=pd.RangeIndex(1, len(errors) + 1, name="step"))
    )
    table[name] = errors
    write_text(file, table.to_csv())
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    colours = {"this model": BLUE, "ridge": ORANGE}
    for i, column in enumerate(table):
        style = (
            {"color": colours[column]}
            if column in colours
            else {"color": GREY, "linestyle": ("-", "--", ":", "-.")[i % 4]}
        )
        axes.plot(table.index, table[column], **style, label=column)
    axes.set(xlabel="steps ahead", ylabel="mean squared error (scaled values)")
    axes.set_ylim(
        0, 1.5 * table.max().sort_values().iloc[(table.shape[1] - 1) // 2] or 1
    )  # who is far off leaves the picture
    axes.legend(frameon=False)
    save_plot(run, "error_by_step", figure)
