"""Build: raw records become examples, free of duplicates and conflicts, split without leaks, rendered for tuning.

Two passes. The first turns every record into an example or a rejection and spools it; then duplicates, conflicts and
leak groups are known and the split is decided; the second writes the files. Rows are conserved:
read = accepted + quarantined + duplicates.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetune_assets.datasets.balance import BALANCED_AWAY, cut_to_balance
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.copies import copies_of
from finetune_assets.datasets.engines import prepared_batches
from finetune_assets.datasets.quarantine import QuarantineWriter
from finetune_assets.datasets.rendered import finish_rendering
from finetune_assets.datasets.row_table import RowTable
from finetune_assets.datasets.split_files import (
    ASSIGNMENTS,
    NEAR_DUPLICATES,
    read_assignments,
    write_assignments,
    write_near_pairs,
)
from finetune_assets.datasets.split_files import read_examples as read_examples
from finetune_assets.datasets.split_writer import SplitWriter
from finetune_assets.datasets.splitting.assign import NOWHERE
from finetune_assets.datasets.splitting.leak_proof import Decision, decide_splits, guard_evaluation
from finetune_assets.datasets.splitting.near_duplicates import Sketches
from finetune_assets.datasets.splitting.subset import SUBSET_VERSION
from finetune_assets.records.digests import digest_of
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.task_type import TaskType
from finetune_assets.storage.files import explain_full_disk, write_json_atomic

# Part of the input key: raise it when the same records would give other splits.
BUILD_VERSION = 5

_PROGRESS_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """What a build made: read + expanded = accepted + quarantined + duplicates + outside_limit.

    Attributes:
        read: raw records.
        expanded: examples beyond the first of each record, where one record gives several.
        accepted: examples in the splits, augmented copies left out.
        quarantined: rows in `quarantine.jsonl`.
        duplicates: rows in `duplicates.jsonl`.
        conflicts: inputs with different answers, in `conflicts.jsonl`.
        reasons: quarantined rows by reason code, sorted by code.
        splits: examples by split, augmented copies included.
        augmented: reworded copies among the training rows, on top of the accepted examples.
        outside_limit: sound rows outside of the smoke subset, where a limit was given.
        near_duplicate_pairs: pairs in `near_duplicates.jsonl`, set-aside rows included.
        components: leak groups among the examples.
        largest_component: examples in the largest leak group.
    """

    read: int
    accepted: int
    quarantined: int
    duplicates: int
    conflicts: int
    reasons: dict[str, int]
    splits: dict[str, int]
    expanded: int = 0
    augmented: int = 0
    outside_limit: int = 0
    near_duplicate_pairs: int = 0
    components: int = 0
    largest_component: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON."""
        return asdict(self)


def split_inputs_key(records_digest: str, task: TaskType, config: DatasetConfig, *, limit: int = 0) -> str:
    """Return the digest of all that decides the splits, apart from earlier assignments.

    Args:
        records_digest: digest of the raw records.
        task: its manifest counts, with labels, prompts and aliases.
        config: its split, slices and conflict rule count; the source's part is in the records.
        limit: size of a smoke subset; 0 takes all.

    Returns:
        64 hex digits.
    """
    return digest_of(
        {
            "build": BUILD_VERSION,
            "records": records_digest,
            # Only a subset depends on how subsets are chosen; whole datasets keep their keys.
            "limit": [limit, SUBSET_VERSION] if limit else 0,
            "task_type": task.manifest(),
            "dataset": config.model_dump(
                mode="json", include={"split", "slices", "conflicts", "render", "filters", "balance", "augment"}
            ),
        }
    )


def build_splits(
    records: Path,
    out: Path,
    task: TaskType,
    config: DatasetConfig,
    *,
    previous: Path | None = None,
    limit: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> SplitSummary:
    """Build the splits and write them, with their evidence, into `out`.

    Files: `examples.jsonl`, `assignments.jsonl`, `quarantine.jsonl` and `.parquet`, `duplicates.jsonl`,
    `conflicts.jsonl`, a folder for each rendered format with `train.jsonl`, `validation.jsonl` and `test.jsonl`
    each, `statistics.json`, `near_duplicates.jsonl`, `certificate.json`. The same records, task, configuration and
    earlier assignments give the same bytes; the assignments do not depend on the order of the records.

    Args:
        records: `records.jsonl` as `ingest` wrote it.
        out: an existing, empty folder.
        task: turns records into examples.
        config: split, slices, conflict rule.
        previous: `assignments.jsonl` of the version before this one.
        limit: split a stratified subset of about this many examples, whole leak groups; 0 takes all.
        on_progress: called with the rows done so far in the first pass, about every 5,000 rows and at the end.

    Returns:
        The counts.

    Raises:
        FinetuneError: when no example, or none for training, is left, or earlier assignments are damaged.
        StorageError: when the disk is full.
    """
    with explain_full_disk(out):
        return _write_splits(records, out, task, config, previous, limit, on_progress)


def _write_splits(
    records: Path,
    out: Path,
    task: TaskType,
    config: DatasetConfig,
    previous: Path | None,
    limit: int,
    on_progress: Callable[[int], None] | None,
) -> SplitSummary:
    """Do both passes; the columns that decide the splits are gone before the second."""
    earlier = read_assignments(previous)
    with QuarantineWriter(out) as quarantine, RowTable(out, config.render.formats) as rows:
        with Sketches(config.split.near_duplicates, out) as sketches:
            read, made = _take_in(records, rows, sketches, quarantine, task, config, on_progress)
            rows.settle(earlier, keep_first=config.conflicts == "keep_first")
            decision = decide_splits(rows, sketches, config.split, earlier, limit=limit)
            guarded = config.augment.factor and config.split.near_duplicates.enabled
            guard = guard_evaluation(decision, sketches) if guarded else None
        table, row_of, result = decision.table, decision.row_of, decision.result
        write_assignments(out / ASSIGNMENTS, result.assignments(table, earlier))
        set_aside: dict[int, str] = {row_of[item]: reason for item, reason in result.set_aside.items()}
        # After the assignments: a row that balancing leaves out stays assigned to training for good.
        set_aside |= {row_of[item]: BALANCED_AWAY for item in cut_to_balance(table, result.splits, config.balance)}
        certificate = _write_evidence(out, decision, rows, config)
        split_of = _by_row(len(rows), row_of, result.splits)
        writer = SplitWriter(rows, quarantine, split_of, set_aside, augmenting=config.augment.factor > 0)
        near_pairs = len(decision.near_pairs)
        del earlier, table, result, row_of, decision
        writer.write(out, copies_of(records, rows, split_of, task, config.augment, guard))
    counts = writer.statistics.splits
    _require_rows(records, read, counts, quarantine.reasons, out)
    rendered = finish_rendering(out, config.render, counts)
    write_json_atomic(out / "statistics.json", {**writer.statistics.to_json(task.label_levels), **rendered})
    return SplitSummary(
        read=read,
        accepted=sum(counts.values()) - writer.augmented,
        augmented=writer.augmented,
        quarantined=quarantine.count,
        duplicates=writer.duplicates,
        expanded=made - read,
        conflicts=writer.conflicts,
        reasons=dict(sorted(quarantine.reasons.items())),
        splits=counts,
        outside_limit=writer.outside_limit,
        near_duplicate_pairs=near_pairs,
        components=certificate["components"],
        largest_component=certificate["largest_component"],
    )


def _write_evidence(out: Path, decision: Decision, rows: RowTable, config: DatasetConfig) -> dict[str, Any]:
    """Write the certificate and the near-duplicates, by content key; return the certificate."""
    certificate = decision.certificate(config.split)
    write_json_atomic(out / "certificate.json", certificate)
    write_near_pairs(
        out / NEAR_DUPLICATES,
        (
            (rows.keys[rows.key_of[one]], rows.keys[rows.key_of[other]], similarity)
            for one, other, similarity in decision.near_pairs
        ),
    )
    return certificate


def _by_row(count: int, row_of: Sequence[int], splits: bytearray) -> bytearray:
    """Return the split of each row; rows that are no item are nowhere."""
    found = bytearray([NOWHERE]) * count
    for row, split in zip(row_of, splits, strict=True):
        found[row] = split
    return found


def _take_in(
    records: Path,
    rows: RowTable,
    sketches: Sketches,
    quarantine: QuarantineWriter,
    task: TaskType,
    config: DatasetConfig,
    on_progress: Callable[[int], None] | None,
) -> tuple[int, int]:
    """Turn every record into spooled examples or rejections; return how many records and how many items there were."""
    read = made = 0
    for batch in prepared_batches(records, task, config):
        for rejection in batch.rejections:
            quarantine.add(rejection)
        rows.take(batch)
        sketches.take(batch.sketches)
        told = read // _PROGRESS_ROWS
        read += batch.read
        made += batch.made
        if on_progress and read // _PROGRESS_ROWS > told:
            on_progress(read)
    if on_progress:
        on_progress(read)
    return read, made


def _require_rows(records: Path, read: int, splits: Mapping[str, int], reasons: Mapping[str, int], out: Path) -> None:
    if splits["train"]:
        return
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    kept = ", ".join(f"{name} {count}" for name, count in splits.items())
    raise FinetuneError(
        "no training rows are left",
        where=str(records),
        found=f"of {read} records {kept}; quarantined: "
        + (", ".join(f"{reason} {count}" for reason, count in ranked[:4]) or "none"),
        expected="at least one example in train",
        mend=_first_mend(out, ranked[0][0]) if ranked else "give the split more rows",
    )


def _first_mend(out: Path, reason: str) -> str:
    """Return the place and the mend of the first row in quarantine for a reason; the folder itself will not stay."""
    with (out / "quarantine.jsonl").open(encoding="utf-8") as lines:
        row = next(row for row in map(json.loads, lines) if row["reason"] == reason)
    place = f"{row['file']}:{row['line'] or row['row'] or ''}".rstrip(":")
    field = f" `{row['field']}`" if row["field"] else ""
    said = f"the first is {place}{field}: found {row['found'] or 'nothing'}"
    said += f", expected {row['expected']}" if row["expected"] else ""
    said += f"; {row['mend']}" if row["mend"] else ""
    return said + ("; a field of another name goes into dataset.source.aliases" if reason == "missing_field" else "")
