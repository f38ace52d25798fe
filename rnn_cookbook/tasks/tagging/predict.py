"""From a tagger's scores to spans, each with its probability."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from scipy.special import log_softmax

from rnn_cookbook.encode.batches import Batches, together
from rnn_cookbook.nn.crf import CRF
from rnn_cookbook.run.fit import predict_sequences
from rnn_cookbook.tasks.tagging.encode import TagEncoder, WordEncoder
from rnn_cookbook.tasks.tagging.schemes import Span

_BATCH = 64  # sentences that are read and decoded together
_STEPS = 20_000  # of a batch to decode, padding included


def inputs_of(
    model: keras.Model, encoded: dict[str, list[np.ndarray]]
) -> dict[str, list[np.ndarray]] | list[np.ndarray]:
    """Of what `encode.words.WordEncoder` makes, what the model reads, for `Batches`."""
    found = {x.name: encoded[x.name] for x in model.inputs}
    return found if len(found) > 1 else next(iter(found.values()))


class Tagger:
    """Finds the spans of tokenised sentences by a model of `models.sequence_tagger`, with or
    without a CRF.

    Make it once: what it calls is compiled on the first call and kept.

    Args:
        model: its output is a CRF's, or logits; it reads any of tokens, characters and features.
        words, tags: the encoders that it was trained with.
        longest: longer sentences are read in parts of so many tokens, which overlap by a quarter,
            so that every token is read with its neighbours; the best path and the probabilities are
            those of the whole sentence all the same.
    """

    def __init__(
        self, model: keras.Model, words: WordEncoder, tags: TagEncoder, *, longest: int = 200
    ):
        self.model, self.words, self.tags, self.longest = model, words, tags, longest
        self.crf = next((layer for layer in model.layers if isinstance(layer, CRF)), None)
        # Without the CRF's borders: a sentence that is read in parts has only one beginning and one
        # end.
        self._emissions = keras.Model(model.input, self.crf.input[0]) if self.crf else model
        if self.crf:
            scores, mask = (
                tf.TensorSpec([None, None, len(tags.tags)]),
                tf.TensorSpec([None, None], tf.bool),
            )
            self._viterbi = tf.function(
                lambda scores, mask: self.crf.viterbi(scores, mask)[0],
                input_signature=[scores, mask],
            )
            signature = [scores, tf.TensorSpec([None, None], tf.int32), mask]
            self._conditionals = tf.function(self.crf.conditionals, input_signature=signature)

    def spans(self, sentences: Sequence[Sequence[str]]) -> list[list[Span]]:
        """Spans of each sentence, in order."""
        return [self.tags.decode(numbers) for numbers in self.numbers(sentences)]

    def numbers(self, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """The numbers of the tags of each sentence, int[tokens], in order."""
        return self._best(self._scores(sentences))

    def spans_with_probability(
        self, sentences: Sequence[Sequence[str]]
    ) -> list[list[tuple[Span, float]]]:
        """As `spans`, each with the probability that the model gives to its tags: in BIOES, to
        exactly this span and type."""
        scores = self._scores(sentences)
        best = self._best(scores)
        found = []
        for numbers, (marginal, conditional) in zip(best, self._nats(scores, best), strict=True):
            spans = self.tags.decode(numbers)
            found.append(
                [
                    (
                        span,
                        float(np.exp(marginal[span[0]] + conditional[span[0] + 1 : span[1]].sum())),
                    )
                    for span in spans
                ]
            )
        return found

    def _scores(self, sentences) -> list[np.ndarray]:
        """float32[tokens, tags] a sentence."""
        none = np.zeros((0, len(self.tags.tags)), np.float32)
        parts = [
            (row, part, kept)
            for row, tokens in enumerate(sentences)
            if tokens
            for part, kept in self._parts(len(tokens))
        ]
        if not parts:
            return [none for _ in sentences]
        encoded = self.words.encode([sentences[row][part] for row, part, _ in parts])
        batches = Batches(inputs_of(self.model, encoded), batch_size=_BATCH)
        found = [[none] for _ in sentences]
        for (row, _, kept), scores in zip(
            parts, predict_sequences(self._emissions, batches), strict=True
        ):
            found[row].append(scores[kept])
        scores = [np.concatenate(rows) for rows in found]
        if self.crf:
            for chosen in together([*map(len, scores)], most=_BATCH, cells=_STEPS):
                padded, mask = _padded([scores[i] for i in chosen])
                for i, row in zip(chosen, self.crf((padded, mask)).numpy(), strict=True):
                    scores[i] = row[: len(scores[i])]
        return scores

    def _parts(self, length: int) -> list[tuple[slice, slice]]:
        """What to read, and which of it to keep."""
        margin = self.longest // 8 if length > self.longest else 0
        step = self.longest - 2 * margin
        parts = []
        for start in range(0, max(length - 2 * margin, 1), step):
            end = min(start + self.longest, length)
            parts.append(
                (
                    slice(start, end),
                    slice(margin if start else 0, end - start - (margin if end < length else 0)),
                )
            )
        return parts

    def _best(self, scores: list[np.ndarray]) -> list[np.ndarray]:
        if not self.crf:
            return [part.argmax(axis=-1) for part in scores]
        best: list = [np.zeros(0, np.int32)] * len(scores)
        for chosen in together([*map(len, scores)], most=_BATCH, cells=_STEPS):
            for i, numbers in zip(
                chosen, self._viterbi(*_padded([scores[i] for i in chosen])).numpy(), strict=True
            ):
                best[i] = numbers[: len(scores[i])]
        return best

    def _nats(self, scores, best) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each step of the best path, by itself and given the one before."""
        if not self.crf:
            alone = [
                log_softmax(part.astype(np.float64), axis=-1).max(axis=-1, initial=-np.inf)
                for part in scores
            ]
            return list(zip(alone, alone, strict=True))
        nats: list = [(np.zeros(0), np.zeros(0))] * len(scores)
        for chosen in together([*map(len, scores)], most=_BATCH, cells=_STEPS):
            padded, mask = _padded([scores[i] for i in chosen])
            path = np.zeros(mask.shape, np.int32)
            path[mask] = np.concatenate([best[i] for i in chosen])
            for i, *rows in zip(
                chosen,
                *(part.numpy() for part in self._conditionals(padded, path, mask)),
                strict=True,
            ):
                nats[i] = tuple(row[: len(scores[i])] for row in rows)
        return nats


def _padded(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sequences [time, tags] as float32[batch, time, tags] and bool[batch, time]."""
    lengths = np.array([len(part) for part in parts])
    mask = np.arange(lengths.max()) < lengths[:, None]
    padded = np.zeros((*mask.shape, parts[0].shape[-1]), np.float32)
    padded[mask] = np.concatenate(parts)
    return padded, mask
