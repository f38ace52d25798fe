"""The files and labels of the Numenta Anomaly Benchmark."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from rnn_cookbook.data.sources import data_folder, download
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log
from rnn_cookbook.tasks.anomaly.streams import LabelledStream, season_of_rows

__all__ = ["NAB_URL", "nab_files", "read_all", "read_nab"]

NAB_URL = "https://raw.githubusercontent.com/numenta/NAB/master"
LABELS = "labels/combined_windows.json"
LABELS_SHA256 = "839778d87cd0802bbda9cfd296556f6acae68d209936d24ad504810b94054ed0"


def nab_files(data_dir: str | Path | None = None) -> list[str]:
    """Lists the benchmark's files in the data folder, such as "realKnownCause/nyc_taxi.csv", or,
    where there are none, those that can be downloaded.

    Args:
        data_dir: folder of data sets, see `data.sources.data_folder`.
    """
    folder = data_folder(data_dir) / "nab" / "data"
    present = sorted(file.relative_to(folder).as_posix() for file in folder.glob("*/*.csv"))
    known = _checksums()
    missing = known.keys() - set(present)
    if present and missing:
        log.warning(
            "%d of the %d files of NAB are not in %s, and left out; empty it to have all "
            "downloaded",
            len(missing),
            len(known),
            folder,
        )
    return present or sorted(known)


def read_nab(name: str, *, data_dir: str | Path | None = None) -> LabelledStream:
    """Reads a file of the benchmark with its labels from the data folder; downloads it first where
    it is missing.

    Rows are taken as they are, as the benchmark's scorer does: a time stamp that occurs twice or is
    missing is left as it is.

    Args:
        name: name of the file, see `nab_files`.
        data_dir: folder of data sets, see `data.sources.data_folder`.

    Raises:
        InputError: the file cannot be downloaded, or is not the benchmark's.
    """
    known = _checksums()
    path = data_folder(data_dir) / "nab" / "data" / name
    if name in known:
        url = f"{NAB_URL}/data/{name}"
        path = download(f"nab/data/{name}", url=url, sha256=known[name], data_dir=data_dir)
    elif not path.exists():
        raise InputError(
            f"no file {name!r} in {path.parent.parent}; known are {listing(sorted(known))}"
        )
    labels = download(
        f"nab/{LABELS}",
        url=f"{NAB_URL}/{LABELS}",
        sha256=LABELS_SHA256,
        data_dir=data_dir,
        part=_labels_of_known_files,
    )
    frame = pd.read_csv(path)
    times = pd.DatetimeIndex(pd.to_datetime(frame["timestamp"]))
    limits = json.loads(labels.read_text(encoding="utf-8")).get(name)
    if limits is None:
        raise InputError(
            f"{path} is no file of the benchmark: {labels} has no labels for it; give the path of "
            "your own file instead",
            field="data",
        )
    windows = [(_row_at(times, first), _row_at(times, last)) for first, last in limits]
    return LabelledStream(
        name=name,
        times=times,
        values=frame[["value"]].to_numpy(float),
        channels=["value"],
        windows=windows,
        season=season_of_rows(times),
    )


def read_all(data_dir: str | Path | None = None) -> list[LabelledStream]:
    """Reads all of `nab_files`.

    Args:
        data_dir: folder of data sets, see `data.sources.data_folder`.

    Raises:
        InputError: as `read_nab`.
    """
    return [read_nab(name, data_dir=data_dir) for name in nab_files(data_dir)]


def _row_at(times: pd.DatetimeIndex, time: str) -> int:
    """The first row with this time."""
    return int(np.flatnonzero(times == pd.Timestamp(time))[0])


def _labels_of_known_files(content: bytes) -> bytes:
    """What the checksum of the labels covers: those of the files whose own checksums are known, in
    one spelling."""
    labels = json.loads(content)
    return json.dumps({name: labels.get(name) for name in sorted(_checksums())}).encode()


@cache
def _checksums() -> dict[str, str]:
    file = files("rnn_cookbook.tasks.anomaly").joinpath("nab.json")
    return json.loads(file.read_text(encoding="utf-8"))
