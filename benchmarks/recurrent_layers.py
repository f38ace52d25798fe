"""Speed of one recurrent layer: as the library builds it, Keras' own, PyTorch's, and the matrix
products alone.

    python benchmarks/recurrent_layers.py [--bidirectional] [--rounds 7] [--seconds 1] [--quick]

LSTM and GRU, forward and in a training step: forward, and backward from the sum of the outputs to
the weights and to the input, no optimizer. All that is measured at one shape takes turns,
`--rounds` times, for `--seconds` each, in one process, so that what else the machine does hits all
of it. A round's time is its fastest call, since neighbours only ever add time; the table gives the
median of the rounds (least to most), and ratios are medians of the rounds' own ratios.

Keras' own layer is handed the mask; the library turns padding out of the way
(`recurrent_layers.Bidirectional`), and its LSTM has a training step of its own (`lstm`). PyTorch's
layers take no mask. In the rows with one they read packed sequences, their own way to leave
padding out; whoever goes without compares with the row above. PyTorch's columns stay empty where
it is not installed. Its threads spin while they wait for each other: believe its times only if
nothing else runs, since one busy neighbour makes them many times longer.

The products are the floor: what the layer must multiply, one large product for the inputs of all
steps and a chain of small ones from state to state, in TensorFlow; a training step needs the chain
once more on the way back, and three large products: for the input's gradient and for those of both
kernels.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from rnn_cookbook.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import tensorflow as tf

from rnn_cookbook.nn.recurrent import rnn_stack
from rnn_cookbook.run.folder import environment

try:
    import torch
except ImportError:
    torch = None

SHAPES = [
    (64, 200, 128),
    (64, 100, 64),
    (32, 400, 64),
]  # batch, time, and features, which are as many as units
GATES = {"lstm": 4, "gru": 3}
FORWARD, STEP = "forward", "training step"


def take_turns(contestants: dict, *, rounds: int, seconds: float) -> dict[object, list[float]]:
    """Milliseconds of the fastest call in every round; the first calls compile and warm up, and do
    not count."""
    for call in contestants.values():
        call(), call()
    times: dict[object, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            call()  # the caches and threads are still another's
            calls, end = [], time.perf_counter() + seconds
            while not calls or time.perf_counter() < end:
                started = time.perf_counter()
                call()
                calls.append(1000 * (time.perf_counter() - started))
            times[name].append(min(calls))
    return times


def show(times: list[float] | None) -> str:
    return (
        f"{statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f})" if times else "–"
    )


def ratio(times: list[float], others: list[float] | None) -> str:
    return (
        f"{statistics.median(one / two for one, two in zip(times, others, strict=True)):.2f}"
        if others
        else "–"
    )


def load() -> str:
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def hardware(load_before: str) -> str:
    facts = environment()
    versions = (
        f"TensorFlow {facts['tensorflow']}, Keras {facts['keras']}, PyTorch "
        f"{torch.__version__ if torch else 'not installed'}"
    )
    device = facts["gpu"] or f"{facts['cores']} cores of {facts['cpu']}"
    return f"On {device}; {versions}; load average {load_before} at the start, {load()} at the end."


def some_lengths(batch: int, time: int) -> np.ndarray:
    """Lengths from half the time to all of it; the first sequence is as long as can be."""
    return np.r_[
        time, np.random.default_rng(0).integers(max(time // 2, 1), time + 1, size=batch - 1)
    ]


def keras_calls(
    *, cell: str, batch: int, time: int, units: int, bidirectional: bool, masked: bool, own: bool
) -> dict[str, Callable]:
    """Of Keras' own layer, or of the library's."""
    keras.utils.set_random_seed(0)
    sequence, mask = (
        keras.Input((None, units)),
        keras.Input((None,), dtype="bool") if masked else None,
    )
    if own:
        layer = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[cell](
            units, return_sequences=True
        )
        states = (keras.layers.Bidirectional(layer) if bidirectional else layer)(
            sequence, mask=mask
        )
    else:
        states = rnn_stack(sequence, mask=mask, cell=cell, units=units, bidirectional=bidirectional)
    model = keras.Model([sequence, mask] if masked else [sequence], states)
    inputs = [tf.random.normal((batch, time, units))]
    if masked:
        inputs.append(tf.sequence_mask(some_lengths(batch, time), time))
    weights = [weight.value for weight in model.trainable_variables]

    @tf.function
    def forward(inputs):
        return model(inputs, training=False)

    @tf.function
    def step(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs[0])
            total = tf.reduce_sum(model(inputs, training=True))
        return tape.gradient(total, [inputs[0], *weights])

    return {FORWARD: lambda: forward(inputs).numpy(), STEP: lambda: step(inputs)[0].numpy()}


def torch_calls(
    *, cell: str, batch: int, time: int, units: int, bidirectional: bool, masked: bool
) -> dict[str, Callable]:
    torch.manual_seed(0)
    layer = getattr(torch.nn, cell.upper())(
        units, units, batch_first=True, bidirectional=bidirectional
    )
    sequence = torch.randn(batch, time, units, requires_grad=True)
    lengths = torch.from_numpy(some_lengths(batch, time))

    def states():
        if not masked:
            return layer(sequence)[0]
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            sequence, lengths, batch_first=True, enforce_sorted=False
        )
        return torch.nn.utils.rnn.pad_packed_sequence(layer(packed)[0], batch_first=True)[0]

    def step():
        layer.zero_grad()
        sequence.grad = None
        states().sum().backward()

    return {FORWARD: torch.inference_mode()(states), STEP: step}


def product_calls(
    *, cell: str, batch: int, time: int, units: int, bidirectional: bool
) -> dict[str, Callable]:
    directions, gates = 1 + bidirectional, GATES[cell]
    inputs = tf.random.normal((time * batch, units))
    kernels = [tf.random.normal((units, gates * units)) for _ in range(directions)]
    # Orthogonal, or the states die away to denormal numbers, which are slow to multiply.
    recurrent_kernels = [
        tf.tile(keras.initializers.Orthogonal(seed=i)((units, units)), (1, gates))
        for i in range(directions)
    ]

    def chain(state, recurrent_kernel):
        for _ in range(time):
            state = tf.matmul(state, recurrent_kernel)[:, :units]
        return state

    @tf.function
    def forward(inputs, kernels, recurrent_kernels):
        return [
            (tf.matmul(inputs, one), chain(inputs[:batch], two))
            for one, two in zip(kernels, recurrent_kernels, strict=True)
        ]

    @tf.function
    def step(*operands):
        inputs, kernels, recurrent_kernels = operands
        done = []
        states = (
            inputs + 1
        )  # other numbers, or TensorFlow finds the two kernels' products to be the same
        for (preactivations, last), kernel, recurrent_kernel in zip(
            forward(*operands), kernels, recurrent_kernels, strict=True
        ):
            done += [
                tf.matmul(inputs, preactivations, transpose_a=True),
                tf.matmul(states, preactivations, transpose_a=True),
            ]
            done += [
                tf.matmul(preactivations, kernel, transpose_b=True),
                chain(last, recurrent_kernel),
            ]
        return done

    operands = (inputs, kernels, recurrent_kernels)
    return {
        FORWARD: lambda: forward(*operands)[0][1].numpy(),
        STEP: lambda: step(*operands)[-1].numpy(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--bidirectional",
        action="store_true",
        help="layers that read from both ends, instead of one",
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--seconds", type=float, default=1, help="of measuring, a contestant and round"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one short round of a small shape, to see that it runs"
    )
    options = parser.parse_args()
    rounds, seconds, shapes = (
        (1, 0.05, [(8, 20, 16)]) if options.quick else (options.rounds, options.seconds, SHAPES)
    )
    if torch:
        torch.set_num_threads(environment()["cores"])
    rows, load_before = [], load()
    for shape in shapes:
        for cell in GATES:
            name = (
                f"{'bidirectional ' if options.bidirectional else ''}{cell.upper()} at "
                f"{' × '.join(map(str, shape))}"
            )
            settings = dict(
                zip(("batch", "time", "units"), shape, strict=True),
                cell=cell,
                bidirectional=options.bidirectional,
            )
            calls = {("products", False): product_calls(**settings)}
            for masked in (False, True):
                calls["library", masked] = keras_calls(**settings, masked=masked, own=False)
                calls["keras", masked] = keras_calls(**settings, masked=masked, own=True)
                if torch:
                    calls["torch", masked] = torch_calls(**settings, masked=masked)
            contestants = {
                (*key, kind): call for key, kinds in calls.items() for kind, call in kinds.items()
            }
            print(
                f"{name}: {len(contestants)} contestants, {rounds} rounds of {seconds:g} s each",
                file=sys.stderr,
                flush=True,
            )
            times = take_turns(contestants, rounds=rounds, seconds=seconds)
            for kind in (FORWARD, STEP):
                for masked in (False, True):
                    ours, floor = times["library", masked, kind], times["products", False, kind]
                    plain, theirs = times["keras", masked, kind], times.get(("torch", masked, kind))
                    cells = [
                        name,
                        kind,
                        "mask" if masked else "none",
                        show(ours),
                        show(plain),
                        show(theirs),
                        show(floor),
                    ]
                    rows.append(
                        [*cells, ratio(ours, plain), ratio(ours, theirs), ratio(ours, floor)]
                    )
    columns = [f"{name}, ms" for name in ("library", "Keras", "PyTorch", "products")]
    columns += [f"library / {name}" for name in ("Keras", "PyTorch", "products")]
    print(f"| layer at batch × time × units | pass | mask | {' | '.join(columns)} |")
    print(f"|---|---|---|{'--:|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print(f"\n{hardware(load_before)}")


if __name__ == "__main__":
    main()
