"""Constraints of tag schemes: which tags may follow each other, for a CRF."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rnn_cookbook.errors import InputError, listing

__all__ = ["tag_constraints"]


def _bio_may_follow(before: str, after: str, same: bool) -> bool:
    return after != "I" or (before in "BI" and same)


def _iob1_may_follow(before: str, after: str, same: bool) -> bool:
    return after != "B" or (before in "BI" and same)


def _bioes_may_follow(before: str, after: str, same: bool) -> bool:
    inside = after in "IE"
    return (before in "BI") == inside and (same or not inside)


# Prefixes of each scheme, and whether the prefix `after` may follow `before`, of the same type or
# another; beyond both ends of a sequence lies an O.
_SCHEMES: dict[str, tuple[str, Callable[[str, str, bool], bool]]] = {
    # Begin, inside: every entity begins with a B (IOB2: Tjong Kim Sang and Veenstra 1999,
    # "Representing Text Chunks").
    "bio": ("BI", _bio_may_follow),
    # A B only where an entity touches another of its own type (Ramshaw and Marcus 1995, "Text
    # Chunking using Transformation-Based Learning").
    "iob1": ("BI", _iob1_may_follow),
    # Begin, inside, end, single (Ratinov and Roth 2009, "Design Challenges and Misconceptions in
    # Named Entity Recognition").
    "bioes": ("BIES", _bioes_may_follow),
}


def _parts(tags: Sequence[str], scheme: str) -> list[tuple[str, ...]]:
    """Splits tags into prefix and type.

    Raises:
        InputError: a tag is none of the scheme, there is none, or a tag stands twice.
    """
    prefixes, _ = _SCHEMES[scheme]
    wrong = []
    parts = [tuple(tag.split("-", 1)) for tag in tags]
    for tag, part in zip(tags, parts, strict=True):
        typed = len(part) == 2 and part[0] in [*prefixes] and part[1] != ""
        if tag != "O" and not typed:
            wrong.append(repr(tag))
    if wrong or not parts:
        accepted = ", ".join(f"{prefix}-TYPE" for prefix in prefixes)
        raise InputError(
            f"tags of scheme {scheme} must be O, {accepted}; received {listing(wrong) or 'no tags'}"
        )
    repeated = sorted({tag for tag in tags if list(tags).count(tag) > 1})
    if repeated:
        raise InputError(f"tags must differ; received {listing(repeated)} more than once")
    return parts


def tag_constraints(
    tags: Sequence[str], *, scheme: str = "bio"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns what a tag scheme allows, for the `allowed` of a `CRF`.

    (bool[tags] at the start, bool[tags, tags] from the row to the column, bool[tags] at the end)

    Args:
        tags: tags such as "O", "B-PER", "I-PER", in the order of their numbers.
        scheme: "bio" (every entity begins with a B), "iob1" (a B only between touching entities of
            the same type) or "bioes".

    Raises:
        InputError: unknown scheme, tags that are not of the scheme or not distinct, or a tag that
            no sequence of the scheme can hold.
    """
    if scheme not in _SCHEMES:
        accepted = ", ".join(_SCHEMES)
        raise InputError(f"unknown tag scheme {scheme!r}; accepted are {accepted}", field="scheme")
    _, may_follow = _SCHEMES[scheme]
    parts = [*_parts(tags, scheme), ("O",)]
    table = np.array(
        [
            [may_follow(before[0], after[0], before[1:] == after[1:]) for after in parts]
            for before in parts
        ]
    )
    start = table[-1, :-1]
    transitions = table[:-1, :-1]
    end = table[:-1, -1]
    reached = start
    leaving = end
    for _ in tags:
        reached = reached | reached @ transitions
        leaving = leaving | transitions @ leaving
    useless = [tag for tag, used in zip(tags, reached & leaving, strict=True) if not used]
    if useless:
        raise InputError(
            f"no sequence of scheme {scheme} can hold {listing(useless)}; accepted are tags with "
            "the others of their type"
        )
    return start, transitions, end
