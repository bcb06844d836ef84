"""Packed files: gzip and zstd read as a stream of bytes that cannot grow past what the configuration allows.

A file is unpacked when its first bytes say that it is packed, whatever its ending. Memory holds one block, and for zstd
a window of at most 128 MiB (what `zstd --long` needs). Checksums are verified when the end is reached.
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from finetune_assets.datasets.reading.config import SourceConfig
from finetune_assets.datasets.reading.errors import SourceError

BLOCK_BYTES = 1 << 18
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_WINDOW = 1 << 27
# zstd gives all that a chunk unpacks to at once, at most 128 KiB for 4 bytes (its smallest block): 16 MiB for these.
_ZSTD_CHUNK_BYTES = 512
_RATIO_FROM_BYTES = 1 << 24


def open_bytes(path: Path, config: SourceConfig) -> tuple[BinaryIO, str]:
    """Open a file for reading its unpacked bytes.

    Args:
        path: the file.
        config: `max_unpacked_bytes`, `max_unpack_ratio` and `max_packed_members` bound what a packed file gives.

    Returns:
        The stream, whose reads raise SourceError for a broken or exploding file, and `gzip`, `zstd` or "" for plain.

    Raises:
        OSError: when the file cannot be opened.
    """
    plain = io.BufferedReader(io.FileIO(path), BLOCK_BYTES)
    head, stream = plain.peek(4)[:4], cast(BinaryIO, plain)
    if head.startswith(_GZIP):
        return _buffered(_Unpacked(stream, path, config, _Gzip())), "gzip"
    if head.startswith(_ZSTD):
        return _buffered(_Unpacked(stream, path, config, _Zstd())), "zstd"
    return stream, ""


def _buffered(raw: io.RawIOBase) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(raw, BLOCK_BYTES))


class _Codec(Protocol):
    """Unpacks piece by piece.

    `rest`: input not yet used; `unfinished`: within a member or frame; `members`: members or frames begun.
    """

    chunk_bytes: int
    rest: bytes
    unfinished: bool
    members: int

    def feed(self, data: bytes) -> bytes: ...


class _Gzip:
    chunk_bytes = 1 << 16

    def __init__(self) -> None:
        self.rest = b""
        self.unfinished = False
        self.members = 0
        self._member = zlib.decompressobj(wbits=31)

    def feed(self, data: bytes) -> bytes:
        if not self.unfinished:
            # Tapes and some tools pad with zero bytes behind a member.
            data = data.lstrip(b"\0")
        self.rest = b""
        if not data:
            return b""
        self.members += not self.unfinished
        self.unfinished = True
        out = self._member.decompress(data, BLOCK_BYTES)
        self.rest = self._member.unconsumed_tail
        if self._member.eof:
            self.rest = self._member.unused_data
            self._member = zlib.decompressobj(wbits=31)
            self.unfinished = False
        return out


class _Zstd:
    chunk_bytes = _ZSTD_CHUNK_BYTES

    def __init__(self) -> None:
        import zstandard

        self._new = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj
        self._frame: Any = self._new()
        self.rest = b""
        self.unfinished = False
        self.members = 0

    def feed(self, data: bytes) -> bytes:
        import zstandard

        self.members += not self.unfinished
        self.unfinished = True
        try:
            out: bytes = self._frame.decompress(data)
        except zstandard.ZstdError as error:
            # One kind of error for both codecs.
            raise zlib.error(str(error)) from error
        self.rest = b""
        if self._frame.eof:
            self.rest = self._frame.unused_data
            self._frame = self._new()
            self.unfinished = False
        return out


class _Unpacked(io.RawIOBase):
    """The unpacked bytes of a file."""

    def __init__(self, stream: BinaryIO, path: Path, config: SourceConfig, codec: _Codec) -> None:
        super().__init__()
        self._stream = stream
        self._path = path
        self._config = config
        self._codec = codec
        self._ready = memoryview(b"")
        self._ended = False
        self._produced = 0
        self._consumed = 0

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._stream.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        while not self._ready and not self._ended:
            self._ready = memoryview(self._next())
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _next(self) -> bytes:
        data = self._codec.rest
        if not data:
            data = self._stream.read(self._codec.chunk_bytes)
            self._consumed += len(data)
        if not data:
            self._ended = True
            if self._codec.unfinished:
                raise self._broken("the end of the file within the packed data", "copy or upload it again")
            return b""
        try:
            out = self._codec.feed(data)
        except zlib.error as error:
            raise self._broken(f"{error}, about byte {self._consumed}", "pack it again from the original") from error
        self._produced += len(out)
        self._bound()
        return out

    def _bound(self) -> None:
        limit, ratio = self._config.max_unpacked_bytes, self._config.max_unpack_ratio
        most = self._config.max_packed_members
        if self._codec.members > most:
            expected = f"at most {most} (source.max_packed_members)"
            raise _explodes(self._path, f"more than {most} members or frames", expected)
        if self._produced > limit:
            raise _explodes(self._path, f"more than {limit} bytes", f"at most {limit} (source.max_unpacked_bytes)")
        if self._produced > _RATIO_FROM_BYTES and self._produced > ratio * self._consumed:
            found = f"{self._produced} bytes from the first {self._consumed}"
            raise _explodes(self._path, found, f"at most {ratio:g} for one (source.max_unpack_ratio)")

    def _broken(self, found: str, mend: str) -> SourceError:
        return SourceError(
            "unreadable_file",
            "packed file is broken",
            where=str(self._path),
            found=found,
            expected="a whole gzip or zstd file",
            mend=mend,
        )


def _explodes(path: Path, found: str, expected: str) -> SourceError:
    return SourceError(
        "unpacks_too_large",
        "packed file unpacks to too much",
        where=str(path),
        found=found,
        expected=expected,
        mend="look at what it holds; raise the bound under dataset.source when it is right",
    )
