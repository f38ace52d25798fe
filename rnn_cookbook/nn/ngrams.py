"""N-gram language models of symbols such as characters: for the beam search of CTC, and as a
baseline for text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from typing import Any

import numpy as np

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import write_atomically

__all__ = ["BOUNDARY", "NGrams"]

BOUNDARY = 0  # stands before the first symbol, as often as the order needs
_FILE = "ngrams.npz"


def _discounts(counts: Iterable[int]) -> tuple[float, float, float]:
    """The discounts of n-grams that were seen once, twice, and more often.

    Args:
        counts: number of times that each n-gram was seen.
    """
    seen = Counter(counts)
    once = seen[1]
    twice = seen[2]
    if not (once and twice):
        return 0.5, 0.75, 0.75  # too little to estimate them
    base = once / (once + 2 * twice)
    first = 1 - 2 * base * twice / once
    second = 2 - 3 * base * seen[3] / twice
    third = 3 - 4 * base * seen[4] / seen[3] if seen[3] else 0.75
    # From small samples these can be negative, or take everything.
    return (
        min(max(first, 0.1), 0.9),
        min(max(second, 0.1), 1.9),
        min(max(third, 0.1), 2.9),
    )


@dataclass
class _Context:
    """The symbols that were seen after a context."""

    total: int = 0
    discounted: float = 0.0  # taken from the counts, for symbols that were not seen
    counts: dict[int, float] = field(default_factory=dict)  # discounted


def _by_context(table: Mapping[tuple[int, ...], int]) -> dict[tuple[int, ...], _Context]:
    discounts = _discounts(table.values())
    contexts: dict[tuple[int, ...], _Context] = {}
    for ngram, count in table.items():
        context = contexts.setdefault(ngram[:-1], _Context())
        discount = discounts[min(count, 3) - 1]
        context.total += count
        context.discounted += discount
        context.counts[ngram[-1]] = count - discount
    return contexts


class NGrams:
    """An n-gram model with interpolated modified Kneser-Ney smoothing (Chen and Goodman 1999).

    N-grams that were seen once, twice and more often have a discount each. Below the highest order
    an n-gram counts as often as there are different symbols before it. Below the lowest order all
    symbols are equally probable, so none is impossible.

    Args:
        counts: for each order, from 1, the number of times that each n-gram, a tuple of symbols,
            was seen.
        symbols: number of symbols, the boundary (0) included; the others are 1 to symbols - 1.
    """

    def __init__(self, counts: Sequence[dict[tuple[int, ...], int]], *, symbols: int):
        self.counts = list(counts)
        self.symbols = symbols
        self.order = len(counts)
        self._tables = [_by_context(table) for table in self.counts]

    @classmethod
    def fit(cls, sequences: Iterable[Sequence[int]], *, order: int, symbols: int) -> NGrams:
        """Counts the n-grams of sequences.

        Args:
            sequences: sequences of symbols from 1 to symbols - 1.
            order: length of the longest n-grams.
            symbols: number of symbols, the boundary (0) included.

        Raises:
            InputError: no symbol, a symbol out of range, or an order below 1.
        """
        if order < 1 or symbols < 2:
            raise InputError(
                "order must be at least 1 and symbols at least 2; received "
                f"order={order}, symbols={symbols}"
            )
        highest: Counter = Counter()
        for sequence in sequences:
            sequence = [int(symbol) for symbol in sequence]
            if sequence and not 0 < min(sequence) <= max(sequence) < symbols:
                raise InputError(
                    f"symbols must be 1 to {symbols - 1}; received {min(sequence)} to "
                    f"{max(sequence)}"
                )
            padded = [BOUNDARY] * (order - 1) + sequence
            highest.update(tuple(padded[i : i + order]) for i in range(len(sequence)))
        if not highest:
            raise InputError("the sequences have no symbols; at least one is needed")
        counts = [dict(highest)]
        for _ in range(order - 1):
            counts.insert(0, dict(Counter(ngram[1:] for ngram in counts[0])))
        return cls(counts, symbols=symbols)

    def log_probability(self, prefix: Sequence[int], symbol: int) -> float:
        """Returns the log-probability of a symbol in nats.

        Args:
            prefix: all symbols before it.
            symbol: symbol from 1 to symbols - 1.
        """
        last = [int(each) for each in prefix[max(0, len(prefix) - self.order) :]]
        before = [BOUNDARY] * self.order + last
        probability = 1 / (self.symbols - 1)
        for length, table in enumerate(self._tables):
            context = table.get(tuple(before[len(before) - length :]))
            if context is None:
                break  # longer contexts were not seen either
            count = context.counts.get(symbol, 0.0)
            probability = (count + context.discounted * probability) / context.total
        return log(probability)

    def __call__(self, prefix: Sequence[int], symbol: int) -> float:
        """Returns `log_probability`, as `ctc_search.ctc_beam_search` calls a language model."""
        return self.log_probability(prefix, symbol)

    def cross_entropy(self, sequences: Iterable[Sequence[int]]) -> float:
        """Returns the mean cross-entropy per symbol, in nats."""
        nats = 0.0
        count = 0
        for sequence in sequences:
            for i, symbol in enumerate(sequence):
                nats -= self.log_probability(sequence[max(0, i - self.order) : i], int(symbol))
            count += len(sequence)
        return nats / max(count, 1)

    def save(self, folder: Path, name: str = _FILE) -> None:
        """Writes the counts to a file of the folder."""
        arrays: dict[str, Any] = {"symbols": np.array(self.symbols)}
        for length, table in enumerate(self.counts, start=1):
            arrays[f"ngrams {length}"] = np.array([*table], np.int32)
            arrays[f"counts {length}"] = np.array([*table.values()], np.int64)
        write_atomically(folder / name, lambda path: np.savez_compressed(path, **arrays))

    @classmethod
    def load(cls, folder: Path, name: str = _FILE) -> NGrams:
        """Reads the counts that `save` wrote."""
        with np.load(folder / name, allow_pickle=False) as arrays:
            order = sum(key.startswith("ngrams") for key in arrays.files)
            counts = []
            for length in range(1, order + 1):
                ngrams = map(tuple, arrays[f"ngrams {length}"].tolist())
                counts.append(dict(zip(ngrams, arrays[f"counts {length}"].tolist(), strict=True)))
            return cls(counts, symbols=int(arrays["symbols"]))
