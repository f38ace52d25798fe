"""Recordings with their texts: manifests, the layout of LJSpeech, folders of audio with texts
beside them, and TFDS."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rnn_cookbook.data.audio import AUDIO_SUFFIXES, read_audio, seconds_of
from rnn_cookbook.data.sources import data_folder, with_tfds
from rnn_cookbook.data.splits import split_by_group
from rnn_cookbook.data.tables import SPLIT_NAMES, clean, read_utf8, split_files
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log, write_lines

__all__ = [
    "Clip",
    "Utterances",
    "check_audio",
    "is_own",
    "read_utterances",
    "split_utterances",
    "tfds_utterances",
]

_SHOWN = 10  # files that an error names
_QUOTED = 80  # characters that an error quotes
_TOLERANCE = 0.05  # seconds by which a clip may pass the end of its file: manifests round

_TFDS_SPLITS = {
    **SPLIT_NAMES,
    "train_clean100": "train",  # those of librispeech
    "dev_clean": "validation",
    "test_clean": "test",
}
_TFDS_TEXTS = ("text_normalized", "text", "transcript", "sentence", "label")


@dataclass(frozen=True)
class Clip:
    """An audio file, or a part of one.

    Args:
        path: path of the file.
        start: seconds from its beginning.
        seconds: duration; None for all that follows.
    """

    path: str
    start: float = 0.0
    seconds: float | None = None

    def read(self, rate: int) -> np.ndarray:
        """Reads float32[samples] at `rate` Hz."""
        return read_audio(self.path, rate=rate, start=self.start, length=self.seconds)


@dataclass
class Utterances:
    """Audio with its texts and speakers, in three lists of the same length.

    Args:
        audio: clips, or float32[samples].
        texts: text of each piece of audio.
        speakers: speaker of each piece of audio, "" where unknown.
    """

    audio: list[Clip | np.ndarray] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    speakers: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.audio)

    def take(self, indices: Iterable[int]) -> Utterances:
        """Returns the utterances with these indices."""
        chosen = list(indices)
        return Utterances(
            audio=[self.audio[i] for i in chosen],
            texts=[self.texts[i] for i in chosen],
            speakers=[self.speakers[i] for i in chosen],
        )

    def samples(self, index: int, rate: int) -> np.ndarray:
        """Reads float32[samples] of an utterance; arrays are taken to be at `rate` Hz already."""
        audio = self.audio[index]
        return audio.read(rate) if isinstance(audio, Clip) else audio

    def seconds(self, rate: int) -> np.ndarray:
        """Returns float64[utterances], the durations that the files' headers state; arrays are
        taken to be at `rate` Hz."""
        whole: dict[str, float] = {}
        durations = []
        for audio in self.audio:
            if isinstance(audio, np.ndarray):
                durations.append(len(audio) / rate)
            elif audio.seconds is not None:
                durations.append(audio.seconds)
            else:
                if audio.path not in whole:
                    whole[audio.path] = seconds_of(audio.path)
                durations.append(whole[audio.path] - audio.start)
        return np.array(durations)

    def name(self, index: int) -> str:
        """Names an utterance for messages: its file, or its number."""
        audio = self.audio[index]
        return Path(audio.path).name if isinstance(audio, Clip) else str(index)


def check_audio(utterances: Utterances) -> None:
    """Reads the headers of all clips.

    Raises:
        InputError: clips are missing, cannot be read, or reach beyond their file; up to ten of them
            are named.
    """
    problems = []
    durations: dict[str, float] = {}
    for clip in utterances.audio:
        if isinstance(clip, np.ndarray):
            continue
        if clip.path not in durations:
            try:
                durations[clip.path] = seconds_of(clip.path)
            except InputError as error:
                durations[clip.path] = math.nan
                problems.append(str(error))
        whole = durations[clip.path]
        end = math.inf if clip.seconds is None else clip.start + clip.seconds
        ends_late = math.isfinite(end) and end > whole + _TOLERANCE
        if clip.start >= whole or ends_late:
            until = f"{end:g} s" if math.isfinite(end) else "its end"
            problems.append(
                f"{clip.path} has {whole:.2f} s, not the part from {clip.start:g} s to {until}"
            )
    if problems:
        raise InputError(
            f"{len(problems)} of {len(utterances)} recordings cannot be used: "
            f"{listing(problems, _SHOWN)}"
        )


def is_own(data: str) -> bool:
    """Returns whether `data` means a file or folder, and not the name of a data set: it exists, or
    looks like a path."""
    return Path(data).expanduser().exists() or data.startswith((".", "/", "~"))


def _with_text(path: Path, rows: list[tuple[Clip, str, str]]) -> Utterances:
    utterances = Utterances()
    without = []
    for clip, text, speaker in rows:
        words = clean(text).split()
        if words:
            utterances.audio.append(clip)
            utterances.texts.append(" ".join(words))
            utterances.speakers.append(speaker)
        else:
            without.append(Path(clip.path).name)
    if without:
        log.warning(
            "%s: %d of %d recordings have no text, and are left out: %s",
            path,
            len(without),
            len(rows),
            listing(without),
        )
    return utterances


def _manifest_row(row: Any, folder: Path) -> tuple[Clip, str, str]:
    start = float(row.get("offset") or 0)
    duration = row.get("duration")
    # A duration without an offset is that of the whole file, and rounded.
    seconds = None if duration is None or "offset" not in row else float(duration)
    clip = Clip(str(folder / row["audio_filepath"]), start, seconds)
    return clip, str(row["text"] or ""), str(row.get("speaker") or "")


def _read_manifest(path: Path) -> Utterances:
    if path.suffix.lower() not in (".jsonl", ".json"):
        raise InputError(
            f"{path} is no manifest: accepted is .jsonl, with an object with audio_filepath and "
            "text in each line"
        )
    rows = []
    for number, line in enumerate(read_utf8(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            clip, text, speaker = _manifest_row(json.loads(line), path.parent)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise InputError(
                f"{path}, line {number}: needs an object with audio_filepath and text; received "
                f"{line[:_QUOTED]!r}"
            ) from error
        if clip.start < 0 or (clip.seconds is not None and clip.seconds <= 0):
            duration = "" if clip.seconds is None else f" and duration {clip.seconds:g} s"
            raise InputError(
                f"{path}, line {number}: the offset must not be negative, and the duration must be "
                f"above 0 s; received offset {clip.start:g} s{duration}"
            )
        rows.append((clip, text, speaker))
    return _with_text(path, rows)


def _ljspeech_file(folder: Path, name: str) -> Path:
    for suffix in ("", *AUDIO_SUFFIXES):
        file = folder / "wavs" / f"{name}{suffix}"
        if file.is_file():
            return file
    return folder / "wavs" / f"{name}.wav"


def _read_ljspeech(folder: Path) -> Utterances:
    path = folder / "metadata.csv"
    lines = csv.reader(io.StringIO(read_utf8(path)), delimiter="|", quoting=csv.QUOTE_NONE)
    rows = []
    for number, cells in enumerate(lines, start=1):
        if not cells:
            continue
        if len(cells) < 2:
            raise InputError(
                f"{path}, line {number}: needs name|text; received {'|'.join(cells)[:_QUOTED]!r}"
            )
        in_words = cells[2] if len(cells) > 2 else ""
        clip = Clip(str(_ljspeech_file(folder, cells[0])))
        rows.append((clip, in_words or cells[1], ""))
    return _with_text(folder, rows)


def _read_folder(folder: Path) -> Utterances:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES)
    if not files:
        there = listing(file.name for file in folder.iterdir()) or "nothing"
        raise InputError(
            f"{folder} has no audio files ({', '.join(AUDIO_SUFFIXES)}), no metadata.csv and no "
            f"train.jsonl; it has {there}"
        )
    rows = []
    for file in files:
        text_file = file.with_suffix(".txt")
        text = read_utf8(text_file) if text_file.exists() else ""
        speaker = "" if file.parent == folder else file.parent.name
        rows.append((Clip(str(file)), text, speaker))
    return _with_text(folder, rows)


def read_utterances(path: str | Path) -> dict[str, Utterances]:
    """Reads the user's recordings and their texts.

    Args:
        path: a manifest, one JSON object per line with `audio_filepath` and `text`, and `offset`,
            `duration` and `speaker` where known (paths are relative to the manifest); a folder with
            `train.jsonl` and, if there are any, `validation.jsonl` and `test.jsonl`; a folder with
            `metadata.csv` (name|text|text in words) and `wavs/`, as LJSpeech has it; or a folder,
            or folders below it, of audio with a `.txt` beside each file.

    Returns:
        Split name ("train", "validation", "test") -> utterances; unsplit data is "train".
        Recordings without a text are left out, and logged.

    Raises:
        InputError: no such file or folder, an empty one, a line that is not understood; recordings
            that are missing, empty, cut off or no audio: the first ten of them are named.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise InputError(f"no such file or folder: {path}")
    if path.is_file():
        parts = {"train": _read_manifest(path)}
    elif (path / "metadata.csv").exists():
        parts = {"train": _read_ljspeech(path)}
    elif manifests := split_files(path, (".jsonl",)):
        if "train" not in manifests:
            raise InputError(
                f"{path} has {listing(file.name for file in manifests.values())} but no "
                "train.jsonl beside it"
            )
        parts = {split: _read_manifest(file) for split, file in manifests.items()}
    else:
        parts = {"train": _read_folder(path)}
    for split, part in parts.items():
        if not len(part):
            raise InputError(f"{path}: no recording of the {split} split has a text")
        check_audio(part)
    return parts


def _tfds_row(row: dict[str, Any], *, text: str, feature: Any) -> tuple[str, str]:
    """The text and the speaker of an example."""
    said = row[text]
    said = said.decode() if isinstance(said, bytes) else feature.int2str(int(said))
    speaker = row.get("speaker_id", row.get("speaker", ""))
    speaker = speaker.decode() if isinstance(speaker, bytes) else str(speaker)
    no_word = said.startswith("_")  # such as _silence_ of speech_commands
    return "" if no_word else said, speaker


def _write_tfds(name: str, folder: Path, *, data_dir: str | Path | None) -> None:
    """Writes a TFDS data set as FLAC files with a manifest per split."""
    import soundfile
    import tensorflow_datasets as tfds

    builder: Any = with_tfds(name, lambda builder: builder, data_dir=data_dir)
    features = builder.info.features
    audio_names = [key for key, value in features.items() if isinstance(value, tfds.features.Audio)]
    text_names = [key for key in _TFDS_TEXTS if key in features]
    rate = features[audio_names[0]].sample_rate if audio_names else None
    if not (rate and text_names):
        raise InputError(f"data set {name!r} holds no audio with texts: it has {listing(features)}")
    audio = audio_names[0]
    text = text_names[0]
    splits = {_TFDS_SPLITS[split]: split for split in builder.info.splits if split in _TFDS_SPLITS}
    if "train" not in splits:
        raise InputError(
            f"data set {name!r} has no training split: it has {listing(builder.info.splits)}"
        )
    # The training split comes last: its manifest says that all is there.
    for split in sorted(splits, key=lambda split: split == "train"):
        log.info("%s: writing the audio of %s to %s", name, splits[split], folder)
        (folder / split).mkdir(parents=True, exist_ok=True)
        rows = []
        examples = tfds.as_numpy(builder.as_dataset(split=splits[split]))
        for number, row in enumerate(examples):
            file = f"{split}/{number:06d}.flac"
            soundfile.write(folder / file, row[audio].astype(np.int16), rate)
            said, speaker = _tfds_row(row, text=text, feature=features[text])
            rows.append({"audio_filepath": file, "text": said, "speaker": speaker})
        write_lines(folder / f"{split}.jsonl", rows)


def tfds_utterances(name: str, *, data_dir: str | Path | None = None) -> dict[str, Utterances]:
    """Reads a TFDS data set of speech by its name, such as "ljspeech", "librispeech" (its clean
    parts, 100 hours of training) or "speech_commands".

    The audio is written once as FLAC files with a manifest per split, into `rnn_cookbook/` in the
    data folder, and read from there when needed: none of these data sets fits into memory. What was
    interrupted is written anew.

    Args:
        name: name of the data set.
        data_dir: folder of the data sets, see `data.sources.data_folder`.

    Returns:
        Split name ("train", "validation", "test") -> utterances.

    Raises:
        InputError: the data set is not in the folder and cannot be downloaded, or has no audio with
            texts or labels, or no training split.
    """
    folder = data_folder(data_dir) / "rnn_cookbook" / name.replace("/", "_").replace(":", "_")
    if not (folder / "train.jsonl").exists():
        _write_tfds(name, folder, data_dir=data_dir)
    return read_utterances(folder)


def split_utterances(
    parts: dict[str, Utterances],
    *,
    by_speaker: bool,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
) -> dict[str, Utterances]:
    """Splits a missing "test" and "validation" off "train": utterances at random, or whole
    speakers, who are then unseen in training.

    Args:
        parts: split name -> utterances.
        by_speaker: whether whole speakers are set aside.
        validation_fraction: fraction of the training data that becomes the validation split.
        test_fraction: fraction of the data that becomes the test split.
        seed: seed of the draw.

    Raises:
        InputError: too few utterances, or too few known speakers.
    """

    def groups(part: Utterances) -> tuple[list, list]:
        if not by_speaker:
            numbers = list(range(len(part)))
            return numbers, numbers
        unknown = part.speakers.count("")
        if unknown:
            raise InputError(
                "splitting by speaker needs the speaker of every recording; unknown for "
                f"{unknown} of {len(part)}",
                field="split",
            )
        return part.speakers, sorted(set(part.speakers))

    return split_by_group(
        parts,
        groups,
        what="speakers" if by_speaker else "recordings",
        validation_fraction=validation_fraction,
        test_fraction=test_fraction,
        seed=seed,
    )
