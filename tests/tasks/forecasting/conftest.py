"""A table of daily sales, as users have them."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest


def _daily(steps: int, *, promotions=False, seed=0, days_ahead=0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    time = np.arange(steps + days_ahead)
    promo = (rng.random(len(time)) < 0.2).astype(int)
    noise = rng.normal(0, 3, len(time))
    sales = 100 + 20 * np.sin(2 * np.pi * time / 7) + noise + 40 * promotions * promo
    sales[steps:] = np.nan
    dates = pd.date_range("2022-01-01", periods=len(time), freq="D")
    return pd.DataFrame({"date": dates, "sales": sales, "promo": promo})


@pytest.fixture(scope="session")
def daily() -> Callable[..., pd.DataFrame]:
    """Makes a table of so many days: "date", "sales" with a weekly season, and "promo", which adds
    40 to the sales where there are promotions and is known for some days ahead."""
    return _daily
