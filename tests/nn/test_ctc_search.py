"""The prefix beam search against the sum over all paths and against the plain algorithm."""

from collections import defaultdict

import numpy as np
import pytest
from ctc_reference import (
    LENGTHS,
    LOGITS,
    every_labelling,
    log_softmax,
    unpadded,
)

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.ctc import ctc_greedy, ctc_loss
from rnn_cookbook.nn.ctc_search import ctc_beam_search

RNG = np.random.default_rng(1)


def bigrams(prefix, symbol):
    """log p(symbol | last of the prefix), from a fixed table over 1, 2, 3."""
    table = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.25, 0.7, 0.05]])
    return float(np.log(table[prefix[-1] if prefix else 0, symbol - 1]))


def language_score(labels, weight, bonus, model=bigrams):
    return sum(weight * model(labels[:place], label) + bonus for place, label in enumerate(labels))


def plain_beam_search(logits, beam, weight=0.0, bonus=0.0, model=bigrams):
    """Prefix beam search with dictionaries: [(nats, labelling)], best first."""
    kept = {(): (0.0, -np.inf)}
    for frame in log_softmax(logits):
        new = defaultdict(lambda: [-np.inf, -np.inf])
        for prefix, (blank, label) in kept.items():
            both = np.logaddexp(blank, label)
            new[prefix][0] = np.logaddexp(new[prefix][0], both + frame[0])
            for symbol in range(1, len(frame)):
                repeats = prefix[-1:] == (symbol,)
                if repeats:
                    new[prefix][1] = np.logaddexp(new[prefix][1], label + frame[symbol])
                longer = new[(*prefix, symbol)]
                longer[1] = np.logaddexp(longer[1], (blank if repeats else both) + frame[symbol])
        scored = [
            (np.logaddexp(*nats) + language_score(prefix, weight, bonus, model), prefix)
            for prefix, nats in new.items()
        ]
        kept = {prefix: new[prefix] for _, prefix in sorted(scored, reverse=True)[:beam]}
    return sorted(
        [
            (np.logaddexp(*nats) + language_score(p, weight, bonus, model), p)
            for p, nats in kept.items()
        ],
        reverse=True,
    )


class TestBeamSearch:
    @pytest.mark.parametrize(("weight", "bonus"), [(0, 0), (0.8, 1.5), (2, 0), (0, -0.5)])
    def test_full_width_finds_every_labelling_best_first(self, weight, bonus):
        labels, scores = ctc_beam_search(
            LOGITS,
            LENGTHS,
            beam=400,
            n_best=400,
            language_model=bigrams,
            weight=weight,
            insertion_bonus=bonus,
        )
        for row, length in enumerate(LENGTHS):
            expected = {
                name: nats + language_score(name, weight, bonus)
                for name, nats in every_labelling(LOGITS[row, :length]).items()
            }
            count = len(expected)
            assert dict.fromkeys(map(unpadded, labels[row, :count])) == dict.fromkeys(
                sorted(expected, key=expected.get, reverse=True)
            )
            np.testing.assert_allclose(
                scores[row, :count], sorted(expected.values(), reverse=True), rtol=1e-5, atol=1e-5
            )
            assert np.isneginf(scores[row, count:]).all()
            assert (labels[row, count:] == 0).all()

    def test_full_width_sums_to_one(self):
        _, scores = ctc_beam_search(LOGITS, LENGTHS, beam=400, n_best=400)
        np.testing.assert_allclose(np.exp(scores.astype(np.float64)).sum(axis=1), 1, atol=1e-5)

    @pytest.mark.parametrize("beam", [1, 2, 5])
    @pytest.mark.parametrize(("weight", "bonus"), [(0, 0), (1.2, 0.7)])
    def test_narrow_beam_is_the_plain_algorithm(self, beam, weight, bonus):
        logits = 2 * RNG.normal(size=(6, 30, 4)).astype(np.float32)
        lengths = [30, 25, 20, 14, 7, 1]
        labels, scores = ctc_beam_search(
            logits,
            lengths,
            beam=beam,
            n_best=beam,
            language_model=bigrams if weight else None,
            weight=weight,
            insertion_bonus=bonus,
        )
        for row, length in enumerate(lengths):
            expected = plain_beam_search(logits[row, :length], beam, weight, bonus)
            assert [unpadded(line) for line in labels[row, : len(expected)]] == [
                prefix for _, prefix in expected
            ]
            np.testing.assert_allclose(
                scores[row, : len(expected)], [nats for nats, _ in expected], rtol=1e-5
            )

    def test_sums_paths_where_the_greedy_one_takes_the_best(self):
        logits = np.log(
            [[[0.6, 0.4], [0.6, 0.4]]]
        )  # all blank 0.36; but 1 in any of three ways 0.64
        assert ctc_greedy(logits)[0].shape == (1, 0)
        labels, scores = ctc_beam_search(logits)
        assert labels.tolist() == [[[1]]]
        assert scores[0, 0] == pytest.approx(np.log(0.64))

    def test_language_model_is_asked_once_and_decides(self):
        asked = []

        def only_ones(prefix, symbol):
            asked.append((prefix, symbol))
            return 0.0 if symbol == 1 else -np.inf

        labels, _ = ctc_beam_search(LOGITS, LENGTHS, language_model=only_ones)
        assert set(labels.ravel()) <= {0, 1}
        assert len(asked) == len(set(asked))
        assert all(isinstance(prefix, tuple) and symbol in (1, 2, 3) for prefix, symbol in asked)

    def test_scores_are_those_of_the_loss(self):
        labels, scores = ctc_beam_search(LOGITS, LENGTHS, beam=400)
        np.testing.assert_allclose(
            -ctc_loss(labels[:, 0], LOGITS, logit_lengths=LENGTHS), scores[:, 0], rtol=1e-5
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 0}, "received n_best=1, beam=0"),
        ({"beam": 2, "n_best": 3}, "received n_best=3, beam=2"),
        ({"weight": -1}, "weight must be at least 0 and finite; received -1"),
        ({"language_model": lambda prefix, symbol: 0.5}, r"received 0.5 for \d after \(\)"),
        ({"logits": np.nan * LOGITS}, "not numbers"),
        ({"insertion_bonus": np.inf}, "insertion_bonus must be finite; received inf"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(InputError, match=message):
        ctc_beam_search(**{"logits": LOGITS, **options})
