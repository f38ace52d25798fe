"""Connectionist temporal classification (CTC) with true lengths: loss, greedy and prefix beam
decoding, forced alignment.

Graves et al. (2006, "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data
with Recurrent Neural Networks"). A network reads frames and gives each one a distribution over the
symbols; merging equal neighbours and then deleting the blanks turns a path of one symbol a frame
into a labelling. Equal labels in a row need a blank between them.

Symbol 0 is the blank, and 0 pads label sequences: logits float32[batch, frames, symbols], labels
int32[batch, labels].

What Keras and TensorFlow have is left aside, for cause (Keras 3.15, TensorFlow 2.21).
`keras.losses.CTC` takes padded frames for frames. `tf.nn.ctc_loss` with dense labels takes labels
out of range without a word, gives wrong finite numbers where no path can give the labels or a frame
is worse than some 700 nats, and is many times slower than this on a CPU. With sparse labels it is
fast, but raises on an empty labelling, gives infinity once one frame leaves its labels less than
1e-38, and does not compile with XLA. The beam search puts the blank last and fails when asked for
more labellings than there are.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from rnn_cookbook.errors import InputError, listing

ON_IMPOSSIBLE = ("error", "zero", "infinity")
# Nats of what cannot be. Finite, since infinities have gradients that are not numbers, and beyond
# what any real path adds up to.
_NEVER = -1e9
_WRONG_LABELS = "labels must be 1 to symbols - 1 within their length (0 is blank and padding)"
_IMPOSSIBLE = "no path gives these labels; too few frames (see frames_needed)"


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class PadWithBlank(keras.layers.Layer):
    """Padded frames emit the blank with certainty: (float[batch, frames, symbols], bool[batch,
    frames]) -> float32, as the logits.

    A certain blank adds nothing to a labelling and costs 0 nats: over all frames, CTC's loss, its
    gradient and every decoder then give what they give over the true frames alone. The output
    carries its lengths, and nobody downstream can forget them.

    As the last layer of a model. Always float32: half precision has no number as low as the one
    that means "never".
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.supports_masking = True

    def call(self, inputs):
        logits, mask = inputs
        return _pad_with_blank(ops.cast(logits, "float32"), ops.cast(mask, "bool"))

    def compute_mask(self, inputs, previous_mask=None):
        # A travelling mask would end here as a weight bool[batch, frames] on a loss float32[batch].
        return None

    def compute_output_shape(self, input_shape):
        return input_shape[0]


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class CTCLoss(keras.losses.Loss):
    """Nats of each labelling: (int32[batch, labels] padded with 0, logits float32[batch, frames,
    symbols]) -> float32[batch], reduced.

    All frames count: the model's last layer must be `PadWithBlank` unless every example is as long
    as the batch.

    Args:
        on_impossible: what to do with an example that no path can give, because it has fewer frames
            than `frames_needed(labels)`. "error" stops with a message, for this is a fault of the
            data or of too much subsampling; "zero" leaves it out of the gradient, but not out of
            the mean; "infinity" shows it as what it is. Never a gradient, and never not a number.
            Code compiled by XLA cannot stop: there "error" shows as infinity.
        reduction, name, dtype: Keras' own.
    """

    def __init__(
        self, on_impossible: str = "error", *, reduction="sum_over_batch_size", name="ctc", **kwargs
    ):
        super().__init__(reduction=reduction, name=name, **kwargs)
        if on_impossible not in ON_IMPOSSIBLE:
            raise InputError(
                f"unknown on_impossible {on_impossible!r}; accepted are {', '.join(ON_IMPOSSIBLE)}"
            )
        self.on_impossible = on_impossible

    def call(self, y_true, y_pred):
        loss = ctc_loss(y_true, y_pred)
        impossible = tf.math.is_inf(loss)
        if self.on_impossible == "error":
            with tf.control_dependencies(_checks(~impossible, _IMPOSSIBLE)):
                return tf.identity(loss)
        return tf.where(impossible, 0.0, loss) if self.on_impossible == "zero" else loss

    def get_config(self):
        return {**super().get_config(), "on_impossible": self.on_impossible}


def frames_needed(labels, label_lengths=None):
    """The least frames that can carry the labels, one each and a blank between equal ones:
    int32[batch, labels] -> int32[batch]."""
    labels = tf.cast(labels, tf.int32)
    lengths = _count(labels) if label_lengths is None else tf.cast(label_lengths, tf.int32)
    repeats = (labels[:, 1:] == labels[:, :-1]) & tf.sequence_mask(
        lengths - 1, tf.maximum(tf.shape(labels)[1] - 1, 0)
    )
    return lengths + tf.reduce_sum(tf.cast(repeats, tf.int32), axis=1)


def ctc_loss(labels, logits, label_lengths=None, logit_lengths=None):
    """Minus the log-probability of each labelling, in nats: (int32[batch, labels], float[batch,
    frames, symbols]) -> float32[batch].

    Infinite, and without a gradient, where no path gives the labels. An empty labelling is one like
    any other.

    Args:
        labels: 1 to symbols - 1, padded with 0.
        logits: symbol 0 is the blank.
        label_lengths: int32[batch]; what is not 0 when None.
        logit_lengths: int32[batch], from 1; all frames when None, which is also right after
            `PadWithBlank`.
    """
    logits = _logits(logits, logit_lengths)
    labels, lengths, right = _labels(labels, label_lengths, tf.shape(logits)[2])
    with tf.control_dependencies(_checks(right, _WRONG_LABELS)):
        loss = -_log_probability(tf.nn.log_softmax(logits), labels, lengths)
    return tf.where(right, loss, np.inf)


def ctc_greedy(logits, lengths=None):
    """The labelling of the best path, which is not always the best labelling: float[batch, frames,
    symbols] -> its labels and nats.

    Returns int32[batch, labels], padded with 0 to the longest, and float32[batch], the
    log-probability of the path. Works inside compiled functions too, but not under XLA, where no
    shape can depend on values.

    Args:
        lengths: int32[batch], from 1; all frames when None, which is also right after
            `PadWithBlank`.
    """
    log_probs = tf.nn.log_softmax(_logits(logits, lengths))
    path = tf.argmax(log_probs, axis=2, output_type=tf.int32)
    new = (path != 0) & (path != tf.pad(path[:, :-1], [[0, 0], [1, 0]]))
    return tf.ragged.boolean_mask(path, new).to_tensor(), tf.reduce_sum(
        tf.reduce_max(log_probs, axis=2), axis=1
    )


def ctc_beam_search(
    logits,
    lengths=None,
    *,
    beam: int = 16,
    n_best: int = 1,
    language_model: Callable[[tuple[int, ...], int], float] | None = None,
    weight: float = 1.0,
    insertion_bonus: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The most probable labellings: float[batch, frames, symbols] -> int32[batch, n_best, labels]
    and float32[batch, n_best], best first.

    Prefix beam search (Graves 2012, "Supervised Sequence Labelling with Recurrent Neural Networks",
    7.5.3; with a language model: Hannun et al. 2014, "First-Pass Large Vocabulary Continuous Speech
    Recognition using Bi-Directional Recurrent DNNs"). All paths of a labelling count together,
    unless one of its prefixes fell out of the beam; so the score, log p(labels | logits) in nats
    without language model and bonus, is a lower bound, and exact when nothing fell out. Labellings
    that do not exist (fewer paths than `n_best`) are empty, with a score of minus infinity.

    In NumPy, the whole batch a frame at a time.

    Args:
        lengths: int32[batch], from 1; all frames when None, which is also right after
            `PadWithBlank`.
        beam: prefixes kept after each frame.
        n_best: labellings returned, at most `beam`.
        language_model: (prefix, symbol) -> log p(symbol | prefix) in nats, never above 0; it must
            give the same each time. Called once for each pair in a call, and only where the pair
            could enter the beam.
        weight: of the language model, 0 or more; score = log p(labels | logits) + weight * log
            p(labels) + insertion_bonus * labels.
        insertion_bonus: nats for each label, against the language model's liking for short
            sequences.
    """
    if not 1 <= n_best <= beam:
        raise InputError(
            f"a beam search needs 1 <= n_best <= beam, got n_best={n_best}, beam={beam}"
        )
    if not 0 <= weight < np.inf:
        raise InputError(f"the weight of the language model must be 0 or more, got {weight}")
    if not np.isfinite(insertion_bonus):
        raise InputError(f"the insertion bonus must be finite, got {insertion_bonus}")
    log_probs = np.array(tf.nn.log_softmax(_logits(logits, lengths)), np.float64)
    if np.isnan(log_probs).any():
        raise InputError("the logits hold values that are not numbers")
    log_probs[log_probs < _NEVER / 2] = -np.inf  # no labelling goes through padding
    batch, frames, symbols = log_probs.shape
    rows = np.arange(batch)[:, None]
    cache: dict[tuple[tuple[int, ...], int], float] = {}
    # Of each prefix: nats of its paths that end in a blank and in its last label, nats on top
    # (language model and bonus), last label. Prefixes are told apart by a rolling hash of 64 bits,
    # wrapping around.
    blank, label, extra = np.zeros((batch, 1)), np.full((batch, 1), -np.inf), np.zeros((batch, 1))
    last, key, parent_key = (
        np.zeros((batch, 1), np.int64),
        np.ones((batch, 1), np.uint64),
        np.zeros((batch, 1), np.uint64),
    )
    prefixes = np.empty((batch, 1), object)
    prefixes.fill(())
    for frame in range(frames):
        now = log_probs[:, frame]
        total, again = np.logaddexp(blank, label), np.take_along_axis(now, last, axis=1)
        longer = total[..., None] + now[:, None]
        np.put_along_axis(
            longer, last[..., None], (blank + again)[..., None], axis=2
        )  # the same label anew only after a blank
        longer[..., 0] = -np.inf
        blank, label = total + now[:, :1], label + again
        # A prefix may be in the beam beside the one that it extends: the paths from there join it
        # instead of making a second copy.
        alive = np.isfinite(total)
        row, child, parent = np.nonzero(
            (parent_key[..., None] == key[:, None])
            & (alive & (last > 0))[..., None]
            & alive[:, None]
        )
        joint = row, parent, last[row, child]
        label[row, child] = np.logaddexp(label[row, child], longer[joint])
        longer[joint] = -np.inf
        stay = np.logaddexp(blank, label) + extra
        more = np.full(longer.shape, float(insertion_bonus))
        if language_model is not None and weight:
            above = (
                longer + extra[..., None] + insertion_bonus
            )  # no score gets higher: a language model only takes away
            heard = np.zeros(longer.shape, bool)
            # The acoustically best first: with their scores known, few others can still enter the
            # beam.
            for bar in (_least(above.reshape(batch, -1), beam), np.full(batch, -np.inf)):
                known = np.where(heard, above + more - insertion_bonus, -np.inf).reshape(batch, -1)
                needed = _least(np.concatenate([stay, known], axis=1), beam)
                asked = ~heard & (above > needed[:, None, None]) & (above >= bar[:, None, None])
                for place in zip(*np.nonzero(asked), strict=True):
                    more[place] += weight * _ask(
                        language_model, prefixes[place[:2]], int(place[2]), cache
                    )
                heard |= asked
            longer[~heard] = -np.inf
        scores = np.concatenate(
            [stay[..., None], longer + (extra[..., None] + more)], axis=2
        ).reshape(batch, -1)
        width = min(beam, scores.shape[1])
        kept = np.argpartition(-scores, width - 1, axis=1)[:, :width]
        source, symbol = kept // (symbols + 1), kept % (symbols + 1) - 1  # -1 for what stays
        grown = symbol >= 0
        previous = rows, source
        end = longer[rows, source, symbol]
        blank, label = (
            np.where(grown, -np.inf, blank[previous]),
            np.where(grown, end, label[previous]),
        )
        extra = extra[previous] + np.where(grown, more[rows, source, symbol], 0)
        last, parent_key = (
            np.where(grown, symbol, last[previous]),
            np.where(grown, key[previous], parent_key[previous]),
        )
        key = np.where(
            grown,
            key[previous] * np.uint64(6364136223846793005) + symbol.astype(np.uint64),
            key[previous],
        )
        prefixes = prefixes[previous]
        for place in zip(*np.nonzero(grown & np.isfinite(end)), strict=True):
            prefixes[place] = (*prefixes[place], int(symbol[place]))
    scores = np.logaddexp(blank, label) + extra
    order = np.argsort(-scores, axis=1, kind="stable")[:, :n_best]
    scores, prefixes = scores[rows, order], prefixes[rows, order]
    found = {
        place: prefixes[place] for place, score in np.ndenumerate(scores) if np.isfinite(score)
    }
    labels = np.zeros((batch, n_best, max(map(len, found.values()), default=0)), np.int32)
    for place, prefix in found.items():
        labels[place][: len(prefix)] = prefix
    missing = n_best - scores.shape[1]
    return labels, np.pad(scores, [(0, 0), (0, missing)], constant_values=-np.inf).astype(
        np.float32
    )


def ctc_align(logits, labels, lengths=None, label_lengths=None) -> np.ndarray:
    """Where each label is: (float[batch, frames, symbols], int32[batch, labels]) -> spans of
    frames, int32[batch, labels, 2].

    Forced alignment: the most probable path that gives the labels (Viterbi), as the first frame of
    each label and the one after its last; 0, 0 for padding. Frames outside of all spans are blank.
    CTC learns peaks: a span says better when a label begins than how long it lasts.

    Args:
        labels: 1 to symbols - 1, padded with 0.
        lengths: int32[batch], from 1; all frames when None, which is also right after
            `PadWithBlank`.
        label_lengths: int32[batch]; what is not 0 when None.
    """
    logits = _logits(logits, lengths)
    labels, label_lengths, right = _labels(labels, label_lengths, logits.shape[2])
    _checks(right, _WRONG_LABELS)
    _, emissions, skip = (
        np.array(values) for values in _lattice(tf.nn.log_softmax(logits), labels, label_lengths)
    )
    batch, frames, states = emissions.shape
    rows, end = np.arange(batch), 2 * np.array(label_lengths)
    score = np.where(np.arange(states) == 0, 0.0, np.full((batch, 1), _NEVER))
    steps = np.zeros((frames, batch, states), np.int8)
    for frame in range(frames):
        before = np.pad(score, [(0, 0), (2, 0)], constant_values=_NEVER)
        moves = np.stack([score, before[:, 1:-1], before[:, :-2] + skip])
        steps[frame] = moves.argmax(axis=0)
        score = moves.max(axis=0) + emissions[:, frame]
    inner = np.maximum(end - 1, 0)
    state = np.where(score[rows, inner] > score[rows, end], inner, end)
    _checks(score[rows, state] > _NEVER / 2, _IMPOSSIBLE)
    path = np.zeros((batch, frames), np.int32)
    for frame in reversed(range(frames)):
        path[:, frame] = state
        state = state - steps[frame, rows, state]
    there = path[:, None] == 2 * np.arange(labels.shape[1])[:, None] + 1
    first = there.argmax(axis=2)
    return np.stack([first, first + there.sum(axis=2)], axis=2).astype(np.int32)


def _pad_with_blank(logits, mask):
    blank = ops.where(ops.arange(ops.shape(logits)[-1]) == 0, 0.0, _NEVER)
    return ops.where(mask[..., None], logits, blank)


def _count(labels):
    return tf.reduce_sum(tf.cast(labels != 0, tf.int32), axis=1)


def _checks(right, message: str) -> list:
    # Names the rows that are wrong. What is returned must be waited for inside compiled functions.
    if not tf.executing_eagerly():
        return [
            tf.debugging.Assert(
                tf.reduce_all(right), [message, "rows:", tf.where(~right)[:, 0]], summarize=5
            )
        ]
    if not np.all(right):
        raise InputError(f"{message}; rows: {listing(np.flatnonzero(~np.array(right)))}")
    return []


def _logits(logits, lengths):
    logits = tf.cast(logits, tf.float32)
    if logits.shape.rank != 3 or logits.shape[2] == 1:
        raise InputError(
            f"logits must be [batch, frames, symbols] with the blank and one symbol more, got shape {logits.shape}"
        )
    if lengths is None:
        return logits
    lengths = tf.cast(lengths, tf.int32)
    right = (lengths >= 1) & (lengths <= tf.shape(logits)[1])
    with tf.control_dependencies(_checks(right, "lengths must be 1 to the number of frames")):
        return _pad_with_blank(logits, tf.sequence_mask(lengths, tf.shape(logits)[1]))


def _labels(labels, lengths, symbols):
    labels = tf.cast(labels, tf.int32)
    if labels.shape.rank != 2:
        raise InputError(f"labels must be [batch, labels], got shape {labels.shape}")
    lengths = _count(labels) if lengths is None else tf.cast(lengths, tf.int32)
    inside = tf.sequence_mask(lengths, tf.shape(labels)[1])
    labels = tf.where(inside, labels, 0)
    right = (
        tf.reduce_all(((labels >= 1) & (labels < symbols)) | ~inside, axis=1)
        & (lengths >= 0)
        & (lengths <= tf.shape(labels)[1])
    )
    return tf.clip_by_value(labels, 0, symbols - 1), lengths, right


def _lattice(log_probs, labels, lengths):
    # States blank, label, blank, label, ..., blank: their symbols int32[batch, states], their nats
    # float32[batch, frames, states], and what it costs to come from two states before: nothing
    # between two labels that differ. States after the last blank are never.
    batch, count = tf.shape(labels)[0], tf.shape(labels)[1]
    symbols = tf.reshape(tf.pad(labels[..., None], [[0, 0], [0, 0], [1, 0]]), [batch, 2 * count])
    symbols = tf.pad(symbols, [[0, 0], [0, 1]])
    emissions = tf.maximum(tf.gather(log_probs, symbols, axis=2, batch_dims=1), _NEVER)
    emissions = tf.where(
        tf.sequence_mask(2 * lengths + 1, 2 * count + 1)[:, None], emissions, _NEVER
    )
    two_before = tf.pad(symbols, [[0, 0], [2, 0]])[:, :-2]
    return symbols, emissions, tf.where((symbols != 0) & (symbols != two_before), 0.0, _NEVER)


@tf.custom_gradient
def _log_probability(log_probs, labels, lengths):
    """Graves' forward and backward variables: (float32[batch, frames, symbols], int32[batch,
    labels], int32[batch]) -> nats float32[batch].

    The backward variables are the forward ones of the reversed labels over the reversed frames, so
    that one loop gives both, as rows of one batch: half the steps.
    """
    batch = tf.shape(labels)[0]

    def turned(values):
        # Frames and states in reversed order: float32[batch, frames, states].
        return tf.reverse_sequence(tf.reverse(values, [1]), 2 * lengths + 1, seq_axis=2)

    symbols, emissions, skip = _lattice(log_probs, labels, lengths)
    # Between the same two labels the other way round: the cost stays with the pair, which now ends
    # two states earlier.
    skip_back = tf.reverse_sequence(
        tf.pad(skip, [[0, 0], [0, 2]], constant_values=_NEVER)[:, 2:], 2 * lengths + 1, seq_axis=1
    )
    skips = tf.concat([skip, skip_back], axis=0)

    def step(last, emission):
        nats, _ = last
        before = tf.pad(nats, [[0, 0], [2, 0]], constant_values=_NEVER)
        one, two = before[:, 1:-1], before[:, :-2] + skips
        top = tf.maximum(tf.maximum(nats, one), two)
        nats = (
            top + tf.math.log(tf.exp(nats - top) + tf.exp(one - top) + tf.exp(two - top)) + emission
        )
        # Relative to the best state of each frame: small numbers keep their digits over long
        # sequences.
        best = tf.reduce_max(nats, axis=1, keepdims=True)
        return nats - best, best

    start = tf.where(tf.range(tf.shape(symbols)[1]) == 0, 0.0, tf.fill(tf.shape(skips), _NEVER))
    both, best = tf.scan(
        step,
        tf.transpose(tf.concat([emissions, turned(emissions)], axis=0), [1, 0, 2]),
        (start, start[:, :1]),
    )
    both = tf.transpose(both, [1, 0, 2])
    joint = both[:batch] + turned(both[batch:]) - emissions
    total = (
        tf.reduce_logsumexp(joint[:, -1], axis=1)
        + tf.reduce_sum(best[:, :batch, 0], axis=0)
        + best[0, batch:, 0]
    )
    impossible = total < _NEVER / 2

    def gradient(upstream):
        # How often each symbol is used in each frame, given the labels; a product with one-hot rows
        # is the same on every device.
        used = tf.matmul(tf.nn.softmax(joint), tf.one_hot(symbols, tf.shape(log_probs)[2]))
        return tf.where(impossible[:, None, None], 0.0, upstream[:, None, None] * used), None, None

    return tf.where(impossible, -np.inf, total), gradient


def _least(scores, beam: int):
    # The worst score of the best `beam` of each row; minus infinity where the beam is not full.
    return (
        -np.partition(-scores, beam - 1, axis=1)[:, beam - 1]
        if scores.shape[1] >= beam
        else np.full(len(scores), -np.inf)
    )


def _ask(language_model, prefix: tuple[int, ...], symbol: int, cache: dict) -> float:
    if (prefix, symbol) not in cache:
        nats = float(language_model(prefix, symbol))
        if not nats <= 0:
            raise InputError(
                f"a language model must give log-probabilities, 0 or less, got {nats} for {symbol} after {prefix}"
            )
        cache[prefix, symbol] = nats
    return cache[prefix, symbol]
