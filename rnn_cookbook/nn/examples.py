"""Which values the inputs of a layer take, so that a network can be tried with random examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

__all__ = ["InputValues", "ReadsInputs"]


@dataclass(frozen=True)
class InputValues:
    """The values of one input of a layer.

    Args:
        lengths: whether the input holds the number of steps of each row, int32[batch].
        counts: for each component of the last axis, the number of integer values 0 to count - 1;
            empty where the layer does not say.
        deviation: standard deviation of a floating-point input.
        steps: time steps of this input that are worth one step elsewhere, such as the audio samples
            of a frame.
        width: size of a free axis after the time axis; 0 where there is none.
    """

    lengths: bool = False
    counts: tuple[int, ...] = ()
    deviation: float = 1.0
    steps: int = 1
    width: int = 0


@runtime_checkable
class ReadsInputs(Protocol):
    """A layer that says which values its inputs take."""

    @property
    def input_values(self) -> Sequence[InputValues]:
        """The values of each input, in the order of the layer's inputs."""
        ...
