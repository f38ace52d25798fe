"""The objective of a search, and its direction."""

from __future__ import annotations

from typing import Any

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log
from rnn_cookbook.metrics import VAL_LOSS, Metric
from rnn_cookbook.recipe import Recipe
from rnn_cookbook.tune.trial import score_names

__all__ = ["check_objective", "objective_metric", "own_metric"]

_DIRECTIONS = ("min", "max")


def _directed(name: str, direction: str) -> Metric:
    if direction not in _DIRECTIONS:
        raise InputError(f"direction must be min or max; received {direction!r}", field="direction")
    return Metric(name, higher_is_better=direction == "max")


def objective_metric(recipe: Recipe, config: Any, *, objective: str, direction: str) -> Metric:
    """Finds the score that a search optimises, and its direction.

    Args:
        recipe: recipe to tune.
        config: configuration, on which the recipe's metric may depend.
        objective: name of a score; the recipe's metric when empty.
        direction: "min" or "max"; as declared when empty.

    Raises:
        InputError: the recipe declares no direction for the score, and none is given.
    """
    name = objective or recipe.metric(config).name
    if direction:
        return _directed(name, direction)
    metric = VAL_LOSS if name == VAL_LOSS.name else recipe.metric_called(name, config)
    if metric is None:
        declared = [recipe.metric(config), *recipe.metrics, VAL_LOSS]
        names = dict.fromkeys(each.name for each in declared)
        raise InputError(
            f"direction of {name!r} must be given, min or max; recipe {recipe.name!r} declares a "
            f"direction for {', '.join(names)}",
            field="direction",
        )
    return metric


def own_metric(objective: Metric | str, direction: str) -> Metric:
    """Finds the score that a search for a model without a recipe optimises, and its direction.

    Args:
        objective: metric of a training history, or its name.
        direction: "min" or "max"; known for a Metric, "loss" and "val_loss" when empty.

    Raises:
        InputError: a name whose direction is unknown.
    """
    name = objective.name if isinstance(objective, Metric) else objective
    if direction:
        return _directed(name, direction)
    if isinstance(objective, Metric):
        return objective
    if name in ("loss", VAL_LOSS.name):
        return Metric(name, higher_is_better=False)
    raise InputError(
        f"direction of {name!r} must be given, min or max; only loss and val_loss are known. A "
        "Metric as the objective has its direction",
        field="direction",
    )


def check_objective(recipe: Recipe, config: Any, objective: str) -> None:
    """Asks a network that is not trained whether there is such a score: a trial would cost more.

    Args:
        recipe: recipe to tune.
        config: configuration that the search starts from.
        objective: name of a score.

    Raises:
        InputError: no such score, or what the recipe raised.
    """
    log.info("finding the names of the scores with a network that is not trained")
    known = score_names(recipe, config)
    if known and objective not in known:
        raise InputError(
            f"no objective {objective!r}; accepted are {', '.join(known)}", field="objective"
        )
