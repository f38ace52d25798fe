"""From raw examples to arrays and batches, shared by two applications or more."""

from rnn_cookbook._lazy import lazy_submodules

__all__ = [
    "batches",
    "calendar",
    "series",
    "streams",
    "subwords",
    "text",
    "windows",
    "word_vectors",
]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
