"""Files of tagged sentences, line by line: columns as in the CoNLL shared tasks, and JSON lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rnn_cookbook.data.tables import clean, read_utf8
from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.files import log
from rnn_cookbook.tasks.tagging.schemes import parse_tag

__all__ = ["Sentence", "column_numbers", "column_sentences", "json_sentences"]

# Also mixed in a file; not splitlines(), which cuts at U+2028 as well.
_LINE_END = re.compile("\r\n|\r|\n")
_DOCUMENT = "-DOCSTART-"
# May begin a comment, as "# sent_id = 3" in CoNLL-U; "#1" and "#love" are tokens.
_COMMENT = re.compile(r"#(\s|[\w.]+\s*=)")
_SHOWN = 60  # characters of a bad line that a message shows


@dataclass
class Sentence:
    """A sentence as it stands in a file, in any scheme.

    Args:
        tokens: tokens of the sentence.
        tags: tag of each token.
        lines: line of each token in the file, from 1.
    """

    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def add(self, token: str, tag: str, *, path: Path, line: int) -> None:
        """Appends a token.

        Args:
            token: the token; white space around it and double spaces in it are dropped.
            tag: its tag.
            path: file that is read, for messages.
            line: line of the token.

        Raises:
            InputError: an empty token or tag, or an unknown tag.
        """
        token = _normal(token)
        tag = _normal(tag)
        for name, part in (("token", token), ("tag", tag)):
            if not part:
                raise InputError(
                    f"{path}, line {line} has an empty {name}; say which columns hold the token "
                    "and the tag",
                    field="columns",
                )
        try:
            parse_tag(tag)
        except InputError as error:
            raise InputError(f"{path}, line {line}: {error}") from error
        self.tokens.append(token)
        self.tags.append(tag)
        self.lines.append(line)


def _normal(text: str) -> str:
    # White space such as U+00A0 may be all of a token.
    joined = " ".join(text.split()) or text.strip(" \t\r\n")
    return clean(joined).replace("\0", "\ufffd")


def column_numbers(columns: str) -> tuple[int, int]:
    """Parses the numbers of the token's and the tag's column into indices, as Python counts.

    Args:
        columns: two numbers such as "1,4", from 1 or, negative, from the end; "" is "1,-1".

    Raises:
        InputError: the text is anything else.
    """
    numbers = re.fullmatch(r"\s*(-?[1-9]\d*)\s*,\s*(-?[1-9]\d*)\s*", columns or "1,-1")
    if not numbers:
        raise InputError(
            "columns must be the numbers of the token's and the tag's column, such as 1,4 or 1,-1; "
            f"received {columns!r}",
            field="columns",
        )
    token, tag = (int(number) - (int(number) > 0) for number in numbers.groups())
    return token, tag


def _begins_document(line: str) -> bool:
    return _DOCUMENT in line.split()  # with a column before it, in some files


def _fields(line: str, *, tabs: bool) -> list[str]:
    # Between tabs tokens may have spaces in them. Other white space, such as U+00A0, is always part
    # of a token.
    if tabs:
        return [part.strip(" ") for part in line.split("\t")]
    return re.split("[ \t]+", line.strip(" \t"))


def _check_width(width: int, columns: tuple[int, int], place: str, line: str) -> None:
    asked = ",".join(str(column + (column >= 0)) for column in columns)
    if width < 2 or max(columns) >= width or min(columns) < -width:
        raise InputError(
            f"{place} has {width} columns, too few for a token and a tag in columns {asked}: "
            f"{line[:_SHOWN]!r}",
            field="columns",
        )
    if columns[0] % width == columns[1] % width:
        raise InputError(
            f"columns {asked} are the same one of {width} columns; the token and the tag must "
            f"stand in two: {place}: {line[:_SHOWN]!r}",
            field="columns",
        )


def _is_tag(tag: str) -> bool:
    try:
        parse_tag(tag)
    except InputError:
        return False
    return True


def column_sentences(path: Path, columns: tuple[int, int]) -> Iterator[Sentence]:
    """Yields the sentences of a file in columns; a blank line ends a sentence.

    Columns lie between tabs where every line has a tab, else between spaces. Lines that begin a
    document ("-DOCSTART-") and comments are left out; comments inside sentences are counted in the
    log.

    Args:
        path: text file in UTF-8.
        columns: indices of the token's and the tag's column, see `column_numbers`.

    Raises:
        InputError: a line of another width, an empty token or tag, an unknown tag, or a file that
            is no UTF-8 text. The message names the line.
    """
    lines = _LINE_END.split(read_utf8(path))
    rows = [line for line in lines if line.strip() and not _begins_document(line)]
    rows = [line for line in rows if not _COMMENT.match(line)] or rows
    if not rows:
        return
    untabbed = [line for line in rows if "\t" not in line]
    tabs = not untabbed
    width = len(_fields(rows[0], tabs=tabs))
    _check_width(width, columns, f"{path}, line {lines.index(rows[0]) + 1}", rows[0])
    sentence = Sentence()
    comments = []  # lines inside sentences
    for number, line in enumerate([*lines, ""], start=1):
        fields = _fields(line, tabs=tabs)
        comment = _COMMENT.match(line) is not None
        if not line.strip() or _begins_document(line):
            if sentence.tokens:
                yield sentence
            sentence = Sentence()
        elif len(fields) == width and (tabs or not comment or _is_tag(fields[columns[1]])):
            token, tag = (fields[column] for column in columns)
            sentence.add(token, tag, path=path, line=number)
        elif comment:
            if sentence.tokens:
                comments.append(number)
        else:
            message = (
                f"{path}, line {number} has {len(fields)} columns, those before it have {width}: "
                f"{line[:_SHOWN]!r}"
            )
            if "\t" in line and not tabs:
                # Columns end at spaces here: the tokens with spaces in them are not what is wrong.
                message += (
                    f"; columns lie between spaces, as line {lines.index(untabbed[0]) + 1} has no "
                    "tab"
                )
            raise InputError(message)
    if comments:
        log.warning(
            "%s: %d lines inside sentences begin with # and are taken for comments: %s",
            path,
            len(comments),
            listing(comments),
        )


def _json_row(line: str, place: str) -> tuple[list[str], list[str]]:
    """The tokens and tags of a line, checked."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{place} is not a JSON object on a line of its own: {error.msg} at column "
            f"{error.colno}"
        ) from error
    except RecursionError as error:
        raise InputError(
            f"{place} is not a JSON object of tokens and tags: {line[:_SHOWN]!r}"
        ) from error
    parts: dict[str, Any] = row if isinstance(row, dict) else {}
    tokens = parts.get("tokens")
    tags = parts.get("tags")
    if not isinstance(tokens, list) or not isinstance(tags, list):
        received = f"a {type(row).__name__}"
        if isinstance(row, dict):
            received = listing(row) or "nothing"
        raise InputError(
            f"{place} must be an object with the lists tokens and tags; received {received}"
        )
    if len(tokens) != len(tags):
        raise InputError(f"{place} has {len(tokens)} tokens and {len(tags)} tags")
    wrong = [value for value in [*tokens, *tags] if not isinstance(value, str)]
    if wrong:
        raise InputError(
            f"{place}: tokens and tags must be strings, such as 'Paris' and 'B-LOC'; received "
            f"{wrong[0]!r}"
        )
    return tokens, tags


def json_sentences(path: Path) -> Iterator[Sentence]:
    """Yields the sentences of a file of JSON lines, objects with `tokens` and `tags`.

    Args:
        path: text file in UTF-8, with an object per line.

    Raises:
        InputError: a line that is no such object, lists of different length, an empty token or tag,
            or an unknown tag. The message names the line.
    """
    for number, line in enumerate(_LINE_END.split(read_utf8(path)), start=1):
        if not line.strip():
            continue
        tokens, tags = _json_row(line, f"{path}, line {number}")
        sentence = Sentence()
        for token, tag in zip(tokens, tags, strict=True):
            sentence.add(token, tag, path=path, line=number)
        if tokens:
            yield sentence
