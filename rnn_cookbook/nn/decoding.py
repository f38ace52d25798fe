"""Greedy search, beam search and sampling: compiled loops around any step function.

A step function reads one symbol a row and rates all symbols as the next:

    step(tokens int32[rows], state, constants) -> (logits float[rows, vocabulary], state)

- `state` is any nest (dict, list, tuple) of tensors with leading dimension `rows`; it returns with the structure, shapes and types
  that it came with. `()` where there is none.
- `constants` are any nest of tensors that never change (the outputs of an encoder, their mask), or None. Their leading dimension is
  `batch`, and they are not repeated: rows = batch * beam, the beams of an example side by side, so that an attention layer reshapes its
  queries to [batch, beam, ...]. A step function that wants them row by row asks for `tile=True`.
- Its layers are built before the first call. Weights that change later are seen; Python's `if` and `for` over tensors want a `tf.function`
  around the step function.

Each of `greedy_search`, `beam_search` and `sampler` returns a function that is compiled on its
first call and kept; other batch sizes and lengths do not compile it again and again. Make it once,
outside of loops. It is called with one start symbol an example:

    search(start_tokens int32[batch], state, constants=None, max_length=...) -> Hypotheses

where `max_length` overrides the one given before: an int, or int32[batch] with one for each
example. Symbol 0 is padding and is never generated; its share of the softmax stays, so
log-probabilities are those of the model. Lengths count the end symbol.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rnn_cookbook.errors import InputError

LENGTH_NORMALIZATIONS = ("none", "average", "gnmt")
_NEVER = -float("inf")  # nats
_GROUP = 64  # symbols; see _Ratings


class Hypotheses(NamedTuple):
    """What a search found, best first: `n_best` is 1 but for beam search.

    Where an example has fewer hypotheses than asked for, the last ones have length 0 and minus
    infinity.
    """

    tokens: (
        tf.Tensor
    )  # int32[batch, n_best, time], with the end symbol, then 0; time is the longest length
    # float32[batch, n_best], nats: what the search ranks by, log_probabilities normalised by length
    scores: tf.Tensor
    lengths: tf.Tensor  # int32[batch, n_best]
    log_probabilities: tf.Tensor  # float32[batch, n_best], nats: of all symbols up to the length
    finished: (
        tf.Tensor
    )  # bool[batch, n_best]: the end symbol came before max_length cut the hypothesis off


def greedy_search(step: Callable, *, end: int | None, max_length: int) -> Callable[..., Hypotheses]:
    """Takes the most probable symbol at every step; of equal ones the first.

    To the last bit what `beam_search` finds with a beam of 1, no length normalization and no
    `min_length`.

    Args:
        step: see the module's docstring.
        end: symbol that ends a sequence; None generates `max_length` symbols.
        max_length: symbols at most, with the end symbol.
    """
    _check_lengths(end, max_length, needs_end=False)

    @_compiled
    def run(tokens, state, constants, lengths):
        return _generate(
            step, lambda t, ratings, likeliest: likeliest, tokens, state, constants, lengths, end
        )

    def search(start_tokens, state, constants=None, max_length=max_length) -> Hypotheses:
        return run(*_inputs(start_tokens, state, constants, max_length))

    return search


def sampler(
    step: Callable,
    *,
    end: int | None = None,
    max_length: int,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> Callable[..., Hypotheses]:
    """Draws every symbol at random by its probability.

    The function returned takes two more arguments, by keyword:

        search(start_tokens, state, constants=None, max_length=..., *, seed, temperature=...) -> Hypotheses

    `seed` is an int, or int[batch] with one for each row. The same seed gives the same text. With
    one seed for all, the rows differ, and a row's text depends on its number; with a seed for each
    row, it does not depend on what else is in the batch. `temperature` may be float32[batch].
    Scores and log-probabilities are the model's own, whatever the temperature and the cuts.

    The cuts come after the temperature, `top_k` before `top_p`, which is then a share of what
    `top_k` left.

    Args:
        step, end, max_length: see `greedy_search`.
        temperature: divides the logits. Below 1 the probable gets more probable; 0 is
            `greedy_search`.
        top_k: draw from the k most probable symbols only (Fan et al. 2018, "Hierarchical Neural
            Story Generation"); 0 for all.
        top_p: draw from the fewest symbols that together have this probability (nucleus: Holtzman
            et al. 2020, "The Curious Case of Neural Text Degeneration"). Without `top_k` this sorts
            the vocabulary at every step, which takes longer than most models.
    """
    _check_lengths(end, max_length, needs_end=False)
    _check(top_k >= 0, f"top_k must be 0 (all symbols) or more, got {top_k}")
    _check(0 < top_p <= 1, f"top_p must be above 0 and at most 1, got {top_p}")

    @_compiled
    def run(tokens, state, constants, lengths, seeds, temperature):
        # One number a row and step, drawn row by row, so that a row never sees the batch; float64,
        # because float32 has no numbers to spare for rare symbols in large vocabularies.
        longest = tf.reduce_max(lengths)
        noise = tf.map_fn(
            lambda seed: tf.random.stateless_uniform([longest], seed=seed, dtype=tf.float64),
            seeds,
            fn_output_signature=tf.float64,
        )

        def draw(t, ratings, likeliest):
            drawn = _draw(ratings, temperature, noise[:, t], top_k, top_p)
            return tf.where(temperature > 0, drawn, likeliest)

        return _generate(step, draw, tokens, state, constants, lengths, end)

    def search(
        start_tokens, state, constants=None, max_length=max_length, *, seed, temperature=temperature
    ) -> Hypotheses:
        inputs = _inputs(start_tokens, state, constants, max_length)
        batch = _rows(inputs[0])
        temperature = _per_example("temperature", temperature, tf.float32, batch, least=0)
        row = tf.range(batch, dtype=tf.int64) if np.ndim(seed) == 0 else tf.zeros([batch], tf.int64)
        seed = _per_example("seed", seed, tf.int64, batch)
        return run(*inputs, tf.stack([seed, row], axis=1), temperature)

    return search


def beam_search(
    step: Callable,
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
    """Keeps the `beam` best unfinished hypotheses at every step, and the `n_best` finished ones in
    a pool beside them.

    A hypothesis finishes when its end symbol is among the `beam` best continuations of its example;
    the next best ones take the free places, so finished hypotheses cost no beam. An example is done
    when no unfinished hypothesis can still reach the pool: log-probabilities only fall, so the best
    that one can become is its own, normalised by the greatest length. What reaches `max_length`
    without an end symbol comes after the finished ones, where these are fewer than `n_best`.

    Args:
        step, max_length: see `greedy_search`.
        end: symbol that ends a sequence.
        beam: width.
        n_best: hypotheses to return, at most `beam`.
        length_normalization: "none" ranks by log-probability, which favours short hypotheses;
            "average" by log-probability per symbol; "gnmt" by log-probability / ((5 + length) / 6)
            ** alpha (Wu et al. 2016, "Google's Neural Machine Translation System").
        alpha: of "gnmt"; 0 is "none".
        min_length: the end symbol is barred from making hypotheses shorter than this, itself
            counted.
        tile: repeat the constants to rows = batch * beam, once before the loop; costs memory.
    """
    _check_lengths(end, max_length, needs_end=True)
    _check(beam >= 1, f"a beam must be 1 or wider, got {beam}")
    _check(1 <= n_best <= beam, f"n_best must be from 1 to the beam of {beam}, got {n_best}")
    accepted = ", ".join(LENGTH_NORMALIZATIONS)
    _check(
        length_normalization in LENGTH_NORMALIZATIONS,
        f"unknown length normalization {length_normalization!r}; accepted are {accepted}",
    )
    # A negative one would rank short hypotheses above themselves continued, and the early stop
    # would be wrong.
    _check(alpha >= 0, f"alpha must be 0 or more, got {alpha}")
    _check(
        0 <= min_length <= max_length,
        f"min_length must be from 0 to max_length {max_length}, got {min_length}",
    )

    def normalized(log_probabilities, lengths):
        lengths = tf.cast(lengths, tf.float64)
        if length_normalization == "average":
            return log_probabilities / lengths
        return (
            log_probabilities / ((5 + lengths) / 6) ** alpha
            if length_normalization == "gnmt"
            else log_probabilities
        )

    @_compiled
    def run(tokens, state, constants, max_lengths):
        batch = _rows(tokens)
        first_rows = tf.range(batch)[:, None] * beam
        tiled = lambda nest: _map(lambda x: tf.repeat(x, beam, axis=0), nest)
        constants = tiled(constants) if tile else constants

        def unfinished(t, tokens, state, live, steps, done, pool, trail):
            return tf.logical_not(tf.reduce_all(done))

        def advance(t, tokens, state, live, steps, done, pool, trail):
            logits, state = _step(step, tf.reshape(tokens, [-1]), state, constants, end)
            barred = [(0, True)] + ([(end, t + 1 < min_length)] if min_length > 1 else [])
            # Every beam has one end symbol, so among twice as many there is a full beam to go on
            # with.
            sums, symbols, parents = _best(_rated(logits), live, 2 * beam, barred)
            ended = symbols == end

            arrived = ended[:, :beam] & ~done[:, None]
            lengths = tf.fill([batch, beam], t + 1)
            scores = tf.where(arrived, normalized(sums[:, :beam], lengths), _NEVER)
            pool = _merge(pool, _Pool(scores, sums[:, :beam], lengths, parents[:, :beam]), n_best)

            sums, survivors = tf.math.top_k(tf.where(~ended, sums, _NEVER), beam)
            tokens, parents = (tf.gather(x, survivors, batch_dims=1) for x in (symbols, parents))
            rows = tf.reshape(first_rows + parents, [-1])
            state = _map(lambda x: tf.gather(x, rows), state)
            live, steps = tf.where(done[:, None], live, sums), tf.where(done, steps, t + 1)
            hopeless = normalized(sums[:, 0], max_lengths) <= pool.scores[:, -1]
            return (
                t + 1,
                tokens,
                state,
                live,
                steps,
                done | hopeless | (steps >= max_lengths),
                pool,
                trail.write(t, [tokens, parents]),
            )

        none = tf.zeros([batch, n_best], tf.int32)
        nowhere = tf.fill([batch, n_best], tf.constant(_NEVER, tf.float64))
        # All beams start equal: one counts.
        live = tf.tile(tf.constant([[0.0] + [_NEVER] * (beam - 1)], tf.float64), [batch, 1])
        start = (
            0,
            tf.repeat(tokens[:, None], beam, axis=1),
            tiled(state),
            live,
            none[:, 0],
            tf.zeros([batch], tf.bool),
        )
        trail = tf.TensorArray(
            tf.int32, size=0, dynamic_size=True, element_shape=[2, live.shape[0], beam]
        )
        loop = tf.while_loop(
            unfinished, advance, (*start, _Pool(nowhere, nowhere, none, none), trail)
        )
        _, _, _, live, steps, _, pool, trail = loop

        live = live[:, :n_best]
        lengths = tf.where(live > _NEVER, steps[:, None], 0)
        cut_off = _Pool(
            normalized(live, tf.maximum(lengths, 1)),
            live,
            lengths,
            tf.broadcast_to(tf.range(n_best), [batch, n_best]),
        )
        finished = pool.scores > _NEVER
        # The unfinished follow the finished, whatever their scores.
        place = tf.range(n_best) - tf.reduce_sum(tf.cast(finished, tf.int32), axis=1, keepdims=True)
        chosen = tf.where(place < 0, tf.range(n_best), n_best + place)
        best = _Pool(
            *(
                tf.gather(tf.concat(both, axis=1), chosen, batch_dims=1)
                for both in zip(pool, cut_off, strict=True)
            )
        )
        tokens = _trace_back(trail.stack(), best.slots, best.lengths - tf.cast(finished, tf.int32))
        last = tf.range(tf.shape(tokens)[2]) == best.lengths[..., None] - 1
        tokens = tf.where(last & finished[..., None], end, tokens)[
            :, :, : tf.reduce_max(best.lengths)
        ]
        scores, log_probabilities = (
            tf.cast(x, tf.float32) for x in (best.scores, best.log_probabilities)
        )
        return Hypotheses(tokens, scores, best.lengths, log_probabilities, finished)

    def search(start_tokens, state, constants=None, max_length=max_length) -> Hypotheses:
        return run(*_inputs(start_tokens, state, constants, max_length))

    return search


def ensemble(steps: Sequence[Callable]) -> Callable:
    """One step function of several: what they think together is the mean of their probabilities, at
    every step.

    Its state is a tuple with one of each, and so are its constants; all rate the same vocabulary.

    Args:
        steps: see the module's docstring.
    """
    _check(len(steps) > 0, "an ensemble needs a step function")

    def step(tokens, states, constants):
        rated = [
            one(tokens, state, constant)
            for one, state, constant in zip(steps, states, constants, strict=True)
        ]
        sizes = [logits.shape[-1] for logits, _ in rated]
        _check(
            len(set(sizes)) == 1,
            f"an ensemble must rate one vocabulary, got {', '.join(map(str, sizes))} logits",
        )
        shares = [tf.nn.log_softmax(tf.cast(logits, tf.float32)) for logits, _ in rated]
        return tf.reduce_logsumexp(tf.stack(shares), axis=0) - math.log(len(steps)), tuple(
            state for _, state in rated
        )

    return step


class _Pool(NamedTuple):
    """Hypotheses of beam search, best first; each [batch, n_best]."""

    scores: tf.Tensor
    log_probabilities: tf.Tensor
    lengths: tf.Tensor
    slots: tf.Tensor  # the beam that the symbols before the end symbol are traced back from


def _merge(pool: _Pool, arrived: _Pool, count: int) -> _Pool:
    # Of equal ones those that were there first stay: stopping early changes no result.
    both = [tf.concat(pair, axis=1) for pair in zip(pool, arrived, strict=True)]
    scores, kept = tf.math.top_k(both[0], count)
    return _Pool(scores, *(tf.gather(x, kept, batch_dims=1) for x in both[1:]))


def _trace_back(trail, slots, lengths):
    """Follows the beams from the last step to the first.

    (int32[time, 2, batch, beam] symbols and the beams they continue, int32[batch, n], int32[batch,
    n]) -> int32[batch, n, time]
    """

    def back(carried, now):
        slots, _ = carried
        t, (symbols, parents) = now[0], tf.unstack(now[1])
        inside = t < lengths
        follow = lambda x, outside: tf.where(inside, tf.gather(x, slots, batch_dims=1), outside)
        return follow(parents, slots), follow(symbols, 0)

    _, symbols = tf.scan(
        back,
        (tf.range(tf.shape(trail)[0]), trail),
        initializer=(slots, tf.zeros_like(slots)),
        reverse=True,
    )
    return tf.transpose(symbols, [1, 2, 0])


def _generate(step, choose, tokens, state, constants, max_lengths, end) -> Hypotheses:
    """One hypothesis an example, whose next symbols are `choose(t, ratings, likeliest
    int32[batch])`: greedy search, sampling."""
    batch = _rows(tokens)

    def unfinished(t, tokens, state, sums, lengths, finished, trail):
        return tf.reduce_any(~finished & (lengths < max_lengths))

    def advance(t, tokens, state, sums, lengths, finished, trail):
        logits, state = _step(step, tokens, state, constants, end)
        ratings = _rated(logits)
        tokens = choose(t, ratings, _best(ratings, nothing, 1, [(0, True)])[1][:, 0])
        chosen = tf.gather(logits, tokens[:, None], batch_dims=1)
        gained = _gains(chosen, ratings.log_normalizer[:, None])[:, 0]
        going = ~finished & (lengths < max_lengths)
        tokens, sums = tf.where(going, tokens, 0), tf.where(going, sums + gained, sums)
        lengths += tf.cast(going, tf.int32)
        finished = finished if end is None else finished | (tokens == end)
        return t + 1, tokens, state, sums, lengths, finished, trail.write(t, tokens)

    nothing = tf.zeros([batch, 1], tf.float64)
    trail = tf.TensorArray(tf.int32, size=0, dynamic_size=True, element_shape=tokens.shape)
    start = (
        0,
        tokens,
        state,
        nothing[:, 0],
        tf.zeros([batch], tf.int32),
        tf.zeros([batch], tf.bool),
        trail,
    )
    _, _, _, sums, lengths, finished, trail = tf.while_loop(unfinished, advance, start)
    sums, lengths, finished = (
        tf.cast(sums[:, None], tf.float32),
        lengths[:, None],
        finished[:, None],
    )
    return Hypotheses(tf.transpose(trail.stack())[:, None], sums, lengths, sums, finished)


def _draw(ratings, temperature, noise, top_k, top_p):
    """Inverse of the cumulative distribution: (_Ratings, float32[rows], float64[rows] in [0, 1)) ->
    int32[rows]."""
    size = ratings.grouped.shape[1] * _GROUP
    if top_k or top_p < 1:
        logits, symbols, _ = _best(
            ratings, tf.zeros_like(noise)[:, None], top_k or size, [(0, True)]
        )
    else:
        logits = tf.where(tf.range(size) == 0, _NEVER, tf.reshape(ratings.grouped, [-1, size]))
        symbols = None
    # The maximum goes before the division: next to nothing is a divisor, too.
    temperature = tf.cast(tf.maximum(temperature, 1e-30), logits.dtype)[:, None]
    shares = tf.cast(
        tf.nn.softmax((logits - tf.reduce_max(logits, axis=1, keepdims=True)) / temperature),
        tf.float64,
    )
    if top_p < 1:
        shares = tf.where(tf.cumsum(shares, axis=1, exclusive=True) < top_p, shares, 0)
    heaped = tf.cumsum(shares, axis=1)
    drawn = tf.searchsorted(heaped, (noise * heaped[:, -1])[:, None], side="right")[:, 0]
    return drawn if symbols is None else tf.gather(symbols, drawn, batch_dims=1)


class _Ratings(NamedTuple):
    """Logits in groups of `_GROUP` symbols, the last one filled up with minus infinity.

    `top_k` and `reduce_logsumexp` over a vocabulary together take as long on a CPU as the matrix
    product that made the logits. The largest values lie in the groups with the largest maxima, and
    maxima are cheap.
    """

    grouped: tf.Tensor  # float32[rows, groups, _GROUP]
    maxima: tf.Tensor  # float32[rows, groups]
    log_normalizer: tf.Tensor  # float64[rows]: log(sum(exp(logits)))


def _rated(logits) -> _Ratings:
    size = logits.shape[1]
    if size % _GROUP:
        logits = tf.pad(logits, [[0, 0], [0, -size % _GROUP]], constant_values=_NEVER)
    grouped = tf.reshape(logits, [-1, logits.shape[1] // _GROUP, _GROUP])
    maxima = tf.reduce_max(grouped, axis=2)
    # One fused softmax takes half the time of the four passes of reduce_logsumexp; its largest
    # share loses no digits.
    shares = tf.reshape(tf.nn.softmax(logits), tf.shape(grouped))
    share = tf.reduce_max(tf.gather(shares, tf.argmax(maxima, axis=1), batch_dims=1), axis=1)
    log_normalizer = tf.cast(tf.reduce_max(maxima, axis=1), tf.float64) - tf.math.log(
        tf.cast(share, tf.float64)
    )
    # A step function may forbid every symbol by minus infinity; their sum is no number then, and
    # none of them shall win.
    return _Ratings(
        grouped, maxima, tf.where(tf.math.is_finite(log_normalizer), log_normalizer, float("inf"))
    )


def _gains(logits, log_normalizer):
    # float64, because sums over many steps lose digits, and sums that round to the same number
    # would lose the order of the logits. Rounding must not lift a log-probability above 0: the
    # early stop of beam search relies on it.
    return tf.minimum(tf.cast(logits, tf.float64) - log_normalizer, 0)


def _best(ratings, live, count, barred):
    """The best continuations of each example, in falling order; the first of equal ones first.

    (_Ratings of batch * beam rows, float64[batch, beam] log-probabilities so far) -> float64,
    symbols int32, beams int32[batch, count]

    `barred` are pairs of a symbol and whether it is barred. What is barred or continues nothing has
    minus infinity and symbol 0.
    """
    beam, groups = live.shape[1], ratings.grouped.shape[1]
    log_normalizer = tf.reshape(ratings.log_normalizer, [-1, beam, 1])
    maxima = live[..., None] + _gains(
        tf.reshape(ratings.maxima, [-1, beam, groups]), log_normalizer
    )
    # A barred symbol can take the place of one group in every beam.
    wanted = min(count + beam * len(barred), beam * groups)
    _, group = tf.math.top_k(tf.reshape(maxima, [-1, beam * groups]), wanted)
    group = tf.sort(group, axis=1)
    logits = tf.gather(
        tf.reshape(ratings.grouped, [-1, beam * groups, _GROUP]), group, batch_dims=1
    )
    live, log_normalizer = (
        tf.gather(x, group // groups, batch_dims=1)[..., None]
        for x in (live, log_normalizer[..., 0])
    )
    symbols = (group % groups * _GROUP)[..., None] + tf.range(_GROUP)
    for symbol, now in barred:
        logits = tf.where((symbols == symbol) & now, _NEVER, logits)
    sums, place = tf.math.top_k(
        tf.reshape(live + _gains(logits, log_normalizer), [-1, wanted * _GROUP]),
        min(count, wanted * _GROUP),
    )
    symbols, beams = (
        tf.gather(x, place // _GROUP, batch_dims=1)
        for x in (group % groups * _GROUP, group // groups)
    )
    return sums, tf.where(sums > _NEVER, symbols + place % _GROUP, 0), beams


def _step(step, tokens, state, constants, end):
    """Calls the step function and checks what it returns: the loop needs its state as it was, and
    says so less clearly."""
    logits, new = step(tokens, state, constants)
    try:
        tf.nest.assert_same_structure(state, new, check_types=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the step function must return its state in the structure {_shapes(state)}, got {_shapes(new)}"
        ) from error
    kept = []
    for before, after in zip(tf.nest.flatten(state), tf.nest.flatten(new), strict=True):
        after = tf.convert_to_tensor(after)
        if after.dtype != before.dtype or not before.shape.is_compatible_with(after.shape):
            raise InputError(
                f"the step function must return its state as {_shapes(before)}, got {_shapes(after)}"
            )
        kept.append(tf.ensure_shape(after, before.shape))
    logits = tf.convert_to_tensor(logits)
    if logits.shape.rank != 2 or logits.shape[1] is None or not logits.dtype.is_floating:
        raise InputError(
            f"the step function must return logits float[rows, vocabulary] of known vocabulary, got {_shapes(logits)}"
        )
    if logits.shape[1] <= max(end or 0, 1):
        raise InputError(
            f"the vocabulary must hold more than padding, and the end symbol {end}; got {logits.shape[1]} logits"
        )
    # float32 also under mixed precision, where a softmax loses digits.
    return tf.cast(logits, tf.float32), tf.nest.pack_sequence_as(state, kept)


def _compiled(function):
    # Without AutoGraph: nothing here needs it, and it warns about step functions whose source it
    # cannot read. A `partial`, because TensorFlow counts compilations by code: five searches in a
    # row would warn of one compiled five times.
    return tf.function(functools.partial(function), autograph=False, reduce_retracing=True)


def _inputs(start_tokens, state, constants, max_length):
    """Everything as tensors, so that no call compiles anew for another number or array: tokens,
    state, constants, int32[batch]."""
    tokens = tf.convert_to_tensor(start_tokens)
    if tokens.shape.rank != 1 or not tokens.dtype.is_integer:
        raise InputError(f"start tokens must be int32[batch], got {_shapes(tokens)}")
    tokens, batch = tf.cast(tokens, tf.int32), _rows(tokens)
    state, constants = _map(tf.convert_to_tensor, state), _map(tf.convert_to_tensor, constants)
    for name, nest in (("state", state), ("constants", constants)):
        for x in tf.nest.flatten(nest):
            if x is not None and (
                x.shape.rank == 0 or not tokens.shape.is_compatible_with(x.shape[:1])
            ):
                raise InputError(
                    f"{name} must have the leading dimension {tokens.shape[0]} of the start tokens, got {_shapes(x)}"
                )
    return (
        tokens,
        state,
        constants,
        _per_example("max_length", max_length, tf.int32, batch, least=1),
    )


def _per_example(name, value, dtype, batch, least=None):
    value = tf.convert_to_tensor(value if tf.is_tensor(value) else np.asarray(value))
    if value.shape.rank not in (0, 1) or (
        value.shape.rank and isinstance(batch, int) and value.shape[0] not in (None, batch)
    ):
        raise InputError(
            f"{name} must be one number or one for each of the {batch} examples, got {_shapes(value)}"
        )
    _check(
        value.dtype.is_integer or not dtype.is_integer,
        f"{name} must be integer, got {_shapes(value)}",
    )
    known = tf.get_static_value(value)
    _check(
        least is None or known is None or (known >= least).all(),
        f"{name} must be {least} or more, got {known}",
    )
    return tf.broadcast_to(tf.cast(value, dtype), [batch])


def _check_lengths(end, max_length, needs_end):
    _check(end is None or end >= 1, f"the end symbol must be 1 or more (0 is padding), got {end}")
    _check(end is not None or not needs_end, "beam search needs an end symbol, got None")
    _check(max_length >= 1, f"max_length must be 1 or more, got {max_length}")


def _check(accepted, message: str) -> None:
    if not accepted:
        raise InputError(message)


def _map(function, nest):
    return tf.nest.map_structure(lambda x: None if x is None else function(x), nest)


def _rows(tensor):
    return tensor.shape[0] if tensor.shape[0] is not None else tf.shape(tensor)[0]


def _shapes(nest) -> str:
    shown = tf.nest.map_structure(
        lambda x: f"{x.dtype.name}{x.shape}" if tf.is_tensor(x) else type(x).__name__, nest
    )
    return str(shown).replace("'", "")
