"""Plots of a search."""

import numpy as np
import pandas as pd
import pytest

from rnn_cookbook.tune.plots import importance


def test_what_explains_the_score_is_important():
    rng = np.random.default_rng(0)
    done = pd.DataFrame(
        {
            "rate": 10.0 ** rng.uniform(-4, -1, 60),
            "cell": rng.choice(["lstm", "gru"], 60),
            "noise": rng.uniform(size=60),
        }
    )
    done["score"] = np.log10(done["rate"]) + 1.0 * (done["cell"] == "gru")
    rate, cell, noise = importance(done, ["rate", "cell", "noise"])
    assert rate > cell > 3 * noise
    assert rate + cell + noise == pytest.approx(1)
