"""A small cloud task of one's own beside stand-ins in this process, for tests of commands and sensors.

from finetune_assets_tests.cli.cloud import cloud  # noqa: F401 - a pytest fixture; it needs `platform_home`
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from finetune_assets.component import known_tasks
from finetune_assets.lineage.comparing import open_here
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.storage.home import Home
from finetune_assets_tests.e2e.tasks import write_task
from finetune_assets_tests.fakes.fixtures import ThreadedGcs, gcs_server
from finetune_assets_tests.fakes.vertex import Vertex, vertex_server

TASK = "tools"
GEMINI = {"backend": "gemini", "base_model": "gemini-2.5-flash", "epochs": 2, "managed": {"adapter_size": 4}}
CLOUD: dict[str, Any] = {
    "project": "p1",
    "bucket": "gs://bkt/x",
    "budget": {"monthly_usd": 5, "per_job_usd": 2},
    "polling": {"first_s": 0.02, "longest_s": 0.1, "visibility_s": 0.02},
}


@dataclass(frozen=True)
class CloudTask:
    """The task and its stand-ins."""

    folder: Path
    home: Path
    gcs: ThreadedGcs
    vertex: Vertex

    def change(self, section: str, **values: Any) -> None:
        """Change settings in a section of defs.yaml."""
        path = self.folder / "defs.yaml"
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        document["attributes"].setdefault(section, {}).update(values)
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def spec(self) -> TaskSpec:
        return known_tasks(os.environ, wanted=TASK)[TASK]

    def open(self) -> TaskRun:
        return open_here(self.spec(), Home(self.home).ensure())


@pytest.fixture
def cloud(tmp_path: Path, platform_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudTask]:
    """A task that Gemini is tuned for; nothing is made yet."""
    found = write_task(
        tmp_path / "tasks",
        dataset={
            "source": {"path": "data/rows.jsonl"},
            "split": {"train": 0.7, "validation": 0.1, "test": 0.2},
            "render": {"formats": ["gemini", "vertex_open_messages", "chat"]},
        },
        tuning=GEMINI,
        cloud=CLOUD,
    )
    with gcs_server(tmp_path / "gcs") as gcs, vertex_server(tmp_path / "vertex", gcs.url, speed=5000.0) as vertex:
        gcs.bucket("bkt")
        for name, value in {**found, **gcs.environ, "FINETUNE_VERTEX_ENDPOINT": vertex.url}.items():
            monkeypatch.setenv(name, value)
        yield CloudTask(tmp_path / "tasks" / TASK, platform_home, gcs, vertex)
