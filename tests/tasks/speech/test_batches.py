"""Transcripts to numbers and back; batches of sounds in an order that only seed and epoch decide."""

import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.speech.alphabet import Alphabet, as_spoken, spoken
from rnn_cookbook.tasks.speech.batches import Drawn, SoundBatches, perturbed
from rnn_cookbook.tasks.speech.data import Utterances


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Hello, World!", "hello world"),
        ("It’s  'fine' — isn't it?", "it's fine isn't it"),
        ("Cafe\u0301 cre\u0300me…", "café crème"),
        ("a\u00a0b\tc\n", "a b c"),
        ("rock-n-roll 3% & more", "rock n roll 3% & more"),
        ("Straße ÄÖÜ", "straße äöü"),
        ("你好。", "你好"),
        ("…!?", ""),
    ],
)
def test_texts_as_they_are_said(text, said):
    assert spoken(text) == said
    assert spoken(said) == said


def test_characters_to_numbers_and_back(tmp_path):
    alphabet = Alphabet.fit(["one two", "it's"])
    assert alphabet.characters == sorted(set("one two it's"))
    assert len(alphabet) == len(alphabet.characters) + 1
    numbers = alphabet.encode("two sons")
    assert numbers.dtype == np.int32
    assert numbers.min() >= 1
    assert alphabet.decode([*numbers, 0, 0]) == "two sons"
    assert alphabet.decode(alphabet.encode("zwei töne")) == "wei tne"
    assert alphabet.unknown("zwei töne zz") == ["z", "ö"]
    alphabet.save(tmp_path)
    assert Alphabet.load(tmp_path).characters == alphabet.characters
    with pytest.raises(InputError, match="different characters"):
        Alphabet.fit(["", ""])
    with pytest.raises(InputError, match="different characters"):
        Alphabet(["a", "a"])


class TestSoundBatches:
    loaded: list[int]

    def draw(self, epoch):
        rng = np.random.default_rng(3)
        sounds = [np.full(rng.integers(50, 900), i + 1000 * epoch, np.float32) for i in range(203)]
        self.loaded = []

        def load(i):
            self.loaded.append(i)
            return sounds[i]

        return Drawn(
            [len(sound) for sound in sounds],
            load,
            [np.array([i + 1, epoch + 1], np.int32) for i in range(203)],
        )

    def test_every_sound_once_an_epoch_with_its_transcript_and_length(self):
        batches = SoundBatches(self.draw, batch_size=8, shuffle=True)
        assert not self.loaded, "sounds are read when their turn comes"
        seen, cells, samples = [], 0, 0
        for (sounds, lengths), labels in batches.dataset().as_numpy_iterator():
            assert sounds.shape[1] == lengths.max()
            for sound, length, label in zip(sounds, lengths, labels, strict=True):
                assert (sound[:length] == label[0] - 1).all()
                assert not sound[length:].any()
                seen.append(int(label[0]))
            cells, samples = cells + sounds.size, samples + lengths.sum()
        assert sorted(seen) == list(range(1, 204))
        assert samples / cells > 0.85
        assert len(batches) == 26

    def test_order_and_sounds_depend_on_seed_and_epoch_only(self):
        def flat(seed, epoch, **options):
            batches = SoundBatches(self.draw, batch_size=8, shuffle=True, seed=seed, **options)
            batches.epoch = epoch
            return [labels.tolist() for _, labels in batches.dataset().as_numpy_iterator()]

        assert flat(0, 1) == flat(0, 1)
        assert flat(0, 1) != flat(1, 1)
        assert flat(0, 1) != flat(0, 0)
        assert {row[1] for rows in flat(0, 1) for row in rows} == {2}
        assert flat(0, 1, shortest_first=True) == flat(0, 1)

    def test_the_shortest_first(self):
        batches = SoundBatches(self.draw, batch_size=8, shuffle=True, shortest_first=True)
        lengths = np.concatenate(
            [lengths for (_, lengths), _ in batches.dataset().as_numpy_iterator()]
        )
        assert (np.diff(lengths) >= 0).all()

    @pytest.mark.parametrize(
        ("drawn", "message"),
        [
            (Drawn([], None, []), "0 sounds and 0 transcripts"),
            (Drawn([1], None, []), "1 sounds and 0 transcripts"),
            (Drawn([1], None, [np.zeros(0)]), "a transcript has no symbol"),
        ],
    )
    def test_bad_input(self, drawn, message):
        with pytest.raises(InputError, match=message):
            SoundBatches(lambda epoch: drawn, batch_size=2)
        with pytest.raises(InputError, match="got 0"):
            SoundBatches(lambda epoch: drawn, batch_size=0)


def test_texts_without_a_word_are_left_out_by_name(messages):
    part = Utterances([np.ones(3)] * 3, ["One, two!", "…", "Three"], ["a", "b", "c"])
    found = as_spoken(part, name="train")
    assert (found.texts, found.speakers) == (["one two", "three"], ["a", "c"])
    assert "train: 1 of 3 texts have no word, and are left out: 1" in messages.text
    assert part.texts[0] == "One, two!"
    with pytest.raises(InputError, match="none of 1 texts of the test split has a word"):
        as_spoken(part.take([1]), name="test")


def test_characters_that_training_lacks_are_told(messages):
    alphabet = Alphabet("ab ")
    alphabet.check(["a b", "bäß", "caä"], name="test")
    assert "test: 2 of 3 texts have characters that no training text has: c, ß, ä" in messages.text
    messages.clear()
    alphabet.check(["a b"], name="test")
    assert messages.text == ""


def test_sounds_are_heard_faster_and_slower_and_in_noise():
    tone = np.sin(2 * np.pi * 440 * np.arange(8000) / 8000).astype(np.float32)
    lengths, pitches, quiet = [], [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        other = perturbed(tone, rng, speed=0.2)
        assert other.dtype == np.float32
        lengths.append(len(other))
        pitches.append(np.abs(np.fft.rfft(other, 80_000)).argmax() / 10)
        noisy = perturbed(tone, rng, noise=10.0)
        quiet.append(10 * np.log10(np.mean(tone**2) / np.mean((noisy - tone) ** 2)))
    assert 6600 <= min(lengths) < 7200
    assert 8800 < max(lengths) <= 10_010
    np.testing.assert_allclose(np.multiply(lengths, pitches), 440 * 8000, rtol=2e-3)
    assert 9.5 < min(quiet) < 20 < max(quiet) < 40.5
    np.testing.assert_array_equal(perturbed(tone, np.random.default_rng(0)), tone)
    one, same = (
        perturbed(tone, np.random.default_rng([1, 2]), speed=0.1, noise=5.0) for _ in range(2)
    )
    np.testing.assert_array_equal(one, same)
