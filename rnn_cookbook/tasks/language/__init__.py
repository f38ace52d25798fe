"""Language modelling: how likely a text is, and how it continues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnn_cookbook._lazy import lazy_submodules

if TYPE_CHECKING:  # loaded when first used
    from rnn_cookbook.tasks.language import model

__all__ = ["model"]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
