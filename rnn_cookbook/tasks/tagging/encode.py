"""Words of sentences to numbers: the word, its letters, and its features, so that a word never seen
still says something."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from rnn_cookbook.encode.text import PADDING, UNKNOWN
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import write_json
from rnn_cookbook.nn.characters import LETTERS
from rnn_cookbook.tasks.tagging.schemes import Span, check_scheme, spans, tags_of

SHAPES = 11  # values of the first feature
_NUMBER = re.compile(r"[+-]?\d[\d.,:/-]*")
_INITIALS = re.compile(r"([^\W\d_]\.)+[^\W\d_]?")
AFFIXES = {
    "prefix of 2": slice(0, 2),
    "prefix of 3": slice(0, 3),
    "suffix of 2": slice(-2, None),
    "suffix of 3": slice(-3, None),
}
_AFFIX_COUNT = 5  # affixes of fewer words get no number
_CACHED = 200_000  # words: some 30 MB


def normalize(word: str) -> str:
    """Lower case, every digit a 0: what a word and its vector go by. Case and digits come in again
    through letters and features."""
    # Composed after lower-casing: ǰ is one character, but its capital is two.
    return re.sub(r"\d", "0", unicodedata.normalize("NFC", word.lower()))


def shape(word: str) -> int:
    """The form of a word, 0 to 10.

    1 digits, 2 another number (1996-08-22), 3 other words with a digit, 4 A, 5 U.S., 6 UPPER, 7
    Title, 8 CamelCase, 9 iPod, 10 lower, which words of scripts without case are, too; 0 has
    neither letter nor digit.
    """
    if re.search(r"\d", word):
        return 1 if re.fullmatch(r"\d+", word) else 2 if _NUMBER.fullmatch(word) else 3
    letters = [letter for letter in word if letter.isalpha()]
    upper = [letter.isupper() for letter in letters]
    if not letters:
        return 0
    if not any(upper):
        return 10
    if all(upper):
        return 4 if len(word) == 1 else 5 if _INITIALS.fullmatch(word) else 6
    if upper[0]:
        return 8 if any(upper[1:]) else 7
    return 9


def frequent(sentences: Iterable[Sequence[str]], *, min_count: int = 5) -> list[str]:
    """Normalised words that occur `min_count` times or more, the most frequent first."""
    counts = Counter(normalize(word) for sentence in sentences for word in sentence)
    return _ranked(counts, least=min_count)


class WordEncoder:
    """Numbers of words, of their letters, and of their features; 0 pads, 1 is unknown.

    Args:
        vocabulary: normalised words from number 2 on: those of the training data, the most frequent
            first, then others whose vectors came from elsewhere.
        rare_from: number of the first word that occurs once in the training data: from here on a
            tagger should now and then see the unknown word instead (`models.sequence_tagger`).
        letters: from number 2 on.
        affixes: of each kind that `fit` finds, from number 1 on; 0 is any other.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        *,
        rare_from: int,
        letters: str,
        affixes: dict[str, Sequence[str]],
    ):
        self.vocabulary, self.rare_from = list(vocabulary), rare_from
        self.letters, self.affixes = letters, {kind: list(affixes[kind]) for kind in AFFIXES}
        self._words = {word: number for number, word in enumerate(self.vocabulary, start=2)}
        self._letters = {letter: number for number, letter in enumerate(letters, start=2)}
        self._affixes = {
            kind: {affix: number for number, affix in enumerate(values, start=1)}
            for kind, values in self.affixes.items()
        }
        self._cache: dict[str, np.ndarray] = {}

    @classmethod
    def fit(
        cls, sentences: Iterable[Sequence[str]], *, others: Iterable[str] = ()
    ) -> "WordEncoder":
        """Learns the words, letters and affixes of the training sentences; `others` are more
        normalised words."""
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
        return cls(
            [*ranked, *(word for word in dict.fromkeys(others) if word not in counts)],
            rare_from=2 + sum(count > 1 for count in counts.values()),
            # A letter that occurs once is read as an unknown one, or nothing would be learnt about
            # these.
            letters="".join(_ranked(letters, least=2)),
            affixes={
                kind: _ranked(Counter(word[part] for word in ranked), least=_AFFIX_COUNT)
                for kind, part in AFFIXES.items()
            },
        )

    def __len__(self) -> int:
        """How many word numbers there are: the size of the embedding."""
        return len(self.vocabulary) + 2

    @property
    def letter_count(self) -> int:
        return len(self.letters) + 2

    @property
    def feature_counts(self) -> list[int]:
        """How many values each feature has: the shape, then the affixes."""
        return [SHAPES, *(len(values) + 1 for values in self.affixes.values())]

    def encode(self, sentences: Iterable[Sequence[str]]) -> dict[str, list[np.ndarray]]:
        """For each sentence "tokens" int32[words], "characters" int32[words, LETTERS], "features"
        int32[words, features]."""
        encoded: dict[str, list[np.ndarray]] = {"tokens": [], "characters": [], "features": []}
        for sentence in sentences:
            rows = np.array([self._row(word) for word in sentence], np.int32).reshape(
                -1, 1 + LETTERS + 1 + len(self.affixes)
            )
            for name, part in zip(encoded, np.split(rows, [1, 1 + LETTERS], axis=1), strict=True):
                encoded[name].append(part[:, 0] if name == "tokens" else part)
        return encoded

    def _row(self, word: str) -> np.ndarray:
        """The word, its letters, its features, one after the other."""
        if word not in self._cache:
            if len(self._cache) >= _CACHED:  # a stream of new words must not fill the memory
                self._cache.clear()
            normal, composed = normalize(word), unicodedata.normalize("NFC", word)
            read = (
                composed
                if len(composed) <= LETTERS
                else composed[: LETTERS // 2] + composed[-(LETTERS // 2) :]
            )
            letters = [self._letters.get(letter, UNKNOWN) for letter in read]
            affixes = [self._affixes[kind].get(normal[part], 0) for kind, part in AFFIXES.items()]
            row = [
                self._words.get(normal, UNKNOWN),
                *letters,
                *[PADDING] * (LETTERS - len(letters)),
                shape(composed),
                *affixes,
            ]
            self._cache[word] = np.array(row, np.int32)
        return self._cache[word]

    def align(self, words: Sequence[str], vectors: np.ndarray, *, seed: int = 0) -> np.ndarray:
        """Vectors of `words`, float32[words, dimensions], put in the order of the numbers:
        float32[len(self), dimensions].

        A word goes by its normalised form; of several the first, which is the most frequent in the
        files that vectors come in. Words without a vector get a random one of about the same
        length; padding gets zeros.
        """
        spread = float(vectors.std()) or 1.0
        aligned = (
            np.random.default_rng(seed)
            .normal(scale=spread, size=(len(self), vectors.shape[1]))
            .astype(np.float32)
        )
        aligned[0] = 0
        for word, vector in zip(reversed(words), vectors[::-1], strict=True):
            number = self._words.get(normalize(word))
            if number is not None:
                aligned[number] = vector
        return aligned

    def save(self, folder: Path) -> None:
        facts = {
            "vocabulary": self.vocabulary,
            "rare_from": self.rare_from,
            "letters": self.letters,
            "affixes": self.affixes,
        }
        write_json(folder / "words.json", facts)

    @classmethod
    def load(cls, folder: Path) -> "WordEncoder":
        facts = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        return cls(
            facts["vocabulary"],
            rare_from=facts["rare_from"],
            letters=facts["letters"],
            affixes=facts["affixes"],
        )


def _ranked(counts: Counter[str], *, least: int = 1) -> list[str]:
    """The most frequent first; equals by their letters, so that the same words in another order
    give the same numbers."""
    return sorted(
        (item for item, count in counts.items() if count >= least),
        key=lambda item: (-counts[item], item),
    )


class TagEncoder:
    """Tag numbers: 0 is O, then all tags of every type in a scheme.

    Args:
        types: such as "PER", in the order of their numbers.
        scheme: of the numbers, one of `data.tags.SCHEMES`; sequences of any scheme go in.
    """

    def __init__(self, types: Sequence[str], *, scheme: str = "bioes"):
        check_scheme(scheme)
        if not types:
            raise InputError("the training data has no entity: every tag is O")
        self.types, self.scheme = list(types), scheme
        prefixes = "BIES" if scheme == "bioes" else "BI"
        self.tags = ["O", *(f"{prefix}-{kind}" for kind in self.types for prefix in prefixes)]
        self._numbers = {tag: number for number, tag in enumerate(self.tags)}

    @classmethod
    def fit(cls, sequences: Sequence[Sequence[str]], *, scheme: str = "bioes") -> "TagEncoder":
        return cls(sorted({span.type for tags in sequences for span in spans(tags)}), scheme=scheme)

    def check(self, sequences: Sequence[Sequence[str]], *, name: str) -> None:
        """Raises InputError where the split `name` has a type that the training data lacks."""
        found = [span.type for tags in sequences for span in spans(tags)]
        if unknown := sorted(set(found) - set(self.types)):
            count = sum(kind in unknown for kind in found)
            raise InputError(
                f"the {name} split has {count} entities of types that the training split lacks: {listing(unknown)}; "
                f"training has {listing(self.types)}. Add some to the training file, or rename them"
            )

    def encode(self, tags: Sequence[str]) -> list[int]:
        """The numbers of the same spans in the encoder's scheme; every type must be known, see
        `check`."""
        return [self._numbers[tag] for tag in tags_of(spans(tags), len(tags), scheme=self.scheme)]

    def decode(self, numbers: Sequence[int]) -> list[Span]:
        return spans([self.tags[number] for number in numbers])
