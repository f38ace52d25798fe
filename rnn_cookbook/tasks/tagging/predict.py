"""From a tagger's scores to spans, each with its probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.special import log_softmax

from rnn_cookbook.data.sentences import sentences as split_sentences
from rnn_cookbook.encode.batches import Batches, together
from rnn_cookbook.nn.crf import CRF
from rnn_cookbook.run.inference import predict_sequences
from rnn_cookbook.tasks.tagging.encode import TagEncoder, WordEncoder
from rnn_cookbook.tasks.tagging.schemes import Span

__all__ = ["Tagger", "answers", "inputs_of", "overlapping_parts"]

_BATCH = 64  # sentences that are read and decoded together
_STEPS = 20_000  # steps of a batch to decode, padding included


def inputs_of(
    model: keras.Model, encoded: dict[str, list[np.ndarray]]
) -> dict[str, list[np.ndarray]] | list[np.ndarray]:
    """Returns what the model reads of what `WordEncoder.encode` makes, for `Batches`.

    Args:
        model: a `models.sequence_tagger`.
        encoded: numbers of each sentence, by the names of inputs.
    """
    inputs = {tensor.name: encoded[tensor.name] for tensor in model.inputs}
    return inputs if len(inputs) > 1 else next(iter(inputs.values()))


def overlapping_parts(length: int, *, longest: int) -> list[tuple[slice, slice]]:
    """Cuts a sentence into parts that overlap by a quarter, so that a network reads every token
    with its neighbours.

    Args:
        length: number of tokens of the sentence.
        longest: maximum number of tokens of a part.

    Returns:
        For each part the tokens to read, and which of the outputs to keep; every token is kept
        once.
    """
    margin = longest // 8 if length > longest else 0
    step = longest - 2 * margin
    parts = []
    for start in range(0, max(length - 2 * margin, 1), step):
        end = min(start + longest, length)
        first = margin if start else 0
        last = end - start - (margin if end < length else 0)
        parts.append((slice(start, end), slice(first, last)))
    return parts


def _padded(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sequences [time, tags] as float32[batch, time, tags] and bool[batch, time]."""
    lengths = np.array([len(part) for part in parts])
    mask = np.arange(lengths.max()) < lengths[:, None]
    padded = np.zeros((*mask.shape, parts[0].shape[-1]), np.float32)
    padded[mask] = np.concatenate(parts)
    return padded, mask


def _groups(scores: list[np.ndarray]) -> list[list[int]]:
    return together([len(part) for part in scores], batch_size=_BATCH, cells=_STEPS)


class Tagger:
    """Finds the spans of tokenised sentences by a trained tagger, with or without a CRF.

    Make it once: what it calls is compiled on the first call and kept.

    Args:
        model: a `models.sequence_tagger`, which puts out the scores of a CRF, or logits.
        words: encoder of words that the model was trained with.
        tags: encoder of tags that the model was trained with.
        longest: maximum number of tokens that are read at a time. Longer sentences are read in
            parts (`overlapping_parts`); the best path and the probabilities are those of the whole
            sentence all the same.
    """

    def __init__(
        self, model: keras.Model, words: WordEncoder, tags: TagEncoder, *, longest: int = 200
    ) -> None:
        self.model = model
        self.words = words
        self.tags = tags
        self.longest = longest
        self.crf = next((layer for layer in model.layers if isinstance(layer, CRF)), None)
        self._emissions = model
        if self.crf:
            # Without the CRF's borders: a sentence that is read in parts has only one beginning and
            # one end.
            self._emissions = keras.Model(model.input, self.crf.input[0])
            scores = tf.TensorSpec([None, None, len(tags.tags)])
            path = tf.TensorSpec([None, None], tf.int32)
            mask = tf.TensorSpec([None, None], tf.bool)
            self._viterbi = tf.function(self.crf.viterbi, input_signature=[scores, mask])
            self._conditionals = tf.function(
                self.crf.conditionals, input_signature=[scores, path, mask]
            )

    def _read(self, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """The network's scores, float32[tokens, tags] for each sentence."""
        none = np.zeros((0, len(self.tags.tags)), np.float32)
        rows: list[list[np.ndarray]] = [[none] for _ in sentences]
        parts = [
            (number, part, kept)
            for number, tokens in enumerate(sentences)
            if tokens
            for part, kept in overlapping_parts(len(tokens), longest=self.longest)
        ]
        if parts:
            encoded = self.words.encode([sentences[number][part] for number, part, _ in parts])
            batches = Batches(inputs_of(self.model, encoded), batch_size=_BATCH)
            outputs = predict_sequences(self._emissions, batches)
            for (number, _, kept), scores in zip(parts, outputs, strict=True):
                rows[number].append(scores[kept])
        return [np.concatenate(parts) for parts in rows]

    def _scores(self, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """The scores of whole sentences, float32[tokens, tags] each."""
        scores = self._read(sentences)
        if self.crf:
            for chosen in _groups(scores):
                whole = self.crf(_padded([scores[i] for i in chosen])).numpy()
                for i, row in zip(chosen, whole, strict=True):
                    scores[i] = row[: len(scores[i])]
        return scores

    def _best(self, scores: list[np.ndarray]) -> list[np.ndarray]:
        """The numbers of the best tags, int[tokens] for each sentence."""
        if not self.crf:
            return [part.argmax(axis=-1) for part in scores]
        best = [np.zeros(0, np.int32)] * len(scores)
        for chosen in _groups(scores):
            padded, mask = _padded([scores[i] for i in chosen])
            paths, _ = self._viterbi(padded, mask)
            for i, numbers in zip(chosen, paths.numpy(), strict=True):
                best[i] = numbers[: len(scores[i])]
        return best

    def _nats(
        self, scores: list[np.ndarray], best: list[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each step of the best path, by itself and given the step before."""
        if not self.crf:
            alone = [
                log_softmax(part.astype(np.float64), axis=-1).max(axis=-1, initial=-np.inf)
                for part in scores
            ]
            return list(zip(alone, alone, strict=True))
        nats = [(np.zeros(0), np.zeros(0))] * len(scores)
        for chosen in _groups(scores):
            padded, mask = _padded([scores[i] for i in chosen])
            path = np.zeros(mask.shape, np.int32)
            path[mask] = np.concatenate([best[i] for i in chosen])
            marginals, conditionals = self._conditionals(padded, path, mask)
            rows = zip(chosen, marginals.numpy(), conditionals.numpy(), strict=True)
            for i, marginal, conditional in rows:
                length = len(scores[i])
                nats[i] = marginal[:length], conditional[:length]
        return nats

    def numbers(self, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Returns the numbers of the tags, int[tokens] for each sentence, in order.

        Args:
            sentences: tokens of each sentence.
        """
        return self._best(self._scores(sentences))

    def spans(self, sentences: Sequence[Sequence[str]]) -> list[list[Span]]:
        """Returns the spans of each sentence, in order.

        Args:
            sentences: tokens of each sentence.
        """
        return [self.tags.decode(numbers) for numbers in self.numbers(sentences)]

    def spans_with_probability(
        self, sentences: Sequence[Sequence[str]]
    ) -> list[list[tuple[Span, float]]]:
        """Returns the spans of each sentence with their probabilities.

        The probability is what the model gives to the tags of the span: in BIOES, to exactly this
        span and type.

        Args:
            sentences: tokens of each sentence.
        """
        scores = self._scores(sentences)
        best = self._best(scores)
        answers = []
        for numbers, (marginal, conditional) in zip(best, self._nats(scores, best), strict=True):
            entities = []
            for span in self.tags.decode(numbers):
                nats = marginal[span.start] + conditional[span.start + 1 : span.end].sum()
                entities.append((span, float(np.exp(nats))))
            answers.append(entities)
        return answers


def answers(tagger: Tagger, texts: Sequence[str]) -> list[dict[str, Any]]:
    """Finds the entities of raw texts.

    Args:
        tagger: a trained tagger.
        texts: raw texts, which are split into sentences and tokens.

    Returns:
        For each text its "text" and its "entities": of each the "text", the "type", "start" and
        "end" in characters of the whole text, and the "probability".
    """
    documents = [split_sentences(text) for text in texts]
    words = [[token.text for token in tokens] for document in documents for tokens in document]
    predicted = iter(tagger.spans_with_probability(words))
    rows = []
    for text, document in zip(texts, documents, strict=True):
        entities = []
        for tokens in document:
            for span, probability in next(predicted):
                start = tokens[span.start].start
                end = tokens[span.end - 1].end
                entity = {
                    "text": text[start:end],
                    "type": span.type,
                    "start": start,
                    "end": end,
                    "probability": round(probability, 5),
                }
                entities.append(entity)
        rows.append({"text": text, "entities": entities})
    return rows
