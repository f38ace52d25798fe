"""One configuration in its own process."""

from pathlib import Path

import pytest

from rnn_cookbook.recipe import load_recipe
from rnn_cookbook.tune.trial import score_names, train_apart


def test_a_folder_of_another_configuration_gives_no_result_of_it(toy):
    recipe = load_recipe(toy)
    config = recipe.Config
    one = train_apart(recipe, config(x=3), Path("place"))
    assert one["scores"]["worth"] == pytest.approx(0.009)
    other = train_apart(recipe, config(x=5), Path("place"))
    assert other["scores"]["worth"] == pytest.approx(-2 + 0.009)
    assert train_apart(recipe, config(x=5), Path("place")) == other
    assert len([*Path("started").iterdir()]) == 2, "the same one is taken as it is"
    Path("offline").touch()
    assert "no network" in train_apart(recipe, config(x=6), Path("place"))["error"]
    Path("offline").unlink()
    assert "scores" in train_apart(recipe, config(x=6), Path("place")), "what failed is tried again"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["anomaly_detection", "forecasting", "ner"])
def test_a_recipe_names_its_scores_before_it_is_trained(name):
    recipe = load_recipe(name)
    sample = recipe.settings["sample"]
    scores = set(score_names(recipe, sample))
    assert {recipe.metric(sample).name, "val_loss"} <= scores
