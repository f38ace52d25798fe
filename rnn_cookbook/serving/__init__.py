"""Models from raw input to their answer in TensorFlow alone: what `rnn-cookbook export` writes, where a format can hold it."""

from rnn_cookbook._lazy import submodules

__getattr__ = submodules(__name__)
