"""One module for each shape of task: how it reads records, asks its question and reads the answer.

Here belongs the way from a task type's name to its object, from YAML when training and from a release's manifest when
serving. What the shapes have in common is the protocol `records.task_type.TaskType`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.task_type import TaskType
from finetune_assets.task_types.classification import ClassificationTask
from finetune_assets.task_types.question_answering import QuestionAnsweringTask
from finetune_assets.task_types.routing import RoutingTask
from finetune_assets.task_types.source_code import SourceCodeTask
from finetune_assets.task_types.transcription import TranscriptionTask


class TaskTypeClass(Protocol):
    """What the class of a task type offers besides its objects."""

    Config: type[BaseModel]
    """The model of the type's section in defs.yaml."""

    @classmethod
    def from_config(cls, config: Any, folder: Path) -> TaskType:
        """Build the task type from its section; relative paths start from the task's folder."""

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> TaskType:
        """Build the task type from what its `manifest` returned."""


TASK_TYPES: Mapping[str, TaskTypeClass] = {
    "classification": ClassificationTask,
    "question_answering": QuestionAnsweringTask,
    "routing": RoutingTask,
    "source_code": SourceCodeTask,
    "transcription": TranscriptionTask,
}
"""Name of each task type and its class."""


def build_task_type(name: str, attributes: Mapping[str, Any], folder: Path) -> TaskType:
    """Build a task type from its section of a defs.yaml.

    Args:
        name: the task type, one of `TASK_TYPES`.
        attributes: the section's content.
        folder: the task's folder, from which relative paths start.

    Returns:
        The task type.

    Raises:
        FinetuneError: for an unknown name, a bad value (it names the field), or a file that cannot be used.
    """
    if name not in TASK_TYPES:
        raise FinetuneError(
            "task type is unknown",
            where="task_type",
            found=name,
            expected=", ".join(TASK_TYPES),
            mend="use one of these names",
        )
    try:
        config = TASK_TYPES[name].Config.model_validate(dict(attributes))
    except ValidationError as error:
        first = error.errors()[0]
        raise FinetuneError(
            "a value in the task's YAML is not valid",
            where=".".join([name, *map(str, first["loc"])]),
            found=repr(first["input"]),
            expected=first["msg"],
            mend="correct it in defs.yaml; words such as yes, no and on need quotes there",
        ) from error
    return TASK_TYPES[name].from_config(config, folder)


def task_type_from_manifest(manifest: Mapping[str, Any]) -> TaskType:
    """Build the task type that `TaskType.manifest` described.

    Raises:
        FinetuneError: when the manifest is of an unknown task type or was written by another version.
    """
    name = str(manifest.get("task_type"))
    if name not in TASK_TYPES:
        raise FinetuneError(
            "manifest is of an unknown task type",
            where="task type manifest",
            found=repr(name),
            expected=", ".join(TASK_TYPES),
            mend="serve this release with the version that made it",
        )
    return TASK_TYPES[name].from_manifest(manifest)
