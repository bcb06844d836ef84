"""Repairing the source of a task: plan every change first, then write file by file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.reading.json_rows import FoundRow
from finetune_assets.datasets.reading.listing import SourceFile, list_source
from finetune_assets.datasets.repair.files import Replacement, replacement, rewrite, rows_in_place
from finetune_assets.datasets.repair.ids import IdBook
from finetune_assets.datasets.repair.mends import Change, MendRules, mend_schema
from finetune_assets.records.digests import canonical_json, digest_of_text
from finetune_assets.records.errors import FinetuneError

_SHOWN_DIGITS = 16


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
        changed: records that changed.
        untouched: records whose mend was left alone because their bytes cannot be written back exactly.
        mends: changes by kind.
        files: name → backup, for each file that was written; the backup is "" in a dry run.
        changes: one line each, as `repair.jsonl` has them: never a text of a person.
    """

    read: int = 0
    changed: int = 0
    untouched: int = 0
    mends: Counter[str] = field(default_factory=Counter)
    files: dict[str, str] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)


def repair_source(repair: Repair, *, dry_run: bool) -> RepairReport:
    """Repair a task's source files.

    Args:
        repair: what to repair.
        dry_run: only say what would change.

    Returns:
        Every change. Running it again finds none.

    Raises:
        FinetuneError: when the source cannot be read, or is of a format that is not repaired; then nothing is written.
        StorageError: when a file cannot be written.
    """
    files = [file for file in list_source(repair.source, repair.folder).files if file.fault is None]
    book = IdBook(repair.id_field, repair.rules)
    for file in files if repair.ids else ():
        for row in rows_in_place(file.path, repair.source):
            book.note(mend_schema(row.fields, repair.rules)[0])
    report = RepairReport()
    # All is planned before the first byte is written: a fault in the last file must not leave the first one changed.
    plans = {file.name: (file.path, _plan(repair, file, book, report)) for file in files}
    for name, (path, replacements) in plans.items():
        if replacements:
            report.files[name] = "" if dry_run else str(rewrite(path, replacements))
    return report


def _plan(repair: Repair, file: SourceFile, book: IdBook, report: RepairReport) -> list[Replacement]:
    found = []
    with file.path.open("rb") as stream:
        for row in rows_in_place(file.path, repair.source):
            report.read += 1
            fields, changes = _mended(repair, row, book)
            if not changes:
                continue
            new = replacement(stream, row, fields)
            if new is None:
                report.untouched += 1
                continue
            found.append(new)
            report.changed += 1
            report.mends.update(change.mend for change in changes)
            report.changes += _lines(repair, file, row, fields, changes)
    return found


def _mended(repair: Repair, row: FoundRow, book: IdBook) -> tuple[dict[str, Any], list[Change]]:
    fields, changes = mend_schema(row.fields, repair.rules)
    # An id is made of the mended content, so that it is the same whichever repair comes first.
    given = book.mend(fields)[1] if repair.ids else None
    if not repair.schema:
        fields, changes = dict(row.fields), []
    if given is not None:
        name = given.field
        if name not in fields:
            name = next((item for item in fields if repair.rules.canonical(item) == repair.id_field), name)
        fields = {**fields, name: given.after} if name in fields else {name: given.after, **fields}
        changes = [*changes, Change(given.mend, name, given.before, given.after)]
    return fields, changes


def _lines(
    repair: Repair, file: SourceFile, row: FoundRow, fields: dict[str, Any], changes: list[Change]
) -> Iterator[dict[str, Any]]:
    by_canonical = {repair.rules.canonical(name): value for name, value in fields.items()}
    for change in changes:
        shown = change.field not in repair.rules.kept_texts and not isinstance(change.before, dict | list)
        yield {
            "file": file.name,
            "line": row.line,
            "row": row.row,
            "record_id": str(by_canonical.get(repair.id_field) or ""),
            "mend": change.mend,
            "field": change.field,
            "before": change.before if shown or change.mend == "rename" else _hash(change.before),
            "after": change.after if shown or change.mend == "rename" else _hash(change.after),
        }


def _hash(value: Any) -> str:
    return "sha256:" + digest_of_text(canonical_json(value))[:_SHOWN_DIGITS]


def require_something(ids: bool, schema: bool) -> None:
    """Refuse a repair that was told to repair nothing.

    Raises:
        FinetuneError: when neither is asked for.
    """
    if not ids and not schema:
        raise FinetuneError(
            "nothing to repair was named", expected="--ids, --schema or both", mend="add one; --dry-run shows first"
        )
