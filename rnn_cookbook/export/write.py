"""A trained network in formats that run without this library, each checked against the bundle that
it was made from."""

import functools
import importlib.util
import inspect
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2,
)  # LiteRT holds no variables

from rnn_cookbook import __version__, models
from rnn_cookbook.errors import InputError
from rnn_cookbook.export.network import ServedNetwork
from rnn_cookbook.export.served import Served
from rnn_cookbook.files import write_json, write_text
from rnn_cookbook.nn.crf import CRF
from rnn_cookbook.quiet import quiet_tensorflow
from rnn_cookbook.recipe import read_config
from rnn_cookbook.run.bundle import Bundle, load_bundle
from rnn_cookbook.tasks.forecasting.model import without_teacher
from rnn_cookbook.tasks.tagging.encode import TagEncoder

EXAMPLES = 100  # that a file has to answer as the bundle does
TOLERANCE = 1e-4
_NEEDS = {"litert": ("ai_edge_litert",), "onnx": ("tf2onnx", "onnxruntime")}
_BATCHES = (1, 4, 15, 30, 50)
_OTHER = "as the recipe makes it"
_EXAMPLE_STEPS = 20  # of the README's example, where any number will do

# What the inputs of this library's models are.
_INPUTS = {
    "tokens": "numbers of the words in the order of the vocabulary, from 2 on; 1 is any other word, 0 pads on the right",
    "characters": "numbers of the letters of each word in the order of `letters`, from 2 on; 1 is any other, 0 pads on the right",
    "features": "the spelling of each word, as `rnn_cookbook.tasks.tagging.encode.WordEncoder` counts it",
    "source": "numbers of subwords by source.model (SentencePiece); 0 pads on the right",
    "target": "numbers of the subwords so far by target.model (SentencePiece); the output at t is of the subword at t, from those before",
    "window": "the last steps, each channel less its mean and divided by its scale (series.json)",
    "covariates": "what is known of the window's steps and of those to forecast, scaled likewise",
    "sequence": "the steps of a stream, each channel less its mean and divided by its scale (`facts` in export.json); what an autoencoder "
    "reads of them is made by `rnn_cookbook.tasks.anomaly.predict.squashed`, what a forecaster reads by `point_features` beside it",
    "samples": "sound between -1 and 1 at the rate of `config` in export.json; 0 pads on the right",
    "lengths": "how many steps (of sounds: samples) of each row there are without the padding",
}


def export(
    run: str | Path,
    *,
    form: str,
    recipe: ModuleType | None = None,
    output: str | Path = "",
    length: int = 0,
) -> str:
    """Writes the network of a run and what its inputs are made with; gives what is told at the end.

    Args:
        run: a run's folder, or the bundle in it.
        form: "saved_model" (TensorFlow Serving takes the folder as it is), "litert" (LiteRT's own
            operations only, one example of a fixed length at a time) or "onnx".
        recipe: its `served(bundle)`, where it has one, is a `serving.base.Served`: what is exported
            then goes from raw input to the answer, as far as the format can hold it.
        output: a folder that is empty or not there; RUN/export/FORM by default.
        length: LiteRT's steps; by default the most that the recipe reads of a text or a stream, or
            ten seconds of sound.

    Raises:
        InputError: no bundle, a folder in use, a package that is missing, a network that the format
            cannot hold, or an answer that is more than 1e-4 from the bundle's (of the largest in
            its row, where that is above 1; of a forecast in its own units: of what is usual there).
            No part of an export is left behind.
    """
    if form not in _WRITERS:
        raise InputError(f"no format {form!r}; accepted are {', '.join(_WRITERS)}")
    if length and form != "litert":
        raise InputError(
            f"--length is of litert, whose inputs have a fixed length; {form} takes any"
        )
    if length < 0:
        raise InputError(f"--length must be at least 1, got {length}")
    if missing := [
        name.replace("_", "-")
        for name in _NEEDS.get(form, ())
        if not importlib.util.find_spec(name)
    ]:
        raise InputError(
            f"--format {form} needs {' and '.join(missing)}: pip install {' '.join(missing)}"
        )
    loaded = load_bundle(run)
    if length and all(None not in one.shape[1:] for one in loaded.model.inputs):
        raise InputError(
            f"--length has no use here: this network reads {loaded.model.inputs[0].shape[1]} steps, neither more nor less"
        )
    if recipe:
        read_config(recipe, loaded.config)  # another recipe would read it otherwise
    folder = Path(output or loaded.path.absolute().parent / "export" / form).absolute()
    if folder == Path.cwd():
        raise InputError("--output is the folder that you are in: name a new one")
    if folder.is_file() or (folder.exists() and any(folder.iterdir())):
        raise InputError(f"{folder} is there already: name another folder with --output")
    network = ServedNetwork(
        without_teacher(loaded.model),
        steps=length or _most_steps(loaded.config) if form == "litert" else None,
    )
    served = recipe.served(loaded) if hasattr(recipe, "served") else network
    if form == "saved_model":
        signatures = {
            "serving_default": served,
            **({"network": network} if served is not network else {}),
        }
    else:
        signatures = {
            "serving_default": served if served.model else network
        }  # of strings these formats hold none
    partial = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        run, batches = (
            _WRITERS[form](signatures, partial),
            [1] * EXAMPLES if form == "litert" else _BATCHES,
        )
        found = [
            _largest_difference(one, functools.partial(run, name), batches=batches)
            for name, one in signatures.items()
        ]
        difference = float(np.max(found))
        if not difference <= TOLERANCE:
            raise InputError(
                f"{form} answers otherwise than the bundle: by up to {difference:.2g}, where {TOLERANCE:g} is accepted"
            )
        _write_facts(loaded, partial, form=form, difference=difference, signatures=signatures)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    raw = "raw " if signatures["serving_default"] is not network else ""
    told = [
        f"{folder}: as the bundle on {EXAMPLES} {raw}inputs, but for {difference:.1g} at most",
        f"what goes in and what comes out: {folder / 'README.md'}",
    ]
    if not recipe and form == "saved_model":
        told.append(
            f"the recipe {loaded.recipe!r} is not known here: where it can read raw input, name its file with --recipe"
        )
    return "\n".join(told)


# One function for each format: it writes what is served, by the names of the signatures, and gives
# the function that runs what was written


def _write_saved_model(signatures: dict[str, Served], folder: Path) -> Callable:
    archive = keras.export.ExportArchive()
    for name, served in signatures.items():
        archive.track(served)
        archive.add_endpoint(
            name, tf.function(served, input_signature=served.signature, autograph=False)
        )
    with quiet_tensorflow():
        archive.write_out(str(folder / "1"), verbose=False)
    written = tf.saved_model.load(str(folder / "1"))
    return lambda name, inputs: written.signatures[name](
        **{key: tf.constant(value) for key, value in inputs.items()}
    )


def _write_litert(signatures: dict[str, Served], folder: Path) -> Callable:
    from ai_edge_litert.interpreter import Interpreter

    (served,) = signatures.values()
    specs = [
        tf.TensorSpec([1, *one.shape[1:]], one.dtype, name=one.name) for one in served.signature
    ]
    function = tf.function(served, input_signature=specs, autograph=False).get_concrete_function()
    # From the SavedModel of the rolled network the converter makes operations of TensorFlow, or
    # loses the variables in the loops; with fixed shapes, and the weights made constants, its own
    # operations are enough.
    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    holder, outputs = tf.Module(), sorted(function.structured_outputs)
    holder.network = tf.function(
        lambda *inputs: dict(zip(outputs, tf.nest.flatten(frozen(*inputs)), strict=True)),
        input_signature=specs,
        autograph=False,
    )
    with tempfile.TemporaryDirectory() as between, _converting("LiteRT", otherwise="saved_model"):
        tf.saved_model.save(
            holder, between, signatures={"serving_default": holder.network.get_concrete_function()}
        )
        content = tf.lite.TFLiteConverter.from_saved_model(between).convert()
    (folder / "model.tflite").write_bytes(content)
    runner = Interpreter(model_content=content).get_signature_runner()

    def run(name, inputs):
        with quiet_tensorflow():
            return runner(**inputs)

    return run


def _write_onnx(signatures: dict[str, Served], folder: Path) -> Callable:
    import onnxruntime

    file, (served,) = folder / "model.onnx", signatures.values()
    first = served.examples(1, np.random.default_rng(0))
    served(
        *(tf.constant(first[one.name]) for one in served.signature)
    )  # Keras exports what was called once
    with _converting("ONNX", otherwise="saved_model or litert"):
        served.model.export(str(file), format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(
            str(file)
        )  # it refuses what tf2onnx could not convert, and has only logged
    return lambda name, inputs: dict(zip(served.outputs, session.run(None, inputs), strict=True))


_WRITERS = {"saved_model": _write_saved_model, "litert": _write_litert, "onnx": _write_onnx}


@contextmanager
def _converting(name: str, *, otherwise: str) -> Iterator[None]:
    """Without the noise of converters; what they raise, of any class, is told as what the format
    cannot hold."""
    reason = None
    with quiet_tensorflow(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
    if reason is not None:
        raise InputError(f"{name} cannot hold this network: {reason[:300]}. Take {otherwise}")


def _most_steps(config: dict) -> int:
    """What a recipe reads of one example: words or subwords, steps of a stream, or ten seconds of
    sound."""
    if config.get("model") == "autoencoder":
        return config["window"]
    return config.get("max_tokens") or config.get("length") or 10 * config.get("rate", 0) or 100


# The check


def _largest_difference(
    served: Served, run: Callable[[dict], dict], *, batches: Sequence[int]
) -> float:
    """Between the numbers that both answer on examples of these batches; NaN where one of them has
    it. Raises InputError where their words differ, and not by a rounding."""
    largest, others, rng = 0.0, 0, np.random.default_rng(0)
    for size in batches:
        inputs = served.examples(size, rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = run(inputs)
        wanted = served.expected(inputs)
        if found.keys() != wanted.keys():
            raise InputError(
                f"what was exported answers with {', '.join(sorted(found))}, the bundle with {', '.join(sorted(wanted))}"
            )
        sizes = served.sizes(inputs, wanted)
        for name, right in wanted.items():
            one = np.asarray(found[name])
            if one.shape != right.shape:
                return np.inf
            if one.dtype == object:
                wrong = (one != right).reshape(size, -1).any(axis=1)
                others += int((wrong & ~served.ties(inputs, wanted)).sum()) if wrong.any() else 0
            else:
                largest = np.maximum(
                    largest, (np.abs(one.astype(np.float64) - right) / sizes[name]).max()
                )
    if others:
        raise InputError(
            f"what was exported answers {others} of {EXAMPLES} inputs in other words than the bundle"
        )
    return float(largest)


# What lies beside it


def _write_facts(
    loaded: Bundle, folder: Path, *, form: str, signatures: dict[str, Served], difference: float
) -> None:
    model, served = loaded.model, signatures["serving_default"]
    for file in sorted(loaded.path.iterdir()):
        if file.is_file() and file.name not in ("model.keras", "bundle.json"):
            shutil.copy2(file, folder)
    batch = 1 if form == "litert" else None
    shapes = {
        name: {
            "inputs": [
                {"name": spec.name, "type": spec.dtype.name, "shape": [batch, *spec.shape[1:]]}
                for spec in one.signature
            ],
            "outputs": list(one.outputs),
        }
        for name, one in signatures.items()
    }
    checked = {"examples": EXAMPLES, "largest_difference": difference, "tolerance": TOLERANCE}
    versions = {
        "rnn_cookbook": __version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }
    facts = {
        "recipe": loaded.recipe,
        "format": form,
        "signatures": shapes,
        "checked": checked,
        "versions": versions,
    }
    crf = next((layer for layer in model.layers if isinstance(layer, CRF)), None)
    if crf:
        transitions = keras.ops.convert_to_numpy(crf.transitions).astype(float).tolist()
        facts["crf"] = {
            "tags": TagEncoder(loaded.facts["types"]).tags if "types" in loaded.facts else None,
            "transitions": transitions,
        }
    write_json(folder / "export.json", {**facts, "config": loaded.config, "facts": loaded.facts})
    lines = [
        f"# {loaded.recipe}, exported by rnn-cookbook {__version__}",
        f"Checked on {EXAMPLES} inputs: the answers differ from the bundle's by {difference:.1g} at most (`export.json`).",
    ]
    for name, one in signatures.items():
        alone = isinstance(one, ServedNetwork)
        title = f"signature `{name}`" if len(signatures) > 1 else "what goes in and what comes out"
        lines += [
            f"## {'The network alone' if alone else 'From raw input to the answer'}: {title}",
            _about(model) if alone else one.about,
        ]
        lines += [
            _table(shapes[name]["inputs"], explained=alone),
            *([_PATH] if alone and crf else []),
        ]
    lines += [
        f"## Running it\n\n```python\n{_RUNNING[form].format(**_example(served, array=_ARRAYS[form]))}\n```",
        *([_SERVING] if form == "saved_model" else []),
        "The files beside this one are what the network's inputs are made with; `config` and `facts` in `export.json` are the recipe's.",
    ]
    write_text(folder / "README.md", "\n\n".join(lines) + "\n")


def _about(model: keras.Model) -> str:
    """The first paragraphs of what built it."""
    builder = getattr(models, model.name, None)
    return (
        inspect.getdoc(builder).split("\n\nArgs:")[0]
        if builder
        else f"A network of the name {model.name}."
    )


def _table(inputs: list[dict], *, explained: bool) -> str:
    """Markdown, a row an input."""
    rows = [["input", "type and shape", *(["what it is"] if explained else [])]]
    rows.append(["---"] * len(rows[0]))
    for one in inputs:
        row = [
            f"`{one['name']}`",
            f"{one['type']} {json.dumps(one['shape']).replace('null', 'any')}",
        ]
        rows.append([*row, *([_INPUTS.get(one["name"], _OTHER)] if explained else [])])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _example(served: Served, *, array: str) -> dict[str, str]:
    """A call that runs, of inputs that say nothing: as keywords, and as a dictionary; and the names
    of what comes out."""
    values = {}
    for one in served.signature:
        shape = [1, *(_EXAMPLE_STEPS if size is None else size for size in one.shape[1:])]
        text = "[" * len(shape) + '"…"' + "]" * len(shape)
        made = "zeros" if one.name == "features" else "ones"  # some have one value only
        values[one.name] = (
            f"tf.constant({text})"
            if one.dtype == tf.string
            else f"{array}.{made}({shape}, {array}.{one.dtype.name})"
        )
    return {
        "keywords": ", ".join(f"{name}={value}" for name, value in values.items()),
        "dictionary": ", ".join(f'"{name}": {value}' for name, value in values.items()),
        "outputs": ", ".join(served.outputs),
    }


_PATH = """The tags of a sentence are the path with the largest sum of outputs and transitions (Viterbi): `crf` in `export.json` has the
tags in the order of the outputs, and the transitions from the tag of the row to that of the column."""
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
