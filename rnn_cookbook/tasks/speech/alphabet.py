"""What is said, as numbers of characters and back."""

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log, write_json
from rnn_cookbook.tasks.speech.data import Utterances

_FILE = "alphabet.json"
_APOSTROPHES = str.maketrans("’‘ʼ`´", "'''''")


def spoken(text: str) -> str:
    """A text as it is said: lower case, no punctuation but the apostrophe within words, one space
    between words.

    Accents are put together with their letters (NFKC). Digits and signs such as % stay; who reads
    them aloud writes them in words.
    """
    text = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).lower()
    text = re.sub(r"(?<!\w)'|'(?!\w)", " ", text)
    return " ".join(
        "".join(
            " " if unicodedata.category(c)[0] in "PCZ" and c not in "'%&@" else c for c in text
        ).split()
    )


def as_spoken(part: Utterances, *, name: str) -> Utterances:
    """The utterances with their texts as `spoken`; those without a word are left out, and counted
    in the log.

    Raises:
        InputError: none is left.
    """
    texts = [spoken(text) for text in part.texts]
    kept = [i for i, text in enumerate(texts) if text]
    if not kept:
        raise InputError(
            f"none of {len(texts)} texts of the {name} split has a word, such as {part.texts[:1]!r}"
        )
    if len(kept) < len(texts):
        gone = listing(part.name(i) for i, text in enumerate(texts) if not text)
        log.warning(
            "%s: %d of %d texts have no word, and are left out: %s",
            name,
            len(texts) - len(kept),
            len(texts),
            gone,
        )
    part = part.take(kept)
    part.texts = [texts[i] for i in kept]
    return part


class Alphabet:
    """Numbers of characters, from 1; 0 is the blank of CTC, and pads.

    Args:
        characters: in the order of their numbers.
    """

    def __init__(self, characters: Sequence[str]):
        if (
            not characters
            or len(set(characters)) < len(characters)
            or any(len(c) != 1 for c in characters)
        ):
            raise InputError(f"an alphabet is of different characters, got {list(characters)!r}")
        self.characters = list(characters)
        self._numbers = {
            character: number for number, character in enumerate(self.characters, start=1)
        }

    @classmethod
    def fit(cls, texts: Iterable[str]) -> "Alphabet":
        """All the characters of the texts. Raises InputError where there is none."""
        return cls(sorted(set().union(*map(set, texts))))

    def __len__(self) -> int:
        """How many numbers there are, the blank included."""
        return len(self.characters) + 1

    def encode(self, text: str) -> np.ndarray:
        """int32[characters]; those that are not in the alphabet are left out, see `unknown`."""
        return np.array([self._numbers[c] for c in text if c in self._numbers], np.int32)

    def unknown(self, text: str) -> list[str]:
        """The characters of a text that are not in the alphabet; nothing twice."""
        return list(dict.fromkeys(c for c in text if c not in self._numbers))

    def check(self, texts: Sequence[str], *, name: str) -> None:
        """Tells in the log which characters of a split's texts are not in the alphabet: nobody can
        get those right."""
        rows = [unknown for text in texts if (unknown := self.unknown(text))]
        if rows:
            characters = listing(sorted(set().union(*rows)), 20)
            log.warning(
                "%s: %d of %d texts have characters that no training text has: %s",
                name,
                len(rows),
                len(texts),
                characters,
            )

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of numbers, whose padding is left out."""
        return "".join(self.characters[number - 1] for number in map(int, numbers) if number)

    def save(self, folder: Path) -> None:
        write_json(folder / _FILE, self.characters)

    @classmethod
    def load(cls, folder: Path) -> "Alphabet":
        return cls(json.loads((folder / _FILE).read_text(encoding="utf-8")))
