"""One module for each shape of task: how it reads records, asks its question and reads the answer.

Here belongs the way from a task type's name to its object, from YAML when training and from a release's manifest when
serving. What the shapes have in common is the protocol `records.task_type.TaskType`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.task_type import TaskType
from finetune_assets.task_types.classification import ClassificationConfig, ClassificationTask

TASK_TYPES: Mapping[str, type[BaseModel]] = {"classification": ClassificationConfig}
"""Name of each task type and the model of its section in defs.yaml."""


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
        config = ClassificationConfig.model_validate(dict(attributes))
    except ValidationError as error:
        first = error.errors()[0]
        raise FinetuneError(
            "a value in the task's YAML is not valid",
            where=".".join([name, *map(str, first["loc"])]),
            found=repr(first["input"]),
            expected=first["msg"],
            mend="correct it in defs.yaml; words such as yes, no and on need quotes there",
        ) from error
    return ClassificationTask.from_config(config, folder)


def task_type_from_manifest(manifest: Mapping[str, Any]) -> TaskType:
    """Build the task type that `TaskType.manifest` described.

    Raises:
        FinetuneError: when the manifest is of an unknown task type or was written by another version.
    """
    name = manifest.get("task_type")
    if name != "classification":
        raise FinetuneError(
            "manifest is of an unknown task type",
            where="task type manifest",
            found=repr(name),
            expected=", ".join(TASK_TYPES),
            mend="serve this release with the version that made it",
        )
    return ClassificationTask.from_manifest(manifest)
