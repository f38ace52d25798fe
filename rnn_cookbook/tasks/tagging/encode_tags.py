"""Tags to numbers and back."""

from collections.abc import Sequence

from rnn_cookbook.data.tags import Span, check_scheme, spans, tags_of
from rnn_cookbook.errors import InputError, listing


class TagEncoder:
    """Tag numbers: 0 is O, then all tags of every type in a scheme.

    Args:
        types: such as "PER", in the order of their numbers.
        scheme: of the numbers, one of `data.tags.SCHEMES`; sequences of any scheme go in.
    """

    def __init__(self, types: Sequence[str], *, scheme: str = "bioes"):
        check_scheme(scheme)
        if not types:
            raise InputError("the training data has no entity: every tag is O")
        self.types, self.scheme = list(types), scheme
        prefixes = "BIES" if scheme == "bioes" else "BI"
        self.tags = ["O", *(f"{prefix}-{kind}" for kind in self.types for prefix in prefixes)]
        self._numbers = {tag: number for number, tag in enumerate(self.tags)}

    @classmethod
    def fit(cls, sequences: Sequence[Sequence[str]], *, scheme: str = "bioes") -> "TagEncoder":
        return cls(sorted({span.type for tags in sequences for span in spans(tags)}), scheme=scheme)

    def check(self, sequences: Sequence[Sequence[str]], *, name: str) -> None:
        """Raises InputError where the split `name` has a type that the training data lacks."""
        found = [span.type for tags in sequences for span in spans(tags)]
        if unknown := sorted(set(found) - set(self.types)):
            count = sum(kind in unknown for kind in found)
            raise InputError(
                f"the {name} split has {count} entities of types that the training split lacks: {listing(unknown)}; "
                f"training has {listing(self.types)}. Add some to the training file, or rename them"
            )

    def encode(self, tags: Sequence[str]) -> list[int]:
        """The numbers of the same spans in the encoder's scheme; every type must be known, see `check`."""
        return [self._numbers[tag] for tag in tags_of(spans(tags), len(tags), scheme=self.scheme)]

    def decode(self, numbers: Sequence[int]) -> list[Span]:
        return spans([self.tags[number] for number in numbers])
