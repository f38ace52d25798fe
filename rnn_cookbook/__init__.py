"""RNN Cookbook: recurrent networks for Keras 3 and TensorFlow, measured beside the baselines they have to beat.

`from rnn_cookbook import models` costs nothing until `models` is first used, so that a recipe can import what it needs at its
top and `--help` and argument errors still answer without TensorFlow.
"""

from rnn_cookbook._lazy import submodules

__version__ = "0.1.0"
__getattr__ = submodules(__name__)
