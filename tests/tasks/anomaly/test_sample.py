"""The sample's generating process."""

import itertools

import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.anomaly.sample import ANOMALIES, anomalous_series


def test_its_law():
    streams = anomalous_series(4, 2800, seed=3)
    for one in streams:
        assert len(one.windows) == len(ANOMALIES)
        assert one.windows[0][0] > 0.3 * 2800
        assert all(after - end >= 96 for (_, end), (after, _) in itertools.pairwise(one.windows))
        constant = [one.values[first : first + 24].std() for first, _ in one.windows]
        assert sum(spread < 1e-9 for spread in constant) == 1
        inside = [one.values[first : last + 1] for first, last in one.windows]
        usual = one.values[:840]
        assert (
            sum(
                bool((part > usual.max() + 0.3).any() or (part < usual.min() - 0.3).any())
                for part in inside
            )
            == 2
        )
    again = anomalous_series(4, 2800, seed=3)
    np.testing.assert_array_equal(streams[2].values, again[2].values)
    with pytest.raises(InputError, match=r"1000 steps leave .*smaller training fraction"):
        anomalous_series(1, 1000, seed=0)
