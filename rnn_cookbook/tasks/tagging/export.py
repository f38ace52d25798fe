"""Words of sentences to their tags."""

import unicodedata
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rnn_cookbook.encode.text import UNKNOWN, lower
from rnn_cookbook.export.served import Facts, Served, call_by_name
from rnn_cookbook.nn.characters import LETTERS
from rnn_cookbook.nn.crf import CRF
from rnn_cookbook.tasks.tagging.encode import AFFIXES, TagEncoder, WordEncoder
from rnn_cookbook.tasks.tagging.predict import Tagger

_LONGEST = 30  # words of an example, so that the library reads none in parts
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
    transitions = keras.ops.convert_to_numpy(crf.transitions).astype(float).tolist()
    return Facts(
        entries={"crf": {"tags": tags, "transitions": transitions}},
        paragraph="The tags of a sentence are the path with the largest sum of outputs and "
        "transitions (Viterbi): `crf` in `export.json` holds the\ntags in the order of the outputs, "
        "and the transitions from the tag of the row to the tag of the column.",
    )


class ServedTagger(Served):
    """Words of sentences to tags: string[batch, time] words, "" pads on the right -> "tags"
    string[batch, time], "" at padding.

    With a CRF the tags are those of the best path. Sentences of any length are read whole. Words
    are those of composed characters (NFC): TensorFlow cannot compose them, nor the few dozen
    capitals, most of them Greek, that fall apart in lower case.

    Args:
        model: a `models.sequence_tagger`.
        words, tags: the encoders that it was trained with.
    """

    signature = (tf.TensorSpec([None, None], tf.string, name="words"),)
    outputs = ("tags",)

    def __init__(self, model: keras.Model, words: WordEncoder, tags: TagEncoder):
        super().__init__()
        self.network, self.words, self.tagger = (
            model,
            words,
            Tagger(model, words, tags, longest=_LONGEST),
        )
        self.tags = tags.tags
        self.numbers = _table(words.vocabulary, first=2, other=UNKNOWN)
        self.letters = _table(list(words.letters), first=2, other=UNKNOWN)
        self.affixes = [_table(words.affixes[kind], first=1, other=0) for kind in AFFIXES]
        self.about = (
            "Words go in: `words`, strings, the tokens of one sentence a row, the empty string after its end (their accents put together "
            f"with the letters, NFC). Out come their `tags`: {', '.join(self.tags)}. B begins an entity, I is inside, E ends it, S is one "
            "alone, O is in none. A long sentence is read whole, where `rnn-cookbook predict` reads it in parts."
        )

    def __call__(self, words):
        inside = words != ""
        known = self._read(tf.reshape(words, [-1]))
        shape, pads = tf.shape(words), tf.reshape(~inside, [-1, 1])
        inputs = {}
        for part in self.network.inputs:
            numbers = tf.where(pads, 0, known[part.name])
            inputs[part.name] = tf.reshape(
                numbers,
                shape if part.name == "tokens" else [shape[0], shape[1], known[part.name].shape[1]],
            )
        scores = call_by_name(self.network, inputs)
        crf = self.tagger.crf
        path = (
            crf.viterbi(scores, inside)[0]
            if crf
            else tf.argmax(scores, axis=-1, output_type=tf.int32)
        )
        return {"tags": tf.where(inside, tf.gather(tf.constant(self.tags), path), "")}

    def facts(self):
        return network_facts(self.network, {"types": self.tagger.tags.types})

    def _read(self, words: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `WordEncoder.encode`: string[words] -> int32[words, ...] of each input."""
        normal = tf.strings.regex_replace(lower(words), r"\p{Nd}", "0")
        letters = tf.strings.unicode_split(words, "UTF-8")
        place, left = tf.ragged.range(letters.row_lengths()), letters.row_lengths() - LETTERS // 2
        read = tf.ragged.boolean_mask(
            letters,
            (place < LETTERS // 2) | (place >= left[:, None]) | (left <= LETTERS // 2)[:, None],
        )
        numbers = tf.ragged.map_flat_values(self.letters.lookup, read)
        of = tf.strings.unicode_split(normal, "UTF-8")
        parts = [tf.strings.reduce_join(of[:, part], axis=-1) for part in AFFIXES.values()]
        features = [
            _shape(words),
            *(table.lookup(part) for table, part in zip(self.affixes, parts, strict=True)),
        ]
        return {
            "tokens": self.numbers.lookup(normal)[:, None],
            "characters": numbers.to_tensor(0, shape=[None, LETTERS]),
            "features": tf.stack(features, axis=-1),
        }

    def examples(self, size, rng):
        """Sentences of words that it knows, in any case, and of others."""
        words = [*self.words.vocabulary[:5000], *_STRANGE]
        rows = [
            [_cased(str(word), rng) for word in rng.choice(words, rng.integers(1, _LONGEST))]
            for _ in range(size)
        ]
        longest = max(map(len, rows))
        return {
            "words": np.array([row + [""] * (longest - len(row)) for row in rows], dtype=object)
        }

    def expected(self, inputs):
        sentences = [[word for word in row if word] for row in inputs["words"]]
        longest = inputs["words"].shape[1]
        rows = [
            [self.tagger.tags.tags[number].encode() for number in numbers]
            for numbers in self.tagger.numbers(sentences)
        ]
        return {
            "tags": np.array([row + [b""] * (longest - len(row)) for row in rows], dtype=object)
        }


def _table(keys: list[str], *, first: int, other: int) -> tf.lookup.StaticHashTable:
    """The number of each key, and of any other string."""
    values = tf.range(first, first + len(keys)) if keys else tf.constant([other])
    keys = keys or [" "]  # a table cannot be empty
    return tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.constant(keys, tf.string), values),
        default_value=other,
    )


def _shape(words: tf.Tensor) -> tf.Tensor:
    """As `encode.words.shape`, of each word: int32[words]."""
    forms = [  # the first that fits
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
    ]
    found = tf.fill(tf.shape(words), 9)
    for pattern, number in reversed(forms):
        found = tf.where(tf.strings.regex_full_match(words, pattern), number, found)
    return found


def _cased(word: str, rng: np.random.Generator) -> str:
    return unicodedata.normalize(
        "NFC", [word, word.upper(), word.capitalize()][rng.choice(3, p=[0.6, 0.1, 0.3])]
    )
