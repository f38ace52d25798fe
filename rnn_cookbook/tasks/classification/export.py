"""A trained classifier from raw texts to classes, in TensorFlow alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.encode.text import TextEncoder
from rnn_cookbook.export.served import Served, close_at_the_top
from rnn_cookbook.tasks.classification.predict import class_probabilities

__all__ = ["ServedClassifier"]

_BATCH = 32  # texts that the library reads together
_KNOWN = 2000  # words of the vocabulary that trial texts are made of
_STRANGE = [
    "Qxzv",
    "não",
    "日本",
    "don’t",
    "!",
    "<br />",
    "...",
    "naïve-ish",
    "ÉTÉ",
    "🙂",
    "\u00a0",
]


class ServedClassifier(Served):
    """A text classifier that reads raw text.

    string[batch] text -> "label" string[batch], "probabilities" float32[batch, classes]

    Args:
        model: a `models.text_classifier`.
        encoder: encoder that the model was trained with.
        classes: names of the classes, in the order of the model's outputs.
        max_tokens: maximum length of a text in words; longer texts are cut.
        keep: end of a longer text that stays, see `TextEncoder.encode`.
    """

    signature = (tf.TensorSpec([None], tf.string, name="text"),)
    outputs = ("label", "probabilities")

    def __init__(
        self,
        model: keras.Model,
        encoder: TextEncoder,
        *,
        classes: Sequence[str],
        max_tokens: int | None,
        keep: Literal["head", "tail", "both"],
    ) -> None:
        super().__init__()
        self.network = model
        self.encoder = encoder
        self.classes = list(classes)
        self.max_tokens = max_tokens
        self.keep: Literal["head", "tail", "both"] = keep
        self.reader = encoder.reader(max_tokens=max_tokens, keep=keep)
        self.about = (
            "Raw text goes in: `text`, strings. Out come `label` and `probabilities`, of: "
            f"{', '.join(classes)}."
        )

    def __call__(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = tf.nn.softmax(self.network(self.reader(text), training=False))
        return {
            "label": tf.gather(tf.constant(self.classes), tf.argmax(probabilities, axis=-1)),
            "probabilities": probabilities,
        }

    def examples(self, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draws texts of any length: known words in either case, unknown words, signs, letters of
        other scripts."""
        words = [*self.encoder.vocabulary[:_KNOWN], *_STRANGE]
        longest = 2 * (self.max_tokens or 100)
        texts = ["x " + " ".join(rng.choice(words, rng.integers(0, longest))) for _ in range(size)]
        cased = [text.upper() if rng.random() < 0.15 else text for text in texts]
        return {"text": np.array(cased, dtype=object)}

    def expected(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns what the library answers, by the way that predictions take."""
        tokens = self.encoder.encode(inputs["text"], max_tokens=self.max_tokens, keep=self.keep)
        probabilities = class_probabilities(self.network, tokens, batch_size=_BATCH)
        labels = [self.classes[i].encode() for i in probabilities.argmax(axis=-1)]
        return {"label": np.array(labels, dtype=object), "probabilities": probabilities}

    def ties(self, inputs: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> np.ndarray:
        """Returns where a rounding decides between two classes, bool[batch]."""
        return close_at_the_top(wanted["probabilities"])
