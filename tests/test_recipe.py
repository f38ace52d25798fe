"""The contract: what a file lacks is said when it is loaded; what it leaves out has a default."""

import pytest
from rnn_cookbook.recipes import sentiment
from toys import toy_recipe

from rnn_cookbook.errors import InputError
from rnn_cookbook.metrics import Metric
from rnn_cookbook.recipe import as_recipe, load_recipe, read_config


def load(tmp_path, *changes):
    (tmp_path / "toy.py").write_text(toy_recipe(*changes))
    return load_recipe(str(tmp_path / "toy.py"))


def test_what_a_recipe_leaves_out_has_a_default(tmp_path):
    recipe = load(tmp_path)
    assert recipe.name == "toy"
    assert recipe.metric(recipe.Config()) == Metric("accuracy", higher_is_better=True)
    assert recipe.metrics == (recipe.module.METRIC,)
    assert (recipe.search_space, recipe.prediction, recipe.served(None)) == (None, None, None)
    assert (recipe.reads, recipe.example) == ("lines", '"…"')
    assert recipe.longest_input(recipe.Config()) == 100


def test_optional_parts_are_taken(tmp_path):
    recipe = load(
        tmp_path,
        'OTHER_METRICS = (Metric("loss", higher_is_better=False),)',
        'def metric(config):\n    return OTHER_METRICS[0] if config.data == "toy" else METRIC',
        'READS = "tables"',
        'EXAMPLE = "song.mid"',
        "def longest_input(config):\n    return 7",
        "def served(loaded):\n    return loaded",
        "def search_space(hp, config):\n    return config",
    )
    config = recipe.Config()
    assert recipe.metric(config).name == "loss"
    assert recipe.metric_called("loss", config) == Metric("loss", higher_is_better=False)
    assert recipe.metric_called("speed", config) is None
    assert (recipe.reads, recipe.example, recipe.longest_input(config)) == ("tables", "song.mid", 7)
    assert recipe.served("bundle") == "bundle"
    assert recipe.search_space is not None


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ("del main", r"main\(config, run\), or"),
        ("def evaluate(config, data):\n    pass", r"evaluate\(config, model, data\)"),
        ("def predict(loaded, inputs, other):\n    pass", r"predict\(loaded, inputs\)"),
        ("METRIC = 'accuracy'", "METRIC"),
        ("SETTINGS = {}", "SETTINGS"),
        ("class Config:\n    pass", "Config"),
        ("del train, METRIC", r"METRIC, train\(config, model, data, run\)"),
    ],
)
def test_a_file_that_breaks_the_contract_is_refused_with_what_it_lacks(tmp_path, change, missing):
    with pytest.raises(InputError, match=rf"toy\.py is no recipe: it lacks .*{missing}"):
        load(tmp_path, change)


def test_an_imported_module_is_a_recipe_too():
    recipe = as_recipe(sentiment)
    assert recipe.name == "sentiment"
    assert load_recipe(recipe.given).name == "sentiment"


def test_settings_of_another_version_are_refused_and_name_the_setting(tmp_path):
    with pytest.raises(InputError, match=r"is not the recipe that wrote these settings: .*colour"):
        read_config(load(tmp_path), {"colour": "red"})
