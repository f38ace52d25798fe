"""Connectionist temporal classification (CTC) with true lengths: loss, best path, forced alignment.

Graves et al. (2006, "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data
with Recurrent Neural Networks"). A network reads frames and gives each frame a distribution over
the symbols; merging equal neighbours and then deleting the blanks turns a path, a symbol for each
frame, into a labelling. Equal labels in a row need a blank between them.

Symbol 0 is the blank, and 0 pads label sequences: logits float32[batch, frames, symbols], labels
int32[batch, labels]. The prefix beam search is in `nn.ctc_search`.

What Keras and TensorFlow have is not used, for these reasons (Keras 3.15, TensorFlow 2.21).
`keras.losses.CTC` takes padded frames for frames. `tf.nn.ctc_loss` with dense labels accepts labels
out of range silently, gives wrong finite numbers where no path can give the labels or a frame is
worse than some 700 nats, and is many times slower than this on a CPU. With sparse labels it is
fast, but raises on an empty labelling, gives infinity once a frame leaves its labels less than
1e-38, and does not compile with XLA. The beam search puts the blank last and fails when asked for
more labellings than there are.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.nn.tensors import Tensor

__all__ = [
    "NEVER",
    "ON_IMPOSSIBLE",
    "CTCLoss",
    "PadWithBlank",
    "ctc_align",
    "ctc_greedy",
    "ctc_loss",
    "frames_needed",
    "masked_logits",
]

ON_IMPOSSIBLE = ("error", "zero", "infinity")

# Nats of the impossible. Finite, since infinities have gradients that are not numbers, and beyond
# what any real path adds up to.
NEVER = -1e9

_WRONG_LABELS = "labels must be 1 to symbols - 1 within their length (0 is blank and padding)"
_IMPOSSIBLE = "too few frames for these labels; accepted are at least frames_needed(labels)"


def _checks(right: Tensor, message: str) -> list[Any]:
    """Names the rows that are wrong. What is returned must be waited for inside compiled
    functions.

    Raises:
        InputError: a row is wrong, outside of compiled functions.
    """
    if not tf.executing_eagerly():
        rows: Tensor = tf.where(~right)
        described = [message, "rows:", rows[:, 0]]
        return [tf.debugging.Assert(tf.reduce_all(right), described, summarize=5)]
    if not np.all(right):
        raise InputError(f"{message}; rows: {listing(np.flatnonzero(~np.array(right)))}")
    return []


def _pad_with_blank(logits: Tensor, mask: Tensor) -> Tensor:
    shape: Tensor = ops.shape(logits)
    blank = ops.where(ops.equal(ops.arange(shape[-1]), 0), 0.0, NEVER)
    return ops.where(mask[..., None], logits, blank)


def masked_logits(logits: Tensor, lengths: Tensor | None) -> Tensor:
    """Returns logits float32[batch, frames, symbols] whose padded frames are certain blanks.

    Args:
        logits: float[batch, frames, symbols]; symbol 0 is the blank.
        lengths: number of true frames, int32[batch], from 1; None for all frames.

    Raises:
        InputError: logits of another rank or with the blank alone, or a length out of range.
    """
    logits = tf.cast(logits, tf.float32)
    if logits.shape.rank != 3 or logits.shape[2] == 1:
        raise InputError(
            "logits must be [batch, frames, symbols] with the blank and at least 1 other symbol; "
            f"received shape {logits.shape}"
        )
    if lengths is None:
        return logits
    true_frames: Tensor = tf.cast(lengths, tf.int32)
    frames: Tensor = tf.shape(logits)[1]
    right = (true_frames >= 1) & (true_frames <= frames)
    with tf.control_dependencies(_checks(right, "lengths must be 1 to the number of frames")):
        return _pad_with_blank(logits, tf.sequence_mask(true_frames, frames))


def _count(labels: Tensor) -> Tensor:
    return tf.reduce_sum(tf.cast(labels != 0, tf.int32), axis=1)


def _padded_labels(
    labels: Tensor, lengths: Tensor | None, symbols: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns (labels with 0 beyond their length, lengths, which rows are right)."""
    labels = tf.cast(labels, tf.int32)
    if labels.shape.rank != 2:
        raise InputError(f"labels must be [batch, labels]; received shape {labels.shape}")
    counts: Tensor = _count(labels) if lengths is None else tf.cast(lengths, tf.int32)
    longest: Tensor = tf.shape(labels)[1]
    inside: Tensor = tf.sequence_mask(counts, longest)
    labels = tf.where(inside, labels, 0)
    known = ((labels >= 1) & (labels < symbols)) | ~inside
    right = tf.reduce_all(known, axis=1) & (counts >= 0) & (counts <= longest)
    return tf.clip_by_value(labels, 0, symbols - 1), counts, right


def _lattice(log_probs: Tensor, labels: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the states blank, label, blank, label, ..., blank of each labelling.

    Their symbols int32[batch, states], their nats float32[batch, frames, states], and the cost of
    coming from two states before: nothing between two labels that differ. States after the last
    blank are impossible.
    """
    shape: Tensor = tf.shape(labels)
    batch = shape[0]
    count = shape[1]
    after_blank: Tensor = tf.pad(labels[..., None], [[0, 0], [0, 0], [1, 0]])
    symbols = tf.pad(tf.reshape(after_blank, [batch, 2 * count]), [[0, 0], [0, 1]])
    emissions = tf.maximum(tf.gather(log_probs, symbols, axis=2, batch_dims=1), NEVER)
    inside: Tensor = tf.sequence_mask(2 * lengths + 1, 2 * count + 1)
    emissions = tf.where(inside[:, None], emissions, NEVER)
    two_before: Tensor = tf.pad(symbols, [[0, 0], [2, 0]])[:, :-2]
    skip = tf.where((symbols != 0) & (symbols != two_before), 0.0, NEVER)
    return symbols, emissions, skip


@tf.custom_gradient
def _log_probability(log_probs: Tensor, labels: Tensor, lengths: Tensor) -> Any:
    """Returns the nats of each labelling, from Graves' forward and backward variables.

    (float32[batch, frames, symbols], int32[batch, labels], int32[batch]) -> float32[batch]

    The backward variables are the forward variables of the reversed labels over the reversed
    frames, so that a single loop gives both, as rows of one batch: half the steps.
    """
    batch = tf.shape(labels)[0]

    def turned(values):
        # Frames and states in reversed order: float32[batch, frames, states].
        return tf.reverse_sequence(tf.reverse(values, [1]), 2 * lengths + 1, seq_axis=2)

    symbols, emissions, skip = _lattice(log_probs, labels, lengths)
    # Between the same two labels the other way round: the cost stays with the pair, which now ends
    # two states earlier.
    shifted: Tensor = tf.pad(skip, [[0, 0], [0, 2]], constant_values=NEVER)
    skip_back = tf.reverse_sequence(shifted[:, 2:], 2 * lengths + 1, seq_axis=1)
    skips = tf.concat([skip, skip_back], axis=0)

    def step(last, emission):
        nats, _ = last
        before: Tensor = tf.pad(nats, [[0, 0], [2, 0]], constant_values=NEVER)
        moved = before[:, 1:-1]
        skipped = before[:, :-2] + skips
        top = tf.maximum(tf.maximum(nats, moved), skipped)
        total = tf.exp(nats - top) + tf.exp(moved - top) + tf.exp(skipped - top)
        nats = top + tf.math.log(total) + emission
        # Relative to the best state of each frame: small numbers keep their digits over long
        # sequences.
        best = tf.reduce_max(nats, axis=1, keepdims=True)
        return nats - best, best

    impossible_states: Tensor = tf.fill(tf.shape(skips), NEVER)
    start: Tensor = tf.where(tf.range(tf.shape(symbols)[1]) == 0, 0.0, impossible_states)
    both_ways = tf.concat([emissions, turned(emissions)], axis=0)
    both, best = tf.scan(step, tf.transpose(both_ways, [1, 0, 2]), (start, start[:, :1]))
    both = tf.transpose(both, [1, 0, 2])
    joint: Tensor = both[:batch] + turned(both[batch:]) - emissions
    total = tf.reduce_logsumexp(joint[:, -1], axis=1)
    total = total + tf.reduce_sum(best[:, :batch, 0], axis=0) + best[0, batch:, 0]
    impossible: Tensor = total < NEVER / 2

    def gradient(upstream):
        # How often each symbol is used in each frame, given the labels; a product with one-hot rows
        # is the same on every device.
        used = tf.matmul(tf.nn.softmax(joint), tf.one_hot(symbols, tf.shape(log_probs)[2]))
        return tf.where(impossible[:, None, None], 0.0, upstream[:, None, None] * used), None, None

    return tf.where(impossible, -np.inf, total), gradient


def frames_needed(labels: Tensor, label_lengths: Tensor | None = None) -> Tensor:
    """Returns the minimum number of frames that can carry the labels: int32[batch, labels] ->
    int32[batch].

    Each label needs a frame, and equal neighbours need a blank between them.

    Args:
        labels: 1 to symbols - 1, padded with 0.
        label_lengths: int32[batch]; None counts the labels that are not 0.
    """
    labels = tf.cast(labels, tf.int32)
    lengths = _count(labels) if label_lengths is None else tf.cast(label_lengths, tf.int32)
    pairs: Tensor = tf.maximum(tf.shape(labels)[1] - 1, 0)
    repeats = (labels[:, 1:] == labels[:, :-1]) & tf.sequence_mask(lengths - 1, pairs)
    return lengths + tf.reduce_sum(tf.cast(repeats, tf.int32), axis=1)


def ctc_loss(
    labels: Tensor,
    logits: Tensor,
    label_lengths: Tensor | None = None,
    logit_lengths: Tensor | None = None,
) -> Tensor:
    """Returns the negative log-probability of each labelling in nats, float32[batch].

    It is infinite, and without a gradient, where no path gives the labels. An empty labelling is as
    good as any other.

    Args:
        labels: int32[batch, labels], 1 to symbols - 1, padded with 0.
        logits: float[batch, frames, symbols]; symbol 0 is the blank.
        label_lengths: int32[batch]; None counts the labels that are not 0.
        logit_lengths: number of true frames, int32[batch], from 1; None for all frames, which is
            also right after `PadWithBlank`.

    Raises:
        InputError: labels, logits or lengths of another shape or out of range. Compiled functions
            raise `tf.errors.InvalidArgumentError` for values out of range; compiled by XLA they
            answer infinity.
    """
    logits = masked_logits(logits, logit_lengths)
    labels, lengths, right = _padded_labels(labels, label_lengths, tf.shape(logits)[2])
    with tf.control_dependencies(_checks(right, _WRONG_LABELS)):
        loss = -_log_probability(tf.nn.log_softmax(logits), labels, lengths)
    return tf.where(right, loss, np.inf)


def ctc_greedy(logits: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Returns the labelling of the best path, which is not always the best labelling.

    int32[batch, labels], padded with 0 to the longest, and float32[batch], the log-probability of
    the path in nats. Works inside compiled functions too, but not under XLA, where no shape can
    depend on values.

    Args:
        logits: float[batch, frames, symbols]; symbol 0 is the blank.
        lengths: number of true frames, int32[batch], from 1; None for all frames, which is also
            right after `PadWithBlank`.

    Raises:
        InputError: logits of another shape, or a length out of range.
    """
    log_probs = tf.nn.log_softmax(masked_logits(logits, lengths))
    path: Tensor = tf.argmax(log_probs, axis=2, output_type=tf.int32)
    new = (path != 0) & (path != tf.pad(path[:, :-1], [[0, 0], [1, 0]]))
    labels = tf.ragged.boolean_mask(path, new).to_tensor()
    return labels, tf.reduce_sum(tf.reduce_max(log_probs, axis=2), axis=1)


def _best_path(emissions: np.ndarray, skip: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Returns the states of the best path (Viterbi), int32[batch, frames].

    Args:
        emissions: nats of the states, float32[batch, frames, states].
        skip: cost of coming from two states before, float32[batch, states].
        end: last state of each row, int32[batch].

    Raises:
        InputError: no path reaches the last state of a row.
    """
    batch, frames, states = emissions.shape
    rows = np.arange(batch)
    score = np.where(np.arange(states) == 0, 0.0, np.full((batch, 1), NEVER))
    steps = np.zeros((frames, batch, states), np.int8)
    for frame in range(frames):
        before = np.pad(score, [(0, 0), (2, 0)], constant_values=NEVER)
        moves = np.stack([score, before[:, 1:-1], before[:, :-2] + skip])
        steps[frame] = moves.argmax(axis=0)
        score = moves.max(axis=0) + emissions[:, frame]
    inner = np.maximum(end - 1, 0)
    state = np.where(score[rows, inner] > score[rows, end], inner, end)
    _checks(score[rows, state] > NEVER / 2, _IMPOSSIBLE)
    path = np.zeros((batch, frames), np.int32)
    for frame in reversed(range(frames)):
        path[:, frame] = state
        state = state - steps[frame, rows, state]
    return path


def ctc_align(
    logits: Tensor,
    labels: Tensor,
    lengths: Tensor | None = None,
    label_lengths: Tensor | None = None,
) -> np.ndarray:
    """Returns where each label is: spans of frames, int32[batch, labels, 2].

    Forced alignment: the most probable path that gives the labels (Viterbi), as the first frame of
    each label and the frame after its last; 0, 0 for padding. Frames outside of all spans are
    blank. CTC learns peaks: the begin of a span is accurate, its duration is not.

    Args:
        logits: float[batch, frames, symbols]; symbol 0 is the blank.
        labels: int32[batch, labels], 1 to symbols - 1, padded with 0.
        lengths: number of true frames, int32[batch], from 1; None for all frames, which is also
            right after `PadWithBlank`.
        label_lengths: int32[batch]; None counts the labels that are not 0.

    Raises:
        InputError: labels, logits or lengths of another shape or out of range, or no path gives
            the labels.
    """
    logits = masked_logits(logits, lengths)
    labels, label_lengths, right = _padded_labels(labels, label_lengths, logits.shape[2])
    _checks(right, _WRONG_LABELS)
    _, emissions, skip = _lattice(tf.nn.log_softmax(logits), labels, label_lengths)
    path = _best_path(np.array(emissions), np.array(skip), 2 * np.array(label_lengths))
    states = 2 * np.arange(labels.shape[1])[:, None] + 1
    there = path[:, None] == states
    first = there.argmax(axis=2)
    return np.stack([first, first + there.sum(axis=2)], axis=2).astype(np.int32)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class PadWithBlank(keras.layers.Layer):
    """Replaces padded frames by certain blanks, as the last layer of a model.

    (float[batch, frames, symbols], bool[batch, frames]) -> float32[batch, frames, symbols]

    A certain blank adds nothing to a labelling and costs 0 nats: over all frames, CTC's loss, its
    gradient and every decoder then give what they give over the true frames alone. The output
    carries its lengths, and nothing downstream can forget them.

    Always float32: half precision has no number as low as the one that means "never".
    """

    stepwise = True

    def __init__(self, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any) -> Tensor:
        logits, mask = inputs
        return _pad_with_blank(ops.cast(logits, "float32"), ops.cast(mask, "bool"))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        # A travelling mask would end here as a weight bool[batch, frames] on a loss float32[batch].
        return None

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0]


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class CTCLoss(keras.losses.Loss):
    """The negative log-probability of each labelling, in nats.

    (int32[batch, labels] padded with 0, logits float32[batch, frames, symbols]) -> float32[batch],
    reduced

    All frames count: the model's last layer must be `PadWithBlank` unless every example is as long
    as the batch.

    Args:
        on_impossible: treatment of an example that no path can give, because it has fewer frames
            than `frames_needed(labels)`. "error" stops with a message, for this is a fault of the
            data or of too much subsampling; "zero" leaves it out of the gradient, but not out of
            the mean; "infinity" shows its true loss. Never a gradient, and never not a number. Code
            compiled by XLA cannot stop: there "error" shows as infinity.
        reduction: reduction over the batch, see `keras.losses.Loss`.
        name: name of the loss.
        **kwargs: further arguments of `keras.losses.Loss`.

    Raises:
        InputError: unknown `on_impossible`.
    """

    def __init__(
        self,
        on_impossible: str = "error",
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str = "ctc",
        **kwargs,
    ):
        # Keras accepts None, too.
        super().__init__(reduction=reduction, name=name, **kwargs)  # pyright: ignore[reportArgumentType]
        if on_impossible not in ON_IMPOSSIBLE:
            accepted = ", ".join(ON_IMPOSSIBLE)
            raise InputError(f"unknown on_impossible {on_impossible!r}; accepted are {accepted}")
        self.on_impossible = on_impossible

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        loss = ctc_loss(y_true, y_pred)
        impossible: Tensor = tf.math.is_inf(loss)
        if self.on_impossible == "error":
            with tf.control_dependencies(_checks(~impossible, _IMPOSSIBLE)):
                return tf.identity(loss)
        return tf.where(impossible, 0.0, loss) if self.on_impossible == "zero" else loss

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "on_impossible": self.on_impossible}
