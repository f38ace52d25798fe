"""Sequence tagging: which words name whom, where and what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnn_cookbook._lazy import lazy_submodules

if TYPE_CHECKING:  # loaded when first used
    from rnn_cookbook.tasks.tagging import (
        baselines,
        data,
        encode,
        export,
        formats,
        model,
        plots,
        predict,
        sample,
        schemes,
        scores,
        vectors,
    )

__all__ = [
    "baselines",
    "data",
    "encode",
    "export",
    "formats",
    "model",
    "plots",
    "predict",
    "sample",
    "schemes",
    "scores",
    "vectors",
]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
