"""Language modelling: how likely a text is, and how it goes on."""

from typing import TYPE_CHECKING

from rnn_cookbook._lazy import lazy_submodules

if TYPE_CHECKING:  # loaded when first used
    from rnn_cookbook.tasks.language import model as model

__all__ = ["model"]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
