"""A small task of somebody else: own labels, own rows, a folder with YAML and data and nothing more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

LABELS = {"kitchen": ["kettle", "oven"], "garden": ["spade", "hose"]}
_SAYINGS = (
    "Where did you put the {label} that we used on day {number}?",
    "The {label} is broken again, visit {number}.",
    "Please order {number} more of the {label}.",
)


def write_task(folder: Path, name: str = "tools", *, rows: int = 240, **attributes: Any) -> dict[str, str]:
    """Write a task's folder; return the variable with which `finetune` finds it.

    Args:
        folder: where tasks are; the task gets a folder of its own in it.
        name: the task.
        rows: rows to write, each with a text of its own.
        attributes: sections of defs.yaml that are added or replaced.
    """
    task = folder / name
    (task / "data").mkdir(parents=True)
    domains = [
        {"id": number, "name": domain, "labels": labels} for number, (domain, labels) in enumerate(LABELS.items())
    ]
    (task / "taxonomy.json").write_text(json.dumps({"domains": domains}), encoding="utf-8")
    pairs = [(domain, label) for domain, labels in LABELS.items() for label in labels]
    with (task / "data" / "rows.jsonl").open("w", encoding="utf-8") as stream:
        for number in range(rows):
            domain, label = pairs[number % len(pairs)]
            text = _SAYINGS[number % len(_SAYINGS)].format(label=label, number=number)
            stream.write(json.dumps({"id": f"row-{number}", "text": text, "domain": domain, "label": label}) + "\n")
    document = {
        "type": "finetune_assets.component.FineTuningTask",
        "attributes": {
            "task_type": "classification",
            "dataset": {
                "source": {"path": "data/rows.jsonl"},
                "split": {"train": 0.7, "validation": 0.1, "test": 0.2},
            },
            "classification": {"taxonomy": "taxonomy.json"},
            **attributes,
        },
    }
    (task / "defs.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return {"FINETUNE_TASKS": str(folder)}
