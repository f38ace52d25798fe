"""Sequence tagging: which words name whom, where and what."""

from typing import TYPE_CHECKING

from rnn_cookbook._lazy import lazy_submodules

if TYPE_CHECKING:  # loaded when first used
    from rnn_cookbook.tasks.tagging import (
        baselines as baselines,
    )
    from rnn_cookbook.tasks.tagging import (
        data as data,
    )
    from rnn_cookbook.tasks.tagging import (
        encode as encode,
    )
    from rnn_cookbook.tasks.tagging import (
        export as export,
    )
    from rnn_cookbook.tasks.tagging import (
        model as model,
    )
    from rnn_cookbook.tasks.tagging import (
        plots as plots,
    )
    from rnn_cookbook.tasks.tagging import (
        predict as predict,
    )
    from rnn_cookbook.tasks.tagging import (
        sample as sample,
    )
    from rnn_cookbook.tasks.tagging import (
        schemes as schemes,
    )
    from rnn_cookbook.tasks.tagging import (
        scores as scores,
    )
    from rnn_cookbook.tasks.tagging import (
        vectors as vectors,
    )

__all__ = [
    "baselines",
    "data",
    "encode",
    "export",
    "model",
    "plots",
    "predict",
    "sample",
    "schemes",
    "scores",
    "vectors",
]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
