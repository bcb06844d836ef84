"""UTF-16 as UTF-8: one stream for the line readers, with the places of the original."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from finetune_assets.datasets.reading.packed_files import BLOCK_BYTES
from finetune_assets.datasets.reading.text_lines import Line

_MARK_BYTES = 2


def as_utf8(stream: BinaryIO) -> BinaryIO:
    """Return a stream of UTF-8 for one of UTF-16; its byte order mark is dropped.

    Half characters and an odd last byte become bytes that are not UTF-8, so that the line they stand in is refused.
    """
    return cast(BinaryIO, io.BufferedReader(_Recoded(stream), BLOCK_BYTES))


def wide_offsets(lines: Iterator[Line]) -> Iterator[Line]:
    """Yield lines of `as_utf8` with their byte offsets in the UTF-16 original, which has a byte order mark.

    A line that is too long is not held whole; the offsets behind it are those of the UTF-8 form, moved by what was
    counted so far.
    """
    moved = _MARK_BYTES
    for line in lines:
        yield line._replace(offset=line.offset + moved)
        text = line.raw.decode("utf-8", "surrogatepass" if line.whole else "ignore") if _is_utf8(line.raw) else ""
        moved += len(text.encode("utf-16-le", "surrogatepass")) - len(text.encode("utf-8", "surrogatepass"))
        moved += line.ended


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


class _Recoded(io.RawIOBase):
    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self._decoder: Any = codecs.getincrementaldecoder("utf-16")("surrogatepass")
        self._ready = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and not self._ended:
            self._ready = memoryview(self._next())
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _next(self) -> bytes:
        block = self._stream.read(BLOCK_BYTES)
        self._ended = not block
        try:
            text: str = self._decoder.decode(block, final=self._ended)
        except UnicodeDecodeError:
            # Only the end of the file can be half a character here.
            self._ended = True
            return b"\xff"
        return text.encode("utf-8", "surrogatepass")
