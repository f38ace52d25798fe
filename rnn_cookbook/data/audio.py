"""Sound files to samples: WAV, FLAC, OGG, MP3 and what else libsndfile reads, of any rate and number of channels."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rnn_cookbook.errors import InputError

SOUNDS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au")
_CHUNK = 30  # seconds that are read at a time


def read_sound(source: str | Path | BinaryIO, *, rate: int, name: str = "") -> np.ndarray:
    """float32[samples] of one channel at `rate` Hz, within [-1, 1] for the most part.

    Raises:
        InputError: as `sound_chunks`.
    """
    return np.concatenate([*sound_chunks(source, rate=rate, name=name)])


def sound_chunks(source: str | Path | BinaryIO, *, rate: int, name: str = "", seconds: float = _CHUNK) -> Iterator[np.ndarray]:
    """The samples of `read_sound` in pieces of about so many seconds, so that an hour needs no more memory than a minute.

    Args:
        source: a file, or what reads as one.
        rate: Hz of the answer.
        name: of the source in errors; its path by default.
        seconds: of a piece.

    Raises:
        InputError: no such file; empty; no sound; cut off before the end that it says it has; or samples that are no numbers.
    """
    import soundfile
    import soxr

    name = name or str(source)
    with _opened(source, name) as file:
        resampler = soxr.ResampleStream(file.samplerate, rate, 1, dtype="float32") if file.samplerate != rate else None
        size, left = max(1, round(seconds * file.samplerate)), file.frames
        while True:
            try:
                block = file.read(size, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise InputError(f"{name} is damaged or cut off: {error.error_string}") from error
            left -= len(block)
            samples, last = block.mean(axis=1), len(block) < size or not left
            if not np.isfinite(samples).all():
                raise InputError(f"{name} has samples that are no numbers")
            yield resampler.resample_chunk(samples, last=last) if resampler else samples
            if last:
                break
        if left > 0.01 * file.frames + file.samplerate // 10:  # an MP3's length is an estimate
            raise InputError(f"{name} is cut off: {file.frames - left} of {file.frames} samples are there")


def seconds_of(source: str | Path) -> float:
    """How long a sound is, by what its file says. Raises InputError as `sound_chunks`, as far as the header tells."""
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
        raise InputError(f"{name} is no sound that can be read ({error.error_string}); accepted are {', '.join(SOUNDS)}") from error
    cut = re.search(r"^data : (\d+) \(should be (\d+)\)", file.extra_info, flags=re.MULTILINE)
    if cut or not file.frames:
        file.close()
        raise InputError(f"{name} is cut off: it says that it has {cut[1]} bytes of sound, and has {cut[2]}" if cut else f"{name} is empty")
    return file
