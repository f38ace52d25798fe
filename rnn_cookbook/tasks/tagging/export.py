"""A trained tagger from words to tags, in TensorFlow alone."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.encode.text import PADDING, UNKNOWN, lower
from rnn_cookbook.export.served import Facts, Served, call_by_name
from rnn_cookbook.nn.characters import LETTERS
from rnn_cookbook.nn.crf import CRF
from rnn_cookbook.tasks.tagging.encode import AFFIXES, TagEncoder, WordEncoder
from rnn_cookbook.tasks.tagging.predict import Tagger

__all__ = ["ServedTagger", "network_facts"]

_LONGEST = 30  # words of a trial sentence, so that the library reads none in parts
_KNOWN = 5000  # words of the vocabulary that trial sentences are made of
_STRANGE = [
    "Qxzv",
    "U.S.",
    "1996-08-22",
    "$",
    "iPod",
    "McDonald",
    "+3.5",
    "B2B",
    "ÉCOLE",
    "日本",
    "don't",
    "...",
    "Über-" + "lang" * 6,
]
_CASES = (0.6, 0.1, 0.3)  # probabilities of a trial word as it is, in capitals, capitalised

# The shapes of `encode.shape` as patterns of TensorFlow; the first that fits counts.
_OTHER_SHAPE = 9
_SHAPES = (
    (r"\p{Nd}+", 1),
    (r"[+-]?\p{Nd}[\p{Nd}.,:/-]*", 2),
    (r"(?s).*\p{Nd}.*", 3),
    (r"\PL*", 0),
    (r"\P{Lu}*", 10),
    (r"\p{Lu}", 4),
    (r"([\p{Lu}\p{Nl}\p{No}]\.)+[\p{Lu}\p{Nl}\p{No}]?", 5),
    (r"(\PL|\p{Lu})*", 6),
    (r"(?s)\PL*\p{Lu}.*\p{Lu}.*", 8),
    (r"(?s)\PL*\p{Lu}.*", 7),
)


def network_facts(model: keras.Model, learnt: Mapping[str, Any]) -> Facts:
    """Returns what decodes the scores of a tagger with a CRF; nothing without a CRF.

    Args:
        model: a `sequence_tagger`.
        learnt: facts of the bundle, of which "types" are the types of the entities.
    """
    crf = next((layer for layer in model.layers if isinstance(layer, CRF)), None)
    if crf is None:
        return Facts(entries={}, paragraph="")
    tags = TagEncoder(learnt["types"]).tags if "types" in learnt else None
    transitions = np.asarray(keras.ops.convert_to_numpy(crf.transitions), float).tolist()
    return Facts(
        entries={"crf": {"tags": tags, "transitions": transitions}},
        paragraph="The tags of a sentence are the path with the largest sum of outputs and "
        "transitions (Viterbi): `crf` in `export.json` holds the\n"
        "tags in the order of the outputs, and the transitions from the tag of the row to the tag "
        "of the column.",
    )


def _table(keys: Sequence[str], *, first: int, other: int) -> tf.lookup.StaticHashTable:
    """The number of each key, from `first` on, and of any other string."""
    values = tf.range(first, first + len(keys)) if keys else tf.constant([other])
    filled = list(keys) or [" "]  # a table cannot be empty
    return tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.constant(filled, tf.string), values),
        default_value=other,
    )


def _shape(words: tf.Tensor) -> tf.Tensor:
    """As `encode.shape`, of each word: int32[words]."""
    numbers = tf.fill(tf.shape(words), _OTHER_SHAPE)
    for pattern, number in reversed(_SHAPES):
        numbers = tf.where(tf.strings.regex_full_match(words, pattern), number, numbers)
    return numbers


def _cased(word: str, rng: np.random.Generator) -> str:
    forms = [word, word.upper(), word.capitalize()]
    return unicodedata.normalize("NFC", forms[rng.choice(3, p=_CASES)])


class ServedTagger(Served):
    """A tagger that reads words.

    string[batch, time] words, "" pads on the right -> "tags" string[batch, time], "" at padding

    With a CRF the tags are those of the best path. Sentences of any length are read whole. Words
    must be of composed characters (NFC): TensorFlow cannot compose them, nor the few dozen
    capitals, most of them Greek, that fall apart in lower case.

    Args:
        model: a `models.sequence_tagger`.
        words: encoder of words that the model was trained with.
        tags: encoder of tags that the model was trained with.
    """

    signature = (tf.TensorSpec([None, None], tf.string, name="words"),)
    outputs = ("tags",)

    def __init__(self, model: keras.Model, words: WordEncoder, tags: TagEncoder) -> None:
        super().__init__()
        self.network = model
        self.words = words
        self.tagger = Tagger(model, words, tags, longest=_LONGEST)
        self.tags = tags.tags
        self.numbers = _table(words.vocabulary, first=2, other=UNKNOWN)
        self.letters = _table(list(words.letters), first=2, other=UNKNOWN)
        self.affixes = [_table(words.affixes[kind], first=1, other=0) for kind in AFFIXES]
        self.about = (
            "Words go in: `words`, strings, the tokens of one sentence per row, the empty string "
            "after its end (their accents put together with the letters, NFC). Out come their "
            f"`tags`: {', '.join(self.tags)}. B begins an entity, I is inside, E ends it, S is a "
            "single word, O is in none. A long sentence is read whole, where `rnn-cookbook "
            "predict` reads it in parts."
        )

    def __call__(self, words: tf.Tensor) -> dict[str, tf.Tensor]:
        inside = words != ""
        pads = tf.reshape(tf.logical_not(inside), [-1, 1])
        known = self.read(tf.reshape(words, [-1]))
        batch, time = tf.unstack(tf.shape(words))
        inputs = {}
        for part in self.network.inputs:
            numbers = tf.where(pads, PADDING, known[part.name])
            width = [] if part.name == "tokens" else [known[part.name].shape[1]]
            inputs[part.name] = tf.reshape(numbers, [batch, time, *width])
        scores = call_by_name(self.network, inputs)
        crf = self.tagger.crf
        if crf:
            path, _ = crf.viterbi(scores, inside)
        else:
            path = tf.argmax(scores, axis=-1, output_type=tf.int32)
        return {"tags": tf.where(inside, tf.gather(tf.constant(self.tags), path), "")}

    def facts(self) -> Facts:
        """Returns what decodes the scores, see `network_facts`."""
        return network_facts(self.network, {"types": self.tagger.tags.types})

    def read(self, words: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns what `WordEncoder.encode` does, in TensorFlow: int32[words, ...] of each input.

        Args:
            words: words, string[words].
        """
        normal = tf.strings.regex_replace(lower(words), r"\p{Nd}", "0")
        letters = tf.strings.unicode_split(words, "UTF-8")
        half = LETTERS // 2
        place = tf.ragged.range(letters.row_lengths())
        second_half = letters.row_lengths() - half
        short = second_half <= half
        read = tf.ragged.boolean_mask(
            letters, (place < half) | (place >= second_half[:, None]) | short[:, None]
        )
        numbers = tf.ragged.map_flat_values(self.letters.lookup, read)
        normal_letters = tf.strings.unicode_split(normal, "UTF-8")
        features = [_shape(words)]
        for table, part in zip(self.affixes, AFFIXES.values(), strict=True):
            affix = tf.strings.reduce_join(normal_letters[:, part], axis=-1)
            features.append(table.lookup(affix))
        return {
            "tokens": self.numbers.lookup(normal)[:, None],
            "characters": numbers.to_tensor(PADDING, shape=[None, LETTERS]),
            "features": tf.stack(features, axis=-1),
        }

    def examples(self, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draws sentences of known words, in any case, and of others."""
        words = [*self.words.vocabulary[:_KNOWN], *_STRANGE]
        rows = [
            [_cased(str(word), rng) for word in rng.choice(words, rng.integers(1, _LONGEST))]
            for _ in range(size)
        ]
        longest = max(map(len, rows))
        padded = [row + [""] * (longest - len(row)) for row in rows]
        return {"words": np.array(padded, dtype=object)}

    def expected(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns what the library answers, by the way that predictions take."""
        sentences = [[word for word in row if word] for row in inputs["words"]]
        longest = inputs["words"].shape[1]
        rows = []
        for numbers in self.tagger.numbers(sentences):
            tags = [self.tagger.tags.tags[number].encode() for number in numbers]
            rows.append(tags + [b""] * (longest - len(tags)))
        return {"tags": np.array(rows, dtype=object)}
