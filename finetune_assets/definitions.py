"""The code location; nothing else."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from finetune_assets.component import outside_folders, read_task_folder
from finetune_assets.lineage.graph import build_task_graph
from finetune_assets.resources.gateways import Gateways
from finetune_assets.resources.platform import Platform, RunOptions
from finetune_assets.resources.trainer import Trainer


def build_defs(
    *, resource_overrides: Mapping[str, Any] | None = None, task_folders: Sequence[Path] = ()
) -> dg.Definitions:
    """Return everything that the code location holds.

    Args:
        resource_overrides: resources by name that replace the default ones.
        task_folders: folders of tasks (each with a defs.yaml) besides those in `defs/`.

    Returns:
        The definitions: the tasks of `defs/`, those of `task_folders`, and the resources.
    """
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent),
        *(build_task_graph(read_task_folder(folder)) for folder in task_folders),
        dg.Definitions(resources=build_resources(resource_overrides), executor=dg.in_process_executor),
    )


def build_resources(overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the resources of every asset, some of them replaced."""
    return {
        "platform": Platform(),
        "options": RunOptions(),
        "trainer": Trainer(),
        "gateways": Gateways(),
        **(overrides or {}),
    }


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions that the webserver, the daemon and the CLI load."""
    return build_defs(task_folders=outside_folders(os.environ))
