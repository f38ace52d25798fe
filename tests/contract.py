"""For the type checker alone: every recipe's module is a `RecipeModule`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recipes import (
        anomaly_detection,
        forecasting,
        ner,
        sentiment,
        speech_to_text,
        translation,
    )
    from rnn_cookbook.recipe import RecipeModule

    KEPT: tuple[RecipeModule, ...] = (
        anomaly_detection,
        forecasting,
        ner,
        sentiment,
        speech_to_text,
        translation,
    )
