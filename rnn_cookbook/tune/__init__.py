"""Hyperparameter search and the comparison of cells, on the validation split."""

from rnn_cookbook._lazy import lazy_submodules

__all__ = [
    "archive",
    "compare",
    "hypermodel",
    "objective",
    "oracle",
    "plots",
    "search",
    "trial",
    "tuner",
    "workers",
]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
