"""Raw examples: public data sets, the user's own files, splits, and generators with a known optimum."""

from rnn_cookbook._lazy import submodules

__getattr__ = submodules(__name__)
