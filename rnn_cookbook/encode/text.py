"""Text to word numbers, by Keras' TextVectorization with a standardisation that keeps what carries
the meaning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.data.texts import Texts
from rnn_cookbook.errors import InputError, listing

__all__ = [
    "PADDING",
    "UNKNOWN",
    "Keep",
    "TextEncoder",
    "TextReader",
    "cut",
    "has_token",
    "lower",
    "standardize",
    "without_empty",
]

Keep = Literal["head", "tail", "both"]

# Keras' numbering; the first word of the vocabulary is 2.
PADDING = 0
UNKNOWN = 1
_FIRST_WORD = 2
_CHUNK = 1000  # texts per call of TensorFlow's string functions: bounds the memory
_FILE = "vocabulary.txt"


def lower(text: tf.Tensor) -> tf.Tensor:
    """Lower-cases string[...], everywhere the same: TensorFlow's function goes by the locale, and
    in Turkish I becomes another letter."""
    text = tf.strings.regex_replace(tf.strings.regex_replace(text, "I", "i"), "\u0130", "i\u0307")
    return tf.strings.lower(text, encoding="utf-8")


@keras.saving.register_keras_serializable(package="rnn_cookbook")
def standardize(text: tf.Tensor) -> tf.Tensor:
    """Lower-cases, drops HTML line breaks, and sets punctuation and CJK characters apart as tokens
    of their own.

    Keras' default strips punctuation instead: "good.But" becomes one word, and "!" and "?", which
    carry sentiment, go. Apostrophes, typographic ones too, stay inside words ("don't"); spaces
    without width or break are spaces.

    Args:
        text: string[...].

    Returns:
        string[...], tokens separated by white space.
    """
    text = lower(text)
    text = tf.strings.regex_replace(text, r"<br ?/?>|[\pZ\p{Cc}\x{200B}\x{2060}\x{FEFF}]", " ")
    text = tf.strings.regex_replace(text, "[\u2018\u2019]", "'")
    text = tf.strings.regex_replace(
        text,
        r"([^\pL\pM\pN\s'\x{200C}\x{200D}]|[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}])",
        r" \1 ",
    )
    return text


def has_token(texts: Sequence[str]) -> np.ndarray:
    """Returns bool[texts]: whether anything is left of each text after tokenisation."""
    counts = [_tokens(chunk).row_lengths().numpy() for chunk in _chunks(texts)]
    return np.concatenate(counts) > 0


def without_empty(examples: Texts, *, name: str, drop: bool) -> Texts:
    """Returns the examples that have a word in them.

    Args:
        examples: texts to check.
        name: name of the split, for messages.
        drop: whether texts without a word are left out, instead of refused.

    Raises:
        InputError: texts without a word, where they are not left out.
    """
    full = has_token(examples.texts)
    if full.all():
        return examples
    if not drop:
        empty = [f"number {i + 1}: {examples.texts[i][:20]!r}" for i in np.flatnonzero(~full)]
        raise InputError(
            f"{name}: {len(empty)} texts have no word in them ({listing(empty, 3)}). Mend them, or "
            "leave them out",
            field="drop_missing",
        )
    return examples.take(np.flatnonzero(full))


def cut(sequence: np.ndarray, max_tokens: int | None, keep: Keep) -> np.ndarray:
    """Returns at most `max_tokens` of a sequence: from its head, its tail, or both; see
    `TextEncoder.encode`."""
    if max_tokens is None or len(sequence) <= max_tokens:
        return sequence
    head = _head(max_tokens, keep)
    return np.concatenate([sequence[:head], sequence[len(sequence) - (max_tokens - head) :]])


class TextEncoder:
    """An encoder of texts as word numbers: 0 pads, 1 is a word outside the vocabulary, the rest is
    `vocabulary` in order from 2.

    Args:
        vocabulary: words from number 2 on, the most frequent first; `fit` learns them from texts.
    """

    def __init__(self, vocabulary: Sequence[str]):
        self.vocabulary = list(vocabulary)
        self.layer = keras.layers.TextVectorization(
            standardize=standardize,  # pyright: ignore[reportArgumentType]  # a function, too
            split="whitespace",
            ragged=True,
            vocabulary=self.vocabulary,
        )

    @classmethod
    def fit(cls, texts: Iterable[str], *, max_words: int, min_count: int = 1) -> TextEncoder:
        """Learns the most frequent words.

        Args:
            texts: texts of the training split.
            max_words: max size of the vocabulary.
            min_count: min occurrences of a word.

        Raises:
            InputError: no room for a word; or no word is left, as in texts without a letter.
        """
        if max_words < 1:
            raise InputError(f"max_words must be at least 1; received {max_words}")
        counts: Counter[bytes] = Counter()
        for chunk in _chunks(texts):
            counts.update(_tokens(chunk).flat_values.numpy().tolist())
        # Equally frequent words are ordered by their letters, so that the same texts in another
        # order give the same numbers.
        ranked = sorted(
            ((word, count) for word, count in counts.items() if count >= min_count),
            key=lambda item: (-item[1], item[0]),
        )
        if not ranked:
            raise InputError(f"no word occurs {min_count} times or more in the training texts")
        return cls([word.decode("utf-8", errors="replace") for word, _ in ranked[:max_words]])

    def __len__(self) -> int:
        """The size of the embedding: padding and the unknown word included."""
        return len(self.vocabulary) + _FIRST_WORD

    def encode(
        self, texts: Iterable[str], *, max_tokens: int | None = None, keep: Keep = "head"
    ) -> list[np.ndarray]:
        """Returns the word numbers of each text, int32[tokens], unpadded.

        A text without any token becomes the unknown word alone: a sequence is never empty.

        Args:
            texts: texts to encode.
            max_tokens: max tokens of a text; longer texts are cut.
            keep: which end of a text that is too long stays; "both" keeps a quarter of `max_tokens`
                from the beginning and the rest from the end (Sun et al. 2019, arXiv 1905.05583,
                find head and tail together best).
        """
        sequences: list[np.ndarray] = []
        for chunk in _chunks(texts):
            ragged = self.layer(_tensor(chunk))
            values = ragged.flat_values.numpy().astype(np.int32)
            ends = ragged.row_splits.numpy()
            sequences += [cut(values[start:end], max_tokens, keep) for start, end in pairwise(ends)]
        return [
            sequence if len(sequence) else np.array([UNKNOWN], np.int32) for sequence in sequences
        ]

    def reader(self, *, max_tokens: int | None = None, keep: Keep = "head") -> TextReader:
        """Returns a layer that encodes by TensorFlow alone, for a SavedModel; arguments as
        `encode`."""
        return TextReader(self, max_tokens=max_tokens, keep=keep)

    def save(self, folder: Path) -> None:
        """Writes the vocabulary to a file of the folder, a word per line: no token holds white
        space."""
        (folder / _FILE).write_text("\n".join(self.vocabulary) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> TextEncoder:
        """Reads the vocabulary that `save` wrote."""
        return cls((folder / _FILE).read_text(encoding="utf-8").split("\n")[:-1])


class TextReader(keras.layers.Layer):
    """A layer that encodes texts as `TextEncoder.encode` does: string[texts] -> int32[texts, time],
    padded with 0 on the right.

    Args:
        encoder: encoder whose numbers are given.
        max_tokens: max tokens of a text; longer texts are cut.
        keep: which end of a text that is too long stays, see `TextEncoder.encode`.
    """

    def __init__(self, encoder: TextEncoder, *, max_tokens: int | None, keep: Keep):
        super().__init__(name="reader")
        self.encoder = encoder
        self.max_tokens = max_tokens
        self.keep: Keep = keep
        self.numbers = encoder.layer

    def call(self, text: tf.Tensor) -> tf.Tensor:
        rows = tf.cast(self.numbers(text), tf.int32)
        empty = tf.equal(rows.row_lengths(), 0)
        unknown = tf.fill([tf.math.count_nonzero(empty)], UNKNOWN)
        # TensorFlow's stubs lack the method.
        filling = tf.RaggedTensor.from_row_lengths(  # pyright: ignore[reportAttributeAccessIssue]
            unknown, tf.cast(empty, tf.int64)
        )
        rows = tf.concat([rows, filling], 1)
        if self.max_tokens:
            head = _head(self.max_tokens, self.keep)
            left_out = tf.maximum(rows.row_lengths() - self.max_tokens, 0)
            place = tf.ragged.range(rows.row_lengths())
            rows = tf.ragged.boolean_mask(
                rows, (place < head) | (place >= head + left_out[:, None])
            )
        return rows.to_tensor(PADDING)


def _head(max_tokens: int, keep: Keep) -> int:
    """How many tokens of the beginning stay of a text that is too long."""
    return {"head": max_tokens, "tail": 0, "both": max_tokens // 4}[keep]


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(texts)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _tensor(texts: list[str]) -> tf.Tensor:
    # A lone surrogate (from broken JSON escapes) has no UTF-8 form.
    return tf.constant([text.encode("utf-8", errors="replace") for text in texts])


def _tokens(texts: list[str]) -> tf.RaggedTensor:
    return tf.strings.split(standardize(_tensor(texts)))
