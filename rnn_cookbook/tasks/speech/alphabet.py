"""Transcripts as numbers of characters, and back."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log, write_json
from rnn_cookbook.tasks.speech.data import Utterances

__all__ = ["Alphabet", "as_spoken", "spoken"]

_FILE = "alphabet.json"
_APOSTROPHES = str.maketrans("’‘ʼ`´", "'''''")
_READ_ALOUD = "'%&@"  # punctuation that is part of a word, or said as one
_SHOWN = 20  # characters that a message names


def _is_silent(character: str) -> bool:
    """Whether a character is punctuation, a separator or a control character."""
    return unicodedata.category(character)[0] in "PCZ" and character not in _READ_ALOUD


def spoken(text: str) -> str:
    """Normalises a text to what is said: lower case, no punctuation but the apostrophe within
    words, one space between words.

    Accents are put together with their letters (NFKC). Digits and signs such as % stay; transcripts
    that are to be read aloud write them in words.
    """
    text = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).lower()
    text = re.sub(r"(?<!\w)'|'(?!\w)", " ", text)
    heard = "".join(" " if _is_silent(character) else character for character in text)
    return " ".join(heard.split())


def as_spoken(part: Utterances, *, name: str) -> Utterances:
    """Normalises the texts of utterances by `spoken`; texts without a word are left out.

    Args:
        part: utterances of one split.
        name: name of the split, for messages.

    Raises:
        InputError: no text has a word.
    """
    texts = [spoken(text) for text in part.texts]
    kept = [i for i, text in enumerate(texts) if text]
    if not kept:
        raise InputError(
            f"the {name} split needs a text with a word; received {len(texts)} texts such as "
            f"{part.texts[:1]!r}"
        )
    if len(kept) < len(texts):
        log.warning(
            "%s: %d of %d texts have no word, and are left out: %s",
            name,
            len(texts) - len(kept),
            len(texts),
            listing(part.name(i) for i, text in enumerate(texts) if not text),
        )
    part = part.take(kept)
    part.texts = [texts[i] for i in kept]
    return part


class Alphabet:
    """The numbers of characters, from 1; 0 is the blank of CTC, and pads.

    Args:
        characters: different characters, in the order of their numbers.

    Raises:
        InputError: no characters, repeated ones, or texts of another length than 1.
    """

    def __init__(self, characters: Sequence[str]):
        repeated = len(set(characters)) < len(characters)
        if not characters or repeated or any(len(character) != 1 for character in characters):
            raise InputError(
                f"an alphabet needs different characters; received {list(characters)!r}"
            )
        self.characters = list(characters)
        self._numbers = {
            character: number for number, character in enumerate(self.characters, start=1)
        }

    @classmethod
    def fit(cls, texts: Iterable[str]) -> Alphabet:
        """Collects all the characters of texts.

        Raises:
            InputError: the texts have no character.
        """
        characters: set[str] = set()
        for text in texts:
            characters.update(text)
        return cls(sorted(characters))

    def __len__(self) -> int:
        """How many numbers there are, the blank included."""
        return len(self.characters) + 1

    def encode(self, text: str) -> np.ndarray:
        """Returns int32[characters]; characters outside the alphabet are left out, see
        `unknown`."""
        return np.array([self._numbers[c] for c in text if c in self._numbers], np.int32)

    def unknown(self, text: str) -> list[str]:
        """Returns the characters of a text that are not in the alphabet, each once."""
        return list(dict.fromkeys(c for c in text if c not in self._numbers))

    def check(self, texts: Sequence[str], *, name: str) -> None:
        """Logs which characters of a split's texts are not in the alphabet: no model gets them
        right.

        Args:
            texts: texts of the split.
            name: name of the split, for messages.
        """
        unknown = [self.unknown(text) for text in texts]
        affected = [characters for characters in unknown if characters]
        if affected:
            different = sorted(set().union(*affected))
            log.warning(
                "%s: %d of %d texts have characters that no training text has: %s",
                name,
                len(affected),
                len(texts),
                listing(different, _SHOWN),
            )

    def decode(self, numbers: Iterable[int]) -> str:
        """Returns the text of numbers, whose padding is left out."""
        return "".join(self.characters[int(number) - 1] for number in numbers if number)

    def save(self, folder: Path) -> None:
        """Writes the alphabet into the folder of a bundle."""
        write_json(folder / _FILE, self.characters)

    @classmethod
    def load(cls, folder: Path) -> Alphabet:
        """Reads the alphabet from the folder of a bundle."""
        return cls(json.loads((folder / _FILE).read_text(encoding="utf-8")))
