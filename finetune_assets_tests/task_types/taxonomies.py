"""Small taxonomies of each shape for the tests of this room."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from finetune_assets.records.example import Example, RawRecord, Rejection, SourceRef
from finetune_assets.task_types import build_task_type
from finetune_assets.task_types.classification import ClassificationTask

OBSERVATIONS = {
    "domains": [
        {
            "id": 1,
            "name": "Physical Development",
            "attributes": [
                {
                    "id": 7,
                    "name": "Balance",
                    "progressionPoints": [
                        {"id": 1, "progressionPointsTitle": "Emerging", "description": "Stands with help."},
                        {"id": 2, "progressionPointsTitle": "Emerging", "description": "Steps with help."},
                        {"id": 3, "progressionPointsTitle": "Refining", "description": "Hops alone."},
                    ],
                }
            ],
        },
        {
            "id": 2,
            "name": "Language and Literacy",
            "attributes": [
                {
                    "id": 9,
                    "name": "Früh lesen",
                    "progressionPoints": [
                        {"id": 4, "progressionPointsTitle": "Emerging", "description": "Holds a book."}
                    ],
                }
            ],
        },
    ]
}
FLAT = {
    "domains": [
        {"id": 1, "name": "travel", "labels": ["translate", "visa"]},
        {"id": 2, "name": "meta", "labels": ["repeat", "yes"]},
    ]
}
PLAIN = {"labels": ["Mathematics", "Literacy", "Expressive Arts"]}


def make_task(folder: Path, taxonomy: dict[str, Any], **section: Any) -> ClassificationTask:
    """Build a task from a YAML section as Dagster would hand it over."""
    (folder / "taxonomy.json").write_text(json.dumps(taxonomy), encoding="utf-8")
    task = build_task_type("classification", {"taxonomy": "taxonomy.json", **section}, folder)
    assert isinstance(task, ClassificationTask)
    return task


def observation(**changes: Any) -> dict[str, Any]:
    """A good observation; None removes a field."""
    fields: dict[str, Any] = {
        "id": "obs_9",
        "notes": "Ana balanced on the beam.",
        "domainId": 1,
        "attributeId": 7,
        "progressionTitle": "Refining",
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def read(task: ClassificationTask, fields: dict[str, Any]) -> Example | Rejection:
    return task.example(RawRecord(fields, SourceRef("data.jsonl", line=3)))


def accepted(task: ClassificationTask, fields: dict[str, Any]) -> Example:
    found = read(task, fields)
    assert isinstance(found, Example), found
    return found


def rejected(task: ClassificationTask, fields: dict[str, Any]) -> tuple[str, str]:
    found = read(task, fields)
    assert isinstance(found, Rejection), found
    return found.reason, found.field
