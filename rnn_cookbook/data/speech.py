"""Sounds and what is said in them: manifests, the layout of LJSpeech, folders of sounds with texts beside them."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rnn_cookbook.data.audio import SOUNDS, read_sound, seconds_of
from rnn_cookbook.data.texts import clean, read_utf8, split_files
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.runs import log

_SHOWN = 10  # files that an error names


@dataclass(frozen=True)
class Clip:
    """A sound file, or a part of one.

    Args:
        path: of the file.
        start: seconds.
        seconds: its length; None for all that follows.
    """

    path: str
    start: float = 0.0
    seconds: float | None = None

    def read(self, rate: int) -> np.ndarray:
        """float32[samples] at `rate` Hz."""
        samples = read_sound(self.path, rate=rate)
        first = round(self.start * rate)
        return samples[first : None if self.seconds is None else first + round(self.seconds * rate)]


@dataclass
class Utterances:
    """`sounds[i]`, a clip or float32[samples], says `texts[i]` in the voice of `speakers[i]` ("" where that is not known)."""

    sounds: list[Clip | np.ndarray] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    speakers: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sounds)

    def take(self, indices: Sequence[int]) -> "Utterances":
        return Utterances(*([column[i] for i in indices] for column in (self.sounds, self.texts, self.speakers)))

    def samples(self, index: int, rate: int) -> np.ndarray:
        """float32[samples] of an utterance; arrays are taken to be at `rate` Hz already."""
        sound = self.sounds[index]
        return sound.read(rate) if isinstance(sound, Clip) else sound

    def name(self, index: int) -> str:
        """What to call an utterance: its file, or its number."""
        sound = self.sounds[index]
        return Path(sound.path).name if isinstance(sound, Clip) else str(index)


def read_utterances(path: str | Path) -> dict[str, Utterances]:
    """Reads the user's own recordings with what is said in them.

    Args:
        path: a manifest, one JSON object a line with `audio_filepath` and `text`, and `offset`, `duration` and `speaker` where there are
            any (paths are relative to the manifest); a folder with `train.jsonl` and, if there are any, `validation.jsonl` and
            `test.jsonl`; a folder with `metadata.csv` (name|text|text in words) and `wavs/`, as LJSpeech has it; or a folder, or folders
            below it, of sounds with a `.txt` beside each.

    Returns:
        Split name ("train", "validation", "test") to Utterances; what is not split lies under "train". Those without a text are left
        out, and counted in the log.

    Raises:
        InputError: no such file or folder, nothing in it, a line that is not understood; sounds that are missing, empty, cut off or no
            sounds: the first ten of them are named.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise InputError(f"no such file or folder: {path}")
    if path.is_file():
        parts = {"train": _read_manifest(path)}
    elif (path / "metadata.csv").exists():
        parts = {"train": _read_ljspeech(path)}
    else:
        manifests = split_files(path, (".jsonl",))
        parts = {split: _read_manifest(file) for split, file in manifests.items()} if manifests else {"train": _read_folder(path)}
        if "train" not in parts:
            raise InputError(f"{path} has {listing(file.name for file in manifests.values())} but no train.jsonl beside it")
    for split, part in parts.items():
        if not len(part):
            raise InputError(f"{path}: no recording of the {split} split has a text")
        check_sounds(part)
    return parts


def check_sounds(utterances: Utterances) -> list[float]:
    """Seconds of every clip, by its header; InputError names those that are missing or cannot be read, all of them up to a limit."""
    seconds, wrong, known = [], [], {}
    for clip in utterances.sounds:
        if isinstance(clip, np.ndarray):
            seconds.append(math.nan)
            continue
        if clip.path not in known:
            try:
                known[clip.path] = seconds_of(clip.path)
            except InputError as error:
                known[clip.path] = math.nan
                wrong.append(str(error))
        whole = known[clip.path]
        if clip.start >= whole or (clip.seconds is not None and clip.start + clip.seconds > whole + 0.05):
            end = "its end" if clip.seconds is None else f"{clip.start + clip.seconds:g} s"
            wrong.append(f"{clip.path} has {whole:.2f} s, not what is from {clip.start:g} s to {end}")
        seconds.append(clip.seconds if clip.seconds is not None else whole - clip.start)
    if wrong:
        raise InputError(f"{len(wrong)} of {len(utterances)} recordings cannot be used: {listing(wrong, _SHOWN)}")
    return seconds


def _read_manifest(path: Path) -> Utterances:
    if path.suffix.lower() not in (".jsonl", ".json"):
        raise InputError(f"{path} is no manifest: accepted is .jsonl, one object with audio_filepath and text a line")
    rows = []
    for number, line in enumerate(read_utf8(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            start, seconds = float(row.get("offset") or 0), row.get("duration")
            clip = Clip(str(path.parent / row["audio_filepath"]), start, None if seconds is None or "offset" not in row else float(seconds))
            rows.append((clip, str(row["text"] or ""), str(row.get("speaker") or "")))
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise InputError(f"{path}, line {number}: needs an object with audio_filepath and text, got {line[:80]!r}") from error
        if not (clip.start >= 0 and (clip.seconds is None or clip.seconds > 0)):
            raise InputError(f"{path}, line {number}: offset {clip.start:g} s, duration {clip.seconds:g} s are no part of a sound")
    return _with_text(path, rows)


def _read_ljspeech(folder: Path) -> Utterances:
    rows = []
    lines = csv.reader(io.StringIO(read_utf8(folder / "metadata.csv")), delimiter="|", quoting=csv.QUOTE_NONE)
    for number, cells in enumerate(lines, start=1):
        if not cells:
            continue
        if len(cells) < 2:
            raise InputError(f"{folder / 'metadata.csv'}, line {number}: needs name|text, got {'|'.join(cells)[:80]!r}")
        file = next(
            (folder / "wavs" / f"{cells[0]}{suffix}" for suffix in ("", *SOUNDS) if (folder / "wavs" / f"{cells[0]}{suffix}").is_file()),
            None,
        )
        rows.append((Clip(str(file or folder / "wavs" / f"{cells[0]}.wav")), cells[2] if len(cells) > 2 and cells[2] else cells[1], ""))
    return _with_text(folder, rows)


def _read_folder(folder: Path) -> Utterances:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SOUNDS)
    if not files:
        there = listing(file.name for file in folder.iterdir()) or "nothing"
        raise InputError(f"{folder} has no sounds ({', '.join(SOUNDS)}), no metadata.csv and no train.jsonl; it has {there}")
    rows = []
    for file in files:
        beside = file.with_suffix(".txt")
        speaker = "" if file.parent == folder else file.parent.name
        rows.append((Clip(str(file)), read_utf8(beside) if beside.exists() else "", speaker))
    return _with_text(folder, rows)


def _with_text(path: Path, rows: list[tuple[Clip, str, str]]) -> Utterances:
    rows = [(clip, " ".join(clean(text).split()), speaker) for clip, text, speaker in rows]
    kept = [row for row in rows if row[1]]
    if gone := [Path(clip.path).name for clip, text, _ in rows if not text]:
        log.warning("%s: %d of %d recordings have no text, and are left out: %s", path, len(gone), len(rows), listing(gone))
    return Utterances(*(list(column) for column in zip(*kept, strict=True))) if kept else Utterances()
