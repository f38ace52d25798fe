"""Tags of tokens and the spans that they stand for, in the schemes that files come in."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from rnn_cookbook.errors import InputError

SCHEMES = ("iob1", "bio", "bioes")
# BILOU (Ratinov and Roth 2009) and BMEWO call the same four places otherwise.
_PREFIXES = {"B": "B", "I": "I", "E": "E", "S": "S", "L": "E", "U": "S", "M": "I", "W": "S"}


class Span(NamedTuple):
    """Tokens start to end - 1, of one type. In sets, as `metrics.span_scores` compares them, two
    are equal if all three are."""

    start: int
    end: int
    type: str


@lru_cache(maxsize=1000)  # a file has few tags, many times
def parse_tag(tag: str) -> tuple[str, str]:
    """("B", "PER") of "B-PER", ("O", "") of "O"; L, U, M and W of other schemes become E, S, I and
    S.

    Raises:
        InputError: anything else, a type without a prefix among it.
    """
    if tag == "O":
        return "O", ""
    prefix, _, kind = tag.partition("-")
    if prefix not in _PREFIXES or not kind:
        raise InputError(
            f"unknown tag {tag!r}; accepted are O and {', '.join(f'{each}-TYPE' for each in _PREFIXES)}, such as B-PER"
        )
    return _PREFIXES[prefix], kind


def spans(tags: Sequence[str]) -> list[Span]:
    """The spans of a sequence of tags of any scheme, in order.

    As the CoNLL shared tasks' scorer reads tags, which takes every sequence: an I that continues
    nothing begins a span.
    """
    found: list[Span] = []
    start, before = 0, ("O", "")
    for i, tag in enumerate([*tags, "O"]):
        prefix, kind = parse_tag(tag)
        goes_on = before[0] in ("B", "I") and prefix in ("I", "E") and kind == before[1]
        if not goes_on:
            if before[0] != "O":
                found.append(Span(start, i, before[1]))
            start = i
        before = prefix, kind
    return found


def tags_of(found: Sequence[Span], length: int, *, scheme: str = "bio") -> list[str]:
    """The tags of `length` tokens with these spans.

    Args:
        found: spans that do not overlap, in order.
        length: tokens.
        scheme: "bio" (IOB2: every span begins with a B), "iob1" (a B only where a span touches one
            of its own type before it) or "bioes" (also E for a last token and S for an only one).
    """
    check_scheme(scheme)
    tags = ["O"] * length
    before = Span(0, 0, "")
    for span in found:
        start, end, kind = span
        if not before.end <= start < end <= length:
            raise InputError(
                f"spans must follow each other within {length} tokens, got {span} after {before}"
            )
        tags[start:end] = [f"I-{kind}"] * (end - start)
        if scheme != "iob1" or (before.end, before.type) == (start, kind):
            tags[start] = f"B-{kind}"
        if scheme == "bioes":
            tags[end - 1] = f"S-{kind}" if end - start == 1 else f"E-{kind}"
        before = span
    return tags


def check_scheme(scheme: str, *others: str) -> None:
    """Raises InputError unless the scheme is one of `SCHEMES`, or of the others."""
    if scheme not in (*others, *SCHEMES):
        raise InputError(
            f"unknown tag scheme {scheme!r}; accepted are {', '.join((*others, *SCHEMES))}"
        )


def breaches(tags: Sequence[str], *, scheme: str) -> list[int]:
    """Positions whose tag is not what the scheme would have for the same spans: an I after O in
    BIO, a B after O in IOB1."""
    right = tags_of(spans(tags), len(tags), scheme=scheme)
    return [
        i
        for i, (tag, other) in enumerate(zip(tags, right, strict=True))
        if parse_tag(tag) != parse_tag(other)
    ]


def detect_scheme(sequences: Sequence[Sequence[str]]) -> str:
    """The scheme that the fewest tags break, BIO among equals: a few wrong tags in a file do not
    make it one of another scheme."""
    broken = {
        scheme: sum(len(breaches(tags, scheme=scheme)) for tags in sequences)
        for scheme in ("bio", "iob1", "bioes")
    }
    return min(broken, key=broken.get)
