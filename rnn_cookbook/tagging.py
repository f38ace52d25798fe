"""From a tagger's scores to spans, each with its probability."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from scipy.special import log_softmax

from rnn_cookbook.crf import CRF
from rnn_cookbook.data.tagged import pieces
from rnn_cookbook.data.tags import Span
from rnn_cookbook.encode.batches import Batches
from rnn_cookbook.encode.tags import TagEncoder
from rnn_cookbook.encode.words import WordEncoder
from rnn_cookbook.training import predict_sequences

_BATCH = 64  # sentences, or spans, that the CRF decodes together


def inputs_of(model: keras.Model, encoded: dict[str, list[np.ndarray]]) -> dict[str, list[np.ndarray]] | list[np.ndarray]:
    """Of what `encode.words.WordEncoder` makes, what the model reads, for `Batches`."""
    found = {x.name: encoded[x.name] for x in model.inputs}
    return found if len(found) > 1 else next(iter(found.values()))


class Tagger:
    """Finds the spans of tokenised sentences by a model of `models.sequence_tagger`, with or without a CRF.

    Make it once: what it calls is compiled on the first call and kept.

    Args:
        model: its output is a CRF's, or logits; it reads any of tokens, characters and features.
        words, tags: the encoders that it was trained with.
        longest: longer sentences are read in parts of so many tokens.
    """

    def __init__(self, model: keras.Model, words: WordEncoder, tags: TagEncoder, *, longest: int = 200):
        self.model, self.words, self.tags, self.longest = model, words, tags, longest
        self.crf = next((layer for layer in model.layers if isinstance(layer, CRF)), None)
        if self.crf:
            scores, mask = tf.TensorSpec([None, None, len(tags.tags)]), tf.TensorSpec([None, None], tf.bool)
            self._viterbi = tf.function(lambda scores, mask: self.crf.viterbi(scores, mask)[0], input_signature=[scores, mask])
            self._probability = tf.function(self.crf.probability, input_signature=[scores, tf.TensorSpec([None, None], tf.int32), mask])

    def spans(self, sentences: Sequence[Sequence[str]]) -> list[list[Span]]:
        """Spans of each sentence, in order."""
        return [self.tags.decode(numbers) for numbers in self._best(self._scores(sentences))]

    def spans_with_probability(self, sentences: Sequence[Sequence[str]]) -> list[list[tuple[Span, float]]]:
        """As `spans`, each with the probability that the model gives to exactly this span and type."""
        scores = self._scores(sentences)
        best = self._best(scores)
        found = [self.tags.decode(numbers) for numbers in best]
        probabilities = iter(self._probabilities(scores, best, found))
        return [[(span, next(probabilities)) for span in spans] for spans in found]

    def _scores(self, sentences) -> list[np.ndarray]:
        """float32[tokens, tags] a sentence."""
        cuts = [(row, part) for row, tokens in enumerate(sentences) for part in pieces(len(tokens), None, longest=self.longest)]
        cuts = [(row, part) for row, part in cuts if part.stop > part.start]
        none = np.zeros((0, len(self.tags.tags)), np.float32)
        if not cuts:
            return [none for _ in sentences]
        encoded = self.words.encode([sentences[row][part] for row, part in cuts])
        batches = Batches(inputs_of(self.model, encoded), batch_size=_BATCH)
        found = [[none] for _ in sentences]
        for (row, _), scores in zip(cuts, predict_sequences(self.model, batches), strict=True):
            found[row].append(scores)
        return [np.concatenate(parts) for parts in found]

    def _best(self, scores: list[np.ndarray]) -> list[np.ndarray]:
        if not self.crf:
            return [part.argmax(axis=-1) for part in scores]
        best: list = [np.zeros(0, np.int32)] * len(scores)
        order = sorted((i for i in range(len(scores)) if len(scores[i])), key=lambda i: len(scores[i]))
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            for index, numbers in zip(chosen, self._viterbi(*_padded([scores[i] for i in chosen])).numpy(), strict=True):
                best[index] = numbers[: len(scores[index])]
        return best

    def _probabilities(self, scores, best, found) -> list[float]:
        """Of all spans of all sentences, one after the other."""
        places = [(row, span) for row, spans in enumerate(found) for span in spans]
        if not self.crf:
            shares = [log_softmax(part.astype(np.float64), axis=-1).max(axis=-1) for part in scores]
            return [float(np.exp(shares[row][span.start : span.end].sum())) for row, span in places]
        probabilities: list[float] = []
        for start in range(0, len(places), _BATCH):
            chosen = places[start : start + _BATCH]
            padded, mask = _padded([scores[row] for row, _ in chosen])
            given = np.full(mask.shape, -1, np.int32)
            for k, (row, (first, end, _)) in enumerate(chosen):
                given[k, first:end] = best[row][first:end]
            probabilities += self._probability(padded, given, mask).numpy().tolist()
        return probabilities


def _padded(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sequences [time, tags] as float32[batch, time, tags] and bool[batch, time]."""
    lengths = np.array([len(part) for part in parts])
    mask = np.arange(lengths.max()) < lengths[:, None]
    padded = np.zeros((*mask.shape, parts[0].shape[-1]), np.float32)
    padded[mask] = np.concatenate(parts)
    return padded, mask
