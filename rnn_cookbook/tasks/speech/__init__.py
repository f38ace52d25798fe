"""Speech recognition: what is said in a recording."""

from typing import TYPE_CHECKING

from rnn_cookbook._lazy import lazy_submodules

if TYPE_CHECKING:  # loaded when first used
    from rnn_cookbook.tasks.speech import (
        alphabet as alphabet,
    )
    from rnn_cookbook.tasks.speech import (
        baselines as baselines,
    )
    from rnn_cookbook.tasks.speech import (
        batches as batches,
    )
    from rnn_cookbook.tasks.speech import (
        data as data,
    )
    from rnn_cookbook.tasks.speech import (
        digits as digits,
    )
    from rnn_cookbook.tasks.speech import (
        export as export,
    )
    from rnn_cookbook.tasks.speech import (
        model as model,
    )
    from rnn_cookbook.tasks.speech import (
        plots as plots,
    )
    from rnn_cookbook.tasks.speech import (
        predict as predict,
    )
    from rnn_cookbook.tasks.speech import (
        sample as sample,
    )
    from rnn_cookbook.tasks.speech import (
        scores as scores,
    )

__all__ = [
    "alphabet",
    "baselines",
    "batches",
    "data",
    "digits",
    "export",
    "model",
    "plots",
    "predict",
    "sample",
    "scores",
]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
