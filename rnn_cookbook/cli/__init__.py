"""The command line: one module a command."""

from rnn_cookbook._lazy import lazy_submodules

__all__ = ["commands", "copy", "main", "options"]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
