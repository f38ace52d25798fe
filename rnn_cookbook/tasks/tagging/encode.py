"""Words and tags to numbers: of a word its letters and features, too, so that a word never seen
still says something."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from rnn_cookbook.encode.text import PADDING, UNKNOWN
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import write_json
from rnn_cookbook.nn.characters import LETTERS
from rnn_cookbook.tasks.tagging.schemes import Span, check_scheme, spans, tags_of

__all__ = [
    "AFFIXES",
    "CACHED_WORDS",
    "SHAPES",
    "TagEncoder",
    "WordEncoder",
    "frequent",
    "normalize",
    "shape",
]

SHAPES = 11  # values of the first feature, see `shape`
AFFIXES = {
    "prefix of 2": slice(0, 2),
    "prefix of 3": slice(0, 3),
    "suffix of 2": slice(-2, None),
    "suffix of 3": slice(-3, None),
}
CACHED_WORDS = 200_000  # words whose numbers a `WordEncoder` remembers: some 30 MB

_NUMBER = re.compile(r"[+-]?\d[\d.,:/-]*")
_INITIALS = re.compile(r"([^\W\d_]\.)+[^\W\d_]?")
_FIRST_NUMBER = 2  # of words and letters: 0 pads, 1 is unknown
_LETTER_COUNT = 2  # a letter that occurs less often is read as an unknown letter
_AFFIX_COUNT = 5  # an affix of fewer words gets no number
_FILE = "words.json"


def normalize(word: str) -> str:
    """Returns what a word and its vector go by: lower case, composed (NFC), every digit a 0.

    Case and digits come in again through letters and features.
    """
    # Composed after lower-casing: ǰ is one character, but its capital is two.
    return re.sub(r"\d", "0", unicodedata.normalize("NFC", word.lower()))


def shape(word: str) -> int:
    """Returns the form of a word, 0 to 10.

    1 digits, 2 another number (1996-08-22), 3 other words with a digit, 4 A, 5 U.S., 6 UPPER, 7
    Title, 8 CamelCase, 9 iPod, 10 lower, which words of scripts without case are, too; 0 has
    neither letter nor digit.
    """
    if re.search(r"\d", word):
        if re.fullmatch(r"\d+", word):
            return 1
        return 2 if _NUMBER.fullmatch(word) else 3
    letters = [letter for letter in word if letter.isalpha()]
    upper = [letter.isupper() for letter in letters]
    if not letters:
        return 0
    if not any(upper):
        return 10
    if all(upper):
        if len(word) == 1:
            return 4
        return 5 if _INITIALS.fullmatch(word) else 6
    if upper[0]:
        return 8 if any(upper[1:]) else 7
    return 9


def _ranked(counts: Counter[str], *, min_count: int = 1) -> list[str]:
    """The most frequent first; equals by their letters, so that the same words in another order
    give the same numbers."""
    return sorted(
        (item for item, count in counts.items() if count >= min_count),
        key=lambda item: (-counts[item], item),
    )


def frequent(sentences: Iterable[Sequence[str]], *, min_count: int = 5) -> list[str]:
    """Returns the normalised words that occur `min_count` times or more, the most frequent first.

    Args:
        sentences: tokens of each sentence.
        min_count: minimum number of occurrences.
    """
    counts = Counter(normalize(word) for sentence in sentences for word in sentence)
    return _ranked(counts, min_count=min_count)


class WordEncoder:
    """Numbers words, their letters and their features; 0 pads, 1 is unknown.

    Args:
        vocabulary: normalised words from number 2 on: those of the training data, the most frequent
            first, then others whose vectors came from elsewhere.
        rare_from: number of the first word that occurs once in the training data: from here on a
            tagger should now and then see the unknown word instead (`models.sequence_tagger`).
        letters: letters from number 2 on.
        affixes: affixes of each kind in `AFFIXES`, from number 1 on; 0 is any other.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        *,
        rare_from: int,
        letters: str,
        affixes: Mapping[str, Sequence[str]],
    ) -> None:
        self.vocabulary = list(vocabulary)
        self.rare_from = rare_from
        self.letters = letters
        self.affixes = {kind: list(affixes[kind]) for kind in AFFIXES}
        self._words = {word: i for i, word in enumerate(self.vocabulary, start=_FIRST_NUMBER)}
        self._letters = {letter: i for i, letter in enumerate(letters, start=_FIRST_NUMBER)}
        self._affixes = {
            kind: {affix: number for number, affix in enumerate(values, start=1)}
            for kind, values in self.affixes.items()
        }
        self._cache: dict[str, np.ndarray] = {}

    @classmethod
    def fit(cls, sentences: Iterable[Sequence[str]], *, others: Iterable[str] = ()) -> WordEncoder:
        """Learns the words, letters and affixes of the training sentences.

        Args:
            sentences: tokens of each training sentence.
            others: further words, normalised, whose vectors come from elsewhere.

        Raises:
            InputError: there is no word.
        """
        words = Counter(word for sentence in sentences for word in sentence)
        if not words:
            raise InputError("the training data has no word in it")
        counts: Counter[str] = Counter()
        letters: Counter[str] = Counter()
        for word, count in words.items():
            counts[normalize(word)] += count
            for letter in unicodedata.normalize("NFC", word):
                letters[letter] += count
        ranked = _ranked(counts)
        new = [word for word in dict.fromkeys(others) if word not in counts]
        affixes = {
            kind: _ranked(Counter(word[part] for word in ranked), min_count=_AFFIX_COUNT)
            for kind, part in AFFIXES.items()
        }
        return cls(
            ranked + new,
            rare_from=_FIRST_NUMBER + sum(count > 1 for count in counts.values()),
            # A letter that occurs once is left out, or nothing would be learnt about unknown ones.
            letters="".join(_ranked(letters, min_count=_LETTER_COUNT)),
            affixes=affixes,
        )

    def __len__(self) -> int:
        """Returns the size of the embedding: words, padding and the unknown word."""
        return _FIRST_NUMBER + len(self.vocabulary)

    @property
    def letter_count(self) -> int:
        """The number of letters, padding and the unknown letter included."""
        return _FIRST_NUMBER + len(self.letters)

    @property
    def feature_counts(self) -> list[int]:
        """The number of values of each feature: the shape, then the affixes."""
        return [SHAPES, *(len(values) + 1 for values in self.affixes.values())]

    @property
    def cached_words(self) -> int:
        """The number of words whose numbers are remembered; at most `CACHED_WORDS`."""
        return len(self._cache)

    def _row(self, word: str) -> np.ndarray:
        """The word, its letters, its features, one after the other."""
        if word in self._cache:
            return self._cache[word]
        normal = normalize(word)
        composed = unicodedata.normalize("NFC", word)
        read = composed
        if len(composed) > LETTERS:
            half = LETTERS // 2
            read = composed[:half] + composed[-half:]
        letters = [self._letters.get(letter, UNKNOWN) for letter in read]
        padding = [PADDING] * (LETTERS - len(letters))
        affixes = [self._affixes[kind].get(normal[part], 0) for kind, part in AFFIXES.items()]
        number = self._words.get(normal, UNKNOWN)
        if len(self._cache) >= CACHED_WORDS:  # a stream of new words must not fill the memory
            self._cache.clear()
        row = np.array([number, *letters, *padding, shape(composed), *affixes], np.int32)
        self._cache[word] = row
        return row

    def encode(self, sentences: Iterable[Sequence[str]]) -> dict[str, list[np.ndarray]]:
        """Returns the numbers of sentences.

        Args:
            sentences: tokens of each sentence.

        Returns:
            For each sentence "tokens" int32[words], "characters" int32[words, LETTERS] and
            "features" int32[words, features].
        """
        width = 1 + LETTERS + len(self.feature_counts)
        encoded: dict[str, list[np.ndarray]] = {"tokens": [], "characters": [], "features": []}
        for sentence in sentences:
            rows = np.array([self._row(word) for word in sentence], np.int32).reshape(-1, width)
            encoded["tokens"].append(rows[:, 0])
            encoded["characters"].append(rows[:, 1 : 1 + LETTERS])
            encoded["features"].append(rows[:, 1 + LETTERS :])
        return encoded

    def align(self, words: Sequence[str], vectors: np.ndarray, *, seed: int = 0) -> np.ndarray:
        """Returns vectors in the order of the numbers, float32[len(self), dimensions].

        A word goes by its normalised form; of several words with the same form the first counts,
        which is the most frequent in the files that vectors come in. Words without a vector get a
        random vector of about the same length; padding gets zeros.

        Args:
            words: words that have a vector.
            vectors: vector of each of them, float32[words, dimensions].
            seed: seed of the random vectors.
        """
        scale = float(vectors.std()) or 1.0
        size = (len(self), vectors.shape[1])
        aligned = np.random.default_rng(seed).normal(scale=scale, size=size).astype(np.float32)
        aligned[PADDING] = 0
        for word, vector in zip(reversed(words), vectors[::-1], strict=True):
            number = self._words.get(normalize(word))
            if number is not None:
                aligned[number] = vector
        return aligned

    def save(self, folder: Path) -> None:
        """Writes `words.json` into a folder."""
        facts = {
            "vocabulary": self.vocabulary,
            "rare_from": self.rare_from,
            "letters": self.letters,
            "affixes": self.affixes,
        }
        write_json(folder / _FILE, facts)

    @classmethod
    def load(cls, folder: Path) -> WordEncoder:
        """Reads what `save` wrote into a folder."""
        facts = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return cls(
            facts["vocabulary"],
            rare_from=facts["rare_from"],
            letters=facts["letters"],
            affixes=facts["affixes"],
        )


class TagEncoder:
    """Numbers tags: 0 is O, then come all tags of every type in a scheme.

    Args:
        types: types of the entities, such as "PER", in the order of their numbers.
        scheme: scheme of the numbers, one of `schemes.SCHEMES`; tags of any scheme go in.

    Raises:
        InputError: no type, or an unknown scheme.
    """

    def __init__(self, types: Sequence[str], *, scheme: str = "bioes") -> None:
        check_scheme(scheme)
        if not types:
            raise InputError("the training data has no entity: every tag is O")
        self.types = list(types)
        self.scheme = scheme
        prefixes = "BIES" if scheme == "bioes" else "BI"
        self.tags = ["O", *(f"{prefix}-{kind}" for kind in self.types for prefix in prefixes)]
        self._numbers = {tag: number for number, tag in enumerate(self.tags)}

    @classmethod
    def fit(cls, sequences: Iterable[Sequence[str]], *, scheme: str = "bioes") -> TagEncoder:
        """Learns the types of the training sentences.

        Args:
            sequences: tags of each training sentence.
            scheme: scheme of the numbers.

        Raises:
            InputError: there is no entity, or an unknown tag.
        """
        return cls(sorted({span.type for tags in sequences for span in spans(tags)}), scheme=scheme)

    def check(self, sequences: Iterable[Sequence[str]], *, name: str) -> None:
        """Checks that the training data has every type of another split.

        Args:
            sequences: tags of each sentence of the split.
            name: name of the split, for the message.

        Raises:
            InputError: the split has a type that the training data lacks.
        """
        kinds = [span.type for tags in sequences for span in spans(tags)]
        unknown = sorted(set(kinds) - set(self.types))
        if unknown:
            count = sum(kind in unknown for kind in kinds)
            raise InputError(
                f"the {name} split has {count} entities of types that the training split lacks: "
                f"{listing(unknown)}; training has {listing(self.types)}. Add some to the training "
                "file, or rename them"
            )

    def encode(self, tags: Sequence[str]) -> list[int]:
        """Returns the numbers of the same spans in the encoder's scheme.

        Args:
            tags: tags of a sentence, in any scheme, of types that the encoder knows (`check`).
        """
        return [self._numbers[tag] for tag in tags_of(spans(tags), len(tags), scheme=self.scheme)]

    def decode(self, numbers: Iterable[int]) -> list[Span]:
        """Returns the spans of a sentence.

        Args:
            numbers: number of the tag of each token.
        """
        return spans([self.tags[number] for number in numbers])
