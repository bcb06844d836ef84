"""Both stand-ins for the environment's probes."""

from finetune_assets_tests.fakes.fixtures import gcs  # noqa: F401
from finetune_assets_tests.fakes.vertex_fixtures import vertex  # noqa: F401
