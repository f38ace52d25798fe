"""Algorithms of the linear-chain conditional random field (CRF): likelihood, best path, marginals.

Lafferty et al. (2001, "Conditional Random Fields"). The score of a path of tags is the sum of its
scores, one for each step, and of its transitions, one for each pair of neighbours; its probability
is the softmax over all paths. `nn.crf` has the layer that learns the transitions.

Scores float[batch, time, tags], finite; transitions float[tags, tags], from the row to the column;
masks bool[batch, time], right-padded, every row with at least one step. Values at padding are never
read. All sums are float32, whatever the dtype of the inputs.

How it is computed. Two recursions run side by side in one loop, from both ends of each sequence to
its middle; the gradient, written by hand, runs in one loop from the middle back to both ends: the
arithmetic of the textbook's forward and backward recursion in half the loop steps. No mask takes
part in the loops: the middle of each row is looked up afterwards. Everything is computed with
logarithms. Scaled probabilities would turn the large sums into matrix products, but in float32 they
lose every path that falls 88 nats behind, and a constraint can make exactly that path the best one;
with 9 or 17 tags they were not faster either, with 45 they would be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from rnn_cookbook.nn.tensors import Tensor

__all__ = [
    "NEVER",
    "PADDING",
    "crf_conditionals",
    "crf_log_likelihood",
    "crf_log_partition",
    "crf_marginals",
    "crf_partial_log_likelihood",
    "crf_viterbi",
]

# Pads the labels: 0 is a tag.
PADDING = -1

# Score in nats of what is forbidden in decoding: below any sum of emissions.
NEVER = -1e30

# Smallest probability whose logarithm is taken: above the smallest normal float32.
_SMALLEST = 1e-37


def _prepare(scores: Tensor, mask: Tensor, transitions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    # Tensors from variables too: a custom gradient does not take variables for inputs.
    scores = tf.convert_to_tensor(scores)
    transitions = tf.convert_to_tensor(transitions)
    mask = tf.convert_to_tensor(mask)
    mask = tf.cast(mask, tf.bool)
    scores = tf.where(mask[..., None], tf.cast(scores, tf.float32), 0.0)
    return scores, mask, tf.cast(transitions, tf.float32)


def _logsumexp(x: Tensor, axis: int) -> Tensor:
    # TensorFlow's own also provides for infinities, at twice the operations.
    peak = tf.reduce_max(x, axis=axis, keepdims=True)
    return tf.math.log(tf.reduce_sum(tf.exp(x - peak), axis=axis)) + tf.squeeze(peak, axis=axis)


def _centred(scores: Tensor) -> Tensor:
    # The same number for all tags of a step changes no probability, and without it the difference
    # of two large sums keeps its digits.
    return scores - tf.stop_gradient(tf.reduce_max(scores, axis=-1, keepdims=True))


def _path_score(scores: Tensor, tags: Tensor, mask: Tensor, transitions: Tensor) -> Tensor:
    # One-hot vectors and a matrix product: gathering has a slower gradient, and zero vectors make
    # the padding count nothing.
    path: Tensor = tf.one_hot(tf.where(mask, tf.cast(tags, tf.int32), PADDING), scores.shape[-1])
    pairs: Tensor = tf.tensordot(path[:, :-1], transitions, axes=1) * path[:, 1:]
    return tf.reduce_sum(scores * path, axis=[1, 2]) + tf.reduce_sum(pairs, axis=[1, 2])


class _Chain:
    """The recursions of a batch. Side 0 reads from the first step on, side 1 from the last step
    back, with transposed transitions.

    A row of n steps meets at its step n // 2, which is the last of side 0 and the last that side 1
    looks at. Tensors are [half, side, tags, batch]: the loops take them apart along the first axis,
    and the last one is long and contiguous.

    Args:
        collect: reduction of what a tag gets from its predecessors: logsumexp for sums over all
            paths, maximum for the best path.
    """

    def __init__(
        self, scores: Tensor, mask: Tensor, transitions: Tensor, *, collect: Callable[..., Tensor]
    ):
        self.lengths: Tensor = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
        self.time: Tensor = tf.shape(scores)[1]
        self.half = self.time // 2 + 1
        self.transitions: Tensor = tf.stack([transitions, tf.transpose(transitions)])
        self.collect = collect
        sides: Tensor = tf.stack([scores[:, : self.half], self._reverse(scores)[:, : self.half]])
        sides = tf.transpose(sides, [2, 0, 3, 1])
        # What each tag gets from before its step, and with the step itself, shifted so that the
        # best tag of a step has 0.
        self.before: Tensor = self._forward(sides)
        after: Tensor = self.before + sides
        shift: Tensor = tf.reduce_max(after, axis=2, keepdims=True)
        self.after = after - shift
        self.shift = shift[:, :, 0]
        middle = self.lengths // 2
        self.middle: Tensor = tf.stack([middle, self.lengths - 1 - middle])
        steps: Tensor = tf.range(self.half)
        self.steps = steps[:, None, None]
        self.meets = self.steps == self.middle
        both: Tensor = tf.stack([self.after[:, 0], self.before[:, 1]], axis=1)
        self.meeting: Tensor = tf.reduce_sum(
            tf.where(self.meets[:, :, None], both, 0.0), axis=[0, 1]
        )

    def _reverse(self, x: Tensor) -> Tensor:
        return tf.reverse_sequence(x, self.lengths, seq_axis=1)

    def _array(self, element_shape, dtype=tf.float32) -> Any:
        return tf.TensorArray(dtype, size=self.half, element_shape=element_shape)

    def _unstacked(self, x: Tensor) -> Any:
        return self._array(x.shape[1:]).unstack(x)

    def _forward(self, sides: Tensor) -> Tensor:
        steps = self._unstacked(sides)
        before = self._array(sides.shape[1:])

        def step(k, state, before):
            arriving = self.collect(state[:, :, None] + self.transitions[..., None], axis=1)
            state = arriving + steps.read(k)
            # Shifted at every step: thousands of steps would use up the digits.
            state -= tf.reduce_max(state, axis=1, keepdims=True)
            return k + 1, state, before.write(k, arriving)

        state = sides[0] - tf.reduce_max(sides[0], axis=1, keepdims=True)
        before = before.write(0, tf.zeros_like(state))
        _, _, before = tf.while_loop(lambda k, *_: k < self.half, step, (1, state, before))
        return before.stack()

    def total(self) -> Tensor:
        """Returns the reduction over all paths: float32[batch]."""
        used = self.steps < self.middle + tf.constant([[1], [0]])
        shifts = tf.reduce_sum(tf.where(used, self.shift, 0.0), axis=[0, 1])
        return self.collect(self.meeting, axis=0) + shifts

    def marginals(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the gradient of the total, weighted by row.

        These are the marginals of each row times its weight, float32[batch, time, tags], and the
        weighted sum of the expected pairs, float32[tags, tags].
        """
        meeting = tf.nn.softmax(self.meeting, axis=0) * weights
        begin: Tensor = tf.where(self.meets[:, :, None], meeting, 0.0)
        begins = self._unstacked(begin)
        after = self._unstacked(self.after)
        before = self._unstacked(self.before)

        def step(k, here, pairs, result):
            # The probability of each predecessor given its successor is a softmax; nothing is
            # subtracted from a total of the sequence.
            reached = after.read(k - 1)[:, :, None] + self.transitions[..., None]
            given = tf.exp(reached - before.read(k)[:, None])
            pair = given * here[:, None]
            previous = tf.reduce_sum(pair, axis=2) + begins.read(k - 1)
            return k - 1, previous, pairs + pair, result.write(k, here)

        pairs: Tensor = tf.zeros_like(self.after[0, :, None] + self.transitions[..., None])
        loop = (self.half - 1, begin[-1], pairs, self._array(begin.shape[1:]))
        _, here, pairs, result = tf.while_loop(lambda k, *_: k > 0, step, loop)
        pairs = tf.reduce_sum(pairs, axis=-1)
        marginals = self._join(tf.transpose(result.write(0, here).stack(), [0, 1, 3, 2]))
        return marginals, pairs[0] + tf.transpose(pairs[1])

    def best_path(self) -> Tensor:
        """Returns int32[batch, time], 0 at padding."""
        after = self._unstacked(tf.transpose(self.after, [0, 1, 3, 2]))
        middle: Tensor = tf.argmax(self.meeting, axis=0, output_type=tf.int32)
        predecessors = tf.transpose(self.transitions, [0, 2, 1])

        def step(k, tags, result):
            reached = after.read(k) + tf.gather(predecessors, tags, batch_dims=1)
            best = tf.argmax(reached, axis=-1, output_type=tf.int32)
            tags = tf.where(k < self.middle, best, middle)
            return k - 1, tags, result.write(k, tags)

        tags = tf.tile(middle[None], [2, 1])
        result = self._array(tags.shape, dtype=tf.int32)
        _, _, result = tf.while_loop(lambda k, *_: k >= 0, step, (self.half - 1, tags, result))
        path: Tensor = tf.where(self.steps <= self.middle, result.stack(), 0)
        return self._join(path[..., None])[..., 0]

    def _join(self, sides: Tensor) -> Tensor:
        """Puts both sides together: [half, side, batch, any] -> [batch, time, any]. The middle is
        taken from side 0."""
        twice: Tensor = tf.stack([tf.zeros_like(self.meets[:, 0]), self.meets[:, 1]], axis=1)
        kept = tf.where(twice[..., None], tf.zeros_like(sides), sides)
        missing: Tensor = self.time - self.half
        padded = tf.pad(tf.transpose(kept, [1, 2, 0, 3]), [[0, 0], [0, 0], [0, missing], [0, 0]])
        left, right = tf.unstack(padded)
        return left + self._reverse(right)


def crf_log_partition(scores: Tensor, mask: Tensor, transitions: Tensor) -> Tensor:
    """Returns the logarithm of the sum over all paths, float32[batch].

    The first gradient is exact; asking for a second one raises.

    Args:
        scores: scores of the tags at each step, float[batch, time, tags].
        mask: steps that are not padding, bool[batch, time].
        transitions: scores of the pairs of tags, float[tags, tags], from the row to the column.
    """
    scores, mask, transitions = _prepare(scores, mask, transitions)

    @tf.custom_gradient
    def partition(scores, transitions) -> Any:
        chain = _Chain(scores, mask, transitions, collect=_logsumexp)

        def gradient(upstream):
            return [
                tf.raw_ops.PreventGradient(input=x, message="the CRF has no second gradient")
                for x in chain.marginals(upstream)
            ]

        return chain.total(), gradient

    return partition(scores, transitions)


def crf_log_likelihood(scores: Tensor, tags: Tensor, mask: Tensor, transitions: Tensor) -> Tensor:
    """Returns the logarithm of the probability of each given path in nats, float32[batch].

    The first gradient is exact; asking for a second one raises.

    Args:
        scores: scores of the tags at each step, float[batch, time, tags].
        tags: the path, int[batch, time].
        mask: steps that are not padding, bool[batch, time].
        transitions: scores of the pairs of tags, float[tags, tags], from the row to the column.
    """
    scores, mask, transitions = _prepare(scores, mask, transitions)
    scores = _centred(scores)
    path = _path_score(scores, tags, mask, transitions)
    return path - crf_log_partition(scores, mask, transitions)


def crf_partial_log_likelihood(
    scores: Tensor, tags: Tensor, mask: Tensor, transitions: Tensor
) -> Tensor:
    """Returns the logarithm of the probability of all paths through the given tags in nats,
    float32[batch].

    With all steps given it is `crf_log_likelihood`; with one step, the logarithm of a marginal;
    with the steps of an entity, the model's confidence in the entity. As a loss it trains on
    sentences of which only parts are labelled (Tsuboi et al. 2008).

    Args:
        scores: scores of the tags at each step, float[batch, time, tags].
        tags: the given tags, int[batch, time]; -1 leaves a step open.
        mask: steps that are not padding, bool[batch, time].
        transitions: scores of the pairs of tags, float[tags, tags], from the row to the column.
    """
    scores, mask, transitions = _prepare(scores, mask, transitions)
    scores = _centred(scores)
    given: Tensor = tf.cast(tags, tf.int32)
    given = given[..., None]
    barred = (given >= 0) & (given != tf.range(scores.shape[-1]))
    through = crf_log_partition(tf.where(barred, NEVER, scores), mask, transitions)
    return through - crf_log_partition(scores, mask, transitions)


def crf_viterbi(scores: Tensor, mask: Tensor, transitions: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the best path of each sequence, int32[batch, time] with 0 at padding, and its score,
    float32[batch].

    Args:
        scores: scores of the tags at each step, float[batch, time, tags].
        mask: steps that are not padding, bool[batch, time].
        transitions: scores of the pairs of tags, float[tags, tags], from the row to the column.
    """
    scores, mask, transitions = _prepare(scores, mask, transitions)
    path = _Chain(scores, mask, transitions, collect=tf.reduce_max).best_path()
    return path, _path_score(scores, path, mask, transitions)


def crf_marginals(scores: Tensor, mask: Tensor, transitions: Tensor) -> Tensor:
    """Returns the probability of each tag at each step given the whole sequence, float32[batch,
    time, tags]; 0 at padding.

    Args:
        scores: scores of the tags at each step, float[batch, time, tags].
        mask: steps that are not padding, bool[batch, time].
        transitions: scores of the pairs of tags, float[tags, tags], from the row to the column.
    """
    scores, mask, transitions = _prepare(scores, mask, transitions)
    chain = _Chain(scores, mask, transitions, collect=_logsumexp)
    marginals, _ = chain.marginals(tf.ones(tf.shape(scores)[0]))
    return marginals


def _following(scores: Tensor, mask: Tensor, transitions: Tensor) -> Tensor:
    """Returns the backward variables of all steps but the last, float32[time - 1, batch, tags].

    They are shifted so that the best tag of a step has 0, which no conditional notices.
    """
    steps: Tensor = tf.transpose(scores, [1, 0, 2])
    here: Tensor = tf.transpose(mask)

    def step(after, now):
        scores, mask = now
        arriving: Tensor = tf.where(mask[:, None], scores + after, 0.0)
        total = _logsumexp(transitions + arriving[:, None], axis=2)
        total -= tf.reduce_max(total, axis=1, keepdims=True)
        return tf.where(mask[:, None], total, 0.0)

    return tf.scan(step, (steps[1:], here[1:]), initializer=tf.zeros_like(steps[0]), reverse=True)


def crf_conditionals(
    scores: Tensor, tags: Tensor, mask: Tensor, transitions: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns the log-probability of each step of a path, by itself and given the step before it.

    Both are float32[batch, time] in nats, 0 at padding: the logarithm of each tag's marginal, and
    of its probability given the tag before it (0 at the first step). A path from step a to step b
    has the probability exp(marginal[a] + the sum of the conditionals a + 1 to b): any number of
    windows of a sequence for one pass over it.

    Args:
        scores: scores of the tags at each step, float[batch, time, tags].
        tags: the path, int32[batch, time].
        mask: steps that are not padding, bool[batch, time].
        transitions: scores of the pairs of tags, float[tags, tags], from the row to the column.
    """
    scores, mask, transitions = _prepare(scores, mask, transitions)
    path: Tensor = tf.where(mask, tf.cast(tags, tf.int32), 0)
    following = _following(scores, mask, transitions)
    steps: Tensor = tf.transpose(scores, [1, 0, 2])
    last: Tensor = tf.zeros_like(steps[0])
    arriving = steps[1:] + tf.concat([following[1:], last[None]], axis=0)
    choices = tf.gather(transitions, path[:, :-1]) + tf.transpose(arriving, [1, 0, 2])
    chosen = tf.gather(choices, path[:, 1:], batch_dims=2) - _logsumexp(choices, axis=2)
    conditional = tf.where(mask[:, 1:], tf.minimum(chosen, 0.0), 0.0)
    marginal = tf.gather(crf_marginals(scores, mask, transitions), path, batch_dims=2)
    log_marginal = tf.math.log(tf.clip_by_value(marginal, _SMALLEST, 1.0))
    return tf.where(mask, log_marginal, 0.0), tf.pad(conditional, [[0, 0], [1, 0]])
