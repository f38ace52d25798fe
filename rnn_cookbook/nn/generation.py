"""What greedy search, beam search and sampling share: checked calls of step functions, the best
continuations of a large vocabulary, and the loop that generates a hypothesis per example.

`nn.decoding` says what a step function is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.tensors import Tensor

__all__ = [
    "NEVER",
    "Hypotheses",
    "Ratings",
    "StepFunction",
    "best_continuations",
    "call_step",
    "check_lengths",
    "compiled",
    "generate",
    "map_tensors",
    "per_example",
    "rated",
    "row_count",
    "search_inputs",
]

# (tokens int32[rows], state, constants) -> (logits float[rows, vocabulary], state)
StepFunction = Callable[[Any, Any, Any], tuple[Any, Any]]

NEVER = -float("inf")  # nats of the impossible

_GROUP = 64  # symbols, see `Ratings`


class Hypotheses(NamedTuple):
    """The results of a search, best first: `n_best` is 1 except for beam search.

    Where an example has fewer hypotheses than asked for, the last ones have length 0 and minus
    infinity.
    """

    # int32[batch, n_best, time], with the end symbol, then 0; time is the longest length
    tokens: Tensor
    # float32[batch, n_best], nats: what the search ranks by, log_probabilities normalised by length
    scores: Tensor
    lengths: Tensor  # int32[batch, n_best]
    log_probabilities: Tensor  # float32[batch, n_best], nats: of all symbols up to the length
    # bool[batch, n_best]: the end symbol came before max_length cut the hypothesis off
    finished: Tensor


class Ratings(NamedTuple):
    """Logits in groups of `_GROUP` symbols, the last group filled up with minus infinity.

    `top_k` and `reduce_logsumexp` over a vocabulary together take as long on a CPU as the matrix
    product that made the logits. The largest values lie in the groups with the largest maxima, and
    maxima are cheap.
    """

    grouped: Tensor  # float32[rows, groups, _GROUP]
    maxima: Tensor  # float32[rows, groups]
    log_normalizer: Tensor  # float64[rows]: log(sum(exp(logits)))


def rated(logits: Tensor) -> Ratings:
    """Groups logits float32[rows, vocabulary] and computes their normalizer."""
    missing = -logits.shape[1] % _GROUP
    if missing:
        logits = tf.pad(logits, [[0, 0], [0, missing]], constant_values=NEVER)
    grouped = tf.reshape(logits, [-1, logits.shape[1] // _GROUP, _GROUP])
    maxima = tf.reduce_max(grouped, axis=2)
    # One fused softmax takes half the time of the four passes of reduce_logsumexp; its largest
    # probability loses no digits.
    probabilities = tf.reshape(tf.nn.softmax(logits), tf.shape(grouped))
    largest = tf.gather(probabilities, tf.argmax(maxima, axis=1), batch_dims=1)
    largest = tf.cast(tf.reduce_max(largest, axis=1), tf.float64)
    log_normalizer = tf.cast(tf.reduce_max(maxima, axis=1), tf.float64) - tf.math.log(largest)
    # A step function may forbid every symbol by minus infinity; their sum is no number then, and
    # none of them shall win.
    finite = tf.math.is_finite(log_normalizer)
    return Ratings(grouped, maxima, tf.where(finite, log_normalizer, float("inf")))


def _gains(logits: Tensor, log_normalizer: Tensor) -> Tensor:
    # float64, because sums over many steps lose digits, and sums that round to the same number
    # would lose the order of the logits. Rounding must not lift a log-probability above 0: the
    # early stop of beam search relies on it.
    return tf.minimum(tf.cast(logits, tf.float64) - log_normalizer, 0)


def best_continuations(
    ratings: Ratings, live: Tensor, count: int, barred: Sequence[tuple[int, Any]]
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the best continuations of each example in falling order; of equal ones the first
    comes first.

    These are log-probabilities float64, symbols int32 and beams int32, each [batch, count]. What is
    barred or continues nothing has minus infinity and symbol 0.

    Args:
        ratings: ratings of batch * beam rows.
        live: log-probabilities so far, float64[batch, beam].
        count: number of continuations.
        barred: pairs of a symbol and whether it is barred.
    """
    beam = live.shape[1]
    groups = ratings.grouped.shape[1]
    log_normalizer: Tensor = tf.reshape(ratings.log_normalizer, [-1, beam, 1])
    maxima = tf.reshape(ratings.maxima, [-1, beam, groups])
    maxima = live[..., None] + _gains(maxima, log_normalizer)
    # A barred symbol can take the place of one group in every beam.
    wanted = min(count + beam * len(barred), beam * groups)
    _, group = tf.math.top_k(tf.reshape(maxima, [-1, beam * groups]), wanted)
    group = tf.sort(group, axis=1)
    candidates = tf.reshape(ratings.grouped, [-1, beam * groups, _GROUP])
    logits = tf.gather(candidates, group, batch_dims=1)
    group_beam = group // groups
    first_symbol: Tensor = group % groups * _GROUP
    so_far: Tensor = tf.gather(live, group_beam, batch_dims=1)
    normalizer: Tensor = tf.gather(log_normalizer[..., 0], group_beam, batch_dims=1)
    symbols = first_symbol[..., None] + tf.range(_GROUP)
    for symbol, now in barred:
        logits = tf.where((symbols == symbol) & now, NEVER, logits)
    totals = so_far[..., None] + _gains(logits, normalizer[..., None])
    totals = tf.reshape(totals, [-1, wanted * _GROUP])
    sums, place = tf.math.top_k(totals, min(count, wanted * _GROUP))
    chosen = tf.gather(first_symbol, place // _GROUP, batch_dims=1) + place % _GROUP
    beams = tf.gather(group_beam, place // _GROUP, batch_dims=1)
    return sums, tf.where(sums > NEVER, chosen, 0), beams


def map_tensors(function: Callable[[Tensor], Tensor], nest: Any) -> Any:
    """Applies a function to the tensors of a nest; None stays None."""
    return tf.nest.map_structure(lambda x: None if x is None else function(x), nest)


def row_count(tensor: Tensor) -> Any:
    """Returns the leading dimension, as an int where it is known."""
    return tensor.shape[0] if tensor.shape[0] is not None else tf.shape(tensor)[0]


def compiled(function: Callable) -> Callable:
    """Compiles a function of tensors."""
    # Without AutoGraph: nothing here needs it, and it warns about step functions whose source it
    # cannot read. A `partial`, because TensorFlow counts compilations by code: five searches in a
    # row would warn of one compiled five times.
    return tf.function(functools.partial(function), autograph=False, reduce_retracing=True)


def _shapes(nest: Any) -> str:
    def shown(x):
        return f"{x.dtype.name}{x.shape}" if tf.is_tensor(x) else type(x).__name__

    return str(tf.nest.map_structure(shown, nest)).replace("'", "")


def call_step(
    step: StepFunction, tokens: Tensor, state: Any, constants: Any, end: int | None
) -> tuple[Tensor, Any]:
    """Calls the step function and checks what it returns: -> (logits float32, state).

    The loop needs the state in the same form, and its own errors are less clear.

    Raises:
        InputError: the state comes back in another form, or there are no logits for the vocabulary.
    """
    logits, new = step(tokens, state, constants)
    try:
        tf.nest.assert_same_structure(state, new, check_types=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the step function must return its state in the structure {_shapes(state)}; received "
            f"{_shapes(new)}"
        ) from error
    kept = []
    for before, after in zip(tf.nest.flatten(state), tf.nest.flatten(new), strict=True):
        after = tf.convert_to_tensor(after)
        if after.dtype != before.dtype or not before.shape.is_compatible_with(after.shape):
            raise InputError(
                f"the step function must return its state as {_shapes(before)}; received "
                f"{_shapes(after)}"
            )
        kept.append(tf.ensure_shape(after, before.shape))
    scores: Tensor = tf.convert_to_tensor(logits)
    if scores.shape.rank != 2 or scores.shape[1] is None or not scores.dtype.is_floating:
        raise InputError(
            "the step function must return logits float[rows, vocabulary] of known vocabulary; "
            f"received {_shapes(scores)}"
        )
    if scores.shape[1] <= max(end or 0, 1):
        raise InputError(
            f"the vocabulary must hold more than padding, and the end symbol {end}; received "
            f"{scores.shape[1]} logits"
        )
    # float32 also under mixed precision, where a softmax loses digits.
    return tf.cast(scores, tf.float32), tf.nest.pack_sequence_as(state, kept)


def per_example(
    name: str, value: Any, dtype: Any, batch: Any, minimum: int | None = None
) -> Tensor:
    """Returns a number, or a number for each example, as a tensor [batch].

    Args:
        name: name of the argument, for the error.
        value: a number or an array [batch].
        dtype: dtype of the result.
        batch: number of examples, as an int or a tensor.
        minimum: smallest accepted number, checked where the value is known.

    Raises:
        InputError: another shape, no integer where `dtype` is integer, or below the minimum.
    """
    value = tf.convert_to_tensor(value if tf.is_tensor(value) else np.asarray(value))
    several = value.shape.rank == 1
    known_batch = several and isinstance(batch, int)
    if value.shape.rank not in (0, 1) or (known_batch and value.shape[0] not in (None, batch)):
        raise InputError(
            f"{name} must be a number, or a number for each of the {batch} examples; received "
            f"{_shapes(value)}"
        )
    if dtype.is_integer and not value.dtype.is_integer:
        raise InputError(f"{name} must be integer; received {_shapes(value)}")
    known: Any = tf.get_static_value(value)
    if minimum is not None and known is not None and not (known >= minimum).all():
        raise InputError(f"{name} must be at least {minimum}; received {known}")
    return tf.broadcast_to(tf.cast(value, dtype), [batch])


def search_inputs(
    start_tokens: Tensor, state: Any, constants: Any, max_length: Any
) -> tuple[Tensor, Any, Any, Tensor]:
    """Returns tokens, state, constants and lengths int32[batch] as tensors, so that no call
    compiles anew for another number or array.

    Raises:
        InputError: tokens that are not int[batch], or another leading dimension elsewhere.
    """
    tokens: Tensor = tf.convert_to_tensor(start_tokens)
    if tokens.shape.rank != 1 or not tokens.dtype.is_integer:
        raise InputError(f"start tokens must be int32[batch]; received {_shapes(tokens)}")
    tokens = tf.cast(tokens, tf.int32)
    state = map_tensors(tf.convert_to_tensor, state)
    constants = map_tensors(tf.convert_to_tensor, constants)
    for name, nest in (("state", state), ("constants", constants)):
        for x in tf.nest.flatten(nest):
            if x is None:
                continue
            if x.shape.rank == 0 or not tokens.shape.is_compatible_with(x.shape[:1]):
                raise InputError(
                    f"{name} must have the leading dimension {tokens.shape[0]} of the start "
                    f"tokens; received {_shapes(x)}"
                )
    lengths = per_example("max_length", max_length, tf.int32, row_count(tokens), minimum=1)
    return tokens, state, constants, lengths


def check_lengths(end: int | None, max_length: int) -> None:
    """Checks the end symbol and the maximum length.

    Raises:
        InputError: the end symbol is padding, or the length is below 1.
    """
    if end is not None and end < 1:
        raise InputError(f"the end symbol must be at least 1 (0 is padding); received {end}")
    if max_length < 1:
        raise InputError(f"max_length must be at least 1; received {max_length}")


def generate(
    step: StepFunction,
    choose: Callable[[Tensor, Ratings, Tensor], Tensor],
    tokens: Tensor,
    state: Any,
    constants: Any,
    max_lengths: Tensor,
    end: int | None,
) -> Hypotheses:
    """Generates a hypothesis for each example.

    Args:
        step: step function.
        choose: function (step number, ratings, most probable symbols int32[batch]) -> next symbols
            int32[batch].
        tokens: start symbols, int32[batch].
        state: state of the step function.
        constants: constants of the step function.
        max_lengths: maximum lengths, int32[batch].
        end: symbol that ends a sequence, or None.
    """
    batch = row_count(tokens)
    nothing: Tensor = tf.zeros([batch, 1], tf.float64)

    def unfinished(t, tokens, state, sums, lengths, finished, trail):
        return tf.reduce_any(~finished & (lengths < max_lengths))

    def advance(t, tokens, state, sums, lengths, finished, trail):
        logits, state = call_step(step, tokens, state, constants, end)
        ratings = rated(logits)
        _, likeliest, _ = best_continuations(ratings, nothing, 1, [(0, True)])
        tokens = choose(t, ratings, likeliest[:, 0])
        chosen = tf.gather(logits, tokens[:, None], batch_dims=1)
        gained = _gains(chosen, ratings.log_normalizer[:, None])[:, 0]
        active = ~finished & (lengths < max_lengths)
        tokens = tf.where(active, tokens, 0)
        sums = tf.where(active, sums + gained, sums)
        lengths += tf.cast(active, tf.int32)
        if end is not None:
            finished = finished | (tokens == end)
        return t + 1, tokens, state, sums, lengths, finished, trail.write(t, tokens)

    start = (
        0,
        tokens,
        state,
        nothing[:, 0],
        tf.zeros([batch], tf.int32),
        tf.zeros([batch], tf.bool),
        tf.TensorArray(tf.int32, size=0, dynamic_size=True, element_shape=tokens.shape),
    )
    _, _, _, sums, lengths, finished, trail = tf.while_loop(unfinished, advance, start)
    totals = tf.cast(sums[:, None], tf.float32)
    return Hypotheses(
        tokens=tf.transpose(trail.stack())[:, None],
        scores=totals,
        lengths=lengths[:, None],
        log_probabilities=totals,
        finished=finished[:, None],
    )
