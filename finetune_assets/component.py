"""FineTuningTask: one defs.yaml becomes one lineage graph.

A plain component over a plain pydantic model: constrained fields, file and line in errors, no template expressions.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster.components.component_scaffolding import scaffold_component
from pydantic import BaseModel

from finetune_assets.lineage.graph import build_task_graph
from finetune_assets.lineage.task_config import TASK_PATTERN, TaskConfig, TaskSpec
from finetune_assets.lineage.task_file import read_task_file
from finetune_assets.records.errors import FinetuneError

COMPONENT_TYPE = "finetune_assets.component.FineTuningTask"
DEFS_FOLDER = Path(__file__).parent / "defs"
# Folders of tasks that live outside this package, separated as in PATH.
TASK_FOLDERS_VARIABLE = "FINETUNE_TASKS"

# A new task starts as a copy of the smallest thing that passes its own check; its files are written beside it.
_SCAFFOLD_TAXONOMY = """{
  "domains": [
    {"id": 1, "name": "first_domain", "labels": ["first_label", "second_label"]}
  ]
}
"""
_SCAFFOLD_DATA = """{"id": "1", "text": "One of the first kind.", "domain": "first_domain", "label": "first_label"}
{"id": "2", "text": "One of the second kind.", "domain": "first_domain", "label": "second_label"}
"""


class FineTuningTaskScaffolder(dg.Scaffolder[Any]):
    """Writes a defs.yaml that passes `dg check yaml`, with a taxonomy and two rows to replace."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write the folder's files; existing files are left alone."""
        folder = request.target_path
        _write_new(folder / "taxonomy.json", _SCAFFOLD_TAXONOMY)
        _write_new(folder / "data" / "records.jsonl", _SCAFFOLD_DATA)
        scaffold_component(
            request,
            {
                "task_type": "classification",
                "description": "Say here what the task is for.",
                "dataset": {"source": {"path": "data/records.jsonl"}},
                "classification": {"taxonomy": "taxonomy.json"},
            },
        )


def _write_new(path: Path, text: str) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@dg.scaffold_with(FineTuningTaskScaffolder)
class FineTuningTask(dg.Component):
    """One task that a model is tuned for: its data, its taxonomy, its tuning, its gates and its release policy."""

    def __init__(self, config: TaskConfig) -> None:
        self.config = config

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the model that `dg check yaml` holds defs.yaml against."""
        return TaskConfig

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> "FineTuningTask":
        """Take the validated attributes of one defs.yaml."""
        if not isinstance(attributes, TaskConfig):
            raise FinetuneError(
                "defs.yaml has no attributes", where=str(context.path), mend="add an `attributes:` section"
            )
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the task's assets, checks and jobs."""
        folder = context.path if context.path.is_dir() else context.path.parent
        return build_task_graph(task_spec(self.config, folder))


def task_spec(config: TaskConfig, folder: Path) -> TaskSpec:
    """Return the task that a folder's configuration describes; an unnamed task takes the folder's name.

    Raises:
        FinetuneError: when an unnamed task's folder has a name that no task may have.
    """
    if not config.task and not re.match(TASK_PATTERN, folder.name):
        raise FinetuneError(
            "folder has no name for a task",
            where=str(folder),
            found=folder.name,
            expected="small letters, digits and _, a letter first, 41 at most",
            mend="rename the folder, or set `task:` in its defs.yaml",
        )
    named = (
        config
        if config.task
        else TaskConfig.model_validate({**config.model_dump(mode="json", exclude_unset=True), "task": folder.name})
    )
    return TaskSpec(config=named, folder=str(folder.resolve()))


def read_task_folder(folder: Path) -> TaskSpec:
    """Read one task's folder without Dagster's project machinery.

    Args:
        folder: a folder that holds a defs.yaml of type FineTuningTask.

    Returns:
        The task.

    Raises:
        FinetuneError: when defs.yaml is missing, is not YAML or does not fit; it names file and field.
    """
    path = folder / "defs.yaml"
    if not path.is_file():
        raise FinetuneError(
            "task has no defs.yaml",
            where=str(folder),
            mend=f"add one, or run `dg scaffold defs {COMPONENT_TYPE} {folder.name}`",
        )
    return task_spec(read_task_file(path, COMPONENT_TYPE), folder)


def outside_folders(environ: Mapping[str, str]) -> list[Path]:
    """Return the task folders that FINETUNE_TASKS brings: each sub-folder with a defs.yaml.

    Raises:
        FinetuneError: when the variable names a folder that is not there.
    """
    folders = []
    for part in environ.get(TASK_FOLDERS_VARIABLE, "").split(os.pathsep):
        if not part:
            continue
        if not Path(part).is_dir():
            raise FinetuneError("folder of tasks is missing", where=TASK_FOLDERS_VARIABLE, found=part)
        folders += sorted(path.parent for path in Path(part).glob("*/defs.yaml"))
    return folders


def known_tasks(environ: Mapping[str, str], *, wanted: str | None = None) -> dict[str, TaskSpec]:
    """Return every task by name: those of `defs/` and those that FINETUNE_TASKS brings.

    Args:
        environ: where FINETUNE_TASKS is looked up.
        wanted: the one task that is asked for. The fault of another folder then does not stand in its way.

    Raises:
        FinetuneError: for a task that cannot be read, or two of one name.
    """
    inside = sorted(path.parent for path in DEFS_FOLDER.glob("*/defs.yaml"))
    tasks: dict[str, TaskSpec] = {}
    problems: dict[Path, FinetuneError] = {}
    for folder in [*inside, *outside_folders(environ)]:
        try:
            spec = read_task_folder(folder)
        except FinetuneError as problem:
            problems[folder] = problem
            continue
        if spec.name in tasks:
            raise FinetuneError(
                "two tasks have one name",
                where=f"{tasks[spec.name].folder} and {folder}",
                found=spec.name,
                mend="set `task:` in one of the two defs.yaml",
            )
        tasks[spec.name] = spec
    if problems and wanted not in tasks:
        own = (problem for folder, problem in problems.items() if folder.name == wanted)
        raise next(own, next(iter(problems.values())))
    return tasks
