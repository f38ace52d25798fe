"""Oracles: who counts as lost."""

import time

import pytest

from rnn_cookbook.metrics import Metric

keras_tuner = pytest.importorskip("keras_tuner", reason="the tuner is an extra")
make_oracle = pytest.importorskip("rnn_cookbook.tune.oracle").make_oracle


def test_who_waits_while_the_oracle_thinks_is_not_lost(monkeypatch):
    """One worker asks for a trial, which takes longer than the silence that counts as a loss, while
    another one trains."""
    space = keras_tuner.HyperParameters()
    space.Int("x", 0, 9)
    metric = Metric("worth", higher_is_better=True)
    oracle = make_oracle("random", metric, space, trials=9, epochs=1, seed=0)
    keras_tuner.Tuner(oracle, lambda hp: None, directory=".", project_name="search")  # its folder
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    trial = oracle.create_trial("trains")
    populate = oracle.populate_space

    def slowly(trial_id):
        now[0] += 500
        return populate(trial_id)

    oracle.populate_space = slowly
    oracle.create_trial("asks")
    oracle.reap()
    assert set(oracle.ongoing_trials) == {"trains", "asks"}
    now[0] += oracle.worker_timeout + 1
    oracle.get_trial(trial.trial_id)  # one of them is heard of
    oracle.reap()
    assert set(oracle.ongoing_trials) == {"trains"}
