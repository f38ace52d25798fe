"""From texts to their translations, by one encoder-decoder or an ensemble."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.data.sentences import sentences
from rnn_cookbook.encode.batches import padded, together
from rnn_cookbook.encode.subwords import END, SubwordEncoder
from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.decoding import beam_search, ensemble, greedy_search
from rnn_cookbook.nn.generation import Hypotheses
from rnn_cookbook.tasks.translation.model import encoding_model

__all__ = ["Attention", "Limits", "Translation", "Translator", "answer"]

_BATCH = 64  # texts that are translated together
_TOKENS = 4_000  # subwords of a batch, padding included

# What `Limits.fit` allows beyond the training pairs.
_RATIO = 1.25  # of the median ratio of lengths
_MIN_EXTRA = 5  # subwords
_SHARE_WITHIN_EXTRA = 0.999  # fraction of the training pairs that the limit leaves whole
_SHARE_WITHIN_SENTENCES = 0.99  # fraction of the training sources
_COUNTED = 2000  # training sources whose sentences are counted


class Translation(NamedTuple):
    """A translation of a text and how probable the model finds it.

    Args:
        text: the translation, detokenised.
        score: nats that the search ranks by, the log-probability normalised by length; of a long
            text the sum over its parts.
        log_probability: nats.
    """

    text: str
    score: float
    log_probability: float


class Attention(NamedTuple):
    """The attention weights of a translation.

    Args:
        source: subwords of the source, the end symbol last.
        target: subwords of the translation, the end symbol last.
        weights: float32[target, source]; each row sums to one.
    """

    source: list[str]
    target: list[str]
    weights: np.ndarray


class Limits(NamedTuple):
    """Limits that follow from the lengths of the training pairs.

    Args:
        slope: subwords of a translation per subword of its source, the end symbols counted.
        extra: further subwords that a translation may have.
        sentences: maximum number of sentences that are translated at a time.
    """

    slope: float
    extra: int
    sentences: int

    @classmethod
    def fit(
        cls, texts: Sequence[str], sources: Sequence[np.ndarray], targets: Sequence[np.ndarray]
    ) -> Limits:
        """Measures the limits on training pairs.

        The slope is a quarter more than the median ratio of lengths; `extra` covers all but one
        pair in a thousand: translations are as long as their source, summaries shorter, replies
        whatever they are. A model that never saw two sentences at once leaves one of them out, so
        `sentences` covers all but one source text in a hundred, and no more.

        Args:
            texts: training sources.
            sources: int[subwords] of each training source.
            targets: int[subwords] of each training target.
        """
        pairs = zip(sources, targets, strict=True)
        lengths = np.array([[len(source), len(target)] for source, target in pairs])
        slope = _RATIO * float(np.median(lengths[:, 1] / lengths[:, 0]))
        beyond = lengths[:, 1] - slope * lengths[:, 0]
        extra = math.ceil(np.quantile(beyond, _SHARE_WITHIN_EXTRA))
        every = max(1, len(texts) // _COUNTED)
        counts = [len(sentences(text)) for text in texts[::every]]
        longest = math.ceil(np.quantile(counts, _SHARE_WITHIN_SENTENCES))
        return cls(round(slope, 4), max(_MIN_EXTRA, extra), max(1, longest))

    def of(self, sources: Sequence[np.ndarray]) -> np.ndarray:
        """Returns int32[sources], the maximum number of subwords of each translation.

        Args:
            sources: int[subwords] of each source.
        """
        limits = [math.ceil(self.slope * len(source)) + self.extra for source in sources]
        return np.array(limits, np.int32)


def _joined(parts: list[list[Translation]]) -> list[Translation]:
    """Translations of a text from those of its parts: the best of all parts, the second best of
    all parts, and so on as far as each part has one."""
    joined = []
    for ranked in zip(*parts, strict=False):
        text = " ".join(part.text for part in ranked)
        score = sum(part.score for part in ranked)
        log_probability = sum(part.log_probability for part in ranked)
        joined.append(Translation(text, score, log_probability))
    return joined


class Translator:
    """A translator of raw texts, by models of `encoder_decoder`.

    Make it once: the functions that it calls are compiled on the first call and kept.

    Args:
        models: models with the same subwords; the probabilities of several are averaged at every
            step.
        source: encoder of the sources that the models were trained with.
        target: encoder of the targets that the models were trained with.
        limits: limits of the translations' length, and of the sentences that are translated at a
            time.
        longest: maximum number of subwords that are translated at a time. Longer texts are split
            into parts, between sentences where possible.
        beam: width of the search; 1 is greedy.
        alpha: exponent of the length normalisation of Wu et al. (2016), see
            `nn.decoding.beam_search`; 0 turns it off, which favours short translations.
        n_best: translations of each text, at most `beam`.

    Raises:
        InputError: the models have another number of subwords than the target encoder.
    """

    def __init__(
        self,
        models: Sequence[keras.Model],
        source: SubwordEncoder,
        target: SubwordEncoder,
        *,
        limits: Limits,
        longest: int = 100,
        beam: int = 5,
        alpha: float = 1.0,
        n_best: int = 1,
    ):
        self.source = source
        self.target = target
        self.limits = limits
        self.longest = longest
        self._decoders = [model.get_layer("decoder") for model in models]
        self._encoders = []
        for model in models:
            encode = partial(encoding_model(model), training=False)
            self._encoders.append(tf.function(encode, reduce_retracing=True))
        if any(decoder.vocabulary_size != len(target) for decoder in self._decoders):
            sizes = ", ".join(str(decoder.vocabulary_size) for decoder in self._decoders)
            raise InputError(
                "the models and the target encoder must have the same subwords; received models "
                f"of {sizes} subwords and an encoder of {len(target)}"
            )
        step = ensemble([decoder.step for decoder in self._decoders])
        if beam == 1 and n_best == 1:
            self._search = greedy_search(step, end=END, max_length=1)
        else:
            self._search = beam_search(
                step,
                end=END,
                max_length=1,
                beam=beam,
                n_best=n_best,
                length_normalization="gnmt",
                alpha=alpha,
            )

    def translate(self, texts: Sequence[str]) -> list[list[Translation]]:
        """Returns the best translations of each text, best first; none for a text without a
        character."""
        parts = []
        owners = []
        for row, text in enumerate(texts):
            for part in self.parts(text):
                parts.append(part)
                owners.append(row)
        translated: list[list[list[Translation]]] = [[] for _ in texts]
        for row, best in zip(owners, self._translated(parts), strict=True):
            translated[row].append(best)
        return [_joined(best) for best in translated]

    def best(self, texts: Sequence[str]) -> list[str]:
        """Returns the best translation of each text; "" for a text without a character."""
        return [best[0].text if best else "" for best in self.translate(texts)]

    @property
    def attends(self) -> bool:
        """Whether the models have attention."""
        return all(decoder.attention is not None for decoder in self._decoders)

    def attention(self, sources: Sequence[str], targets: Sequence[str]) -> list[Attention]:
        """Computes the attention weights with which the decoder writes given targets; the mean over
        the models. Texts are not split.

        Args:
            sources: raw texts.
            targets: translation of each source.

        Raises:
            InputError: the models have no attention.
        """
        if not self.attends:
            raise InputError(
                "attention weights need models with attention; received a model without",
                field="attention",
            )
        pairs = zip(self.source.encode(sources), self.target.encode(targets), strict=True)
        return [self._attention(source, target) for source, target in pairs]

    def _attention(self, source: np.ndarray, target: np.ndarray) -> Attention:
        states, constants = self._begin([source])
        rows = []
        for token in [self._decoders[0].start, *target[:-1]]:
            weights_by_model = []
            for i, decoder in enumerate(self._decoders):
                weights, _, states[i] = decoder.attend_step(
                    tf.constant([token]), states[i], constants[i]
                )
                weights_by_model.append(np.asarray(weights)[0])
            rows.append(np.mean(weights_by_model, axis=0))
        source_pieces = self.source.pieces(source.tolist())
        target_pieces = self.target.pieces(target.tolist())
        return Attention(source_pieces, target_pieces, np.stack(rows))

    def parts(self, text: str) -> list[np.ndarray]:
        """Splits a text into parts that are translated at a time: int32[subwords] each, the end
        symbol last; none for a text without a character."""
        (whole,) = self.source.encode([text])
        if len(whole) == 1:  # the end symbol
            return []
        split = sentences(text)
        if len(whole) <= self.longest and len(split) <= self.limits.sentences:
            return [whole]
        parts: list[np.ndarray] = []
        count = 0  # sentences in the last part
        for tokens in split:
            (numbers,) = self.source.encode([text[tokens[0].start : tokens[-1].end]])
            fits = (
                bool(parts)
                and count < self.limits.sentences
                and len(parts[-1]) + len(numbers) - 1 <= self.longest
            )
            if fits:
                parts[-1] = np.concatenate([parts[-1][:-1], numbers])
                count += 1
            else:
                parts += self._pieces(numbers)
                count = 1
        return parts

    def _pieces(self, numbers: np.ndarray) -> Iterator[np.ndarray]:
        """A sentence in pieces that fit, cut between words where there are any."""
        while len(numbers) > self.longest:
            pieces = self.source.pieces(numbers[: self.longest].tolist())
            words = [i for i, piece in enumerate(pieces) if i and piece.startswith("▁")]
            cut = words[-1] if words else self.longest - 1
            yield np.append(numbers[:cut], END).astype(np.int32)
            numbers = numbers[cut:]
        yield numbers

    def _begin(self, batch: list[np.ndarray]) -> tuple[list, list]:
        """The first state and the constants of each decoder."""
        states = []
        constants = []
        for decoder, encoder in zip(self._decoders, self._encoders, strict=True):
            state, constant = decoder.begin(*encoder(padded(batch)))
            states.append(state)
            constants.append(constant)
        return states, constants

    def _translated(self, parts: list[np.ndarray]) -> list[list[Translation]]:
        translated: list[list[Translation]] = [[] for _ in parts]
        for chosen in together([len(part) for part in parts], batch_size=_BATCH, cells=_TOKENS):
            batch = [parts[i] for i in chosen]
            states, constants = self._begin(batch)
            start = tf.fill([len(batch)], self._decoders[0].start)
            found = self._search(
                start, tuple(states), tuple(constants), max_length=self.limits.of(batch)
            )
            for i, best in zip(chosen, self._decoded(found), strict=True):
                translated[i] = best
        return translated

    def _decoded(self, found: Hypotheses) -> list[list[Translation]]:
        """The translations of each part; a search may find fewer than were asked for."""
        tokens = np.asarray(found.tokens)
        lengths = np.asarray(found.lengths)
        scores = np.asarray(found.scores)
        log_probabilities = np.asarray(found.log_probabilities)
        translations = []
        for row in range(len(lengths)):
            there = np.flatnonzero(lengths[row])
            numbers = [tokens[row, n, : lengths[row, n]].tolist() for n in there]
            best = []
            for n, text in zip(there, self.target.decode(numbers), strict=True):
                score = float(scores[row, n])
                log_probability = float(log_probabilities[row, n])
                best.append(Translation(text, score, log_probability))
            translations.append(best)
        return translations


def _numbers(translation: Translation) -> dict[str, Any]:
    return {
        "translation": translation.text,
        "score": round(translation.score, 5),
        "nats": round(translation.log_probability, 5),
    }


def answer(
    translator: Translator,
    text: str,
    found: Sequence[Translation],
    *,
    n_best: int = 1,
    attention: bool = False,
) -> dict[str, Any]:
    """Makes the answer to a text that `rnn-cookbook predict` writes.

    Args:
        translator: translator of the text.
        text: raw text.
        found: translations of the text, best first; none for a text without a character.
        n_best: number of translations asked for; above 1 the answer lists them.
        attention: whether the answer has the attention weights of the best translation.

    Returns:
        "text", "translation", "score" and "nats"; "n_best" and "attention" on request; "unknown",
        the characters that the training text lacks, where there are any. For a text without a
        character a "translation" of None and "error".
    """
    if not found:
        return {"text": text, "translation": None, "error": "no character in the text"}
    row: dict[str, Any] = {"text": text, **_numbers(found[0])}
    if n_best > 1:
        row["n_best"] = [_numbers(translation) for translation in found]
    unknown = translator.source.unknown(text)
    if unknown:
        row["unknown"] = unknown
    if attention:
        (weights,) = translator.attention([text], [found[0].text])
        row["attention"] = {
            "source": weights.source,
            "target": weights.target,
            "weights": weights.weights.round(4).tolist(),
        }
    return row
