"""The applications, a folder each, with the same file names in every one of them; none imports
another."""

from rnn_cookbook._lazy import lazy_submodules

__all__ = [
    "anomaly",
    "classification",
    "forecasting",
    "language",
    "speech",
    "tagging",
    "translation",
]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
