"""Words read letter by letter, so that an unseen word still has a vector."""

import keras
from keras import ops

from rnn_cookbook.errors import InputError, check_shares
from rnn_cookbook.nn.convolution import MaskedConv1D
from rnn_cookbook.nn.masking import PaddingMask
from rnn_cookbook.nn.pooling import MaskedPooling
from rnn_cookbook.nn.recurrent import CELLS

KINDS = ("recurrent", "convolution")


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class CharacterEncoder(keras.layers.Layer):
    """A vector for each word from its letters: int32[batch, time, letters] -> float[batch, time,
    units], twice that if recurrent.

    "recurrent" joins the last states of both directions (Lample et al. 2016), "convolution" takes
    the maximum of a convolution of width
    3 (Ma and Hovy 2016). Letters are padded with 0 on the right; a word of no letters, padding
    itself, gets the vector of one unknown letter.

    Args:
        vocabulary_size: letter numbers, 0 for padding included.
        embedding_size: width of the letters' vectors.
        units: of each direction, or filters.
        kind: "recurrent" or "convolution".
        cell: of the recurrent kind: "simple_rnn", "lstm" or "gru".
        dropout: on the letters' vectors, the same components for all letters of a word.
    """

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
            raise InputError(f"unknown cell {cell!r}; accepted are {', '.join(CELLS)}")
        check_shares(dropout=dropout)
        self.vocabulary_size, self.embedding_size, self.units = (
            vocabulary_size,
            embedding_size,
            units,
        )
        self.kind, self.cell, self.dropout = kind, cell, dropout
        policy = {
            "dtype": self.dtype_policy
        }  # not the global one, which may be another when the layer is loaded
        self.mask = PaddingMask(name="mask")
        self.embedding = keras.layers.Embedding(
            vocabulary_size, embedding_size, name="embedding", **policy
        )
        self.noise = keras.layers.SpatialDropout1D(dropout, name="noise", **policy)
        if kind == "recurrent":
            self.forward = CELLS[cell](units, name="forward", **policy)
            self.backward = CELLS[cell](units, go_backwards=True, name="backward", **policy)
        else:
            self.convolution = MaskedConv1D(units, 3, name="convolution", **policy)
            self.pooling = MaskedPooling(["max"], name="pooling", **policy)

    def build(self, input_shape):
        letters = (None, None, self.embedding_size)
        self.embedding.build((None, None))
        if self.kind == "recurrent":
            self.forward.build(letters)
            self.backward.build(letters)
        else:
            self.convolution.build((letters, (None, None)))
            self.pooling.build(((None, None, self.units), (None, None)))

    def call(self, characters, training=False):
        # Columns that are padding in the whole batch cost time and change nothing.
        longest = ops.maximum(
            ops.max(ops.sum(ops.cast(ops.not_equal(characters, 0), "int32"), axis=-1)), 1
        )
        characters = characters[:, :, :longest]
        batch, time, letters = ops.shape(characters)
        characters = ops.reshape(characters, (batch * time, letters))
        mask = self.mask(characters)
        vectors = self.noise(self.embedding(characters), training=training)
        if self.kind == "recurrent":
            words = ops.concatenate(
                [
                    direction(vectors, mask=mask, training=training)
                    for direction in (self.forward, self.backward)
                ],
                axis=-1,
            )
        else:
            words = self.pooling(self.convolution((vectors, mask)))
        return ops.reshape(words, (batch, time, words.shape[-1]))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:2], self.units * (2 if self.kind == "recurrent" else 1))

    def get_config(self):
        own = ("vocabulary_size", "embedding_size", "units", "kind", "cell", "dropout")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


LETTERS = 20  # of a word that are read; of a longer one the first and the last ten
