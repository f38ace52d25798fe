"""Audio files to samples: WAV, FLAC, OGG, MP3 and what else libsndfile reads, of any rate and
number of channels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from rnn_cookbook.errors import InputError

if TYPE_CHECKING:
    import soundfile

__all__ = [
    "AUDIO_SUFFIXES",
    "audio_chunks",
    "audio_files",
    "raw_chunks",
    "read_audio",
    "seconds_of",
]

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au")
_CHUNK = 30  # seconds that are read at a time
# An MP3's length is an estimate: files may end earlier by this fraction, and by 1 / 10 second.
_MISSING_FRACTION = 0.01
_MISSING_PER_SECOND = 10


def audio_chunks(
    source: str | Path | BinaryIO,
    *,
    rate: int,
    name: str = "",
    seconds: float = _CHUNK,
    start: float = 0.0,
    length: float | None = None,
) -> Iterator[np.ndarray]:
    """Yields the samples of `read_audio` in pieces, so that an hour needs no more memory than a
    minute.

    Args:
        source: a file, or what reads as a file.
        rate: rate of the result in Hz.
        name: name of the source in messages; its path by default.
        seconds: approximate length of a piece in seconds.
        start: first second that is read.
        length: seconds that are read; all that follow when None.

    Raises:
        InputError: no such file; empty; no audio; cut off before the end that its header says; or
            samples that are no numbers.
    """
    import soundfile
    import soxr

    name = name or str(source)
    with _opened(source, name) as file:
        resampler = None
        if file.samplerate != rate:
            resampler = soxr.ResampleStream(file.samplerate, rate, 1, dtype="float32")
        first = min(round(start * file.samplerate), file.frames)
        wanted = file.frames - first
        if length is not None:
            wanted = min(round(length * file.samplerate), wanted)
        size = max(1, round(seconds * file.samplerate))
        left = wanted
        if first:
            file.seek(first)
        while True:
            count = size if length is None else min(size, left)
            try:
                block = file.read(count, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise InputError(f"{name} is damaged or cut off: {error.error_string}") from error
            left -= len(block)
            last = len(block) < size or left <= 0
            samples = block.mean(axis=1)
            if not np.isfinite(samples).all():
                raise InputError(f"{name} has samples that are no numbers")
            yield resampler.resample_chunk(samples, last=last) if resampler else samples
            if last:
                break
        if left > _MISSING_FRACTION * wanted + file.samplerate // _MISSING_PER_SECOND:
            raise InputError(f"{name} is cut off: {wanted - left} of {wanted} samples are there")


def read_audio(
    source: str | Path | BinaryIO,
    *,
    rate: int,
    name: str = "",
    start: float = 0.0,
    length: float | None = None,
) -> np.ndarray:
    """Reads audio as float32[samples] of one channel, within [-1, 1] for the most part.

    Args:
        source: a file, or what reads as a file.
        rate: rate of the result in Hz.
        name: name of the source in messages; its path by default.
        start: first second that is read.
        length: seconds that are read; all that follow when None.

    Raises:
        InputError: as `audio_chunks`.
    """
    return np.concatenate([*audio_chunks(source, rate=rate, name=name, start=start, length=length)])


def raw_chunks(
    file: BinaryIO, *, rate: int, raw_rate: int, seconds: float = 0.1
) -> Iterator[np.ndarray]:
    """Yields raw samples (16 bits, signed, little-endian, one channel) as they come.

    Args:
        file: file of the samples, such as `sys.stdin.buffer`.
        rate: rate of the result in Hz.
        raw_rate: rate of the file in Hz.
        seconds: seconds that are waited for at a time.

    Yields:
        float32[samples] at `rate`.
    """
    import soxr

    resampler = None
    if raw_rate != rate:
        resampler = soxr.ResampleStream(raw_rate, rate, 1, dtype="float32")
    size = 2 * max(1, round(seconds * raw_rate))
    while block := file.read(size):
        whole = block[: len(block) // 2 * 2]  # half a sample at the very end is none
        samples = np.frombuffer(whole, "<i2").astype(np.float32) / 2**15
        yield resampler.resample_chunk(samples) if resampler else samples
    if resampler:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def audio_files(path: str | Path) -> list[Path]:
    """Returns a file, or the audio files of a folder and the folders below it.

    Raises:
        InputError: no such file or folder, or a folder without audio files.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return [path]
    if not path.exists():
        raise InputError(f"no such audio file or folder: {path}")
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES)
    if not files:
        raise InputError(f"{path} has no audio files; accepted are {', '.join(AUDIO_SUFFIXES)}")
    return files


def seconds_of(source: str | Path) -> float:
    """Returns the length of an audio file in seconds, by what its header says.

    Raises:
        InputError: as `audio_chunks`, as far as the header tells.
    """
    with _opened(source, str(source)) as file:
        return file.frames / file.samplerate


def _opened(source: str | Path | BinaryIO, name: str) -> soundfile.SoundFile:
    """The file, after a look at its header."""
    import soundfile

    if isinstance(source, str | Path):
        if not Path(source).is_file():
            raise InputError(f"no such audio file: {name}")
        if not Path(source).stat().st_size:
            raise InputError(f"{name} is empty")
    try:
        file = soundfile.SoundFile(source)
    except soundfile.LibsndfileError as error:
        raise InputError(
            f"{name} is no audio that can be read ({error.error_string}); accepted are "
            f"{', '.join(AUDIO_SUFFIXES)}"
        ) from error
    cut = re.search(r"^data : (\d+) \(should be (\d+)\)", file.extra_info, flags=re.MULTILINE)
    if cut:
        file.close()
        raise InputError(
            f"{name} is cut off: its header says {cut[1]} bytes of audio, and it has {cut[2]}"
        )
    if not file.frames:
        file.close()
        raise InputError(f"{name} is empty")
    return file
