"""Speech recognition: what is said in a recording, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnn_cookbook._lazy import lazy_submodules

if TYPE_CHECKING:  # loaded when first used
    from rnn_cookbook.tasks.speech import (
        alphabet,
        baselines,
        batches,
        data,
        digits,
        export,
        live,
        model,
        plots,
        predict,
        sample,
        scores,
        transcripts,
    )

__all__ = [
    "alphabet",
    "baselines",
    "batches",
    "data",
    "digits",
    "export",
    "live",
    "model",
    "plots",
    "predict",
    "sample",
    "scores",
    "transcripts",
]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
