"""N-gram language models of symbols such as characters: a second opinion for speech, a baseline for
text."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import log
from pathlib import Path

import numpy as np

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import write_atomically

BOUNDARY = 0  # stands before the first symbol, as often as the order needs
_FILE = "ngrams.npz"


class NGrams:
    """Interpolated modified Kneser-Ney smoothing (Chen and Goodman 1999), with a discount each for
    n-grams seen once, twice and more often.

    Below the highest order an n-gram counts as often as there are different symbols before it.
    Below the lowest all symbols are alike, so none is impossible.

    Args:
        counts: of each order, from 1: how often each n-gram, a tuple of symbols, was seen.
        symbols: how many there are, the boundary (0) included; the others are 1 to symbols - 1.
    """

    def __init__(self, counts: Sequence[dict[tuple[int, ...], int]], *, symbols: int):
        self.counts, self.symbols, self.order = list(counts), symbols, len(counts)
        self._tables = []
        for table in self.counts:
            # Of each context: total, discount mass, and each symbol's discounted count.
            once, twice, thrice, more = (
                sum(count == n for count in table.values()) for n in (1, 2, 3, 4)
            )
            discounts = _discounts(once, twice, thrice, more)
            contexts: dict = defaultdict(lambda: [0, 0.0, {}])
            for ngram, count in table.items():
                context = contexts[ngram[:-1]]
                discount = discounts[min(count, 3) - 1]
                context[0] += count
                context[1] += discount
                context[2][ngram[-1]] = count - discount
            self._tables.append(dict(contexts))

    @classmethod
    def fit(cls, sequences: Iterable[Sequence[int]], *, order: int, symbols: int) -> "NGrams":
        """Counts the n-grams of sequences of symbols from 1 to symbols - 1.

        Raises:
            InputError: no symbol, one out of range, or an order below 1.
        """
        if order < 1 or symbols < 2:
            raise InputError(
                f"n-grams need an order of 1 and 2 symbols or more, got order={order}, symbols={symbols}"
            )
        highest: Counter = Counter()
        for sequence in sequences:
            sequence = [int(symbol) for symbol in sequence]
            if sequence and not 0 < min(sequence) <= max(sequence) < symbols:
                raise InputError(
                    f"symbols must be 1 to {symbols - 1}, got {min(sequence)} to {max(sequence)}"
                )
            padded = [BOUNDARY] * (order - 1) + sequence
            highest.update(tuple(padded[i : i + order]) for i in range(len(sequence)))
        if not highest:
            raise InputError("n-grams cannot be counted in nothing")
        counts = [dict(highest)]
        for _ in range(order - 1):
            counts.insert(0, dict(Counter(ngram[1:] for ngram in counts[0])))
        return cls(counts, symbols=symbols)

    def log_probability(self, prefix: Sequence[int], symbol: int) -> float:
        """Nats of a symbol after all that was before it."""
        before = [BOUNDARY] * self.order + [
            int(each) for each in prefix[max(0, len(prefix) - self.order) :]
        ]
        share = 1 / (self.symbols - 1)
        for length, table in enumerate(self._tables):
            found = table.get(tuple(before[len(before) - length :]))
            if found is None:
                break  # longer contexts were not seen either
            total, spare, counts = found
            share = (counts.get(symbol, 0.0) + spare * share) / total
        return log(share)

    def __call__(self, prefix: Sequence[int], symbol: int) -> float:
        """As `log_probability`: what `ctc.ctc_beam_search` asks for."""
        return self.log_probability(prefix, symbol)

    def cross_entropy(self, sequences: Iterable[Sequence[int]]) -> float:
        """Mean nats a symbol."""
        nats, count = 0.0, 0
        for sequence in sequences:
            for i, symbol in enumerate(sequence):
                nats -= self.log_probability(sequence[max(0, i - self.order) : i], int(symbol))
            count += len(sequence)
        return nats / max(count, 1)

    def save(self, folder: Path, name: str = _FILE) -> None:
        arrays = {"symbols": np.array(self.symbols)}
        for length, table in enumerate(self.counts, start=1):
            arrays |= {
                f"ngrams {length}": np.array([*table], np.int32),
                f"counts {length}": np.array([*table.values()], np.int64),
            }
        write_atomically(folder / name, lambda path: np.savez_compressed(path, **arrays))

    @classmethod
    def load(cls, folder: Path, name: str = _FILE) -> "NGrams":
        with np.load(folder / name, allow_pickle=False) as arrays:
            order = sum(key.startswith("ngrams") for key in arrays.files)
            counts = [
                dict(
                    zip(
                        map(tuple, arrays[f"ngrams {length}"].tolist()),
                        arrays[f"counts {length}"].tolist(),
                        strict=True,
                    )
                )
                for length in range(1, order + 1)
            ]
            return cls(counts, symbols=int(arrays["symbols"]))


def _discounts(once: int, twice: int, thrice: int, more: int) -> tuple[float, float, float]:
    """Of n-grams that were seen once, twice, and more often, from how many were seen 1, 2, 3 and 4
    times."""
    if not (once and twice):
        return 0.5, 0.75, 0.75  # too little to tell
    base = once / (once + 2 * twice)
    third = 3 - 4 * base * more / thrice if thrice else 0.75
    found = 1 - 2 * base * twice / once, 2 - 3 * base * thrice / twice, third
    # Small samples give what is none: a discount is above 0, and leaves something.
    return tuple(
        min(max(discount, 0.1), count - 0.1)
        for discount, count in zip(found, (1, 2, 3), strict=True)
    )
