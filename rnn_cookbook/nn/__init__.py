"""Layers, losses, optimizers, decoding and diagnostics: what a recurrent network is made of."""

from rnn_cookbook._lazy import lazy_submodules

__all__ = [
    "attention",
    "audio",
    "characters",
    "convolution",
    "crf",
    "ctc",
    "decoding",
    "diagnostics",
    "embedding",
    "examples",
    "forecast",
    "losses",
    "lstm",
    "masking",
    "ngrams",
    "optimizers",
    "pooling",
    "recurrent",
    "segments",
    "streaming",
    "words",
]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
