"""Strings of digits are made of whole recordings, of one voice, in the order of their text, the
same for the same seed."""

import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.speech.digits import (
    DIGITS,
    RATE,
    Recordings,
    digit_strings,
    longest_in_epoch,
    split_by_speaker,
    split_by_take,
    split_strings,
    spoken_digits,
)


def tones() -> Recordings:
    """Each digit a pitch of its own, each speaker an octave: 2 speakers, 10 digits, 50 takes of 0.2
    s."""
    found = Recordings()
    for s, speaker in enumerate(("anna", "bert")):
        for digit in range(10):
            for take in range(50):
                pitch = (200 + 40 * digit) * (s + 1)
                found.audio.append(
                    np.sin(2 * np.pi * pitch * np.arange(1600) / RATE).astype(np.float32)
                    * 0.1
                    * (1 + take / 50)
                )
                found.digits.append(digit)
                found.speakers.append(speaker)
                found.takes.append(take)
    return found


TONES = tones()


def heard(sound: np.ndarray, octave: int) -> list[str]:
    """The digits by their pitch, cut at what is quiet."""
    loud = np.convolve(sound**2, np.ones(80) / 80, mode="same") > 0.25 * np.mean(sound**2)
    edges = np.flatnonzero(np.diff(np.pad(loud.astype(int), 1)))
    pieces = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 800]
    words = []
    for a, b in pieces:
        middle = sound[(a + b) // 2 - 600 : (a + b) // 2 + 600]
        pitch = np.abs(np.fft.rfft(middle, 8 * RATE)).argmax() / 8
        words.append(DIGITS[round((pitch / octave - 200) / 40)])
    return words


def test_the_text_is_what_is_heard_in_its_order():
    strings = digit_strings(TONES, 60, seed=1)
    sounds, texts, speakers = strings.audio, strings.texts, strings.speakers
    assert {len(text.split()) for text in texts} == set(range(1, 8))
    assert set(speakers) == {"anna", "bert"}
    for sound, text, speaker in zip(sounds, texts, speakers, strict=True):
        assert sound.dtype == np.float32
        assert np.abs(sound).max() <= 1
        assert heard(sound, 1 if speaker == "anna" else 2) == text.split()
    levels = [20 * np.log10(np.sqrt(np.mean(sound**2))) for sound in sounds]
    assert max(levels) - min(levels) > 10
    assert -45 < min(levels) < max(levels) < -12


def test_the_same_seed_gives_the_same_and_another_others():
    one, same, other = (digit_strings(TONES, 5, seed=seed) for seed in ((3, 1), (3, 1), (3, 2)))
    assert (one.texts, one.speakers) == (same.texts, same.speakers)
    assert all((a == b).all() for a, b in zip(one.audio, same.audio, strict=True))
    assert one.texts != other.texts


def test_splits_share_neither_takes_nor_the_held_out_voice():
    parts = split_by_take(TONES)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 800,
        "validation": 100,
        "test": 100,
    }
    assert set(parts["test"].takes) == {0, 1, 2, 3, 4}
    assert set(parts["validation"].takes).isdisjoint(parts["train"].takes)
    parts = split_by_speaker(TONES, "anna")
    assert set(parts["test"].speakers) == {"anna"}
    assert set(parts["train"].speakers) == set(parts["validation"].speakers) == {"bert"}
    assert len(parts["test"]) == 500
    with pytest.raises(InputError, match="no speaker 'carl'; accepted are anna, bert"):
        split_by_speaker(TONES, "carl")
    tested = [set(split_by_speaker(TONES, number)["test"].speakers) for number in range(3)]
    assert tested == [{"anna"}, {"bert"}, {"anna"}], "each in turn"
    with pytest.raises(InputError, match="cannot be made from 0 recordings"):
        digit_strings(Recordings(), 3, seed=0)


def test_the_real_recordings(data_dir):
    found = spoken_digits(data_dir)
    assert len(found) == 3000
    assert len(set(found.speakers)) == 6
    assert len(set(zip(found.digits, found.speakers, found.takes, strict=True))) == 3000
    assert 0.9 < max(np.abs(sound).max() for sound in found.audio) <= 1
    strings = digit_strings(found, 50, seed=0)
    assert (
        0.3
        < np.mean(
            [
                len(x) / RATE / len(text.split())
                for x, text in zip(strings.audio, strings.texts, strict=True)
            ]
        )
        < 1.5
    )


def test_strings_grow_with_the_epochs_and_every_seed_has_one_test():
    assert [longest_in_epoch(epoch, 10) for epoch in (0, 1, 4, 5, 9)] == [2, 3, 6, 7, 7]
    splits = split_by_take(TONES)
    parts = split_strings({"train": splits["train"], "test": splits["test"]}, training=5)
    assert {name: len(part) for name, part in parts.items()} == {"train": 5, "test": 1000}
    assert parts["test"].texts == digit_strings(splits["test"], 1000, seed=1).texts
