"""Repairing the source of a task: plan and write every new file first, then put them in place one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.reading.foreign_files import read_head
from finetune_assets.datasets.reading.listing import SourceFile, list_source
from finetune_assets.datasets.reading.readers import detect_format
from finetune_assets.datasets.repair.csv_file import CsvFile
from finetune_assets.datasets.repair.files import MendableFile, out_of_sight, part_of, publish
from finetune_assets.datasets.repair.ids import IdBook
from finetune_assets.datasets.repair.json_file import JsonFile
from finetune_assets.datasets.repair.mends import Change, MendRules, mend_schema
from finetune_assets.datasets.repair.parquet_file import ParquetFile
from finetune_assets.records.digests import canonical_json, digest_of_text
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.files import explain_unwritable

_SHOWN_DIGITS = 16

Note = Callable[[dict[str, Any]], object]
"""Takes one change, as `repair.jsonl` has it: never a text of a person."""


@dataclass(frozen=True)
class Repair:
    """What to repair.

    Attributes:
        source: the source as the YAML names it.
        folder: the task's folder.
        rules: what the task type says of its records.
        id_field: the canonical field of the id.
        ids: whether ids are mended.
        schema: whether schema faults are mended.
    """

    source: SourceConfig
    folder: Path
    rules: MendRules
    id_field: str
    ids: bool
    schema: bool


@dataclass
class RepairReport:
    """What was changed, or would be.

    Attributes:
        read: readable records.
        changed: records that changed; a column's new name changes none.
        untouched: records whose mend was left alone because it cannot be written back exactly.
        mends: changes by kind.
        files: name → backup, for each file that was written; the backup is "" in a dry run.
    """

    read: int = 0
    changed: int = 0
    untouched: int = 0
    mends: Counter[str] = field(default_factory=Counter)
    files: dict[str, str] = field(default_factory=dict)


def repair_source(repair: Repair, *, dry_run: bool, note: Note) -> RepairReport:
    """Repair a task's source files.

    Args:
        repair: what to repair.
        dry_run: only say what would change.
        note: told every change, in the order of the source.

    Returns:
        The counts. Running it again finds nothing to change. Memory holds about 200 bytes for each record's id, and
        else does not grow with the files.

    Raises:
        FinetuneError: when the source cannot be read, or is of a format that is not repaired; then nothing is written.
        StorageError: when a file cannot be written.
    """
    files = [file for file in list_source(repair.source, repair.folder).files if file.fault is None]
    book = _noted_ids(repair, files)
    report = RepairReport()
    changed: dict[str, Path] = {}
    try:
        # All is written before the first file is put in place: a fault in the last must leave the first as it was.
        for file in files:
            path = file.path.resolve()
            with explain_unwritable(path.parent), closing(_open(repair, path, writes=not dry_run)) as mendable:
                _plan(repair, file, mendable, book, report, note)
                if mendable.finish():
                    changed[file.name] = path
        for name, path in changed.items():
            report.files[name] = "" if dry_run else str(publish(path))
    finally:
        for path in {file.path.resolve() for file in files}:
            part_of(path).unlink(missing_ok=True)
    _hide_backups(repair, changed, report)
    return report


def _open(repair: Repair, path: Path, *, writes: bool) -> MendableFile:
    """Open a file for its repair.

    Raises:
        FinetuneError: when it is packed, of a format that is not repaired, or a table without a column for the id.
    """
    head, packed = read_head(path, repair.source)
    form = detect_format(path, head, repair.source)
    part = part_of(path) if writes else None
    if packed or form not in ("json", "jsonl", "csv", "parquet"):
        raise FinetuneError(
            "a file of this format is not repaired",
            where=str(path),
            found=path.suffix or packed or form,
            expected="JSON, JSON Lines, CSV or Parquet, unpacked",
            mend="mend it where it is exported from, or export it as JSON Lines",
        )
    if form in ("json", "jsonl"):
        return JsonFile(path, repair.source, part)
    table = CsvFile if form == "csv" else ParquetFile
    opened = table(path, repair.source, repair.rules, part, rename=repair.schema)
    if repair.ids and _id_column(repair, opened.columns) is None:
        opened.close()
        raise FinetuneError(
            "the table has no column for the id",
            where=str(path),
            found=", ".join(opened.columns),
            expected=repair.id_field,
            mend=f"add a column {repair.id_field}, empty if need be, and run the repair again",
        )
    return opened


def _id_column(repair: Repair, columns: Iterable[str]) -> str | None:
    return next((name for name in columns if repair.rules.canonical(name) == repair.id_field), None)


def _noted_ids(repair: Repair, files: list[SourceFile]) -> IdBook:
    """Return the ids of all records, which are needed before the first is given."""
    book = IdBook(repair.id_field, repair.rules)
    for file in files if repair.ids else ():
        with closing(_open(repair, file.path.resolve(), writes=False)) as mendable:
            for _, fields in mendable.rows():
                book.note(mend_schema(fields, repair.rules, rename=not mendable.is_table)[0])
    return book


def _plan(
    repair: Repair, file: SourceFile, mendable: MendableFile, book: IdBook, report: RepairReport, note: Note
) -> None:
    for line in _lines(repair, file.name, (None, None), {}, mendable.head_changes):
        report.mends[line["mend"]] += 1
        note(line)
    for row, found in mendable.rows():
        report.read += 1
        fields, changes = _mended(repair, mendable, found, book)
        if not changes:
            continue
        if not mendable.put(row, fields):
            report.untouched += 1
            continue
        report.changed += 1
        for line in _lines(repair, file.name, (row.line, row.row), fields, changes):
            report.mends[line["mend"]] += 1
            note(line)


def _mended(
    repair: Repair, mendable: MendableFile, found: dict[str, Any], book: IdBook
) -> tuple[dict[str, Any], list[Change]]:
    fields, changes = mend_schema(found, repair.rules, rename=not mendable.is_table)
    # An id is made of the mended content, so that it is the same whichever repair comes first.
    given = book.mend(fields)[1] if repair.ids else None
    if not repair.schema:
        fields, changes = dict(found), []
    if mendable.is_table:
        # A table's cells are texts: "3" is mended already. What was no text in Parquet was not mended either.
        changes = [change for change in changes if str(change.after) != change.before]
    if given is not None:
        name = given.field
        if name not in fields:
            name = _id_column(repair, [*fields, *mendable.columns]) or name
        fields = {**fields, name: given.after} if name in fields else {name: given.after, **fields}
        changes = [*changes, Change(given.mend, name, given.before, given.after)]
    return fields, changes


def _lines(
    repair: Repair,
    file: str,
    place: tuple[int | None, int | None],
    fields: dict[str, Any],
    changes: Iterable[Change],
) -> Iterator[dict[str, Any]]:
    by_canonical = {repair.rules.canonical(name): value for name, value in fields.items()}
    for change in changes:
        shown = change.field not in repair.rules.kept_texts and not isinstance(change.before, dict | list)
        yield {
            "file": file,
            "line": place[0],
            "row": place[1],
            "record_id": str(by_canonical.get(repair.id_field) or ""),
            "mend": change.mend,
            "field": change.field,
            "before": change.before if shown or change.mend == "rename" else _hash(change.before),
            "after": change.after if shown or change.mend == "rename" else _hash(change.after),
        }


def _hash(value: Any) -> str:
    return "sha256:" + digest_of_text(canonical_json(value))[:_SHOWN_DIGITS]


def _hide_backups(repair: Repair, changed: dict[str, Path], report: RepairReport) -> None:
    """Rename backups that the source's patterns would take for further files of it."""
    if not any(report.files.values()):
        return
    listed = {str(file.path.resolve()) for file in list_source(repair.source, repair.folder).files}
    for name, backup in report.files.items():
        if str(Path(backup).resolve()) in listed:
            report.files[name] = str(out_of_sight(changed[name], Path(backup)))


def require_something(ids: bool, schema: bool) -> None:
    """Refuse a repair that was told to repair nothing.

    Raises:
        FinetuneError: when neither is asked for.
    """
    if not ids and not schema:
        raise FinetuneError(
            "nothing to repair was named", expected="--ids, --schema or both", mend="add one; --dry-run shows first"
        )
