"""Step functions whose log-probabilities are known in float64, for searches and sampling."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

START, END, SYMBOLS = 1, 2, 5


class Recurrent:
    """A recurrent step function with random weights, and its log-probabilities in float64; padding
    (0) is its favourite symbol."""

    def __init__(self, symbols: int = SYMBOLS, units: int = 4, sharpness: float = 2.0):
        self.shapes, self.sharpness = (
            {"input": (symbols, units), "kernel": (units, units), "output": (units, symbols)},
            sharpness,
        )
        self.weights = {name: tf.Variable(tf.zeros(shape)) for name, shape in self.shapes.items()}
        self.bias = np.array([3.0, *[0.0] * (symbols - 1)], np.float32)
        self.taken = tf.Variable(0)
        self.reset(0)

    def reset(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        for name, shape in self.shapes.items():
            self.weights[name].assign(
                rng.normal(size=shape).astype(np.float32)
                * (self.sharpness if name == "output" else 1)
            )

    def step(self, tokens, state, constants):
        self.taken.assign_add(1)
        h = tf.tanh(tf.gather(self.weights["input"], tokens) + state["h"] @ self.weights["kernel"])
        return h @ self.weights["output"] + self.bias, {"h": h}

    def log_probabilities(self, h):
        """The function from the symbols so far to the log-probabilities of the next, for one
        example that starts with state `h`."""
        w = {name: np.array(weight, np.float64) for name, weight in self.weights.items()}

        @functools.cache
        def state(prefix):
            before = state(prefix[:-1]) if prefix else np.float64(h)
            return np.tanh(w["input"][prefix[-1] if prefix else START] + before @ w["kernel"])

        return functools.cache(lambda prefix: log_softmax(state(prefix) @ w["output"] + self.bias))


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def inputs(batch: int, units: int = 4, seed: int = 0):
    h = np.random.default_rng(seed).normal(size=(batch, units)).astype(np.float32)
    return np.full(batch, START, np.int32), {"h": h}


TIME = 9


TABLE = (
    np.random.default_rng(5).normal(size=(TIME + 1, TIME + 1, SYMBOLS, SYMBOLS)).astype(np.float32)
)


def whole_history(tokens, state, constants):
    """Logits that depend on every symbol and its place; the state is nested, with whole numbers in
    it."""
    (history, (place,)), extra = state["read"], state["extra"]
    history = tf.where(tf.range(TIME + 1) == place[:, None], tokens[:, None], history)
    rows = tf.stack(tf.broadcast_dynamic_shape([1, 1], tf.shape(history)))[0]
    index = tf.stack(
        [
            tf.repeat(place[:, None], TIME + 1, 1),
            tf.repeat(tf.range(TIME + 1)[None], rows, 0),
            history,
        ],
        axis=2,
    )
    seen = tf.cast(tf.range(TIME + 1) <= place[:, None], tf.float32)[..., None]
    logits = tf.reduce_sum(tf.gather_nd(TABLE, index) * seen, axis=1)
    return logits, {"read": [history, (place + 1,)], "extra": extra}


def history_state(batch):
    return {
        "read": [np.zeros((batch, TIME + 1), np.int32), (np.zeros(batch, np.int32),)],
        "extra": np.ones((batch, 2, 3), np.float16),
    }


def rescored(sequence):
    total, history = 0.0, [START]
    for symbol in sequence:
        place = len(history) - 1
        total += log_softmax(
            sum(np.float64(TABLE[place, t, past]) for t, past in enumerate(history))
        )[symbol]
        history.append(symbol)
    return total


def attend(tokens, state, constants):
    """Attention over constants that are not repeated: queries of [batch, beam, units]."""
    memory, mask = constants["memory"], constants["mask"]
    queries = tf.reshape(state, [tf.shape(memory)[0], -1, 4])
    scores = tf.where(mask[:, None], tf.matmul(queries, memory, transpose_b=True), -1e9)
    context = tf.reshape(tf.matmul(tf.nn.softmax(scores), memory), tf.shape(state))
    state = tf.tanh(context + tf.gather(EMBEDDING, tokens) + state)
    return 3 * tf.matmul(state, EMBEDDING, transpose_b=True), state


EMBEDDING = np.random.default_rng(4).normal(size=(SYMBOLS, 4)).astype(np.float32)


def sources(batch: int, time: int):
    rng = np.random.default_rng(7)
    mask = np.arange(time) < rng.integers(1, time + 1, size=batch)[:, None]
    memory = {
        "memory": rng.normal(size=(batch, time, 4)).astype(np.float32),
        "mask": mask,
        "nothing": None,
    }
    return np.full(batch, START), rng.normal(size=(batch, 4)).astype(np.float32), memory


def row_of(nest, row):
    return tf.nest.map_structure(lambda x: None if x is None else x[row : row + 1], nest)


def assert_row_equal(found, row, alone):
    for field in ("scores", "lengths", "log_probabilities", "finished"):
        np.testing.assert_allclose(getattr(alone, field)[0], getattr(found, field)[row], rtol=1e-5)
    time = alone.tokens.shape[2]
    np.testing.assert_array_equal(alone.tokens[0], found.tokens[row, :, :time])
    assert not found.tokens.numpy()[row, :, time:].any()


def memoryless(logits):
    return lambda tokens, state, constants: (
        tf.repeat(tf.constant(logits)[None], tf.shape(tokens)[0], axis=0),
        state,
    )


LOGITS = np.array([2.0, 0.3, -1.0, 1.2, 0.6, -0.4, -3.0], np.float32)
