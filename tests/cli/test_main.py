"""The command line as a user meets it: every bad input gives one clear line and exit code 2, at
once where it can."""

import dataclasses
import io
import json
import subprocess
import sys
import threading

import pytest
from toys import toy_recipe

from rnn_cookbook.cli.main import main
from rnn_cookbook.data.lines import read_inputs
from rnn_cookbook.errors import InputError
from rnn_cookbook.run.answers import as_they_arrive

RUN = ["run", "sentiment", "--quiet", "--output", "out"]
RECIPES = "recipes: anomaly_detection, forecasting, ner, sentiment, speech_to_text, translation"


def command(*arguments, capsys):
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["run", "sentimental"],
            f"no recipe 'sentimental'; {RECIPES}, or the path of a recipe file",
        ),
        (["run"], f"which recipe? rnn-cookbook run RECIPE [options]; {RECIPES}"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        ([*RUN, "--epoch", "3"], "unrecognized arguments: --epoch 3"),
        (
            [*RUN, "--cell", "transformer"],
            "argument --cell: invalid choice: 'transformer' (choose from",
        ),
        ([*RUN, "--epochs", "many"], "argument --epochs: invalid int value: 'many'"),
        (
            [*RUN, "--setting", "best"],
            "no setting 'best'; sentiment has default, sample, basic, supervised",
        ),
        ([*RUN, "--data", "nowhere.csv"], "no such file or folder: nowhere.csv"),
        ([*RUN, "--data", "sample", "--epochs", "0"], "--epochs must be at least 1; received 0"),
        (
            [*RUN, "--data", "sample", "--pooling", "max+median"],
            "unknown pooling median; accepted are last, mean, max, attention",
        ),
        (
            [*RUN, "--data", "sample", "--batch-size", "0"],
            "--batch-size must be at least 1; received 0",
        ),
        (
            [*RUN, "--data", "sample", "--dropout", "1.5"],
            "--dropout must be at least 0 and below 1; received 1.5",
        ),
        (
            [*RUN, "--data", "sample", "--learning-rate", "-1"],
            "--learning-rate must be above 0; received -1.0",
        ),
        (
            [*RUN, "--data", "sample", "--validation-fraction", "1"],
            "--validation-fraction must be at least 0 and below 1; received 1.0",
        ),
        (["predict", "nowhere", "text"], "nowhere holds no trained model"),
        (
            ["predict", "nowhere", "--input", "none.txt"],
            "cannot read none.txt: No such file or directory",
        ),
        (
            ["predict", "nowhere", "text", "--input", "a.txt"],
            "as arguments or with --input, not both",
        ),
    ],
)
def test_bad_options(arguments, message, capsys):
    code, out, err = command(*arguments, capsys=capsys)
    assert code == 2
    assert message in err
    assert message in err.splitlines()[-1], "one line, after what was logged"
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "text,label\n" + "fine,good\n" * 20,
            "two classes or more; the only label in the data is 'good'",
        ),
        ("text,label\n" + "fine,good\n" * 20 + "dull,bad\n", "too few for 'bad' (1)"),
        ("text,label\nfine,good\ndull,bad\n,good\n", "1 without a text (row 4) of 3 rows"),
        (
            "text,label\n" + "<br />,good\nfine,good\ndull,bad\n" * 10,
            "10 texts have no word in them",
        ),
    ],
)
def test_bad_data(tmp_path, content, message, capsys):
    (tmp_path / "own.csv").write_text(content)
    code, _, err = command(*RUN, "--data", "own.csv", capsys=capsys)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_debug_shows_the_traceback():
    with pytest.raises(InputError, match="no such file"):
        main([*RUN, "--data", "nowhere.csv", "--debug"])


def test_an_output_folder_that_exists_is_left_alone(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/precious.txt").write_text("mine")
    code, _, err = command(*RUN, "--data", "sample", capsys=capsys)
    assert code == 2
    assert "out exists: choose another folder, or resume the run in it (--output, --resume)" in err
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["precious.txt"]


def test_a_run_that_failed_before_training_leaves_its_name_free(tmp_path, capsys):
    for _ in range(2):
        code, _, err = command(*RUN, "--data", "nowhere.csv", capsys=capsys)
        assert code == 2
        assert "no such file" in err
    assert not (tmp_path / "out").exists()


def test_resume_takes_the_settings_that_the_run_began_with(tmp_path, capsys):
    from rnn_cookbook.recipes.sentiment import Config

    code, _, err = command(*RUN, "--resume", capsys=capsys)
    assert code == 2
    assert "no config.json in out" in err
    code, _, err = command("run", "sentiment", "--resume", capsys=capsys)
    assert code == 2
    assert "no unfinished run" in err
    began = {"recipe": "sentiment", **dataclasses.asdict(Config(data="gone.csv", epochs=7))}
    (tmp_path / "out").mkdir()
    (tmp_path / "out/config.json").write_text(json.dumps(began))
    code, _, err = command(*RUN, "--resume", capsys=capsys)
    assert "no such file or folder: gone.csv" in err
    code, _, err = command(*RUN, "--resume", "--epochs", "8", capsys=capsys)
    assert code == 2
    assert "epochs was 7, now 8" in err
    (tmp_path / "out/config.json").write_text('{"recipe": "sentiment", "colour": "red"}')
    code, _, err = command(*RUN, "--resume", capsys=capsys)
    assert code == 2
    assert "is not the recipe that wrote these settings" in err
    assert "colour" in err


def test_two_processes_do_not_work_in_one_folder(tmp_path):
    from rnn_cookbook.recipes.sentiment import SAMPLE

    from rnn_cookbook.run.folder import Run

    first = Run(recipe="sentiment", config=SAMPLE, output="out", quiet=True)
    with pytest.raises(InputError, match="another process is working in out"):
        Run(recipe="sentiment", config=SAMPLE, output="out", resume=True, quiet=True)
    assert first.path.exists()


def test_an_output_below_a_file(tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    code, _, err = command(
        "run", "sentiment", "--data", "sample", "--output", "file/out", capsys=capsys
    )
    assert code == 2
    assert "Not a directory" in err
    assert err.count("\n") == 1


def test_predict_ends_quietly_when_its_reader_leaves(tmp_path):
    """`predict … | head -1` with standard input still open: no abort while the reading thread
    waits."""
    code = (
        "from rnn_cookbook.cli import main\n"
        "from rnn_cookbook.run.answers import as_they_arrive\n"
        "for batch in as_they_arrive(cli_input()): print(batch, flush=True); break\n"
    )
    script = (
        "import sys, os\n"
        "from rnn_cookbook.data.lines import read_inputs\n"
        "cli_input = lambda: read_inputs('-')\n"
        + code
        + "sys.argv = ['rnn-cookbook', 'predict']\nmain.main = lambda: 0\nmain.entry()\n"
    )
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", script], **pipes) as process:
        process.stdin.write(b"one\n")
        process.stdin.flush()
        assert process.wait(timeout=600) == 0, process.stderr.read()
        assert process.stdout.read() == b"['one']\n"


def test_no_network_and_no_data(tmp_path, capsys, monkeypatch):
    import tensorflow_datasets as tfds

    monkeypatch.setattr(
        tfds.core.DatasetBuilder,
        "download_and_prepare",
        lambda self: (_ for _ in ()).throw(ConnectionError("unreachable")),
    )
    code, _, err = command(*RUN, "--data-dir", str(tmp_path / "empty"), capsys=capsys)
    assert code == 2
    assert "'imdb_reviews' is not in" in err
    assert "Use the data 'sample', which needs no download" in err
    assert "(--data, --data-dir)" in err


def test_help_names_every_option_with_its_comment(capsys):
    with pytest.raises(SystemExit) as end:
        main(["run", "sentiment", "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    from rnn_cookbook.recipes.sentiment import Config

    for field in dataclasses.fields(Config):
        assert f"--{field.name.replace('_', '-')}" in text
    assert "maximum number of words, the most frequent ones" in " ".join(text.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list"],
        ["run", "sentiment", "--help"],
        ["run", "sentiment", "--bogus"],
        ["run", "ner", "--help"],
        ["run", "forecasting", "--help"],
        ["run", "translation", "--help"],
        ["run", "speech_to_text", "--help"],
        ["tune", "ner", "--help"],
        ["compare", "sentiment", "--help"],
        ["predict", "x", "--input", "no"],
    ],
)
def test_answers_without_tensorflow(arguments):
    lines = [
        "import sys",
        "from rnn_cookbook.cli.main import main",
        f"try: main({arguments!r})",
        "except SystemExit: pass",
    ]
    lines.append("assert not {'tensorflow', 'keras', 'pandas'} & set(sys.modules)")
    subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], check=True, capture_output=True, timeout=600
    )


def test_list_has_a_line_for_every_recipe(capsys):
    code, out, _ = command("list", capsys=capsys)
    assert code == 0
    listed = [line.split(":")[0].split() for line in out.splitlines()]
    assert listed == [
        ["anomaly_detection", "Anomaly", "detection"],
        ["forecasting", "Forecasting"],
        ["ner", "Named", "entities"],
        ["sentiment", "Sentiment"],
        ["speech_to_text", "Speech", "to", "text"],
        ["translation", "Translation"],
    ]


class TestAnswers:
    """How answers leave: lines or a table, on standard output or in a file, with the options of the
    recipe that trained the model."""

    PREDICTION = """
@dataclass(frozen=True)
class Prediction:
    times: int = 1  # how often


def predict(loaded, inputs, options):
    for given in inputs:
        for text in given:
            for i in range(options.times):
                yield {"got": text, "number": i, "more": [1, 2]}
"""
    TABLES = 'READS = "tables"'

    @pytest.fixture
    def bundle(self, tmp_path, monkeypatch):
        """A recipe that answers tables, and a bundle of it without a network."""
        import rnn_cookbook.run.bundle

        loaded = rnn_cookbook.run.bundle.Bundle(tmp_path, "mine", {"data": "toy"}, {}, None)
        monkeypatch.setattr(rnn_cookbook.run.bundle, "load_bundle", lambda path: loaded)
        (tmp_path / "mine.py").write_text(toy_recipe(self.PREDICTION, self.TABLES))
        return ["predict", "out", "--recipe", "mine.py"]

    def test_a_recipe_of_tables_has_options_of_its_own(self, bundle, capsys):
        code, out, _ = command(*bundle, "a, b", "c", "--times", "2", capsys=capsys)
        assert code == 0
        assert out.splitlines() == [
            "got,number,more",
            '"a, b",0,"[1, 2]"',
            '"a, b",1,"[1, 2]"',
            'c,0,"[1, 2]"',
            'c,1,"[1, 2]"',
        ]
        _, out, _ = command(*bundle, "--input", "one", "--format", "jsonl", capsys=capsys)
        assert json.loads(out) == {"got": "one", "number": 0, "more": [1, 2]}
        _, out, _ = command(*bundle, capsys=capsys)
        assert out == "", (
            "without a table it is the recipe's to say; nothing waits for standard input"
        )
        code, _, err = command(*bundle, "c", "--often", "2", capsys=capsys)
        assert (code, "unrecognized arguments: --often" in err) == (2, True)
        with pytest.raises(SystemExit):
            main([*bundle, "--help"])
        assert "--times INT  how often (default: 1)" in " ".join(
            capsys.readouterr().out.split()
        ).replace("--times INT how", "--times INT  how")

    def test_a_recipe_of_texts_has_options_of_its_own_too(self, bundle, tmp_path, capsys):
        (tmp_path / "mine.py").write_text(toy_recipe(self.PREDICTION))
        (tmp_path / "in.txt").write_text("a\nb\n")
        code, out, _ = command(*bundle, "--input", "in.txt", "--times", "2", capsys=capsys)
        assert code == 0
        assert [
            (answer["got"], answer["number"]) for answer in map(json.loads, out.splitlines())
        ] == [
            ("a", 0),
            ("a", 1),
            ("b", 0),
            ("b", 1),
        ]

    def test_what_was_answered_before_an_error_is_kept_beside_the_file(self, bundle, tmp_path):
        late = self.PREDICTION.replace("for i in", "1 / (text != 'b')\n            for i in")
        (tmp_path / "mine.py").write_text(toy_recipe(late, self.TABLES))
        with pytest.raises(ZeroDivisionError):
            main([*bundle, "a", "b", "--output", "answers.csv"])
        assert not (tmp_path / "answers.csv").exists()
        assert (tmp_path / "answers.csv.partial").read_text().splitlines()[1] == 'a,0,"[1, 2]"'

    def test_a_file_of_answers_appears_whole_or_not_at_all(self, bundle, tmp_path, capsys):
        code, out, _ = command(*bundle, "a", "--output", "deep/answers.csv", capsys=capsys)
        assert (code, out) == (0, "")
        assert (tmp_path / "deep/answers.csv").read_text().splitlines()[1] == 'a,0,"[1, 2]"'
        broken = self.PREDICTION.replace("in range", "in 1 / 0 * range")
        (tmp_path / "mine.py").write_text(toy_recipe(broken, self.TABLES))
        with pytest.raises(ZeroDivisionError):
            main([*bundle, "b", "--output", "deep/answers.csv"])
        assert [file.name for file in (tmp_path / "deep").iterdir()] == ["answers.csv"]
        assert (tmp_path / "deep/answers.csv").read_text().splitlines()[1] == 'a,0,"[1, 2]"'


class TestInputs:
    def test_lines_of_a_file(self, tmp_path):
        (tmp_path / "a.txt").write_bytes("one\r\n\nthrée\u2028still".encode())
        assert list(read_inputs(str(tmp_path / "a.txt"))) == ["one", "", "thrée\u2028still"]

    def test_json_lines(self, tmp_path):
        (tmp_path / "a.jsonl").write_text(
            '"plain"\n{"review": "usual", "id": 3}\n{"whatever": "only"}\n'
        )
        assert list(read_inputs(str(tmp_path / "a.jsonl"))) == ["plain", "usual", "only"]

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.txt", b"ok\nbad \xff\n", "not UTF-8: byte 0xff in row 2"),
            ("a.jsonl", b'"ok"\n{"a": 1, "b": 2}\n', "row 2: no text found; it has a, b"),
            ("a.jsonl", b"{oops\n", "row 1: "),
        ],
    )
    def test_a_bad_line_is_named_after_the_good_ones(self, tmp_path, name, content, message):
        (tmp_path / name).write_bytes(content)
        lines = read_inputs(str(tmp_path / name))
        if b"ok" in content:
            assert next(lines) == "ok"
        with pytest.raises(InputError, match=message):
            next(lines)

    def test_what_has_arrived_is_answered_before_the_end_of_the_pipe(self):
        got_first = threading.Event()

        def slow():
            yield "first"
            assert got_first.wait(timeout=120), "the first line waits for the second"
            yield "second"

        answered = []
        for batch in as_they_arrive(slow()):
            answered.append(batch)
            got_first.set()
        assert answered == [["first"], ["second"]]

    def test_an_endless_input_is_not_read_ahead(self):
        from itertools import count, islice

        drawn = []
        batches = as_they_arrive(drawn.append(i) or str(i) for i in count())
        list(islice(batches, 3))
        assert len(drawn) < 1000


def test_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\n")))
    assert list(read_inputs("-")) == ["a", "b"]
