"""Sound files: every format, rate and number of channels gives the same sound, and what is no sound
is said."""

import io

import numpy as np
import pytest
import soundfile

from rnn_cookbook.data.audio import audio_chunks, audio_files, raw_chunks, read_audio
from rnn_cookbook.errors import InputError

RATE, TONE = 8000, 440.0  # Hz


def tone(rate: int, seconds: float = 1.0, frequency: float = TONE) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(
        np.float32
    )


def pitch(samples: np.ndarray, rate: int = RATE) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_formats_and_rates(tmp_path, suffix, rate):
    soundfile.write(tmp_path / f"a.{suffix}", tone(rate), rate)
    found = read_audio(tmp_path / f"a.{suffix}", rate=RATE)
    assert found.dtype == np.float32
    assert abs(len(found) - RATE) <= RATE // 20
    assert pitch(found) == pytest.approx(TONE, abs=2)
    middle = found[1000:7000]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


def test_what_half_the_rate_cannot_hold_is_filtered_out_instead_of_folded_back(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(48_000, frequency=7000), 48_000)
    assert np.abs(read_audio(tmp_path / "a.wav", rate=RATE)[500:-500]).max() < 1e-2


def test_channels_are_mixed_down(tmp_path):
    soundfile.write(
        tmp_path / "a.wav", np.stack([tone(RATE), np.zeros(RATE)], axis=1), RATE, subtype="FLOAT"
    )
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav", rate=RATE), tone(RATE) / 2, atol=1e-6)


@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_pieces_are_the_whole(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", tone(rate, seconds=2.34), rate, subtype="FLOAT")
    whole = read_audio(tmp_path / "a.wav", rate=RATE)
    pieces = [*audio_chunks(tmp_path / "a.wav", rate=RATE, seconds=0.5)]
    assert len(pieces) == 5
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)
    assert abs(len(whole) - 2.34 * RATE) <= 1


def test_sound_that_is_no_file():
    memory = io.BytesIO()
    soundfile.write(memory, tone(RATE), RATE, format="WAV", subtype="FLOAT")
    memory.seek(0)
    np.testing.assert_allclose(read_audio(memory, rate=RATE, name="memory"), tone(RATE), atol=1e-6)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_file_that_was_cut_off(tmp_path, suffix):
    soundfile.write(tmp_path / f"a.{suffix}", tone(RATE, seconds=3), RATE)
    content = (tmp_path / f"a.{suffix}").read_bytes()
    (tmp_path / f"a.{suffix}").write_bytes(content[: len(content) // 2])
    with pytest.raises(
        InputError, match=rf"a\.{suffix} is (cut off|damaged or cut off|no audio that can be read)"
    ):
        read_audio(tmp_path / f"a.{suffix}", rate=RATE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.wav is empty"),
        (
            b"hello, I am a text",
            r"a.wav is no audio that can be read \(Format not recognised.\); "
            r"accepted are .wav, .flac",
        ),
        (None, "no such audio file: .*a.wav"),
    ],
)
def test_what_is_no_sound(tmp_path, content, message):
    if content is not None:
        (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_audio(tmp_path / "a.wav", rate=RATE)


def test_samples_that_are_no_numbers_and_a_file_of_none(tmp_path):
    soundfile.write(
        tmp_path / "a.wav", np.array([0.1, np.nan, 0.2], np.float32), RATE, subtype="FLOAT"
    )
    with pytest.raises(InputError, match=r"a\.wav has samples that are no numbers"):
        read_audio(tmp_path / "a.wav", rate=RATE)
    soundfile.write(tmp_path / "a.wav", np.zeros(0, np.float32), RATE)
    with pytest.raises(InputError, match=r"a\.wav is empty"):
        read_audio(tmp_path / "a.wav", rate=RATE)


@pytest.mark.parametrize("raw_rate", [RATE, 16_000, 44_100])
def test_raw_samples_as_they_come(raw_rate):
    samples = (tone(raw_rate) * 2**15).astype("<i2").tobytes() + b"x"  # half a sample at the end
    chunks = [*raw_chunks(io.BytesIO(samples), rate=RATE, raw_rate=raw_rate)]
    assert len(chunks) >= 10
    whole = np.concatenate(chunks)
    assert whole.dtype == np.float32
    assert abs(len(whole) - RATE) <= 2
    assert pitch(whole) == pytest.approx(TONE, abs=1)
    assert np.abs(whole[RATE // 4 : RATE // 2]).max() == pytest.approx(0.3, abs=0.01)
    assert [*raw_chunks(io.BytesIO(b""), rate=RATE, raw_rate=RATE)] == []


def test_the_sounds_of_a_folder_and_below(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("c.WAV", "a.flac", "b/d.mp3", "b/notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [file.name for file in audio_files(tmp_path)] == ["a.flac", "d.mp3", "c.WAV"]
    assert audio_files(tmp_path / "b" / "notes.txt") == [tmp_path / "b" / "notes.txt"], (
        "what is named is read, whatever it is called"
    )
    with pytest.raises(InputError, match="no such audio file or folder"):
        audio_files(tmp_path / "e.wav")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty has no audio files; accepted are .wav, "):
        audio_files(tmp_path / "empty")
