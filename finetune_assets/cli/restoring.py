"""Telling Dagster of a restored dataset version, so that the UI shows the head as it is."""

import os

import dagster as dg

from finetune_assets.datasets.versions.restore import Restored
from finetune_assets.lineage.instance import open_instance
from finetune_assets.lineage.runtime import asset_key
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.lineage.validated_splits import STAGE, describe
from finetune_assets.records.digests import short
from finetune_assets.storage.home import Home

_DATA_VERSION_TAG = "dagster/data_version"


def announce(spec: TaskSpec, home: Home, restored: Restored) -> None:
    """Report the restored splits as a materialization without a run."""
    with open_instance(home, os.environ) as instance:
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                asset_key(spec.name, STAGE),
                description=f"version {restored.head.number}, restored from version {restored.head.restored_from}",
                metadata={
                    "digest": short(restored.artifact.digest),
                    "reused": False,
                    "restored_from": restored.head.restored_from or 0,
                    **describe(restored.artifact),
                },
                tags={_DATA_VERSION_TAG: restored.artifact.digest},
            )
        )
