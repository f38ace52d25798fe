"""Export of a trained network to a format that runs without this library; the export is checked
against the bundle."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rnn_cookbook.errors import InputError
from rnn_cookbook.export.builders import inference_network
from rnn_cookbook.export.check import EXAMPLES, TOLERANCE, largest_difference
from rnn_cookbook.export.formats import WRITERS, missing_packages
from rnn_cookbook.export.network import ServedNetwork
from rnn_cookbook.export.readme import Export, write_descriptions
from rnn_cookbook.export.served import Facts, Served
from rnn_cookbook.recipe import Recipe, read_config
from rnn_cookbook.run.bundle import Bundle, load_bundle

__all__ = ["export"]

_BATCHES = (1, 4, 15, 30, 50)  # sizes of the checked batches; together `EXAMPLES`
_DEFAULT_LENGTH = 100  # steps that LiteRT reads, where the recipe is unknown


def _check_form(form: str, length: int) -> None:
    """Raises InputError for a format or a length that is impossible for any network."""
    if form not in WRITERS:
        raise InputError(f"no format {form!r}; accepted are {', '.join(WRITERS)}", field="format")
    if length and form != "litert":
        raise InputError(
            f"length is for litert, whose inputs have a fixed length; {form} takes any length",
            field="length",
        )
    if length < 0:
        raise InputError(f"length must be at least 1; received {length}", field="length")
    if missing := missing_packages(form):
        raise InputError(
            f"format {form} needs {' and '.join(missing)}: pip install {' '.join(missing)}",
            field="format",
        )


def _new_folder(output: str | Path, loaded: Bundle, form: str) -> Path:
    """The folder to write, which must be absent or empty."""
    folder = Path(output or loaded.path.absolute().parent / "export" / form).absolute()
    if folder == Path.cwd():
        raise InputError("output is the current folder; name a new folder", field="output")
    if folder.is_file() or (folder.exists() and any(folder.iterdir())):
        raise InputError(f"{folder} exists already; name another folder", field="output")
    return folder


def _alone(loaded: Bundle, served: Served | None, steps: int | None) -> ServedNetwork:
    network = served.network if served else inference_network(loaded.model)
    return ServedNetwork(network, steps=steps, learnt=loaded.facts)


def _signatures(form: str, served: Served | None, network: ServedNetwork) -> dict[str, Served]:
    """Signature name -> what the format can hold of it; only a SavedModel holds texts."""
    if served is None:
        return {"serving_default": network}
    if form == "saved_model":
        return {"serving_default": served, "network": network}
    return {"serving_default": served if served.model else network}


def _all_facts(served: Served | None, network: ServedNetwork) -> Facts:
    facts = network.facts()
    if served is None:
        return facts
    more = served.facts()
    return Facts(
        entries={**facts.entries, **more.entries}, paragraph=more.paragraph or facts.paragraph
    )


def _write_checked(signatures: Mapping[str, Served], form: str, folder: Path) -> float:
    """Writes the format into a folder and checks it; returns the largest difference."""
    run = WRITERS[form](signatures, folder)
    batches = [1] * EXAMPLES if form == "litert" else _BATCHES
    differences = [
        largest_difference(served, functools.partial(run, name), batches=batches)
        for name, served in signatures.items()
    ]
    difference = float(np.max(differences))  # NaN where one of them is
    if not difference <= TOLERANCE:
        raise InputError(
            f"the answers of {form} differ from the bundle's by up to {difference:.2g}; "
            f"accepted is a difference of {TOLERANCE:g}",
            field="format",
        )
    return difference


def export(
    run: str | Path,
    *,
    form: str,
    recipe: Recipe | None = None,
    output: str | Path = "",
    length: int = 0,
) -> str:
    """Writes the network of a run, and what its inputs are made with, and checks it on random
    inputs against the bundle.

    Args:
        run: folder of a run, or the bundle in it.
        form: "saved_model" (TensorFlow Serving takes the folder as it is), "litert" (LiteRT's own
            operations only, one example of a fixed length at a time) or "onnx".
        recipe: recipe that trained the run. With its `served`, the export goes from raw input to
            the answer, as far as the format can hold it.
        output: absent or empty folder; RUN/export/FORM by default.
        length: number of steps that LiteRT reads; the longest input that the recipe reads by
            default, 100 without a recipe.

    Returns:
        A report of two or three lines.

    Raises:
        InputError: no bundle, a folder in use, a missing package, a network that the format cannot
            hold, or an answer that differs from the bundle's by more than `TOLERANCE` (divided by
            the largest number in its row where that is above 1; for a forecast, by the scale of
            its series). No part of a failed export is left behind.
    """
    _check_form(form, length)
    loaded = load_bundle(run)
    if length and all(None not in tensor.shape[1:] for tensor in loaded.model.inputs):
        steps = loaded.model.inputs[0].shape[1]
        raise InputError(
            f"length has no effect here: this network reads exactly {steps} steps", field="length"
        )
    longest = _DEFAULT_LENGTH
    if recipe:
        # Also a check: another recipe than the one that trained the network would misread it.
        longest = recipe.longest_input(read_config(recipe, loaded.config))
    folder = _new_folder(output, loaded, form)
    served = recipe.served(loaded) if recipe else None
    network = _alone(loaded, served, (length or longest) if form == "litert" else None)
    signatures = _signatures(form, served, network)
    partial = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        difference = _write_checked(signatures, form, partial)
        written = Export(form, signatures, _all_facts(served, network), difference)
        write_descriptions(loaded, written, partial)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    raw = "" if signatures["serving_default"] is network else "raw "
    lines = [
        f"{folder}: as the bundle on {EXAMPLES} {raw}inputs, differing by at most {difference:.1g}",
        f"inputs and outputs are described in {folder / 'README.md'}",
    ]
    if not recipe and form == "saved_model":
        lines.append(
            f"the recipe {loaded.recipe!r} is unknown here; with the recipe's file, the export can "
            "also read raw input"
        )
    return "\n".join(lines)
