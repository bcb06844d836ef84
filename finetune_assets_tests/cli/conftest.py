"""How these tests speak to `finetune`: through the real command line, in this process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from finetune_assets.cli.commands import app
from finetune_assets.component import known_tasks
from finetune_assets.lineage.raw_observations import read_source
from finetune_assets.lineage.runtime import TaskRun, namespace_of
from finetune_assets.lineage.settings import resolve
from finetune_assets.lineage.uploaded_dataset import upload
from finetune_assets.lineage.validated_splits import split_examples
from finetune_assets.records.errors import FinetuneError
from finetune_assets.resources.platform import RunOptions
from finetune_assets.storage.artifacts import ArtifactStore
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.home import Home
from finetune_assets_tests.e2e.tasks import write_task


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    error: str

    def json(self) -> Any:
        assert self.code == 0, self.error or self.out
        return json.loads(self.out)


Finetune = Callable[..., Said]


@pytest.fixture
def finetune(platform_home: Path) -> Finetune:
    """Run a command line; a known problem ends it with code 1 and one line, as `main` prints it."""

    def run(*arguments: str | Path) -> Said:
        result = CliRunner().invoke(app, [str(item) for item in arguments], env={"COLUMNS": "200"})
        problem = result.exception
        if isinstance(problem, FinetuneError | StorageError):
            assert "\n" not in str(problem)
            return Said(1, result.stdout, str(problem))
        if problem is not None and not isinstance(problem, SystemExit):
            raise problem
        return Said(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the small task `tools`."""
    for name, value in write_task(tmp_path / "tasks").items():
        monkeypatch.setenv(name, value)
    return tmp_path / "tasks" / "tools"


def build(task: str, *, uploaded: bool = False, limit: int = 0) -> None:
    """Make a task's next dataset version, as its assets do; no run, no checks."""
    spec = known_tasks(os.environ, wanted=task)[task]
    options = RunOptions(limit=limit)
    home = Home(Path(os.environ["FINETUNE_HOME"])).ensure()
    run = TaskRun(
        task=task,
        namespace=namespace_of(options),
        run_id="",
        artifacts=ArtifactStore(home.artifacts),
        database=Database.open(home.database_url),
        settings=resolve(spec, {}, os.environ),
        folder=Path(spec.folder),
        home=home,
        options=options,
    )
    stages = {
        "raw_observations": lambda: read_source(run, print),
        "validated_splits": lambda: split_examples(run, print),
        "uploaded_dataset": lambda: upload(run),
    }
    for stage in list(stages)[: 3 if uploaded else 2]:
        artifact, reused = stages[stage]()
        run.record(stage, artifact, reused=reused)


def rows_of(folder: Path, name: str = "data/rows.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


def write_rows(folder: Path, rows: list[dict[str, Any]], name: str = "data/rows.jsonl") -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / name).write_text(text, encoding="utf-8")
