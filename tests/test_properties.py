"""Properties that hold for every input, tried on inputs that Hypothesis makes up: encoders,
batches, splits, layers over time."""

import string
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from keras import ops

from rnn_cookbook.data.splits import stratified_split
from rnn_cookbook.encode.batches import Batches
from rnn_cookbook.encode.text import UNKNOWN, TextEncoder, has_token
from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.pooling import POOLINGS, MaskedPooling
from rnn_cookbook.nn.segments import JoinSegments, SplitSegments

# Its caches would lie in the checkout.
set_hypothesis_home_dir(Path(gettempdir()) / "rnn_cookbook_hypothesis")


def tries(count: int):
    """The same made-up inputs in every run."""
    return settings(max_examples=count, derandomize=True, deadline=None)


# Combining marks alone and doubled, joined and flagged emoji, both directions of writing and the
# marks that switch them, characters that control, that are spaces, or that are not there; letters
# that change their number or their form when lower-cased; markup. fmt: off
PIECES = [
    "a",
    "B",
    "don't",
    "ΟΔΟΣ",
    "Σ",
    "İ",
    "ẞ",
    "ﬁ",
    "ǅ",
    "e\u0301",
    "\u0301",
    "\u0301\u0323",
    "क्षि",
    "می\u200cخواهم",
    "שלום",
    "مرحبا",
    "👩\u200d👧",
    "🇩🇪",
    "👍🏽",
    "❤\ufe0f",
    "\U0010ffff",
    "\ufffe",
    "\ufffd",
    "\u202e",
    "\u200e",
    "\u061c",
    "\u2066",
    "\u2069",
    "\0",
    "\x07",
    "\x1c",
    "\x7f",
    "\x85",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\u00a0",
    "\u2028",
    "\u3000",
    "\u200b",
    "\u2060",
    "\ufeff",
    "\u00ad",
    "<br />",
    "<br>",
    "<br",
    "/>",
    "<BR/>",
    "&amp;",
    "!",
    "…",
    "’",
    "'",
    "_",
    "好电影",
    "ひら",
    "カタ",
    "한글",
    "ไทย",
    "½",
    "٣",
    "𝟘",
]
# fmt: on
WEIRD = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=12).map("".join)
WORDS = st.text(
    string.ascii_lowercase + string.digits + "'äßéñøдюλש\u0301\u093f\u0651\u200d",
    min_size=1,
    max_size=6,
)
SPACES = st.text(" \t\n\r\u00a0\u2003\u3000\u200b", min_size=1, max_size=3)


def fit(texts, **options) -> TextEncoder:
    assume(has_token(texts).any())
    return TextEncoder.fit(texts, **{"max_words": 10_000, **options})


def words(encoder: TextEncoder, numbers) -> list[str]:
    return [encoder.vocabulary[number - 2] for number in numbers]


class TestTextEncoder:
    @tries(25)
    @given(st.lists(WORDS, min_size=1, max_size=30), st.data())
    def test_known_words_come_back_in_order(self, sentence, data):
        text = "".join(data.draw(SPACES) + word for word in sentence)
        encoder = TextEncoder(sorted(set(sentence)))
        (numbers,) = encoder.encode([text])
        assert words(encoder, numbers) == sentence

    @tries(40)
    @given(st.lists(WEIRD, min_size=1, max_size=4), WEIRD)
    @example(texts=["\u0301", "", "ΟΔΟΣ. Σ"], other="\0")
    def test_numbers_of_any_text(self, texts, other):
        encoder = fit(texts)
        numbers = encoder.encode([*texts, other])
        full = [row for row, full in zip(numbers, has_token(texts), strict=False) if full]
        for row in numbers:
            assert (row.dtype, row.ndim) == (np.int32, 1)
            assert len(row) > 0
            assert UNKNOWN <= row.min() <= row.max() < len(encoder)
        for row, alone in zip(numbers[::-1], encoder.encode([other, *texts[::-1]]), strict=True):
            np.testing.assert_array_equal(
                row, alone, "a text's numbers do not depend on the texts before it"
            )
        assert all(UNKNOWN not in row for row in full), (
            "every word that the encoder was fitted on is known"
        )
        # Words do not fall apart, or into others, when they are read again.
        for row, again in zip(
            full, encoder.encode(" ".join(words(encoder, row)) for row in full), strict=True
        ):
            np.testing.assert_array_equal(row, again)

    @tries(25)
    @given(
        st.lists(WEIRD, min_size=1, max_size=6),
        st.integers(1, 8),
        st.integers(1, 3),
        st.randoms(use_true_random=False),
    )
    def test_vocabulary_is_the_most_frequent_words_whatever_the_order_of_the_texts(
        self, texts, max_words, min_count, random
    ):
        everything = fit(texts)
        counts = Counter(
            word
            for row in everything.encode(texts)
            if UNKNOWN not in row
            for word in words(everything, row)
        )
        expected = sorted(
            (word for word in counts if counts[word] >= min_count),
            key=lambda word: (-counts[word], word.encode()),
        )
        shuffled = random.sample(texts, len(texts))
        assert len(set(everything.vocabulary)) == len(everything.vocabulary)
        assert all(word and word.split() == [word] for word in everything.vocabulary), (
            "a line of a file holds a word"
        )
        if expected:
            assert (
                fit(shuffled, max_words=max_words, min_count=min_count).vocabulary
                == expected[:max_words]
            )
        else:
            with pytest.raises(InputError, match="no word occurs"):
                fit(shuffled, max_words=max_words, min_count=min_count)

    @tries(25)
    @given(WEIRD, st.integers(1, 12), st.sampled_from(["head", "tail", "both"]))
    def test_what_is_cut_is_the_other_end(self, text, max_tokens, keep):
        encoder = fit([text])
        (whole,), (kept,) = (
            encoder.encode([text]),
            encoder.encode([text], max_tokens=max_tokens, keep=keep),
        )
        assert len(kept) == min(len(whole), max_tokens)
        if len(whole) > max_tokens:
            head = {"head": max_tokens, "tail": 0, "both": max_tokens // 4}[keep]
            assert kept[:head].tolist() == whole[:head].tolist()
            assert kept[head:].tolist() == whole[len(whole) - max_tokens + head :].tolist()

    @tries(10)
    @given(WEIRD, st.integers(1, 20_000))
    @example(text="", times=20_000)
    def test_giant_texts_are_their_parts(self, text, times):
        encoder = fit(["word", text])
        (once,), (often,) = encoder.encode([text]), encoder.encode(["\n".join([text] * times)])
        np.testing.assert_array_equal(
            often, np.tile(once, times) if has_token([text])[0] else [UNKNOWN]
        )

    @tries(15)
    @given(st.lists(WEIRD, min_size=1, max_size=4))
    def test_saved_and_loaded_it_encodes_the_same(self, texts):
        encoder = fit(texts)
        with TemporaryDirectory() as folder:
            encoder.save(Path(folder))
            loaded = TextEncoder.load(Path(folder))
        assert loaded.vocabulary == encoder.vocabulary
        for one, two in zip(
            encoder.encode([*texts, "unseen"]), loaded.encode([*texts, "unseen"]), strict=True
        ):
            np.testing.assert_array_equal(one, two)


LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=120)
SEEDS = st.integers(0, 2**32)


def sequences(lengths) -> list[np.ndarray]:
    """No two tokens of all the sequences are the same."""
    return [
        np.arange(start + 1, start + 1 + length)
        for start, length in zip(np.cumsum([0, *lengths[:-1]]), lengths, strict=True)
    ]


class TestBatches:
    @tries(20)
    @given(
        LENGTHS,
        st.integers(1, 20),
        st.booleans(),
        SEEDS,
        st.integers(1, 9),
        st.none() | st.integers(30, 40),
    )
    def test_every_example_once_padded_on_the_right(
        self, lengths, batch_size, shuffle, seed, multiple_of, pad_to
    ):
        rows, options = (
            sequences(lengths),
            {"shuffle": shuffle, "seed": seed, "multiple_of": multiple_of, "pad_to": pad_to},
        )
        batches = Batches(rows, np.arange(len(rows)), batch_size=batch_size, **options)
        seen, sizes = [], []
        for tokens, targets in batches.dataset().as_numpy_iterator():
            longest = max(lengths[i] for i in targets)
            assert tokens.dtype == np.int32
            assert tokens.shape == (
                len(targets),
                pad_to or -(-longest // multiple_of) * multiple_of,
            )
            for row, i in zip(tokens, targets, strict=True):
                assert row.tolist() == [*rows[i], *[0] * (len(row) - len(rows[i]))]
            seen += targets.tolist()
            sizes.append(len(targets))
        assert sorted(seen) == list(range(len(rows)))
        assert len(sizes) == len(batches)
        assert sorted(sizes)[1:] == [batch_size] * (len(sizes) - 1), "one batch may be smaller"

    @tries(40)
    @given(LENGTHS, st.integers(1, 20), SEEDS, st.integers(0, 1000))
    def test_plan_depends_on_seed_and_epoch_alone(self, lengths, batch_size, seed, epoch):
        def plan(*epochs, seed=seed):
            batches = Batches(sequences(lengths), batch_size=batch_size, shuffle=True, seed=seed)
            for batches.epoch in epochs:
                order = batches.plan()
            return [batch.tolist() for batch in order]

        assert plan(epoch) == plan(0, epoch + 3, epoch)
        if (
            len(lengths) >= 10 * batch_size
        ):  # of fewer batches there are few orders: two may be the same by chance
            assert plan(epoch) != plan(epoch + 1)
            assert plan(epoch) != plan(epoch, seed=seed + 1)

    @tries(40)
    @given(LENGTHS, st.integers(1, 20))
    def test_outputs_go_back_into_order(self, lengths, batch_size):
        batches = Batches(sequences(lengths), batch_size=batch_size)
        outputs = np.concatenate([np.stack([batch, -batch], axis=1) for batch in batches.plan()])
        np.testing.assert_array_equal(
            batches.in_order(outputs),
            np.stack([np.arange(len(lengths)), -np.arange(len(lengths))], axis=1),
        )
        assert [lengths[i] for batch in batches.plan() for i in batch] == sorted(lengths)

    @tries(40)
    @given(LENGTHS, st.integers(1, 20), SEEDS, st.data())
    def test_extras_take_turns(self, lengths, batch_size, seed, data):
        extras, rounds = data.draw(st.integers(0, len(lengths) - 1)), data.draw(st.integers(1, 5))
        turn, always = data.draw(st.integers(0, 20)) * rounds, len(lengths) - extras
        batches = Batches(
            sequences(lengths),
            batch_size=batch_size,
            shuffle=True,
            seed=seed,
            extras=extras,
            rounds=rounds,
        )
        shown = []
        for batches.epoch in range(turn, turn + rounds):
            epoch = np.concatenate(batches.plan())
            assert sorted(epoch[epoch < always]) == list(range(always))
            assert len(epoch) == batches.examples == always + extras // rounds
            assert len(batches.plan()) == len(batches)
            shown += epoch[epoch >= always].tolist()
        assert len(shown) == len(set(shown)) == extras // rounds * rounds


class TestStratifiedSplit:
    COUNTS = st.lists(st.integers(2, 60), min_size=2, max_size=6)

    def split(self, counts, fraction, seed):
        labels = (
            np.random.default_rng(seed)
            .permutation(np.repeat(np.arange(len(counts)), counts))
            .tolist()
        )
        try:
            return labels, *stratified_split(labels, fraction=fraction, seed=seed)
        except InputError:
            assume(False)

    @tries(60)
    @given(COUNTS, st.floats(0.02, 0.98), st.integers(0, 2**32 - 1))
    def test_parts_are_a_partition_and_every_class_keeps_its_share(self, counts, fraction, seed):
        labels, large, small = self.split(counts, fraction, seed)
        assert sorted([*large, *small]) == list(range(len(labels)))
        assert large.tolist() == sorted(large)
        assert small.tolist() == sorted(small)
        assert len(small) == max(round(fraction * len(labels)), len(counts))
        found = Counter(labels[i] for i in small)
        # A class whose share rounds to nothing gets an example of the largest one all the same.
        rare = sum(
            min(count * len(part) for part in (small, large)) < len(labels) for count in counts
        )
        for label, count in enumerate(counts):
            assert abs(found[label] - count * len(small) / len(labels)) <= 1 + rare, (
                "no class is off by more than the rounding of its share"
            )

    @tries(60)
    @given(COUNTS, st.floats(0.02, 0.98), st.integers(0, 2**32 - 1))
    def test_every_class_is_in_both_parts(self, counts, fraction, seed):
        labels, large, small = self.split(counts, fraction, seed)
        assert {labels[i] for i in small} == {labels[i] for i in large} == set(labels)


FEATURES = 3


@st.composite
def padded(draw):
    """(float32[batch, time, features], lengths, more): finite numbers in the padding, too, and how
    many more steps of it to add."""
    lengths = draw(st.lists(st.integers(1, 12), min_size=1, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    time = max(lengths) + draw(st.integers(0, 6))
    scale = draw(st.sampled_from([0.0, 1.0, 10.0]))
    return (
        rng.normal(scale=scale, size=(len(lengths), time, FEATURES)).astype(np.float32),
        lengths,
        draw(st.integers(0, 9)),
    )


def mask(lengths, time):
    return np.arange(time) < np.array(lengths)[:, None]


def lengthen(sequence, more):
    """Other numbers in the padding, and more of it."""
    return np.concatenate(
        [sequence, np.full((len(sequence), more, FEATURES), 7.7, np.float32)], axis=1
    )


class TestLayers:
    @tries(40)
    @given(padded(), st.integers(1, 15))
    def test_segments_are_read_apart_and_joined_whatever_the_padding(self, case, length):
        """The running sum stands for the recurrent layer: it starts anew in every segment and sees
        no step before its own."""
        sequence, lengths, more = case
        for x in (sequence, lengthen(sequence, more)):
            steps = mask(lengths, x.shape[1])
            segments, segment_mask = SplitSegments(length)((x, steps))
            assert np.array(segment_mask)[:, 0].all()
            assert (
                np.array(segment_mask).sum() == steps.sum() + (~np.array(steps)[:, ::length]).sum()
            )
            joined = np.array(JoinSegments()((ops.cumsum(segments, axis=1), steps)))
            assert joined.shape == x.shape
            for row, count, states in zip(
                sequence.astype(np.float64), lengths, joined, strict=True
            ):
                expected = np.concatenate(
                    [
                        row[start : start + length].cumsum(axis=0)
                        for start in range(0, count, length)
                    ]
                )
                np.testing.assert_allclose(states[:count], expected[:count], rtol=1e-4, atol=1e-4)

    POOLING = MaskedPooling(POOLINGS)

    @tries(40)
    @given(padded())
    def test_pooling_is_that_of_the_unpadded_sequence(self, case):
        sequence, lengths, more = case
        pooled, longer = (
            np.array(self.POOLING((x, mask(lengths, x.shape[1]))))
            for x in (sequence, lengthen(sequence, more))
        )
        np.testing.assert_allclose(pooled, longer, rtol=1e-4, atol=1e-4)
        kernel = np.array(self.POOLING.score.kernel, np.float64)
        for row, count, found in zip(sequence.astype(np.float64), lengths, pooled, strict=True):
            states = row[:count]
            scores = states @ kernel
            weights = np.exp(scores - scores.max())
            expected = [
                states[-1],
                states.mean(axis=0),
                states.max(axis=0),
                (weights * states).sum(axis=0) / weights.sum(),
            ]
            np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-4, atol=1e-4)
