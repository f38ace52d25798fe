"""A trained recogniser from samples to texts, in TensorFlow alone."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.export.served import Served, close_at_the_top
from rnn_cookbook.nn.ctc import ctc_greedy
from rnn_cookbook.tasks.speech.alphabet import Alphabet
from rnn_cookbook.tasks.speech.predict import Transcriber

__all__ = ["ServedRecognizer"]

_SECONDS = 2.0  # duration of the longest example


class ServedRecognizer(Served):
    """A recogniser of raw samples on the best path, without a beam and n-grams.

    (float32[batch, samples] between -1 and 1, int32[batch] lengths) -> "text" string[batch],
    "score" float32[batch], the log-probability of the path in nats

    Args:
        model: trained model of `sound_recognizer`.
        alphabet: alphabet of the model.
    """

    signature = (
        tf.TensorSpec([None, None], tf.float32, name="samples"),
        tf.TensorSpec([None], tf.int32, name="lengths"),
    )
    outputs = ("score", "text")

    def __init__(self, model: keras.Model, alphabet: Alphabet):
        super().__init__()
        self.network = model
        self.symbols = ["", *alphabet.characters]
        self.transcriber = Transcriber(model, alphabet)
        self.about = (
            f"Audio goes in: `samples` between -1 and 1, {self.transcriber.rate} per second, one "
            "recording per row with 0 after its end, and `lengths`, the number of samples of each. "
            "Out come `text` and `score`, the log-probability of the best path in nats. The rest "
            "of `rnn-cookbook predict` (beam, n-grams, cutting of long audio, times of words) is "
            "not in here."
        )

    def __call__(self, *inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        samples, lengths = inputs
        labels, score = ctc_greedy(self.network([samples, lengths], training=False))
        text = tf.strings.reduce_join(tf.gather(tf.constant(self.symbols), labels), axis=-1)
        text = tf.strings.strip(tf.strings.regex_replace(text, " +", " "))
        return {"text": tf.where(lengths > 0, text, ""), "score": tf.where(lengths > 0, score, 0.0)}

    def examples(self, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draws noise with tones that swell and fade."""
        rate = self.transcriber.rate
        lengths = rng.integers(rate // 10, round(_SECONDS * rate), size).astype(np.int32)
        time = np.arange(lengths.max()) / rate
        tones = np.sin(2 * np.pi * rng.uniform(100, rate / 3, (size, 1)) * time)
        swelling = np.sin(2 * np.pi * rng.uniform(0.5, 4, (size, 1)) * time)
        samples = 0.3 * tones * swelling + rng.normal(scale=0.02, size=tones.shape)
        inside = np.arange(len(time)) < lengths[:, None]
        return {"samples": np.where(inside, samples, 0).astype(np.float32), "lengths": lengths}

    def expected(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns what `Transcriber` answers."""
        rows = zip(inputs["samples"], inputs["lengths"], strict=True)
        transcripts = self.transcriber.transcribe([samples[:length] for samples, length in rows])
        texts = [transcript.text.encode() for transcript in transcripts]
        scores = [transcript.score for transcript in transcripts]
        return {"text": np.array(texts, dtype=object), "score": np.array(scores, np.float32)}

    def ties(self, inputs: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> np.ndarray:
        """Returns where rounding decides between two symbols: bool[batch]."""
        logits = self.network([inputs["samples"], inputs["lengths"]], training=False)
        close = close_at_the_top(tf.nn.log_softmax(logits).numpy())
        return np.any(close, axis=1)
