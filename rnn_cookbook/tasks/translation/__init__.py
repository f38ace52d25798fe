"""Translation: a text in another language, subword by subword, with attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnn_cookbook._lazy import lazy_submodules

if TYPE_CHECKING:  # loaded when first used
    from rnn_cookbook.tasks.translation import (
        baselines,
        batches,
        data,
        model,
        plots,
        predict,
        sample,
        scores,
    )

__all__ = ["baselines", "batches", "data", "model", "plots", "predict", "sample", "scores"]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
