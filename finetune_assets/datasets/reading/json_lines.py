"""JSON Lines as a stream of rows: one object a line, and a bad line spoils no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from finetune_assets.datasets.reading.config import SourceConfig
from finetune_assets.datasets.reading.errors import SourceError
from finetune_assets.datasets.reading.foreign_files import merge_conflict
from finetune_assets.datasets.reading.json_quick import quick_object
from finetune_assets.datasets.reading.json_rows import Fault, FoundRow, StrictJson, found_row, too_long
from finetune_assets.datasets.reading.packed_files import open_bytes
from finetune_assets.datasets.reading.text_lines import SHOWN_BYTES, Line, skip_mark, text_lines


def json_lines(path: Path, config: SourceConfig) -> Iterator[FoundRow]:
    """Yield the rows of a JSON Lines file.

    Raises:
        FinetuneError: for a JSON array, or a merge conflict.
    """
    strict = StrictJson(config.max_nesting)
    max_nesting = config.max_nesting
    stream, _ = open_bytes(path, config)
    with stream:
        first = True
        for line in text_lines(stream, config.max_line_bytes, offset=skip_mark(stream)):
            number, offset, raw, _, whole = line
            value = quick_object(raw, max_nesting) if whole else None
            if value is not None:
                first = False
                yield FoundRow(number, None, offset, raw.decode(), value, None)
                continue
            if not raw.strip(b" \t\r\n"):
                continue
            if first:
                _refuse_array(path, raw, strict)
                first = False
            if raw.startswith(b"<<<<<<< "):
                raise merge_conflict(f"{path}:{number}")
            yield _strict_row(line, strict, config)


def _strict_row(line: Line, strict: StrictJson, config: SourceConfig) -> FoundRow:
    """Return the row of a line that gives cause to look closely."""
    if not line.whole:
        return _unread(line, too_long(config.max_line_bytes))
    try:
        text = line.raw.decode()
    except UnicodeDecodeError as error:
        found = f"byte {error.start} of the line is not UTF-8"
        return _unread(line, Fault("bad_encoding", found, "UTF-8", "export the row as UTF-8"))
    value, fault = strict.decode_row(text)
    if fault and fault.reason == "invalid_json" and not line.ended:
        fault = fault._replace(reason="truncated_row", mend="the file ends within this row: copy or upload it again")
    return found_row(line.number, None, line.offset, text, value, fault)


def _unread(line: Line, fault: Fault) -> FoundRow:
    shown = line.raw[:SHOWN_BYTES].decode("utf-8", "replace")
    return FoundRow(line.number, None, line.offset, shown, {}, fault)


def _refuse_array(path: Path, raw: bytes, strict: StrictJson) -> None:
    """Refuse a JSON array that was saved as JSON Lines; a first row that merely is an array is a bad row."""
    if not raw.lstrip().startswith(b"["):
        return
    value, fault = strict.decode_row(raw.decode("utf-8", "replace"))
    if (fault and fault.reason == "invalid_json") or (isinstance(value, list) and value and isinstance(value[0], dict)):
        raise SourceError(
            "foreign_format",
            "source file is a JSON array, not JSON Lines",
            where=str(path),
            found=raw[:40].decode("utf-8", "replace").strip(),
            expected="one object a line",
            mend="set dataset.source.format: json, or give the file the ending .json",
        )
