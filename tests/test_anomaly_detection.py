"""The recipe of anomalies: learning itself on the sample, streams by file and line by line, bad input with one clear line."""

import csv
import io
import itertools
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import run_sample
from rnn_cookbook.recipes import anomaly_detection as recipe

from rnn_cookbook import anomalies, cli, nab
from rnn_cookbook.bundle import load_bundle
from rnn_cookbook.data.anomalies import LineStream, nab_files, read_nab, read_streams, split, usual_step
from rnn_cookbook.data.synthetic import ANOMALIES, anomalous_series
from rnn_cookbook.errors import InputError

HOURS = pd.date_range("2024-01-01", periods=400, freq="h")


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return run_sample("anomaly_detection", tmp_path_factory)


@pytest.fixture
def command(monkeypatch, capsys):
    """The command line in this process: (exit code, standard output, standard error)."""

    def call(*arguments, text: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        code = cli.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def answers(ended: tuple[int, str, str]) -> list[dict]:
    code, output, errors = ended
    assert code == 0, errors
    return list(csv.DictReader(io.StringIO(output)))


def wave(rows=400, spike=None) -> np.ndarray:
    values = np.sin(np.arange(rows) * 2 * np.pi / 24) + np.random.default_rng(0).normal(size=rows) / 20
    if spike:
        values[spike] += 6
    return values


class TestSample:
    def test_nearly_all_anomalies_are_found_and_little_else(self, sample):
        folder, ended = sample
        report = json.loads((folder / "metrics.json").read_text())
        assert report["test"]["event_f1"] >= 0.9
        assert report["test"]["event_f1"] > report["baselines"]["rolling_z"]["event_f1"] + 0.1
        assert report["test"]["event_f1"] > report["baselines"]["no_network"]["event_f1"]
        assert "event_f1" in ended.stdout

    def test_the_run_folder_holds_scores_alarms_and_a_plot(self, sample):
        folder, _ = sample
        scores = pd.read_csv(folder / "scores.csv.gz")
        assert set(scores.columns) == {"unique_id", "ds", "score", "evidence"}
        assert len(scores) == 12 * 2800
        told = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
        report = json.loads((folder / "metrics.json").read_text())
        assert len(told) == report["test"]["alarms"]
        assert sum(not each["labelled"] for each in told) == report["test"]["false_alarms"]
        assert (folder / "plots" / "anomalies.png").stat().st_size > 10_000

    def test_its_law(self):
        streams = anomalous_series(4, 2800, seed=3)
        for one in streams:
            assert len(one.windows) == len(ANOMALIES)
            assert one.windows[0][0] > 0.3 * 2800
            assert all(after - end >= 96 for (_, end), (after, _) in itertools.pairwise(one.windows))
            constant = [one.values[first : first + 24].std() for first, _ in one.windows]
            assert sum(spread < 1e-9 for spread in constant) == 1
            inside = [one.values[first : last + 1] for first, last in one.windows]
            usual = one.values[:840]
            assert sum(bool((part > usual.max() + 0.3).any() or (part < usual.min() - 0.3).any()) for part in inside) == 2
        again = anomalous_series(4, 2800, seed=3)
        np.testing.assert_array_equal(streams[2].values, again[2].values)
        with pytest.raises(InputError, match=r"1000 steps leave .*--train-fraction"):
            anomalous_series(1, 1000, seed=0)


class TestPredict:
    @pytest.fixture(scope="class")
    def lines(self):
        one = anomalous_series(2, 2800, seed=1)[1]
        return [f"{at},{value}\n" for at, value in zip(one.times, one.values[:, 0], strict=True)][:1500], one

    def test_a_stream_line_by_line_is_the_table_and_a_restart_goes_on(self, sample, lines, tmp_path, command):
        folder, _ = sample
        rows, _ = lines
        table = tmp_path / "new.csv"
        table.write_text("unique_id,ds,y\n" + "".join(f"test 1,{row}" for row in rows))
        whole = answers(command("predict", folder, table))
        assert [row["ds"] for row in whole[:2]] == ["2024-01-01 00:00:00", "2024-01-01 00:30:00"]
        state = tmp_path / "state.npz"
        parts = []
        for part in (rows[:700], rows[700:]):
            stream = ["-", "--stream", "test 1", "--state", state]
            parts += answers(command("score", folder, *stream, text="".join(part)))
        assert [row["alarm"] for row in parts] == [row["alarm"] for row in whole]
        np.testing.assert_allclose([float(row["score"]) for row in parts], [float(row["score"]) for row in whole], atol=1e-3)
        assert any(row["alarm"] == "1" for row in whole)

    def test_a_stream_that_stops_in_mid_line_keeps_what_came(self, sample, lines, tmp_path, command):
        folder, _ = sample
        rows, _ = lines
        ended = command("predict", folder, "-", "--stream", "test 1", "--state", tmp_path / "s.npz", text="".join(rows[:20]) + "2024-01")
        assert len(answers(ended)) == 20
        assert "line 21 stops in the middle" in ended[2]
        assert (tmp_path / "s.npz").exists()

    @pytest.mark.parametrize(
        ("arguments", "text", "message"),
        [
            (["-"], "a,1\n", "which stream is it that goes on?"),
            (["-", "--stream", "test 1"], "time,value\na,1\na,b\n", "line 3, 'a,b', has could not convert"),
            (["-", "--stream", "test 1"], "a,1,2\n", "line 1, 'a,1,2', has 3 fields"),
            (["-", "--stream", "test 1"], "a,inf\n", "infinite value"),
            (["none.csv"], "", "none.csv"),
            (["--threshold", "-1"], "", "threshold"),
        ],
    )
    def test_bad_input(self, sample, arguments, text, message, command):
        code, _, told = command("predict", sample[0], *arguments, text=text)
        assert code == 2
        assert message in told
        assert "Traceback" not in told

    def test_a_saved_state_of_other_streams_is_refused(self, sample, tmp_path, command):
        (tmp_path / "s.npz").write_bytes(b"nothing")
        code, _, told = command("predict", sample[0], "-", "--stream", "test 1", "--state", tmp_path / "s.npz", text="a,1\n")
        assert code == 2
        assert "no saved state" in told

    def test_streams_that_training_did_not_see_are_scaled_by_their_own_beginning(self, sample, messages):
        loaded = load_bundle(sample[0])
        one = replace(anomalous_series(1, 2800, seed=5)[0], name="new")
        big = replace(one, values=one.values * 1e6)
        found = []
        for stream in (one, big):
            scaler = anomalies.scale_of(stream, loaded.facts["scale"], first=0.3)
            data = recipe.Data([stream], {}, scaler, [48])
            scoring = recipe.detector(recipe.Config(**loaded.config), data, [0], loaded.model)
            found.append([row["score"] for row in anomalies.rows(scoring, stream, threshold=5.0)])
        np.testing.assert_allclose(*found, atol=0.02)
        assert "'new', which training did not see, is scaled by its first 840 rows" in messages.text


class TestOwnStreams:
    def run(self, tmp_path, frame, **options) -> dict:
        path = tmp_path / "own.csv"
        frame.to_csv(path, index=False)
        return read_streams(path, **options)

    def test_flags_and_windows_are_the_same_labels(self, tmp_path):
        frame = pd.DataFrame({"time": HOURS, "value": wave()})
        flags = np.zeros(400, int)
        flags[300:310] = flags[350] = 1
        (by_flags,) = self.run(tmp_path, frame.assign(is_anomaly=flags))
        limits = pd.DataFrame({"start": HOURS[[300, 350]], "end": HOURS[[309, 350]]})
        limits.to_csv(tmp_path / "labels.csv", index=False)
        (by_windows,) = self.run(tmp_path, frame, labels=tmp_path / "labels.csv")
        assert by_flags.windows == by_windows.windows == [(300, 309), (350, 350)]
        assert by_flags.channels == ["value"]
        assert by_flags.season == 24
        (without,) = self.run(tmp_path, frame)
        assert without.windows == []

    def test_gaps_stay_missing_and_are_told(self, tmp_path, messages):
        frame = pd.DataFrame({"time": HOURS, "value": wave()}).drop(range(100, 110))
        frame.loc[50:53, "value"] = np.nan
        (one,) = self.run(tmp_path, frame)
        assert np.isnan(one.values[:, 0]).nonzero()[0].tolist() == [50, 51, 52, 53, *range(100, 110)]
        assert "no value for 14 steps" in messages.text

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ({"start": ["2025-01-01"], "end": ["2025-01-02"]}, "row 2: 2025-01-01 00:00:00 to 2025-01-02 00:00:00 lies outside"),
            ({"start": ["2024-01-03"], "end": ["2024-01-02"]}, "no time from start to end"),
            ({"start": ["soon"], "end": ["2024-01-02"]}, "'soon' to '2024-01-02' is no time"),
            ({"start": ["2024-01-02", "2024-01-03"], "end": ["2024-01-04", "2024-01-05"]}, "overlap at 2024-01-03"),
            ({"from": ["2024-01-02"]}, "needs columns start and end"),
        ],
    )
    def test_bad_labels(self, tmp_path, labels, message):
        pd.DataFrame(labels).to_csv(tmp_path / "labels.csv", index=False)
        with pytest.raises(InputError, match=message):
            self.run(tmp_path, pd.DataFrame({"time": HOURS, "value": wave()}), labels=tmp_path / "labels.csv")

    def test_a_new_table_needs_no_labels(self, tmp_path):
        frame = pd.DataFrame({"time": HOURS, "value": wave()})
        (one,) = self.run(tmp_path, frame, label_column="is bad", new=True)
        assert one.windows == []
        (one,) = self.run(tmp_path, frame.assign(**{'is "bad"': 0}), label_column='is "bad"', new=True)
        assert one.channels == ["value"]

    def test_labels_twice(self, tmp_path):
        with pytest.raises(InputError, match="leave one of them out"):
            self.run(tmp_path, pd.DataFrame({"time": HOURS, "value": wave(), "label": 0}), labels="labels.csv")

    def test_duplicate_time_stamps_are_refused(self, tmp_path):
        frame = pd.DataFrame({"time": HOURS, "value": wave()})
        with pytest.raises(InputError, match="occurs more than once"):
            self.run(tmp_path, pd.concat([frame, frame[7:9]]))

    def test_splits_by_time_and_by_stream(self):
        streams = anomalous_series(2, 2800, seed=0)
        borders = [(800, 1000), (900, 1100)]
        assert split(streams, borders)["validation"] == borders
        spans = split(streams, borders, validating="validation", testing="test")
        assert spans == {"train": [(0, 800), (0, 900)], "validation": [(800, 2800), (900, 900)], "test": [(800, 800), (900, 2800)]}

    @pytest.mark.slow
    def test_own_tables_run_with_labels_and_without(self, tmp_path, command):
        values = wave(1200, spike=[700, 1000])
        frame = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=1200, freq="h"), "load": values, "heat": wave(1200)})
        for name, labelled in (("with", True), ("without", False)):
            flags = np.isin(np.arange(1200), [700, 701, 1000, 1001]).astype(int)
            frame.assign(**({"label": flags} if labelled else {})).to_csv(tmp_path / f"{name}.csv", index=False)
            options = ["--data", tmp_path / f"{name}.csv", "--output", tmp_path / name, "--epochs", "2"]
            # The echo of a spike one season later would silence the next one for a default rest.
            options += ["--model", "autoencoder", "--rest", "24"] if labelled else []
            code, output, told = command("run", "anomaly_detection", *options)
            assert code == 0, told
            report = json.loads((tmp_path / name / "metrics.json").read_text())
            assert ("event_recall" in report["test"]) == labelled
            if labelled:
                assert report["test"]["event_recall"] == 1
            else:
                assert "no labels say which are right" in output

    @pytest.mark.parametrize(
        ("rows", "options", "message"),
        [
            (300, [], "the most rows to train on are 90; 194 or more are needed"),
            (300, ["--length", "20"], "the stream has 300 rows, 90 of them with values to train on"),
            (400, ["--train-fraction", "0.8", "--validation-fraction", "0.3"], "must leave something"),
            (400, ["--alarms-per-week", "0"], "alarms-per-week"),
        ],
    )
    def test_bad_settings(self, tmp_path, rows, options, message, command):
        pd.DataFrame({"time": HOURS[:rows], "value": wave(rows)}).to_csv(tmp_path / "own.csv", index=False)
        code, _, told = command("run", "anomaly_detection", "--data", tmp_path / "own.csv", "--output", tmp_path / "run", *options)
        assert code == 2
        assert message in told
        assert not (tmp_path / "run").exists()


def test_lines_with_a_header_and_missing_values():
    rows = list(LineStream(["a", "b"], lines=["time,a,b\n", "1,2,3\n", "\n", "2,,nan\n"]).parts())
    assert [times for times, _ in rows] == [["1"], ["2"]]
    assert rows[0][1].tolist() == [[2, 3]]
    assert np.isnan(rows[1][1]).all()


def test_the_benchmark_has_its_files_its_labels_and_its_probation(data_dir):
    names = nab_files(data_dir)
    streams = [read_nab(name, data_dir=data_dir) for name in names]
    assert (len(names), sum(len(one.windows) for one in streams)) == (35, 55)
    taxi = streams[names.index("realKnownCause/nyc_taxi.csv")]
    assert (len(taxi), taxi.season, str(usual_step(taxi.times))) == (10_320, 48, "0 days 00:30:00")
    data = recipe.load_data(recipe.Config(data_dir=str(data_dir)))
    assert data.spans["test"][names.index(taxi.name)] == (nab.probation(10_320), 10_320) == (750, 10_320)
    assert sum(end > first for first, end in data.spans["validation"]) == 11  # the artificial ones


def test_the_benchmark_is_downloaded_and_checked(tmp_path, monkeypatch):
    monkeypatch.setattr("rnn_cookbook.data.anomalies.NAB_URL", (tmp_path / "none").as_uri())
    with pytest.raises(InputError, match="could not be downloaded"):
        read_nab("realKnownCause/nyc_taxi.csv", data_dir=tmp_path)
    changed = tmp_path / "nab" / "data" / "realKnownCause" / "nyc_taxi.csv"
    changed.parent.mkdir(parents=True, exist_ok=True)
    changed.write_text("timestamp,value\n2014-07-01,1\n")
    with pytest.raises(InputError, match="is not the file of"):
        read_nab("realKnownCause/nyc_taxi.csv", data_dir=tmp_path)
    with pytest.raises(InputError, match=r"no file 'a/b\.csv'"):
        read_nab("a/b.csv", data_dir=tmp_path)
