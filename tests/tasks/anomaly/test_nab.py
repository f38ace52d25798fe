"""The NAB score: by hand, against its definition row by row, and against what the benchmark's own
scorer gives for public detectors."""

import csv
import json
from math import exp

import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.anomaly.baselines import windowed_gaussian
from rnn_cookbook.tasks.anomaly.nab import (
    PROFILES,
    best_threshold,
    nab_scores,
    probation,
    score_at,
    sweep,
)
from rnn_cookbook.tasks.anomaly.nab_corpus import nab_files, read_nab

STANDARD = PROFILES["nab_standard"]
WINDOWS = [[(30, 49), (70, 79)], [], [(50, 99)]]  # of three files of 100 rows


def by_definition(scores, windows, profile, threshold):
    """Row by row, as Lavin and Ahmad (2015) put it."""

    def worth(place):
        return 2 / (1 + exp(5 * place)) - 1 if place < 3 else -1.0

    total, count = 0.0, 0
    for score, spans in zip(scores, windows, strict=True):
        best = {}
        for first, last in spans:
            if last >= probation(len(score)):
                best[first] = -profile.miss
                count += 1
        for row, value in enumerate(score):
            if row < probation(len(score)) or value < threshold:
                continue
            inside = [(first, last) for first, last in spans if first <= row <= last]
            before = [(first, last) for first, last in spans if last < row]
            if inside:
                first, last = inside[0]
                gain = profile.hit * worth(-(last - row + 1) / (last - first + 1)) / worth(-1)
                best[first] = max(best[first], gain)
            elif before:
                first, last = before[-1]
                total += profile.false_alarm * worth((row - last) / (last - first))
            else:
                total -= profile.false_alarm
        total += sum(best.values())
    return 100 * (total + profile.miss * count) / ((profile.hit + profile.miss) * count)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("levels", [3, 1000])
def test_every_threshold_is_worth_what_the_definition_says(profile, levels):
    """With many scores, and with few that many rows share."""
    rng = np.random.default_rng(levels)
    scores = [rng.integers(levels, size=100) / levels for _ in WINDOWS]
    thresholds, worth = sweep(scores, WINDOWS, profile)
    assert thresholds[0] == np.inf
    assert worth[0] == 0
    for threshold, found in list(zip(thresholds, worth, strict=True))[:: max(1, len(worth) // 40)]:
        assert found == pytest.approx(by_definition(scores, WINDOWS, profile, threshold))
    best, most = best_threshold(scores, WINDOWS, profile)
    assert most == worth.max()
    assert score_at(scores, WINDOWS, profile, best) == most


def test_the_null_and_the_perfect_detector():
    nothing = [np.zeros(100) for _ in WINDOWS]
    perfect = [np.zeros(100) for _ in WINDOWS]
    for score, spans in zip(perfect, WINDOWS, strict=True):
        for first, _ in spans:
            score[first] = 1
    for name in PROFILES:
        assert nab_scores(nothing, WINDOWS)[name] == 0
        assert nab_scores(perfect, WINDOWS)[name] == pytest.approx(100)
    late = [np.roll(score, 8) for score in perfect]  # still inside the windows
    assert 50 < nab_scores(late, WINDOWS)["nab_standard"] < 99


def test_false_alarms_and_misses_weigh_as_the_profiles_say():
    score = np.zeros(100)
    score[[35, 60]] = 1  # one hit, one false alarm, one miss
    found = nab_scores([score], WINDOWS[:1], thresholds=dict.fromkeys(PROFILES, 1.0))
    for name, profile in PROFILES.items():
        assert found[name] == pytest.approx(by_definition([score], WINDOWS[:1], profile, 1.0))
    assert found["nab_low_fp"] < found["nab_standard"]


def test_the_probation_does_not_count():
    score = np.zeros(100)
    score[:15] = 1
    assert nab_scores([score], WINDOWS[:1])["nab_standard"] == 0
    assert [probation(rows) for rows in (100, 4032, 22695)] == [15, 604, 750]
    with pytest.raises(InputError, match="no labelled anomaly after the probation"):
        nab_scores([score], [[(0, 14)]])
    # A window that begins in it counts from there on.
    assert sweep([np.ones(100)], [[(10, 29)]], STANDARD)[1][-1] == pytest.approx(
        by_definition([np.ones(100)], [[(10, 29)]], STANDARD, 1)
    )


@pytest.mark.parametrize(
    ("score", "spans", "message"),
    [
        (np.zeros(100), [(90, 100)], "within the 100 rows"),
        (np.zeros(100), [(50, 60), (55, 70)], "rows 55 to 70"),
        (np.zeros(100), [(50, 40)], "rows 50 to 40"),
        (np.full(100, np.nan), [(50, 60)], "finite numbers; received nan"),
    ],
)
def test_bad_input(score, spans, message):
    with pytest.raises(InputError, match=message):
        nab_scores([score], [spans])


THEIR_NAMES = {
    "nab_standard": "standard",
    "nab_low_fp": "reward_low_FP_rate",
    "nab_low_fn": "reward_low_FN_rate",
}


class TestPublicDetectors:
    """Scores that they stored, and what the benchmark's own scorer gives for these on exactly these
    files."""

    @pytest.fixture(scope="class")
    def files(self, data_dir):
        return {name: read_nab(name, data_dir=data_dir) for name in nab_files(data_dir)}

    @pytest.fixture(scope="class")
    def reference(self, data_dir):
        return json.loads((data_dir / "nab" / "results" / "scores.json").read_text())["detectors"]

    def agree(self, scores, files, reference, *, within=1e-9):
        windows = [one.windows for one in files.values()]
        for name, theirs in THEIR_NAMES.items():
            _, best = best_threshold(scores, windows, PROFILES[name])
            assert best == pytest.approx(reference[theirs]["score"], abs=within)

    @pytest.mark.parametrize("detector", ["numenta", "knncad"])
    def test_scores_are_those_of_the_benchmark(self, files, reference, detector, data_dir):
        stored = []
        for name in files:
            folder, file = name.split("/")
            (path,) = (data_dir / "nab" / "results" / detector / folder).glob(f"*{file}")
            with open(path, newline="") as rows:
                stored.append(
                    np.array([float(row["anomaly_score"]) for row in csv.DictReader(rows)])
                )
        self.agree(stored, files, reference[detector])

    @pytest.mark.slow
    def test_so_are_those_of_the_windowed_gaussian_made_here(self, files, reference):
        """Its stored scores have 10 digits, too few: the best threshold lies beyond them. Made
        anew, with 12, they agree to 1e-6."""
        scores = [np.round(windowed_gaussian(one.values[:, 0]), 12) for one in files.values()]
        self.agree(scores, files, reference["windowedGaussian"], within=1e-6)
