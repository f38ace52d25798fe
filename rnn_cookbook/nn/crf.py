"""Linear-chain conditional random field (CRF): likelihood, best path, marginals, and the layer that
learns the transitions.

Lafferty et al. (2001, "Conditional Random Fields"); on top of a recurrent network: Huang et al.
(2015, "Bidirectional LSTM-CRF Models for Sequence Tagging"), Lample et al. (2016, "Neural
Architectures for Named Entity Recognition"). A path of tags is worth the sum of its scores, one a
step, and of its transitions, one for each pair of neighbours; its probability is the softmax over
all paths.

Scores float[batch, time, tags], finite; transitions float[tags, tags], from the row to the column;
masks bool[batch, time], right-padded, every row with a step. What lies in the padding is never
read. All sums are float32, whatever comes in.

How it is computed. Two recursions run side by side in one loop, from both ends of each sequence to
its middle; the gradient, written by hand, runs in one loop from the middle back to both ends: the
arithmetic of the textbook's forward and backward recursion in half the loop steps. No mask takes
part in the loops: the middle of each row is looked up afterwards. All is done with logarithms.
Scaled probabilities would turn the large sums into matrix products, but in float32 they lose every
path that falls 88 nats behind, and a constraint can make just that path the best one; with 9 or 17
tags they were not faster either, with 45 they would be.
"""

import weakref
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from rnn_cookbook.errors import InputError, listing

PADDING = -1  # what pads the labels: 0 is a tag
FORBIDDEN = (
    -1e4
)  # nats in training: a label that breaks a constraint costs much, not infinitely much
_NEVER = -1e30  # nats in decoding: below anything that emissions can add up to
# Layers by name, the last one loaded: Keras loads a model before its loss, which finds its layer
# here. It has no way of its own.
_LOADED: weakref.WeakValueDictionary[str, "CRF"] = weakref.WeakValueDictionary()


def crf_log_likelihood(scores, tags, mask, transitions):
    """Logarithm of the probability of each given path, in nats.

    (float[batch, time, tags], int[batch, time], bool[batch, time], float[tags, tags]) ->
    float32[batch]

    The first gradient is exact; asking for a second one raises.
    """
    scores, mask, transitions = _prepare(scores, mask, transitions)
    # The same number for all tags of a step changes nothing, and without it the difference of two
    # large sums keeps its digits.
    scores -= tf.stop_gradient(tf.reduce_max(scores, axis=-1, keepdims=True))
    return _path_score(scores, tags, mask, transitions) - crf_log_partition(
        scores, mask, transitions
    )


def crf_partial_log_likelihood(scores, tags, mask, transitions):
    """Logarithm of the probability of all paths through the given tags, -1 leaving a step open, in
    nats.

    (float[batch, time, tags], int[batch, time], bool[batch, time], float[tags, tags]) ->
    float32[batch]

    With all steps given it is `crf_log_likelihood`; with one, the logarithm of a marginal; with
    those of an entity, of how sure the model is of it. As a loss it trains on sentences of which
    only parts are labelled (Tsuboi et al. 2008).
    """
    scores, mask, transitions = _prepare(scores, mask, transitions)
    scores -= tf.stop_gradient(tf.reduce_max(scores, axis=-1, keepdims=True))
    given = tf.cast(tags, tf.int32)[..., None]
    barred = (given >= 0) & (given != tf.range(scores.shape[-1]))
    return crf_log_partition(
        tf.where(barred, _NEVER, scores), mask, transitions
    ) - crf_log_partition(scores, mask, transitions)


def crf_log_partition(scores, mask, transitions):
    """Logarithm of the sum over all paths: (float[batch, time, tags], bool[batch, time],
    float[tags, tags]) -> float32[batch].

    The first gradient is exact; asking for a second one raises.
    """
    scores, mask, transitions = _prepare(scores, mask, transitions)

    @tf.custom_gradient
    def partition(scores, transitions):
        chain = _Chain(scores, mask, transitions, collect=_logsumexp)

        def gradient(upstream):
            return [
                tf.raw_ops.PreventGradient(input=x, message="the CRF has no second gradient")
                for x in chain.marginals(upstream)
            ]

        return chain.total(), gradient

    return partition(scores, transitions)


def crf_viterbi(scores, mask, transitions):
    """The best path of each sequence, and what it is worth.

    (float[batch, time, tags], bool[batch, time], float[tags, tags]) -> (int32[batch, time], 0 at
    padding; float32[batch])
    """
    scores, mask, transitions = _prepare(scores, mask, transitions)
    path = _Chain(scores, mask, transitions, collect=tf.reduce_max).best_path()
    return path, _path_score(scores, path, mask, transitions)


def crf_marginals(scores, mask, transitions):
    """Probability of each tag at each step, given the whole sequence; 0 at padding.

    (float[batch, time, tags], bool[batch, time], float[tags, tags]) -> float32[batch, time, tags]
    """
    scores, mask, transitions = _prepare(scores, mask, transitions)
    marginals, _ = _Chain(scores, mask, transitions, collect=_logsumexp).marginals(
        tf.ones(tf.shape(scores)[0])
    )
    return marginals


def crf_conditionals(scores, tags, mask, transitions):
    """How sure each step of a path is: by itself, and given the step before it.

    (float[batch, time, tags], int32[batch, time], bool[batch, time], float[tags, tags]) -> two
    times float32[batch, time], in nats, 0 at padding: the logarithm of each tag's marginal, and of
    its probability given the tag before it (0 at the first step)

    A path from step a to step b has the probability exp(marginal[a] + the sum of the conditionals a
    + 1 to b): any number of stretches of a sequence for one pass over it.
    """
    scores, mask, transitions = _prepare(scores, mask, transitions)
    tags = tf.where(mask, tf.cast(tags, tf.int32), 0)
    steps, here = tf.transpose(scores, [1, 0, 2]), tf.transpose(mask)

    def step(
        after,
        now,
        # `after`: what follows a step is worth, for each of its tags; shifted, which no conditional
        # notices
    ):
        scores, mask = now
        arriving = tf.where(mask[:, None], scores + after, 0.0)
        worth = _logsumexp(transitions + arriving[:, None], axis=2)
        return tf.where(mask[:, None], worth - tf.reduce_max(worth, axis=1, keepdims=True), 0.0)

    first = tf.zeros_like(steps[0])
    worth = tf.scan(
        step, (steps[1:], here[1:]), initializer=first, reverse=True
    )  # of what follows the steps but the last
    arriving = tf.transpose(steps[1:] + tf.concat([worth[1:], first[None]], axis=0), [1, 0, 2])
    choices = tf.gather(transitions, tags[:, :-1]) + arriving
    chosen = tf.gather(choices, tags[:, 1:], batch_dims=2) - _logsumexp(choices, axis=2)
    marginal = tf.gather(crf_marginals(scores, mask, transitions), tags, batch_dims=2)
    conditional = tf.pad(tf.where(mask[:, 1:], tf.minimum(chosen, 0.0), 0.0), [[0, 0], [1, 0]])
    return tf.where(mask, tf.math.log(tf.clip_by_value(marginal, 1e-37, 1.0)), 0.0), conditional


def _prepare(scores, mask, transitions):
    # Tensors from variables too: a custom gradient does not take variables for inputs.
    scores, transitions, mask = (tf.convert_to_tensor(x) for x in (scores, transitions, mask))
    mask = tf.cast(mask, tf.bool)
    return (
        tf.where(mask[..., None], tf.cast(scores, tf.float32), 0.0),
        mask,
        tf.cast(transitions, tf.float32),
    )


def _path_score(scores, tags, mask, transitions):
    # One-hot vectors and a matrix product: gathering has a slower gradient, and zero vectors make
    # the padding count nothing.
    path = tf.one_hot(tf.where(mask, tf.cast(tags, tf.int32), PADDING), scores.shape[-1])
    pairs = tf.tensordot(path[:, :-1], transitions, axes=1) * path[:, 1:]
    return tf.reduce_sum(scores * path, axis=[1, 2]) + tf.reduce_sum(pairs, axis=[1, 2])


def _logsumexp(x, axis):
    # TensorFlow's own also provides for infinities, at twice the operations.
    peak = tf.reduce_max(x, axis=axis, keepdims=True)
    return tf.math.log(tf.reduce_sum(tf.exp(x - peak), axis=axis)) + tf.squeeze(peak, axis=axis)


class _Chain:
    """The recursions of a batch. Side 0 reads from the first step on, side 1 from the last step
    back, with transposed transitions.

    A row of n steps meets at its step n // 2, which is the last of side 0 and the last that side 1
    looks at. Tensors are [half, side, tags, batch]: the loops take them apart along the first axis,
    and the last one is long and contiguous.

    Args:
        collect: what a tag gets from its predecessors: logsumexp for sums over all paths, maximum
            for the best one.
    """

    def __init__(self, scores, mask, transitions, *, collect: Callable):
        self.lengths, self.time = (
            tf.reduce_sum(tf.cast(mask, tf.int32), axis=1),
            tf.shape(scores)[1],
        )
        self.half = self.time // 2 + 1
        self.transitions = tf.stack([transitions, tf.transpose(transitions)])
        self.collect = collect
        sides = tf.stack([scores[:, : self.half], self._reverse(scores)[:, : self.half]])
        sides = tf.transpose(sides, [2, 0, 3, 1])
        # What each tag gets from before its step, and with the step itself, shifted so that the
        # best tag of a step has 0.
        self.before = self._forward(sides)
        after = self.before + sides
        shift = tf.reduce_max(after, axis=2, keepdims=True)
        self.after, self.shift = after - shift, shift[:, :, 0]
        middle = self.lengths // 2
        self.middle = tf.stack([middle, self.lengths - 1 - middle])
        self.meets = tf.range(self.half)[:, None, None] == self.middle
        both = tf.stack([self.after[:, 0], self.before[:, 1]], axis=1)
        self.meeting = tf.reduce_sum(tf.where(self.meets[:, :, None], both, 0.0), axis=[0, 1])

    def _reverse(self, x):
        return tf.reverse_sequence(x, self.lengths, seq_axis=1)

    def _array(self, x=None, element_shape=None, dtype=tf.float32):
        array = tf.TensorArray(
            dtype, size=self.half, element_shape=element_shape if x is None else x.shape[1:]
        )
        return array if x is None else array.unstack(x)

    def _forward(self, sides):
        steps, before = self._array(sides), self._array(element_shape=sides.shape[1:])

        def step(k, state, before):
            arriving = self.collect(state[:, :, None] + self.transitions[..., None], axis=1)
            state = arriving + steps.read(k)
            # Shifted at every step: thousands of steps would use up the digits.
            return (
                k + 1,
                state - tf.reduce_max(state, axis=1, keepdims=True),
                before.write(k, arriving),
            )

        state = sides[0] - tf.reduce_max(sides[0], axis=1, keepdims=True)
        before = before.write(0, tf.zeros_like(state))
        return tf.while_loop(lambda k, *_: k < self.half, step, (1, state, before))[-1].stack()

    def total(self):
        """What all paths add up to: float32[batch]."""
        used = tf.range(self.half)[:, None, None] < self.middle + tf.constant([[1], [0]])
        return self.collect(self.meeting, axis=0) + tf.reduce_sum(
            tf.where(used, self.shift, 0.0), axis=[0, 1]
        )

    def marginals(self, weights):
        """Marginals of each row times its weight, and the weighted sum of the expected pairs: the
        gradient of the total."""
        begin = tf.where(self.meets[:, :, None], tf.nn.softmax(self.meeting, axis=0) * weights, 0.0)
        begins, after, before = (
            self._array(begin),
            self._array(self.after),
            self._array(self.before),
        )

        def step(k, here, pairs, result):
            # The probability of each predecessor given its successor is a softmax; nothing is
            # subtracted from a total of the sequence.
            given = tf.exp(
                after.read(k - 1)[:, :, None]
                + self.transitions[..., None]
                - before.read(k)[:, None]
            )
            pair = given * here[:, None]
            return (
                k - 1,
                tf.reduce_sum(pair, axis=2) + begins.read(k - 1),
                pairs + pair,
                result.write(k, here),
            )

        pairs = tf.zeros_like(self.after[0, :, None] + self.transitions[..., None])
        loop = (self.half - 1, begin[-1], pairs, self._array(element_shape=begin.shape[1:]))
        _, here, pairs, result = tf.while_loop(lambda k, *_: k > 0, step, loop)
        pairs = tf.reduce_sum(pairs, axis=-1)
        return self._join(tf.transpose(result.write(0, here).stack(), [0, 1, 3, 2])), pairs[
            0
        ] + tf.transpose(pairs[1])

    def best_path(self):
        """int32[batch, time], 0 at padding."""
        after = self._array(tf.transpose(self.after, [0, 1, 3, 2]))
        middle = tf.argmax(self.meeting, axis=0, output_type=tf.int32)
        predecessors = tf.transpose(self.transitions, [0, 2, 1])

        def step(k, tags, result):
            worth = after.read(k) + tf.gather(predecessors, tags, batch_dims=1)
            tags = tf.where(
                k < self.middle, tf.argmax(worth, axis=-1, output_type=tf.int32), middle
            )
            return k - 1, tags, result.write(k, tags)

        tags = tf.tile(middle[None], [2, 1])
        result = self._array(element_shape=tags.shape, dtype=tf.int32)
        _, _, result = tf.while_loop(lambda k, *_: k >= 0, step, (self.half - 1, tags, result))
        used = tf.range(self.half)[:, None, None] <= self.middle
        return self._join(tf.where(used, result.stack(), 0)[..., None])[..., 0]

    def _join(self, sides):
        """[half, side, batch, any] -> [batch, time, any]; the middle is taken from side 0."""
        kept = tf.where(
            tf.stack([tf.zeros_like(self.meets[:, 0]), self.meets[:, 1]], axis=1)[..., None],
            tf.zeros_like(sides),
            sides,
        )
        left, right = tf.unstack(
            tf.pad(
                tf.transpose(kept, [1, 2, 0, 3]),
                [[0, 0], [0, 0], [0, self.time - self.half], [0, 0]],
            )
        )
        return left + self._reverse(right)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class CRF(keras.layers.Layer):
    """Start and end scores and transitions, learnt: (float[batch, time, tags], bool[batch, time])
    -> scores float32[batch, time, tags].

    As the last layer of a model, on emissions without a softmax. Start scores are added at the
    first step and end scores at the last one, so that its output and `transitions` are the whole
    model: `model.compile(loss=crf.loss)`, then `crf.viterbi(scores, mask)` and
    `crf.marginals(scores, mask)`, or `decoding_model(model)`. The output alone is no classifier:
    its argmax knows no transitions.

    All weights start at zero: the model then is the softmax classifier of each step, which is where
    training should start from, and there is no symmetry to break, since every weight has its own
    pair of tags. Always float32, also under mixed precision.

    Args:
        tags: how many.
        allowed: (start bool[tags], transitions bool[tags, tags], end bool[tags]) as from
            `tag_constraints`; everything when None. What is not allowed scores -1e4 in training, so
            that a wrong label costs much but stays finite, and is never decoded.
    """

    def __init__(self, tags: int, *, allowed: Sequence | None = None, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        if tags < 1:
            raise InputError(f"a CRF needs one tag or more, got {tags}")
        self.supports_masking = True
        self.tags, self.allowed = tags, None
        if allowed is not None:
            shapes = [np.shape(part) for part in allowed]
            if shapes != [(tags,), (tags, tags), (tags,)]:
                raise InputError(
                    f"allowed for {tags} tags must be of the shapes ({tags},), ({tags}, {tags}), ({tags},), got {shapes}"
                )
            self.allowed = [np.asarray(part, bool).tolist() for part in allowed]
            for part, where in ((0, "first"), (2, "last")):
                if not any(self.allowed[part]):
                    raise InputError(f"allowed lets no tag be the {where} one")

    def build(self, input_shape):
        emissions, _ = input_shape
        if emissions[-1] != self.tags:
            raise InputError(
                f"emissions of shape {tuple(emissions)} do not fit a CRF of {self.tags} tags"
            )
        self.start = self.add_weight(shape=(self.tags,), initializer="zeros", name="start")
        self.pairs = self.add_weight(
            shape=(self.tags, self.tags), initializer="zeros", name="transitions"
        )
        self.end = self.add_weight(shape=(self.tags,), initializer="zeros", name="end")

    def call(self, inputs):
        emissions, mask = inputs
        start, _, end = self._potentials(FORBIDDEN)
        return _add_borders(emissions, mask, start, end)

    @property
    def transitions(self):
        """float32[tags, tags], from the row to the column; what is not allowed has -1e4."""
        return self._potentials(FORBIDDEN)[1]

    @property
    def loss(self):
        """For `model.compile`: see `CRFLoss`."""
        return CRFLoss(self)

    def viterbi(self, scores, mask):
        """Best allowed path: this layer's output and the mask -> (int32[batch, time], 0 at padding;
        its score float32[batch])."""
        return crf_viterbi(*self._decoding(scores, mask))

    def marginals(self, scores, mask):
        """Probability of each tag at each step: this layer's output and the mask -> float32[batch,
        time, tags], 0 at padding."""
        return crf_marginals(*self._decoding(scores, mask))

    def conditionals(self, scores, tags, mask):
        """Nats of each step of a path by itself and given the one before: output, int32[batch,
        time], mask -> see `crf_conditionals`."""
        scores, mask, transitions = self._decoding(scores, mask)
        return crf_conditionals(scores, tags, mask, transitions)

    def _potentials(self, forbidden):
        weights = self.start, self.pairs, self.end
        if self.allowed is None:
            return [ops.convert_to_tensor(weight) for weight in weights]
        return [
            ops.where(np.array(part), weight, forbidden)
            for part, weight in zip(self.allowed, weights, strict=True)
        ]

    def _decoding(self, scores, mask):
        # The penalty of training can be outbid by large emissions; this one cannot.
        if self.allowed is not None:
            start, _, end = (
                np.where(part, 0.0, _NEVER).astype(np.float32) for part in self.allowed
            )
            scores = _add_borders(scores, mask, start, end)
        return scores, mask, self._potentials(_NEVER)[1]

    def compute_mask(self, inputs, previous_mask=None):
        # A travelling mask would end here as a weight bool[batch, time] on a loss float32[batch].
        return None

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "tags": self.tags, "allowed": self.allowed}

    @classmethod
    def from_config(cls, config):
        crf = cls(**config)
        _LOADED[crf.name] = crf
        return crf


def _add_borders(scores, mask, start, end):
    mask = ops.cast(mask, "bool")
    last = ops.logical_and(mask, ops.logical_not(ops.pad(mask[:, 1:], [[0, 0], [0, 1]])))
    first = ops.arange(ops.shape(mask)[1]) == 0
    scores = ops.cast(scores, "float32") + ops.where(first[:, None], start, 0.0)
    return scores + ops.where(last[..., None], end, 0.0)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class CRFLoss(keras.losses.Loss):
    """Nats of each labelling: (int32[batch, time], scores float32[batch, time, tags] of the CRF
    layer) -> float32[batch], reduced.

    Labels are padded with -1 on the right, as far as the mask that the layer was given: there must
    be a label for each of its steps. The mean is over sequences, not over steps; sample weights are
    float[batch].

    Args:
        crf: the layer whose output is the model's.
        reduction, name, dtype: Keras' own.
    """

    def __init__(self, crf: CRF, *, reduction="sum_over_batch_size", name="crf", **kwargs):
        super().__init__(reduction=reduction, name=name, **kwargs)
        # Behind a function: from an attribute Keras would store the layer's weights as the loss's.
        self._layer = lambda: crf

    def call(self, y_true, y_pred):
        crf, labels = self._layer(), tf.cast(y_true, tf.int32)
        mask = labels >= 0
        # Both would give wrong numbers without a word.
        holes = tf.logical_and(mask[:, 1:], tf.logical_not(mask[:, :-1]))
        right = tf.logical_not(
            tf.logical_or(tf.reduce_any(holes), tf.reduce_any(labels >= crf.tags))
        )
        message = f"labels must be below {crf.tags} and padded on the right with {PADDING}, got"
        with tf.control_dependencies([tf.debugging.Assert(right, [message, labels])]):
            return -crf_log_likelihood(y_pred, labels, mask, crf.transitions)

    def get_config(self):
        return {**super().get_config(), "crf": self._layer().name}

    @classmethod
    def from_config(cls, config):
        crf = _LOADED.get(config["crf"])
        if crf is None:
            raise InputError(
                f"the loss of the CRF layer {config['crf']!r} came without its model; make it anew: layer.loss"
            )
        return cls(**{**config, "crf": crf})


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class CRFDecoder(keras.layers.Layer):
    """Tags and probabilities in place of a CRF layer's scores.

    (float[batch, time, tags], bool[batch, time]) -> {"tags": int32[batch, time], 0 at padding;
    "probabilities": float32[batch, time, tags], the marginals, 0 at padding}

    Args:
        crf: the layer; it is shared, not copied, and what it learns later shows here.
    """

    def __init__(self, crf: CRF, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.supports_masking = True
        self.crf = crf

    def build(self, input_shape):
        if not self.crf.built:
            self.crf.build(input_shape)

    def call(self, inputs):
        _, mask = inputs
        scores = self.crf(inputs)
        return {
            "tags": self.crf.viterbi(scores, mask)[0],
            "probabilities": self.crf.marginals(scores, mask),
        }

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_spec(self, inputs):
        emissions, _ = inputs
        return {
            "tags": keras.KerasTensor(emissions.shape[:-1], "int32"),
            "probabilities": keras.KerasTensor(emissions.shape, "float32"),
        }

    def get_config(self):
        return {**super().get_config(), "crf": keras.saving.serialize_keras_object(self.crf)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "crf": keras.saving.deserialize_keras_object(config["crf"])})


def decoding_model(model: keras.Model) -> keras.Model:
    """The model with a `CRFDecoder` in place of its CRF layer: the same inputs -> {"tags": …,
    "probabilities": …}; weights are shared."""
    found = [layer for layer in model.layers if isinstance(layer, CRF)]
    if len(found) != 1:
        raise InputError(
            f"model {model.name!r} must have one CRF layer, has {len(found)} among {listing(x.name for x in model.layers)}"
        )
    (crf,) = found
    return keras.Model(
        model.input, CRFDecoder(crf, name="decoder")(tuple(crf.input)), name=f"{model.name}_decoder"
    )


# Prefixes of each scheme, and whether `after` may follow `before`; beyond both ends of a sequence
# lies an O.
_SCHEMES = {
    # Begin, inside: every entity begins with a B (IOB2: Tjong Kim Sang and Veenstra 1999,
    # "Representing Text Chunks").
    "bio": ("BI", lambda before, after, same: after != "I" or (before in "BI" and same)),
    # A B only where an entity touches one of its own type (Ramshaw and Marcus 1995, "Text Chunking
    # using Transformation-Based Learning").
    "iob1": ("BI", lambda before, after, same: after != "B" or (before in "BI" and same)),
    # Begin, inside, end, single (Ratinov and Roth 2009, "Design Challenges and Misconceptions in
    # Named Entity Recognition").
    "bioes": (
        "BIES",
        lambda before, after, same: (
            (before in "BI") == (after in "IE") and (same or after not in "IE")
        ),
    ),
}


def tag_constraints(
    tags: Sequence[str], *, scheme: str = "bio"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a scheme allows: (bool[tags] at the start, bool[tags, tags] from the row to the column,
    bool[tags] at the end).

    Args:
        tags: such as "O", "B-PER", "I-PER", in the order of their numbers.
        scheme: "bio" (every entity begins with a B), "iob1" (a B only between touching entities of
            one type) or "bioes".
    """
    if scheme not in _SCHEMES:
        raise InputError(f"unknown tag scheme {scheme!r}; accepted are {', '.join(_SCHEMES)}")
    prefixes, may_follow = _SCHEMES[scheme]
    parts = [tuple(tag.split("-", 1)) for tag in tags]
    accepted = [
        tag == "O" or (len(part) == 2 and part[0] in [*prefixes] and part[1] != "")
        for tag, part in zip(tags, parts, strict=True)
    ]
    if not all(accepted) or not parts:
        wrong = (
            listing(repr(tag) for tag, fits in zip(tags, accepted, strict=True) if not fits)
            or "no tags at all"
        )
        raise InputError(
            f"{wrong} in scheme {scheme}; accepted are O, {', '.join(f'{prefix}-TYPE' for prefix in prefixes)}"
        )
    twice = sorted({tag for tag in tags if list(tags).count(tag) > 1})
    if twice:
        raise InputError(f"tags must differ, got {listing(twice)} more than once")
    table = np.array(
        [
            [may_follow(before[0], after[0], before[1:] == after[1:]) for after in [*parts, ("O",)]]
            for before in [*parts, ("O",)]
        ]
    )
    start, transitions, end = table[-1, :-1], table[:-1, :-1], table[:-1, -1]
    reached, leaving = start, end
    for _ in tags:
        reached, leaving = reached | reached @ transitions, leaving | transitions @ leaving
    useless = [tag for tag, used in zip(tags, reached & leaving, strict=True) if not used]
    if useless:
        raise InputError(
            f"no sequence of scheme {scheme} can hold {listing(useless)}: tags of the same type are missing"
        )
    return start, transitions, end
