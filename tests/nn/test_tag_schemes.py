"""Tag schemes: what they allow is what entities can give."""

import itertools

import pytest
from crf_reference import NER

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.tag_schemes import tag_constraints


def spans_of(tags, scheme):
    """Entities (type, begin, end) of a sequence read strictly, or None where it breaks the scheme:
    written from the definitions."""
    spans, begin, kind = [], None, None
    for position, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        inside = begin is not None
        if scheme == "bioes":
            if inside != (prefix in ("I", "E")) or (inside and name != kind):
                return None
            if prefix in ("E", "S"):
                spans.append((name, begin if inside else position, position + 1))
                begin = None
            elif prefix == "B":
                begin, kind = position, name
            continue
        going_on = prefix == "I" and inside and name == kind
        if (scheme == "bio" and prefix == "I" and not going_on) or (
            scheme == "iob1" and prefix == "B" and not (inside and name == kind)
        ):
            return None
        if inside and not going_on:
            spans.append((kind, begin, position))
            begin = None
        if prefix != "O" and not going_on:
            begin, kind = position, name
    return spans


def write(spans, length, scheme):
    """The one right way to write entities down."""
    tags, last = ["O"] * length, None
    for kind, begin, end in spans:
        first = "I" if scheme == "iob1" and last != (kind, begin) else "B"
        tags[begin:end] = [f"{first}-{kind}"] + [f"I-{kind}"] * (end - begin - 1)
        if scheme == "bioes":
            tags[end - 1] = f"E-{kind}" if end - begin > 1 else f"S-{kind}"
        last = (kind, end)
    return tags


@pytest.mark.parametrize("scheme", ["bio", "iob1", "bioes"])
def test_allowed_are_exactly_the_sequences_that_entities_can_give(scheme):
    """All sequences of up to four tags of two types: allowed are those which come back when their
    entities are written down again."""
    prefixes = {"bio": "BI", "iob1": "BI", "bioes": "BIES"}[scheme]
    tags = ["O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC-X") for prefix in prefixes)]
    start, transitions, end = tag_constraints(tags, scheme=scheme)
    count = 0
    for length in (1, 2, 3, 4):
        for path in itertools.product(range(len(tags)), repeat=length):
            allowed = (
                start[path[0]]
                and end[path[-1]]
                and all(transitions[pair] for pair in itertools.pairwise(path))
            )
            names = [tags[tag] for tag in path]
            spans = spans_of(names, scheme)
            assert allowed == (spans is not None and write(spans, length, scheme) == names), names
            count += allowed
    # The three schemes write the same entities: as many sequences each.
    assert count == sum(number_of_annotations(length, types=2) for length in (1, 2, 3, 4))


def number_of_annotations(length, types):
    """Ways to place entities of so many types on a sequence."""
    ways = [1]
    for _ in range(length):
        ways.append(ways[-1] + types * sum(ways))
    return ways[-1]


def test_constraints_of_bio_as_a_table():
    start, transitions, end = tag_constraints(["O", "B-A", "I-A", "B-B", "I-B"])
    assert start.tolist() == [True, True, False, True, False]
    assert end.all()
    assert transitions.astype(int).tolist() == [
        [1, 1, 0, 1, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 1, 1],
        [1, 1, 0, 1, 1],
    ]


@pytest.mark.parametrize(
    ("tags", "scheme", "message"),
    [
        (NER, "iobes", "unknown tag scheme 'iobes'; accepted are bio, iob1, bioes"),
        ([], "bio", "tags of scheme bio must be O, B-TYPE, I-TYPE; received no tags"),
        (
            ["O", "S-X", "PER", "B-"],
            "bio",
            "scheme bio must be O, B-TYPE, I-TYPE; received 'S-X', 'PER', 'B-'",
        ),
        (["O", "B-X", "O"], "bio", "received O more than once"),
        (["O", "B-X", "I-Y"], "bio", "scheme bio can hold I-Y"),
        (["O", "B-X", "I-Y"], "iob1", "scheme iob1 can hold B-X"),
        (["O", "B-X", "I-X", "E-Y"], "bioes", "can hold B-X, I-X, E-Y"),
    ],
)
def test_bad_arguments_are_named(tags, scheme, message):
    with pytest.raises(InputError, match=message):
        tag_constraints(tags, scheme=scheme)
