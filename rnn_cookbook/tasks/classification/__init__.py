"""Text classification: which class a text belongs to."""

from typing import TYPE_CHECKING

from rnn_cookbook._lazy import lazy_submodules

if TYPE_CHECKING:  # loaded when first used
    from rnn_cookbook.tasks.classification import (
        baselines as baselines,
    )
    from rnn_cookbook.tasks.classification import (
        export as export,
    )
    from rnn_cookbook.tasks.classification import (
        model as model,
    )
    from rnn_cookbook.tasks.classification import (
        plots as plots,
    )
    from rnn_cookbook.tasks.classification import (
        sample as sample,
    )
    from rnn_cookbook.tasks.classification import (
        scores as scores,
    )

__all__ = ["baselines", "export", "model", "plots", "sample", "scores"]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
