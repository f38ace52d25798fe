"""Sampling from any step function, with temperature, top-k and nucleus cuts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.generation import (
    NEVER,
    Hypotheses,
    Ratings,
    StepFunction,
    best_continuations,
    check_lengths,
    compiled,
    generate,
    per_example,
    row_count,
    search_inputs,
)
from rnn_cookbook.nn.tensors import Tensor

__all__ = ["sampler"]

# Smallest divisor of the logits.
_COLDEST = 1e-30


def _draw(ratings: Ratings, temperature: Tensor, noise: Tensor, top_k: int, top_p: float) -> Tensor:
    """Draws symbols int32[rows] by the inverse of the cumulative distribution.

    Args:
        ratings: ratings of the rows.
        temperature: float32[rows].
        noise: uniform numbers, float64[rows] in [0, 1).
        top_k: see `sampler`.
        top_p: see `sampler`.
    """
    size = ratings.grouped.shape[1] * ratings.grouped.shape[2]
    symbols = None
    if top_k or top_p < 1:
        start: Tensor = tf.zeros_like(noise)
        logits, symbols, _ = best_continuations(ratings, start[:, None], top_k or size, [(0, True)])
    else:
        logits = tf.reshape(ratings.grouped, [-1, size])
        logits = tf.where(tf.range(size) == 0, NEVER, logits)
    # The maximum goes before the division: a divisor can be next to nothing.
    divisor: Tensor = tf.cast(tf.maximum(temperature, _COLDEST), logits.dtype)
    scaled = (logits - tf.reduce_max(logits, axis=1, keepdims=True)) / divisor[:, None]
    probabilities = tf.cast(tf.nn.softmax(scaled), tf.float64)
    if top_p < 1:
        before = tf.cumsum(probabilities, axis=1, exclusive=True)
        probabilities = tf.where(before < top_p, probabilities, 0)
    cumulative: Tensor = tf.cumsum(probabilities, axis=1)
    reached: Tensor = noise * cumulative[:, -1]
    drawn: Tensor = tf.searchsorted(cumulative, reached[:, None], side="right")
    drawn = drawn[:, 0]
    return drawn if symbols is None else tf.gather(symbols, drawn, batch_dims=1)


def sampler(
    step: StepFunction,
    *,
    end: int | None = None,
    max_length: int,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> Callable[..., Hypotheses]:
    """Returns a function that draws every symbol at random by its probability.

    The returned function takes two more arguments than a search, by keyword:

        search(start_tokens, state, constants=None, max_length=..., *, seed, temperature=...)
            -> Hypotheses

    `seed` is an int, or int[batch] with a seed for each row. The same seed gives the same text.
    With the same seed for all, the rows differ, and a row's text depends on its number; with a seed
    for each row, it does not depend on the other rows of the batch. `temperature` may be
    float32[batch]. Scores and log-probabilities are the model's own, whatever the temperature and
    the cuts.

    The cuts come after the temperature, `top_k` before `top_p`, which is then a fraction of what
    `top_k` left.

    Args:
        step: step function, see `nn.decoding`.
        end: symbol that ends a sequence; None generates `max_length` symbols.
        max_length: maximum number of symbols, the end symbol included.
        temperature: divisor of the logits. Below 1 the probable gets more probable; 0 is
            `greedy_search`.
        top_k: number of most probable symbols to draw from (Fan et al. 2018, "Hierarchical Neural
            Story Generation"); 0 for all.
        top_p: probability that the fewest symbols to draw from have together (nucleus: Holtzman et
            al. 2020, "The Curious Case of Neural Text Degeneration"). Without `top_k` this sorts
            the vocabulary at every step, which takes longer than most models.

    Raises:
        InputError: a number out of range; the search raises it for inputs of other shapes.
    """
    check_lengths(end, max_length)
    if top_k < 0:
        raise InputError(f"top_k must be at least 0 (all symbols); received {top_k}", field="top_k")
    if not 0 < top_p <= 1:
        raise InputError(f"top_p must be above 0 and at most 1; received {top_p}", field="top_p")

    @compiled
    def run(tokens, state, constants, lengths, seeds, temperature):
        # A number for each row and step, drawn row by row, so that a row never sees the batch;
        # float64, because float32 has no numbers to spare for rare symbols in large vocabularies.
        count: Tensor = [tf.reduce_max(lengths)]
        noise: Tensor = tf.map_fn(
            lambda seed: tf.random.stateless_uniform(count, seed=seed, dtype=tf.float64),
            seeds,
            fn_output_signature=tf.float64,
        )

        def choose(t, ratings, likeliest):
            drawn = _draw(ratings, temperature, noise[:, t], top_k, top_p)
            return tf.where(temperature > 0, drawn, likeliest)

        return generate(step, choose, tokens, state, constants, lengths, end)

    def search(
        start_tokens, state, constants=None, max_length=max_length, *, seed, temperature=temperature
    ) -> Hypotheses:
        inputs = search_inputs(start_tokens, state, constants, max_length)
        batch = row_count(inputs[0])
        temperature = per_example("temperature", temperature, tf.float32, batch, minimum=0)
        row = tf.range(batch, dtype=tf.int64) if np.ndim(seed) == 0 else tf.zeros([batch], tf.int64)
        seeds = per_example("seed", seed, tf.int64, batch)
        return run(*inputs, tf.stack([seeds, row], axis=1), temperature)

    return search
