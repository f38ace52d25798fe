"""Comparison of an export with the bundle that it was made from, on random examples."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rnn_cookbook.errors import InputError
from rnn_cookbook.export.served import Served

__all__ = ["EXAMPLES", "TOLERANCE", "Runner", "largest_difference"]

EXAMPLES = 100  # random inputs that an export has to answer as the bundle does
TOLERANCE = 1e-4  # largest accepted difference, in the units of `Served.sizes`

Runner = Callable[[dict[str, np.ndarray]], Mapping[str, Any]]


def largest_difference(served: Served, run: Runner, *, batches: Sequence[int]) -> float:
    """Compares the answers of an export with the library's own on random examples.

    Args:
        served: what was exported.
        run: function that runs the export: inputs by name -> answers by name.
        batches: number of examples of each batch.

    Returns:
        The largest difference of two numbers, divided by `Served.sizes`; NaN where an answer is not
        a number, infinity where an answer has another shape.

    Raises:
        InputError: answers of other names, or other texts, not counting those that rounding
            decides.
    """
    rng = np.random.default_rng(0)
    largest = 0.0
    others = 0
    for size in batches:
        inputs = served.examples(size, rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answers = run(inputs)
        wanted = served.expected(inputs)
        if answers.keys() != wanted.keys():
            raise InputError(
                f"the export answers with {', '.join(sorted(answers))}; the bundle answers with "
                f"{', '.join(sorted(wanted))}"
            )
        sizes = served.sizes(inputs, wanted)
        for name, right in wanted.items():
            answer = np.asarray(answers[name])
            if answer.shape != right.shape:
                return np.inf
            if answer.dtype == object:
                wrong = (answer != right).reshape(size, -1).any(axis=1)
                if wrong.any():
                    others += int((wrong & ~served.ties(inputs, wanted)).sum())
            else:
                error = np.abs(answer.astype(np.float64) - right) / sizes[name]
                largest = np.maximum(largest, error.max())  # keeps a NaN
    if others:
        raise InputError(
            f"the export gives another text than the bundle for {others} of {sum(batches)} inputs"
        )
    return float(largest)
