"""A trained network in formats that run without this library, each checked against the bundle that it was made from."""

import importlib.util
import inspect
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2  # LiteRT holds no variables

from rnn_cookbook import __version__, models
from rnn_cookbook.bundle import Bundle, load_bundle
from rnn_cookbook.crf import CRF
from rnn_cookbook.encode.tags import TagEncoder
from rnn_cookbook.encode.words import LETTERS
from rnn_cookbook.errors import InputError
from rnn_cookbook.options import read_config
from rnn_cookbook.quiet import quiet_tensorflow
from rnn_cookbook.runs import write_json, write_text

EXAMPLES = 100  # that a file has to answer as the bundle does
TOLERANCE = 1e-4
_NEEDS = {"litert": ("ai_edge_litert",), "onnx": ("tf2onnx", "onnxruntime")}
_BATCHES = (1, 4, 15, 30, 50)
_NEVER = 1e3  # outputs as large as this say what cannot be
_STEPS = 40  # the longest example, where the length is free

# What the inputs of this library's models are.
_INPUTS = {
    "tokens": "numbers of the words in the order of the vocabulary, from 2 on; 1 is any other word, 0 pads on the right",
    "characters": "numbers of the letters of each word in the order of `letters`, from 2 on; 1 is any other, 0 pads on the right",
    "features": "the spelling of each word, as `rnn_cookbook.encode.words.WordEncoder` counts it",
    "source": "numbers of subwords by source.model (SentencePiece); 0 pads on the right",
    "target": "numbers of the subwords so far by target.model (SentencePiece); the output at t is of the subword at t, from those before",
    "window": "the last steps, each channel less its mean and divided by its scale (series.json)",
    "covariates": "what is known of the window's steps and of those to forecast, scaled likewise",
    "sequence": "the steps of a stream, each channel less its mean and divided by its scale (`facts` in export.json); what an autoencoder "
    "reads of them is made by `rnn_cookbook.anomalies.squashed`, what a forecaster reads by `point_features` beside it",
    "samples": "sound between -1 and 1 at the rate of `config` in export.json; 0 pads on the right",
    "lengths": "how many steps (of sounds: samples) of each row there are without the padding",
}


def export(run: str | Path, *, form: str, recipe: ModuleType | None = None, output: str | Path = "", length: int = 0) -> str:
    """Writes the network of a run and what its inputs are made with; gives what is told at the end.

    Args:
        run: a run's folder, or the bundle in it.
        form: "saved_model" (TensorFlow Serving takes the folder as it is), "litert" (LiteRT's own operations only, one example of a fixed
            length at a time) or "onnx".
        recipe: its `reader(bundle)`, where it has one, is a Keras layer from raw texts to what the network reads, with `examples(count)`:
            a SavedModel then begins with it, and answers with one of `facts["classes"]`.
        output: a folder that is empty or not there; RUN/export/FORM by default.
        length: LiteRT's steps; by default the most that the recipe reads of a text or a stream, or ten seconds of sound.

    Raises:
        InputError: no bundle, a folder in use, a package that is missing, a network that the format cannot hold, or an answer that is
            more than 1e-4 from the bundle's (of the largest in its row, where that is above 1). No part of an export is left behind.
    """
    if form not in _WRITERS:
        raise InputError(f"no format {form!r}; accepted are {', '.join(_WRITERS)}")
    if length and form != "litert":
        raise InputError(f"--length is of litert, whose inputs have a fixed length; {form} takes any")
    if length < 0:
        raise InputError(f"--length must be at least 1, got {length}")
    if missing := [name.replace("_", "-") for name in _NEEDS.get(form, ()) if not importlib.util.find_spec(name)]:
        raise InputError(f"--format {form} needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    loaded = load_bundle(run)
    if form == "litert" and length and all(None not in spec.shape[1:] for spec in _specs(loaded.model)):
        raise InputError(f"--length has no use here: this network reads {_specs(loaded.model)[0].shape[1]} steps, neither more nor less")
    if recipe:
        read_config(recipe, loaded.config)  # another recipe would read it otherwise
    folder = Path(output or loaded.path.absolute().parent / "export" / form).absolute()
    if folder == Path.cwd():
        raise InputError("--output is the folder that you are in: name a new one")
    if folder.is_file() or (folder.exists() and any(folder.iterdir())):
        raise InputError(f"{folder} is there already: name another folder with --output")
    reader = recipe.reader(loaded) if form == "saved_model" and hasattr(recipe, "reader") else None
    steps = length or _most_steps(loaded.config) if form == "litert" else None
    partial = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        run_network = _WRITERS[form](loaded, partial, steps=steps, reader=reader)
        difference = _largest_difference(loaded.model, run_network, steps=steps)
        if reader:
            difference = float(np.maximum(difference, _of_raw_inputs(recipe, loaded, reader, run_network)))
        if not difference <= TOLERANCE:
            raise InputError(f"{form} answers otherwise than the bundle: by up to {difference:.2g}, where {TOLERANCE:g} is accepted")
        _write_facts(loaded, partial, form=form, steps=steps, difference=difference, reader=reader)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    told = [
        f"{folder}: as the bundle on {EXAMPLES} {'raw ' if reader else ''}inputs, but for {difference:.1g} at most",
        f"what goes in and what comes out: {folder / 'README.md'}",
    ]
    if not recipe and form == "saved_model":
        told.append(f"the recipe {loaded.recipe!r} is not known here: where it can read raw input, name its file with --recipe")
    return "\n".join(told)


# One function for each format: it writes the network and gives the function that runs what was written


def _write_saved_model(loaded: Bundle, folder: Path, *, steps: None, reader: keras.layers.Layer | None) -> Callable:
    model, archive = loaded.model, keras.export.ExportArchive()
    archive.track(model)
    network = "network" if reader else "serving_default"
    archive.add_endpoint(network, _by_name(model), input_signature=_specs(model))
    if reader:
        reader(tf.constant(["built by its first call"]))
        archive.track(reader)
        classes = loaded.facts["classes"]

        def answer(text):
            probabilities = tf.nn.softmax(model(reader(text), training=False))
            return {"label": tf.gather(tf.constant(classes), tf.argmax(probabilities, axis=-1)), "probabilities": probabilities}

        archive.add_endpoint("serving_default", answer, input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    with quiet_tensorflow():
        archive.write_out(str(folder / "1"), verbose=False)
    served = tf.saved_model.load(str(folder / "1"))

    def run_network(**inputs):
        signature = served.signatures["serving_default" if "text" in inputs else network]
        return signature(**{name: tf.constant(value) for name, value in inputs.items()})

    return run_network


def _write_litert(loaded: Bundle, folder: Path, *, steps: int, reader: None) -> Callable:
    from ai_edge_litert.interpreter import Interpreter

    model, specs = loaded.model, _specs(loaded.model, steps=steps)
    names = [spec.name for spec in specs]
    function = tf.function(_by_name(model), input_signature=specs, autograph=False).get_concrete_function()
    # From the SavedModel of the rolled network the converter makes operations of TensorFlow, or loses the variables in the loops; with
    # fixed shapes, and the weights made constants, its own operations are enough.
    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    holder, outputs = tf.Module(), sorted(function.structured_outputs)
    holder.network = tf.function(
        lambda *inputs: dict(zip(outputs, tf.nest.flatten(frozen(*inputs)), strict=True)), input_signature=specs, autograph=False
    )
    with tempfile.TemporaryDirectory() as between, _converting("LiteRT", otherwise="saved_model"):
        tf.saved_model.save(holder, between, signatures={"serving_default": holder.network.get_concrete_function()})
        content = tf.lite.TFLiteConverter.from_saved_model(between).convert()
    (folder / "model.tflite").write_bytes(content)
    runner = Interpreter(model_content=content).get_signature_runner()

    def run_network(**inputs):
        with quiet_tensorflow():
            return runner(**{name: inputs[name] for name in names})

    return run_network


def _write_onnx(loaded: Bundle, folder: Path, *, steps: None, reader: None) -> Callable:
    import onnxruntime

    file = folder / "model.onnx"
    _by_name(loaded.model)(*_inputs(loaded.model, 1, np.random.default_rng(0), steps=None).values())  # Keras exports what was called once
    with _converting("ONNX", otherwise="saved_model or litert"):
        loaded.model.export(str(file), format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(str(file))  # it refuses what tf2onnx could not convert, and has only logged
    return lambda **inputs: dict(enumerate(session.run(None, inputs)))


_WRITERS = {"saved_model": _write_saved_model, "litert": _write_litert, "onnx": _write_onnx}


@contextmanager
def _converting(name: str, *, otherwise: str) -> Iterator[None]:
    """Without the noise of converters; what they raise, of any class, is told as what the format cannot hold."""
    reason = None
    with quiet_tensorflow(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
    if reason is not None:
        raise InputError(f"{name} cannot hold this network: {reason[:300]}. Take {otherwise}")


def _by_name(model: keras.Model) -> Callable:
    """The network as a function of its inputs in order, with a dictionary of its outputs."""

    def network(*inputs):
        outputs = model(keras.tree.pack_sequence_as(model.input, list(inputs)), training=False)
        if isinstance(outputs, dict):
            return outputs
        found = keras.tree.flatten(outputs)
        return {"output": found[0]} if len(found) == 1 else {f"output_{number}": one for number, one in enumerate(found)}

    return network


def _specs(model: keras.Model, *, batch: int = 1, steps: int | None = None) -> list[tf.TensorSpec]:
    """Of the inputs; with `steps` of fixed shapes: so many examples of so many steps."""
    free = [batch, steps, LETTERS] if steps else [None] * 3
    return [
        tf.TensorSpec([free[axis] if size is None else size for axis, size in enumerate(one.shape)], one.dtype, name=one.name)
        for one in keras.tree.flatten(model.input)
    ]


def _most_steps(config: dict) -> int:
    """What a recipe reads of one example: words or subwords, steps of a stream, or ten seconds of sound."""
    if config.get("model") == "autoencoder":
        return config["window"]
    return config.get("max_tokens") or config.get("length") or 10 * config.get("rate", 0) or 100


# The check


def _largest_difference(model: keras.Model, run_network: Callable, *, steps: int | None) -> float:
    """Between the outputs of both on `EXAMPLES` inputs; NaN where one of them has it."""
    largest, rng = 0.0, np.random.default_rng(0)
    bundle = tf.function(_by_name(model), input_signature=_specs(model), autograph=False)
    for size in [1] * EXAMPLES if steps else _BATCHES:
        inputs = _inputs(model, size, rng, steps=steps)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = keras.tree.flatten(run_network(**inputs))
        values = [tf.constant(inputs[one.name]) for one in keras.tree.flatten(model.input)]
        wanted = keras.tree.flatten(bundle(*values))
        for one, other in zip(found, wanted, strict=True):
            one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
            largest = np.maximum(largest, _difference(one, other)) if one.shape == other.shape else np.inf
    return float(largest)


def _difference(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest one, as a share of the largest output in its row where that is above 1: float32 has so many digits, and no more. Outputs
    that say "never", such as -1e4, are compared with themselves alone."""
    size = np.abs(wanted)
    never = size >= _NEVER
    row = np.where(never, 0.0, size)
    row = row.max(axis=-1, keepdims=True) if row.ndim else row
    return float((np.abs(found - wanted) / np.where(never, size, np.maximum(row, 1.0))).max())


def _inputs(model: keras.Model, size: int, rng: np.random.Generator, *, steps: int | None) -> dict[str, np.ndarray]:
    """Random inputs of a batch: rows of any length up to the longest, padded on the right."""
    longest = steps or int(rng.integers(2, _STEPS))
    if not steps and any(one.name == "samples" for one in model.inputs):
        longest *= 200  # some frames
    lengths = rng.integers(1, longest + 1, size)
    if not steps:
        lengths[0] = longest
    numbers = min((v.shape[0] for v in model.variables if v.path.endswith("embeddings")), default=2)
    made = {}
    for spec, fixed in zip(_specs(model), _specs(model, batch=size, steps=longest), strict=True):
        shape = fixed.shape.as_list()
        if spec.name == "lengths":
            made[spec.name] = lengths.astype(np.int32)
            continue
        if spec.dtype.is_integer:
            least, above = (0, 2) if spec.name == "features" else (min(1, numbers - 1), numbers)  # some have two values only
            values = rng.integers(least, above, shape)
        elif spec.dtype == tf.bool:
            values = rng.integers(0, 2, shape)
        else:
            values = rng.normal(size=shape) * (0.1 if spec.name == "samples" else 1.0)
        if len(shape) > 1 and spec.shape[1] is None:
            inside = np.arange(longest) < lengths[:, None]
            values = values * inside.reshape(inside.shape + (1,) * (len(shape) - 2))
        made[spec.name] = values.astype(spec.dtype.as_numpy_dtype)
    return made


def _of_raw_inputs(recipe: ModuleType, loaded: Bundle, reader: keras.layers.Layer, run_network: Callable) -> float:
    """The largest difference to what `predict` answers, which rounds to five digits; infinite where a label differs."""
    texts = reader.examples(EXAMPLES, seed=0)
    found = run_network(text=texts)
    answers = [answer for answer in recipe.predict(loaded, [texts]) if "error" not in answer]
    if len(answers) < len(texts):
        raise InputError(f"the bundle has an error for {len(texts) - len(answers)} of the texts of the check")
    wanted = np.array([[answer["probabilities"][name] for name in loaded.facts["classes"]] for answer in answers])
    difference = float(np.abs(found["probabilities"].numpy() - wanted).max())
    shares = np.sort(wanted, axis=1)
    clear = shares[:, -1] - shares[:, -2] > TOLERANCE
    same = np.array([answer["label"].encode() for answer in answers]) == found["label"].numpy()
    return difference if same[clear].all() else np.inf


# What lies beside it


def _write_facts(loaded: Bundle, folder: Path, *, form: str, steps: int | None, difference: float, reader) -> None:
    model = loaded.model
    for file in sorted(loaded.path.iterdir()):
        if file.is_file() and file.name not in ("model.keras", "bundle.json"):
            shutil.copy2(file, folder)
    inputs = [
        {"name": spec.name, "type": spec.dtype.name, "shape": [*spec.shape], "is": _INPUTS.get(spec.name, "as the recipe makes it")}
        for spec in _specs(model, steps=steps)
    ]
    checked = {"examples": EXAMPLES, "largest_difference": difference, "tolerance": TOLERANCE}
    versions = {"rnn_cookbook": __version__, "keras": keras.__version__, "tensorflow": tf.__version__}
    facts = {"recipe": loaded.recipe, "format": form, "inputs": inputs, "checked": checked, "versions": versions}
    crf = next((layer for layer in model.layers if isinstance(layer, CRF)), None)
    if crf:
        transitions = keras.ops.convert_to_numpy(crf.transitions).astype(float).tolist()
        facts["crf"] = {"tags": TagEncoder(loaded.facts["types"]).tags if "types" in loaded.facts else None, "transitions": transitions}
    write_json(folder / "export.json", {**facts, "config": loaded.config, "facts": loaded.facts})
    rows = [f"| `{one['name']}` | {one['type']} {json.dumps(one['shape']).replace('null', 'any')} | {one['is']} |" for one in inputs]
    builder = getattr(models, model.name, None)
    about = inspect.getdoc(builder).split("\n\nArgs:")[0] if builder else f"A network of the name {model.name}."
    lines = [
        f"# {loaded.recipe}, exported by rnn-cookbook {__version__}",
        f"Checked on {EXAMPLES} inputs: the answers differ from the bundle's by {difference:.1g} at most (`export.json`).",
        *([_RAW.format(classes=", ".join(loaded.facts["classes"]))] if reader else []),
        f"## The network\n\n{about}",
        "\n".join(["| input | type and shape | what it is |", "|---|---|---|", *rows]),
        *([_PATH] if crf else []),
        "The files beside this one are what the inputs are made with; `config` and `facts` in `export.json` are the recipe's.",
        f"## Running it\n\n```python\n{_RUNNING[form + ('_raw' if reader else '')].format(name=inputs[0]['name'])}\n```",
        *([_SERVING] if form == "saved_model" else []),
    ]
    write_text(folder / "README.md", "\n\n".join(lines) + "\n")


_RAW = """Raw text goes in: signature `serving_default` takes `text` (strings) and gives `label` and `probabilities` (of: {classes}).
Signature `network` is the network alone, as follows."""
_PATH = """The tags of a sentence are the path with the largest sum of outputs and transitions (Viterbi): `crf` in `export.json` has the
tags in the order of the outputs, and the transitions from the tag of the row to that of the column."""
_RUNNING = {
    "saved_model_raw": 'import tensorflow as tf\n\nmodel = tf.saved_model.load("1")\n'
    'print(model.signatures["serving_default"](text=tf.constant(["a raw text"])))',
    "saved_model": 'import tensorflow as tf\n\nmodel = tf.saved_model.load("1")\nanswer = model.signatures["serving_default"]({name}=…)',
    "litert": "from ai_edge_litert.interpreter import Interpreter  # pip install ai-edge-litert\n\n"
    'network = Interpreter("model.tflite").get_signature_runner()\nanswer = network({name}=…)',
    "onnx": 'import onnxruntime\n\nsession = onnxruntime.InferenceSession("model.onnx")\nanswer = session.run(None, {{"{name}": …}})',
}
_SERVING = """For TensorFlow Serving this folder is the base path of the model, and `1` its version:
`tensorflow_model_server --model_name=NAME --model_base_path=/path/of/this/folder`."""
