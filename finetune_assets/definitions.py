"""The code location; nothing else."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._utils.warnings import suppress_dagster_warnings

from finetune_assets.component import outside_folders, read_task_folder
from finetune_assets.lineage.graph import build_task_graph
from finetune_assets.resources.gateways import Gateways
from finetune_assets.resources.platform import Platform, RunOptions
from finetune_assets.resources.trainer import Trainer


# As `load_from_defs_folder` does itself: it speaks of Dagster's own use of its preview functions.
@suppress_dagster_warnings
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
    # `load_from_defs_folder` would also import every installed package that offers components, dagster-gcp with pandas
    # and BigQuery among them; building the folder alone leaves them out.
    tree = dg.ComponentTree.for_project(path_within_project=Path(__file__).parent)
    return dg.Definitions.merge(
        tree.build_defs(Path()),
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
