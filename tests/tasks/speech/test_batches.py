"""Batches of audio in an order that only seed and epoch decide; audio that is disturbed; texts that
fit into their audio."""

import numpy as np
import pytest
from tasks.speech.bursts import ALPHABET, network, sound

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.speech.batches import (
    AudioBatches,
    Drawn,
    augmented,
    learnable,
    perturbed,
    steps_of,
    unchanged,
)
from rnn_cookbook.tasks.speech.data import Utterances
from rnn_cookbook.tasks.speech.model import seconds_per_step


class TestAudioBatches:
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
        batches = AudioBatches(self.draw, batch_size=8, shuffle=True)
        assert not self.loaded, "sounds are read when their turn comes"
        seen, cells, samples = [], 0, 0
        for (sounds, lengths), labels in batches.dataset().as_numpy_iterator():
            assert sounds.shape[1] == lengths.max()
            for row, length, label in zip(sounds, lengths, labels, strict=True):
                assert (row[:length] == label[0] - 1).all()
                assert not row[length:].any()
                seen.append(int(label[0]))
            cells, samples = cells + sounds.size, samples + lengths.sum()
        assert sorted(seen) == list(range(1, 204))
        assert samples / cells > 0.85
        assert len(batches) == 26

    def test_order_and_sounds_depend_on_seed_and_epoch_only(self):
        def flat(seed, epoch, **options):
            batches = AudioBatches(self.draw, batch_size=8, shuffle=True, seed=seed, **options)
            batches.epoch = epoch
            return [labels.tolist() for _, labels in batches.dataset().as_numpy_iterator()]

        assert flat(0, 1) == flat(0, 1)
        assert flat(0, 1) != flat(1, 1)
        assert flat(0, 1) != flat(0, 0)
        assert {row[1] for rows in flat(0, 1) for row in rows} == {2}
        assert flat(0, 1, shortest_first=True) == flat(0, 1)

    def test_the_shortest_first(self):
        batches = AudioBatches(self.draw, batch_size=8, shuffle=True, shortest_first=True)
        lengths = np.concatenate(
            [lengths for (_, lengths), _ in batches.dataset().as_numpy_iterator()]
        )
        assert (np.diff(lengths) >= 0).all()

    @pytest.mark.parametrize(
        ("drawn", "message"),
        [
            (Drawn([], None, []), "0 pieces of audio and 0 transcripts"),
            (Drawn([1], None, []), "1 pieces of audio and 0 transcripts"),
            (Drawn([1], None, [np.zeros(0)]), "every transcript needs a symbol"),
        ],
    )
    def test_bad_input(self, drawn, message):
        with pytest.raises(InputError, match=message):
            AudioBatches(lambda epoch: drawn, batch_size=2)
        with pytest.raises(InputError, match="batch_size must be at least 1; received 0"):
            AudioBatches(lambda epoch: drawn, batch_size=0)


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


def test_training_audio_is_drawn_anew_every_epoch_and_validation_audio_is_as_it_is():
    part = Utterances([sound(0.2, seed=1), sound(0.3, seed=2)], ["ab", "c"], ["", ""])
    draw = augmented(lambda epoch: part, ALPHABET, rate=4000, speed=0.1, noise=10.0, seed=5)
    first, again, next_one = draw(0).load(1), draw(0).load(1), draw(1).load(1)
    np.testing.assert_array_equal(first, again)
    assert first.shape != next_one.shape or (first != next_one).any()
    assert [labels.tolist() for labels in draw(0).labels] == [[2, 3], [4]]
    plain = unchanged(part, ALPHABET, rate=4000)
    np.testing.assert_allclose(plain(3).lengths, [0.2, 0.3])
    np.testing.assert_array_equal(plain(0).load(1), part.audio[1])


def test_what_does_not_fit_is_left_out_by_its_name(messages):
    model = network()
    part = Utterances(
        [sound(2.0), sound(0.1), sound(1.0), sound(3.0), sound(1.0)],
        ["abc", "abcabcabc", "aa", "b", "x"],
        [""] * 5,
    )
    fit = {"log_mel": model.get_layer("log_mel"), "stride": 2}
    assert learnable(part, ALPHABET, **fit, longest=2.5).texts == ["abc", "aa"]
    assert "training: 1 of 5 utterances are longer than 2.5 s, and are left out: 3" in messages.text
    assert (
        "training: 1 of 5 utterances have a text too long for their audio, and are left out: 1"
        in messages.text
    )
    assert (
        "training: 1 of 5 utterances have no character of the alphabet, and are left out: 4"
        in messages.text
    )
    tight = Utterances([sound(6 * seconds_per_step(model) + 0.015)], ["aaa"], [""])
    assert steps_of(**fit, samples=[len(tight.audio[0])]) >= 5
    assert len(learnable(tight, ALPHABET, **fit, longest=9)) == 1, (
        "five steps carry three equal letters"
    )
    with pytest.raises(
        InputError, match="none of 1 training utterances can be used: 1 have a text too long"
    ):
        learnable(tight, ALPHABET, **fit, longest=9, speed=0.9)
