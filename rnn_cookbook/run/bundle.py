"""The bundle: everything that is needed to predict from raw input, in another process, without the
training data."""

import hashlib
import importlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras

from rnn_cookbook import __version__
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import write_json

_HALF = '"mixed_float16"'  # see `training.set_precision`
FORMAT = 1  # of the folder; raised when an older library could not read it


def register_layers() -> None:
    """Imports every module of `nn` and `tasks` that registers something with Keras: a `.keras` file
    names its layers, losses and optimizers, and Keras must know them before it reads the file."""
    home = Path(__file__).parent.parent
    for file in sorted([*home.glob("nn/*.py"), *home.glob("tasks/*/*.py")]):
        if "register_keras_serializable" in file.read_text(encoding="utf-8"):
            name = ".".join(file.relative_to(home.parent).with_suffix("").parts)
            importlib.import_module(name)


def load_model(path: str | Path, *, compile: bool = True) -> keras.Model:
    """A model of this library from its `.keras` file, in any process: `keras.saving.load_model` in
    safe mode, all layers known.

    Raises:
        what Keras raises where there is no such file, or it holds something else.
    """
    register_layers()
    return keras.saving.load_model(path, compile=compile, safe_mode=True)


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle. `facts` is what the recipe learnt from the data, such as the names of the
    classes."""

    path: Path
    recipe: str
    config: dict
    facts: dict
    model: keras.Model


def save_bundle(
    path: Path,
    *,
    recipe: str,
    config: dict,
    facts: dict,
    model: keras.Model,
    encoders: list[Callable[[Path], None]],
) -> None:
    """Writes `model.keras`, what each of `encoders` writes into the folder that it is given, and
    `bundle.json` with their checksums.

    The folder appears whole or not at all.

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
        files = {file.name: _checksum(file) for file in sorted(partial.iterdir())}
        versions = {"rnn_cookbook": __version__, "keras": keras.__version__}
        write_json(
            partial / "bundle.json",
            {
                "format": FORMAT,
                "recipe": recipe,
                "config": config,
                "facts": facts,
                "files": files,
                "versions": versions,
            },
        )
        shutil.rmtree(path, ignore_errors=True)
        partial.rename(path)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise InputError(
            f"could not write the bundle {path}: {error.strerror or error}. The checkpoint is untouched: free some space, then --resume"
        ) from error


def load_bundle(path: str | Path) -> Bundle:
    """Loads a bundle from its folder, or from the run folder that it is in, to answer in full
    precision. Keras' safe mode stays on: no code in it is run.

    Raises:
        InputError: no bundle there, of another format, or incomplete.
    """
    path = Path(path)
    folder = path / "model" if (path / "model" / "bundle.json").exists() else path
    file = folder / "bundle.json"
    if not file.exists():
        raise InputError(
            f"{path} holds no trained model: there is no {file.name} in it, nor in its folder model/"
        )
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        version, files = facts["format"], facts["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} is damaged: {error!r}. Train again, or copy the bundle again from where it came"
        ) from error
    if version != FORMAT:
        made = facts.get("versions", {}).get("rnn_cookbook", "unknown")
        raise InputError(
            f"{folder} is a bundle of format {version} (written by rnn-cookbook {made}); this is {__version__}, which reads format {FORMAT}"
        )
    broken = [
        name
        for name, checksum in files.items()
        if not (folder / name).exists() or _checksum(folder / name) != checksum
    ]
    if broken:
        raise InputError(
            f"the bundle {folder} is damaged: {listing(broken)} missing, truncated or changed. Copy it again from where it came"
        )
    try:
        model = load_model(folder / "model.keras", compile=False)
    except (TypeError, ValueError, OSError) as error:
        made = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
        raise InputError(
            f"{folder} cannot be loaded by keras {keras.__version__}; it was written by {made}. {str(error)[:200]}"
        ) from error
    return Bundle(
        path=folder,
        recipe=facts["recipe"],
        config=facts["config"],
        facts=facts["facts"],
        model=in_full_precision(model),
    )


def in_full_precision(model: keras.Model) -> keras.Model:
    """The same weights in float32 arithmetic. Half precision is for training on GPUs: elsewhere it
    is slow, some formats do not hold it, and its answers are not the same on every machine. A model
    that has none of it is given back as it is."""
    structure = model.to_json()
    if _HALF not in structure:
        return model
    full = keras.models.model_from_json(structure.replace(_HALF, '"float32"'))
    full.set_weights(model.get_weights())
    return full


def _checksum(file: Path) -> str:
    with open(file, "rb") as content:
        return (
            hashlib.file_digest(content, "sha256").hexdigest()
            if hasattr(hashlib, "file_digest")
            else hashlib.sha256(content.read()).hexdigest()
        )
