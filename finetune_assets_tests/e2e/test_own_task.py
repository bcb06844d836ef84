"""A task of one's own: a folder with YAML and data, and no Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from finetune_assets_tests.e2e.command import PROJECT, Said, environment, finetune, result
from finetune_assets_tests.e2e.tasks import LABELS, write_task


def test_a_folder_with_yaml_and_data_is_a_task(home: Path, tmp_path: Path) -> None:
    env = write_task(tmp_path / "tasks")
    said = finetune(home, "run", "tools", "--until", "validated_splits", env=env)
    assert said.code == 0, said.all
    counts = next(
        task["counts"] for task in finetune(home, "status", "--json", env=env).json() if task["task"] == "tools"
    )
    assert counts["read"] == 240
    assert counts["accepted"] == counts["train"] + counts["validation"] + counts["test"] == 240
    rows = map(json.loads, result(home, "validated_splits", "tools").file("examples.jsonl").read_text().splitlines())
    assert {row["label"] for row in rows} == {
        f"{domain} / {label}" for domain, labels in LABELS.items() for label in labels
    }


def test_the_tasks_are_listed_together(home: Path, tmp_path: Path) -> None:
    env = write_task(tmp_path / "tasks")
    rows = finetune(home, "tasks", "--json", env=env).json()
    assert [row["task"] for row in rows] == ["childcare", "environment", "java", "router", "speech", "tools"]


def test_rows_that_come_later_move_no_earlier_row(home: Path, tmp_path: Path) -> None:
    env = write_task(tmp_path / "tasks")
    finetune(home, "run", "tools", "--until", "validated_splits", env=env).out  # noqa: B018
    before = assignments(home)
    write_task(tmp_path / "grown", rows=360)
    shutil.copyfile(tmp_path / "grown/tools/data/rows.jsonl", tmp_path / "tasks/tools/data/rows.jsonl")
    said = finetune(home, "run", "tools", "--until", "validated_splits", env=env)
    assert said.code == 0, said.all
    after = assignments(home)
    assert (len(before), len(after)) == (240, 360)
    assert before.items() <= after.items()


def assignments(home: Path) -> dict[str, str]:
    lines = result(home, "validated_splits", "tools").file("assignments.jsonl").read_text().splitlines()
    return {row["content_key"]: row["split"] for row in map(json.loads, lines)}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which a task was scaffolded."""
    folder = tmp_path_factory.mktemp("project") / "copy"
    folder.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "finetune_assets", folder / "finetune_assets", ignore=ignored)
    for name in ("pyproject.toml", "workspace.yaml", "dagster.yaml"):
        shutil.copyfile(PROJECT / name, folder / name)
    said = dg(folder, "scaffold", "defs", "finetune_assets.component.FineTuningTask", "my_task")
    assert said.code == 0, said.all
    return folder


def dg(folder: Path, *arguments: str) -> Said:
    env = environment(folder / "home", {"PYTHONPATH": str(folder)})
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    done = subprocess.run(
        ["dg", *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    return Said(done.returncode, done.stdout, done.stderr)


def test_a_scaffolded_task_passes_its_own_check(copy: Path) -> None:
    assert (copy / "finetune_assets/defs/my_task/defs.yaml").is_file()
    said = dg(copy, "check", "yaml")
    assert said.code == 0, said.all


def test_a_typo_in_the_yaml_is_reported_with_its_line(copy: Path) -> None:
    path = copy / "finetune_assets/defs/my_task/defs.yaml"
    text = path.read_text(encoding="utf-8")
    try:
        path.write_text(text.replace("  classification:\n", "  clasification:\n"), encoding="utf-8")
        said = dg(copy, "check", "yaml")
    finally:
        path.write_text(text, encoding="utf-8")
    number = text.splitlines().index("  classification:") + 1
    assert said.code != 0
    assert "my_task/defs.yaml" in said.all
    assert f"{number}" in said.all
    assert "clasification" in said.all
