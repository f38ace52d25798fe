"""The type of a tensor in signatures."""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["Tensor"]

# A tensor of TensorFlow or Keras, symbolic or not, a variable, or an array: what both libraries
# convert by themselves. Their annotations know neither indexing with an ellipsis nor all operators,
# hence `Any`; types and shapes of the values stand in the docstrings.
Tensor: TypeAlias = Any
