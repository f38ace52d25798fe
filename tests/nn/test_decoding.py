"""The searches against enumeration and a beam search in plain Python, in float64."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from search_reference import (
    END,
    LOGITS,
    START,
    SYMBOLS,
    TIME,
    Recurrent,
    assert_row_equal,
    attend,
    history_state,
    inputs,
    log_softmax,
    memoryless,
    rescored,
    row_of,
    sources,
    whole_history,
)

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.decoding import beam_search, greedy_search
from rnn_cookbook.nn.sampling import sampler

pytestmark = pytest.mark.usefixtures("nothing_is_logged")

NORMALIZATIONS = [("none", 0.0), ("average", 0.0), ("gnmt", 0.6)]


def normalized(total, length, kind, alpha):
    return total / {"none": 1, "average": length, "gnmt": ((5 + length) / 6) ** alpha}[kind]


def reference_beam(
    next_log_probabilities, *, symbols, beam, n_best, max_length, kind, alpha, min_length=0
):
    """(score, symbols, log-probability) of the n best, finished first. It never stops early."""
    live, finished = [(0.0, ())], []
    for length in range(1, max_length + 1):
        continued = []
        for total, prefix in live:
            gains = next_log_probabilities(prefix)
            barred = {0, END} if length < min_length else {0}
            continued += [
                (total + gains[symbol], (*prefix, symbol))
                for symbol in range(symbols)
                if symbol not in barred
            ]
        continued.sort(reverse=True)
        finished += [
            (normalized(total, length, kind, alpha), seq, total)
            for total, seq in continued[:beam]
            if seq[-1] == END
        ]
        live = [(total, seq) for total, seq in continued if seq[-1] != END][:beam]
    unfinished = [(normalized(total, max_length, kind, alpha), seq, total) for total, seq in live]
    return (sorted(finished, reverse=True) + sorted(unfinished, reverse=True))[:n_best]


def assert_same_as(found, row, expected, n_best):
    for rank in range(n_best):
        length = int(found.lengths[row, rank])
        if rank >= len(expected):
            assert length == 0
            assert found.scores[row, rank] == -np.inf
            continue
        score, sequence, total = expected[rank]
        assert tuple(found.tokens.numpy()[row, rank, :length]) == sequence
        assert not found.tokens.numpy()[row, rank, length:].any(), "after the end comes padding"
        assert bool(found.finished[row, rank]) == (sequence[-1] == END)
        np.testing.assert_allclose(found.scores[row, rank], score, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.log_probabilities[row, rank], total, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "alpha", "min_length"), [*((*both, 0) for both in NORMALIZATIONS), ("gnmt", 2.0, 3)]
)
def test_beam_of_full_width_is_exhaustive_search(kind, alpha, min_length):
    model, lengths, n_best = Recurrent(), [4, 1, 3, 2], 7
    options = {"length_normalization": kind, "alpha": alpha, "min_length": min_length}
    search = beam_search(model.step, end=END, beam=108, n_best=n_best, max_length=4, **options)
    for seed in range(4):
        model.reset(seed)  # changed weights are seen without compiling again
        start, state = inputs(len(lengths), seed=seed)
        found = search(start, state, max_length=lengths)
        for row, max_length in enumerate(lengths):
            gains, candidates = model.log_probabilities(state["h"][row]), []
            for length in range(1, max_length + 1):
                for sequence in itertools.product(*[(1, 3, 4)] * (length - 1), (1, 2, 3, 4)):
                    if (sequence[-1] != END and length < max_length) or (
                        sequence[-1] == END and length < min_length
                    ):
                        continue
                    total = sum(gains(sequence[:t])[symbol] for t, symbol in enumerate(sequence))
                    candidates.append(
                        (
                            sequence[-1] == END,
                            normalized(total, length, kind, alpha),
                            sequence,
                            total,
                        )
                    )
            expected = [candidate[1:] for candidate in sorted(candidates, reverse=True)[:n_best]]
            assert_same_as(found, row, expected, n_best)


@pytest.mark.parametrize(("kind", "alpha"), NORMALIZATIONS)
def test_narrow_beam_is_that_of_plain_python_which_never_stops_early(kind, alpha):
    model, max_length, n_best = Recurrent(), 14, 2
    search = beam_search(
        model.step,
        end=END,
        beam=3,
        n_best=n_best,
        max_length=max_length,
        length_normalization=kind,
        alpha=alpha,
        min_length=2,
    )
    steps = []
    for seed in range(6):
        model.reset(seed)
        start, state = inputs(4, seed=seed)
        model.taken.assign(0)
        found = search(start, state)
        steps.append(int(model.taken))
        for row in range(4):
            expected = reference_beam(
                model.log_probabilities(state["h"][row]),
                symbols=SYMBOLS,
                beam=3,
                n_best=n_best,
                max_length=max_length,
                kind=kind,
                alpha=alpha,
                min_length=2,
            )
            assert_same_as(found, row, expected, n_best)
    if kind != "average":  # there, a long hypothesis may come close to 0 nats a symbol
        assert min(steps) < max_length, "no search stopped early: nothing was tested"


def test_search_ends_with_the_last_example():
    model = Recurrent()
    model.bias[END] = 30.0
    for search in (
        greedy_search(model.step, end=END, max_length=50),
        beam_search(model.step, end=END, beam=2, max_length=50),
    ):
        model.taken.assign(0)
        assert search(*inputs(3)).lengths.numpy().ravel().tolist() == [1, 1, 1]
        assert int(model.taken) == 1


@pytest.mark.parametrize(("symbols", "favour"), [(SYMBOLS, 2.0), (1000, 9.0)])
def test_greedy_is_a_beam_of_one_to_the_last_bit(symbols, favour):
    """Ties included: rounded logits have them at every step."""
    model = Recurrent(symbols)

    def coarse(*args):
        return ((r := model.step(*args))[0] // 0.5 * 0.5, r[1])

    model.bias[END] = favour
    greedy, beam = (
        greedy_search(coarse, end=END, max_length=12),
        beam_search(coarse, end=END, beam=1, max_length=12),
    )
    lengths = np.random.default_rng(0).integers(1, 13, size=32)
    for seed in range(3):
        model.reset(seed)
        one, other = (
            greedy(*inputs(32, seed=seed), max_length=lengths),
            beam(*inputs(32, seed=seed), max_length=lengths),
        )
        for field in one._fields:
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
        assert 0 < one.finished.numpy().mean() < 1, "both kinds of end occur"


@pytest.mark.parametrize("symbols", [2, 63, 64, 65, 700])
def test_greedy_takes_the_first_of_the_largest(symbols):
    logits = np.random.default_rng(0).integers(-4, 5, size=(200, symbols)).astype(np.float32)

    def step(tokens, state, constants):
        return (constants, state)

    found = greedy_search(step, end=None, max_length=1)(np.ones(200, np.int32), (), logits)
    expected = logits[:, 1:].argmax(axis=1) + 1
    np.testing.assert_array_equal(found.tokens[:, 0, 0], expected)
    np.testing.assert_allclose(
        found.scores[:, 0],
        log_softmax(np.float64(logits))[np.arange(200), expected],
        rtol=1e-5,
        atol=1e-6,
    )


def test_beam_finds_what_greedy_misses():
    """After 3 (probability 0.6) all goes on evenly, after 4 (0.4) the end is certain."""
    table = np.full((SYMBOLS, SYMBOLS), 1e-9, np.float32)
    table[START, [3, 4]] = 0.6, 0.4
    table[3, 1:] = 0.25
    table[4, END] = 1

    def step(tokens, state, constants):
        return (tf.math.log(tf.gather(table, tokens)), state)

    start = np.array([START])
    greedy = greedy_search(step, end=END, max_length=5)(start, ())
    beam = beam_search(step, end=END, beam=2, max_length=5)(start, ())
    assert greedy.tokens[0, 0, 0] == 3
    assert beam.tokens.numpy().tolist() == [[[4, END]]]
    np.testing.assert_allclose(beam.scores[0, 0], np.log(0.4), atol=1e-5)
    assert greedy.scores[0, 0] < beam.scores[0, 0]


def test_states_follow_their_hypotheses():
    search = beam_search(
        whole_history, end=END, beam=4, n_best=4, max_length=TIME, length_normalization="average"
    )
    found = search(np.full(3, START), history_state(3), max_length=[TIME, 3, 6])
    assert len(np.unique(found.tokens[0], axis=0)) == 4
    for row, rank in itertools.product(range(3), range(4)):
        sequence = found.tokens.numpy()[row, rank, : found.lengths[row, rank]]
        np.testing.assert_allclose(
            found.log_probabilities[row, rank], rescored(sequence), rtol=1e-5
        )
        np.testing.assert_allclose(
            found.scores[row, rank], rescored(sequence) / len(sequence), rtol=1e-5
        )
    drawn = sampler(whole_history, end=END, max_length=TIME, temperature=1.5, top_k=3)(
        np.full(20, START), history_state(20), seed=3
    )
    for row in range(20):
        sequence = drawn.tokens.numpy()[row, 0, : drawn.lengths[row, 0]]
        np.testing.assert_allclose(drawn.log_probabilities[row, 0], rescored(sequence), rtol=1e-5)


def test_tiled_constants_batches_and_single_examples_agree():
    start, state, constants = sources(6, 5)
    lengths = np.array([7, 1, 4, 9, 2, 9])
    options = {"end": END, "beam": 3, "n_best": 3, "max_length": 9, "length_normalization": "gnmt"}
    search, tiled = beam_search(attend, **options), beam_search(attend, tile=True, **options)
    found, other = (f(start, state, constants, lengths) for f in (search, tiled))
    assert not (found.scores.numpy()[1:] == found.scores.numpy()[:-1]).all(axis=1).any()
    for row in range(6):
        assert_row_equal(
            found,
            row,
            row_of(other, row)._replace(
                tokens=other.tokens[row : row + 1, :, : max(other.lengths[row])]
            ),
        )
        assert_row_equal(found, row, search(*row_of((start, state, constants), row), lengths[row]))
    greedy = greedy_search(attend, end=END, max_length=9)
    found = greedy(start, state, constants)
    for row in range(6):
        assert_row_equal(found, row, greedy(*row_of((start, state, constants), row)))


def test_other_shapes_do_not_compile_again_and_again():
    traces = []

    def step(*args):
        traces.append(args)
        return attend(*args)

    make = {
        "beam": lambda: beam_search(step, end=END, beam=2, max_length=5),
        "sampler": lambda: (
            lambda f: lambda *args: f(*args, seed=len(args), temperature=0.1 * len(args))
        )(sampler(step, max_length=5)),
    }
    for name, factory in make.items():
        search = factory()
        search(*sources(4, 3))
        once = len(traces)
        traces.clear()
        for batch, time in itertools.product((2, 3, 7), (3, 4, 6)):
            search(*sources(batch, time))
            search(*sources(batch, time), 3)
            search(*sources(batch, time), np.arange(1, batch + 1))
        assert len(traces) <= 2 * once, (
            f"{name}: one more time for any batch size, one for any time"
        )
        traces.clear()


def test_several_searches_in_a_row_warn_of_nothing():
    """The fixture looks: TensorFlow would log that one function was compiled six times."""
    for length in range(1, 7):
        greedy_search(attend, end=END, max_length=length)(*sources(2, 2))


def test_works_inside_another_compiled_function():
    beam = beam_search(attend, end=END, beam=2, n_best=2, max_length=6)
    draw = sampler(attend, end=END, max_length=6)

    @tf.function
    def outer(start, state, constants, length):
        return beam(start, state, constants, length + 1), draw(start, state, constants, seed=length)

    start, state, constants = sources(3, 4)
    inside = outer(start, state, constants, tf.constant(5))
    outside = beam(start, state, constants), draw(start, state, constants, seed=5)
    tf.nest.map_structure(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), inside, outside)


@pytest.mark.parametrize("best", [0, END])
def test_padding_is_never_generated_and_the_end_ends(best):
    logits = np.zeros(SYMBOLS, np.float32)
    logits[best] = 9
    start = np.ones(50, np.int32)
    for search in (
        greedy_search(memoryless(logits), end=END, max_length=4),
        beam_search(memoryless(logits), end=END, beam=3, n_best=3, max_length=4),
        lambda *args: sampler(memoryless(logits), end=END, max_length=4)(*args, seed=0),
    ):
        found = tf.nest.map_structure(np.array, search(start, ()))
        inside = np.arange(found.tokens.shape[2]) < found.lengths[..., None]
        assert (found.tokens[inside] > 0).all()
        assert not found.tokens[~inside].any()
        assert found.tokens.shape[2] == found.lengths.max()
        ends = (found.tokens == END).sum(axis=2)
        np.testing.assert_array_equal(ends, found.finished)
        last = np.take_along_axis(found.tokens, found.lengths[..., None] - 1, axis=2)[..., 0]
        np.testing.assert_array_equal(last == END, found.finished)
        if best == END:
            assert found.lengths[0, 0] == 1


def test_min_length_bars_the_end_and_max_length_cuts():
    logits = np.array([0, 0, 5, 1, 0], np.float32)
    options = {"end": END, "beam": 2, "n_best": 2, "max_length": 4}
    start = np.ones(1, np.int32)
    found = beam_search(memoryless(logits), min_length=3, **options)(start, ())
    assert found.tokens.numpy().tolist() == [
        [[3, 3, END], [3, 1, END]]
    ]  # and [1, 3, END], as probable, after it
    gains = log_softmax(np.float64(logits))
    np.testing.assert_allclose(
        found.scores, [[2 * gains[3] + gains[END], gains[3] + gains[1] + gains[END]]], rtol=1e-5
    )
    cut = beam_search(memoryless(logits), min_length=4, **options)(start, (), max_length=3)
    assert cut.tokens.numpy()[0, 0].tolist() == [3, 3, 3]
    assert not cut.finished.numpy().any()


def test_finished_hypotheses_cost_no_beam():
    """The end is the best of two continuations at every step; a beam of two still continues two."""
    logits = np.log(np.array([1e-9, 1e-9, 0.5, 0.3, 0.2], np.float32))
    found = beam_search(
        memoryless(logits), end=END, beam=2, n_best=2, max_length=3, length_normalization="average"
    )(np.ones(1, np.int32), ())
    expected = reference_beam(
        lambda prefix: log_softmax(np.float64(logits)),
        symbols=SYMBOLS,
        beam=2,
        n_best=2,
        max_length=3,
        kind="average",
        alpha=0,
    )
    assert_same_as(found, 0, expected, 2)


def test_where_every_symbol_is_forbidden_there_is_no_hypothesis():
    dead = memoryless(np.full(SYMBOLS, -np.inf, np.float32))
    found = beam_search(dead, end=END, beam=3, n_best=2, max_length=4)(np.ones(2, np.int32), ())
    assert found.tokens.shape == (2, 2, 0)
    assert not found.lengths.numpy().any()
    assert (found.scores.numpy() == -np.inf).all()


def test_few_symbols_have_few_hypotheses():
    found = beam_search(
        memoryless(np.zeros(3, np.float32)), end=END, beam=5, n_best=5, max_length=2
    )(np.ones(1, np.int32), ())
    assert found.tokens.numpy().tolist() == [[[END, 0], [1, END], [1, 1], [0, 0], [0, 0]]]
    np.testing.assert_allclose(
        found.scores, [[-np.log(3), -2 * np.log(3), -2 * np.log(3), -np.inf, -np.inf]], rtol=1e-6
    )


def test_half_precision_comes_back_as_it_went_in_and_sums_in_full():
    def step(tokens, state, constants):
        return (
            tf.cast(tf.repeat(LOGITS[None], tf.shape(tokens)[0], 0), tf.bfloat16),
            state + 1,
        )

    found = beam_search(step, end=END, beam=2, max_length=200, min_length=200)(
        np.ones(2, np.int32), tf.zeros([2, 3], tf.float16)
    )
    expected = 200 * log_softmax(np.float64(tf.cast(LOGITS, tf.bfloat16)))[3]
    np.testing.assert_allclose(found.scores, [[expected], [expected]], rtol=1e-6)
    assert found.scores.dtype == tf.float32


def call(**options):
    start, state, constants = sources(2, 3)
    search = greedy_search(attend, end=END, max_length=3)
    return search(**{"start_tokens": start, "state": state, "constants": constants, **options})


def beam(**options):
    return beam_search(attend, **{"end": END, "max_length": 3, **options})


def returning(logits, state=(), start=()):
    def step(tokens, old, constants):
        return logits, state

    return beam_search(step, end=END, beam=2, max_length=3)([1, 1], start)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda: greedy_search(attend, end=0, max_length=3), "0 is padding.*received 0"),
        (
            lambda: greedy_search(attend, end=END, max_length=0),
            "max_length must be at least 1; received 0",
        ),
        (lambda: beam(end=None), "end must be a symbol for beam search; received None"),
        (lambda: beam(beam=0), "beam must be at least 1; received 0"),
        (lambda: beam(beam=2, n_best=3), "from 1 to the beam of 2; received 3"),
        (
            lambda: beam(length_normalization="wu"),
            "'wu'; accepted are none, average, gnmt",
        ),
        (lambda: beam(alpha=-1), "alpha must be at least 0; received -1"),
        (lambda: beam(min_length=4), "from 0 to max_length 3; received 4"),
        (
            lambda: call(start_tokens=np.ones((2, 1), np.int32)),
            r"int32\[batch\]; received int32\(2, 1\)",
        ),
        (
            lambda: call(start_tokens=np.ones(2, np.float32)),
            r"int32\[batch\]; received float32\(2,\)",
        ),
        (
            lambda: call(state=np.zeros((3, 4), np.float32)),
            r"state must have the leading dimension 2 .* received float32\(3, 4\)",
        ),
        (
            lambda: call(constants=1.0),
            r"constants must have the leading dimension 2 .* received float32\(\)",
        ),
        (
            lambda: call(max_length=[3, 0]),
            r"max_length must be at least 1; received \[3 0\]",
        ),
        (
            lambda: call(max_length=[3, 3, 3]),
            r"a number for each of the 2 examples; received int64\(3,\)",
        ),
        (
            lambda: call(max_length=2.5),
            r"max_length must be integer; received float64\(\)",
        ),
        (
            lambda: returning(tf.zeros([4, 5]), (1,)),
            r"in the structure \(\); received \(int,\)",
        ),
        (
            lambda: returning(tf.zeros([4, 5]), tf.zeros([4, 3]), tf.zeros([2, 2])),
            r"as float32\(4, 2\); received float32\(4, 3\)",
        ),
        (
            lambda: returning(tf.zeros([4, 5]), tf.zeros([4]), tf.zeros([2], tf.int32)),
            r"as int32\(4,\); received float32\(4,\)",
        ),
        (
            lambda: returning(tf.zeros([4, 5, 1])),
            r"float\[rows, vocabulary\].*received float32\(4, 5, 1\)",
        ),
        (lambda: returning(tf.zeros([4, 2])), "the end symbol 2; received 2 logits"),
    ],
)
def test_bad_arguments_are_named(bad, message):
    with pytest.raises(InputError, match=message):
        bad()
