"""A score's name and which way is better; groups of examples by length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["VAL_LOSS", "Metric", "groups_by_length"]


@dataclass(frozen=True)
class Metric:
    """The name of a score and its direction: the one place that says which way is better.

    Args:
        name: key of the score in the dictionaries of `evaluate` and in a training history.
        higher_is_better: whether a larger score is a better one.
    """

    name: str
    higher_is_better: bool

    @property
    def direction(self) -> str:
        """ "max" or "min", as keras-tuner calls it."""
        return "max" if self.higher_is_better else "min"

    def better(self, score: float, than: float) -> bool:
        """Whether `score` is strictly better; a score that is not a number never is."""
        return score > than if self.higher_is_better else score < than

    def ranked(self, scores: Mapping[str, float]) -> list[str]:
        """The keys of `scores`, best first."""
        return sorted(scores, key=lambda name: scores[name], reverse=self.higher_is_better)

    def on_validation(self) -> Metric:
        """The same score as Keras names it in a training history: "val_" before the name."""
        return replace(self, name=f"val_{self.name}")


VAL_LOSS = Metric("val_loss", higher_is_better=False)


def groups_by_length(lengths: Sequence[float], groups: int) -> Iterator[tuple[np.ndarray, dict]]:
    """Divides examples into groups of about equal size, from the shortest to the longest.

    Args:
        lengths: length of each example.
        groups: maximum number of groups.

    Yields:
        The indices of a group's examples, int64[examples], and its "shortest", "longest" and number
        of "examples".
    """
    import numpy as np  # here: `rnn-cookbook list` reads this module and needs no NumPy

    sizes = np.asarray(lengths)
    order = np.argsort(sizes, kind="stable")
    for part in np.array_split(order, min(groups, len(sizes))):
        facts = {
            "shortest": sizes[part].min().item(),
            "longest": sizes[part].max().item(),
            "examples": len(part),
        }
        yield part, facts
