"""The Numenta Anomaly Benchmark's files and labels."""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from rnn_cookbook.data.sources import data_folder, download
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log
from rnn_cookbook.tasks.anomaly.data import LabelledStream, season_of_rows

NAB_URL = "https://raw.githubusercontent.com/numenta/NAB/master"


def nab_files(data_dir: str | Path | None = None) -> list[str]:
    """Names of the benchmark's files that are in the data folder, such as
    "realKnownCause/nyc_taxi.csv"; of those that can be downloaded, where there are none."""
    folder = data_folder(data_dir) / "nab" / "data"
    found, known = (
        sorted(file.relative_to(folder).as_posix() for file in folder.glob("*/*.csv")),
        _checksums(),
    )
    if found and (missing := known.keys() - set(found)):
        log.warning(
            "%d of the %d files of NAB are not in %s, and left out; empty it to have all downloaded",
            len(missing),
            len(known),
            folder,
        )
    return found or sorted(known)


def read_nab(name: str, *, data_dir: str | Path | None = None) -> LabelledStream:
    """A file of the benchmark with its labels, from the data folder, or downloaded there.

    Rows are taken as they are, as the benchmark's scorer does: where a time stamp occurs twice or
    is missing, nothing is put in.

    Raises:
        InputError: it is neither there nor can it be downloaded, or it is another file than the
            benchmark's.
    """
    known = _checksums()
    path = data_folder(data_dir) / "nab" / "data" / name
    if name in known:
        path = download(
            f"nab/data/{name}", url=f"{NAB_URL}/data/{name}", sha256=known[name], data_dir=data_dir
        )
    elif not path.exists():
        raise InputError(
            f"no file {name!r} in {path.parent.parent}; known are {listing(sorted(known))}"
        )
    labels = download(
        "nab/labels/combined_windows.json",
        url=f"{NAB_URL}/labels/combined_windows.json",
        sha256=_LABELS_SHA256,
        data_dir=data_dir,
        part=_labels_of_known_files,
    )
    frame = pd.read_csv(path)
    times = pd.DatetimeIndex(pd.to_datetime(frame["timestamp"]))
    own = json.loads(labels.read_text(encoding="utf-8")).get(name)
    if own is None:
        raise InputError(
            f"{path} is no file of the benchmark: {labels} has no labels for it; give your own files with --data"
        )
    limits = [[pd.Timestamp(at) for at in limit] for limit in own]
    windows = [tuple(int(np.flatnonzero(times == at)[0]) for at in limit) for limit in limits]
    return LabelledStream(
        name, times, frame[["value"]].to_numpy(float), ["value"], windows, season_of_rows(times)
    )


_LABELS_SHA256 = "839778d87cd0802bbda9cfd296556f6acae68d209936d24ad504810b94054ed0"


def _labels_of_known_files(content: bytes) -> bytes:
    """What the checksum of the labels is of: those of the files whose own checksums are known, in
    one spelling."""
    labels = json.loads(content)
    return json.dumps({name: labels.get(name) for name in sorted(_checksums())}).encode()


@cache
def _checksums() -> dict[str, str]:
    return json.loads(
        files("rnn_cookbook.tasks.anomaly").joinpath("nab.json").read_text(encoding="utf-8")
    )
