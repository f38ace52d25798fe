"""Public data sets, from a folder on disk where they are, from the network where not: by TensorFlow
Datasets, or as checksummed files."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from rnn_cookbook.errors import InputError

ETTH1 = {  # two years of a transformer's load and oil temperature, hourly (Zhou et al. 2021)
    "url": "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/ETTh1.csv",
    "sha256": "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
}
_WAYS_ON = (
    "Use --data sample, which needs no download, or point --data-dir at a folder that holds it"
)


def data_folder(data_dir: str | Path | None = None) -> Path:
    """Where data sets are kept: `data_dir`, else `$RNN_COOKBOOK_DATA`, else TFDS' own
    `~/tensorflow_datasets`."""
    return Path(
        data_dir or os.environ.get("RNN_COOKBOOK_DATA") or "~/tensorflow_datasets"
    ).expanduser()


def download(
    file: str,
    *,
    url: str,
    sha256: str,
    data_dir: str | Path | None = None,
    part: Callable[[bytes], bytes] | None = None,
) -> Path:
    """Where `file` ("ett/ETTh1.csv") lies in the data folder; downloaded if it is not there yet,
    and checked in either case.

    The download shows its progress, and the file appears whole or not at all.

    Args:
        file: in the data folder.
        url: where it comes from.
        sha256: of its content, or of what `part` takes from it, where only that matters.
        data_dir: see `data_folder`.
        part: see there.

    Raises:
        InputError: the file on disk is another one, or it is not there and cannot be downloaded.
    """
    path = data_folder(data_dir) / file

    def checksum(path: Path) -> str:
        content = path.read_bytes()
        try:
            return hashlib.sha256(part(content) if part else content).hexdigest()
        except ValueError as error:  # not the format that `part` reads
            return f"none, for {error}"

    if path.exists():
        if (found := checksum(path)) != sha256:
            raise InputError(
                f"{path} is not the file of {url}: its SHA-256 is {found[:12]}…, not {sha256[:12]}…. Remove it to have it downloaded "
                "again, or give your own file with --data"
            )
        return path
    from keras.utils import get_file

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as partial:
            loaded = Path(get_file(path.name, url, cache_dir=partial, cache_subdir=""))
            if (found := checksum(loaded)) != sha256:
                raise ValueError(
                    f"what came from {url} has the SHA-256 {found[:12]}…, not {sha256[:12]}…"
                )
            os.replace(loaded, path)
    # Keras raises a bare Exception for what the network does; OSError is the disk's.
    except Exception as error:
        raise InputError(
            f"{file} is not in {data_folder(data_dir)} and could not be downloaded ({str(error)[:200]}). {_WAYS_ON}"
        ) from error
    return path


def load_tfds(
    name: str, *, splits: list[str], data_dir: str | Path | None = None
) -> list[list[dict]]:
    """Examples of a TFDS data set, split by split, as dictionaries of NumPy values in the order on
    disk.

    What lies in the data folder is read without touching the network; otherwise TFDS downloads and
    prepares it there.

    Raises:
        InputError: the data set is neither there nor can it be downloaded.
    """
    return _load_tfds(name, splits=splits, data_dir=data_dir)[0]


def load_tfds_with_names(
    name: str, *, splits: list[str], feature: str, data_dir: str | Path | None = None
) -> tuple[list[list[dict]], list[str]]:
    """As `load_tfds`, and the names of the classes of `feature`, one class or a sequence of them,
    in the order of their numbers."""
    rows, features = _load_tfds(name, splits=splits, data_dir=data_dir)
    return rows, list(getattr(features[feature], "feature", features[feature]).names)


def _load_tfds(name: str, *, splits: list[str], data_dir: str | Path | None):
    import tensorflow_datasets as tfds

    def read(builder):
        return [
            list(tfds.as_numpy(builder.as_dataset(split=split))) for split in splits
        ], builder.info.features

    return with_tfds(name, read, data_dir=data_dir)


def with_tfds(name: str, read: Callable, *, data_dir: str | Path | None = None):
    """`read(builder)` of the TFDS data set of this name, which lies in the data folder or is
    downloaded there.

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
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"data set {name!r} is not in {folder} and could not be downloaded ({type(error).__name__}: {reason[:200]}). {_WAYS_ON}"
        ) from error
