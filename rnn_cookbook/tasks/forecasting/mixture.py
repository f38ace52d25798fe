"""The network's forecast mixed with linear ones, by weights that the validation split chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from rnn_cookbook.encode.windows import Windows
from rnn_cookbook.files import log
from rnn_cookbook.tasks.forecasting.baselines import apply_linear, fit_ridge, seasonal_mean
from rnn_cookbook.tasks.forecasting.predict import forecast_windows

__all__ = ["combine", "linear_forecasts", "mix_linear"]

_TINY = 1e-12  # divisors that may be 0
_JITTER = 1e-9  # of the mean squared error, on the diagonal: equal forecasts get equal weights


def combine(errors: Sequence[np.ndarray]) -> list[float]:
    """Finds the weights of forecasts, none negative and with the sum 1, that give their mixture the
    smallest squared error.

    Args:
        errors: errors of each forecast, arrays of one shape.
    """
    from scipy.optimize import nnls  # here: slow to import, and only training needs it

    flat = np.stack([np.ravel(error) for error in errors]).astype(np.float64)
    gram = flat @ flat.T / flat.shape[1]
    gram += _JITTER * max(np.trace(gram), 1e-30) * np.eye(len(gram))
    # Up to its length, the minimum of w'Gw with sum(w) = 1 is that of w'Gw - 2 sum(w).
    root = np.linalg.cholesky(gram)
    weights, _ = nnls(root.T, np.linalg.solve(root, np.ones(len(gram))))
    return [float(weight) for weight in weights / weights.sum()]


def linear_forecasts(train: Windows, validation: Windows, *, season: int) -> dict[str, np.ndarray]:
    """Computes the coefficients of the baselines that are linear in the window, for `mix_linear`.

    Args:
        train: windows to fit to.
        validation: windows to choose the ridge penalty on.
        season: steps of a season.

    Returns:
        "ridge", by `fit_ridge`, and "seasonal_mean", float32[lookback + 1, horizon] each, see
        `apply_linear`.
    """
    # The forecasts from a single 1 at each step of the window; there is no constant.
    impulses = np.eye(train.lookback + 1, train.lookback, dtype=np.float32)
    mean = seasonal_mean(impulses[..., None], train.horizon, season=season)[..., 0]
    return {"ridge": fit_ridge(train, validation).weights, "seasonal_mean": mean}


def mix_linear(
    model: keras.Model, linear: Mapping[str, np.ndarray], validation: Windows
) -> dict[str, float]:
    """Mixes the forecasts of a trained `models.forecaster(linear=True)` with linear ones, by the
    weights that `combine` finds on the validation windows (Bates and Granger 1969).

    Forecasts with different errors are better together, and a network that has overfitted gets a
    small weight. The scale of the network's distribution shrinks as its root mean squared error on
    validation does.

    Args:
        model: the trained network, whose layer "linear" is set.
        linear: coefficients of the linear forecasts by name, see `linear_forecasts`.
        validation: scaled windows to choose the weights on.

    Returns:
        The weight of "network" and of each linear forecast.
    """
    layer = model.get_layer("linear")
    kernel, bias = (np.zeros_like(weight) for weight in layer.get_weights()[:2])
    layer.set_weights([kernel, bias, np.float32(0), np.float32(1)])
    past, actual = validation.arrays()
    point, _ = forecast_windows(model, validation)
    errors = [point - actual]
    for coefficients in linear.values():
        errors.append(apply_linear(coefficients, past) - actual)
    weights = dict(zip(("network", *linear), combine(errors), strict=True))

    fraction = 1 - weights["network"]
    kernels = np.zeros((validation.lookback + 1, validation.horizon), np.float32)
    for name, coefficients in linear.items():
        kernels += weights[name] * coefficients
    kernels /= max(fraction, _TINY)
    mixed = sum(weight * error for weight, error in zip(weights.values(), errors, strict=True))
    shrinkage = np.sqrt(np.mean(np.square(mixed)) / max(np.mean(np.square(errors[0])), _TINY))
    layer.set_weights([kernels[:-1], kernels[-1], np.float32(fraction), np.float32(shrinkage)])
    shown = ", ".join(f"{name} {weight:.0%}" for name, weight in weights.items())
    log.info("mixed by validation: %s", shown)
    return weights
