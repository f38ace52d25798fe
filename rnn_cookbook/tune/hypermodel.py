"""A recipe as keras-tuner's HyperModel."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras

from rnn_cookbook.errors import InputError
from rnn_cookbook.recipe import Recipe
from rnn_cookbook.run.fit import seed_everything
from rnn_cookbook.run.folder import Run
from rnn_cookbook.tune.oracle import keras_tuner

__all__ = ["RecipeHyperModel"]


class RecipeHyperModel(keras_tuner.HyperModel):
    """A recipe for existing tuner code: `keras_tuner.RandomSearch(RecipeHyperModel(recipe, config),
    objective=…)`.

    The configuration decides what the data are, so `search` takes no arguments. `fit` trains on
    them and returns the scores of the validation split, among which keras-tuner looks the objective
    up.

    Args:
        recipe: recipe with a search space.
        config: configuration that the search starts from.
        folder: folder of the runs.

    Raises:
        InputError: the recipe has no search space.
    """

    def __init__(self, recipe: Recipe, config: Any, *, folder: str | Path = "tuning"):
        super().__init__(name=recipe.name)
        if recipe.search_space is None:
            raise InputError(f"recipe {recipe.name!r} has no search_space(hp, config)")
        self.recipe = recipe
        self.search_space = recipe.search_space
        self.config = config
        self.folder = Path(folder)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Loads the data of a trial's configuration and builds its model."""
        self.chosen = self.search_space(hp, self.config)
        seed_everything(self.chosen.seed)
        self.data = self.recipe.module.load_data(self.chosen)
        return self.recipe.module.build_model(self.chosen, self.data)

    def fit(self, hp: Any, model: keras.Model, *_: Any, **__: Any) -> dict[str, float]:
        """Trains the model that `build` has made last; returns its scores on validation."""
        place = self.folder / f"run-{time.time_ns()}"
        run = Run(recipe=self.recipe.name, config=self.chosen, output=place, quiet=True)
        module = self.recipe.module
        module.train(self.chosen, model, self.data, run)
        return module.evaluate(self.chosen, model, self.data, split="validation")
