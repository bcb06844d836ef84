"""Writing mended records into their file: only the bytes of changed records differ, a backup lies beside it.

Repaired are JSON and JSON Lines as they lie, in UTF-8. Other formats are exported from somewhere; there the fault is
mended.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.reading.foreign_files import read_head
from finetune_assets.datasets.reading.json_rows import FoundRow
from finetune_assets.datasets.reading.readers import detect_format, read_rows
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.files import explain_unwritable, fsync_directory

REPAIRED_FORMATS = ("json", "jsonl")
_COPY_BYTES = 1 << 20
_MAX_BACKUPS = 10_000


@dataclass(frozen=True, slots=True)
class Replacement:
    """New bytes for one record.

    Attributes:
        offset: of the record's first byte.
        length: bytes that it had.
        data: bytes that it gets.
    """

    offset: int
    length: int
    data: bytes


def rows_in_place(path: Path, config: SourceConfig) -> Iterator[FoundRow]:
    """Yield the readable records of a file that can be repaired.

    Raises:
        FinetuneError: when the file is of another format, packed or in another encoding.
    """
    head, packed = read_head(path, config)
    form = detect_format(path, head, config)
    if form not in REPAIRED_FORMATS or packed:
        raise FinetuneError(
            "a file of this format is not repaired",
            where=str(path),
            found=path.suffix or form,
            expected="JSON or JSON Lines, unpacked",
            mend="mend it where it is exported from, or export it as JSON Lines",
        )
    return (row for row in read_rows(path, config) if row.fault is None)


def replacement(stream: Any, row: FoundRow, fields: dict[str, Any]) -> Replacement | None:
    """Return the new bytes of a record, in the style of the old ones; None when its place cannot be told for sure."""
    if row.offset is None:
        return None
    text = row.text.strip()
    start = len(row.text) - len(row.text.lstrip())
    offset, old = row.offset + len(row.text[:start].encode()), text.encode()
    stream.seek(offset)
    if stream.read(len(old)) != old:
        return None
    if json.loads(text, parse_float=_exact) != row.fields:
        return None
    separators = (", ", ": ") if '": ' in text else (",", ":")
    new = json.dumps(fields, ensure_ascii="\\u" in text and text.isascii(), separators=separators)
    return Replacement(offset, len(old), new.encode())


def _exact(number: str) -> float:
    """Return a number; one whose spelling Python would change is no equal of anything, so the record is left alone."""
    value = float(number)
    return value if repr(value) == number else float("nan")


def rewrite(path: Path, replacements: Iterable[Replacement]) -> Path:
    """Replace records in a file: backup first, then a new file beside it, then one rename.

    Args:
        path: the file.
        replacements: sorted by offset, not overlapping.

    Returns:
        The backup, `<name>.bak` or the first of `<name>.bak.1` … that is free.

    Raises:
        StorageError: when the folder cannot be written or the disk is full; the file is as it was.
    """
    with explain_unwritable(path.parent):
        backup = _backup(path)
        part = path.with_name(f".{path.name}.repair-part")
        try:
            with path.open("rb") as source, part.open("wb") as target:
                for item in replacements:
                    _copy(source, target, item.offset - source.tell())
                    source.seek(item.length, os.SEEK_CUR)
                    target.write(item.data)
                shutil.copyfileobj(source, target, _COPY_BYTES)
                target.flush()
                os.fsync(target.fileno())
            shutil.copymode(path, part)
            part.replace(path)
            fsync_directory(path.parent)
        finally:
            part.unlink(missing_ok=True)
    return backup


def _copy(source: Any, target: Any, count: int) -> None:
    while count > 0:
        block = source.read(min(count, _COPY_BYTES))
        target.write(block)
        count -= len(block)


def _backup(path: Path) -> Path:
    for number in range(_MAX_BACKUPS):
        backup = path.with_name(f"{path.name}.bak" + (f".{number}" if number else ""))
        try:
            with backup.open("xb") as target, path.open("rb") as source:
                shutil.copyfileobj(source, target, _COPY_BYTES)
                target.flush()
                os.fsync(target.fileno())
        except FileExistsError:
            continue
        shutil.copystat(path, backup)
        return backup
    raise FinetuneError("too many backups", where=str(path), found=f"{_MAX_BACKUPS}", mend="move some away")
