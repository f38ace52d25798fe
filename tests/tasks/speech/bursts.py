"""What the tests of transcribers share: an untrained network, and bursts of tones."""

from __future__ import annotations

import keras
import numpy as np

from rnn_cookbook.tasks.speech.alphabet import Alphabet
from rnn_cookbook.tasks.speech.model import sound_recognizer

RATE = 4000
ALPHABET = Alphabet(" abc")


def network(**options) -> keras.Model:
    """Untrained, but sure of itself, and not of the blank alone."""
    keras.utils.set_random_seed(3)
    shape = {"bands": 8, "filters": 8, "kernel_size": 3, "units": 6, "depth": 1}
    model = sound_recognizer(rate=RATE, symbols=len(ALPHABET), **{**shape, **options})
    for weight in model.trainable_variables:
        if "logits" in weight.path:
            weight.assign(weight * 6)
    return model


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    """Bursts of tones, and silence between them."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = 200 * 2 ** rng.uniform(0, 3, 1000)[(time * 8).astype(int)]
    bursts = np.sin(2 * np.pi * pitch * time) * (np.sin(2 * np.pi * time / 0.7) > -0.3)
    return (0.1 * bursts + 0.001 * rng.normal(size=len(time))).astype(np.float32)


SOUNDS = [sound(seconds, seed=i) for i, seconds in enumerate((1.3, 0.4, 2.0, 0.01, 0.9))]
