"""The recipe of anomalies: learning itself on the sample, streams by file and line by line, bad
input with one clear line."""

import csv
import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import run_sample
from rnn_cookbook.recipes import anomaly_detection as recipe

from rnn_cookbook.cli.main import main
from rnn_cookbook.encode.series import SeriesScaler
from rnn_cookbook.errors import InputError
from rnn_cookbook.run.bundle import load_bundle
from rnn_cookbook.tasks.anomaly import live as scoring
from rnn_cookbook.tasks.anomaly.data import (
    LabelledStream,
    matching,
    read_streams,
    split,
    steps_between,
    usual_step,
)
from rnn_cookbook.tasks.anomaly.lines import LineStream
from rnn_cookbook.tasks.anomaly.live import Memory, read_states, terms_of, write_states
from rnn_cookbook.tasks.anomaly.nab import PROFILES, probation
from rnn_cookbook.tasks.anomaly.nab_corpus import nab_files, read_nab
from rnn_cookbook.tasks.anomaly.sample import ANOMALIES, anomalous_series

ROOT = Path(__file__).parents[3]
HOURS = pd.date_range("2024-01-01", periods=400, freq="h")


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return run_sample("anomaly_detection", tmp_path_factory)


@pytest.fixture
def command(monkeypatch, capsys):
    """The command line in this process: (exit code, standard output, standard error)."""

    def call(*arguments, text: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def answers(ended: tuple[int, str, str]) -> list[dict]:
    code, output, errors = ended
    assert code == 0, errors
    return list(csv.DictReader(io.StringIO(output)))


def wave(rows=400, spike=None) -> np.ndarray:
    values = (
        np.sin(np.arange(rows) * 2 * np.pi / 24) + np.random.default_rng(0).normal(size=rows) / 20
    )
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
        assert (
            report["baselines"]["no_network"]["pr_auc"] > 0.5
        )  # row by row it is measured like the model, before the rest
        assert "event_f1" in ended.stdout

    def test_the_run_folder_holds_scores_alarms_and_a_plot(self, sample):
        folder, _ = sample
        scores = pd.read_csv(folder / "scores.csv.gz")
        assert set(scores.columns) == {"unique_id", "ds", "score", "evidence"}
        assert len(scores) == 12 * 2800
        told = [
            json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()
        ]
        report = json.loads((folder / "metrics.json").read_text())
        assert len(told) == report["test"]["alarms"]
        assert sum(not each["labelled"] for each in told) == report["test"]["false_alarms"]
        assert (folder / "plots" / "anomalies.png").stat().st_size > 10_000

    def test_its_law(self):
        streams = anomalous_series(4, 2800, seed=3)
        for one in streams:
            assert len(one.windows) == len(ANOMALIES)
            assert one.windows[0][0] > 0.3 * 2800
            assert all(
                after - end >= 96 for (_, end), (after, _) in itertools.pairwise(one.windows)
            )
            constant = [one.values[first : first + 24].std() for first, _ in one.windows]
            assert sum(spread < 1e-9 for spread in constant) == 1
            inside = [one.values[first : last + 1] for first, last in one.windows]
            usual = one.values[:840]
            assert (
                sum(
                    bool((part > usual.max() + 0.3).any() or (part < usual.min() - 0.3).any())
                    for part in inside
                )
                == 2
            )
        again = anomalous_series(4, 2800, seed=3)
        np.testing.assert_array_equal(streams[2].values, again[2].values)
        with pytest.raises(InputError, match=r"1000 steps leave .*--train-fraction"):
            anomalous_series(1, 1000, seed=0)


class TestPredict:
    @pytest.fixture(scope="class")
    def lines(self):
        one = anomalous_series(2, 2800, seed=1)[1]
        return [f"{at},{value}\n" for at, value in zip(one.times, one.values[:, 0], strict=True)][
            :1500
        ], one

    def table(self, rows, tmp_path):
        table = tmp_path / "new.csv"
        table.write_text("unique_id,ds,y\n" + "".join(f"test 1,{row}" for row in rows))
        return table

    @pytest.mark.slow
    def test_a_stream_line_by_line_is_the_table_and_a_restart_goes_on(
        self, sample, lines, tmp_path, command
    ):
        folder, _ = sample
        rows, _ = lines
        rows = rows[:300] + rows[304:]  # a gap
        whole = [
            row
            for row in answers(command("predict", folder, self.table(rows, tmp_path)))
            if row["expected value"] or row["score"]
        ]
        assert [row["ds"] for row in whole[:2]] == ["2024-01-01 00:00:00", "2024-01-01 00:30:00"]
        state = tmp_path / "state.npz"
        parts = []
        for part in (rows[:700], rows[650:]):  # rows that were given before do not count twice
            stream = ["-", "--stream", "test 1", "--fresh", "--state", state]
            ended = command("score", folder, *stream, text="".join(part))
            parts += answers(ended)
        assert "50 rows were left out" in ended[2]
        by_time = {row["ds"]: row for row in whole}
        assert len(parts) == len(rows)
        same = [by_time[row["ds"]] for row in parts]
        assert [row["alarm"] for row in parts] == [row["alarm"] for row in same]
        np.testing.assert_allclose(
            [float(row["score"]) for row in parts], [float(row["score"]) for row in same], atol=1e-3
        )
        assert any(row["alarm"] == "1" for row in same)

    def test_what_training_learnt_goes_on_where_the_data_ended(self, sample, tmp_path, command):
        """The run has scored all of the stream: another day of it is scored by what it was, not
        from nothing."""
        folder, _ = sample
        one = anomalous_series(12, 2800, seed=0, clean=0.4)[1]
        assert one.name == "test 1"
        times = pd.date_range(one.times[-1], periods=49, freq="30min")[1:]
        values = one.values[-48:, 0].copy()  # as the day before it
        values[20] += 100
        rows = [f"{at},{value}\n" for at, value in zip(times, values, strict=True)]
        for arguments, text in (
            (["-", "--stream", "test 1"], "".join(rows)),
            ([self.table(rows, tmp_path)], ""),
        ):
            ended = command("score", folder, *arguments, text=text)
            found = answers(ended)
            assert f"goes on after {one.times[-1]}, by the run" in ended[2]
            assert [row["alarm"] for row in found] == ["1" if i == 20 else "0" for i in range(48)]
        fresh = answers(
            command("score", folder, "-", "--stream", "test 1", "--fresh", text="".join(rows))
        )
        assert {float(row["score"]) for row in fresh} == {0.0}  # no past to tell what is usual

    def test_a_table_that_overlaps_the_training_goes_on_after_it(self, sample, tmp_path, command):
        folder, _ = sample
        one = anomalous_series(12, 2800, seed=0, clean=0.4)[1]
        times = pd.date_range(one.times[-10], periods=20, freq="30min")
        rows = [f"{at},{value}\n" for at, value in zip(times, one.values[-58:-38, 0], strict=True)]
        ended = command("score", folder, self.table(rows, tmp_path))
        assert [row["ds"] for row in answers(ended)] == [str(at) for at in times[10:]]
        assert "10 rows were left out" in ended[2]
        assert (
            len(answers(command("score", folder, self.table(rows[:10], tmp_path)))) == 10
        )  # no row is later: from the beginning

    def test_times_that_cannot_be_read_count_as_steps_and_lose_nothing(
        self, sample, lines, tmp_path, command
    ):
        folder, _ = sample
        rows = list(lines[0][:120])
        state = tmp_path / "s.npz"
        arguments = ["score", folder, "-", "--stream", "test 1", "--fresh", "--state", state]
        rows[50] = "soon," + rows[50].split(",")[1]
        answers(command(*arguments, text="".join(rows)))
        ended = command(*arguments, text="".join([*rows[51:], "later,3\n"]))
        assert "missing" not in ended[2]
        assert len(answers(ended)) == 1
        assert read_states(state)["test 1"].last == lines[1].times[119].isoformat()

    def test_answers_before_an_error_are_kept_as_the_state_says(
        self, sample, lines, tmp_path, command
    ):
        folder, _ = sample
        output, state = tmp_path / "out.csv", tmp_path / "s.npz"
        text = "".join(lines[0][:30]) + "2024-03-01,oops\n"
        code, _, told = command(
            "score",
            folder,
            "-",
            "--stream",
            "test 1",
            "--fresh",
            "--state",
            state,
            "--output",
            output,
            text=text,
        )
        assert code == 2
        assert not output.exists()
        assert len(pd.read_csv(f"{output}.partial")) == 30
        assert "out.csv.partial" in told
        assert read_states(state)["test 1"].last == lines[1].times[29].isoformat()

    @pytest.mark.slow
    def test_many_streams_keep_their_states_in_one_file(self, sample, lines, tmp_path, command):
        folder, _ = sample
        rows, _ = lines
        table = tmp_path / "new.csv"
        state = ["--state", tmp_path / "state"]
        whole, parts = {}, {}
        for start, end, into in ((0, 600, whole), (0, 400, parts), (400, 600, parts)):
            table.write_text(
                "unique_id,ds,y\n"
                + "".join(f"{name},{row}" for name in ("test 1", "new") for row in rows[start:end])
            )
            for row in answers(
                command("predict", folder, table, *([] if into is whole else state))
            ):
                into[row["unique_id"], row["ds"]] = float(row["score"])
        seen = {key: score for key, score in whole.items() if key[0] == "test 1"}
        assert {key: parts[key] for key in seen} == pytest.approx(seen, abs=1e-3)
        kept = read_states(tmp_path / "state")
        assert list(kept) == ["test 1", "new"]
        usual = np.array(
            [float(row.split(",")[1]) for row in rows[:160]]
        )  # 0.4 of the first 400 rows: the scale that stays
        assert kept["new"].mean == pytest.approx([usual.mean()])

    @pytest.mark.slow
    def test_a_reader_that_stops_has_what_was_learnt(self, sample, lines):
        """The state is that of the rows that were taken, whole parts of them or not."""
        loaded = load_bundle(sample[0])
        _, one = lines
        memory = {}
        for taken in (100, 512, 700):
            memory[taken] = self.memory(one, loaded, taken=taken)
        alone = self.detector(one, loaded)
        start = 0
        for taken in (100, 512, 700):
            alone.score(one.values[None, start:taken])
            start = taken
            found = memory[taken].kept[one.name]
            assert found.last == one.times[taken - 1].isoformat()
            for name, array in alone.state().items():
                np.testing.assert_allclose(
                    found.arrays[name], array, atol=1e-4, err_msg=f"{taken} {name}"
                )

    def detector(self, one, loaded):
        mean, scale = loaded.facts["scales"]["test 1"]
        scaler = SeriesScaler({one.name: (mean, scale)})
        return recipe.detector(
            recipe.Config(**loaded.config), recipe.Data([one], {}, scaler, [48]), [0], loaded.model
        )

    def memory(self, one, loaded, *, taken: int) -> Memory:
        class Kept(Memory):
            def keep(self, stream, state):
                self.kept[stream.name] = state

        memory = Kept("a file that is never written")
        answered = scoring.rows(self.detector(one, loaded), one, threshold=5.0, memory=memory)
        for _ in range(taken + 1):  # asking for another says that the last one was taken
            next(answered)
        answered.close()
        return memory

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that a process could catch")
    @pytest.mark.slow
    def test_a_service_that_is_stopped_keeps_what_it_learnt(self, sample, lines, tmp_path):
        rows, one = lines
        command = [
            sys.executable,
            "-m",
            "rnn_cookbook.cli",
            "score",
            sample[0],
            "-",
            "--stream",
            "test 1",
            "--fresh",
            "--state",
            tmp_path / "s.npz",
        ]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        process.stdin.write("".join(rows[:30]))
        process.stdin.flush()
        assert [process.stdout.readline().split(",")[0] for _ in range(31)] == ["unique_id"] + [
            "test 1"
        ] * 30
        process.send_signal(signal.SIGTERM)  # while it waits for the next line
        assert process.wait(60) == 128 + signal.SIGTERM
        process.stdin.close()
        process.stdout.close()
        # The last row may just have been written and not be counted: it would then be told twice,
        # but never be lost.
        assert read_states(tmp_path / "s.npz")["test 1"].last in (
            one.times[28].isoformat(),
            one.times[29].isoformat(),
        )

    def test_a_stream_that_stops_in_mid_line_keeps_what_came(
        self, sample, lines, tmp_path, command
    ):
        folder, _ = sample
        rows, _ = lines
        arguments = ["-", "--stream", "test 1", "--fresh", "--state", tmp_path / "s.npz"]
        ended = command("predict", folder, *arguments, text="".join(rows[:20]) + "2024-01")
        assert len(answers(ended)) == 20
        assert "line 21 stops in the middle" in ended[2]
        assert (tmp_path / "s.npz").exists()

    @pytest.mark.parametrize(
        ("arguments", "text", "message"),
        [
            (["-"], "a,1\n", "which stream is it that goes on?"),
            (
                ["-", "--stream", "test 1"],
                "time,value\na,1\na,b\n",
                "line 3, 'a,b', has could not convert",
            ),
            (["-", "--stream", "test 1"], "a,1,2\n", "line 1, 'a,1,2', has 3 fields"),
            (
                ["-", "--stream", "test 1"],
                "time,heat,load\na,1,2\n",
                "the header has the value columns 'heat', 'load'",
            ),
            (
                ["-", "--stream", "test 1"],
                "2024-05-01T00:00Z,1\n",
                "give both with a time zone, or both without",
            ),
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

    @pytest.mark.parametrize(
        "damage", ["nothing", "empty", "cut", "format", "another file", "settings", "model"]
    )
    def test_a_state_that_does_not_fit_is_refused(self, sample, lines, tmp_path, damage, command):
        file = tmp_path / "s.npz"
        arguments = ["predict", sample[0], "-", "--stream", "test 1", "--fresh", "--state", file]
        answers(command(*arguments, text="".join(lines[0][:20])))
        (state,) = read_states(file).values()
        whole = file.read_bytes()
        if damage in ("nothing", "empty", "cut"):
            file.write_bytes(
                {"nothing": b"nothing", "empty": b"", "cut": whole[: len(whole) // 2]}[damage]
            )
        elif damage == "another file":
            np.savez(file, a=np.zeros(3))
        elif damage == "format":
            np.savez(file, about=np.frombuffer(b'{"format": 99}', np.uint8))
        else:
            settings = {
                **state.settings,
                **({"rest": 7} if damage == "settings" else {"model": "0123"}),
            }
            write_states(file, {"test 1": replace(state, settings=settings)})
        before = file.read_bytes()
        code, _, told = command(*arguments, text="2024-05-01,1\n")
        assert code == 2
        assert {
            "settings": "rest 7, now 48",
            "model": "model '0123', now",
            "format": "format 99",
        }.get(damage, "no saved state") in told
        assert "Traceback" not in told
        assert file.read_bytes() == before

    def test_streams_that_training_did_not_see_are_scaled_by_their_own_beginning(
        self, sample, messages
    ):
        loaded = load_bundle(sample[0])
        one = replace(anomalous_series(1, 2800, seed=5)[0], name="new")
        big = replace(one, values=one.values * 1e6)
        found = []
        for stream in (one, big):
            scaler, season = terms_of(stream, Memory(), loaded.facts, first=0.3, season=0)
            data = recipe.Data([stream], {}, scaler, [season])
            alone = recipe.detector(recipe.Config(**loaded.config), data, [0], loaded.model)
            found.append([row["score"] for row in scoring.rows(alone, stream, threshold=5.0)])
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

    @pytest.mark.parametrize(
        ("yes", "no", "missing"),
        [
            (1, 0, ""),
            ("True", "False", "n/a"),
            ("yes", "no", ""),
            ("anomaly", "normal", "None"),
            (2.5, 0.0, ""),
        ],
    )
    @pytest.mark.parametrize("fill", ["keep", "linear"])
    def test_flags_as_numbers_and_as_words(self, tmp_path, yes, no, missing, fill):
        flags = np.full(400, no, dtype=object)
        flags[300:310] = yes
        flags[[304, 320]] = missing  # within an anomaly, and in none
        frame = pd.DataFrame({"time": HOURS, "value": wave(), "label": flags}).drop([306, 310, 350])
        frame.loc[[302, 309, 311], "value"] = np.nan
        (one,) = self.run(tmp_path, frame, fill=fill)
        assert one.windows == [(300, 309)]
        assert one.channels == ["value"]

    @pytest.mark.parametrize("wrong", ["sensor A", "-1"])
    def test_a_column_that_is_called_label_and_has_none(self, tmp_path, wrong):
        frame = pd.DataFrame({"time": HOURS, "value": wave(), "label": "0"})
        frame.loc[7, "label"] = wrong
        with pytest.raises(
            InputError,
            match=rf"row 9: column 'label' has '{wrong}', which is no label \(1 such rows\); accepted are 0",
        ):
            self.run(tmp_path, frame)

    def test_labels_with_the_day_first_between_rows_and_in_a_time_zone(self, tmp_path):
        frame = pd.DataFrame({"time": HOURS.strftime("%d/%m/%Y %H:%M"), "value": wave()})
        labels = tmp_path / "labels.csv"
        labels.write_text(
            "start,end\n13/01/2024 10:00,13/01/2024 12:30\n14/01/2024 10:10,14/01/2024 10:20\n17/01/2024 15:10,20/01/2024\n"
        )
        (one,) = self.run(tmp_path, frame, labels=labels)
        assert one.windows == [(298, 300), (322, 322), (399, 399)]
        year = pd.DataFrame(
            {
                "time": pd.date_range("2024-01-01", periods=360).strftime("%d/%m/%Y"),
                "value": wave(360),
            }
        )
        labels.write_text(
            "start,end\n05/01/2024,06/01/2024\n07/02/2024,14/02/2024\n"
        )  # no day above 12, then one: as in the streams
        (one,) = self.run(tmp_path, year, labels=labels)
        assert one.windows == [(4, 5), (37, 44)]
        labels.write_text("start,end\n2024-01-05,2024-01-06\n")
        (one,) = self.run(tmp_path, year, labels=labels)
        assert one.windows == [(4, 5)]
        labels.write_text("start,end\n13/01/2024 10:00,13/01/2024 12:30\n")
        zoned = pd.DataFrame(
            {
                "time": HOURS.tz_localize("Europe/Berlin").strftime("%Y-%m-%d %H:%M%z"),
                "value": wave(),
            }
        )
        with pytest.raises(InputError, match="have no time zone, those of the streams have one"):
            self.run(tmp_path, zoned, labels=labels)
        labels.write_text("start,end\n")
        assert self.run(tmp_path, zoned, labels=labels)[0].windows == []
        labels.write_text(
            "start,end\n2024-01-13 09:00Z,2024-01-13 11:00Z\n"
        )  # an hour before Berlin's
        (one,) = self.run(tmp_path, zoned, labels=labels)
        assert one.windows == [(298, 300)]

    def test_labels_of_many_streams_by_the_same_id_column(self, tmp_path):
        frame = pd.concat(
            [pd.DataFrame({"machine": name, "time": HOURS, "y": wave()}) for name in ("a", "b")]
        )
        labels = tmp_path / "labels.csv"
        labels.write_text("machine,start,end\nb,2024-01-13,2024-01-14\n")
        found = self.run(tmp_path, frame, id_column="machine", labels=labels)
        assert {one.name: one.windows for one in found} == {"a": [], "b": [(288, 312)]}

    def test_new_tables_must_be_those_of_the_training(self, tmp_path):
        frame = pd.DataFrame({"time": HOURS, "load": wave(), "heat": wave() * 2})
        (one,) = matching(
            "new.csv",
            self.run(tmp_path, frame[["time", "heat", "load"]]),
            channels=["load", "heat"],
            frequency="h",
        )
        np.testing.assert_array_equal(one.values, frame[["load", "heat"]])
        with pytest.raises(
            InputError,
            match="'load', 'cold'; the model was trained on 'load', 'heat': 'heat' missing",
        ):
            matching(
                "new.csv",
                self.run(tmp_path, frame.rename(columns={"heat": "cold"})),
                channels=["load", "heat"],
                frequency="h",
            )
        with pytest.raises(
            InputError, match=r"has steps of 2h; the model was trained on steps of h"
        ):
            matching(
                "new.csv", self.run(tmp_path, frame[::2]), channels=["load", "heat"], frequency="h"
            )

    def test_gaps_stay_missing_and_are_told(self, tmp_path, messages):
        frame = pd.DataFrame({"time": HOURS, "value": wave()}).drop(range(100, 110))
        frame.loc[50:53, "value"] = np.nan
        (one,) = self.run(tmp_path, frame)
        assert np.isnan(one.values[:, 0]).nonzero()[0].tolist() == [
            50,
            51,
            52,
            53,
            *range(100, 110),
        ]
        assert "no value for 14 steps" in messages.text

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (
                {"start": ["2025-01-01"], "end": ["2025-01-02"]},
                "row 2: 2025-01-01 00:00:00 to 2025-01-02 00:00:00 lies outside",
            ),
            ({"start": ["2024-01-03"], "end": ["2024-01-02"]}, "no time from start to end"),
            (
                {"start": ["soon"], "end": ["2024-01-02"]},
                "row 2: 'soon' in column 'start' is no time stamp",
            ),
            (
                {"start": ["2024-01-02", "2024-01-03"], "end": ["2024-01-04", "2024-01-05"]},
                "overlap at 2024-01-03",
            ),
            ({"from": ["2024-01-02"]}, "needs columns start and end"),
        ],
    )
    def test_bad_labels(self, tmp_path, labels, message):
        pd.DataFrame(labels).to_csv(tmp_path / "labels.csv", index=False)
        with pytest.raises(InputError, match=message):
            self.run(
                tmp_path,
                pd.DataFrame({"time": HOURS, "value": wave()}),
                labels=tmp_path / "labels.csv",
            )

    def test_a_new_table_needs_no_labels(self, tmp_path):
        frame = pd.DataFrame({"time": HOURS, "value": wave()})
        (one,) = self.run(tmp_path, frame, label_column="is bad", labels="gone.csv", step="h")
        assert one.windows == []
        (one,) = self.run(
            tmp_path,
            frame.assign(**{'is "bad"': 0, " label": "odd"}),
            label_column='is "bad"',
            step="h",
        )
        assert one.channels == ["value"]
        (one,) = self.run(tmp_path, frame[:1], step="h")  # the step is known: one row is enough
        assert (len(one), one.frequency) == (1, "h")
        with pytest.raises(
            InputError,
            match="00:30:00 does not lie on the grid from 2024-01-01 00:00:00 on in steps of h, those of the tra",
        ):
            self.run(
                tmp_path,
                pd.DataFrame({"time": ["2024-01-01 00:00", "2024-01-01 00:30"], "value": 1}),
                step="h",
            )

    def test_columns_of_labels_with_odd_names_and_too_many_of_them(self, tmp_path):
        flags = (np.arange(400) == 300).astype(int)
        frame = pd.DataFrame({"time": HOURS, " value": wave(), ' is "bad", or not ': flags})
        (one,) = self.run(tmp_path, frame, label_column=' is "bad", or not ')
        assert (one.windows, one.channels) == ([(300, 300)], [" value"])
        frame = pd.DataFrame({"time": HOURS, "value": wave(), "label": 0, "Anomaly": flags})
        with pytest.raises(
            InputError,
            match="several columns of labels, 'label', 'Anomaly': name one with --label-column",
        ):
            self.run(tmp_path, frame)
        (one,) = self.run(tmp_path, frame, label_column="Anomaly")
        assert (one.windows, one.channels) == ([(300, 300)], ["value"])

    def test_labels_twice(self, tmp_path):
        with pytest.raises(InputError, match="leave one of them out"):
            self.run(
                tmp_path,
                pd.DataFrame({"time": HOURS, "value": wave(), "label": 0}),
                labels="labels.csv",
            )

    def test_duplicate_time_stamps_are_refused(self, tmp_path):
        frame = pd.DataFrame({"time": HOURS, "value": wave()})
        with pytest.raises(InputError, match="occurs more than once"):
            self.run(tmp_path, pd.concat([frame, frame[7:9]]))

    def test_splits_by_time_and_by_stream(self):
        streams = anomalous_series(2, 2800, seed=0)
        borders = [(800, 1000), (900, 1100)]
        assert split(streams, borders)["validation"] == borders
        spans = split(streams, borders, validating="validation", testing="test")
        assert spans == {
            "train": [(0, 800), (0, 900)],
            "validation": [(800, 2800), (900, 900)],
            "test": [(800, 800), (900, 2800)],
        }

    @pytest.mark.slow
    def test_own_tables_run_with_labels_and_without(self, tmp_path, command):
        values = wave(1200, spike=[700, 1000])
        frame = pd.DataFrame(
            {
                "time": pd.date_range("2024-01-01", periods=1200, freq="h"),
                "load": values,
                "heat": wave(1200),
            }
        )
        for name, labelled in (("with", True), ("without", False)):
            flags = np.isin(np.arange(1200), [700, 701, 1000, 1001]).astype(int)
            frame.assign(**({"label": flags} if labelled else {})).to_csv(
                tmp_path / f"{name}.csv", index=False
            )
            options = [
                "--data",
                tmp_path / f"{name}.csv",
                "--output",
                tmp_path / name,
                "--epochs",
                "2",
            ]
            options += ["--model", "autoencoder"] if labelled else []
            code, output, told = command("run", "anomaly_detection", *options)
            assert code == 0, told
            report = json.loads((tmp_path / name / "metrics.json").read_text())
            assert ("event_recall" in report["test"]) == labelled
            if labelled:
                assert report["test"]["event_recall"] == 1
            else:
                assert "no labels to compare with" in output

    @pytest.mark.parametrize(
        ("rows", "options", "message"),
        [
            (300, [], "the most rows to train on are 90; 194 or more are needed"),
            (
                300,
                ["--length", "20"],
                "the stream has 300 rows, 90 of them with values to train on, 120 for the test; 100 or more",
            ),
            (
                400,
                ["--train-fraction", "0.8", "--validation-fraction", "0.3"],
                "must leave something",
            ),
            (400, ["--alarms-per-week", "0"], "alarms-per-week"),
        ],
    )
    def test_bad_settings(self, tmp_path, rows, options, message, command):
        pd.DataFrame({"time": HOURS[:rows], "value": wave(rows)}).to_csv(
            tmp_path / "own.csv", index=False
        )
        code, _, told = command(
            "run",
            "anomaly_detection",
            "--data",
            tmp_path / "own.csv",
            "--output",
            tmp_path / "run",
            *options,
        )
        assert code == 2
        assert message in told
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("channels", "lines", "values"),
    [
        (
            ["a"],
            ["2024-01-01,\n", "2024-01-02,NA\n", "2024-01-03,1\n"],
            [np.nan, np.nan, 1],
        ),  # no header: nothing measured
        (
            ["a"],
            ["when,what\n", "2024-01-01,1\n", "when,a\n", "2024-01-02,2\n"],
            [1, 2],
        ),  # once more, as after a rotation
        (
            ["1"],
            ["\n", "time,1\n", "2024-01-01,5\n"],
            [5],
        ),  # a name that is a number, after an empty line
        (["a"], ["soon,\n", "2024-01-01,1\n"], [np.nan, 1]),
    ],
)
def test_what_is_a_header_and_what_is_not(channels, lines, values):
    found = [row[2][0, 0] for row in LineStream(channels, lines=lines).parts()]
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["unique_id,ds,y\n"],
            "the header has a column 'unique_id': standard input is of one stream",
        ),
        (["2024-01-01,\x00\n"], "could not convert"),
        (["2024-01-01," + "1" * 200_000 + "\n"], "line 1 cannot be read: field larger"),
    ],
)
def test_lines_that_are_refused(lines, message):
    with pytest.raises(InputError, match=message):
        list(LineStream(["y"], lines=lines).parts())


def test_lines_with_a_header_and_missing_values():
    rows = list(
        LineStream(
            ["a", "b"], lines=["time,b,is it,a\n", "2024-01-01,2,no,3\n", "\n", "soon,n/a,,nan\n"]
        ).parts()
    )
    assert [names for names, _, _ in rows] == [["2024-01-01"], ["soon"]]
    assert rows[0][1][0] == pd.Timestamp("2024-01-01")
    assert rows[1][1].hasnans
    assert rows[0][2].tolist() == [[3, 2]]
    assert np.isnan(rows[1][2]).all()


def test_gaps_in_lines_are_missing_steps_and_late_rows_are_left_out(sample, messages):
    """A season later is a season later: what follows a gap is compared with the same hour of the
    day before."""
    loaded = load_bundle(sample[0])
    one = replace(anomalous_series(1, 2800, seed=5)[0], name="test 1")
    rows = [f"{at},{value}\n" for at, value in zip(one.times, one.values[:, 0], strict=True)][:300]
    rows = [*rows[:200], *rows[203:220], *rows[210:212], *rows[220:]]
    whole = replace(one, values=one.values[:300].copy(), times=one.times[:300])
    whole.values[200:203] = np.nan
    scores = []
    for stream in (whole, LineStream(["value"], name="test 1", frequency="30min", lines=rows)):
        data = recipe.Data(
            [stream], {}, SeriesScaler({"test 1": loaded.facts["scales"]["test 1"]}), [48]
        )
        alone = recipe.detector(recipe.Config(**loaded.config), data, [0], loaded.model)
        scores.append(
            {row["ds"]: row["score"] for row in scoring.rows(alone, stream, threshold=5.0)}
        )
    assert len(scores[1]) == 297
    assert scores[1] == pytest.approx({at: scores[0][at] for at in scores[1]}, abs=1e-3)
    assert "3 steps are missing between" in messages.text
    assert "2 rows were left out" in messages.text


@pytest.mark.parametrize(
    ("frequency", "times", "steps"),
    [
        ("h", ("2024-01-01 00:00:10", "2024-01-01 02:59:50"), 3),
        ("B", ("2024-01-05", "2024-01-08"), 1),
        ("MS", ("2024-01-01", "2024-04-01"), 3),
    ],
)
def test_steps_between_times(frequency, times, steps):
    assert steps_between(*map(pd.Timestamp, times), frequency) == steps


def test_streams_that_are_too_short_are_left_out(messages):
    long, short = (
        LabelledStream(name, HOURS[:rows], wave(rows)[:, None], ["value"])
        for name, rows in (("long", 400), ("short", 150))
    )
    gone = replace(
        long, name="gone", values=np.where(np.arange(400)[:, None] < 300, long.values, np.nan)
    )
    kept, borders = recipe.sources.long_enough(
        [short, long, gone], [(60, 90), (160, 320), (160, 320)], each=100, longest=120
    )
    assert [one.name for one in kept] == ["long"]
    assert borders == [(160, 320)]
    assert "2 of 3 streams are too short" in messages.text
    assert (
        "'gone' has 400 rows, 160 of them with values to train on, 0 for the test" in messages.text
    )


@pytest.mark.slow
def test_streams_without_variation_and_with_other_units(tmp_path, command):
    """A constant, and values that jump by 1e12: the run goes through, numbers stay numbers, and the
    jump is the alarm."""
    frame = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=800, freq="h"), "y": 5.0})
    jump = frame.assign(y=wave(800) + np.where(np.arange(800) == 700, 1e12, 0))
    pd.concat([frame.assign(unique_id="flat"), jump.assign(unique_id="jump")]).to_csv(
        tmp_path / "own.csv", index=False
    )
    code, _, told = command(
        "run",
        "anomaly_detection",
        "--data",
        tmp_path / "own.csv",
        "--output",
        tmp_path / "run",
        "--epochs",
        "2",
    )
    assert code == 0, told
    assert "no variation at all" in told
    scores = pd.read_csv(tmp_path / "run" / "scores.csv.gz")
    assert np.isfinite(scores["score"]).all()
    assert scores[scores["unique_id"] == "flat"]["score"].max() < 4
    alarms = [
        json.loads(line)
        for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()
    ]
    assert [(alarm["unique_id"], alarm["start"]) for alarm in alarms] == [
        ("jump", "2024-01-30 04:00:00")
    ]


def test_the_benchmark_has_its_files_its_labels_and_its_probation(data_dir):
    names = nab_files(data_dir)
    streams = [read_nab(name, data_dir=data_dir) for name in names]
    assert (len(names), sum(len(one.windows) for one in streams)) == (58, 116)
    taxi = streams[names.index("realKnownCause/nyc_taxi.csv")]
    assert (len(taxi), taxi.season, str(usual_step(taxi.times))) == (10_320, 48, "0 days 00:30:00")
    data = recipe.load_data(recipe.Config(data_dir=str(data_dir)))
    assert (
        data.spans["test"][names.index(taxi.name)] == (probation(10_320), 10_320) == (750, 10_320)
    )
    validating = [end > first for first, end in data.spans["validation"]]
    assert sum(validating) == 11  # the artificial ones, which are no test
    assert [end > first for first, end in data.spans["test"]] == [not each for each in validating]


def test_the_benchmark_is_downloaded_and_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "rnn_cookbook.tasks.anomaly.nab_corpus.NAB_URL", (tmp_path / "none").as_uri()
    )
    with pytest.raises(InputError, match="could not be downloaded"):
        read_nab("realKnownCause/nyc_taxi.csv", data_dir=tmp_path)
    changed = tmp_path / "nab" / "data" / "realKnownCause" / "nyc_taxi.csv"
    changed.parent.mkdir(parents=True, exist_ok=True)
    changed.write_text("timestamp,value\n2014-07-01,1\n")
    with pytest.raises(InputError, match="is not the file of"):
        read_nab("realKnownCause/nyc_taxi.csv", data_dir=tmp_path)
    with pytest.raises(InputError, match=r"no file 'a/b\.csv'"):
        read_nab("a/b.csv", data_dir=tmp_path)


def test_the_readme_has_the_recorded_scores():
    records = {
        each["setting"]: each
        for each in json.loads((ROOT / "recipes/results/anomaly_detection.json").read_text())
    }
    default = records["default"]["test"]
    rows = {
        "mean of 3 seeds": {name: default[name]["mean"] for name in PROFILES},
        "threshold from the artificial files": {
            name: default[f"{name}_artificial"]["mean"] for name in PROFILES
        },
        "without its network": {
            name: _value(records["default"]["baselines"]["no_network"][name]) for name in PROFILES
        },
        "with the autoencoder": {
            name: records["autoencoder"]["test"][name]["mean"] for name in PROFILES
        },
    }
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for row, scores in rows.items():
        assert re.search(
            rf"\| this recipe,? {row} \| "
            + r" \| ".join(f"{score:.1f}" for score in scores.values()),
            readme,
        ), (row, scores)


def _value(measured) -> float:
    return measured["mean"] if isinstance(measured, dict) else measured
