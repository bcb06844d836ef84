"""Readers: a JSON Lines file or a JSON array as a stream of rows, in memory that does not grow with the file.

A row that cannot be read is yielded with its fault and reading goes on; a file that cannot be trusted as a whole
(another encoding, a web page, a Git LFS pointer, a half-resolved merge, broken JSON) is refused with one line.

Rules: files are UTF-8, with or without a byte order mark. Only a line feed ends a line of JSON Lines (a carriage return
before it is dropped); blank lines are no rows. A JSON file is an array of records, or an object with exactly one list,
under one of the names in `WRAPPERS`, other keys being ignored; column-oriented JSON and objects of objects are refused,
because they cannot be told from each other.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.json_documents import WRAPPERS, json_document
from finetune_assets.datasets.json_rows import Fault, FoundRow, StrictJson, found_row, too_long
from finetune_assets.datasets.source_files import merge_conflict, read_head, refuse_foreign
from finetune_assets.records.errors import FinetuneError

_BUFFER_BYTES = 1 << 18
_SHOWN_BYTES = 2000
_LINE_SUFFIXES = frozenset({".jsonl", ".ndjson", ".jsonlines"})


def read_rows(path: Path, config: SourceConfig) -> Iterator[FoundRow]:
    """Yield the rows of a source file in their order.

    Args:
        path: the file.
        config: its format and the bounds on one record.

    Yields:
        Each row, readable or not. Memory holds a few records of `max_line_bytes` at most.

    Raises:
        FinetuneError: when the file is missing, empty, unreadable or not what it should be as a whole.
    """
    head = read_head(path)
    refuse_foreign(path, head)
    if detect_format(path, head, config) == "jsonl":
        yield from _json_lines(path, config)
    else:
        yield from json_document(path, config)


def detect_format(path: Path, head: bytes, config: SourceConfig) -> str:
    """Return `json` or `jsonl`: by configuration, else by the file's ending, else by its first line.

    Args:
        path: the file, for its ending.
        head: the first bytes of the file.
        config: names the format, or auto.
    """
    if config.format != "auto":
        return config.format
    suffix = path.suffix.lower()
    if suffix in _LINE_SUFFIXES:
        return "jsonl"
    if suffix == ".json":
        return "json"
    first = head.removeprefix(codecs.BOM_UTF8).lstrip().split(b"\n", 1)[0].strip()
    names = any(b'"%s"' % name.encode() in first for name in WRAPPERS)
    return "jsonl" if first.startswith(b"{") and first.endswith(b"}") and not names else "json"


def _json_lines(path: Path, config: SourceConfig) -> Iterator[FoundRow]:
    json_row = StrictJson(config.max_nesting)
    with path.open("rb", buffering=_BUFFER_BYTES) as stream:
        first = True
        for number, offset, raw, whole in _lines(stream, config.max_line_bytes):
            if not raw.strip(b" \t\r\n"):
                continue
            if first:
                _refuse_array(path, raw, json_row)
                first = False
            if raw.startswith(b"<<<<<<< "):
                raise merge_conflict(f"{path}:{number}")
            yield _row_of_line(number, offset, raw, whole, json_row, config)


def _lines(stream: BinaryIO, max_bytes: int) -> Iterator[tuple[int, int, bytes, bool]]:
    """Yield (line number, byte offset, bytes, True when no longer than `max_bytes`) of each line."""
    offset = len(codecs.BOM_UTF8) if stream.read(3) == codecs.BOM_UTF8 else 0
    stream.seek(offset)
    number = 0
    # One byte more than the bound and one for the line feed, to tell a full line from a cut one.
    while raw := stream.readline(max_bytes + 2):
        number += 1
        start = offset
        offset += len(raw)
        whole = len(raw.rstrip(b"\r\n")) <= max_bytes
        rest = raw
        while not rest.endswith(b"\n") and (rest := stream.readline(_BUFFER_BYTES)):
            offset += len(rest)
            whole = False
        yield number, start, raw, whole


def _row_of_line(
    number: int, offset: int, raw: bytes, whole: bool, json_row: StrictJson, config: SourceConfig
) -> FoundRow:
    if not whole:
        return _unread(number, offset, raw, too_long(config.max_line_bytes))
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        found = f"byte {error.start} of the line is not UTF-8"
        return _unread(number, offset, raw, Fault("bad_encoding", found, "UTF-8", "export the row as UTF-8"))
    value, fault = json_row.decode_row(text)
    if fault and fault.reason == "invalid_json" and not raw.endswith(b"\n"):
        fault = fault._replace(reason="truncated_row", mend="the file ends within this row: copy or upload it again")
    return found_row(number, None, offset, text, value, fault)


def _unread(number: int, offset: int, raw: bytes, fault: Fault) -> FoundRow:
    return FoundRow(number, None, offset, raw[:_SHOWN_BYTES].decode("utf-8", "replace"), {}, fault)


def _refuse_array(path: Path, raw: bytes, json_row: StrictJson) -> None:
    """Refuse a JSON array that was saved as JSON Lines; a first row that merely is an array is a bad row."""
    if not raw.lstrip().startswith(b"["):
        return
    value, fault = json_row.decode_row(raw.decode("utf-8", "replace"))
    if (fault and fault.reason == "invalid_json") or (isinstance(value, list) and value and isinstance(value[0], dict)):
        raise FinetuneError(
            "source file is a JSON array, not JSON Lines",
            where=str(path),
            found=raw[:40].decode("utf-8", "replace").strip(),
            expected="one object a line",
            mend="set dataset.source.format: json, or give the file the ending .json",
        )
