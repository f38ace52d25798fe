"""Scores, by the field's own libraries."""

from collections.abc import Iterator, Sequence

import numpy as np


def groups_by_length(lengths: Sequence[float], groups: int) -> Iterator[tuple[np.ndarray, dict]]:
    """At most `groups` groups of about equally many examples, from the shortest to the longest:
    their indices, and "shortest", "longest", "examples"."""
    lengths = np.asarray(lengths)
    for part in np.array_split(np.argsort(lengths, kind="stable"), min(groups, len(lengths))):
        yield (
            part,
            {
                "shortest": lengths[part].min().item(),
                "longest": lengths[part].max().item(),
                "examples": len(part),
            },
        )
