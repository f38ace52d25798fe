"""Which way an objective is better."""

import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.metrics import VAL_LOSS, Metric
from rnn_cookbook.recipe import load_recipe, recipe_files
from rnn_cookbook.tune.objective import objective_metric, own_metric


def test_the_recipe_says_which_way_is_better(toy):
    recipe = load_recipe(toy)
    config = recipe.settings["default"]
    found = {
        name: objective_metric(recipe, config, objective=name, direction="")
        for name in ("", "worth", "cost", "val_loss")
    }
    assert found[""] == found["worth"] == Metric("worth", higher_is_better=True)
    assert found["cost"] == Metric("cost", higher_is_better=False)
    assert found["val_loss"] == VAL_LOSS


def test_what_the_recipe_does_not_declare_needs_a_direction(toy):
    recipe = load_recipe(toy)
    config = recipe.settings["default"]
    with pytest.raises(InputError, match="declares a direction for worth, cost, val_loss") as error:
        objective_metric(recipe, config, objective="other", direction="")
    assert error.value.fields == ("direction",)
    for direction, higher in (("max", True), ("min", False)):
        found = objective_metric(recipe, config, objective="other", direction=direction)
        assert found == Metric("other", higher_is_better=higher)
    with pytest.raises(InputError, match="direction must be min or max; received 'up'"):
        objective_metric(recipe, config, objective="other", direction="up")


@pytest.mark.parametrize("name", sorted(recipe_files()))
def test_every_recipe_declares_its_own_metric(name):
    recipe = load_recipe(name)
    for config in recipe.settings.values():
        metric = recipe.metric(config)
        assert objective_metric(recipe, config, objective=metric.name, direction="") == metric


def test_a_model_without_a_recipe():
    accuracy = Metric("val_accuracy", higher_is_better=True)
    assert own_metric("val_loss", "") == VAL_LOSS
    assert own_metric("loss", "") == Metric("loss", higher_is_better=False)
    assert own_metric(accuracy, "") == own_metric("val_accuracy", "max") == accuracy
    with pytest.raises(InputError, match="direction of 'val_accuracy' must be given, min or max"):
        own_metric("val_accuracy", "")
