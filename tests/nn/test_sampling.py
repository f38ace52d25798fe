"""Sampling against the softmax itself."""

import numpy as np
import pytest
import tensorflow as tf
from search_reference import (
    END,
    LOGITS,
    Recurrent,
    assert_row_equal,
    attend,
    inputs,
    memoryless,
    sources,
)

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.decoding import greedy_search
from rnn_cookbook.nn.sampling import sampler

pytestmark = pytest.mark.usefixtures("nothing_is_logged")


def draws(step, *, rows=3000, time=4, seed=0, call=None, **options):
    found = sampler(step, max_length=time, **options)(
        np.ones(rows, np.int32), (), seed=seed, **(call or {})
    )
    assert (found.lengths.numpy() == time).all()
    return found.tokens.numpy().ravel()


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"temperature": 0.5}, [1, 2, 3, 4, 5, 6]),
        ({"top_k": 3}, [3, 4, 1]),
        ({"top_k": 50, "temperature": 2.0}, [1, 2, 3, 4, 5, 6]),
        ({"top_p": 0.72}, [3, 4, 1]),  # shares 0.43, 0.23, 0.17, 0.09, 0.05: 0.66 is too little
        ({"top_p": 0.65}, [3, 4]),
        ({"top_p": 0.01}, [3]),
        ({"top_k": 3, "top_p": 0.75}, [3, 4]),  # of what top_k left: 0.51, 0.28, 0.21
        ({"temperature": 0.5, "top_p": 0.72}, [3, 4]),  # 0.64, 0.19, 0.11
    ],
    ids=str,
)
def test_draws_follow_the_softmax(options, kept):
    found = draws(memoryless(LOGITS), **options)
    assert set(found) == set(kept)
    shares = np.exp(np.float64(LOGITS[kept]) / options.get("temperature", 1))
    expected = len(found) * shares / shares.sum()
    chi_square = (
        (np.array([(found == symbol).sum() for symbol in kept]) - expected) ** 2 / expected
    ).sum()
    assert chi_square < 27, "probability under 1 in 10,000 with 6 degrees of freedom"


def test_of_equal_symbols_the_cut_keeps_the_first():
    logits = np.zeros(200, np.float32)
    logits[[70, 10, 80, 150]] = 5, 3, 3, 3
    assert set(draws(memoryless(logits), top_k=3)) == {70, 10, 80}
    assert set(draws(memoryless(logits), top_k=2)) == {70, 10}


def test_draws_over_a_large_vocabulary_follow_it_too():
    logits = np.random.default_rng(1).normal(size=700).astype(np.float32)
    share = np.exp(np.float64(logits))
    share[0] = 0
    share /= share.sum()
    for options in ({}, {"top_p": 0.9}):
        if options:
            order = np.argsort(-share)
            cut = order[np.searchsorted(np.cumsum(share[order]), 0.9) + 1 :]
            share[cut] = 0
            share /= share.sum()
        found = np.bincount(draws(memoryless(logits), **options), minlength=700)
        assert not found[share == 0].any()
        expected = 12000 * share[share > 0]
        chi_square = ((found[share > 0] - expected) ** 2 / expected).sum()
        assert abs(chi_square - len(expected)) < 4 * np.sqrt(2 * len(expected))


def test_successive_draws_are_independent():
    found = draws(memoryless(LOGITS)).reshape(-1, 4)
    for one, other in ((found[:, 0], found[:, 1]), (found[:-1, 0], found[1:, 0])):
        both, apart = ((one == 3) & (other == 3)).mean(), (one == 3).mean() * (other == 3).mean()
        assert both == pytest.approx(apart, abs=0.03)


def test_temperature_zero_is_greedy():
    model = Recurrent(300)

    def coarse(*args):
        return ((r := model.step(*args))[0] // 1, r[1])

    start, state = inputs(30)
    greedy = greedy_search(coarse, end=END, max_length=8)(start, state)
    for options in ({}, {"top_k": 4, "top_p": 0.5}):
        search = sampler(coarse, end=END, max_length=8, **options)
        tf.nest.map_structure(
            np.testing.assert_array_equal, search(start, state, seed=1, temperature=0), greedy
        )
        mixed = search(start, state, seed=1, temperature=np.arange(30) % 2 * 3)
        np.testing.assert_array_equal(mixed.scores[::2], greedy.scores[::2])
        assert (mixed.scores.numpy() != greedy.scores.numpy())[1::2].any()
    sharp = greedy_search(model.step, end=END, max_length=8)(start, state)
    cold = sampler(model.step, end=END, max_length=8)(start, state, seed=1, temperature=1e-7)
    np.testing.assert_array_equal(cold.tokens, sharp.tokens)


def test_seeds_give_texts():
    model = Recurrent(50)
    search = sampler(model.step, end=None, max_length=12)
    start, state = inputs(8)

    def text(**options):
        return search(start, state, **{"seed": 1, **options}).tokens.numpy()[:, 0]

    np.testing.assert_array_equal(text(), text())
    assert (text() != text(seed=2)).any(axis=1).all()
    same = search(
        start, tf.nest.map_structure(lambda x: x[:1].repeat(8, axis=0), state), seed=1
    ).tokens.numpy()[:, 0]
    assert len(np.unique(same, axis=0)) == 8, "rows differ"
    seeds = np.array([3, 2**31 - 1, 9, -1, 4, 5, 6, 3])
    together = search(start, state, seed=seeds, max_length=[12, 3, 5, 12, 7, 1, 2, 4])
    for row, length in enumerate([12, 3, 5, 12, 7, 1, 2, 4]):
        alone = search(
            start[row : row + 1],
            {"h": state["h"][row : row + 1]},
            seed=seeds[row : row + 1],
            max_length=length,
        )
        assert_row_equal(together, row, alone)


def call(search, **options):
    return search(*sources(2, 3), **options)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            lambda: sampler(attend, max_length=3, top_k=-1),
            "top_k must be at least 0 .* received -1",
        ),
        (lambda: sampler(attend, max_length=3, top_p=0.0), "above 0 and at most 1; received 0.0"),
        (
            lambda: call(sampler(attend, max_length=3), seed=1.5),
            r"seed must be integer; received float64\(\)",
        ),
        (
            lambda: call(sampler(attend, max_length=3), seed=[1, 2, 3]),
            r"seed must be .* of the 2 examples; received int64\(3,\)",
        ),
        (
            lambda: call(sampler(attend, max_length=3, temperature=-1.0), seed=1),
            "temperature must be at least 0; received -1",
        ),
    ],
)
def test_bad_arguments_are_named(bad, message):
    with pytest.raises(InputError, match=message):
        bad()
