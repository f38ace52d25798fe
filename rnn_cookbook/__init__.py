"""RNN Cookbook: recurrent networks for Keras 3 and TensorFlow, measured beside the baselines they
have to beat.

`from rnn_cookbook import models` costs nothing until `models` is first used, so that a recipe can
import what it needs at its top and `--help` and argument errors still answer without TensorFlow.
"""

from rnn_cookbook._lazy import lazy_submodules

__version__ = "0.2.0"
__all__ = [
    "baselines",
    "cli",
    "data",
    "encode",
    "errors",
    "export",
    "files",
    "metrics",
    "models",
    "nn",
    "quiet",
    "recipe",
    "recipes",
    "run",
    "settings",
    "tasks",
    "tune",
]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
