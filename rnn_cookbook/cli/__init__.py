"""The command line: one module a command."""

from rnn_cookbook._lazy import lazy_submodules

__all__ = ["compare", "copy", "export", "main", "options", "predict", "run", "tune", "vendor"]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
