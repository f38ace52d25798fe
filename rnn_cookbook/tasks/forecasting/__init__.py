"""Forecasting of time series: what comes next, with intervals."""

from typing import TYPE_CHECKING

from rnn_cookbook._lazy import lazy_submodules

if TYPE_CHECKING:  # loaded when first used
    from rnn_cookbook.tasks.forecasting import (
        baselines as baselines,
    )
    from rnn_cookbook.tasks.forecasting import (
        export as export,
    )
    from rnn_cookbook.tasks.forecasting import (
        model as model,
    )
    from rnn_cookbook.tasks.forecasting import (
        plots as plots,
    )
    from rnn_cookbook.tasks.forecasting import (
        predict as predict,
    )
    from rnn_cookbook.tasks.forecasting import (
        sample as sample,
    )
    from rnn_cookbook.tasks.forecasting import (
        scores as scores,
    )

__all__ = ["baselines", "export", "model", "plots", "predict", "sample", "scores"]
__getattr__, __dir__ = lazy_submodules(__name__, __all__)
