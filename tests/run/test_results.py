"""Recorded results: as data, as tables, as a line of a recipe's docstring."""

import json

import pytest
from toys import toy_report

from rnn_cookbook.errors import InputError
from rnn_cookbook.metrics import Metric
from rnn_cookbook.recipe import recipe_files
from rnn_cookbook.run.record import summary
from rnn_cookbook.run.results import measured, recorded, results_table, update_docstring

ACCURACY = Metric("accuracy", higher_is_better=True)


@pytest.mark.parametrize(("baseline", "wins"), [(0.85, "the network"), (0.95, "the baseline")])
def test_the_table_says_plainly_who_wins(tmp_path, baseline, wins):
    reports = [
        toy_report(
            seed,
            0.9,
            {
                "majority": {"accuracy": 0.5, "seconds": 0},
                "nb_lr": {"accuracy": baseline, "seconds": 9.0},
            },
        )
        for seed in range(3)
    ]
    entries = [
        summary(reports, metric=ACCURACY, setting=setting, command="")
        for setting in ("default", "other")
    ]
    entries[1]["baselines"] = {}
    (tmp_path / "toy.json").write_text(json.dumps(entries))
    rows = results_table(tmp_path).splitlines()[2:]
    assert len(rows) == 2
    for row in rows:
        assert f"| {wins} |" in row
        assert f"{baseline:.4f}" in row
        assert ("**0.9000" in row) == (wins == "the network")


def test_what_was_recorded_is_there_as_data_with_what_is_published(tmp_path):
    reports = [
        toy_report(seed, accuracy, {"nb_lr": {"accuracy": 0.5, "seconds": 9.0}})
        for seed, accuracy in enumerate((0.8, 0.9, 1.0))
    ]
    entries = [
        summary(reports, metric=ACCURACY, setting=setting, command="")
        for setting in ("default", "other")
    ]
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "toy.json").write_text(json.dumps(entries))
    (tmp_path / "published.json").write_text(
        json.dumps({"toy": {"default": "0.97 somebody (somewhere)"}})
    )
    first, second = recorded(tmp_path / "results")
    assert (first["recipe"], first["mean"], first["std"], first["seeds"]) == ("toy", 0.9, 0.1, 3)
    assert (first["baseline"], first["baseline_score"], first["network_wins"]) == (
        "nb_lr",
        0.5,
        True,
    )
    assert (first["published"], second["published"]) == ("0.97 somebody (somewhere)", "")
    assert "| 0.97 somebody (somewhere) |" in results_table(tmp_path / "results")
    assert {row["recipe"] for row in recorded()} == {*recipe_files()}


def test_a_record_without_a_rival_on_its_test_split_is_refused(tmp_path):
    entry = summary([toy_report(0, 0.8)], metric=ACCURACY, setting="default", command="")
    other = {
        **entry,
        "setting": "longer",
        "protocol": "8 train, 3 test",
        "baselines": {"nb_lr": {"accuracy": 0.5, "seconds": 9.0}},
    }
    (tmp_path / "toy.json").write_text(json.dumps([entry, other]))
    with pytest.raises(
        InputError,
        match=r"toy\.json: setting 'default' has no baselines, nor has another on its test split",
    ):
        recorded(tmp_path)


def test_where_less_is_better_the_least_wins(tmp_path):
    reports = [
        toy_report(
            seed,
            0.3,
            {"a": {"accuracy": 0.5, "seconds": 0}, "b": {"accuracy": 0.4, "seconds": 2.0}},
        )
        for seed in range(3)
    ]
    entry = summary(
        reports, metric=Metric("accuracy", higher_is_better=False), setting="default", command=""
    )
    (tmp_path / "toy.json").write_text(json.dumps([entry]))
    (row,) = results_table(tmp_path).splitlines()[2:]
    assert "| **0.3000 ± 0.0000** (3 seeds) | 0.4000 b, 2 s | the network |" in row
    assert " | b 0.4000 | " in measured(entry)


def test_one_seed_has_no_spread(tmp_path):
    entry = summary(
        [toy_report(0, 0.8, {"b": {"accuracy": 0.5, "seconds": 2}})],
        metric=ACCURACY,
        setting="default",
        command="",
    )
    (tmp_path / "toy.json").write_text(json.dumps([entry]))
    (row,) = results_table(tmp_path).splitlines()[2:]
    assert "| **0.8000** (1 seed) |" in row
    assert measured(entry).startswith("Measured: accuracy 0.8000 (1 seed) | b 0.5000 |")


def test_the_paragraph_of_a_docstring_is_rewritten_and_nothing_else(tmp_path):
    entry = summary(
        [toy_report(0, 0.8, {"b": {"accuracy": 0.5, "seconds": 2}})],
        metric=ACCURACY,
        setting="default",
        command="",
    )
    (tmp_path / "toy.json").write_text(json.dumps([entry]))
    recipe = tmp_path / "toy.py"
    recipe.write_text('"""A toy.\n\nMeasured: nothing yet | at\nall.\n\nThe model: none.\n"""\n')
    for _ in range(2):
        update_docstring(recipe, tmp_path / "toy.json")
        assert recipe.read_text() == (
            '"""A toy.\n\n'
            "Measured: accuracy 0.8000 (1 seed) | b 0.5000 | 1.0 min\n"
            "on 2 cores of Abacus.\n\n"
            'The model: none.\n"""\n'
        )
