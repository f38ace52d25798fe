"""Forecasts compared: what a practitioner would try first, and the field's measures of points, quantiles and intervals."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import keras
import numpy as np

from rnn_cookbook import models, training
from rnn_cookbook.baselines import timed_scores
from rnn_cookbook.data.series import Series
from rnn_cookbook.encode.series import SeriesEncoder, Windows
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.runs import log

ALPHAS = (0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0)  # of the ridge regression, tried on the validation split


def repeat_last(window: np.ndarray, horizon: int) -> np.ndarray:
    """The last value: float[windows, lookback, channels] -> float[windows, horizon, channels]."""
    return np.repeat(window[:, -1:], horizon, axis=1)


def seasonal_naive(window: np.ndarray, horizon: int, *, season: int) -> np.ndarray:
    """The last season, over and over; a window shorter than a season repeats whole."""
    season = min(season, window.shape[1])
    return window[:, window.shape[1] - season + np.arange(horizon) % season]


def seasonal_mean(window: np.ndarray, horizon: int, *, season: int) -> np.ndarray:
    """The mean of the window's values at the same place in the season."""
    seasons = window.shape[1] // season
    if not seasons:
        return np.repeat(window.mean(axis=1, keepdims=True), horizon, axis=1)
    whole = window[:, window.shape[1] - seasons * season :].reshape(len(window), seasons, season, -1).mean(axis=1)
    return whole[:, np.arange(horizon) % season]


class RidgeForecaster:
    """Every step of the future as a linear function of the window, its last value subtracted (NLinear: Zeng et al. 2023), in closed form.

    One regression for all channels and series. Beats most deep forecasters on the usual benchmarks, in seconds.

    Args:
        alpha: of the squared norm of the weights, for a sum of squared errors.
    """

    def __init__(self, alpha: float = 1.0):
        self.alpha = alpha

    def fit(self, windows: Windows) -> "RidgeForecaster":
        """Learns from all windows; the normal equations are summed up in double precision, some windows at a time."""
        self.gram, self.moments = _normal_equations(windows)
        return self.solve(self.alpha)

    def solve(self, alpha: float) -> "RidgeForecaster":
        """The weights of another `alpha`, for the same windows."""
        penalty = np.eye(len(self.gram)) * alpha
        penalty[-1, -1] = 0  # not of the constant
        self.alpha, self.weights = alpha, np.linalg.solve(self.gram + penalty, self.moments).astype(np.float32)
        return self

    def predict(self, window: np.ndarray) -> np.ndarray:
        """float[windows, lookback, channels] -> float32[windows, horizon, channels]."""
        return apply_linear(self.weights, window)


def apply_linear(weights: np.ndarray, window: np.ndarray) -> np.ndarray:
    """A linear forecast by float[lookback + 1, horizon] weights, the constant last, of the window less its last value, which is added
    again: float[windows, lookback, channels] -> float[windows, horizon, channels]."""
    last = window[:, -1:]
    rows = np.ascontiguousarray((window - last).transpose(0, 2, 1)).reshape(-1, window.shape[1])  # one product of all, not one each
    change = (rows @ weights[:-1] + weights[-1]).reshape(len(window), window.shape[2], -1)
    return change.transpose(0, 2, 1) + last


def _normal_equations(windows: Windows, chunk: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    size = windows.lookback + 1
    gram, moments = np.zeros((size, size)), np.zeros((size, windows.horizon))
    past, future = windows.arrays()
    for start in range(0, len(past), chunk):
        for channel in range(past.shape[2]):
            x, y = (part[start : start + chunk, :, channel].astype(np.float64) for part in (past, future))
            last = x[:, -1:]
            x = np.concatenate([x - last, np.ones((len(x), 1))], axis=1)
            gram += x.T @ x
            moments += x.T @ (y - last)
    return gram, moments


def forecast_baselines(
    train: Windows,
    validation: Windows,
    test: Windows,
    *,
    season: int,
    score: Callable[[np.ndarray], dict],
    keep: Callable[[str, np.ndarray], None] | None = None,
) -> dict[str, dict]:
    """Name to `score(forecast)` of the test windows, an "mse" among it, and "seconds".

    `repeat_last`, `seasonal_naive`, `seasonal_mean` of each window; `ridge`: `RidgeForecaster`, its alpha chosen by the mean squared error
    of the validation windows. `keep` gets the name and the forecast of each.
    """
    past, _ = test.arrays()
    methods = {
        "repeat_last": lambda: repeat_last(past, test.horizon),
        "seasonal_naive": lambda: seasonal_naive(past, test.horizon, season=season),
        "seasonal_mean": lambda: seasonal_mean(past, test.horizon, season=season),
        "ridge": lambda: fit_ridge(train, validation).predict(past),
    }

    def kept(name: str, method: Callable[[], np.ndarray]) -> np.ndarray:
        forecast = method()
        if keep:
            keep(name, forecast)
        return forecast

    return timed_scores({name: partial(kept, name, method) for name, method in methods.items()}, score, metric="mse")


def fit_ridge(train: Windows, validation: Windows) -> RidgeForecaster:
    """A `RidgeForecaster` of the training windows, with that alpha of `ALPHAS` which has the least squared error on validation."""
    past, future = validation.arrays()
    ridge = RidgeForecaster(ALPHAS[0]).fit(train)
    errors = {alpha: point_scores(future, ridge.solve(alpha).predict(past))["mse"] for alpha in ALPHAS}
    best = min(errors, key=errors.get)
    log.info("ridge: alpha %g of %s, chosen on validation", best, ", ".join(f"{alpha:g}" for alpha in ALPHAS))
    return ridge.solve(best)


# What a model says


def point_and_quantiles(raw: np.ndarray, *, head: str, quantiles: Sequence[float]) -> tuple[np.ndarray, np.ndarray | None]:
    """Outputs of a `series.ForecastHead` to one value each, float[...], and `quantiles`, float[..., quantiles]; None of a point forecast.

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
        self.model, self.encoder = models.without_teacher(model), encoder
        head = self.model.get_layer("head")
        self.head, self.levels = head.kind, head.quantiles
        (lookback,) = (part.shape[1] for part in self.model.inputs if part.name == "window")
        self.horizon = self.model.output.shape[1]
        self.shape = {"lookback": lookback, "horizon": self.horizon, "batch_size": batch_size}

    def __call__(self, windows: Windows) -> tuple[np.ndarray, np.ndarray | None]:
        """Scaled forecasts of windows, in their order: see `point_and_quantiles`."""
        return point_and_quantiles(training.predict(self.model, windows), head=self.head, quantiles=self.levels)

    def ahead(self, series: Sequence[Series]) -> tuple[np.ndarray, np.ndarray | None]:
        """What follows the last value of each series: float64[series, horizon, channels], and float64[series, horizon, channels,
        quantiles] or None."""
        windows = self.encoder.windows_ahead(series, **self.shape)
        point, quantiles = (self.encoder.own_units(series, windows, part) for part in self(windows))
        return point, quantiles

    def backtest(self, series: Sequence[Series], *, origins: int, season: int) -> tuple[list[tuple[int, int]], dict[str, list[dict]]]:
        """Forecasts from within the series, by the model as it is, beside the seasonal naive forecast: the steps that were forecast, see
        `last_origins`, and `rolling_origins` of each channel under its `Series.label`."""
        spans = last_origins(series, origins=origins, lookback=self.shape["lookback"], horizon=self.horizon)
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


def last_origins(series: Sequence[Series], *, origins: int, lookback: int, horizon: int) -> list[tuple[int, int]]:
    """The steps [first, end) of each series to be forecast in a backtest of its last `origins` horizons, or of as many as there are; the
    model has to forecast from their beginning, and every horizon after.

    Raises:
        InputError: every series is too short for any.
    """
    counts = [max(0, min(origins, (len(one) - lookback) // horizon)) for one in series]
    if not any(counts):
        raise InputError(
            f"--backtest needs {lookback} steps to read and {horizon} to forecast: {lookback + horizon} or more; there are at most "
            f"{max(map(len, series))}"
        )
    fewer = [f"{count}{f' of {one.name}' if one.name else ''}" for one, count in zip(series, counts, strict=True) if count < origins]
    if fewer:
        log.warning("the backtest has fewer than %d origins, for want of steps: %s", origins, listing(fewer))
    return [(len(one) - count * horizon, len(one)) for one, count in zip(series, counts, strict=True)]


def rolling_origins(actual: np.ndarray, forecast: np.ndarray, naive: np.ndarray) -> list[dict[str, float]]:
    """A backtest, origin by origin: "model" and "naive", the mean absolute error of each, in the units of all three, float[origins,
    horizon, channels]; "wins", whether the model's is smaller (rolling-origin evaluation: Tashman 2000)."""
    errors = [np.abs(part.astype(np.float64) - actual).mean(axis=(1, 2)) for part in (forecast, naive)]
    return [{"model": float(ours), "naive": float(theirs), "wins": bool(ours < theirs)} for ours, theirs in zip(*errors, strict=True)]


def verdict(origins: Sequence[dict[str, float]]) -> str:
    """One sentence on a backtest by `rolling_origins`."""
    ours, theirs = (float(np.mean([origin[name] for origin in origins])) for name in ("model", "naive"))
    won = sum(origin["wins"] for origin in origins)
    told = f"mean absolute error {ours:.4g}, seasonal naive {theirs:.4g}; better at {won} of {len(origins)} origins"
    if ours >= theirs:
        return f"{told}: the naive forecast is as good or better, take that one"
    if 2 * won < len(origins):
        return f"{told}: the model is better by {1 - ours / theirs:.0%} on average, but not at most origins; no clear winner"
    few = ", though so few origins prove little" if len(origins) < 5 else ""
    return f"{told}: the model wins by {1 - ours / theirs:.0%}{few}"


def linear_forecasts(train: Windows, validation: Windows, *, season: int) -> dict[str, np.ndarray]:
    """The baselines that are linear in the window, for `mix_linear`: "ridge" by `fit_ridge`, and "seasonal_mean", float32[lookback + 1,
    horizon] each, see `apply_linear`."""
    impulses = np.eye(train.lookback + 1, train.lookback, dtype=np.float32)  # what each step of the window adds; no constant
    return {
        "ridge": fit_ridge(train, validation).weights,
        "seasonal_mean": seasonal_mean(impulses[..., None], train.horizon, season=season)[..., 0],
    }


def mix_linear(model: keras.Model, linear: Mapping[str, np.ndarray], validation: Windows) -> dict[str, float]:
    """Mixes the forecasts of a trained `models.forecaster(linear=True)` with linear ones, by the shares with the least squared error on
    the validation windows, none negative and 1 together (Bates and Granger 1969). Returns the shares, "network" and those of `linear`.

    Forecasts that err differently are better together; and a network that has overfitted gives way. As much as the error becomes smaller,
    root mean square on validation, so does the spread of what the network says.
    """
    layer = model.get_layer("linear")
    kernel, bias = (np.zeros_like(weight) for weight in layer.get_weights()[:2])
    layer.set_weights([kernel, bias, np.float32(0), np.float32(1)])
    past, actual = validation.arrays()
    found = [Forecaster(model, None)(validation)[0], *(apply_linear(weights, past) for weights in linear.values())]
    errors = [forecast - actual for forecast in found]
    shares = dict(zip(("network", *linear), combine(errors), strict=True))
    towards = 1 - shares["network"]
    weights = sum(shares[name] * weights for name, weights in linear.items()) / max(towards, 1e-12)
    mixed = sum(share * error for share, error in zip(shares.values(), errors, strict=True))
    spread = np.sqrt(np.mean(np.square(mixed)) / max(np.mean(np.square(errors[0])), 1e-12))
    layer.set_weights([weights[:-1], weights[-1], np.float32(towards), np.float32(spread)])
    log.info("mixed by validation: %s", ", ".join(f"{name} {share:.0%}" for name, share in shares.items()))
    return shares


def combine(errors: Sequence[np.ndarray]) -> list[float]:
    """Shares of forecasts, none negative and 1 together, for the least squared error of their mixture, from the errors of each."""
    from scipy.optimize import nnls

    flat = np.stack([np.ravel(error) for error in errors]).astype(np.float64)
    gram = flat @ flat.T / flat.shape[1]
    gram += 1e-9 * max(np.trace(gram), 1e-30) * np.eye(len(gram))  # forecasts that are the same share evenly
    # The least w'Gw of shares that add up to 1 is, but for its length, the least w'Gw - 2 sum(w).
    root = np.linalg.cholesky(gram)
    shares, _ = nnls(root.T, np.linalg.solve(root, np.ones(len(gram))))
    return [float(share) for share in shares / shares.sum()]


# Measures


class Scorer:
    """All measures of forecasts of the same windows, of the scaled values, as benchmarks have them, and in the series' own units.

    Args:
        windows: what is forecast, by `encoder.windows` of `series`.
        series, encoder: see there.
        train: of each series the training steps [first, end), for MASE.
        season: steps, for MASE.
    """

    def __init__(
        self, windows: Windows, *, series: Sequence[Series], encoder: SeriesEncoder, train: Sequence[tuple[int, int]], season: int
    ):
        self.own_units = partial(encoder.own_units, series, windows)
        _, self.actual = windows.arrays()
        naive = [naive_errors(one.values[slice(*span)], season=season) for one, span in zip(series, train, strict=True)]
        self.naive_error = np.stack(naive)[windows.series][:, None]

    def __call__(self, point: np.ndarray, quantiles: np.ndarray | None = None, *, levels: Sequence[float] = ()) -> dict[str, float]:
        """`point_scores` of the scaled values; `own_unit_scores`; and of quantiles, where there are any, "pinball_units", "coverage" and
        "width_units".

        Args:
            point: float[windows, horizon, channels], scaled.
            quantiles: float[windows, horizon, channels, quantiles], scaled.
            levels: of the quantiles; of one alone there is no coverage nor width.
        """
        actual = self.own_units(self.actual)
        scores = {**point_scores(self.actual, point), **own_unit_scores(actual, self.own_units(point), naive_error=self.naive_error)}
        if quantiles is not None:
            found = quantile_scores(actual, self.own_units(quantiles), levels)
            scores["pinball_units"] = found["pinball"]
            if len(levels) > 1:
                scores |= {"coverage": found["coverage"], "width_units": found["width"]}
        return scores


def errors_by_step(actual: np.ndarray, forecast: np.ndarray) -> np.ndarray:
    """Mean squared error of each step of the horizon: float64[horizon]."""
    return np.square(forecast.astype(np.float64) - actual).mean(axis=(0, 2))


def autocorrelation(residuals: np.ndarray, *, lags: int) -> np.ndarray:
    """Of float[steps, channels], mean over the channels that are not constant: float64[lags], from lag 1 on."""
    moved = residuals - residuals.mean(axis=0)
    moved = moved[:, np.square(moved).sum(axis=0) > 0].astype(np.float64)
    power = np.square(moved).sum(axis=0)
    return np.array([(moved[lag:] * moved[:-lag]).sum(axis=0) / power for lag in range(1, lags + 1)]).reshape(lags, -1).mean(axis=1)


def point_scores(actual: np.ndarray, forecast: np.ndarray) -> dict[str, float]:
    """Mean squared and mean absolute error over all steps and channels, in the units of both, as the benchmarks have them."""
    error = forecast.astype(np.float64) - actual
    return {"mse": float(np.mean(np.square(error))), "mae": float(np.mean(np.abs(error)))}


def own_unit_scores(actual: np.ndarray, forecast: np.ndarray, *, naive_error: np.ndarray) -> dict[str, float]:
    """MAE, RMSE, MASE and sMAPE in the series' own units, float[windows, horizon, channels] each.

    MASE (Hyndman and Koehler 2006) divides by `naive_error`, the mean absolute error of the seasonal naive forecast within the training
    steps, float, one for each series and channel: 1 is as good as that. sMAPE is in percent, 0 to 200 (Makridakis 1993); where both
    values are 0 it is 0. Where no channel has a naive error, as constant ones have none, there is no MASE.
    """
    error = np.abs(forecast.astype(np.float64) - actual)
    both = np.abs(actual) + np.abs(forecast)
    usable = np.broadcast_to(naive_error > 0, error.shape)
    scaled = np.divide(error, naive_error, out=np.zeros_like(error), where=usable)
    return {
        "mae_units": float(error.mean()),
        "rmse_units": float(np.sqrt(np.square(error).mean())),
        **({"mase": float(scaled[usable].mean())} if usable.any() else {}),
        "smape": float(200 * np.divide(error, both, out=np.zeros_like(error), where=both > 0).mean()),
    }


def quantile_scores(actual: np.ndarray, forecast: np.ndarray, quantiles: Sequence[float]) -> dict[str, float]:
    """Mean pinball loss over the quantiles, and the share of values inside the outermost two, in the units of both.

    float[windows, horizon, channels], float[windows, horizon, channels, quantiles] -> "pinball", "coverage", "width"
    """
    if forecast.shape[-1] != len(quantiles) or list(quantiles) != sorted(quantiles):
        raise InputError(f"a forecast of {forecast.shape[-1]} quantiles does not go with {', '.join(map(str, quantiles))}, which must rise")
    error = actual[..., None] - forecast
    share = np.asarray(quantiles)
    inside = (actual >= forecast[..., 0]) & (actual <= forecast[..., -1])
    return {
        "pinball": float(np.mean(np.maximum(share * error, (share - 1) * error))),
        "coverage": float(inside.mean()),
        "width": float(np.mean(forecast[..., -1] - forecast[..., 0])),
    }


def naive_errors(values: np.ndarray, *, season: int) -> np.ndarray:
    """Mean absolute error of the seasonal naive forecast within float[steps, channels], for MASE: float64[channels]."""
    season = min(season, len(values) - 1)
    return np.abs(values[season:] - values[:-season]).mean(axis=0)
