"""Every room of the stand-in, imported once so that its routes are registered."""

from __future__ import annotations

from finetune_assets_tests.fakes import (
    vertex_app,
    vertex_batches,
    vertex_custom,
    vertex_endpoints,
    vertex_garden,
    vertex_models,
    vertex_operations,
    vertex_predict,
    vertex_tuning,
)

ROOMS = (
    vertex_app,
    vertex_batches,
    vertex_custom,
    vertex_endpoints,
    vertex_garden,
    vertex_models,
    vertex_operations,
    vertex_predict,
    vertex_tuning,
)
