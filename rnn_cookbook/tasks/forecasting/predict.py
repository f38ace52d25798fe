"""Forecasts compared: what a practitioner would try first, and the field's measures of points,
quantiles and intervals."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from rnn_cookbook.data.series import Series
from rnn_cookbook.encode.series import SeriesEncoder, Windows
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log
from rnn_cookbook.run.fit import predict
from rnn_cookbook.tasks.forecasting.baselines import (
    apply_linear,
    fit_ridge,
    seasonal_mean,
    seasonal_naive,
)
from rnn_cookbook.tasks.forecasting.model import without_teacher

# What a model says


def point_and_quantiles(
    raw: np.ndarray, *, head: str, quantiles: Sequence[float]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Outputs of a `series.ForecastHead` to one value each, float[...], and `quantiles`, float[...,
    quantiles]; None of a point forecast.

    The value is the quantile nearest to the median, or the mean of the distribution.

    Args:
        raw: float[...] of the head "point", else float[..., width].
        head: "point", "quantiles", "gaussian" or "student_t".
        quantiles: rising, between 0 and 1; of the head "quantiles" those it was trained for.
    """
    from scipy import stats

    if head == "point":
        return raw, None
    share = np.asarray(quantiles)
    if head == "quantiles":
        return raw[..., np.abs(share - 0.5).argmin()], raw
    spread = stats.norm.ppf(share) if head == "gaussian" else stats.t.ppf(share, raw[..., 2:])
    return raw[..., 0], raw[..., :1] + raw[..., 1:2] * spread


class Forecaster:
    """A trained model and its encoder: series to their future, in their own units.

    Args:
        model: a `models.forecaster` or `models.recursive_forecaster`, with its teacher or without.
        encoder: which made its windows; None where only windows are forecast.
        batch_size: windows a step.
    """

    def __init__(self, model: keras.Model, encoder: SeriesEncoder | None, *, batch_size: int = 64):
        self.model, self.encoder = without_teacher(model), encoder
        head = self.model.get_layer("head")
        self.head, self.levels = head.kind, head.quantiles
        (lookback,) = (part.shape[1] for part in self.model.inputs if part.name == "window")
        self.horizon = self.model.output.shape[1]
        self.shape = {"lookback": lookback, "horizon": self.horizon, "batch_size": batch_size}

    def __call__(self, windows: Windows) -> tuple[np.ndarray, np.ndarray | None]:
        """Scaled forecasts of windows, in their order: see `point_and_quantiles`."""
        return point_and_quantiles(
            predict(self.model, windows), head=self.head, quantiles=self.levels
        )

    def ahead(self, series: Sequence[Series]) -> tuple[np.ndarray, np.ndarray | None]:
        """What follows the last value of each series: float64[series, horizon, channels], and
        float64[series, horizon, channels, quantiles] or None."""
        windows = self.encoder.windows_ahead(series, **self.shape)
        point, quantiles = (self.encoder.own_units(series, windows, part) for part in self(windows))
        return point, quantiles

    def backtest(
        self, series: Sequence[Series], *, origins: int, season: int
    ) -> tuple[list[tuple[int, int]], dict[str, list[dict]]]:
        """Forecasts from within the series, by the model as it is, beside the seasonal naive
        forecast: the steps that were forecast, see `last_origins`, and `rolling_origins` of each
        channel under its `Series.label`."""
        spans = last_origins(
            series, origins=origins, lookback=self.shape["lookback"], horizon=self.horizon
        )
        windows = self.encoder.windows(series, spans, **self.shape, stride=self.horizon)
        past, actual = windows.arrays()
        parts = actual, self(windows)[0], seasonal_naive(past, self.horizon, season=season)
        actual, point, naive = (self.encoder.own_units(series, windows, part) for part in parts)
        found = {}
        for i, one in enumerate(series):
            for c, channel in enumerate(one.channels):
                of = windows.series == i, slice(None), slice(c, c + 1)
                if of[0].any():
                    found[one.label(channel)] = rolling_origins(actual[of], point[of], naive[of])
        return spans, found


def last_origins(
    series: Sequence[Series], *, origins: int, lookback: int, horizon: int
) -> list[tuple[int, int]]:
    """The steps [first, end) of each series to be forecast in a backtest of its last `origins`
    horizons, or of as many as there are; the model has to forecast from their beginning, and every
    horizon after.

    Raises:
        InputError: every series is too short for any.
    """
    counts = [max(0, min(origins, (len(one) - lookback) // horizon)) for one in series]
    if not any(counts):
        raise InputError(
            f"--backtest needs {lookback} steps to read and {horizon} to forecast: {lookback + horizon} or more; there are at most "
            f"{max(map(len, series))}"
        )
    fewer = [
        f"{count}{f' of {one.name}' if one.name else ''}"
        for one, count in zip(series, counts, strict=True)
        if count < origins
    ]
    if fewer:
        log.warning(
            "the backtest has fewer than %d origins, for want of steps: %s", origins, listing(fewer)
        )
    return [
        (len(one) - count * horizon, len(one)) for one, count in zip(series, counts, strict=True)
    ]


def rolling_origins(
    actual: np.ndarray, forecast: np.ndarray, naive: np.ndarray
) -> list[dict[str, float]]:
    """A backtest, origin by origin: "model" and "naive", the mean absolute error of each, in the
    units of all three, float[origins, horizon, channels]; "wins", whether the model's is smaller
    (rolling-origin evaluation: Tashman 2000)."""
    errors = [
        np.abs(part.astype(np.float64) - actual).mean(axis=(1, 2)) for part in (forecast, naive)
    ]
    return [
        {"model": float(ours), "naive": float(theirs), "wins": bool(ours < theirs)}
        for ours, theirs in zip(*errors, strict=True)
    ]


def verdict(origins: Sequence[dict[str, float]]) -> str:
    """One sentence on a backtest by `rolling_origins`."""
    ours, theirs = (
        float(np.mean([origin[name] for origin in origins])) for name in ("model", "naive")
    )
    won = sum(origin["wins"] for origin in origins)
    told = f"mean absolute error {ours:.4g}, seasonal naive {theirs:.4g}; better at {won} of {len(origins)} origins"
    if ours >= theirs:
        return f"{told}: the naive forecast is as good or better, take that one"
    if 2 * won < len(origins):
        return f"{told}: the model is better by {1 - ours / theirs:.0%} on average, but not at most origins; no clear winner"
    few = ", though so few origins prove little" if len(origins) < 5 else ""
    return f"{told}: the model wins by {1 - ours / theirs:.0%}{few}"


def linear_forecasts(train: Windows, validation: Windows, *, season: int) -> dict[str, np.ndarray]:
    """The baselines that are linear in the window, for `mix_linear`: "ridge" by `fit_ridge`, and
    "seasonal_mean", float32[lookback + 1, horizon] each, see `apply_linear`."""
    impulses = np.eye(
        train.lookback + 1, train.lookback, dtype=np.float32
    )  # what each step of the window adds; no constant
    return {
        "ridge": fit_ridge(train, validation).weights,
        "seasonal_mean": seasonal_mean(impulses[..., None], train.horizon, season=season)[..., 0],
    }


def mix_linear(
    model: keras.Model, linear: Mapping[str, np.ndarray], validation: Windows
) -> dict[str, float]:
    """Mixes the forecasts of a trained `models.forecaster(linear=True)` with linear ones, by the
    shares with the least squared error on the validation windows, none negative and 1 together
    (Bates and Granger 1969). Returns the shares, "network" and those of `linear`.

    Forecasts that err differently are better together; and a network that has overfitted gives way.
    As much as the error becomes smaller, root mean square on validation, so does the spread of what
    the network says.
    """
    layer = model.get_layer("linear")
    kernel, bias = (np.zeros_like(weight) for weight in layer.get_weights()[:2])
    layer.set_weights([kernel, bias, np.float32(0), np.float32(1)])
    past, actual = validation.arrays()
    found = [
        Forecaster(model, None)(validation)[0],
        *(apply_linear(weights, past) for weights in linear.values()),
    ]
    errors = [forecast - actual for forecast in found]
    shares = dict(zip(("network", *linear), combine(errors), strict=True))
    towards = 1 - shares["network"]
    weights = sum(shares[name] * weights for name, weights in linear.items()) / max(towards, 1e-12)
    mixed = sum(share * error for share, error in zip(shares.values(), errors, strict=True))
    spread = np.sqrt(np.mean(np.square(mixed)) / max(np.mean(np.square(errors[0])), 1e-12))
    layer.set_weights([weights[:-1], weights[-1], np.float32(towards), np.float32(spread)])
    log.info(
        "mixed by validation: %s",
        ", ".join(f"{name} {share:.0%}" for name, share in shares.items()),
    )
    return shares


def combine(errors: Sequence[np.ndarray]) -> list[float]:
    """Shares of forecasts, none negative and 1 together, for the least squared error of their
    mixture, from the errors of each."""
    from scipy.optimize import nnls

    flat = np.stack([np.ravel(error) for error in errors]).astype(np.float64)
    gram = flat @ flat.T / flat.shape[1]
    gram += (
        1e-9 * max(np.trace(gram), 1e-30) * np.eye(len(gram))
    )  # forecasts that are the same share evenly
    # The least w'Gw of shares that add up to 1 is, but for its length, the least w'Gw - 2 sum(w).
    root = np.linalg.cholesky(gram)
    shares, _ = nnls(root.T, np.linalg.solve(root, np.ones(len(gram))))
    return [float(share) for share in shares / shares.sum()]


# Measures
