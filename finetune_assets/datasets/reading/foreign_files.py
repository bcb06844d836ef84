"""Source files as a whole: refused by their first bytes when they are no text, or another kind than they should be."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from finetune_assets.datasets.reading.config import SourceConfig
from finetune_assets.datasets.reading.errors import SourceError, unreadable
from finetune_assets.datasets.reading.packed_files import BLOCK_BYTES, open_bytes
from finetune_assets.records.errors import FinetuneError

_SNIFF_BYTES = 4096
_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
PARQUET_MARK = b"PAR1"
_BINARY = (
    (b"\x1f\x8b", "gzip within a packed file"),
    (b"\x28\xb5\x2f\xfd", "zstd within a packed file"),
    (b"PK\x03\x04", "a zip archive or spreadsheet"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (PARQUET_MARK, "Parquet"),
    (b"Obj\x01", "Avro"),
    (b"ORC", "ORC"),
    (b"SQLite format 3", "a SQLite database"),
    (b"%PDF", "PDF"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet or document"),
    (b"\x7fELF", "a program"),
    (b"\xca\xfe\xba\xbe", "a compiled Java class"),
)
_TAR_MARK = slice(257, 262)
_MARKUP = re.compile(rb"\s*<(?:!doctype|html|head|body|\?xml|!--)", re.IGNORECASE)
_CONFLICT = re.compile(rb"^(?:<{7} |>{7} |={7}\r?$)", re.MULTILINE)


def read_head(path: Path, config: SourceConfig) -> tuple[bytes, str]:
    """Return the first 4 KiB of a source file, unpacked, and how it is packed (`gzip`, `zstd` or "").

    Raises:
        FinetuneError: when it is missing, a folder or a device, unreadable, broken or without any sign.
    """
    try:
        if path.exists() and not path.is_file():
            raise _no_file(path)
        stream, packing = open_bytes(path, config)
        with stream:
            head = stream.read(_SNIFF_BYTES)
            blank = not head.removeprefix(codecs.BOM_UTF8).strip()
            while blank and (block := stream.read(BLOCK_BYTES)):
                blank = not block.strip()
    except FileNotFoundError as error:
        raise SourceError(
            "unreadable_file",
            "source file is missing",
            where=str(path),
            mend="correct dataset.source.path, or put the file there",
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error
    if blank:
        raise _empty(path)
    return head, packing


def _no_file(path: Path) -> SourceError:
    folder = path.is_dir()
    return SourceError(
        "unreadable_file",
        "source is a folder" if folder else "source is a device or pipe",
        where=str(path),
        expected="a file",
        mend="name the file in it" if folder else "write its content to a file",
    )


def _empty(path: Path) -> SourceError:
    size = path.stat().st_size
    return SourceError(
        "empty_file",
        "source file is empty",
        where=str(path),
        found="0 bytes" if not size else f"{size} bytes without a sign",
        expected="at least one record",
        mend="export the data again; an interrupted upload leaves such a file",
    )


def refuse_foreign(path: Path, head: bytes, *, utf16: bool = False) -> None:
    """Refuse what is no text in UTF-8, or text of another kind.

    Args:
        path: the file, for the error.
        head: its first bytes, unpacked.
        utf16: True when UTF-16 with a byte order mark can be read.

    Raises:
        FinetuneError: for another encoding, a packed or binary file, a Git LFS pointer, markup, merge conflicts.
    """
    where = str(path)
    kind = next((name for mark, name in _BINARY if head.startswith(mark)), "")
    if kind or head[_TAR_MARK] == b"ustar":
        raise _binary(where, kind or "a tar archive")
    _refuse_encoding(where, head, utf16=utf16)
    if head.startswith(b"version https://git-lfs"):
        raise SourceError(
            "foreign_format",
            "source file is a Git LFS pointer",
            where=where,
            found="the pointer's text instead of the data",
            mend="run `git lfs pull` where the file came from",
        )
    if _MARKUP.match(head.removeprefix(codecs.BOM_UTF8)):
        raise SourceError(
            "foreign_format",
            "source file is HTML or XML",
            where=where,
            found=head.lstrip()[:60].decode("utf-8", "replace"),
            expected="records",
            mend="download it again; a sign-in or error page was saved instead of the data",
        )
    if _CONFLICT.search(head):
        raise merge_conflict(where)


def _refuse_encoding(where: str, head: bytes, *, utf16: bool) -> None:
    name = next((name for mark, name in _ENCODINGS if head.startswith(mark)), "")
    if name == "UTF-16" and utf16:
        return
    if name:
        raise _wrong_encoding(where, f"{name} with a byte order mark")
    # A stray zero byte is the fault of one row; every second byte is another encoding.
    start = head[:64]
    if start.count(0) * 10 >= len(start) * 3 and not head.startswith(b"\0\0\0\0"):
        raise _wrong_encoding(where, "zero bytes between the letters, as UTF-16 and UTF-32 have")


def _binary(where: str, found: str) -> SourceError:
    return SourceError(
        "foreign_format",
        "source file is packed or binary",
        where=where,
        found=found,
        expected="text (JSON, JSON Lines, CSV), alone or in gzip or zstd, or Parquet under its own ending",
        mend="unpack or export it first",
    )


def _wrong_encoding(where: str, found: str) -> SourceError:
    return SourceError(
        "foreign_format",
        "source file is not UTF-8",
        where=where,
        found=found,
        expected="UTF-8",
        mend="convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW",
    )


def merge_conflict(where: str) -> FinetuneError:
    """Return the error for a file in the middle of a merge."""
    return SourceError(
        "foreign_format",
        "source file holds an unresolved merge conflict",
        where=where,
        found="conflict markers (<<<<<<<, =======, >>>>>>>)",
        mend="resolve the conflict, then run again",
    )
