"""The command line: a recipe's Config is its options; bad input ends with one clear line and exit code 2."""

import argparse
import csv
import dataclasses
import io
import itertools
import json
import os
import queue
import re
import shlex
import signal
import sys
import threading
import typing
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

from rnn_cookbook import __version__
from rnn_cookbook.discovery import load_recipe, names, recipe_files
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.quiet import quiet_tensorflow

_ONE_LINE = re.compile(r"\s+")


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        return _dispatch([argument for argument in arguments if argument != "--debug"])
    except InputError as error:
        if debug:
            raise
        print(f"rnn-cookbook: {_ONE_LINE.sub(' ', str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if debug:
            raise
        advice = "; `run … --resume` goes on after the last finished epoch" if arguments[:1] == ["run"] else ""
        print(f"rnn-cookbook: interrupted{advice}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `predict … | head` closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if debug:
            raise
        print(f"rnn-cookbook: {error}", file=sys.stderr)
        return 2


def entry() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")  # JSON lines are UTF-8, on Windows too
    answering = sys.argv[1:2] in (["predict"], ["score"])
    if answering:  # a service that is stopped ends as by an error: what it learnt is kept
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if answering:
        # At once: the thread that waits for standard input would make the interpreter abort while it shuts down.
        os._exit(code)
    sys.exit(code)


def _dispatch(arguments: list[str]) -> int:
    parser = _Parser(
        prog="rnn-cookbook", description="Recurrent-network recipes for Keras 3, measured beside their baselines.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"rnn-cookbook {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    commands.add_parser("list", help="name the recipes and what they do", allow_abbrev=False)
    run = commands.add_parser(
        "run", help="train and evaluate a recipe, on its benchmark, a sample or your own files", add_help=False, allow_abbrev=False
    )
    tune = commands.add_parser("tune", help="search a recipe's settings on validation, by keras-tuner", add_help=False, allow_abbrev=False)
    compare = commands.add_parser("compare", help="LSTM or GRU? a recipe with one cell after the other", add_help=False, allow_abbrev=False)
    predict = commands.add_parser("predict", aliases=["score"], help="answer raw input with a trained model", allow_abbrev=False)
    for command in (parser, run, tune, compare):
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    # The recipe's own options are known only once the recipe is.
    for name, command, call in (("run", run, _run), ("tune", tune, _tune), ("compare", compare, _compare)):
        if arguments[:1] == [name]:
            if not arguments[1:2]:
                command.error("which recipe? " + names())
            if arguments[1] in ("-h", "--help"):
                usage = f"usage: rnn-cookbook {name} RECIPE [options]"
                print(f"{usage}\n\nThe options are the recipe's: rnn-cookbook {name} RECIPE --help\n{names()}")
                return 0
            return call(arguments[1:])
    if arguments[:1] in (["predict"], ["score"]):
        return _predict(predict, arguments[1:])
    parser.parse_args(arguments)
    return _list()


class _Parser(argparse.ArgumentParser):
    """argparse that raises InputError instead of printing its usage and leaving."""

    def error(self, message: str):
        raise InputError(f"{message} (see `{self.prog} --help`)")


# Recipes


def _list() -> int:
    import ast

    for name, file in recipe_files().items():
        summary = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").splitlines()[:1]
        print(f"{name:<20} {summary[0] if summary else ''}")
    return 0


# run


def config_parser(module: ModuleType, name: str) -> argparse.ArgumentParser:
    """The recipe's options: one for each field of its Config, with the field's trailing comment as help."""
    # argparse would take --epoch for --epochs; an option that is not exactly one of the recipe's is an error.
    parser = _recipe_parser("run", module, name)
    folder = parser.add_argument_group("run options")
    folder.add_argument("--output", metavar="DIR", help="the run's folder (default: runs/RECIPE/<time>)")
    folder.add_argument("--resume", action="store_true", help="go on with the interrupted run in --output (default: the latest one)")
    folder.add_argument("--quiet", action="store_true", help="no progress; warnings and the table at the end stay")
    folder.add_argument("--record", action="store_true", help="run --seeds seeds and record the result under recipes/results/")
    folder.add_argument("--seeds", type=int, default=3, help="how many seeds --record runs (default: 3)")
    return parser


def _recipe_parser(command: str, module: ModuleType, name: str, *, without: tuple[str, ...] = ()) -> argparse.ArgumentParser:
    """The options that a command has of the recipe, `without` some, and where its configuration starts."""
    parser = _Parser(prog=f"rnn-cookbook {command} {name}", description=(module.__doc__ or name).splitlines()[0], allow_abbrev=False)
    _add_fields(
        parser.add_argument_group("recipe options (defaults of the benchmark; --data sample has its own)"),
        module,
        "Config",
        without=without,
    )
    start = parser.add_argument_group("where to start from")
    start.add_argument("--setting", help=f"one of the recipe's settings: {', '.join(module.SETTINGS)}")
    start.add_argument("--config", metavar="FILE", help="settings as JSON: best.json of a search, config.json of a run")
    start.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _given(module: ModuleType, options: argparse.Namespace) -> dict:
    """The recipe's settings among the options."""
    fields = {field.name for field in dataclasses.fields(module.Config)}
    return {key: value for key, value in vars(options).items() if key in fields and value is not None}


def _start(module: ModuleType, name: str, options: argparse.Namespace) -> tuple[str, object]:
    """The setting that the options are on top of: its name, and its configuration."""
    if options.setting not in (None, *module.SETTINGS):
        raise InputError(f"no setting {options.setting!r}; {name} has {', '.join(module.SETTINGS)}")
    if options.config and options.setting:
        raise InputError("give --setting or --config, not both")
    if not options.config:
        setting = options.setting or ("sample" if _given(module, options).get("data") == "sample" else "default")
        return setting, module.SETTINGS[setting]
    try:
        settings = json.loads(Path(options.config).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--config {options.config} cannot be read as JSON: {error}") from error
    if not isinstance(settings, dict) or settings.pop("recipe", name) != name:
        raise InputError(f"--config {options.config} has no settings of recipe {name!r}")
    return options.config, read_config(module, settings)


def _tune(arguments: list[str]) -> int:
    module = load_recipe(arguments[0])
    name = Path(arguments[0]).stem
    parser = _recipe_parser("tune", module, arguments[0])
    search = parser.add_argument_group("search options")
    search.add_argument("--tuner", choices=("random", "bayesian", "hyperband", "grid"), help="how (default: random)")
    search.add_argument("--direction", choices=("min", "max"), help="of the objective (default: by its name)")
    search.add_argument("--trials", type=int, help="at most (default: 20; of hyperband and grid as many as they have)")
    search.add_argument("--objective", help=f"a score on validation, or val_loss (default: {module.METRIC})")
    search.add_argument("--max-minutes", type=float, metavar="M", help="no trial begins after so many (default: no end)")
    search.add_argument("--output", metavar="DIR", help="the search's folder (default: runs/RECIPE/tune-<time>)")
    search.add_argument("--resume", action="store_true", help="go on with the search in --output")
    search.add_argument("--quiet", action="store_true", help="no progress; warnings and the result stay")
    options = parser.parse_args(arguments[1:])
    before = {}
    worker = "chief" not in os.environ.get("KERASTUNER_TUNER_ID", "chief")  # who has no search of its own
    if options.resume and not worker:
        file = Path(options.output or "") / "search.json"
        if not options.output or not file.exists():
            raise InputError(f"--resume goes on with a search: name its folder with --output, got {options.output or 'none'}")
        before = json.loads(file.read_text(encoding="utf-8"))
    _, start = _start(module, name, options)
    if "config" in before and before.get("recipe") == name:
        start = read_config(module, before["config"])
    config = dataclasses.replace(start, **_given(module, options))
    with quiet_tensorflow():
        import tensorflow  # noqa: F401
    from rnn_cookbook.tuning import tune

    print(
        tune(
            module,
            arguments[0],
            config,
            tuner=options.tuner or before.get("tuner", "random"),
            trials=options.trials if options.trials is not None else before.get("trials"),
            objective=options.objective or before.get("objective", ""),
            direction=options.direction or before.get("direction", ""),
            max_minutes=options.max_minutes if options.max_minutes is not None else before.get("max_minutes", 0.0),
            output=options.output,
            resume=options.resume,
            quiet=options.quiet,
        )
    )
    return 0


def _compare(arguments: list[str]) -> int:
    module = load_recipe(arguments[0])
    name = Path(arguments[0]).stem
    parser = _recipe_parser("compare", module, arguments[0], without=("cell", "bidirectional", "seed"))
    group = parser.add_argument_group("what is compared")
    group.add_argument(
        "--cells", default="simple_rnn,lstm,gru", metavar="A,B,…", help="cells, separated by commas (default: simple_rnn,lstm,gru)"
    )
    group.add_argument(
        "--bidirectional", choices=("yes", "no", "both"), default="as it is", help="directions (default: as the recipe has it)"
    )
    group.add_argument("--seeds", type=int, default=3, help="of each network (default: 3)")
    group.add_argument("--output", metavar="DIR", help="the folder (default: runs/RECIPE/compare-<time>)")
    group.add_argument("--resume", action="store_true", help="go on with the comparison in --output")
    group.add_argument("--quiet", action="store_true", help="no progress; warnings and the table stay")
    options = parser.parse_args(arguments[1:])
    _, start = _start(module, name, options)
    given = _given(module, options)
    given.pop("bidirectional", None)
    config = dataclasses.replace(start, **given)
    with quiet_tensorflow():
        import tensorflow  # noqa: F401
    from rnn_cookbook.comparing import compare

    chosen = {key: getattr(options, key) for key in ("cells", "bidirectional", "seeds", "output", "resume", "quiet")}
    print(compare(module, arguments[0], config, **chosen))
    return 0


def _add_fields(group, module: ModuleType, name: str, *, without: tuple[str, ...] = ()) -> None:
    """An option for each field of the dataclass of that name in a recipe, `without` some."""
    # From the file: inspect.getsource would look into every loaded module, and so load the late ones, TensorFlow with them.
    source = re.split(r"\n(?=\S)", Path(module.__file__).read_text(encoding="utf-8").partition(f"class {name}")[2])[0]
    comments = dict(re.findall(r"^    (\w+): .*?  # (.*)$", source, flags=re.MULTILINE))
    kinds = typing.get_type_hints(getattr(module, name))
    for field in dataclasses.fields(getattr(module, name)):
        if field.name in without:
            continue
        option, kind, comment = f"--{field.name.replace('_', '-')}", kinds[field.name], comments.get(field.name, "")
        default = "" if field.default == "" else f" (default: {field.default})"
        details: dict = {"default": None, "dest": field.name, "help": f"{comment}{default}".replace("%", "%%")}
        if kind is bool:
            details["action"] = argparse.BooleanOptionalAction
        elif typing.get_origin(kind) is typing.Literal:
            details["choices"] = typing.get_args(kind)
        else:
            details |= {"type": kind, "metavar": kind.__name__.upper()}
        group.add_argument(option, **details)


def _run(arguments: list[str]) -> int:
    module = load_recipe(arguments[0])
    name = Path(arguments[0]).stem
    options = config_parser(module, arguments[0]).parse_args(arguments[1:])
    given = _given(module, options)
    setting, start = _start(module, name, options)
    if options.resume and options.config:
        raise InputError("--resume goes on with the settings of the run: leave --config out")
    if options.resume and not options.record:  # the run's own settings: whoever resumes need not repeat them
        from rnn_cookbook.runs import saved_settings

        start = read_config(module, saved_settings(name, options.output))
    config = dataclasses.replace(start, **given)
    with quiet_tensorflow():
        import tensorflow  # noqa: F401
    if options.record:
        changed = sorted(set(given) - {"data_dir", "baselines"} - ({"data"} if setting == "sample" else set()))
        if changed or options.config:
            raise InputError(f"--record writes setting {setting!r} as it is: leave {listing(changed) or '--config'} out")
        from rnn_cookbook import recording

        command = shlex.join(["rnn-cookbook", "run", *arguments])
        print(
            recording.record(
                module,
                name,
                config,
                seeds=options.seeds,
                setting=setting,
                command=command,
                output=options.output,
                resume=options.resume,
                quiet=options.quiet,
            )
        )
        return 0
    from rnn_cookbook.runs import Run

    run = Run(recipe=name, config=config, output=options.output, resume=options.resume, quiet=options.quiet)
    try:
        report = module.main(config, run)
    except InputError:
        run.discard_if_untrained()
        raise
    predict = ["rnn-cookbook", "predict", str(run.path), *([] if name in recipe_files() else ["--recipe", arguments[0]])]
    example = "--output answers.csv" if _reads_tables(module) else getattr(module, "INPUT", '"…"')
    print(f"\n{report}\n\nrun folder: {run.path}\npredict:    {shlex.join(predict)} {example}")
    return 0


def read_config(module: ModuleType, settings: dict):
    """The recipe's Config from a run folder or a bundle; InputError where the recipe has other fields now."""
    try:
        return module.Config(**settings)
    except TypeError as error:
        message = str(error).replace("Config.__init__() ", "")
        raise InputError(
            f"{module.__file__} is not the recipe that wrote these settings: {message}. Name that one with --recipe"
        ) from error


# predict


def _predict(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    from rnn_cookbook.data.lines import read_inputs

    recipe = _add_prediction_options(parser, arguments)
    options, unknown = parser.parse_known_intermixed_args(arguments)  # intermixed: inputs may stand after options
    if unknown:
        if not recipe:  # whose options they might be
            from rnn_cookbook.bundle import load_bundle

            load_bundle(options.run)
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if options.inputs and options.input:
        raise InputError("give inputs as arguments or with --input, not both")
    tables = _reads_tables(recipe)
    # A missing file is told before TensorFlow starts.
    inputs = iter(options.inputs) if options.inputs or tables else read_inputs(options.input or "-")
    settings = {}
    if hasattr(recipe, "Prediction"):
        fields = {field.name for field in dataclasses.fields(recipe.Prediction)}
        settings["options"] = recipe.Prediction(
            **{key: value for key, value in vars(options).items() if key in fields and value is not None}
        )
    with quiet_tensorflow():
        import tensorflow  # noqa: F401
    from rnn_cookbook.bundle import load_bundle
    from rnn_cookbook.runs import log_to_console

    loaded = load_bundle(options.run)
    if not options.recipe and loaded.recipe not in recipe_files():
        raise InputError(f"{options.run} was trained by a recipe of your own, {loaded.recipe!r}: name its file with --recipe")
    recipe = recipe or load_recipe(options.recipe or loaded.recipe)
    read_config(recipe, loaded.config)
    log_to_console()  # what is worth telling beside the answers
    form = options.format or ("csv" if tables else "jsonl")
    given = options.inputs or ([options.input] if options.input else [])
    # Closed at once, however this ends: what a recipe keeps of its streams is written then.
    with ExitStack() as stack:
        answers = recipe.predict(loaded, [given] if tables else _as_they_come(inputs), **settings)
        if hasattr(answers, "close"):
            stack.callback(answers.close)
        if options.output:
            _write_lines(Path(options.output), _lines(answers, form))
            return 0
        for line in _lines(answers, form):
            print(line, end="", flush=True)
    return 0


def _reads_tables(recipe: ModuleType | None) -> bool:
    """Whether a recipe's predictions are for tables, rather than for texts."""
    return getattr(recipe, "TABLES", False)


def _write_lines(path: Path, lines: Iterator[str]) -> None:
    """Line by line beside the file, which appears when all are there: what came before an error or a stop is not lost."""
    partial = path.with_name(f"{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    try:
        with open(partial, "w", encoding="utf-8", newline="") as file:
            for line in lines:
                file.write(line)
                file.flush()
                count += 1
    except BaseException:
        if count:
            print(f"rnn-cookbook: what was answered until then, {count} lines, is in {partial}", file=sys.stderr)
        else:
            partial.unlink(missing_ok=True)
        raise
    os.replace(partial, path)


def _add_prediction_options(parser: argparse.ArgumentParser, arguments: list[str]) -> ModuleType | None:
    """Options of every recipe's predictions, and those of the recipe that trained the run in `arguments`, if there is one to be read."""
    parser.add_argument("run", metavar="RUN_DIR", help="the run's folder, or the bundle in it")
    parser.add_argument("inputs", metavar="INPUT", nargs="*", help="raw inputs, or tables; without any, lines from --input")
    parser.add_argument(
        "--input", metavar="FILE", help="a file with one input a line (.jsonl: one object a line), or a table; - is standard input"
    )
    parser.add_argument("--recipe", metavar="FILE", help="the recipe file that trained it, where that is a copy of your own")
    parser.add_argument("--format", choices=("jsonl", "csv"), help="of the answers (default: csv of tables, else jsonl)")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    after = [value for option, value in itertools.pairwise(arguments) if option == "--recipe"]
    given = next(iter(after + [argument[9:] for argument in arguments if argument.startswith("--recipe=")]), None)
    # The run is the first argument that is one: the values of options that are not known yet may stand before it.
    name = given or next(filter(None, (_trained_by(Path(argument)) for argument in arguments if not argument.startswith("-"))), None)
    recipe = load_recipe(name) if name and (given or name in recipe_files()) else None
    if hasattr(recipe, "Prediction"):
        _add_fields(parser.add_argument_group(f"options of {Path(name).stem}"), recipe, "Prediction")
    if not hasattr(getattr(recipe, "Prediction", None), "output"):
        parser.add_argument("--output", metavar="FILE", default="", help="where the answers go (default: standard output)")
    return recipe


def _trained_by(folder: Path) -> str | None:
    """The recipe that a bundle says it was trained by; None where it cannot be read, which `load_bundle` tells."""
    for file in (folder / "model" / "bundle.json", folder / "bundle.json"):
        if file.exists():
            try:
                return str(json.loads(file.read_text(encoding="utf-8"))["recipe"])
            except (ValueError, KeyError, TypeError):
                return None
    return None


def _lines(answers: Iterator[dict], form: str) -> Iterator[str]:
    """JSON lines; or CSV, the first answer's keys as its header."""
    if form == "jsonl":
        yield from (json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers)
        return
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    for number, answer in enumerate(answers):
        if number == 0:
            columns = list(answer)
            writer.writerow(columns)
        cells = (answer.get(column, "") for column in columns)
        writer.writerow(json.dumps(cell, ensure_ascii=False) if isinstance(cell, dict | list) else cell for cell in cells)
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def _as_they_come(inputs: Iterator, limit: int = 64) -> Iterator[list]:
    """Lists of up to `limit` inputs: what has arrived by now, so that a slow pipe is answered line by line and a file in batches."""
    arrived: queue.Queue = queue.Queue(maxsize=4 * limit)
    end = object()

    def read():
        try:
            for item in inputs:
                arrived.put(item)
            arrived.put(end)
        except BaseException as error:  # handed to the thread that answers
            arrived.put(error)

    threading.Thread(target=read, daemon=True).start()
    item = None
    while item is not end:
        batch = []
        item = arrived.get()
        while item is not end and not isinstance(item, BaseException):
            batch.append(item)
            if len(batch) == limit:
                break
            try:
                item = arrived.get_nowait()
            except queue.Empty:
                break
        if batch:
            yield batch
        if isinstance(item, BaseException):
            raise item


if __name__ == "__main__":
    entry()
