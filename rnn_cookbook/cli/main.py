"""The command line: a recipe's Config is its options; bad input ends with one clear line and exit
code 2."""

import argparse
import csv
import dataclasses
import importlib.util
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
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

from rnn_cookbook import __version__
from rnn_cookbook.cli.options import (
    Parser,
    add_fields,
    check_recordable,
    given_settings,
    recipe_parser,
    starting_point,
)
from rnn_cookbook.errors import InputError
from rnn_cookbook.quiet import quiet_tensorflow
from rnn_cookbook.recipe import load_recipe, names, read_config, recipe_files, trained_by

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
        advice = (
            "; `run … --resume` goes on after the last finished epoch"
            if arguments[:1] == ["run"]
            else ""
        )
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
        stream.reconfigure(
            encoding="utf-8", errors="replace"
        )  # JSON lines are UTF-8, on Windows too
    answering = sys.argv[1:2] in (["predict"], ["score"])
    if answering:  # a service that is stopped ends as by an error: what it learnt is kept
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if answering:
        # At once: the thread that waits for standard input would make the interpreter abort while
        # it shuts down.
        os._exit(code)
    sys.exit(code)


# Beside run and predict, which every recipe has; a recipe that was copied with the library's
# modules lacks them.
_MORE = {
    "tune": "search a recipe's settings on validation, by keras-tuner",
    "compare": "LSTM or GRU? a recipe with one cell after the other",
    "copy": "a recipe as code of your own, alone or with the library's modules that it uses",
    "export": "a trained network for TensorFlow Serving, LiteRT or ONNX, checked against the bundle",
}


def _dispatch(arguments: list[str]) -> int:
    parser = Parser(
        prog="rnn-cookbook",
        description="Recurrent-network recipes for Keras 3, measured beside their baselines.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"rnn-cookbook {__version__}")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=Parser
    )
    commands.add_parser("list", help="name the recipes and what they do", allow_abbrev=False)
    about = {
        "run": "train and evaluate a recipe, on its benchmark, a sample or your own files",
        **(_MORE if _has("cli.commands") else {}),
    }
    of_a_recipe = {
        name: commands.add_parser(name, help=text, add_help=False, allow_abbrev=False)
        for name, text in about.items()
    }
    predict = commands.add_parser(
        "predict",
        aliases=["score"],
        help="answer raw input with a trained model",
        allow_abbrev=False,
    )
    for command in (parser, *of_a_recipe.values()):
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    # The recipe's own options are known only once the recipe is.
    for name in of_a_recipe:
        if arguments[:1] == [name]:
            if not arguments[1:2] and name != "export":
                of_a_recipe[name].error("which recipe? " + names())
            if arguments[1:2] in (["-h"], ["--help"]) and name not in (
                "copy",
                "export",
            ):  # which have options of their own
                usage = f"usage: rnn-cookbook {name} RECIPE [options]"
                print(
                    f"{usage}\n\nThe options are the recipe's: rnn-cookbook {name} RECIPE --help\n{names()}"
                )
                return 0
            if name == "run":
                return _run(arguments[1:])
            from rnn_cookbook.cli import commands as more

            return getattr(more, name)(arguments[1:])
    if arguments[:1] in (["predict"], ["score"]):
        return _predict(predict, arguments[1:])
    parser.parse_args(arguments)
    return _list()


def _has(module: str) -> bool:
    """Whether this library has a module: copies have what their recipe uses."""
    return importlib.util.find_spec(f"rnn_cookbook.{module}") is not None


# Recipes


def _list() -> int:
    import ast

    for name, file in recipe_files().items():
        summary = (
            ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        ).splitlines()[:1]
        print(f"{name:<20} {summary[0] if summary else ''}")
    return 0


# run


def config_parser(module: ModuleType, name: str) -> argparse.ArgumentParser:
    """The recipe's options: one for each field of its Config, with the field's trailing comment as
    help."""
    # argparse would take --epoch for --epochs; an option that is not exactly one of the recipe's is
    # an error.
    parser = recipe_parser("run", module, name)
    folder = parser.add_argument_group("run options")
    folder.add_argument(
        "--output", metavar="DIR", help="the run's folder (default: runs/RECIPE/<time>)"
    )
    folder.add_argument(
        "--resume",
        action="store_true",
        help="go on with the interrupted run in --output (default: the latest one)",
    )
    folder.add_argument(
        "--quiet", action="store_true", help="no progress; warnings and the table at the end stay"
    )
    if _has("run.record"):
        folder.add_argument(
            "--record",
            action="store_true",
            help="run --seeds seeds and record the result under recipes/results/",
        )
        folder.add_argument(
            "--seeds", type=int, default=3, help="how many seeds --record runs (default: 3)"
        )
    parser.set_defaults(record=False)
    return parser


def _run(arguments: list[str]) -> int:
    module = load_recipe(arguments[0])
    name = Path(arguments[0]).stem
    options = config_parser(module, arguments[0]).parse_args(arguments[1:])
    given = given_settings(module, options)
    setting, start = starting_point(module, name, options)
    if options.resume and options.config:
        raise InputError("--resume goes on with the settings of the run: leave --config out")
    if (
        options.resume and not options.record
    ):  # the run's own settings: whoever resumes need not repeat them
        from rnn_cookbook.run.folder import saved_settings

        start = read_config(module, saved_settings(name, options.output))
    config = dataclasses.replace(start, **given)
    with quiet_tensorflow():
        import tensorflow
    if options.record:
        check_recordable(options, setting, given, free={"data_dir", "baselines"}, does="writes")
        from rnn_cookbook.run.record import record

        # What decides the figures; not where data and runs are on this machine, nor how often it
        # was interrupted.
        command = ["rnn-cookbook", "run", arguments[0], "--record", "--seeds", str(options.seeds)]
        command += ([] if setting == "default" else ["--setting", setting]) + (
            [] if config.baselines else ["--no-baselines"]
        )
        print(
            record(
                module,
                name,
                config,
                seeds=options.seeds,
                setting=setting,
                command=shlex.join(command),
                output=options.output,
                resume=options.resume,
                quiet=options.quiet,
            )
        )
        return 0
    from rnn_cookbook.run.folder import Run

    run = Run(
        recipe=name,
        config=config,
        output=options.output,
        resume=options.resume,
        quiet=options.quiet,
    )
    try:
        report = module.main(config, run)
    except InputError:
        run.discard_if_untrained()
        raise
    program = ["rnn-cookbook"] if _has("cli.commands") else ["python", "-m", "rnn_cookbook.cli"]
    predict = [
        *program,
        "predict",
        str(run.path),
        *([] if name in recipe_files() else ["--recipe", arguments[0]]),
    ]
    example = "--output answers.csv" if _reads_tables(module) else getattr(module, "INPUT", '"…"')
    print(f"\n{report}\n\nrun folder: {run.path}\npredict:    {shlex.join(predict)} {example}")
    return 0


# predict


def _predict(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    from rnn_cookbook.data.lines import read_inputs

    recipe = _add_prediction_options(parser, arguments)
    options, unknown = parser.parse_known_intermixed_args(
        arguments
    )  # intermixed: inputs may stand after options
    if unknown:
        if not recipe:  # whose options they might be
            from rnn_cookbook.run.bundle import load_bundle

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
            **{
                key: value
                for key, value in vars(options).items()
                if key in fields and value is not None
            }
        )
    with quiet_tensorflow():
        import tensorflow
    from rnn_cookbook.files import log_to_console
    from rnn_cookbook.run.bundle import load_bundle

    loaded = load_bundle(options.run)
    if not options.recipe and loaded.recipe not in recipe_files():
        raise InputError(
            f"{options.run} was trained by a recipe of your own, {loaded.recipe!r}: name its file with --recipe"
        )
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
    """Line by line beside the file, which appears when all are there: what came before an error or
    a stop is not lost."""
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
            print(
                f"rnn-cookbook: what was answered until then, {count} lines, is in {partial}",
                file=sys.stderr,
            )
        else:
            partial.unlink(missing_ok=True)
        raise
    os.replace(partial, path)


def _add_prediction_options(
    parser: argparse.ArgumentParser, arguments: list[str]
) -> ModuleType | None:
    """Options of every recipe's predictions, and those of the recipe that trained the run in
    `arguments`, if there is one to be read."""
    parser.add_argument("run", metavar="RUN_DIR", help="the run's folder, or the bundle in it")
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="*",
        help="raw inputs, or tables; without any, lines from --input",
    )
    parser.add_argument(
        "--input",
        metavar="FILE",
        help="a file with one input a line (.jsonl: one object a line), or a table; - is standard input",
    )
    parser.add_argument(
        "--recipe",
        metavar="FILE",
        help="the recipe file that trained it, where that is a copy of your own",
    )
    parser.add_argument(
        "--format",
        choices=("jsonl", "csv"),
        help="of the answers (default: csv of tables, else jsonl)",
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    after = [value for option, value in itertools.pairwise(arguments) if option == "--recipe"]
    given = next(
        iter(after + [argument[9:] for argument in arguments if argument.startswith("--recipe=")]),
        None,
    )
    # The run is the first argument that is one: the values of options that are not known yet may
    # stand before it.
    name = given or next(
        filter(
            None,
            (trained_by(Path(argument)) for argument in arguments if not argument.startswith("-")),
        ),
        None,
    )
    recipe = load_recipe(name) if name and (given or name in recipe_files()) else None
    if hasattr(recipe, "Prediction"):
        add_fields(parser.add_argument_group(f"options of {Path(name).stem}"), recipe, "Prediction")
    if not hasattr(getattr(recipe, "Prediction", None), "output"):
        parser.add_argument(
            "--output",
            metavar="FILE",
            default="",
            help="where the answers go (default: standard output)",
        )
    return recipe


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
        writer.writerow(
            json.dumps(cell, ensure_ascii=False) if isinstance(cell, dict | list) else cell
            for cell in cells
        )
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def _as_they_come(inputs: Iterator, limit: int = 64) -> Iterator[list]:
    """Lists of up to `limit` inputs: what has arrived by now, so that a slow pipe is answered line
    by line and a file in batches."""
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
