"""From audio to its transcript: arrays, files and streams of samples, in parts that fit."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.data.audio import audio_chunks, audio_files, raw_chunks, read_audio, seconds_of
from rnn_cookbook.encode.batches import together
from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.ctc import ctc_align, ctc_greedy
from rnn_cookbook.nn.ctc_search import ctc_beam_search
from rnn_cookbook.nn.ngrams import NGrams
from rnn_cookbook.tasks.speech.alphabet import Alphabet
from rnn_cookbook.tasks.speech.batches import padded_audio
from rnn_cookbook.tasks.speech.data import Utterances
from rnn_cookbook.tasks.speech.model import seconds_per_step
from rnn_cookbook.tasks.speech.transcripts import Transcript, joined, words_of

__all__ = ["Transcriber"]

_BATCH = 32  # pieces of audio that are transcribed together
_READ = 4 * _BATCH  # utterances whose samples are in memory at a time
_SECONDS = 120  # of a batch, padding included
_QUIET = 0.1  # seconds: the window whose energy says where audio is quiet
_HELD = 4  # parts of an endless stream that are held before all but the last are transcribed


def _answer(name: str, transcript: Transcript) -> dict:
    words = [{"word": word.text, "start": word.start, "end": word.end} for word in transcript.words]
    return {"audio": name, "text": transcript.text, "words": words}


def _is_longer(path: str | Path, seconds: float) -> bool:
    try:
        return seconds_of(path) > seconds
    except InputError:  # reported when the file's turn comes
        return False


def _grouped(paths: Iterable[str | Path], *, seconds: float) -> Iterator[list[str | Path]]:
    """Files that are read together, in their order: some short files, or a long file alone."""
    group: list[str | Path] = []
    for path in paths:
        long = _is_longer(path, seconds)
        if group and (long or len(group) == _BATCH):
            yield group
            group = []
        if long:
            yield [path]
        else:
            group.append(path)
    if group:
        yield group


class Transcriber:
    """A transcriber of audio of any length, by a model of `sound_recognizer`.

    Make it once: the functions that it calls are compiled on the first call and kept.

    Args:
        model: trained model, whose layers tell the rate, the window and the strides.
        alphabet: alphabet of the model; it has the space where utterances have several words.
        beam: width of the prefix beam search; 1 takes the best path.
        ngrams: n-grams of characters, the language model of the search (shallow fusion).
        weight: weight of the language-model score.
        insertion_bonus: nats for each character, against the language model's preference for short
            texts.
        longest: seconds that are transcribed at a time. Longer audio is cut where it is quiet.

    Raises:
        InputError: the alphabet does not fit the model, a beam below 1, or parts of no length.
    """

    def __init__(
        self,
        model: keras.Model,
        alphabet: Alphabet,
        *,
        beam: int = 1,
        ngrams: NGrams | None = None,
        weight: float = 0.5,
        insertion_bonus: float = 0.0,
        longest: float = 20.0,
    ):
        symbols = model.output_shape[-1]
        if symbols != len(alphabet):
            raise InputError(
                f"the alphabet must have the model's {symbols} symbols; received {len(alphabet)}"
            )
        if beam < 1:
            raise InputError(f"beam must be at least 1; received {beam}", field="beam")
        if not longest > 0:
            raise InputError(f"longest must be above 0 seconds; received {longest}")
        self.alphabet = alphabet
        self.beam = beam
        self.ngrams = ngrams
        self.weight = weight
        self.insertion_bonus = insertion_bonus
        self.longest = longest
        self._log_mel = model.get_layer("log_mel")
        self.rate: int = self._log_mel.rate
        self.hop = seconds_per_step(model)
        self._logits = tf.function(partial(model, training=False), reduce_retracing=True)

    def transcribe(self, audio: Sequence[np.ndarray]) -> list[Transcript]:
        """Transcribes arrays.

        Args:
            audio: float32[samples] each, at the model's rate; an array without a sample has an
                empty transcript.
        """
        parts = []
        owners = []
        for number, samples in enumerate(audio):
            for part in self.parts(samples):
                parts.append(part)
                owners.append(number)
        by_owner: list[list[Transcript]] = [[] for _ in audio]
        for number, transcript in zip(owners, self._transcribed(parts), strict=True):
            by_owner[number].append(transcript)
        return [joined(transcripts) for transcripts in by_owner]

    def transcribe_utterances(self, utterances: Utterances) -> list[Transcript]:
        """Transcribes utterances, whose audio is read when needed."""
        transcripts = []
        for start in range(0, len(utterances), _READ):
            numbers = range(start, min(start + _READ, len(utterances)))
            transcripts += self.transcribe([utterances.samples(i, self.rate) for i in numbers])
        return transcripts

    def answers(self, names: Iterable[str], *, raw_rate: int) -> Iterator[dict]:
        """Transcribes files, folders and standard input.

        Args:
            names: names of files and folders; "-" is standard input, whose parts are answered when
                they are complete.
            raw_rate: Hz of standard input, see `data.audio.raw_chunks`.

        Yields:
            For each file "audio", its name, "text" and "words" with their times; where the file
            cannot be read, a "text" of None and "error".

        Raises:
            InputError: no such file or folder, or no audio in it.
        """
        for raw, group in itertools.groupby(names, key="-".__eq__):
            if raw:
                chunks = raw_chunks(sys.stdin.buffer, rate=self.rate, raw_rate=raw_rate)
                for part in self.transcribe_chunks(chunks):
                    yield _answer("-", part)
                continue
            files = [file for name in group for file in audio_files(name)]
            for file, result in zip(files, self.transcribe_files(files), strict=True):
                if isinstance(result, Transcript):
                    yield _answer(str(file), result)
                else:
                    yield {"audio": str(file), "text": None, "error": str(result)}

    def transcribe_files(self, paths: Iterable[str | Path]) -> Iterator[Transcript | InputError]:
        """Transcribes files in their order, short files together, long files part by part.

        Args:
            paths: paths of audio files.

        Yields:
            The transcript of each file, or the error that says why it cannot be read.
        """
        for group in _grouped(paths, seconds=self.longest):
            if len(group) == 1:
                yield self._transcribed_file(group[0])
                continue
            results: list[np.ndarray | InputError] = []
            for path in group:
                try:
                    results.append(read_audio(path, rate=self.rate))
                except InputError as error:
                    results.append(error)
            readable = [samples for samples in results if isinstance(samples, np.ndarray)]
            transcripts = iter(self.transcribe(readable))
            for result in results:
                yield next(transcripts) if isinstance(result, np.ndarray) else result

    def _transcribed_file(self, path: str | Path) -> Transcript | InputError:
        try:
            return joined([*self.transcribe_chunks(audio_chunks(path, rate=self.rate))])
        except InputError as error:
            return error

    def transcribe_chunks(self, chunks: Iterable[np.ndarray]) -> Iterator[Transcript]:
        """Transcribes audio that comes in chunks, part by part in its order: an hour needs no more
        memory than a minute.

        Args:
            chunks: float32[samples] each, of any length, at the model's rate.

        Yields:
            The transcript of each part, with times from the beginning of the audio.
        """
        waiting = np.zeros(0, np.float32)  # samples that are not transcribed yet
        done = 0  # samples before those
        limit = round(_HELD * self.longest * self.rate)
        for chunk in chunks:
            waiting = np.concatenate([waiting, chunk])
            if len(waiting) > limit:
                *ready, last = self.parts(waiting)
                yield from self._transcribed(ready, offset=done / self.rate)
                complete = round(last[0] * self.rate)
                waiting = waiting[complete:]
                done += complete
        yield from self._transcribed(self.parts(waiting), offset=done / self.rate)

    def energies(self, samples: np.ndarray) -> np.ndarray:
        """Returns float32[frames, bands], the log-mel energies of audio in nats, for plots."""
        return np.asarray(self._log_mel(padded_audio([samples]))[0])[0]

    def log_probabilities(self, samples: np.ndarray) -> np.ndarray:
        """Returns float32[steps, symbols], the log-probabilities of audio in nats, for plots; a
        step lasts `hop` seconds."""
        return tf.nn.log_softmax(self._logits(padded_audio([samples])))[0].numpy()

    def parts(self, samples: np.ndarray) -> list[tuple[float, np.ndarray]]:
        """Cuts audio into parts of at most `longest` seconds, each where the second half of what
        fits is quietest.

        Returns:
            The seconds at which each part begins, and its float32[samples]; nothing of nothing.
        """
        parts = []
        start = 0
        limit = round(self.longest * self.rate)
        width = max(1, round(_QUIET * self.rate))
        while len(samples) - start > limit:
            middle = start + limit // 2
            half = samples[middle : start + limit].astype(np.float64) ** 2
            total = np.concatenate([[0.0], np.cumsum(half)])
            energy = total[width:] - total[:-width] if len(half) > width else total[-1:]
            end = middle + int(energy.argmin()) + min(width, len(half)) // 2
            parts.append((start / self.rate, samples[start:end]))
            start = end
        if len(samples) > start:
            parts.append((start / self.rate, samples[start:]))
        return parts

    def _transcribed(
        self, parts: Sequence[tuple[float, np.ndarray]], *, offset: float = 0.0
    ) -> list[Transcript]:
        """The transcripts of parts, those of about the same length together."""
        lengths = [len(samples) for _, samples in parts]
        cells = round(_SECONDS * self.rate)
        transcripts: dict[int, Transcript] = {}
        for chosen in together(lengths, batch_size=_BATCH, cells=cells):
            logits = self._logits(padded_audio([parts[i][1] for i in chosen]))
            labels, scores = self._search(logits)
            spans = np.zeros((len(chosen), 0, 2), np.int32)
            if labels.shape[1]:
                spans = ctc_align(logits, labels)
            for row, i in enumerate(chosen):
                start = offset + parts[i][0]
                words = words_of(
                    self.alphabet.decode(labels[row]),
                    spans[row] * self.hop,
                    offset=start,
                    end=start + lengths[i] / self.rate,
                )
                text = " ".join(word.text for word in words)
                transcripts[i] = Transcript(text, words, float(scores[row]))
        return [transcripts[i] for i in range(len(parts))]

    def _search(self, logits) -> tuple[np.ndarray, np.ndarray]:
        """int32[batch, labels] and the float32[batch] scores of the best labelling."""
        if self.beam == 1 and self.ngrams is None:
            labels, scores = ctc_greedy(logits)
            return np.array(labels), np.array(scores)
        if self.ngrams is None:
            labels, scores = ctc_beam_search(logits, beam=self.beam)
        else:
            labels, scores = ctc_beam_search(
                logits,
                beam=self.beam,
                language_model=self.ngrams,
                weight=self.weight,
                insertion_bonus=self.insertion_bonus,
            )
        return labels[:, 0], scores[:, 0]
