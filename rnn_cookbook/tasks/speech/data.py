"""Sounds and what is said in them: manifests, the layout of LJSpeech, folders of sounds with texts
beside them."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rnn_cookbook.data.audio import SOUNDS, read_sound, seconds_of
from rnn_cookbook.data.sources import data_folder, with_tfds
from rnn_cookbook.data.splits import split_by_group
from rnn_cookbook.data.tables import SPLIT_NAMES, clean, read_utf8, split_files
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log, write_lines

_SHOWN = 10  # files that an error names
_TFDS_SPLITS = {
    **SPLIT_NAMES,
    "train_clean100": "train",
    "dev_clean": "validation",
    "test_clean": "test",
}  # of librispeech
_TFDS_TEXTS = ("text_normalized", "text", "transcript", "sentence", "label")


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
        return read_sound(self.path, rate=rate, start=self.start, length=self.seconds)


@dataclass
class Utterances:
    """`sounds[i]`, a clip or float32[samples], says `texts[i]` in the voice of `speakers[i]` (""
    where that is not known)."""

    sounds: list[Clip | np.ndarray] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    speakers: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sounds)

    def take(self, indices: Sequence[int]) -> "Utterances":
        return Utterances(
            *([column[i] for i in indices] for column in (self.sounds, self.texts, self.speakers))
        )

    def samples(self, index: int, rate: int) -> np.ndarray:
        """float32[samples] of an utterance; arrays are taken to be at `rate` Hz already."""
        sound = self.sounds[index]
        return sound.read(rate) if isinstance(sound, Clip) else sound

    def seconds(self, rate: int) -> np.ndarray:
        """float64[utterances], how long each is, by what the files say; arrays are taken to be at
        `rate` Hz."""
        whole: dict[str, float] = {}
        found = []
        for sound in self.sounds:
            if isinstance(sound, np.ndarray):
                found.append(len(sound) / rate)
            elif sound.seconds is not None:
                found.append(sound.seconds)
            else:
                if sound.path not in whole:
                    whole[sound.path] = seconds_of(sound.path)
                found.append(whole[sound.path] - sound.start)
        return np.array(found)

    def name(self, index: int) -> str:
        """What to call an utterance: its file, or its number."""
        sound = self.sounds[index]
        return Path(sound.path).name if isinstance(sound, Clip) else str(index)


def read_utterances(path: str | Path) -> dict[str, Utterances]:
    """Reads the user's own recordings with what is said in them.

    Args:
        path: a manifest, one JSON object a line with `audio_filepath` and `text`, and `offset`,
            `duration` and `speaker` where there are any (paths are relative to the manifest); a
            folder with `train.jsonl` and, if there are any, `validation.jsonl` and `test.jsonl`; a
            folder with `metadata.csv` (name|text|text in words) and `wavs/`, as LJSpeech has it; or
            a folder, or folders below it, of sounds with a `.txt` beside each.

    Returns:
        Split name ("train", "validation", "test") to Utterances; what is not split lies under
        "train". Those without a text are left out, and counted in the log.

    Raises:
        InputError: no such file or folder, nothing in it, a line that is not understood; sounds
            that are missing, empty, cut off or no sounds: the first ten of them are named.
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
        parts = (
            {split: _read_manifest(file) for split, file in manifests.items()}
            if manifests
            else {"train": _read_folder(path)}
        )
        if "train" not in parts:
            raise InputError(
                f"{path} has {listing(file.name for file in manifests.values())} but no train.jsonl beside it"
            )
    for split, part in parts.items():
        if not len(part):
            raise InputError(f"{path}: no recording of the {split} split has a text")
        check_sounds(part)
    return parts


def tfds_utterances(name: str, *, data_dir: str | Path | None = None) -> dict[str, Utterances]:
    """A TFDS data set of speech by its name, such as "ljspeech", "librispeech" (its clean parts,
    100 hours to train) or "speech_commands".

    Its sounds are written once as FLAC files with a manifest each, into `rnn_cookbook/` in the data
    folder, and read from there when their turn comes: none of these sets fits into memory. What was
    interrupted is written anew.

    Raises:
        InputError: it is neither there nor can it be downloaded, or has no sounds with texts or
            labels, or no training split.
    """
    import soundfile
    import tensorflow_datasets as tfds

    folder = data_folder(data_dir) / "rnn_cookbook" / name.replace("/", "_").replace(":", "_")
    if not (folder / "train.jsonl").exists():
        builder = with_tfds(name, lambda builder: builder, data_dir=data_dir)
        features = builder.info.features
        sound = next(
            (key for key, feature in features.items() if isinstance(feature, tfds.features.Audio)),
            None,
        )
        text = next((key for key in _TFDS_TEXTS if key in features), None)
        splits = {
            _TFDS_SPLITS[split]: split for split in builder.info.splits if split in _TFDS_SPLITS
        }
        if not (sound and text and features[sound].sample_rate):
            raise InputError(
                f"data set {name!r} holds no sounds with texts: it has {listing(features)}"
            )
        if "train" not in splits:
            raise InputError(
                f"data set {name!r} has no training split: it has {listing(builder.info.splits)}"
            )
        for split in sorted(
            splits, key=lambda split: split == "train"
        ):  # the manifest of training says that all is there
            rows = []
            log.info("%s: writing the sounds of %s to %s", name, splits[split], folder)
            (folder / split).mkdir(parents=True, exist_ok=True)
            for number, row in enumerate(tfds.as_numpy(builder.as_dataset(split=splits[split]))):
                said = (
                    row[text].decode()
                    if isinstance(row[text], bytes)
                    else features[text].int2str(int(row[text]))
                )
                file = f"{split}/{number:06d}.flac"
                soundfile.write(
                    folder / file, row[sound].astype(np.int16), features[sound].sample_rate
                )
                speaker = row.get("speaker_id", row.get("speaker", ""))
                speaker = speaker.decode() if isinstance(speaker, bytes) else str(speaker)
                rows.append(
                    {
                        "audio_filepath": file,
                        "text": "" if said.startswith("_") else said,
                        "speaker": speaker,
                    }
                )
            write_lines(folder / f"{split}.jsonl", rows)
    return read_utterances(folder)


def split_utterances(
    parts: dict[str, Utterances],
    *,
    by_speaker: bool,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
) -> dict[str, Utterances]:
    """Splits what is missing of "test" and "validation" off "train": utterances at random, or whole
    speakers, whom training never heard.

    Raises:
        InputError: too few utterances, or too few speakers that are known.
    """

    def groups(part: Utterances) -> tuple[list, list]:
        if by_speaker and "" in part.speakers:
            count = part.speakers.count("")
            raise InputError(
                f"the speakers of {count} of {len(part)} recordings are not known: they cannot be split by speaker"
            )
        owners = part.speakers if by_speaker else [*range(len(part))]
        return owners, sorted(set(owners))

    fractions = {"validation_fraction": validation_fraction, "test_fraction": test_fraction}
    return split_by_group(
        parts, groups, what="speakers" if by_speaker else "recordings", **fractions, seed=seed
    )


def check_sounds(utterances: Utterances) -> None:
    """InputError names the clips that are missing or cannot be read, by their headers, all of them
    up to a limit."""
    wrong, known = [], {}
    for clip in utterances.sounds:
        if isinstance(clip, np.ndarray):
            continue
        if clip.path not in known:
            try:
                known[clip.path] = seconds_of(clip.path)
            except InputError as error:
                known[clip.path] = math.nan
                wrong.append(str(error))
        whole = known[clip.path]
        if clip.start >= whole or (
            clip.seconds is not None and clip.start + clip.seconds > whole + 0.05
        ):
            end = "its end" if clip.seconds is None else f"{clip.start + clip.seconds:g} s"
            wrong.append(
                f"{clip.path} has {whole:.2f} s, not what is from {clip.start:g} s to {end}"
            )
    if wrong:
        raise InputError(
            f"{len(wrong)} of {len(utterances)} recordings cannot be used: {listing(wrong, _SHOWN)}"
        )


def _read_manifest(path: Path) -> Utterances:
    if path.suffix.lower() not in (".jsonl", ".json"):
        raise InputError(
            f"{path} is no manifest: accepted is .jsonl, one object with audio_filepath and text a line"
        )
    rows = []
    for number, line in enumerate(read_utf8(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            start, seconds = float(row.get("offset") or 0), row.get("duration")
            clip = Clip(
                str(path.parent / row["audio_filepath"]),
                start,
                None if seconds is None or "offset" not in row else float(seconds),
            )
            rows.append((clip, str(row["text"] or ""), str(row.get("speaker") or "")))
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise InputError(
                f"{path}, line {number}: needs an object with audio_filepath and text, got {line[:80]!r}"
            ) from error
        if not (clip.start >= 0 and (clip.seconds is None or clip.seconds > 0)):
            lasting = "" if clip.seconds is None else f", duration {clip.seconds:g} s"
            raise InputError(
                f"{path}, line {number}: offset {clip.start:g} s{lasting} are no part of a sound"
            )
    return _with_text(path, rows)


def _read_ljspeech(folder: Path) -> Utterances:
    rows = []
    lines = csv.reader(
        io.StringIO(read_utf8(folder / "metadata.csv")), delimiter="|", quoting=csv.QUOTE_NONE
    )
    for number, cells in enumerate(lines, start=1):
        if not cells:
            continue
        if len(cells) < 2:
            raise InputError(
                f"{folder / 'metadata.csv'}, line {number}: needs name|text, got {'|'.join(cells)[:80]!r}"
            )
        file = next(
            (
                folder / "wavs" / f"{cells[0]}{suffix}"
                for suffix in ("", *SOUNDS)
                if (folder / "wavs" / f"{cells[0]}{suffix}").is_file()
            ),
            None,
        )
        rows.append(
            (
                Clip(str(file or folder / "wavs" / f"{cells[0]}.wav")),
                cells[2] if len(cells) > 2 and cells[2] else cells[1],
                "",
            )
        )
    return _with_text(folder, rows)


def _read_folder(folder: Path) -> Utterances:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SOUNDS)
    if not files:
        there = listing(file.name for file in folder.iterdir()) or "nothing"
        raise InputError(
            f"{folder} has no sounds ({', '.join(SOUNDS)}), no metadata.csv and no train.jsonl; it has {there}"
        )
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
        log.warning(
            "%s: %d of %d recordings have no text, and are left out: %s",
            path,
            len(gone),
            len(rows),
            listing(gone),
        )
    return (
        Utterances(*(list(column) for column in zip(*kept, strict=True))) if kept else Utterances()
    )
