"""From texts to their translations, by one encoder-decoder or several together."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.data.sentences import sentences
from rnn_cookbook.encode.batches import padded, together
from rnn_cookbook.encode.subwords import END, SubwordEncoder
from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.decoding import Hypotheses, beam_search, ensemble, greedy_search
from rnn_cookbook.tasks.translation.model import encoding_model

_BATCH = 64  # texts that are translated together
_TOKENS = 4_000  # of a batch, padding included


class Translation(NamedTuple):
    text: str
    # nats: what the search ranks by, the log-probability normalised by length; the sum of the parts
    # of a long text
    score: float
    log_probability: float  # nats


class Attention(NamedTuple):
    source: list[str]  # subwords, the end symbol last
    target: list[str]
    weights: np.ndarray  # float32[target, source]; each row sums to one


class Limits(NamedTuple):
    """What the training pairs are like: an answer has at most `slope * source + extra` subwords,
    those of the source counted with their end symbol; what is translated at a time has at most so
    many `sentences`."""

    slope: float
    extra: int
    sentences: int

    @classmethod
    def fit(
        cls, texts: Sequence[str], sources: Sequence[np.ndarray], targets: Sequence[np.ndarray]
    ) -> "Limits":
        """A quarter more than the usual ratio of lengths, and what all but one pair in a thousand
        exceed it by: translations are as long as their source, summaries shorter, replies whatever
        they are. A model that never saw two sentences at once leaves one of them out; so many are
        asked for as all but one in a hundred of the source texts have.

        Args:
            texts: of the training sources.
            sources, targets: int[subwords] of the training pairs.
        """
        lengths = np.array(
            [[len(source), len(target)] for source, target in zip(sources, targets, strict=True)]
        )
        slope = 1.25 * float(np.median(lengths[:, 1] / lengths[:, 0]))
        counts = [len(sentences(text)) for text in texts[:: max(1, len(texts) // 2000)]]
        extra = math.ceil(np.quantile(lengths[:, 1] - slope * lengths[:, 0], 0.999))
        return cls(round(slope, 4), max(5, extra), max(1, math.ceil(np.quantile(counts, 0.99))))

    def of(self, sources: Sequence[np.ndarray]) -> np.ndarray:
        """int32[sources]: the most subwords of each answer."""
        return np.array(
            [math.ceil(self.slope * len(source)) + self.extra for source in sources], np.int32
        )


class Translator:
    """Translates raw texts by models of `models.encoder_decoder`.

    Make it once: what it calls is compiled on the first call and kept.

    Args:
        models: one, or several that were trained on the same subwords, whose probabilities are
            averaged at every step.
        source, target: the encoders that they were trained with.
        limits: of the answers' length, and of the sentences that are translated at a time.
        longest: subwords that are translated at a time. Longer texts go in parts, which end with
            sentences where they can.
        beam: width of the search; 1 is greedy.
        alpha: of the length normalisation of Wu et al. (2016), see `decoding.beam_search`; 0 is
            none, which favours short answers.
        n_best: translations of each text, at most `beam`.
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
        self.source, self.target, self.limits, self.longest = source, target, limits, longest
        self._encoders = [
            tf.function(partial(encoding_model(model), training=False), reduce_retracing=True)
            for model in models
        ]
        self._decoders = [model.get_layer("decoder") for model in models]
        if any(decoder.vocabulary_size != len(target) for decoder in self._decoders):
            sizes = ", ".join(str(decoder.vocabulary_size) for decoder in self._decoders)
            raise InputError(f"{len(target)} target subwords do not fit models of {sizes}")
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
        """Of each text the best translations, best first; none of a text without a character."""
        parts = [(row, part) for row, text in enumerate(texts) for part in self._parts(text)]
        found: list[list[list[Translation]]] = [[] for _ in texts]
        for (row, _), best in zip(parts, self._found([part for _, part in parts]), strict=True):
            found[row].append(best)
        return [_joined(best) for best in found]

    def best(self, texts: Sequence[str]) -> list[str]:
        """Of each text the best translation; of one without a character none."""
        return [found[0].text if found else "" for found in self.translate(texts)]

    @property
    def attends(self) -> bool:
        """Whether the models have attention."""
        return all(decoder.attention is not None for decoder in self._decoders)

    def attention(self, sources: Sequence[str], targets: Sequence[str]) -> list[Attention]:
        """What each subword of the targets looked at, the mean of the models. Texts are not cut.

        Raises:
            InputError: the models have no attention.
        """
        if not self.attends:
            raise InputError(
                "there are no attention weights to show: the model was trained with --attention none"
            )
        found = []
        for text, answer in zip(
            self.source.encode(sources), self.target.encode(targets), strict=True
        ):
            begun = [
                decoder.begin(*encoder(padded([text])))
                for decoder, encoder in zip(self._decoders, self._encoders, strict=True)
            ]
            states, constants = [list(part) for part in zip(*begun, strict=True)]
            rows = []
            for token in [self._decoders[0].start, *answer[:-1]]:
                seen = []
                for i, decoder in enumerate(self._decoders):
                    weights, _, states[i] = decoder.attend_step(
                        tf.constant([token]), states[i], constants[i]
                    )
                    seen.append(np.asarray(weights)[0])
                rows.append(np.mean(seen, axis=0))
            found.append(
                Attention(self.source.pieces(text), self.target.pieces(answer), np.stack(rows))
            )
        return found

    def _parts(self, text: str) -> list[np.ndarray]:
        """Subword numbers of what is translated at a time."""
        (whole,) = self.source.encode([text])
        if len(whole) == 1:  # the end symbol
            return []
        found = sentences(text)
        if len(whole) <= self.longest and len(found) <= self.limits.sentences:
            return [whole]
        parts: list[np.ndarray] = []
        count = 0  # sentences in the last part
        for tokens in found:
            (numbers,) = self.source.encode([text[tokens[0].start : tokens[-1].end]])
            if (
                parts
                and count < self.limits.sentences
                and len(parts[-1]) + len(numbers) - 1 <= self.longest
            ):
                parts[-1] = np.concatenate([parts[-1][:-1], numbers])
                count += 1
            else:
                parts += self._cut(numbers)
                count = 1
        return parts

    def _cut(self, numbers: np.ndarray) -> Iterator[np.ndarray]:
        """A sentence in pieces that fit, between words where there are any."""
        while len(numbers) > self.longest:
            begins = [
                i
                for i, piece in enumerate(self.source.pieces(numbers[: self.longest]))
                if i and piece.startswith("▁")
            ]
            cut = begins[-1] if begins else self.longest - 1
            yield np.append(numbers[:cut], END).astype(np.int32)
            numbers = numbers[cut:]
        yield numbers

    def _found(self, parts: list[np.ndarray]) -> list[list[Translation]]:
        found: list = [None] * len(parts)
        for chosen in together([*map(len, parts)], most=_BATCH, cells=_TOKENS):
            batch = [parts[i] for i in chosen]
            begun = [
                decoder.begin(*encoder(padded(batch)))
                for decoder, encoder in zip(self._decoders, self._encoders, strict=True)
            ]
            states, constants = (tuple(part) for part in zip(*begun, strict=True))
            start = tf.fill([len(batch)], self._decoders[0].start)
            best = Hypotheses(
                *(
                    x.numpy()
                    for x in self._search(
                        start, states, constants, max_length=self.limits.of(batch)
                    )
                )
            )
            for row, i in enumerate(chosen):
                there = np.flatnonzero(best.lengths[row])
                texts = self.target.decode(
                    [best.tokens[row, n, : best.lengths[row, n]] for n in there]
                )
                numbers = zip(
                    best.scores[row, there], best.log_probabilities[row, there], strict=True
                )
                found[i] = [
                    Translation(text, float(a), float(b))
                    for text, (a, b) in zip(texts, numbers, strict=True)
                ]
        return found


def _joined(parts: list[list[Translation]]) -> list[Translation]:
    """Translations of a text from those of its parts: the first of all, the second of all, and so
    on as far as each part has one."""
    return [
        Translation(
            " ".join(one.text for one in ranked),
            sum(one.score for one in ranked),
            sum(one.log_probability for one in ranked),
        )
        for ranked in zip(*parts, strict=False)
    ]
