"""N-gram models: their probabilities sum to one in every context, and are those of the formula."""

import itertools
import math

import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.ngrams import NGrams

RNG = np.random.default_rng(0)
SYMBOLS = 5


def chain(count, length):
    """Symbols that go on in a circle, now and then elsewhere."""
    found = []
    for _ in range(count):
        symbols = [int(RNG.integers(1, SYMBOLS))]
        while len(symbols) < length:
            symbols.append(
                symbols[-1] % (SYMBOLS - 1) + 1
                if RNG.random() < 0.8
                else int(RNG.integers(1, SYMBOLS))
            )
        found.append(symbols)
    return found


@pytest.mark.parametrize("order", [1, 2, 4])
def test_probabilities_sum_to_one_in_every_context_seen_or_not(order):
    model = NGrams.fit(chain(20, 15), order=order, symbols=SYMBOLS)
    for length in range(order + 1):
        for prefix in itertools.product(range(1, SYMBOLS), repeat=length):
            shares = [
                math.exp(model.log_probability(prefix, symbol)) for symbol in range(1, SYMBOLS)
            ]
            assert sum(shares) == pytest.approx(1)
            assert min(shares) > 0


def test_a_bigram_by_hand():
    """ab, ab, ac: n-grams (0 a) 3 times, (a b) twice, (a c) once; before b and c stands one symbol,
    before a the boundary."""
    model = NGrams.fit([[1, 2], [1, 2], [1, 3]], order=2, symbols=4)
    assert model.counts == [{(1,): 1, (2,): 1, (3,): 1}, {(0, 1): 3, (1, 2): 2, (1, 3): 1}]
    base = 1 / (1 + 2 * 1)  # one bigram once, one twice
    discounts = [1 - 2 * base * 1 / 1, 2 - 3 * base * 1 / 1, 3 - 4 * base * 0 / 1]
    discounts = [min(max(d, 0.1), n - 0.1) for d, n in zip(discounts, (1, 2, 3), strict=True)]
    unigram = (1 - 0.5) / 3 + (
        3 * 0.5
    ) / 3 / 3  # of each symbol: counts too few for discounts of their own
    total, spare = 3, discounts[1] + discounts[0]
    assert math.exp(model.log_probability([1], 2)) == pytest.approx(
        (2 - discounts[1] + spare * unigram) / total
    )
    assert math.exp(model.log_probability([1], 3)) == pytest.approx(
        (1 - discounts[0] + spare * unigram) / total
    )
    assert math.exp(model.log_probability([2], 3)) == pytest.approx(unigram), (
        "nothing was ever seen after b"
    )
    assert model.log_probability([], 1) == model.log_probability([1, 0][1:], 1), (
        "the beginning is a context"
    )


def test_it_predicts_what_it_has_not_seen_better_the_more_it_looks_back():
    train, test = chain(300, 20), chain(50, 20)
    entropies = [
        NGrams.fit(train, order=order, symbols=SYMBOLS).cross_entropy(test) for order in (1, 2, 3)
    ]
    best = -(
        0.85 * math.log(0.85) + 3 * 0.05 * math.log(0.05)
    )  # of the chain itself, but for each first symbol
    assert entropies[0] == pytest.approx(math.log(4), abs=0.02)
    assert entropies[1] == pytest.approx((19 * best + math.log(4)) / 20, abs=0.06)
    assert abs(entropies[2] - entropies[1]) < 0.05


def test_a_file_keeps_it(tmp_path):
    model = NGrams.fit(chain(20, 15), order=3, symbols=SYMBOLS)
    model.save(tmp_path)
    loaded = NGrams.load(tmp_path)
    for prefix in ((), (1,), (1, 2, 3, 4)):
        assert [loaded(prefix, symbol) for symbol in range(1, SYMBOLS)] == [
            model(prefix, symbol) for symbol in range(1, SYMBOLS)
        ]


@pytest.mark.parametrize(
    ("sequences", "options", "message"),
    [
        ([], {}, "sequences have no symbols"),
        ([[]], {}, "sequences have no symbols"),
        ([[1, 5]], {}, "symbols must be 1 to 4; received 1 to 5"),
        ([[0, 2]], {}, "received 0 to 2"),
        ([[1]], {"order": 0}, "received order=0"),
    ],
)
def test_bad_input(sequences, options, message):
    with pytest.raises(InputError, match=message):
        NGrams.fit(sequences, **{"order": 2, "symbols": SYMBOLS, **options})
