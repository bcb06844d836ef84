"""What all tasks share: the embedded base model and the platform's own sensors."""

from pathlib import Path

import dagster as dg

from finetune_assets.lineage.automation import build_platform_sensors
from finetune_assets.lineage.base_model import EmbeddedBaseConfig, build_asset


@dg.definitions
def platform_defs() -> dg.Definitions:
    """Return the shared assets and sensors."""
    base = build_asset(EmbeddedBaseConfig(taxonomy="../childcare/taxonomy.json"), Path(__file__).parent)
    return dg.Definitions(assets=[base], sensors=build_platform_sensors())
