"""Raw examples from files and data sets, shared by two applications or more. Nothing here needs
TensorFlow until a data set is loaded."""

from rnn_cookbook._lazy import lazy_submodules

__all__ = [
    "audio",
    "grid",
    "lines",
    "sentences",
    "series",
    "sources",
    "splits",
    "tables",
    "texts",
    "timestamps",
]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
