"""Repair of one task's source: what its task type says of its records, and where the list of changes is kept."""

import json
import os
from pathlib import Path
from typing import Any

from finetune_assets.datasets.reading.canonical_names import alias_lookup
from finetune_assets.datasets.repair.mends import MendRules
from finetune_assets.datasets.repair.repair import Repair, RepairReport
from finetune_assets.lineage.settings import resolve
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.files import write_atomic
from finetune_assets.storage.home import Home
from finetune_assets.task_types import build_task_type
from finetune_assets.task_types.classification import ClassificationTask

# The fields that hold an id, in the order in which a task type has them.
_ID_FIELDS = ("record_id", "observation_id", "case_id", "id")
_TOOL_FIELDS = frozenset({"tools", "functions"})
_TEXT_FIELDS = frozenset({"messages", "question", "answer", "context", "user_query"})


def plan_repair(spec: TaskSpec, *, ids: bool, schema: bool) -> Repair:
    """Return what a repair of the task would look at.

    Raises:
        FinetuneError: when the task type's records have no id, as files of source code.
    """
    config = resolve(spec, {}, os.environ).config
    kind = build_task_type(config.task_type, config.type_section().model_dump(mode="json"), Path(spec.folder))
    names = alias_lookup({**kind.aliases, **config.dataset.source.aliases})
    id_field = next((name for name in _ID_FIELDS if name in kind.aliases), "")
    if not id_field:
        raise FinetuneError(
            "records of this task have no id",
            where=spec.name,
            found=kind.name,
            expected="a task whose records have one",
        )
    texts = _TEXT_FIELDS | {kind.text_field}
    if isinstance(kind, ClassificationTask):
        rules = MendRules(
            names=names,
            whole_numbers=frozenset(kind.shape.whole_number_fields),
            label_fields=kind.shape.level_fields,
            taxonomy=kind.taxonomy,
            kept_texts=frozenset(texts),
        )
    else:
        rules = MendRules(names=names, tool_fields=_TOOL_FIELDS, kept_texts=frozenset(texts))
    return Repair(config.dataset.source, Path(spec.folder), rules, id_field, ids=ids, schema=schema)


def keep_changes(home: Home, task: str, report: RepairReport) -> Path:
    """Write the list of changes; an earlier list is never overwritten.

    Returns:
        The file, `<home>/repairs/<task>/repair.jsonl` or the first of `repair.1.jsonl` … that is free.
    """
    folder = home.path / "repairs" / task
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    while (path := folder / f"repair{f'.{number}' if number else ''}.jsonl").exists():
        number += 1
    write_atomic(path, "".join(json.dumps(change, ensure_ascii=False) + "\n" for change in report.changes))
    return path


def as_json(report: RepairReport, kept: Path | None, *, shown: int) -> dict[str, Any]:
    """Return the report as `finetune data repair --json` prints it."""
    return {
        "read": report.read,
        "changed": report.changed,
        "untouched": report.untouched,
        "mends": dict(sorted(report.mends.items())),
        "files": report.files,
        "changes": report.changes[:shown],
        "list": str(kept) if kept else "",
    }
