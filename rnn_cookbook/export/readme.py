"""What lies beside an exported network: `export.json`, a README, and the files of the bundle's
encoders."""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from rnn_cookbook import __version__
from rnn_cookbook.export.builders import builder_of, input_descriptions
from rnn_cookbook.export.check import EXAMPLES, TOLERANCE
from rnn_cookbook.export.network import ServedNetwork
from rnn_cookbook.export.served import Facts, Served
from rnn_cookbook.files import write_json, write_text
from rnn_cookbook.run.bundle import Bundle

__all__ = ["UNDESCRIBED", "Export", "write_descriptions"]

UNDESCRIBED = "as the recipe makes it"  # an input of a network that no builder of the library made
_EXAMPLE_STEPS = 20  # of the README's example, where any number will do
_ARRAYS = {"saved_model": "tf", "litert": "np", "onnx": "np"}
_RUNNING = {
    "saved_model": """import tensorflow as tf

model = tf.saved_model.load("1")
answer = model.signatures["serving_default"]({keywords})
print(answer)  # {outputs}""",
    "litert": """import numpy as np
from ai_edge_litert.interpreter import Interpreter  # pip install ai-edge-litert

network = Interpreter("model.tflite").get_signature_runner()
answer = network({keywords})
print(answer)  # {outputs}""",
    "onnx": """import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
answer = session.run(None, {{{dictionary}}})
print(answer)  # {outputs}, in this order""",
}
_SERVING = """For TensorFlow Serving this folder is the base path of the model, and `1` its version:
`tensorflow_model_server --model_name=NAME --model_base_path=/path/of/this/folder`."""
_BESIDE = """The other files in this folder make the network's inputs; `config` and `facts` in
`export.json` are the recipe's."""


@dataclass(frozen=True)
class Export:
    """What was exported, and how it was checked.

    Args:
        form: name of the format.
        signatures: signature name -> what is served under that name.
        facts: what is to be known of the network besides.
        difference: largest difference from the bundle's answers.
    """

    form: str
    signatures: Mapping[str, Served]
    facts: Facts
    difference: float


def _shapes(export: Export) -> dict[str, dict[str, Any]]:
    """Signature name -> its inputs with their shapes, and its outputs."""
    batch = 1 if export.form == "litert" else None
    shapes = {}
    for name, served in export.signatures.items():
        inputs = [
            {"name": spec.name, "type": spec.dtype.name, "shape": [batch, *spec.shape[1:]]}
            for spec in served.signature
        ]
        shapes[name] = {"inputs": inputs, "outputs": list(served.outputs)}
    return shapes


def _export_json(loaded: Bundle, export: Export) -> dict[str, Any]:
    return {
        "recipe": loaded.recipe,
        "format": export.form,
        "signatures": _shapes(export),
        "checked": {
            "examples": EXAMPLES,
            "largest_difference": export.difference,
            "tolerance": TOLERANCE,
        },
        "versions": {
            "rnn_cookbook": __version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
        },
        **export.facts.entries,
        "config": loaded.config,
        "facts": loaded.facts,
    }


def _about(model: keras.Model) -> str:
    """The paragraphs of the builder's docstring above its arguments."""
    builder = builder_of(model)
    if builder is None:
        return f"A network of the name {model.name}."
    return (inspect.getdoc(builder) or "").split("\n\nArgs:")[0]


def _table(inputs: Sequence[Mapping[str, Any]], described: Mapping[str, str] | None) -> str:
    """A table in Markdown with a row for each input; the third column are the descriptions."""
    header = ["input", "type and shape"]
    if described is not None:
        header.append("what it is")
    rows = [header, ["---"] * len(header)]
    for each in inputs:
        shape = json.dumps(each["shape"]).replace("null", "any")
        row = [f"`{each['name']}`", f"{each['type']} {shape}"]
        if described is not None:
            row.append(described.get(each["name"], UNDESCRIBED))
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _example_value(served: Served, name: str, spec: tf.TensorSpec, array: str) -> str:
    """Python code of a value for an input; the value says nothing."""
    shape = [1, *(_EXAMPLE_STEPS if size is None else size for size in spec.shape[1:])]
    if spec.dtype == tf.string:
        return "tf.constant(" + "[" * len(shape) + '"…"' + "]" * len(shape) + ")"
    # An integer component may have the one value 0.
    limited = isinstance(served, ServedNetwork) and served.values[name].counts
    made = "zeros" if limited else "ones"
    return f"{array}.{made}({shape}, {array}.{spec.dtype.name})"


def _example(served: Served, form: str) -> str:
    """Python code that runs an export."""
    values = {
        name: _example_value(served, name, spec, _ARRAYS[form])
        for name, spec in zip(served.input_names, served.signature, strict=True)
    }
    return _RUNNING[form].format(
        keywords=", ".join(f"{name}={value}" for name, value in values.items()),
        dictionary=", ".join(f'"{name}": {value}' for name, value in values.items()),
        outputs=", ".join(served.outputs),
    )


def _readme(loaded: Bundle, export: Export) -> str:
    parts = [
        f"# {loaded.recipe}, exported by rnn-cookbook {__version__}",
        f"Checked on {EXAMPLES} inputs: the answers differ from the bundle's by at most "
        f"{export.difference:.1g} (`export.json`).",
    ]
    for name, shapes in _shapes(export).items():
        served = export.signatures[name]
        several = len(export.signatures) > 1
        title = f"signature `{name}`" if several else "what goes in and what comes out"
        if isinstance(served, ServedNetwork):
            parts.append(f"## The network alone: {title}")
            parts.append(_about(served.network))
            parts.append(_table(shapes["inputs"], input_descriptions(served.network)))
            if export.facts.paragraph:
                parts.append(export.facts.paragraph)
        else:
            parts.append(f"## From raw input to the answer: {title}")
            parts.append(served.about)
            parts.append(_table(shapes["inputs"], None))
    code = _example(export.signatures["serving_default"], export.form)
    parts.append(f"## Running it\n\n```python\n{code}\n```")
    if export.form == "saved_model":
        parts.append(_SERVING)
    parts.append(_BESIDE)
    return "\n\n".join(parts) + "\n"


def write_descriptions(loaded: Bundle, export: Export, folder: Path) -> None:
    """Writes `export.json` and `README.md`, and copies the files of the bundle's encoders.

    Args:
        loaded: bundle that the export was made from.
        export: what was exported.
        folder: existing folder of the export.
    """
    for file in sorted(loaded.path.iterdir()):
        if file.is_file() and file.name not in ("model.keras", "bundle.json"):
            shutil.copy2(file, folder)
    write_json(folder / "export.json", _export_json(loaded, export))
    write_text(folder / "README.md", _readme(loaded, export))
