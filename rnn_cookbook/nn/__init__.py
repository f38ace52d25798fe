"""Layers, losses, optimizers, decoding and diagnostics: what a recurrent network is made of."""

from rnn_cookbook._lazy import lazy_submodules

__all__ = [
    "attention",
    "attention_decoder",
    "audio",
    "augmentation",
    "characters",
    "convolution",
    "crf",
    "ctc",
    "ctc_search",
    "decoding",
    "diagnostics",
    "embedding",
    "examples",
    "feedback",
    "forecast",
    "forecast_segments",
    "generation",
    "linear_chain",
    "losses",
    "lstm",
    "masking",
    "ngrams",
    "optimizers",
    "pooling",
    "recurrent",
    "recurrent_layers",
    "sampling",
    "segments",
    "streaming",
    "tag_schemes",
    "tensors",
    "words",
]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
