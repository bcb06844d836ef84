"""A file's text before it is parsed: line ends, Java's unicode escapes, and what is written where.

Here belongs what a parser must not see (byte order mark, carriage returns) and the way back from a parser's offsets to
the text as written.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

# JLS 3.3: a backslash that follows an even number of backslashes, any number of u, four hexadecimal digits.
_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u+([0-9a-fA-F]{4})")
_TEXT_ESCAPE = re.compile(_ESCAPE.pattern.decode())
_KEPT = frozenset({*range(0xD800, 0xE000), *b"\"'\\\r\n\0"})


def normal_bytes(text: str) -> bytes:
    r"""Return a file's text as the bytes that are parsed.

    A byte order mark at the start goes, and a Ctrl-Z at the end (JLS 3.5 ignores it); `\r\n` and `\r` become `\n`, so
    that lines are counted as javac counts them.

    Raises:
        UnicodeEncodeError: for half a UTF-16 pair.
    """
    text = text.removeprefix("\ufeff").removesuffix("\x1a")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.encode()


@dataclass(frozen=True, slots=True)
class Translation:
    """Bytes with Java's unicode escapes resolved, and the way back.

    Attributes:
        data: what the parser sees.
        breaks: offsets in `data` after which the shift changes, ascending.
        shifts: how much further on the same place stands in the text as written, one for each break.
    """

    data: bytes
    breaks: tuple[int, ...] = ()
    shifts: tuple[int, ...] = ()

    def original(self, offset: int) -> int:
        """Return where the byte at `offset` of `data` stands in the text as written."""
        place = bisect_right(self.breaks, offset) - 1
        return offset + self.shifts[place] if place >= 0 else offset


def translate_escapes(data: bytes) -> Translation:
    r"""Resolve Java's unicode escapes, as JLS 3.3 has it before any token is read: `\u0061bc` is the name `abc`.

    Halves of a UTF-16 pair, quotes, backslashes, line ends and U+0000 stay escaped: resolved they would break a
    literal, the count of lines or the parser. `resolve_rest` resolves them in a comment's text.

    Args:
        data: a file's bytes.

    Returns:
        The bytes to parse; of a file without escapes the very same.
    """
    if b"\\u" not in data:
        return Translation(data)
    parts: list[bytes] = []
    breaks: list[int] = []
    shifts: list[int] = []
    read = written = 0
    for match in _ESCAPE.finditer(data):
        code = int(match[2], 16)
        if code in _KEPT:
            continue
        keep = data[read : match.end(1)]
        character = chr(code).encode()
        parts += [keep, character]
        written += len(keep) + len(character)
        read = match.end()
        breaks.append(written)
        shifts.append(read - written)
    parts.append(data[read:])
    return Translation(b"".join(parts), tuple(breaks), tuple(shifts))


def resolve_rest(text: str) -> str:
    """Resolve the escapes that `translate_escapes` leaves; half a UTF-16 pair becomes U+FFFD."""
    if "\\u" not in text:
        return text
    resolved = _TEXT_ESCAPE.sub(lambda match: match[1] + chr(int(match[2], 16)), text)
    return resolved.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
