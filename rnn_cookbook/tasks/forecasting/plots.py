"""Tables and plots of forecasts: backtests, intervals, errors by step, and the autocorrelation that
is left in the errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure

from rnn_cookbook.data.series import Series
from rnn_cookbook.files import log, write_atomically, write_text
from rnn_cookbook.run.folder import Run
from rnn_cookbook.run.plots import BLUE, GREY, ORANGE, save_plot
from rnn_cookbook.tasks.forecasting.backtest import rolling_origins
from rnn_cookbook.tasks.forecasting.baselines import seasonal_naive
from rnn_cookbook.tasks.forecasting.predict import rounded
from rnn_cookbook.tasks.forecasting.scores import Scorer, autocorrelation, errors_by_step

__all__ = [
    "Fan",
    "add_errors_by_step",
    "plot_ahead",
    "plot_fans",
    "plot_residual_autocorrelation",
    "write_forecasts",
]

_SHOWN_CHANNELS = 12  # of a forecast's plot
_SHOWN_WINDOWS = 4  # of a test split's plot
_LAGS = (24, 200)  # minimum and maximum number of lags in the plot of the autocorrelation
_WHITE_NOISE = 1.96  # standard deviations that 95% of a normal distribution lie within


@dataclass
class Fan:
    """A forecast of one channel to be drawn.

    Args:
        title: name of the channel.
        times_past: times of the steps before the forecast.
        past: their values, float[steps].
        times: times of the forecast.
        point: point forecasts, float[horizon].
        quantiles: quantile forecasts, float[horizon, quantiles].
        actual: actual values, float[horizon], where they are known.
    """

    title: str
    times_past: pd.DatetimeIndex
    past: np.ndarray
    times: pd.DatetimeIndex
    point: np.ndarray
    quantiles: np.ndarray | None = None
    actual: np.ndarray | None = None


def _draw_fan(axes: Axes, fan: Fan, *, levels: Sequence[float]) -> None:
    axes.plot(fan.times_past, fan.past, color=GREY, linewidth=1, label="past")
    if fan.quantiles is not None:
        for i in range(len(levels) // 2):
            axes.fill_between(
                fan.times,
                fan.quantiles[:, i],
                fan.quantiles[:, -1 - i],
                label=f"{levels[-1 - i] - levels[i]:.0%} interval",
                color=BLUE,
                alpha=0.2,
                linewidth=0,
            )
    axes.plot(fan.times, fan.point, color=BLUE, linewidth=1.4, label="forecast")
    if fan.actual is not None:
        axes.plot(fan.times, fan.actual, color=ORANGE, linewidth=1, label="actual")
    axes.set_title(fan.title, fontsize=10, parse_math=False)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))


def plot_fans(path: Path, fans: Sequence[Fan], *, levels: Sequence[float]) -> None:
    """Draws forecasts, two beside each other: the past, the forecast with its intervals, and the
    actual values where they are known.

    Args:
        path: file to write.
        fans: forecasts, at least one.
        levels: quantiles of the forecasts.
    """
    rows = -(-len(fans) // 2)
    figure = Figure(figsize=(11 if len(fans) > 1 else 7, 2.9 * rows), layout="constrained")
    grid = list(figure.subplots(rows, min(len(fans), 2), squeeze=False).flat)
    for axes, fan in zip(grid, fans, strict=False):
        _draw_fan(axes, fan, levels=levels)
    for axes in grid[len(fans) :]:  # where the last row is not full
        axes.set_visible(False)
    grid[0].legend(frameon=False, fontsize=8)
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=120))


def plot_ahead(
    path: Path,
    series: Sequence[Series],
    point: np.ndarray,
    quantiles: np.ndarray | None,
    *,
    levels: Sequence[float],
) -> None:
    """Draws the forecasts that follow the last values, of the first 12 channels.

    Args:
        path: file to write.
        series: series that were forecast.
        point: point forecasts in their units, float[series, horizon, channels].
        quantiles: quantile forecasts, float[series, horizon, channels, quantiles], or None.
        levels: quantiles of the last axis.
    """
    horizon = point.shape[1]
    before = 3 * horizon
    fans = []
    for number, each in enumerate(series[:_SHOWN_CHANNELS]):
        for c, channel in enumerate(each.channels):
            fan = Fan(
                title=each.label(channel),
                times_past=each.times[max(0, len(each) - before) : len(each)],
                past=each.values[-before:, c],
                times=each.future(horizon),
                point=point[number, :, c],
                quantiles=None if quantiles is None else quantiles[number, :, c],
            )
            fans.append(fan)
    if len(fans) > _SHOWN_CHANNELS or len(series) > _SHOWN_CHANNELS:
        log.info("%s shows the first %d channels", path, _SHOWN_CHANNELS)
    plot_fans(path, fans[:_SHOWN_CHANNELS], levels=levels)


def plot_residual_autocorrelation(
    run: Run, residuals: np.ndarray, *, season: int, name: str = ""
) -> None:
    """Draws `plots/residual_autocorrelation.png`, with the band of white noise.

    What lies outside the band is regular and could have been forecast. Errors that are all the same
    have no autocorrelation, and no plot.

    Args:
        run: run to write into.
        residuals: errors one step ahead, float[steps, channels].
        season: steps of a season; the plot shows two of them, but at most 200 lags.
        name: name of the series, for the title.
    """
    lags = min(max(_LAGS[0], 2 * season + 2), _LAGS[1], len(residuals) - 1)
    if lags < 1 or not np.ptp(residuals, axis=0).any():
        return
    correlations = autocorrelation(residuals, lags=lags)
    band = _WHITE_NOISE / np.sqrt(len(residuals))
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.axhspan(-band, band, color=GREY, alpha=0.3, label="95% of white noise")
    axes.vlines(range(1, lags + 1), 0, correlations, color=BLUE)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set(xlabel="lag (steps)", ylabel="autocorrelation of the\nerrors one step ahead")
    if name:
        axes.set_title(name, fontsize=10, parse_math=False)
    axes.legend(frameon=False)
    save_plot(run, "residual_autocorrelation", figure)


def add_errors_by_step(run: Run, name: str, *, actual: np.ndarray, point: np.ndarray) -> None:
    """Adds the mean squared errors of a method to `error_by_step.csv` and its plot.

    Args:
        run: run to write into.
        name: name of the method.
        actual: scaled values, float[windows, horizon, channels].
        point: scaled point forecasts of the method, of the same shape.
    """
    errors = errors_by_step(actual, point)
    file = run.path / "error_by_step.csv"
    if file.exists():
        table = pd.read_csv(file, index_col="step")
    else:
        table = pd.DataFrame(index=pd.RangeIndex(1, len(errors) + 1, name="step"))
    table[name] = errors
    write_text(file, table.to_csv())

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    colours = {"this model": BLUE, "ridge": ORANGE}
    dashes = ("-", "--", ":", "-.")
    for i, method in enumerate(table):
        colour = colours.get(str(method), GREY)
        dash = dashes[i % len(dashes)] if colour == GREY else "-"
        axes.plot(table.index, table[method], color=colour, linestyle=dash, label=str(method))
    axes.set(xlabel="steps ahead", ylabel="mean squared error (scaled values)")
    # The scale is that of the median method: one that is far off leaves the picture.
    worst = table.max().sort_values()
    axes.set_ylim(0, 1.5 * worst.iloc[(len(worst) - 1) // 2] or 1)
    axes.legend(frameon=False)
    save_plot(run, "error_by_step", figure)


@dataclass
class _Shown:
    """The windows of a test split that do not overlap, in the units of the series.

    Args:
        origins: series and first forecast step of each window.
        past: float[windows, lookback, channels].
        actual: float[windows, horizon, channels].
        point: float[windows, horizon, channels].
        quantiles: float[windows, horizon, channels, quantiles], or None.
    """

    origins: list[tuple[Series, int]]
    past: np.ndarray
    actual: np.ndarray
    point: np.ndarray
    quantiles: np.ndarray | None


def _write_backtest(run: Run, shown: _Shown, *, season: int) -> None:
    naive = seasonal_naive(shown.past, shown.actual.shape[1], season=season)
    rows = []
    for c, channel in enumerate(shown.origins[0][0].channels):
        part = slice(c, c + 1)
        compared = rolling_origins(
            shown.actual[..., part], shown.point[..., part], naive[..., part]
        )
        for (series, start), errors in zip(shown.origins, compared, strict=True):
            row: dict = {"unique_id": series.label(channel), "first_step": str(series.times[start])}
            row.update(errors)
            rows.append(row)
    write_text(run.path / "backtest.csv", pd.DataFrame(rows).to_csv(index=False))
    log.info(
        "backtest: better than the seasonal naive forecast at %d of %d origins (those whose "
        "horizons do not overlap)",
        sum(row["wins"] for row in rows),
        len(rows),
    )


def _write_predictions(run: Run, shown: _Shown, *, levels: Sequence[float]) -> None:
    rows = []
    for i, (series, start) in enumerate(shown.origins):
        for c, channel in enumerate(series.channels):
            row: dict = {
                "unique_id": series.label(channel),
                "first_step": str(series.times[start]),
                "actual": rounded(shown.actual[i, :, c]),
                "forecast": rounded(shown.point[i, :, c]),
            }
            if shown.quantiles is not None:
                for q, level in enumerate(levels):
                    row[f"q{level:g}"] = rounded(shown.quantiles[i, :, c, q])
            rows.append(row)
    run.write_lines("predictions.jsonl", rows)


def _plot_test_windows(run: Run, shown: _Shown, *, levels: Sequence[float], season: int) -> None:
    horizon, channels = shown.actual.shape[1:]
    before = min(shown.past.shape[1], 2 * max(horizon, season))
    count = min(_SHOWN_WINDOWS, len(shown.origins))
    fans = []
    for place, i in enumerate(np.linspace(0, len(shown.origins) - 1, count).round().astype(int)):
        series, start = shown.origins[i]
        c = channels - 1 - place % channels
        fan = Fan(
            title=series.label(series.channels[c]),
            times_past=series.times[start - before : start],
            past=shown.past[i, -before:, c],
            times=series.times[start : start + horizon],
            point=shown.point[i, :, c],
            quantiles=None if shown.quantiles is None else shown.quantiles[i, :, c],
            actual=shown.actual[i, :, c],
        )
        fans.append(fan)
    plot_fans(run.path / "plots" / "forecasts.png", fans, levels=levels)


def write_forecasts(
    run: Run,
    scorer: Scorer,
    point: np.ndarray,
    quantiles: np.ndarray | None,
    *,
    levels: Sequence[float],
) -> None:
    """Writes what a run folder shows of the forecasts of a test split.

    `predictions.jsonl` has the windows that do not overlap, `backtest.csv` compares them with the
    seasonal naive forecast. `plots/` gets `forecasts.png`, `residual_autocorrelation.png` and
    `error_by_step.png`, in which other methods can be added by `add_errors_by_step`.

    Args:
        run: run to write into.
        scorer: scorer of the windows that were forecast; it knows their series and their encoder.
        point: scaled point forecasts, float[windows, horizon, channels].
        quantiles: scaled quantile forecasts, float[windows, horizon, channels, quantiles], or None.
        levels: quantiles of the last axis.
    """
    windows = scorer.windows
    series = scorer.series
    encoder = scorer.encoder
    past, actual = windows.arrays()
    first_of_series = windows.starts[np.searchsorted(windows.series, windows.series)]
    apart = np.flatnonzero((windows.starts - first_of_series) % windows.horizon == 0)
    shown = _Shown(
        origins=[(series[windows.series[i]], int(windows.starts[i])) for i in apart],
        past=encoder.own_units(series, windows, past, rows=apart),
        actual=encoder.own_units(series, windows, actual, rows=apart),
        point=encoder.own_units(series, windows, point, rows=apart),
        quantiles=encoder.own_units(series, windows, quantiles, rows=apart),
    )
    _write_backtest(run, shown, season=scorer.season)
    _write_predictions(run, shown, levels=levels)
    _plot_test_windows(run, shown, levels=levels, season=scorer.season)
    longest = int(np.bincount(windows.series).argmax())
    ahead = (actual[:, 0] - point[:, 0])[windows.series == longest]
    plot_residual_autocorrelation(run, ahead, season=scorer.season, name=series[longest].name)
    add_errors_by_step(run, "this model", actual=actual, point=point)
