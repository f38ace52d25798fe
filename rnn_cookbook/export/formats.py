"""The formats of an export: each has a function that writes what is served, and returns a function
that runs what was written."""

from __future__ import annotations

import importlib.util
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# LiteRT holds no variables, and TensorFlow has no public function that makes them constants.
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from rnn_cookbook.errors import InputError
from rnn_cookbook.export.served import Served
from rnn_cookbook.quiet import quiet_tensorflow

__all__ = [
    "WRITERS",
    "SignatureRunner",
    "missing_packages",
    "write_litert",
    "write_onnx",
    "write_saved_model",
]

# (name of the signature, inputs by name) -> answers by name
SignatureRunner = Callable[[str, dict[str, np.ndarray]], Mapping[str, Any]]

_NEEDS = {"litert": ("ai_edge_litert",), "onnx": ("tf2onnx", "onnxruntime")}


def missing_packages(form: str) -> list[str]:
    """Returns the names of the packages that a format needs and that are not installed."""
    needed = _NEEDS.get(form, ())
    return [name.replace("_", "-") for name in needed if not importlib.util.find_spec(name)]


@contextmanager
def _converting(name: str, *, otherwise: str) -> Iterator[None]:
    """Silences a converter, and reports what it raises, of any class, as an InputError."""
    reason = None
    with quiet_tensorflow(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
    if reason is not None:
        raise InputError(
            f"{name} cannot hold this network: {reason[:300]}. Take {otherwise}", field="format"
        )


def write_saved_model(signatures: Mapping[str, Served], folder: Path) -> SignatureRunner:
    """Writes a SavedModel with all the signatures into the folder's version "1".

    Args:
        signatures: signature name -> what is served under that name.
        folder: existing folder.

    Returns:
        A function that runs the SavedModel.
    """
    archive: Any = keras.export.ExportArchive()  # its methods depend on the backend
    for name, served in signatures.items():
        archive.track(served)
        function = tf.function(served, input_signature=served.signature, autograph=False)
        archive.add_endpoint(name, function)
    with quiet_tensorflow():
        archive.write_out(str(folder / "1"), verbose=False)
    written = tf.saved_model.load(str(folder / "1"))

    def run(name: str, inputs: dict[str, np.ndarray]) -> Mapping[str, Any]:
        tensors = {key: tf.constant(value) for key, value in inputs.items()}
        return written.signatures[name](**tensors)

    return run


def write_litert(signatures: Mapping[str, Served], folder: Path) -> SignatureRunner:
    """Writes `model.tflite`, which needs LiteRT's own operations only and takes one example of a
    fixed length at a time.

    Args:
        signatures: the single signature.
        folder: existing folder.

    Returns:
        A function that runs the file.

    Raises:
        InputError: the converter cannot convert the network.
    """
    from ai_edge_litert.interpreter import Interpreter

    (served,) = signatures.values()
    specs = [
        tf.TensorSpec([1, *spec.shape[1:]], spec.dtype, name=spec.name) for spec in served.signature
    ]
    function = tf.function(served, input_signature=specs, autograph=False).get_concrete_function()
    # From the SavedModel of the rolled network the converter makes operations of TensorFlow, or
    # loses the variables in the loops; with fixed shapes, and the weights made constants, its own
    # operations are enough.
    with quiet_tensorflow():  # it warns of each lookup table beside the network
        frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    outputs = sorted(function.structured_outputs)

    def network(*inputs):
        return dict(zip(outputs, tf.nest.flatten(frozen(*inputs)), strict=True))

    holder: Any = tf.Module()  # takes the function as a new attribute
    holder.network = tf.function(network, input_signature=specs, autograph=False)
    signature = {"serving_default": holder.network.get_concrete_function()}
    with tempfile.TemporaryDirectory() as between, _converting("LiteRT", otherwise="saved_model"):
        tf.saved_model.save(holder, between, signatures=signature)
        content = tf.lite.TFLiteConverter.from_saved_model(between).convert()
    (folder / "model.tflite").write_bytes(content)
    runner = Interpreter(model_content=content).get_signature_runner()

    def run(name: str, inputs: dict[str, np.ndarray]) -> Mapping[str, Any]:
        with quiet_tensorflow():
            return runner(**inputs)

    return run


def write_onnx(signatures: Mapping[str, Served], folder: Path) -> SignatureRunner:
    """Writes `model.onnx`.

    Args:
        signatures: the single signature, of a Keras model.
        folder: existing folder.

    Returns:
        A function that runs the file.

    Raises:
        InputError: the converter cannot convert the network.
    """
    import onnxruntime

    file = folder / "model.onnx"
    (served,) = signatures.values()
    assert served.model is not None, "only numbers go into ONNX"
    example = served.examples(1, np.random.default_rng(0))
    served(*(tf.constant(example[name]) for name in served.input_names))  # built by a call
    with _converting("ONNX", otherwise="saved_model or litert"):
        served.model.export(str(file), format="onnx", verbose=False)
        # The session refuses what tf2onnx could not convert and has only logged.
        session = onnxruntime.InferenceSession(str(file))

    def run(name: str, inputs: dict[str, np.ndarray]) -> Mapping[str, Any]:
        return dict(zip(served.outputs, session.run(None, inputs), strict=True))

    return run


WRITERS: dict[str, Callable[[Mapping[str, Served], Path], SignatureRunner]] = {
    "saved_model": write_saved_model,
    "litert": write_litert,
    "onnx": write_onnx,
}
