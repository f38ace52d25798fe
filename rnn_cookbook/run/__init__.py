"""One run: training, its folder, its bundle, its report, its record."""

from rnn_cookbook._lazy import lazy_submodules

__all__ = [
    "answers",
    "bundle",
    "fit",
    "folder",
    "inference",
    "plots",
    "record",
    "report",
    "results",
]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
