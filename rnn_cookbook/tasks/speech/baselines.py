"""Segments of sound classified by a support vector machine: what a recogniser has to beat."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from rnn_cookbook.baselines import timed_scores
from rnn_cookbook.nn.audio import mel_filters
from rnn_cookbook.tasks.speech.data import Utterances
from rnn_cookbook.tasks.speech.scores import speech_scores

_HOP, _WINDOW = 0.01, 0.025  # seconds

_LEARNT = 2000  # sounds, or up to twice as many, that the support vector machine learns from

_FRAMES, _COEFFICIENTS = 12, 13  # that a word is described by


def speech_baselines(train: Utterances, test: Utterances, *, rate: int) -> dict[str, dict]:
    """Baselines of speech: name to `speech_scores` and "seconds".

    `most_frequent`: the most frequent transcript of training. `segments_svm`: sounds cut where they
    are quiet, each piece a word, by a support vector machine over its MFCC.

    Args:
        train, test: sounds and what is said.
        rate: Hz to read them at.
    """
    sounds = lambda part: (part.samples(i, rate) for i in range(len(part)))
    some = train.take(range(0, len(train), max(1, len(train) // _LEARNT)))
    methods = {
        "most_frequent": lambda: [Counter(train.texts).most_common(1)[0][0]] * len(test),
        "segments_svm": lambda: (
            SegmentClassifier(rate=rate).fit(sounds(some), some.texts).transcribe(sounds(test))
        ),
    }
    return timed_scores(methods, lambda found: speech_scores(test.texts, found), metric="wer")


class SegmentClassifier:
    """Words apart from each other, by energy and a support vector machine.

    It learns from the sounds that fall into as many pieces as their transcript has words.

    Args:
        rate: Hz.
        least: seconds that a word takes, and seconds of quiet between words.
    """

    def __init__(self, *, rate: int, least: tuple[float, float] = (0.08, 0.06)):
        self.rate, self.least = rate, least
        self.model = None

    def fit(self, sounds: Iterable[np.ndarray], texts: Sequence[str]) -> "SegmentClassifier":
        from sklearn.dummy import DummyClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC

        features, words = [], []
        for sound, text in zip(sounds, texts, strict=True):
            spans = self.segments(sound)
            if len(spans) == len(text.split()):
                features += [self.features(sound[start:end]) for start, end in spans]
                words += text.split()
        if len(set(words)) > 1:
            self.model = make_pipeline(StandardScaler(), SVC(C=10.0)).fit(np.stack(features), words)
        else:  # no sound falls apart as it should, or all say the same
            usual = " ".join(texts).split()
            self.model = DummyClassifier(strategy="most_frequent").fit(
                np.zeros((len(usual), 1)), usual
            )
        return self

    def transcribe(self, sounds: Iterable[np.ndarray]) -> list[str]:
        found = []
        for sound in sounds:
            spans = self.segments(sound)
            words = (
                self.model.predict(
                    np.stack([self.features(sound[start:end]) for start, end in spans])
                )
                if spans
                else []
            )
            found.append(" ".join(words))
        return found

    def segments(self, sound: np.ndarray) -> list[tuple[int, int]]:
        """Samples [start, end) of each stretch that is louder than the quiet of this sound."""
        hop = round(_HOP * self.rate)
        level = 10 * np.log10(np.mean(_frames(sound, 2 * hop, hop) ** 2, axis=1) + 1e-10)
        quiet, loud = np.percentile(level, 5), np.percentile(level, 95)
        active = level > quiet + 0.35 * (loud - quiet)
        edges = np.flatnonzero(np.diff(np.pad(active.astype(int), 1))).reshape(-1, 2)
        joined: list[list[int]] = []
        for start, end in edges.tolist():
            if joined and (start - joined[-1][1]) * _HOP < self.least[1]:
                joined[-1][1] = end
            else:
                joined.append([start, end])
        return [
            (start * hop, (end + 1) * hop)
            for start, end in joined
            if (end - start) * _HOP >= self.least[0]
        ]

    def features(self, word: np.ndarray) -> np.ndarray:
        """float64[features]: MFCC (Davis and Mermelstein 1980) at twelve places of the word, the
        mean of each taken off, and its length."""
        from scipy.fft import dct

        window = round(_WINDOW * self.rate)
        size = 2 ** int(np.ceil(np.log2(window)))
        spectrum = (
            np.abs(
                np.fft.rfft(
                    _frames(word, window, round(_HOP * self.rate)) * np.hanning(window), size
                )
            )
            ** 2
        )
        filters = mel_filters(
            bins=size // 2 + 1, rate=self.rate, bands=26, lowest=50, highest=self.rate / 2
        )
        coefficients = dct(np.log(spectrum @ filters + 1e-6), norm="ortho", axis=1)[
            :, :_COEFFICIENTS
        ]
        places = np.linspace(0, len(coefficients) - 1, _FRAMES)
        drawn = np.stack(
            [np.interp(places, np.arange(len(coefficients)), column) for column in coefficients.T],
            axis=1,
        )
        return np.append((drawn - drawn.mean(axis=0)).ravel(), len(word) / self.rate)


def _frames(samples: np.ndarray, length: int, hop: int) -> np.ndarray:
    """float64[frames, length]"""
    samples = np.pad(np.asarray(samples, np.float64), (0, max(0, length - len(samples))))
    return np.lib.stride_tricks.sliding_window_view(samples, length)[::hop]
