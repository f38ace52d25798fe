"""Transcripts: words with the times at which they are said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Transcript", "Word", "joined", "timed_word", "words_of"]

_DECIMALS = 3  # of times: milliseconds


class Word(NamedTuple):
    """A word and its time.

    Args:
        text: the word.
        start: seconds from the beginning of the audio.
        end: seconds from the beginning of the audio.
    """

    text: str
    start: float
    end: float


class Transcript(NamedTuple):
    """What is said in a piece of audio.

    Args:
        text: the words, separated by spaces.
        words: the words with their times.
        score: nats that the search ranks by; the sum over the parts of long audio.
    """

    text: str
    words: list[Word]
    score: float


def timed_word(
    text: str, begun: float, ended: float, *, offset: float = 0.0, end: float = np.inf
) -> Word:
    """Makes a word whose times are rounded to milliseconds and lie within its audio.

    Args:
        text: the word.
        begun: seconds from the offset.
        ended: seconds from the offset.
        offset: seconds that are added to both.
        end: end of the audio in seconds.
    """
    start_time = min(offset + float(begun), end)
    end_time = min(offset + float(ended), end)
    return Word(text, round(start_time, _DECIMALS), round(end_time, _DECIMALS))


def words_of(
    text: str, spans: np.ndarray, *, offset: float = 0.0, end: float = np.inf
) -> list[Word]:
    """Splits a text into words with their times.

    Args:
        text: decoded characters.
        spans: float[characters or more, 2], seconds at which each character begins and ends.
        offset: seconds that are added.
        end: end of the audio in seconds, beyond which no word reaches.
    """
    words = []
    first = 0
    for place, character in enumerate([*text, " "]):
        if character != " ":
            continue
        if place > first:
            begun = spans[first][0]
            ended = spans[place - 1][1]
            words.append(timed_word(text[first:place], begun, ended, offset=offset, end=end))
        first = place + 1
    return words


def joined(parts: Sequence[Transcript]) -> Transcript:
    """Joins the transcripts of consecutive parts of the same audio."""
    words = [word for part in parts for word in part.words]
    score = sum(part.score for part in parts)
    return Transcript(" ".join(word.text for word in words), words, score)
