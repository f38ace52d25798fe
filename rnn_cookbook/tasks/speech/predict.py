"""From sounds to what is said in them, and when: whole, in parts that fit, or while they come in."""

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.data.audio import raw_chunks, read_sound, seconds_of, sound_chunks, sound_files
from rnn_cookbook.encode.batches import together
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log
from rnn_cookbook.nn.audio import LogMel
from rnn_cookbook.nn.ctc import ctc_align, ctc_beam_search, ctc_greedy
from rnn_cookbook.nn.ngrams import NGrams
from rnn_cookbook.nn.streaming import Stream, stride_of
from rnn_cookbook.tasks.speech.alphabet import Alphabet
from rnn_cookbook.tasks.speech.batches import padded_sounds
from rnn_cookbook.tasks.speech.data import Utterances
from rnn_cookbook.tasks.speech.model import frame_model

_BATCH = 32  # sounds that are read together
_SECONDS = 120  # of a batch, padding included
_LIVE = 0.1  # seconds that are fed at a time
_QUIET = 0.1  # seconds, over which it is looked for where a sound is quiet


class Word(NamedTuple):
    text: str
    start: float  # seconds
    end: float  # seconds


class Transcript(NamedTuple):
    text: str
    words: list[Word]
    score: float  # nats: what the search ranks by


class Transcriber:
    """Transcribes samples by a model of `models.sound_recognizer`.

    Make it once: what it calls is compiled on the first call and kept.

    Args:
        model: of which the rate, the window and the strides are known.
        alphabet: that it was trained with, the space among its characters where there is more than
            a word.
        beam: width of the prefix beam search; 1 takes the best path.
        ngrams: of the characters of texts, that the search listens to, too (shallow fusion).
        weight: of the n-grams.
        bonus: nats for each character, against their liking for short texts.
        longest: seconds that are read at a time. Longer sounds are cut where they are quiet.
    """

    def __init__(
        self,
        model: keras.Model,
        alphabet: Alphabet,
        *,
        beam: int = 1,
        ngrams: NGrams | None = None,
        weight: float = 0.5,
        bonus: float = 0.0,
        longest: float = 20.0,
    ):
        if model.output.shape[-1] != len(alphabet):
            raise InputError(
                f"an alphabet of {len(alphabet)} symbols does not fit a model of {model.output.shape[-1]}"
            )
        if beam < 1 or not longest > 0:
            raise InputError(
                f"the beam must be 1 or more and what is read at a time longer than 0 s, got {beam} and {longest}"
            )
        self.alphabet, self.beam, self.ngrams, self.weight, self.bonus, self.longest = (
            alphabet,
            beam,
            ngrams,
            weight,
            bonus,
            longest,
        )
        self._log_mel = model.get_layer("log_mel")
        self.rate, self.hop = self._log_mel.rate, seconds_a_step(model)
        self._logits = tf.function(partial(model, training=False), reduce_retracing=True)

    def transcribe(self, sounds: Sequence[np.ndarray]) -> list[Transcript]:
        """What is said in each of float32[samples] at the model's rate. A sound without a sample
        says nothing."""
        parts, owners = [], []
        for number, sound in enumerate(sounds):
            for start, part in self._cut(sound):
                parts.append((start, part))
                owners.append(number)
        found: list[list[Transcript]] = [[] for _ in sounds]
        for number, one in zip(owners, self._transcribed(parts), strict=True):
            found[number].append(one)
        return [_joined(each) for each in found]

    def transcribe_utterances(self, utterances: Utterances) -> list[Transcript]:
        """What is said in each; the sounds are read when their turn comes."""
        parts = (
            range(start, min(start + 4 * _BATCH, len(utterances)))
            for start in range(0, len(utterances), 4 * _BATCH)
        )
        return [
            one
            for part in parts
            for one in self.transcribe([utterances.samples(i, self.rate) for i in part])
        ]

    def answers(self, names: Iterable[str], *, raw_rate: int) -> Iterator[dict]:
        """Of each file or folder of files: "audio", its "text" and "words" with their times; or
        "error", where it cannot be read.

        Args:
            names: of files and folders; "-" is standard input, whose parts are answered as they are
                complete.
            raw_rate: Hz of standard input, see `data.audio.raw_chunks`.
        """
        for raw, group in itertools.groupby(names, key="-".__eq__):
            if raw:
                for part in self.transcribe_chunks(
                    raw_chunks(sys.stdin.buffer, rate=self.rate, raw_rate=raw_rate)
                ):
                    yield {"audio": "-", **_answer(part)}
            else:
                files = [file for name in group for file in sound_files(name)]
                for file, (found, problem) in zip(files, self.transcribe_files(files), strict=True):
                    yield {
                        "audio": str(file),
                        **(_answer(found) if found else {"text": None, "error": problem}),
                    }

    def transcribe_files(
        self, paths: Iterable[str | Path]
    ) -> Iterator[tuple[Transcript | None, str]]:
        """Of each file, in their order, what is said in it and nothing; or None and why it cannot
        be read."""
        for group in _grouped(paths, seconds=self.longest):
            sounds: list[np.ndarray | str] = []
            for path in group:
                try:
                    if len(group) == 1:
                        sounds.append(
                            _joined([*self.transcribe_chunks(sound_chunks(path, rate=self.rate))])
                        )
                    else:
                        sounds.append(read_sound(path, rate=self.rate))
                except InputError as error:
                    sounds.append(str(error))
            found = iter(
                self.transcribe([sound for sound in sounds if isinstance(sound, np.ndarray)])
            )
            for sound in sounds:
                if isinstance(sound, str):
                    yield None, sound
                else:
                    yield next(found) if isinstance(sound, np.ndarray) else sound, ""

    def transcribe_chunks(self, chunks: Iterable[np.ndarray]) -> Iterator[Transcript]:
        """What is said in a sound that comes in chunks, part by part in its order, with times from
        its beginning: an hour needs no more memory than a minute."""
        kept, before = (
            np.zeros(0, np.float32),
            0,
        )  # samples that are not transcribed yet, and how many were
        most = round(4 * self.longest * self.rate)
        for chunk in chunks:
            kept = np.concatenate([kept, chunk])
            if len(kept) > most:
                *ready, (start, _) = self._cut(kept)
                yield from self._transcribed(
                    [(before / self.rate + begins, part) for begins, part in ready]
                )
                done = round(start * self.rate)
                kept, before = kept[done:], before + done
        yield from self._transcribed(
            [(before / self.rate + begins, part) for begins, part in self._cut(kept)]
        )

    def energies(self, sound: np.ndarray) -> np.ndarray:
        """float32[frames, bands] in nats of one sound, for plots."""
        return np.asarray(self._log_mel(padded_sounds([sound]))[0])[0]

    def log_probabilities(self, sound: np.ndarray) -> np.ndarray:
        """float32[steps, symbols] in nats of one sound, for plots; `hop` seconds a step."""
        return tf.nn.log_softmax(self._logits(padded_sounds([sound])))[0].numpy()

    def _cut(self, sound: np.ndarray) -> list[tuple[float, np.ndarray]]:
        """Parts that are not too long, with the seconds that they begin at. The quietest place of
        the second half of what fits ends one."""
        parts, start, most, width = (
            [],
            0,
            round(self.longest * self.rate),
            max(1, round(_QUIET * self.rate)),
        )
        while len(sound) - start > most:
            half = sound[start + most // 2 : start + most].astype(np.float64) ** 2
            total = np.concatenate([[0.0], np.cumsum(half)])
            loudness = total[width:] - total[:-width] if len(half) > width else total[-1:]
            end = start + most // 2 + int(loudness.argmin()) + min(width, len(half)) // 2
            parts.append((start / self.rate, sound[start:end]))
            start = end
        if len(sound) > start:
            parts.append((start / self.rate, sound[start:]))
        return parts

    def _transcribed(self, parts: Sequence[tuple[float, np.ndarray]]) -> list[Transcript]:
        found: list = [None] * len(parts)
        for chosen in together(
            [len(part) for _, part in parts], most=_BATCH, cells=round(_SECONDS * self.rate)
        ):
            logits = self._logits(padded_sounds([parts[i][1] for i in chosen]))
            labels, scores = self._search(logits)
            spans = (
                ctc_align(logits, labels)
                if labels.shape[1]
                else np.zeros((len(chosen), 0, 2), np.int32)
            )
            for i, numbers, place, score in zip(chosen, labels, spans, scores, strict=True):
                start, samples = parts[i][0], len(parts[i][1])
                words = words_of(
                    self.alphabet.decode(numbers),
                    place * self.hop,
                    start=start,
                    end=start + samples / self.rate,
                )
                found[i] = Transcript(" ".join(word.text for word in words), words, float(score))
        return found

    def _search(self, logits) -> tuple[np.ndarray, np.ndarray]:
        if self.beam == 1 and self.ngrams is None:
            return tuple(np.array(x) for x in ctc_greedy(logits))
        options = (
            {"language_model": self.ngrams, "weight": self.weight, "insertion_bonus": self.bonus}
            if self.ngrams
            else {}
        )
        labels, scores = ctc_beam_search(logits, beam=self.beam, **options)
        return labels[:, 0], scores[:, 0]


class LiveTranscriber:
    """Words of one sound while it comes in, by a model with bidirectional=False; on the best path.

    A word is given out when the next one begins, or after a pause.

    Args:
        model, alphabet: see `Transcriber`.
        pause: seconds in which nothing is said, after which a word has ended.

    Raises:
        InputError: the model hears the future.
    """

    def __init__(self, model: keras.Model, alphabet: Alphabet, *, pause: float = 0.5):
        self.alphabet, self._log_mel = alphabet, model.get_layer("log_mel")
        self.rate, self.hop, self.pause = self._log_mel.rate, seconds_a_step(model), pause
        if self._log_mel.step > self._log_mel.length:
            raise InputError(
                f"sound that comes in is heard without gaps: hop {self._log_mel.hop} s is more than {self._log_mel.window} s"
            )
        self._stream = Stream(frame_model(model))
        self._energies = tf.function(self._log_mel, reduce_retracing=True)
        self.reset()

    @property
    def look_ahead(self) -> float:
        """Seconds of sound that are heard before the answer to a moment is there: a window, the
        frames that are read together, and the steps that the model looks ahead."""
        return self._log_mel.window + self.hop - self._log_mel.hop + self._stream.delay * self.hop

    def reset(self) -> None:
        """Begins a new sound."""
        self._stream.reset()
        self._samples = np.zeros(0, np.float32)
        self._came = self._step = self._last = 0
        self._word, self._begun, self._ended = "", 0, 0

    def answers(self, names: Iterable[str], *, raw_rate: int) -> Iterator[dict]:
        """The words of each file or folder of files as they come: "audio", "word", "start", "end".
        See `Transcriber.answers`."""
        for name in names:
            for file in ["-"] if name == "-" else sound_files(name):
                rates = {"rate": self.rate, "seconds": _LIVE}
                chunks = (
                    raw_chunks(sys.stdin.buffer, raw_rate=raw_rate, **rates)
                    if file == "-"
                    else sound_chunks(file, **rates)
                )
                try:
                    for word in self.words(chunks):
                        yield {
                            "audio": str(file),
                            "word": word.text,
                            "start": word.start,
                            "end": word.end,
                        }
                except InputError as error:
                    yield {"audio": str(file), "word": None, "error": str(error)}

    def words(self, chunks: Iterable[np.ndarray]) -> Iterator[Word]:
        """The words of a new sound, as its chunks come."""
        self.reset()
        for chunk in chunks:
            yield from self.feed(chunk)
        yield from self.finish()

    @property
    def unfinished(self) -> str:
        """The characters of the word that has not ended."""
        return self._word

    def feed(self, samples: np.ndarray) -> list[Word]:
        """The words that have ended with float32[samples] more, of any number."""
        self._came += len(samples)
        self._samples = np.concatenate([self._samples, np.asarray(samples, np.float32)])
        count = (len(self._samples) - self._log_mel.length) // self._log_mel.step + 1
        if count < 1:
            return []
        words = self._heard(
            self._stream.feed(
                self._frames(
                    self._samples[: (count - 1) * self._log_mel.step + self._log_mel.length]
                )
            )
        )
        self._samples = self._samples[count * self._log_mel.step :]
        return words

    def finish(self) -> list[Word]:
        """The words that were still to end."""
        words = []
        if self._came and self._came < self._log_mel.length:  # less than a window is one
            words += self._heard(self._stream.feed(self._frames(self._samples)))
        return [*words, *self._heard(self._stream.finish()), *self._end()]

    def _frames(self, samples: np.ndarray):
        energies, _ = self._energies(tuple(map(tf.constant, padded_sounds([samples]))))
        return energies

    def _heard(self, logits) -> list[Word]:
        words = []
        for number in np.asarray(logits)[0].argmax(axis=-1).tolist() if np.shape(logits)[1] else ():
            if number and number != self._last:
                character = self.alphabet.decode([number])
                if character == " ":
                    words += self._end()
                else:
                    self._begun = self._begun if self._word else self._step
                    self._word += character
            if number and self._word:
                self._ended = self._step + 1
            self._last = number
            self._step += 1
            if self._word and (self._step - self._ended) * self.hop >= self.pause:
                words += self._end()
        return words

    def _end(self) -> list[Word]:
        words = (
            [
                _word(
                    self._word,
                    self._begun * self.hop,
                    self._ended * self.hop,
                    0.0,
                    self._came / self.rate,
                )
            ]
            if self._word
            else []
        )
        self._word = ""
        return words


def _answer(found: Transcript) -> dict:
    words = [{"word": word.text, "start": word.start, "end": word.end} for word in found.words]
    return {"text": found.text, "words": words}


def seconds_a_step(model: keras.Model) -> float:
    """From one output of a `sound_recognizer` to the next."""
    return model.get_layer("log_mel").hop * stride_of(model)


def steps_of(log_mel: LogMel, stride: int, samples: np.ndarray) -> np.ndarray:
    """How many outputs a `sound_recognizer` of `stride` frames a step has for sounds of so many
    samples: int[...] -> int64[...]."""
    return -(-np.asarray(log_mel.frames(np.asarray(samples, np.int64))) // stride)


def learnable(
    utterances: Utterances,
    alphabet: Alphabet,
    *,
    log_mel: LogMel,
    stride: int,
    longest: float,
    speed: float = 0.0,
    name: str = "training",
) -> Utterances:
    """Those whose text fits into their sound, which CTC asks for; the others are named in the log.

    Args:
        utterances: sounds with texts.
        alphabet: of the model.
        log_mel: of the model, or one like it.
        stride: frames a step of the model.
        longest: seconds; longer sounds are left out, too.
        speed: the share by which sounds may be shortened in training.
        name: of the split.

    Raises:
        InputError: none is left.
    """
    labels, seconds = (
        [alphabet.encode(text) for text in utterances.texts],
        utterances.seconds(log_mel.rate),
    )
    steps = steps_of(log_mel, stride, seconds / (1 + speed) * log_mel.rate)
    needed = np.array(
        [len(each) + np.count_nonzero(np.diff(each) == 0) for each in labels]
    )  # a blank between equal ones
    wrong = {
        f"are longer than --max-seconds {longest:g}": seconds > longest,
        "have more to say than their sound has room for": needed > steps,
        "say nothing that is in the alphabet": needed == 0,
    }
    kept = ~np.any([*wrong.values()], axis=0)
    for reason, flags in wrong.items():
        if flags.any():
            names = listing(utterances.name(i) for i in np.flatnonzero(flags))
            log.warning(
                "%s: %d of %d sounds %s, and are left out: %s",
                name,
                flags.sum(),
                len(flags),
                reason,
                names,
            )
    if not kept.any():
        reasons = ", ".join(
            f"{flags.sum()} {reason}" for reason, flags in wrong.items() if flags.any()
        )
        raise InputError(f"none of {len(kept)} {name} sounds can be used: {reasons}")
    return utterances.take(np.flatnonzero(kept))


def words_of(
    text: str, spans: np.ndarray, *, start: float = 0.0, end: float = np.inf
) -> list[Word]:
    """The words of a text with their times.

    Args:
        text: of characters.
        spans: float[characters or more, 2], seconds from the beginning that each begins and ends
            at.
        start: seconds that are added.
        end: of the sound, beyond which no word reaches.
    """
    words, first = [], 0
    for place, character in enumerate([*text, " "]):
        if character == " ":
            if place > first:
                words.append(
                    _word(text[first:place], spans[first][0], spans[place - 1][1], start, end)
                )
            first = place + 1
    return words


def _grouped(paths: Iterable[str | Path], *, seconds: float) -> Iterator[list[str | Path]]:
    """Files that are read together, in their order: some short ones, or a long one alone."""
    group: list[str | Path] = []
    for path in paths:
        try:
            long = seconds_of(path) > seconds
        except InputError:  # told when its turn comes
            long = False
        if group and (long or len(group) == _BATCH):
            yield group
            group = []
        if long:
            yield [path]
        else:
            group.append(path)
    if group:
        yield group


def _word(text: str, begun: float, ended: float, start: float, end: float) -> Word:
    return Word(
        text, round(min(start + float(begun), end), 3), round(min(start + float(ended), end), 3)
    )


def _joined(parts: Sequence[Transcript]) -> Transcript:
    words = [word for part in parts for word in part.words]
    return Transcript(
        " ".join(word.text for word in words), words, sum(part.score for part in parts)
    )
