"""Translation: a text in another language, word by word with attention."""

from typing import TYPE_CHECKING

from rnn_cookbook._lazy import lazy_submodules

if TYPE_CHECKING:  # loaded when first used
    from rnn_cookbook.tasks.translation import (
        baselines as baselines,
    )
    from rnn_cookbook.tasks.translation import (
        batches as batches,
    )
    from rnn_cookbook.tasks.translation import (
        data as data,
    )
    from rnn_cookbook.tasks.translation import (
        model as model,
    )
    from rnn_cookbook.tasks.translation import (
        plots as plots,
    )
    from rnn_cookbook.tasks.translation import (
        predict as predict,
    )
    from rnn_cookbook.tasks.translation import (
        sample as sample,
    )
    from rnn_cookbook.tasks.translation import (
        scores as scores,
    )

__all__ = ["baselines", "batches", "data", "model", "plots", "predict", "sample", "scores"]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
