"""Tags and spans: schemes, conversions between them, what breaks them, and the numbers of tags."""

from itertools import pairwise
from pathlib import Path
from tempfile import gettempdir

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.tagging.encode import TagEncoder
from rnn_cookbook.tasks.tagging.schemes import (
    SCHEMES,
    Span,
    breaches,
    detect_scheme,
    parse_tag,
    spans,
    tags_of,
)

# Its caches would lie in the checkout.
set_hypothesis_home_dir(Path(gettempdir()) / "rnn_cookbook_hypothesis")

# fmt: off
SAME_SPANS = {  # [PER PER] [PER] O [LOC] [LOC LOC LOC] O
    "iob1":  ["I-PER", "I-PER", "B-PER", "O", "I-LOC", "B-LOC", "I-LOC", "I-LOC", "O"],
    "bio":   ["B-PER", "I-PER", "B-PER", "O", "B-LOC", "B-LOC", "I-LOC", "I-LOC", "O"],
    "bioes": ["B-PER", "E-PER", "S-PER", "O", "S-LOC", "B-LOC", "I-LOC", "E-LOC", "O"],
    "bilou": ["B-PER", "L-PER", "U-PER", "O", "U-LOC", "B-LOC", "I-LOC", "L-LOC", "O"],
    "bmewo": ["B-PER", "E-PER", "W-PER", "O", "W-LOC", "B-LOC", "M-LOC", "E-LOC", "O"],
}
# fmt: on
SPANS = [Span(0, 2, "PER"), Span(2, 3, "PER"), Span(4, 5, "LOC"), Span(5, 8, "LOC")]


TYPES = st.sampled_from(["PER", "LOC", "B-cell", "O", "-", "ß日"])


@st.composite
def sentences(draw):
    """(spans, length): some touch, some do not."""
    found, end = [], draw(st.integers(0, 3))
    for _ in range(draw(st.integers(0, 5))):
        start, end = end, end + draw(st.integers(1, 4))
        found.append(Span(start, end, draw(TYPES)))
        end += draw(st.integers(0, 2))
    return found, end


ANY_TAGS = st.lists(
    st.sampled_from(
        ["O", *(f"{prefix}-{kind}" for prefix in "BIESLUMW" for kind in ("PER", "LOC"))]
    ),
    max_size=12,
)
tries = settings(max_examples=150, derandomize=True, deadline=None)


@pytest.mark.parametrize("scheme", SAME_SPANS)
def test_every_scheme_is_read_alike(scheme):
    assert spans(SAME_SPANS[scheme]) == SPANS


@pytest.mark.parametrize("scheme", SCHEMES)
def test_tags_of_spans(scheme):
    assert tags_of(SPANS, 9, scheme=scheme) == SAME_SPANS[scheme]
    assert tags_of([], 2, scheme=scheme) == ["O", "O"]


@tries
@given(sentences(), st.sampled_from(SCHEMES))
def test_spans_come_back_from_every_scheme(sentence, scheme):
    found, length = sentence
    tags = tags_of(found, length, scheme=scheme)
    assert len(tags) == length
    assert spans(tags) == found
    assert breaches(tags, scheme=scheme) == []


@tries
@given(ANY_TAGS, st.sampled_from(SCHEMES))
def test_any_tags_are_mended_without_another_span(tags, scheme):
    found = spans(tags)
    assert all(one.end <= two.start for one, two in pairwise(found))
    assert {i for span in found for i in range(span.start, span.end)} == {
        i for i, tag in enumerate(tags) if tag != "O"
    }
    mended = tags_of(found, len(tags), scheme=scheme)
    assert spans(mended) == found
    changed = [
        i
        for i, (tag, other) in enumerate(zip(tags, mended, strict=True))
        if parse_tag(tag) != parse_tag(other)
    ]
    assert breaches(tags, scheme=scheme) == changed


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ([], []),
        (["O", "O"], []),
        (["O", "I-PER", "I-PER"], [(1, 3, "PER")]),
        (["B-PER", "I-LOC"], [(0, 1, "PER"), (1, 2, "LOC")]),
        (["I-PER", "O", "I-PER"], [(0, 1, "PER"), (2, 3, "PER")]),
        (["B-PER", "I-PER", "I-PER"], [(0, 3, "PER")]),
        (["E-PER", "E-PER"], [(0, 1, "PER"), (1, 2, "PER")]),
        (["B-PER", "S-PER", "I-PER"], [(0, 1, "PER"), (1, 2, "PER"), (2, 3, "PER")]),
        (["B-PER", "E-PER", "I-PER"], [(0, 2, "PER"), (2, 3, "PER")]),
        (["B-B-cell", "I-B-cell"], [(0, 2, "B-cell")]),
    ],
)
def test_spans_of_tags_that_break_every_scheme(tags, expected):
    assert spans(tags) == expected


@pytest.mark.parametrize(
    "tag",
    [
        "",
        "o",
        "B",
        "B-",
        "-PER",
        "PER",
        "B_PER",
        "O-PER",
        "BI-PER",
        "IES-PER",
        "b-PER",
        "X-PER",
        "0",
    ],
)
def test_unknown_tags(tag):
    with pytest.raises(InputError, match=f"unknown tag '{tag}'; accepted are O and B-TYPE"):
        spans(["O", tag])


@pytest.mark.parametrize(
    "found",
    [
        [Span(0, 2, "A"), Span(1, 3, "A")],
        [Span(2, 3, "A"), Span(0, 1, "A")],
        [Span(1, 1, "A")],
        [Span(2, 5, "A")],
        [Span(-1, 1, "A")],
    ],
)
def test_spans_that_no_tags_can_show(found):
    with pytest.raises(InputError, match="spans must follow each other within 4 tokens"):
        tags_of(found, 4)


@pytest.mark.parametrize(
    ("scheme", "tags", "expected"),
    [
        ("bio", ["O", "I-PER", "I-PER", "B-PER"], [1]),
        ("bio", ["B-PER", "I-LOC", "I-LOC"], [1]),
        ("iob1", ["O", "B-PER", "I-PER", "B-PER"], [1]),
        ("iob1", ["I-LOC", "B-PER"], [1]),
        ("bioes", ["B-PER", "O", "B-PER", "I-PER", "E-PER"], [0]),
        ("bioes", ["B-PER", "I-PER", "O", "I-PER", "E-PER"], [1, 3]),
        ("bio", ["U-PER"], [0]),
    ],
)
def test_breaches(scheme, tags, expected):
    assert breaches(tags, scheme=scheme) == expected


@pytest.mark.parametrize(
    ("sequences", "scheme"),
    [
        *(
            ([tags], {"bilou": "bioes", "bmewo": "bioes"}.get(name, name))
            for name, tags in SAME_SPANS.items()
        ),
        ([], "bio"),
        ([["O"], ["O", "O"]], "bio"),
        ([["B-PER", "I-PER"], ["O", "B-LOC"]], "bio"),
        ([["B-PER", "I-PER", "O", "I-LOC"]], "bio"),  # one tag breaks either
        ([["O", "B-PER"]] * 5 + [["O", "I-PER"]], "bio"),
        ([["O", "I-PER"]] * 5 + [["O", "B-PER"]], "iob1"),
        ([["O", "B-PER"]] * 5 + [["O", "S-PER"]], "bio"),
        ([["O", "S-PER"], ["B-PER", "E-PER"]] * 5 + [["O", "I-PER"]], "bioes"),
    ],
)
def test_the_scheme_is_the_one_that_fewest_tags_break(sequences, scheme):
    assert detect_scheme(sequences) == scheme


def test_unknown_schemes():
    for call in (
        lambda: tags_of([], 1, scheme="bilou"),
        lambda: breaches([], scheme="bilou"),
        lambda: TagEncoder(["PER"], scheme="bilou"),
    ):
        with pytest.raises(
            InputError, match="unknown tag scheme 'bilou'; accepted are iob1, bio, bioes"
        ):
            call()


class TestTagEncoder:
    def test_numbers_begin_with_O_and_have_every_tag_of_every_type(self):
        sequences = [["O", "I-PER", "I-PER"], ["B-LOC"]]
        assert TagEncoder.fit(sequences).tags == [
            "O",
            *(f"{prefix}-{kind}" for kind in ("LOC", "PER") for prefix in "BIES"),
        ]
        assert TagEncoder.fit(sequences, scheme="bio").tags == [
            "O",
            "B-LOC",
            "I-LOC",
            "B-PER",
            "I-PER",
        ]

    @pytest.mark.parametrize("scheme", SCHEMES)
    @pytest.mark.parametrize("given_as", SAME_SPANS)
    def test_sequences_of_any_scheme_become_numbers_of_its_own(self, scheme, given_as):
        encoder = TagEncoder(["PER", "LOC"], scheme=scheme)
        numbers = encoder.encode(SAME_SPANS[given_as])
        assert [encoder.tags[number] for number in numbers] == SAME_SPANS[scheme]
        assert encoder.decode(numbers) == SPANS

    @tries
    @given(sentences(), st.sampled_from(SCHEMES))
    def test_spans_come_back(self, sentence, scheme):
        found, length = sentence
        tags = tags_of(found, length)
        if found:
            encoder = TagEncoder.fit([tags], scheme=scheme)
            assert encoder.decode(encoder.encode(tags)) == found

    def test_types_that_training_lacks_are_counted_and_named(self):
        encoder = TagEncoder.fit([["B-PER", "O", "B-LOC"]])
        encoder.check([["S-LOC", "O"]], name="test")
        message = (
            "the test split has 3 entities of types that the training split lacks: MISC, ORG; "
            "training has LOC, PER"
        )
        with pytest.raises(InputError, match=message):
            encoder.check([["B-ORG", "I-ORG", "B-PER"], ["B-MISC", "O", "I-ORG"]], name="test")

    def test_training_data_without_an_entity(self):
        with pytest.raises(InputError, match="every tag is O"):
            TagEncoder.fit([["O", "O"]])
