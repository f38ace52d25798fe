"""Sound to text."""

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.export.served import Served, close_at_the_top
from rnn_cookbook.nn.ctc import ctc_greedy
from rnn_cookbook.tasks.speech.alphabet import Alphabet
from rnn_cookbook.tasks.speech.predict import Transcriber

_SECONDS = 2.0  # the longest example


class ServedRecognizer(Served):
    """Sounds to texts on the best path, without a beam and n-grams: float32[batch, samples] between
    -1 and 1, int32[batch] lengths -> "text" string[batch], "score" float32[batch], the
    log-probability of the path in nats.

    Args:
        model: a `models.sound_recognizer`.
        alphabet: that it was trained with.
    """

    signature = (
        tf.TensorSpec([None, None], tf.float32, name="samples"),
        tf.TensorSpec([None], tf.int32, name="lengths"),
    )
    outputs = ("score", "text")

    def __init__(self, model: keras.Model, alphabet: Alphabet):
        super().__init__()
        self.network, self.symbols, self.transcriber = (
            model,
            ["", *alphabet.characters],
            Transcriber(model, alphabet),
        )
        self.about = (
            f"Sound goes in: `samples` between -1 and 1, {self.transcriber.rate} a second, one sound a row and 0 after its end, and "
            "`lengths`, how many samples each has. Out come `text` and `score`, the log-probability of the best path in nats. What "
            "`rnn-cookbook predict` does beyond that (a beam, n-grams, cutting what is long, the times of words) is not in here."
        )

    def __call__(self, samples, lengths):
        labels, score = ctc_greedy(self.network([samples, lengths], training=False))
        text = tf.strings.reduce_join(tf.gather(tf.constant(self.symbols), labels), axis=-1)
        text = tf.strings.strip(tf.strings.regex_replace(text, " +", " "))
        return {"text": tf.where(lengths > 0, text, ""), "score": tf.where(lengths > 0, score, 0.0)}

    def examples(self, size, rng):
        """Noise and tones, which come and go."""
        rate = self.transcriber.rate
        lengths = rng.integers(rate // 10, round(_SECONDS * rate), size).astype(np.int32)
        time = np.arange(lengths.max()) / rate
        tones = np.sin(2 * np.pi * rng.uniform(100, rate / 3, (size, 1)) * time) * np.sin(
            2 * np.pi * rng.uniform(0.5, 4, (size, 1)) * time
        )
        samples = 0.3 * tones + rng.normal(scale=0.02, size=tones.shape)
        return {
            "samples": np.where(np.arange(len(time)) < lengths[:, None], samples, 0).astype(
                np.float32
            ),
            "lengths": lengths,
        }

    def expected(self, inputs):
        sounds = [
            row[:length] for row, length in zip(inputs["samples"], inputs["lengths"], strict=True)
        ]
        found = self.transcriber.transcribe(sounds)
        texts = np.array([one.text.encode() for one in found], dtype=object)
        return {"text": texts, "score": np.array([one.score for one in found], np.float32)}

    def ties(self, inputs, wanted):
        logits = self.network([inputs["samples"], inputs["lengths"]], training=False)
        return close_at_the_top(tf.nn.log_softmax(logits).numpy()).any(axis=1)
