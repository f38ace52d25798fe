"""The commands beside run and predict: tune, compare, copy, export."""

import dataclasses
import json
import os
import shlex
from functools import partial
from pathlib import Path

from rnn_cookbook.cli.options import (
    Parser,
    check_recordable,
    given_settings,
    recipe_parser,
    starting_point,
)
from rnn_cookbook.errors import InputError
from rnn_cookbook.quiet import quiet_tensorflow
from rnn_cookbook.recipe import load_recipe, read_config, recipe_files, trained_by


def tune(arguments: list[str]) -> int:
    module = load_recipe(arguments[0])
    name = Path(arguments[0]).stem
    parser = recipe_parser("tune", module, arguments[0])
    search = parser.add_argument_group("search options")
    search.add_argument(
        "--tuner", choices=("random", "bayesian", "hyperband", "grid"), help="how (default: random)"
    )
    search.add_argument(
        "--direction", choices=("min", "max"), help="of the objective (default: by its name)"
    )
    search.add_argument(
        "--trials",
        type=int,
        help="at most (default: 20; of hyperband and grid as many as they have)",
    )
    search.add_argument(
        "--objective", help=f"a score on validation, or val_loss (default: {module.METRIC})"
    )
    search.add_argument(
        "--max-minutes",
        type=float,
        metavar="M",
        help="no trial begins after so many (default: no end)",
    )
    search.add_argument(
        "--output", metavar="DIR", help="the search's folder (default: runs/RECIPE/tune-<time>)"
    )
    search.add_argument("--resume", action="store_true", help="go on with the search in --output")
    search.add_argument(
        "--quiet", action="store_true", help="no progress; warnings and the result stay"
    )
    options = parser.parse_args(arguments[1:])
    before = {}
    worker = "chief" not in os.environ.get(
        "KERASTUNER_TUNER_ID", "chief"
    )  # who has no search of its own
    if options.resume and not worker:
        file = Path(options.output or "") / "search.json"
        if not options.output or not file.exists():
            raise InputError(
                f"--resume goes on with a search: name its folder with --output, got {options.output or 'none'}"
            )
        before = json.loads(file.read_text(encoding="utf-8"))
    _, start = starting_point(module, name, options)
    if "config" in before and before.get("recipe") == name:
        start = read_config(module, before["config"])
    config = dataclasses.replace(start, **given_settings(module, options))
    with quiet_tensorflow():
        import tensorflow
    from rnn_cookbook.tune import search as tuning

    print(
        tuning.tune(
            module,
            arguments[0],
            config,
            tuner=options.tuner or before.get("tuner", "random"),
            trials=options.trials if options.trials is not None else before.get("trials"),
            objective=options.objective or before.get("objective", ""),
            direction=options.direction or before.get("direction", ""),
            max_minutes=options.max_minutes
            if options.max_minutes is not None
            else before.get("max_minutes", 0.0),
            output=options.output,
            resume=options.resume,
            quiet=options.quiet,
        )
    )
    return 0


def compare(arguments: list[str]) -> int:
    module = load_recipe(arguments[0])
    name = Path(arguments[0]).stem
    parser = recipe_parser(
        "compare", module, arguments[0], without=("cell", "bidirectional", "seed")
    )
    group = parser.add_argument_group("what is compared")
    group.add_argument(
        "--cells",
        default="simple_rnn,lstm,gru",
        metavar="A,B,…",
        help="cells, separated by commas (default: simple_rnn,lstm,gru)",
    )
    group.add_argument(
        "--bidirectional",
        choices=("yes", "no", "both"),
        default="as it is",
        help="directions (default: as the recipe has it)",
    )
    group.add_argument("--seeds", type=int, default=3, help="of each network (default: 3)")
    group.add_argument(
        "--output", metavar="DIR", help="the folder (default: runs/RECIPE/compare-<time>)"
    )
    group.add_argument(
        "--resume", action="store_true", help="go on with the comparison in --output"
    )
    group.add_argument(
        "--quiet", action="store_true", help="no progress; warnings and the table stay"
    )
    group.add_argument(
        "--record", action="store_true", help="record the table under recipes/results/"
    )
    options = parser.parse_args(arguments[1:])
    setting, start = starting_point(module, name, options)
    given = given_settings(module, options)
    given.pop("bidirectional", None)
    record = None
    if options.record:
        check_recordable(options, setting, given, free={"data_dir"}, does="compares within")
        command = [
            "rnn-cookbook",
            "compare",
            arguments[0],
            "--setting",
            setting,
            "--cells",
            options.cells,
            "--seeds",
            str(options.seeds),
        ]
        command += (
            ["--bidirectional", options.bidirectional]
            if options.bidirectional != "as it is"
            else []
        )
        from rnn_cookbook.run.record import record_cells

        record = partial(record_cells, module, name, data=start.data, command=shlex.join(command))
    config = dataclasses.replace(start, **given)
    with quiet_tensorflow():
        import tensorflow
    from rnn_cookbook.tune import compare as comparing

    chosen = {
        key: getattr(options, key)
        for key in ("cells", "bidirectional", "seeds", "output", "resume", "quiet")
    }
    print(comparing.compare(module, arguments[0], config, **chosen, record=record))
    return 0


def copy(arguments: list[str]) -> int:
    parser = Parser(
        prog="rnn-cookbook copy", description="A recipe as code of your own.", allow_abbrev=False
    )
    parser.add_argument("recipe", metavar="RECIPE", help="name, or path of a recipe's file")
    parser.add_argument(
        "destination", metavar="DEST", help="the folder; nothing in it is overwritten"
    )
    parser.add_argument(
        "--vendor",
        action="store_true",
        help="with the library's modules that it uses: it then runs without the library",
    )
    options = parser.parse_args(arguments)
    from rnn_cookbook.cli import copy as copying

    print(copying.copy(options.recipe, options.destination, vendor=options.vendor))
    return 0


def export(arguments: list[str]) -> int:
    parser = Parser(
        prog="rnn-cookbook export",
        description="A trained network in a format that runs without this library.",
        allow_abbrev=False,
    )
    parser.add_argument("run", metavar="RUN_DIR", help="the run's folder, or the bundle in it")
    parser.add_argument(
        "--format",
        required=True,
        choices=("saved_model", "litert", "onnx"),
        help="for TensorFlow, phones, other runtimes",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        default="",
        help="an empty folder, or a new one (default: RUN_DIR/export/FORMAT)",
    )
    parser.add_argument(
        "--length",
        type=int,
        default=0,
        help="litert: steps of an input (default: the most that the recipe reads; ten seconds of sound)",
    )
    parser.add_argument(
        "--recipe",
        metavar="FILE",
        help="the recipe file that trained it, where that is a copy of your own",
    )
    options = parser.parse_args(arguments)
    with quiet_tensorflow():
        import tensorflow
    from rnn_cookbook.export import write as exporting

    name = options.recipe or trained_by(Path(options.run)) or ""
    recipe = load_recipe(name) if options.recipe or name in recipe_files() else None
    print(
        exporting.export(
            options.run,
            form=options.format,
            recipe=recipe,
            output=options.output,
            length=options.length,
        )
    )
    return 0
