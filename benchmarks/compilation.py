"""Which way to run a recurrent layer trains fastest, shape by shape: plain, compiled by XLA,
unrolled, in length buckets.

    python benchmarks/compilation.py [--cell lstm] [--rounds 5] [--batches 12] [--quick]

Every way makes training steps (forward and backward, no optimizer) on the same batches of
sequences, whose lengths are ragged like those of reviews and whose batches hold sequences of about
the same length, as `encode.batches.Batches` makes them. Fixed padding takes all to the longest
length; buckets take a batch to its own longest sequence. XLA compiles anew for every length: in
buckets it gets four lengths, or the multiples of the segment. Unrolling needs a fixed length, and
is tried up to 100 steps.

The ways take turns, `--rounds` times, in one process; a round is one pass over the batches. The
table gives the median of the rounds (least to most), the median of the rounds' ratios to plain
fixed padding, and what the first pass took beyond a later one: tracing and compiling. A second
table names the fastest two ways of every shape.
"""

import argparse
import functools
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
from recurrent_layers import GATES, SHAPES, hardware, load, show

from rnn_cookbook.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import tensorflow as tf

from rnn_cookbook.encode.batches import Batches
from rnn_cookbook.nn.recurrent import rnn_stack
from rnn_cookbook.tasks.classification.model import text_classifier

VOCABULARY, EMBEDDING, UNITS, SEGMENT = (
    30_000,
    128,
    64,
    50,
)  # of the sentiment recipe, with batches of 64 and 400 words at most
UNROLLED = 100  # steps at most
PLAIN = "fixed padding"


def ragged_lengths(count: int, longest: int) -> np.ndarray:
    """Like the lengths of reviews cut to 400 words: log-normal, a fifth of them as long as can
    be."""
    return np.clip(
        np.random.default_rng(0).lognormal(5.4, 0.65, count) * longest / 400, 1, longest
    ).astype(int)


def plan(lengths: np.ndarray, batch: int) -> list[np.ndarray]:
    """The lengths of every batch."""
    sequences = [np.ones(length, np.int32) for length in lengths]
    return [
        lengths[indices] for indices in Batches(sequences, batch_size=batch, shuffle=True).plan()
    ]


def training_step(model: keras.Model, *, xla: bool, unrolled: bool) -> Callable:
    """One step from inputs to gradients; the loss is the mean of all outputs."""
    for layer in model.layers:
        if unrolled and isinstance(layer, keras.layers.RNN):
            layer.unroll = True
    weights = [weight.value for weight in model.trainable_variables]

    @tf.function(
        jit_compile=xla, reduce_retracing=not xla
    )  # as Keras has it; XLA needs every length for itself
    def step(inputs):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(inputs, training=True))
        gradients = tape.gradient(loss, weights)
        return loss, gradients

    return lambda inputs: step(inputs)[0].numpy()


def layer_case(
    *, cell: str, batch: int, longest: int, units: int, batches: int
) -> dict[str, Callable]:
    planned = plan(ragged_lengths(batch * batches, longest), batch)
    sequence = tf.random.normal((batch, longest, units))

    def one_way(round_up: int, *, xla: bool = False, unrolled: bool = False):
        keras.utils.set_random_seed(0)
        time = longest if round_up == longest else None
        inputs = [keras.Input((time, units)), keras.Input((time,), dtype="bool")]
        model = keras.Model(inputs, rnn_stack(inputs[0], mask=inputs[1], cell=cell, units=units))
        widths = [-(-lengths.max() // round_up) * round_up for lengths in planned]
        feed = [
            [sequence[:, :width], tf.sequence_mask(lengths, width)]
            for lengths, width in zip(planned, widths, strict=True)
        ]
        return one_pass(training_step(model, xla=xla, unrolled=unrolled), feed)

    return ways(one_way, fixed=longest, bucket=1, few=-(-longest // 4), steps=longest)


def text_case(*, cell: str, batch: int, longest: int, batches: int) -> dict[str, Callable]:
    """The sentiment recipe's default model."""
    planned = plan(ragged_lengths(batch * batches, longest), batch)
    words = np.random.default_rng(0).zipf(1.3, (batch, longest)).clip(2, VOCABULARY - 1)

    def one_way(round_up: int, *, xla: bool = False, unrolled: bool = False):
        keras.utils.set_random_seed(0)
        model = text_classifier(
            vocabulary_size=VOCABULARY,
            classes=2,
            embedding_size=EMBEDDING,
            cell=cell,
            units=UNITS,
            bidirectional=False,
            segment_length=SEGMENT,
            pooling=("max", "mean"),
            word_dropout=0.2,
            embedding_dropout=0.2,
            dropout=0.5,
        )
        widths = [-(-lengths.max() // round_up) * round_up for lengths in planned]
        feed = [
            tf.constant(
                np.where(np.arange(width) < lengths[:, None], words[:, :width], 0), tf.int32
            )
            for lengths, width in zip(planned, widths, strict=True)
        ]
        return one_pass(training_step(model, xla=xla, unrolled=unrolled), feed)

    return ways(one_way, fixed=longest, bucket=SEGMENT, few=SEGMENT, steps=SEGMENT)


def ways(
    one_way: Callable, *, fixed: int, bucket: int, few: int, steps: int
) -> dict[str, Callable]:
    """Every way by its name; `steps` are those of the recurrent layer."""
    found = {PLAIN: one_way(fixed), "fixed padding, XLA": one_way(fixed, xla=True)}
    if steps <= UNROLLED:
        found["fixed padding, unrolled"] = one_way(fixed, unrolled=True)
    found |= {"buckets": one_way(bucket), "buckets, XLA": one_way(few, xla=True)}
    if steps == bucket:  # segments: the recurrent layer takes as many steps in every bucket
        found["buckets, unrolled"] = one_way(bucket, unrolled=True)
    return found


def one_pass(step: Callable, feed: list) -> Callable:
    """Milliseconds a batch of one pass over the feed."""

    def run() -> float:
        started = time.perf_counter()
        for inputs in feed:
            step(inputs)
        return 1000 * (time.perf_counter() - started) / len(feed)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cell", choices=list(GATES), default="lstm")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=12, help="in a pass")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one round of two batches at small shapes, to see that it runs",
    )
    options = parser.parse_args()
    shapes, text, rounds, batches = SHAPES, (64, 400), options.rounds, options.batches
    if options.quick:
        shapes, text, rounds, batches = [(4, 8, 16)], (4, 100), 1, 2
    cases = {}
    for batch, longest, units in shapes:
        cases[f"{options.cell.upper()} at {batch} × {longest} × {units}"] = functools.partial(
            layer_case,
            cell=options.cell,
            batch=batch,
            longest=longest,
            units=units,
            batches=batches,
        )
    cases[f"sentiment at {text[0]} × {text[1]}, segments of {SEGMENT}"] = lambda: text_case(
        cell=options.cell, batch=text[0], longest=text[1], batches=batches
    )
    load_before, rows, conclusions = load(), [], []
    for name, case in cases.items():
        contestants, first = case(), {}
        for way, run in contestants.items():
            print(f"{name}: {way}, first pass", file=sys.stderr, flush=True)
            first[way] = run() * batches / 1000
        times: dict[str, list[float]] = {way: [] for way in contestants}
        for number in range(rounds):
            print(f"{name}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            for way, run in contestants.items():
                times[way].append(run())
        ratios = {
            way: statistics.median(a / b for a, b in zip(found, times[PLAIN], strict=True))
            for way, found in times.items()
        }
        for way, found in times.items():
            compiling = max(first[way] - min(found) * batches / 1000, 0)
            rows.append([name, way, show(found), f"{ratios[way]:.2f}", f"{compiling:.1f}"])
        conclusions.append(
            [name, *(f"{way}: {ratios[way]:.2f}" for way in sorted(ratios, key=ratios.get)[:2])]
        )
    print(
        "| shape | way | ms a batch | × plain fixed padding | compiling, s |\n|---|---|--:|--:|--:|"
    )
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    print("\n| shape | fastest: × plain fixed padding | next |\n|---|---|---|")
    print("\n".join(f"| {' | '.join(row)} |" for row in conclusions))
    print(f"\n{hardware(load_before)}")


if __name__ == "__main__":
    main()
