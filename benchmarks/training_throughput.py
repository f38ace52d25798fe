"""Training throughput of the sentiment model: length buckets against fixed padding, Keras against
PyTorch's nn.LSTM.

    python benchmarks/training_throughput.py [--data-dir DIR] [--seconds 40] [--rounds 3]

The same network everywhere, the one that published comparisons use: an embedding of 128, a
bidirectional LSTM of 64 units a direction, maximum over time, a softmax; reviews of at most 400
words, batches of 64, Adam, the gradient clipped. The feeds take turns, `--rounds` times, for
`--seconds` each, in one process; a figure is the median of its rounds, so that what else the
machine does hits all of them. PyTorch is left out where it is not installed. Without the real
reviews, lengths are drawn from a log-normal like theirs.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator

import numpy as np

from rnn_cookbook.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras

from rnn_cookbook.data.sources import load_tfds
from rnn_cookbook.encode.batches import Batches
from rnn_cookbook.encode.text import TextEncoder
from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.optimizers import LazyAdam
from rnn_cookbook.run.folder import environment
from rnn_cookbook.tasks.classification.model import text_classifier

VOCABULARY, LONGEST, BATCH, EMBEDDING, UNITS, SEGMENT = 30_000, 400, 64, 128, 64, 50


def reviews(data_dir: str | None, count: int = 10_000) -> list[np.ndarray]:
    try:
        (rows,) = load_tfds("imdb_reviews", splits=[f"train[:{count}]"], data_dir=data_dir)
    except InputError as error:
        print(f"no real reviews ({str(error)[:80]} …): lengths are drawn instead", file=sys.stderr)
        rng = np.random.default_rng(0)
        lengths = np.clip(rng.lognormal(5.4, 0.65, count), 10, LONGEST).astype(int)
        return [
            np.minimum(rng.zipf(1.3, length) + 1, VOCABULARY - 1).astype(np.int32)
            for length in lengths
        ]
    texts = [row["text"].decode() for row in rows]
    return TextEncoder.fit(texts, max_words=VOCABULARY - 2).encode(texts, max_tokens=LONGEST)


def keras_steps(feed: Batches, *, segment: int, lazy: bool) -> Iterator[tuple[int, int]]:
    """Trains on the feed for ever; yields (examples, words) after every step."""
    keras.utils.set_random_seed(0)
    model = text_classifier(
        vocabulary_size=VOCABULARY,
        classes=2,
        embedding_size=EMBEDDING,
        units=UNITS,
        segment_length=segment,
    )
    optimizer = (
        LazyAdam(1e-3, clip_norm=1.0) if lazy else keras.optimizers.Adam(1e-3, global_clipnorm=1.0)
    )
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.make_train_function()
    for feed.epoch in range(1_000_000):
        batches = iter(feed.dataset())
        for indices in feed.plan():
            float(model.train_function(batches)["loss"])
            yield len(indices), int(feed.lengths[indices].sum())


def torch_steps(feed: Batches) -> Iterator[tuple[int, int]]:
    """The same network in PyTorch, without a mask in the LSTM (it has none); padding is left out of
    the maximum."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(environment()["cores"])
    embedding = torch.nn.Embedding(VOCABULARY, EMBEDDING)
    rnn = torch.nn.LSTM(EMBEDDING, UNITS, batch_first=True, bidirectional=True)
    output = torch.nn.Linear(2 * UNITS, 2)
    parameters = [*embedding.parameters(), *rnn.parameters(), *output.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-3)
    for feed.epoch in range(1_000_000):
        for tokens, labels in feed.dataset().as_numpy_iterator():
            words = torch.from_numpy(tokens.copy()).long()
            states, _ = rnn(embedding(words))
            pooled = states.masked_fill((words == 0)[..., None], -65504.0).amax(dim=1)
            loss = torch.nn.functional.cross_entropy(
                output(pooled), torch.from_numpy(labels).long()
            )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            loss.item()
            yield len(labels), int((tokens != 0).sum())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", help="where imdb_reviews lies")
    parser.add_argument("--seconds", type=float, default=40, help="of measuring, a feed and round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    sequences = reviews(options.data_dir)
    labels = np.arange(len(sequences)) % 2

    def feed(**how):
        return Batches(sequences, labels, batch_size=BATCH, shuffle=True, **how)

    feeds = {
        "keras, fixed padding": keras_steps(feed(pad_to=LONGEST), segment=0, lazy=False),
        "keras, buckets": keras_steps(feed(), segment=0, lazy=False),
        "keras, buckets, lazy optimizer": keras_steps(feed(), segment=0, lazy=True),
        "keras, buckets, lazy optimizer, segments": keras_steps(
            feed(multiple_of=SEGMENT), segment=SEGMENT, lazy=True
        ),
    }
    try:
        import torch

        feeds |= {
            f"torch {torch.__version__}, fixed padding": torch_steps(feed(pad_to=LONGEST)),
            "torch, buckets": torch_steps(feed()),
        }
    except ImportError:
        print("PyTorch is not installed: its rows are left out", file=sys.stderr)
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in feeds}
    for steps in feeds.values():  # compiled and warm before anything is measured
        for _ in range(3):
            next(steps)
    for _ in range(options.rounds):
        for name, steps in feeds.items():
            examples = words = 0
            started = time.perf_counter()
            while time.perf_counter() - started < options.seconds:
                count, size = next(steps)
                examples, words = examples + count, words + size
            seconds = time.perf_counter() - started
            rates[name].append((examples / seconds, words / seconds))
            print(f"{name}: {examples / seconds:.0f} examples/s", file=sys.stderr)
    median = {
        name: tuple(statistics.median(values) for values in zip(*pairs, strict=True))
        for name, pairs in rates.items()
    }
    base = median["keras, fixed padding"][0]
    print(f"{'':<52}{'examples/s':>12}{'words/s':>10}{'× keras fixed':>15}")
    for name, (examples, words) in median.items():
        print(f"{name:<52}{examples:>12.0f}{words:>10.0f}{examples / base:>15.2f}")
    print(json.dumps({"rates": rates, "environment": environment()}))


if __name__ == "__main__":
    main()
