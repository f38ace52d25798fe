"""Baselines of speech recognition: the most frequent transcript, and segments of audio classified
by a support vector machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from rnn_cookbook.baselines import timed_scores
from rnn_cookbook.nn.audio import mel_filters
from rnn_cookbook.tasks.speech.data import Utterances
from rnn_cookbook.tasks.speech.scores import speech_scores

__all__ = ["SegmentClassifier", "speech_baselines"]

_HOP = 0.01  # seconds between frames
_WINDOW = 0.025  # seconds of a frame
_LEARNT = 2000  # utterances, or up to twice as many, that the support vector machine learns from

# The energies that are taken for silence and for speech, and where between them a segment begins.
_SILENCE = 5  # percentile of the frames' level in dB
_SPEECH = 95  # percentile
_ACTIVE = 0.35  # fraction of the way from silence to speech

# A word is described by its MFCC (Davis and Mermelstein 1980) at evenly spaced places.
_PLACES = 12
_COEFFICIENTS = 13
_BANDS = 26
_LOWEST = 50  # Hz


def _frames(samples: np.ndarray, length: int, hop: int) -> np.ndarray:
    """float64[frames, length]"""
    samples = np.pad(np.asarray(samples, np.float64), (0, max(0, length - len(samples))))
    return np.lib.stride_tricks.sliding_window_view(samples, length)[::hop]


class SegmentClassifier:
    """A recogniser of words that are separated by silence, by energy and a support vector machine.

    It learns from the utterances that fall into as many segments as their transcript has words.

    Args:
        rate: Hz of the samples.
        min_word: minimum duration of a word in seconds.
        min_silence: minimum duration of the silence between words in seconds.
    """

    def __init__(self, *, rate: int, min_word: float = 0.08, min_silence: float = 0.06):
        self.rate = rate
        self.min_word = min_word
        self.min_silence = min_silence
        self.model: Any = None

    def fit(self, audio: Iterable[np.ndarray], texts: Sequence[str]) -> SegmentClassifier:
        """Learns from audio and its texts; returns itself."""
        from sklearn.dummy import DummyClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC

        features = []
        words = []
        for samples, text in zip(audio, texts, strict=True):
            spans = self.segments(samples)
            if len(spans) == len(text.split()):
                features += [self.features(samples[start:end]) for start, end in spans]
                words += text.split()
        if len(set(words)) > 1:
            self.model = make_pipeline(StandardScaler(), SVC(C=10.0)).fit(np.stack(features), words)
        else:  # no utterance falls apart as it should, or all say the same
            every = " ".join(texts).split()
            self.model = DummyClassifier(strategy="most_frequent")
            self.model.fit(np.zeros((len(every), 1)), every)
        return self

    def transcribe(self, audio: Iterable[np.ndarray]) -> list[str]:
        """Returns the text of each float32[samples]."""
        texts = []
        for samples in audio:
            spans = self.segments(samples)
            words = []
            if spans:
                features = [self.features(samples[start:end]) for start, end in spans]
                words = self.model.predict(np.stack(features))
            texts.append(" ".join(words))
        return texts

    def segments(self, samples: np.ndarray) -> list[tuple[int, int]]:
        """Returns the samples [start, end) of each segment that is louder than the silence of this
        audio."""
        hop = round(_HOP * self.rate)
        power = np.mean(_frames(samples, 2 * hop, hop) ** 2, axis=1)
        level = 10 * np.log10(power + 1e-10)
        silence = np.percentile(level, _SILENCE)
        speech = np.percentile(level, _SPEECH)
        active = level > silence + _ACTIVE * (speech - silence)
        edges = np.flatnonzero(np.diff(np.pad(active.astype(int), 1))).reshape(-1, 2)
        joined: list[list[int]] = []
        for start, end in edges.tolist():
            if joined and (start - joined[-1][1]) * _HOP < self.min_silence:
                joined[-1][1] = end
            else:
                joined.append([start, end])
        long = [(start, end) for start, end in joined if (end - start) * _HOP >= self.min_word]
        return [(start * hop, (end + 1) * hop) for start, end in long]

    def features(self, word: np.ndarray) -> np.ndarray:
        """Returns float64[features]: MFCC at twelve places of the word, less the mean of each, and
        the duration."""
        from scipy.fft import dct

        window = round(_WINDOW * self.rate)
        size = 2 ** int(np.ceil(np.log2(window)))
        frames = _frames(word, window, round(_HOP * self.rate)) * np.hanning(window)
        spectrum = np.abs(np.fft.rfft(frames, size)) ** 2
        filters = mel_filters(
            bins=size // 2 + 1,
            rate=self.rate,
            bands=_BANDS,
            lowest=_LOWEST,
            highest=self.rate / 2,
        )
        energies = np.log(spectrum @ filters + 1e-6)
        coefficients = np.asarray(dct(energies, norm="ortho", axis=1))[:, :_COEFFICIENTS]
        places = np.linspace(0, len(coefficients) - 1, _PLACES)
        columns = [
            np.interp(places, np.arange(len(coefficients)), column) for column in coefficients.T
        ]
        drawn = np.stack(columns, axis=1)
        return np.append((drawn - drawn.mean(axis=0)).ravel(), len(word) / self.rate)


def _samples_of(part: Utterances, rate: int) -> Iterator[np.ndarray]:
    return (part.samples(i, rate) for i in range(len(part)))


def speech_baselines(train: Utterances, test: Utterances, *, rate: int) -> dict[str, dict]:
    """Scores two methods without a network.

    `most_frequent` is the most frequent transcript of training. `segments_svm` cuts audio where it
    is quiet and classifies each segment as a word, by a support vector machine over its MFCC.

    Args:
        train: utterances to learn from.
        test: utterances to be scored on.
        rate: Hz to read them at.

    Returns:
        Name -> `speech_scores` and "seconds".
    """
    some = train.take(range(0, len(train), max(1, len(train) // _LEARNT)))

    def most_frequent() -> list[str]:
        ((text, _),) = Counter(train.texts).most_common(1)
        return [text] * len(test)

    def segments_svm() -> list[str]:
        classifier = SegmentClassifier(rate=rate).fit(_samples_of(some, rate), some.texts)
        return classifier.transcribe(_samples_of(test, rate))

    return timed_scores(
        {"most_frequent": most_frequent, "segments_svm": segments_svm},
        lambda texts: speech_scores(test.texts, texts),
        metric="wer",
    )
