"""From scores to spans: the CRF's best path, and probabilities against enumeration."""

import itertools

import numpy as np
import pytest

from rnn_cookbook.encode.batches import Batches
from rnn_cookbook.nn.crf import decoding_model
from rnn_cookbook.run.inference import predict_sequences
from rnn_cookbook.tasks.tagging.encode import TagEncoder, WordEncoder
from rnn_cookbook.tasks.tagging.model import sequence_tagger
from rnn_cookbook.tasks.tagging.predict import Tagger, inputs_of, overlapping_parts

SENTENCES = [["Anna", "saw", "Rome", "."], ["Nobody"], [], ["In", "New", "York", "City"]]


@pytest.fixture(params=["crf", "softmax"])
def tagger(request):
    crf = request.param == "crf"
    words, tags = (
        WordEncoder.fit([s for s in SENTENCES if s]),
        TagEncoder(["LOC", "PER"], scheme="bio"),
    )
    model = sequence_tagger(
        vocabulary_size=len(words),
        tags=tags.tags,
        scheme="bio" if crf else None,
        crf=crf,
        units=4,
        characters=words.letter_count,
    )
    rng = np.random.default_rng(4)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    return Tagger(model, words, tags)


def scores(tagger):
    encoded = tagger.words.encode([s for s in SENTENCES if s])
    return predict_sequences(tagger.model, Batches(inputs_of(tagger.model, encoded), batch_size=2))


def test_probabilities_are_those_of_all_paths(tagger):
    found = tagger.spans_with_probability(SENTENCES)
    assert any(found)
    for spans, part in zip(
        [x for x, s in zip(found, SENTENCES, strict=True) if s], scores(tagger), strict=True
    ):
        paths = np.array(list(itertools.product(range(len(tagger.tags.tags)), repeat=len(part))))
        worth = part.astype(np.float64)[np.arange(len(part)), paths].sum(axis=1)
        best = part.argmax(axis=-1)
        if tagger.crf:
            transitions = np.asarray(tagger.crf.transitions, np.float64)
            worth += transitions[paths[:, :-1], paths[:, 1:]].sum(axis=1)
            best = paths[worth.argmax()]
        share = np.exp(worth - worth.max())
        share /= share.sum()
        assert [span for span, _ in spans] == tagger.tags.decode(best)
        for span, probability in spans:
            through = (paths[:, span.start : span.end] == best[span.start : span.end]).all(axis=1)
            assert probability == pytest.approx(share[through].sum(), rel=1e-3)


@pytest.mark.slow
def test_spans_are_the_same_without_probabilities(tagger):
    assert tagger.spans(SENTENCES) == [
        [span for span, _ in spans] for spans in tagger.spans_with_probability(SENTENCES)
    ]
    assert tagger.spans([]) == []
    assert tagger.spans([[]]) == [[]]


def test_spans_are_those_of_the_decoding_model(tagger):
    encoded = tagger.words.encode(SENTENCES[:1])
    inputs = {x.name: encoded[x.name][0][None] for x in tagger.model.inputs}
    numbers = (
        decoding_model(tagger.model)(inputs)["tags"]
        if tagger.crf
        else np.argmax(tagger.model(inputs), axis=-1)
    )
    assert tagger.spans(SENTENCES[:1]) == [tagger.tags.decode(np.asarray(numbers)[0])]


@pytest.mark.parametrize(
    "longest",
    [pytest.param(1, marks=pytest.mark.slow), 8, pytest.param(20, marks=pytest.mark.slow)],
)
def test_long_sentences_are_read_in_parts_that_hang_together(tagger, longest):
    """A network that looks at nothing but the word finds the same in parts as in the whole: the
    CRF's path goes across the cuts."""
    for layer in tagger.model.layers:
        if "rnn" in layer.name:
            for weight in layer.weights:
                if "recurrent" in weight.path:
                    weight.assign(np.zeros(weight.shape))
                elif "bias" in weight.path:
                    weight.assign(np.full(weight.shape, -30.0))  # gates closed: nothing is carried
    sentences = [SENTENCES[0] * 6, SENTENCES[3] * 5, SENTENCES[1]]
    (whole, parts) = ([], [])
    for found, tagger.longest in ((whole, 1000), (parts, longest)):
        found += tagger.spans_with_probability(sentences)
    assert any(whole)
    for one, other in zip(whole, parts, strict=True):
        assert [span for span, _ in one] == [span for span, _ in other]
        np.testing.assert_allclose([p for _, p in one], [p for _, p in other], rtol=1e-3)


def test_parts_cover_every_token_once_with_its_neighbours():
    for length, longest in itertools.product([1, 7, 8, 9, 13, 14, 15, 200], [1, 2, 7, 8, 9, 17]):
        kept, margin = [], longest // 8
        for part, inner in overlapping_parts(length, longest=longest):
            here = list(range(length))[part]
            assert 0 < len(here) <= longest
            kept += here[inner]
            assert part.start == 0 or inner.start >= margin
            assert part.stop == length or len(here) - inner.stop >= margin
        assert kept == list(range(length))


@pytest.mark.slow
def test_a_sentence_of_thousands_of_words_takes_no_longer_than_its_length(tagger):
    """Every span has its probability from one pass over the sentence: a pass a span would be
    quadratic."""
    (found,) = tagger.spans_with_probability([SENTENCES[0] * 2500])
    assert len(found) > 1000
    assert all(0 <= probability <= 1 for _, probability in found)
