"""Trained networks in formats that run without this library."""

from rnn_cookbook._lazy import lazy_submodules

__all__ = ["builders", "check", "formats", "network", "readme", "served", "write"]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
