"""Source files as a whole: refused by their first bytes when they are not JSON in UTF-8."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from finetune_assets.records.errors import FinetuneError

_SNIFF_BYTES = 4096
_BUFFER_BYTES = 1 << 18
_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_PACKED = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "a zip archive or spreadsheet"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"PAR1", "Parquet"),
    (b"SQLite format 3", "a SQLite database"),
)
_MARKUP = re.compile(rb"\s*<(?:!doctype|html|head|body|\?xml|!--)", re.IGNORECASE)
_CONFLICT = re.compile(rb"^(?:<{7} |>{7} |={7}\r?$)", re.MULTILINE)


def read_head(path: Path) -> bytes:
    """Return the first 4 KiB of a source file.

    Raises:
        FinetuneError: when it is missing, a folder, unreadable or without any sign.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(_SNIFF_BYTES)
    except FileNotFoundError as error:
        raise FinetuneError(
            "source file is missing", where=str(path), mend="correct dataset.source.path, or put the file there"
        ) from error
    except IsADirectoryError as error:
        raise FinetuneError(
            "source is a folder", where=str(path), expected="one JSON or JSON Lines file", mend="name the file in it"
        ) from error
    except OSError as error:
        raise FinetuneError(
            "source file cannot be read",
            where=str(path),
            found=error.strerror or str(error),
            mend="check its permissions",
        ) from error
    if not head.removeprefix(codecs.BOM_UTF8).strip():
        _require_content(path)
    return head


def _require_content(path: Path) -> None:
    """Refuse a file without a single sign; one that only begins with blanks is fine."""
    with path.open("rb") as stream:
        stream.read(len(codecs.BOM_UTF8) if stream.peek(3).startswith(codecs.BOM_UTF8) else 0)
        while block := stream.read(_BUFFER_BYTES):
            if block.strip():
                return
    size = path.stat().st_size
    raise FinetuneError(
        "source file is empty",
        where=str(path),
        found="0 bytes" if not size else f"{size} bytes of white space",
        expected="at least one record",
        mend="export the data again; an interrupted upload leaves such a file",
    )


def refuse_foreign(path: Path, head: bytes) -> None:
    """Refuse what is not JSON in UTF-8.

    Args:
        path: the file, for the error.
        head: its first bytes.

    Raises:
        FinetuneError: for another encoding, a packed or binary file, a Git LFS pointer, markup, merge conflicts.
    """
    where = str(path)
    for mark, name in _ENCODINGS:
        if head.startswith(mark):
            raise _wrong_encoding(where, f"{name} with a byte order mark")
    for mark, name in _PACKED:
        if head.startswith(mark):
            raise FinetuneError(
                "source file is packed or binary",
                where=where,
                found=name,
                expected="JSON or JSON Lines as plain text",
                mend="unpack or export it first",
            )
    # A stray zero byte is the fault of one row; every second byte is another encoding.
    start = head[:64]
    if start.count(0) * 10 >= len(start) * 3 and not head.startswith(b"\0\0\0\0"):
        raise _wrong_encoding(where, "zero bytes between the letters, as UTF-16 and UTF-32 have")
    if head.startswith(b"version https://git-lfs"):
        raise FinetuneError(
            "source file is a Git LFS pointer",
            where=where,
            found="the pointer's text instead of the data",
            mend="run `git lfs pull` where the file came from",
        )
    if _MARKUP.match(head.removeprefix(codecs.BOM_UTF8)):
        raise FinetuneError(
            "source file is HTML or XML",
            where=where,
            found=head.lstrip()[:60].decode("utf-8", "replace"),
            expected="JSON",
            mend="download it again; a sign-in or error page was saved instead of the data",
        )
    if _CONFLICT.search(head):
        raise merge_conflict(where)


def _wrong_encoding(where: str, found: str) -> FinetuneError:
    return FinetuneError(
        "source file is not UTF-8",
        where=where,
        found=found,
        expected="UTF-8",
        mend="convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW",
    )


def merge_conflict(where: str) -> FinetuneError:
    """Return the error for a file in the middle of a merge."""
    return FinetuneError(
        "source file holds an unresolved merge conflict",
        where=where,
        found="conflict markers (<<<<<<<, =======, >>>>>>>)",
        mend="resolve the conflict, then run again",
    )
