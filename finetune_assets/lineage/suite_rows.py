"""The rows of a regression suite's file, read as the task reads its own records."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from finetune_assets.datasets.reading.config import SourceConfig
from finetune_assets.datasets.reading.ingest import ingest
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.records.example import Example, RawRecord
from finetune_assets.records.task_type import TaskType


@dataclass(frozen=True)
class SuiteRows:
    """What a suite's file holds.

    Attributes:
        examples: its examples; equal questions count once.
        fields: the record that each example was made of, by example id, under the fields' canonical names.
        rejected: records that cannot be read.
    """

    examples: list[Example]
    fields: dict[str, dict[str, Any]]
    rejected: int


def suite_rows(task: TaskRun, task_type: TaskType, path: str) -> SuiteRows:
    """Read a suite's file.

    Args:
        task: the task; a relative path starts in its folder.
        task_type: reads the records.
        path: the file, or a folder of files.

    Raises:
        FinetuneError: when the file cannot be read.
    """
    source = SourceConfig.model_validate({"path": path})
    found: dict[str, Example] = {}
    fields: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(dir=task.home.work) as folder:
        summary = ingest(source, task.folder, task_type.aliases, Path(folder))
        rejected = summary.quarantined
        for line in (Path(folder) / "records.jsonl").read_bytes().splitlines():
            record = RawRecord.from_json(orjson.loads(line))
            for item in task_type.examples(record):
                if isinstance(item, Example):
                    found.setdefault(item.example_id, item)
                    fields.setdefault(item.example_id, record.fields)
                else:
                    rejected += 1
    return SuiteRows(list(found.values()), fields, rejected)
