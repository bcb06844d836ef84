"""Build: raw records become examples, free of duplicates and conflicts, split without leaks, rendered for tuning.

Two passes. The first turns every record into an example or a rejection and spools it; then duplicates, conflicts and
leak groups are known and the split is decided; the second writes the files. Rows are conserved:
read = accepted + quarantined + duplicates.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.leakage import measure_leakage
from finetune_assets.datasets.quarantine import QuarantineWriter
from finetune_assets.datasets.row_table import RowTable
from finetune_assets.datasets.split_files import ASSIGNMENTS, read_assignments, write_assignments
from finetune_assets.datasets.split_files import read_examples as read_examples
from finetune_assets.datasets.split_writer import SplitWriter
from finetune_assets.datasets.splitting import NOWHERE, assign_splits
from finetune_assets.records.digests import digest_of
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example, RawRecord, Rejection
from finetune_assets.records.task_type import TaskType
from finetune_assets.storage.files import explain_full_disk, write_json_atomic

# Part of the input key: raise it when the same records would give other splits.
BUILD_VERSION = 2

_PROGRESS_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """What a build made: read + expanded = accepted + quarantined + duplicates.

    Attributes:
        read: raw records.
        expanded: examples beyond the first of each record, where one record gives several.
        accepted: examples in the splits.
        quarantined: rows in `quarantine.jsonl`.
        duplicates: rows in `duplicates.jsonl`.
        conflicts: inputs with different answers, in `conflicts.jsonl`.
        reasons: quarantined rows by reason code, sorted by code.
        splits: examples by split.
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
    components: int = 0
    largest_component: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON."""
        return asdict(self)


def split_inputs_key(records_digest: str, task: TaskType, config: DatasetConfig) -> str:
    """Return the digest of all that decides the splits, apart from earlier assignments.

    Args:
        records_digest: digest of the raw records.
        task: its manifest counts, with labels, prompts and aliases.
        config: its split, slices and conflict rule count; the source's part is in the records.

    Returns:
        64 hex digits.
    """
    return digest_of(
        {
            "build": BUILD_VERSION,
            "records": records_digest,
            "task_type": task.manifest(),
            "dataset": config.model_dump(mode="json", include={"split", "slices", "conflicts", "render"}),
        }
    )


def build_splits(
    records: Path,
    out: Path,
    task: TaskType,
    config: DatasetConfig,
    *,
    previous: Path | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> SplitSummary:
    """Build the splits and write them, with their evidence, into `out`.

    Files: `examples.jsonl`, `assignments.jsonl`, `quarantine.jsonl` and `.parquet`, `duplicates.jsonl`,
    `conflicts.jsonl`, a folder for each rendered format with `train.jsonl`, `validation.jsonl` and `test.jsonl` each,
    `statistics.json`, `certificate.json`. The same records, task, configuration and earlier assignments give the
    same bytes; the assignments do not depend on the order of the records.

    Args:
        records: `records.jsonl` as `ingest` wrote it.
        out: an existing, empty folder.
        task: turns records into examples.
        config: split, slices, conflict rule.
        previous: `assignments.jsonl` of the version before this one.
        on_progress: called with the rows done so far in the first pass, every 5,000 rows and at the end.

    Returns:
        The counts.

    Raises:
        FinetuneError: when no example, or none for training, is left, or earlier assignments are damaged.
        StorageError: when the disk is full.
    """
    with explain_full_disk(out):
        outcome = _write_splits(records, out, task, config, previous, on_progress)
        leakage = measure_leakage(out)
        write_json_atomic(out / "certificate.json", leakage.certificate(config.split))
    return replace(outcome, components=leakage.components, largest_component=leakage.largest_component)


def _write_splits(
    records: Path,
    out: Path,
    task: TaskType,
    config: DatasetConfig,
    previous: Path | None,
    on_progress: Callable[[int], None] | None,
) -> SplitSummary:
    """Do both passes; the columns that they need are gone when the leakage is measured."""
    earlier = read_assignments(previous)
    with QuarantineWriter(out) as quarantine, RowTable(out, config.render.formats) as rows:
        read, made = _take_in(records, rows, quarantine, task, config, on_progress)
        rows.settle(earlier, keep_first=config.conflicts == "keep_first")
        table, row_of = rows.split_table(frozenset(config.split.evaluation_only))
        result = assign_splits(table, config.split, earlier)
        write_assignments(out / ASSIGNMENTS, result.assignments(table, earlier))
        set_aside = {row_of[item]: reason for item, reason in result.set_aside.items()}
        writer = SplitWriter(rows, quarantine, _by_row(len(rows), row_of, result.splits), set_aside)
        del earlier, table, result, row_of
        writer.write(out)
    counts = writer.statistics.splits
    _require_rows(records, read, counts, quarantine.reasons)
    write_json_atomic(out / "statistics.json", writer.statistics.to_json(task.label_levels))
    return SplitSummary(
        read=read,
        accepted=sum(counts.values()),
        quarantined=quarantine.count,
        duplicates=writer.duplicates,
        expanded=made - read,
        conflicts=writer.conflicts,
        reasons=dict(sorted(quarantine.reasons.items())),
        splits=counts,
    )


def _by_row(count: int, row_of: Sequence[int], splits: bytearray) -> bytearray:
    """Return the split of each row; rows that are no item are nowhere."""
    found = bytearray([NOWHERE]) * count
    for row, split in zip(row_of, splits, strict=True):
        found[row] = split
    return found


def _take_in(
    records: Path,
    rows: RowTable,
    quarantine: QuarantineWriter,
    task: TaskType,
    config: DatasetConfig,
    on_progress: Callable[[int], None] | None,
) -> tuple[int, int]:
    """Turn every record into spooled examples or rejections; return how many records and how many items there were."""
    read = made = 0
    with records.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            read += 1
            record = RawRecord.from_json(json.loads(line))
            for item in task.examples(record):
                made += 1
                if isinstance(item, Rejection):
                    quarantine.add(item)
                else:
                    rows.add(_with_groups_and_slices(item, record.fields, config))
            if on_progress and read % _PROGRESS_ROWS == 0:
                on_progress(read)
    if on_progress:
        on_progress(read)
    return read, made


def _with_groups_and_slices(example: Example, fields: Mapping[str, Any], config: DatasetConfig) -> Example:
    """Add the leak groups and slices that the dataset's configuration declares."""
    if not config.split.group_fields and not config.slices:
        return example
    groups = {f"{name}={value}" for name in config.split.group_fields for value in _values(fields.get(name))}
    slices = {name for name, rule in config.slices.items() if str(rule.equals) in _values(fields.get(rule.field))}
    return replace(
        example,
        groups=tuple(sorted(groups.union(example.groups))),
        slices=tuple(sorted(slices.union(example.slices))),
    )


def _values(value: Any) -> list[str]:
    """Return a field's values as texts: of a list each, of nothing none."""
    items = value if isinstance(value, list) else [value]
    return [text for item in items if item is not None and (text := str(item).strip())]


def _require_rows(records: Path, read: int, splits: Mapping[str, int], reasons: Mapping[str, int]) -> None:
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
        mend="correct the fields or labels named here, or give the split more rows",
    )
