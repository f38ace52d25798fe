"""From raw examples to padded arrays and back. Everything here is fitted on the training split only."""

from rnn_cookbook._lazy import submodules

__getattr__ = submodules(__name__)
