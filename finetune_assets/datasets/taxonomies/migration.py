"""Migrating labels: every record is migrated with its provenance, unchanged, left out by a decision, or in review.

No record is lost: read = unchanged + migrated + review + left out, counted and checked on every migration. The old
source stays as it is; records that could not be read stay in it, and are listed.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.reading.canonical_names import Aliases
from finetune_assets.datasets.reading.ingest import ingest
from finetune_assets.datasets.reading.json_rows import encode_row
from finetune_assets.datasets.taxonomies.diff import TaxonomyDiff, diff_taxonomies
from finetune_assets.datasets.taxonomies.relabel import LabelFields, label_of, relabel
from finetune_assets.datasets.taxonomies.review import LEAVE_OUT, Decisions, ReviewItem, ReviewWriter
from finetune_assets.datasets.taxonomies.rules import SEPARATOR, LabelRouter, MigrationMap, Verdict
from finetune_assets.datasets.taxonomies.taxonomy import Taxonomy
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import RawRecord
from finetune_assets.storage.files import explain_full_disk, write_json_atomic

PROVENANCE = "taxonomy_migration"
ROWS, LEFT_OUT, UNREADABLE, REPORT = "rows.jsonl", "left_out.jsonl", "unreadable.jsonl", "report.json"


@dataclass(frozen=True)
class Migration:
    """What it takes to migrate the records of a task.

    Attributes:
        source: the source as the YAML names it.
        folder: the task's folder.
        aliases: the task type's field names.
        names: where a record names its label.
        text_field: the field that a person reads to decide, for the review.
        id_field: the record's id.
        keeps_places: True where records without an id go by their place, which a new file would change.
        old: the taxonomy of the labels.
        new: the taxonomy to migrate to.
        rules: the map.
    """

    source: SourceConfig
    folder: Path
    aliases: Aliases
    names: LabelFields
    text_field: str
    id_field: str
    keeps_places: bool
    old: Taxonomy
    new: Taxonomy
    rules: MigrationMap = field(default_factory=MigrationMap)


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What a migration did: read = unchanged + migrated + review + left_out.

    Attributes:
        old_digest: digest of the old taxonomy.
        new_digest: digest of the new one.
        read: records that could be read.
        unreadable: rows that could not; they stay in the old source.
        unchanged: records that say the same in both taxonomies.
        migrated: records with another label or another spelling of it.
        review: records that wait for a decision.
        left_out: records that a decision left out.
        without_label: of the unchanged, those whose label the old taxonomy does not know.
        rules: migrated records by rule, sorted.
        labels: old label → new label → records, where they differ; sorted.
        waiting: records in review by old label, sorted.
    """

    old_digest: str
    new_digest: str
    read: int
    unreadable: int
    unchanged: int
    migrated: int
    review: int
    left_out: int
    without_label: int
    rules: dict[str, int]
    labels: dict[str, dict[str, int]]
    waiting: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return asdict(self)


def migrate(migration: Migration, out: Path, decisions: Decisions | None = None) -> MigrationReport:
    """Migrate the records of a task into a new source.

    Files in `out`: `rows.jsonl` (the new source, canonical field names), `review.jsonl` and `review.csv` (who waits for
    a decision, and what was decided), `left_out.jsonl`, `unreadable.jsonl`, `report.json`.

    Args:
        migration: what to migrate.
        out: a folder; it is made. Files of an earlier migration of the same task are replaced.
        decisions: the reviewed CSV.

    Returns:
        The counts.

    Raises:
        FinetuneError: when the source cannot be read, the taxonomies do not fit each other, a decision names no legal
            label, or counts do not add up.
    """
    diff = diff_taxonomies(migration.old, migration.new)
    worker = _Worker(migration, diff, decisions or Decisions.none())
    out.mkdir(parents=True, exist_ok=True)
    with explain_full_disk(out), tempfile.TemporaryDirectory(dir=out, prefix=".reading-") as reading, ExitStack() as to:
        found = ingest(migration.source, migration.folder, migration.aliases, Path(reading))
        part = Path(reading)
        rows, left_out = (to.enter_context(_text_file(part / f"new-{name}")) for name in (ROWS, LEFT_OUT))
        with ReviewWriter(part, migration.text_field) as review:
            for record in _records(part / "records.jsonl"):
                worker.take(record, rows, left_out, review)
        worker.require_all_decided()
        rows.close()
        left_out.close()
        report = worker.report(found.quarantined)
        _require_conserved(report, found.accepted)
        for name in (ROWS, LEFT_OUT):
            (part / f"new-{name}").replace(out / name)
        (part / "quarantine.jsonl").replace(out / UNREADABLE)
        review.publish(out)
    write_json_atomic(out / REPORT, {**report.to_json(), "diff": diff.to_json()})
    return report


class _Worker:
    """Takes records one by one and counts what became of them."""

    def __init__(self, migration: Migration, diff: TaxonomyDiff, decisions: Decisions) -> None:
        self._migration = migration
        self._router = LabelRouter(migration.old, migration.new, diff, migration.rules)
        self._decisions = decisions.checked(migration.new)
        self._digests = (diff.old_digest, diff.new_digest)
        self._counts: Counter[str] = Counter()
        self._rules: Counter[str] = Counter()
        self._labels: Counter[tuple[str, str]] = Counter()
        self._waiting: Counter[str] = Counter()

    def take(self, record: RawRecord, rows: TextIO, left_out: TextIO, review: ReviewWriter) -> None:
        """Decide about one record and write it to where it belongs."""
        self._counts["read"] += 1
        fields = self._with_id(record)
        old_path = label_of(fields, self._migration.names, self._migration.old)
        if old_path is None:
            self._counts["without_label"] += 1
            self._keep(fields, rows)
            return
        verdict = self._router.verdict(old_path, fields)
        decision = None
        if verdict.path is None:
            key = str(record.source)
            decision = self._decisions.take(key)
            item = ReviewItem(key, str(fields.get(self._migration.id_field) or ""), old_path, verdict, fields)
            review.add(item, decision)
        if decision == LEAVE_OUT:
            self._counts["left_out"] += 1
            left_out.write(encode_row(fields) + "\n")
        elif decision is not None:
            self._migrate(fields, old_path, Verdict(path=decision, rule="review"), rows)
        elif verdict.path is None:
            self._counts["review"] += 1
            self._waiting[SEPARATOR.join(old_path)] += 1
        else:
            self._migrate(fields, old_path, verdict, rows)

    def _with_id(self, record: RawRecord) -> dict[str, Any]:
        """Return the fields; where a record's place is its id, with that id written down."""
        fields = dict(record.fields)
        name = self._migration.id_field
        if self._migration.keeps_places and str(fields.get(name) or "").strip() == "":
            fields[name] = str(record.source)
        return fields

    def _migrate(self, fields: dict[str, Any], old_path: Sequence[str], verdict: Verdict, rows: TextIO) -> None:
        new_path = verdict.path or ()
        migration = self._migration
        changed = relabel(fields, migration.names, migration.old, tuple(old_path), migration.new, new_path)
        if changed == fields:
            self._keep(fields, rows)
            return
        before = SEPARATOR.join(old_path)
        step = {"from": self._digests[0], "to": self._digests[1], "rule": verdict.rule, "old_label": before}
        earlier = fields.get(PROVENANCE)
        changed[PROVENANCE] = [*(earlier if isinstance(earlier, list) else []), step]
        self._counts["migrated"] += 1
        self._rules[verdict.rule] += 1
        if tuple(old_path) != new_path:
            self._labels[before, SEPARATOR.join(new_path)] += 1
        rows.write(encode_row(changed) + "\n")

    def _keep(self, fields: Mapping[str, Any], rows: TextIO) -> None:
        self._counts["unchanged"] += 1
        rows.write(encode_row(dict(fields)) + "\n")

    def require_all_decided(self) -> None:
        """Refuse decisions about rows that wait for none: they were made for another source or map."""
        self._decisions.require_used()

    def report(self, unreadable: int) -> MigrationReport:
        """Return the counts."""
        labels: dict[str, dict[str, int]] = {}
        for (before, after), count in sorted(self._labels.items()):
            labels.setdefault(before, {})[after] = count
        return MigrationReport(
            *self._digests,
            read=self._counts["read"],
            unreadable=unreadable,
            unchanged=self._counts["unchanged"],
            migrated=self._counts["migrated"],
            review=self._counts["review"],
            left_out=self._counts["left_out"],
            without_label=self._counts["without_label"],
            rules=dict(sorted(self._rules.items())),
            labels=labels,
            waiting=dict(sorted(self._waiting.items())),
        )


def _records(path: Path) -> Iterator[RawRecord]:
    with path.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield RawRecord.from_json(json.loads(line))


def _text_file(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="\n")


def _require_conserved(report: MigrationReport, accepted: int) -> None:
    parts = report.unchanged + report.migrated + report.review + report.left_out
    if report.read != accepted or report.read != parts:
        raise FinetuneError(
            "rows were lost in the migration",
            found=f"{parts} of {accepted} rows",
            expected="every row unchanged, migrated, in review or left out",
            mend="report this; nothing was written",
        )
