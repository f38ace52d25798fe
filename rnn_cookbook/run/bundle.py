"""The bundle: everything that is needed to predict from raw input, in another process, without the
training data."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from rnn_cookbook import __version__
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import write_json

__all__ = [
    "FORMAT",
    "Bundle",
    "in_full_precision",
    "load_bundle",
    "load_model",
    "register_layers",
    "save_bundle",
]

FORMAT = 1  # version of the folder's format; raised when an older library could not read it
_HALF = '"mixed_float16"'  # see `fit.set_precision`
_MESSAGE = 200  # characters that are quoted of Keras' own message


def register_layers() -> None:
    """Imports every module of `nn` and `tasks` that registers something with Keras: a `.keras` file
    names its layers, losses and optimizers, and Keras must know them before it reads the file."""
    home = Path(__file__).parents[1]
    for file in sorted([*home.glob("nn/*.py"), *home.glob("tasks/*/*.py")]):
        if "register_keras_serializable" in file.read_text(encoding="utf-8"):
            module = file.relative_to(home.parent).with_suffix("")
            importlib.import_module(".".join(module.parts))


def load_model(path: str | Path, *, compile: bool = True) -> keras.Model:
    """Loads a model of this library from its `.keras` file, in any process, in Keras' safe mode.

    Args:
        path: the file.
        compile: whether the optimizer and the loss are loaded too.

    Raises:
        ValueError: as Keras raises it, where there is no such file or it holds something else.
    """
    register_layers()
    model = keras.saving.load_model(path, compile=compile, safe_mode=True)
    assert isinstance(model, keras.Model)  # for the type checker: Keras raises for anything else
    return model


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle.

    Args:
        path: folder of the bundle.
        recipe: name of the recipe that trained it.
        config: the recipe's settings.
        facts: what the recipe learnt from the data, such as the names of the classes.
        model: trained model, in full precision.
    """

    path: Path
    recipe: str
    config: dict[str, Any]
    facts: dict[str, Any]
    model: keras.Model


def save_bundle(
    path: Path,
    *,
    recipe: str,
    config: dict[str, Any],
    facts: dict[str, Any],
    model: keras.Model,
    encoders: Sequence[Callable[[Path], None]],
) -> None:
    """Writes `model.keras`, the encoders' files and `bundle.json` with the checksums of all.

    The folder appears whole or not at all.

    Args:
        path: folder of the bundle.
        recipe: name of the recipe.
        config: the recipe's settings.
        facts: what the recipe learnt from the data, as JSON holds it.
        model: trained model.
        encoders: functions that write into the folder that they are given.

    Raises:
        InputError: it could not be written, as when the device is full.
    """
    partial = path.with_name(f".partial-{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        model.save(partial / "model.keras")
        for save in encoders:
            save(partial)
        contents = {
            "format": FORMAT,
            "recipe": recipe,
            "config": config,
            "facts": facts,
            "files": {file.name: _checksum(file) for file in sorted(partial.iterdir())},
            "versions": {"rnn_cookbook": __version__, "keras": keras.__version__},
        }
        write_json(partial / "bundle.json", contents)
        shutil.rmtree(path, ignore_errors=True)
        partial.rename(path)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise InputError(
            f"could not write the bundle {path}: {error.strerror or error}. The checkpoint is "
            "untouched: free some space, then resume",
            field="resume",
        ) from error


def load_bundle(path: str | Path) -> Bundle:
    """Loads a bundle, to answer in full precision. No code in it is run: Keras' safe mode stays on.

    Args:
        path: folder of the bundle, or the run folder that it is in.

    Raises:
        InputError: no bundle there, one of another format, or an incomplete one.
    """
    path = Path(path)
    folder = path / "model" if (path / "model" / "bundle.json").exists() else path
    contents = _contents(path, folder)
    try:
        model = load_model(folder / "model.keras", compile=False)
    except (TypeError, ValueError, OSError) as error:
        versions = ", ".join(f"{name} {each}" for name, each in contents["versions"].items())
        raise InputError(
            f"{folder} cannot be loaded by keras {keras.__version__}; it was written by "
            f"{versions}. {str(error)[:_MESSAGE]}"
        ) from error
    return Bundle(
        path=folder,
        recipe=contents["recipe"],
        config=contents["config"],
        facts=contents["facts"],
        model=in_full_precision(model),
    )


def _contents(path: Path, folder: Path) -> dict[str, Any]:
    """The checked contents of `bundle.json`."""
    file = folder / "bundle.json"
    if not file.exists():
        raise InputError(
            f"{path} holds no trained model: there is no {file.name} in it, nor in its folder "
            "model/"
        )
    try:
        contents = json.loads(file.read_text(encoding="utf-8"))
        version = contents["format"]
        checksums = contents["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} is damaged: {error!r}. Train again, or copy the bundle again from where it "
            "came"
        ) from error
    if version != FORMAT:
        writer = contents.get("versions", {}).get("rnn_cookbook", "unknown")
        raise InputError(
            f"{folder} is a bundle of format {version} (written by rnn-cookbook {writer}); this is "
            f"{__version__}, which reads format {FORMAT}"
        )
    broken = [
        name for name, checksum in checksums.items() if not _is_whole(folder / name, checksum)
    ]
    if broken:
        raise InputError(
            f"the bundle {folder} is damaged: {listing(broken)} missing, truncated or changed. "
            "Copy it again from where it came"
        )
    return contents


def in_full_precision(model: keras.Model) -> keras.Model:
    """Returns the same weights in float32 arithmetic; a model without half precision as it is.

    Half precision is for training on GPUs: elsewhere it is slow, some formats do not hold it, and
    its answers are not the same on every machine.
    """
    structure = model.to_json()
    if _HALF not in structure:
        return model
    full = keras.models.model_from_json(structure.replace(_HALF, '"float32"'))
    full.set_weights(model.get_weights())
    return full


def _is_whole(file: Path, checksum: str) -> bool:
    return file.exists() and _checksum(file) == checksum


def _checksum(file: Path) -> str:
    digest = hashlib.sha256()  # `hashlib.file_digest` is of Python 3.11
    with open(file, "rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
