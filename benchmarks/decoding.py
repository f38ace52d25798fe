"""What a beam costs: beam search of 5 against greedy search over the attention decoder, as a whole
search and a step.

    python benchmarks/decoding.py [--rounds 7] [--batch 64] [--beam 5]

Untrained encoder-decoders (bidirectional encoder, decoder of 256 units, 8,000 target words) decode
sources of 10 to 20 words for 25 steps: the end symbol is made unlikely, so that both searches take
all the steps. Searches take turns, `--rounds` times, in one process; a figure is the median over
the rounds, so that what else the machine does hits all of them.
"""

import argparse
import json
import statistics
import sys
import time

import numpy as np

from rnn_cookbook.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import tensorflow as tf

from rnn_cookbook.nn.decoding import beam_search, greedy_search
from rnn_cookbook.nn.sampling import sampler
from rnn_cookbook.run.folder import environment
from rnn_cookbook.tasks.translation.model import encoder_decoder, encoding_model

WORDS, UNITS, STEPS, END = 8_000, 256, 25, 3
WIRINGS = (
    {"attention": "luong"},
    {"attention": "luong", "input_feeding": True, "cell": "gru"},
    {"attention": "bahdanau", "cell": "gru"},
)


def searches(batch: int, beam: int, wiring: dict) -> dict:
    keras.utils.set_random_seed(0)
    model = encoder_decoder(
        source_vocabulary=WORDS,
        target_vocabulary=WORDS,
        embedding_size=UNITS,
        units=UNITS,
        tie_weights=False,
        **wiring,
    )
    decoder = model.get_layer("decoder")
    kernel, bias = decoder.output_layer.get_weights()
    bias[END] = -1e4
    decoder.output_layer.set_weights([kernel, bias])
    rng = np.random.default_rng(0)
    source = np.where(
        np.arange(20) < rng.integers(10, 21, batch)[:, None], rng.integers(4, WORDS, (batch, 20)), 0
    ).astype(np.int32)
    state, constants = decoder.begin(*encoding_model(model)(source))
    start = tf.fill([batch], decoder.start)
    greedy = greedy_search(decoder.step, end=END, max_length=STEPS)
    beams = beam_search(
        decoder.step, end=END, beam=beam, max_length=STEPS, length_normalization="gnmt"
    )
    draw = sampler(decoder.step, end=END, max_length=STEPS, top_k=40)
    return {
        "greedy": lambda: greedy(start, state, constants),
        f"beam {beam}": lambda: beams(start, state, constants),
        "sampling, top 40": lambda: draw(start, state, constants, seed=0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--beam", type=int, default=5)
    options = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {}
    print(
        "| decoder | search | ms | ms a step | sentences/s | × greedy |\n|---|---|---|---|---|---|"
    )
    for wiring in WIRINGS:
        name = ", ".join(f"{key}={value}" for key, value in wiring.items())
        runs = searches(options.batch, options.beam, wiring)
        times: dict[str, list[float]] = {search: [] for search in runs}
        for run in runs.values():  # compiled and warm before anything is measured
            assert run().tokens.shape[-1] == STEPS
        for done in range(options.rounds):
            for search, run in runs.items():
                started = time.perf_counter()
                run().tokens.numpy()
                times[search].append(1e3 * (time.perf_counter() - started))
            print(f"{name}: round {done + 1} of {options.rounds}", file=sys.stderr)
        base = statistics.median(times["greedy"])
        for search, milliseconds in times.items():
            median = statistics.median(milliseconds)
            print(
                f"| {name} | {search} | {median:.0f} | {median / STEPS:.1f} | "
                f"{options.batch / median * 1e3:.0f} | {median / base:.2f} |"
            )
        found[name] = times
    print(json.dumps({"milliseconds": found, "environment": environment()}))


if __name__ == "__main__":
    main()
