"""Repair of one task's source: what its task type says of its records, and where the list of changes is kept."""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from finetune_assets.datasets.reading.canonical_names import alias_lookup
from finetune_assets.datasets.repair.mends import MendRules
from finetune_assets.datasets.repair.repair import Repair, RepairReport
from finetune_assets.lineage.settings import resolve
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.files import explain_unwritable
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


class ChangeList:
    """The list of changes as it grows: on disk from the first one, the first few also in memory.

    Args:
        home: keeps the list.
        task: whose source is repaired.
        shown: changes kept in `first`.
        kept: False for a dry run, which writes nothing.

    Attributes:
        first: the first changes.
    """

    def __init__(self, home: Home, task: str, *, shown: int, kept: bool) -> None:
        self.first: list[dict[str, Any]] = []
        self._folder = home.path / "repairs" / task
        self._shown = shown
        self._kept = kept
        self._stream: TextIO | None = None
        # Two repairs at once have a list each.
        self._part = self._folder / f".repair-{os.getpid()}.part"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()
            self._part.unlink(missing_ok=True)

    def note(self, change: dict[str, Any]) -> None:
        """Take in one change."""
        if len(self.first) < self._shown:
            self.first.append(change)
        if not self._kept:
            return
        with explain_unwritable(self._folder):
            if self._stream is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._stream = self._part.open("w", encoding="utf-8", newline="\n")
            self._stream.write(json.dumps(change, ensure_ascii=False) + "\n")

    def keep(self) -> Path | None:
        """Give the list its name; an earlier list is never overwritten.

        Returns:
            The file, `<home>/repairs/<task>/repair.jsonl` or the first of `repair.1.jsonl` … that is free; None when
            nothing changed.
        """
        if self._stream is None:
            return None
        with explain_unwritable(self._folder):
            self._stream.flush()
            os.fsync(self._stream.fileno())
            number = 0
            while (path := self._folder / f"repair{f'.{number}' if number else ''}.jsonl").exists():
                number += 1
            self._part.rename(path)
        return path


def as_json(report: RepairReport, changes: ChangeList, kept: Path | None) -> dict[str, Any]:
    """Return the report as `finetune data repair --json` prints it."""
    return {
        "read": report.read,
        "changed": report.changed,
        "untouched": report.untouched,
        "mends": dict(sorted(report.mends.items())),
        "files": report.files,
        "changes": changes.first,
        "list": str(kept) if kept else "",
    }
