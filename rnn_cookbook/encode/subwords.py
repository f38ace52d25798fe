"""Text to subwords and back, by SentencePiece (Kudo and Richardson 2018), trained on the training
text."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import sentencepiece

from rnn_cookbook.errors import InputError

__all__ = ["END", "PADDING", "START", "UNKNOWN", "SubwordEncoder"]

PADDING = 0
UNKNOWN = 1  # a character that the training text lacks
START = 2
END = 3
_FILE = "subwords.model"


class SubwordEncoder:
    """An encoder of texts as subword numbers: 0 pads, 1 is a character that the training text
    lacks, 2 starts and 3 ends a sequence, the rest are subwords.

    Text is normalised as by NFKC, and any white space is one space.

    Args:
        model: what SentencePiece stores; `fit` learns it from texts.
    """

    def __init__(self, model: bytes):
        self.model = model
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    @classmethod
    def fit(cls, texts: Iterable[str], *, size: int) -> SubwordEncoder:
        """Learns a vocabulary by byte-pair encoding (Sennrich et al. 2016): the characters of the
        texts, and what occurs together most often.

        Args:
            texts: texts of the training split.
            size: number of subwords, padding, unknown, start and end included.

        Raises:
            InputError: no text; more subwords than the texts have, or fewer than they have
                characters, with how many fit.
        """
        written = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_writer=written,
                vocab_size=size,
                model_type="bpe",
                character_coverage=1.0,
                pad_id=PADDING,
                unk_id=UNKNOWN,
                bos_id=START,
                eos_id=END,
                max_sentence_length=1_000_000,
                minloglevel=2,
                num_threads=1,  # the same texts give the same subwords
            )
        except RuntimeError as error:
            raise _unfit(size, str(error)) from error
        return cls(written.getvalue())

    def __len__(self) -> int:
        """The size of the embedding: padding, unknown, start and end included."""
        return self._processor.vocab_size()

    def encode(
        self, texts: Sequence[str], *, dropout: float = 0.0, seed: int | Sequence[int] = 0
    ) -> list[np.ndarray]:
        """Returns the subword numbers of each text, int32[tokens], the end symbol last, unpadded.

        Args:
            texts: texts to encode.
            dropout: rate at which merges are left out (BPE-dropout: Provilkov et al. 2020): a text
                has other subwords with each seed.
            seed: seed of the dropout.
        """
        if dropout:
            sentencepiece.set_random_generator_seed(
                int(np.random.SeedSequence(seed).generate_state(1)[0])
            )
            pieces = (
                self._processor.encode(text, enable_sampling=True, alpha=dropout) for text in texts
            )
        else:
            pieces = (self._processor.encode(text) for text in texts)
        return [np.array([*numbers, END], np.int32) for numbers in pieces]

    def decode(self, sequences: Iterable[Sequence[int] | np.ndarray]) -> list[str]:
        """Returns the texts of subword numbers up to the first end symbol; unknown characters are
        left out."""
        kept = (
            [int(number) for number in _until_end(numbers) if number > END] for numbers in sequences
        )
        return [" ".join(self._processor.decode(numbers).split()) for numbers in kept]

    def pieces(self, numbers: Sequence[int] | np.ndarray) -> list[str]:
        """Returns the subwords themselves, for a reader; ▁ stands for the space before a word."""
        return [self._processor.id_to_piece(int(number)) for number in numbers]

    def unknown(self, text: str) -> list[str]:
        """Returns the parts of a text that the training text has no character for, such as emoji
        and other scripts, each once."""
        pieces = zip(
            self._processor.encode(text), self._processor.encode(text, out_type=str), strict=True
        )
        return list(
            dict.fromkeys(piece.strip("▁") for number, piece in pieces if number == UNKNOWN)
        )

    def save(self, folder: Path, name: str = _FILE) -> None:
        """Writes the encoder to a file of the folder."""
        (folder / name).write_bytes(self.model)

    @classmethod
    def load(cls, folder: Path, name: str = _FILE) -> SubwordEncoder:
        """Reads the encoder that `save` wrote."""
        return cls((folder / name).read_bytes())


def _unfit(size: int, reason: str) -> InputError:
    if most := re.search(r"Please set it to a value <= (\d+)", reason):
        return InputError(
            f"vocabulary_size {size} is more than the training text has subwords: at most "
            f"{most[1]} fit",
            field="vocabulary_size",
        )
    if least := re.search(r"smaller than required_chars\. \d+ vs (\d+)", reason):
        return InputError(
            f"vocabulary_size {size} is less than the training text has characters: {least[1]} or "
            "more are needed",
            field="vocabulary_size",
        )
    return InputError(f"no subwords can be learnt from the training text: {reason}")


def _until_end(numbers: Sequence[int] | np.ndarray) -> np.ndarray:
    numbers = np.asarray(numbers)
    ends = np.flatnonzero(numbers == END)
    return numbers[: ends[0]] if len(ends) else numbers
