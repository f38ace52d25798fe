"""Tags of tokens and the spans that they stand for, in the schemes that files come in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from rnn_cookbook.errors import InputError

__all__ = [
    "SCHEMES",
    "Span",
    "breaches",
    "check_scheme",
    "detect_scheme",
    "parse_tag",
    "spans",
    "tags_of",
]

SCHEMES = ("iob1", "bio", "bioes")

# BILOU (Ratinov and Roth 2009) and BMEWO call the same four places otherwise.
_PREFIXES = {"B": "B", "I": "I", "E": "E", "S": "S", "L": "E", "U": "S", "M": "I", "W": "S"}


class Span(NamedTuple):
    """An entity: the tokens from `start` to `end - 1`, and a type.

    Two spans are equal if all three are, which strict scores go by.

    Args:
        start: index of the first token.
        end: index after the last token.
        type: type of the entity, such as "PER".
    """

    start: int
    end: int
    type: str


@lru_cache(maxsize=1000)  # a file has few tags, many times
def parse_tag(tag: str) -> tuple[str, str]:
    """Splits a tag into place and type: "B-PER" into ("B", "PER"), "O" into ("O", "").

    L, U, M and W of other schemes become E, S, I and S.

    Args:
        tag: tag of a token.

    Raises:
        InputError: the tag has another prefix, or no type.
    """
    if tag == "O":
        return "O", ""
    prefix, _, kind = tag.partition("-")
    if prefix not in _PREFIXES or not kind:
        accepted = ", ".join(f"{prefix}-TYPE" for prefix in _PREFIXES)
        raise InputError(f"unknown tag {tag!r}; accepted are O and {accepted}, such as B-PER")
    return _PREFIXES[prefix], kind


def spans(tags: Sequence[str]) -> list[Span]:
    """Returns the spans of a sequence of tags of any scheme, in order.

    Tags are read as the scorer of the CoNLL shared tasks reads them, which accepts every sequence:
    an I that continues nothing begins a span.

    Args:
        tags: tag of each token.

    Raises:
        InputError: an unknown tag, see `parse_tag`.
    """
    entities: list[Span] = []
    start = 0
    before = ("O", "")
    for i, tag in enumerate([*tags, "O"]):
        prefix, kind = parse_tag(tag)
        continues = before[0] in ("B", "I") and prefix in ("I", "E") and kind == before[1]
        if not continues:
            if before[0] != "O":
                entities.append(Span(start, i, before[1]))
            start = i
        before = (prefix, kind)
    return entities


def check_scheme(scheme: str, *others: str) -> None:
    """Raises InputError unless the scheme is one of `SCHEMES`, or of the others.

    Args:
        scheme: name of a tag scheme.
        *others: further names that are accepted.

    Raises:
        InputError: an unknown scheme.
    """
    accepted = (*others, *SCHEMES)
    if scheme not in accepted:
        raise InputError(
            f"unknown tag scheme {scheme!r}; accepted are {', '.join(accepted)}", field="scheme"
        )


def tags_of(entities: Sequence[Span], length: int, *, scheme: str = "bio") -> list[str]:
    """Returns the tags of a sentence with these entities.

    Args:
        entities: spans that do not overlap, in order.
        length: number of tokens of the sentence.
        scheme: "bio" (IOB2: every span begins with a B), "iob1" (a B only where a span touches a
            span of the same type before it) or "bioes" (also E for the last token of several, S for
            a single token).

    Raises:
        InputError: spans that overlap or leave the sentence; an unknown scheme.
    """
    check_scheme(scheme)
    tags = ["O"] * length
    before = Span(0, 0, "")
    for span in entities:
        start, end, kind = span
        if not before.end <= start < end <= length:
            raise InputError(
                f"spans must follow each other within {length} tokens; received {span} after "
                f"{before}"
            )
        tags[start:end] = [f"I-{kind}"] * (end - start)
        if scheme != "iob1" or (before.end, before.type) == (start, kind):
            tags[start] = f"B-{kind}"
        if scheme == "bioes":
            tags[end - 1] = f"S-{kind}" if end - start == 1 else f"E-{kind}"
        before = span
    return tags


def breaches(tags: Sequence[str], *, scheme: str) -> list[int]:
    """Returns the positions whose tag is not what the scheme would have for the same spans.

    Examples are an I after O in BIO, and a B after O in IOB1.

    Args:
        tags: tag of each token.
        scheme: scheme that the tags should keep, one of `SCHEMES`.

    Raises:
        InputError: an unknown tag or scheme.
    """
    right = tags_of(spans(tags), len(tags), scheme=scheme)
    return [
        i
        for i, (tag, other) in enumerate(zip(tags, right, strict=True))
        if parse_tag(tag) != parse_tag(other)
    ]


def detect_scheme(sequences: Sequence[Sequence[str]]) -> str:
    """Returns the scheme that the fewest tags break; among equals BIO.

    So a few wrong tags do not make a file one of another scheme.

    Args:
        sequences: tags of each sentence.

    Raises:
        InputError: an unknown tag.
    """
    candidates = ("bio", "iob1", "bioes")  # the first of equals wins
    broken = {
        scheme: sum(len(breaches(tags, scheme=scheme)) for tags in sequences)
        for scheme in candidates
    }
    return min(candidates, key=lambda scheme: broken[scheme])
