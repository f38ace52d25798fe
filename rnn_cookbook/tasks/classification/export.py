"""Raw texts to classes."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from scipy.special import softmax

from rnn_cookbook.encode.batches import Batches
from rnn_cookbook.encode.text import TextEncoder
from rnn_cookbook.export.served import Served, close_at_the_top
from rnn_cookbook.run.fit import predict

_BATCH = 32  # texts that the library reads together
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
    """Texts to their classes: string[batch] text -> "label" string[batch], "probabilities"
    float32[batch, classes].

    Args:
        model: a `models.text_classifier`.
        encoder: that it was trained with.
        classes: in the order of the model's outputs.
        max_tokens, keep: what is read of a long text, see `TextEncoder.encode`.
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
        keep: str,
    ):
        super().__init__()
        self.network, self.encoder, self.classes, self.cut = (
            model,
            encoder,
            list(classes),
            {"max_tokens": max_tokens, "keep": keep},
        )
        self.reader = encoder.reader(**self.cut)
        self.about = f"Raw text goes in: `text`, strings. Out come `label` and `probabilities`, of: {', '.join(classes)}."

    def __call__(self, text):
        probabilities = tf.nn.softmax(self.network(self.reader(text), training=False))
        return {
            "label": tf.gather(tf.constant(self.classes), tf.argmax(probabilities, axis=-1)),
            "probabilities": probabilities,
        }

    def examples(self, size, rng):
        """Words that it knows, in either case, others, signs and letters of other scripts; of any
        length."""
        words = [*self.encoder.vocabulary[:2000], *_STRANGE]
        texts = [
            "x " + " ".join(rng.choice(words, rng.integers(0, 2 * (self.cut["max_tokens"] or 100))))
            for _ in range(size)
        ]
        return {
            "text": np.array(
                [text.upper() if rng.random() < 0.15 else text for text in texts], dtype=object
            )
        }

    def expected(self, inputs):
        tokens = self.encoder.encode(inputs["text"], **self.cut)
        probabilities = softmax(predict(self.network, Batches(tokens, batch_size=_BATCH)), axis=1)
        labels = np.array(
            [self.classes[i].encode() for i in probabilities.argmax(axis=-1)], dtype=object
        )
        return {"label": labels, "probabilities": probabilities}

    def ties(self, inputs, wanted):
        return close_at_the_top(wanted["probabilities"])
