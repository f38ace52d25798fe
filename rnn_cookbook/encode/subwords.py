"""Text to subwords and back, by SentencePiece (Kudo and Richardson 2018), trained on the training
text."""

import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import sentencepiece

from rnn_cookbook.errors import InputError

PADDING, UNKNOWN, START, END = 0, 1, 2, 3
_FILE = "subwords.model"


class SubwordEncoder:
    """Subword numbers of texts: 0 pads, 1 is a character that the training text lacks, 2 starts and
    3 ends a sequence, the rest are subwords. Text is normalised as by NFKC, and any white space is
    one space.

    Args:
        model: what SentencePiece stores. `fit` learns it from texts.
    """

    def __init__(self, model: bytes):
        self.model = model
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    @classmethod
    def fit(cls, texts: Iterable[str], *, size: int) -> "SubwordEncoder":
        """Learns `size` numbers by byte-pair encoding (Sennrich et al. 2016): the characters of the
        texts, and what occurs together most often.

        Raises:
            InputError: no text; more numbers than the texts have subwords, or fewer than they have
                characters: says how many fit.
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
            if most := re.search(r"Please set it to a value <= (\d+)", str(error)):
                raise InputError(
                    f"--vocabulary-size {size} is more than the training text has subwords: at most {most[1]} fit"
                ) from error
            if least := re.search(r"smaller than required_chars\. \d+ vs (\d+)", str(error)):
                raise InputError(
                    f"--vocabulary-size {size} is less than the training text has characters: {least[1]} or more are needed"
                ) from error
            raise InputError(
                f"no subwords can be learnt from the training text: {error}"
            ) from error
        return cls(written.getvalue())

    def __len__(self) -> int:
        """How many numbers there are, those of padding, unknown, start and end included: the size
        of the embedding."""
        return self._processor.vocab_size()

    def encode(
        self, texts: Sequence[str], *, dropout: float = 0.0, seed: int | Sequence[int] = 0
    ) -> list[np.ndarray]:
        """Subword numbers, one int32[tokens] a text, the end symbol last, unpadded.

        With `dropout` each merge is left out at that rate (BPE-dropout: Provilkov et al. 2020): a
        text has other subwords with each `seed`.
        """
        options = {"enable_sampling": True, "alpha": dropout} if dropout else {}
        if dropout:
            sentencepiece.set_random_generator_seed(
                int(np.random.SeedSequence(seed).generate_state(1)[0])
            )
        return [
            np.array([*self._processor.encode(text, **options), END], np.int32) for text in texts
        ]

    def decode(self, sequences: Iterable[Sequence[int]]) -> list[str]:
        """Texts of subword numbers up to the first end symbol; what is unknown is left out."""
        kept = (
            [int(number) for number in _until_end(numbers) if number > END] for numbers in sequences
        )
        return [" ".join(self._processor.decode(numbers).split()) for numbers in kept]

    def pieces(self, numbers: Sequence[int]) -> list[str]:
        """The subwords themselves, for a reader; ▁ stands for the space before a word."""
        return [self._processor.id_to_piece(int(number)) for number in numbers]

    def unknown(self, text: str) -> list[str]:
        """What the training text has no character for, such as emoji and other scripts; nothing
        twice."""
        pieces = zip(
            self._processor.encode(text), self._processor.encode(text, out_type=str), strict=True
        )
        return list(
            dict.fromkeys(piece.strip("▁") for number, piece in pieces if number == UNKNOWN)
        )

    def save(self, folder: Path, name: str = _FILE) -> None:
        (folder / name).write_bytes(self.model)

    @classmethod
    def load(cls, folder: Path, name: str = _FILE) -> "SubwordEncoder":
        return cls((folder / name).read_bytes())


def _until_end(numbers: Sequence[int]) -> Sequence[int]:
    numbers = np.asarray(numbers)
    ends = np.flatnonzero(numbers == END)
    return numbers[: ends[0]] if len(ends) else numbers
