"""Documentation comments: which one belongs to a declaration, and what it says.

The rule is javac's: of the comments directly before a declaration's first token the last documentation comment counts.
A documentation comment starts with `/**`, or is a run of lines that start with `///` (JEP 467).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

from finetune_assets.datasets.code.source_text import resolve_rest

_MARGIN = re.compile(r"\n[ \t\f]*\**")
# White space as Java's `\\s` has it: a no-break space belongs to the text.
_SPACE = re.compile(r"[ \t\n\x0b\f\r]+")
_BLOCK_TAG = re.compile(r"^[ \t]*@[a-zA-Z]", re.MULTILINE)
# What headers of files say and descriptions of code do not.
_LICENCE = re.compile(
    r"(?i)\blicen[sc]ed (?:under|to) |permission is hereby granted|copyright (?:\(c\)|©|\d{4})|SPDX-License-Identifier|"
    r"all rights reserved"
)


class Comments:
    """The comments of one file, by their place.

    Args:
        data: the file's bytes.
        places: start and end of each comment, ascending.
    """

    def __init__(self, data: bytes, places: Sequence[tuple[int, int]]) -> None:
        self._data = data
        self._places = places
        self._starts = [start for start, _ in places]

    def before(self, offset: int) -> str | None:
        """Return the documentation comment of the declaration that starts at `offset`, as written, or None."""
        data, number = self._data, bisect_right(self._starts, offset - 1) - 1
        until = offset
        while number >= 0:
            start, end = self._places[number]
            if not data[end:until].isspace() and end < until:
                return None
            if data.startswith(b"/**", start):
                return resolve_rest(data[start:end].decode())
            if data.startswith(b"///", start):
                return self._run_of_lines(number)
            until, number = start, number - 1
        return None

    def _run_of_lines(self, number: int) -> str:
        """Return the lines of `///` that end with this one, joined."""
        lines: list[str] = []
        until = -1
        while number >= 0:
            start, end = self._places[number]
            between = self._data[end:until] if until >= 0 else b""
            if not self._data.startswith(b"///", start) or between.strip() or between.count(b"\n") > 1:
                break
            lines.append(resolve_rest(self._data[start:end].decode()))
            until, number = start, number - 1
        return "\n".join(reversed(lines))


def body_of(comment: str) -> str:
    """Return a documentation comment's text without its marks and margin, its lines kept."""
    if comment.startswith("///"):
        return "\n".join(line.strip().removeprefix("///") for line in comment.split("\n"))
    # `/**/` opens and closes with one star; javac sees the text "/" in it.
    inner = comment[3:-2] if len(comment) > 4 else comment[3:]
    return _MARGIN.sub("\n", inner.rstrip("*") if len(comment) > 4 else inner).strip("\n")


def description_of(comment: str) -> str:
    """Return the text before the first block tag, white space folded, markup kept."""
    body = body_of(comment)
    tag = _BLOCK_TAG.search(body)
    return fold(body[: tag.start()] if tag else body)


def block_tags(comment: str) -> list[tuple[str, str]]:
    """Return name and text of each block tag, in order, white space folded, markup kept."""
    body = body_of(comment)
    starts = [match.start() for match in _BLOCK_TAG.finditer(body)]
    tags: list[tuple[str, str]] = []
    for start, end in zip(starts, [*starts, len(body)][1:], strict=True):
        name, _, text = fold(body[start:end]).partition(" ")
        tags.append((name[1:], text))
    return tags


def fold(text: str) -> str:
    """Return `text` with white space folded to single spaces, none at its ends."""
    return _SPACE.sub(" ", text).strip(" ")


def is_licence(text: str) -> bool:
    """True for a comment that speaks of a licence instead of the code below it."""
    return bool(_LICENCE.search(text))
