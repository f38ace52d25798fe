"""Anomaly detection in streams: points that do not fit, scored as they come."""

from typing import TYPE_CHECKING

from rnn_cookbook._lazy import lazy_submodules

if TYPE_CHECKING:  # loaded when first used
    from rnn_cookbook.tasks.anomaly import baselines as baselines
    from rnn_cookbook.tasks.anomaly import data as data
    from rnn_cookbook.tasks.anomaly import encode as encode
    from rnn_cookbook.tasks.anomaly import labels as labels
    from rnn_cookbook.tasks.anomaly import lines as lines
    from rnn_cookbook.tasks.anomaly import live as live
    from rnn_cookbook.tasks.anomaly import model as model
    from rnn_cookbook.tasks.anomaly import nab as nab
    from rnn_cookbook.tasks.anomaly import nab_corpus as nab_corpus
    from rnn_cookbook.tasks.anomaly import plots as plots
    from rnn_cookbook.tasks.anomaly import predict as predict
    from rnn_cookbook.tasks.anomaly import residuals as residuals
    from rnn_cookbook.tasks.anomaly import sample as sample
    from rnn_cookbook.tasks.anomaly import scores as scores
    from rnn_cookbook.tasks.anomaly import states as states
    from rnn_cookbook.tasks.anomaly import streams as streams
    from rnn_cookbook.tasks.anomaly import tails as tails

__all__ = [
    "baselines",
    "data",
    "encode",
    "labels",
    "lines",
    "live",
    "model",
    "nab",
    "nab_corpus",
    "plots",
    "predict",
    "residuals",
    "sample",
    "scores",
    "states",
    "streams",
    "tails",
]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
