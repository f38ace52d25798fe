"""Streams as their rows come: by file and line by line, after restarts and interruptions."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rnn_cookbook.recipes import anomaly_detection as recipe

from rnn_cookbook.errors import InputError
from rnn_cookbook.run.bundle import load_bundle
from rnn_cookbook.tasks.anomaly.lines import LineStream
from rnn_cookbook.tasks.anomaly.live import (
    known_stream,
    only_table,
    scale_and_season,
    score_rows,
)
from rnn_cookbook.tasks.anomaly.sample import anomalous_series
from rnn_cookbook.tasks.anomaly.states import Memory, read_states


def table(rows, tmp_path):
    file = tmp_path / "new.csv"
    file.write_text("unique_id,ds,y\n" + "".join(f"test 1,{row}" for row in rows))
    return file


def detector(loaded):
    scale = loaded.facts["scales"]["test 1"]
    return recipe.detector(recipe.Config(**loaded.config), loaded.model, [scale], 48)


def memory_after(one, loaded, *, taken: int) -> Memory:
    class Kept(Memory):
        def keep(self, stream, state):
            self.kept[stream.name] = state

    memory = Kept("a file that is never written")
    answered = score_rows(detector(loaded), one, threshold=5.0, memory=memory)
    for _ in range(taken + 1):  # asking for another says that the last one was taken
        next(answered)
    answered.close()
    return memory


@pytest.mark.slow
def test_a_stream_line_by_line_is_the_table_and_a_restart_goes_on(
    sample, lines, tmp_path, command, answers
):
    folder, _ = sample
    rows, _ = lines
    rows = rows[:300] + rows[304:]  # a gap
    whole = [
        row
        for row in answers(command("predict", folder, table(rows, tmp_path)))
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


@pytest.mark.slow
def test_what_training_learnt_goes_on_where_the_data_ended(sample, tmp_path, command, answers):
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
        ([table(rows, tmp_path)], ""),
    ):
        ended = command("score", folder, *arguments, text=text)
        found = answers(ended)
        assert f"continues after {one.times[-1]}, by the run" in ended[2]
        assert [row["alarm"] for row in found] == ["1" if i == 20 else "0" for i in range(48)]
    fresh = answers(
        command("score", folder, "-", "--stream", "test 1", "--fresh", text="".join(rows))
    )
    assert {float(row["score"]) for row in fresh} == {0.0}  # no past to tell what is usual


@pytest.mark.slow
def test_a_table_that_overlaps_the_training_goes_on_after_it(sample, tmp_path, command, answers):
    folder, _ = sample
    one = anomalous_series(12, 2800, seed=0, clean=0.4)[1]
    times = pd.date_range(one.times[-10], periods=20, freq="30min")
    rows = [f"{at},{value}\n" for at, value in zip(times, one.values[-58:-38, 0], strict=True)]
    ended = command("score", folder, table(rows, tmp_path))
    assert [row["ds"] for row in answers(ended)] == [str(at) for at in times[10:]]
    assert "10 rows were left out" in ended[2]
    assert (
        len(answers(command("score", folder, table(rows[:10], tmp_path)))) == 10
    )  # no row is later: from the beginning


@pytest.mark.slow
def test_times_that_cannot_be_read_count_as_steps_and_lose_nothing(
    sample, lines, tmp_path, command, answers
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


@pytest.mark.slow
def test_answers_before_an_error_are_kept_as_the_state_says(sample, lines, tmp_path, command):
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
def test_many_streams_keep_their_states_in_one_file(sample, lines, tmp_path, command, answers):
    folder, _ = sample
    rows, _ = lines
    new = tmp_path / "new.csv"
    state = ["--state", tmp_path / "state"]
    whole, parts = {}, {}
    for start, end, into in ((0, 600, whole), (0, 400, parts), (400, 600, parts)):
        new.write_text(
            "unique_id,ds,y\n"
            + "".join(f"{name},{row}" for name in ("test 1", "new") for row in rows[start:end])
        )
        for row in answers(command("predict", folder, new, *([] if into is whole else state))):
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
def test_a_reader_that_stops_has_what_was_learnt(sample, lines):
    """The state is that of the rows that were taken, whole parts of them or not."""
    loaded = load_bundle(sample[0])
    _, one = lines
    memory = {}
    for taken in (100, 512, 700):
        memory[taken] = memory_after(one, loaded, taken=taken)
    alone = detector(loaded)
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


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that a process could catch")
@pytest.mark.slow
def test_a_service_that_is_stopped_keeps_what_it_learnt(sample, lines, tmp_path):
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
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
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


@pytest.mark.slow
def test_a_stream_that_stops_in_mid_line_keeps_what_came(sample, lines, tmp_path, command, answers):
    folder, _ = sample
    rows, _ = lines
    arguments = ["-", "--stream", "test 1", "--fresh", "--state", tmp_path / "s.npz"]
    ended = command("predict", folder, *arguments, text="".join(rows[:20]) + "2024-01")
    assert len(answers(ended)) == 20
    assert "line 21 stops in the middle" in ended[2]
    assert (tmp_path / "s.npz").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "text", "message"),
    [
        (["-"], "a,1\n", "no stream was named; the model knows 'validation 1', 'test 1'"),
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
def test_bad_input(sample, arguments, text, message, command):
    code, _, told = command("predict", sample[0], *arguments, text=text)
    assert code == 2
    assert message in told
    assert "Traceback" not in told


@pytest.mark.slow
def test_streams_that_training_did_not_see_are_scaled_by_their_own_beginning(sample, messages):
    loaded = load_bundle(sample[0])
    one = replace(anomalous_series(1, 2800, seed=5)[0], name="new")
    big = replace(one, values=one.values * 1e6)
    found = []
    for stream in (one, big):
        scale, season = scale_and_season(stream, Memory(), loaded.facts, fraction=0.3, season=0)
        alone = recipe.detector(recipe.Config(**loaded.config), loaded.model, [scale], season)
        found.append([row["score"] for row in score_rows(alone, stream, threshold=5.0)])
    np.testing.assert_allclose(*found, atol=0.02)
    assert "'new', which training did not see, is scaled by its first 840 rows" in messages.text


@pytest.mark.slow
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
        rows_of = score_rows(detector(loaded), stream, threshold=5.0)
        scores.append({row["ds"]: row["score"] for row in rows_of})
    assert len(scores[1]) == 297
    assert scores[1] == pytest.approx({at: scores[0][at] for at in scores[1]}, abs=1e-3)
    assert "3 steps are missing between" in messages.text
    assert "2 rows were left out" in messages.text


def test_which_stream_and_which_table():
    assert known_stream("b", ["a", "b"]) == "b"
    assert known_stream("", ["a", "a"]) == "a"
    with pytest.raises(InputError, match="unknown stream 'x'; the model knows 'a', 'b'"):
        known_stream("x", ["a", "b"])
    with pytest.raises(InputError, match="no stream was named; the model knows 'a', 'b'"):
        known_stream("", ["a", "b"])
    assert only_table([["a.csv"]], "sample") == "a.csv"
    assert only_table([], "sample") == "sample"
    with pytest.raises(InputError, match=r"one table at a time; received a\.csv, b\.csv"):
        only_table([["a.csv"], ["b.csv"]], "sample")
