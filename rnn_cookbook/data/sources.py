"""Public data sets, from a folder on disk where they are, from the network where not: by TensorFlow
Datasets, or as checksummed files."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from rnn_cookbook.errors import InputError

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

__all__ = [
    "ETTH1",
    "Download",
    "data_folder",
    "download",
    "load_tfds",
    "load_tfds_with_names",
    "with_tfds",
]

_Result = TypeVar("_Result")


class Download(TypedDict):
    """Where a file comes from, and the SHA-256 of its content."""

    url: str
    sha256: str


# Two years of a transformer's load and oil temperature, hourly (Zhou et al. 2021).
ETTH1: Download = {
    "url": "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/ETTh1.csv",
    "sha256": "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
}
_WAYS_ON = "Use the data 'sample', which needs no download, or a data folder that holds it"
_FIELDS = ("data", "data_dir")
_SHOWN = 200  # characters of a foreign error in messages


def data_folder(data_dir: str | Path | None = None) -> Path:
    """Returns the folder of data sets: `data_dir`, else `$RNN_COOKBOOK_DATA`, else TFDS'
    `~/tensorflow_datasets`."""
    folder = data_dir or os.environ.get("RNN_COOKBOOK_DATA") or "~/tensorflow_datasets"
    return Path(folder).expanduser()


def download(
    file: str,
    *,
    url: str,
    sha256: str,
    data_dir: str | Path | None = None,
    part: Callable[[bytes], bytes] | None = None,
) -> Path:
    """Returns where `file` lies in the data folder; it is downloaded if it is not there yet, and
    checked in either case.

    The download shows its progress, and the file appears whole or not at all.

    Args:
        file: path in the data folder, such as "ett/ETTh1.csv".
        url: address to download it from.
        sha256: SHA-256 of its content, or of what `part` takes from the content.
        data_dir: folder of data sets, see `data_folder`.
        part: function that takes the part of the content that matters.

    Raises:
        InputError: the file on disk has another checksum; or it is not there and cannot be
            downloaded.
    """
    path = data_folder(data_dir) / file
    if path.exists():
        checksum = _checksum(path, part)
        if checksum != sha256:
            raise InputError(
                f"{path} is not the file of {url}: its SHA-256 is {checksum[:12]}…, not "
                f"{sha256[:12]}…. Remove it to have it downloaded again, or give your own file",
                field="data",
            )
        return path
    from keras.utils import get_file

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as partial:
            loaded = Path(get_file(path.name, url, cache_dir=partial, cache_subdir=""))
            checksum = _checksum(loaded, part)
            if checksum != sha256:
                raise ValueError(
                    f"what came from {url} has the SHA-256 {checksum[:12]}…, not {sha256[:12]}…"
                )
            os.replace(loaded, path)
    # Keras raises a bare Exception for what the network does; OSError is the disk's.
    except Exception as error:
        raise InputError(
            f"{file} is not in {data_folder(data_dir)} and could not be downloaded "
            f"({str(error)[:_SHOWN]}). {_WAYS_ON}",
            field=_FIELDS,
        ) from error
    return path


def load_tfds(
    name: str, *, splits: list[str], data_dir: str | Path | None = None
) -> list[list[dict[str, Any]]]:
    """Loads a TFDS data set, split by split, as dictionaries of NumPy values in the order on disk.

    What lies in the data folder is read without touching the network; otherwise TFDS downloads and
    prepares it there.

    Args:
        name: name of the data set.
        splits: TFDS splits, such as "test[:200]".
        data_dir: folder of data sets, see `data_folder`.

    Raises:
        InputError: the data set is neither there nor can it be downloaded.
    """
    return with_tfds(name, lambda builder: _rows(builder, splits), data_dir=data_dir)


def load_tfds_with_names(
    name: str, *, splits: list[str], feature: str, data_dir: str | Path | None = None
) -> tuple[list[list[dict[str, Any]]], list[str]]:
    """Loads a TFDS data set as `load_tfds`, and the names of its classes.

    Args:
        name: name of the data set.
        splits: TFDS splits.
        feature: name of the feature whose classes are named, a class or a sequence of classes.
        data_dir: folder of data sets, see `data_folder`.

    Returns:
        The rows of each split, and the names of the classes in the order of their numbers.

    Raises:
        InputError: the data set is neither there nor can it be downloaded.
    """

    def read(builder: tfds.core.DatasetBuilder) -> tuple[list[list[dict[str, Any]]], list[str]]:
        rows = _rows(builder, splits)
        features: Any = builder.info.features
        classes = features[feature]
        return rows, list(getattr(classes, "feature", classes).names)

    return with_tfds(name, read, data_dir=data_dir)


def with_tfds(
    name: str,
    read: Callable[[tfds.core.DatasetBuilder], _Result],
    *,
    data_dir: str | Path | None = None,
) -> _Result:
    """Returns what `read` takes from a TFDS data set, which lies in the data folder or is
    downloaded there.

    Args:
        name: name of the data set.
        read: function of the data set's builder.
        data_dir: folder of data sets, see `data_folder`.

    Raises:
        InputError: the data set is neither there nor can it be downloaded.
    """
    import tensorflow_datasets as tfds

    folder = data_folder(data_dir)
    try:
        builder = tfds.builder(name, data_dir=str(folder), try_gcs=False)
        if not Path(builder.data_dir).exists():
            builder.download_and_prepare()
        return read(builder)
    # TFDS turns a missing network into a dozen exception types, by data set and host.
    except Exception as error:
        lines = str(error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        raise InputError(
            f"the data set {name!r} is not in {folder} and could not be downloaded "
            f"({type(error).__name__}: {reason[:_SHOWN]}). {_WAYS_ON}",
            field=_FIELDS,
        ) from error


def _checksum(path: Path, part: Callable[[bytes], bytes] | None) -> str:
    content = path.read_bytes()
    try:
        return hashlib.sha256(part(content) if part else content).hexdigest()
    except ValueError as error:  # not the format that `part` reads
        return f"none, for {error}"


def _rows(builder: tfds.core.DatasetBuilder, splits: list[str]) -> list[list[dict[str, Any]]]:
    import tensorflow_datasets as tfds

    read: Any = builder.as_dataset  # a decorator hides its parameters
    return [list(tfds.as_numpy(read(split=split))) for split in splits]
