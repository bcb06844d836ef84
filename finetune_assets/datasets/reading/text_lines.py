"""Lines: a stream of bytes cut at one line end, in memory that a long line does not fill."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from finetune_assets.datasets.reading.packed_files import BLOCK_BYTES

SHOWN_BYTES = 2000


class Line(NamedTuple):
    """One line.

    Attributes:
        number: 1-based number.
        offset: byte offset of its first byte.
        raw: its bytes without the line end; of a line that is too long the first 2,000.
        ended: False for a last line without a line end.
        whole: False for a line of more than the allowed bytes, a carriage return at its end not counted.
    """

    number: int
    offset: int
    raw: bytes
    ended: bool
    whole: bool


def text_lines(stream: BinaryIO, max_bytes: int, *, offset: int = 0, end: bytes = b"\n") -> Iterator[Line]:
    """Yield the lines of a stream.

    Args:
        stream: read from where it stands.
        max_bytes: longest line.
        offset: byte offset of where the stream stands.
        end: the one byte that ends a line.

    Yields:
        Each line. What follows the last line end is a line unless it is empty.
    """
    number = 0
    held: list[bytes] = []
    held_bytes = 0
    while block := stream.read(BLOCK_BYTES):
        lines = block.split(end)
        rest = lines.pop()
        if lines and held:
            lines[0], size = _joined([*held, lines[0]], max_bytes), held_bytes + len(lines[0])
            number += 1
            yield _line(number, offset, lines[0], size, max_bytes)
            offset += size + 1
            held.clear()
            held_bytes = 0
            del lines[0]
        for raw in lines:
            number += 1
            size = len(raw)
            if size <= max_bytes:
                yield Line(number, offset, raw, True, True)
            else:
                yield _line(number, offset, raw, size, max_bytes)
            offset += size + 1
        # Two bytes more than the bound, for a carriage return and to tell a full line from a cut one.
        if rest and held_bytes < max_bytes + 2:
            held.append(rest)
        held_bytes += len(rest)
    if held_bytes:
        yield _line(number + 1, offset, _joined(held, max_bytes), held_bytes, max_bytes)._replace(ended=False)


def _joined(parts: list[bytes], max_bytes: int) -> bytes:
    return b"".join(parts)[: max_bytes + 2]


def _line(number: int, offset: int, raw: bytes, size: int, max_bytes: int) -> Line:
    """Return a line of `size` bytes, of which `raw` are the first."""
    whole = size <= max_bytes or (size <= max_bytes + 1 and raw.endswith(b"\r"))
    return Line(number, offset, raw if whole else raw[:SHOWN_BYTES], True, whole)


def skip_mark(stream: BinaryIO) -> int:
    """Pass over a UTF-8 byte order mark at the start of a stream that can peek; return its length or 0."""
    if stream.peek(3).startswith(codecs.BOM_UTF8):  # type: ignore[attr-defined]
        return len(stream.read(3))
    return 0
