"""Raw text to sentences and tokens, cut as in the CoNLL-2003 files, with the place of every token
in the text."""

from __future__ import annotations

from typing import NamedTuple

import regex
from syntok import segmenter
from syntok.tokenizer import Tokenizer

__all__ = ["Token", "sentences"]

# They part words though Python does not call them spaces: the zero-width space, the byte-order mark
_NO_SPACE = "\u200b\ufeff"
_BREAK = r"(?>\r\n|[\n\r\x0b\x0c\x85\u2028])"
_BLANK_LINES = regex.compile(rf"{_BREAK}(?:[^\S\n\r\x0b\x0c\x85\u2028\u2029]*+{_BREAK})++|\u2029")
_CHUNK = regex.compile(r"\S+")
_WORD = r"[\p{L}\p{N}\p{M}]++"
_HYPHEN = "-\u00ad\u2010\u2011"
_APOSTROPHE = "'’ʼ`´"
_JOINED = rf"(?:[{_HYPHEN}{_APOSTROPHE}_&/]|(?<=\d)[.,:](?=\d)){_WORD}"
# No cut within: addresses, "U.S." and "U.S.-led", words and numbers with what joins them, "C$",
# dots and dashes, "+3" and ".5".
_WHOLE = regex.compile(
    rf"""(?:https?://|www\.)[^\s<>"]+[^\s<>"\p{{P}}]/?
    | (?<![\w.+-])[\w.+-]++@\w[\w-]*+(?:\.\w[\w-]*+)++
    | (?<![\p{{L}}\p{{N}}])(?:\p{{L}}\p{{M}}*\.){{2,}}(?:[{_HYPHEN}]{_WORD})*
    | (?:(?<![^\s(\[])[+.](?=\d))?{_WORD}(?:{_JOINED})*+
    | \.{{3,}} | [-–—]{{2,}} | \*{{2,}}""",
    regex.VERBOSE,
)
# Marks that syntok leaves in one piece.
_MARKS = regex.compile(r"(?<!\S)[^\s\p{L}\p{N}]{2,}+(?!\S)")
_CURRENCY = regex.compile(r"(?<!\p{L})\p{Lu}{1,3}\$(?=\d)")
# No cut within what is one character to the eye: accents, skin tones, joined emoji, flags.
_CLUSTER = regex.compile(
    r"\S(?:\u200d\S|[\p{M}\u200c\u200d\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f])+"
    r"|[\U0001f1e6-\U0001f1ff]{2}"
)
_CONTRACTION = regex.compile(
    rf"(?i)(?<=\p{{L}})(?:n[{_APOSTROPHE}]t|[{_APOSTROPHE}](?:s|m|d|re|ve|ll))"
    rf"(?![\p{{L}}\p{{N}}{_APOSTROPHE}])"
)
_ENDS = regex.compile(r"[.!?…\u203c\u203d\u2047-\u2049。！？｡．](?:\s*[\"'´’”»›)\]}])*+\s*+")
_ENDS_UNSPACED = regex.compile(r"[。！？｡]+[”’」』）]*")  # of writing that sets no spaces
_ABBREVIATIONS = frozenset(
    regex.findall(
        r"\w+",
        """Mr Mrs Ms Messrs Dr Prof Rev Hon Gen Lt Col Maj Capt Cmdr Sgt Sen Rep Gov Pres St Mt Ft
        Jr Sr Inc Corp Co Ltd Bros vs etc approx cf Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov
        Dec Ala Ariz Ark Calif Colo Conn Del Fla Ga Ill Ind Kan Ky La Md Mass Mich Minn Miss Mo
        Mont Neb Nev Okla Ore Pa Tenn Tex Va Vt Wash Wis Wyo""",
    )
)
_BEFORE_NUMBERS = frozenset(("No", "Nos", "no", "nos", "pp", "Art", "Vol", "vol"))
# Words as well as abbreviations: with their dot only where the sentence goes on.
_ALSO_WORDS = frozenset(
    regex.findall(r"\w+", "Mar Jun Jul Del Ill Ind Mass Miss Mo La Pa Ore Wash Co Sen Rep Hon")
)
_TOKENIZER = Tokenizer(emit_hyphen_or_underscore_sep=True, replace_not_contraction=False)


class Token(NamedTuple):
    """A token and where it stands: `text == original[start:end]`, in characters."""

    text: str
    start: int
    end: int


def sentences(text: str) -> list[list[Token]]:
    """Splits raw text into sentences of tokens, in order; no token spans white space, and none is
    empty.

    Splits by syntok, corrected to cut as the CoNLL-2003 files do: "'s" and "n't" stand apart, as
    punctuation does; numbers, dates such as 1996-08-22, abbreviations such as U.S. and Mr., and
    words with hyphens stay whole. A blank line ends a sentence, a line break does not. Every
    character is in a token, but white space, zero-width spaces and byte-order marks.
    """
    # Character for character, so that places stay what they are. What Python and syntok call a
    # space differs.
    spaced = "".join(" " if c.isspace() or c in _NO_SPACE else c for c in text)
    ends = [blank.span() for blank in _BLANK_LINES.finditer(text)]
    result: list[list[Token]] = []
    start = 0
    for end, following in [*ends, (len(text), len(text))]:
        for sentence in _paragraph(spaced[start:end]):
            places = [(start + a, start + b) for a, b in sentence]
            result.append([Token(text[a:b], a, b) for a, b in places])
        start = following
    return result


def _paragraph(text: str) -> list[list[tuple[int, int]]]:
    """The sentences of a text whose only white space is the space: of each token the place."""
    pieces = [piece for piece in _TOKENIZER.tokenize(text) if piece.value]
    cuts = {place for piece in pieces for place in (piece.offset, piece.offset + len(piece.value))}
    for match in _MARKS.finditer(text):
        cuts.update(range(match.start() + 1, match.end()))
    begins = {sentence[0].offset for sentence in segmenter.segment(iter(pieces))}
    # syntok also ends sentences at semicolons, and before brackets without any mark.
    begins &= {0, *(match.end() for match in _ENDS.finditer(text))}
    for match in _WHOLE.finditer(text):
        within = range(match.start() + 1, match.end())
        cuts.difference_update(within)
        begins.difference_update(within)
    cuts.update(match.end() for match in _CURRENCY.finditer(text))
    cuts.update(match.start() for match in _CONTRACTION.finditer(text))
    cuts.update(match.end() for match in _CONTRACTION.finditer(text))
    for match in _ENDS_UNSPACED.finditer(text):
        cuts.update(range(match.start(), match.end() + 1))
        begins.add(match.end())
    for match in _CLUSTER.finditer(text):
        within = range(match.start() + 1, match.end())
        cuts.difference_update(within)
        begins.difference_update(within)
    places: list[tuple[int, int]] = []
    for chunk in _CHUNK.finditer(text):
        inner = sorted(cuts.intersection(range(chunk.start() + 1, chunk.end())))
        places += zip([chunk.start(), *inner], [*inner, chunk.end()], strict=True)
    return _with_dots(text, places, begins)


def _with_dots(
    text: str, places: list[tuple[int, int]], begins: set[int]
) -> list[list[tuple[int, int]]]:
    """Sentences, their abbreviations and the numbers of lists joined with the dots behind them."""
    result: list[list[tuple[int, int]]] = []
    for i, (start, end) in enumerate(places):
        sentence = result[-1] if result else []
        if text[start:end] == "." and sentence and sentence[-1][1] == start:
            word = text[slice(*sentence[-1])]
            following = text[slice(*places[i + 1])] if i + 1 < len(places) else ""
            continued = bool(following) and places[i + 1][0] not in begins
            first = len(sentence) == 1 and following[:1].isalpha()
            if (first and word.isdecimal() and len(word) < 3) or _is_abbreviation(
                word, following if continued else ""
            ):
                sentence[-1] = (sentence[-1][0], end)
                if first:  # "2. Silva": syntok may end the sentence before the name
                    begins.discard(places[i + 1][0])
                continue
        if not result or start in begins:
            result.append([])
        result[-1].append((start, end))
    return result


def _is_abbreviation(word: str, following: str) -> bool:
    """Whether a dot belongs to the word. `following`: the next token of the sentence, if it has
    one."""
    if word in _BEFORE_NUMBERS:
        return following[:1].isdigit()
    if word in _ABBREVIATIONS:
        return bool(following) or word not in _ALSO_WORDS
    return len(word) == 1 and word.isupper() and following[:1].isalpha()
