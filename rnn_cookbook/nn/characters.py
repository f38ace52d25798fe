"""A vector for each word from its letters, so that unseen words have one too."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.convolution import MaskedConv1D
from rnn_cookbook.nn.examples import InputValues
from rnn_cookbook.nn.masking import PaddingMask
from rnn_cookbook.nn.pooling import MaskedPooling
from rnn_cookbook.nn.recurrent import CELLS
from rnn_cookbook.nn.tensors import Tensor
from rnn_cookbook.settings import check_fractions

__all__ = ["KINDS", "LETTERS", "CharacterEncoder"]

KINDS = ("recurrent", "convolution")

# Letters of a word that are read; of a longer word the first and the last half.
LETTERS = 20

# Letters that a filter of the convolution sees (Ma and Hovy 2016).
_KERNEL_SIZE = 3


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class CharacterEncoder(keras.layers.Layer):
    """Computes a vector for each word from its letters.

    int32[batch, time, letters] -> float[batch, time, units], or 2 * units for "recurrent"

    "recurrent" concatenates the last states of both directions (Lample et al. 2016), "convolution"
    takes the maximum over a convolution of width 3 (Ma and Hovy 2016). Letters are padded with 0 on
    the right; a word without letters, such as padding, gets the vector of one unknown letter.

    Args:
        vocabulary_size: number of letters, 0 for padding included.
        embedding_size: width of the letters' vectors.
        units: size of the state in each direction, or number of filters.
        kind: "recurrent" or "convolution".
        cell: recurrent cell of the recurrent kind: "simple_rnn", "lstm" or "gru".
        dropout: dropout rate on the letters' vectors; the same components are dropped for all
            letters of a word.

    Raises:
        InputError: unknown kind or cell, or a dropout rate out of range.
    """

    stepwise = True

    def __init__(
        self,
        vocabulary_size: int,
        *,
        embedding_size: int = 30,
        units: int = 25,
        kind: str = "recurrent",
        cell: str = "lstm",
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if kind not in KINDS:
            raise InputError(f"unknown character encoder {kind!r}; accepted are {', '.join(KINDS)}")
        if cell not in CELLS:
            accepted = ", ".join(CELLS)
            raise InputError(f"unknown cell {cell!r}; accepted are {accepted}", field="cell")
        check_fractions(dropout=dropout)
        self.vocabulary_size = vocabulary_size
        self.embedding_size = embedding_size
        self.units = units
        self.kind = kind
        self.cell = cell
        self.dropout = dropout
        # Not the global policy, which may be another when the layer is loaded.
        policy = self.dtype_policy
        self.mask = PaddingMask(name="mask")
        self.embedding = keras.layers.Embedding(
            vocabulary_size, embedding_size, name="embedding", dtype=policy
        )
        self.noise = keras.layers.SpatialDropout1D(dropout, name="noise", dtype=policy)
        if kind == "recurrent":
            recurrent = CELLS[cell]
            self.forward = recurrent(units, name="forward", dtype=policy)
            self.backward = recurrent(units, go_backwards=True, name="backward", dtype=policy)
        else:
            self.convolution = MaskedConv1D(units, _KERNEL_SIZE, name="convolution", dtype=policy)
            self.pooling = MaskedPooling(["max"], name="pooling", dtype=policy)

    @property
    def input_values(self) -> tuple[InputValues, ...]:
        """The values of the letters, for random examples."""
        return (InputValues(counts=(self.vocabulary_size,), width=LETTERS),)

    def build(self, input_shape: Any) -> None:
        letters = (None, None, self.embedding_size)
        self.embedding.build((None, None))
        if self.kind == "recurrent":
            self.forward.build(letters)
            self.backward.build(letters)
        else:
            self.convolution.build((letters, (None, None)))
            self.pooling.build(((None, None, self.units), (None, None)))

    def call(self, characters: Tensor, training: bool = False) -> Tensor:
        # Columns that are padding in the whole batch cost time and change nothing.
        lengths = ops.sum(ops.cast(ops.not_equal(characters, 0), "int32"), axis=-1)
        longest = ops.maximum(ops.max(lengths), 1)
        characters = characters[:, :, :longest]
        shape: Tensor = ops.shape(characters)
        batch, time, letters = shape
        characters = ops.reshape(characters, (batch * time, letters))
        mask = self.mask(characters)
        vectors = self.noise(self.embedding(characters), training=training)
        words: Tensor
        if self.kind == "recurrent":
            forward = self.forward(vectors, mask=mask, training=training)
            backward = self.backward(vectors, mask=mask, training=training)
            words = ops.concatenate([forward, backward], axis=-1)
        else:
            words = self.pooling(self.convolution((vectors, mask)))
        return ops.reshape(words, (batch, time, words.shape[-1]))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:2], self.units * (2 if self.kind == "recurrent" else 1))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_size": self.embedding_size,
            "units": self.units,
            "kind": self.kind,
            "cell": self.cell,
            "dropout": self.dropout,
        }
