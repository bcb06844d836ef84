"""Writing a mended file: a new one beside the old, a backup, then one rename. Neither is visible half written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from finetune_assets.datasets.reading.json_rows import FoundRow
from finetune_assets.datasets.repair.mends import Change
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.files import explain_unwritable, fsync_directory

_COPY_BYTES = 1 << 20
_MAX_BACKUPS = 10_000


class MendableFile(Protocol):
    """A source file whose records can be written back.

    Attributes:
        is_table: True when names stand once, above all rows, and values are texts.
        columns: of a table, the name of each column as the rows have it; else empty.
        head_changes: of a table, the columns that get another name.
    """

    is_table: bool
    columns: Sequence[str]
    head_changes: Sequence[Change]

    def rows(self) -> Iterator[tuple[FoundRow, dict[str, Any]]]:
        """Yield the readable records and their fields; of a table under the names of `columns`."""

    def put(self, row: FoundRow, fields: dict[str, Any]) -> bool:
        """Write a record anew, in the order of `rows`; False when it cannot be done without changing more than that."""

    def finish(self) -> bool:
        """Write what is left of the file; return whether anything differs from it."""

    def close(self) -> None:
        """Let go of all files."""


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


class Splice:
    """A file written anew with some of its bytes replaced, in memory that does not grow with it.

    Args:
        path: the file.
        part: the new file, begun at the first replacement; None only counts.
    """

    def __init__(self, path: Path, part: Path | None) -> None:
        self._source = path.open("rb")
        self._part = part
        self._target: BinaryIO | None = None
        self._copied = 0
        self.changed = False

    def holds(self, offset: int, data: bytes) -> bool:
        """Tell whether the file has these bytes there."""
        self._source.seek(offset)
        return self._source.read(len(data)) == data

    def replace(self, item: Replacement) -> None:
        """Replace some bytes that lie behind those that were replaced before."""
        self.changed = True
        if self._part is None:
            return
        if self._target is None:
            self._target = self._part.open("wb")
        self._copy(item.offset)
        self._target.write(item.data)
        self._copied = item.offset + item.length

    def finish(self) -> bool:
        """Copy what is left; return whether anything was replaced."""
        if self._target is not None:
            self._copy(None)
            self._target.flush()
        return self.changed

    def close(self) -> None:
        """Close both files."""
        self._source.close()
        if self._target is not None:
            self._target.close()

    def _copy(self, end: int | None) -> None:
        """Copy the bytes from the last replacement up to `end`, or to the end of the file."""
        self._source.seek(self._copied)
        left = _COPY_BYTES if end is None else end - self._copied
        while left > 0 and (block := self._source.read(min(left, _COPY_BYTES))):
            if self._target is not None:
                self._target.write(block)
            left -= 0 if end is None else len(block)


def part_of(path: Path) -> Path:
    """Return where a file's new form is written; readers pass over names that begin with a dot."""
    return path.with_name(f".{path.name}.repair-part")


def publish(path: Path) -> Path:
    """Put the new form of a file, which lies at `part_of`, in its place; the old one becomes a backup.

    Returns:
        The backup, `<name>.bak` or the first of `<name>.bak.1` … that is free.

    Raises:
        StorageError: when the folder cannot be written or the disk is full; the file is as it was.
    """
    part = part_of(path)
    with explain_unwritable(path.parent):
        backup = _backup(path)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        shutil.copymode(path, part)
        part.replace(path)
        fsync_directory(path.parent)
    return backup


def _backup(path: Path) -> Path:
    copy = path.with_name(f".{path.name}.backup-part")
    try:
        with copy.open("wb") as target, path.open("rb") as source:
            shutil.copyfileobj(source, target, _COPY_BYTES)
            target.flush()
            os.fsync(target.fileno())
        shutil.copystat(path, copy)
        backup = free_name(path)
        copy.rename(backup)
        return backup
    finally:
        copy.unlink(missing_ok=True)


def free_name(path: Path, *, hidden: bool = False) -> Path:
    """Return a backup's name that nothing has yet.

    Raises:
        FinetuneError: when there are too many.
    """
    for number in range(_MAX_BACKUPS):
        backup = path.with_name(f"{'.' if hidden else ''}{path.name}.bak" + (f".{number}" if number else ""))
        if not backup.exists():
            return backup
    raise FinetuneError("too many backups", where=str(path), found=f"{_MAX_BACKUPS}", mend="move some away")


def out_of_sight(path: Path, backup: Path) -> Path:
    """Rename a backup that the source would read as a file of its own, so that readers pass over it."""
    hidden = free_name(path, hidden=True)
    backup.rename(hidden)
    return hidden
