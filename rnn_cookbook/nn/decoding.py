"""Greedy search and beam search: compiled loops around any step function.

A step function reads a symbol per row and rates all symbols as the next:

    step(tokens int32[rows], state, constants) -> (logits float[rows, vocabulary], state)

- `state` is any nest (dict, list, tuple) of tensors with leading dimension `rows`; it returns with
  the same structure, shapes and types. `()` where there is none.
- `constants` are any nest of tensors that never change (the outputs of an encoder, their mask), or
  None. Their leading dimension is `batch`, and they are not repeated: rows = batch * beam, the
  beams of an example side by side, so that an attention layer reshapes its queries to
  [batch, beam, ...]. A step function that wants them row by row asks for `tile=True`.
- Its layers are built before the first call. Weights that change later are seen; Python's `if` and
  `for` over tensors want a `tf.function` around the step function.

Each of `greedy_search`, `beam_search` and `nn.sampling.sampler` returns a function that is compiled
on its first call and kept; other batch sizes and lengths do not compile it again and again. Make it
once, outside of loops. It is called with the start symbol of each example:

    search(start_tokens int32[batch], state, constants=None, max_length=...) -> Hypotheses

where `max_length` overrides the value given before: an int, or int32[batch] with a value for each
example. Symbol 0 is padding and is never generated; its part of the softmax stays, so
log-probabilities are those of the model. Lengths count the end symbol.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.generation import (
    NEVER,
    Hypotheses,
    StepFunction,
    best_continuations,
    call_step,
    check_lengths,
    compiled,
    generate,
    map_tensors,
    rated,
    row_count,
    search_inputs,
)
from rnn_cookbook.nn.tensors import Tensor

__all__ = ["LENGTH_NORMALIZATIONS", "beam_search", "ensemble", "greedy_search"]

LENGTH_NORMALIZATIONS = ("none", "average", "gnmt")


def greedy_search(
    step: StepFunction, *, end: int | None, max_length: int
) -> Callable[..., Hypotheses]:
    """Returns a function that takes the most probable symbol at every step; of equal symbols the
    first.

    To the last bit it gives what `beam_search` gives with a beam of 1, no length normalization and
    no `min_length`.

    Args:
        step: step function, see the module's docstring.
        end: symbol that ends a sequence; None generates `max_length` symbols.
        max_length: maximum number of symbols, the end symbol included.

    Raises:
        InputError: a number out of range; the search raises it for inputs of other shapes.
    """
    check_lengths(end, max_length)

    def choose(t, ratings, likeliest):
        return likeliest

    @compiled
    def run(tokens, state, constants, lengths):
        return generate(step, choose, tokens, state, constants, lengths, end)

    def search(start_tokens, state, constants=None, max_length=max_length) -> Hypotheses:
        return run(*search_inputs(start_tokens, state, constants, max_length))

    return search


class _Pool(NamedTuple):
    """The finished hypotheses of a beam search, best first; each [batch, n_best]."""

    scores: Tensor
    log_probabilities: Tensor
    lengths: Tensor
    slots: Tensor  # the beam that the symbols before the end symbol are traced back from


def _merge(pool: _Pool, arrived: _Pool, count: int) -> _Pool:
    # Of equal scores those that were there first stay: stopping early changes no result.
    both = [tf.concat(pair, axis=1) for pair in zip(pool, arrived, strict=True)]
    scores, kept = tf.math.top_k(both[0], count)
    return _Pool(scores, *(tf.gather(x, kept, batch_dims=1) for x in both[1:]))


def _trace_back(trail: Tensor, slots: Tensor, lengths: Tensor) -> Tensor:
    """Follows the beams from the last step to the first.

    (int32[time, 2, batch, beam] symbols and the beams they continue, int32[batch, n], int32[batch,
    n]) -> int32[batch, n, time]
    """

    def back(carried, now):
        slots, _ = carried
        t, moves = now
        symbols, parents = tf.unstack(moves)
        inside = t < lengths
        before = tf.where(inside, tf.gather(parents, slots, batch_dims=1), slots)
        return before, tf.where(inside, tf.gather(symbols, slots, batch_dims=1), 0)

    _, symbols = tf.scan(
        back,
        (tf.range(tf.shape(trail)[0]), trail),
        initializer=(slots, tf.zeros_like(slots)),
        reverse=True,
    )
    return tf.transpose(symbols, [1, 2, 0])


def _hypotheses(
    pool: _Pool, live: Tensor, steps: Tensor, trail: Tensor, *, normalized: Callable, end: int
) -> Hypotheses:
    """Returns the finished hypotheses, then the unfinished ones, whatever their scores.

    Args:
        pool: finished hypotheses.
        live: log-probabilities of the unfinished ones, float64[batch, n_best].
        steps: number of steps of each example, int32[batch].
        trail: symbols and the beams they continue, int32[time, 2, batch, beam].
        normalized: function from log-probabilities and lengths to scores.
        end: symbol that ends a sequence.
    """
    n_best = live.shape[1]
    ranks: Tensor = tf.range(n_best)
    lengths: Tensor = tf.where(live > NEVER, steps[:, None], 0)
    cut_off = _Pool(
        scores=normalized(live, tf.maximum(lengths, 1)),
        log_probabilities=live,
        lengths=lengths,
        slots=tf.broadcast_to(ranks, tf.shape(live)),
    )
    finished: Tensor = pool.scores > NEVER
    place = ranks - tf.reduce_sum(tf.cast(finished, tf.int32), axis=1, keepdims=True)
    chosen = tf.where(place < 0, ranks, n_best + place)
    both = [tf.concat(pair, axis=1) for pair in zip(pool, cut_off, strict=True)]
    best = _Pool(*(tf.gather(x, chosen, batch_dims=1) for x in both))
    tokens = _trace_back(trail, best.slots, best.lengths - tf.cast(finished, tf.int32))
    last = tf.range(tf.shape(tokens)[2]) == best.lengths[..., None] - 1
    tokens = tf.where(last & finished[..., None], end, tokens)
    return Hypotheses(
        tokens=tokens[:, :, : tf.reduce_max(best.lengths)],
        scores=tf.cast(best.scores, tf.float32),
        lengths=best.lengths,
        log_probabilities=tf.cast(best.log_probabilities, tf.float32),
        finished=finished,
    )


def _check_beam(
    *,
    beam: int,
    n_best: int,
    length_normalization: str,
    alpha: float,
    min_length: int,
    longest: int,
) -> None:
    if beam < 1:
        raise InputError(f"beam must be at least 1; received {beam}", field="beam")
    if not 1 <= n_best <= beam:
        raise InputError(
            f"n_best must be from 1 to the beam of {beam}; received {n_best}", field="n_best"
        )
    if length_normalization not in LENGTH_NORMALIZATIONS:
        accepted = ", ".join(LENGTH_NORMALIZATIONS)
        raise InputError(
            f"unknown length normalization {length_normalization!r}; accepted are {accepted}"
        )
    # A negative one would rank short hypotheses above their own continuations, and the early stop
    # would be wrong.
    if not alpha >= 0:
        raise InputError(f"alpha must be at least 0; received {alpha}", field="alpha")
    if not 0 <= min_length <= longest:
        raise InputError(
            f"min_length must be from 0 to max_length {longest}; received {min_length}"
        )


def beam_search(
    step: StepFunction,
    *,
    end: int,
    max_length: int,
    beam: int = 5,
    n_best: int = 1,
    length_normalization: str = "none",
    alpha: float = 0.6,
    min_length: int = 0,
    tile: bool = False,
) -> Callable[..., Hypotheses]:
    """Returns a function that keeps the `beam` best unfinished hypotheses at every step, and the
    `n_best` finished hypotheses in a pool beside them.

    A hypothesis finishes when its end symbol is among the `beam` best continuations of its example;
    the next best continuations take the free places, so finished hypotheses cost no beam. An
    example is done when no unfinished hypothesis can still reach the pool: log-probabilities only
    fall, so an upper bound of a hypothesis is its present log-probability, normalised by the
    greatest length. What reaches `max_length` without an end symbol comes after the finished
    hypotheses, where these are fewer than `n_best`.

    keras-hub's samplers are bound to their caches and a fixed prompt buffer, without length
    normalisation or limits per example; hence this implementation.

    Args:
        step: step function, see the module's docstring.
        end: symbol that ends a sequence.
        max_length: maximum number of symbols, the end symbol included.
        beam: width of the beam.
        n_best: number of hypotheses to return, at most `beam`.
        length_normalization: "none" ranks by log-probability, which favours short hypotheses;
            "average" by log-probability per symbol; "gnmt" by log-probability / ((5 + length) / 6)
            ** alpha (Wu et al. 2016, "Google's Neural Machine Translation System").
        alpha: exponent of "gnmt"; 0 is "none".
        min_length: minimum number of symbols, the end symbol included.
        tile: whether to repeat the constants to rows = batch * beam, once before the loop; costs
            memory.

    Raises:
        InputError: a number out of range or an unknown normalization; the search raises it for
            inputs of other shapes.
    """
    check_lengths(end, max_length)
    if end is None:
        raise InputError("end must be a symbol for beam search; received None")
    _check_beam(
        beam=beam,
        n_best=n_best,
        length_normalization=length_normalization,
        alpha=alpha,
        min_length=min_length,
        longest=max_length,
    )

    def normalized(log_probabilities, lengths):
        lengths = tf.cast(lengths, tf.float64)
        if length_normalization == "average":
            return log_probabilities / lengths
        if length_normalization == "gnmt":
            return log_probabilities / ((5 + lengths) / 6) ** alpha
        return log_probabilities

    def tiled(nest):
        return map_tensors(lambda x: tf.repeat(x, beam, axis=0), nest)

    def unfinished(t, tokens, state, live, steps, done, pool, trail):
        return tf.logical_not(tf.reduce_all(done))

    @compiled
    def run(tokens, state, constants, max_lengths):
        batch = row_count(tokens)
        rows: Tensor = tf.range(batch)
        first_rows = rows[:, None] * beam
        constants = tiled(constants) if tile else constants

        def advance(t, tokens, state, live, steps, done, pool, trail):
            logits, state = call_step(step, tf.reshape(tokens, [-1]), state, constants, end)
            barred: list[tuple[int, Any]] = [(0, True)]
            if min_length > 1:
                barred.append((end, t + 1 < min_length))
            # Every beam has one end symbol, so among twice as many there is a full beam to continue
            # with.
            sums, symbols, parents = best_continuations(rated(logits), live, 2 * beam, barred)
            ended: Tensor = symbols == end

            arrived = ended[:, :beam] & ~done[:, None]
            lengths = tf.fill([batch, beam], t + 1)
            scores = tf.where(arrived, normalized(sums[:, :beam], lengths), NEVER)
            pool = _merge(pool, _Pool(scores, sums[:, :beam], lengths, parents[:, :beam]), n_best)

            sums, survivors = tf.math.top_k(tf.where(~ended, sums, NEVER), beam)
            tokens = tf.gather(symbols, survivors, batch_dims=1)
            parents = tf.gather(parents, survivors, batch_dims=1)
            kept_rows = tf.reshape(first_rows + parents, [-1])
            state = map_tensors(lambda x: tf.gather(x, kept_rows), state)
            live = tf.where(done[:, None], live, sums)
            steps = tf.where(done, steps, t + 1)
            hopeless = normalized(sums[:, 0], max_lengths) <= pool.scores[:, -1]
            done = done | hopeless | (steps >= max_lengths)
            trail = trail.write(t, [tokens, parents])
            return t + 1, tokens, state, live, steps, done, pool, trail

        none: Tensor = tf.zeros([batch, n_best], tf.int32)
        nowhere = tf.fill([batch, n_best], tf.constant(NEVER, tf.float64))
        # All beams start equal: only the first counts.
        first_beam: Tensor = tf.constant([[0.0] + [NEVER] * (beam - 1)], tf.float64)
        copies: Tensor = [batch, 1]
        live: Tensor = tf.tile(first_beam, copies)
        trail = tf.TensorArray(
            tf.int32, size=0, dynamic_size=True, element_shape=[2, live.shape[0], beam]
        )
        start = (
            0,
            tf.repeat(tokens[:, None], beam, axis=1),
            tiled(state),
            live,
            none[:, 0],
            tf.zeros([batch], tf.bool),
            _Pool(nowhere, nowhere, none, none),
            trail,
        )
        _, _, _, live, steps, _, pool, trail = tf.while_loop(unfinished, advance, start)
        return _hypotheses(
            pool, live[:, :n_best], steps, trail.stack(), normalized=normalized, end=end
        )

    def search(start_tokens, state, constants=None, max_length=max_length) -> Hypotheses:
        return run(*search_inputs(start_tokens, state, constants, max_length))

    return search


def ensemble(steps: Sequence[StepFunction]) -> StepFunction:
    """Returns a step function whose probabilities are the mean of those of several, at every step.

    Its state is a tuple with the state of each step function, and so are its constants; all rate
    the same vocabulary.

    Args:
        steps: step functions, see the module's docstring.

    Raises:
        InputError: no step function; the returned function raises it for vocabularies of different
            sizes.
    """
    if not steps:
        raise InputError("an ensemble needs at least 1 step function; received none")

    def step(tokens, states, constants):
        answers = [
            member(tokens, state, constant)
            for member, state, constant in zip(steps, states, constants, strict=True)
        ]
        sizes = [logits.shape[-1] for logits, _ in answers]
        if len(set(sizes)) != 1:
            raise InputError(
                "an ensemble must rate the same vocabulary; received "
                f"{', '.join(map(str, sizes))} logits"
            )
        log_probs = [tf.nn.log_softmax(tf.cast(logits, tf.float32)) for logits, _ in answers]
        mean = tf.reduce_logsumexp(tf.stack(log_probs), axis=0) - math.log(len(steps))
        return mean, tuple(state for _, state in answers)

    return step
