"""Sound files to samples: WAV, FLAC, OGG, MP3 and what else libsndfile reads, of any rate and
number of channels."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rnn_cookbook.errors import InputError

SOUNDS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au")
_CHUNK = 30  # seconds that are read at a time


def read_sound(
    source: str | Path | BinaryIO,
    *,
    rate: int,
    name: str = "",
    start: float = 0.0,
    length: float | None = None,
) -> np.ndarray:
    """float32[samples] of one channel at `rate` Hz, within [-1, 1] for the most part.

    Args:
        source, rate, name: see `sound_chunks`.
        start, length: seconds of the part that is read; all that follows when None.

    Raises:
        InputError: as `sound_chunks`.
    """
    return np.concatenate([*sound_chunks(source, rate=rate, name=name, start=start, length=length)])


def sound_chunks(
    source: str | Path | BinaryIO,
    *,
    rate: int,
    name: str = "",
    seconds: float = _CHUNK,
    start: float = 0.0,
    length: float | None = None,
) -> Iterator[np.ndarray]:
    """The samples of `read_sound` in pieces of about so many seconds, so that an hour needs no more
    memory than a minute.

    Args:
        source: a file, or what reads as one.
        rate: Hz of the answer.
        name: of the source in errors; its path by default.
        seconds: of a piece.
        start, length: seconds of the part that is read; all that follows when None.

    Raises:
        InputError: no such file; empty; no sound; cut off before the end that it says it has; or
            samples that are no numbers.
    """
    import soundfile
    import soxr

    name = name or str(source)
    with _opened(source, name) as file:
        resampler = (
            soxr.ResampleStream(file.samplerate, rate, 1, dtype="float32")
            if file.samplerate != rate
            else None
        )
        first = min(round(start * file.samplerate), file.frames)
        wanted = (
            file.frames - first
            if length is None
            else min(round(length * file.samplerate), file.frames - first)
        )
        size, left = max(1, round(seconds * file.samplerate)), wanted
        if first:
            file.seek(first)
        while True:
            try:
                block = file.read(
                    min(size, left) if length is not None else size, dtype="float32", always_2d=True
                )
            except soundfile.LibsndfileError as error:
                raise InputError(f"{name} is damaged or cut off: {error.error_string}") from error
            left -= len(block)
            samples, last = block.mean(axis=1), len(block) < size or left <= 0
            if not np.isfinite(samples).all():
                raise InputError(f"{name} has samples that are no numbers")
            yield resampler.resample_chunk(samples, last=last) if resampler else samples
            if last:
                break
        if left > 0.01 * wanted + file.samplerate // 10:  # an MP3's length is an estimate
            raise InputError(f"{name} is cut off: {wanted - left} of {wanted} samples are there")


def raw_chunks(
    file: BinaryIO, *, rate: int, raw_rate: int, seconds: float = 0.1
) -> Iterator[np.ndarray]:
    """Raw samples (16 bits, signed, little-endian, one channel) as they come: float32[samples] at
    `rate` Hz.

    Args:
        file: such as `sys.stdin.buffer`.
        rate: Hz of the answer.
        raw_rate: Hz of what comes.
        seconds: that are waited for at a time.
    """
    import soxr

    resampler = (
        soxr.ResampleStream(raw_rate, rate, 1, dtype="float32") if raw_rate != rate else None
    )
    size = 2 * max(1, round(seconds * raw_rate))
    while block := file.read(size):  # half a sample at the very end is none
        samples = np.frombuffer(block[: len(block) // 2 * 2], "<i2").astype(np.float32) / 2**15
        yield resampler.resample_chunk(samples) if resampler else samples
    if resampler:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def sound_files(path: str | Path) -> list[Path]:
    """A file, or those of a folder and the folders below it that end as sounds do.

    Raises:
        InputError: it is not there, or has none.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return [path]
    if not path.exists():
        raise InputError(f"no such sound file or folder: {path}")
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SOUNDS)
    if not found:
        raise InputError(f"{path} has no sounds ({', '.join(SOUNDS)})")
    return found


def seconds_of(source: str | Path) -> float:
    """How long a sound is, by what its file says. Raises InputError as `sound_chunks`, as far as
    the header tells."""
    with _opened(source, str(source)) as file:
        return file.frames / file.samplerate


def _opened(source: str | Path | BinaryIO, name: str):
    """A `soundfile.SoundFile`, whose header was looked at."""
    import soundfile

    if isinstance(source, str | Path):
        if not Path(source).is_file():
            raise InputError(f"no such sound file: {name}")
        if not Path(source).stat().st_size:
            raise InputError(f"{name} is empty")
    try:
        file = soundfile.SoundFile(source)
    except soundfile.LibsndfileError as error:
        raise InputError(
            f"{name} is no sound that can be read ({error.error_string}); accepted are {', '.join(SOUNDS)}"
        ) from error
    cut = re.search(r"^data : (\d+) \(should be (\d+)\)", file.extra_info, flags=re.MULTILINE)
    if cut or not file.frames:
        file.close()
        raise InputError(
            f"{name} is cut off: it says that it has {cut[1]} bytes of sound, and has {cut[2]}"
            if cut
            else f"{name} is empty"
        )
    return file
