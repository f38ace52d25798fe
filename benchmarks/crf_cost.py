"""What a CRF costs: the training step of a bidirectional LSTM under a softmax for each step, and
under a CRF.

    python benchmarks/crf_cost.py [--rounds 15] [--steps 3]

Inputs of 128, a bidirectional LSTM of 128 units a direction, scores for the tags, Adam. The two
models, and the CRF's loss alone with its gradient, take turns, `--rounds` times, for `--steps`
steps each, in one process; a figure is the median over the rounds, so that what else the machine
does hits all of them. The share is that of the difference in the step under a softmax; the last
column is the share that the loss alone would have, the softmax's own cost left in. Batch and time
are unknown to the graphs, as in training.
"""

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from rnn_cookbook.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import tensorflow as tf

from rnn_cookbook.nn.crf import CRF, crf_log_likelihood
from rnn_cookbook.run.folder import environment

FEATURES, UNITS = 128, 128
SHAPES = (
    (32, 50, 9),
    (64, 100, 17),
    (32, 50, 45),
)  # batch, time, tags: BIO of 4 types, BIOES of 4, the Penn Treebank's parts of speech


def examples(batch: int, steps: int, tags: int) -> tuple:
    """Sequences of half to all the steps."""
    rng = np.random.default_rng(0)
    mask = (
        np.arange(steps) < np.append(rng.integers(steps // 2, steps + 1, batch - 1), steps)[:, None]
    )
    labels = np.where(mask, rng.integers(0, tags, mask.shape), -1).astype(np.int32)
    return rng.normal(size=(*mask.shape, FEATURES)).astype(np.float32), mask, labels


def training_step(x, mask, labels, *, tags: int, crf: bool) -> Callable:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, FEATURES)), keras.Input((None,), dtype="bool")
    states = keras.layers.Bidirectional(keras.layers.LSTM(UNITS, return_sequences=True))(
        inputs[0], mask=inputs[1]
    )
    scores = keras.layers.Dense(tags)(states)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    if crf:
        layer = CRF(tags)
        scores, loss = layer((scores, inputs[1])), layer.loss
    model = keras.Model(inputs, scores)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, jit_compile=False)
    model.make_train_function()
    unknown = (
        (tf.TensorSpec([None, None, FEATURES]), tf.TensorSpec([None, None], tf.bool)),
        tf.TensorSpec([None, None], tf.int32),
    )
    batches = iter(
        tf.data.Dataset.from_generator(
            lambda: itertools.repeat(((x, mask), labels)), output_signature=unknown
        ).prefetch(2)
    )
    return lambda: float(model.train_function(batches)["loss"])


def loss_step(mask, labels, *, tags: int) -> Callable:
    """The CRF's loss and its gradient, nothing else."""
    rng = np.random.default_rng(1)
    inputs = [rng.normal(size=(*mask.shape, tags)), labels, mask, rng.normal(size=(tags, tags))]
    inputs = [
        tf.constant(value, tf.float32 if value.dtype == np.float64 else value.dtype)
        for value in inputs
    ]
    unknown = [
        tf.TensorSpec([None, None, tags]),
        tf.TensorSpec([None, None], tf.int32),
        tf.TensorSpec([None, None], tf.bool),
    ]

    @tf.function(input_signature=[*unknown, tf.TensorSpec([tags, tags])])
    def step(scores, labels, mask, transitions):
        with tf.GradientTape() as tape:
            tape.watch([scores, transitions])
            loss = -tf.reduce_mean(crf_log_likelihood(scores, labels, mask, transitions))
        return loss, tape.gradient(loss, [scores, transitions])

    return lambda: float(step(*inputs)[0])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=3, help="a model and round")
    options = parser.parse_args()
    table = []
    for batch, steps, tags in SHAPES:
        x, mask, labels = examples(batch, steps, tags)
        turns = {
            "softmax": training_step(x, mask, labels, tags=tags, crf=False),
            "crf": training_step(x, mask, labels, tags=tags, crf=True),
            "loss": loss_step(mask, labels, tags=tags),
        }
        seconds: dict[str, list[float]] = {name: [] for name in turns}
        for step in turns.values():  # compiled and warm before anything is measured
            for _ in range(3):
                step()
        for _ in range(options.rounds):
            for name, step in turns.items():
                started = time.perf_counter()
                for _ in range(options.steps):
                    step()
                seconds[name].append((time.perf_counter() - started) / options.steps)
        print(f"{batch} x {steps}, {tags} tags: done", file=sys.stderr)
        table.append(
            {"batch": batch, "time": steps, "tags": tags}
            | {name: 1000 * statistics.median(s) for name, s in seconds.items()}
        )
    print(
        f"{'batch x time, tags':<22}{'softmax, ms':>12}{'CRF, ms':>10}{'share':>8}"
        f"{'loss alone, ms':>16}{'share':>8}"
    )
    for row in table:
        share, alone = row["crf"] / row["softmax"] - 1, row["loss"] / row["softmax"]
        name = f"{row['batch']} x {row['time']}, {row['tags']}"
        print(
            f"{name:<22}{row['softmax']:>12.1f}{row['crf']:>10.1f}"
            f"{share:>8.0%}{row['loss']:>16.1f}{alone:>8.0%}"
        )
    print(json.dumps({"milliseconds": table, "environment": environment()}))


if __name__ == "__main__":
    main()
