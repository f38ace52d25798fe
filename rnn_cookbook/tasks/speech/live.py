"""Transcription while audio comes in, by a model that does not read the future."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.data.audio import audio_chunks, audio_files, raw_chunks
from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.streaming import Stream
from rnn_cookbook.tasks.speech.alphabet import Alphabet
from rnn_cookbook.tasks.speech.batches import padded_audio
from rnn_cookbook.tasks.speech.model import frame_model, seconds_per_step
from rnn_cookbook.tasks.speech.transcripts import Word, timed_word

__all__ = ["LiveTranscriber", "WordReader"]

_CHUNK = 0.1  # seconds of a file that are fed at a time


class WordReader:
    """A reader of words from the best path, symbol by symbol.

    A word is complete when the next word begins, or after a pause.

    Args:
        alphabet: alphabet of the model.
        hop: seconds per step.
        pause: seconds without a character after which a word has ended.
    """

    def __init__(self, alphabet: Alphabet, *, hop: float, pause: float):
        self.alphabet = alphabet
        self.hop = hop
        self.pause = pause
        self.unfinished = ""  # the characters of the word that has not ended
        self._step = 0
        self._last = 0
        self._begun = 0
        self._ended = 0

    def feed(self, symbols: Iterable[int], *, end: float = np.inf) -> list[Word]:
        """Reads the symbols of further steps.

        Args:
            symbols: most probable symbol of each step.
            end: seconds of audio so far, beyond which no word reaches.

        Returns:
            The words that have ended.
        """
        words = []
        for symbol in symbols:
            if symbol and symbol != self._last:
                character = self.alphabet.decode([symbol])
                if character == " ":
                    words += self.finish(end=end)
                else:
                    self._begun = self._begun if self.unfinished else self._step
                    self.unfinished += character
            if symbol and self.unfinished:
                self._ended = self._step + 1
            self._last = symbol
            self._step += 1
            silence = (self._step - self._ended) * self.hop
            if self.unfinished and silence >= self.pause:
                words += self.finish(end=end)
        return words

    def finish(self, *, end: float = np.inf) -> list[Word]:
        """Ends the unfinished word and returns it, if there is one."""
        if not self.unfinished:
            return []
        begun = self._begun * self.hop
        ended = self._ended * self.hop
        word = timed_word(self.unfinished, begun, ended, end=end)
        self.unfinished = ""
        return [word]


class LiveTranscriber:
    """A transcriber of audio that comes in, by a model with bidirectional=False, on the best path.

    A word is given out when the next word begins, or after a pause.

    Args:
        model: trained model of `sound_recognizer`.
        alphabet: alphabet of the model.
        pause: seconds without a character after which a word has ended.

    Raises:
        InputError: the model reads the future, or its frames have gaps between them.
    """

    def __init__(self, model: keras.Model, alphabet: Alphabet, *, pause: float = 0.5):
        self.alphabet = alphabet
        self.pause = pause
        self._log_mel = model.get_layer("log_mel")
        self.rate: int = self._log_mel.rate
        self.hop = seconds_per_step(model)
        if self._log_mel.step > self._log_mel.length:
            raise InputError(
                f"hop must be at most the window of {self._log_mel.window} s to transcribe audio "
                f"that comes in; received {self._log_mel.hop} s",
                field="hop",
            )
        self._stream = Stream(frame_model(model))
        self._energies = tf.function(self._log_mel, reduce_retracing=True)
        self.reset()

    @property
    def look_ahead(self) -> float:
        """Seconds of audio after a moment before its answer is there: the window, the frames of a
        step, and the steps that the model looks ahead."""
        step = self.hop - self._log_mel.hop
        return self._log_mel.window + step + self._stream.delay * self.hop

    @property
    def unfinished(self) -> str:
        """The characters of the word that has not ended."""
        return self._reader.unfinished

    def reset(self) -> None:
        """Begins new audio."""
        self._stream.reset()
        self._reader = WordReader(self.alphabet, hop=self.hop, pause=self.pause)
        self._samples = np.zeros(0, np.float32)
        self._came = 0  # samples so far

    def answers(self, names: Iterable[str], *, raw_rate: int) -> Iterator[dict]:
        """Transcribes files, folders and standard input, word by word.

        Args:
            names: names of files and folders; "-" is standard input.
            raw_rate: Hz of standard input, see `data.audio.raw_chunks`.

        Yields:
            For each word "audio", the name of the file, "word", "start" and "end"; where a file
            cannot be read, a "word" of None and "error".

        Raises:
            InputError: no such file or folder, or no audio in it.
        """
        for name in names:
            if name == "-":
                stream = sys.stdin.buffer
                chunks = raw_chunks(stream, raw_rate=raw_rate, rate=self.rate, seconds=_CHUNK)
                yield from self._answers(name, chunks)
                continue
            for file in audio_files(name):
                chunks = audio_chunks(file, rate=self.rate, seconds=_CHUNK)
                yield from self._answers(str(file), chunks)

    def _answers(self, name: str, chunks: Iterable[np.ndarray]) -> Iterator[dict]:
        try:
            for word in self.words(chunks):
                yield {"audio": name, "word": word.text, "start": word.start, "end": word.end}
        except InputError as error:
            yield {"audio": name, "word": None, "error": str(error)}

    def words(self, chunks: Iterable[np.ndarray]) -> Iterator[Word]:
        """Yields the words of new audio as its chunks come, float32[samples] each."""
        self.reset()
        for chunk in chunks:
            yield from self.feed(chunk)
        yield from self.finish()

    def feed(self, samples: np.ndarray) -> list[Word]:
        """Takes further float32[samples], any number, and returns the words that have ended."""
        self._came += len(samples)
        self._samples = np.concatenate([self._samples, np.asarray(samples, np.float32)])
        step = self._log_mel.step
        frames = (len(self._samples) - self._log_mel.length) // step + 1
        if frames < 1:
            return []
        used = self._samples[: (frames - 1) * step + self._log_mel.length]
        words = self._read(self._stream.feed(self._frames(used)))
        self._samples = self._samples[frames * step :]
        return words

    def finish(self) -> list[Word]:
        """Ends the audio and returns the words that were still to end."""
        words = []
        if self._came and self._came < self._log_mel.length:  # less than a window is a frame too
            words += self._read(self._stream.feed(self._frames(self._samples)))
        words += self._read(self._stream.finish())
        return [*words, *self._reader.finish(end=self._came / self.rate)]

    def _frames(self, samples: np.ndarray):
        padded, lengths = padded_audio([samples])
        energies, _ = self._energies((tf.constant(padded), tf.constant(lengths)))
        return energies

    def _read(self, logits) -> list[Word]:
        if not np.shape(logits)[1]:
            return []
        symbols = np.asarray(logits)[0].argmax(axis=-1).tolist()
        return self._reader.feed(symbols, end=self._came / self.rate)
