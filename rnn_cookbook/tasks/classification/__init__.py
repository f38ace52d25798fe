"""Text classification: which class a text belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnn_cookbook._lazy import lazy_submodules

if TYPE_CHECKING:  # loaded when first used
    from rnn_cookbook.tasks.classification import (
        baselines,
        encode,
        export,
        model,
        plots,
        predict,
        sample,
        scores,
    )

__all__ = ["baselines", "encode", "export", "model", "plots", "predict", "sample", "scores"]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
