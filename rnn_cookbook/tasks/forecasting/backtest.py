"""Backtests: forecasts from within the series, beside the seasonal naive forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnn_cookbook.data.series import Series
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log

__all__ = ["last_origins", "log_backtest", "rolling_origins", "verdict"]

_FEW = 5  # origins below which a win is called weak evidence


def last_origins(
    series: Sequence[Series], *, origins: int, lookback: int, horizon: int
) -> list[tuple[int, int]]:
    """Finds the steps [first, end) of each series that a backtest of its last horizons forecasts.

    Series with fewer steps get fewer origins, which is logged.

    Args:
        series: series to backtest on.
        origins: wanted number of horizons, one after the other, from each of whose beginnings the
            model forecasts.
        lookback: steps that the model reads.
        horizon: steps that it forecasts.

    Raises:
        InputError: every series is too short for a single origin.
    """
    counts = [max(0, min(origins, (len(each) - lookback) // horizon)) for each in series]
    if not any(counts):
        raise InputError(
            f"a backtest needs {lookback} steps to read and {horizon} to forecast, "
            f"{lookback + horizon} in all; the longest series has {max(map(len, series))}",
            field="backtest",
        )
    fewer = []
    for each, count in zip(series, counts, strict=True):
        if count < origins:
            fewer.append(f"{count} of {each.name}" if each.name else str(count))
    if fewer:
        log.warning(
            "the backtest has fewer than %d origins, for want of steps: %s", origins, listing(fewer)
        )
    return [
        (len(each) - count * horizon, len(each)) for each, count in zip(series, counts, strict=True)
    ]


def rolling_origins(
    actual: np.ndarray, forecast: np.ndarray, naive: np.ndarray
) -> list[dict[str, float]]:
    """Compares two forecasts origin by origin (rolling-origin evaluation: Tashman 2000).

    Args:
        actual: values, float[origins, horizon, channels].
        forecast: the model's forecasts, of the same shape and in the same units.
        naive: the forecasts to compare with, likewise.

    Returns:
        For each origin "model" and "naive", the mean absolute error of each, and "wins", whether
        the model's is smaller.
    """
    ours = np.abs(forecast.astype(np.float64) - actual).mean(axis=(1, 2))
    theirs = np.abs(naive.astype(np.float64) - actual).mean(axis=(1, 2))
    return [
        {"model": float(model), "naive": float(other), "wins": bool(model < other)}
        for model, other in zip(ours, theirs, strict=True)
    ]


def verdict(origins: Sequence[Mapping[str, float]]) -> str:
    """Says in a sentence how a backtest ended.

    Args:
        origins: the errors at each origin, as `rolling_origins` gives them.
    """
    ours = float(np.mean([origin["model"] for origin in origins]))
    theirs = float(np.mean([origin["naive"] for origin in origins]))
    won = sum(origin["wins"] for origin in origins)
    scores = (
        f"mean absolute error {ours:.4g}, seasonal naive {theirs:.4g}; "
        f"better at {won} of {len(origins)} origins"
    )
    if ours >= theirs:
        return f"{scores}: the naive forecast is as good or better, take that one"
    gain = 1 - ours / theirs
    if 2 * won < len(origins):
        return (
            f"{scores}: the model is better by {gain:.0%} on average, but not at most origins; "
            "no clear winner"
        )
    few = ", though so few origins prove little" if len(origins) < _FEW else ""
    return f"{scores}: the model wins by {gain:.0%}{few}"


def log_backtest(
    series: Sequence[Series],
    spans: Sequence[tuple[int, int]],
    by_channel: Mapping[str, Sequence[Mapping[str, float]]],
    *,
    chosen_until: Mapping[str, str],
    limit: int = 20,
) -> None:
    """Logs the result of a backtest channel by channel, and warns where the model was trained or
    chosen on the steps that it forecast.

    Args:
        series: series of the backtest.
        spans: steps [first, end) of each that were forecast.
        by_channel: `rolling_origins` of each channel by its label.
        chosen_until: for each series' name, its first time that the model was neither trained nor
            chosen on.
        limit: number of channels that are logged one by one; more are summed up.
    """
    for label, origins in list(by_channel.items())[:limit]:
        log.info("backtest%s: %s", f" of {label}" if label else "", verdict(origins))
    if len(by_channel) > limit:
        won = 0
        for origins in by_channel.values():
            won += np.mean([origin["model"] - origin["naive"] for origin in origins]) < 0
        log.info("backtest of all %d channels: the model wins at %d", len(by_channel), won)
    known = []
    for each, (first, _) in zip(series, spans, strict=True):
        if each.name in chosen_until and str(each.times[first]) < chosen_until[each.name]:
            known.append(each.name or "the series")
    if known:
        log.warning(
            "the backtest of %s begins within what the model was trained on: too good to be true",
            listing(known),
        )
