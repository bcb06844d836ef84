"""One task's graph: its assets, their checks, its job and its sensors, put together."""

import os

import dagster as dg

from finetune_assets.lineage import (
    deployed_endpoint,
    error_cases,
    raw_observations,
    release_approval,
    splits_checks,
    trigger_history,
    tuned_adapter,
    uploaded_dataset,
    validated_splits,
    validation_report,
)
from finetune_assets.lineage.approval_sensor import build_approval_sensors
from finetune_assets.lineage.automation import build_job
from finetune_assets.lineage.base_model import embedded_base_key
from finetune_assets.lineage.cloud.sensors import build_cloud_sensors
from finetune_assets.lineage.settings import resolve
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.lineage.trigger_sensor import build_trigger_sensors


def build_task_graph(given: TaskSpec) -> dg.Definitions:
    """Return one task's assets, checks, job and sensors.

    The environment wins over defs.yaml, also where a setting decides the graph's shape (who approves, which base).

    Raises:
        FinetuneError: when the environment sets a value that does not fit.
    """
    spec = TaskSpec(config=resolve(given, {}, os.environ).config, folder=given.folder)
    shared = [embedded_base_key()] if spec.config.tuning.needs_embedded else []
    sensors = [*build_cloud_sensors(spec), *build_trigger_sensors(spec), *build_approval_sensors(spec)]
    return dg.Definitions.merge(
        _data_part(spec, shared),
        _model_part(spec, shared),
        dg.Definitions(assets=[error_cases.build_asset(spec), trigger_history.build_asset(spec)]),
        dg.Definitions(jobs=[build_job(spec, shared)], sensors=sensors),
    )


def _data_part(spec: TaskSpec, shared: list[dg.AssetKey]) -> dg.Definitions:
    return dg.Definitions(
        assets=[
            raw_observations.build_asset(spec),
            validated_splits.build_asset(spec),
            uploaded_dataset.build_asset(spec),
        ],
        asset_checks=[
            raw_observations.build_asset_checks(spec),
            splits_checks.build_asset_checks(spec, shared),
            uploaded_dataset.build_asset_checks(spec),
        ],
    )


def _model_part(spec: TaskSpec, shared: list[dg.AssetKey]) -> dg.Definitions:
    variants = spec.config.tuning.by_variant()
    return dg.Definitions(
        assets=[
            *(
                tuned_adapter.build_asset(spec, shared if tuning.is_embedded else [], variant)
                for variant, tuning in variants.items()
            ),
            validation_report.build_asset(spec),
            release_approval.build_asset(spec),
            deployed_endpoint.build_asset(spec),
        ],
        asset_checks=[
            *(tuned_adapter.build_asset_checks(spec, variant) for variant in variants),
            validation_report.build_asset_checks(spec),
            deployed_endpoint.build_asset_checks(spec),
        ],
    )
